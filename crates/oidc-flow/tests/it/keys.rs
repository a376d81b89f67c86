//! Which of the provider's keys is taken, and when they are fetched again.

use std::sync::Arc;
use std::time::SystemTime;

use latchkey_oidc_flow::keys::{KeySet, PublicKey};
use latchkey_oidc_flow::{
    Algorithm, Error, Expectations, FetchKeys, IdToken, IdTokenProblem as Problem, JsonWebToken, Metadata,
    Misuse, Provider, SignatureCheck, VerifiedIdToken, Verifier, VerifierError,
};
use latchkey_transport::{Exchange as _, Reply, Request, Secret, Transport};
use serde_json::{Value, json};

use crate::support::{
    CLIENT_ID, ISSUER, KEYS, NOW, Script, Token, after, base64url, document, ec_jwk, ed25519_jwk, jwks, lost,
    now, provider, rsa_jwk, unreachable, usual_jwks,
};

fn set(keys: impl IntoIterator<Item = Value>) -> KeySet {
    KeySet::parse(jwks(keys).as_bytes()).unwrap()
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn rsa(kid: &str) -> Value {
    rsa_jwk(&KEYS.rsa, kid)
}

fn chosen(set: &KeySet, algorithm: Algorithm, kid: Option<&str>) -> Vec<String> {
    let candidates = set.candidates(algorithm, kid).into_iter().flatten();
    candidates.map(|key| key.key_id().unwrap_or("-").to_owned()).collect()
}

#[test]
fn the_key_is_chosen_by_kind_id_and_purpose() {
    let set = set([
        rsa("a"),
        with(rsa("b"), "alg", "RS256"),
        with(rsa("c"), "alg", "PS256"),
        with(rsa("enc"), "use", "enc"),
        with(rsa("sig"), "use", "sig"),
        with(rsa("ops"), "key_ops", json!(["verify"])),
        with(rsa("wrap"), "key_ops", json!(["wrapKey"])),
        ec_jwk(&KEYS.p256, "P-256", "p256"),
        ec_jwk(&KEYS.p384, "P-384", "p384"),
        ed25519_jwk(&KEYS.ed25519, "ed"),
        with(ed25519_jwk(&KEYS.ed25519, "ed2"), "alg", "Ed25519"),
    ]);
    assert_eq!(chosen(&set, Algorithm::Rs256, None), ["a", "b", "sig", "ops"]);
    assert_eq!(chosen(&set, Algorithm::Ps256, None), ["a", "c", "sig", "ops"]);
    assert_eq!(chosen(&set, Algorithm::Rs256, Some("b")), ["b"]);
    assert_eq!(chosen(&set, Algorithm::Rs256, Some("c")), [""; 0]);
    assert_eq!(chosen(&set, Algorithm::Rs256, Some("enc")), [""; 0]);
    assert_eq!(chosen(&set, Algorithm::Rs256, Some("wrap")), [""; 0]);
    assert_eq!(chosen(&set, Algorithm::Rs256, Some("p256")), [""; 0]);
    assert_eq!(chosen(&set, Algorithm::Es256, None), ["p256"]);
    assert_eq!(chosen(&set, Algorithm::Es384, None), ["p384"]);
    assert_eq!(chosen(&set, Algorithm::EdDsa, None), ["ed", "ed2"]);
}

#[test]
fn broken_and_unknown_keys_are_skipped() {
    let point = base64url([7; 31]);
    let set = set([
        json!("not a key"),
        json!({}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "EC", "crv": "P-256", "x": point, "y": point}),
        json!({"kty": "OKP", "crv": "X25519", "x": base64url([7; 32])}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": base64url([7; 31])}),
        json!({"kty": "RSA", "n": "!", "e": "AQAB"}),
        json!({"kty": "RSA", "n": "", "e": "AQAB"}),
        json!({"kty": "RSA", "n": base64url([255; 1025]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": base64url([255; 256]), "e": base64url([1; 9])}),
        json!({"kty": "RSA", "n": base64url([255; 256])}),
        // With the exponent 1 everything is its own signature, and an even one belongs to no key.
        json!({"kty": "RSA", "n": base64url([255; 256]), "e": "AQ"}),
        json!({"kty": "RSA", "n": base64url([255; 256]), "e": "AAAB"}),
        json!({"kty": "RSA", "n": base64url([255; 256]), "e": "AQAA"}),
        with(rsa("ops"), "key_ops", "verify"),
        rsa("good"),
    ]);
    assert_eq!(set.keys().iter().map(|key| key.key_id()).collect::<Vec<_>>(), [Some("good")]);
}

#[test]
fn what_is_no_key_set_is_an_error() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).unwrap_err().code(),
            "oidc_provider_malformed_reply",
            "{text}"
        );
    }
}

