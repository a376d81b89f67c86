//! Settings of a whole store.

use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, PathPart, duration};

/// The settings of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct StoreConfig {
    /// How many versions of a secret are kept; zero means ten.
    #[serde(default)]
    pub max_versions: u64,
    /// Whether every write needs a check-and-set.
    #[serde(default)]
    pub cas_required: bool,
    /// After what time a version deletes itself.
    #[serde(default, deserialize_with = "duration::optional")]
    pub delete_version_after: Option<Duration>,
}

/// Settings to give to a store. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after: Option<String>,
}

impl StoreSettings {
    /// Keeps so many versions of a secret.
    pub fn with_max_versions(mut self, versions: u64) -> Self {
        self.max_versions = Some(versions);
        self
    }

    /// Says whether every write needs a check-and-set.
    pub fn with_cas_required(mut self, required: bool) -> Self {
        self.cas_required = Some(required);
        self
    }

    /// Lets versions delete themselves after that time, in whole seconds; zero means never.
    pub fn with_delete_version_after(mut self, time: Duration) -> Self {
        self.delete_version_after = Some(duration::written(time));
        self
    }
}

/// `GET <mount>/config`: the settings of a store.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-kv-engine-configuration>
#[derive(Clone, Debug)]
pub struct ReadConfig {
    path: String,
}

impl ReadConfig {
    /// Reads the settings of the store at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str) -> Result<Self, Error> {
        Ok(Self { path: config_path(mount)? })
    }
}

impl Exchange for ReadConfig {
    type Output = StoreConfig;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<StoreConfig, Error> {
        const WANTED: &str = "the settings of a store";
        let envelope = Envelope::read(&reply, &[], WANTED).map_err(|error| error.at(self.path))?;
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST <mount>/config`: changes the settings of a store.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#configure-the-kv-engine>
#[derive(Clone, Debug)]
pub struct WriteConfig {
    path: String,
    body: Body,
}

impl WriteConfig {
    /// Changes the settings of the store at a mount. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, settings: &StoreSettings) -> Result<Self, Error> {
        Ok(Self { path: config_path(mount)?, body: reply::json(settings)? })
    }
}

impl Exchange for WriteConfig {
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

fn config_path(mount: &str) -> Result<String, Error> {
    let path = Path::with_room(mount.len() + "//config".len()).segments(PathPart::Mount, mount)?;
    Ok(path.literal("/config").into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_tells_its_settings() {
        let body = r#"{"request_id":"a","data":{"cas_required":true,"delete_version_after":"1h0m0s","max_versions":7}}"#;
        let config = ReadConfig::new("kv").unwrap().receive(Reply::new(200, body)).unwrap();
        assert_eq!((config.max_versions, config.cas_required), (7, true));
        assert_eq!(config.delete_version_after, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn only_what_is_set_is_changed() {
        let write = WriteConfig::new("team/kv", &StoreSettings::default().with_cas_required(true)).unwrap();
        assert_eq!(write.request().path(), "/v1/team/kv/config");
        assert_eq!(write.request().body().unwrap().expose_secret(), br#"{"cas_required":true}"#);
    }
}
