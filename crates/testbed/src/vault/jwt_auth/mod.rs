//! The JWT/OIDC auth method: its configuration, its roles, and the two ways to log in.

mod claims;
mod config;
mod login;
mod oidc;
mod role;

use std::collections::{BTreeMap, HashMap};

use config::Config;
use role::Role;

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, Voice};

/// What one mount knows.
#[derive(Default)]
pub(super) struct JwtAuth {
    config: Option<Config>,
    roles: BTreeMap<String, Role>,
    logins: HashMap<String, oidc::Login>,
}

impl Desk<'_> {
    /// Whether this is one of the calls that need no token, because they make one.
    pub(super) fn is_login(&self, call: &Call) -> bool {
        let Some((_, rest)) = self.jwt_mount_of(&call.path) else { return false };
        matches!(rest.as_str(), "login" | "oidc/auth_url" | "oidc/callback")
            || (rest == "oidc/poll" && self.state.voice == Voice::OpenBao)
    }

    /// The calls that need no token.
    pub(super) fn login_path(&mut self, call: &Call) -> Outcome {
        let Some((mount, rest)) = self.jwt_mount_of(&call.path) else {
            return Err(Refusal::no_handler(&call.path));
        };
        let is_write = call.operation.is_write();
        match (rest.as_str(), call.operation) {
            ("login", _) if is_write => self.jwt_login(call, &mount),
            ("oidc/auth_url", _) if is_write => self.auth_url(call, &mount),
            ("oidc/callback", Operation::Read) => self.callback(call, &mount),
            ("oidc/callback", _) if is_write => Err(self.callback_post(&mount)),
            ("oidc/poll", _) if is_write => self.poll(call, &mount),
            _ => Err(Refusal::new(405, "unsupported operation")),
        }
    }

    /// Everything else on an auth method that is not for tokens.
    pub(super) fn jwt_auth(&mut self, call: &Call) -> Outcome {
        let Some((mount, rest)) = self.jwt_mount_of(&call.path) else {
            let is_mounted =
                self.state.auth.keys().any(|mount| call.path.starts_with(&format!("auth/{mount}")));
            return Err(if is_mounted {
                Refusal::unsupported_path()
            } else {
                Refusal::no_handler(&call.path)
            });
        };
        let voice = self.state.voice;
        let is_write = call.operation.is_write();
        let name = rest.strip_prefix("role/").map(|name| name.trim_end_matches('/').to_lowercase());
        match (rest.as_str(), call.operation) {
            ("config", Operation::Read) => {
                let config =
                    self.jwt(&mount).and_then(|jwt| jwt.config.as_ref()).ok_or_else(Refusal::not_found)?;
                Ok(Reply::data(config.describe(voice)))
            }
            ("config", _) if is_write => {
                let config = Config::read(call, self.world)?;
                if let Some(secret) = call.data.get("oidc_client_secret").and_then(serde_json::Value::as_str)
                {
                    self.plant(secret, crate::Kind::ClientSecret);
                }
                self.change_jwt(&mount, |jwt| jwt.config = Some(config));
                Ok(Reply::nothing())
            }
            ("role" | "role/", Operation::List) => {
                Reply::keys(self.jwt(&mount).into_iter().flat_map(|jwt| jwt.roles.keys().cloned()))
            }
            ("config" | "role" | "role/", _) => Err(Refusal::unsupported_operation()),
            _ => {
                let name = name.ok_or_else(Refusal::unsupported_path)?;
                match call.operation {
                    Operation::Read => {
                        let role = self.jwt(&mount).and_then(|jwt| jwt.roles.get(&name));
                        role.map(|role| Reply::data(role.describe(voice))).ok_or_else(Refusal::not_found)
                    }
                    Operation::Delete => {
                        self.change_jwt(&mount, |jwt| jwt.roles.remove(&name));
                        Ok(Reply::nothing())
                    }
                    _ if is_write => {
                        let known = self.jwt(&mount).and_then(|jwt| jwt.roles.get(&name)).cloned();
                        let role = Role::read(call, known)?;
                        let mut reply = Reply::nothing();
                        if role.verbose_oidc_logging {
                            reply = reply.with_warning(
                                "verbose_oidc_logging has been enabled for this role. This is not recommended in \
                                 production since sensitive information may be present in OIDC responses.",
                            );
                        }
                        self.change_jwt(&mount, |jwt| jwt.roles.insert(name, role));
                        Ok(reply)
                    }
                    _ => Err(Refusal::unsupported_operation()),
                }
            }
        }
    }

    /// Whether a write there would change a role; where no role is written, it changes whatever there is.
    pub(super) fn role_exists(&self, path: &str) -> bool {
        let Some((mount, rest)) = self.jwt_mount_of(path) else { return true };
        rest.strip_prefix("role/").is_none_or(|name| {
            self.jwt(&mount).is_some_and(|jwt| jwt.roles.contains_key(&name.to_lowercase()))
        })
    }

    /// The mount (`keycloak-jwt/`) and the rest, for a path below an enabled method of this type.
    fn jwt_mount_of(&self, path: &str) -> Option<(String, String)> {
        let path = path.strip_prefix("auth/")?;
        let is_ours =
            |(_, mount): &(&String, &super::mount::AuthMount)| matches!(mount.kind.as_str(), "jwt" | "oidc");
        let (mount, _) =
            self.state.auth.iter().filter(is_ours).find(|(mount, _)| path.starts_with(mount.as_str()))?;
        Some((mount.clone(), path[mount.len()..].to_owned()))
    }

    fn jwt(&self, mount: &str) -> Option<&JwtAuth> {
        self.state.auth.get(mount).map(|mount| &mount.jwt)
    }

    fn change_jwt<T>(&mut self, mount: &str, change: impl FnOnce(&mut JwtAuth) -> T) {
        if let Some(mount) = self.state.auth.get_mut(mount) {
            change(&mut mount.jwt);
        }
    }
}
