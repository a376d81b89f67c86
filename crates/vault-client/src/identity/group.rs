//! Groups: policies for many.

use std::collections::BTreeMap;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Deserializer, Serialize};

use super::entity::path;
use super::{GroupAlias, made};
use crate::Error;
use crate::reply::{self, JSON, LIST_LIMIT};

/// A group. Times are as the server writes them (RFC 3339).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// Its id, which never changes.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Who decides on its members.
    #[serde(rename = "type")]
    pub kind: GroupKind,
    /// The policies of its members, in small letters and sorted.
    #[serde(default, deserialize_with = "reply::list")]
    pub policies: Vec<String>,
    /// The ids of the entities that are in it; for an external group, of those who logged in.
    #[serde(default, deserialize_with = "reply::list")]
    pub member_entity_ids: Vec<String>,
    /// The ids of the groups that are in it.
    #[serde(default, deserialize_with = "reply::list")]
    pub member_group_ids: Vec<String>,
    /// The ids of the groups that it is in.
    #[serde(default, deserialize_with = "reply::list")]
    pub parent_group_ids: Vec<String>,
    /// What people have noted on it.
    #[serde(default, deserialize_with = "reply::map")]
    pub metadata: BTreeMap<String, String>,
    /// The one alias of an external group.
    #[serde(default, deserialize_with = "alias")]
    pub alias: Option<GroupAlias>,
}

/// Who decides on the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GroupKind {
    /// Whoever writes the group.
    Internal,
    /// The auth method of its alias, at each login.
    External,
}

/// A group without an alias has an empty one.
fn alias<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GroupAlias>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Alias {
        Some(GroupAlias),
        Empty {},
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Alias::Some(alias)) => Some(alias),
        Some(Alias::Empty {}) | None => None,
    })
}

/// Settings of a group. What is not set stays as it is, but for the kind, which never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupSettings {
    #[serde(rename = "type")]
    kind: GroupKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_entity_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_group_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
}

impl GroupSettings {
    /// A group that lists its members.
    pub fn internal() -> Self {
        Self::new(GroupKind::Internal)
    }

    /// A group whose members an auth method tells: give it an alias by
    /// [`add_group_alias`](super::Identity::add_group_alias).
    pub fn external() -> Self {
        Self::new(GroupKind::External)
    }

    fn new(kind: GroupKind) -> Self {
        Self { kind, policies: None, member_entity_ids: None, member_group_ids: None, metadata: None }
    }

    /// Gives its members these policies. Servers write them in small letters and sorted.
    pub fn with_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.policies = Some(policies.into_iter().map(Into::into).collect());
        self
    }

    /// Lets it have these entities, by their ids. Not for an external group.
    pub fn with_member_entities<I: IntoIterator<Item: Into<String>>>(mut self, ids: I) -> Self {
        self.member_entity_ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Lets it have the members of these groups, by their ids: so one internal group has the people of several external
    /// ones.
    pub fn with_member_groups<I: IntoIterator<Item: Into<String>>>(mut self, ids: I) -> Self {
        self.member_group_ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Notes something on it, in place of all that was noted before the first note of these settings.
    pub fn with_metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.get_or_insert_default().insert(name.into(), text.into());
        self
    }
}

/// `GET identity/group/name/<name>` and `identity/group/id/<id>`: a group; `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group#read-group-by-name>
#[derive(Clone, Debug)]
pub struct ReadGroup {
    path: String,
}

impl ReadGroup {
    /// Reads the group of that name. Fails with [`Error::InvalidPath`].
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group/name", name)? })
    }

    /// Reads the group of that id. Fails with [`Error::InvalidPath`].
    pub fn by_id(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group/id", id)? })
    }
}

impl Exchange for ReadGroup {
    type Output = Option<Group>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<Group>, Error> {
        reply::thing(&reply, "a group")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST identity/group/name/<name>`: makes a group, or changes one. Returns the id of one that was made.
///
/// A second one changes what the first made into the same, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::InvalidRequest`] where a group of that name is of the other kind, or an external one is given members.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group#create-update-group-by-name>
#[derive(Clone, Debug)]
pub struct WriteGroup {
    path: String,
    body: Body,
}

impl WriteGroup {
    /// Writes settings of the group of that name. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str, settings: &GroupSettings) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group/name", name)?, body: reply::json(settings)? })
    }
}

impl Exchange for WriteGroup {
    type Output = Option<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<String>, Error> {
        made(&reply, "a group")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE identity/group/name/<name>` and `identity/group/id/<id>`: removes a group with its alias.
///
/// That there is none is no error, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group#delete-group-by-name>
#[derive(Clone, Debug)]
pub struct DeleteGroup {
    path: String,
}

impl DeleteGroup {
    /// Removes the group of that name. Fails with [`Error::InvalidPath`].
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group/name", name)? })
    }

    /// Removes the group of that id. Fails with [`Error::InvalidPath`].
    pub fn by_id(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group/id", id)? })
    }
}

impl Exchange for DeleteGroup {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET identity/group/name?list=true`: the names of the groups; none is an empty list.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group#list-groups-by-name>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListGroups;

impl Exchange for ListGroups {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/identity/group/name?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(alias: &str) -> Group {
        let body = format!(
            r#"{{"request_id":"a","data":{{"alias":{alias},"id":"g1","member_entity_ids":null,"member_group_ids":null,
            "metadata":null,"modify_index":1,"name":"ext","policies":["r"],"type":"external"}}}}"#
        );
        ReadGroup::by_name("ext").unwrap().receive(Reply::new(200, body)).unwrap().unwrap()
    }

    #[test]
    fn a_group_has_one_alias_or_none() {
        let with = group(
            r#"{"canonical_id":"g1","id":"a1","metadata":null,"mount_accessor":"auth_jwt_1","mount_path":"auth/jwt/","mount_type":"jwt","name":"reader"}"#,
        );
        let alias = with.alias.unwrap();
        assert_eq!((alias.name.as_str(), alias.group_id.as_str()), ("reader", "g1"));
        assert_eq!((with.kind, with.policies), (GroupKind::External, vec!["r".to_owned()]));
        assert!(group("{}").alias.is_none() && group("null").alias.is_none());
    }

    #[test]
    fn a_group_is_written_with_its_kind() {
        let write = WriteGroup::new("ext", &GroupSettings::external().with_policies(["r"])).unwrap();
        assert_eq!(write.request().path(), "/v1/identity/group/name/ext");
        assert_eq!(
            write.request().body().unwrap().expose_secret(),
            br#"{"type":"external","policies":["r"]}"#
        );
        assert_eq!(write.clone().receive(Reply::new(204, "")).unwrap(), None);
        let changed = Reply::new(400, r#"{"errors":["group type cannot be changed"]}"#);
        assert_eq!(write.receive(changed).unwrap_err().code(), "vault_invalid_request");
    }
}