#[test]
fn at_most_a_hundred_keys_are_read_and_four_tried() {
    let set = set((0..200).map(|_| without(rsa("x"), "kid")));
    assert_eq!(set.keys().len(), 100);
    assert_eq!(chosen(&set, Algorithm::Rs256, None).len(), 4);
}

#[test]
fn a_short_rsa_key_is_refused_by_its_length() {
    let weak = json!({"kty": "RSA", "kid": "weak", "n": base64url([vec![0, 127], vec![255; 255]].concat()), "e": "AQAB"});
    let strong = json!({"kty": "RSA", "kid": "ok", "n": base64url([vec![0, 128], vec![255; 255]].concat()), "e": "AQAB"});
    let keys = set([weak.clone()]);
    assert_eq!(keys.candidates(Algorithm::Rs256, None).unwrap_err(), Problem::WeakKey { bits: 2047 });
    // Where a strong key fits, too, it is the one.
    assert_eq!(chosen(&set([weak, strong]), Algorithm::Rs256, None), ["ok"]);
}

#[test]
fn a_key_is_handed_on_with_nothing_but_its_numbers() {
    let full = with(with(ec_jwk(&KEYS.p256, "P-256", "p256"), "alg", "ES256"), "x5c", json!(["AAAA"]));
    let set = set([full, ed25519_jwk(&KEYS.ed25519, "ed"), rsa("rsa")]);
    assert_eq!(set.keys()[0].to_json(), without(ec_jwk(&KEYS.p256, "P-256", ""), "kid"));
    assert_eq!(set.keys()[1].to_json(), without(ed25519_jwk(&KEYS.ed25519, ""), "kid"));
    assert_eq!(set.keys()[2].to_json(), without(rsa(""), "kid"));
    assert!(matches!(set.keys()[2].public_key(), PublicKey::Rsa { modulus, .. } if modulus.len() == 256));
}

#[test]
fn a_reply_that_is_no_success_is_an_error_that_may_pass() {
    let fetch = || FetchKeys::new("https://id.example/jwks".parse().unwrap());
    assert_eq!(fetch().request().path(), "/jwks");
    let error = fetch().receive(Reply::new(503, "")).unwrap_err();
    assert_eq!(error.code(), "oidc_provider_status");
    assert!(error.is_transient());
    assert!(!fetch().receive(Reply::new(404, "")).unwrap_err().is_transient());
}

// From here on: the keys at hand, and when new ones are fetched.

const YEAR: u64 = 365 * 24 * 60 * 60;

/// A token that outlives every key.
fn lasting() -> Token {
    Token::good().with("iat", NOW - YEAR).with("exp", NOW + YEAR)
}

fn expectations() -> Expectations {
    Expectations::new(ISSUER, CLIENT_ID)
}

async fn verify(
    provider: &latchkey_oidc_flow::Provider,
    text: &str,
    at: std::time::SystemTime,
) -> Result<VerifiedIdToken, Error> {
    provider.verify(IdToken::parse(text)?, &expectations(), None::<&Secret>, at).await
}

fn second_jwks() -> String {
    jwks([rsa_jwk(&KEYS.other_rsa, "key-2")])
}

fn second_token() -> String {
    lasting().with_header("kid", "key-2").sign_with(&KEYS.other_rsa)
}

#[tokio::test]
async fn keys_are_fetched_once_while_they_are_fresh() {
    let script = Script::default().then("/jwks", usual_jwks());
    let provider = provider(&script);
    for second in [0, 10, 3599] {
        verify(&provider.clone(), &lasting().sign(), after(second)).await.unwrap();
    }
    assert_eq!(script.count("/jwks"), 1);
    verify(&provider, &lasting().sign(), after(3600)).await.unwrap();
    assert_eq!(script.count("/jwks"), 2);
}

#[tokio::test]
async fn the_providers_wish_is_kept_within_a_minute_and_a_day() {
    let day = 24 * 60 * 60;
    let cases = [
        ("max-age=300", 299, 300),
        ("public, MAX-AGE=300, must-revalidate", 299, 300),
        ("max-age=1", 59, 60),
        ("no-store", 59, 60),
        ("no-cache, max-age=300", 59, 60),
        ("max-age=99999999", day - 1, day),
        ("max-age=abc", 3599, 3600),
        ("private", 3599, 3600),
    ];
    for (wish, fresh, stale) in cases {
        let reply = Reply::new(200, usual_jwks()).with_header("Cache-Control", wish);
        let script = Script::default().then("/jwks", reply);
        let provider = provider(&script);
        let token = lasting().sign();
        verify(&provider, &token, now()).await.unwrap();
        verify(&provider, &token, after(fresh)).await.unwrap();
        assert_eq!(script.count("/jwks"), 1, "{wish}");
        verify(&provider, &token, after(stale)).await.unwrap();
        assert_eq!(script.count("/jwks"), 2, "{wish}");
    }
}

