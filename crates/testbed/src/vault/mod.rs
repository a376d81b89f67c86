//! The Vault: tokens, policies, mounts, identity and the two ways to log in with an identity provider.

mod approle;
mod auth;
mod call;
mod condition;
mod cors;
mod entities;
mod envelope;
mod groups;
mod hcl;
mod identity;
mod jwt_auth;
mod kubernetes;
mod kv2;
mod limits;
mod mount;
mod policy;
mod sys;
mod token_fields;
mod token_roles;
mod tokens;
mod userpass;
mod voice;
mod wrapping;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde_json::Value;

use call::{Call, Caller, Operation};
use envelope::{Outcome, Refusal, Reply};
use mount::{AuthMount, Mount};
use tokens::Tokens;
pub use voice::Voice;

use crate::{
    canary::Kind,
    message::{Request, Response},
    world::World,
};

pub(crate) struct State {
    voice: Voice,
    cluster: sys::Cluster,
    tokens: Tokens,
    policies: BTreeMap<String, policy::Policy>,
    mounts: BTreeMap<String, Mount>,
    auth: BTreeMap<String, AuthMount>,
    identity: identity::Identity,
    drawers: wrapping::Drawers,
    token_roles: BTreeMap<String, token_roles::TokenRole>,
    cors: cors::Cors,
    condition: condition::Condition,
    moves: BTreeMap<String, (String, String)>,
    root_token: String,
}

impl State {
    pub(crate) fn new(voice: Voice, root_token: &str, now: SystemTime) -> Self {
        let mut tokens = Tokens::default();
        tokens.insert(tokens::Token {
            id: root_token.to_owned(),
            accessor: crate::random::base62(24),
            is_batch: false,
            policies: vec!["root".to_owned()],
            parent: None,
            issued: now,
            expires: None,
            creation_ttl: 0,
            last_ttl: 0,
            limits: limits::Limits::default(),
            is_renewable: false,
            uses_left: 0,
            metadata: None,
            display_name: "token".to_owned(),
            path: "auth/token/create".to_owned(),
            entity_id: String::new(),
            last_renewal: None,
            role: String::new(),
        });
        let built_in = |text: &str| policy::Policy {
            text: text.to_owned(),
            rules: policy::parse(text).unwrap_or_default(),
            version: 1,
            modified: now,
        };
        Self {
            voice,
            cluster: sys::Cluster::new(),
            tokens,
            policies: BTreeMap::from([("default".to_owned(), built_in(policy::DEFAULT))]),
            mounts: BTreeMap::from([("secret/".to_owned(), Mount::of_dev_server())]),
            auth: BTreeMap::from([("token/".to_owned(), AuthMount::of_tokens())]),
            identity: identity::Identity::default(),
            drawers: wrapping::Drawers::default(),
            token_roles: BTreeMap::new(),
            cors: cors::Cors::default(),
            condition: condition::Condition::default(),
            moves: BTreeMap::new(),
            root_token: root_token.to_owned(),
        }
    }
}

/// The Vault's side of a [`World`]: what a test may ask of it without going through HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Vault<'w> {
    world: &'w World,
}

impl<'w> Vault<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self { world }
    }

    /// The root token.
    pub fn root_token(&self) -> String {
        self.world.with_vault(|state| state.root_token.clone())
    }

    /// Whose words it speaks.
    pub fn voice(&self) -> Voice {
        self.world.with_vault(|state| state.voice)
    }

    /// Seals the Vault, as a restart does: everything but its status answers 503. [`Vault::unseal`] ends it.
    pub fn seal(&self) {
        self.world.with_vault(|state| state.condition = condition::Condition::Sealed);
    }

    /// Makes the Vault a standby: it sends every call to its leader (307), or, where there is none at the moment, says so
    /// (503). [`Vault::unseal`] makes it active again.
    pub fn standby(&self, leader: Option<&str>) {
        let leader = leader.map(str::to_owned);
        self.world.with_vault(|state| state.condition = condition::Condition::Standby(leader));
    }

    /// Makes the Vault active again.
    pub fn unseal(&self) {
        self.world.with_vault(|state| state.condition = condition::Condition::Active);
    }

    /// A token as a pod gets it for its service account, good for an hour: what a login of the Kubernetes method shows.
    ///
    /// The audience is the cluster's own where none is said. The double answers the `TokenReview` of such a token itself,
    /// whatever `kubernetes_host` is configured.
    pub fn service_account_token(&self, namespace: &str, name: &str, audience: Option<&str>) -> String {
        let token = kubernetes::mint(namespace, name, audience, self.world.now());
        self.world.canary().plant(&token, Kind::IdToken);
        token
    }

    /// Does what an operator does with the root token, and returns the answer's JSON; `null` when there is none.
    ///
    /// The path is without `/v1/`. It goes past faults and is not logged: it sets the scene and is not part of it.
    pub fn operate(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.world.vault_address());
        let request = Request::new(method, &url).with_token(&self.root_token());
        let response = answer(self.world, &if body.is_null() { request } else { request.with_json(body) });
        (response.status, response.json())
    }
}

