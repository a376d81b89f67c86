//! Login of a program on Kubernetes with the token of its service account.

use std::path::{Path as FilePath, PathBuf};

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};
use zeroize::Zeroizing;

use super::JwtLogin;
use crate::{Error, Login, Vault};

/// A Kubernetes auth method. Made by [`Vault::kubernetes`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct KubernetesAuth<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> KubernetesAuth<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    pub(super) fn vault(&self) -> &'a Vault {
        self.vault
    }

    pub(super) fn mount(&self) -> &'a str {
        self.mount
    }

    /// Logs in with a token of a service account.
    ///
    /// Fails with [`Error::LoginRefused`], whose `problem` says what to do about it. See [`KubernetesLogin`].
    pub async fn login(&self, role: &str, jwt: &Secret) -> Result<Login, Error> {
        self.vault.without_token().perform(KubernetesLogin::new(self.mount, role, jwt)?).await
    }

    /// Logs in with the token that stands in a file *now*: Kubernetes writes a new one about once an hour, so it is read
    /// at every login. Kubernetes puts it at [`ServiceAccountToken::DEFAULT_PATH`].
    ///
    /// Fails with [`Error::UnreadableFile`], too. See [`KubernetesLogin`].
    pub async fn login_from_file(&self, role: &str, file: &ServiceAccountToken) -> Result<Login, Error> {
        self.login(role, &file.read()?).await
    }
}

/// The file that Kubernetes keeps a service account's token in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccountToken {
    path: PathBuf,
}

impl ServiceAccountToken {
    /// Where Kubernetes puts it unless told otherwise.
    pub const DEFAULT_PATH: &'static str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

    /// Names the file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Reads the token that stands in the file now. It is a kilobyte or two in memory, so it is read without a thread of
    /// its own.
    ///
    /// Fails with [`Error::UnreadableFile`].
    pub fn read(&self) -> Result<Secret, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "whoever calls this names the file, to be read at that time"
        )]
        let text = std::fs::read_to_string(&self.path).map(Zeroizing::new);
        match text {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(cause) => Err(Error::UnreadableFile { path: self.path.clone(), cause }),
        }
    }
}

/// In the default place.
impl Default for ServiceAccountToken {
    fn default() -> Self {
        Self::at(Self::DEFAULT_PATH)
    }
}

/// `POST auth/<mount>/login` of a Kubernetes auth method.
///
/// Each login makes a token, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]), and not
/// after a lost reply. Fails with [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login>
#[derive(Clone, Debug)]
pub struct KubernetesLogin(JwtLogin);

impl KubernetesLogin {
    /// Logs in with a token of a service account. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, role: &str, jwt: &Secret) -> Result<Self, Error> {
        // On the wire it is the JWT method's login.
        JwtLogin::new(mount, role, jwt).map(Self)
    }
}

impl Exchange for KubernetesLogin {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        self.0.request()
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        self.0.receive(reply)
    }

    fn replay(&self) -> Replay {
        self.0.replay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoginProblem;
    use crate::script::script;

    fn problem(status: u16, said: &str) -> LoginProblem {
        let login = KubernetesLogin::new("kubernetes", "app", &Secret::new("x.y.z")).unwrap();
        let body = serde_json::json!({ "errors": [said] }).to_string();
        match login.receive(Reply::new(status, body)) {
            Err(Error::LoginRefused { problem, .. }) => problem,
            other => panic!("{said}: {other:?}"),
        }
    }

    #[test]
    fn each_refusal_has_its_problem() {
        for (status, said, expected) in [
            (400, r#"invalid role name "nope""#, LoginProblem::UnknownRole),
            (400, "missing role", LoginProblem::MissingRole),
            (400, "missing jwt", LoginProblem::TokenRejected),
            (403, "service account name not authorized", LoginProblem::ClaimsRejected),
            (403, "namespace not authorized", LoginProblem::ClaimsRejected),
            (403, "permission denied", LoginProblem::NotServed),
            (500, "could not load backend configuration", LoginProblem::NotConfigured),
        ] {
            assert_eq!(problem(status, said), expected, "{said}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_token_is_read_anew_for_every_login() {
        let folder = tempfile::tempdir().unwrap();
        let file = ServiceAccountToken::at(folder.path().join("token"));
        let refused = || Ok(Reply::new(400, ""));
        let script = script([refused(), refused()]);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        for text in ["first\n", "second\n"] {
            std::fs::write(file.path(), text).unwrap();
            vault.kubernetes("kubernetes").login_from_file("app", &file).await.unwrap_err();
        }
        let bodies: Vec<_> = script
            .sent()
            .iter()
            .map(|request| String::from_utf8(request.body().unwrap().expose_secret().to_vec()).unwrap())
            .collect();
        assert_eq!(bodies, [r#"{"role":"app","jwt":"first"}"#, r#"{"role":"app","jwt":"second"}"#]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = ServiceAccountToken::at("/nowhere/token").read().unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/token cannot be read");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(ServiceAccountToken::default().path().to_str(), Some(ServiceAccountToken::DEFAULT_PATH));
    }
}
