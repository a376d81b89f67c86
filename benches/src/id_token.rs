//! The whole verification of an ID token, beside a bare check of its signature with a key that was parsed before.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{Expectations, IdToken, JsonWebToken};
use latchkey_transport::Secret;
use serde_json::json;
use tokio::runtime::Builder;

use crate::report::{Goal, Measure, median};

const ISSUER: &str = "https://id.example/realms/HashiCorp";
const CLIENT: &str = "vault-oidc";
const NONCE: &str = "n-0S6_WzA2Mj9Q7kLxv3Tt8bYc4Re1";
/// A third of an access token: Keycloak's are of 1200 signs.
const ACCESS_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCIgOiAiSldUIiwia2lkIiA6ICJfX0hqQ2RmTXlVQm1nSk9CeWk5TnRxNGhBIn0.eyJleHAiOjE3ODAzMTU1MDAsImlhdCI6MTc4MDMxNTIwMCwiYXV0aF90aW1lIjoxNzgwMzE1MjAwLCJqdGkiOiI5ZjFiMWEwZS02YjBhLTRjM2MtOGE0ZS0wYjZhM2YxYzJkNGUiLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUvcmVhbG1zL0hhc2hpQ29ycCIsInR5cCI6IkJlYXJlciIsImF6cCI6InZhdWx0LW9pZGMiLCJzaWQi";
/// When the token was issued, and so the time at which it is checked.
const ISSUED: u64 = 1_780_315_200;
const CHECKS: u32 = 2_000;
const ROUNDS: usize = 9;

/// Compares the time of one check, round by round.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let (token, keys) = (sign(&key)?, key_set(&key)?);
    let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_der()?.as_ref())?;
    let expectations = Expectations::new(ISSUER, CLIENT).with_nonce(NONCE.into());
    let access_token = Secret::new(ACCESS_TOKEN.repeat(3));
    let now = UNIX_EPOCH + Duration::from_secs(ISSUED + 1);
    let runtime = Builder::new_current_thread().build()?;

    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let our_time = timed(|| runtime.block_on(whole(&token, &expectations, &keys, &access_token, now)))?;
        let bare_time = timed(|| signature_only(&token, &parsed))?;
        ours.push(our_time);
        bare.push(bare_time);
        ratios.push(our_time / bare_time);
    }
    let figures = (median(ours), median(bare));
    let goal = Goal::RatioAtMost(1.45);
    Ok(vec![Measure::with_ratio("oidc-flow/id_token_verify_rs256", "µs", figures, median(ratios), goal)])
}

/// What a relying party does: parse, choose the key, check the signature and every claim.
async fn whole(
    token: &str,
    expectations: &Expectations,
    keys: &KeySet,
    access_token: &Secret,
    now: SystemTime,
) -> anyhow::Result<()> {
    let token = IdToken::parse(token)?;
    black_box(expectations.verify(token, keys, &JsonWebToken, Some(access_token), now).await?);
    Ok(())
}

/// The least that anybody can do: one signature, nothing of what the token says.
fn signature_only(token: &str, key: &ParsedPublicKey) -> anyhow::Result<()> {
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

/// A token with the claims that Keycloak 26 sends.
fn sign(key: &RsaKeyPair) -> anyhow::Result<String> {
    let hash = digest(&SHA256, ACCESS_TOKEN.repeat(3).as_bytes());
    let (half, _) = hash.as_ref().split_at(16);
    let claims = json!({
        "nonce": NONCE, "at_hash": URL_SAFE_NO_PAD.encode(half), "exp": ISSUED + 300, "iat": ISSUED, "auth_time": ISSUED, "jti": "9f1b1a0e-6b0a-4c3c-8a4e-0b6a3f1c2d4e",
        "iss": ISSUER, "aud": CLIENT, "sub": "f3b7d1c2-5a6e-4f80-9b1d-2c3e4f5a6b7c", "typ": "ID", "azp": CLIENT,
        "sid": "0c9d8e7f-1a2b-3c4d-5e6f-708192a3b4c5", "acr": "1", "email_verified": true,
        "resource_access": {CLIENT: {"roles": ["reader"]}}, "name": "Rita Reader",
        "preferred_username": "reader", "given_name": "Rita", "family_name": "Reader",
        "email": "reader@example.com",
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "RS256", "typ": "JWT", "kid": "a"}));
    let signed = format!("{header}.{}", encode(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn key_set(key: &RsaKeyPair) -> anyhow::Result<KeySet> {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (key.public_key().modulus(), key.public_key().exponent());
    let (n, e) = (number(n.big_endian_without_leading_zero()), number(e.big_endian_without_leading_zero()));
    let set = json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "a", "n": n, "e": e}]});
    Ok(KeySet::parse(set.to_string().as_bytes())?)
}
