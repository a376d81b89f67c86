//! Whether somebody is still signed in at the provider, asked from a page of ours.

use std::fmt;

use latchkey_transport::Secret;
use url::Url;

use crate::{Client, Endpoint, Error};

/// What a page of ours needs to ask the provider's page, in a hidden frame, whether the sign-in still holds
/// ([OpenID Connect Session Management, 3](https://openid.net/specs/openid-connect-session-1_0.html#ChangeNotification)).
///
/// The page loads [`page`](Self::page) in a frame, posts [`message`](Self::message) to [`origin`](Self::origin) every
/// few seconds, and gives [`heard`](Self::heard) what comes back.
#[derive(Clone)]
pub struct SessionCheck {
    page: Url,
    message: Secret,
}

/// What the provider's page answers.
///
/// Specified in [Session Management, 3.1](https://openid.net/specs/openid-connect-session-1_0.html#RPiframe).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionStatus {
    /// `unchanged`: the same person is still signed in.
    Unchanged,
    /// `changed`: something is different, which need not be a sign-out. Ask with
    /// [`Prompt::None`](crate::Prompt::None) and the ID token as a hint; another person, or a refusal, ends the session
    /// here.
    Changed,
    /// `error`: the question was not understood. Do not ask with [`Prompt::None`](crate::Prompt::None): it would be
    /// repeated for ever.
    Error,
}

impl SessionCheck {
    /// Returns the address of the provider's page (`check_session_iframe`), for a hidden frame
    /// ([Session Management, 3.2](https://openid.net/specs/openid-connect-session-1_0.html#OPiframe)).
    pub fn page(&self) -> &Url {
        &self.page
    }

    /// Returns whom the message may be posted to, and nobody else: never `*`.
    pub fn origin(&self) -> String {
        self.page.origin().ascii_serialization()
    }

    /// Returns what is posted: the client's id, a blank, and the session's state
    /// ([Session Management, 3.1](https://openid.net/specs/openid-connect-session-1_0.html#RPiframe)).
    pub fn message(&self) -> &Secret {
        &self.message
    }

    /// Reads a message that the page received: `None` where it does not come from the provider's page, or says nothing
    /// that the standard knows. Any page can post one.
    pub fn heard(&self, origin: &str, data: &str) -> Option<SessionStatus> {
        if origin != self.origin() {
            return None;
        }
        match data {
            "unchanged" => Some(SessionStatus::Unchanged),
            "changed" => Some(SessionStatus::Changed),
            "error" => Some(SessionStatus::Error),
            _ => None,
        }
    }
}

/// Shows where it asks, not what.
impl fmt::Debug for SessionCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionCheck").field("origin", &self.origin()).finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares to ask whether somebody is still signed in at the provider
    /// ([Session Management, 3](https://openid.net/specs/openid-connect-session-1_0.html#ChangeNotification)). The
    /// state is that of the sign-in ([`Tokens::session_state`](crate::Tokens)).
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such page.
    pub fn session_check(&self, session_state: &Secret) -> Result<SessionCheck, Error> {
        let page = self.provider().metadata().offered(Endpoint::CheckSession)?;
        // Opened for the message.
        let message = Secret::new(format!("{} {}", self.client_id(), session_state.expose_secret()));
        Ok(SessionCheck { page, message })
    }
}
