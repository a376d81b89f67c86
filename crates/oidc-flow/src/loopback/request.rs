//! Reading what comes in: HTTP/1.1, as little of it as a browser needs here.

use crate::CallbackParams;

/// How long a request may be, head and body together.
const LIMIT: usize = 16 * 1024;

/// How many headers are read: Chromium sends about twenty.
const HEADERS: usize = 64;

/// What may come in.
#[derive(Debug)]
pub(super) struct Rules {
    port: u16,
    path: String,
    clean_path: String,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Something that looks like a callback. Anybody can send one.
    Callback(CallbackParams),
    /// The browser asks for the page that it was sent on to.
    CleanPage,
    /// Something else, to be turned away with this status.
    Stray { status: u16 },
}

impl Rules {
    pub(super) fn new(port: u16, path: &str) -> Self {
        let clean_path = format!("{}/done", path.trim_end_matches('/'));
        Self { port, path: path.to_owned(), clean_path }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of the page without code and state.
    pub(super) fn clean_path(&self) -> &str {
        &self.clean_path
    }

    /// Reads a request from the bytes that have arrived so far. Nothing comes back until it is whole.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Incoming> {
        let stray = |status| Some(Incoming::Stray { status });
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head = match request.parse(bytes) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) if bytes.len() >= LIMIT => return stray(431),
            Ok(httparse::Status::Partial) => return None,
            Err(_) => return stray(400),
        };
        if head > LIMIT {
            return stray(431);
        }
        let (Some(method), Some(target)) = (request.method, request.path) else { return stray(400) };
        let header = |name: &str| sole(request.headers, name);
        // A web page can make its own name point here (DNS rebinding). Its requests then bear that name.
        if !header("host").is_some_and(|host| self.is_own_name(host)) {
            return stray(421);
        }
        // A page that the browser only looks at in advance would use up the answer unseen.
        if header("sec-purpose").or(header("purpose")).is_some_and(|purpose| purpose.contains("prefetch")) {
            return stray(503);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method == "GET" && path == self.clean_path {
            return Some(Incoming::CleanPage);
        }
        if path != self.path {
            return stray(404);
        }
        let encoded = match method {
            "GET" => query,
            "POST" => match form(bytes.get(head..).unwrap_or_default(), LIMIT - head, request.headers) {
                Form::Whole(form) => form,
                Form::Partial => return None,
                Form::Stray(status) => return stray(status),
            },
            _ => return stray(405),
        };
        match CallbackParams::parse(encoded) {
            Ok(callback) => Some(Incoming::Callback(callback)),
            Err(_) => stray(400),
        }
    }

    fn is_own_name(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            // The colons of a bare `[::1]` are no port's.
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        port == Some(self.port)
            && ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

enum Form<'a> {
    Whole(&'a str),
    Partial,
    Stray(u16),
}

/// Returns the body of a form that was posted, if there is room for it.
fn form<'a>(body: &'a [u8], room: usize, headers: &[httparse::Header<'_>]) -> Form<'a> {
    let media_type =
        sole(headers, "content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Form::Stray(415);
    }
    let Some(length) = sole(headers, "content-length").and_then(|length| length.parse::<usize>().ok()) else {
        return Form::Stray(411);
    };
    if length > room {
        return Form::Stray(413);
    }
    match body.get(..length).map(std::str::from_utf8) {
        None => Form::Partial,
        Some(Ok(form)) => Form::Whole(form),
        Some(Err(_)) => Form::Stray(400),
    }
}
/// Returns a header that stands once: two of a name are read differently by different programs.
fn sole<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(header), None) => std::str::from_utf8(header.value).ok().map(str::trim),
        _ => None,
    }
}
