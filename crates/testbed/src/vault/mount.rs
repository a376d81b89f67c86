//! Mounts: secrets engines and auth methods.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Call, Operation, Outcome, Refusal, Reply, Voice, approle::AppRole, call, jwt_auth::JwtAuth,
    kubernetes::Kubernetes, kv2, limits::SYSTEM_MAX_TTL, userpass::Userpass,
};
use crate::{encoding::go_numbers, random};

/// A secrets engine.
pub(super) struct Mount {
    pub(super) about: About,
    pub(super) engine: Engine,
}

/// What a secrets engine does.
pub(super) enum Engine {
    Kv1(BTreeMap<String, Value>),
    Kv2(kv2::Store),
}

/// An auth method.
pub(super) struct AuthMount {
    pub(super) kind: String,
    pub(super) accessor: String,
    pub(super) about: About,
    pub(super) method: Method,
}

/// What an auth method knows.
pub(super) enum Method {
    /// Tokens themselves, and the methods that this double only lists.
    Bare,
    Jwt(JwtAuth),
    Userpass(Userpass),
    AppRole(AppRole),
    Kubernetes(Kubernetes),
}

impl Method {
    fn of_kind(kind: &str) -> Self {
        match kind {
            "jwt" | "oidc" => Self::Jwt(JwtAuth::default()),
            "userpass" => Self::Userpass(Userpass::default()),
            "approle" => Self::AppRole(AppRole::default()),
            "kubernetes" => Self::Kubernetes(Kubernetes::default()),
            _ => Self::Bare,
        }
    }
}

/// What both sorts of mounts have.
#[derive(Clone)]
pub(super) struct About {
    pub(super) kind: String,
    pub(super) accessor: String,
    uuid: String,
    description: String,
    options: Value,
    /// 0: the system's.
    default_ttl: u64,
    max_ttl: u64,
    /// Secrets engines have none.
    token_type: Option<String>,
    /// What else was tuned, by its name.
    tuned: Map<String, Value>,
}

/// What is shown of a mount only once it was tuned.
const TUNABLE: [&str; 5] = [
    "allowed_response_headers",
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "listing_visibility",
    "passthrough_request_headers",
];

impl About {
    fn read(
        call: &Call,
        kind: &str,
        accessor_prefix: &str,
        token_type: Option<&str>,
    ) -> Result<Self, Refusal> {
        let config = call.data.get("config");
        let seconds = |name: &str| call::seconds_of(config.and_then(|config| config.get(name)));
        let (default_ttl, max_ttl) = (seconds("default_lease_ttl")?, seconds("max_lease_ttl")?);
        if max_ttl > 0 && default_ttl > max_ttl {
            return Err(Refusal::bad("given default lease TTL greater than given max lease TTL"));
        }
        Ok(Self {
            kind: kind.to_owned(),
            accessor: format!("{accessor_prefix}_{}", random::hex(8)),
            uuid: random::uuid(),
            description: call.text("description"),
            options: call.data.get("options").cloned().unwrap_or_else(|| json!({})),
            default_ttl,
            max_ttl,
            token_type: token_type.map(str::to_owned),
            tuned: Map::new(),
        })
    }

    pub(super) fn effective_default_ttl(&self) -> u64 {
        if self.default_ttl > 0 { self.default_ttl } else { SYSTEM_MAX_TTL }
    }

    pub(super) fn effective_max_ttl(&self) -> u64 {
        if self.max_ttl > 0 { self.max_ttl } else { SYSTEM_MAX_TTL }
    }

