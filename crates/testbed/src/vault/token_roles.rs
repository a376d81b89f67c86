//! Token roles: what the tokens of `auth/token/create/<role>` may be.

use serde_json::{Map, Value, json};

use super::{
    Call, Desk, Operation, Outcome, Refusal, Reply,
    call::{flag_of, list_of, text_of},
    token_fields::TokenFields,
    tokens::sanitized,
};

/// Every field means what the
/// [API](https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role) says of it.
#[derive(Clone, Default)]
pub(super) struct TokenRole {
    allowed: Vec<String>,
    allowed_glob: Vec<String>,
    disallowed: Vec<String>,
    disallowed_glob: Vec<String>,
    entity_aliases: Vec<String>,
    pub(super) is_orphan: bool,
    pub(super) not_renewable: bool,
    path_suffix: String,
    kind: String,
    pub(super) token: TokenFields,
}

impl TokenRole {
    fn read(call: &Call, known: Option<Self>) -> Result<Self, Refusal> {
        let mut role = known.unwrap_or_default();
        for (name, field) in [
            ("allowed_policies", &mut role.allowed),
            ("allowed_policies_glob", &mut role.allowed_glob),
            ("disallowed_policies", &mut role.disallowed),
            ("disallowed_policies_glob", &mut role.disallowed_glob),
            ("allowed_entity_aliases", &mut role.entity_aliases),
        ] {
            if let Some(sent) = call.data.get(name) {
                *field = list_of(Some(sent)).iter().map(|name| name.to_lowercase()).collect();
                field.sort();
                field.dedup();
            }
        }
        if let Some(sent) = call.data.get("orphan") {
            role.is_orphan = flag_of(Some(sent));
        }
        if let Some(sent) = call.data.get("renewable") {
            role.not_renewable = !flag_of(Some(sent));
        }
        if let Some(sent) = call.data.get("path_suffix") {
            role.path_suffix = text_of(Some(sent));
        }
        if let Some(sent) = call.data.get("token_type") {
            role.kind = text_of(Some(sent));
        }
        // The two bounds of a token's own life are told again and count for nothing here.
        let mut data = call.data.clone();
        data.retain(|name, _| !matches!(name.as_str(), "token_ttl" | "token_max_ttl" | "policies"));
        role.token = TokenFields::read(&data, Some(role.token))?;
        if role.kind == "batch" {
            if !role.is_orphan {
                return Err(Refusal::bad(
                    "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens",
                ));
            }
            if !role.not_renewable {
                return Err(Refusal::bad(
                    "'token_type' cannot be 'batch' when role is set to generate renewable tokens",
                ));
            }
        }
        Ok(role)
    }

    fn describe(&self, name: &str) -> Value {
        let kind = if matches!(self.kind.as_str(), "" | "default") { "default-service" } else { &self.kind };
        let aliases = &self.entity_aliases;
        let mut data = json!({
            "allowed_entity_aliases": if aliases.is_empty() { Value::Null } else { json!(aliases) },
            "allowed_policies": self.allowed,
            "allowed_policies_glob": self.allowed_glob,
            "disallowed_policies": self.disallowed,
            "disallowed_policies_glob": self.disallowed_glob,
            "explicit_max_ttl": 0,
            "name": name,
            "orphan": self.is_orphan,
            "path_suffix": self.path_suffix,
            "period": 0,
            "renewable": !self.not_renewable,
            "token_explicit_max_ttl": self.token.explicit_max_ttl,
            "token_no_default_policy": self.token.no_default_policy,
            "token_period": self.token.period,
            "token_type": kind,
        });
        if self.token.num_uses > 0 {
            data["token_num_uses"] = self.token.num_uses.into();
        }
        data
    }

    /// The type that a token has; what was asked for where the role leaves it open.
    pub(super) fn is_batch(&self, asked: bool) -> bool {
        match self.kind.as_str() {
            "batch" | "default-batch" => true,
            "service" => false,
            _ => asked,
        }
    }

    /// Where a token of this role says that it comes from.
    pub(super) fn path(&self, path: &str) -> String {
        if self.path_suffix.is_empty() { path.to_owned() } else { format!("{path}/{}", self.path_suffix) }
    }

