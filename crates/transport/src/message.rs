//! Requests and replies as values.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use url::{Host, Url};
use zeroize::Zeroizing;

use crate::{Misuse, ReplyHeaders, Secret};

/// The HTTP methods that the protocols of Latchkey use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `LIST`, Vault's own.
    List,
}

impl Method {
    /// Returns the method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::List => "LIST",
        }
    }
}

/// What to send.
///
/// The target is a whole address, or a path that is given its server later by [`at`](Request::at).
#[derive(Clone)]
pub struct Request {
    method: Method,
    target: Target,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Option<Body>,
    time_limit: Duration,
    reply_limit: usize,
}

#[derive(Clone)]
enum Target {
    Path(Cow<'static, str>),
    Address(Url),
    Invalid,
}

impl Target {
    fn parse(text: Cow<'static, str>) -> Self {
        if text.starts_with('/') {
            Self::Path(text)
        } else {
            Url::parse(&text).map_or(Self::Invalid, Self::Address)
        }
    }
}

#[derive(Clone)]
enum HeaderValue {
    Plain(Cow<'static, str>),
    Secret(Secret),
}

impl Request {
    /// How long a whole call may take unless said otherwise: 30 s, since a sealed or failing-over Vault answers
    /// within that, and a person waits no longer.
    pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(30);

    /// How many bytes of a reply are read unless said otherwise: 1 MiB, twice the largest secret that a default
    /// storage backend of Vault accepts.
    pub const DEFAULT_REPLY_LIMIT: usize = 1024 * 1024;

    /// Returns a request for an address (`https://…`), or for a path (`/v1/…`) whose server is named later.
    ///
    /// A target that is neither is reported by [`check`](Request::check), and so by every transport.
    pub fn new(method: Method, target: impl Into<Cow<'static, str>>) -> Self {
        Self::to(method, Target::parse(target.into()))
    }

    /// Returns a request for an address that was parsed before.
    pub fn for_url(method: Method, url: Url) -> Self {
        Self::to(method, Target::Address(url))
    }

    fn to(method: Method, target: Target) -> Self {
        Self {
            method,
            target,
            headers: Vec::new(),
            body: None,
            time_limit: Self::DEFAULT_TIME_LIMIT,
            reply_limit: Self::DEFAULT_REPLY_LIMIT,
        }
    }

    /// Names the server of a request whose target is a path: the path, which is expected to be encoded already,
    /// is appended to that of `server`. A whole address stays as it is.
    pub fn at(mut self, server: &Url) -> Self {
        if let Target::Path(path) = &self.target {
            let base = server.as_str().split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
            let mut address = String::with_capacity(base.len() + path.len());
            address.push_str(base);
            address.push_str(path);
            self.target = Url::parse(&address).map_or(Target::Invalid, Target::Address);
        }
        self
    }

    /// Replaces the target and keeps the rest: for a handle that knows where on its server a path lies.
    pub fn with_target(mut self, target: impl Into<Cow<'static, str>>) -> Self {
        self.target = Target::parse(target.into());
        self
    }

