//! Entities: people and programs, whatever they log in by.

use std::collections::BTreeMap;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use super::{EntityAlias, made};
use crate::path::Path;
use crate::reply::{self, JSON, LIST_LIMIT};
use crate::{Error, PathPart};

/// A person or a program. Times are as the server writes them (RFC 3339).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Entity {
    /// Its id, which never changes.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The policies of the entity itself, in small letters; those of its groups come on top.
    #[serde(default, deserialize_with = "reply::list")]
    pub policies: Vec<String>,
    /// What people have noted on it.
    #[serde(default, deserialize_with = "reply::map")]
    pub metadata: BTreeMap<String, String>,
    /// Whether its tokens are taken at all.
    #[serde(default)]
    pub disabled: bool,
    /// The names that it logs in by, one for each auth method.
    #[serde(default)]
    pub aliases: Vec<EntityAlias>,
    /// The ids of the groups that it is in, by itself or through other groups.
    #[serde(default, deserialize_with = "reply::list")]
    pub group_ids: Vec<String>,
    /// When it was made.
    #[serde(default)]
    pub creation_time: String,
    /// When it was last changed.
    #[serde(default)]
    pub last_update_time: String,
}

/// Settings of an entity. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EntitySettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
}

impl EntitySettings {
    /// Gives it these policies, whatever it logs in by. Servers write them in small letters.
    pub fn with_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.policies = Some(policies.into_iter().map(Into::into).collect());
        self
    }

    /// Notes something on it, in place of all that was noted before the first note of these settings.
    pub fn with_metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.get_or_insert_default().insert(name.into(), text.into());
        self
    }

    /// Says whether its tokens are refused.
    pub fn with_disabled(mut self, disabled: bool) -> Self {
        self.disabled = Some(disabled);
        self
    }
}

/// `GET identity/entity/name/<name>` and `identity/entity/id/<id>`: an entity; `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity#read-entity-by-name>
#[derive(Clone, Debug)]
pub struct ReadEntity {
    path: String,
}

impl ReadEntity {
    /// Reads the entity of that name. Fails with [`Error::InvalidPath`].
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity/name", name)? })
    }

    /// Reads the entity of that id. Fails with [`Error::InvalidPath`].
    pub fn by_id(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity/id", id)? })
    }
}

