//! Tokens for the client itself, one token for another, and wishes that are pushed.

use latchkey_oidc_flow::{
    Algorithm, Assertions, CallbackParams, Client, Error, IdToken, JsonWebTokenSigner, Misuse, RefusalReason,
    ResponseMode, Signer, SignerError, TokenKind, TokenType,
};
use latchkey_transport::{Reply, Secret};
use serde_json::{Value, json};

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, Counting, ISSUER, NOW, REDIRECT_URI, Script, after, client,
    document, drawn, last_form, merge, now, provider_of, state, value,
};

fn reply(changes: &Value) -> String {
    let mut reply = json!({
        "access_token": ACCESS_TOKEN, "token_type": "bearer", "expires_in": 60, "scope": "read",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    merge(&mut reply, changes);
    reply.to_string()
}

fn confidential(script: &Script) -> Client {
    client(script).with_secret(CLIENT_SECRET)
}

// Client credentials.

#[tokio::test]
async fn a_client_gets_a_token_for_itself() {
    let script = Script::default().then("/token", reply(&json!({})));
    let token = confidential(&script)
        .client_credentials()
        .with_scope("read  write")
        .with_resource("https://a.example/")
        .with_resource("https://b.example/")
        .send(now())
        .await
        .unwrap();
    assert!(token.access_token.is_same_as(ACCESS_TOKEN));
    assert_eq!((token.expires_at, &*token.scopes), (Some(after(60)), &["read".to_owned()][..]));
    assert!(!format!("{token:?}").contains("canary"));
    let form = last_form(&script, "/token");
    assert_eq!(value(&form, "grant_type"), Some("client_credentials"));
    assert_eq!(value(&form, "scope"), Some("read write"));
    let resources = form.iter().filter(|(name, _)| name == "resource").map(|(_, value)| value.as_str());
    assert_eq!(resources.collect::<Vec<_>>(), ["https://a.example/", "https://b.example/"]);
}

#[tokio::test]
async fn a_public_client_gets_no_token_for_itself() {
    let script = Script::default();
    let outcome = client(&script).client_credentials().send(now()).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::PublicClient))));
    assert!(script.requests().is_empty());
}

#[tokio::test]
async fn a_token_for_a_client_is_a_bearer_token() {
    let script = Script::default().then("/token", reply(&json!({"token_type": "DPoP"})));
    let error = confidential(&script).client_credentials().send(now()).await.unwrap_err();
    assert_eq!(error.code(), "oidc_provider_token_type");
}

// Token exchange.

#[tokio::test]
async fn one_token_is_exchanged_for_another() {
    let script = Script::default().then("/token", reply(&json!({"token_type": "N_A", "scope": null})));
    let token = confidential(&script)
        .exchange(Secret::new("canary-subject-token"), TokenType::AccessToken)
        .with_actor(Secret::new("canary-actor-token"), TokenType::Jwt)
        .with_requested_type(TokenType::Other("urn:example:x".to_owned()))
        .with_audience("backend")
        .with_resource("https://a.example/")
        .with_scope("read")
        .send(now())
        .await
        .unwrap();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "canary-subject-token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("actor_token", "canary-actor-token"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:example:x"),
        ("audience", "backend"),
        ("resource", "https://a.example/"),
        ("scope", "read"),
    ];
    let form = last_form(&script, "/token");
    assert_eq!(form.len(), expected.len());
    for (name, expected) in expected {
        assert_eq!(value(&form, name), Some(expected), "{name}");
    }
    assert_eq!(token.issued_type, TokenType::AccessToken);
    assert!(!token.is_bearer);
    assert_eq!(token.scopes, ["read"]);
    assert!(!format!("{token:?}").contains("canary"));
}

#[tokio::test]
async fn an_exchange_says_what_it_gave() {
    let exchange = |changes| async move {
        let script = Script::default().then("/token", reply(&changes));
        confidential(&script).exchange(Secret::new("x"), TokenType::IdToken).send(now()).await
    };
    let error = exchange(json!({"issued_token_type": null})).await.unwrap_err();
    assert_eq!(error.code(), "oidc_provider_field_missing");
    let token = exchange(json!({"issued_token_type": "urn:x"})).await.unwrap();
    assert_eq!(token.issued_type, TokenType::Other("urn:x".to_owned()));
}

#[tokio::test]
async fn a_refused_exchange_does_not_repeat_the_tokens() {
    let body = json!({"error": "invalid_target", "error_description": "no x for canary-subject-token"});
    let script = Script::default().then("/token", Reply::new(400, body.to_string()));
    let exchange =
        confidential(&script).exchange(Secret::new("canary-subject-token"), TokenType::AccessToken);
    match exchange.send(now()).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!((refusal.reason, refusal.description), (RefusalReason::InvalidTarget, None));
        }
        other => panic!("{other:?}"),
    }
}

