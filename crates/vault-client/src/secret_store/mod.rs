//! A store of one's own for every user: secrets below a path that nobody else reads.
//!
//! A [`SecretStore`] is what the user holds: `put`, `get`, `list` and their like, on a KV v2 mount below
//! `jupyter/users/<user>/`. [`UserTokens`] is what the operator holds: it gives each user a token that opens that path
//! and no other. The API underneath: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>

mod layout;
mod user;
mod user_tokens;

use std::time::Duration;

use latchkey_transport::{Error as Transport, Secret as SecretText};
use serde::Serialize;

pub use layout::Layout;
pub use user::UserName;
pub use user_tokens::{Terms, UserTokens};

use crate::kv2::{Cas, Kv2, Metadata, Secret};
use crate::token::TokenInfo;
use crate::{Error, Gone, Lease, Read, Vault, merge, reply};

/// The secrets of one user. Made for whoever holds a token that opens them; cloning it is cheap.
///
/// ```no_run
/// # use latchkey_vault_client::{Error, Vault, secret_store::{SecretStore, UserName}};
/// # async fn f(vault: Vault) -> Result<(), Error> {
/// let store = SecretStore::new(vault, UserName::new("alice")?);
/// store.put("database", &serde_json::json!({ "password": "…" })).await?;
/// let password = store.field("database", "password").await?;
/// # Ok(())
/// # }
/// ```
///
/// Every call fails with [`Error::InvalidPath`] where a key cannot be a path, and otherwise as the calls of
/// [`Kv2`] do: [`Error::PermissionDenied`] where the token does not open the store is never mistaken for nothing there.
#[derive(Clone, Debug)]
pub struct SecretStore {
    vault: Vault,
    layout: Layout,
    user: UserName,
}

/// How a store is doing. Made by [`SecretStore::status`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Whose store it is.
    pub user: UserName,
    /// Where it is, mount and all: `secret/jupyter/users/alice`.
    pub path: String,
    /// What the server tells of the token.
    pub token: TokenInfo,
}

impl Status {
    /// Returns whether the token should be renewed now: it can be, and has less than [`SecretStore::SHORT`] left.
    pub fn is_renewal_due(&self) -> bool {
        let lease = &self.token.lease;
        lease.renewable && lease.time_to_live().is_some_and(|left| left < SecretStore::SHORT)
    }
}

impl SecretStore {
    /// Below this a token is renewed by [`keep_alive`](Self::keep_alive): ten minutes.
    pub const SHORT: Duration = Duration::from_secs(600);

    /// How often a change is tried while others write the same secret. Each time at least one of them got on.
    const ATTEMPTS: u32 = 64;

    /// Opens the store of a user in the usual [`Layout`], with the handle's token.
    pub fn new(vault: Vault, user: UserName) -> Self {
        Self::in_layout(vault, Layout::default(), user)
    }

    /// The same in a layout of one's own.
    pub fn in_layout(vault: Vault, layout: Layout, user: UserName) -> Self {
        Self { vault, layout, user }
    }

