//! Versioned key-value stores (KV v2).
//!
//! The API: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

mod read;

pub use read::{Metadata, Read, ReadSecret, Secret};

use crate::{Error, Vault};

/// A versioned key-value store. Made by [`Vault::kv2`].
#[derive(Clone, Copy, Debug)]
pub struct Kv2<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> Kv2<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    /// Reads the newest version of a secret.
    pub async fn read(&self, path: &str) -> Result<Read, Error> {
        self.vault.perform(ReadSecret::new(self.mount, path)?).await
    }

    /// Reads a certain version of a secret.
    pub async fn read_version(&self, path: &str, version: u64) -> Result<Read, Error> {
        self.vault.perform(ReadSecret::new(self.mount, path)?.with_version(version)).await
    }
}