// Who the client is, signed.

const SIGNING_KEY: &str = include_str!("client-key.pem");

fn part(assertion: &str, index: usize) -> Value {
    use base64::Engine as _;
    let part = assertion.split('.').nth(index).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn assertion(assertions: &Assertions) -> String {
    let script = Script::default().then("/revoke", String::new());
    let client = client(&script).with_assertions(assertions.clone());
    client.revoke(&Secret::new("x"), TokenKind::Access, now()).await.unwrap();
    let form = last_form(&script, "/revoke");
    assert_eq!(value(&form, "client_id"), Some(CLIENT_ID));
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(value(&form, "client_assertion_type"), Some(kind));
    assert_eq!(value(&form, "client_secret"), None);
    assert_eq!(script.requests()[0].header("authorization"), None);
    value(&form, "client_assertion").unwrap().to_owned()
}

#[tokio::test]
async fn a_client_signs_who_it_is_anew_for_each_request() {
    let signer = JsonWebTokenSigner::from_pem(Algorithm::Es256, &Secret::new(SIGNING_KEY)).unwrap();
    let assertions = Assertions::new(signer.with_key_id("client-key"), &mut Counting::default()).unwrap();
    let (first, second) = (assertion(&assertions).await, assertion(&assertions.clone()).await);
    assert_eq!(part(&first, 0), json!({"alg": "ES256", "typ": "JWT", "kid": "client-key"}));
    let claims = part(&first, 1);
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&json!(CLIENT_ID), &json!(CLIENT_ID), &json!(ISSUER))
    );
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 60)));
    assert_ne!(claims["jti"], part(&second, 1)["jti"]);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 43);
    let signature = first.rsplit('.').next().unwrap();
    assert_eq!(signature.len(), 86, "two numbers of 32 bytes");
    assert!(IdToken::parse(&*first).is_ok());
    let elsewhere = assertion(&assertions.with_audience("https://id.example/token")).await;
    assert_eq!(part(&elsewhere, 1)["aud"], "https://id.example/token");
}

#[tokio::test]
async fn a_client_signs_with_its_secret() {
    let secret = Secret::new("canary-secret-of-32-bytes-and-more");
    let signer = JsonWebTokenSigner::from_secret(&secret).unwrap();
    assert!(!format!("{signer:?}").contains("canary"));
    let assertions = Assertions::new(signer, &mut Counting::default()).unwrap();
    let assertion = assertion(&assertions).await;
    assert_eq!(part(&assertion, 0), json!({"alg": "HS256", "typ": "JWT"}));
    let (input, signature) = assertion.rsplit_once('.').unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let expected = crate::support::base64url(aws_lc_rs::hmac::sign(&key, input.as_bytes()));
    assert_eq!(signature, expected);
}

#[test]
fn keys_that_make_no_signature_are_refused_at_once() {
    let short = JsonWebTokenSigner::from_secret(&Secret::new("x".repeat(31)));
    assert_eq!(short.unwrap_err(), SignerError);
    for (algorithm, pem) in
        [(Algorithm::Es256, "no key"), (Algorithm::Rs256, SIGNING_KEY), (Algorithm::Es384, SIGNING_KEY)]
    {
        assert_eq!(JsonWebTokenSigner::from_pem(algorithm, &Secret::new(pem)).unwrap_err(), SignerError);
    }
}

#[test]
fn an_rsa_key_is_taken_in_both_of_its_forms() {
    for pem in [include_str!("rsa-pkcs1.pem"), include_str!("rsa-pkcs8.pem")] {
        let signer = JsonWebTokenSigner::from_pem(Algorithm::Ps256, &Secret::new(pem)).unwrap();
        assert_eq!(signer.algorithm(), "PS256");
    }
}

#[tokio::test]
async fn a_signer_that_fails_ends_the_call_before_anything_is_sent() {
    struct Broken;
    #[async_trait::async_trait]
    impl Signer for Broken {
        fn algorithm(&self) -> &'static str {
            "ES256"
        }
        fn key_id(&self) -> Option<&str> {
            None
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignerError> {
            Err(SignerError)
        }
    }
    let script = Script::default();
    let assertions = Assertions::new(Broken, &mut Counting::default()).unwrap();
    let client = client(&script).with_assertions(assertions);
    let outcome = client.client_credentials().send(now()).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::UnusableClientKey))));
    assert!(script.requests().is_empty());
}

// Pushed wishes.

