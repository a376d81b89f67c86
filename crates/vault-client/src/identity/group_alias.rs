//! The alias of an external group: what the auth method calls it.

use std::collections::BTreeMap;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use super::entity::path;
use super::key_info;
use crate::Error;
use crate::reply::{self, JSON, LIST_LIMIT};

/// What an auth method calls an external group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct GroupAlias {
    /// Its id; empty in a list, where it is the key.
    #[serde(default)]
    pub id: String,
    /// The name itself: what stands in the role's groups claim.
    pub name: String,
    /// The id of the group.
    #[serde(default, rename = "canonical_id")]
    pub group_id: String,
    /// The accessor of the auth method.
    pub mount_accessor: String,
    /// The path of the auth method, `auth/jwt/`.
    #[serde(default)]
    pub mount_path: String,
    /// The type of the auth method.
    #[serde(default)]
    pub mount_type: String,
}

/// `POST identity/group-alias`: gives an external group an alias, **in place of** the one that it has: whoever came by
/// that one loses the group's policies. [`Identity::add_group_alias`](super::Identity::add_group_alias) looks first.
///
/// A second one fails because of the first, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]). Fails with [`Error::InvalidRequest`] where there is no such group or auth method, where the
/// group is internal, or where a group has that alias already.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group-alias#create-a-group-alias>
#[derive(Clone, Debug)]
pub struct ReplaceGroupAlias {
    body: Body,
}

impl ReplaceGroupAlias {
    /// Gives the group of that id a name at the auth method with that accessor.
    pub fn new(group_id: &str, mount_accessor: &str, name: &str) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            name: &'a str,
            mount_accessor: &'a str,
            canonical_id: &'a str,
        }
        Ok(Self { body: reply::json(&Fields { name, mount_accessor, canonical_id: group_id })? })
    }
}

impl Exchange for ReplaceGroupAlias {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/identity/group-alias").with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `DELETE identity/group-alias/id/<id>`: removes the alias of an external group, which then has no members.
///
/// That there is none is no error, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group-alias#delete-group-alias-by-id>
#[derive(Clone, Debug)]
pub struct DeleteGroupAlias {
    path: String,
}

impl DeleteGroupAlias {
    /// Removes the alias of that id. Fails with [`Error::InvalidPath`].
    pub fn new(id: &str) -> Result<Self, Error> {
        Ok(Self { path: path("/identity/group-alias/id", id)? })
    }
}

impl Exchange for DeleteGroupAlias {
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

/// `GET identity/group-alias/id?list=true`: the aliases of all external groups, by their ids; none is an empty map.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/secret/identity/group-alias#list-group-aliases-by-id>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListGroupAliases;

impl Exchange for ListGroupAliases {
    type Output = BTreeMap<String, GroupAlias>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/identity/group-alias/id?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Self::Output, Error> {
        key_info(&reply, "the aliases of groups")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vault;
    use crate::script::script;

    fn group(alias: &str) -> Reply {
        let body = format!(
            r#"{{"request_id":"a","data":{{"alias":{alias},"id":"g1","name":"ext","policies":["r"],"type":"external"}}}}"#
        );
        Reply::new(200, body)
    }

    const READER: &str =
        r#"{"id":"a1","mount_accessor":"auth_jwt_1","mount_path":"auth/jwt/","name":"reader"}"#;

    #[tokio::test(flavor = "current_thread")]
    async fn a_second_alias_is_refused_unless_it_is_told_to_take_the_first_ones_place() {
        let script = script([
            Ok(group("{}")),
            Ok(Reply::new(200, r#"{"request_id":"a","data":{"canonical_id":"g1","id":"a1"}}"#)),
            Ok(group(READER)),
            Ok(group(READER)),
            Ok(group(READER)),
            Ok(Reply::new(200, r#"{"request_id":"a","data":{"canonical_id":"g1","id":"a2"}}"#)),
            Ok(group(READER)),
            Ok(Reply::new(404, r#"{"errors":[]}"#)),
        ]);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let identity = vault.identity();
        identity.add_group_alias("ext", "auth_jwt_1", "reader").await.unwrap();
        identity.add_group_alias("ext", "auth_jwt_1", "reader").await.unwrap();
        assert_eq!(script.sent().len(), 3, "what is there is not written again");
        let error = identity.add_group_alias("ext", "auth_oidc_1", "reader").await.unwrap_err();
        assert_eq!(error.to_string(), r#"the group "ext" has the alias "reader" of auth/jwt/ already"#);
        assert_eq!((error.code(), script.sent().len()), ("vault_alias_taken", 4));
        identity.replace_group_alias("ext", "auth_oidc_1", "reader").await.unwrap();
        identity.replace_group_alias("ext", "auth_jwt_1", "reader").await.unwrap();
        assert_eq!(script.sent().len(), 7);
        let error = identity.add_group_alias("none", "auth_jwt_1", "reader").await.unwrap_err();
        assert_eq!(error.code(), "vault_not_found");
    }

    #[test]
    fn an_alias_that_replaces_another_is_not_repeated_lightly() {
        let write = ReplaceGroupAlias::new("g1", "auth_jwt_1", "reader").unwrap();
        assert_eq!(write.replay(), Replay::AfterRefusal);
        let body = r#"{"name":"reader","mount_accessor":"auth_jwt_1","canonical_id":"g1"}"#;
        assert_eq!(write.request().body().unwrap().expose_secret(), body.as_bytes());
        let list = ListGroupAliases.receive(Reply::new(
            200,
            format!(r#"{{"data":{{"key_info":{{"a1":{READER}}},"keys":["a1"]}}}}"#),
        ));
        assert_eq!(list.unwrap()["a1"].name, "reader");
    }
}
