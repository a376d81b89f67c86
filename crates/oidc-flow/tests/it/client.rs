//! From the first address to the tokens.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_oidc_flow::{
    Authentication, CallbackParams, Client, Endpoint, Error, IdTokenProblem, Misbehaviour, Misuse, Prompt,
    RedeemCode, RefusalReason, ResponseMode, Tokens, ValidatedCallback,
};
use latchkey_transport::{Exchange as _, Random, RandomUnavailable, Replay, Reply, Request, Secret};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, Counting, KEYS, REDIRECT_URI, Script, Token, after,
    base64url, client, document, drawn, lost, nonce, now, pending, provider, provider_of, state, unreachable,
    usual_jwks,
};

fn pairs(encoded: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded.as_bytes()).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let mut found = pairs.iter().filter(|(this, _)| this == name);
    let value = found.next().map_or("", |(_, value)| value);
    assert!(found.next().is_none(), "{name} stands twice");
    value
}

fn form(request: &Request) -> Vec<(String, String)> {
    pairs(std::str::from_utf8(request.body().unwrap().expose_secret()).unwrap())
}

// The beginning.

#[test]
fn the_address_asks_for_a_code_and_is_bound_to_this_login() {
    let login = client(&Script::default())
        .authorize(REDIRECT_URI)
        .with_scope("email")
        .with_scope("profile email  openid")
        .begin(&mut Counting::default(), now())
        .unwrap();
    let query = pairs(login.url.query().unwrap());
    assert_eq!(&login.url[..url::Position::AfterPath], "https://id.example/auth");
    let expected = [
        ("theme", "dark"),
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid email profile"),
        ("state", &state()),
        ("nonce", &nonce()),
        ("code_challenge", &base64url(Sha256::digest(drawn(3)))),
        ("code_challenge_method", "S256"),
    ];
    assert_eq!(query.len(), expected.len());
    for (name, expected) in expected {
        assert_eq!(value(&query, name), expected, "{name}");
    }
    assert_eq!(drawn(3).len(), 43);
}

#[test]
fn every_wish_reaches_the_provider() {
    let login = client(&Script::default())
        .authorize(REDIRECT_URI)
        .with_prompt(Prompt::Login)
        .with_prompt(Prompt::Consent)
        .with_prompt(Prompt::Login)
        .with_response_mode(ResponseMode::FormPost)
        .with_login_hint("a&b@example.org")
        .with_max_age(Duration::from_secs(60))
        .with_acr_values(["gold", "silver"])
        .with_parameter("kc_idp_hint", "github")
        .begin(&mut Counting::default(), now())
        .unwrap();
    let query = pairs(login.url.query().unwrap());
    let expected = [
        ("prompt", "login consent"),
        ("response_mode", "form_post"),
        ("login_hint", "a&b@example.org"),
        ("max_age", "60"),
        ("acr_values", "gold silver"),
        ("kc_idp_hint", "github"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(&query, name), expected, "{name}");
    }
}

#[test]
fn what_would_break_the_login_is_refused_before_it_begins() {
    let authorize = || client(&Script::default()).authorize(REDIRECT_URI);
    let begin =
        |authorize: latchkey_oidc_flow::Authorize| match authorize.begin(&mut Counting::default(), now()) {
            Err(Error::Misuse(problem)) => problem,
            other => panic!("{other:?}"),
        };
    for name in
        ["state", "nonce", "code_challenge", "redirect_uri", "request", "request_uri", "client_secret"]
    {
        let problem = begin(authorize().with_parameter(name, "x"));
        assert_eq!(problem, Misuse::ReservedParameter { name: name.into() });
    }
    let twice = authorize().with_parameter("hint", "1").with_parameter("hint", "2");
    assert_eq!(begin(twice), Misuse::ReservedParameter { name: "hint".into() });
    assert_eq!(
        begin(authorize().with_prompt(Prompt::None).with_prompt(Prompt::Login)),
        Misuse::PromptNotAlone
    );
    assert_eq!(begin(authorize().with_scope("a\"b")), Misuse::InvalidScope);
    for address in ["", "/oidc/callback", "http://localhost/#x"] {
        assert_eq!(
            begin(client(&Script::default()).authorize(address)),
            Misuse::InvalidRedirectUri,
            "{address}"
        );
    }
}