    /// Adds a header that anybody may see.
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, HeaderValue::Plain(value.into())));
        self
    }

    /// Adds a header that nobody may see, such as a token.
    pub fn with_secret_header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, HeaderValue::Secret(value)));
        self
    }

    /// Sets the body and says of which media type it is.
    pub fn with_body(self, media_type: &'static str, body: impl Into<Body>) -> Self {
        let mut request = self.with_header("content-type", media_type);
        request.body = Some(body.into());
        request
    }

    /// Sets how long the whole call may take.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets how many bytes of the reply's body are read at the most.
    pub fn with_reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes;
        self
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the path without its query.
    pub fn path(&self) -> &str {
        match &self.target {
            Target::Path(path) => path.split('?').next().unwrap_or_default(),
            Target::Address(url) => url.path(),
            Target::Invalid => "",
        }
    }

    /// Returns the query as it is sent. It may hold a code.
    pub fn query(&self) -> Option<&str> {
        match &self.target {
            Target::Path(path) => path.split_once('?').map(|(_, query)| query),
            Target::Address(url) => url.query(),
            Target::Invalid => None,
        }
    }

    /// Returns the whole address, unless the request has no server yet.
    pub fn url(&self) -> Option<&Url> {
        match &self.target {
            Target::Address(url) => Some(url),
            Target::Path(_) | Target::Invalid => None,
        }
    }

    /// Returns the host with its port if one was named: what an error may tell.
    pub fn host(&self) -> String {
        self.url()
            .map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned())
            .unwrap_or_default()
    }

    /// Returns the headers: name, value, and whether the value is secret.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str, bool)> {
        self.headers.iter().map(|(name, value)| match value {
            HeaderValue::Plain(value) => (*name, value.as_ref(), false),
            // Opened for the transport, which marks the header as sensitive.
            HeaderValue::Secret(value) => (*name, value.expose_secret(), true),
        })
    }

    /// Returns the first value of that header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(this, ..)| this.eq_ignore_ascii_case(name)).map(|(_, value, _)| value)
    }

    /// Returns the body.
    pub fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }

    /// Takes the body out, so that a transport need not copy it.
    pub fn take_body(&mut self) -> Option<Body> {
        self.body.take()
    }

    /// Takes the address out for an engine that wants to own it.
    pub fn into_url(self) -> Option<Url> {
        match self.target {
            Target::Address(url) => Some(url),
            Target::Path(_) | Target::Invalid => None,
        }
    }

    /// Returns how long the whole call may take.
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// Returns how many bytes of the reply's body are read at the most.
    pub fn reply_limit(&self) -> usize {
        self.reply_limit
    }

    /// Checks what every transport must refuse to send, and returns the address.
    ///
    /// Refused are a request without a server, an address that is not `http` or `https`, a header with a control
    /// sign, and, unless `plain_http_anywhere`, plain `http` to a host that is not loopback (`localhost`,
    /// `127.0.0.0/8`, `::1`).
    pub fn check(&self, plain_http_anywhere: bool) -> Result<&Url, Misuse> {
        let url = match &self.target {
            Target::Address(url) => url,
            Target::Path(_) => return Err(Misuse::NoServer),
            Target::Invalid => return Err(Misuse::InvalidTarget),
        };
        match url.scheme() {
            "https" => {}
            "http" if plain_http_anywhere || is_loopback(url) => {}
            "http" => return Err(Misuse::PlainHttp { host: self.host() }),
            _ => return Err(Misuse::InvalidTarget),
        }
        let visible = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        match self.headers().find(|(_, value, _)| !visible(value)) {
            Some((name, ..)) => Err(Misuse::InvalidHeader { name: name.to_owned() }),
            None => Ok(url),
        }
    }
}

/// Returns whether an address stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // Not `*.localhost`: some resolvers ask the network for it.
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    }
}

/// Shows neither the query, nor a header's value, nor the body.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.host())
            .field("path", &self.path())
            .field("headers", &self.headers().map(|(name, ..)| name).collect::<Vec<_>>())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// The bytes of a request or a reply. They are wiped when dropped, and `Debug` shows only how many there are.
#[derive(Clone, Default)]
pub struct Body(Zeroizing<Vec<u8>>);

impl Body {
    /// Returns the bytes.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Takes the bytes out. Whoever takes them wipes them.
    pub fn into_zeroizing(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<Zeroizing<Vec<u8>>> for Body {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Body({} bytes)", self.0.len())
    }
}

/// What came back: any status is a reply.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: ReplyHeaders,
    body: Body,
}

impl Reply {
    /// Returns a reply without headers.
    pub fn new(status: u16, body: impl Into<Body>) -> Self {
        Self { status, headers: ReplyHeaders::default(), body: body.into() }
    }

