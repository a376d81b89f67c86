//! JWT login: somebody brings a token, and gets one of ours.

use serde_json::Value;

use super::{
    Call, Desk, Outcome, Refusal, claims,
    config::{Config, Keys},
    role::Role,
};
use crate::{canary::Kind, encoding::unix_seconds, jwt, vault::auth::Person};

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
        let person = Person::of_claims(&role, &role_name, &claims).map_err(Refusal::bad)?;
        let reply = self.log_in(call, mount, &role.token, person)?;
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
        if parts.is_signed_by(&keys, &config.algorithms()) {
            return Ok(parts.claims);
        }
        Err(unverified(match config.keys {
            Keys::Pem(_) => "no known key successfully validated the token signature",
            _ => "failed to verify id token signature",
        }))
    }
}
