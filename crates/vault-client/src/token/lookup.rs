//! What a server knows of a token.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Deserialize;

use super::{about_the_named, naming, naming_accessor};
use crate::login::uses_left;
use crate::messages::Messages;
use crate::reply::{self, Envelope, JSON, LIST_LIMIT};
use crate::{Error, Lease, Login, Token, TokenType};

/// What the server knows of a token.
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The accessor: names the token without being it, and may be logged.
    pub accessor: String,
    /// How long it lives.
    pub lease: Lease,
    /// The longest life that it may have, counted from when it was made; `None` where only the mount's limit counts.
    pub explicit_max_ttl: Option<Duration>,
    /// The span by which a periodic token is renewed.
    pub period: Option<Duration>,
    /// When it ends, as the server writes it (RFC 3339); `None` where it does not.
    pub expire_time: Option<String>,
    /// When it was made, in seconds since 1970 by the server's clock.
    pub creation_time: u64,
    /// How many uses are left after this one; `None` where they are not counted.
    pub num_uses: Option<u64>,
    /// The policies of the token itself.
    pub policies: Vec<String>,
    /// The policies that come from the entity and its groups.
    pub identity_policies: Vec<String>,
    /// The entity that the token stands for; empty where there is none.
    pub entity_id: String,
    /// A name for people.
    pub display_name: String,
    /// The path by which it was made, such as `auth/oidc/oidc/callback`.
    pub path: String,
    /// Whether it has no parent that takes it along when revoked.
    pub orphan: bool,
    /// Its kind.
    pub token_type: TokenType,
    /// What the auth method noted about it.
    pub metadata: BTreeMap<String, String>,
}

