//! Making tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::Serialize;

use crate::login::AuthReply;
use crate::path::Path;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Login, PathPart, TokenType, duration};

/// What a token is to be like. What is not set is as the server, or the role, has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenRequest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explicit_max_ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_uses: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_alias: Option<String>,
    #[serde(rename = "meta", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl TokenRequest {
    /// Gives it these policies. Without any it gets those of the token that makes it: rarely what is meant.
    pub fn with_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.policies = policies.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves out the policy `default`, which every token has otherwise. Operators widen it; and then a token that was
    /// made for one path reads others. Its own policies must then allow it to look itself up and to renew itself.
    pub fn without_default_policy(mut self) -> Self {
        self.no_default_policy = true;
        self
    }

    /// Lets it live that long at first, in whole seconds.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(duration::written(ttl));
        self
    }

    /// Lets it live no longer than that however often it is renewed, in whole seconds from when it is made.
    pub fn with_explicit_max_ttl(mut self, ttl: Duration) -> Self {
        self.explicit_max_ttl = Some(duration::written(ttl));
        self
    }

    /// Makes it periodic: each renewal gives it that span, in whole seconds, and it may be renewed for ever. Servers let
    /// only the mightiest tokens ask for it; a role may give it to others.
    pub fn with_period(mut self, period: Duration) -> Self {
        self.period = Some(duration::written(period));
        self
    }

    /// Lets it be used so often and then end. Looking itself up and renewing itself are uses, too.
    pub fn with_num_uses(mut self, uses: u64) -> Self {
        self.num_uses = Some(uses);
        self
    }

    /// Says whether it can be renewed.
    pub fn with_renewable(mut self, renewable: bool) -> Self {
        self.renewable = Some(renewable);
        self
    }

    /// Makes it of that kind. A batch token has no accessor and can be neither renewed nor revoked; a kind that this
    /// version does not know is left to the server.
    pub fn with_type(mut self, token_type: &TokenType) -> Self {
        self.token_type = match token_type {
            TokenType::Service => Some("service"),
            TokenType::Batch => Some("batch"),
            TokenType::Other(_) => None,
        };
        self
    }

    /// Gives it a name for people, which the server puts `token-` before.
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Lets it stand for the entity with that alias at the token mount. By a role only, which must allow the name.
    pub fn with_entity_alias(mut self, name: impl Into<String>) -> Self {
        self.entity_alias = Some(name.into());
        self
    }

    /// Notes something about it, which stands in audit logs. No place for secrets.
    pub fn with_metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), text.into());
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `POST auth/token/create`, `create-orphan` and `create/<role>`: makes a token.
///
/// A second one would make a second token, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::InvalidRequest`] where the server or the
/// role does not allow what is asked for.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#create-token>
#[derive(Clone, Debug)]
pub struct CreateToken {
    path: String,
    body: Body,
}

impl CreateToken {
    /// Makes a child of the token that makes it.
    pub fn new(request: &TokenRequest) -> Result<Self, Error> {
        Ok(Self { path: "/v1/auth/token/create".to_owned(), body: reply::json(request)? })
    }

    /// Makes a token without a parent.
    pub fn orphan(request: &TokenRequest) -> Result<Self, Error> {
        Ok(Self { path: "/v1/auth/token/create-orphan".to_owned(), body: reply::json(request)? })
    }

    /// Makes a token by a token role. Fails with [`Error::InvalidPath`].
    pub fn by_role(role: &str, request: &TokenRequest) -> Result<Self, Error> {
        let path = Path::with_room(role.len() + "/auth/token/create/".len())
            .literal("/auth/token/create")
            .segment(PathPart::Role, role)?;
        Ok(Self { path: path.into_string(), body: reply::json(request)? })
    }
}

impl Exchange for CreateToken {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        const WANTED: &str = "a token";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        let malformed = || reply::malformed(&reply, WANTED);
        let auth = envelope.auth_as::<AuthReply<'_>>().ok_or_else(malformed)?;
        let login = auth.into_login().map_err(|_| malformed())?;
        Ok(Login { warnings: envelope.warnings(&[]), ..login })
    }

    /// A second one would make a second token, and nobody would know the first.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &TokenRequest) -> String {
        let request = CreateToken::new(request).unwrap().request();
        String::from_utf8(request.body().unwrap().expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn only_what_is_set_is_asked_for() {
        assert_eq!(body(&TokenRequest::default()), "{}");
        let request = TokenRequest::default()
            .with_policies(["a", "b"])
            .without_default_policy()
            .with_ttl(Duration::from_millis(59_001))
            .with_explicit_max_ttl(Duration::from_secs(120))
            .with_period(Duration::from_secs(30))
            .with_num_uses(3)
            .with_renewable(false)
            .with_type(&TokenType::Batch)
            .with_display_name("app")
            .with_entity_alias("who")
            .with_metadata("team", "x");
        let expected = r#"{"policies":["a","b"],"no_default_policy":true,"ttl":"60s","explicit_max_ttl":"120s","period":"30s","num_uses":3,"renewable":false,"type":"batch","display_name":"app","entity_alias":"who","meta":{"team":"x"}}"#;
        assert_eq!(body(&request), expected);
    }

    #[test]
    fn a_token_is_made_as_a_child_as_an_orphan_or_by_a_role() {
        let request = TokenRequest::default();
        for (create, path) in [
            (CreateToken::new(&request), "/v1/auth/token/create"),
            (CreateToken::orphan(&request), "/v1/auth/token/create-orphan"),
            (CreateToken::by_role("a b", &request), "/v1/auth/token/create/a%20b"),
        ] {
            assert_eq!(create.unwrap().request().path(), path);
        }
        for role in ["", "a/b", "..", "/"] {
            let error = CreateToken::by_role(role, &request).unwrap_err();
            assert!(matches!(error, Error::InvalidPath { part: PathPart::Role, .. }), "{role:?}");
        }
    }

    #[test]
    fn a_token_comes_with_its_lease_and_is_not_shown() {
        let body = r#"{"warnings":["mind"],"auth":{"client_token":"s.hush","accessor":"acc","policies":["a"],
            "lease_duration":60,"renewable":true,"num_uses":5,"token_type":"service"}}"#;
        let create = CreateToken::new(&TokenRequest::default()).unwrap();
        assert_eq!(create.replay(), Replay::AfterRefusal);
        let login = create.receive(Reply::new(200, body)).unwrap();
        assert_eq!((login.token().expose_secret(), login.num_uses), ("s.hush", Some(5)));
        assert_eq!(login.warnings.to_string(), "mind");
        assert!(!format!("{login:?}").contains("hush"));
    }
}