impl Exchange for ReadEntity {
    type Output = Option<Entity>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<Entity>, Error> {
        reply::thing(&reply, "an entity")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST identity/lookup/entity`: the entity with a certain alias; `None` where there is none.
///
/// It changes nothing, although it is a `POST`, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/lookup#lookup-an-entity>
#[derive(Clone, Debug)]
pub struct LookupEntity {
    body: Body,
}

impl LookupEntity {
    /// Finds the entity whose alias at the auth method with that accessor has that name.
    pub fn by_alias(mount_accessor: &str, alias: &str) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            alias_name: &'a str,
            alias_mount_accessor: &'a str,
        }
        let fields = Fields { alias_name: alias, alias_mount_accessor: mount_accessor };
        Ok(Self { body: reply::json(&fields)? })
    }
}

impl Exchange for LookupEntity {
    type Output = Option<Entity>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/identity/lookup/entity").with_body(JSON, self.body.clone())
    }

    /// Where there is none servers answer 204.
    fn receive(self, reply: Reply) -> Result<Option<Entity>, Error> {
        if reply.status() == 204 { Ok(None) } else { reply::thing(&reply, "an entity") }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST identity/entity/name/<name>`: makes an entity, or changes one. Returns the id of one that was made.
///
/// A second one changes what the first made into the same, so it is repeated freely ([`Replay::Safe`]). Fails as every
/// call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity#create-update-entity-by-name>
#[derive(Clone, Debug)]
pub struct WriteEntity {
    path: String,
    body: Body,
}

impl WriteEntity {
    /// Writes settings of the entity of that name. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str, settings: &EntitySettings) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity/name", name)?, body: reply::json(settings)? })
    }
}

impl Exchange for WriteEntity {
    type Output = Option<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<String>, Error> {
        made(&reply, "an entity")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE identity/entity/name/<name>` and `identity/entity/id/<id>`: removes an entity with its aliases.
///
/// That there is none is no error, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity#delete-entity-by-name>
#[derive(Clone, Debug)]
pub struct DeleteEntity {
    path: String,
}

impl DeleteEntity {
    /// Removes the entity of that name. Fails with [`Error::InvalidPath`].
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity/name", name)? })
    }

    /// Removes the entity of that id. Fails with [`Error::InvalidPath`].
    pub fn by_id(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity/id", id)? })
    }
}

impl Exchange for DeleteEntity {
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

/// `GET identity/entity/name?list=true`: the names of the entities; none is an empty list.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity#list-entities-by-name>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListEntities;

impl Exchange for ListEntities {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/identity/entity/name?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Names may have slashes in them, as those of service accounts have.
pub(super) fn path(above: &'static str, name: &str) -> Result<String, Error> {
    let path = Path::with_room(above.len() + "/".len() + name.len()).literal(above);
    Ok(path.segments(PathPart::Name, name)?.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = r#"{"request_id":"a","data":{"aliases":[{"canonical_id":"e1","custom_metadata":{},"id":"a1",
        "local":false,"metadata":null,"mount_accessor":"auth_jwt_1","mount_path":"auth/jwt/","mount_type":"jwt",
        "name":"al"}],"creation_time":"2026-01-01T00:00:00Z","disabled":true,"group_ids":["g1"],"id":"e1",
        "metadata":{"k":"v"},"name":"Alice","policies":["a","b"]}}"#;

    #[test]
    fn an_entity_is_told_with_its_aliases() {
        let read = ReadEntity::by_name("Alice B").unwrap();
        assert_eq!(read.request().path(), "/v1/identity/entity/name/Alice%20B");
        let entity = read.receive(Reply::new(200, ALICE)).unwrap().unwrap();
        assert_eq!((entity.id.as_str(), entity.disabled, entity.metadata["k"].as_str()), ("e1", true, "v"));
        assert_eq!(
            (entity.aliases[0].name.as_str(), entity.aliases[0].mount_path.as_str()),
            ("al", "auth/jwt/")
        );
        assert_eq!((entity.policies, entity.group_ids), (vec!["a".into(), "b".into()], vec!["g1".into()]));
        let none = ReadEntity::by_id("e2").unwrap().receive(Reply::new(404, r#"{"errors":[]}"#)).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn nobody_with_that_alias_is_an_empty_answer() {
        let lookup = LookupEntity::by_alias("auth_jwt_1", "al").unwrap();
        let body = r#"{"alias_name":"al","alias_mount_accessor":"auth_jwt_1"}"#;
        assert_eq!(lookup.request().body().unwrap().expose_secret(), body.as_bytes());
        assert!(lookup.clone().receive(Reply::new(204, "")).unwrap().is_none());
        assert_eq!(lookup.receive(Reply::new(200, ALICE)).unwrap().unwrap().id, "e1");
    }

    #[test]
    fn an_entity_is_made_once_and_then_changed() {
        let settings = EntitySettings::default().with_policies(["a"]).with_metadata("k", "v");
        let write = WriteEntity::new("alice", &settings).unwrap();
        let body = r#"{"policies":["a"],"metadata":{"k":"v"}}"#;
        assert_eq!(write.request().body().unwrap().expose_secret(), body.as_bytes());
        let made = r#"{"request_id":"a","data":{"aliases":null,"id":"e1","name":"alice"}}"#;
        assert_eq!(write.clone().receive(Reply::new(200, made)).unwrap().as_deref(), Some("e1"));
        assert_eq!(write.clone().receive(Reply::new(204, "")).unwrap(), None);
        assert_eq!(write.receive(Reply::new(200, "{}")).unwrap_err().code(), "vault_malformed_reply");
        for name in ["", "a//b", "..", "a/../b", "a\n"] {
            assert!(WriteEntity::new(name, &settings).is_err(), "{name:?}");
        }
    }
}
