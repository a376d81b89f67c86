//! Signing out: begun here, or heard of.

use latchkey_oidc_flow::{
    CallbackParams, CallbackProblem, Client, Error, IdTokenProblem, LogoutProblem, LogoutToken, Misuse,
    PendingLogout, SessionStatus,
};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{
    CLIENT_ID, Counting, ISSUER, KEYS, NOW, REDIRECT_URI, Script, Token, after, client, document, drawn,
    nonce, now, pending, provider_of, signed_in, state, token_reply, usual_jwks, value,
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn signed_in_client() -> (latchkey_oidc_flow::Client, latchkey_oidc_flow::Tokens) {
    let script =
        Script::default().then("/jwks", usual_jwks()).then("/token", token_reply(&json!({})).to_string());
    let client = client(&script);
    let tokens = signed_in(&client).await;
    (client, tokens)
}

// Begun here.

#[tokio::test]
async fn the_address_says_whose_session_ends_and_where_the_person_goes() {
    let (client, tokens) = signed_in_client().await;
    let out = client
        .end_session()
        .with_id_token(&tokens.id_token)
        .with_logout_hint("canary-sid")
        .with_redirect_uri(REDIRECT_URI)
        .begin(&mut Counting::default())
        .unwrap();
    let query: Vec<_> = out.url.query_pairs().into_owned().collect();
    assert_eq!(&out.url[..url::Position::AfterPath], "https://id.example/logout");
    let expected = [
        ("theme", "dark"),
        ("client_id", CLIENT_ID),
        ("id_token_hint", tokens.id_token.as_secret().expose_secret()),
        ("logout_hint", "canary-sid"),
        ("post_logout_redirect_uri", REDIRECT_URI),
        ("state", &drawn(1)),
    ];
    assert_eq!(query.len(), expected.len());
    for (name, expected) in expected {
        assert_eq!(value(&query, name), Some(expected), "{name}");
    }
    assert!(!format!("{out:?}").contains("canary") && !format!("{out:?}").contains(&drawn(1)));
}

#[tokio::test]
async fn who_does_not_come_back_needs_no_state() {
    let (client, _) = signed_in_client().await;
    let out = client.end_session().begin(&mut Counting::default()).unwrap();
    assert!(out.pending.is_none());
    assert_eq!(out.url.query(), Some("theme=dark&client_id=client%3A%2B%21ID"));
    let outcome = client.end_session().with_redirect_uri("/bye").begin(&mut Counting::default());
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::InvalidRedirectUri))));
}

