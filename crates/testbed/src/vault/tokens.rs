//! Tokens: making, looking up, renewing, revoking, and how long each may live.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, limits::Limits, token_roles::TokenRole};
use crate::{
    canary::Kind,
    encoding::{remaining, rfc3339, unix_seconds},
    random,
};

#[derive(Clone)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) accessor: String,
    pub(super) is_batch: bool,
    pub(super) policies: Vec<String>,
    pub(super) parent: Option<String>,
    pub(super) issued: SystemTime,
    /// `None`: never.
    pub(super) expires: Option<SystemTime>,
    pub(super) creation_ttl: u64,
    /// What was granted last; a renewal that asks for nothing gets it again.
    pub(super) last_ttl: u64,
    pub(super) limits: Limits,
    pub(super) is_renewable: bool,
    /// 0: any number; −1: this is the last call.
    pub(super) uses_left: i64,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) display_name: String,
    pub(super) path: String,
    pub(super) entity_id: String,
    pub(super) last_renewal: Option<SystemTime>,
    /// The role that it was made by; empty: none.
    pub(super) role: String,
}

/// What a new token is to be like.
pub(super) struct Draft {
    pub(super) id: Option<String>,
    pub(super) is_batch: bool,
    pub(super) policies: Vec<String>,
    pub(super) parent: Option<String>,
    /// 0 where nothing was asked for.
    pub(super) ttl: u64,
    pub(super) never_expires: bool,
    pub(super) limits: Limits,
    pub(super) is_renewable: bool,
    pub(super) num_uses: i64,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) display_name: String,
    pub(super) path: String,
    pub(super) entity_id: String,
    pub(super) role: String,
}

#[derive(Default)]
pub(super) struct Tokens(HashMap<String, Token>);

impl Tokens {
    pub(super) fn of(&self, id: &str) -> Option<&Token> {
        self.0.get(id)
    }

    pub(super) fn of_mut(&mut self, id: &str) -> Option<&mut Token> {
        self.0.get_mut(id)
    }

    pub(super) fn insert(&mut self, token: Token) {
        self.0.insert(token.id.clone(), token);
    }

    pub(super) fn by_accessor(&self, accessor: &str) -> Option<&Token> {
        self.0.values().find(|token| !accessor.is_empty() && token.accessor == accessor)
    }

    /// Ends a token and all its children.
    pub(super) fn revoke(&mut self, id: &str) {
        self.0.remove(id);
        let children: Vec<String> = self
            .0
            .values()
            .filter(|token| token.parent.as_deref() == Some(id))
            .map(|token| token.id.clone())
            .collect();
        for child in children {
            self.revoke(&child);
        }
    }

    /// Ends a token and leaves its children, which are nobody's from then on.
    fn revoke_alone(&mut self, id: &str) {
        self.0.remove(id);
        for child in self.0.values_mut().filter(|token| token.parent.as_deref() == Some(id)) {
            child.parent = None;
        }
    }

    /// Ends what has run out of time.
    pub(super) fn expire(&mut self, now: SystemTime) {
        let dead = |token: &&Token| token.expires.is_some_and(|expires| expires <= now);
        let dead: Vec<String> = self.0.values().filter(dead).map(|token| token.id.clone()).collect();
        for id in dead {
            self.revoke(&id);
        }
    }

    /// Ends every token that was issued below this path, as unmounting an auth method does.
    pub(super) fn revoke_issued_by(&mut self, prefix: &str) {
        let of_mount: Vec<String> = self
            .0
            .values()
            .filter(|token| token.path.starts_with(prefix))
            .map(|token| token.id.clone())
            .collect();
        for id in of_mount {
            self.revoke(&id);
        }
    }

    fn accessors(&self) -> Vec<String> {
        self.0.values().map(|token| token.accessor.clone()).filter(|accessor| !accessor.is_empty()).collect()
    }
}

