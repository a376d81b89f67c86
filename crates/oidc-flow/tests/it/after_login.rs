//! Giving tokens back, and asking what they are worth.

use latchkey_oidc_flow::{Error, Introspection, RefusalReason, TokenKind};
use latchkey_transport::{Reply, Secret};
use serde_json::json;

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, NOW, Script, after, client, last_form, lost, metadata, now, value,
};

fn token() -> Secret {
    Secret::new(ACCESS_TOKEN)
}

#[tokio::test]
async fn a_token_is_given_back_under_the_clients_name() {
    let script = Script::default().then("/revoke", String::new());
    let client = client(&script).with_secret(CLIENT_SECRET);
    client.revoke(&token(), TokenKind::Refresh, now()).await.unwrap();
    let form = last_form(&script, "/revoke");
    assert_eq!(value(&form, "token"), Some(ACCESS_TOKEN));
    assert_eq!(value(&form, "token_type_hint"), Some("refresh_token"));
    assert!(script.requests()[0].header("authorization").unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn giving_back_is_repeated_when_its_reply_was_lost() {
    let script = Script::default().then("/revoke", lost()).then("/revoke", String::new());
    client(&script).revoke(&token(), TokenKind::Access, now()).await.unwrap();
    assert_eq!(script.count("/revoke"), 2);
    assert_eq!(value(&last_form(&script, "/revoke"), "client_id"), Some(CLIENT_ID));
}

#[tokio::test]
async fn a_refusal_to_take_a_token_back_is_told_without_it() {
    let body = json!({"error": "unsupported_token_type", "error_description": format!("not {ACCESS_TOKEN}")});
    let script = Script::default().then("/revoke", Reply::new(400, body.to_string()));
    match client(&script).revoke(&token(), TokenKind::Access, now()).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.reason, RefusalReason::UnsupportedTokenType);
            assert_eq!(refusal.description, None);
        }
        other => panic!("{other:?}"),
    }
}

async fn introspect(body: &str) -> Result<Introspection, Error> {
    let script = Script::default().then("/introspect", Reply::new(200, body));
    let outcome = client(&script).introspect(&token(), TokenKind::Access, now()).await;
    let form = last_form(&script, "/introspect");
    assert_eq!(value(&form, "token"), Some(ACCESS_TOKEN));
    assert_eq!(value(&form, "token_type_hint"), Some("access_token"));
    outcome
}

#[tokio::test]
async fn a_good_token_is_described() {
    let body = json!({
        "active": true, "scope": "openid  email", "client_id": CLIENT_ID, "sub": "canary-subject",
        "username": "canary", "aud": ["a", "b"], "exp": NOW + 60, "extra": {"x": 1},
    });
    let Introspection::Active(token) = introspect(&body.to_string()).await.unwrap() else { panic!() };
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["openid", "email"]);
    assert_eq!(token.client_id(), Some(CLIENT_ID));
    assert_eq!((token.subject(), token.username()), (Some("canary-subject"), Some("canary")));
    assert_eq!(token.audiences(), ["a", "b"]);
    assert_eq!(token.expires_at(), Some(after(60)));
    assert_eq!(token.claim("extra"), Some(&json!({"x": 1})));
    assert!(!format!("{token:?}").contains("canary"));
}

#[tokio::test]
async fn a_dead_token_is_inactive_and_nothing_else_is_either() {
    assert!(matches!(introspect(r#"{"active":false,"sub":"x"}"#).await.unwrap(), Introspection::Inactive));
    for body in ["{}", r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":null}"#] {
        assert_eq!(introspect(body).await.unwrap_err().code(), "oidc_provider_field_missing", "{body}");
    }
    for body in ["", "true", r#"{"active":false,"active":true}"#] {
        assert_eq!(introspect(body).await.unwrap_err().code(), "oidc_provider_malformed_reply", "{body}");
    }
}

#[test]
fn an_unsafe_endpoint_is_refused_even_where_none_is_needed() {
    let mut document = crate::support::document();
    document["revocation_endpoint"] = json!("http://id.example/revoke");
    assert_eq!(metadata(&document).unwrap_err().code(), "oidc_provider_insecure_endpoint");
    document["revocation_endpoint"] = json!("");
    assert!(metadata(&document).is_ok());
}
