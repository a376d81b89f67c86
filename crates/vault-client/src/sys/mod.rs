//! The server itself: how it is, what is mounted, who may do what.

mod audit;
mod cors;
mod health;
mod mount;
mod policy;
mod seal;
mod tune;

use std::collections::BTreeMap;

pub use audit::{AuditDevice, ListAuditDevices};
pub use cors::{Cors, DeleteCors, ReadCors, WriteCors};
pub use health::{Health, NodeState, ReadHealth};
pub use mount::{DisableMount, EnableMount, ListMounts, Mount, MountConfig, MountKind, MountRequest};
pub use policy::{DeletePolicy, ListPolicies, ReadCapabilities, ReadPolicy, WritePolicy};
pub use seal::{ReadSealStatus, SealStatus};
pub use tune::{ReadTuning, Tune, Tuning, TuningSettings};

use crate::{Error, Vault};

/// The server itself. Made by [`Vault::sys`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system>
#[derive(Clone, Copy, Debug)]
pub struct Sys<'a> {
    vault: &'a Vault,
}

impl<'a> Sys<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Asks how the node is. Sealed or standby is an answer, not an error. See [`ReadHealth`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.vault.health().await
    }

    /// Asks whether the node is sealed. See [`ReadSealStatus`].
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        self.vault.without_token().perform(ReadSealStatus).await
    }

    /// Lists the mounts of a kind by their paths, which end in `/`. See [`ListMounts`].
    pub async fn mounts(&self, kind: MountKind) -> Result<BTreeMap<String, Mount>, Error> {
        self.vault.perform(ListMounts::new(kind)).await
    }

    /// Mounts a secrets engine or an auth method.
    ///
    /// Fails with [`Error::MountExists`] where something is at that path already. A fresh KV store may answer
    /// [`Error::MountUpgrading`] for a moment. See [`EnableMount`].
    pub async fn enable(&self, kind: MountKind, path: &str, request: &MountRequest) -> Result<(), Error> {
        self.vault.perform(EnableMount::new(kind, path, request)?).await
    }

    /// Removes a mount **with all that is in it**. That there is none is no error. See [`DisableMount`].
    pub async fn disable(&self, kind: MountKind, path: &str) -> Result<(), Error> {
        self.vault.perform(DisableMount::new(kind, path)?).await
    }

    /// Reads how a mount is tuned; `None` where there is none. See [`ReadTuning`].
    pub async fn tuning(&self, kind: MountKind, path: &str) -> Result<Option<Tuning>, Error> {
        self.vault.perform(ReadTuning::new(kind, path)?).await
    }

    /// Tunes a mount.
    ///
    /// Fails with [`Error::NotFound`] where there is none. See [`Tune`].
    pub async fn tune(&self, kind: MountKind, path: &str, settings: &TuningSettings) -> Result<(), Error> {
        self.vault.perform(Tune::new(kind, path, settings)?).await
    }

    /// Lists the audit devices by their paths, which end in `/`. The token needs `sudo` there.
    /// See [`ListAuditDevices`].
    pub async fn audit_devices(&self) -> Result<BTreeMap<String, AuditDevice>, Error> {
        self.vault.perform(ListAuditDevices).await
    }

    /// Lists the names of the policies. See [`ListPolicies`].
    pub async fn policies(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListPolicies).await
    }

    /// Reads the text of a policy; `None` where there is none. See [`ReadPolicy`].
    pub async fn policy(&self, name: &str) -> Result<Option<String>, Error> {
        self.vault.perform(ReadPolicy::new(name)?).await
    }

    /// Writes a policy in the servers' own language, in place of the one that was there.
    ///
    /// Fails with [`Error::InvalidRequest`] where the server cannot read it. See [`WritePolicy`].
    pub async fn write_policy(&self, name: &str, policy: &str) -> Result<(), Error> {
        self.vault.perform(WritePolicy::new(name, policy)?).await
    }

    /// Removes a policy. That there is none is no error. See [`DeletePolicy`].
    pub async fn delete_policy(&self, name: &str) -> Result<(), Error> {
        self.vault.perform(DeletePolicy::new(name)?).await
    }

    /// Asks what the token may do at paths of the API, which are named without `/v1`: `read`, `list`, or `deny` where it
    /// may do nothing. See [`ReadCapabilities`].
    pub async fn capabilities(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        self.vault.perform(ReadCapabilities::new(paths)?).await
    }

    /// Reads which web pages may call the server. See [`ReadCors`].
    pub async fn cors(&self) -> Result<Cors, Error> {
        self.vault.perform(ReadCors).await
    }

    /// Lets pages of these origins call the server, and no others. See [`WriteCors`].
    pub async fn write_cors(&self, origins: &[&str]) -> Result<(), Error> {
        self.vault.perform(WriteCors::new(origins)?).await
    }

    /// Lets no web page call the server. See [`DeleteCors`].
    pub async fn delete_cors(&self) -> Result<(), Error> {
        self.vault.perform(DeleteCors).await
    }
}
