//! The `AppRole` auth method: programs with a role id and a secret id.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{
    Call, Desk, Operation, Outcome, Refusal, Reply, Voice,
    auth::Person,
    call::{flag_of, seconds_of, text_of},
    mount::Method,
    token_fields::TokenFields,
};
use crate::{canary::Kind, encoding::rfc3339, random, world::World};

/// What one mount knows. Names are in lower case.
#[derive(Default)]
pub(super) struct AppRole {
    pub(super) roles: BTreeMap<String, Role>,
}

#[derive(Clone)]
pub(super) struct Role {
    id: String,
    needs_secret: bool,
    secret_id_num_uses: u64,
    secret_id_ttl: u64,
    token: TokenFields,
    secrets: BTreeMap<String, SecretId>,
}

#[derive(Clone)]
struct SecretId {
    accessor: String,
    metadata: Map<String, Value>,
    num_uses: u64,
    ttl: u64,
    created: SystemTime,
    updated: SystemTime,
}

impl SecretId {
    fn expires(&self) -> Option<SystemTime> {
        (self.ttl > 0).then(|| self.created + Duration::from_secs(self.ttl))
    }

    fn describe(&self) -> Value {
        // What Go writes for a time that is none.
        let expires = self.expires().map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339);
        json!({
            "cidr_list": [],
            "creation_time": rfc3339(self.created),
            "expiration_time": expires,
            "last_updated_time": rfc3339(self.updated),
            "metadata": self.metadata,
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.num_uses,
            "secret_id_ttl": self.ttl,
            "token_bound_cidrs": [],
        })
    }
}

impl AppRole {
    pub(super) fn answer(&mut self, call: &Call, rest: &str, voice: Voice, world: &World) -> Outcome {
        if matches!(rest, "role" | "role/") {
            return match call.operation {
                Operation::List => Reply::keys(self.roles.keys().cloned()),
                _ => Err(Refusal::unsupported_operation()),
            };
        }
        let rest = rest.strip_prefix("role/").ok_or_else(Refusal::unsupported_path)?;
        let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
        let name = name.to_lowercase();
        let is_write = call.operation.is_write();
        if part.is_empty() {
            return match call.operation {
                Operation::Read => {
                    let role = self.roles.get(&name).ok_or_else(Refusal::not_found)?;
                    Ok(Reply::data(role.describe(voice)))
                }
                Operation::Delete => {
                    self.roles.remove(&name);
                    Ok(Reply::nothing())
                }
                _ if is_write => {
                    let role = Role::read(call, self.roles.get(&name).cloned())?;
                    self.roles.insert(name, role);
                    Ok(Reply::nothing())
                }
                _ => Err(Refusal::unsupported_operation()),
            };
        }
        let Some(role) = self.roles.get_mut(&name) else {
            return Err(if call.operation == Operation::Read {
                Refusal::not_found()
            } else {
                Refusal::new(404, format!("role \"{name}\" does not exist"))
            });
        };
        role.part(call, part, world)
    }
}

impl Role {
    fn read(call: &Call, known: Option<Self>) -> Result<Self, Refusal> {
        let mut role = known.unwrap_or_else(|| Self {
            id: random::uuid(),
            needs_secret: true,
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            token: TokenFields::default(),
            secrets: BTreeMap::new(),
        });
        if let Some(flag) = call.data.get("bind_secret_id") {
            role.needs_secret = flag_of(Some(flag));
        }
        if !role.needs_secret && call.list("token_bound_cidrs").is_empty() {
            return Err(Refusal::wrapped(500, "at least one constraint should be enabled on the role"));
        }
        if let Some(uses) = call.data.get("secret_id_num_uses") {
            role.secret_id_num_uses = text_of(Some(uses)).parse().unwrap_or(0);
        }
        if let Some(ttl) = call.data.get("secret_id_ttl") {
            role.secret_id_ttl = seconds_of(Some(ttl))?;
        }
        if let Some(id) = call.data.get("role_id") {
            role.id = text_of(Some(id));
        }
        role.token = TokenFields::read(&call.data, Some(role.token))?;
        Ok(role)
    }

