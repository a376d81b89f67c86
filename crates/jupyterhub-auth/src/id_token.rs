//! The ID token: how fresh it is, and the small handler that gives it alone.

use std::fmt;
use std::time::SystemTime;

use latchkey_oidc_flow::IdToken;
use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};
use serde::Deserialize;

use crate::{Error, reply};

/// Reads a token and looks at its expiry.
pub(crate) fn fresh(text: Secret, now: SystemTime) -> Result<IdToken, Error> {
    let token = IdToken::parse(text).map_err(Error::IdTokenMalformed)?;
    match token.unverified_expiry().map(|expiry| now.duration_since(expiry)) {
        Some(Ok(ago)) => Err(Error::IdTokenExpired { ago }),
        // One without an expiry is for the server that it is shown to.
        Some(Err(_)) | None => Ok(token),
    }
}

/// `GET` the small handler of the hub that gives `{id_token, exp}` of the caller, and nothing else of `auth_state`.
#[derive(Clone)]
pub struct ReadIdToken {
    request: Request,
    token: Secret,
}

impl ReadIdToken {
    pub(crate) fn new(request: Request, token: Secret) -> Self {
        Self { request, token }
    }

    /// Reads the reply's token, if it has not expired.
    ///
    /// Fails with [`Error::IdTokenExpired`], [`Error::IdTokenMissing`] or [`Error::IdTokenMalformed`].
    pub fn fresh(text: Option<Secret>, now: SystemTime) -> Result<IdToken, Error> {
        fresh(text.filter(|text| !text.is_empty()).ok_or(Error::IdTokenMissing)?, now)
    }
}

impl Exchange for ReadIdToken {
    /// The token as it travels, where there is one: [`ReadIdToken::fresh`] looks at it.
    type Output = Option<Secret>;
    type Error = Error;

    fn request(&self) -> Request {
        self.request.clone()
    }

    fn receive(self, reply: Reply) -> Result<Option<Secret>, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            id_token: Option<Secret>,
        }
        Ok(reply::read::<Body>(&reply, &self.token, "an ID token of the hub")?.id_token)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for ReadIdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadIdToken").field("request", &self.request).finish_non_exhaustive()
    }
}
