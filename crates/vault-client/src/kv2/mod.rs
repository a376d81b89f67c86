//! Versioned key-value stores (KV v2).
//!
//! The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

mod config;
mod list;
mod metadata;
mod patch;
pub(crate) mod read;
mod subkeys;
mod versions;
mod write;

pub use config::{ReadConfig, StoreConfig, StoreSettings, WriteConfig};
pub use list::{ListSecrets, Pages};
pub use metadata::{
    DeleteMetadata, MetadataSettings, PatchMetadata, ReadMetadata, SecretMetadata, VersionState,
    WriteMetadata,
};
pub use read::{Metadata, ReadSecret, Secret};
pub use subkeys::{ReadSubkeys, Subkeys};
pub use versions::{ChangeVersions, DeleteLatest};
pub use write::{Cas, PatchMethod, PatchSecret, Patched, WriteSecret};

use serde::Serialize;

use crate::path::Path;
use crate::{Error, PathPart, Read, Vault};

/// A versioned key-value store. Made by [`Vault::kv2`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct Kv2<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> Kv2<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    /// Reads the newest version of a secret. See [`ReadSecret`].
    pub async fn read(&self, path: &str) -> Result<Read, Error> {
        self.vault.perform(ReadSecret::new(self.mount, path)?).await
    }

    /// Reads a certain version of a secret. See [`ReadSecret`].
    pub async fn read_version(&self, path: &str, version: u64) -> Result<Read, Error> {
        self.vault.perform(ReadSecret::new(self.mount, path)?.with_version(version)).await
    }

    /// Reads the names in the newest version of a secret, without their values. See [`ReadSubkeys`].
    pub async fn subkeys(&self, path: &str) -> Result<Read<Subkeys>, Error> {
        self.vault.perform(ReadSubkeys::new(self.mount, path)?).await
    }

    /// Writes a new version of a secret, where `cas` holds, and returns what is known about it.
    ///
    /// ```no_run
    /// # use latchkey_vault_client::{Error, Read, Vault, kv2::Cas};
    /// # async fn f(vault: Vault) -> Result<(), Error> {
    /// let kv = vault.kv2("secret");
    /// let login = serde_json::json!({ "user": "app", "password": "…" });
    /// let first = kv.write("team/app", &login, Cas::Create).await?;
    /// kv.write("team/app", &login, Cas::Version(first.version)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Fails with [`Error::CasMismatch`] where somebody else wrote in between, and [`Error::CasRequired`] where the
    /// store insists. Not repeated once the server may have seen it: a second write would be a second version, or a
    /// false mismatch. If the reply to a write with a check-and-set is lost, the secret is read: it is a success if the
    /// next version holds what was sent, and sent once more if there is no next version yet. See [`WriteSecret`].
    pub async fn write<T: Serialize + ?Sized>(
        &self,
        path: &str,
        data: &T,
        cas: Cas,
    ) -> Result<Metadata, Error> {
        // Written first, so that nothing of the caller's type lives on while the call is under way.
        let write = WriteSecret::new(self.mount, path, data, cas)?;
        match self.vault.perform(write.clone()).await {
            Err(Error::Transport(lost)) if lost.may_have_acted() => self.settle(path, write, cas, lost).await,
            outcome => outcome,
        }
    }

    /// Deletes the newest version; it can be undeleted. That there was nothing is no error. See [`DeleteLatest`].
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.vault.perform(DeleteLatest::new(self.mount, path)?).await
    }

    /// Deletes certain versions; they can be undeleted. See [`ChangeVersions`].
    pub async fn delete_versions(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.vault.perform(ChangeVersions::delete(self.mount, path, versions)?).await
    }

    /// Brings deleted versions back. One that was destroyed stays so, without an error. See [`ChangeVersions`].
    pub async fn undelete_versions(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.vault.perform(ChangeVersions::undelete(self.mount, path, versions)?).await
    }

    /// Removes the data of certain versions for good. See [`ChangeVersions`].
    pub async fn destroy_versions(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.vault.perform(ChangeVersions::destroy(self.mount, path, versions)?).await
    }

    /// Reads what the store knows of a secret and its versions; `None` where there is none. See [`ReadMetadata`].
    pub async fn metadata(&self, path: &str) -> Result<Option<SecretMetadata>, Error> {
        self.vault.perform(ReadMetadata::new(self.mount, path)?).await
    }

    /// Writes settings of a secret; its notes are replaced if any are named. See [`WriteMetadata`].
    pub async fn write_metadata(&self, path: &str, settings: &MetadataSettings) -> Result<(), Error> {
        self.vault.perform(WriteMetadata::new(self.mount, path, settings)?).await
    }

    /// Changes single notes and settings of a secret.
    ///
    /// Fails with [`Error::NoSuchVersion`] where there is no such secret. See [`PatchMetadata`].
    pub async fn patch_metadata(&self, path: &str, changes: &MetadataSettings) -> Result<(), Error> {
        self.vault.perform(PatchMetadata::new(self.mount, path, changes)?).await
    }

    /// Removes a secret with all its versions and notes, for good. See [`DeleteMetadata`].
    pub async fn delete_metadata(&self, path: &str) -> Result<(), Error> {
        self.vault.perform(DeleteMetadata::new(self.mount, path)?).await
    }

    /// Lists the names below a path, an empty one for the whole store; names that end in `/` have more below them.
    /// See [`ListSecrets`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.vault.perform(ListSecrets::new(self.mount, path)?).await
    }

    /// Lists the names below a path page by page, so many at a time: for lists that are too long to hold.
    ///
    /// Fails with [`Error::InvalidPath`]. See [`ListSecrets`].
    pub fn pages(&self, path: &str, limit: usize) -> Result<Pages<'a>, Error> {
        Ok(Pages::new(self.vault, ListSecrets::new(self.mount, path)?.with_limit(limit)))
    }

    /// Reads the settings of the store. See [`ReadConfig`].
    pub async fn config(&self) -> Result<StoreConfig, Error> {
        self.vault.perform(ReadConfig::new(self.mount)?).await
    }

    /// Changes the settings of the store. See [`WriteConfig`].
    pub async fn write_config(&self, settings: &StoreSettings) -> Result<(), Error> {
        self.vault.perform(WriteConfig::new(self.mount, settings)?).await
    }
}

fn data_path(mount: &str, path: &str) -> Result<String, Error> {
    path_below(mount, "/data", path)
}

/// Returns `/v1/<mount>/data/<path>`, or that of another part of the store.
fn path_below(mount: &str, part: &'static str, path: &str) -> Result<String, Error> {
    let below = Path::with_room(mount.len() + path.len() + part.len() + "//".len())
        .segments(PathPart::Mount, mount)?
        .literal(part)
        .segments(PathPart::Path, path)?;
    Ok(below.into_string())
}
