//! Any path of the API, for what has no call of its own here.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, json};
use serde::Serialize;

use crate::login::AuthReply;
use crate::messages::Messages;
use crate::path::Path;
use crate::reply::{self, Envelope, JSON, LIST_LIMIT};
use crate::{Data, Error, Login, PathPart, Vault};

/// Any path of the API. Made by [`Vault::logical`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// Paths are as in the server's documentation, without `/v1`: `sys/mounts/secret`, `auth/oidc/role/default`.
#[derive(Clone, Copy, Debug)]
pub struct Logical<'a> {
    vault: &'a Vault,
}

impl<'a> Logical<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Reads a path; `None` where it is served but empty. See [`ReadPath`].
    pub async fn read(&self, path: &str) -> Result<Option<Answer>, Error> {
        self.vault.perform(ReadPath::new(path)?).await
    }

    /// Lists what is below a path; names that end in `/` have more below them. See [`ListPath`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.vault.perform(ListPath::new(path)?).await
    }

    /// Writes to a path. What comes back is empty for most.
    ///
    /// ```no_run
    /// # use latchkey_vault_client::{Error, Vault};
    /// # async fn f(vault: Vault) -> Result<(), Error> {
    /// let policy = serde_json::json!({ "policy": r#"path "secret/data/test" { capabilities = ["read"] }"# });
    /// vault.logical().write("sys/policies/acl/reader", &policy).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See [`WritePath`].
    pub async fn write<T: Serialize + ?Sized>(&self, path: &str, body: &T) -> Result<Answer, Error> {
        // Written first, so that nothing of the caller's type lives on while the call is under way.
        let write = WritePath::new(path, body);
        self.vault.perform(write?).await
    }

    /// Deletes a path. That there was nothing is no error where the server does not make it one. See [`DeletePath`].
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.vault.perform(DeletePath::new(path)?).await
    }
}

/// What came back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The data. Without any where the server sent none.
    pub data: Data,
    /// The token, where the call made one.
    pub login: Option<Login>,
    /// What the server wants noted.
    pub warnings: Messages,
}

impl Answer {
    pub(crate) fn new(reply: Reply) -> Result<Self, Error> {
        const WANTED: &str = "an answer";
        let malformed = reply::malformed(&reply, WANTED);
        if reply.is_success() && reply.body().is_empty() {
            let data = Data::new(reply, None).ok_or(malformed)?;
            return Ok(Self { data, login: None, warnings: Messages::default() });
        }
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        let login = if envelope.has_auth() {
            let auth = envelope.auth_as::<AuthReply<'_>>().ok_or_else(|| reply::malformed(&reply, WANTED))?;
            Some(auth.into_login().map_err(|_| reply::malformed(&reply, WANTED))?)
        } else {
            None
        };
        let warnings = envelope.warnings(&[]);
        let whole = || json::from_slice(reply.body()).ok();
        let span = Data::find(&reply, if envelope.is_bare() { whole() } else { envelope.data() });
        Ok(Self { data: Data::new(reply, span).ok_or(malformed)?, login, warnings })
    }
}

/// `GET <path>`
///
/// At some paths a read makes something, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::WrongMount`] where a plain path is below
/// a versioned store.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs>
#[derive(Clone, Debug)]
pub struct ReadPath {
    path: String,
}

impl ReadPath {
    /// Reads a path. Fails with [`Error::InvalidPath`].
    pub fn new(path: &str) -> Result<Self, Error> {
        Ok(Self { path: api_path(path)?.into_string() })
    }
}

impl Exchange for ReadPath {
    type Output = Option<Answer>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<Answer>, Error> {
        match reply.status() {
            404 if reply::is_absence(&reply) => Ok(None),
            _ => Answer::new(reply).map(Some).map_err(|error| error.at(self.path)),
        }
    }

    /// At some paths a read makes something: credentials for a database, say.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `GET <path>?list=true`, which servers take for `LIST` and no proxy stumbles over.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::WrongMount`] where a plain path
/// is below a versioned store.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs>
#[derive(Clone, Debug)]
pub struct ListPath {
    path: String,
}

impl ListPath {
    /// Lists what is below a path. Fails with [`Error::InvalidPath`].
    pub fn new(path: &str) -> Result<Self, Error> {
        Ok(Self { path: api_path(path)?.parameter("list", "true").into_string() })
    }
}

impl Exchange for ListPath {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone()).with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply).map_err(|error| error.at(self.path))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST <path>`
///
/// What a second one does nobody knows, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::WrongMount`] where a plain path is below
/// a versioned store.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs>
#[derive(Clone, Debug)]
pub struct WritePath {
    path: String,
    body: Body,
}

impl WritePath {
    /// Writes `body`, as JSON, to a path.
    ///
    /// Fails with [`Error::InvalidPath`] or [`Error::UnwritableBody`].
    pub fn new<T: Serialize + ?Sized>(path: &str, body: &T) -> Result<Self, Error> {
        Ok(Self { path: api_path(path)?.into_string(), body: reply::json(body)? })
    }
}

impl Exchange for WritePath {
    type Output = Answer;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Answer, Error> {
        Answer::new(reply).map_err(|error| error.at(self.path).cleaned_of_body(&self.body))
    }

    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `DELETE <path>`
///
/// A second one may delete what somebody wrote in between, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::WrongMount`] where a plain path is below
/// a versioned store.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs>
#[derive(Clone, Debug)]
pub struct DeletePath {
    path: String,
}

impl DeletePath {
    /// Deletes a path. Fails with [`Error::InvalidPath`].
    pub fn new(path: &str) -> Result<Self, Error> {
        Ok(Self { path: api_path(path)?.into_string() })
    }
}

impl Exchange for DeletePath {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[]).map_err(|error| error.at(self.path))
    }

    /// A second one may delete what somebody wrote in between.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