/// Whoever answers a request: the world and the Vault's state, for as long as one request takes.
struct Desk<'a> {
    world: &'a World,
    state: &'a mut State,
}

/// Answers a request that was addressed to the Vault.
pub(crate) fn answer(world: &World, request: &Request) -> Response {
    let now = world.now();
    world.with_vault(|state| Desk { world, state }.answer(request, now))
}

impl Desk<'_> {
    fn answer(&mut self, request: &Request, now: SystemTime) -> Response {
        if let Some(response) = self.preflight(request) {
            return response;
        }
        let response = self.answer_path(request, now);
        self.for_page(request, response)
    }

    fn answer_path(&mut self, request: &Request, now: SystemTime) -> Response {
        let raw = request.path();
        if let Some(clean) = cleaned(raw) {
            return Response::new(307)
                .with_header("Location", &clean)
                .with_header("Cache-Control", "no-store")
                .with_header("Content-Type", "text/html; charset=utf-8")
                .with_header("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
                .with_body(format!("<a href=\"{clean}\">Temporary Redirect</a>.\n\n"));
        }
        let Some(path) = raw.strip_prefix("/v1/") else {
            return Response::new(404)
                .with_header("Content-Type", "text/plain; charset=utf-8")
                .with_body("404 page not found\n");
        };
        if let Some(response) = self.idle(request, path) {
            return response;
        }
        // HashiCorp's free edition has no namespaces, and ignores the header.
        let namespace = request.header("X-Vault-Namespace").filter(|_| self.state.voice == Voice::OpenBao);
        let is_elsewhere = namespace.is_some_and(|name| !matches!(name.trim_matches('/'), "" | "root"));
        let response = if is_elsewhere && sys::is_open(path) {
            Refusal::bad("operation unavailable in namespaces").render()
        } else if is_elsewhere {
            Refusal::new(404, "namespace not found").render()
        } else if path == "sys/health" && matches!(request.method.as_str(), "GET" | "HEAD") {
            self.health(request, now)
        } else if path == "sys/unseal" && matches!(request.method.as_str(), "POST" | "PUT") {
            self.unseal()
        } else if sys::is_open(path) {
            match request.method.as_str() {
                "GET" => envelope::framed(200, &self.status(path)),
                "HEAD" => Response::new(200),
                _ => Refusal::without_errors(405).render(),
            }
        } else {
            self.state.tokens.expire(now);
            let mount_type = self.mount_type(path);
            self.serve(request, path, now)
                .map_or_else(Refusal::render, |reply| reply.render(self.state.voice, &mount_type))
        };
        match namespace {
            Some(name) => response.with_header("X-Vault-Namespace", name),
            None => response,
        }
    }

    fn serve(&mut self, request: &Request, path: &str, now: SystemTime) -> Outcome {
        let mut call = Call::read(request, path, self.state.voice, now)?;
        if self.is_login(&call) {
            let reply = self.login_path(&call)?;
            return Ok(self.wrap(reply, call.wrap_ttl, &call));
        }
        let bearer = || request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = request.header("X-Vault-Token").or_else(bearer).unwrap_or_default();
        self.plant(token, Kind::Token);
        if let Some(outcome) = self.wrapping_token_call(&call, token) {
            return outcome;
        }
        call.caller = self.caller(token)?;
        if call.operation == Operation::Update && !self.exists(&call.path) {
            call.operation = Operation::Create;
        }
        let outcome = if self.allows(&call) { self.route(&call) } else { Err(Refusal::denied()) };
        if self.state.tokens.of(token).is_some_and(|token| token.uses_left < 0) {
            self.state.tokens.revoke(token);
        }
        let outcome = outcome.and_then(|reply| self.page(reply, &call));
        let wrap_ttl = if call.path == "sys/wrapping/unwrap" { 0 } else { call.wrap_ttl };
        outcome.map(|reply| self.wrap(reply, wrap_ttl, &call))
    }

    /// Who holds this token. A call of a token with a number of uses takes one; the last one leaves −1.
    fn caller(&mut self, id: &str) -> Result<Caller, Refusal> {
        if id.is_empty() {
            return Err(Refusal::new(403, "permission denied"));
        }
        let dead = Refusal::new(403, self.state.voice.dead_token());
        let Some(token) = self.state.tokens.of_mut(id) else { return Err(dead) };
        match token.uses_left {
            0 => {}
            1 => token.uses_left = -1,
            _ => token.uses_left -= 1,
        }
        let mut policies = token.policies.clone();
        let entity_id = token.entity_id.clone();
        if self.state.identity.is_disabled(&entity_id) {
            return Err(Refusal::new(403, "permission denied"));
        }
        policies.extend(self.state.identity.policies_of(&entity_id));
        Ok(Caller { id: id.to_owned(), policies, entity_id })
    }

    fn allows(&self, call: &Call) -> bool {
        // Which mount a path is on, any token may ask; the answer looks at the policies.
        let asks_for_mounts =
            call.path == "sys/internal/ui/mounts" || call.path.starts_with("sys/internal/ui/mounts/");
        if call.caller.is_root() || asks_for_mounts {
            return true;
        }
        let lists = matches!(call.operation, Operation::List | Operation::Scan);
        let mut granted = BTreeSet::new();
        if lists {
            // A folder is asked for with its slash, and allowed with it or, exactly, without.
            let folder = format!("{}/", call.path.trim_end_matches('/'));
            granted = self.capabilities(&call.caller, &folder);
            if granted.is_empty() {
                granted = self.exact_capabilities(&call.caller, folder.trim_end_matches('/'));
            }
        } else {
            granted.extend(self.capabilities(&call.caller, &call.path));
        }
        let needs_sudo = needs_sudo(&call.path);
        granted.contains(call.operation.capability()) && (!needs_sudo || granted.contains("sudo"))
    }

    /// What the policies of a caller allow at a path; nothing where one denies.
    fn capabilities(&self, caller: &Caller, path: &str) -> BTreeSet<String> {
        policy::capabilities(self.rules(caller).iter(), path)
    }

    fn exact_capabilities(&self, caller: &Caller, path: &str) -> BTreeSet<String> {
        policy::capabilities(self.rules(caller).iter().filter(|rule| rule.path == path), path)
    }

    /// Whether any rule touches a mount.
    fn may_see_mount(&self, caller: &Caller, mount: &str) -> bool {
        let touches = |rule: &policy::Rule| {
            let start = rule.path.split(['*', '+']).next().unwrap_or_default();
            !rule.capabilities.contains("deny") && (start.starts_with(mount) || mount.starts_with(start))
        };
        self.rules(caller).iter().any(touches)
    }

    fn rules(&self, caller: &Caller) -> Vec<policy::Rule> {
        if caller.policies.iter().any(|name| name == wrapping::POLICY_NAME) {
            return policy::parse(wrapping::POLICY).unwrap_or_default();
        }
        let policies = caller.policies.iter().filter_map(|name| self.state.policies.get(name));
        policies
            .flat_map(|policy| &policy.rules)
            .filter_map(|rule| {
                let mut rule = rule.clone();
                if rule.path.contains("{{") {
                    rule.path = self.state.identity.fill_in(&rule.path, &caller.entity_id)?;
                }
                Some(rule)
            })
            .collect()
    }

    fn route(&mut self, call: &Call) -> Outcome {
        let path = call.path.as_str();
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match (first, rest) {
            ("sys", rest) => self.sys(call, rest),
            ("identity", rest) => self.identity(call, rest),
            ("cubbyhole", rest) => self.cubbyhole(call, rest),
            ("auth", "token") => Err(Refusal::unsupported_path()),
            ("auth", rest) if rest.starts_with("token/") => self.token(call, &rest["token/".len()..]),
            ("auth", _) => self.auth_method(call),
            _ => {
                let voice = self.state.voice;
                if call.operation.is_write() || call.operation == Operation::Patch {
                    let written = call.data.get("data").cloned().unwrap_or_else(|| call.data.clone().into());
                    self.world.canary().plant_all(&written, Kind::Secret);
                }
                match self.mount_of(path).map(|mount| (mount.len(), self.state.mounts.get_mut(&mount))) {
                    Some((length, Some(mount))) => {
                        mount.answer(call, path.get(length..).unwrap_or_default(), voice)
                    }
                    _ => Err(Refusal::no_handler(path)),
                }
            }
        }
    }

    /// The part of a list that was asked for: OpenBao's lists of secrets and of an auth method's roles have pages.
    fn page(&self, reply: Reply, call: &Call) -> Outcome {
        let has_pages = call.path.starts_with("auth/") && !call.path.starts_with("auth/token/")
            || self.mount_of(&call.path).is_some();
        if self.state.voice != Voice::OpenBao || call.operation != Operation::List || !has_pages {
            return Ok(reply);
        }
        let limit = match call.text("limit").as_str() {
            "" => 0,
            text => text.parse::<i64>().map_err(|_| {
                Refusal::bad(
                    "Field validation failed: error converting input for field \"limit\": '' cannot parse value as 'int': \
                     strconv.ParseInt: invalid syntax",
                )
            })?,
        };
        reply.page(&call.text("after"), usize::try_from(limit).unwrap_or(0))
    }

    /// The secrets engine that a path is on: its mount path, with the slash.
    fn mount_of(&self, path: &str) -> Option<String> {
        let below = |mount: &&String| path.starts_with(mount.as_str()) || format!("{path}/") == **mount;
        self.state.mounts.keys().filter(below).max_by_key(|mount| mount.len()).cloned()
    }

    /// Whether there is something that a write would change. Most places do not say: there, a write is an update.
    fn exists(&self, path: &str) -> bool {
        if let Some(mount) = self.mount_of(path) {
            let rest = path.get(mount.len()..).unwrap_or_default();
            let asks = match self.state.mounts.get(&mount) {
                Some(Mount { engine: mount::Engine::Kv1(_), .. }) => true,
                _ => rest.starts_with("data/") || rest.starts_with("metadata/"),
            };
            return !asks || self.state.mounts.get(&mount).is_some_and(|mount| mount.exists(rest));
        }
        self.role_exists(path)
    }

    fn mount_type(&self, path: &str) -> String {
        let first = path.split('/').next().unwrap_or_default();
        match first {
            "sys" => "system".to_owned(),
            "identity" | "cubbyhole" => first.to_owned(),
            "auth" if path.starts_with("auth/token/") => "token".to_owned(),
            "auth" => String::new(),
            _ => self.mount_of(path).map_or_else(String::new, |_| "kv".to_owned()),
        }
    }

    fn plant(&self, secret: &str, kind: Kind) {
        self.world.canary().plant(secret, kind);
    }
}

/// Remembers a field of a call as a secret.
fn plant_text(world: &World, call: &Call, name: &str, kind: Kind) {
    world.canary().plant(&call.text(name), kind);
}

/// Where the servers ask for `sudo` on top.
fn needs_sudo(path: &str) -> bool {
    path.starts_with("sys/auth/")
        || path.starts_with("sys/audit")
        || path.starts_with("auth/token/accessors")
        || matches!(
            path,
            "sys/remount" | "sys/config/cors" | "sys/rotate" | "sys/seal" | "auth/token/revoke-orphan"
        )
}

/// The path without empty and dotted segments, where it has any: the servers redirect to it.
fn cleaned(path: &str) -> Option<String> {
    let is_odd = path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..");
    is_odd.then(|| {
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
            if segment == ".." {
                kept.pop();
            } else {
                kept.push(segment);
            }
        }
        let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
        format!("/{}{slash}", kept.join("/"))
    })
}

#[cfg(test)]
mod tests;
