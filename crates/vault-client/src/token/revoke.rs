//! Revoking tokens.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};

use super::{Token, about_the_named, naming, naming_accessor};
use crate::Error;
use crate::reply::{self, JSON};

/// `POST auth/token/revoke-self`
///
/// A second one is answered as for any dead token, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. That the server calls the token dead counts as success;
/// fails with [`Error::PermissionDenied`] where it does not say so in words.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token-self>
#[derive(Clone, Copy, Debug, Default)]
pub struct RevokeSelf;

impl Exchange for RevokeSelf {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/auth/token/revoke-self")
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        match reply::accept(&reply, &[]) {
            // The first attempt came through and only its reply was lost.
            Err(Error::TokenInvalid(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// A second revocation is answered as for any dead token, which would hide that the first one worked.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `POST auth/token/revoke`, `revoke-accessor` and `revoke-orphan`: revokes another token.
///
/// That there is no such token counts as success: a first attempt may have come through although its reply was lost.
/// So it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#revoke-a-token>
#[derive(Clone, Debug)]
pub struct RevokeToken {
    path: &'static str,
    body: Body,
    token: Option<Secret>,
}

impl RevokeToken {
    /// Revokes a token and everything that was made with it.
    pub fn new(token: &Token) -> Result<Self, Error> {
        Self::at("/v1/auth/token/revoke", token)
    }

    /// Revokes the token with that accessor and everything that was made with it.
    pub fn by_accessor(accessor: &str) -> Result<Self, Error> {
        let body = naming_accessor(accessor, None)?;
        Ok(Self { path: "/v1/auth/token/revoke-accessor", body, token: None })
    }

    /// Revokes a token, but not what was made with it.
    pub fn orphan(token: &Token) -> Result<Self, Error> {
        Self::at("/v1/auth/token/revoke-orphan", token)
    }

    fn at(path: &'static str, token: &Token) -> Result<Self, Error> {
        Ok(Self { path, body: naming(token, None)?, token: Some(token.secret().clone()) })
    }
}

impl Exchange for RevokeToken {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        let sent: Vec<&Secret> = self.token.iter().collect();
        match reply::accept(&reply, &sent).map_err(about_the_named) {
            Err(Error::UnknownToken(_)) => Ok(()),
            outcome => outcome,
        }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_dead_already_counts_as_revoked_where_the_server_says_so() {
        let receive = |status, body: &str| RevokeSelf.receive(Reply::new(status, body));
        assert!(receive(204, "").is_ok());
        assert!(receive(403, r#"{"errors":["permission denied\n* invalid token"]}"#).is_ok());
        assert!(matches!(
            receive(403, r#"{"errors":["permission denied"]}"#),
            Err(Error::PermissionDenied(_))
        ));
    }

    #[test]
    fn another_token_is_revoked_by_itself_or_by_its_accessor() {
        let token = Token::new("s.hush").unwrap();
        for (revoke, path, body) in [
            (RevokeToken::new(&token), "/v1/auth/token/revoke", r#"{"token":"s.hush"}"#),
            (RevokeToken::orphan(&token), "/v1/auth/token/revoke-orphan", r#"{"token":"s.hush"}"#),
            (RevokeToken::by_accessor("acc"), "/v1/auth/token/revoke-accessor", r#"{"accessor":"acc"}"#),
        ] {
            let revoke = revoke.unwrap();
            assert_eq!(revoke.request().path(), path);
            assert_eq!(revoke.request().body().unwrap().expose_secret(), body.as_bytes());
            assert!(!format!("{revoke:?}").contains("hush"));
        }
    }

    #[test]
    fn a_token_that_is_not_there_counts_as_revoked_and_a_batch_token_does_not() {
        let receive = |status, said: &str| {
            let revoke = RevokeToken::by_accessor("acc").unwrap();
            revoke.receive(Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#)))
        };
        assert!(receive(400, "token to revoke not found").is_ok());
        assert!(receive(400, "invalid accessor").is_ok());
        assert!(receive(200, "").is_ok());
        assert_eq!(
            receive(400, "batch tokens cannot be revoked").unwrap_err().code(),
            "vault_invalid_request"
        );
        assert_eq!(receive(403, "permission denied").unwrap_err().code(), "vault_permission_denied");
    }
}
