//! JWT login: somebody brings a token, and gets one of ours.

use serde_json::Value;

use super::{
    Call, Desk, Outcome, Refusal,
    claims::{self, Person},
    config::{Config, Keys},
    role::Role,
};
use crate::{
    canary::Kind,
    encoding::unix_seconds,
    jwt,
    vault::{
        identity::Origin,
        tokens::{Draft, display_name, sanitized},
    },
};

impl Desk<'_> {
    /// [JWT login](https://developer.hashicorp.com/vault/api-docs/auth/jwt#jwt-login).
    pub(super) fn jwt_login(&mut self, call: &Call, mount: &str) -> Outcome {
        let token = call.text("jwt");
        self.plant(&token, Kind::IdToken);
        let (config, role_name, role) = self.config_and_role(call, mount)?;
        if role.is_oidc {
            return Err(Refusal::bad("role with oidc role_type is not allowed"));
        }
        if token.is_empty() {
            return Err(Refusal::bad("missing token"));
        }
        let invalid = |why: String| Refusal::bad(format!("error validating token: {why}"));
        let claims = self.verified(&config, &token).map_err(invalid)?;
        let now = i64::try_from(unix_seconds(call.now)).unwrap_or(i64::MAX);
        claims::check(&role, &claims, config.expected_issuer(), now).map_err(invalid)?;
        if role.bound_audiences.is_empty() && !claims::audiences(&claims).is_empty() {
            return Err(Refusal::bad("audience claim found in JWT but no audiences bound to the role"));
        }
        claims::check_bound(&role, &claims)
            .map_err(|why| Refusal::bad(format!("error validating claims: {why}")))?;
        let person = Person::read(&role, &role_name, &claims).map_err(Refusal::bad)?;
        let reply = self.log_in(call, mount, &role, person)?;
        Ok(reply.ignoring(&call.data, &["role", "jwt", "distributed_claim_access_token"]))
    }

    /// The mount's configuration and the role that was asked for, or the default one.
    fn config_and_role(&self, call: &Call, mount: &str) -> Result<(Config, String, Role), Refusal> {
        let jwt = self.jwt(mount);
        let config = jwt.and_then(|jwt| jwt.config.clone());
        let config = config.ok_or_else(|| Refusal::bad("could not load configuration"))?;
        let name = match call.text("role").to_lowercase() {
            name if name.is_empty() => config.default_role.clone(),
            name => name,
        };
        if name.is_empty() {
            return Err(Refusal::bad("missing role"));
        }
        let role = jwt.and_then(|jwt| jwt.roles.get(&name)).cloned();
        let role = role.ok_or_else(|| Refusal::bad(format!("role \"{name}\" could not be found")))?;
        Ok((config, name, role))
    }

    /// The claims of a token whose signature is good.
    pub(super) fn verified(&self, config: &Config, token: &str) -> Result<Value, String> {
        let unverified = |why: &str| format!("error verifying token signature: {why}");
        let parts = jwt::parse(token).map_err(|why| match (&config.keys, why) {
            (Keys::Discovery(_), why) => unverified(&format!("oidc: malformed jwt: {why}")),
            (_, why) => unverified(why),
        })?;
        let kid = parts.header["kid"].as_str();
        let keys = config.public_keys(self.world, kid).map_err(|why| unverified(&why))?;
        if parts.is_signed_by(&keys) {
            return Ok(parts.claims);
        }
        Err(unverified(match config.keys {
            Keys::Pem(_) => "no known key successfully validated the token signature",
            _ => "failed to verify id token signature",
        }))
    }

    /// Makes the token for somebody whose claims are good.
    pub(super) fn log_in(&mut self, call: &Call, mount: &str, role: &Role, person: Person) -> Outcome {
        let Some(method) = self.state.auth.get(mount) else { return Err(Refusal::no_handler(&call.path)) };
        if person.name.is_empty() {
            // Found by the core and not by the method, hence the status.
            return Err(Refusal::new(500, "missing name in alias"));
        }
        let (limits, kind) = (role.limits(&method.about), method.kind.clone());
        let origin = Origin {
            accessor: method.accessor.clone(),
            mount_path: format!("auth/{mount}"),
            mount_type: kind,
        };
        let entity_id =
            self.state.identity.log_in(&origin, &person.name, &person.metadata, &person.groups, call.now);
        let is_batch = matches!(role.token_type.as_str(), "batch" | "default-batch");
        let draft = Draft {
            id: None,
            is_batch,
            policies: sanitized(role.token_policies.clone(), !role.token_no_default_policy, false),
            parent: None,
            ttl: role.token_ttl,
            never_expires: false,
            limits,
            is_renewable: !is_batch,
            num_uses: role.token_num_uses,
            metadata: Some(person.metadata),
            display_name: display_name(&mount.trim_end_matches('/').replace('/', "-"), &person.name),
            path: call.path.clone(),
            entity_id,
        };
        self.issue(draft, call.now)
    }
}
