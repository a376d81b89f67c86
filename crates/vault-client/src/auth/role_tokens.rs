//! What the tokens of a role are like: the fields that the roles of every auth method have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{duration, reply};

/// What the tokens of a role are like, as the server tells it.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#create-update-role>
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct RoleTokens {
    /// The policies that they get, besides `default` and those of the identity.
    #[serde(default, rename = "token_policies", deserialize_with = "reply::list")]
    pub policies: Vec<String>,
    /// How long they live at first; `None` where the mount's time counts.
    #[serde(
        default,
        rename = "token_ttl",
        deserialize_with = "duration::optional_seconds",
        serialize_with = "duration::as_optional_seconds"
    )]
    pub ttl: Option<Duration>,
    /// How long they live at the most; `None` where the mount's time counts.
    #[serde(
        default,
        rename = "token_max_ttl",
        deserialize_with = "duration::optional_seconds",
        serialize_with = "duration::as_optional_seconds"
    )]
    pub max_ttl: Option<Duration>,
    /// The same, and it holds for periodic tokens, too.
    #[serde(
        default,
        rename = "token_explicit_max_ttl",
        deserialize_with = "duration::optional_seconds",
        serialize_with = "duration::as_optional_seconds"
    )]
    pub explicit_max_ttl: Option<Duration>,
    /// What they are renewed by; `None` where they are not periodic.
    #[serde(
        default,
        rename = "token_period",
        deserialize_with = "duration::optional_seconds",
        serialize_with = "duration::as_optional_seconds"
    )]
    pub period: Option<Duration>,
    /// How often each may be used; zero where that is not counted.
    #[serde(default, rename = "token_num_uses")]
    pub num_uses: u64,
    /// Whether they go without the policy `default`.
    #[serde(default, rename = "token_no_default_policy")]
    pub no_default_policy: bool,
    /// Their kind: `default`, `service`, `batch`.
    #[serde(default, rename = "token_type")]
    pub token_type: String,
    /// The addresses that they may be used from; none means every one.
    #[serde(default, rename = "token_bound_cidrs", deserialize_with = "reply::list")]
    pub bound_cidrs: Vec<String>,
}

/// What the tokens of a role are to be like. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoleTokenSettings {
    #[serde(rename = "token_policies", skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<String>>,
    #[serde(rename = "token_ttl", skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(rename = "token_max_ttl", skip_serializing_if = "Option::is_none")]
    max_ttl: Option<u64>,
    #[serde(rename = "token_explicit_max_ttl", skip_serializing_if = "Option::is_none")]
    explicit_max_ttl: Option<u64>,
    #[serde(rename = "token_period", skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    #[serde(rename = "token_num_uses", skip_serializing_if = "Option::is_none")]
    num_uses: Option<u64>,
    #[serde(rename = "token_no_default_policy", skip_serializing_if = "Option::is_none")]
    no_default_policy: Option<bool>,
    #[serde(rename = "token_type", skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(rename = "token_bound_cidrs", skip_serializing_if = "Option::is_none")]
    bound_cidrs: Option<Vec<String>>,
}

impl RoleTokenSettings {
    /// Gives them these policies, besides `default` and those of the identity.
    pub fn with_policies<I: IntoIterator<Item: Into<String>>>(mut self, policies: I) -> Self {
        self.policies = Some(policies.into_iter().map(Into::into).collect());
        self
    }

    /// Lets them live that long at first, in whole seconds; zero means the mount's time.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(duration::seconds(ttl));
        self
    }

    /// Lets them live no longer than that however often they are renewed, in whole seconds; zero means the mount's time.
    pub fn with_max_ttl(mut self, ttl: Duration) -> Self {
        self.max_ttl = Some(duration::seconds(ttl));
        self
    }

    /// The same, and periodic tokens end then, too; zero means never.
    pub fn with_explicit_max_ttl(mut self, ttl: Duration) -> Self {
        self.explicit_max_ttl = Some(duration::seconds(ttl));
        self
    }

    /// Makes them periodic, in whole seconds; zero means that they are not.
    pub fn with_period(mut self, period: Duration) -> Self {
        self.period = Some(duration::seconds(period));
        self
    }

    /// Lets each be used so often; zero means that it is not counted.
    pub fn with_num_uses(mut self, uses: u64) -> Self {
        self.num_uses = Some(uses);
        self
    }

    /// Says whether they go without the policy `default`. Their own policies must then allow them to look themselves up
    /// and to renew themselves.
    pub fn with_no_default_policy(mut self, without: bool) -> Self {
        self.no_default_policy = Some(without);
        self
    }

    /// Makes them of that kind: `default`, `service` or `batch`.
    pub fn with_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// Lets them be used from these addresses only, such as `10.0.0.0/8`.
    pub fn with_bound_cidrs<I: IntoIterator<Item: Into<String>>>(mut self, cidrs: I) -> Self {
        self.bound_cidrs = Some(cidrs.into_iter().map(Into::into).collect());
        self
    }
}
