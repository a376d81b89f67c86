//! What a store knows of a secret beside its data.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize, Serializer};

use super::path_below;
use super::write::MERGE_PATCH;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Gone, duration};

/// What a store knows of a secret and of all its versions. Times are as the server writes them (RFC 3339).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SecretMetadata {
    /// The number of the newest version; zero where none was written yet.
    pub current_version: u64,
    /// The number of the oldest version that is kept; zero where none was dropped yet.
    #[serde(default)]
    pub oldest_version: u64,
    /// When the first version was written.
    pub created_time: String,
    /// When anything of it was changed last.
    pub updated_time: String,
    /// How many versions are kept; zero means that the store's own number counts.
    #[serde(default)]
    pub max_versions: u64,
    /// Whether every write needs a check-and-set. The store may ask for it as well.
    #[serde(default)]
    pub cas_required: bool,
    /// After what time a version deletes itself.
    #[serde(default, deserialize_with = "duration::optional")]
    pub delete_version_after: Option<Duration>,
    /// What people have noted on it.
    #[serde(default, deserialize_with = "super::read::notes")]
    pub custom_metadata: BTreeMap<String, String>,
    /// Its versions by their numbers.
    #[serde(default)]
    pub versions: BTreeMap<u64, VersionState>,
}

/// What is known about one of the versions of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct VersionState {
    /// When it was written.
    pub created_time: String,
    /// When it was deleted, or will be.
    #[serde(default, deserialize_with = "super::read::time")]
    pub deletion_time: Option<String>,
    /// Whether its data is gone for good.
    #[serde(default)]
    pub destroyed: bool,
}

/// `GET <mount>/metadata/<path>`: what the store knows of a secret; `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-metadata>
#[derive(Clone, Debug)]
pub struct ReadMetadata {
    path: String,
}

impl ReadMetadata {
    /// Reads the metadata of the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        Ok(Self { path: path_below(mount, "/metadata", path)? })
    }
}

impl Exchange for ReadMetadata {
    type Output = Option<SecretMetadata>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<SecretMetadata>, Error> {
        const WANTED: &str = "the metadata of a secret";
        if reply.status() == 404 && reply::is_absence(&reply) {
            return Ok(None);
        }
        let envelope = Envelope::read(&reply, &[], WANTED).map_err(|error| error.at(self.path))?;
        envelope.data_as().map(Some).ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Settings of a secret. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetadataSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_object")]
    custom_metadata: Option<Notes>,
}

/// Notes in the order of their names. A map of this kind would be a kilobyte of code of its own in a browser.
type Notes = Vec<(String, Option<String>)>;

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_object<S: Serializer>(notes: &Option<Notes>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(notes.iter().flatten().map(|(name, text)| (name, text)))
}

impl MetadataSettings {
    /// Keeps so many versions; zero means as many as the store says.
    pub fn with_max_versions(mut self, versions: u64) -> Self {
        self.max_versions = Some(versions);
        self
    }

    /// Says whether every write needs a check-and-set.
    pub fn with_cas_required(mut self, required: bool) -> Self {
        self.cas_required = Some(required);
        self
    }

    /// Lets versions that are written from now on delete themselves after that time, in whole seconds; zero means that
    /// the store's own time counts.
    pub fn with_delete_version_after(mut self, time: Duration) -> Self {
        self.delete_version_after = Some(duration::written(time));
        self
    }

    /// Notes something on the secret. Notes are no secrets: they are shown to all who may list. Servers take 64 notes
    /// of 512 bytes, with names of 128.
    ///
    /// A write replaces all notes by those that are named here, a patch keeps the others.
    pub fn with_note(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.note(name.into(), Some(text.into()))
    }

    /// Removes a note. For a patch only: a write removes what is not named anyway.
    pub fn without_note(self, name: impl Into<String>) -> Self {
        self.note(name.into(), None)
    }

    fn note(mut self, name: String, text: Option<String>) -> Self {
        let notes = self.custom_metadata.get_or_insert_default();
        notes.retain(|(known, _)| *known != name);
        let at = notes.partition_point(|(known, _)| *known < name);
        notes.insert(at, (name, text));
        self
    }
}

/// `POST <mount>/metadata/<path>`: sets what is set in the settings, and makes the secret if there is none yet.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#create-update-metadata>
#[derive(Clone, Debug)]
pub struct WriteMetadata {
    path: String,
    body: Body,
}

impl WriteMetadata {
    /// Writes settings of the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str, settings: &MetadataSettings) -> Result<Self, Error> {
        // A note without a text is one that is not written.
        let mut settings = settings.clone();
        if let Some(notes) = &mut settings.custom_metadata {
            notes.retain(|(_, text)| text.is_some());
        }
        Ok(Self { path: path_below(mount, "/metadata", path)?, body: reply::json(&settings)? })
    }
}

impl Exchange for WriteMetadata {
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

/// `PATCH <mount>/metadata/<path>`: changes single notes and settings of a secret that exists.
///
/// Servers have no check-and-set for it, so nothing takes its place where PATCH is not let through.
///
/// A second one changes nothing more, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::NoSuchVersion`]
/// where there is no such secret.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#patch-metadata>
#[derive(Clone, Debug)]
pub struct PatchMetadata {
    path: String,
    body: Body,
}

impl PatchMetadata {
    /// Changes settings of the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str, changes: &MetadataSettings) -> Result<Self, Error> {
        Ok(Self { path: path_below(mount, "/metadata", path)?, body: reply::json(changes)? })
    }
}