#[tokio::test]
async fn only_our_state_says_that_the_provider_sent_the_person_back() {
    let (client, _) = signed_in_client().await;
    let pending = || {
        let out = client.end_session().with_redirect_uri(REDIRECT_URI).begin(&mut Counting::default());
        let stored = serde_json::to_string(&out.unwrap().pending.unwrap()).unwrap();
        serde_json::from_str::<PendingLogout>(&stored).unwrap()
    };
    let cases = [
        ("rp-init-logout", format!("state={}", drawn(1)), None),
        ("rp-init-logout-other-state", format!("state={}", drawn(2)), Some(CallbackProblem::StateMismatch)),
        ("rp-init-logout-no-state", String::new(), Some(CallbackProblem::StateMissing)),
    ];
    for (name, query, expected) in cases {
        let problem = match pending().accept(&CallbackParams::parse(&query).unwrap()) {
            Ok(()) => None,
            Err(Error::Callback(problem)) => Some(problem),
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(problem, expected, "{name}");
    }
}

// Heard of.

fn good() -> Token {
    let mut token = Token::good().with_header("typ", "logout+jwt");
    token.claims = json!({
        "iss": ISSUER, "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 120, "jti": "id-1", "sub": "canary-subject",
        "sid": "canary-session", "events": {EVENT: {}},
    });
    token
}

async fn post(form: String) -> Result<LogoutToken, Error> {
    let script = Script::default().then("/jwks", usual_jwks());
    client(&script).back_channel_logout(form.as_bytes(), now()).await
}

async fn hear(token: String) -> Result<LogoutToken, Error> {
    post(form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish()).await
}

#[tokio::test]
async fn a_good_logout_token_says_who_is_gone() {
    let token = hear(good().sign()).await.unwrap();
    assert_eq!(token.id(), "id-1");
    assert_eq!((token.subject(), token.session_id()), (Some("canary-subject"), Some("canary-session")));
    assert_eq!(token.issued_at(), now());
    assert!(!format!("{token:?}").contains("canary"));
}

#[tokio::test]
async fn every_bad_logout_token_is_refused_for_its_own_reason() {
    let id_token = |problem| Some(LogoutProblem::Token(problem));
    let missing = |claim| id_token(IdTokenProblem::ClaimMissing { claim });
    let invalid = |claim| id_token(IdTokenProblem::ClaimInvalid { claim });
    let algorithm = |name: &str| id_token(IdTokenProblem::AlgorithmNotAllowed { algorithm: name.to_owned() });
    let issuer =
        IdTokenProblem::IssuerMismatch { expected: ISSUER.into(), found: "https://evil.example".into() };
    let event = |events: Value| good().with("events", events);
    let cases = [
        ("rp-backchannel-rpinitlogout", good(), None),
        ("typ JWT", good().with_header("typ", "JWT"), None),
        ("typ absent", good().without_header("typ"), None),
        ("sid alone", good().without("sub"), None),
        ("sub alone", good().without("sid"), None),
        ("exp absent, just issued", good().without("exp"), None),
        ("more events", event(json!({EVENT: {}, "http://example.org/other": {}})), None),
        ("alg-none", good().with_header("alg", "none"), algorithm("none")),
        ("wrong-alg", good().with_header("alg", "RS512"), algorithm("RS512")),
        ("wrong-iss", good().with("iss", "https://evil.example"), id_token(issuer)),
        ("wrong-aud", good().with("aud", "other"), id_token(IdTokenProblem::AudienceMismatch)),
        ("no-event", good().without("events"), Some(LogoutProblem::EventMissing)),
        ("wrong-event", event(json!({"http://example.org/other": {}})), Some(LogoutProblem::EventMissing)),
        ("event as text", event(json!(EVENT)), Some(LogoutProblem::EventMissing)),
        ("event without object", event(json!({EVENT: true})), Some(LogoutProblem::EventMissing)),
        ("with-nonce", good().with("nonce", "n"), Some(LogoutProblem::NoncePresent)),
        ("nonce null", good().with("nonce", Value::Null), Some(LogoutProblem::NoncePresent)),
        ("nobody", good().without("sub").without("sid"), Some(LogoutProblem::NobodyNamed)),
        ("sub a number", good().with("sub", 1), invalid("sub")),
        ("sid empty", good().with("sid", ""), invalid("sid")),
        ("jti missing", good().without("jti"), missing("jti")),
        ("iat missing", good().without("iat"), missing("iat")),
        ("expired", good().with("exp", NOW - 60), id_token(IdTokenProblem::Expired { seconds: 60 })),
        (
            "from the future",
            good().with("iat", NOW + 60),
            id_token(IdTokenProblem::IssuedInFuture { seconds: 60 }),
        ),
        (
            "exp absent, old",
            good().without("exp").with("iat", NOW - 151),
            Some(LogoutProblem::TooOld { seconds: 151 }),
        ),
        ("an access token", good().with_header("typ", "at+jwt"), id_token(IdTokenProblem::WrongType)),
    ];
    for (name, token, expected) in cases {
        let problem = match hear(token.sign()).await {
            Ok(_) => None,
            Err(Error::LogoutToken(problem)) => Some(problem),
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(problem, expected, "{name}");
    }
}

#[tokio::test]
async fn a_logout_token_of_a_stranger_is_refused() {
    let error = hear(good().sign_with(&KEYS.other_rsa)).await.unwrap_err();
    assert!(
        matches!(&error, Error::LogoutToken(LogoutProblem::Token(IdTokenProblem::BadSignature))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_login_is_no_logout() {
    let error = hear(Token::good().sign()).await.unwrap_err();
    assert!(matches!(&error, Error::LogoutToken(LogoutProblem::EventMissing)), "{error:?}");
}

#[tokio::test]
async fn the_form_holds_one_token() {
    for form in ["", "token=x", "logout_token=a&logout_token=b"] {
        let error = post(form.to_owned()).await.unwrap_err();
        assert!(matches!(&error, Error::LogoutToken(LogoutProblem::Missing)), "{form}: {error:?}");
    }
    assert_eq!(post("logout_token=canary".to_owned()).await.unwrap_err().code(), "oidc_logout_token");
}

#[tokio::test]
async fn a_session_ends_where_person_and_session_are_its_own() {
    let reply = json!({"id_token": Token::good()
        .with("nonce", crate::support::nonce()).with("sid", "canary-session").sign()});
    let script =
        Script::default().then("/jwks", usual_jwks()).then("/token", token_reply(&reply).to_string());
    let id_token = signed_in(&client(&script)).await.id_token;
    let cases = [
        ("both", good(), true),
        ("the person's sessions", good().without("sid"), true),
        ("the session", good().without("sub"), true),
        ("another session", good().with("sid", "other"), false),
        ("another person", good().with("sub", "other"), false),
    ];
    for (name, token, expected) in cases {
        assert_eq!(hear(token.sign()).await.unwrap().ends(&id_token), expected, "{name}");
    }
    assert!(id_token.expires_at() < after(3600));
}

// Heard of in a frame.

fn frame(query: &str) -> Result<latchkey_oidc_flow::FrontChannelLogout, LogoutProblem> {
    client(&Script::default()).front_channel_logout(query)
}

/// A sign-in whose ID token names its session.
async fn with_session() -> latchkey_oidc_flow::Tokens {
    let id_token = Token::good().with("nonce", nonce()).with("sid", "session-1").sign();
    let reply = token_reply(&json!({"id_token": id_token})).to_string();
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply);
    signed_in(&client(&script)).await
}

#[tokio::test]
async fn front_channel_logout_ends_the_session_that_it_names() {
    let tokens = with_session().await;
    let issuer = url::form_urlencoded::byte_serialize(ISSUER.as_bytes()).collect::<String>();
    let named = frame(&format!("iss={issuer}&sid=session-1&x=y")).unwrap();
    assert_eq!((named.issuer(), named.session_id()), (Some(ISSUER), Some("session-1")));
    assert!(named.ends(&tokens.id_token));
    assert!(!format!("{named:?}").contains("session-1"));
    assert!(!frame(&format!("iss={issuer}&sid=session-2")).unwrap().ends(&tokens.id_token));
    let unnamed = frame("").unwrap();
    assert!(unnamed.issuer().is_none() && unnamed.session_id().is_none());
    assert!(unnamed.ends(&tokens.id_token));
}

#[test]
fn a_frame_names_issuer_and_session_together_and_once() {
    let issuer = url::form_urlencoded::byte_serialize(ISSUER.as_bytes()).collect::<String>();
    for query in [
        format!("iss={issuer}"),
        "sid=session-1".to_owned(),
        format!("iss={issuer}&sid="),
        format!("iss={issuer}&iss={issuer}&sid=session-1"),
        format!("iss={issuer}&sid=session-1&sid=session-2"),
        format!("iss={issuer}&sid=session-1&x={}", "y".repeat(16 * 1024)),
    ] {
        assert_eq!(frame(&query).unwrap_err(), LogoutProblem::SessionIncomplete, "{query:.90}");
    }
    let other = LogoutProblem::OtherIssuer { found: "https://evil.example".into() };
    assert_eq!(frame("iss=https%3A%2F%2Fevil.example&sid=session-1").unwrap_err(), other);
}

// Asked for.

#[test]
fn a_page_asks_only_the_providers_page_whether_somebody_is_signed_in() {
    let mut document = document();
    document["check_session_iframe"] = json!("https://id.example:8443/session?x=1");
    let client = Client::new(provider_of(&Script::default(), &document), CLIENT_ID);
    let check = client.session_check(&"canary-state.salt".into()).unwrap();
    assert_eq!(check.page().as_str(), "https://id.example:8443/session?x=1");
    assert_eq!(check.origin(), "https://id.example:8443");
    assert_eq!(check.message().expose_secret(), format!("{CLIENT_ID} canary-state.salt"));
    assert!(!format!("{check:?}").contains("canary"));
    for (data, status) in [
        ("unchanged", Some(SessionStatus::Unchanged)),
        ("changed", Some(SessionStatus::Changed)),
        ("error", Some(SessionStatus::Error)),
        ("Changed", None),
        ("", None),
    ] {
        assert_eq!(check.heard("https://id.example:8443", data), status, "{data}");
    }
    for origin in
        ["https://id.example", "http://id.example:8443", "https://evil.example:8443", "null", "*", ""]
    {
        assert_eq!(check.heard(origin, "changed"), None, "{origin}");
    }
    let without = crate::support::client(&Script::default()).session_check(&"x".into());
    assert_eq!(without.unwrap_err().code(), "oidc_not_offered");
}

#[tokio::test]
async fn the_state_of_the_session_comes_with_the_tokens() {
    for (query, expected) in
        [("&session_state=abc.def", Some("abc.def")), ("&session_state=a+b", None), ("", None)]
    {
        let script =
            Script::default().then("/jwks", usual_jwks()).then("/token", token_reply(&json!({})).to_string());
        let client = client(&script);
        let callback = CallbackParams::parse(&format!("state={}&code=x{query}", state())).unwrap();
        let tokens = client.redeem(pending().accept(&callback, now()).unwrap(), now()).await.unwrap();
        assert_eq!(tokens.session_state.as_ref().map(latchkey_transport::Secret::expose_secret), expected);
    }
}
