//! Reading a secret: four outcomes, none of them an error.

use std::collections::BTreeMap;

use latchkey_transport::{Exchange, Method, Replay, Reply, Request, json};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::path::Path;
use crate::reply::{self, Envelope};
use crate::{Data, Error, MountProblem, PathPart};

/// What a read found: a secret, or the names in it ([`Subkeys`](super::Subkeys)).
#[derive(Clone, Debug)]
pub enum Read<T = Secret> {
    /// What was asked for.
    Found(T),
    /// The version was deleted and can be undeleted.
    Deleted(Metadata),
    /// The version's data is gone for good.
    Destroyed(Metadata),
    /// There is no such secret, or no such version of it. A KV store *without* versions answers the same; nothing in
    /// its reply tells the two apart.
    Missing,
}

impl<T> Read<T> {
    /// Returns what was found, for callers to whom all absences are alike.
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Deleted(_) | Self::Destroyed(_) | Self::Missing => None,
        }
    }

    /// Reads a 404. A version that was deleted or destroyed comes with an envelope, one that never was without.
    pub(super) fn not_found(reply: &Reply, path: String) -> Result<Self, Error> {
        let version = Envelope::parse(reply).and_then(|envelope| envelope.data_as::<Version<'_>>());
        match version.and_then(|version| version.metadata) {
            Some(metadata) if metadata.destroyed => Ok(Self::Destroyed(metadata)),
            Some(metadata) => Ok(Self::Deleted(metadata)),
            None if reply::is_absence(reply) => Ok(Self::Missing),
            None => Err(reply::refused(reply, &[]).at(path)),
        }
    }
}

/// A version of a secret.
#[derive(Clone, Debug)]
pub struct Secret {
    data: Data,
    metadata: Metadata,
}

impl Secret {
    /// Returns its fields. A version may be stored without data; then there are none.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Returns what is known about the version.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// What is known about a version of a secret. Times are as the server writes them (RFC 3339).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// The number of the version, from 1.
    pub version: u64,
    /// When it was written.
    pub created_time: String,
    /// When it was deleted, or will be if that time is to come. `None` for a version that was destroyed without
    /// having been deleted: [`Read::Destroyed`] decides, not the time.
    #[serde(default, deserialize_with = "time")]
    pub deletion_time: Option<String>,
    /// Whether its data is gone for good.
    #[serde(default)]
    pub destroyed: bool,
    /// What people have noted on the secret, the same for all its versions.
    #[serde(default, deserialize_with = "notes")]
    pub custom_metadata: BTreeMap<String, String>,
}

/// `GET <mount>/data/<path>`: reads a version of a secret.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::WrongMount`] where the store
/// has no versions.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version>
///
/// ```
/// use latchkey_transport::{Exchange, Reply};
/// use latchkey_vault_client::{Read, kv2::ReadSecret};
///
/// let read = ReadSecret::new("secret", "team/app")?;
/// assert_eq!(read.request().path(), "/v1/secret/data/team/app");
/// assert!(matches!(read.receive(Reply::new(404, r#"{"errors":[]}"#))?, Read::Missing));
/// # Ok::<(), latchkey_vault_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReadSecret {
    path: String,
    version: Option<u64>,
}

impl ReadSecret {
    /// Reads the newest version of the secret at a path below a mount.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        let path = Path::with_room(mount.len() + path.len() + "//data/?version=9999".len())
            .segments(PathPart::Mount, mount)?
            .literal("/data")
            .segments(PathPart::Path, path)?;
        Ok(Self { path: path.into_string(), version: None })
    }

    /// Reads that version instead.
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }
}

impl Exchange for ReadSecret {
    type Output = Read;
    type Error = Error;

    fn request(&self) -> Request {
        let target = match self.version {
            None => self.path.clone(),
            Some(version) => format!("{}?version={version}", self.path),
        };
        Request::new(Method::Get, target)
    }

