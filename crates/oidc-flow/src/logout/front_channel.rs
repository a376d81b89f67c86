//! A provider's page that loads a hidden frame of ours: somebody has signed out in this browser.

use std::fmt;

use serde_json::Value;
use url::form_urlencoded;

use crate::discovery::{ISSUER_LIMIT, fits};
use crate::text::printable;
use crate::{CallbackParams, Client, LogoutProblem, VerifiedIdToken};

/// A call of this client's front-channel logout address, read
/// ([OpenID Connect Front-Channel Logout, 2](https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout)).
///
/// Nobody has signed it: any page can load that address. Whoever does so can sign somebody out and no more. Which
/// session ends is decided by the browser's own cookie; what is said here can only narrow that down.
#[derive(Clone)]
pub struct FrontChannelLogout {
    named: Option<Session>,
}

#[derive(Clone)]
struct Session {
    issuer: String,
    id: String,
}

impl FrontChannelLogout {
    /// Returns who says so, where it is said.
    pub fn issuer(&self) -> Option<&str> {
        self.named.as_ref().map(|session| session.issuer.as_str())
    }

    /// Returns which session ends (`sid`), where it is said.
    pub fn session_id(&self) -> Option<&str> {
        self.named.as_ref().map(|session| session.id.as_str())
    }

    /// Returns whether the session that began with this ID token, and whose cookie came with the call, ends: where no
    /// session is named, the browser's does.
    pub fn ends(&self, id_token: &VerifiedIdToken) -> bool {
        let Some(Session { issuer, id }) = &self.named else { return true };
        let sid = id_token.claim("sid").and_then(Value::as_str);
        issuer == id_token.issuer() && sid == Some(id)
    }
}

/// Shows who says so: the rest is about a person.
impl fmt::Debug for FrontChannelLogout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("FrontChannelLogout");
        shown.field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the query of a call of this client's front-channel logout address
    /// ([Front-Channel Logout, 2](https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout)).
    ///
    /// Answer with an empty page, `Cache-Control: no-store`, and no `X-Frame-Options`: it is loaded in a frame.
    ///
    /// # Errors
    ///
    /// [`LogoutProblem::SessionIncomplete`] where `iss` and `sid` do not come together, or come twice: "If either is
    /// included, both MUST be." [`LogoutProblem::OtherIssuer`] where another provider is named.
    pub fn front_channel_logout(&self, query: &str) -> Result<FrontChannelLogout, LogoutProblem> {
        if query.len() > CallbackParams::LIMIT {
            return Err(LogoutProblem::SessionIncomplete);
        }
        let values = |name: &'static str| {
            form_urlencoded::parse(query.as_bytes())
                .filter(move |(this, _)| this == name)
                .map(|(_, value)| value)
        };
        let (mut issuers, mut ids) = (values("iss"), values("sid"));
        let named = match (issuers.next(), ids.next()) {
            (None, None) => None,
            (Some(issuer), Some(id)) if !id.is_empty() => {
                Some(Session { issuer: issuer.into_owned(), id: id.into_owned() })
            }
            _ => return Err(LogoutProblem::SessionIncomplete),
        };
        if issuers.next().is_some() || ids.next().is_some() {
            return Err(LogoutProblem::SessionIncomplete);
        }
        match named {
            Some(Session { issuer, .. }) if !fits(self.provider().issuer(), &issuer) => {
                Err(LogoutProblem::OtherIssuer { found: printable(&issuer, ISSUER_LIMIT) })
            }
            named => Ok(FrontChannelLogout { named }),
        }
    }
}
