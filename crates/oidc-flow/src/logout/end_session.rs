//! Signing out at the provider.

use std::fmt;

use latchkey_transport::{Random, Secret};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::{CallbackParams, CallbackProblem, Client, Endpoint, Error, Misuse, VerifiedIdToken, pkce};

/// A sign-out about to begin
/// ([OpenID Connect RP-Initiated Logout, 2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)).
#[derive(Clone, Debug)]
pub struct EndSession {
    client: Client,
    id_token: Option<Secret>,
    redirect_uri: Option<String>,
    logout_hint: Option<String>,
}

impl EndSession {
    /// Says whose session is meant. Without it a provider asks the person, and may not send them back.
    ///
    /// The standard puts the token into the address. It proves who somebody is and opens nothing, and it may have
    /// expired.
    pub fn with_id_token(mut self, id_token: &VerifiedIdToken) -> Self {
        self.id_token = Some(id_token.as_secret().clone());
        self
    }

    /// Says where the person is sent afterwards: an address that the provider has on its list, sign by sign.
    pub fn with_redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Says who is probably signing out, such as the session's `sid`, where no ID token is at hand.
    pub fn with_logout_hint(mut self, hint: impl Into<String>) -> Self {
        self.logout_hint = Some(hint.into());
        self
    }

    /// Begins the sign-out: builds the address to open, with a state where the person comes back
    /// ([RP-Initiated Logout, 2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)).
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such endpoint, [`Misuse::InvalidRedirectUri`], and
    /// [`Error::Random`] where there are no random numbers.
    pub fn begin(self, random: &mut impl Random) -> Result<SigningOut, Error> {
        let metadata = self.client.provider().metadata();
        let mut url = metadata.offered(Endpoint::EndSession)?;
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", self.client.client_id());
        if let Some(id_token) = &self.id_token {
            // Opened for the address, where the protocol wants it.
            query.append_pair("id_token_hint", id_token.expose_secret());
        }
        if let Some(hint) = &self.logout_hint {
            query.append_pair("logout_hint", hint);
        }
        let pending = match &self.redirect_uri {
            Some(redirect_uri) => {
                if redirect_uri.contains('#') || Url::parse(redirect_uri).is_err() {
                    return Err(Misuse::InvalidRedirectUri.into());
                }
                let state = pkce::random_text(random)?;
                query
                    .append_pair("post_logout_redirect_uri", redirect_uri)
                    // Opened for the address, where the protocol wants it.
                    .append_pair("state", state.expose_secret());
                Some(PendingLogout { state })
            }
            None => None,
        };
        query.finish();
        drop(query);
        Ok(SigningOut { url, pending })
    }
}

/// A sign-out that has begun.
///
/// Specified in [RP-Initiated Logout, 2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout).
#[non_exhaustive]
pub struct SigningOut {
    /// The address to open in the person's browser. Never fetch it.
    pub url: Url,
    /// What to remember until the person comes back; nothing where they are not sent back.
    pub pending: Option<PendingLogout>,
}

/// Shows no query: it holds an ID token.
impl fmt::Debug for SigningOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningOut")
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("comes_back", &self.pending.is_some())
            .finish()
    }
}

/// A sign-out under way. It can be stored (`serde`), so that it survives the page's redirect.
///
/// Specified in [RP-Initiated Logout, 3](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout).
#[derive(Deserialize)]
pub struct PendingLogout {
    state: Secret,
}

impl PendingLogout {
    /// Returns whether that came back from this sign-out, and leaves it under way.
    #[cfg(all(feature = "loopback", not(target_arch = "wasm32")))]
    pub(crate) fn matches(&self, callback: &CallbackParams) -> bool {
        // Opened to be compared, in constant time.
        callback.state().is_some_and(|found| self.state.is_same_as(found.expose_secret()))
    }

    /// Takes what came back: only with the state of this sign-out is it known that the provider sent the person
    /// ([RP-Initiated Logout, 3](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout)).
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::StateMissing`] and [`CallbackProblem::StateMismatch`]: anybody can open that address. Show
    /// the person a page, and draw no conclusion from it.
    pub fn accept(self, callback: &CallbackParams) -> Result<(), Error> {
        let found = callback.state().ok_or(CallbackProblem::StateMissing)?;
        // Opened to be compared, in constant time.
        if self.state.is_same_as(found.expose_secret()) {
            Ok(())
        } else {
            Err(CallbackProblem::StateMismatch.into())
        }
    }
}

impl Serialize for PendingLogout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Stored<'a> {
            state: &'a str,
        }
        // The only place where it is written out: into the caller's own store.
        Stored { state: self.state.expose_secret() }.serialize(serializer)
    }
}

impl fmt::Debug for PendingLogout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PendingLogout").finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares a sign-out at the provider
    /// ([RP-Initiated Logout, 2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)). Tokens are
    /// not given back by it: see [`Client::revoke`].
    pub fn end_session(&self) -> EndSession {
        EndSession { client: self.clone(), id_token: None, redirect_uri: None, logout_hint: None }
    }
}
