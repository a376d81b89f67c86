//! What `latchkey-vault-client` reads: replies, refusals, paths, pauses, the environment, spans of time.

#[cfg(test)]
mod properties;

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use latchkey_transport::{Error as TransportError, Exchange, Replay, Reply, Request, Secret, Transport};
use latchkey_vault_client::auth::{
    AppRoleLogin, ClientNonce, JwtLogin, KubernetesLogin, OidcAuthUrl, OidcCallback, OidcPoll, UserpassLogin,
};
use latchkey_vault_client::kv2::{
    Cas, ListSecrets, PatchSecret, ReadConfig, ReadMetadata, ReadSecret, ReadSubkeys, WriteSecret,
};
use latchkey_vault_client::retry::Retry;
use latchkey_vault_client::sys::{
    ListMounts, ListPolicies, MountKind, ReadCapabilities, ReadCors, ReadHealth, ReadPolicy, ReadSealStatus,
};
use latchkey_vault_client::token::{
    CreateToken, ListAccessors, LookupSelf, ReadRole, RenewSelf, RevokeSelf, TokenRequest,
};
use latchkey_vault_client::wrapping::{LookupWrapping, Rewrap, Unwrap};
use latchkey_vault_client::{Config, Data, Error, Token, Vault, logical};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::Target;

/// The targets of this crate.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "vault_reply", run: reply },
    Target { name: "vault_refusal", run: refusal },
    Target { name: "vault_path", run: path },
    Target { name: "vault_retry_after", run: retry_after },
    Target { name: "vault_environment", run: environment },
    Target { name: "vault_duration", run: duration },
];

/// A status on the first line, and a body: as the answer to every call there is.
///
/// No call panics, no error says anything that fools a terminal or is long, and what a read returns as data is exactly
/// what a JSON parser finds there.
fn reply(bytes: &[u8]) {
    let (status, body) = status_and_body(bytes);
    for outcome in
        [answers_of_stores(status, body), answers_of_logins(status, body), answers_of_others(status, body)]
            .into_iter()
            .flatten()
    {
        outcome.expect_sound();
    }
    if let Ok(read) = made(ReadSecret::new("secret", "a")).receive(Reply::new(status, body))
        && let Some(secret) = read.found()
    {
        is_what_a_parser_finds(secret.data(), body);
    }
}

/// What a call came to, as far as it is the same for all calls.
struct Came {
    shown: String,
    error: Option<Error>,
}

impl Came {
    fn of<E: Exchange<Error = Error>>(exchange: Result<E, Error>, status: u16, body: &[u8]) -> Self
    where
        E::Output: Debug,
    {
        let outcome = made(exchange).receive(Reply::new(status, body));
        Self { shown: format!("{outcome:?}"), error: outcome.err() }
    }

    fn expect_sound(self) {
        assert!(!self.shown.chars().any(char::is_control), "a control sign in {:?}", self.shown);
        if let Some(error) = self.error {
            expect_sound(&error);
        }
    }
}

fn answers_of_stores(status: u16, body: &[u8]) -> Vec<Came> {
    let none = &serde_json::json!({});
    vec![
        Came::of(ReadSecret::new("secret", "a"), status, body),
        Came::of(ReadSecret::new("secret", "a").map(|read| read.with_version(3)), status, body),
        Came::of(WriteSecret::new("secret", "a", none, Cas::None), status, body),
        Came::of(PatchSecret::new("secret", "a", none, Cas::None), status, body),
        Came::of(ListSecrets::new("secret", ""), status, body),
        Came::of(ReadMetadata::new("secret", "a"), status, body),
        Came::of(ReadSubkeys::new("secret", "a"), status, body),
        Came::of(ReadConfig::new("secret"), status, body),
    ]
}

fn answers_of_logins(status: u16, body: &[u8]) -> Vec<Came> {
    let (text, nonce) = (&Secret::new("text"), &made(ClientNonce::restore("0".repeat(43))));
    vec![
        Came::of(JwtLogin::new("jwt", "r", text), status, body),
        Came::of(KubernetesLogin::new("kubernetes", "r", text), status, body),
        Came::of(AppRoleLogin::new("approle", "r", text), status, body),
        Came::of(UserpassLogin::new("userpass", "r", text), status, body),
        Came::of(OidcAuthUrl::new("oidc", "r", "http://localhost:8250/oidc/callback", nonce), status, body),
        Came::of(OidcCallback::new("oidc", text, text, nonce), status, body),
        Came::of(OidcPoll::new("oidc", text, nonce), status, body),
    ]
}

