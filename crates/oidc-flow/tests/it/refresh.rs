//! New tokens without the person.

use std::time::Duration;

use latchkey_oidc_flow::{Client, Error, Grant, IdTokenProblem, Misuse, Refresh, RefusalReason};
use latchkey_transport::{Exchange as _, Replay, Reply};
use serde_json::{Value, json};

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, Script, Token, after, base64url, client, last_form, lost, nonce, now, provider,
    signed_in, token_reply, unreachable, usual_jwks, value,
};

/// A client that has signed in, with this answer to the refresh.
async fn refreshing(answer: impl Into<crate::support::Scripted>) -> (Script, Client, Grant) {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", token_reply(&json!({})).to_string())
        .then("/token", answer);
    let client = client(&script);
    let grant = signed_in(&client).await.grant().unwrap();
    (script, client, grant)
}

fn refreshed(token: &Token) -> String {
    token_reply(&json!({"id_token": token.sign(), "refresh_token": "canary-refresh-2"})).to_string()
}

/// The ID token of a refresh without fault.
fn good() -> Token {
    Token::good().without("nonce")
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_a_new_grant() {
    let (script, client, grant) = refreshing(refreshed(&good())).await;
    let refreshed = client.refresh(&grant, after(30)).await.unwrap();
    let form = last_form(&script, "/token");
    assert_eq!(value(&form, "grant_type"), Some("refresh_token"));
    assert_eq!(value(&form, "refresh_token"), Some("canary-refresh-1"));
    assert_eq!(value(&form, "client_id"), Some(CLIENT_ID));
    assert!(refreshed.is_rotated());
    assert!(refreshed.grant().refresh_token().is_same_as("canary-refresh-2"));
    let tokens = refreshed.release();
    assert!(tokens.access_token.is_same_as(ACCESS_TOKEN));
    assert_eq!(tokens.id_token.unwrap().subject(), grant.subject());
    assert_eq!(tokens.expires_at, Some(after(90)));
}

#[tokio::test]
async fn a_refresh_token_that_was_left_out_stays_good() {
    for left_out in [Value::Null, json!("")] {
        let answer = token_reply(&json!({"refresh_token": left_out, "id_token": null, "scope": null}));
        let (_, client, grant) = refreshing(answer.to_string()).await;
        let refreshed = client.refresh(&grant, now()).await.unwrap();
        assert!(!refreshed.is_rotated());
        assert!(refreshed.grant().refresh_token().is_same_as("canary-refresh-1"));
        assert_eq!(refreshed.grant().scopes(), grant.scopes());
        assert!(refreshed.release().id_token.is_none());
    }
}

#[tokio::test]
async fn the_grant_is_stored_before_the_tokens_come_out() {
    let (_, client, grant) = refreshing(refreshed(&good())).await;
    let refreshed = client.refresh(&grant, now()).await.unwrap();
    let (refreshed, error) = refreshed.store(|_| Err("the disk is full")).unwrap_err();
    assert_eq!(error, "the disk is full");
    let mut stored = String::new();
    let tokens = refreshed.store(|grant| serde_json::to_string(grant).map(|text| stored = text)).unwrap();
    let read: Grant = serde_json::from_str(&stored).unwrap();
    assert!(read.refresh_token().is_same_as("canary-refresh-2"));
    assert!(tokens.grant.refresh_token().is_same_as("canary-refresh-2"));
}

#[tokio::test]
async fn a_refreshed_id_token_goes_on_with_the_sign_in() {
    let continued = |claim| Some(IdTokenProblem::NotContinued { claim });
    let cases = [
        ("refresh-token", good(), None),
        ("nonce repeated", good().with("nonce", nonce()), None),
        ("aud as a list", good().with("aud", json!([CLIENT_ID])), None),
        ("auth_time repeated", good().with("auth_time", crate::support::NOW - 5), None),
        ("refresh-token-invalid-sub", good().with("sub", "somebody-else"), continued("sub")),
        ("another nonce", good().with("nonce", "another"), continued("nonce")),
        ("nonce of another type", good().with("nonce", 1), continued("nonce")),
        ("another auth_time", good().with("auth_time", crate::support::NOW), continued("auth_time")),
        ("azp gone", good().without("azp"), continued("azp")),
        ("azp of another", good().with("azp", "other"), Some(IdTokenProblem::AuthorizedPartyMismatch)),
        ("invalid-aud", good().with("aud", "other"), Some(IdTokenProblem::AudienceMismatch)),
        ("at_hash", good().with("at_hash", base64url([0; 16])), Some(IdTokenProblem::AccessTokenMismatch)),
    ];
    for (name, token, expected) in cases {
        let (_, client, grant) = refreshing(refreshed(&token)).await;
        let problem = match client.refresh(&grant, now()).await {
            Ok(_) => None,
            Err(Error::IdToken(problem)) => Some(problem),
            Err(other) => panic!("{name}: {other}"),
        };
        assert_eq!(problem, expected, "{name}");
    }
}

#[tokio::test]
async fn a_refreshed_id_token_of_another_issuer_is_refused() {
    let (_, client, grant) = refreshing(refreshed(&good().with("iss", "https://evil.example"))).await;
    let error = client.refresh(&grant, now()).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenProblem::IssuerMismatch { .. })), "{error:?}");
}