    /// Sets the headers.
    pub fn with_headers(mut self, headers: ReplyHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Adds one header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the first value of that header. In a browser, a server of another origin shows only what its CORS
    /// rules expose: usually nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.first(name)
    }

    /// Returns all headers.
    pub fn headers(&self) -> &ReplyHeaders {
        &self.headers
    }

    /// Returns the body's bytes. They may be secret.
    pub fn body(&self) -> &[u8] {
        self.body.expose_secret()
    }

    /// Takes the body out.
    pub fn into_body(self) -> Body {
        self.body
    }
}

/// Shows the names of the headers and the length of the body.
impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Method, Reply, Request};
    use crate::{Misuse, Secret};

    fn at(server: &str, path: &'static str) -> String {
        let request = Request::new(Method::Get, path).at(&Url::parse(server).unwrap());
        request.url().unwrap().to_string()
    }

    #[test]
    fn a_path_is_appended_to_that_of_the_server() {
        assert_eq!(
            at("https://vault.example", "/v1/a%2Fb?list=true"),
            "https://vault.example/v1/a%2Fb?list=true"
        );
        assert_eq!(at("https://example.org/vault/", "/v1/x"), "https://example.org/vault/v1/x");
        assert_eq!(at("https://example.org/vault?stray#stray", "/v1/x"), "https://example.org/vault/v1/x");
    }

    #[test]
    fn a_whole_address_keeps_its_server() {
        let request =
            Request::new(Method::Get, "https://a.example/x").at(&Url::parse("https://b.example").unwrap());
        assert_eq!(request.host(), "a.example");
    }

    #[test]
    fn path_and_query_are_the_same_before_and_after_a_server_was_named() {
        let request = Request::new(Method::Get, "/v1/x?version=2");
        assert_eq!((request.path(), request.query()), ("/v1/x", Some("version=2")));
        let request = request.at(&Url::parse("https://vault.example").unwrap());
        assert_eq!((request.path(), request.query()), ("/v1/x", Some("version=2")));
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for host in ["localhost:8200", "127.0.0.1", "127.9.9.9:1", "[::1]:8200"] {
            let request = Request::new(Method::Get, format!("http://{host}/"));
            assert!(request.check(false).is_ok(), "{host}");
        }
        for host in [
            "vault.example",
            "localhost.example.org",
            "vault.localhost",
            "10.0.0.1",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ] {
            let request = Request::new(Method::Get, format!("http://{host}/"));
            assert!(matches!(request.check(false), Err(Misuse::PlainHttp { .. })), "{host}");
            assert!(request.check(true).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_named() {
        for (target, misuse) in [
            ("/v1/sys/health", Misuse::NoServer),
            ("vault.example", Misuse::InvalidTarget),
            ("", Misuse::InvalidTarget),
            ("file:///etc/passwd", Misuse::InvalidTarget),
        ] {
            assert_eq!(Request::new(Method::Get, target).check(true), Err(misuse), "{target}");
        }
    }

    #[test]
    fn a_token_with_a_line_break_is_named_and_not_told() {
        let request = Request::new(Method::Get, "https://vault.example/")
            .with_secret_header("X-Vault-Token", Secret::new("hush\n"));
        assert_eq!(request.check(false), Err(Misuse::InvalidHeader { name: "X-Vault-Token".into() }));
    }

    #[test]
    fn debug_tells_neither_query_nor_headers_nor_bodies() {
        let request = Request::new(Method::Post, "https://vault.example/v1/x?code=hush")
            .with_header("X-Plain", "hush")
            .with_secret_header("X-Vault-Token", Secret::new("hush"))
            .with_body("application/json", "hush");
        let reply = Reply::new(200, "hush").with_header("Location", "hush");
        let told = format!("{request:?} {reply:?}");
        assert!(!told.contains("hush"), "{told}");
        assert!(told.contains("/v1/x") && told.contains("4 bytes"), "{told}");
    }
}
