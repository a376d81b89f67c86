//! A provider's keys, a provider that answers as it is told to, and a known point in time.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom as SigningRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::{CallbackParams, Client, Error, JsonWebToken, Metadata, Pending, Provider, Tokens};
use latchkey_transport::{Random, RandomUnavailable, Reply, Request, SharedTransport, Transport};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const ISSUER: &str = "https://id.example/realms/Team%20A";
/// Hostile on purpose: a colon and a plus sign must survive the header.
pub(crate) const CLIENT_ID: &str = "client:+!ID";
pub(crate) const CLIENT_SECRET: &str = "SECRET?%:client+&";
pub(crate) const REDIRECT_URI: &str = "http://localhost:8250/oidc/callback";
pub(crate) const ACCESS_TOKEN: &str = "canary-access-token";
pub(crate) const CODE: &str = "canary-code";

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) fn now() -> SystemTime {
    after(0)
}

pub(crate) fn after(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + seconds)
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes that everybody knows: another one for each call.
#[derive(Default)]
pub(crate) struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        self.0 += 1;
        bytes.fill(self.0);
        Ok(())
    }
}

/// The provider's private keys, made once for all tests.
pub(crate) struct Keys {
    pub(crate) rsa: RsaKeyPair,
    pub(crate) other_rsa: RsaKeyPair,
    pub(crate) p256: EcdsaKeyPair,
    pub(crate) p384: EcdsaKeyPair,
    pub(crate) ed25519: Ed25519KeyPair,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    other_rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed25519: Ed25519KeyPair::generate().unwrap(),
});

pub(crate) fn rsa_jwk(key: &RsaKeyPair, kid: &str) -> Value {
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
    json!({"kty": "RSA", "kid": kid, "n": base64url(public.n), "e": base64url(public.e)})
}

pub(crate) fn ec_jwk(key: &EcdsaKeyPair, curve: &str, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": base64url(x), "y": base64url(y)})
}

pub(crate) fn ed25519_jwk(key: &Ed25519KeyPair, kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64url(key.public_key().as_ref())})
}

pub(crate) fn jwks(keys: impl IntoIterator<Item = Value>) -> String {
    json!({"keys": keys.into_iter().collect::<Vec<_>>()}).to_string()
}

/// The keys that the provider publishes unless a test says otherwise.
pub(crate) fn usual_jwks() -> String {
    jwks([rsa_jwk(&KEYS.rsa, "key-1")])
}

fn sign_rsa(key: &RsaKeyPair, encoding: &'static dyn RsaEncoding, input: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SigningRandom::new(), input, &mut signature).unwrap();
    signature
}

/// An ID token in the making.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Token {
    /// A token without fault, for the login of `pending`.
    pub(crate) fn good() -> Self {
        let half_of_hash = &Sha256::digest(ACCESS_TOKEN)[..16];
        Self {
            header: json!({"alg": "RS256", "kid": "key-1", "typ": "JWT"}),
            claims: json!({
                "iss": ISSUER, "sub": "canary-subject", "aud": CLIENT_ID, "azp": CLIENT_ID,
                "exp": NOW + 300, "iat": NOW, "nonce": "nonce",
                "at_hash": base64url(half_of_hash), "email": "canary@example.org",
            }),
        }
    }

    pub(crate) fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }

    pub(crate) fn without(mut self, claim: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(claim);
        self
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    /// Signs with the usual key of the algorithm that the header names.
    pub(crate) fn sign(&self) -> String {
        self.sign_with(&KEYS.rsa)
    }

    /// Signs with this key where the header names an RSA algorithm.
    pub(crate) fn sign_with(&self, rsa: &RsaKeyPair) -> String {
        sign_text(&self.header.to_string(), &self.claims.to_string(), rsa)
    }
}

/// Signs a header and claims as they are written.
pub(crate) fn sign_text(header: &str, claims: &str, rsa: &RsaKeyPair) -> String {
    let input = format!("{}.{}", base64url(header), base64url(claims));
    let bytes = input.as_bytes();
    let algorithm = serde_json::from_str::<Value>(header).unwrap_or_default();
    let signature = match algorithm["alg"].as_str() {
        Some("none") => Vec::new(),
        Some("RS384") => sign_rsa(rsa, &RSA_PKCS1_SHA384, bytes),
        Some("RS512") => sign_rsa(rsa, &RSA_PKCS1_SHA512, bytes),
        Some("PS256") => sign_rsa(rsa, &RSA_PSS_SHA256, bytes),
        Some("ES256") => KEYS.p256.sign(&SigningRandom::new(), bytes).unwrap().as_ref().to_vec(),
        Some("ES384") => KEYS.p384.sign(&SigningRandom::new(), bytes).unwrap().as_ref().to_vec(),
        Some("EdDSA" | "Ed25519") => KEYS.ed25519.sign(bytes).as_ref().to_vec(),
        _ => sign_rsa(rsa, &RSA_PKCS1_SHA256, bytes),
    };
    format!("{input}.{}", base64url(signature))
}

