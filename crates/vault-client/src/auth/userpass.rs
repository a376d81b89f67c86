//! Login with a name and a password.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Serialize;

use crate::login::Attempt;
use crate::path::Path;
use crate::reply::{self, JSON};
use crate::{Error, Login, PathPart, Vault};

/// A userpass auth method, or one that is called like it: LDAP, Okta, RADIUS. Made by [`Vault::userpass`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct UserpassAuth<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> UserpassAuth<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    /// Logs in with a name and a password.
    ///
    /// Fails with [`Error::LoginRefused`]; that the name is unknown and that the password is wrong are the same to the
    /// server. Not repeated once the server may have seen it. See [`UserpassLogin`].
    pub async fn login(&self, username: &str, password: &Secret) -> Result<Login, Error> {
        self.vault.without_token().perform(UserpassLogin::new(self.mount, username, password)?).await
    }
}

/// `POST auth/<mount>/login/<username>`
///
/// Each login makes a token, and failures are counted, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/userpass#login>
#[derive(Clone, Debug)]
pub struct UserpassLogin {
    mount: String,
    path: String,
    body: Body,
    password: Secret,
}

impl UserpassLogin {
    /// Logs in with a name and a password, which is sent as it is: space at its ends may belong to it.
    ///
    /// Fails with [`Error::InvalidPath`] where the name cannot stand in a path.
    pub fn new(mount: &str, username: &str, password: &Secret) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            password: &'a str,
        }
        let path = Path::with_room(mount.len() + username.len() + "/auth//login/".len())
            .literal("/auth")
            .segments(PathPart::Mount, mount)?
            .literal("/login")
            .segment(PathPart::Name, username)?;
        // Opened to be sent: it is the credential.
        let body = reply::json(&Fields { password: password.expose_secret() })?;
        Ok(Self { mount: mount.to_owned(), path: path.into_string(), body, password: password.clone() })
    }
}

impl Exchange for UserpassLogin {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        Login::receive(&reply, &Attempt { mount: &self.mount, role: None, sent: &[&self.password] })
    }

    /// Each login makes a token, and failures are counted.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoginProblem;

    fn login() -> UserpassLogin {
        UserpassLogin::new("up", "bob@x", &Secret::new(" hush ")).unwrap()
    }

    #[test]
    fn the_name_is_in_the_path_and_the_password_in_the_body() {
        let request = login().request();
        assert_eq!((request.method(), request.path()), (Method::Post, "/v1/auth/up/login/bob%40x"));
        assert_eq!(request.body().unwrap().expose_secret(), br#"{"password":" hush "}"#);
        assert!(!format!("{:?} {request:?}", login()).contains("hush"));
        assert_eq!(login().replay(), Replay::AfterRefusal);
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for name in ["", "..", "a/b", "a\n"] {
            let error = UserpassLogin::new("up", name, &Secret::new("x")).unwrap_err();
            assert!(matches!(error, Error::InvalidPath { part: PathPart::Name, .. }), "{name:?}");
        }
    }

    #[test]
    fn wrong_credentials_are_called_so() {
        for (status, said) in [(400, "invalid username or password"), (500, "missing password")] {
            let reply = Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#));
            let error = login().receive(reply).unwrap_err();
            let expected = LoginProblem::CredentialsRejected;
            assert!(matches!(error, Error::LoginRefused { problem, .. } if problem == expected), "{error:?}");
        }
    }
}
