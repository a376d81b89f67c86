//! The fields that the roles of all auth methods have in common: what their tokens are like.

use serde_json::{Map, Value, json};

use super::{
    Refusal, Voice,
    call::{flag_of, list_of, seconds_of, text_of},
    limits::Limits,
    mount::About,
};

/// Every field means what the
/// [API](https://developer.hashicorp.com/vault/api-docs/auth/jwt#create-update-role) says of `token_` and its name.
#[derive(Clone, Default)]
pub(super) struct TokenFields {
    pub(super) policies: Vec<String>,
    pub(super) ttl: u64,
    pub(super) max_ttl: u64,
    pub(super) explicit_max_ttl: u64,
    pub(super) period: u64,
    pub(super) num_uses: i64,
    pub(super) no_default_policy: bool,
    kind: String,
    has_old_policies: bool,
}

impl TokenFields {
    /// Reads what was sent; what was not stays as it was.
    pub(super) fn read(data: &Map<String, Value>, known: Option<Self>) -> Result<Self, Refusal> {
        // The second name is what a field was called before it was common to all methods.
        let sent = |name: &str| {
            let old = match name {
                "policies" | "ttl" | "max_ttl" | "period" | "num_uses" => data.get(name),
                _ => None,
            };
            data.get(&format!("token_{name}")).or(old)
        };
        let mut fields = known.unwrap_or_default();
        if let Some(policies) = sent("policies") {
            fields.policies = list_of(Some(policies)).iter().map(|policy| policy.to_lowercase()).collect();
            fields.policies.sort();
            fields.policies.dedup();
        }
        for (name, field) in [
            ("ttl", &mut fields.ttl),
            ("max_ttl", &mut fields.max_ttl),
            ("explicit_max_ttl", &mut fields.explicit_max_ttl),
            ("period", &mut fields.period),
        ] {
            if let Some(value) = sent(name) {
                *field = seconds_of(Some(value))?;
            }
        }
        if let Some(uses) = sent("num_uses") {
            fields.num_uses = text_of(Some(uses)).parse().unwrap_or(0);
        }
        if let Some(flag) = sent("no_default_policy") {
            fields.no_default_policy = flag_of(Some(flag));
        }
        if let Some(kind) = sent("type") {
            fields.kind = match text_of(Some(kind)).as_str() {
                known @ ("" | "default" | "service" | "batch" | "default-service" | "default-batch") => {
                    known.to_owned()
                }
                other => return Err(Refusal::bad(format!("invalid 'token_type' value \"{other}\""))),
            };
        }
        fields.has_old_policies |= data.contains_key("policies");
        if fields.max_ttl > 0 && fields.ttl > fields.max_ttl {
            return Err(Refusal::bad("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        Ok(fields)
    }

    pub(super) fn is_batch(&self) -> bool {
        matches!(self.kind.as_str(), "batch" | "default-batch")
    }

    /// What bounds the tokens of a role on this mount.
    pub(super) fn limits(&self, mount: &About) -> Limits {
        Limits {
            default_ttl: mount.effective_default_ttl(),
            mount_max_ttl: mount.effective_max_ttl(),
            max_ttl: self.max_ttl,
            explicit_max_ttl: self.explicit_max_ttl,
            period: self.period,
        }
    }

    pub(super) fn describe(&self, voice: Voice) -> Map<String, Value> {
        let kind = if self.kind.is_empty() { "default" } else { &self.kind };
        let mut fields = Map::new();
        for (name, value) in [
            ("token_bound_cidrs", json!([])),
            ("token_explicit_max_ttl", self.explicit_max_ttl.into()),
            ("token_max_ttl", self.max_ttl.into()),
            ("token_no_default_policy", self.no_default_policy.into()),
            ("token_num_uses", self.num_uses.into()),
            ("token_period", self.period.into()),
            ("token_policies", json!(self.policies)),
            ("token_ttl", self.ttl.into()),
            ("token_type", kind.into()),
        ] {
            fields.insert(name.to_owned(), value);
        }
        if voice == Voice::OpenBao {
            fields.insert("token_strictly_bind_ip".to_owned(), false.into());
        }
        if self.has_old_policies {
            fields.insert("policies".to_owned(), json!(self.policies));
        }
        fields
    }
}
