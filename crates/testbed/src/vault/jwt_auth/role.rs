//! A role: who may log in with it, and what they get.

use serde_json::{Map, Value, json};

use super::{Call, Refusal, Voice};
use crate::vault::{
    call::{flag_of, list_of, seconds_of, text_of},
    token_fields::TokenFields,
};

/// Who takes the answer of the provider. The last two are OpenBao's.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CallbackMode {
    /// The person's program, which brings it here.
    #[default]
    Client,
    /// The Vault itself; the program asks until it is there.
    Direct,
    /// The Vault, which shows a code as a device does.
    Device,
}

impl CallbackMode {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Direct => "direct",
            Self::Device => "device",
        }
    }
}

/// A role; every field means what the [API](https://developer.hashicorp.com/vault/api-docs/auth/jwt#create-update-role)
/// says of the parameter of that name.
#[derive(Clone)]
pub(super) struct Role {
    pub(super) is_oidc: bool,
    pub(super) user_claim: String,
    pub(super) user_claim_json_pointer: bool,
    pub(super) groups_claim: String,
    pub(super) bound_audiences: Vec<String>,
    pub(super) bound_subject: String,
    pub(super) bound_claims: Map<String, Value>,
    pub(super) is_glob: bool,
    pub(super) claim_mappings: Map<String, Value>,
    pub(super) oidc_scopes: Vec<String>,
    pub(super) allowed_redirect_uris: Vec<String>,
    pub(super) expiration_leeway: i64,
    pub(super) not_before_leeway: i64,
    pub(super) clock_skew_leeway: i64,
    pub(super) max_age: u64,
    pub(super) verbose_oidc_logging: bool,
    pub(super) callback_mode: CallbackMode,
    /// Seconds; 0: the default.
    pub(super) poll_interval: u64,
    pub(super) disable_confirmation: bool,
    /// What the tokens of the role are like.
    pub(super) token: TokenFields,
}

impl Role {
    /// Reads a role; fields that were not sent stay as they were.
    pub(super) fn read(call: &Call, known: Option<Self>) -> Result<Self, Refusal> {
        let data = &call.data;
        let mut sent = known.as_ref().map(Self::fields).unwrap_or_default();
        sent.extend(data.iter().map(|(name, value)| (name.clone(), value.clone())));
        let field = |name: &str| sent.get(name);
        let object = |name: &str| field(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let leeway = |name: &str| {
            let seconds = field(name).map_or(Ok(0), crate::encoding::seconds);
            seconds.map_err(|text| Refusal::bad(format!("time: invalid duration \"{text}\"")))
        };
        let role = Self {
            // What is not said is not what it was before, but `oidc`.
            is_oidc: match text_of(data.get("role_type")).as_str() {
                "" | "oidc" => true,
                "jwt" => false,
                other => return Err(Refusal::bad(format!("invalid 'role_type': {other}"))),
            },
            user_claim: text_of(field("user_claim")),
            user_claim_json_pointer: flag_of(field("user_claim_json_pointer")),
            groups_claim: text_of(field("groups_claim")),
            bound_audiences: list_of(field("bound_audiences")),
            bound_subject: text_of(field("bound_subject")),
            bound_claims: object("bound_claims"),
            is_glob: match text_of(field("bound_claims_type")).as_str() {
                "" | "string" => false,
                "glob" => true,
                other => return Err(Refusal::bad(format!("invalid 'bound_claims_type': {other}"))),
            },
            claim_mappings: object("claim_mappings"),
            oidc_scopes: list_of(field("oidc_scopes")),
            allowed_redirect_uris: list_of(field("allowed_redirect_uris")),
            expiration_leeway: leeway("expiration_leeway")?,
            not_before_leeway: leeway("not_before_leeway")?,
            clock_skew_leeway: leeway("clock_skew_leeway")?,
            max_age: seconds_of(field("max_age"))?,
            verbose_oidc_logging: flag_of(field("verbose_oidc_logging")),
            callback_mode: match text_of(field("callback_mode")).as_str() {
                "" | "client" => CallbackMode::Client,
                "direct" => CallbackMode::Direct,
                "device" => CallbackMode::Device,
                other => return Err(Refusal::bad(format!("invalid 'callback_mode': {other}"))),
            },
            poll_interval: seconds_of(field("poll_interval"))?,
            disable_confirmation: flag_of(field("oidc_disable_confirmation")),
            token: TokenFields::read(data, known.map(|role| role.token))?,
        };
        role.check()?;
        Ok(role)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.user_claim.is_empty() {
            return Err(Refusal::bad("a user claim must be defined on the role"));
        }
        if self.is_oidc && self.allowed_redirect_uris.is_empty() {
            return Err(Refusal::bad(
                "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
            ));
        }
        let is_bound = !self.bound_audiences.is_empty()
            || !self.bound_subject.is_empty()
            || !self.bound_claims.is_empty();
        if !self.is_oidc && !is_bound {
            return Err(Refusal::bad(
                "must have at least one bound constraint when creating/updating a role",
            ));
        }
        let mut targets: Vec<&str> = self.claim_mappings.values().filter_map(Value::as_str).collect();
        if targets.contains(&"role") {
            return Err(Refusal::bad(
                "metadata key \"role\" is reserved and may not be a mapping destination",
            ));
        }
        targets.sort_unstable();
        match targets.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                Err(Refusal::bad(format!("multiple keys are mapped to metadata key \"{}\"", pair[0])))
            }
            None => Ok(()),
        }
    }

    pub(super) fn describe(&self, voice: Voice) -> Value {
        let mut fields = self.fields();
        if voice == Voice::OpenBao {
            for (name, value) in
                [("oauth2_metadata", Value::Null), ("token_policies_template_claims", false.into())]
            {
                fields.insert(name.to_owned(), value);
            }
        }
        if voice == Voice::Vault {
            fields.retain(|name, _| {
                !matches!(name.as_str(), "callback_mode" | "oidc_disable_confirmation" | "poll_interval")
            });
        }
        fields.extend(self.token.describe(voice));
        Value::Object(fields)
    }

    fn fields(&self) -> Map<String, Value> {
        let list = |items: &[String]| if items.is_empty() { Value::Null } else { json!(items) };
        let map = |fields: &Map<String, Value>| if fields.is_empty() { Value::Null } else { json!(fields) };
        let fields = json!({
            "allowed_redirect_uris": list(&self.allowed_redirect_uris),
            "bound_audiences": list(&self.bound_audiences),
            "bound_claims": map(&self.bound_claims),
            "bound_claims_type": if self.is_glob { "glob" } else { "string" },
            "bound_subject": self.bound_subject,
            "callback_mode": self.callback_mode.name(),
            "oidc_disable_confirmation": self.disable_confirmation,
            "poll_interval": self.poll_interval,
            "claim_mappings": map(&self.claim_mappings),
            "clock_skew_leeway": self.clock_skew_leeway,
            "expiration_leeway": self.expiration_leeway,
            "groups_claim": self.groups_claim,
            "max_age": self.max_age,
            "not_before_leeway": self.not_before_leeway,
            "oidc_scopes": list(&self.oidc_scopes),
            "role_type": if self.is_oidc { "oidc" } else { "jwt" },
            "user_claim": self.user_claim,
            "user_claim_json_pointer": self.user_claim_json_pointer,
            "verbose_oidc_logging": self.verbose_oidc_logging,
        });
        match fields {
            Value::Object(mut fields) => {
                if self.poll_interval == 0 {
                    fields.shift_remove("poll_interval");
                }
                fields
            }
            _ => Map::new(),
        }
    }
}