    fn describe(&self, voice: Voice) -> Value {
        let mut config = json!({
            "default_lease_ttl": self.default_ttl,
            "force_no_cache": false,
            "max_lease_ttl": self.max_ttl,
        });
        if let Some(token_type) = &self.token_type {
            config["token_type"] = token_type.as_str().into();
        }
        self.show_tuned(&mut config);
        let build = match voice {
            Voice::OpenBao => "builtin.bao",
            Voice::Vault => "builtin.vault",
        };
        let mut described = json!({
            "accessor": self.accessor,
            "config": config,
            "description": self.description,
            "external_entropy_access": false,
            "local": self.kind == "cubbyhole",
            "options": self.options,
            "plugin_version": "",
            "running_plugin_version": format!("v{}+{build}", voice.version()),
            "running_sha256": "",
            "seal_wrap": false,
            "type": self.kind,
            "uuid": self.uuid,
        });
        if !matches!(self.kind.as_str(), "token" | "cubbyhole" | "identity" | "system") {
            described["deprecation_status"] = "supported".into();
        }
        described
    }

    /// What is part of every server.
    fn of_server(kind: &str, accessor_prefix: &str, description: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            accessor: format!("{accessor_prefix}_{}", random::hex(8)),
            uuid: random::uuid(),
            description: description.to_owned(),
            options: Value::Null,
            default_ttl: 0,
            max_ttl: 0,
            token_type: None,
            tuned: Map::new(),
        }
    }

    fn tuning(&self) -> Value {
        let mut tuning = json!({
            "default_lease_ttl": self.effective_default_ttl(),
            "description": self.description,
            "force_no_cache": false,
            "max_lease_ttl": self.effective_max_ttl(),
        });
        match &self.token_type {
            Some(token_type) => tuning["token_type"] = token_type.as_str().into(),
            None => tuning["options"] = self.options.clone(),
        }
        self.show_tuned(&mut tuning);
        tuning
    }

    fn show_tuned(&self, shown: &mut Value) {
        for (name, value) in &self.tuned {
            shown[name] = value.clone();
        }
    }

    fn tune(&mut self, call: &Call) -> Result<(), Refusal> {
        let ttl = |name: &str, now: u64| match call.text(name).as_str() {
            "" => Ok(now),
            "system" => Ok(0),
            _ => call.seconds(name),
        };
        let default_ttl = ttl("default_lease_ttl", self.default_ttl)?;
        let max_ttl = ttl("max_lease_ttl", self.max_ttl)?;
        if max_ttl > 0 && default_ttl > max_ttl {
            return Err(Refusal::bad(format!(
                "backend max lease TTL of {max_ttl} would be less than backend default lease TTL of {default_ttl}"
            )));
        }
        let visibility = call.text("listing_visibility");
        if !matches!(visibility.as_str(), "" | "hidden" | "unauth") {
            return Err(Refusal::bad(format!("invalid listing_visibility {visibility}")));
        }
        if call.data.contains_key("token_type") {
            let token_type = call.text("token_type");
            if !matches!(token_type.as_str(), "default-service" | "default-batch" | "service" | "batch") {
                return Err(Refusal::bad("invalid value for 'token_type'"));
            }
            self.token_type = Some(token_type);
        }
        (self.default_ttl, self.max_ttl) = (default_ttl, max_ttl);
        for name in TUNABLE {
            if let Some(value) = call.data.get(name) {
                self.tuned.insert(name.to_owned(), value.clone());
            }
        }
        if call.data.contains_key("description") {
            self.description = call.text("description");
        }
        Ok(())
    }
}

impl Mount {
    /// KV version 2 as a dev server has it at `secret/`.
    pub(super) fn of_dev_server() -> Self {
        let about = About::of_server("kv", "kv", "key/value secret storage");
        Self {
            about: About { options: json!({"version": "2"}), ..about },
            engine: Engine::Kv2(kv2::Store::default()),
        }
    }

    /// Whether a write there changes something that exists.
    pub(super) fn exists(&self, path: &str) -> bool {
        match &self.engine {
            Engine::Kv1(secrets) => secrets.contains_key(path),
            Engine::Kv2(store) => store.exists(path),
        }
    }

    pub(super) fn answer(&mut self, call: &Call, path: &str, voice: Voice) -> Outcome {
        let lease = self.about.effective_default_ttl();
        match &mut self.engine {
            Engine::Kv2(store) => store.answer(call, path, voice),
            Engine::Kv1(secrets) => kv1(secrets, call, path, lease),
        }
    }
}

