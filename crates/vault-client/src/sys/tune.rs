//! Tuning of a mount: how long what it gives out lives, who sees it, what passes through it.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use super::mount::{MountKind, mount_path};
use crate::path::Path;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, duration};

/// The tuning of a mount, as it counts: where the mount itself says nothing, the server's own times stand here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Tuning {
    /// What people have noted on it.
    #[serde(default)]
    pub description: String,
    /// How long its leases and tokens live at first, in whole seconds on the wire.
    #[serde(default, deserialize_with = "duration::of_seconds", serialize_with = "duration::as_seconds")]
    pub default_lease_ttl: Duration,
    /// How long they live at the most, in whole seconds on the wire.
    #[serde(default, deserialize_with = "duration::of_seconds", serialize_with = "duration::as_seconds")]
    pub max_lease_ttl: Duration,
    /// The kind of its tokens, such as `default-service`; empty for a secrets engine.
    #[serde(default)]
    pub token_type: String,
    /// Whether people see the mount before they sign in: `unauth`, or `hidden`, or empty, which means hidden, too.
    #[serde(default)]
    pub listing_visibility: String,
    /// Its options: a KV store has its `version` here.
    #[serde(default, deserialize_with = "reply::map")]
    pub options: BTreeMap<String, String>,
    /// The headers of a request that the mount gets to see.
    #[serde(default, deserialize_with = "reply::list")]
    pub passthrough_request_headers: Vec<String>,
    /// The headers that the mount may set in a reply.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_response_headers: Vec<String>,
    /// The fields of requests that audit logs show as they are.
    #[serde(default, deserialize_with = "reply::list")]
    pub audit_non_hmac_request_keys: Vec<String>,
    /// The fields of replies that audit logs show as they are.
    #[serde(default, deserialize_with = "reply::list")]
    pub audit_non_hmac_response_keys: Vec<String>,
}

/// What is to be tuned at a mount. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TuningSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_lease_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lease_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listing_visibility: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passthrough_request_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_response_headers: Option<Vec<String>>,
}

impl TuningSettings {
    /// Notes something on the mount.
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Lets its leases live that long at first, in whole seconds; zero means the server's own time.
    pub fn with_default_lease_ttl(mut self, ttl: Duration) -> Self {
        self.default_lease_ttl = Some(duration::seconds(ttl));
        self
    }

    /// Lets its leases live no longer than that, in whole seconds; zero means the server's own time.
    pub fn with_max_lease_ttl(mut self, ttl: Duration) -> Self {
        self.max_lease_ttl = Some(duration::seconds(ttl));
        self
    }

    /// Makes the tokens of an auth method of that kind: `default-service`, `default-batch`, `service`, `batch`.
    pub fn with_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// Says whether people see the mount before they sign in, as a sign-in page wants it.
    pub fn with_listed_before_login(mut self, listed: bool) -> Self {
        self.listing_visibility = Some(if listed { "unauth" } else { "hidden" });
        self
    }

