//! Giving a token back.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Perform as _, Replay, Reply, Request, Secret};
use url::Url;

use crate::form::ClientForm;
use crate::{Authentication, Client, Endpoint, Error};

/// What a token is, so that the provider finds it sooner (`token_type_hint`).
///
/// Specified in [RFC 7009, 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// `access_token`
    Access,
    /// `refresh_token`
    Refresh,
}

impl TokenKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// Gives a token back ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)).
pub struct Revoke {
    form: ClientForm,
}

impl Revoke {
    /// Takes the token, and what kind it is ([RFC 7009, 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)).
    pub fn new(
        revocation_endpoint: Url,
        client_id: impl Into<String>,
        authentication: Authentication,
        token: Secret,
        kind: TokenKind,
    ) -> Self {
        let form = ClientForm::new(Endpoint::Revocation, revocation_endpoint, client_id, authentication)
            .with_secret("token", token)
            .with("token_type_hint", kind.name());
        Self { form }
    }
}

impl Exchange for Revoke {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    /// RFC 7009, 2.2: "The authorization server responds with HTTP status code 200 if the token has been revoked
    /// successfully or if the client submitted an invalid token." Some say 204.
    fn receive(self, reply: Reply) -> Result<(), Error> {
        if matches!(reply.status(), 200 | 204) { Ok(()) } else { Err(self.form.problem(&reply)) }
    }

    /// What was given back twice is as gone as once.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for Revoke {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Revoke").field("client_id", &self.form.client_id()).finish_non_exhaustive()
    }
}

impl Client {
    /// Gives a token back ([RFC 7009, 2](https://www.rfc-editor.org/rfc/rfc7009#section-2)). A token that was dead
    /// already is no error. Giving back a refresh token ends what was granted with it; its access tokens usually, too.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such endpoint, [`Error::Refused`] where it says no.
    pub async fn revoke(&self, token: &Secret, kind: TokenKind, now: SystemTime) -> Result<(), Error> {
        let endpoint = self.provider().metadata().offered(Endpoint::Revocation)?;
        let authentication = self.authentication(now).await?;
        let revoke = Revoke::new(endpoint, self.client_id(), authentication, token.clone(), kind);
        self.provider().transport().perform(revoke).await
    }
}
