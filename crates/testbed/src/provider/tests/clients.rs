//! How clients prove who they are, and which pages may read.

use serde_json::json;

use super::*;
use crate::jwt::{Algorithm, SigningKey};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn assertion(world: &World, key: &SigningKey, changes: &Value) -> String {
    let now = encoding::unix_seconds(world.now());
    let mut claims = json!({
        "iss": "vault-oidc", "sub": "vault-oidc", "aud": world.issuer(), "exp": now + 60, "jti": random::uuid(),
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    jwt::sign(&json!({"alg": key.algorithm().name()}), &claims, key)
}

fn redeem_with_assertion(world: &World, assertion: &str) -> Response {
    let url = format!("{}/protocol/openid-connect/token", world.issuer());
    let code = code(world);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    world.handle(Request::post(&url).with_form(&fields)).unwrap()
}

#[test]
fn a_client_proves_itself_with_a_key_that_it_has_registered() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let key = SigningKey::for_rotation(0, algorithm);
        let keys = json!({"keys": [key.jwk("of-the-client")]});
        let world = World::builder().client_keys(&keys).build();
        let good = assertion(&world, &key, &json!({}));
        assert_eq!(redeem_with_assertion(&world, &good).status, 200, "{algorithm:?}");
        assert_eq!(redeem_with_assertion(&world, &good).status, 401, "{algorithm:?} shown twice");
    }
}

#[test]
fn a_client_proves_itself_with_its_secret_as_a_key() {
    let world = World::new();
    let now = encoding::unix_seconds(world.now());
    let claims = json!({
        "iss": "vault-oidc", "sub": "vault-oidc", "aud": world.issuer(), "exp": now + 60, "jti": "one",
    });
    let input = jwt::unsigned(&json!({"alg": "HS256"}), &claims);
    for (secret, status) in [("wrong!", 401), ("s3cr3t", 200)] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = encoding::base64url(aws_lc_rs::hmac::sign(&key, input.as_bytes()).as_ref());
        let response = redeem_with_assertion(&world, &format!("{input}.{signature}"));
        assert_eq!(response.status, status, "{secret}");
    }
}

#[test]
fn an_assertion_that_is_not_the_clients_own_or_not_for_us_is_refused() {
    let key = SigningKey::for_rotation(0, Algorithm::Es256);
    let world = World::builder().client_keys(&json!({"keys": [key.jwk("k")]})).build();
    let now = encoding::unix_seconds(world.now());
    for changes in [
        json!({"iss": "somebody-else"}),
        json!({"sub": "somebody-else"}),
        json!({"aud": "https://evil.example.com"}),
        json!({"exp": now}),
        json!({"exp": now + 3601}),
        json!({"jti": ""}),
    ] {
        let response = redeem_with_assertion(&world, &assertion(&world, &key, &changes));
        let text = "Invalid client or Invalid client credentials";
        assert_refused(&response, 401, "invalid_client", text);
    }
    let other = SigningKey::for_rotation(0, Algorithm::Es256);
    assert_eq!(redeem_with_assertion(&world, &assertion(&world, &other, &json!({}))).status, 401);
}

#[test]
fn a_public_client_has_no_secret_and_its_own_tokens() {
    let world = World::builder().public_client("cli").build();
    let location = signed_in(&world, &[("client_id", Some("cli"))]);
    let code = parameter(&location, "code").unwrap();
    let stolen = redeem(&world, &code);
    assert_refused(&stolen, 400, "invalid_grant", "Auth error");

    let url = format!("{}/protocol/openid-connect/token", world.issuer());
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "cli"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let reply = world.handle(Request::post(&url).with_form(&fields)).unwrap().json();
    let claims = jwt::parse(reply["id_token"].as_str().unwrap()).unwrap().claims;
    assert_eq!((&claims["aud"], &claims["azp"]), (&json!("cli"), &json!("cli")));
    let other = refresh(&world, &reply["refresh_token"]);
    let text = "Invalid refresh token. Token client and authorized client don't match";
    assert_refused(&other, 400, "invalid_grant", text);
}

#[test]
fn a_page_may_read_where_the_client_has_named_its_origin() {
    let world = World::builder().web_origin("https://lab.example.com").build();
    let url = |name: &str| format!("{}/protocol/openid-connect/{name}", world.issuer());
    let ask = |request: Request, origin: &str| world.handle(request.with_header("Origin", origin)).unwrap();
    for (origin, allowed) in [
        ("https://lab.example.com", true),
        ("http://localhost:8888", true),
        ("https://evil.example.com", false),
        ("http://localhost.example.com", false),
    ] {
        let response = ask(Request::post(&url("token")), origin);
        let told = response.header("Access-Control-Allow-Origin");
        assert_eq!(told, allowed.then_some(origin), "{origin}");
        assert_eq!(response.status == 403, !allowed, "{origin}");
    }
    // Public documents are for everybody, and every preflight is answered.
    let keys = ask(Request::get(&url("certs")), "https://evil.example.com");
    assert_eq!(keys.header("Access-Control-Allow-Origin"), Some("https://evil.example.com"));
    let preflight = ask(Request::new("OPTIONS", &url("token")), "http://localhost:8888");
    assert_eq!(preflight.header("Access-Control-Allow-Methods"), Some("POST, OPTIONS"));
}

#[test]
fn a_page_cuts_itself_off_from_its_opener_where_that_was_asked_for() {
    let plain = World::new();
    let page = plain.handle(Request::new("GET", &authorize_url(&plain, &[]))).unwrap();
    assert_eq!(page.header("Cross-Origin-Opener-Policy"), None);

    let world = World::builder().opener_policy("same-origin").build();
    let page = world.handle(Request::new("GET", &authorize_url(&world, &[]))).unwrap();
    assert_eq!(page.header("Cross-Origin-Opener-Policy"), Some("same-origin"));
    let keys = format!("{}/protocol/openid-connect/certs", world.issuer());
    assert_eq!(world.handle(Request::new("GET", &keys)).unwrap().header("Cross-Origin-Opener-Policy"), None);
}
