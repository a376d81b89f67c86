//! Auth methods: which call goes to which, and the token that a login ends in.

use serde_json::{Map, Value};

use super::{
    Call, Desk, Outcome, Refusal, Voice,
    identity::Origin,
    mount::Method,
    token_fields::TokenFields,
    tokens::{Draft, display_name, sanitized},
};

/// Who has just proved to be somebody: the name of the alias, the groups, the metadata.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    /// What the token's display name ends in; empty for none.
    pub(super) shown: String,
    pub(super) groups: Vec<String>,
    pub(super) metadata: Map<String, Value>,
}

impl Desk<'_> {
    /// Whether this is one of the calls that need no token, because they make one.
    pub(super) fn is_login(&self, call: &Call) -> bool {
        let Some((mount, rest)) = self.auth_mount_of(&call.path) else { return false };
        match self.state.auth.get(&mount).map(|mount| &mount.method) {
            Some(Method::Jwt(_)) => {
                matches!(rest.as_str(), "login" | "oidc/auth_url" | "oidc/callback")
                    || (rest == "oidc/poll" && self.state.voice == Voice::OpenBao)
            }
            Some(Method::Userpass(_)) => rest.starts_with("login/"),
            Some(Method::AppRole(_) | Method::Kubernetes(_)) => rest == "login",
            Some(Method::Bare) | None => false,
        }
    }

    /// The calls that need no token.
    pub(super) fn login_path(&mut self, call: &Call) -> Outcome {
        let Some((mount, rest)) = self.auth_mount_of(&call.path) else {
            return Err(Refusal::no_handler(&call.path));
        };
        let is_write = call.operation.is_write();
        match self.state.auth.get(&mount).map(|mount| &mount.method) {
            Some(Method::Jwt(_)) => self.jwt_login_path(call, &mount, &rest),
            Some(Method::Userpass(_)) if is_write => self.userpass_login(call, &mount, &rest),
            Some(Method::AppRole(_)) if is_write => self.approle_login(call, &mount),
            Some(Method::Kubernetes(_)) if is_write => self.kubernetes_login(call, &mount),
            _ => Err(Refusal::new(405, "unsupported operation")),
        }
    }

    /// Everything else on an auth method that is not for tokens.
    pub(super) fn auth_method(&mut self, call: &Call) -> Outcome {
        let Some((mount, rest)) = self.auth_mount_of(&call.path) else {
            return Err(Refusal::no_handler(&call.path));
        };
        let voice = self.state.voice;
        match self.state.auth.get_mut(&mount).map(|mount| &mut mount.method) {
            Some(Method::Jwt(_)) => self.jwt_auth(call, &mount, &rest),
            Some(Method::Userpass(userpass)) => {
                super::plant_text(self.world, call, "password", crate::Kind::Password);
                userpass.answer(call, &rest, voice)
            }
            Some(Method::AppRole(approle)) => {
                super::plant_text(self.world, call, "secret_id", crate::Kind::ClientSecret);
                approle.answer(call, &rest, voice, self.world)
            }
            Some(Method::Kubernetes(kubernetes)) => kubernetes.answer(call, &rest, voice),
            Some(Method::Bare) | None => Err(Refusal::unsupported_path()),
        }
    }

    /// Whether a write there would change a role; where no role is written, it changes whatever there is.
    pub(super) fn role_exists(&self, path: &str) -> bool {
        let Some((mount, rest)) = self.auth_mount_of(path) else { return true };
        let name = |prefix: &str| rest.strip_prefix(prefix).map(str::to_lowercase);
        match self.state.auth.get(&mount).map(|mount| &mount.method) {
            Some(Method::Jwt(jwt)) => name("role/").is_none_or(|name| jwt.has_role(&name)),
            Some(Method::Userpass(userpass)) => {
                name("users/").is_none_or(|name| name.contains('/') || userpass.users.contains_key(&name))
            }
            Some(Method::AppRole(approle)) => {
                name("role/").is_none_or(|name| name.contains('/') || approle.roles.contains_key(&name))
            }
            Some(Method::Kubernetes(kubernetes)) => {
                name("role/").is_none_or(|name| kubernetes.roles.contains_key(&name))
            }
            Some(Method::Bare) | None => true,
        }
    }

    /// The mount (`keycloak-jwt/`) and the rest, for a path below an enabled method.
    fn auth_mount_of(&self, path: &str) -> Option<(String, String)> {
        let path = path.strip_prefix("auth/")?;
        let mount = self.state.auth.keys().find(|mount| path.starts_with(mount.as_str()))?;
        Some((mount.clone(), path[mount.len()..].to_owned()))
    }

    /// Makes the token for somebody who has proved who it is.
    pub(super) fn log_in(
        &mut self,
        call: &Call,
        mount: &str,
        fields: &TokenFields,
        person: Person,
    ) -> Outcome {
        let Some(method) = self.state.auth.get(mount) else { return Err(Refusal::no_handler(&call.path)) };
        if person.name.is_empty() {
            // Found by the core and not by the method, hence the status.
            return Err(Refusal::new(500, "missing name in alias"));
        }
        let (limits, kind) = (fields.limits(&method.about), method.kind.clone());
        let origin = Origin {
            accessor: method.accessor.clone(),
            mount_path: format!("auth/{mount}"),
            mount_type: kind,
        };
        let entity_id =
            self.state.identity.log_in(&origin, &person.name, &person.metadata, &person.groups, call.now);
        if self.state.identity.is_disabled(&entity_id) {
            return Err(Refusal::new(403, "permission denied"));
        }
        let draft = Draft {
            id: None,
            is_batch: fields.is_batch(),
            policies: sanitized(fields.policies.clone(), !fields.no_default_policy, false),
            parent: None,
            ttl: fields.ttl,
            never_expires: false,
            limits,
            is_renewable: !fields.is_batch(),
            num_uses: fields.num_uses,
            metadata: Some(person.metadata),
            display_name: display_name(&mount.trim_end_matches('/').replace('/', "-"), &person.shown),
            path: call.path.clone(),
            entity_id,
            role: String::new(),
        };
        self.issue(draft, call.now)
    }
}
