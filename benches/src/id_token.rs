//! The whole verification of an ID token, beside a bare check of its signature with a key that was parsed before.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{Algorithm, AwsLc, Expectations, IdToken, JsonWebToken, Verifier};
use latchkey_transport::Secret;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::report::{Goal, Measure, median};

pub(crate) const ISSUER: &str = "https://id.example/realms/HashiCorp";
pub(crate) const CLIENT: &str = "vault-oidc";
const NONCE: &str = "n-0S6_WzA2Mj9Q7kLxv3Tt8bYc4Re1";
/// A third of an access token: Keycloak's are of 1200 signs.
pub(crate) const ACCESS_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCIgOiAiSldUIiwia2lkIiA6ICJfX0hqQ2RmTXlVQm1nSk9CeWk5TnRxNGhBIn0.eyJleHAiOjE3ODAzMTU1MDAsImlhdCI6MTc4MDMxNTIwMCwiYXV0aF90aW1lIjoxNzgwMzE1MjAwLCJqdGkiOiI5ZjFiMWEwZS02YjBhLTRjM2MtOGE0ZS0wYjZhM2YxYzJkNGUiLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUvcmVhbG1zL0hhc2hpQ29ycCIsInR5cCI6IkJlYXJlciIsImF6cCI6InZhdWx0LW9pZGMiLCJzaWQi";
/// When the token was issued, and so the time at which it is checked.
pub(crate) const ISSUED: u64 = 1_780_315_200;
const CHECKS: u32 = 1_000;
const ROUNDS: usize = 9;

/// Compares the time of one check, round by round: of each engine, of each of the two usual algorithms.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let (rsa, p256) = (
        RsaKey(RsaKeyPair::generate(KeySize::Rsa2048)?),
        EcKey(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
    );
    let runtime = Builder::new_current_thread().build()?;
    let mut measures = compare(
        &runtime,
        &rsa,
        [("oidc-flow/id_token_verify_rs256", 1.25), ("oidc-flow/id_token_verify_rs256_jsonwebtoken", 1.45)],
    )?;
    measures.extend(compare(
        &runtime,
        &p256,
        [("oidc-flow/id_token_verify_es256", 1.12), ("oidc-flow/id_token_verify_es256_jsonwebtoken", 1.12)],
    )?);
    measures.push(allocations(&runtime, &rsa)?);
    Ok(measures)
}