/// Leaves out what names a person: `display_name` and the values of `metadata`.
impl fmt::Debug for TokenInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenInfo")
            .field("accessor", &self.accessor)
            .field("lease", &self.lease)
            .field("explicit_max_ttl", &self.explicit_max_ttl)
            .field("period", &self.period)
            .field("expire_time", &self.expire_time)
            .field("num_uses", &self.num_uses)
            .field("policies", &self.policies)
            .field("identity_policies", &self.identity_policies)
            .field("path", &self.path)
            .field("orphan", &self.orphan)
            .field("token_type", &self.token_type)
            .field("metadata", &self.metadata.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl TokenInfo {
    /// Returns the token with what is known of it.
    pub(super) fn into_login(self, token: &Token) -> Login {
        let mut policies = self.policies.clone();
        policies.extend(self.identity_policies.iter().filter(|name| !self.policies.contains(name)).cloned());
        Login {
            token: token.clone(),
            accessor: self.accessor,
            policies,
            token_policies: self.policies,
            identity_policies: self.identity_policies,
            metadata: self.metadata,
            lease: self.lease,
            entity_id: self.entity_id,
            orphan: self.orphan,
            token_type: self.token_type,
            num_uses: self.num_uses,
            warnings: Messages::default(),
        }
    }

    fn receive(reply: &Reply, sent: &[&Secret]) -> Result<Self, Error> {
        const WANTED: &str = "what a server knows of a token";
        let envelope = Envelope::read(reply, sent, WANTED)?;
        let info = envelope.data_as::<TokenInfoReply<'_>>();
        info.map(TokenInfoReply::into_info).ok_or_else(|| reply::malformed(reply, WANTED))
    }
}

/// `GET auth/token/lookup-self`
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::TokenInvalid`] or
/// [`Error::PermissionDenied`] where the token is dead.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self>
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupSelf;

impl Exchange for LookupSelf {
    type Output = TokenInfo;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/auth/token/lookup-self")
    }

    fn receive(self, reply: Reply) -> Result<TokenInfo, Error> {
        TokenInfo::receive(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST auth/token/lookup` and `POST auth/token/lookup-accessor`: what a server knows of another token.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::UnknownToken`] where there is
/// none.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token>
#[derive(Clone, Debug)]
pub struct LookupToken {
    path: &'static str,
    body: Body,
    token: Option<Secret>,
}

impl LookupToken {
    /// Asks by the token itself.
    pub fn new(token: &Token) -> Result<Self, Error> {
        Ok(Self {
            path: "/v1/auth/token/lookup",
            body: naming(token, None)?,
            token: Some(token.secret().clone()),
        })
    }

    /// Asks by the token's accessor.
    pub fn by_accessor(accessor: &str) -> Result<Self, Error> {
        let body = naming_accessor(accessor, None)?;
        Ok(Self { path: "/v1/auth/token/lookup-accessor", body, token: None })
    }
}

impl Exchange for LookupToken {
    type Output = TokenInfo;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<TokenInfo, Error> {
        let sent: Vec<&Secret> = self.token.iter().collect();
        TokenInfo::receive(&reply, &sent).map_err(about_the_named)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET auth/token/accessors?list=true`: the accessors of all tokens.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::PermissionDenied`] where the
/// token has no `sudo` there.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#list-accessors>
#[derive(Clone, Copy, Debug, Default)]
pub struct ListAccessors;

impl Exchange for ListAccessors {
    type Output = Vec<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/auth/token/accessors/?list=true").with_reply_limit(LIST_LIMIT)
    }

    fn receive(self, reply: Reply) -> Result<Vec<String>, Error> {
        reply::keys(&reply)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

#[derive(Deserialize)]
struct TokenInfoReply<'a> {
    accessor: String,
    ttl: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    explicit_max_ttl: u64,
    #[serde(default)]
    period: u64,
    #[serde(default)]
    expire_time: Option<String>,
    #[serde(default)]
    creation_time: u64,
    #[serde(default)]
    num_uses: i64,
    #[serde(default)]
    policies: Option<Vec<String>>,
    #[serde(default)]
    identity_policies: Option<Vec<String>>,
    #[serde(default)]
    entity_id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    orphan: bool,
    #[serde(default, rename = "type")]
    token_type: &'a str,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

impl TokenInfoReply<'_> {
    fn into_info(self) -> TokenInfo {
        let span = |seconds| (seconds > 0).then(|| Duration::from_secs(seconds));
        TokenInfo {
            accessor: self.accessor,
            lease: Lease::new(self.ttl, self.renewable),
            explicit_max_ttl: span(self.explicit_max_ttl),
            period: span(self.period),
            expire_time: self.expire_time,
            creation_time: self.creation_time,
            num_uses: uses_left(self.num_uses),
            policies: self.policies.unwrap_or_default(),
            identity_policies: self.identity_policies.unwrap_or_default(),
            entity_id: self.entity_id,
            display_name: self.display_name,
            path: self.path,
            orphan: self.orphan,
            token_type: TokenType::from(self.token_type),
            metadata: self.meta.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_knows_of_a_root_token() {
        let body = r#"{"data":{"accessor":"acc","creation_time":1795400823,"creation_ttl":0,"display_name":"token",
            "entity_id":"","expire_time":null,"explicit_max_ttl":0,"id":"hush","meta":null,"num_uses":0,"orphan":true,
            "path":"auth/token/create","policies":["root"],"renewable":false,"ttl":0,"type":"service"}}"#;
        let info = LookupSelf.receive(Reply::new(200, body)).unwrap();
        assert_eq!(info.lease.time_to_live(), None, "a lease of zero does not end");
        assert_eq!(
            (info.accessor.as_str(), info.policies.as_slice()),
            ("acc", ["root".to_owned()].as_slice())
        );
        assert_eq!(
            (info.token_type.clone(), info.explicit_max_ttl, info.period),
            (TokenType::Service, None, None)
        );
        assert!(!format!("{info:?}").contains("hush"));
    }

    #[test]
    fn what_the_server_knows_of_a_periodic_token() {
        let body = r#"{"data":{"accessor":"acc","creation_time":1,"expire_time":"2026-11-23T03:27:08Z","id":"s.x",
            "explicit_max_ttl":8,"period":4,"num_uses":2,"policies":["default"],"identity_policies":["reader"],
            "renewable":true,"ttl":3,"type":"batch","meta":{"role":"a"}}}"#;
        let info = LookupSelf.receive(Reply::new(200, body)).unwrap();
        assert_eq!(info.lease, Lease::new(3, true));
        assert_eq!(info.period, Some(Duration::from_secs(4)));
        assert_eq!(info.explicit_max_ttl, Some(Duration::from_secs(8)));
        assert_eq!((info.num_uses, info.token_type), (Some(2), TokenType::Batch));
        assert_eq!(info.metadata["role"], "a");
    }

    #[test]
    fn uses_are_counted_down_to_the_last_one() {
        let left = |num_uses: i64| {
            let body = format!(r#"{{"data":{{"accessor":"acc","ttl":60,"num_uses":{num_uses}}}}}"#);
            LookupSelf.receive(Reply::new(200, body)).unwrap().num_uses
        };
        assert_eq!(
            (left(0), left(1), left(-1)),
            (None, Some(1), Some(0)),
            "-1 is how servers write the last use"
        );
    }

    #[test]
    fn another_token_is_named_in_the_body() {
        let lookup = LookupToken::new(&Token::new("s.hush").unwrap()).unwrap();
        assert_eq!(lookup.request().path(), "/v1/auth/token/lookup");
        assert_eq!(lookup.request().body().unwrap().expose_secret(), br#"{"token":"s.hush"}"#);
        assert!(!format!("{lookup:?}").contains("hush"));
        let lookup = LookupToken::by_accessor("acc").unwrap();
        assert_eq!(lookup.request().path(), "/v1/auth/token/lookup-accessor");
        assert_eq!(lookup.request().body().unwrap().expose_secret(), br#"{"accessor":"acc"}"#);
    }

    #[test]
    fn that_another_token_is_dead_says_nothing_of_ones_own() {
        let lookup = || LookupToken::by_accessor("acc").unwrap();
        for (status, said) in [(403, "bad token"), (400, r"1 error occurred:\n\t* invalid accessor\n\n")] {
            let error =
                lookup().receive(Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#))).unwrap_err();
            assert_eq!((error.code(), error.is_token_dead()), ("vault_unknown_token", Some(false)));
        }
        let own = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
        assert_eq!(lookup().receive(Reply::new(403, own)).unwrap_err().is_token_dead(), Some(true));
    }

    #[test]
    fn a_token_that_was_looked_up_is_a_login() {
        let body = r#"{"data":{"accessor":"acc","ttl":60,"policies":["a","b"],"identity_policies":["b","c"],"orphan":true,
            "type":"service"}}"#;
        let info = LookupSelf.receive(Reply::new(200, body)).unwrap();
        let login = info.into_login(&Token::new("s.x").unwrap());
        assert_eq!(login.policies, ["a", "b", "c"]);
        assert_eq!((login.token().expose_secret(), login.lease), ("s.x", Lease::new(60, false)));
    }
}
