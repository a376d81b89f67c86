//! `sys/`: what a server says of itself, and what operators set up.

use serde_json::{Map, Value, json};

use super::{Call, Caller, Desk, Operation, Outcome, Refusal, Reply, Voice, mount, policy};
use crate::{encoding::rfc3339, random};

/// The paths that anybody may read, without a token and without an envelope.
pub(super) fn is_open(path: &str) -> bool {
    matches!(path, "sys/health" | "sys/seal-status" | "sys/leader" | "sys/init")
}

impl Desk<'_> {
    /// The answers without an envelope.
    pub(super) fn status(&self, path: &str) -> Value {
        match (path, self.state.voice) {
            ("sys/seal-status", _) => self.seal_status(),
            ("sys/init", _) => json!({ "initialized": true }),
            (_, Voice::OpenBao) => json!({ "ha_enabled": false }),
            (_, Voice::Vault) => json!({
                "ha_enabled": false,
                "is_self": false,
                "active_time": "0001-01-01T00:00:00Z",
                "leader_address": "",
                "leader_cluster_address": "",
                "performance_standby": false,
                "performance_standby_last_remote_wal": 0,
            }),
        }
    }

    /// Everything else below `sys/`.
    pub(super) fn sys(&mut self, call: &Call, path: &str) -> Outcome {
        let (verb, rest) = path.split_once('/').unwrap_or((path, ""));
        let voice = self.state.voice;
        match verb {
            "mounts" => mount::secrets(&mut self.state.mounts, call, rest, voice),
            "auth" => {
                let (reply, removed) = mount::methods(&mut self.state.auth, call, rest, voice)?;
                if let Some((accessor, prefix)) = removed {
                    self.state.tokens.revoke_issued_by(&prefix);
                    self.state.identity.forget_mount(&accessor);
                }
                Ok(reply)
            }
            "policy" => self.policies(call, rest, true),
            "policies" if rest == "acl" || rest.starts_with("acl/") => {
                self.policies(call, rest.trim_start_matches("acl").trim_start_matches('/'), false)
            }
            "capabilities-self" if rest.is_empty() && call.operation.is_write() => {
                self.capabilities_self(call)
            }
            "internal" => self.ui_mount(call, rest),
            "wrapping" => self.wrapping(call, rest),
            "config" if rest == "cors" => self.configure_cors(call),
            "capabilities" | "capabilities-accessor" if rest.is_empty() && call.operation.is_write() => {
                self.capabilities_of(call, verb)
            }
            "audit" if rest.is_empty() && call.operation == Operation::Read => Ok(Reply::data(json!({}))),
            "audit" if call.operation.is_write() => Err(Refusal::bad(
                "cannot enable audit device via API; use declarative, config-based audit device management instead",
            )),
            "audit" => Err(Refusal::unsupported_operation()),
            "remount" => self.remount(call, rest),
            "seal" if rest.is_empty() && call.operation.is_write() => {
                self.state.condition = super::condition::Condition::Sealed;
                Ok(Reply::nothing())
            }
            _ => Err(Refusal::unsupported_path()),
        }
    }

    /// `sys/policies/acl`, and `sys/policy` from before.
    fn policies(&mut self, call: &Call, name: &str, is_old: bool) -> Outcome {
        let name = name.to_lowercase();
        let is_list = call.operation == Operation::List || (is_old && call.operation == Operation::Read);
        if name.is_empty() && is_list {
            let mut names: Vec<&str> =
                self.state.policies.keys().map(String::as_str).chain(["root"]).collect();
            names.sort_unstable();
            return Ok(if is_old {
                Reply::data(json!({ "keys": names, "policies": names })).flat()
            } else {
                Reply::data(json!({ "keys": names }))
            });
        }
        if name.is_empty() {
            return Err(Refusal::unsupported_operation());
        }
        match call.operation {
            Operation::Read => self.read_policy(&name, is_old),
            Operation::Delete if name == "root" => Err(Refusal::bad("cannot delete \"root\" policy")),
            Operation::Delete if name == "default" => Err(Refusal::bad("cannot delete default policy")),
            Operation::Delete => {
                self.state.policies.remove(&name);
                Ok(Reply::nothing())
            }
            operation if operation.is_write() => {
                let field = if is_old && call.data.contains_key("rules") { "rules" } else { "policy" };
                let sent = call.text(field);
                if sent.is_empty() {
                    return Err(Refusal::bad("'policy' parameter not supplied or empty"));
                }
                if name == "root" {
                    return Err(Refusal::bad("cannot update \"root\" policy"));
                }
                let text = decoded(&sent).unwrap_or(sent);
                let rules = policy::parse(&text).map_err(Refusal::bad)?;
                let version = self.state.policies.get(&name).map_or(0, |policy| policy.version) + 1;
                let policy = policy::Policy { text, rules, version, modified: call.now };
                self.state.policies.insert(name, policy);
                Ok(Reply::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }

    fn read_policy(&self, name: &str, is_old: bool) -> Outcome {
        let known = self.state.policies.get(name);
        if known.is_none() && name != "root" {
            return Err(Refusal::not_found());
        }
        let text = known.map_or("", |policy| policy.text.as_str());
        let mut data = json!({ "name": name });
        data[if is_old { "rules" } else { "policy" }] = text.into();
        if self.state.voice == Voice::OpenBao {
            data["allow_slashes_in_identity_templates"] = false.into();
            data["allow_wildcards_in_identity_templates"] = false.into();
            data["cas_required"] = false.into();
            data["version"] = known.map_or(0, |policy| policy.version).into();
            if let Some(policy) = known {
                data["modified"] = rfc3339(policy.modified).into();
            }
        }
        let reply = Reply::data(data);
        Ok(if is_old { reply.flat() } else { reply })
    }

    fn capabilities_self(&self, call: &Call) -> Outcome {
        self.capabilities_at(call, &call.caller)
    }

    /// What another token may do, by itself or by its accessor.
    fn capabilities_of(&self, call: &Call, verb: &str) -> Outcome {
        let (found, missing) = if verb == "capabilities" {
            (self.state.tokens.of(&call.text("token")), "invalid token")
        } else {
            (self.state.tokens.by_accessor(&call.text("accessor")), "invalid accessor")
        };
        let token = found.ok_or_else(|| Refusal::wrapped(400, missing))?;
        let mut policies = token.policies.clone();
        policies.extend(self.state.identity.policies_of(&token.entity_id));
        let caller = Caller { id: token.id.clone(), policies, entity_id: token.entity_id.clone() };
        self.capabilities_at(call, &caller)
    }

    fn capabilities_at(&self, call: &Call, caller: &Caller) -> Outcome {
        let paths = if call.data.contains_key("paths") { call.list("paths") } else { call.list("path") };
        if paths.is_empty() {
            return Err(Refusal::bad("paths must be supplied"));
        }
        let mut data = json!({});
        for path in &paths {
            let granted = if caller.is_root() {
                vec!["root".to_owned()]
            } else {
                let granted: Vec<String> = self.capabilities(caller, path).into_iter().collect();
                if granted.is_empty() { vec!["deny".to_owned()] } else { granted }
            };
            data[path] = json!(granted);
            if paths.len() == 1 {
                data["capabilities"] = json!(granted);
            }
        }
        Ok(Reply::data(data).flat())
    }

    /// [`/sys/remount`](https://developer.hashicorp.com/vault/api-docs/system/remount): the answer only says that the move
    /// is queued; here it is done by then.
    fn remount(&mut self, call: &Call, rest: &str) -> Outcome {
        if let Some(id) = rest.strip_prefix("status/").filter(|_| call.operation == Operation::Read) {
            let (from, to) = self.state.moves.get(id).ok_or_else(Refusal::not_found)?;
            let info = json!({ "source_mount": from, "target_mount": to, "status": "success" });
            return Ok(Reply::data(json!({ "migration_id": id, "migration_info": info })));
        }
        if !rest.is_empty() || !call.operation.is_write() {
            return Err(Refusal::unsupported_operation());
        }
        let (from, to) = (call.text("from"), call.text("to"));
        if from.is_empty() || to.is_empty() {
            return Err(Refusal::bad("both 'from' and 'to' path must be specified as a string"));
        }
        let folder = |path: &str| format!("{}/", path.trim_matches('/'));
        let (from, to) = (folder(&from), folder(&to));
        if !self.state.mounts.contains_key(&from) {
            return Err(Refusal::bad(format!("no matching mount at \"{from}\"")));
        }
        if self.state.mounts.contains_key(&to) {
            return Err(Refusal::bad(format!("path already in use at \"{to}\"")));
        }
        if let Some(mount) = self.state.mounts.remove(&from) {
            self.state.mounts.insert(to.clone(), mount);
        }
        let id = random::uuid();
        self.state.moves.insert(id.clone(), (from, to));
        let name = match self.state.voice {
            Voice::OpenBao => "OpenBao",
            Voice::Vault => "Vault",
        };
        Ok(Reply::data(json!({ "migration_id": id })).flat().with_warning(format!(
            "Mount move has been queued. Progress will be reported in {name}'s server log, tagged with the returned \
             migration_id"
        )))
    }

    /// Which mount a path is on, for clients that do not know the version of a KV mount.
    fn ui_mount(&self, call: &Call, rest: &str) -> Outcome {
        if rest.trim_end_matches('/') == "ui/mounts" && call.operation == Operation::Read {
            return Ok(Reply::data(self.visible_mounts(call)));
        }
        let Some(path) = rest.strip_prefix("ui/mounts/").filter(|_| call.operation == Operation::Read) else {
            return Err(Refusal::unsupported_path());
        };
        let path = format!("{}/", path.trim_end_matches('/'));
        let found = self.state.mounts.iter().find(|(mount, _)| path.starts_with(mount.as_str()));
        let hidden = || {
            let why = "preflight capability check returned 403, please ensure client's policies grant access to path";
            Refusal::new(403, format!("{why} \"{path}\""))
        };
        let (mount_path, _) = found.ok_or_else(hidden)?;
        let is_allowed = call.caller.is_root() || self.may_see_mount(&call.caller, mount_path);
        let described =
            mount::describe(&self.state.mounts, mount_path, self.state.voice).filter(|_| is_allowed);
        described.map(Reply::data).ok_or_else(hidden)
    }
}

impl Desk<'_> {
    /// The stores that any policy of the caller touches. Auth methods are listed to nobody here: none is tuned for it.
    fn visible_mounts(&self, call: &Call) -> Value {
        let mut visible = Map::new();
        for path in self.state.mounts.keys() {
            let is_visible = call.caller.is_root() || self.may_see_mount(&call.caller, path);
            let described = mount::describe(&self.state.mounts, path, self.state.voice);
            if let Some(mut described) = described.filter(|_| is_visible) {
                described.as_object_mut().and_then(|members| members.remove("path"));
                visible.insert(path.clone(), described);
            }
        }
        json!({ "auth": {}, "secret": visible })
    }
}

/// A policy may come in Base64.
fn decoded(text: &str) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// Name and id of a cluster of one.
pub(super) struct Cluster {
    name: String,
    id: String,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self { name: format!("vault-cluster-{}", random::hex(8)), id: random::uuid() }
    }

    pub(super) fn describe(&self) -> Map<String, Value> {
        Map::from_iter([
            ("cluster_name".to_owned(), self.name.as_str().into()),
            ("cluster_id".to_owned(), self.id.as_str().into()),
        ])
    }
}
