//! Writing a secret, and changing parts of it.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Metadata, data_path};
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Gone, MountProblem, merge};

/// What must be true of a secret for a write to happen: check-and-set, so that no writer loses what another one wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The secret has no version yet.
    Create,
    /// The newest version of the secret is that one.
    Version(u64),
    /// Nothing: the newest version is replaced whatever it is. A store or secret with `cas_required` refuses that with
    /// [`Error::CasRequired`].
    None,
}

impl Cas {
    /// Returns the number that stands for it in a request: the version that is the newest before the write.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Create => Some(0),
            Self::Version(version) => Some(version),
            Self::None => None,
        }
    }
}

/// `POST <mount>/data/<path>`: writes a new version of a secret.
///
/// A second one makes a second version, or fails because of the first, so it is repeated only where the server did not
/// run it ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::CasMismatch`],
/// [`Error::CasRequired`], and [`Error::WrongMount`] where the store has no versions.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#create-update-secret>
#[derive(Clone, Debug)]
pub struct WriteSecret {
    path: String,
    body: Body,
}

impl WriteSecret {
    /// Writes `data`, which must be an object once it is JSON, where `cas` holds.
    ///
    /// Fails with [`Error::InvalidPath`] or [`Error::UnwritableBody`].
    pub fn new<T: Serialize + ?Sized>(mount: &str, path: &str, data: &T, cas: Cas) -> Result<Self, Error> {
        Ok(Self { path: data_path(mount, path)?, body: body(data, cas)? })
    }
}

impl WriteSecret {
    /// Returns whether that is what it writes.
    pub(super) fn writes(&self, json: &str) -> bool {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            data: &'a RawValue,
        }
        // Opened to be compared.
        let fields = json::from_slice::<Fields<'_>>(self.body.expose_secret());
        fields.is_ok_and(|fields| merge::is_same(fields.data.get(), json))
    }
}

impl Exchange for WriteSecret {
    type Output = Metadata;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Metadata, Error> {
        written(&reply, self.path).map_err(|error| error.cleaned_of_body(&self.body))
    }

    /// A second one would make a second version, or fail because of the first.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `PATCH <mount>/data/<path>`: changes fields of the newest version, which makes a new one.
///
/// Fields that are `null` are removed, objects are merged, everything else is replaced (RFC 7396).
///
/// A second one makes a second version, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::NoSuchVersion`] where there is nothing
/// to change, [`Error::CasMismatch`] and [`Error::CasRequired`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#patch-secret>
#[derive(Clone, Debug)]
pub struct PatchSecret {
    path: String,
    body: Body,
}

impl PatchSecret {
    /// Merges `changes` into the secret where `cas` holds.
    ///
    /// Fails with [`Error::InvalidPath`] or [`Error::UnwritableBody`].
    pub fn new<T: Serialize + ?Sized>(mount: &str, path: &str, changes: &T, cas: Cas) -> Result<Self, Error> {
        Ok(Self { path: data_path(mount, path)?, body: body(changes, cas)? })
    }
}

impl Exchange for PatchSecret {
    type Output = Metadata;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Patch, self.path.clone()).with_body(MERGE_PATCH, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Metadata, Error> {
        let outcome = match reply.status() {
            404 => Err(unpatchable(&reply, self.path)),
            _ => written(&reply, self.path),
        };
        outcome.map_err(|error| error.cleaned_of_body(&self.body))
    }

    /// The same patch a second time makes a second version.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// How a secret was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatchMethod {
    /// By HTTP PATCH: the server merged.
    Patch,
    /// By reading, merging here, and writing with a check-and-set: the server, or a browser's CORS rules, did not let
    /// PATCH through.
    ReadAndWrite,
    /// The newest version said all of it already, so nothing was written.
    AlreadyThere,
}

/// What a patch did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Patched {
    /// The version that has the changes.
    pub metadata: Metadata,
    /// How it was made.
    pub method: PatchMethod,
}

/// The media type of a patch (RFC 7396).
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

fn body<T: Serialize + ?Sized>(data: &T, cas: Cas) -> Result<Body, Error> {
    #[derive(Serialize)]
    struct Options {
        #[serde(skip_serializing_if = "Option::is_none")]
        cas: Option<u64>,
    }
    #[derive(Serialize)]
    struct Fields<'a, T: ?Sized> {
        options: Options,
        data: &'a T,
    }
    reply::json(&Fields { options: Options { cas: cas.number() }, data })
}

fn written(reply: &Reply, path: String) -> Result<Metadata, Error> {
    const WANTED: &str = "the version that was written";
    // A store without versions takes the write, at a path that nobody meant, and answers nothing.
    if reply.is_success() && reply.body().is_empty() {
        return Err(Error::WrongMount { path, problem: MountProblem::NotVersioned });
    }
    let envelope = Envelope::read(reply, &[], WANTED).map_err(|error| error.at(path))?;
    envelope.data_as().ok_or_else(|| reply::malformed(reply, WANTED))
}

