//! Login of a program with a role id and a secret id.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Serialize;

use crate::login::Attempt;
use crate::path::Path;
use crate::reply::{self, JSON};
use crate::{Error, Login, PathPart, Vault};

/// An `AppRole` auth method. Made by [`Vault::approle`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct AppRoleAuth<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> AppRoleAuth<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    /// Logs in with a role id and a secret id.
    ///
    /// Fails with [`Error::LoginRefused`]; which of the two is wrong the server does not say. A secret id may be good
    /// for a number of logins only, so the call is not repeated once the server may have seen it. See [`AppRoleLogin`].
    pub async fn login(&self, role_id: &str, secret_id: &Secret) -> Result<Login, Error> {
        self.vault.without_token().perform(AppRoleLogin::new(self.mount, role_id, secret_id)?).await
    }
}

/// `POST auth/<mount>/login` of an `AppRole` auth method.
///
/// Each login makes a token, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]), and not
/// after a lost reply. Fails with [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle>
#[derive(Clone, Debug)]
pub struct AppRoleLogin {
    mount: String,
    path: String,
    body: Body,
    secret_id: Secret,
}

impl AppRoleLogin {
    /// Logs in with a role id and a secret id; an empty one is for roles that need none.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, role_id: &str, secret_id: &Secret) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            role_id: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            secret_id: &'a str,
        }
        let path = Path::with_room(mount.len() + "/auth//login".len())
            .literal("/auth")
            .segments(PathPart::Mount, mount)?
            .literal("/login");
        // Opened to be sent: it is the credential. It comes from files, with a line break at its end.
        let fields = Fields { role_id: role_id.trim(), secret_id: secret_id.expose_secret().trim() };
        Ok(Self {
            mount: mount.to_owned(),
            path: path.into_string(),
            body: reply::json(&fields)?,
            secret_id: secret_id.clone(),
        })
    }
}

impl Exchange for AppRoleLogin {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        Login::receive(&reply, &Attempt { mount: &self.mount, role: None, sent: &[&self.secret_id] })
    }

    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoginProblem;

    fn login() -> AppRoleLogin {
        AppRoleLogin::new("team/approle", "role\n", &Secret::new("hush\n")).unwrap()
    }

    #[test]
    fn both_ids_are_sent_without_the_space_around_them() {
        let request = login().request();
        assert_eq!((request.method(), request.path()), (Method::Post, "/v1/auth/team/approle/login"));
        assert_eq!(request.body().unwrap().expose_secret(), br#"{"role_id":"role","secret_id":"hush"}"#);
        assert!(!format!("{:?} {request:?}", login()).contains("hush"));
        assert_eq!(login().replay(), Replay::AfterRefusal);
        let without = AppRoleLogin::new("a", "role", &Secret::new("")).unwrap().request();
        assert_eq!(without.body().unwrap().expose_secret(), br#"{"role_id":"role"}"#);
    }

    #[test]
    fn wrong_ids_are_called_so() {
        for (status, said) in [
            (400, "invalid role or secret ID"),
            (400, "invalid role ID"),
            (400, "invalid secret id"),
            (400, "missing secret_id"),
            (500, "missing role_id"),
        ] {
            let reply = Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#));
            let error = login().receive(reply).unwrap_err();
            let expected = LoginProblem::CredentialsRejected;
            assert!(
                matches!(error, Error::LoginRefused { problem, .. } if problem == expected),
                "{said}: {error:?}"
            );
        }
    }
}
