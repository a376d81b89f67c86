//! What a provider says about itself, and the ways to ask for it.

mod issuer;
mod metadata;

use latchkey_transport::{Exchange, Method, Replay, Reply, Request};
use url::Url;

use crate::danger::Danger;
use crate::text::printable;
use crate::{Endpoint, Error, Misbehaviour, Misuse};

pub(crate) use issuer::{Tenants, fits, of_tenant};
pub use metadata::Metadata;

/// Fetches a provider's metadata
/// ([OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
///
/// ```
/// use latchkey_oidc_flow::Discover;
/// use latchkey_transport::{Exchange, Reply};
///
/// let discover = Discover::new("https://id.example/realms/team")?;
/// assert_eq!(discover.request().path(), "/realms/team/.well-known/openid-configuration");
///
/// let forged = Reply::new(200, r#"{"issuer": "https://evil.example"}"#);
/// assert_eq!(discover.receive(forged).unwrap_err().code(), "oidc_provider_issuer_mismatch");
/// # Ok::<(), latchkey_oidc_flow::Error>(())
/// ```
///
/// [`Provider::new`](crate::Provider::new) takes the metadata that comes back;
/// [`Provider::discover`](crate::Provider::discover) does both where nothing is special.
#[derive(Clone, Debug)]
pub struct Discover {
    address: Url,
    rules: Rules,
}

/// What a document is held against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    issuer: String,
    tenants: Tenants,
    /// Where the provider is reached from here, in place of the issuer's own address.
    internal: Option<Url>,
    plain_http: bool,
}

impl Discover {
    /// Takes the issuer exactly as the provider writes it: `https://id.example` and `https://id.example/` are two
    /// ([OpenID Connect Discovery, 4.1](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest)).
    ///
    /// It is an `https` address, or an `http` one on loopback, without query and fragment.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidIssuer`] for anything else.
    pub fn new(issuer: &str) -> Result<Self, Error> {
        Self::danger(issuer, &[])
    }

    /// The same, giving up these protections.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidIssuer`] for anything else, but for `http` where [`Danger::PlainHttp`] is among them.
    pub fn danger(issuer: &str, dangers: &[Danger]) -> Result<Self, Error> {
        let plain_http = dangers.contains(&Danger::PlainHttp);
        let tenants = if dangers.contains(&Danger::AnyTenant) { Tenants::Any } else { Tenants::None };
        let invalid = || Misuse::InvalidIssuer { issuer: printable(issuer, ISSUER_LIMIT) };
        // The issuer alone has to be an address, or the path that is appended would be taken for its host.
        if issuer.contains(['?', '#']) || !issuer.contains("://") || Url::parse(issuer).is_err() {
            return Err(invalid().into());
        }
        // Discovery, 4.1: "If the Issuer value contains a path component, any terminating / MUST be removed before
        // appending /.well-known/openid-configuration."
        let address =
            format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let address =
            Url::parse(&address).ok().filter(|url| may_be_asked(url, plain_http)).ok_or_else(invalid)?;
        let rules = Rules { issuer: issuer.to_owned(), tenants, internal: None, plain_http };
        Ok(Self { address, rules })
    }

    /// Reads the document from another address than the one that follows from the issuer: Azure AD B2C keeps one for
    /// each policy, and RFC 8414, 3 has a place of its own. It must name the issuer all the same.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidAddress`] where it is not an `https` address, or an `http` one on loopback.
    pub fn at(mut self, address: &str) -> Result<Self, Error> {
        self.address = self.named(address)?;
        Ok(self)
    }

    /// Reaches the provider under another address than the one that people and tokens name: inside a cluster, past the
    /// proxy in front of it. The address stands for the issuer's scheme, host and port, and may have a path that comes
    /// before every other.
    ///
    /// The document is read there, and what is called from here (tokens, keys, userinfo and the like) is called there;
    /// the pages that a person's browser opens stay where they are. Tokens must name the issuer as ever.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidAddress`] where it is not an `https` address, or an `http` one on loopback, or has a query.
    pub fn with_internal_address(mut self, address: &str) -> Result<Self, Error> {
        let base = self.named(address)?;
        if base.query().is_some() {
            return Err(Misuse::InvalidAddress.into());
        }
        self.address = rebased(&base, &self.address);
        self.rules.internal = Some(base);
        Ok(self)
    }

    /// Takes people of these tenants, where one provider serves many: Microsoft Entra's `common` and `organizations`
    /// write `{tenantid}` where the issuer has the tenant, and each token names its own (`iss` and `tid`).
    ///
    /// The issuer is that of the address: `https://login.microsoftonline.com/common/v2.0`.
    pub fn with_tenants(mut self, tenants: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.tenants = Tenants::Only(tenants.into_iter().map(Into::into).collect());
        self
    }

    fn named(&self, address: &str) -> Result<Url, Misuse> {
        let url = Url::parse(address).ok().filter(|url| may_be_asked(url, self.rules.plain_http));
        url.ok_or(Misuse::InvalidAddress)
    }
}

impl Exchange for Discover {
    type Output = Metadata;
    type Error = Error;

    fn request(&self) -> Request {
        Request::for_url(Method::Get, self.address.clone()).with_header("accept", "application/json")
    }

    fn receive(self, reply: Reply) -> Result<Metadata, Error> {
        if reply.status() != 200 {
            return Err(Misbehaviour::Status { endpoint: Endpoint::Discovery, status: reply.status() }.into());
        }
        Metadata::read(&self.rules, reply.body())
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// How much of a foreign issuer is shown.
pub(crate) const ISSUER_LIMIT: usize = 256;

/// Puts that address in place of another's scheme, host and port.
fn rebased(base: &Url, url: &Url) -> Url {
    let mut moved = base.clone();
    moved.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
    moved.set_query(url.query());
    moved
}

/// Returns whether secrets may be sent there: `https`, or `http` that does not leave this machine; no password in
/// the address, and no fragment, which RFC 6749, 3.1 forbids.
pub(crate) fn is_safe(url: &Url) -> bool {
    may_be_asked(url, false)
}

fn may_be_asked(url: &Url, plain_http: bool) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && Request::for_url(Method::Get, url.clone()).check(plain_http).is_ok()
}
