//! Listing secrets, all at once or page by page.

use latchkey_transport::{Exchange, Method, Replay, Reply, Request};

use crate::path::Path;
use crate::reply::{self, LIST_LIMIT};
use crate::{Error, PathPart, Vault};

/// `GET <mount>/metadata/<path>?list=true`: the names below a path.
///
/// Names that end in `/` have more below them. Where there is nothing the list is empty; where no policy allows to
/// look it is [`Error::PermissionDenied`].
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#list-secrets>
#[derive(Clone, Debug)]
pub struct ListSecrets {
    path: String,
    after: Option<String>,
    limit: Option<usize>,
}

impl ListSecrets {
    /// Lists what is below a path; an empty one is the whole mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        let room = mount.len() + path.len() + "//metadata/?list=true".len();
        let mut listed = Path::with_room(room).segments(PathPart::Mount, mount)?.literal("/metadata");
        if !matches!(path, "" | "/") {
            listed = listed.segments(PathPart::Path, path)?;
        }
        Ok(Self { path: listed.literal("/").into_string(), after: None, limit: None })
    }

    /// Lists only names after that one, where the server pages; Vault does not.
    pub fn with_after(mut self, name: impl Into<String>) -> Self {
        self.after = Some(name.into());
        self
    }

    /// Lists only so many names, where the server pages; Vault does not.
    pub fn with_limit(mut self, names: usize) -> Self {
        self.limit = Some(names);
        self
    }
}

impl Exchange for ListSecrets {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        let mut target = Path::from(self.path.clone()).parameter("list", "true");
        if let Some(after) = &self.after {
            target = target.parameter("after", after);
        }
        if let Some(limit) = self.limit {
            target = target.parameter("limit", &limit.to_string());
        }
        Request::new(Method::Get, target.into_string()).with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply).map_err(|error| error.at(self.path))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// A list that is read page by page, in memory for one page. Made by [`Kv2::pages`](super::Kv2::pages).
#[derive(Debug)]
pub struct Pages<'a> {
    vault: &'a Vault,
    list: ListSecrets,
    is_over: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(vault: &'a Vault, list: ListSecrets) -> Self {
        Self { vault, list, is_over: false }
    }

    /// Returns the next names, in the server's order; `None` after the last ones.
    ///
    /// A server that does not page sends everything as one page. See [`ListSecrets`].
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let mut names = self.vault.perform(self.list.clone()).await?;
        // A server that does not page sends the same again, from the beginning.
        if let Some(after) = &self.list.after {
            names.retain(|name| name > after);
        }
        self.is_over = self.list.limit != Some(names.len());
        self.list.after = names.last().cloned();
        Ok(if names.is_empty() { None } else { Some(names) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_below_metadata() {
        let query = |list: ListSecrets| {
            let request = list.request();
            (request.path().to_owned(), request.query().unwrap_or_default().to_owned())
        };
        let all = query(ListSecrets::new("kv", "").unwrap());
        assert_eq!(all, ("/v1/kv/metadata/".to_owned(), "list=true".to_owned()));
        let page = ListSecrets::new("kv", "team/a").unwrap().with_after("x&y/").with_limit(100);
        let expected =
            ("/v1/kv/metadata/team/a/".to_owned(), "list=true&after=x%26y%2F&limit=100".to_owned());
        assert_eq!(query(page), expected);
    }

    #[test]
    fn nothing_is_an_empty_list_and_a_denial_is_not() {
        let list = || ListSecrets::new("kv", "a").unwrap();
        assert!(list().receive(Reply::new(404, r#"{"errors":[]}"#)).unwrap().is_empty());
        let denied = list().receive(Reply::new(403, r#"{"errors":["permission denied"]}"#)).unwrap_err();
        assert_eq!(denied.code(), "vault_permission_denied");
        let unserved = r#"{"errors":["no handler for route \"kv/metadata/a\". route entry not found."]}"#;
        assert_eq!(list().receive(Reply::new(404, unserved)).unwrap_err().code(), "vault_not_found");
    }

    fn page(names: &[&str]) -> Reply {
        if names.is_empty() {
            return Reply::new(404, r#"{"errors":[]}"#);
        }
        let keys = serde_json::to_string(names).unwrap();
        Reply::new(200, format!(r#"{{"request_id":"a","data":{{"keys":{keys}}}}}"#))
    }

    async fn all(outcomes: &[&[&str]]) -> (Vec<Vec<String>>, Vec<String>) {
        let script = crate::script::script(outcomes.iter().map(|names| Ok(page(names))).collect::<Vec<_>>());
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let mut pages = vault.kv2("kv").pages("", 2).unwrap();
        let mut read = Vec::new();
        while let Some(names) = pages.next().await.unwrap() {
            read.push(names);
        }
        let queries = script.sent().iter().map(|request| request.query().unwrap().to_owned()).collect();
        (read, queries)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_page_goes_on_after_the_one_before() {
        let (read, queries) = all(&[&["a", "b"], &["c", "d"], &[]]).await;
        assert_eq!(read, [["a", "b"], ["c", "d"]]);
        let after = |name| format!("list=true&after={name}&limit=2");
        assert_eq!(queries, ["list=true&limit=2".to_owned(), after("b"), after("d")]);
        let (read, queries) = all(&[&["a", "b"], &["c"]]).await;
        assert_eq!((read.len(), queries.len()), (2, 2), "a short page is the last one");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_does_not_page_sends_everything_once() {
        assert_eq!(all(&[&["a", "b", "c"]]).await.0, [["a", "b", "c"]]);
        assert_eq!(all(&[&["a", "b"], &["a", "b"]]).await.0, [["a", "b"]]);
    }
}
