//! The frame around every answer, and the form of the errors.

use serde_json::{Map, Value, json};

use super::Voice;
use crate::{encoding::go_json, message::Response, random};

/// What a handler has to say.
pub(super) type Outcome = Result<Reply, Refusal>;

/// A good answer.
#[derive(Clone, Default)]
pub(super) struct Reply {
    status: Option<u16>,
    data: Option<Value>,
    auth: Option<Value>,
    warnings: Vec<String>,
    lease_duration: u64,
    is_flat: bool,
    wrap_info: Option<Value>,
    page: Option<String>,
}

impl Reply {
    /// 204, no body.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    pub(super) fn data(data: Value) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    pub(super) fn auth(auth: Value) -> Self {
        Self { auth: Some(auth), ..Self::default() }
    }

    /// A page for a person.
    pub(super) fn html(body: &str) -> Self {
        Self {
            page: Some(format!("<!DOCTYPE html>\n<html lang=\"en\">\n{body}\n</html>\n")),
            ..Self::default()
        }
    }

    /// The token that stands for an answer, in place of the answer.
    pub(super) fn wrapped(wrap_info: Value) -> Self {
        Self { wrap_info: Some(wrap_info), ..Self::default() }
    }

    pub(super) fn is_wrapped(&self) -> bool {
        self.wrap_info.is_some()
    }

    /// The accessor of the token that this answer hands out.
    pub(super) fn accessor(&self) -> Option<String> {
        self.auth.as_ref()?["accessor"].as_str().map(str::to_owned)
    }

    /// A list of keys; an empty one is not found.
    pub(super) fn keys(keys: impl IntoIterator<Item = String>) -> Outcome {
        let keys: Vec<String> = keys.into_iter().collect();
        if keys.is_empty() { Err(Refusal::not_found()) } else { Ok(Self::data(json!({ "keys": keys }))) }
    }

    /// The keys after this one, at most so many (0: all); none are not found.
    pub(super) fn page(mut self, after: &str, limit: usize) -> Outcome {
        let Some(keys) =
            self.data.as_mut().and_then(|data| data.get_mut("keys")).and_then(Value::as_array_mut)
        else {
            return Ok(self);
        };
        keys.retain(|key| key.as_str().is_some_and(|key| key > after));
        if limit > 0 {
            keys.truncate(limit);
        }
        if keys.is_empty() { Err(Refusal::not_found()) } else { Ok(self) }
    }

    /// The fields of `data` stand beside the envelope's too: `sys/` answers so, from before there was an envelope.
    pub(super) fn flat(mut self) -> Self {
        self.is_flat = true;
        self
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(super) fn with_lease_duration(mut self, seconds: u64) -> Self {
        self.lease_duration = seconds;
        self
    }

    pub(super) fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    pub(super) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Warns of what the endpoint does not know. An answer without a body says nothing.
    pub(super) fn ignoring(self, sent: &Map<String, Value>, known: &[&str]) -> Self {
        let mut unknown: Vec<&str> =
            sent.keys().map(String::as_str).filter(|key| !known.contains(key)).collect();
        if unknown.is_empty() || self.is_nothing() {
            return self;
        }
        unknown.sort_unstable();
        let list = unknown.join(" ");
        self.with_warning(format!("Endpoint ignored these unrecognized parameters: [{list}]"))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.data.is_none() && self.auth.is_none() && self.warnings.is_empty() && self.wrap_info.is_none()
    }

    pub(super) fn render(mut self, voice: Voice, mount_type: &str) -> Response {
        if let Some(page) = self.page {
            return Response::new(200)
                .with_header("Cache-Control", "no-store")
                .with_header("Content-Type", "text/html")
                .with_body(page);
        }
        if self.is_nothing() {
            return bare(204);
        }
        let flat = self.data.clone().filter(|_| self.is_flat);
        if let Some(data) = &mut self.data {
            // A Go map is written in the order of its keys.
            data.sort_all_objects();
        }
        let mut body = match flat {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let warnings = if self.warnings.is_empty() { Value::Null } else { json!(self.warnings) };
        for (name, value) in [
            // The answer that was put away has the number, the one that goes out has none.
            ("request_id", if self.wrap_info.is_some() { String::new() } else { random::uuid() }.into()),
            ("lease_id", "".into()),
            ("renewable", false.into()),
            ("lease_duration", self.lease_duration.into()),
            ("data", self.data.unwrap_or_default()),
            ("wrap_info", self.wrap_info.unwrap_or_default()),
            ("warnings", warnings),
            ("auth", self.auth.unwrap_or_default()),
        ] {
            body.insert(name.to_owned(), value);
        }
        if voice == Voice::Vault {
            body.insert("mount_type".to_owned(), mount_type.into());
        }
        framed(self.status.unwrap_or(200), &Value::Object(body))
    }
}

/// An answer that is no.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    /// `None`: no body at all.
    errors: Option<Vec<String>>,
}

impl Refusal {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, errors: Some(vec![error.into()]) }
    }

    /// 400: what the servers call an error response.
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// An error that was returned and not answered: the servers wrap it.
    pub(super) fn wrapped(status: u16, error: &str) -> Self {
        Self::new(status, format!("1 error occurred:\n\t* {error}\n\n"))
    }

    /// The same for all that is wrong with what was sent: 400.
    pub(super) fn all_wrapped(errors: &[String]) -> Self {
        let (count, verb) = (errors.len(), if errors.len() == 1 { "error" } else { "errors" });
        let lines: Vec<String> = errors.iter().map(|error| format!("\t* {error}\n")).collect();
        Self::new(400, format!("{count} {verb} occurred:\n{}\n", lines.concat()))
    }

    /// 404 with an empty list of errors: nothing is there.
    pub(super) fn not_found() -> Self {
        Self { status: 404, errors: Some(Vec::new()) }
    }

    /// The policies do not allow it.
    pub(super) fn denied() -> Self {
        Self::wrapped(403, "permission denied")
    }

    pub(super) fn unsupported_path() -> Self {
        Self::wrapped(404, "unsupported path")
    }

    pub(super) fn unsupported_operation() -> Self {
        Self::wrapped(405, "unsupported operation")
    }

    pub(super) fn no_handler(path: &str) -> Self {
        Self::new(404, format!("no handler for route \"{path}\". route entry not found."))
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, errors: None }
    }

    pub(super) fn without_errors(status: u16) -> Self {
        Self { status, errors: Some(Vec::new()) }
    }

    pub(super) fn render(self) -> Response {
        match self.errors {
            Some(errors) => framed(self.status, &json!({ "errors": errors })),
            None => bare(self.status),
        }
    }
}

pub(super) fn framed(status: u16, body: &Value) -> Response {
    bare(status).with_body(format!("{}\n", go_json(body)))
}

/// The headers that every answer has, also one without a body.
fn bare(status: u16) -> Response {
    Response::new(status)
        .with_header("Cache-Control", "no-store")
        .with_header("Content-Type", "application/json")
        .with_header("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
}