fn answers_of_others(status: u16, body: &[u8]) -> Vec<Came> {
    let token = &made(Token::new("hvs.text"));
    vec![
        Came::of(CreateToken::new(&TokenRequest::default()), status, body),
        Came::of(Ok(LookupSelf), status, body),
        Came::of(Ok(RenewSelf::new(Duration::ZERO)), status, body),
        Came::of(Ok(RevokeSelf), status, body),
        Came::of(Ok(ListAccessors), status, body),
        Came::of(ReadRole::new("r"), status, body),
        Came::of(Ok(Unwrap::new(token)), status, body),
        Came::of(LookupWrapping::new(token), status, body),
        Came::of(Rewrap::new(token), status, body),
        Came::of(Ok(ReadHealth), status, body),
        Came::of(Ok(ReadSealStatus), status, body),
        Came::of(Ok(ListMounts::new(MountKind::SecretsEngine)), status, body),
        Came::of(Ok(ListPolicies), status, body),
        Came::of(ReadPolicy::new("p"), status, body),
        Came::of(ReadCapabilities::new(&["p"]), status, body),
        Came::of(Ok(ReadCors), status, body),
        Came::of(logical::ReadPath::new("p"), status, body),
        Came::of(logical::ListPath::new("p"), status, body),
        Came::of(logical::WritePath::new("p", &()), status, body),
    ]
}

/// The data is what `serde_json` reads at the same place, field by field, text by text.
fn is_what_a_parser_finds(data: &Data, body: &[u8]) {
    // The parser gives up at a depth where the data, which stays as it came, does not.
    let Ok(Value::Object(expected)) = serde_json::from_str(data.json()) else {
        return assert!(
            data.json() == "null" || data.json().starts_with('{'),
            "data is an object or nothing"
        );
    };
    let Ok(whole) = serde_json::from_slice::<Value>(body) else { return };
    if let Some(Value::Object(inner)) = whole.pointer("/data/data") {
        assert_eq!(*inner, expected);
    }
    for field in data.fields() {
        let raw = made(data.raw(field));
        assert_eq!(serde_json::from_str::<Value>(raw).ok().as_ref(), expected.get(field), "{field:?}");
        if let Ok(text) = data.text(field) {
            assert_eq!(Some(text), expected.get(field).and_then(Value::as_str), "{field:?}");
        }
    }
    let mut names: Vec<_> = data.fields().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), expected.len(), "every field is there");
}

/// A status on the first line, a body that may hold what was sent: nothing of it comes back.
fn refusal(bytes: &[u8]) {
    const SENT: &str = "s3ntByUs-4nd-N0body-Else";
    let (status, body) = status_and_body(bytes);
    let text = String::from_utf8_lossy(body).replace("SENT", SENT);
    let login = made(JwtLogin::new("jwt", "role", &Secret::new(SENT)));
    let Err(error) = login.receive(Reply::new(status, text.as_str())) else { return };
    expect_sound(&error);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SENT), "{shown}");
    let retry = Retry::default();
    for replay in [Replay::Never, Replay::AfterRefusal, Replay::Safe] {
        let again = retry.pause(replay, &error, 1, Duration::ZERO, 0.5).is_some();
        assert!(!again || error.is_transient(), "{error} is repeated and not transient");
    }
}

/// Mount, path and namespace, a line each: no text leaves its place in the address.
fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let (mount, path, namespace) = (lines.next(), lines.next(), lines.next());
    let (mount, path, namespace) =
        (mount.unwrap_or_default(), path.unwrap_or_default(), namespace.unwrap_or_default());
    if let Ok(read) = ReadSecret::new(mount, path) {
        let request = read.request();
        expect_segments(request.path(), &["v1", mount, "data", path]);
        assert_eq!(request.query(), None);
    }
    let (Ok(read), sent) = (logical::ReadPath::new(path), Arc::new(Recorder::default())) else { return };
    let address = made_url("https://vault.example/behind/a/proxy");
    let Ok(vault) = Vault::new(address, sent.clone()).with_namespace(namespace) else { return };
    assert!(at_once(vault.perform(read)).is_ok());
    let sent = sent.0.lock().map(|sent| sent.clone()).unwrap_or_default();
    let url = sent.first().and_then(Request::url).cloned();
    let Some(url) = url else { return assert!(url.is_some(), "nothing was sent") };
    assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("vault.example"), None, None));
    let at_node =
        matches!(path.trim_matches('/'), "sys/health" | "sys/seal-status" | "sys/leader" | "sys/init");
    let namespace = if at_node { "" } else { namespace };
    expect_segments(url.path(), &["behind/a/proxy", "v1", namespace, path]);
}

/// The address, decoded segment by segment, is what was asked for, and nothing in it means another place.
fn expect_segments(path: &str, wanted: &[&str]) {
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let decoded = segments.iter().map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned());
    let decoded: Vec<_> = decoded.collect();
    let wanted = wanted.iter().map(|part| part.strip_prefix('/').unwrap_or(part));
    let wanted = wanted.map(|part| part.strip_suffix('/').unwrap_or(part));
    let wanted: Vec<_> = wanted.filter(|part| !part.is_empty()).flat_map(|part| part.split('/')).collect();
    assert_eq!(decoded, wanted);
    assert!(decoded.iter().all(|segment| !matches!(segment.as_str(), "" | "." | "..")), "{path}");
    let url = made_url(&format!("https://vault.example{path}"));
    assert_eq!(url.path(), path, "the address is rewritten on its way");
}