#[tokio::test]
async fn a_pushed_login_shows_nothing_in_its_address() {
    let body = json!({"request_uri": "urn:example:canary", "expires_in": 60}).to_string();
    let script = Script::default().then("/par", Reply::new(201, body));
    let login = confidential(&script)
        .authorize(REDIRECT_URI)
        .with_scope("email")
        .with_resource("https://a.example/")
        .with_parameter("kc_idp_hint", "github")
        .push(&mut Counting::default(), now())
        .await
        .unwrap();
    let query: Vec<_> = login.url.query_pairs().into_owned().collect();
    assert_eq!(query.len(), 3, "the provider's own, the client and the reference: {query:?}");
    assert_eq!(value(&query, "request_uri"), Some("urn:example:canary"));
    assert_eq!(value(&query, "client_id"), Some(CLIENT_ID));
    assert!(!format!("{login:?}").contains("canary"));
    let form = last_form(&script, "/par");
    for (name, expected) in [
        ("response_type", "code"),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid email"),
        ("state", &*state()),
        ("nonce", &*drawn(2)),
        ("code_challenge_method", "S256"),
        ("resource", "https://a.example/"),
        ("kc_idp_hint", "github"),
        // In the form beside the header: a request without it is none.
        ("client_id", CLIENT_ID),
    ] {
        assert_eq!(value(&form, name), Some(expected), "{name}");
    }
    assert!(script.requests()[0].header("authorization").is_some());
    let params = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
    assert!(login.pending.accept(&params, now()).is_ok());
}

#[tokio::test]
async fn a_provider_that_wants_pushed_wishes_gets_no_others() {
    let mut document = document();
    document["require_pushed_authorization_requests"] = json!(true);
    let client = Client::new(provider_of(&Script::default(), &document), CLIENT_ID);
    let outcome = client.authorize(REDIRECT_URI).begin(&mut Counting::default(), now());
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::PushRequired))));
}

#[tokio::test]
async fn a_push_without_a_reference_is_refused() {
    for (status, body, code) in [
        (201, "{}", "oidc_provider_field_missing"),
        (201, "", "oidc_provider_malformed_reply"),
        (400, r#"{"error":"invalid_request"}"#, "oidc_invalid_request"),
        (503, "", "oidc_provider_status"),
    ] {
        let script = Script::default().then("/par", Reply::new(status, body));
        let outcome =
            confidential(&script).authorize(REDIRECT_URI).push(&mut Counting::default(), now()).await;
        assert_eq!(outcome.unwrap_err().code(), code, "{body}");
    }
}

// Resources and response modes.

#[test]
fn a_resource_is_an_absolute_address_without_fragment() {
    for (resource, is_good) in
        [("https://a.example/", true), ("urn:x:y", true), ("/a", false), ("https://a/#b", false)]
    {
        let outcome = client(&Script::default())
            .authorize(REDIRECT_URI)
            .with_resource(resource)
            .begin(&mut Counting::default(), now());
        assert_eq!(outcome.is_ok(), is_good, "{resource}");
        if let Ok(login) = outcome {
            let query: Vec<_> = login.url.query_pairs().into_owned().collect();
            assert_eq!(value(&query, "resource"), Some(resource));
        }
    }
}

#[tokio::test]
async fn the_resources_of_a_login_are_named_again_for_its_code() {
    let script = Script::default()
        .then("/jwks", crate::support::usual_jwks())
        .then("/token", crate::support::token_reply(&json!({})).to_string());
    let client = client(&script);
    let authorize = client.authorize(REDIRECT_URI).with_resource("https://a.example/");
    let login = authorize.begin(&mut Counting::default(), now()).unwrap();
    let stored = serde_json::to_string(&login.pending).unwrap();
    let pending: latchkey_oidc_flow::Pending = serde_json::from_str(&stored).unwrap();
    let params = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
    client.redeem(pending.accept(&params, now()).unwrap(), now()).await.unwrap();
    assert_eq!(value(&last_form(&script, "/token"), "resource"), Some("https://a.example/"));
}

#[test]
fn an_answer_is_read_from_the_fragment_where_the_query_has_none() {
    let login = client(&Script::default())
        .authorize(REDIRECT_URI)
        .with_response_mode(ResponseMode::Fragment)
        .begin(&mut Counting::default(), now())
        .unwrap();
    let query: Vec<_> = login.url.query_pairs().into_owned().collect();
    assert_eq!(value(&query, "response_mode"), Some("fragment"));
    let read = |address: &str| CallbackParams::from_address(address).unwrap();
    let params = read(&format!("{REDIRECT_URI}?tab=1#state={}&code={CODE}", state()));
    assert!(login.pending.accept(&params, now()).is_ok());
    // A fragment that somebody gave to the first link survives every redirect.
    let params = read(&format!("{REDIRECT_URI}?state=a&code=b#error=access_denied&state=c"));
    assert!(params.refusal().is_none());
    assert!(params.state().unwrap().is_same_as("a"));
    let params = read(&format!("{REDIRECT_URI}?code=b#state=c"));
    assert!(params.state().is_none(), "one answer is not put together from two places");
}
