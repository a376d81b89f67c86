//! Aliases of entities: the names that they log in by.

use std::collections::BTreeMap;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use super::entity::path;
use super::key_info;
use crate::Error;
use crate::reply::{self, JSON, LIST_LIMIT};

/// The name that an entity has at an auth method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct EntityAlias {
    /// Its id; empty in a list, where it is the key.
    #[serde(default)]
    pub id: String,
    /// The name itself: what the role's user claim says, or the name at userpass.
    pub name: String,
    /// The id of the entity.
    #[serde(default, rename = "canonical_id")]
    pub entity_id: String,
    /// The accessor of the auth method.
    pub mount_accessor: String,
    /// The path of the auth method, `auth/jwt/`.
    #[serde(default)]
    pub mount_path: String,
    /// The type of the auth method.
    #[serde(default)]
    pub mount_type: String,
    /// What the auth method noted at the last login.
    #[serde(default, deserialize_with = "reply::map")]
    pub metadata: BTreeMap<String, String>,
}

/// `POST identity/entity-alias`: gives an entity an alias. One that another entity has **moves** to this one.
///
/// A second one does no more than the first, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::InvalidRequest`] where there is no such entity or auth method, or where the entity has another alias there.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity-alias#create-an-entity-alias>
#[derive(Clone, Debug)]
pub struct WriteEntityAlias {
    body: Body,
}

impl WriteEntityAlias {
    /// Gives the entity of that id a name at the auth method with that accessor.
    pub fn new(entity_id: &str, mount_accessor: &str, name: &str) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            name: &'a str,
            mount_accessor: &'a str,
            canonical_id: &'a str,
        }
        Ok(Self { body: reply::json(&Fields { name, mount_accessor, canonical_id: entity_id })? })
    }
}

impl Exchange for WriteEntityAlias {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/identity/entity-alias").with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE identity/entity-alias/id/<id>`: removes an alias of an entity.
///
/// That there is none is no error, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity-alias#delete-entity-alias-by-id>
#[derive(Clone, Debug)]
pub struct DeleteEntityAlias {
    path: String,
}

impl DeleteEntityAlias {
    /// Removes the alias of that id. Fails with [`Error::InvalidPath`].
    pub fn new(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/entity-alias/id", id)? })
    }
}

impl Exchange for DeleteEntityAlias {
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

/// `GET identity/entity-alias/id?list=true`: the aliases of all entities, by their ids; none is an empty map.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/entity-alias#list-entity-aliases-by-id>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListEntityAliases;

impl Exchange for ListEntityAliases {
    type Output = BTreeMap<String, EntityAlias>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/identity/entity-alias/id?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Self::Output, Error> {
        key_info(&reply, "the aliases of entities")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_told_by_their_ids() {
        let body = r#"{"request_id":"a","data":{"key_info":{"a1":{"canonical_id":"e1","custom_metadata":{},"local":false,
            "metadata":null,"mount_accessor":"auth_jwt_1","mount_path":"auth/jwt/","mount_type":"jwt","name":"al"}},
            "keys":["a1"]}}"#;
        let aliases = ListEntityAliases.receive(Reply::new(200, body)).unwrap();
        assert_eq!((aliases.len(), aliases["a1"].entity_id.as_str()), (1, "e1"));
        let none = ListEntityAliases.receive(Reply::new(404, r#"{"errors":[]}"#)).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn an_alias_names_entity_and_method() {
        let write = WriteEntityAlias::new("e1", "auth_jwt_1", "al").unwrap();
        let body = r#"{"name":"al","mount_accessor":"auth_jwt_1","canonical_id":"e1"}"#;
        assert_eq!(write.request().body().unwrap().expose_secret(), body.as_bytes());
        assert!(write.receive(Reply::new(204, "")).is_ok());
        assert_eq!(DeleteEntityAlias::new("a1").unwrap().request().path(), "/v1/identity/entity-alias/id/a1");
    }
}