impl Exchange for PatchMetadata {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Patch, self.path.clone()).with_body(MERGE_PATCH, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        if reply.status() == 404 && (reply.body().is_empty() || reply::is_absence(&reply)) {
            return Err(Error::NoSuchVersion(Gone::Missing));
        }
        reply::accept(&reply, &[]).map_err(|error| error.at(self.path))
    }

    /// A second one changes nothing more.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE <mount>/metadata/<path>`: removes a secret with all its versions, for good.
///
/// That there is none is no error, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#delete-metadata-and-all-versions>
#[derive(Clone, Debug)]
pub struct DeleteMetadata {
    path: String,
}

impl DeleteMetadata {
    /// Removes the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        Ok(Self { path: path_below(mount, "/metadata", path)? })
    }
}

impl Exchange for DeleteMetadata {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
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

    /// As the two products write it.
    const OPENBAO: &str = r#"{"request_id":"a","data":{"cas_required":true,"created_time":"2026-11-23T03:19:50Z",
        "current_metadata_version":2,"current_version":2,"custom_metadata":{"c":"d"},"delete_version_after":"3h25m0s",
        "max_versions":3,"metadata_cas_required":false,"oldest_version":1,"updated_time":"2026-11-23T03:19:51Z",
        "versions":{"2":{"created_time":"x","deletion_time":"","destroyed":true},
        "10":{"created_time":"x","deletion_time":"y","destroyed":false}}}}"#;
    const VAULT: &str = r#"{"request_id":"a","data":{"cas_required":false,"created_time":"x","current_version":0,
        "custom_metadata":null,"delete_version_after":"0s","last_updated_by":null,"max_versions":0,"oldest_version":0,
        "updated_time":"x","versions":{}},"mount_type":"kv"}"#;

    fn body(exchange: &impl Exchange) -> String {
        String::from_utf8(exchange.request().body().unwrap().expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn metadata_tell_settings_notes_and_versions() {
        let read = || ReadMetadata::new("kv", "a").unwrap();
        assert_eq!(read().request().path(), "/v1/kv/metadata/a");
        let metadata = read().receive(Reply::new(200, OPENBAO)).unwrap().unwrap();
        assert_eq!((metadata.current_version, metadata.oldest_version, metadata.max_versions), (2, 1, 3));
        assert_eq!(metadata.delete_version_after, Some(Duration::from_secs(12_300)));
        assert_eq!((metadata.cas_required, metadata.custom_metadata["c"].as_str()), (true, "d"));
        assert_eq!(
            metadata.versions.keys().copied().collect::<Vec<_>>(),
            [2, 10],
            "by number, not by letter"
        );
        assert_eq!((metadata.versions[&2].destroyed, &metadata.versions[&2].deletion_time), (true, &None));
        let empty = read().receive(Reply::new(200, VAULT)).unwrap().unwrap();
        assert_eq!((empty.delete_version_after, empty.versions.len()), (None, 0));
        assert!(read().receive(Reply::new(404, r#"{"errors":[]}"#)).unwrap().is_none());
        assert_eq!(read().receive(Reply::new(200, "{}")).unwrap_err().code(), "vault_malformed_reply");
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let nothing = WriteMetadata::new("kv", "a", &MetadataSettings::default()).unwrap();
        assert_eq!(body(&nothing), "{}");
        let settings = MetadataSettings::default()
            .with_max_versions(3)
            .with_cas_required(true)
            .with_delete_version_after(Duration::from_millis(1500))
            .with_note("owner", "ops")
            .without_note("old");
        let write = WriteMetadata::new("kv", "a", &settings).unwrap();
        let rest = r#""max_versions":3,"cas_required":true,"delete_version_after":"2s""#;
        assert_eq!(body(&write), format!(r#"{{{rest},"custom_metadata":{{"owner":"ops"}}}}"#));
        let patch = PatchMetadata::new("kv", "a", &settings).unwrap();
        assert_eq!(body(&patch), format!(r#"{{{rest},"custom_metadata":{{"old":null,"owner":"ops"}}}}"#));
        assert_eq!(patch.request().header("content-type"), Some("application/merge-patch+json"));
    }

    #[test]
    fn a_patch_of_what_is_not_there_says_so() {
        let patch = || PatchMetadata::new("kv", "a", &MetadataSettings::default()).unwrap();
        for body in ["", r#"{"errors":[]}"#] {
            let error = patch().receive(Reply::new(404, body)).unwrap_err();
            assert!(matches!(error, Error::NoSuchVersion(Gone::Missing)));
        }
        let proxy = patch().receive(Reply::new(404, "<html>")).unwrap_err();
        assert_eq!(proxy.code(), "vault_not_found");
    }

    #[test]
    fn all_of_it_may_be_repeated() {
        let settings = MetadataSettings::default();
        assert_eq!(WriteMetadata::new("kv", "a", &settings).unwrap().replay(), Replay::Safe);
        assert_eq!(PatchMetadata::new("kv", "a", &settings).unwrap().replay(), Replay::Safe);
        let delete = DeleteMetadata::new("kv", "a").unwrap();
        assert_eq!((delete.request().method(), delete.replay()), (Method::Delete, Replay::Safe));
    }
}
