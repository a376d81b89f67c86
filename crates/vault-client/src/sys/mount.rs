//! Secrets engines and auth methods: what is mounted where.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::reply::{self, Envelope, JSON, LIST_LIMIT};
use crate::{Error, PathPart, duration};

/// What can be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A secrets engine, at its name.
    SecretsEngine,
    /// An auth method, at its name below `auth/`.
    AuthMethod,
}

impl MountKind {
    fn path(self) -> &'static str {
        match self {
            Self::SecretsEngine => "/sys/mounts",
            Self::AuthMethod => "/sys/auth",
        }
    }
}

/// A secrets engine or an auth method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// What it is: `kv`, `jwt`, `oidc`.
    #[serde(rename = "type")]
    pub mount_type: String,
    /// What people have noted on it.
    #[serde(default)]
    pub description: String,
    /// Names it in templates of policies, and in aliases of the identity store.
    #[serde(default)]
    pub accessor: String,
    /// Its options: a KV store has its `version` here.
    #[serde(default, deserialize_with = "reply::map")]
    pub options: BTreeMap<String, String>,
    /// Its limits.
    #[serde(default)]
    pub config: MountConfig,
}

/// The limits of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct MountConfig {
    /// How long its leases live at first; `None` where the server's own time counts.
    #[serde(default, deserialize_with = "duration::optional_seconds")]
    pub default_lease_ttl: Option<Duration>,
    /// How long its leases live at the most; `None` where the server's own time counts.
    #[serde(default, deserialize_with = "duration::optional_seconds")]
    pub max_lease_ttl: Option<Duration>,
}

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MountRequest {
    #[serde(rename = "type")]
    mount_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Limits::is_empty")]
    config: Limits,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    default_lease_ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lease_ttl: Option<String>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl MountRequest {
    /// Mounts an engine or a method of that type.
    pub fn new(mount_type: impl Into<String>) -> Self {
        Self {
            mount_type: mount_type.into(),
            description: String::new(),
            options: BTreeMap::new(),
            config: Limits::default(),
        }
    }

    /// Mounts a versioned KV store.
    pub fn kv2() -> Self {
        Self::new("kv").with_option("version", "2")
    }

    /// Notes something on it.
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Sets an option of the engine.
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Lets its leases live that long at first, in whole seconds.
    pub fn with_default_lease_ttl(mut self, ttl: Duration) -> Self {
        self.config.default_lease_ttl = Some(duration::written(ttl));
        self
    }

    /// Lets its leases live no longer than that, in whole seconds.
    pub fn with_max_lease_ttl(mut self, ttl: Duration) -> Self {
        self.config.max_lease_ttl = Some(duration::written(ttl));
        self
    }
}

/// `GET sys/mounts` and `GET sys/auth`: what is mounted, by paths that end in `/`.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/mounts>
#[derive(Clone, Copy, Debug)]
pub struct ListMounts {
    kind: MountKind,
}

impl ListMounts {
    /// Lists the mounts of that kind.
    pub fn new(kind: MountKind) -> Self {
        Self { kind }
    }
}

impl Exchange for ListMounts {
    type Output = BTreeMap<String, Mount>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, format!("/v1{}", self.kind.path())).with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Self::Output, Error> {
        const WANTED: &str = "what is mounted";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/mounts/<path>` and `POST sys/auth/<path>`: mounts something.
///
/// A second one fails because of the first, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::MountExists`] where something is at that
/// path already.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/mounts>
#[derive(Clone, Debug)]
pub struct EnableMount {
    path: String,
    body: Body,
}

impl EnableMount {
    /// Mounts what is asked for at a path. Fails with [`Error::InvalidPath`].
    pub fn new(kind: MountKind, path: &str, request: &MountRequest) -> Result<Self, Error> {
        Ok(Self { path: mount_path(kind, path)?, body: reply::json(request)? })
    }
}

impl Exchange for EnableMount {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        match reply::accept(&reply, &[]) {
            Err(Error::InvalidRequest(refusal))
                if refusal.messages.iter().any(|said| said.contains("path is already in use at")) =>
            {
                Err(Error::MountExists(refusal))
            }
            outcome => outcome,
        }
    }

    /// A second one fails because of the first.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `DELETE sys/mounts/<path>` and `DELETE sys/auth/<path>`: removes a mount **with all that is in it**.
///
/// That there is none is no error.
///
/// A second one may remove what somebody mounted in between, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/mounts>
#[derive(Clone, Debug)]
pub struct DisableMount {
    path: String,
}

impl DisableMount {
    /// Removes what is mounted at a path. Fails with [`Error::InvalidPath`].
    pub fn new(kind: MountKind, path: &str) -> Result<Self, Error> {
        Ok(Self { path: mount_path(kind, path)? })
    }
}

impl Exchange for DisableMount {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    /// A second one may remove what somebody mounted in between.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

pub(super) fn mount_path(kind: MountKind, path: &str) -> Result<String, Error> {
    let room = kind.path().len() + path.len() + "/".len();
    Ok(Path::with_room(room).literal(kind.path()).segments(PathPart::Mount, path)?.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_told_with_their_options_and_limits() {
        let body = r#"{"secret/":{"type":"not this one"},"request_id":"a","data":{"secret/":{"accessor":"kv_1",
            "config":{"default_lease_ttl":0,"force_no_cache":false,"max_lease_ttl":60},"description":"d",
            "options":{"version":"2"},"type":"kv"},"cubbyhole/":{"type":"cubbyhole","options":null}}}"#;
        let list = ListMounts::new(MountKind::SecretsEngine);
        assert_eq!(list.request().path(), "/v1/sys/mounts");
        let mounts = list.receive(Reply::new(200, body)).unwrap();
        let secret = &mounts["secret/"];
        assert_eq!((secret.mount_type.as_str(), secret.accessor.as_str()), ("kv", "kv_1"));
        assert_eq!(secret.options["version"], "2");
        assert_eq!(secret.config.default_lease_ttl, None);
        assert_eq!(secret.config.max_lease_ttl, Some(Duration::from_secs(60)));
        assert_eq!(mounts.len(), 2);
        assert_eq!(ListMounts::new(MountKind::AuthMethod).request().path(), "/v1/sys/auth");
        assert_eq!(list.receive(Reply::new(200, "{}")).unwrap_err().code(), "vault_malformed_reply");
    }

    #[test]
    fn a_mount_is_made_with_what_is_set_only() {
        let plain = EnableMount::new(MountKind::AuthMethod, "team/jwt/", &MountRequest::new("jwt")).unwrap();
        assert_eq!(plain.request().path(), "/v1/sys/auth/team/jwt");
        assert_eq!(plain.request().body().unwrap().expose_secret(), br#"{"type":"jwt"}"#);
        let request = MountRequest::kv2().with_description("d").with_max_lease_ttl(Duration::from_secs(60));
        let store = EnableMount::new(MountKind::SecretsEngine, "kv", &request).unwrap();
        let body =
            r#"{"type":"kv","description":"d","options":{"version":"2"},"config":{"max_lease_ttl":"60s"}}"#;
        assert_eq!(store.request().body().unwrap().expose_secret(), body.as_bytes());
        assert_eq!(store.replay(), Replay::AfterRefusal);
    }

    #[test]
    fn a_path_that_is_taken_is_called_so() {
        let enable = EnableMount::new(MountKind::SecretsEngine, "kv", &MountRequest::kv2()).unwrap();
        let taken = Reply::new(400, r#"{"errors":["path is already in use at kv/"]}"#);
        assert_eq!(enable.receive(taken).unwrap_err().code(), "vault_mount_exists");
        let enable = EnableMount::new(MountKind::SecretsEngine, "kv", &MountRequest::kv2()).unwrap();
        let other = Reply::new(400, r#"{"errors":["plugin not found in the catalog: kv"]}"#);
        assert_eq!(enable.receive(other).unwrap_err().code(), "vault_invalid_request");
    }

    #[test]
    fn a_mount_is_not_removed_twice() {
        let disable = DisableMount::new(MountKind::SecretsEngine, "kv").unwrap();
        assert_eq!((disable.request().method(), disable.replay()), (Method::Delete, Replay::AfterRefusal));
        assert!(DisableMount::new(MountKind::SecretsEngine, "../auth/oidc").is_err());
    }
}