/// A 404 to a patch: empty where the secret never was, with the version's metadata where it is gone.
fn unpatchable(reply: &Reply, path: String) -> Error {
    if reply.body().is_empty() {
        return Error::NoSuchVersion(Gone::Missing);
    }
    match Envelope::parse(reply).and_then(|envelope| envelope.data_as::<Metadata>()) {
        Some(metadata) if metadata.destroyed => Error::NoSuchVersion(Gone::Destroyed),
        Some(_) => Error::NoSuchVersion(Gone::Deleted),
        None if reply::is_absence(reply) => Error::NoSuchVersion(Gone::Missing),
        None => reply::refused(reply, &[]).at(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WRITTEN: &str = r#"{"request_id":"a","data":{"created_time":"2026-11-23T03:19:50Z","custom_metadata":null,
        "deletion_time":"","destroyed":false,"version":4},"wrap_info":null,"warnings":null,"auth":null}"#;

    fn sent(exchange: &impl Exchange) -> (Method, String, String, String) {
        let request = exchange.request();
        let body = request.body().unwrap().expose_secret().to_vec();
        let kind = request.header("content-type").unwrap().to_owned();
        (request.method(), request.path().to_owned(), kind, String::from_utf8(body).unwrap())
    }

    fn write() -> WriteSecret {
        WriteSecret::new("secret", "app", &json!({"a": "hush"}), Cas::None).unwrap()
    }

    fn patch() -> PatchSecret {
        PatchSecret::new("secret", "app", &json!({"a": null}), Cas::None).unwrap()
    }

    #[test]
    fn a_write_says_which_version_it_follows() {
        for (cas, options) in
            [(Cas::None, "{}"), (Cas::Create, r#"{"cas":0}"#), (Cas::Version(3), r#"{"cas":3}"#)]
        {
            let write = WriteSecret::new("kv", "team/app", &json!({"a": 1}), cas).unwrap();
            let (method, path, kind, body) = sent(&write);
            assert_eq!((method, path.as_str(), kind.as_str()), (Method::Post, "/v1/kv/data/team/app", JSON));
            assert_eq!(body, format!(r#"{{"options":{options},"data":{{"a":1}}}}"#));
        }
        assert!(!format!("{:?}", write()).contains("hush"));
    }

    #[test]
    fn a_patch_is_a_merge_patch() {
        let (method, path, kind, body) = sent(&patch());
        assert_eq!((method, path.as_str()), (Method::Patch, "/v1/secret/data/app"));
        assert_eq!(kind, "application/merge-patch+json");
        assert_eq!(body, r#"{"options":{},"data":{"a":null}}"#);
    }

    #[test]
    fn a_write_tells_the_version_that_it_made() {
        let metadata = write().receive(Reply::new(200, WRITTEN)).unwrap();
        assert_eq!((metadata.version, metadata.destroyed), (4, false));
        assert_eq!(patch().receive(Reply::new(200, WRITTEN)).unwrap().version, 4);
    }

    #[test]
    fn a_store_without_versions_is_called_by_its_path() {
        for reply in [Reply::new(204, ""), Reply::new(200, "")] {
            let error = write().receive(reply).unwrap_err();
            assert_eq!(error.to_string(), "/v1/secret/data/app is not in a versioned KV store (v2)");
        }
    }

    #[test]
    fn a_good_status_with_another_body_is_malformed() {
        for body in ["<html>", "{}", r#"{"data":null}"#, r#"{"data":{"version":"x"}}"#] {
            assert_eq!(
                write().receive(Reply::new(200, body)).unwrap_err().code(),
                "vault_malformed_reply",
                "{body}"
            );
        }
    }

    #[test]
    fn a_patch_of_what_is_not_there_says_why() {
        let flat = |destroyed: bool| {
            format!(
                r#"{{"request_id":"a","data":{{"created_time":"x","deletion_time":"y","destroyed":{destroyed},"version":1}}}}"#
            )
        };
        for (body, expected) in [
            (String::new(), Gone::Missing),
            (r#"{"errors":[]}"#.to_owned(), Gone::Missing),
            (flat(false), Gone::Deleted),
            (flat(true), Gone::Destroyed),
        ] {
            let error = patch().receive(Reply::new(404, body)).unwrap_err();
            assert!(matches!(error, Error::NoSuchVersion(gone) if gone == expected), "{expected:?}: {error}");
        }
        let no_mount = r#"{"errors":["no handler for route \"x\". route entry not found."]}"#;
        assert_eq!(patch().receive(Reply::new(404, no_mount)).unwrap_err().code(), "vault_not_found");
    }

    #[test]
    fn no_write_is_repeated_after_it_may_have_run() {
        assert_eq!((write().replay(), patch().replay()), (Replay::AfterRefusal, Replay::AfterRefusal));
    }
}
