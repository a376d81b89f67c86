//! What goes in and what comes out: requests and responses as plain values.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::encoding;

/// A request to one of the two doubles.
///
/// `Debug` shows the method and the path only: a query, a header or a body may hold a secret.
#[derive(Clone)]
pub struct Request {
    /// The method, in capitals. `LIST` and `SCAN` are methods like any other.
    pub method: String,
    /// The whole address, as it would be typed: `http://localhost:18080/realms/HashiCorp/…`.
    pub url: String,
    /// The headers, in order. Names compare without case.
    pub headers: Vec<(String, String)>,
    /// The body; empty when there is none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and without a body.
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: &str) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `X-Vault-Token`.
    pub fn with_token(self, token: &str) -> Self {
        self.with_header("X-Vault-Token", token)
    }

    /// Adds `Authorization: Bearer`.
    pub fn with_bearer(self, token: &str) -> Self {
        self.with_header("Authorization", &format!("Bearer {token}"))
    }

    /// Adds `Authorization: Basic` for a client, form-encoded as
    /// [RFC 6749, section 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1) has it.
    pub fn with_basic(self, client_id: &str, client_secret: &str) -> Self {
        let pair = format!("{}:{}", encoding::form_value(client_id), encoding::form_value(client_secret));
        self.with_header("Authorization", &format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Sets a JSON body.
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with_header("Content-Type", "application/json")
    }

    /// Sets a form body.
    pub fn with_form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = encoding::form(fields.iter().copied()).into_bytes();
        self.with_header("Content-Type", "application/x-www-form-urlencoded")
    }

    /// Sets the body as it is.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The path without the origin, the query and the fragment; still percent-encoded.
    pub(crate) fn path(&self) -> &str {
        let rest = self.after_origin();
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        if end == 0 { "/" } else { &rest[..end] }
    }

    /// The query without its question mark; still encoded.
    pub(crate) fn query(&self) -> &str {
        let rest = self.after_origin().split('#').next().unwrap_or_default();
        rest.split_once('?').map_or("", |(_, query)| query)
    }

    /// The origin: scheme, host and port as they were written.
    pub(crate) fn origin(&self) -> &str {
        &self.url[..self.url.len() - self.after_origin().len()]
    }

    fn after_origin(&self) -> &str {
        let start = self.url.find("://").map_or(0, |at| at + 3);
        let rest = &self.url[start..];
        &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..]
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What one of the doubles answered.
///
/// `Debug` shows the status and the length of the body only.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in order. `Set-Cookie` may occur more than once.
    pub headers: Vec<(String, String)>,
    /// The body; empty when there is none.
    pub body: Vec<u8>,
}

impl Response {
    /// A response without headers and without a body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body as it is.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body.
    pub fn with_json(self, body: &Value) -> Self {
        self.with_header("Content-Type", "application/json").with_body(body.to_string())
    }

    /// The first header of this name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_as_it_was_written() {
        let request = Request::get("http://localhost:18080/a/b%2Fc?x=1&y=?#f");
        assert_eq!(request.origin(), "http://localhost:18080");
        assert_eq!(request.path(), "/a/b%2Fc");
        assert_eq!(request.query(), "x=1&y=?");
        assert_eq!(Request::get("http://localhost").path(), "/");
    }

    #[test]
    fn debug_shows_no_query_no_header_and_no_body() {
        let request = Request::post("http://h/p?code=hush").with_token("quiet").with_body("silent");
        let shown = format!("{request:?}");
        for secret in ["hush", "quiet", "silent"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(!format!("{:?}", Response::new(200).with_body("silent")).contains("silent"));
    }
}
