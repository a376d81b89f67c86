//! Tokens that are bound to a key (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::keys::{KeySet, PublicKey};
use latchkey_oidc_flow::{
    Algorithm, Assertions, AwsLcSigner, Client, DeviceProgress, Dpop, Error, Misbehaviour, Misuse, TokenType,
};
use latchkey_transport::{Method, Reply, Request, Secret};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::support::{
    ACCESS_TOKEN, Counting, NOW, REDIRECT_URI, Script, Token, after, base64url, client, lost, now, signed_in,
    token_reply, usual_jwks, value,
};

fn signer(algorithm: Algorithm) -> AwsLcSigner {
    AwsLcSigner::from_pem(algorithm, &AwsLcSigner::generate(algorithm).unwrap()).unwrap()
}

fn dpop() -> Dpop {
    let signer = signer(Algorithm::Es256);
    let public = signer.public_key().unwrap();
    Dpop::new(signer, &public, &mut Counting::default()).unwrap()
}

fn bound(script: &Script) -> Client {
    client(script).with_dpop(dpop())
}

/// A reply that binds its token to the key.
fn reply(more: &Value) -> Value {
    let mut reply = token_reply(&json!({"token_type": "DPoP"}));
    crate::support::merge(&mut reply, more);
    reply
}

fn wants(nonce: &str) -> Reply {
    Reply::new(400, r#"{"error":"use_dpop_nonce"}"#).with_header("DPoP-Nonce", nonce)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Checks a proof as a server does, and returns its claims.
fn check(proof: &str) -> Value {
    let header = part(proof, 0);
    assert_eq!(header["typ"], "dpop+jwt");
    let set = json!({"keys": [header["jwk"]]}).to_string();
    let keys = KeySet::parse(set.as_bytes()).unwrap();
    let PublicKey::Ec { x, y, .. } = keys.keys()[0].public_key() else { panic!("{header}") };
    assert!(header["jwk"].get("d").is_none(), "the private half is shown");
    let point = [&[4], x.as_slice(), y].concat();
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let key =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, point);
    key.verify(input.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    part(proof, 1)
}

fn proofs(script: &Script, path: &str) -> Vec<Value> {
    let requests = script.requests();
    let requests = requests.iter().filter(|request| request.path() == path);
    requests.map(|request| check(request.header("dpop").unwrap())).collect()
}

#[tokio::test]
async fn a_login_is_bound_to_the_key_from_its_beginning() {
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply(&json!({})).to_string());
    let client = bound(&script);
    let login = client.authorize(REDIRECT_URI).begin(&mut Counting::default(), now()).unwrap();
    let query: Vec<_> = login.url.query_pairs().into_owned().collect();
    assert_eq!(value(&query, "dpop_jkt"), Some(client.dpop().unwrap().thumbprint()));
    let tokens = signed_in(&client).await;
    assert!(tokens.access_token.is_same_as(ACCESS_TOKEN));
    let proofs = proofs(&script, "/token");
    let proof = &proofs[0];
    let expected = json!({
        "jti": proof["jti"], "htm": "POST", "htu": "https://id.example/token", "iat": NOW,
    });
    assert_eq!(*proof, expected);
    assert_eq!(proof["jti"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn a_bearer_token_in_place_of_a_bound_one_is_refused() {
    for token_type in ["Bearer", "", "mac"] {
        let script = Script::default()
            .then("/jwks", usual_jwks())
            .then("/token", reply(&json!({"token_type": token_type})).to_string());
        let client = bound(&script);
        let callback =
            latchkey_oidc_flow::CallbackParams::parse(&format!("state={}&code=x", crate::support::state()))
                .unwrap();
        let callback = crate::support::pending().accept(&callback, now()).unwrap();
        let error = client.redeem(callback, now()).await.unwrap_err();
        let is_expected =
            matches!(error, Error::Misbehaved(Misbehaviour::TokenType { expected: "DPoP", .. }));
        assert!(is_expected, "{token_type}");
    }
    // The scheme's case says nothing.
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", reply(&json!({"token_type": "dPoP"})).to_string());
    signed_in(&bound(&script)).await;
}

#[tokio::test]
async fn a_token_endpoint_that_wants_a_nonce_is_asked_once_more() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", wants("n-1"))
        .then("/token", Reply::new(200, reply(&json!({})).to_string()).with_header("dpop-nonce", "n-2"))
        .then("/token", reply(&json!({"id_token": null, "refresh_token": null})).to_string());
    let client = bound(&script);
    let tokens = signed_in(&client).await;
    let grant = tokens.grant().unwrap();
    client.refresh(&grant, now()).await.unwrap().release();
    let proofs = proofs(&script, "/token");
    let nonces: Vec<_> = proofs.iter().map(|proof| proof["nonce"].as_str()).collect();
    assert_eq!(nonces, [None, Some("n-1"), Some("n-2")]);
    assert!(proofs[0]["jti"] != proofs[1]["jti"] && proofs[1]["jti"] != proofs[2]["jti"]);
}

#[tokio::test]
async fn a_nonce_that_was_given_already_is_no_reason_to_ask_again() {
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", wants("n-1"));
    let client = bound(&script);
    for count in [2, 3] {
        let callback =
            latchkey_oidc_flow::CallbackParams::parse(&format!("state={}&code=x", crate::support::state()))
                .unwrap();
        let callback = crate::support::pending().accept(&callback, now()).unwrap();
        let error = client.redeem(callback, now()).await.unwrap_err();
        assert_eq!(error.code(), "oidc_use_dpop_nonce");
        assert_eq!(script.count("/token"), count);
    }
    let absent = Reply::new(400, r#"{"error":"use_dpop_nonce"}"#);
    for nonce in ["", "with blank", "n\u{e4}", &"x".repeat(1025)] {
        let reply = absent.clone().with_header("dpop-nonce", nonce);
        assert!(!dpop().heard(&Url::parse("https://id.example").unwrap(), &reply), "{nonce:.20}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_proof_is_not_the_end_of_the_grant() {
    for error in ["use_dpop_nonce", "invalid_dpop_proof"] {
        let script = Script::default()
            .then("/jwks", usual_jwks())
            .then("/token", reply(&json!({})).to_string())
            .then("/token", Reply::new(400, json!({"error": error}).to_string()));
        let client = bound(&script);
        let grant = signed_in(&client).await.grant().unwrap();
        let refused = client.refresh(&grant, now()).await.unwrap_err();
        assert_eq!(refused.code(), format!("oidc_{error}"));
    }
}

#[tokio::test]
async fn a_client_says_anew_who_it_is_when_it_is_asked_for_a_nonce() {
    let script = Script::default().then("/token", wants("n-1")).then("/token", reply(&json!({})).to_string());
    let assertions = Assertions::new(signer(Algorithm::EdDsa), &mut Counting::default()).unwrap();
    let client = bound(&script).with_assertions(assertions);
    client.client_credentials().send(now()).await.unwrap();
    let requests = script.requests();
    let assertion = |request: &Request| {
        let body = request.body().unwrap().expose_secret().to_vec();
        let form: Vec<_> = url::form_urlencoded::parse(&body).into_owned().collect();
        part(value(&form, "client_assertion").unwrap(), 1)["jti"].clone()
    };
    assert_ne!(assertion(&requests[0]), assertion(&requests[1]));
}

#[tokio::test]
async fn every_grant_is_bound() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", reply(&json!({"issued_token_type": "x"})).to_string());
    let client = bound(&script).with_secret("canary-secret");
    client.client_credentials().send(now()).await.unwrap();
    let exchanged = client.exchange(Secret::new("canary"), TokenType::AccessToken).send(now()).await.unwrap();
    assert!(!exchanged.is_bearer);
    let device = json!({
        "device_code": "canary", "user_code": "ABCD", "verification_uri": "https://id.example/d", "expires_in": 600,
        "interval": 5,
    });
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/device", device.to_string())
        .then("/token", wants("n-1"))
        .then("/token", reply(&json!({"id_token": Token::good().without("nonce").sign()})).to_string());
    let client = bound(&script);
    let mut login = client.device().begin(now()).await.unwrap();
    let progress = client.poll_device(&mut login.pending, after(5)).await.unwrap();
    assert!(matches!(progress, DeviceProgress::SignedIn(_)));
    assert_eq!(proofs(&script, "/token").len(), 2);
}

#[tokio::test]
async fn a_call_whose_reply_was_lost_is_not_repeated_with_the_same_proof() {
    let script = Script::default().then("/token", lost()).then("/token", reply(&json!({})).to_string());
    let client = bound(&script).with_secret("canary-secret");
    assert!(client.client_credentials().send(now()).await.is_err());
    assert_eq!(script.count("/token"), 1);
}

// With the token.

fn ath() -> String {
    base64url(Sha256::digest(ACCESS_TOKEN))
}

#[tokio::test]
async fn userinfo_is_asked_with_a_bound_token() {
    let challenge = |scheme: &str| {
        Reply::new(401, "")
            .with_header("WWW-Authenticate", &format!("{scheme} error=\"use_dpop_nonce\", algs=\"ES256\""))
            .with_header("DPoP-Nonce", "rs-1")
    };
    // rs_dpop_auth_scheme_case_insensitivity
    for scheme in ["DPoP", "dpop", "DPOP"] {
        let script = Script::default().then("/userinfo", challenge(scheme)).then(
            "/userinfo",
            Reply::new(200, r#"{"sub":"s"}"#).with_header("content-type", "application/json"),
        );
        let client = bound(&script);
        let userinfo = client.userinfo(&ACCESS_TOKEN.into(), "s", now()).await.unwrap();
        assert_eq!(userinfo.subject(), "s");
        let proofs = proofs(&script, "/userinfo");
        assert_eq!(
            proofs[0],
            json!({
                "jti": proofs[0]["jti"], "htm": "GET", "htu": "https://id.example/userinfo", "iat": NOW, "ath": ath(),
            })
        );
        assert_eq!(proofs[1]["nonce"], "rs-1");
        let requests = script.requests();
        assert!(
            requests
                .iter()
                .all(|request| request.header("authorization") == Some(&format!("DPoP {ACCESS_TOKEN}")))
        );
        assert!(!format!("{requests:?}").contains("canary"));
    }
}

#[tokio::test]
async fn any_server_is_asked_with_a_bound_token() {
    let script = Script::default().then("/api", Reply::new(401, "").with_header("DPoP-Nonce", "n"));
    let dpop = dpop();
    let url = Url::parse("https://api.example:8443/api?secret=canary#x").unwrap();
    let request = Request::for_url(Method::Delete, url.clone());
    let reply = dpop.send(&script, request, &ACCESS_TOKEN.into(), now()).await.unwrap();
    assert_eq!(reply.status(), 401, "a refusal for another reason is the caller's");
    let proof = &proofs(&script, "/api")[0];
    assert_eq!(script.count("/api"), 1);
    assert_eq!((&proof["htm"], &proof["htu"]), (&json!("DELETE"), &json!("https://api.example:8443/api")));
    // Each server has its own nonce.
    let claims = |proof: &Secret| part(proof.expose_secret(), 1);
    let here = dpop.proof(Method::Get, &url, None, now()).await.unwrap();
    assert_eq!(claims(&here)["nonce"], "n");
    assert!(claims(&here).get("ath").is_none());
    let other = Url::parse("https://api.example/api").unwrap();
    let there = dpop.proof(Method::Get, &other, None, now()).await.unwrap();
    assert!(claims(&there).get("nonce").is_none());

    let nowhere = Request::new(Method::Get, "/path");
    assert!(dpop.send(&script, nowhere, &ACCESS_TOKEN.into(), now()).await.is_err());
}

#[test]
fn a_crowd_of_servers_does_not_fill_the_memory() {
    let dpop = dpop();
    let reply = Reply::new(200, "").with_header("dpop-nonce", "n");
    for port in 1..=200 {
        let url = Url::parse(&format!("https://api.example:{port}/")).unwrap();
        assert!(dpop.heard(&url, &reply));
        assert!(!dpop.heard(&url, &reply), "the same again is no news");
    }
    let first = Url::parse("https://api.example:1/").unwrap();
    assert!(dpop.heard(&first, &reply), "it was forgotten");
}

#[test]
fn only_the_algorithm_of_a_key_pair_can_prove_a_key() {
    let p256 = signer(Algorithm::Es256).public_key().unwrap();
    let secret = AwsLcSigner::from_secret(&Secret::new("x".repeat(32))).unwrap();
    assert!(secret.public_key().is_none());
    let refused = |outcome: Result<Dpop, Error>| {
        assert!(matches!(outcome, Err(Error::Misuse(Misuse::UnusableClientKey))), "{outcome:?}");
    };
    let random = &mut Counting::default();
    refused(Dpop::new(secret, &p256, random));
    refused(Dpop::new(latchkey_oidc_flow::danger::Unsigned, &p256, random));
    refused(Dpop::new(signer(Algorithm::Es384), &p256, random));
    for algorithm in
        [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256]
    {
        let signer = signer(algorithm);
        let public = signer.public_key().unwrap();
        let dpop = Dpop::new(signer, &public, random).unwrap();
        assert!(format!("{dpop:?}").contains(dpop.thumbprint()));
    }
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let thumbprint = |jwk: Value| {
        let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        keys.keys()[0].public_key().thumbprint()
    };
    // RFC 7638, 3.1.
    let rsa = json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    });
    assert_eq!(thumbprint(rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037, A.3.
    let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(thumbprint(ed25519), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 9449, 6.1 binds the example's token to the key of its proof in 4.2.
    let p256 = json!({
        "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    });
    assert_eq!(thumbprint(p256), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}