fn compare(
    runtime: &Runtime,
    key: &dyn Key,
    goals: [(&'static str, f64); 2],
) -> anyhow::Result<Vec<Measure>> {
    let (token, parsed, check) = (sign(key, NONCE)?, key.parsed()?, Check::of(key)?);
    let engines: [&dyn Verifier; 2] = [&AwsLc::default(), &JsonWebToken];
    let mut times = [const { (Vec::new(), Vec::new(), Vec::new()) }; 2];
    for _ in 0..ROUNDS {
        for (engine, (ours, bare, ratios)) in engines.into_iter().zip(&mut times) {
            let our_time = timed(|| runtime.block_on(check.whole(&token, engine)))?;
            let bare_time = timed(|| signature_only(&token, &parsed))?;
            ours.push(our_time);
            bare.push(bare_time);
            ratios.push(our_time / bare_time);
        }
    }
    let measures = goals.into_iter().zip(times).map(|((name, most), (ours, bare, ratios))| {
        let figures = (median(ours), median(bare));
        Measure::with_ratio(name, "µs", figures, median(ratios), Goal::RatioAtMost(most))
    });
    Ok(measures.collect())
}

/// Counts the allocations of one check, with a key that is known already.
fn allocations(runtime: &Runtime, key: &dyn Key) -> anyhow::Result<Measure> {
    let (token, check, engine) = (sign(key, NONCE)?, Check::of(key)?, AwsLc::default());
    runtime.block_on(check.whole(&token, &engine))?;
    let mut outcome = Ok(());
    let info = allocation_counter::measure(|| outcome = runtime.block_on(check.whole(&token, &engine)));
    outcome?;
    let count = f64::from(u32::try_from(info.count_total)?);
    Ok(Measure::new("oidc-flow/id_token_verify_allocations", "count", (count, 28.0), Goal::ValueAtMost(40.0)))
}

/// What a relying party does: parse, choose the key, check the signature and every claim.
struct Check {
    expectations: Expectations,
    keys: KeySet,
    access_token: Secret,
    now: SystemTime,
}

impl Check {
    fn of(key: &dyn Key) -> anyhow::Result<Self> {
        let expectations = Expectations::new(ISSUER, CLIENT).with_nonce(NONCE.into());
        Ok(Self {
            expectations: expectations.with_algorithms([Algorithm::Rs256, Algorithm::Es256]),
            keys: KeySet::parse(key_set_text(key).as_bytes())?,
            access_token: Secret::new(ACCESS_TOKEN.repeat(3)),
            now: UNIX_EPOCH + Duration::from_secs(ISSUED + 1),
        })
    }

    async fn whole(&self, token: &str, engine: &dyn Verifier) -> anyhow::Result<()> {
        let token = IdToken::parse(token)?;
        let access_token = Some(&self.access_token);
        black_box(self.expectations.verify(token, &self.keys, engine, access_token, self.now).await?);
        Ok(())
    }
}

/// The least that anybody can do: one signature, nothing of what the token says.
pub(crate) fn signature_only(token: &str, key: &ParsedPublicKey) -> anyhow::Result<()> {
    let (signed, signature) = token.rsplit_once('.').context("three parts")?;
    key.verify_sig(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)?;
    Ok(())
}

/// Returns how many microseconds one call takes.
fn timed(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..CHECKS {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS))
}

/// A provider's key.
pub(crate) trait Key {
    fn algorithm(&self) -> &'static str;
    fn jwk(&self) -> serde_json::Value;
    fn parsed(&self) -> anyhow::Result<ParsedPublicKey>;
    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>>;
}

pub(crate) struct RsaKey(pub(crate) RsaKeyPair);

struct EcKey(EcdsaKeyPair);

impl Key for RsaKey {
    fn algorithm(&self) -> &'static str {
        "RS256"
    }

    fn jwk(&self) -> serde_json::Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (self.0.public_key().modulus(), self.0.public_key().exponent());
        let (n, e) =
            (number(n.big_endian_without_leading_zero()), number(e.big_endian_without_leading_zero()));
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "a", "n": n, "e": e})
    }

    fn parsed(&self) -> anyhow::Result<ParsedPublicKey> {
        Ok(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.0.public_key().as_der()?.as_ref())?)
    }

    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)?;
        Ok(signature)
    }
}

impl Key for EcKey {
    fn algorithm(&self) -> &'static str {
        "ES256"
    }

    fn jwk(&self) -> serde_json::Value {
        let (_, point) = self.0.public_key().as_ref().split_at(1);
        let (x, y) = point.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": "a", "x": x, "y": y})
    }

    fn parsed(&self) -> anyhow::Result<ParsedPublicKey> {
        Ok(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0.public_key())?)
    }

    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.0.sign(&SystemRandom::new(), input)?.as_ref().to_vec())
    }
}

/// A token with the claims that Keycloak 26 sends.
pub(crate) fn sign(key: &dyn Key, nonce: &str) -> anyhow::Result<String> {
    let hash = digest(&SHA256, ACCESS_TOKEN.repeat(3).as_bytes());
    let (half, _) = hash.as_ref().split_at(16);
    let claims = json!({
        "nonce": nonce, "at_hash": URL_SAFE_NO_PAD.encode(half), "exp": ISSUED + 300, "iat": ISSUED, "auth_time": ISSUED, "jti": "9f1b1a0e-6b0a-4c3c-8a4e-0b6a3f1c2d4e",
        "iss": ISSUER, "aud": CLIENT, "sub": "f3b7d1c2-5a6e-4f80-9b1d-2c3e4f5a6b7c", "typ": "ID", "azp": CLIENT,
        "sid": "0c9d8e7f-1a2b-3c4d-5e6f-708192a3b4c5", "acr": "1", "email_verified": true,
        "resource_access": {CLIENT: {"roles": ["reader"]}}, "name": "Rita Reader",
        "preferred_username": "reader", "given_name": "Rita", "family_name": "Reader",
        "email": "reader@example.com",
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": key.algorithm(), "typ": "JWT", "kid": "a"}));
    let signed = format!("{header}.{}", encode(claims));
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?)))
}

pub(crate) fn key_set_text(key: &dyn Key) -> String {
    json!({"keys": [key.jwk()]}).to_string()
}
