//! The JWT/OIDC auth method: its configuration, its roles, and the two ways to log in.

mod claims;
mod config;
mod login;
mod oidc;
mod role;

use std::collections::{BTreeMap, HashMap};

use config::Config;
use role::Role;

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, Voice, mount::Method};

/// What one mount knows.
#[derive(Default)]
pub(super) struct JwtAuth {
    config: Option<Config>,
    roles: BTreeMap<String, Role>,
    logins: HashMap<String, oidc::Login>,
}

impl JwtAuth {
    pub(super) fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }
}

impl Desk<'_> {
    /// The calls that need no token, because they make one.
    pub(super) fn jwt_login_path(&mut self, call: &Call, mount: &str, rest: &str) -> Outcome {
        let is_write = call.operation.is_write();
        match (rest, call.operation) {
            ("login", _) if is_write => self.jwt_login(call, mount),
            ("oidc/auth_url", _) if is_write => self.auth_url(call, mount),
            ("oidc/callback", Operation::Read) => self.callback(call, mount),
            ("oidc/callback", _) if is_write => Err(self.callback_post(mount)),
            ("oidc/poll", _) if is_write => self.poll(call, mount),
            _ => Err(Refusal::new(405, "unsupported operation")),
        }
    }

    /// Everything else on a mount of this method.
    pub(super) fn jwt_auth(&mut self, call: &Call, mount: &str, rest: &str) -> Outcome {
        let voice = self.state.voice;
        let is_write = call.operation.is_write();
        let name = rest.strip_prefix("role/").map(|name| name.trim_end_matches('/').to_lowercase());
        match (rest, call.operation) {
            ("config", Operation::Read) => {
                let config =
                    self.jwt(mount).and_then(|jwt| jwt.config.as_ref()).ok_or_else(Refusal::not_found)?;
                Ok(Reply::data(config.describe(voice)))
            }
            ("config", _) if is_write => {
                let config = Config::read(call, self.world)?;
                if let Some(secret) = call.data.get("oidc_client_secret").and_then(serde_json::Value::as_str)
                {
                    self.plant(secret, crate::Kind::ClientSecret);
                }
                self.change_jwt(mount, |jwt| jwt.config = Some(config));
                Ok(Reply::nothing())
            }
            ("role" | "role/", Operation::List) => {
                Reply::keys(self.jwt(mount).into_iter().flat_map(|jwt| jwt.roles.keys().cloned()))
            }
            ("config" | "role" | "role/", _) => Err(Refusal::unsupported_operation()),
            _ => {
                let name = name.ok_or_else(Refusal::unsupported_path)?;
                match call.operation {
                    Operation::Read => {
                        let role = self.jwt(mount).and_then(|jwt| jwt.roles.get(&name));
                        role.map(|role| Reply::data(role.describe(voice))).ok_or_else(Refusal::not_found)
                    }
                    Operation::Delete => {
                        self.change_jwt(mount, |jwt| jwt.roles.remove(&name));
                        Ok(Reply::nothing())
                    }
                    _ if is_write => {
                        let known = self.jwt(mount).and_then(|jwt| jwt.roles.get(&name)).cloned();
                        let role = Role::read(call, known)?;
                        let mut reply = Reply::nothing();
                        if role.verbose_oidc_logging {
                            reply = reply.with_warning(
                                "verbose_oidc_logging has been enabled for this role. This is not recommended in \
                                 production since sensitive information may be present in OIDC responses.",
                            );
                        }
                        self.change_jwt(mount, |jwt| jwt.roles.insert(name, role));
                        Ok(reply)
                    }
                    _ => Err(Refusal::unsupported_operation()),
                }
            }
        }
    }

    fn jwt(&self, mount: &str) -> Option<&JwtAuth> {
        match &self.state.auth.get(mount)?.method {
            Method::Jwt(jwt) => Some(jwt),
            _ => None,
        }
    }

    fn change_jwt<T>(&mut self, mount: &str, change: impl FnOnce(&mut JwtAuth) -> T) -> Option<T> {
        match &mut self.state.auth.get_mut(mount)?.method {
            Method::Jwt(jwt) => Some(change(jwt)),
            _ => None,
        }
    }
}
