//! Choices that give up a protection, kept apart so that a search for `danger` finds every one of them.

use crate::{Signer, SignerError};

/// A protection that discovery gives up ([`Discover::danger`](crate::Discover::danger)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Danger {
    /// Plain `http` also beyond loopback, for the issuer and for every endpoint, where the standard wants `https`
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)):
    /// whoever is on the way reads every token and can sign in as anybody. For a network that encrypts by itself,
    /// nothing else. The transport must be told, too.
    PlainHttp,
    /// People of every tenant, where one provider serves many (Microsoft Entra's `common`), in place of one exact `iss`
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)):
    /// anybody who can open an account there can sign in. Compare the claim `tid` before you let anybody do anything.
    AnyTenant,
}

/// A signer that signs nothing (`none`), for request objects that a provider takes unsigned
/// ([OpenID Connect Core, 6.1](https://openid.net/specs/openid-connect-core-1_0.html#RequestObject)): whoever is on the
/// way can change what is asked for, as with a plain address.
///
/// [`Assertions`](crate::Assertions) refuse it: nobody takes an unsigned word for who a client is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsigned;

#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
impl Signer for Unsigned {
    fn algorithm(&self) -> &'static str {
        "none"
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    async fn sign(&self, _input: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(Vec::new())
    }
}