    fn receive(self, reply: Reply) -> Result<Read, Error> {
        match reply.status() {
            200..=299 => self.found(reply),
            404 => Read::not_found(&reply, self.path),
            _ => Err(reply::refused(&reply, &[])),
        }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl ReadSecret {
    fn found(self, reply: Reply) -> Result<Read, Error> {
        // In one pass, since this is what services do all day. Whatever does not fit is looked at in `misfit`.
        let Ok(Found { data: Some(Version { data, metadata: Some(metadata) }) }) =
            json::from_slice(reply.body())
        else {
            return Err(self.misfit(&reply));
        };
        let malformed = reply::malformed(&reply, WANTED);
        // A secret is an object; a server that says something else in its place says nothing that anybody has written.
        if data.is_some_and(|data| !data.get().starts_with('{')) {
            return Err(malformed);
        }
        let span = Data::find(&reply, data);
        let data = Data::new(reply, span).ok_or(malformed)?;
        Ok(Read::Found(Secret { data, metadata }))
    }

    /// Any other engine answers with data of its own shape, or with none.
    fn misfit(self, reply: &Reply) -> Error {
        match Envelope::read(reply, &[], WANTED) {
            Err(error) => error,
            Ok(envelope) => match envelope.data() {
                Some(_) => Error::WrongMount { path: self.path, problem: MountProblem::NotVersioned },
                None => reply::malformed(reply, WANTED),
            },
        }
    }
}

const WANTED: &str = "a version of a secret";

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow, default)]
    data: Option<Version<'a>>,
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// Servers write a time that is none as an empty text.
pub(super) fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|time| !time.is_empty()))
}

