//! The userpass auth method: people with passwords, kept by the Vault itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Call, Desk, Operation, Outcome, Refusal, Reply, Voice, auth::Person, mount::Method,
    token_fields::TokenFields,
};
use crate::canary::Kind;

/// What one mount knows. Names are in lower case.
#[derive(Default)]
pub(super) struct Userpass {
    pub(super) users: BTreeMap<String, User>,
}

#[derive(Clone)]
pub(super) struct User {
    password: String,
    token: TokenFields,
}

impl Userpass {
    pub(super) fn answer(&mut self, call: &Call, rest: &str, voice: Voice) -> Outcome {
        let is_write = call.operation.is_write();
        if matches!(rest, "users" | "users/") {
            return match call.operation {
                Operation::List => Reply::keys(self.users.keys().cloned()),
                _ => Err(Refusal::unsupported_operation()),
            };
        }
        let name = rest.strip_prefix("users/").ok_or_else(Refusal::unsupported_path)?.to_lowercase();
        let (name, part) = name.split_once('/').unwrap_or((&name, ""));
        let missing = || Refusal::wrapped(500, "username does not exist");
        match (part, call.operation) {
            ("", Operation::Read) => {
                let user = self.users.get(name).ok_or_else(Refusal::not_found)?;
                Ok(Reply::data(Value::Object(user.token.describe(voice))))
            }
            ("", Operation::Delete) => {
                self.users.remove(name);
                Ok(Reply::nothing())
            }
            ("", _) if is_write => {
                let known = self.users.get(name).cloned();
                let password = match (call.text("password"), &known) {
                    (sent, _) if !sent.is_empty() => sent,
                    (_, Some(user)) => user.password.clone(),
                    (_, None) => return Err(no_password()),
                };
                let token = TokenFields::read(&call.data, known.map(|user| user.token))?;
                self.users.insert(name.to_owned(), User { password, token });
                Ok(Reply::nothing())
            }
            ("password", _) if is_write => {
                let user = self.users.get_mut(name).ok_or_else(missing)?;
                user.password =
                    Some(call.text("password")).filter(|it| !it.is_empty()).ok_or_else(no_password)?;
                Ok(Reply::nothing())
            }
            ("policies", _) if is_write => {
                let user = self.users.get_mut(name).ok_or_else(missing)?;
                user.token = TokenFields::read(&call.data, Some(user.token.clone()))?;
                Ok(Reply::nothing())
            }
            ("" | "password" | "policies", _) => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }
}

fn no_password() -> Refusal {
    Refusal::bad("must provide either password or password_hash")
}

impl Desk<'_> {
    /// [Login](https://developer.hashicorp.com/vault/api-docs/auth/userpass#login).
    pub(super) fn userpass_login(&mut self, call: &Call, mount: &str, rest: &str) -> Outcome {
        let name = rest.trim_start_matches("login/").to_lowercase();
        let password = call.text("password");
        self.plant(&password, Kind::Password);
        if password.is_empty() {
            // An error of the method and no answer of it, hence the status.
            return Err(Refusal::new(500, "missing password"));
        }
        let user = match self.state.auth.get(mount).map(|mount| &mount.method) {
            Some(Method::Userpass(userpass)) => userpass.users.get(&name).cloned(),
            _ => None,
        };
        let user = user.filter(|user| user.password == password);
        let user = user.ok_or_else(|| Refusal::bad("invalid username or password"))?;
        let metadata = Map::from_iter([("username".to_owned(), name.as_str().into())]);
        let person = Person { shown: name.clone(), name, groups: Vec::new(), metadata };
        let reply = self.log_in(call, mount, &user.token, person)?;
        Ok(reply.ignoring(&call.data, &["password"]))
    }
}