#[test]
fn without_random_numbers_no_login_begins() {
    struct Nothing;
    impl Random for Nothing {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), RandomUnavailable> {
            Err(RandomUnavailable)
        }
    }
    let error = client(&Script::default()).authorize(REDIRECT_URI).begin(&mut Nothing, now()).unwrap_err();
    assert_eq!(error.code(), "oidc_random_unavailable");
}

#[test]
fn two_logins_share_nothing() {
    let begin = || {
        let mut random = latchkey_transport::SystemRandom;
        let login = client(&Script::default()).authorize(REDIRECT_URI).begin(&mut random, now()).unwrap();
        let query = pairs(login.url.query().unwrap());
        ["state", "nonce", "code_challenge"].map(|name| value(&query, name).to_owned())
    };
    let (first, second) = (begin(), begin());
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first, second);
        assert_eq!(first.len(), 43);
    }
}

// The request.

fn callback() -> ValidatedCallback {
    let query = format!("state={}&code={CODE}%26%2B", state());
    pending().accept(&CallbackParams::parse(&query).unwrap(), now()).unwrap()
}

fn redeem(authentication: Authentication) -> RedeemCode {
    RedeemCode::new("https://id.example/token".parse().unwrap(), CLIENT_ID, authentication, &callback())
}

#[test]
fn the_code_is_sent_in_the_body_with_its_verifier() {
    let request = redeem(Authentication::None).request();
    assert_eq!(request.url().unwrap().as_str(), "https://id.example/token");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    let expected = [
        ("grant_type", "authorization_code"),
        ("code", &format!("{CODE}&+")),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", &drawn(3)),
        ("client_id", CLIENT_ID),
    ];
    let form = form(&request);
    assert_eq!(form.len(), expected.len());
    for (name, expected) in expected {
        assert_eq!(value(&form, name), expected, "{name}");
    }
}

#[test]
fn client_secret_basic() {
    let request = redeem(Authentication::SecretBasic(Secret::new(CLIENT_SECRET))).request();
    let header = request.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
    let header = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
    // Both are encoded before they are joined, or their colons would move the border.
    assert_eq!(header, "client%3A%2B%21ID:SECRET%3F%25%3Aclient%2B%26");
    assert!(request.headers().any(|(name, _, secret)| name == "authorization" && secret));
    let form = form(&request);
    assert_eq!(value(&form, "client_id"), "");
    assert_eq!(value(&form, "client_secret"), "");
}

#[test]
fn client_secret_post() {
    let request = redeem(Authentication::SecretPost(Secret::new(CLIENT_SECRET))).request();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(value(&form(&request), "client_id"), CLIENT_ID);
    assert_eq!(value(&form(&request), "client_secret"), CLIENT_SECRET);
}

#[test]
fn a_code_is_sent_again_only_if_it_never_arrived() {
    assert_eq!(redeem(Authentication::None).replay(), Replay::AfterRefusal);
}

// The reply.

fn reply_with(changes: &Value) -> Value {
    let mut reply = json!({
        "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300,
        "id_token": Token::good().with("nonce", nonce()).sign(),
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => reply.as_object_mut().unwrap().remove(name),
            value => reply.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    reply
}

async fn redeemed(changes: Value) -> Result<Tokens, Error> {
    let script =
        Script::default().then("/jwks", usual_jwks()).then("/token", reply_with(&changes).to_string());
    client(&script).redeem(callback(), now()).await
}

#[tokio::test]
async fn a_login_ends_in_tokens() {
    let tokens =
        redeemed(json!({"refresh_token": "canary-refresh", "scope": "openid  email"})).await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), ACCESS_TOKEN);
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "canary-refresh");
    assert_eq!(tokens.id_token.subject(), "canary-subject");
    assert_eq!(tokens.expires_at, Some(after(300)));
    assert_eq!(tokens.scopes, ["openid", "email"]);
}

#[tokio::test]
async fn scopes_that_are_not_told_are_those_that_were_asked_for() {
    let tokens = redeemed(json!({})).await.unwrap();
    assert_eq!(tokens.scopes, ["openid"]);
    assert!(tokens.refresh_token.is_none());
}