pub(super) fn notes<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathProblem;

    const FOUND: &str = r#"{"request_id":"7ce573d2","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":
        {"password":"hush","n":12345678901234567890.50},"metadata":{"created_time":"2026-11-23T02:27:08.697307615Z",
        "custom_metadata":{"owner":"ops"},"deletion_time":"","destroyed":false,"version":7}},"wrap_info":null,
        "warnings":null,"auth":null,"mount_type":"kv"}"#;

    fn gone(deletion_time: &str, destroyed: bool) -> Reply {
        let body = format!(
            r#"{{"request_id":"b2","data":{{"data":null,"metadata":{{"created_time":"2026-11-23T02:27:08Z",
            "custom_metadata":null,"deletion_time":"{deletion_time}","destroyed":{destroyed},"version":2}}}},
            "wrap_info":null,"warnings":null,"auth":null}}"#
        );
        Reply::new(404, body)
    }

    fn read(reply: Reply) -> Result<Read, Error> {
        ReadSecret::new("secret", "team/app").unwrap().receive(reply)
    }

    #[test]
    fn a_secret_is_read_below_data() {
        let newest = ReadSecret::new("team/secret/", "/app/db").unwrap().request();
        assert_eq!((newest.path(), newest.query()), ("/v1/team/secret/data/app/db", None));
        let third = ReadSecret::new("secret", "app").unwrap().with_version(3).request();
        assert_eq!((third.path(), third.query()), ("/v1/secret/data/app", Some("version=3")));
    }

    #[test]
    fn no_mount_and_no_path_leads_elsewhere() {
        for (mount, path, part, problem) in [
            ("", "a", PathPart::Mount, PathProblem::Empty),
            ("secret", "", PathPart::Path, PathProblem::Empty),
            ("secret", "../../sys/seal", PathPart::Path, PathProblem::DotSegment),
            ("..", "a", PathPart::Mount, PathProblem::DotSegment),
            ("secret", "a\r\nb", PathPart::Path, PathProblem::ControlSign),
        ] {
            let error = ReadSecret::new(mount, path).unwrap_err();
            let expected = Error::InvalidPath { part, problem };
            assert_eq!(error.to_string(), expected.to_string(), "{mount:?} {path:?}");
        }
    }

    #[test]
    fn a_secret_that_is_no_object_is_malformed() {
        for data in ["false", "[]", "\"text\"", "1"] {
            let body =
                format!(r#"{{"data":{{"data":{data},"metadata":{{"created_time":"","version":1}}}}}}"#);
            let error = read(Reply::new(200, body)).unwrap_err();
            assert!(matches!(error, Error::MalformedReply { status: 200, .. }), "{data} {error:?}");
        }
    }

    #[test]
    fn a_found_secret_comes_with_its_metadata() {
        let Read::Found(secret) = read(Reply::new(200, FOUND)).unwrap() else { panic!("not found") };
        assert_eq!(secret.data().text("password").unwrap(), "hush");
        assert_eq!(secret.data().raw("n").unwrap(), "12345678901234567890.50");
        let metadata = secret.metadata();
        assert_eq!((metadata.version, metadata.destroyed, &metadata.deletion_time), (7, false, &None));
        assert_eq!(metadata.created_time, "2026-11-23T02:27:08.697307615Z");
        assert_eq!(metadata.custom_metadata["owner"], "ops");
        let shown = format!("{secret:?}");
        assert!(shown.contains("password") && !shown.contains("hush") && !shown.contains("12345"), "{shown}");
    }

    #[test]
    fn a_secret_that_will_be_deleted_is_still_there() {
        let body = FOUND.replace(r#""deletion_time":"""#, r#""deletion_time":"2099-01-01T00:00:00Z""#);
        let Read::Found(secret) = read(Reply::new(200, body)).unwrap() else { panic!("not found") };
        assert_eq!(secret.metadata().deletion_time.as_deref(), Some("2099-01-01T00:00:00Z"));
    }

    #[test]
    fn a_deleted_version_and_a_destroyed_one_are_outcomes() {
        let Read::Deleted(metadata) = read(gone("2026-11-23T02:27:09Z", false)).unwrap() else {
            panic!("not deleted")
        };
        assert_eq!((metadata.version, metadata.deletion_time.as_deref()), (2, Some("2026-11-23T02:27:09Z")));
        assert!(matches!(read(gone("", true)), Ok(Read::Destroyed(_))));
        assert!(matches!(read(gone("2026-11-23T02:27:09Z", true)), Ok(Read::Destroyed(_))));
    }

    #[test]
    fn nothing_there_is_an_outcome_but_no_such_mount_is_an_error() {
        assert!(matches!(read(Reply::new(404, r#"{"errors":[]}"#)), Ok(Read::Missing)));
        let no_mount =
            r#"{"errors":["no handler for route \"secret/data/team/app\". route entry not found."]}"#;
        assert!(matches!(read(Reply::new(404, no_mount)), Err(Error::NotFound(_))));
        for proxy in ["", "<html>404 page not found</html>", r#"{"message":"not found"}"#] {
            assert!(matches!(read(Reply::new(404, proxy)), Err(Error::NotFound(_))), "{proxy}");
        }
    }

    #[test]
    fn a_version_stored_without_data_has_no_fields() {
        let body = r#"{"data":{"data":null,"metadata":{"version":1,"created_time":"x","deletion_time":""}}}"#;
        let Read::Found(secret) = read(Reply::new(200, body)).unwrap() else { panic!("not found") };
        assert!(secret.data().is_empty());
        assert_eq!(secret.data().json(), "null");
        let error = secret.data().text("a").unwrap_err();
        assert_eq!(error.to_string(), r#"the secret has no field "a"; it has none"#);
    }

    #[test]
    fn another_engine_is_called_by_its_path() {
        let body = r#"{"lease_duration":2764800,"data":{"q":"hush"}}"#;
        let error = read(Reply::new(200, body)).unwrap_err();
        assert!(matches!(&error, Error::WrongMount { problem: MountProblem::NotVersioned, .. }));
        assert_eq!(error.to_string(), "/v1/secret/data/team/app is not in a versioned KV store (v2)");
    }

    #[test]
    fn a_good_status_with_another_body_is_malformed() {
        let broken_name = FOUND.replace("password", r"\ud800");
        for body in
            ["", "null", "{}", "<html>sign in</html>", r#"{"data":null}"#, &FOUND[..200], &broken_name]
        {
            let error = read(Reply::new(200, body)).unwrap_err();
            assert!(matches!(error, Error::MalformedReply { status: 200, .. }), "{body}: {error}");
            assert!(!format!("{error:?}").contains("hush"));
        }
    }

    #[test]
    fn a_read_may_be_repeated() {
        assert_eq!(ReadSecret::new("a", "b").unwrap().replay(), Replay::Safe);
    }
}
