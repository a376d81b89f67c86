//! How a node is.

use latchkey_transport::{Exchange, Method, Replay, Reply, Request, json};
use serde::Deserialize;

use crate::Error;
use crate::reply;

/// `GET sys/health`: how a node is. It needs no token, and it is the same in every namespace.
///
/// Every state is an answer and not an error; an error means that what answered is no Vault
/// ([`Error::MalformedReply`], say). It changes nothing, so it is repeated freely ([`Replay::Safe`]).
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/health>
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadHealth;

impl Exchange for ReadHealth {
    type Output = Health;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/sys/health")
    }

    fn receive(self, reply: Reply) -> Result<Health, Error> {
        let body = json::from_slice::<Health>(reply.body()).ok();
        match (NodeState::of_status(reply.status()), body) {
            (Some(state), Some(health)) => Ok(Health { state, ..health }),
            _ if reply.is_success() => Err(reply::malformed(&reply, "the health of a node")),
            _ => Err(reply::refused(&reply, &[])),
        }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// What a node does, by the status of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// 200: initialised, unsealed, and the one that serves.
    #[default]
    Active,
    /// 429: unsealed, and waits to take over.
    Standby,
    /// 472: the secondary of a disaster recovery pair.
    DisasterRecoverySecondary,
    /// 473: a standby that serves reads.
    PerformanceStandby,
    /// 474: a standby that does not reach the active node.
    CutOffStandby,
    /// 501: never initialised.
    Uninitialised,
    /// 503: sealed.
    Sealed,
    /// 530: removed from the cluster.
    Removed,
}

impl NodeState {
    fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            200 => Self::Active,
            429 => Self::Standby,
            472 => Self::DisasterRecoverySecondary,
            473 => Self::PerformanceStandby,
            474 => Self::CutOffStandby,
            501 => Self::Uninitialised,
            503 => Self::Sealed,
            530 => Self::Removed,
            _ => return None,
        })
    }
}

/// How a node is.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// What it does, by the status of its answer.
    #[serde(skip)]
    pub state: NodeState,
    /// Whether the server was ever initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether this node is a standby.
    #[serde(default)]
    pub standby: bool,
    /// Whether this node is a standby that serves reads.
    #[serde(default)]
    pub performance_standby: bool,
    /// What it is for performance replication: `disabled`, `primary`, `secondary`; empty where it is not told.
    #[serde(default)]
    pub replication_performance_mode: String,
    /// What it is for disaster recovery: `disabled`, `primary`, `secondary`; empty where it is not told.
    #[serde(default)]
    pub replication_dr_mode: String,
    /// The server's clock, in seconds since 1970.
    #[serde(default)]
    pub server_time_utc: u64,
    /// The version of the server.
    #[serde(default)]
    pub version: String,
    /// The name of the cluster; a sealed node does not tell it.
    #[serde(default)]
    pub cluster_name: Option<String>,
    /// The id of the cluster; a sealed node does not tell it.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"initialized":true,"sealed":false,"standby":false,"replication_performance_mode":"disabled",
        "server_time_utc":1795400828,"version":"2.7.2","cluster_name":"c","cluster_id":"i"}"#;

    #[test]
    fn every_state_is_an_answer() {
        assert_eq!(ReadHealth.request().path(), "/v1/sys/health");
        for (status, expected) in [
            (200, NodeState::Active),
            (429, NodeState::Standby),
            (472, NodeState::DisasterRecoverySecondary),
            (473, NodeState::PerformanceStandby),
            (474, NodeState::CutOffStandby),
            (501, NodeState::Uninitialised),
            (503, NodeState::Sealed),
            (530, NodeState::Removed),
        ] {
            let health = ReadHealth.receive(Reply::new(status, BODY)).unwrap();
            assert_eq!((health.state, health.server_time_utc), (expected, 1_795_400_828), "{status}");
            assert_eq!((health.version.as_str(), health.cluster_name.as_deref()), ("2.7.2", Some("c")));
            assert_eq!(health.replication_performance_mode, "disabled");
        }
    }

    #[test]
    fn a_status_without_the_body_is_somebody_else() {
        for (status, body, expected) in [
            (200, "<html>", "vault_malformed_reply"),
            (200, "{}", "vault_malformed_reply"),
            (204, BODY, "vault_malformed_reply"),
            (429, "slow down", "vault_rate_limited"),
            (503, "no upstream", "vault_server_fault"),
            (404, BODY, "vault_not_found"),
        ] {
            assert_eq!(
                ReadHealth.receive(Reply::new(status, body)).unwrap_err().code(),
                expected,
                "{status} {body}"
            );
        }
    }
}