/// `Retry-After` and `Date`, a line each: a pause is never shorter than the server asks for, and never past the deadline.
fn retry_after(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (after, date) = text.split_once('\n').unwrap_or((&text, ""));
    let reply = Reply::new(429, "").with_header("retry-after", after).with_header("date", date);
    let Err(error) = made(ReadSecret::new("secret", "a")).receive(reply) else {
        return assert!(bytes.is_empty(), "429 is an error");
    };
    expect_sound(&error);
    let Error::RateLimited { retry_after } = error else {
        return assert_eq!(error.code(), "vault_rate_limited");
    };
    if let Ok(seconds) = after.trim().parse() {
        // A header with a line break is not one, and is left out.
        let expected = (!after.contains(['\r', '\0'])).then_some(Duration::from_secs(seconds));
        assert_eq!(retry_after, expected, "{after:?}");
    }
    let retry = Retry::default();
    for (elapsed, random) in [(0, 0.0), (0, 1.0), (29, 0.5), (u64::MAX, f64::NAN)] {
        let elapsed = Duration::from_secs(elapsed);
        if let Some(pause) = retry.pause(Replay::Safe, &error, 1, elapsed, random) {
            assert!(pause >= retry_after.unwrap_or_default());
            assert!(elapsed + pause < retry.deadline());
        }
    }
}

/// Lines `NAME=value`: a mistake is an error that names the variable and not its value, and nothing shows the token.
fn environment(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let variables: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| variables.iter().find(|(this, _)| *this == name).map(|(_, value)| *value);
    match Config::from_environment(|name| value(name).map(str::to_owned)) {
        Ok(config) => {
            if let Some(token) = &config.token {
                let (shown, token) = (format!("{config:?}"), token.expose_secret());
                let is_secret = token.len() >= 16 && text.matches(token).count() == 1;
                assert!(!is_secret || !shown.contains(token), "{shown}");
            }
            // What is built of it fails in words, if at all.
            if let Err(error) = config.vault(Arc::new(Recorder::default())) {
                expect_sound(&error);
            }
        }
        Err(error) => {
            expect_sound(&error);
            let Error::InvalidVariable { variable } = &error else {
                return assert_eq!(error.code(), "vault_invalid_variable");
            };
            assert!(value(variable).is_some(), "{variable} was not set");
        }
    }
}

/// A span: two that follow each other are their sum, and what is written as seconds is read as such.
fn duration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = |text: &str| {
        let lookup = |name: &str| (name == "VAULT_CLIENT_TIMEOUT").then(|| text.to_owned());
        Config::from_environment(lookup).ok().and_then(|config| config.client_timeout)
    };
    let text = text.trim();
    let Some(span) = read(text) else { return };
    assert_eq!(read(&format!("{}s", span.as_secs())), Some(Duration::from_secs(span.as_secs())));
    assert!(span.as_secs() <= 292 * 366 * 24 * 3600, "longer than a time can be");
    if text.ends_with(char::is_alphabetic) && span.as_secs() < 1_000_000_000 {
        assert_eq!(read(&format!("{text}1m1s")), Some(span + Duration::from_secs(61)), "{text:?}");
    }
}

/// An error is short, stays on its line and cannot fool a terminal.
fn expect_sound(error: &Error) {
    // Ten messages of 400 signs of four bytes, and what stands around them.
    const LONGEST: usize = 10 * 400 * 4 + 2_000;
    let shown = error.to_string();
    assert!(shown.len() <= LONGEST, "{} bytes", shown.len());
    assert!(!shown.chars().any(fools_a_terminal), "{shown:?}");
    assert!(error.code().starts_with("vault_"), "{}", error.code());
    assert!(!(error.is_transient() && error.is_token_dead() == Some(true)), "{shown}");
}

fn fools_a_terminal(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

fn status_and_body(bytes: &[u8]) -> (u16, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    let status = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok());
    (status.unwrap_or(200), rest.get(1..).unwrap_or_default())
}

/// Takes the value of what cannot fail with fixed arguments.
#[expect(clippy::panic, reason = "a target panics where a promise is broken")]
fn made<T, E: Debug>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error:?}"))
}

fn made_url(text: &str) -> url::Url {
    made(text.parse())
}

/// Says "nothing there" to everything, and keeps what it was sent.
#[derive(Default)]
struct Recorder(Mutex<Vec<Request>>);

#[async_trait::async_trait]
impl Transport for Recorder {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        if let Ok(mut sent) = self.0.lock() {
            sent.push(request);
        }
        Ok(Reply::new(404, r#"{"errors":[]}"#))
    }
}

/// Returns what a future that never waits comes to.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
    }
}
