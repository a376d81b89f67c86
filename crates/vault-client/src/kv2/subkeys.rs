//! The names in a secret without its values.

use latchkey_transport::{Exchange, Method, Replay, Reply, Request};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Metadata, path_below};
use crate::path::Path;
use crate::reply::{self, Envelope};
use crate::{Data, Error, Read};

/// The names in a version of a secret.
#[derive(Clone, Debug)]
pub struct Subkeys {
    names: Data,
    metadata: Metadata,
}

impl Subkeys {
    /// Returns the secret's structure: objects with `null` in place of every value.
    pub fn names(&self) -> &Data {
        &self.names
    }

    /// Returns what is known about the version.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// `GET <mount>/subkeys/<path>`: the names in a secret, for whoever may not see its values.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-subkeys>
#[derive(Clone, Debug)]
pub struct ReadSubkeys {
    path: String,
    version: Option<u64>,
    depth: Option<u32>,
}

impl ReadSubkeys {
    /// Reads the names in the newest version of the secret at a path. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, path: &str) -> Result<Self, Error> {
        Ok(Self { path: path_below(mount, "/subkeys", path)?, version: None, depth: None })
    }

    /// Reads that version instead.
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Goes so deep into objects; zero means to their ends, 1 shows the names of the fields only.
    pub fn with_depth(mut self, levels: u32) -> Self {
        self.depth = Some(levels);
        self
    }
}

impl Exchange for ReadSubkeys {
    type Output = Read<Subkeys>;
    type Error = Error;

    fn request(&self) -> Request {
        let mut target = Path::from(self.path.clone());
        if let Some(version) = self.version {
            target = target.parameter("version", &version.to_string());
        }
        if let Some(depth) = self.depth {
            target = target.parameter("depth", &depth.to_string());
        }
        Request::new(Method::Get, target.into_string())
    }

    fn receive(self, reply: Reply) -> Result<Read<Subkeys>, Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, default)]
            subkeys: Option<&'a RawValue>,
            metadata: Metadata,
        }
        const WANTED: &str = "the names in a secret";
        if reply.status() == 404 {
            return Read::not_found(&reply, self.path);
        }
        let envelope = Envelope::read(&reply, &[], WANTED).map_err(|error| error.at(self.path))?;
        let malformed = || reply::malformed(&reply, WANTED);
        let Fields { subkeys, metadata } = envelope.data_as().ok_or_else(malformed)?;
        let (span, malformed) = (Data::find(&reply, subkeys), malformed());
        let names = Data::new(reply, span).ok_or(malformed)?;
        Ok(Read::Found(Subkeys { names, metadata }))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> ReadSubkeys {
        ReadSubkeys::new("kv", "a").unwrap()
    }

    #[test]
    fn names_are_asked_for_by_version_and_depth() {
        assert_eq!((read().request().path(), read().request().query()), ("/v1/kv/subkeys/a", None));
        let deep = read().with_version(3).with_depth(1).request();
        assert_eq!(deep.query(), Some("version=3&depth=1"));
    }

    #[test]
    fn names_come_without_values() {
        let body = r#"{"request_id":"a","data":{"metadata":{"created_time":"x","deletion_time":"","destroyed":false,
            "version":2},"subkeys":{"db":{"user":null},"key":null}}}"#;
        let Read::Found(subkeys) = read().receive(Reply::new(200, body)).unwrap() else {
            panic!("not found")
        };
        assert_eq!(subkeys.names().fields().collect::<Vec<_>>(), ["db", "key"]);
        assert_eq!(subkeys.names().raw("db").unwrap(), r#"{"user":null}"#);
        assert_eq!(subkeys.metadata().version, 2);
    }

    #[test]
    fn absences_are_those_of_a_read() {
        let gone = |destroyed: bool| {
            let body = format!(
                r#"{{"request_id":"a","data":{{"metadata":{{"created_time":"x","deletion_time":"y",
                "destroyed":{destroyed},"version":2}},"subkeys":null}}}}"#
            );
            read().receive(Reply::new(404, body)).unwrap()
        };
        assert!(matches!(gone(false), Read::Deleted(_)));
        assert!(matches!(gone(true), Read::Destroyed(_)));
        assert!(matches!(read().receive(Reply::new(404, r#"{"errors":[]}"#)), Ok(Read::Missing)));
        assert_eq!(read().receive(Reply::new(200, "{}")).unwrap_err().code(), "vault_malformed_reply");
    }
}
