//! Policies, and what they come to for a token.

use std::collections::BTreeMap;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::reply::{self, Envelope, JSON, LIST_LIMIT};
use crate::{Error, PathPart};

/// `GET sys/policies/acl?list=true`: the names of the policies.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/policies>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListPolicies;

impl Exchange for ListPolicies {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/sys/policies/acl?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET sys/policies/acl/<name>`: the text of a policy; `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/policies>
#[derive(Clone, Debug)]
pub struct ReadPolicy {
    path: String,
}

impl ReadPolicy {
    /// Reads a policy. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str) -> Result<Self, Error> {
        Ok(Self { path: policy_path(name)? })
    }
}

impl Exchange for ReadPolicy {
    type Output = Option<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Fields {
            policy: String,
        }
        const WANTED: &str = "a policy";
        if reply.status() == 404 && reply::is_absence(&reply) {
            return Ok(None);
        }
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        let fields = envelope.data_as::<Fields>().ok_or_else(|| reply::malformed(&reply, WANTED))?;
        Ok(Some(fields.policy))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/policies/acl/<name>`: writes a policy, in place of the one that was there.
///
/// Servers write names in small letters.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::InvalidRequest`] where the server cannot read it.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/policies>
#[derive(Clone, Debug)]
pub struct WritePolicy {
    path: String,
    body: Body,
}

impl WritePolicy {
    /// Writes a policy in the servers' own language. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str, policy: &str) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            policy: &'a str,
        }
        Ok(Self { path: policy_path(name)?, body: reply::json(&Fields { policy })? })
    }
}

impl Exchange for WritePolicy {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE sys/policies/acl/<name>`: removes a policy. That there is none is no error.
///
/// A second one does no more than the first, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/policies>
#[derive(Clone, Debug)]
pub struct DeletePolicy {
    path: String,
}

impl DeletePolicy {
    /// Removes a policy. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str) -> Result<Self, Error> {
        Ok(Self { path: policy_path(name)? })
    }
}

impl Exchange for DeletePolicy {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/capabilities-self`: what the token may do at certain paths.
///
/// It changes nothing, although it is a `POST`, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/capabilities-self>
#[derive(Clone, Debug)]
pub struct ReadCapabilities {
    body: Body,
}

impl ReadCapabilities {
    /// Asks about paths of the API, without `/v1`.
    pub fn new(paths: &[&str]) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            paths: &'a [&'a str],
        }
        Ok(Self { body: reply::json(&Fields { paths })? })
    }
}

impl Exchange for ReadCapabilities {
    type Output = BTreeMap<String, Vec<String>>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/sys/capabilities-self").with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Self::Output, Error> {
        const WANTED: &str = "capabilities";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        // One of the paths may be `capabilities`; all stand in one object, and every value is a list.
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    /// It asks, although it is a `POST`.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

fn policy_path(name: &str) -> Result<String, Error> {
    let room = "/sys/policies/acl/".len() + name.len();
    Ok(Path::with_room(room).literal("/sys/policies/acl").segments(PathPart::Name, name)?.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_written_and_read_as_a_text() {
        let write = WritePolicy::new("reader", "path \"a\" {}").unwrap();
        assert_eq!(write.request().path(), "/v1/sys/policies/acl/reader");
        assert_eq!(write.request().body().unwrap().expose_secret(), br#"{"policy":"path \"a\" {}"}"#);
        assert!(write.receive(Reply::new(204, "")).is_ok());
        let body = r#"{"request_id":"a","data":{"name":"reader","policy":"path \"a\" {}"}}"#;
        let read = ReadPolicy::new("reader").unwrap().receive(Reply::new(200, body)).unwrap();
        assert_eq!(read.as_deref(), Some("path \"a\" {}"));
        let none = ReadPolicy::new("reader").unwrap().receive(Reply::new(404, r#"{"errors":[]}"#));
        assert!(none.unwrap().is_none());
        assert!(WritePolicy::new("..", "").is_err() && DeletePolicy::new("").is_err());
    }

    #[test]
    fn capabilities_are_told_by_path() {
        let body = r#"{"a":["x"],"request_id":"a","data":{"a/b":["read","list"],"c":["deny"]}}"#;
        let ask = ReadCapabilities::new(&["a/b", "c"]).unwrap();
        assert_eq!(ask.request().body().unwrap().expose_secret(), br#"{"paths":["a/b","c"]}"#);
        let capabilities = ask.receive(Reply::new(200, body)).unwrap();
        assert_eq!(
            (capabilities["a/b"].as_slice(), capabilities.len()),
            (["read".to_owned(), "list".to_owned()].as_slice(), 2)
        );
    }
}
