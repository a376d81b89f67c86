//! What `latchkey-oidc-flow` reads: callbacks, pasted text, documents, keys, tokens, replies, stored logins.

mod calls;
#[cfg(test)]
mod properties;
mod texts;
mod tokens;

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use latchkey_oidc_flow::{
    Client, Error, Metadata, Pending, Provider, SharedVerifier, SignatureCheck, Verifier, VerifierError,
};
use latchkey_transport::{Error as TransportError, Reply, Request, Transport};
use serde_json::{Value, json};

use crate::Target;

/// The targets of this crate.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "oidc_callback", run: texts::callback },
    Target { name: "oidc_visit", run: texts::visit },
    Target { name: "oidc_pasted", run: texts::pasted },
    Target { name: "oidc_stored", run: texts::stored },
    Target { name: "oidc_metadata", run: texts::metadata },
    Target { name: "oidc_keys", run: texts::keys },
    Target { name: "oidc_token", run: tokens::token },
    Target { name: "oidc_header", run: tokens::header },
    Target { name: "oidc_claims", run: tokens::claims },
    Target { name: "oidc_logout_token", run: tokens::logout_token },
    Target { name: "oidc_signed_answer", run: tokens::signed_answer },
    Target { name: "oidc_reply", run: calls::reply },
];

const ISSUER: &str = "https://id.example/realms/team";
const CLIENT: &str = "fuzz-client";
const REDIRECT_URI: &str = "http://localhost:8250/oidc/callback";
/// Everything that is secret, long enough to be recognized wherever it comes out: state, nonce, verifier, code, tokens.
const SECRET: &str = "secret-0123456789-canary";
/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A login under way, with a known state.
fn pending() -> Pending {
    let stored = json!({
        "version": 1, "issuer": ISSUER, "client_id": CLIENT, "redirect_uri": REDIRECT_URI, "state": SECRET,
        "nonce": SECRET, "verifier": SECRET, "scopes": ["openid"], "issuer_is_announced": false,
        "created_at": NOW, "lifetime_seconds": 600,
    });
    made(serde_json::from_value(stored))
}

fn document() -> Value {
    let mut document = json!({"issuer": ISSUER});
    for (name, path) in [
        ("authorization_endpoint", "auth"),
        ("token_endpoint", "token"),
        ("jwks_uri", "keys"),
        ("userinfo_endpoint", "userinfo"),
        ("revocation_endpoint", "revoke"),
        ("introspection_endpoint", "introspect"),
        ("device_authorization_endpoint", "device"),
        ("pushed_authorization_request_endpoint", "par"),
    ] {
        document[name] = format!("https://id.example/{path}").into();
    }
    document
}

/// A client whose provider gives that reply to everything.
fn client(reply: Reply, verifier: SharedVerifier) -> Client {
    let metadata = made(Metadata::parse(ISSUER, document().to_string().as_bytes()));
    Client::new(Provider::new(metadata, Arc::new(Same(reply)), verifier), CLIENT)
}

/// A client that takes every signature, so that only the claims decide.
fn trusting_client() -> Client {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let keys = json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]});
    client(Reply::new(200, keys.to_string()), Arc::new(TakesAll))
}

/// Gives one reply to everything.
struct Same(Reply);

#[async_trait::async_trait]
impl Transport for Same {
    async fn send(&self, _request: Request) -> Result<Reply, TransportError> {
        Ok(self.0.clone())
    }
}

/// Takes every signature.
struct TakesAll;

#[async_trait::async_trait]
impl Verifier for TakesAll {
    async fn verify(&self, _check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        Ok(true)
    }
}

/// Waits for what never waits.
#[expect(clippy::panic, reason = "a target panics where a promise is broken")]
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a call waits for something"),
    }
}

/// No error fools a terminal, is long, or tells what was sent.
fn expect_discreet(error: &Error) {
    expect_sound(error);
    expect_no_secret(&format!("{error} {error:?}"));
}

/// No error fools a terminal or is long.
fn expect_sound(error: &Error) {
    const LONGEST: usize = 2_000;
    let shown = error.to_string();
    assert!(shown.len() <= LONGEST, "{} bytes", shown.len());
    assert!(!shown.chars().any(fools_a_terminal), "{shown:?}");
    assert!(error.code().starts_with("oidc_") || matches!(error, Error::Transport(_)), "{}", error.code());
}

fn expect_no_secret(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}

fn expect_quiet(value: &impl Debug) {
    let shown = format!("{value:?}");
    assert!(!shown.chars().any(fools_a_terminal), "{shown}");
    expect_no_secret(&shown);
}

fn fools_a_terminal(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// Takes the value of what cannot fail with fixed arguments.
#[expect(clippy::panic, reason = "a target panics where a promise is broken")]
fn made<T, E: Debug>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error:?}"))
}