impl AuthMount {
    /// The method that every server has, for tokens themselves.
    pub(super) fn of_tokens() -> Self {
        let about = About::of_server("token", "auth_token", "token based credentials");
        let accessor = about.accessor.clone();
        let about = About { token_type: Some("default-service".to_owned()), ..about };
        Self { kind: "token".to_owned(), accessor, about, method: Method::Bare }
    }
}

/// KV version 1: what was written last.
fn kv1(secrets: &mut BTreeMap<String, Value>, call: &Call, path: &str, lease: u64) -> Outcome {
    match call.operation {
        Operation::Read => {
            let data = secrets.get(path).ok_or_else(Refusal::not_found)?;
            Ok(Reply::data(go_numbers(data.clone())).with_lease_duration(lease))
        }
        Operation::Create | Operation::Update if call.data.is_empty() => {
            Err(Refusal::bad("missing data fields"))
        }
        Operation::Create | Operation::Update => {
            secrets.insert(path.to_owned(), Value::Object(call.data.clone()));
            Ok(Reply::nothing())
        }
        Operation::Delete => {
            secrets.remove(path);
            Ok(Reply::nothing())
        }
        Operation::List => {
            let prefix =
                if path.is_empty() { String::new() } else { format!("{}/", path.trim_end_matches('/')) };
            let below = secrets.keys().filter_map(|key| key.strip_prefix(&prefix));
            let mut keys: Vec<String> = below
                .map(|rest| {
                    rest.split_once('/').map_or_else(|| rest.to_owned(), |(folder, _)| format!("{folder}/"))
                })
                .collect();
            keys.dedup();
            Reply::keys(keys)
        }
        Operation::Patch | Operation::Scan => Err(Refusal::unsupported_operation()),
    }
}

/// What is said of the tuning of a mount that is not there.
fn untunable(path: &str, is_write: bool) -> Refusal {
    Refusal::bad(if is_write {
        format!("tune of path \"{path}\" failed: no mount entry found")
    } else {
        format!("cannot fetch sysview for path \"{path}\"")
    })
}

