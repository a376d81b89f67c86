//! Token roles: what tokens may be made by whom.

use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::reply::{self, Envelope, JSON, LIST_LIMIT};
use crate::{Error, PathPart, duration};

/// A token role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Role {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The policies that its tokens may have; without any here and below, those of the token that makes them.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_policies: Vec<String>,
    /// The same with `*` in them.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_policies_glob: Vec<String>,
    /// The policies that its tokens may not have.
    #[serde(default, deserialize_with = "reply::list")]
    pub disallowed_policies: Vec<String>,
    /// The aliases at the token mount that its tokens may stand for.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_entity_aliases: Vec<String>,
    /// Whether its tokens have no parent.
    #[serde(default)]
    pub orphan: bool,
    /// Whether its tokens can be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// What its tokens are renewed by; `None` where they are not periodic.
    #[serde(default, rename = "token_period", deserialize_with = "duration::optional_seconds")]
    pub period: Option<Duration>,
    /// The longest life of its tokens; `None` where only the mount's limit counts.
    #[serde(default, rename = "token_explicit_max_ttl", deserialize_with = "duration::optional_seconds")]
    pub explicit_max_ttl: Option<Duration>,
    /// Whether its tokens go without the policy `default`.
    #[serde(default, rename = "token_no_default_policy")]
    pub no_default_policy: bool,
}

/// Settings of a token role. What is not set stays as it is; at first, as the server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoleSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_policies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_policies_glob: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disallowed_policies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_entity_aliases: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orphan: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_explicit_max_ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_no_default_policy: Option<bool>,
}

impl RoleSettings {
    /// Lets its tokens have these policies.
    pub fn with_allowed_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.allowed_policies = Some(texts(policies));
        self
    }

    /// Lets its tokens have policies whose names fit one of these, with `*` in them.
    pub fn with_allowed_policies_glob<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.allowed_policies_glob = Some(texts(policies));
        self
    }

    /// Lets its tokens not have these policies.
    pub fn with_disallowed_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.disallowed_policies = Some(texts(policies));
        self
    }

    /// Lets its tokens stand for the entities with these aliases at the token mount; `*` may be in them.
    pub fn with_allowed_entity_aliases<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.allowed_entity_aliases = Some(texts(names));
        self
    }

    /// Says whether its tokens have no parent.
    pub fn with_orphan(mut self, orphan: bool) -> Self {
        self.orphan = Some(orphan);
        self
    }

    /// Says whether its tokens can be renewed.
    pub fn with_renewable(mut self, renewable: bool) -> Self {
        self.renewable = Some(renewable);
        self
    }

    /// Makes its tokens periodic, in whole seconds; zero means that they are not.
    pub fn with_period(mut self, period: Duration) -> Self {
        self.token_period = Some(duration::written(period));
        self
    }

    /// Lets its tokens live no longer than that, in whole seconds; zero means that only the mount's limit counts.
    pub fn with_explicit_max_ttl(mut self, ttl: Duration) -> Self {
        self.token_explicit_max_ttl = Some(duration::written(ttl));
        self
    }

    /// Says whether its tokens go without the policy `default`.
    pub fn with_no_default_policy(mut self, without: bool) -> Self {
        self.token_no_default_policy = Some(without);
        self
    }
}

fn texts<I: IntoIterator<Item: Into<String>>>(texts: I) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

/// `GET auth/token/roles/<name>`: a token role; `None` where there is none.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#read-token-role>
#[derive(Clone, Debug)]
pub struct ReadRole {
    path: String,
}

impl ReadRole {
    /// Reads a role. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str) -> Result<Self, Error> {
        Ok(Self { path: role_path(name)? })
    }
}

impl Exchange for ReadRole {
    type Output = Option<Role>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, self.path.clone())
    }

    fn receive(self, reply: Reply) -> Result<Option<Role>, Error> {
        const WANTED: &str = "a token role";
        if reply.status() == 404 && reply::is_absence(&reply) {
            return Ok(None);
        }
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        envelope.data_as().map(Some).ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET auth/token/roles?list=true`: the names of the token roles.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#list-token-roles>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListRoles;

impl Exchange for ListRoles {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/auth/token/roles?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST auth/token/roles/<name>`: makes a token role, or changes one.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role>
#[derive(Clone, Debug)]
pub struct WriteRole {
    path: String,
    body: Body,
}

impl WriteRole {
    /// Writes settings of a role. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str, settings: &RoleSettings) -> Result<Self, Error> {
        Ok(Self { path: role_path(name)?, body: reply::json(settings)? })
    }
}

impl Exchange for WriteRole {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE auth/token/roles/<name>`: removes a token role.
///
/// A second one does no more than the first, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#delete-token-role>
#[derive(Clone, Debug)]
pub struct DeleteRole {
    path: String,
}

impl DeleteRole {
    /// Removes a role. Fails with [`Error::InvalidPath`].
    pub fn new(name: &str) -> Result<Self, Error> {
        Ok(Self { path: role_path(name)? })
    }
}

impl Exchange for DeleteRole {
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

/// `POST auth/token/tidy`: lets the server remove leftovers of tokens.
///
/// A second one finds less to do, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#tidy-tokens>
#[derive(Clone, Copy, Debug, Default)]
pub struct TidyTokens;

impl Exchange for TidyTokens {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/auth/token/tidy")
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

fn role_path(name: &str) -> Result<String, Error> {
    let path = Path::with_room(name.len() + "/auth/token/roles/".len())
        .literal("/auth/token/roles")
        .segment(PathPart::Role, name)?;
    Ok(path.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_told_whatever_is_null_in_it() {
        let body = r#"{"request_id":"a","data":{"allowed_entity_aliases":null,"allowed_policies":["a","default"],
            "allowed_policies_glob":[],"disallowed_policies":[],"explicit_max_ttl":0,"name":"r1","orphan":true,
            "path_suffix":"","period":0,"renewable":true,"token_explicit_max_ttl":0,"token_no_default_policy":false,
            "token_period":3600,"token_type":"default-service"}}"#;
        let role = ReadRole::new("r1").unwrap().receive(Reply::new(200, body)).unwrap().unwrap();
        assert_eq!((role.name.as_str(), role.orphan, role.renewable), ("r1", true, true));
        assert_eq!(role.allowed_policies, ["a", "default"]);
        assert!(role.allowed_entity_aliases.is_empty());
        assert_eq!((role.period, role.explicit_max_ttl), (Some(Duration::from_secs(3600)), None));
        let none = ReadRole::new("r1").unwrap().receive(Reply::new(404, r#"{"errors":[]}"#)).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn only_what_is_set_is_changed() {
        let settings =
            RoleSettings::default().with_allowed_policies(["a"]).with_period(Duration::from_secs(60));
        let write = WriteRole::new("a b", &settings).unwrap();
        assert_eq!(write.request().path(), "/v1/auth/token/roles/a%20b");
        let body = r#"{"allowed_policies":["a"],"token_period":"60s"}"#;
        assert_eq!(write.request().body().unwrap().expose_secret(), body.as_bytes());
        assert!(WriteRole::new("../a", &settings).is_err());
    }
}