    /// Returns the handle that the store is opened with.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Returns where the store is, mount and all: `secret/jupyter/users/alice`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.layout.mount(), self.layout.folder(&self.user))
    }

    /// Reads the newest version of a secret. See [`Kv2::read`].
    pub async fn get(&self, key: &str) -> Result<Read, Error> {
        self.kv().read(&self.at(key)).await
    }

    /// Reads one field, as a text; `None` where the secret is not there, or was deleted.
    ///
    /// Fails with [`Error::FieldMissing`], which names the fields that exist, or [`Error::FieldNotText`].
    /// See [`Kv2::read`].
    pub async fn field(&self, key: &str, field: &str) -> Result<Option<SecretText>, Error> {
        match self.get(key).await?.found() {
            Some(secret) => Ok(Some(SecretText::new(secret.data().text(field)?))),
            None => Ok(None),
        }
    }

    /// Sets these fields of a secret and keeps all others; where there is no secret it is made. Returns the version that
    /// has them.
    ///
    /// What was read is written with a check-and-set and merged anew while somebody else writes in between, so that two
    /// writers never lose a field of each other. A secret that has them already gets no new version; so a reply that was
    /// lost does no harm. A field's value is replaced as a whole, objects too.
    ///
    /// Fails with [`Error::UnwritableBody`] where `fields` is no object once it is JSON, and with [`Error::CasMismatch`]
    /// where others never stop writing. See [`Kv2::write`].
    pub async fn put<T: Serialize + ?Sized>(&self, key: &str, fields: &T) -> Result<Metadata, Error> {
        // Written first, so that nothing of the caller's type lives on while the calls are under way.
        let fields = reply::json(fields)?;
        // Opened to be merged.
        let fields = std::str::from_utf8(fields.expose_secret()).map_err(|_| Error::UnwritableBody)?;
        let changed = |old: &str| merge::put(old, fields).ok_or(Error::UnwritableBody).map(Some);
        Ok(self.change(key, changed).await?.metadata)
    }

    /// Removes one field of a secret and keeps all others. Returns whether it was there.
    ///
    /// Older versions still have it until they are dropped: [`purge`](Self::purge) removes them all.
    /// See [`Kv2::write`].
    pub async fn delete_field(&self, key: &str, field: &str) -> Result<bool, Error> {
        match self.get(key).await? {
            Read::Found(_) => {}
            Read::Deleted(_) | Read::Destroyed(_) | Read::Missing => return Ok(false),
        }
        let changed = |old: &str| Ok(merge::without(old, field));
        match self.change(key, changed).await {
            Ok(change) => Ok(change.is_made),
            Err(Error::NoSuchVersion(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a secret: it is gone for every reader, and [`restore`](Self::restore) brings it back. That there was
    /// nothing is no error. See [`Kv2::delete`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.kv().delete(&self.at(key)).await
    }

    /// Brings a deleted secret back. Returns whether there was one to bring back. See [`Kv2::undelete_versions`].
    pub async fn restore(&self, key: &str) -> Result<bool, Error> {
        let Read::Deleted(metadata) = self.get(key).await? else { return Ok(false) };
        self.kv().undelete_versions(&self.at(key), &[metadata.version]).await?;
        Ok(true)
    }

    /// Removes a secret with all its versions, **for good**. That there was nothing is no error.
    /// See [`Kv2::delete_metadata`].
    pub async fn purge(&self, key: &str) -> Result<(), Error> {
        self.kv().delete_metadata(&self.at(key)).await
    }

    /// Lists the keys of the store; those that end in `/` have more below them. Secrets that were deleted and not purged
    /// are among them.
    ///
    /// An empty list means that there is nothing; where the token may not look it is [`Error::PermissionDenied`].
    /// See [`Kv2::list`].
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        self.kv().list(&self.layout.folder(&self.user)).await
    }

    /// The same below a key. See [`Kv2::list`].
    pub async fn list_below(&self, key: &str) -> Result<Vec<String>, Error> {
        self.kv().list(&self.at(key)).await
    }

    /// Lists the names of the fields of a secret; `None` where it is not there, or was deleted. See [`Kv2::read`].
    pub async fn list_fields(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        let names = |secret: Secret| secret.data().fields().map(str::to_owned).collect();
        Ok(self.get(key).await?.found().map(names))
    }

    /// Asks how the token is doing: the first thing to know when something is denied.
    ///
    /// Fails with [`Error::PermissionDenied`] or [`Error::TokenInvalid`] where the token is dead.
    /// See [`LookupSelf`](crate::token::LookupSelf).
    pub async fn status(&self) -> Result<Status, Error> {
        let token = self.vault.token().lookup_self().await?;
        Ok(Status { user: self.user.clone(), path: self.path(), token })
    }

    /// Renews the token by `increment` where it has less than ten minutes left, and returns what it then has; `None`
    /// where nothing was due. For programs without a clock of their own to call now and then: before work, say.
    ///
    /// A token at the end of its longest life cannot be renewed: its lease stays short, and whoever gave it must give
    /// another one. See [`RenewSelf`](crate::token::RenewSelf).
    pub async fn keep_alive(&self, increment: Duration) -> Result<Option<Lease>, Error> {
        if !self.status().await?.is_renewal_due() {
            return Ok(None);
        }
        Ok(Some(self.vault.token().renew_self(increment).await?.lease))
    }

    /// Changes what is there into what `changed` makes of it; nothing where that is nothing.
    async fn change(
        &self,
        key: &str,
        changed: impl Fn(&str) -> Result<Option<zeroize::Zeroizing<String>>, Error>,
    ) -> Result<Change, Error> {
        let path = self.at(key);
        let mut left = Self::ATTEMPTS;
        let mut is_made = false;
        loop {
            let (found, cas) = match self.kv().read(&path).await? {
                Read::Found(secret) => {
                    let cas = Cas::Version(secret.metadata().version);
                    (Some(secret), cas)
                }
                Read::Deleted(metadata) | Read::Destroyed(metadata) => (None, Cas::Version(metadata.version)),
                Read::Missing => (None, Cas::Create),
            };
            let old = found.as_ref().map_or("{}", |secret| match secret.data().json() {
                "null" => "{}",
                json => json,
            });
            let Some(new) = changed(old)? else {
                let metadata = found.map(|secret| secret.metadata().clone());
                return metadata
                    .map(|metadata| Change { metadata, is_made })
                    .ok_or(Error::NoSuchVersion(Gone::Missing));
            };
            // The reply to a write that ran may be what was lost: a second version that says the same is no use.
            if let Some(secret) = found.as_ref().filter(|_| merge::is_same(old, &new)) {
                return Ok(Change { metadata: secret.metadata().clone(), is_made });
            }
            left -= 1;
            match self.kv().write_json(&path, &new, cas).await {
                Err(Error::CasMismatch(_)) if left > 0 => {}
                // Whether it ran, the next read tells; if it still runs, its check-and-set fails.
                Err(Error::Transport(Transport::Lost { .. } | Transport::TimedOut { .. })) if left > 0 => {
                    is_made = true;
                }
                outcome => return outcome.map(|metadata| Change { metadata, is_made: true }),
            }
        }
    }

    fn kv(&self) -> Kv2<'_> {
        self.vault.kv2(self.layout.mount())
    }

    fn at(&self, key: &str) -> String {
        // An empty key must not mean the folder: the path of the secret would be that of somebody's store.
        format!("{}/{}", self.layout.folder(&self.user), if key.is_empty() { "/" } else { key })
    }
}

/// What came of a change.
struct Change {
    metadata: Metadata,
    is_made: bool,
}