    /// Whether a token of this role may stand for that alias, which is in small letters.
    fn allows_alias(&self, alias: &str) -> bool {
        self.entity_aliases.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => alias.starts_with(prefix),
            None => alias == allowed,
        })
    }

    /// Whether the role has a say in the policies; where it has none, the rules of the parent hold.
    pub(super) fn bounds_policies(&self) -> bool {
        !(self.allowed.is_empty()
            && self.allowed_glob.is_empty()
            && self.disallowed.is_empty()
            && self.disallowed_glob.is_empty())
    }

    /// The policies of a token that asks for these, under a parent that has those.
    pub(super) fn policies(
        &self,
        asked: Vec<String>,
        parent: &[String],
        add_default: bool,
    ) -> Result<Vec<String>, Refusal> {
        let add_default = add_default && !self.token.no_default_policy;
        let is_bounded = !self.allowed.is_empty() || !self.allowed_glob.is_empty();
        let policies = match (asked.is_empty(), is_bounded) {
            (false, _) => asked,
            (true, true) => self.allowed.clone(),
            (true, false) => parent.to_vec(),
        };
        let policies = sanitized(policies, add_default, false);
        if is_bounded {
            let allowed = sanitized(self.allowed.clone(), add_default, false);
            let fits = |policy: &String| allowed.contains(policy) || matches(&self.allowed_glob, policy);
            if !policies.iter().all(fits) {
                return Err(Refusal::bad(format!(
                    "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
                    quoted(&policies),
                    quoted(&allowed),
                    quoted(&self.allowed_glob)
                )));
            }
        }
        let is_disallowed =
            |policy: &&String| self.disallowed.contains(policy) || matches(&self.disallowed_glob, policy);
        match policies.iter().find(is_disallowed) {
            Some(policy) => {
                Err(Refusal::bad(format!("token policy \"{policy}\" is disallowed by this role")))
            }
            None => Ok(policies),
        }
    }
}

fn matches(globs: &[String], name: &str) -> bool {
    globs.iter().any(|glob| match glob.split_once('*') {
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
        None => glob == name,
    })
}

/// A list as Go prints it with `%q`.
fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(" "))
}

impl Desk<'_> {
    /// The entity with that alias at the token mount, a new one where there is none.
    pub(super) fn entity_of_alias(
        &mut self,
        alias: &str,
        role: Option<&TokenRole>,
        call: &Call,
    ) -> Result<String, Refusal> {
        let role = role
            .ok_or_else(|| Refusal::bad("'entity_alias' is only allowed in combination with token role"))?;
        if !role.allows_alias(&alias.to_lowercase()) {
            return Err(Refusal::bad("invalid 'entity_alias' value"));
        }
        let accessor = self.state.auth.get("token/").map(|mount| mount.accessor.clone()).unwrap_or_default();
        let origin = self.origin_of(&accessor).ok_or_else(Refusal::not_found)?;
        Ok(self.state.identity.log_in(&origin, alias, &Map::new(), &[], call.now))
    }

    /// `auth/token/roles`.
    pub(super) fn token_roles(&mut self, call: &Call, name: &str) -> Outcome {
        let roles = &mut self.state.token_roles;
        match call.operation {
            Operation::List if name.is_empty() => Reply::keys(roles.keys().cloned()),
            _ if name.is_empty() => Err(Refusal::unsupported_operation()),
            Operation::Read => {
                roles.get(name).map(|role| Reply::data(role.describe(name))).ok_or_else(Refusal::not_found)
            }
            Operation::Delete => {
                roles.remove(name);
                Ok(Reply::nothing())
            }
            Operation::Create | Operation::Update => {
                let role = TokenRole::read(call, roles.get(name).cloned())?;
                roles.insert(name.to_owned(), role);
                Ok(Reply::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }

    /// What an operator starts after a crash; here, nothing is ever left over.
    pub(super) fn tidy_tokens(&self) -> Reply {
        let name = match self.state.voice {
            super::Voice::OpenBao => "OpenBao",
            super::Voice::Vault => "Vault",
        };
        Reply::nothing().with_status(202).with_warning(format!(
            "Tidy operation successfully started. Any information from the operation will be printed to {name}'s server \
             logs."
        ))
    }
}
