//! The device grant. The texts were observed on Keycloak 26.6.4.

use super::*;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn begin(world: &World, fields: &[(&str, &str)]) -> Value {
    let url = format!("{}/protocol/openid-connect/auth/device", world.issuer());
    let request = Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(fields);
    let response = world.handle(request).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn poll(world: &World, device: &Value) -> Response {
    let code = device["device_code"].as_str().unwrap();
    token_request(world, &[("grant_type", GRANT), ("device_code", code)])
}

fn pass(world: &World, seconds: u64) {
    world.clock().advance(Duration::from_secs(seconds));
}

#[test]
fn a_device_gets_its_tokens_once_somebody_has_typed_its_code_in() {
    let world = World::new();
    let device = begin(&world, &[("scope", "openid")]);
    let code = device["user_code"].as_str().unwrap();
    assert_eq!((&device["expires_in"], &device["interval"]), (&600.into(), &5.into()));
    assert_eq!(device["verification_uri"], format!("{}/device", world.issuer()));
    assert_eq!(code.len(), 9);

    let pending = poll(&world, &device);
    assert_refused(&pending, 400, "authorization_pending", "The authorization request is still pending");
    assert!(world.provider().approve_device(code, "reader"));
    pass(&world, 5);
    let reply = poll(&world, &device).json();
    let claims = jwt::parse(reply["id_token"].as_str().unwrap()).unwrap().claims;
    assert_eq!(claims["preferred_username"], "reader");
    assert!(reply["refresh_token"].is_string());
    pass(&world, 5);
    assert_refused(&poll(&world, &device), 400, "invalid_grant", "Device code not valid");
    assert!(!world.provider().approve_device(code, "reader"), "the code was used up");
}

#[test]
fn a_device_that_asks_too_often_is_told_so() {
    let world = World::new();
    let device = begin(&world, &[]);
    poll(&world, &device);
    pass(&world, 4);
    assert_refused(&poll(&world, &device), 400, "slow_down", "Slow down");
    pass(&world, 5);
    let pending = poll(&world, &device);
    assert_refused(&pending, 400, "authorization_pending", "The authorization request is still pending");
}

#[test]
fn a_device_that_nobody_wants_is_denied_and_one_that_waits_too_long_is_late() {
    let world = World::new();
    let denied = begin(&world, &[]);
    assert!(world.provider().deny_device(denied["user_code"].as_str().unwrap()));
    let text = "The end user denied the authorization request";
    assert_refused(&poll(&world, &denied), 400, "access_denied", text);

    let late = begin(&world, &[]);
    pass(&world, 600);
    assert!(!world.provider().approve_device(late["user_code"].as_str().unwrap(), "reader"));
    assert_refused(&poll(&world, &late), 400, "expired_token", "Device code is expired");
}

#[test]
fn a_person_types_the_code_in_and_signs_in() {
    let world = World::new();
    let device = begin(&world, &[("scope", "openid")]);
    let uri = device["verification_uri"].as_str().unwrap();
    let form = world.handle(Request::get(uri)).unwrap();
    assert!(form.text().contains("device_user_code"));
    let wrong = Request::post(uri).with_form(&[("device_user_code", "AAAA-AAAA")]);
    assert_eq!(world.handle(wrong).unwrap().status, 401);

    let complete = device["verification_uri_complete"].as_str().unwrap();
    assert_eq!(world.provider().sign_in(complete, "reader", "reader").unwrap(), None);
    assert_eq!(poll(&world, &device).status, 200);
}

#[test]
fn the_code_of_a_device_is_bound_to_its_client_and_its_verifier() {
    let world = World::builder().public_client("cli").build();
    let device =
        begin(&world, &[("code_challenge", &jwt::s256(VERIFIER)), ("code_challenge_method", "S256")]);
    let code = device["device_code"].as_str().unwrap();
    world.provider().approve_device(device["user_code"].as_str().unwrap(), "reader");
    assert_refused(&poll(&world, &device), 400, "invalid_grant", "PKCE code verifier not specified");

    let url = format!("{}/protocol/openid-connect/token", world.issuer());
    let fields = [("grant_type", GRANT), ("device_code", code), ("client_id", "cli")];
    let other = world.handle(Request::post(&url).with_form(&fields)).unwrap();
    assert_refused(&other, 400, "invalid_grant", "Device code not valid");

    pass(&world, 5);
    let fields = [("grant_type", GRANT), ("device_code", code), ("code_verifier", VERIFIER)];
    assert_eq!(token_request(&world, &fields).status, 200);
}