    fn describe(&self, voice: Voice) -> Value {
        let mut fields = self.token.describe(voice);
        for (name, value) in [
            ("bind_secret_id", json!(self.needs_secret)),
            ("local_secret_ids", false.into()),
            ("secret_id_bound_cidrs", Value::Null),
            ("secret_id_num_uses", self.secret_id_num_uses.into()),
            ("secret_id_ttl", self.secret_id_ttl.into()),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Value::Object(fields)
    }

    /// What is below one role.
    fn part(&mut self, call: &Call, part: &str, world: &World) -> Outcome {
        let is_write = call.operation.is_write();
        let secret = call.text("secret_id");
        let no_accessor =
            |accessor: &str| format!("failed to find accessor entry for secret_id_accessor: \"{accessor}\"");
        match (part, call.operation) {
            ("role-id", Operation::Read) => Ok(Reply::data(json!({ "role_id": self.id }))),
            ("role-id", _) if is_write => {
                self.id = call.text("role_id");
                Ok(Reply::nothing())
            }
            ("secret-id" | "secret-id/", Operation::List) => {
                Reply::keys(self.secrets.values().map(|secret| secret.accessor.clone()))
            }
            ("secret-id", _) if is_write => self.add_secret(call, random::uuid(), world),
            ("custom-secret-id", _) if is_write => self.add_secret(call, secret, world),
            ("secret-id/lookup", _) if is_write => match self.secrets.get(&secret) {
                Some(found) => Ok(Reply::data(found.describe())),
                None => Ok(Reply::nothing()),
            },
            ("secret-id/destroy", _) if is_write || call.operation == Operation::Delete => {
                self.secrets.remove(&secret);
                Ok(Reply::nothing())
            }
            ("secret-id-accessor/lookup", _) if is_write => {
                let accessor = call.text("secret_id_accessor");
                let found = self.secrets.values().find(|secret| secret.accessor == accessor);
                Ok(found.map_or_else(
                    || Reply::data(json!({ "error": no_accessor(&accessor) })).with_status(404),
                    |secret| Reply::data(secret.describe()),
                ))
            }
            ("secret-id-accessor/destroy", _) if is_write || call.operation == Operation::Delete => {
                let accessor = call.text("secret_id_accessor");
                let before = self.secrets.len();
                self.secrets.retain(|_, secret| secret.accessor != accessor);
                if self.secrets.len() == before {
                    return Err(Refusal::wrapped(500, &no_accessor(&accessor)));
                }
                Ok(Reply::nothing())
            }
            (
                "role-id"
                | "secret-id"
                | "custom-secret-id"
                | "secret-id/lookup"
                | "secret-id/destroy"
                | "secret-id-accessor/lookup"
                | "secret-id-accessor/destroy",
                _,
            ) => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }

    fn add_secret(&mut self, call: &Call, id: String, world: &World) -> Outcome {
        world.canary().plant(&id, Kind::ClientSecret);
        // The metadata is JSON inside a text.
        let metadata = serde_json::from_str::<Map<String, Value>>(&call.text("metadata")).unwrap_or_default();
        let own = |name: &str, of_role: u64| match call.data.get(name) {
            Some(value) => seconds_of(Some(value)),
            None => Ok(of_role),
        };
        let secret = SecretId {
            accessor: random::uuid(),
            metadata,
            num_uses: own("num_uses", self.secret_id_num_uses)?,
            ttl: own("ttl", self.secret_id_ttl)?,
            created: call.now,
            updated: call.now,
        };
        let reply = Reply::data(json!({
            "secret_id": id,
            "secret_id_accessor": secret.accessor,
            "secret_id_num_uses": secret.num_uses,
            "secret_id_ttl": secret.ttl,
        }));
        self.secrets.insert(id, secret);
        Ok(reply)
    }

    /// Takes one use of a secret id; its metadata where it was good.
    fn use_secret(&mut self, id: &str, now: SystemTime) -> Option<Map<String, Value>> {
        let secret = self.secrets.get_mut(id)?;
        let metadata = secret.metadata.clone();
        let is_over = secret.expires().is_some_and(|expires| expires <= now);
        let is_last = secret.num_uses == 1;
        secret.num_uses = secret.num_uses.saturating_sub(1);
        secret.updated = now;
        if is_over || is_last {
            self.secrets.remove(id);
        }
        (!is_over).then_some(metadata)
    }
}

impl Desk<'_> {
    /// [Login with AppRole](https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle).
    pub(super) fn approle_login(&mut self, call: &Call, mount: &str) -> Outcome {
        let (role_id, secret_id) = (call.text("role_id"), call.text("secret_id"));
        self.plant(&secret_id, Kind::ClientSecret);
        if role_id.is_empty() {
            // An error of the method and no answer of it, hence the status.
            return Err(Refusal::new(500, "missing role_id"));
        }
        let refused = || Refusal::bad("invalid role or secret ID");
        let Some(Method::AppRole(approle)) = self.state.auth.get_mut(mount).map(|mount| &mut mount.method)
        else {
            return Err(refused());
        };
        let found = approle.roles.iter_mut().find(|(_, role)| role.id == role_id);
        let (name, role) = found.ok_or_else(refused)?;
        let mut metadata = Map::new();
        if role.needs_secret {
            if secret_id.is_empty() {
                return Err(Refusal::bad("missing secret_id"));
            }
            metadata = role.use_secret(&secret_id, call.now).ok_or_else(refused)?;
        }
        metadata.insert("role_name".to_owned(), name.as_str().into());
        let fields = role.token.clone();
        let person = Person { name: role_id, shown: String::new(), groups: Vec::new(), metadata };
        let reply = self.log_in(call, mount, &fields, person)?;
        Ok(reply.ignoring(&call.data, &["role_id", "secret_id"]))
    }
}
