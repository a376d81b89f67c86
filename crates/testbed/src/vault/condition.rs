//! What a server is in that answers for nobody: sealed, or waiting for its turn.

use serde_json::{Value, json};

use super::{Desk, Refusal, Voice, envelope};
use crate::{
    encoding::unix_seconds,
    http::Fields,
    message::{Request, Response},
};

/// Whether the server does its work.
#[derive(Clone, Debug, Default)]
pub(super) enum Condition {
    #[default]
    Active,
    Sealed,
    /// Somebody else works; `None`: nobody does, for the moment.
    Standby(Option<String>),
}

impl Desk<'_> {
    /// The answer of a server that does not work; `None` where it does, or where the path is answered all the same.
    pub(super) fn idle(&self, request: &Request, path: &str) -> Option<Response> {
        match &self.state.condition {
            _ if super::sys::is_open(path) || matches!(path, "sys/seal" | "sys/unseal") => None,
            Condition::Active => None,
            Condition::Sealed => Some(Refusal::new(503, "Vault is sealed").render()),
            Condition::Standby(None) => Some(Refusal::new(503, "no active Vault instance found").render()),
            Condition::Standby(Some(leader)) => {
                let query = request.query();
                let query = if query.is_empty() { String::new() } else { format!("?{query}") };
                let location = format!("{}/v1/{path}{query}", leader.trim_end_matches('/'));
                Some(Refusal::empty(307).render().with_header("Location", &location))
            }
        }
    }

    /// [`/sys/health`](https://developer.hashicorp.com/vault/api-docs/system/health): the status is the message. A query
    /// may ask for another one.
    pub(super) fn health(&self, request: &Request, now: std::time::SystemTime) -> Response {
        let fields = Fields::of_query(request);
        let code = |name: &str, otherwise: u16| {
            fields.value(name).and_then(|code| code.parse().ok()).unwrap_or(otherwise)
        };
        let is_on = |name: &str| fields.has(name) && fields.value(name).is_none_or(|value| value != "false");
        let status = match &self.state.condition {
            Condition::Active => code("activecode", 200),
            Condition::Sealed => code("sealedcode", 503),
            Condition::Standby(_) if is_on("standbyok") => code("activecode", 200),
            Condition::Standby(_) => code("standbycode", 429),
        };
        if status == 204 || request.method == "HEAD" {
            return Refusal::empty(status).render();
        }
        envelope::framed(status, &self.describe_health(now))
    }

    fn describe_health(&self, now: std::time::SystemTime) -> Value {
        let is_sealed = matches!(self.state.condition, Condition::Sealed);
        let replication = if is_sealed { "unknown" } else { "disabled" };
        let mut health = json!({
            "initialized": true,
            "sealed": is_sealed,
            "standby": !matches!(self.state.condition, Condition::Active),
            "performance_standby": false,
            "replication_performance_mode": replication,
            "replication_dr_mode": replication,
            "server_time_utc": unix_seconds(now),
            "version": self.state.voice.version(),
        });
        if let Some(fields) = health.as_object_mut() {
            if self.state.voice == Voice::OpenBao {
                fields.shift_remove("performance_standby");
            }
            if !is_sealed {
                fields.extend(self.state.cluster.describe());
            }
        }
        health
    }

    pub(super) fn seal_status(&self) -> Value {
        let is_sealed = matches!(self.state.condition, Condition::Sealed);
        let mut status = json!({
            "type": "shamir",
            "initialized": true,
            "sealed": is_sealed,
            "t": 1,
            "n": 1,
            "progress": 0,
            "nonce": "",
            "recovery_seal": false,
            "version": self.state.voice.version(),
            "commit_date": "2026-10-26T20:32:27Z",
            "migration": false,
        });
        if let Some(fields) = status.as_object_mut() {
            if self.state.voice == Voice::Vault {
                fields.shift_remove("commit_date");
            }
            if !is_sealed {
                fields.extend(self.state.cluster.describe());
            }
            fields.insert("storage_type".to_owned(), "inmem".into());
        }
        status
    }

    /// `sys/seal` and `sys/unseal`, of whom the second needs no token: any key opens this one.
    pub(super) fn unseal(&mut self) -> Response {
        self.state.condition = Condition::Active;
        envelope::framed(200, &self.seal_status())
    }
}
