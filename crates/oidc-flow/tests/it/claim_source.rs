//! Claims of other parties.

use std::sync::Arc;

use latchkey_oidc_flow::{
    ClaimSource, Client, Error, ForeignClaims, IdTokenProblem as Problem, JsonWebToken, Metadata,
    Misbehaviour, Provider, UserInfo, UserInfoProblem,
};
use latchkey_transport::Reply;
use serde_json::{Value, json};

use crate::support::{
    CLIENT_ID, KEYS, NOW, Script, Token, client, jwks, nonce, now, rsa_jwk, signed_in, token_reply,
    unreachable, usual_jwks,
};

const PARTY: &str = "https://bank.example";
const ENDPOINT: &str = "https://claims.bank.example/credit?x=1";

/// Claims without fault.
fn credit() -> Token {
    let mut token = Token::good().with_header("kid", "bank-key");
    token.claims = json!({"iss": PARTY, "credit_score": 650, "sub": "canary", "is_admin": true});
    token
}

fn sign(token: &Token) -> String {
    token.sign_with(&KEYS.other_rsa)
}

fn party(script: &Script) -> Provider {
    let document = json!({
        "issuer": PARTY, "authorization_endpoint": "https://bank.example/a", "token_endpoint": "https://bank.example/t",
        "jwks_uri": "https://bank.example/keys",
    });
    let metadata = Metadata::parse(PARTY, document.to_string().as_bytes()).unwrap();
    Provider::new(metadata, script.shared(), Arc::new(JsonWebToken))
}

fn answer(sources: &Value) -> Value {
    json!({"sub": "s", "_claim_names": {"credit_score": "src1", "payment_info": "src1"}, "_claim_sources": sources})
}

async fn userinfo(body: &Value) -> UserInfo {
    let reply = Reply::new(200, body.to_string()).with_header("content-type", "application/json");
    let script = Script::default().then("/userinfo", reply);
    client(&script).userinfo(&"canary".into(), "s", now()).await.unwrap()
}

async fn source(source: Value) -> ClaimSource {
    let sources = userinfo(&answer(&json!({"src1": source}))).await.claim_sources();
    sources.into_iter().next().unwrap()
}

async fn read(claims: String) -> Result<ForeignClaims, Error> {
    let script = Script::default().then("/keys", jwks([rsa_jwk(&KEYS.other_rsa, "bank-key")]));
    let source = source(json!({"JWT": claims})).await;
    client(&script).claims_of(&source, &party(&script), now()).await
}

#[tokio::test]
async fn aggregated_claims() {
    let claims = read(sign(&credit())).await.unwrap();
    assert_eq!(claims.issuer(), PARTY);
    assert_eq!(claims.claim("credit_score"), Some(&json!(650)));
    // It was named for one claim that it makes, one that it does not, and none of the others.
    assert_eq!(claims.claim("payment_info"), None);
    assert_eq!(claims.claim("is_admin"), None);
    assert!(!format!("{claims:?}").contains("650"));
    assert!(read(sign(&credit().with("aud", json!([CLIENT_ID])).with("exp", NOW + 60))).await.is_ok());
}