pub(crate) fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example/auth?theme=dark",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
        "userinfo_endpoint": "https://id.example/userinfo",
        "revocation_endpoint": "https://id.example/revoke",
        "introspection_endpoint": "https://id.example/introspect",
        "end_session_endpoint": "https://id.example/logout?theme=dark",
        "device_authorization_endpoint": "https://id.example/device",
        "pushed_authorization_request_endpoint": "https://id.example/par",
        "code_challenge_methods_supported": ["plain", "S256"],
        "something_new": {"unknown": [1, 2, 3]},
    })
}

pub(crate) fn metadata(document: &Value) -> Result<Metadata, Error> {
    Metadata::parse(ISSUER, document.to_string().as_bytes())
}

/// A transport that answers what it was told to, path by path, and remembers what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    replies: Vec<(&'static str, VecDeque<Answer>)>,
    requests: Vec<Request>,
}

pub(crate) type Answer = Result<Reply, latchkey_transport::Error>;

impl Script {
    /// Adds an answer for that path. The last one of a path is given again and again, unless it is an error.
    pub(crate) fn then(self, path: &'static str, answer: impl Into<Scripted>) -> Self {
        let Scripted(answer) = answer.into();
        {
            let mut state = self.0.lock().unwrap();
            match state.replies.iter_mut().find(|(this, _)| *this == path) {
                Some((_, answers)) => answers.push_back(answer),
                None => state.replies.push((path, VecDeque::from([answer]))),
            }
        }
        self
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path() == path).count()
    }

    pub(crate) fn shared(&self) -> SharedTransport {
        Arc::new(self.clone())
    }
}

/// What a script may be told to answer.
pub(crate) struct Scripted(Answer);

impl From<Reply> for Scripted {
    fn from(reply: Reply) -> Self {
        Self(Ok(reply))
    }
}

impl From<String> for Scripted {
    fn from(body: String) -> Self {
        Self(Ok(Reply::new(200, body)))
    }
}

impl From<latchkey_transport::Error> for Scripted {
    fn from(error: latchkey_transport::Error) -> Self {
        Self(Err(error))
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
impl Transport for Script {
    async fn send(&self, request: Request) -> Answer {
        let path = request.path().to_owned();
        let mut state = self.0.lock().unwrap();
        state.requests.push(request);
        let answers = state.replies.iter_mut().find(|(this, _)| *this == path).map(|(_, answers)| answers);
        let answers = answers.unwrap_or_else(|| panic!("nothing was scripted for {path}"));
        match answers.front() {
            Some(Ok(reply)) if answers.len() == 1 => Ok(reply.clone()),
            _ => answers.pop_front().unwrap_or_else(|| panic!("no answer is left for {path}")),
        }
    }
}

pub(crate) fn unreachable() -> latchkey_transport::Error {
    latchkey_transport::Error::Unreachable { host: "id.example".to_owned(), cause: None }
}

pub(crate) fn lost() -> latchkey_transport::Error {
    latchkey_transport::Error::Lost { host: "id.example".to_owned(), cause: None }
}

pub(crate) fn provider(script: &Script) -> Provider {
    provider_of(script, &document())
}

pub(crate) fn provider_of(script: &Script, document: &Value) -> Provider {
    Provider::new(metadata(document).unwrap(), script.shared(), Arc::new(JsonWebToken))
}

pub(crate) fn client(script: &Script) -> Client {
    Client::new(provider(script), CLIENT_ID)
}

/// A login that has just begun.
pub(crate) fn pending() -> Pending {
    client(&Script::default()).authorize(REDIRECT_URI).begin(&mut Counting::default(), now()).unwrap().pending
}

/// The state that `Counting` draws first, and the nonce that it draws second.
pub(crate) fn drawn(count: u8) -> String {
    base64url([count; 32])
}

pub(crate) fn state() -> String {
    drawn(1)
}

pub(crate) fn nonce() -> String {
    drawn(2)
}

/// A token reply of a login that began with `Counting`.
pub(crate) fn token_reply(more: &Value) -> Value {
    let mut reply = json!({
        "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60, "refresh_token": "canary-refresh-1",
        "scope": "openid email", "id_token": Token::good().with("nonce", nonce()).with("auth_time", NOW - 5).sign(),
    });
    merge(&mut reply, more);
    reply
}

/// Sets these members; null takes one away.
pub(crate) fn merge(value: &mut Value, more: &Value) {
    for (name, new) in more.as_object().unwrap() {
        if new.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = new.clone();
        }
    }
}

/// Signs in at a provider that answers so at its token endpoint.
pub(crate) async fn signed_in(client: &Client) -> Tokens {
    let callback = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
    client.redeem(pending().accept(&callback, now()).unwrap(), now()).await.unwrap()
}

/// The form of the last request to that path.
pub(crate) fn last_form(script: &Script, path: &str) -> Vec<(String, String)> {
    let requests = script.requests();
    let request = requests.iter().rfind(|request| request.path() == path).unwrap();
    let body = request.body().unwrap().expose_secret().to_vec();
    url::form_urlencoded::parse(&body).into_owned().collect()
}

/// The only value of that name.
pub(crate) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = pairs.iter().filter(|(this, _)| this == name);
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} stands twice");
    value
}
