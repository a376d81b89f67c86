//! Audit devices: where the server writes down who asked for what.

use std::collections::BTreeMap;

use latchkey_transport::{Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::reply::{self, Envelope, LIST_LIMIT};

/// An audit device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct AuditDevice {
    /// What it is: `file`, `syslog`, `socket`.
    #[serde(rename = "type")]
    pub device_type: String,
    /// What people have noted on it.
    #[serde(default)]
    pub description: String,
    /// Its options: a file has its `file_path` here.
    #[serde(default, deserialize_with = "reply::map")]
    pub options: BTreeMap<String, String>,
    /// Whether it is of this cluster alone and not replicated.
    #[serde(default)]
    pub local: bool,
}

/// `GET sys/audit`: the audit devices, by paths that end in `/`. A server without any answers calls that nobody ever
/// finds out about.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::PermissionDenied`] where the
/// token has no `sudo` there, besides what every call fails with.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/audit#list-enabled-audit-devices>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListAuditDevices;

impl Exchange for ListAuditDevices {
    type Output = BTreeMap<String, AuditDevice>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/sys/audit").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Self::Output, Error> {
        const WANTED: &str = "the audit devices";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_their_paths() {
        let body = r#"{"file/":{},"request_id":"a","data":{"file/":{"description":"d","local":false,
            "options":{"file_path":"/var/log/audit.log"},"path":"file/","type":"file"}}}"#;
        let devices = ListAuditDevices.receive(Reply::new(200, body)).unwrap();
        assert_eq!((devices.len(), devices["file/"].device_type.as_str()), (1, "file"));
        assert_eq!(devices["file/"].options["file_path"], "/var/log/audit.log");
        assert!(ListAuditDevices.receive(Reply::new(200, r#"{"data":{}}"#)).unwrap().is_empty());
        let malformed = ListAuditDevices.receive(Reply::new(200, "[]")).unwrap_err();
        assert_eq!(malformed.code(), "vault_malformed_reply");
    }
}
