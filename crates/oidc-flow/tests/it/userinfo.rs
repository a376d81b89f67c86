//! What the provider tells about the person.

use latchkey_oidc_flow::{Error, FetchUserInfo, IdTokenProblem, RefusalReason, UserInfoProblem};
use latchkey_transport::{Exchange as _, Reply, Secret};
use serde_json::{Value, json};

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, KEYS, NOW, Script, Token, client, document, now, provider_of, usual_jwks,
};

const SUBJECT: &str = "canary-subject";

async fn ask(reply: Reply) -> Result<latchkey_oidc_flow::UserInfo, Error> {
    let script = Script::default().then("/jwks", usual_jwks()).then("/userinfo", reply);
    client(&script).userinfo(&Secret::new(ACCESS_TOKEN), SUBJECT, now()).await
}

fn plain(body: &Value) -> Reply {
    Reply::new(200, body.to_string()).with_header("content-type", "application/json;charset=UTF-8")
}

fn signed(token: &Token) -> Reply {
    Reply::new(200, token.sign()).with_header("content-type", "application/jwt; charset=utf-8")
}

fn claims() -> Token {
    let mut token = Token::good();
    token.claims = json!({"iss": crate::support::ISSUER, "aud": CLIENT_ID, "sub": SUBJECT, "name": "C"});
    token
}

#[test]
fn the_access_token_travels_in_the_header_alone() {
    let fetch = FetchUserInfo::new("https://id.example/userinfo".parse().unwrap(), Secret::new(ACCESS_TOKEN));
    let request = fetch.request();
    assert_eq!(request.header("authorization"), Some("Bearer canary-access-token"));
    assert_eq!(request.query(), None);
    assert!(request.body().is_none());
    assert!(!format!("{fetch:?} {request:?}").contains("canary"));
}

#[tokio::test]
async fn plain_userinfo_about_the_same_person_is_taken() {
    let body = json!({"sub": SUBJECT, "email": "c@example.org", "email_verified": "true"});
    let info = ask(plain(&body)).await.unwrap();
    assert_eq!(info.subject(), SUBJECT);
    assert_eq!(info.claim("email"), Some(&json!("c@example.org")));
    assert!(info.flag("email_verified") && !info.flag("phone_number_verified") && !info.is_signed());
    assert!(!format!("{info:?}").contains("canary"));
}

#[tokio::test]
async fn userinfo_about_anybody_else_is_refused() {
    let cases = [
        ("userinfo-invalid-sub", json!({"sub": "somebody-else"}), UserInfoProblem::SubjectMismatch),
        ("in another case", json!({"sub": "Canary-Subject"}), UserInfoProblem::SubjectMismatch),
        ("without sub", json!({"name": "C"}), UserInfoProblem::SubjectMissing),
        ("sub as a list", json!({"sub": [SUBJECT]}), UserInfoProblem::SubjectMissing),
    ];
    for (name, body, expected) in cases {
        match ask(plain(&body)).await {
            Err(Error::UserInfo(problem)) => assert_eq!(problem, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn signed_userinfo_is_checked_like_an_id_token() {
    let token = |problem| UserInfoProblem::Token(problem);
    let mut broken = claims();
    broken.header["kid"] = json!("key-1");
    let cases = [
        ("userinfo-signed", signed(&claims()), None),
        ("of the time", signed(&claims().with("exp", NOW + 60)), None),
        ("aud as a list", signed(&claims().with("aud", json!([CLIENT_ID]))), None),
        (
            "another sub",
            signed(&claims().with("sub", "somebody-else")),
            Some(UserInfoProblem::SubjectMismatch),
        ),
        (
            "without iss",
            signed(&claims().without("iss")),
            Some(token(IdTokenProblem::ClaimMissing { claim: "iss" })),
        ),
        (
            "for another",
            signed(&claims().with("aud", "other")),
            Some(token(IdTokenProblem::AudienceMismatch)),
        ),
        (
            "expired",
            signed(&claims().with("exp", NOW - 60)),
            Some(token(IdTokenProblem::Expired { seconds: 60 })),
        ),
        (
            "not signed",
            signed(&claims().with_header("alg", "none")),
            Some(token(IdTokenProblem::AlgorithmNotAllowed { algorithm: "none".to_owned() })),
        ),
        (
            "signed by another",
            Reply::new(200, broken.sign_with(&KEYS.other_rsa)).with_header("content-type", "application/jwt"),
            Some(token(IdTokenProblem::BadSignature)),
        ),
    ];
    for (name, reply, expected) in cases {
        let problem = match ask(reply).await {
            Ok(info) => {
                assert!(info.is_signed());
                None
            }
            Err(Error::UserInfo(problem)) => Some(problem),
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(problem, expected, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_is_read_from_the_challenge() {
    let cases = [
        (
            r#"Bearer realm="x", error="invalid_token", error_description="canary""#,
            RefusalReason::InvalidToken,
        ),
        ("Bearer error=insufficient_scope", RefusalReason::InsufficientScope),
    ];
    for (header, expected) in cases {
        let reply = Reply::new(401, "").with_header("www-authenticate", header);
        match ask(reply).await {
            Err(Error::Refused(refusal)) => assert_eq!(refusal.reason, expected),
            other => panic!("{header}: {other:?}"),
        }
    }
    let error = ask(Reply::new(503, "").with_header("www-authenticate", "Basic realm=x")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("oidc_provider_status", true));
}

#[tokio::test]
async fn what_is_no_object_with_unique_names_cannot_be_read() {
    for body in ["", "[]", r#"{"sub":"canary-subject","sub":"other"}"#] {
        let error = ask(Reply::new(200, body)).await.unwrap_err();
        assert_eq!(error.code(), "oidc_provider_malformed_reply", "{body}");
    }
}

#[tokio::test]
async fn a_provider_without_the_endpoint_is_told_so() {
    let mut document = document();
    document.as_object_mut().unwrap().remove("userinfo_endpoint");
    let script = Script::default();
    let client = latchkey_oidc_flow::Client::new(provider_of(&script, &document), CLIENT_ID);
    let error = client.userinfo(&Secret::new(ACCESS_TOKEN), SUBJECT, now()).await.unwrap_err();
    assert_eq!(error.to_string(), "the provider offers no userinfo endpoint");
}
