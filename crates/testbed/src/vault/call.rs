//! A request, understood: what is to be done, where, with which fields.

use std::time::SystemTime;

use serde_json::{Map, Value};

use super::{Refusal, Voice};
use crate::{encoding, http::Fields, message::Request, world::BODY_LIMIT};

/// What is to be done, in the words of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    List,
    Scan,
    Create,
    Update,
    Patch,
    Delete,
}

impl Operation {
    pub(super) fn capability(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Create and update are one verb in HTTP, and one for whoever handles it.
    pub(super) fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// The token itself.
    pub(super) id: String,
    /// Of the token and of the identity.
    pub(super) policies: Vec<String>,
    pub(super) entity_id: String,
}

impl Caller {
    pub(super) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }
}

/// One request to the API.
pub(super) struct Call {
    pub(super) operation: Operation,
    /// Without `/v1/`, decoded.
    pub(super) path: String,
    /// The query's fields for what only reads, else the body's.
    pub(super) data: Map<String, Value>,
    pub(super) content_type: Option<String>,
    pub(super) caller: Caller,
    pub(super) now: SystemTime,
    /// Seconds for which the answer is to be wrapped; 0: not at all.
    pub(super) wrap_ttl: u64,
}

impl Call {
    /// Reads a request; `path` is what follows `/v1/`.
    pub(super) fn read(
        request: &Request,
        path: &str,
        voice: Voice,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let query = encoding::from_form(request.query().as_bytes());
        let lists = Fields::of_query(request).value("list").is_some_and(|list| list == "true" || list == "1");
        let operation = match request.method.as_str() {
            "GET" if lists => Operation::List,
            "GET" => Operation::Read,
            "LIST" => Operation::List,
            "SCAN" if voice == Voice::OpenBao => Operation::Scan,
            "POST" | "PUT" => Operation::Update,
            "PATCH" => Operation::Patch,
            "DELETE" => Operation::Delete,
            "HEAD" => return Err(Refusal::empty(405)),
            _ => return Err(Refusal::without_errors(405)),
        };
        let data = if matches!(operation, Operation::Update | Operation::Patch) {
            body(&request.body, voice)?
        } else {
            query
                .into_iter()
                .filter(|(name, _)| name != "list")
                .map(|(name, value)| (name, value.into()))
                .collect()
        };
        let content_type = request.header("Content-Type").map(str::to_owned);
        Ok(Self {
            operation,
            path: encoding::from_path(path),
            data,
            content_type,
            caller: Caller::default(),
            now,
            wrap_ttl: super::wrapping::asked_for(request)?,
        })
    }

    /// A field as text; numbers are taken as their digits.
    pub(super) fn text(&self, name: &str) -> String {
        text_of(self.data.get(name))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        flag_of(self.data.get(name))
    }

    /// A field as a list: a JSON array, or one text with commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        list_of(self.data.get(name))
    }

    /// A field as seconds; zero where it is absent.
    pub(super) fn seconds(&self, name: &str) -> Result<u64, Refusal> {
        seconds_of(self.data.get(name))
    }
}

pub(super) fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

pub(super) fn flag_of(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        _ => false,
    }
}

pub(super) fn list_of(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(|item| text_of(Some(item))).collect(),
        None | Some(Value::Null) => Vec::new(),
        other => {
            let text = text_of(other);
            text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
        }
    }
}

/// The names at one level: what follows a slash is folded into its folder. The keys come sorted.
pub(super) fn folders<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<String> {
    let level =
        |rest: &str| rest.split_once('/').map_or_else(|| rest.to_owned(), |(folder, _)| format!("{folder}/"));
    let mut names: Vec<String> = keys.map(level).collect();
    names.sort();
    names.dedup();
    names
}

pub(super) fn seconds_of(value: Option<&Value>) -> Result<u64, Refusal> {
    let seconds = value.map_or(Ok(0), encoding::seconds);
    let seconds = seconds.map_err(|text| Refusal::bad(format!("time: invalid duration \"{text}\"")))?;
    u64::try_from(seconds).map_err(|_| Refusal::bad("ttl must be positive"))
}

fn body(bytes: &[u8], voice: Voice) -> Result<Map<String, Value>, Refusal> {
    if bytes.len() > BODY_LIMIT {
        return Err(match voice {
            Voice::OpenBao => Refusal::new(413, "http: request body too large"),
            Voice::Vault => Refusal::new(500, "JSON string value exceeds allowed length"),
        });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let complaint = match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => return Ok(fields),
        Ok(Value::Null) => return Ok(Map::new()),
        Ok(other) => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(error) if error.is_eof() => "unexpected EOF".to_owned(),
        Err(error) => {
            let line =
                bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let at = char::from(*line.get(error.column().saturating_sub(1)).unwrap_or(&b'?'));
            format!("invalid character '{at}' looking for beginning of value")
        }
    };
    Err(match voice {
        Voice::OpenBao => Refusal::bad(format!("failed to decode JSON input: {complaint}")),
        Voice::Vault => Refusal::new(500, complaint),
    })
}