/// `sys/mounts`.
pub(super) fn secrets(
    mounts: &mut BTreeMap<String, Mount>,
    call: &Call,
    path: &str,
    voice: Voice,
) -> Outcome {
    let is_write = call.operation.is_write();
    if path.is_empty() && call.operation == Operation::Read {
        let mut all: Map<String, Value> =
            mounts.iter().map(|(path, mount)| (path.clone(), mount.about.describe(voice))).collect();
        for (path, kind, prefix, description) in [
            ("cubbyhole/", "cubbyhole", "cubbyhole", "per-token private secret storage"),
            ("identity/", "identity", "identity", "identity store"),
            ("sys/", "system", "system", "system endpoints used for control, policy and debugging"),
        ] {
            all.insert(path.to_owned(), About::of_server(kind, prefix, description).describe(voice));
        }
        return Ok(Reply::data(Value::Object(all)).flat());
    }
    if let Some(path) = path.strip_suffix("/tune") {
        let path = format!("{}/", path.trim_matches('/'));
        let mount = mounts.get_mut(&path).ok_or_else(|| untunable(&path, is_write))?;
        if is_write {
            mount.about.tune(call)?;
            return Ok(Reply::nothing());
        }
        return Ok(Reply::data(mount.about.tuning()).flat());
    }
    let path = format!("{}/", path.trim_matches('/'));
    match call.operation {
        Operation::Read => {
            let missing = || Refusal::bad(format!("No secret engine mount at {path}"));
            let mount = mounts.get(&path).ok_or_else(missing)?;
            Ok(Reply::data(mount.about.describe(voice)).flat())
        }
        Operation::Delete if matches!(path.as_str(), "sys/" | "cubbyhole/" | "identity/") => {
            Err(Refusal::bad(format!("cannot unmount \"{path}\"")))
        }
        Operation::Delete => {
            mounts.remove(&path);
            Ok(Reply::nothing())
        }
        _ if is_write => {
            let kind = call.text("type");
            if kind.is_empty() {
                return Err(Refusal::bad("backend type must be specified as a string"));
            }
            let in_use =
                |taken: &&String| path.starts_with(taken.as_str()) || taken.starts_with(path.as_str());
            if let Some(taken) = mounts.keys().find(in_use) {
                return Err(Refusal::bad(format!("path is already in use at {taken}")));
            }
            let mut about = About::read(call, "kv", "kv", None)?;
            let version = call::text_of(about.options.get("version"));
            let engine = match (kind.as_str(), version.as_str()) {
                ("kv-v2", _) | ("kv", "2") => {
                    about.options = json!({"version": "2"});
                    Engine::Kv2(kv2::Store::default())
                }
                ("kv" | "kv-v1", _) => Engine::Kv1(BTreeMap::new()),
                _ => return Err(Refusal::bad(format!("plugin not found in the catalog: {kind}"))),
            };
            mounts.insert(path, Mount { about, engine });
            Ok(Reply::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

/// `sys/auth`. The second value is the accessor and the path of a method that was disabled just now.
pub(super) fn methods(
    methods: &mut BTreeMap<String, AuthMount>,
    call: &Call,
    path: &str,
    voice: Voice,
) -> Result<(Reply, Option<(String, String)>), Refusal> {
    let is_write = call.operation.is_write();
    let only = |reply| Ok((reply, None));
    if path.is_empty() && call.operation == Operation::Read {
        let all: Map<String, Value> =
            methods.iter().map(|(path, mount)| (path.clone(), mount.about.describe(voice))).collect();
        return only(Reply::data(Value::Object(all)).flat());
    }
    if let Some(path) = path.strip_suffix("/tune") {
        let path = format!("{}/", path.trim_matches('/'));
        let mount = methods.get_mut(&path).ok_or_else(|| untunable(&format!("auth/{path}"), is_write))?;
        if is_write {
            mount.about.tune(call)?;
            return only(Reply::nothing());
        }
        return only(Reply::data(mount.about.tuning()).flat());
    }
    let path = format!("{}/", path.trim_matches('/'));
    match call.operation {
        Operation::Read => {
            let missing = || Refusal::bad(format!("No auth engine at {path}"));
            only(Reply::data(methods.get(&path).ok_or_else(missing)?.about.describe(voice)).flat())
        }
        Operation::Delete if path == "token/" => {
            Err(Refusal::bad("token credential backend cannot be disabled"))
        }
        Operation::Delete => {
            let removed = methods.remove(&path).map(|mount| (mount.accessor, format!("auth/{path}")));
            Ok((Reply::nothing(), removed))
        }
        _ if is_write => {
            let kind = call.text("type");
            if kind.is_empty() {
                return Err(Refusal::bad("backend type must be specified as a string"));
            }
            let in_use =
                |taken: &&String| path.starts_with(taken.as_str()) || taken.starts_with(path.as_str());
            if let Some(taken) = methods.keys().find(in_use) {
                return Err(Refusal::bad(format!("path is already in use at {taken}")));
            }
            if !matches!(
                kind.as_str(),
                "jwt" | "oidc" | "kubernetes" | "userpass" | "approle" | "cert" | "ldap"
            ) {
                return Err(Refusal::bad(format!("plugin not found in the catalog: {kind}")));
            }
            let about = About::read(call, &kind, &format!("auth_{kind}"), Some("default-service"))?;
            let accessor = about.accessor.clone();
            let method = Method::of_kind(&kind);
            methods.insert(path, AuthMount { kind, accessor, about, method });
            only(Reply::nothing())
        }
        _ => Err(Refusal::unsupported_operation()),
    }
}

/// One secrets engine with its path, as `sys/internal/ui/mounts` describes it.
pub(super) fn describe(mounts: &BTreeMap<String, Mount>, path: &str, voice: Voice) -> Option<Value> {
    let mut described = mounts.get(path)?.about.describe(voice);
    described["path"] = path.into();
    Some(described)
}
