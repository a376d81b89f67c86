//! The identity store: who stands behind the tokens, and the groups whose policies they get.
//!
//! A person who logs in is an *alias*, a name at one auth method. Aliases belong to an *entity*, and each auth method
//! gives an entity one alias at most. A *group* gives its policies to entities: an internal one lists its members, an
//! external one has one alias, and its members are those in whose token the auth method finds that name.
//!
//! The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity>

mod entity;
mod entity_alias;
mod group;
mod group_alias;

pub use entity::{DeleteEntity, Entity, EntitySettings, ListEntities, LookupEntity, ReadEntity, WriteEntity};
pub use entity_alias::{DeleteEntityAlias, EntityAlias, ListEntityAliases, WriteEntityAlias};
pub use group::{DeleteGroup, Group, GroupKind, GroupSettings, ListGroups, ReadGroup, WriteGroup};
pub use group_alias::{DeleteGroupAlias, GroupAlias, ListGroupAliases, ReplaceGroupAlias};

use std::collections::BTreeMap;

use latchkey_transport::Reply;
use serde::Deserialize;

use crate::reply::{self, Envelope};
use crate::{Error, Vault};

/// The identity store. Made by [`Vault::identity`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// ```no_run
/// # use latchkey_vault_client::{Error, Vault, identity::GroupSettings, sys::MountKind};
/// # async fn f(vault: Vault) -> Result<(), Error> {
/// let identity = vault.identity();
/// identity.write_group("jwt-reader", &GroupSettings::external().with_policies(["reader"])).await?;
/// let mounts = vault.sys().mounts(MountKind::AuthMethod).await?;
/// if let Some(jwt) = mounts.get("keycloak-jwt/") {
///     identity.add_group_alias("jwt-reader", &jwt.accessor, "reader").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    vault: &'a Vault,
}