    /// Sets an option of the engine, such as the `version` of a KV store.
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Lets the mount see these headers of a request.
    pub fn with_passthrough_request_headers<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.passthrough_request_headers = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Lets the mount set these headers in a reply.
    pub fn with_allowed_response_headers<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.allowed_response_headers = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// `GET sys/mounts/<path>/tune` and `GET sys/auth/<path>/tune`: how a mount is tuned; `None` where there is no mount.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/mounts#read-mount-configuration>
#[derive(Clone, Debug)]
pub struct ReadTuning {
    path: String,
}

impl ReadTuning {
    /// Reads how the mount at a path is tuned. Fails with [`Error::InvalidPath`].
    pub fn new(kind: MountKind, path: &str) -> Result<Self, Error> {
        Ok(Self { path: tune_path(kind, path)? })
    }
}

impl Exchange for ReadTuning {
    type Output = Option<Tuning>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<Tuning>, Error> {
        const WANTED: &str = "the tuning of a mount";
        let envelope = match Envelope::read(&reply, &[], WANTED) {
            Ok(envelope) => envelope,
            Err(error) => return if is_no_mount(&error) { Ok(None) } else { Err(error) },
        };
        envelope.data_as().map(Some).ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/mounts/<path>/tune` and `POST sys/auth/<path>/tune`: tunes a mount.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::NotFound`]
/// where there is no mount, and with [`Error::InvalidRequest`] where the server does not take a value.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/mounts#tune-mount-configuration>
#[derive(Clone, Debug)]
pub struct Tune {
    path: String,
    body: Body,
}

impl Tune {
    /// Tunes the mount at a path. Fails with [`Error::InvalidPath`].
    pub fn new(kind: MountKind, path: &str, settings: &TuningSettings) -> Result<Self, Error> {
        Ok(Self { path: tune_path(kind, path)?, body: reply::json(settings)? })
    }
}

impl Exchange for Tune {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        match reply::accept(&reply, &[]) {
            Err(Error::InvalidRequest(refusal)) if refusal.says("no mount entry found") => {
                Err(Error::NotFound(refusal))
            }
            outcome => outcome,
        }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Servers answer 400 where a mount is asked for that is not there.
fn is_no_mount(error: &Error) -> bool {
    matches!(error, Error::InvalidRequest(refusal) if refusal.says("cannot fetch sysview for path"))
}

fn tune_path(kind: MountKind, path: &str) -> Result<String, Error> {
    Ok(Path::from(mount_path(kind, path)?).literal("/tune").into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuning_is_read_whatever_the_mount_does_not_tell() {
        let body = r#"{"default_lease_ttl":1,"request_id":"a","data":{"default_lease_ttl":3600,"description":"d",
            "force_no_cache":false,"listing_visibility":"unauth","max_lease_ttl":86400,"options":null,
            "passthrough_request_headers":["X-A"],"token_type":"batch"}}"#;
        let read = ReadTuning::new(MountKind::AuthMethod, "team/jwt/").unwrap();
        assert_eq!(read.request().path(), "/v1/sys/auth/team/jwt/tune");
        let tuning = read.receive(Reply::new(200, body)).unwrap().unwrap();
        assert_eq!(
            (tuning.default_lease_ttl, tuning.max_lease_ttl),
            (Duration::from_secs(3600), Duration::from_secs(86_400))
        );
        assert_eq!((tuning.token_type.as_str(), tuning.listing_visibility.as_str()), ("batch", "unauth"));
        assert_eq!(tuning.passthrough_request_headers, ["X-A"]);
        assert!(tuning.options.is_empty());
    }

    #[test]
    fn no_mount_is_no_tuning_and_cannot_be_tuned() {
        let none = Reply::new(400, r#"{"errors":["cannot fetch sysview for path \"nope/\""]}"#);
        let read = ReadTuning::new(MountKind::SecretsEngine, "nope").unwrap();
        assert!(read.clone().receive(none).unwrap().is_none());
        let other = Reply::new(400, r#"{"errors":["something else"]}"#);
        assert_eq!(read.receive(other).unwrap_err().code(), "vault_invalid_request");
        let none = Reply::new(400, r#"{"errors":["tune of path \"nope/\" failed: no mount entry found"]}"#);
        let tune = Tune::new(MountKind::SecretsEngine, "nope", &TuningSettings::default()).unwrap();
        assert_eq!(tune.receive(none).unwrap_err().code(), "vault_not_found");
    }

    #[test]
    fn only_what_is_set_is_tuned() {
        let settings = TuningSettings::default()
            .with_default_lease_ttl(Duration::from_secs(60))
            .with_max_lease_ttl(Duration::ZERO)
            .with_listed_before_login(true)
            .with_option("version", "2");
        let tune = Tune::new(MountKind::SecretsEngine, "kv", &settings).unwrap();
        assert_eq!(tune.request().path(), "/v1/sys/mounts/kv/tune");
        let body = r#"{"default_lease_ttl":60,"max_lease_ttl":0,"listing_visibility":"unauth","options":{"version":"2"}}"#;
        assert_eq!(tune.request().body().unwrap().expose_secret(), body.as_bytes());
        assert_eq!(tune.replay(), Replay::Safe);
        assert!(Tune::new(MountKind::SecretsEngine, "../auth", &settings).is_err());
    }
}