#[tokio::test]
async fn signing_key_rotation_just_before_signing() {
    let script = Script::default().then("/jwks", usual_jwks()).then("/jwks", second_jwks());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    // At once, although the keys at hand are one second old.
    verify(&provider, &second_token(), after(1)).await.unwrap();
    assert_eq!(script.count("/jwks"), 2);
}

#[tokio::test]
async fn two_rotations_in_a_row_are_followed() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/jwks", second_jwks())
        .then("/jwks", usual_jwks());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    verify(&provider, &second_token(), after(1)).await.unwrap();
    verify(&provider, &lasting().sign(), after(2)).await.unwrap();
}

#[tokio::test]
async fn a_key_that_changed_under_the_same_id_is_fetched() {
    let renewed = jwks([rsa_jwk(&KEYS.other_rsa, "key-1")]);
    let script = Script::default().then("/jwks", usual_jwks()).then("/jwks", renewed);
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    verify(&provider, &lasting().sign_with(&KEYS.other_rsa), after(1)).await.unwrap();
}

#[tokio::test]
async fn invented_key_ids_do_not_make_us_attack_the_provider() {
    let script = Script::default().then("/jwks", usual_jwks());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    for second in 1..=59 {
        let invented = lasting().with_header("kid", format!("invented-{second}")).sign();
        assert!(verify(&provider, &invented, after(second)).await.is_err());
    }
    assert_eq!(script.count("/jwks"), 2, "one look, then rest");
    assert!(verify(&provider, &lasting().with_header("kid", "late").sign(), after(61)).await.is_err());
    assert_eq!(script.count("/jwks"), 3, "the rest is over after a minute");
}

#[tokio::test]
async fn keys_that_are_brand_new_are_not_fetched_twice() {
    let script = Script::default().then("/jwks", usual_jwks());
    let outcome = verify(&provider(&script), &lasting().with_header("kid", "other").sign(), now()).await;
    assert_eq!(outcome.unwrap_err().code(), "oidc_id_token_unknown_key");
    assert_eq!(script.count("/jwks"), 1);
}

#[tokio::test]
async fn old_keys_serve_on_while_the_provider_is_down() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/jwks", Reply::new(500, ""))
        .then("/jwks", unreachable())
        .then("/jwks", unreachable())
        .then("/jwks", second_jwks());
    let provider = provider(&script);
    let token = lasting().sign();
    verify(&provider, &token, now()).await.unwrap();
    verify(&provider, &token, after(3600)).await.unwrap();
    verify(&provider, &token, after(3601)).await.unwrap();
    assert_eq!(script.count("/jwks"), 2, "a provider that is down is asked once a minute");
    verify(&provider, &token, after(3661)).await.unwrap();
    verify(&provider, &second_token(), after(3800)).await.unwrap();
}

#[tokio::test]
async fn old_keys_serve_on_for_a_day_and_no_longer() {
    let day = 24 * 60 * 60;
    let script = Script::default()
        .then("/jwks", usual_jwks())
        // Each fetch tries twice where nobody is there.
        .then("/jwks", unreachable())
        .then("/jwks", unreachable())
        .then("/jwks", unreachable())
        .then("/jwks", unreachable());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    verify(&provider, &lasting().sign(), after(3600 + day - 1)).await.unwrap();
    let error = verify(&provider, &lasting().sign(), after(3600 + day)).await.unwrap_err();
    assert_eq!(error.code(), "transport_unreachable");
}

#[tokio::test]
async fn while_the_keys_cannot_be_fetched_a_new_key_is_not_called_unknown() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/jwks", unreachable())
        .then("/jwks", unreachable());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    let error = verify(&provider, &second_token(), after(3600)).await.unwrap_err();
    assert_eq!(error.code(), "oidc_keys_unavailable");
    assert!(error.is_transient());
}

/// A network on which others come between.
struct Slow(Script);

#[async_trait::async_trait]
impl Transport for Slow {
    async fn send(&self, request: Request) -> Result<Reply, latchkey_transport::Error> {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.0.send(request).await
    }
}