#[tokio::test]
async fn the_lifetime_is_read_as_it_comes() {
    let cases: [(Value, Option<SystemTime>); 9] = [
        (json!(60), Some(after(60))),
        (json!("60"), Some(after(60))),
        (json!(60.9), Some(after(60))),
        (json!(0), Some(after(0))),
        (Value::Null, None),
        (json!(-1), None),
        (json!(1e300), None),
        (json!("soon"), None),
        (json!(["60"]), None),
    ];
    for (expires_in, expected) in cases {
        let tokens = redeemed(json!({"expires_in": expires_in})).await.unwrap();
        assert_eq!(tokens.expires_at, expected, "{expires_in}");
    }
}

#[tokio::test]
async fn token_type_case_insensitivity() {
    assert!(redeemed(json!({"token_type": "bEARER"})).await.is_ok());
    let error = redeemed(json!({"token_type": "DPoP"})).await.unwrap_err();
    assert!(
        matches!(error, Error::Misbehaved(Misbehaviour::TokenType { token_type, .. }) if token_type == "DPoP")
    );
}

#[tokio::test]
async fn a_reply_that_lacks_something_is_told_by_the_fields_name() {
    for (changes, field) in [
        (json!({"access_token": null}), "access_token"),
        (json!({"access_token": ""}), "access_token"),
        (json!({"token_type": null}), "token_type"),
    ] {
        let Err(Error::Misbehaved(problem)) = redeemed(changes).await else { panic!("{field}") };
        assert_eq!(problem, Misbehaviour::FieldMissing { endpoint: Endpoint::Token, field });
    }
    let error = redeemed(json!({"id_token": null})).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenProblem::Missing)));
    assert_eq!(
        redeemed(json!({"access_token": 1})).await.unwrap_err().code(),
        "oidc_provider_malformed_reply"
    );
}

#[tokio::test]
async fn no_token_comes_out_before_every_check_has_passed() {
    let good = || Token::good().with("nonce", nonce());
    let cases = [
        ("nonce", Token::good().sign(), "oidc_id_token_nonce"),
        ("at_hash", good().with("at_hash", base64url([0; 16])).sign(), "oidc_id_token_at_hash"),
        ("signature", good().sign_with(&KEYS.other_rsa), "oidc_id_token_signature"),
        ("aud", good().with("aud", "other").sign(), "oidc_id_token_audience"),
    ];
    for (name, id_token, code) in cases {
        assert_eq!(redeemed(json!({"id_token": id_token})).await.unwrap_err().code(), code, "{name}");
    }
}

#[tokio::test]
async fn what_the_login_demanded_is_demanded_of_the_token() {
    let begin = |script: &Script| {
        let login = client(script)
            .authorize(REDIRECT_URI)
            .with_max_age(Duration::from_secs(60))
            .with_acr_values(["gold"])
            .begin(&mut Counting::default(), now())
            .unwrap();
        let query = format!("state={}&code={CODE}", state());
        // Through a store, as on another replica.
        let stored = serde_json::to_string(&login.pending).unwrap();
        let pending: latchkey_oidc_flow::Pending = serde_json::from_str(&stored).unwrap();
        pending.accept(&CallbackParams::parse(&query).unwrap(), now()).unwrap()
    };
    let good =
        Token::good().with("nonce", nonce()).with("acr", "gold").with("auth_time", crate::support::NOW);
    let cases = [
        (good.clone(), None),
        (good.clone().without("auth_time"), Some("oidc_id_token_claim_missing")),
        (good.without("acr"), Some("oidc_id_token_claim_missing")),
    ];
    for (token, code) in cases {
        let reply = reply_with(&json!({"id_token": token.sign()}));
        let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply.to_string());
        let outcome = client(&script).redeem(begin(&script), now()).await;
        assert_eq!(outcome.err().map(|error| error.code()), code);
    }
}

// The refusals.