#[tokio::test]
async fn every_lasting_400_is_the_end_of_the_grant() {
    let over = |reason: Option<RefusalReason>| (400, true, reason);
    let refused = |status, reason| (status, false, Some(reason));
    let cases = [
        (r#"{"error":"invalid_grant"}"#, over(Some(RefusalReason::InvalidGrant))),
        (r#"{"error":"invalid_request"}"#, over(Some(RefusalReason::InvalidRequest))),
        (r#"{"error":"canary-refresh-1"}"#, over(None)),
        ("<html>", over(None)),
        (r#"{"error":"temporarily_unavailable"}"#, refused(400, RefusalReason::TemporarilyUnavailable)),
        (r#"{"error":"invalid_client"}"#, refused(400, RefusalReason::InvalidClient)),
        (r#"{"error":"invalid_client"}"#, refused(401, RefusalReason::InvalidClient)),
        (r#"{"error":"unauthorized_client"}"#, refused(401, RefusalReason::UnauthorizedClient)),
    ];
    for (body, (status, is_over, reason)) in cases {
        let (_, client, grant) = refreshing(Reply::new(status, body)).await;
        let error = client.refresh(&grant, now()).await.unwrap_err();
        let found = match error {
            Error::GrantOver { refusal } => (true, refusal.map(|refusal| refusal.reason)),
            Error::Refused(refusal) => (false, Some(refusal.reason)),
            other => panic!("{body}: {other:?}"),
        };
        assert_eq!(found, (is_over, reason), "{body}");
    }
}

#[tokio::test]
async fn a_failing_provider_is_not_the_end_of_the_grant() {
    let (_, client, grant) = refreshing(Reply::new(503, "")).await;
    let error = client.refresh(&grant, now()).await.unwrap_err();
    assert_eq!(error.code(), "oidc_provider_status");
}

#[tokio::test]
async fn a_refresh_whose_reply_was_lost_is_not_repeated() {
    let (script, client, grant) = refreshing(lost()).await;
    let error = client.refresh(&grant, now()).await.unwrap_err();
    assert!(matches!(error, Error::Unrefreshed(_)), "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(script.count("/token"), 2, "the login's, and one for the refresh");
}

#[tokio::test]
async fn a_refresh_that_never_arrived_may_be_tried_again() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", token_reply(&json!({})).to_string())
        .then("/token", unreachable())
        .then("/token", unreachable());
    let client = client(&script);
    let grant = signed_in(&client).await.grant().unwrap();
    let error = client.refresh(&grant, now()).await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)), "{error:?}");
    assert!(error.is_transient());
    let refresh = Refresh::new(
        "https://id.example/token".parse().unwrap(),
        latchkey_oidc_flow::Authentication::None,
        &grant,
    );
    assert_eq!(refresh.replay(), Replay::AfterRefusal);
}

#[tokio::test]
async fn keys_are_at_hand_before_a_refresh_token_is_spent() {
    let (_, _, grant) = refreshing(refreshed(&good())).await;
    let script = Script::default().then("/jwks", Reply::new(500, ""));
    assert!(client(&script).refresh(&grant, now()).await.is_err());
    assert_eq!(script.count("/token"), 0);
}

#[tokio::test]
async fn a_grant_of_another_client_is_not_used() {
    let (_, _, grant) = refreshing(refreshed(&good())).await;
    let script = Script::default();
    let other = Client::new(provider(&script), "other");
    let outcome = other.refresh(&grant, now()).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::OtherClient))));
    assert!(script.requests().is_empty());
}

#[tokio::test]
async fn a_stored_grant_of_another_version_is_refused() {
    let (_, _, grant) = refreshing(refreshed(&good())).await;
    let mut stored = serde_json::to_value(&grant).unwrap();
    assert_eq!(stored["version"], 1);
    stored["version"] = json!(2);
    assert!(serde_json::from_value::<Grant>(stored).is_err());
}

#[tokio::test]
async fn without_a_refresh_token_there_is_no_grant() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", token_reply(&json!({"refresh_token": null})).to_string());
    assert!(signed_in(&client(&script)).await.grant().is_none());
}

#[tokio::test]
async fn a_refresh_shows_no_secret() {
    let (_, client, grant) = refreshing(refreshed(&good())).await;
    let refresh = Refresh::new(
        "https://id.example/token".parse().unwrap(),
        latchkey_oidc_flow::Authentication::None,
        &grant,
    );
    let mut shown = format!("{grant:?} {refresh:?} {:?}", refresh.request());
    let unverified = refresh.receive(Reply::new(200, refreshed(&good()))).unwrap();
    let refreshed = client.refresh(&grant, now() + Duration::from_secs(1)).await.unwrap();
    let before = format!("{unverified:?} {refreshed:?}");
    let released = format!("{:?}", refreshed.release());
    shown.extend([before, released]);
    assert!(!shown.contains("canary"), "{shown}");
}