fn api_path(path: &str) -> Result<Path, Error> {
    Path::with_room(path.len() + "/?list=true".len()).segments(PathPart::Path, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_called_below_v1() {
        let read = ReadPath::new("sys/mounts/team/secret").unwrap().request();
        assert_eq!((read.method(), read.path()), (Method::Get, "/v1/sys/mounts/team/secret"));
        let list = ListPath::new("secret/metadata/").unwrap().request();
        assert_eq!(
            (list.method(), list.path(), list.query()),
            (Method::Get, "/v1/secret/metadata", Some("list=true"))
        );
        let write =
            WritePath::new("sys/policies/acl/a b", &serde_json::json!({"policy": "x"})).unwrap().request();
        assert_eq!((write.method(), write.path()), (Method::Post, "/v1/sys/policies/acl/a%20b"));
        assert_eq!(write.header("content-type"), Some("application/json"));
        assert_eq!(write.body().unwrap().expose_secret(), br#"{"policy":"x"}"#);
        let delete = DeletePath::new("/auth/oidc").unwrap().request();
        assert_eq!((delete.method(), delete.path()), (Method::Delete, "/v1/auth/oidc"));
    }

    #[test]
    fn no_path_leaves_the_api() {
        assert!(ReadPath::new("../ui").is_err());
        assert!(ListPath::new("a//b").is_err());
        assert!(WritePath::new("", &()).is_err());
        assert!(DeletePath::new("a/../b").is_err());
    }

    #[test]
    fn an_answer_has_data_and_warnings() {
        let body = r#"{"request_id":"a","data":{"type":"kv","options":{"version":"2"}},"warnings":["mind"],"auth":null}"#;
        let answer = ReadPath::new("x").unwrap().receive(Reply::new(200, body)).unwrap().unwrap();
        assert_eq!(answer.data.text("type").unwrap(), "kv");
        assert_eq!(answer.warnings.to_string(), "mind");
        assert!(answer.login.is_none());
    }

    #[test]
    fn some_paths_answer_without_an_envelope() {
        let answer =
            ReadPath::new("sys/seal-status").unwrap().receive(Reply::new(200, "{\"sealed\":true,\"t\":3}\n"));
        let data = answer.unwrap().unwrap().data;
        assert_eq!((data.raw("sealed").unwrap(), data.json()), ("true", r#"{"sealed":true,"t":3}"#));
        let empty = r#"{"request_id":"a","data":null,"warnings":["mind"]}"#;
        assert_eq!(
            ReadPath::new("x").unwrap().receive(Reply::new(200, empty)).unwrap().unwrap().data.json(),
            "null"
        );
    }

    #[test]
    fn a_write_may_answer_nothing_or_make_a_token() {
        let write = || WritePath::new("x", &()).unwrap();
        let nothing = write().receive(Reply::new(204, "")).unwrap();
        assert!(nothing.data.is_empty() && nothing.login.is_none());
        assert_eq!(nothing.data.json(), "null");
        let body = r#"{"data":null,"auth":{"client_token":"s.hush","accessor":"acc","lease_duration":60}}"#;
        let made = write().receive(Reply::new(200, body)).unwrap();
        assert_eq!(made.login.as_ref().unwrap().token().expose_secret(), "s.hush");
        assert!(!format!("{made:?}").contains("hush"));
        let broken = write().receive(Reply::new(200, r#"{"auth":{"client_token":""}}"#)).unwrap_err();
        assert_eq!(broken.code(), "vault_malformed_reply");
    }

    #[test]
    fn nothing_there_reads_as_none_and_lists_as_nothing() {
        let empty = || Reply::new(404, r#"{"errors":[]}"#);
        assert!(ReadPath::new("x").unwrap().receive(empty()).unwrap().is_none());
        assert!(ListPath::new("x").unwrap().receive(empty()).unwrap().is_empty());
        let unserved =
            || Reply::new(404, r#"{"errors":["no handler for route \"x\". route entry not found."]}"#);
        assert!(matches!(ReadPath::new("x").unwrap().receive(unserved()), Err(Error::NotFound(_))));
        assert!(matches!(ListPath::new("x").unwrap().receive(unserved()), Err(Error::NotFound(_))));
    }

    #[test]
    fn a_list_tells_its_keys() {
        let body = r#"{"data":{"keys":["a","dir/"]}}"#;
        assert_eq!(ListPath::new("x").unwrap().receive(Reply::new(200, body)).unwrap(), ["a", "dir/"]);
        assert!(ListPath::new("x").unwrap().receive(Reply::new(200, "{}")).is_err());
    }

    #[test]
    fn a_plain_path_in_a_versioned_store_is_called_by_its_name() {
        for product in ["OpenBao CLI, use 'bao kv get'", "Vault CLI, use 'vault kv get'"] {
            let body = format!(
                r#"{{"request_id":"a","data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See the API
                docs for the appropriate API endpoints to use. If using the {product} for this operation."]}}"#
            )
            .replace('\n', " ");
            let error = ReadPath::new("secret/a").unwrap().receive(Reply::new(404, body)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "/v1/secret/a is in a versioned KV store (v2), where secrets are read below data/"
            );
        }
    }

    #[test]
    fn what_may_make_or_lose_something_is_not_repeated_lightly() {
        assert_eq!(ReadPath::new("database/creds/x").unwrap().replay(), Replay::AfterRefusal);
        assert_eq!(WritePath::new("x", &()).unwrap().replay(), Replay::AfterRefusal);
        assert_eq!(DeletePath::new("x").unwrap().replay(), Replay::AfterRefusal);
        assert_eq!(ListPath::new("x").unwrap().replay(), Replay::Safe);
    }
}
