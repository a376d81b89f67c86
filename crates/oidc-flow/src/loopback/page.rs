//! What the person sees in the browser at the end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The last page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    title: &'static str,
    text: String,
    closes_itself: bool,
}

impl Page {
    /// Says no more than is known: the program has yet to redeem what it got.
    pub(super) fn received() -> Self {
        Self {
            title: "Back to the program",
            text: "Your sign-in has arrived there. You can close this window.".to_owned(),
            closes_itself: true,
        }
    }

    /// Says that the sign-out is over.
    pub(super) fn signed_out() -> Self {
        Self {
            title: "Signed out",
            text: "You are signed out. You can close this window.".to_owned(),
            closes_itself: true,
        }
    }

    /// Says why not. It stays open, since somebody has to read it.
    pub(super) fn refused(reason: &str) -> Self {
        Self { title: "Not signed in", text: sentence(reason), closes_itself: false }
    }

    pub(super) fn response(&self) -> Vec<u8> {
        let script = if self.closes_itself { SCRIPT } else { "" };
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n</main>\n<script>{script}</script>\n</html>\n",
            title = self.title,
            text = escaped(&self.text),
        );
        response(200, "content-type: text/html; charset=utf-8", script, &body)
    }
}

/// Sends the browser on to the clean page. 303 turns a form's `POST` into a `GET`, and takes the address with the code
/// out of the address bar and the way back.
pub(super) fn see_other(path: &str) -> Vec<u8> {
    response(303, &format!("location: {path}"), "", "")
}

/// Turns a stray request away. It says nothing that helps whoever sent it.
pub(super) fn turned_away(status: u16) -> Vec<u8> {
    response(status, "content-type: text/plain; charset=utf-8", "", "This is not what is awaited here.\n")
}

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;\
    margin:0;padding:1rem;color-scheme:light dark}main{max-width:34rem;text-align:center}";

/// Browsers let a script close only windows that a script has opened. In others the text says what to do.
const SCRIPT: &str = "setTimeout(()=>window.close(),800)";

fn response(status: u16, header: &str, script: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} {phrase}\r\n{header}\r\ncontent-length: {length}\r\n\
         content-security-policy: default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'\r\n\
         cache-control: no-store\r\n\
         referrer-policy: no-referrer\r\n\
         x-content-type-options: nosniff\r\n\
         x-frame-options: DENY\r\n\
         connection: close\r\n\r\n{body}",
        phrase = phrase(status),
        length = body.len(),
        style = hash(STYLE),
        script = hash(script),
    )
    .into_bytes()
}

/// Returns a source expression of a content security policy: this very text may run, and no other.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}

/// Makes a sentence of a clause.
fn sentence(clause: &str) -> String {
    let mut signs = clause.chars();
    let mut sentence = signs.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    sentence.push_str(signs.as_str());
    sentence.push('.');
    sentence
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