impl Desk<'_> {
    /// Everything below `auth/token/`.
    pub(super) fn token(&mut self, call: &Call, path: &str) -> Outcome {
        let (verb, role) = path.split_once('/').unwrap_or((path, ""));
        let is_write = call.operation.is_write();
        match (verb, role) {
            ("create" | "create-orphan", "") if is_write => self.create(call, verb == "create-orphan", None),
            ("create", name) if is_write => {
                let role = self.state.token_roles.get(name).cloned();
                let role = role.ok_or_else(|| Refusal::bad(format!("unknown role {name}")))?;
                self.create(call, false, Some((name, role)))
            }
            ("roles", name) => self.token_roles(call, name),
            ("tidy", "") if is_write => Ok(self.tidy_tokens()),
            ("lookup-self", "") if is_write || call.operation == Operation::Read => {
                let reply = self.lookup(&call.caller.id, true, call.now)?;
                Ok(reply.ignoring(&call.data, &["token"]))
            }
            ("lookup", "") if is_write => {
                let token = call.text("token");
                self.plant(&token, Kind::Token);
                self.lookup(if token.is_empty() { &call.caller.id } else { &token }, true, call.now)
            }
            ("lookup-accessor", "") if is_write => {
                let id = self.id_of_accessor(call)?;
                self.lookup(&id, false, call.now)
            }
            ("renew-self", "") if is_write => self.renew(&call.caller.id, call, true),
            ("renew", "") if is_write => {
                let token = call.text("token");
                self.plant(&token, Kind::Token);
                if token.is_empty() {
                    return Err(Refusal::bad("missing token ID"));
                }
                self.renew(&token, call, true)
            }
            ("renew-accessor", "") if is_write => {
                let id = self.id_of_accessor(call)?;
                self.renew(&id, call, false)
            }
            ("revoke-self", "") if is_write => self.revoke(&call.caller.id),
            ("revoke" | "revoke-orphan", "") if is_write => {
                let token = call.text("token");
                self.plant(&token, Kind::Token);
                if token.is_empty() {
                    return Err(Refusal::bad("missing token ID"));
                }
                if verb == "revoke-orphan" {
                    self.state.tokens.revoke_alone(&token);
                    return Ok(Reply::nothing());
                }
                self.revoke(&token)
            }
            ("revoke-accessor", "") if is_write => match self.id_of_accessor(call) {
                Ok(id) => self.revoke(&id),
                Err(_) if !call.text("accessor").is_empty() => {
                    Ok(Reply::nothing().with_warning("No token found with this accessor"))
                }
                Err(refusal) => Err(refusal),
            },
            ("accessors", "") if call.operation == Operation::List => {
                Reply::keys(self.state.tokens.accessors())
            }
            (
                "create" | "create-orphan" | "lookup-self" | "lookup" | "lookup-accessor" | "renew-self"
                | "renew" | "renew-accessor" | "revoke-self" | "revoke" | "revoke-orphan" | "revoke-accessor"
                | "accessors",
                "",
            ) => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }

    /// [Create token](https://developer.hashicorp.com/vault/api-docs/auth/token#create-token).
    fn create(&mut self, call: &Call, is_orphan: bool, named: Option<(&str, TokenRole)>) -> Outcome {
        let (role_name, role) =
            named.map_or((String::new(), None), |(name, role)| (name.to_owned(), Some(role)));
        let parent = self.state.tokens.of(&call.caller.id).cloned();
        let parent = parent.ok_or_else(|| Refusal::new(403, self.state.voice.dead_token()))?;
        if parent.is_batch {
            return Err(Refusal::bad("batch tokens cannot create more tokens"));
        }
        let has_sudo = call.caller.is_root() || self.capabilities(&call.caller, &call.path).contains("sudo");
        let needs_sudo = |what| Err(Refusal::bad(format!("root or sudo privileges required to {what}")));
        let is_batch = match call.text("type").as_str() {
            "" | "service" => false,
            "batch" => true,
            _ => return Err(Refusal::bad("invalid 'token_type' value")),
        };
        let is_batch = role.as_ref().map_or(is_batch, |role| role.is_batch(is_batch));
        let ttl_field = if call.data.contains_key("ttl") { "ttl" } else { "lease" };
        let (ttl, explicit_max_ttl, period) =
            (call.seconds(ttl_field)?, call.seconds("explicit_max_ttl")?, call.seconds("period")?);
        let of_role = |pick: fn(&TokenRole) -> u64| role.as_ref().map_or(0, pick);
        // Of two bounds the tighter one; zero is none.
        let tighter = |own: u64, role: u64| if own == 0 || role == 0 { own.max(role) } else { own.min(role) };
        let explicit_max_ttl = tighter(explicit_max_ttl, of_role(|role| role.token.explicit_max_ttl));
        let num_uses = call.text("num_uses").parse::<i64>().unwrap_or(0);
        let num_uses = match role.as_ref().map_or(0, |role| role.token.num_uses) {
            0 => num_uses,
            of_role if num_uses == 0 => of_role,
            of_role => num_uses.min(of_role),
        };
        if num_uses < 0 {
            return Err(Refusal::bad("number of uses cannot be negative"));
        }
        if is_batch {
            for (is_set, name) in [
                (explicit_max_ttl > 0, "explicit_max_ttl"),
                (num_uses > 0, "num_uses"),
                (period > 0, "period"),
            ] {
                if is_set {
                    return Err(Refusal::bad(format!("batch tokens cannot have \"{name}\" set")));
                }
            }
        }
        if call.flag("no_parent") && !has_sudo {
            return needs_sudo("create orphan token");
        }
        let id = Some(call.text("id")).filter(|id| !id.is_empty());
        if id.is_some() && !has_sudo {
            return needs_sudo("specify token id");
        }
        if period > 0 && !has_sudo {
            return needs_sudo("create periodic token");
        }
        let period = tighter(period, of_role(|role| role.token.period));

        let asked = call.list_of_policies("policies");
        let add_default = !call.flag("no_default_policy");
        let policies = if let Some(role) = role.as_ref().filter(|role| role.bounds_policies()) {
            role.policies(asked, &parent.policies, add_default)?
        } else if asked.is_empty() {
            sanitized(parent.policies.clone(), add_default, !add_default)
        } else {
            let is_subset =
                asked.iter().all(|policy| policy == "default" || parent.policies.contains(policy));
            if !has_sudo && !is_subset {
                return Err(Refusal::bad("child policies must be subset of parent"));
            }
            sanitized(asked, add_default, false)
        };
        let is_root = policies.iter().any(|policy| policy == "root");
        if is_root && !parent.policies.iter().any(|policy| policy == "root") {
            return Err(Refusal::bad("root tokens may not be created without parent token being root"));
        }
        if is_root && is_batch {
            return Err(Refusal::bad("batch tokens cannot be root tokens"));
        }

        let mut warnings: Vec<String> = policies
            .iter()
            .filter(|policy| *policy != "root" && !self.state.policies.contains_key(*policy))
            .map(|policy| format!("Policy \"{policy}\" does not exist"))
            .collect();
        if id.is_some() {
            warnings.push(
                "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure SHA2-256 \
                 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups."
                    .to_owned(),
            );
        }
        let is_orphan =
            role.as_ref().map_or_else(|| is_orphan || call.flag("no_parent"), |role| role.is_orphan);
        // A root token has no time of its own: a bound becomes its time, and nothing is cut off.
        let ttl = if is_root && ttl == 0 { explicit_max_ttl } else { ttl };
        let never_expires = is_root && ttl == 0 && explicit_max_ttl == 0 && period == 0;
        let is_renewable = !is_batch
            && !never_expires
            && !role.as_ref().is_some_and(|role| role.not_renewable)
            && call.data.get("renewable").is_none_or(|flag| super::call::flag_of(Some(flag)));
        let entity_id = match call.text("entity_alias") {
            alias if alias.is_empty() && is_orphan => String::new(),
            alias if alias.is_empty() => parent.entity_id.clone(),
            alias => self.entity_of_alias(&alias, role.as_ref(), call)?,
        };
        let metadata = call.data.get("meta").and_then(Value::as_object).filter(|meta| !meta.is_empty());
        let draft = Draft {
            id,
            is_batch,
            policies,
            parent: (!is_orphan).then(|| parent.id.clone()),
            ttl,
            never_expires,
            limits: Limits { explicit_max_ttl, period, ..Limits::default() },
            is_renewable,
            num_uses,
            metadata: metadata.map(|meta| {
                meta.iter()
                    .map(|(key, value)| (key.clone(), super::call::text_of(Some(value)).into()))
                    .collect()
            }),
            display_name: display_name("token", &call.text("display_name")),
            path: role.as_ref().map_or_else(|| call.path.clone(), |role| role.path(&call.path)),
            role: role_name,
            entity_id,
        };
        let reply = self.issue(draft, call.now)?.with_warnings(warnings);
        Ok(reply.ignoring(
            &call.data,
            &[
                "id",
                "policies",
                "meta",
                "no_parent",
                "no_default_policy",
                "lease",
                "ttl",
                "type",
                "explicit_max_ttl",
                "display_name",
                "num_uses",
                "period",
                "renewable",
                "entity_alias",
            ],
        ))
    }

    /// Makes a token and tells of it.
    pub(super) fn issue(&mut self, draft: Draft, now: SystemTime) -> Outcome {
        let (ttl, warnings) = if draft.never_expires {
            (0, Vec::new())
        } else {
            draft.limits.grant(draft.ttl, now, now).ok_or_else(past_max_ttl)?
        };
        let voice = self.state.voice;
        let made = || if draft.is_batch { voice.batch_token() } else { voice.service_token() };
        let token = Token {
            id: draft.id.clone().unwrap_or_else(made),
            accessor: if draft.is_batch { String::new() } else { random::base62(24) },
            is_batch: draft.is_batch,
            policies: draft.policies,
            parent: draft.parent,
            issued: now,
            expires: (!draft.never_expires).then(|| now + Duration::from_secs(ttl)),
            creation_ttl: ttl,
            last_ttl: ttl,
            limits: draft.limits,
            is_renewable: draft.is_renewable,
            uses_left: draft.num_uses,
            metadata: draft.metadata,
            display_name: draft.display_name,
            path: draft.path,
            entity_id: draft.entity_id,
            last_renewal: None,
            role: draft.role,
        };
        self.plant(&token.id, Kind::Token);
        let reply = Reply::auth(self.auth_of(&token, ttl, &token.id)).with_warnings(warnings);
        self.state.tokens.insert(token);
        Ok(reply)
    }

    /// The `auth` of an answer.
    fn auth_of(&self, token: &Token, ttl: u64, shown_id: &str) -> Value {
        let identity_policies = self.state.identity.policies_of(&token.entity_id);
        let mut all = token.policies.clone();
        all.extend(identity_policies.iter().cloned());
        all.sort();
        all.dedup();
        let mut auth = json!({
            "client_token": shown_id,
            "accessor": token.accessor,
            "policies": all,
            "token_policies": token.policies,
        });
        if !identity_policies.is_empty() {
            auth["identity_policies"] = json!(identity_policies);
        }
        auth["metadata"] = token.metadata.clone().map_or(Value::Null, Value::Object);
        auth["lease_duration"] = ttl.into();
        auth["renewable"] = token.is_renewable.into();
        auth["entity_id"] = token.entity_id.as_str().into();
        auth["token_type"] = if token.is_batch { "batch" } else { "service" }.into();
        auth["orphan"] = token.parent.is_none().into();
        auth["mfa_requirement"] = Value::Null;
        auth["num_uses"] = token.uses_left.into();
        auth
    }

    fn lookup(&self, id: &str, shows_id: bool, now: SystemTime) -> Outcome {
        let token = self.state.tokens.of(id).ok_or_else(|| Refusal::new(403, "bad token"))?;
        let ttl = token.expires.map_or(0, |expires| remaining(expires, now));
        let mut data = json!({
            "accessor": token.accessor,
            "creation_time": unix_seconds(token.issued),
            "creation_ttl": token.creation_ttl,
            "display_name": token.display_name,
            "entity_id": token.entity_id,
            "expire_time": token.expires.map(rfc3339),
            "explicit_max_ttl": token.limits.explicit_max_ttl,
            "id": if shows_id { token.id.as_str() } else { "" },
            "issue_time": rfc3339(token.issued),
        });
        if !token.entity_id.is_empty() {
            data["external_namespace_policies"] = json!({});
        }
        let identity_policies = self.state.identity.policies_of(&token.entity_id);
        if !identity_policies.is_empty() {
            data["identity_policies"] = json!(identity_policies);
        }
        if let Some(renewed) = token.last_renewal {
            data["last_renewal"] = rfc3339(renewed).into();
            data["last_renewal_time"] = unix_seconds(renewed).into();
        }
        data["meta"] = token.metadata.clone().map_or(Value::Null, Value::Object);
        data["num_uses"] = token.uses_left.into();
        data["orphan"] = token.parent.is_none().into();
        data["path"] = token.path.as_str().into();
        if token.limits.period > 0 {
            data["period"] = token.limits.period.into();
        }
        data["policies"] = json!(token.policies);
        data["renewable"] = token.is_renewable.into();
        if !token.role.is_empty() {
            data["role"] = token.role.as_str().into();
        }
        data["ttl"] = ttl.into();
        data["type"] = if token.is_batch { "batch" } else { "service" }.into();
        Ok(Reply::data(data))
    }

    /// [Renew a token](https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token).
    fn renew(&mut self, id: &str, call: &Call, shows_id: bool) -> Outcome {
        let increment = call.seconds("increment")?;
        let now = call.now;
        let Some(token) = self.state.tokens.of_mut(id) else { return Err(Refusal::bad("token not found")) };
        if token.is_batch {
            return Err(Refusal::bad("batch tokens cannot be renewed"));
        }
        if !token.is_renewable {
            return Err(Refusal::bad("lease is not renewable"));
        }
        let asked = if increment > 0 { increment } else { token.last_ttl };
        let (ttl, warnings) = token.limits.grant(asked, token.issued, now).ok_or_else(past_max_ttl)?;
        token.expires = Some(now + Duration::from_secs(ttl));
        token.last_ttl = ttl;
        token.last_renewal = Some(now);
        let token = token.clone();
        let shown = if shows_id { token.id.as_str() } else { "" };
        Ok(Reply::auth(self.auth_of(&token, ttl, shown)).with_warnings(warnings))
    }

    fn revoke(&mut self, id: &str) -> Outcome {
        if self.state.tokens.of(id).is_some_and(|token| token.is_batch) {
            return Err(Refusal::bad("batch tokens cannot be revoked"));
        }
        self.state.tokens.revoke(id);
        Ok(Reply::nothing())
    }

    fn id_of_accessor(&self, call: &Call) -> Result<String, Refusal> {
        let accessor = call.text("accessor");
        if accessor.is_empty() {
            return Err(Refusal::wrapped(400, "missing accessor"));
        }
        let token = self.state.tokens.by_accessor(&accessor);
        token.map(|token| token.id.clone()).ok_or_else(|| Refusal::wrapped(400, "invalid accessor"))
    }
}

impl Call {
    /// Policy names are compared in lower case; the servers store them so.
    fn list_of_policies(&self, name: &str) -> Vec<String> {
        // `"a,b"` is one policy of that name here, as on the servers: only a list is taken apart.
        let names = match self.data.get(name) {
            Some(Value::String(name)) => vec![name.clone()],
            other => super::call::list_of(other),
        };
        names.into_iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect()
    }
}

/// Sorted, without doubles; `root` stands alone.
pub(super) fn sanitized(mut policies: Vec<String>, add_default: bool, drop_default: bool) -> Vec<String> {
    if policies.iter().any(|policy| policy == "root") {
        return vec!["root".to_owned()];
    }
    if add_default {
        policies.push("default".to_owned());
    }
    if drop_default {
        policies.retain(|policy| policy != "default");
    }
    policies.sort();
    policies.dedup();
    policies
}

/// Where it comes from, a dash, and what was asked for with everything else than letters and digits made a dash.
pub(super) fn display_name(prefix: &str, asked: &str) -> String {
    let clean: String = asked.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{prefix}-{}", clean.trim_matches('-')).trim_end_matches('-').to_owned()
}

fn past_max_ttl() -> Refusal {
    Refusal::wrapped(500, "past the max TTL, cannot renew")
}
