//! What travels through the browser, signed: the request by the client (RFC 9101), the answer by the provider (JARM), and
//! the ID token beside the code (hybrid flow).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use base64::Engine as _;
use latchkey_oidc_flow::danger::Unsigned;
use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{
    Algorithm, Assertions, Authorize, CallbackParams, CallbackProblem, Client, Error, IdToken,
    IdTokenProblem as Problem, JsonWebTokenSigner, Misuse, Pending, ResponseMode, Tokens, ValidatedCallback,
};
use latchkey_transport::{Reply, Secret};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    CLIENT_ID, CODE, Counting, ISSUER, KEYS, NOW, REDIRECT_URI, Script, Token, base64url, client, drawn,
    last_form, nonce, now, sign_text, state, token_reply, usual_jwks, value,
};

fn pairs(url: &url::Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

// Requests.

fn wishes(script: &Script) -> Authorize {
    client(script)
        .authorize(REDIRECT_URI)
        .with_scope("email")
        .with_max_age(std::time::Duration::from_secs(60))
        .with_resource("https://a.example/")
        .with_resource("https://b.example/")
        .with_parameter("claims", r#"{"userinfo":{"email":null}}"#)
}

fn check_object(object: &Value) {
    let expected = json!({
        "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": REDIRECT_URI, "scope": "openid email",
        "state": state(), "nonce": nonce(), "code_challenge": base64url(Sha256::digest(drawn(3))),
        "code_challenge_method": "S256", "max_age": 60, "resource": ["https://a.example/", "https://b.example/"],
        "claims": {"userinfo": {"email": null}}, "iss": CLIENT_ID, "aud": ISSUER, "iat": NOW, "nbf": NOW,
        "exp": NOW + 600, "jti": object["jti"],
    });
    assert_eq!(*object, expected);
    assert_eq!(object["jti"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn request_signed_none() {
    let login =
        wishes(&Script::default()).begin_signed(&Unsigned, &mut Counting::default(), now()).await.unwrap();
    let query = pairs(&login.url);
    let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["theme", "client_id", "response_type", "scope", "request"]);
    let object = value(&query, "request").unwrap();
    assert_eq!(part(object, 0), json!({"alg": "none", "typ": "oauth-authz-req+jwt"}));
    assert!(object.ends_with('.'), "the signature is empty");
    check_object(&part(object, 1));
    let params = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
    assert!(login.pending.accept(&params, now()).is_ok());
}

fn signer() -> JsonWebTokenSigner {
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&KEYS.other_rsa).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    JsonWebTokenSigner::from_pem(Algorithm::Rs256, &Secret::new(pem)).unwrap().with_key_id("request-key")
}

/// Checks the signature with the client's public key.
fn check_signature(object: &str) {
    let keys = crate::support::jwks([crate::support::rsa_jwk(&KEYS.other_rsa, "request-key")]);
    let keys = KeySet::parse(keys.as_bytes()).unwrap();
    let key = keys.keys().first().unwrap();
    let (input, signature) = object.rsplit_once('.').unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let components = match key.public_key() {
        latchkey_oidc_flow::keys::PublicKey::Rsa { modulus, exponent } => {
            aws_lc_rs::signature::RsaPublicKeyComponents { n: modulus, e: exponent }
        }
        other => panic!("{other:?}"),
    };
    let rules = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
    components.verify(rules, input.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn request_signed_rs256() {
    let wishes = wishes(&Script::default());
    let login = wishes.begin_signed(&signer(), &mut Counting::default(), now()).await.unwrap();
    let query = pairs(&login.url);
    let object = value(&query, "request").unwrap();
    let header = json!({"alg": "RS256", "kid": "request-key", "typ": "oauth-authz-req+jwt"});
    assert_eq!(part(object, 0), header);
    check_object(&part(object, 1));
    check_signature(object);
    assert!(!format!("{login:?}").contains(object));
}

#[tokio::test]
async fn a_signed_request_can_be_pushed() {
    let body = json!({"request_uri": "urn:example:canary", "expires_in": 60}).to_string();
    let script = Script::default().then("/par", Reply::new(201, body));
    let login = wishes(&script).push_signed(&signer(), &mut Counting::default(), now()).await.unwrap();
    let form = last_form(&script, "/par");
    let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["request", "client_id"]);
    check_object(&part(value(&form, "request").unwrap(), 1));
    assert_eq!(value(&pairs(&login.url), "request_uri"), Some("urn:example:canary"));
}

#[tokio::test]
async fn nobody_takes_an_unsigned_word_for_who_a_client_is() {
    let script = Script::default();
    let assertions = Assertions::new(Unsigned, &mut Counting::default()).unwrap();
    let client = client(&script).with_assertions(assertions);
    let error = client.client_credentials().send(now()).await.unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::UnusableClientKey)));
    assert!(script.requests().is_empty());
}

// Answers.

fn jarm_pending(mode: ResponseMode) -> Pending {
    let login = client(&Script::default()).authorize(REDIRECT_URI).with_response_mode(mode);
    let login = login.begin(&mut Counting::default(), now()).unwrap();
    let name = pairs(&login.url).into_iter().find(|(name, _)| name == "response_mode").unwrap().1;
    assert!(name.ends_with("jwt"), "{name}");
    login.pending
}

/// A signed answer without fault.
fn answer() -> Token {
    let mut token = Token::good().with_header("typ", "JWT");
    token.claims = json!({
        "iss": ISSUER, "aud": CLIENT_ID, "exp": NOW + 60, "state": state(), "code": CODE, "session_state": "s",
    });
    token
}

async fn open(response: String) -> Result<CallbackParams, Error> {
    let script = Script::default().then("/jwks", usual_jwks());
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("response", &response).finish();
    client(&script).open(CallbackParams::parse(&query).unwrap(), now()).await
}

#[tokio::test]
async fn a_signed_answer_is_taken() {
    let params = open(answer().sign()).await.unwrap();
    assert!(params.is_signed());
    assert_eq!(params.issuer(), Some(ISSUER));
    let callback = jarm_pending(ResponseMode::QueryJwt).accept(&params, now()).unwrap();
    assert_eq!(callback.issuer(), ISSUER);

    let refusal = answer().without("code").with("error", "access_denied").with("error_description", "no");
    let params = open(refusal.sign()).await.unwrap();
    let error = jarm_pending(ResponseMode::Jwt).accept(&params, now()).unwrap_err();
    assert_eq!(error.code(), "oidc_access_denied");
    let other = open(answer().with("state", "other").sign()).await.unwrap();
    assert!(!jarm_pending(ResponseMode::FragmentJwt).matches(&other));
}

#[tokio::test]
async fn ensure_jarm() {
    let missing = |claim| Problem::ClaimMissing { claim };
    let evil = Problem::IssuerMismatch { expected: ISSUER.into(), found: "https://evil.example".into() };
    let none = Problem::AlgorithmNotAllowed { algorithm: "none".into() };
    let cases = [
        ("signature_is_not_none", answer().with_header("alg", "none").sign(), none),
        ("expired_exp", answer().with("exp", NOW - 60).sign(), Problem::Expired { seconds: 60 }),
        ("invalid_aud", answer().with("aud", "other").sign(), Problem::AudienceMismatch),
        ("invalid_iss", answer().with("iss", "https://evil.example").sign(), evil),
        ("invalid_sig", answer().sign_with(&KEYS.other_rsa), Problem::BadSignature),
        ("without_aud", answer().without("aud").sign(), missing("aud")),
        ("without_exp", answer().without("exp").sign(), missing("exp")),
        ("without_iss", answer().without("iss").sign(), missing("iss")),
        ("encrypted", "a.b.c.d.e".to_owned(), Problem::Encrypted),
        ("an_id_token_type", answer().with_header("typ", "at+jwt").sign(), Problem::WrongType),
    ];
    for (name, response, expected) in cases {
        let error = open(response).await.unwrap_err();
        let is_expected = matches!(
            &error,
            Error::Callback(CallbackProblem::Response(problem)) if *problem == expected
        );
        assert!(is_expected, "{name}: {error:?}");
        assert_eq!(error.code(), "oidc_callback_response");
    }
    let number = open(answer().with("code", 1).sign()).await.unwrap_err();
    assert!(matches!(number, Error::Callback(CallbackProblem::Malformed)));
}

#[tokio::test]
async fn an_answer_may_name_its_issuer_twice_as_keycloak_does_and_no_two_issuers() {
    let (header, claims) = (answer().header.to_string(), answer().claims.to_string());
    let signed_text = |claims: &str| sign_text(&header, claims, &KEYS.rsa);
    let with = |first: &str| format!("{{{first},{}", &claims[1..]);
    let issuer = format!(r#""iss":"{ISSUER}""#);
    let params = open(signed_text(&with(&issuer))).await.unwrap();
    assert_eq!(params.issuer(), Some(ISSUER));
    jarm_pending(ResponseMode::QueryJwt).accept(&params, now()).unwrap();
    let same_expiry = format!(r#""exp":{}"#, NOW + 60);
    let evil = [r#""iss":"https://evil.example""#, r#""code":"other""#, r#""state":1"#, &same_expiry];
    for first in evil {
        // Whichever of the two comes first.
        for text in [with(first), format!("{},{first}}}", claims.strip_suffix('}').unwrap())] {
            let error = open(signed_text(&text)).await.unwrap_err();
            let expected = Problem::DuplicateName { part: "claims" };
            let Error::Callback(CallbackProblem::Response(problem)) = &error else { panic!("{error:?}") };
            assert_eq!(*problem, expected, "{first}");
        }
    }
    // An ID token that repeats itself is refused as before.
    let problem = IdToken::parse(signed_text(&with(&issuer))).unwrap_err();
    assert_eq!(problem, Problem::DuplicateName { part: "claims" });
}

#[tokio::test]
async fn where_a_signed_answer_was_asked_for_no_other_is_taken() {
    let plain = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
    let opened = client(&Script::default()).open(plain, now()).await.unwrap();
    for mode in
        [ResponseMode::Jwt, ResponseMode::QueryJwt, ResponseMode::FragmentJwt, ResponseMode::FormPostJwt]
    {
        let error = jarm_pending(mode).accept(&opened, now()).unwrap_err();
        assert!(matches!(error, Error::Callback(CallbackProblem::NotSigned)));
    }
    // That it was asked for is remembered with the login.
    let stored = serde_json::to_string(&jarm_pending(ResponseMode::QueryJwt)).unwrap();
    let pending: Pending = serde_json::from_str(&stored).unwrap();
    assert_eq!(pending.accept(&opened, now()).unwrap_err().code(), "oidc_callback_not_signed");
    // Nothing beside the signed answer counts, and one that was not opened is none.
    let query = format!("state={}&response=x.y.z", state());
    let unopened = CallbackParams::parse(&query).unwrap();
    assert!(!unopened.is_signed() && jarm_pending(ResponseMode::Jwt).accept(&unopened, now()).is_err());
    let both = format!("state={}&code=evil&response={}", state(), answer().sign());
    let script = Script::default().then("/jwks", usual_jwks());
    let opened = client(&script).open(CallbackParams::parse(&both).unwrap(), now()).await.unwrap();
    assert!(opened.code().unwrap().is_same_as(CODE));
}

// The ID token beside the code.

fn half(text: &str) -> String {
    base64url(&Sha256::digest(text)[..16])
}

fn first() -> Token {
    Token::good()
        .without("at_hash")
        .with("nonce", nonce())
        .with("c_hash", half(CODE))
        .with("s_hash", half(&state()))
}

fn hybrid(script: &Script) -> (Client, Pending) {
    let client = client(script);
    let login = client.authorize(REDIRECT_URI).with_id_token_in_callback();
    let login = login.begin(&mut Counting::default(), now()).unwrap();
    assert_eq!(value(&pairs(&login.url), "response_type"), Some("code id_token"));
    (client, login.pending)
}

fn accept(pending: Pending, id_token: Option<&str>) -> ValidatedCallback {
    let id_token = id_token.map(|token| format!("&id_token={token}")).unwrap_or_default();
    let address = format!("https://app.example/cb#state={}&code={CODE}{id_token}", state());
    pending.accept(&CallbackParams::from_address(&address).unwrap(), now()).unwrap()
}

async fn sign_in(first: Option<&str>, second: &Token) -> (Script, Result<Tokens, Error>) {
    let reply = token_reply(&json!({"id_token": second.sign()}));
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply.to_string());
    let (client, pending) = hybrid(&script);
    let outcome = client.redeem(accept(pending, first), now()).await;
    (script, outcome)
}

fn second() -> Token {
    Token::good().with("nonce", nonce())
}

#[tokio::test]
async fn an_id_token_beside_the_code_binds_it() {
    assert!(sign_in(Some(&first().sign()), &second()).await.1.is_ok());
    assert!(sign_in(Some(&first().without("s_hash").sign()), &second()).await.1.is_ok());
    let missing = |claim| Problem::ClaimMissing { claim };
    let cases = [
        ("missing_chash", Some(first().without("c_hash").sign()), missing("c_hash")),
        ("invalid_chash", Some(first().with("c_hash", half("other")).sign()), Problem::CodeMismatch),
        ("invalid_shash", Some(first().with("s_hash", half("other")).sign()), Problem::StateMismatch),
        ("nonce_unless_code_flow", Some(first().without("nonce").sign()), missing("nonce")),
        ("invalid_nonce", Some(first().with("nonce", "other").sign()), Problem::NonceMismatch),
        ("invalid_sig", Some(first().sign_with(&KEYS.other_rsa)), Problem::BadSignature),
        ("missing_id_token", None, Problem::Missing),
    ];
    for (name, first, expected) in cases {
        let (script, outcome) = sign_in(first.as_deref(), &second()).await;
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::IdToken(problem) if *problem == expected), "{name}: {error}");
        assert_eq!(script.count("/token"), 0, "{name}: the code was spent");
    }
}

#[tokio::test]
async fn both_id_tokens_are_about_the_same_person_and_code() {
    let cases = [
        (second().with("sub", "other"), Problem::NotTheCallbacks { claim: "sub" }),
        (second().with("c_hash", half("other")), Problem::CodeMismatch),
    ];
    for (second, expected) in cases {
        let error = sign_in(Some(&first().sign()), &second).await.1.unwrap_err();
        assert!(matches!(&error, Error::IdToken(problem) if *problem == expected), "{error}");
    }
    assert!(sign_in(Some(&first().sign()), &second().with("c_hash", half(CODE))).await.1.is_ok());
}

#[test]
fn an_id_token_never_comes_in_a_query() {
    for mode in [ResponseMode::Query, ResponseMode::QueryJwt] {
        let login = client(&Script::default()).authorize(REDIRECT_URI).with_id_token_in_callback();
        let outcome = login.with_response_mode(mode).begin(&mut Counting::default(), now());
        assert!(matches!(outcome, Err(Error::Misuse(Misuse::TokenInQuery))), "{mode:?}");
    }
}

#[test]
fn that_an_id_token_was_asked_for_is_remembered() {
    let (client, pending) = hybrid(&Script::default());
    let stored = serde_json::to_string(&pending).unwrap();
    let pending: Pending = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&pending).unwrap(), stored);
    assert!(stored.contains("wants_id_token"));
    drop(client);
}

#[tokio::test]
async fn who_was_signed_in_is_told_to_the_provider() {
    let script =
        Script::default().then("/jwks", usual_jwks()).then("/token", token_reply(&json!({})).to_string());
    let client = client(&script);
    let tokens = crate::support::signed_in(&client).await;
    let authorize = client.authorize(REDIRECT_URI).with_id_token_hint(&tokens.id_token);
    assert!(!format!("{authorize:?}").contains(tokens.id_token.as_secret().expose_secret()));
    let twice = authorize.clone().with_parameter("id_token_hint", "x").begin(&mut Counting::default(), now());
    assert!(matches!(twice, Err(Error::Misuse(Misuse::ReservedParameter { .. }))));
    let login = authorize.begin(&mut Counting::default(), now()).unwrap();
    let hint = tokens.id_token.as_secret().expose_secret();
    assert_eq!(value(&pairs(&login.url), "id_token_hint"), Some(hint));
}