#[tokio::test]
async fn a_crowd_waits_for_one_fetch() {
    let script = Script::default().then("/jwks", usual_jwks());
    let metadata = Metadata::parse(ISSUER, document().to_string().as_bytes()).unwrap();
    let provider = Provider::new(metadata, Arc::new(Slow(script.clone())), Arc::new(JsonWebToken));
    let crowd = async |kid: &'static str, at: SystemTime| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let provider = provider.clone();
            let token = lasting().with_header("kid", format!("{kid}-{number}")).sign();
            tasks.spawn(async move { verify(&provider, &token, at).await.map(drop) });
        }
        tasks.join_all().await
    };
    assert!(crowd("first", now()).await.iter().all(Result::is_err));
    assert_eq!(script.count("/jwks"), 2, "one for keys, one for those that nobody knows");
    assert!(crowd("later", after(120)).await.iter().all(Result::is_err));
    assert_eq!(script.count("/jwks"), 3, "and one more after the rest");
}

#[tokio::test]
async fn expectations_for_another_provider_prove_nothing() {
    let script = Script::default().then("/jwks", usual_jwks());
    let other = Expectations::new("https://other.example", CLIENT_ID);
    let token = IdToken::parse(lasting().with("iss", "https://other.example").sign()).unwrap();
    let outcome = provider(&script).verify(token, &other, None, now()).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::OtherIssuer))), "{outcome:?}");
}

#[tokio::test]
async fn a_key_that_could_not_be_looked_for_is_the_networks_fault_and_a_forgery_is_not() {
    let script = || Script::default().then("/jwks", usual_jwks()).then("/jwks", lost()).then("/jwks", lost());
    for (token, code) in [
        (second_token(), "transport_lost"),
        (lasting().sign_with(&KEYS.other_rsa), "oidc_id_token_signature"),
    ] {
        let provider = provider(&script());
        verify(&provider, &lasting().sign(), now()).await.unwrap();
        assert_eq!(verify(&provider, &token, after(1)).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn without_any_key_the_networks_error_is_told() {
    let script = Script::default().then("/jwks", lost()).then("/jwks", lost());
    let error = verify(&provider(&script), &lasting().sign(), now()).await.unwrap_err();
    assert_eq!(error.code(), "transport_lost");
    assert!(error.is_transient());
}

#[tokio::test]
async fn kid_absent_multiple_jwks() {
    let keys = jwks([rsa_jwk(&KEYS.other_rsa, "key-2"), rsa("key-1")]);
    let script = Script::default().then("/jwks", keys);
    verify(&provider(&script), &lasting().without_header("kid").sign(), now()).await.unwrap();
}

/// An engine that fails as it is told to on the keys of one id, and takes every other signature.
struct Failing(&'static str, VerifierError);

#[async_trait::async_trait]
impl Verifier for Failing {
    async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        if check.key.key_id() == Some(self.0) { Err(self.1) } else { Ok(true) }
    }
}

#[tokio::test]
async fn one_key_that_the_engine_does_not_take_does_not_hide_the_next() {
    let keys = set([rsa("odd"), rsa("good")]);
    let token = IdToken::parse(lasting().without_header("kid").sign()).unwrap();
    let engine = Failing("odd", VerifierError::UnusableKey);
    expectations().verify(token.clone(), &keys, &engine, None, now()).await.unwrap();

    let only = set([rsa("odd")]);
    let error = expectations().verify(token, &only, &engine, None, now()).await.unwrap_err();
    assert_eq!(error.code(), "oidc_id_token_signature");
}

#[tokio::test]
async fn an_engine_that_cannot_check_is_another_thing_than_a_wrong_signature() {
    for (failure, code) in [
        (VerifierError::UnsupportedAlgorithm, "oidc_unsupported_algorithm"),
        (VerifierError::Unavailable, "oidc_verifier_unavailable"),
    ] {
        let token = IdToken::parse(lasting().sign()).unwrap();
        let engine = Failing("key-1", failure);
        let outcome = expectations().verify(token, &set([rsa("key-1")]), &engine, None, now()).await;
        assert_eq!(outcome.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_only_costs_a_fetch() {
    let script = Script::default().then("/jwks", usual_jwks());
    let provider = provider(&script);
    verify(&provider, &lasting().sign(), after(10_000)).await.unwrap();
    // A look that did not help, so that there is a rest, too.
    assert!(verify(&provider, &lasting().with_header("kid", "other").sign(), after(10_000)).await.is_err());
    assert_eq!(script.count("/jwks"), 2);
    verify(&provider, &lasting().sign(), now()).await.unwrap();
    assert_eq!(script.count("/jwks"), 3);
}
