//! Deleting versions, bringing them back, and destroying them.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::Serialize;

use super::{data_path, path_below};
use crate::Error;
use crate::reply::{self, JSON};

/// `DELETE <mount>/data/<path>`: deletes the newest version, which can be undeleted.
///
/// Servers answer alike where there was nothing to delete.
///
/// A second one may delete what somebody wrote in between, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#delete-latest-version-of-secret>
#[derive(Clone, Debug)]
pub struct DeleteLatest {
    path: String,
}

impl DeleteLatest {
    /// Deletes the newest version of the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        Ok(Self { path: data_path(mount, path)? })
    }
}

impl Exchange for DeleteLatest {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[]).map_err(|error| error.at(self.path))
    }

    /// A second one may delete a version that somebody wrote in between.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `POST <mount>/<verb>/<path>`: does something to certain versions of a secret.
///
/// Versions that are not there, or that it was done to before, are passed over: servers answer alike. So it is repeated
/// freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#delete-secret-versions>
#[derive(Clone, Debug)]
pub struct ChangeVersions {
    path: String,
    body: Body,
}

impl ChangeVersions {
    /// Deletes versions, which can be undeleted. Fails with [`Error::InvalidPath`].
    pub fn delete(mount: &str, path: &str, versions: &[u64]) -> Result<Self, Error> {
        Self::new(mount, "/delete", path, versions)
    }

    /// Brings deleted versions back. Those that were destroyed stay so: servers do not say it.
    /// Fails with [`Error::InvalidPath`].
    pub fn undelete(mount: &str, path: &str, versions: &[u64]) -> Result<Self, Error> {
        Self::new(mount, "/undelete", path, versions)
    }

    /// Removes the data of versions for good. Fails with [`Error::InvalidPath`].
    pub fn destroy(mount: &str, path: &str, versions: &[u64]) -> Result<Self, Error> {
        Self::new(mount, "/destroy", path, versions)
    }

    fn new(mount: &str, verb: &'static str, path: &str, versions: &[u64]) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            versions: &'a [u64],
        }
        Ok(Self { path: path_below(mount, verb, path)?, body: reply::json(&Fields { versions })? })
    }
}

impl Exchange for ChangeVersions {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[]).map_err(|error| error.at(self.path))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_one_by_one() {
        for (exchange, path) in [
            (ChangeVersions::delete("kv", "a/b", &[1, 3]), "/v1/kv/delete/a/b"),
            (ChangeVersions::undelete("kv", "a/b", &[1, 3]), "/v1/kv/undelete/a/b"),
            (ChangeVersions::destroy("kv", "a/b", &[1, 3]), "/v1/kv/destroy/a/b"),
        ] {
            let exchange = exchange.unwrap();
            let request = exchange.request();
            assert_eq!((request.method(), request.path()), (Method::Post, path));
            assert_eq!(request.body().unwrap().expose_secret(), br#"{"versions":[1,3]}"#);
            assert_eq!(exchange.replay(), Replay::Safe);
            exchange.receive(Reply::new(204, "")).unwrap();
        }
    }

    #[test]
    fn the_newest_version_is_not_deleted_twice() {
        let exchange = DeleteLatest::new("kv", "a").unwrap();
        let request = exchange.request();
        assert_eq!((request.method(), request.path()), (Method::Delete, "/v1/kv/data/a"));
        assert_eq!(exchange.replay(), Replay::AfterRefusal);
    }

    #[test]
    fn no_versions_are_a_mistake_that_the_server_names() {
        let exchange = ChangeVersions::delete("kv", "a", &[]).unwrap();
        let error =
            exchange.receive(Reply::new(400, r#"{"errors":["No version number provided"]}"#)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server refused the request (status 400: No version number provided)"
        );
    }
}
