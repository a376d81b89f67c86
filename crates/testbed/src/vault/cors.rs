//! Which pages in a browser may speak to the Vault: `sys/config/cors`, and what every answer says of it.

use serde_json::{Value, json};

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, Voice, call::flag_of};
use crate::message::{Request, Response};

/// The headers that a page may send, whatever else is configured.
const STANDARD_HEADERS: [&str; 10] = [
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

/// What was configured; nothing: pages are told nothing.
#[derive(Clone, Default)]
pub(super) struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    allows_credentials: bool,
}

impl Cors {
    fn is_enabled(&self) -> bool {
        !self.origins.is_empty()
    }

    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    fn all_headers(&self) -> Vec<&str> {
        STANDARD_HEADERS.into_iter().chain(self.headers.iter().map(String::as_str)).collect()
    }
}

impl Desk<'_> {
    /// Answers a preflight, or refuses an origin; `None` where the request goes on.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let cors = &self.state.cors;
        if request.method == "OPTIONS" && !cors.is_enabled() {
            return Some(Refusal::bad("cannot handle internal-only request operation").render());
        }
        let origin = request.header("Origin").filter(|_| cors.is_enabled())?;
        if !cors.allows(origin) {
            return Some(Refusal::new(403, "origin not allowed").render());
        }
        if request.method != "OPTIONS" {
            return None;
        }
        let asked = request.header("Access-Control-Request-Method").unwrap_or_default();
        // OpenBao knows SCAN and not PATCH, HashiCorp's the other way round.
        let methods = match self.state.voice {
            Voice::OpenBao => "DELETE,GET,OPTIONS,POST,PUT,LIST,SCAN",
            Voice::Vault => "DELETE,GET,OPTIONS,POST,PUT,PATCH,LIST",
        };
        if !methods.split(',').any(|method| method == asked) {
            return Some(Response::new(405).with_header("Cache-Control", "no-store"));
        }
        let response = Response::new(200)
            .with_header("Access-Control-Allow-Headers", &cors.all_headers().join(","))
            .with_header("Access-Control-Allow-Methods", methods)
            .with_header("Access-Control-Max-Age", "300")
            .with_header("Cache-Control", "no-store");
        Some(self.for_page(request, response))
    }

    /// Lets the page that asked read the answer. There are no exposed headers: it sees neither `Retry-After` nor
    /// `X-Vault-Index`.
    pub(super) fn for_page(&self, request: &Request, response: Response) -> Response {
        let cors = &self.state.cors;
        match request.header("Origin").filter(|origin| cors.is_enabled() && cors.allows(origin)) {
            Some(origin) => {
                let response =
                    response.with_header("Access-Control-Allow-Origin", origin).with_header("Vary", "Origin");
                if cors.allows_credentials {
                    response.with_header("Access-Control-Allow-Credentials", "true")
                } else {
                    response
                }
            }
            None => response,
        }
    }

    /// [`/sys/config/cors`](https://developer.hashicorp.com/vault/api-docs/system/config-cors).
    pub(super) fn configure_cors(&mut self, call: &Call) -> Outcome {
        match call.operation {
            Operation::Read => {
                let cors = &self.state.cors;
                if !cors.is_enabled() {
                    return Ok(Reply::data(json!({ "enabled": false })).flat());
                }
                let mut data = json!({
                    "enabled": true,
                    "allowed_origins": cors.origins,
                    "allowed_headers": cors.all_headers(),
                });
                if self.state.voice == Voice::OpenBao {
                    data["allow_credentials"] = cors.allows_credentials.into();
                }
                Ok(Reply::data(data).flat())
            }
            Operation::Delete => {
                self.state.cors = Cors::default();
                Ok(Reply::nothing())
            }
            Operation::Create | Operation::Update => {
                let origins = call.list("allowed_origins");
                if call.data.get("enabled").is_some_and(|flag| !flag_of(Some(flag))) {
                    self.state.cors = Cors::default();
                    return Ok(Reply::nothing());
                }
                if origins.is_empty() {
                    return Err(Refusal::wrapped(
                        500,
                        "at least one origin or the wildcard must be provided",
                    ));
                }
                if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
                    return Err(Refusal::wrapped(
                        500,
                        "to allow all origins the '*' must be the only value for allowed_origins",
                    ));
                }
                let headers = call.list("allowed_headers");
                let is_new = |header: &String| !STANDARD_HEADERS.contains(&header.as_str());
                let allows_credentials = call.data.get("allow_credentials").is_some_and(is_true);
                self.state.cors = Cors {
                    origins,
                    headers: headers.into_iter().filter(is_new).collect(),
                    allows_credentials,
                };
                Ok(Reply::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }
}

fn is_true(value: &Value) -> bool {
    flag_of(Some(value))
}