#[tokio::test]
async fn distributed_claims() {
    let script = Script::default()
        .then("/keys", jwks([rsa_jwk(&KEYS.other_rsa, "bank-key")]))
        .then("/credit", Reply::new(200, sign(&credit())).with_header("content-type", "application/jwt"));
    let source = source(json!({"endpoint": ENDPOINT, "access_token": "canary-claims-token"})).await;
    assert_eq!(source.endpoint().unwrap().as_str(), ENDPOINT);
    assert_eq!(source.names(), ["credit_score", "payment_info"]);
    assert!(!format!("{source:?}").contains("canary"));
    let claims = client(&script).claims_of(&source, &party(&script), now()).await.unwrap();
    assert_eq!(claims.claim("credit_score"), Some(&json!(650)));
    let requests = script.requests();
    let request = requests.iter().find(|request| request.path() == "/credit").unwrap();
    assert_eq!(request.url().unwrap().as_str(), ENDPOINT);
    assert_eq!(request.header("authorization"), Some("Bearer canary-claims-token"));

    for (reply, code) in [
        (Reply::new(403, "canary"), "oidc_provider_status"),
        (Reply::new(200, "canary"), "oidc_userinfo_token"),
        (Reply::new(200, vec![0xff]), "oidc_provider_malformed_reply"),
    ] {
        let script = Script::default().then("/credit", reply);
        let error = client(&script).claims_of(&source, &party(&script), now()).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!format!("{error:?}").contains("canary"));
    }
    let script = Script::default().then("/credit", unreachable()).then("/credit", unreachable());
    assert!(client(&script).claims_of(&source, &party(&script), now()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn claims_that_the_party_has_not_made_are_refused() {
    let evil = Problem::IssuerMismatch { expected: PARTY.into(), found: "https://evil.example".into() };
    let cases = [
        (sign(&credit().with("iss", "https://evil.example")), evil),
        (sign(&credit().without("iss")), Problem::ClaimMissing { claim: "iss" }),
        (credit().sign(), Problem::BadSignature),
        (
            credit().with_header("alg", "none").sign(),
            Problem::AlgorithmNotAllowed { algorithm: "none".into() },
        ),
        (sign(&credit().with("aud", "other")), Problem::AudienceMismatch),
        (sign(&credit().with("exp", NOW - 60)), Problem::Expired { seconds: 60 }),
        (sign(&credit().with("iat", NOW + 60)), Problem::IssuedInFuture { seconds: 60 }),
        ("canary".to_owned(), Problem::Malformed { part: "form" }),
    ];
    for (claims, expected) in cases {
        let error = read(claims).await.unwrap_err();
        let is_expected =
            matches!(&error, Error::UserInfo(UserInfoProblem::Token(problem)) if *problem == expected);
        assert!(is_expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_used_is_left_out() {
    for sources in [
        json!({"src2": {"JWT": "x"}}),
        json!({"src1": {"endpoint": "http://bank.example/credit"}}),
        json!({"src1": {"endpoint": "/credit"}}),
        json!({"src1": {"access_token": "x"}}),
        json!({"src1": "x"}),
        json!([]),
        Value::Null,
    ] {
        assert!(userinfo(&answer(&sources)).await.claim_sources().is_empty(), "{sources}");
    }
    let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("src{n}"), json!({"JWT": "x"}))).collect();
    let names: serde_json::Map<_, _> =
        (0..100).map(|n| (format!("claim{n}"), json!(format!("src{n}")))).collect();
    let body = json!({"sub": "s", "_claim_names": names, "_claim_sources": many});
    assert_eq!(userinfo(&body).await.claim_sources().len(), 16);
    // A party elsewhere has no endpoint on this machine.
    let here = source(json!({"endpoint": "http://localhost:1/credit"})).await;
    let script = Script::default();
    let error = client(&script).claims_of(&here, &party(&script), now()).await.unwrap_err();
    assert!(matches!(error, Error::Misbehaved(Misbehaviour::InsecureEndpoint { field: "endpoint" })));
    assert!(script.requests().is_empty());
}

#[tokio::test]
async fn an_id_token_can_name_other_parties_too() {
    let mut token = Token::good().with("nonce", nonce());
    token.claims["_claim_names"] = json!({"credit_score": "src1"});
    token.claims["_claim_sources"] = json!({"src1": {"JWT": sign(&credit())}});
    let reply = token_reply(&json!({"id_token": token.sign()})).to_string();
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply);
    let client: Client = client(&script);
    let sources = signed_in(&client).await.id_token.claim_sources();
    assert_eq!(sources.len(), 1);
    // Who is asked decides who is believed.
    let error = client.claims_of(&sources[0], client.provider(), now()).await.unwrap_err();
    assert_eq!(error.code(), "oidc_userinfo_token");
}
