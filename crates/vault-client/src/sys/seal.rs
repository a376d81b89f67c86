//! Whether a node is sealed.

use latchkey_transport::{Exchange, Method, Replay, Reply, Request, json};
use serde::Deserialize;

use crate::Error;
use crate::reply;

/// How a node is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SealStatus {
    /// The kind of seal, such as `shamir`.
    #[serde(default, rename = "type")]
    pub seal_type: String,
    /// Whether the server was ever initialised.
    #[serde(default)]
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// How many shares of the key unseal it.
    #[serde(default, rename = "t")]
    pub threshold: u64,
    /// How many shares there are.
    #[serde(default, rename = "n")]
    pub shares: u64,
    /// How many shares were given so far.
    #[serde(default)]
    pub progress: u64,
    /// Names the unsealing that is under way; empty where there is none.
    #[serde(default)]
    pub nonce: String,
    /// Whether the server moves from one seal to another.
    #[serde(default)]
    pub migration: bool,
    /// Whether the shares are for recovery, because another system unseals the server.
    #[serde(default)]
    pub recovery_seal: bool,
    /// The version of the server.
    #[serde(default)]
    pub version: String,
    /// The name of the cluster; a sealed node does not tell it.
    #[serde(default)]
    pub cluster_name: Option<String>,
    /// The id of the cluster; a sealed node does not tell it.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// Where it stores, such as `raft`.
    #[serde(default)]
    pub storage_type: String,
}

/// `GET sys/seal-status`: whether a node is sealed. It needs no token, and it is the same in every namespace.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). A node that is sealed is an answer and no error;
/// otherwise it fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/seal-status>
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadSealStatus;

impl Exchange for ReadSealStatus {
    type Output = SealStatus;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/sys/seal-status")
    }

    fn receive(self, reply: Reply) -> Result<SealStatus, Error> {
        reply::accept(&reply, &[])?;
        let status = json::from_slice(reply.body());
        status.map_err(|_| reply::malformed(&reply, "how a node is sealed"))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_node_tells_how_far_it_is() {
        let body = r#"{"type":"shamir","initialized":true,"sealed":true,"t":3,"n":5,"progress":1,"version":"2.7.2","storage_type":"file",
            "nonce":"n","migration":false,"recovery_seal":true}"#;
        let status = ReadSealStatus.receive(Reply::new(200, body)).unwrap();
        assert!(status.sealed && status.initialized);
        assert_eq!((status.threshold, status.shares, status.progress), (3, 5, 1));
        assert_eq!((status.nonce.as_str(), status.recovery_seal, &status.cluster_name), ("n", true, &None));
        assert_eq!(
            ReadSealStatus.receive(Reply::new(200, "{}")).unwrap_err().code(),
            "vault_malformed_reply"
        );
    }
}