async fn refused(status: u16, body: &str) -> Error {
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", Reply::new(status, body));
    let client = client(&script).with_secret(CLIENT_SECRET);
    client.redeem(callback(), now()).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_code_is_told_with_its_reason() {
    let cases = [
        (400, "invalid_grant", RefusalReason::InvalidGrant),
        (401, "invalid_client", RefusalReason::InvalidClient),
        (400, "unauthorized_client", RefusalReason::UnauthorizedClient),
        (400, "new_code", RefusalReason::Other("new_code".into())),
        (503, "temporarily_unavailable", RefusalReason::TemporarilyUnavailable),
    ];
    for (status, code, reason) in cases {
        let body = json!({"error": code, "error_description": "Code not\nvalid"}).to_string();
        let Error::Refused(refusal) = refused(status, &body).await else { panic!("{code}") };
        assert_eq!(refusal.endpoint, Endpoint::Token);
        assert_eq!(refusal.reason, reason);
        assert_eq!(refusal.description.as_deref(), Some("Code not valid"));
    }
}

#[tokio::test]
async fn a_description_that_repeats_a_secret_is_not_told() {
    for secret in [format!("{CODE}&+"), CLIENT_SECRET.to_owned(), drawn(3)] {
        let body = json!({"error": "invalid_grant", "error_description": format!("got {secret} here")});
        let Error::Refused(refusal) = refused(400, &body.to_string()).await else { panic!("not refused") };
        assert_eq!(refusal.description, None);
        let body = json!({"error": secret}).to_string();
        assert_eq!(refused(400, &body).await.code(), "oidc_provider_status");
    }
}

#[tokio::test]
async fn anything_else_is_told_by_its_status() {
    for (status, body) in
        [(500, "<html>"), (502, ""), (400, "{}"), (302, ""), (201, r#"{"access_token":"x"}"#)]
    {
        let error = refused(status, body).await;
        assert_eq!(error.to_string(), format!("the provider's token endpoint answered with status {status}"));
        // Nobody knows whether the code was spent.
        assert!(!error.is_transient(), "{status}");
    }
}

// The network.

#[tokio::test]
async fn a_code_whose_reply_was_lost_is_not_sent_again() {
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", lost());
    let error = client(&script).redeem(callback(), now()).await.unwrap_err();
    assert!(matches!(error, Error::Unredeemed(_)));
    assert!(!error.is_transient());
    assert_eq!(script.count("/token"), 1);
}

#[tokio::test]
async fn a_code_that_never_arrived_is_sent_once_more() {
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", unreachable())
        .then("/token", reply_with(&json!({})).to_string());
    assert!(client(&script).redeem(callback(), now()).await.is_ok());
    assert_eq!(script.count("/token"), 2);
}

#[tokio::test]
async fn keys_are_at_hand_before_a_code_is_spent() {
    let script = Script::default().then("/jwks", Reply::new(404, ""));
    let error = client(&script).redeem(callback(), now()).await.unwrap_err();
    assert_eq!(error.code(), "oidc_provider_status");
    assert_eq!(script.count("/token"), 0);
}

// Who the client is.

#[tokio::test]
async fn a_secret_is_sent_the_way_that_the_provider_takes_it() {
    let cases = [
        (Value::Null, true),
        (json!(["client_secret_basic", "client_secret_post"]), true),
        (json!(["client_secret_post"]), false),
        (json!(["private_key_jwt"]), true),
    ];
    for (methods, is_basic) in cases {
        let mut document = document();
        document["token_endpoint_auth_methods_supported"] = methods.clone();
        let script =
            Script::default().then("/jwks", usual_jwks()).then("/token", reply_with(&json!({})).to_string());
        let client = Client::new(provider_of(&script, &document), CLIENT_ID).with_secret(CLIENT_SECRET);
        client.redeem(callback(), now()).await.unwrap();
        let requests = script.requests();
        let request = requests.iter().find(|request| request.path() == "/token").unwrap();
        assert_eq!(request.header("authorization").is_some(), is_basic, "{methods}");
    }
}

#[tokio::test]
async fn a_callback_of_another_client_is_not_redeemed() {
    let script = Script::default();
    let other = Client::new(provider(&script), "other");
    assert!(matches!(other.redeem(callback(), now()).await, Err(Error::Misuse(Misuse::OtherClient))));

    let mut document = document();
    document["issuer"] = json!("https://id.example/other");
    let metadata =
        latchkey_oidc_flow::Metadata::parse("https://id.example/other", document.to_string().as_bytes())
            .unwrap();
    let verifier = std::sync::Arc::new(latchkey_oidc_flow::JsonWebToken);
    let other = latchkey_oidc_flow::Provider::new(metadata, script.shared(), verifier);
    let outcome = Client::new(other, CLIENT_ID).redeem(callback(), now()).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::OtherClient))));
    assert!(script.requests().is_empty());
}