impl<'a> Identity<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Reads an entity by its name; `None` where there is none. See [`ReadEntity`].
    pub async fn entity(&self, name: &str) -> Result<Option<Entity>, Error> {
        self.vault.perform(ReadEntity::by_name(name)?).await
    }

    /// Reads an entity by its id, as a login tells it; `None` where there is none. See [`ReadEntity`].
    pub async fn entity_by_id(&self, id: &str) -> Result<Option<Entity>, Error> {
        self.vault.perform(ReadEntity::by_id(id)?).await
    }

    /// Finds the entity whose alias at an auth method has that name; `None` where there is none. See [`LookupEntity`].
    pub async fn entity_of(&self, mount_accessor: &str, alias: &str) -> Result<Option<Entity>, Error> {
        self.vault.perform(LookupEntity::by_alias(mount_accessor, alias)?).await
    }

    /// Makes an entity, or changes the one of that name; what is not set stays as it is. See [`WriteEntity`].
    pub async fn write_entity(&self, name: &str, settings: &EntitySettings) -> Result<(), Error> {
        self.vault.perform(WriteEntity::new(name, settings)?).await.map(drop)
    }

    /// Removes an entity with its aliases. That there is none is no error; its tokens lose its policies.
    /// See [`DeleteEntity`].
    pub async fn delete_entity(&self, name: &str) -> Result<(), Error> {
        self.vault.perform(DeleteEntity::by_name(name)?).await
    }

    /// Lists the names of the entities. See [`ListEntities`].
    pub async fn entities(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListEntities).await
    }

    /// Gives an entity an alias: whoever logs in at that auth method under that name is this entity. One that
    /// another entity has **moves** to this one.
    ///
    /// Fails with [`Error::InvalidRequest`] where the entity has another alias at that auth method.
    /// See [`WriteEntityAlias`].
    pub async fn write_entity_alias(
        &self,
        entity_id: &str,
        mount_accessor: &str,
        name: &str,
    ) -> Result<(), Error> {
        self.vault.perform(WriteEntityAlias::new(entity_id, mount_accessor, name)?).await
    }

    /// Removes an alias of an entity by its id. That there is none is no error. See [`DeleteEntityAlias`].
    pub async fn delete_entity_alias(&self, id: &str) -> Result<(), Error> {
        self.vault.perform(DeleteEntityAlias::new(id)?).await
    }

    /// Lists the aliases of all entities by their ids. See [`ListEntityAliases`].
    pub async fn entity_aliases(&self) -> Result<BTreeMap<String, EntityAlias>, Error> {
        self.vault.perform(ListEntityAliases).await
    }

    /// Reads a group by its name; `None` where there is none. See [`ReadGroup`].
    pub async fn group(&self, name: &str) -> Result<Option<Group>, Error> {
        self.vault.perform(ReadGroup::by_name(name)?).await
    }

    /// Reads a group by its id; `None` where there is none. See [`ReadGroup`].
    pub async fn group_by_id(&self, id: &str) -> Result<Option<Group>, Error> {
        self.vault.perform(ReadGroup::by_id(id)?).await
    }

    /// Makes a group, or changes the one of that name; what is not set stays as it is.
    ///
    /// Fails with [`Error::InvalidRequest`] where a group of that name is of the other kind. See [`WriteGroup`].
    pub async fn write_group(&self, name: &str, settings: &GroupSettings) -> Result<(), Error> {
        self.vault.perform(WriteGroup::new(name, settings)?).await.map(drop)
    }

    /// Removes a group with its alias. That there is none is no error; its members lose its policies.
    /// See [`DeleteGroup`].
    pub async fn delete_group(&self, name: &str) -> Result<(), Error> {
        self.vault.perform(DeleteGroup::by_name(name)?).await
    }

    /// Lists the names of the groups. See [`ListGroups`].
    pub async fn groups(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListGroups).await
    }

    /// Gives an external group its alias: its members are those in whose token that auth method finds `alias` among the
    /// groups. That it has this alias already is no error.
    ///
    /// An external group holds **exactly one** alias, and the servers let a second one silently take the place of the
    /// first, whose people then lose the group's policies. So the group is read first, and this fails with
    /// [`Error::AliasTaken`] where it has another one: make a group of its own for each role *and* auth method, or say
    /// [`replace_group_alias`](Self::replace_group_alias). Between the two calls nothing guards against somebody else who
    /// does the same.
    ///
    /// Fails with [`Error::NotFound`] where there is no such group, and with [`Error::InvalidRequest`] where another group
    /// has that alias. See [`ReplaceGroupAlias`].
    pub async fn add_group_alias(&self, group: &str, mount_accessor: &str, alias: &str) -> Result<(), Error> {
        let found = self.external_group(group).await?;
        match found.alias {
            Some(has) if has.name == alias && has.mount_accessor == mount_accessor => Ok(()),
            Some(has) => Err(Error::AliasTaken {
                group: group.to_owned(),
                alias: has.name,
                mount_path: has.mount_path,
            }),
            None => self.vault.perform(ReplaceGroupAlias::new(&found.id, mount_accessor, alias)?).await,
        }
    }

    /// Gives an external group that alias **in place of** the one that it has: whoever came by the old one loses the
    /// group's policies.
    ///
    /// Fails with [`Error::NotFound`] where there is no such group, and with [`Error::InvalidRequest`] where another group
    /// has that alias. See [`ReplaceGroupAlias`].
    pub async fn replace_group_alias(
        &self,
        group: &str,
        mount_accessor: &str,
        alias: &str,
    ) -> Result<(), Error> {
        let found = self.external_group(group).await?;
        match found.alias {
            Some(has) if has.name == alias && has.mount_accessor == mount_accessor => Ok(()),
            _ => self.vault.perform(ReplaceGroupAlias::new(&found.id, mount_accessor, alias)?).await,
        }
    }

    async fn external_group(&self, name: &str) -> Result<Group, Error> {
        let absent = || Error::NotFound(crate::Refusal { status: 404, messages: crate::Messages::default() });
        self.group(name).await?.ok_or_else(absent)
    }

    /// Removes the alias of an external group by its id. That there is none is no error. See [`DeleteGroupAlias`].
    pub async fn delete_group_alias(&self, id: &str) -> Result<(), Error> {
        self.vault.perform(DeleteGroupAlias::new(id)?).await
    }

    /// Lists the aliases of all external groups by their ids. See [`ListGroupAliases`].
    pub async fn group_aliases(&self) -> Result<BTreeMap<String, GroupAlias>, Error> {
        self.vault.perform(ListGroupAliases).await
    }
}

/// Reads the id of what was made; servers answer 204 where something was changed only.
fn made(reply: &Reply, wanted: &'static str) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    if reply.is_success() && reply.body().is_empty() {
        return Ok(None);
    }
    let envelope = Envelope::read(reply, &[], wanted)?;
    envelope.data_as::<Made>().map(|made| Some(made.id)).ok_or_else(|| reply::malformed(reply, wanted))
}

/// Reads a list that tells more than its keys; where there is nothing servers answer 404.
fn key_info<T: serde::de::DeserializeOwned>(
    reply: &Reply,
    wanted: &'static str,
) -> Result<BTreeMap<String, T>, Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: serde::de::DeserializeOwned")]
    struct Keys<T> {
        #[serde(default = "BTreeMap::new")]
        key_info: BTreeMap<String, T>,
    }
    Ok(reply::thing::<Keys<T>>(reply, wanted)?.map(|keys| keys.key_info).unwrap_or_default())
}
