//! Response wrapping, and the cubbyhole that each token has to itself.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, limits::Limits, tokens::Token};
use crate::{canary::Kind, encoding::rfc3339, message::Request, random};

/// The policy that a wrapping token has, and nothing else has.
pub(super) const POLICY: &str = r#"
path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
"#;

/// The name of [`POLICY`].
pub(super) const POLICY_NAME: &str = "response-wrapping";

/// What is wrapped, and what each token keeps for itself.
#[derive(Default)]
pub(super) struct Drawers {
    wrapped: HashMap<String, Wrapped>,
    own: HashMap<String, BTreeMap<String, Value>>,
}

#[derive(Clone)]
struct Wrapped {
    reply: Reply,
    ttl: u64,
    path: String,
    created: String,
}

/// For how many seconds a caller wants the answer to be wrapped; zero: not at all.
pub(super) fn asked_for(request: &Request) -> Result<u64, Refusal> {
    let Some(text) = request.header("X-Vault-Wrap-TTL").filter(|text| !text.is_empty()) else { return Ok(0) };
    let unread = |why: String| Refusal::bad(format!("error parsing X-Vault-Wrap-TTL header: {why}"));
    match crate::encoding::seconds(&text.into()) {
        Ok(seconds) => {
            u64::try_from(seconds).map_err(|_| unread("requested wrap ttl cannot be negative".to_owned()))
        }
        Err(text) if text.parse::<f64>().is_ok() => {
            Err(unread(format!("time: missing unit in duration \"{text}\"")))
        }
        Err(text) => Err(unread(format!("time: invalid duration \"{text}\""))),
    }
}

fn no_wrapping_token() -> Refusal {
    Refusal::bad("wrapping token is not valid or does not exist")
}

impl Desk<'_> {
    /// Puts an answer away, and answers with the token that gets it out again. An answer without a body stays as it is.
    pub(super) fn wrap(&mut self, reply: Reply, ttl: u64, call: &Call) -> Reply {
        if ttl == 0 || reply.is_nothing() || reply.is_wrapped() {
            return reply;
        }
        self.put_away(Wrapped { reply, ttl, path: call.path.clone(), created: rfc3339(call.now) }, call)
    }

    fn put_away(&mut self, wrapped: Wrapped, call: &Call) -> Reply {
        let token = Token {
            id: self.state.voice.service_token(),
            accessor: random::base62(24),
            is_batch: false,
            policies: vec![POLICY_NAME.to_owned()],
            parent: None,
            issued: call.now,
            expires: Some(call.now + Duration::from_secs(wrapped.ttl)),
            creation_ttl: wrapped.ttl,
            last_ttl: wrapped.ttl,
            limits: Limits { explicit_max_ttl: wrapped.ttl, ..Limits::default() },
            is_renewable: false,
            uses_left: 1,
            metadata: None,
            display_name: "token".to_owned(),
            path: wrapped.path.clone(),
            entity_id: String::new(),
            last_renewal: None,
            role: String::new(),
        };
        self.plant(&token.id, Kind::Token);
        let mut info = json!({
            "token": token.id,
            "accessor": token.accessor,
            "ttl": wrapped.ttl,
            "creation_time": wrapped.created,
            "creation_path": wrapped.path,
        });
        if let Some(accessor) = wrapped.reply.accessor() {
            info["wrapped_accessor"] = accessor.into();
        }
        self.state.drawers.wrapped.insert(token.id.clone(), wrapped);
        self.state.tokens.insert(token);
        Reply::wrapped(info)
    }

    /// Takes out what a wrapping token stands for; the token is spent.
    fn take_out(&mut self, token: &str) -> Result<Wrapped, Refusal> {
        self.alive(token)?;
        self.state.tokens.revoke(token);
        self.state.drawers.wrapped.remove(token).ok_or_else(no_wrapping_token)
    }

    fn alive(&self, token: &str) -> Result<&Wrapped, Refusal> {
        let found = self.state.drawers.wrapped.get(token);
        found.filter(|_| self.state.tokens.of(token).is_some()).ok_or_else(no_wrapping_token)
    }

    /// The calls that a wrapping token makes for itself, before anybody looks at policies: `None` where this is none.
    pub(super) fn wrapping_token_call(&mut self, call: &Call, bearer: &str) -> Option<Outcome> {
        let sent = call.text("token");
        self.plant(&sent, Kind::Token);
        match call.path.as_str() {
            // Whoever has the token may look it up: nobody has to log in for that.
            "sys/wrapping/lookup" => {
                let token = if sent.is_empty() { bearer } else { sent.as_str() };
                Some(self.alive(token).map(|wrapped| {
                    Reply::data(json!({
                        "creation_path": wrapped.path,
                        "creation_time": wrapped.created,
                        "creation_ttl": wrapped.ttl,
                    }))
                }))
            }
            "sys/wrapping/unwrap" if sent.is_empty() => Some(if bearer.is_empty() {
                Err(Refusal::new(403, "error validating wrapping token: token is empty"))
            } else {
                self.take_out(bearer).map(|wrapped| wrapped.reply)
            }),
            _ => None,
        }
    }

    /// `sys/wrapping/`, for somebody who is logged in.
    pub(super) fn wrapping(&mut self, call: &Call, verb: &str) -> Outcome {
        let token = call.text("token");
        match verb {
            "wrap" if call.operation.is_write() => {
                if call.wrap_ttl == 0 {
                    return Err(Refusal::bad("endpoint requires response wrapping to be used"));
                }
                Ok(Reply::data(Value::Object(call.data.clone())))
            }
            "unwrap" => self.take_out(&token).map(|wrapped| wrapped.reply),
            "rewrap" => {
                let mut wrapped = self.take_out(&token)?;
                wrapped.created = rfc3339(call.now);
                Ok(self.put_away(wrapped, call))
            }
            "wrap" => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }

    /// [Cubbyhole](https://developer.hashicorp.com/vault/api-docs/secret/cubbyhole): what only this token can see.
    pub(super) fn cubbyhole(&mut self, call: &Call, path: &str) -> Outcome {
        let id = &call.caller.id;
        if path == "response" && call.operation == Operation::Read && self.alive(id).is_ok() {
            // The token is spent by this call: it had one.
            let wrapped = self.state.drawers.wrapped.remove(id).ok_or_else(Refusal::not_found)?;
            let inner = wrapped.reply.render(self.state.voice, "");
            return Ok(Reply::data(json!({ "response": inner.text().trim_end() })).with_warning(
                "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, as \
                 it provides additional security checks and other benefits.",
            ));
        }
        let drawer = self.state.drawers.own.entry(id.clone()).or_default();
        match call.operation {
            Operation::Read => drawer.get(path).cloned().map(Reply::data).ok_or_else(Refusal::not_found),
            Operation::Delete => {
                drawer.remove(path);
                Ok(Reply::nothing())
            }
            Operation::List => {
                let prefix = path.trim_end_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Reply::keys(super::call::folders(drawer.keys().filter_map(|key| key.strip_prefix(&prefix))))
            }
            Operation::Create | Operation::Update if call.data.is_empty() => {
                Err(Refusal::wrapped(500, "missing data fields"))
            }
            Operation::Create | Operation::Update => {
                let data: Map<String, Value> = call.data.clone();
                drawer.insert(path.to_owned(), Value::Object(data));
                Ok(Reply::nothing())
            }
            Operation::Patch | Operation::Scan => Err(Refusal::unsupported_operation()),
        }
    }
}
