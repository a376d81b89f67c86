//! The grants beside code and device, and what is done with tokens. The texts were observed on Keycloak 26.6.4.

use serde_json::json;

use super::*;
use crate::Algorithm;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn post(world: &World, name: &str, fields: &[(&str, &str)]) -> Response {
    let url = format!("{}/protocol/openid-connect/{name}", world.issuer());
    world.handle(Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(fields)).unwrap()
}

fn userinfo(world: &World, token: &str) -> Response {
    let url = format!("{}/protocol/openid-connect/userinfo", world.issuer());
    world.handle(Request::get(&url).with_bearer(token)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_refresh_token_that_rotates_may_be_used_again_within_its_interval() {
    let world = World::new();
    world.provider().set_refresh_rotation(true);
    world.provider().set_reuse_interval(Duration::from_secs(3));
    let first = tokens(&world)["refresh_token"].clone();
    assert_eq!(refresh(&world, &first).status, 200);
    world.clock().advance(Duration::from_secs(2));
    let second = refresh(&world, &first).json()["refresh_token"].clone();
    world.clock().advance(Duration::from_secs(1));
    let reused = refresh(&world, &first);
    assert_refused(&reused, 400, "invalid_grant", "Maximum allowed refresh token reuse exceeded");
    assert_refused(&refresh(&world, &second), 400, "invalid_grant", "Session not active");
}

#[test]
fn a_refresh_that_asks_for_a_scope_that_does_not_exist_is_refused() {
    let world = World::new();
    let token = tokens(&world)["refresh_token"].clone();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", text(&token)), ("scope", "openid nope")];
    let response = token_request(&world, &fields);
    assert_refused(&response, 400, "invalid_scope", "Invalid scopes: openid nope");
}

#[test]
fn every_lie_of_a_refresh_shows_there() {
    let world = World::new();
    let original = tokens(&world);
    let id = |reply: &Value| jwt::parse(text(&reply["id_token"])).unwrap().claims;
    let before = id(&original);
    for (lie, claim) in [
        (Misbehaviour::RefreshOtherSubject, "sub"),
        (Misbehaviour::RefreshOtherIssuer, "iss"),
        (Misbehaviour::RefreshOtherAudience, "aud"),
        (Misbehaviour::RefreshOtherAuthTime, "auth_time"),
        (Misbehaviour::RefreshExpired, "exp"),
    ] {
        world.provider().misbehave(lie, Span::Once);
        let after = id(&refresh(&world, &original["refresh_token"]).json());
        assert_ne!(after[claim], before[claim], "{lie:?}");
    }
    world.provider().misbehave(Misbehaviour::RefreshKeepsToken, Span::Once);
    let reply = refresh(&world, &original["refresh_token"]).json();
    assert!(reply.get("refresh_token").is_none() && reply["access_token"].is_string());
}

#[test]
fn a_client_gets_tokens_in_its_own_name_once_it_has_an_account() {
    let world = World::new();
    let fields = [("grant_type", "client_credentials"), ("scope", "openid")];
    let refused = token_request(&world, &fields);
    let why = "Client not enabled to retrieve service account";
    assert_refused(&refused, 401, "unauthorized_client", why);

    world.provider().add_service_account(&["reader"]);
    let reply = token_request(&world, &fields).json();
    assert!(reply.get("refresh_token").is_none() && reply.get("session_state").is_none(), "{reply}");
    let claims = jwt::parse(text(&reply["access_token"])).unwrap().claims;
    assert_eq!(claims["preferred_username"], "service-account-vault-oidc");
    assert_eq!(claims["resource_access"]["vault-oidc"]["roles"], json!(["reader"]));
    assert!(claims.get("sid").is_none());
    assert_eq!(userinfo(&world, text(&reply["access_token"])).status, 200);
    assert!(world.provider().users().iter().all(|user| !user.name().starts_with("service")));
}

#[test]
fn an_access_token_is_exchanged_for_another() {
    let world = World::builder().public_client("cli").build();
    let subject = tokens(&world)["access_token"].clone();
    let exchange = |more: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", EXCHANGE)];
        fields.extend(more);
        token_request(&world, &fields)
    };
    let good = [("subject_token", text(&subject)), ("subject_token_type", ACCESS_TOKEN)];
    let reply = exchange(&good).json();
    assert_eq!(reply["issued_token_type"], ACCESS_TOKEN);
    assert!(reply.get("refresh_token").is_none());
    assert_eq!(userinfo(&world, text(&reply["access_token"])).status, 200);

    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    let with = |more: (&'static str, &'static str)| exchange(&[good[0], good[1], more]);
    for (response, error, why) in [
        (exchange(&[]), "invalid_request", "Parameter 'subject_token' required for standard token exchange"),
        (
            exchange(&good[..1]),
            "invalid_request",
            "Parameter 'subject_token_type' required for standard token exchange",
        ),
        (exchange(&[("subject_token", "x"), good[1]]), "invalid_request", "Invalid token"),
        (
            exchange(&[good[0], ("subject_token_type", id_token)]),
            "invalid_request",
            "Parameter 'subject_token' supports access tokens only",
        ),
        (with(("requested_token_type", "other")), "invalid_request", "requested_token_type unsupported"),
        (with(("audience", "nobody")), "invalid_client", "Audience not found"),
    ] {
        assert_refused(&response, 400, error, why);
    }
}

#[test]
fn a_request_that_was_pushed_is_good_once_and_for_a_minute() {
    let world = World::new();
    let url = authorize_url(&world, &[]);
    let query = encoding::from_form(url.split_once('?').unwrap().1.as_bytes());
    let fields: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let push = || {
        let response = post(&world, "ext/par/request", &fields);
        assert_eq!((response.status, &response.json()["expires_in"]), (201, &60.into()));
        let uri = text(&response.json()["request_uri"]).to_owned();
        let query = encoding::form([("client_id", "vault-oidc"), ("request_uri", uri.as_str())]);
        format!("{}/protocol/openid-connect/auth?{query}", world.issuer())
    };
    let pushed = push();
    let location = world.provider().sign_in(&pushed, "reader", "reader").unwrap().unwrap();
    assert_eq!(parameter(&location, "state").as_deref(), Some("state-of-mine"));
    assert_eq!(redeem(&world, &parameter(&location, "code").unwrap()).status, 200);
    assert_eq!(world.handle(Request::get(&pushed)).unwrap().status, 400);

    let late = push();
    world.clock().advance(Duration::from_secs(60));
    assert_eq!(world.handle(Request::get(&late)).unwrap().status, 400);
}

#[test]
fn what_is_wrong_with_a_pushed_request_is_told_at_once() {
    let world = World::new();
    let refused = |fields: &[(&str, &str)], why: &str| {
        assert_refused(&post(&world, "ext/par/request", fields), 400, "invalid_request", why);
    };
    let redirect = ("redirect_uri", REDIRECT);
    refused(&[("redirect_uri", "http://evil.example.com")], "Invalid parameter: redirect_uri");
    refused(&[redirect, ("response_type", "bad")], "Unsupported response type");
    refused(&[redirect, ("request_uri", "x")], "It is not allowed to include request_uri to PAR.");
    let url = format!("{}/protocol/openid-connect/ext/par/request", world.issuer());
    let stranger = world.handle(Request::post(&url).with_form(&[redirect])).unwrap();
    assert_refused(&stranger, 401, "invalid_request", "Authentication failed.");
}

#[test]
fn a_sign_in_that_is_too_old_is_asked_for_again() {
    let world = World::new();
    let form = world.handle(Request::get(&authorize_url(&world, &[]))).unwrap();
    let cookie = form.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let action = page::form_action(&form.text()).unwrap();
    let post = Request::post(&action)
        .with_header("Cookie", &cookie)
        .with_form(&[("username", "reader"), ("password", "reader")]);
    let identity =
        world.handle(post).unwrap().header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let status = |changes: &[(&str, Option<&str>)]| {
        let url = authorize_url(&world, changes);
        let response = world.handle(Request::get(&url).with_header("Cookie", &identity)).unwrap();
        (response.status, response.header("Location").and_then(|to| parameter(to, "error")))
    };
    world.clock().advance(Duration::from_secs(10));
    assert_eq!(status(&[("max_age", Some("10"))]), (302, None));
    assert_eq!(status(&[("max_age", Some("9"))]), (200, None));
    let silent = [("max_age", Some("9")), ("prompt", Some("none"))];
    assert_eq!(status(&silent), (302, Some("login_required".to_owned())));
    assert_eq!(status(&[("max_age", Some("x"))]).0, 400);
}

#[test]
fn an_id_token_says_when_the_person_signed_in_also_after_a_refresh() {
    let world = World::new();
    let reply = tokens(&world);
    let claims = |reply: &Value| jwt::parse(text(&reply["id_token"])).unwrap().claims;
    let signed_in = claims(&reply)["auth_time"].clone();
    assert_eq!(signed_in, encoding::unix_seconds(world.now()));
    world.clock().advance(Duration::from_secs(100));
    let later = claims(&refresh(&world, &reply["refresh_token"]).json());
    assert_eq!(
        (&later["auth_time"], later["iat"].as_u64()),
        (&signed_in, signed_in.as_u64().map(|at| at + 100))
    );
}

#[test]
fn userinfo_is_signed_on_demand() {
    let world = World::new();
    world.provider().set_signed_userinfo(true);
    let response = userinfo(&world, text(&tokens(&world)["access_token"]));
    assert_eq!(response.header("Content-Type"), Some("application/jwt"));
    let token = response.text();
    let parts = jwt::parse(&token).unwrap();
    assert!(
        parts.is_signed_by(&[PublicKey::of_pem(&world.provider().public_key_pem()).unwrap()], &["RS256"])
    );
    assert_eq!((&parts.claims["aud"], &parts.claims["iss"]), (&json!("vault-oidc"), &json!(world.issuer())));
}

#[test]
fn what_is_wrong_with_a_bearer_token_stands_in_the_header() {
    let world = World::new();
    let url = format!("{}/protocol/openid-connect/userinfo", world.issuer());
    let bare = world.handle(Request::get(&url)).unwrap();
    assert_eq!(bare.header("WWW-Authenticate"), Some("Bearer realm=\"HashiCorp\""));
    let bad = userinfo(&world, "x");
    assert_eq!((bad.status, bad.body.len()), (401, 0));
    let expected = "Bearer realm=\"HashiCorp\", error=\"invalid_token\", error_description=\"Token verification failed\"";
    assert_eq!(bad.header("WWW-Authenticate"), Some(expected));
}

#[test]
fn a_token_without_the_openid_scope_gets_no_claims() {
    let world = World::new();
    let location = signed_in(&world, &[("scope", Some("profile"))]);
    let reply = redeem(&world, &parameter(&location, "code").unwrap()).json();
    assert!(reply.get("id_token").is_none());
    let refused = userinfo(&world, text(&reply["access_token"]));
    let expected = "Bearer realm=\"HashiCorp\", error=\"insufficient_scope\", error_description=\"Missing openid scope\"";
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (403, Some(expected)));
}

#[test]
fn introspection_knows_access_tokens_and_with_a_hint_refresh_tokens() {
    let world = World::new();
    let reply = tokens(&world);
    let ask = |fields: &[(&str, &str)]| post(&world, "token/introspect", fields).json();
    let (access, refresh) = (text(&reply["access_token"]), text(&reply["refresh_token"]));
    let good = ask(&[("token", access)]);
    assert_eq!((&good["active"], &good["username"]), (&json!(true), &json!("reader")));
    assert_eq!(ask(&[("token", refresh)]), json!({"active": false}));
    let hinted = ask(&[("token", refresh), ("token_type_hint", "refresh_token")]);
    assert_eq!((&hinted["active"], &hinted["token_type"]), (&json!(true), &json!("Refresh")));
    let nothing = post(&world, "token/introspect", &[]);
    assert_refused(&nothing, 400, "invalid_request", "Token not provided.");
    world.clock().advance(Duration::from_secs(300));
    assert_eq!(ask(&[("token", access)]), json!({"active": false}));
}

#[test]
fn a_revoked_token_is_dead_and_revoking_it_again_changes_nothing() {
    let world = World::new();
    let reply = tokens(&world);
    let revoke = |token: &Value| post(&world, "revoke", &[("token", text(token))]);
    assert_eq!(revoke(&reply["access_token"]).body.len(), 0);
    assert_eq!(userinfo(&world, text(&reply["access_token"])).status, 401);
    assert_eq!(refresh(&world, &reply["refresh_token"]).status, 200);
    assert_refused(&revoke(&reply["access_token"]), 200, "invalid_token", "Invalid token");
    assert_eq!(revoke(&reply["refresh_token"]).status, 200);
    let dead = refresh(&world, &reply["refresh_token"]);
    assert_refused(&dead, 400, "invalid_grant", "Session not active");
}

#[test]
fn a_key_of_each_algorithm_signs_and_is_announced() {
    for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::new();
        world.provider().sign_with(algorithm);
        let reply = tokens(&world);
        let token = text(&reply["id_token"]);
        let parts = jwt::parse(token).unwrap();
        let url = format!("{}/protocol/openid-connect/certs", world.issuer());
        let keys = world.handle(Request::get(&url)).unwrap().json();
        let keys = PublicKey::of_key_set(&keys, parts.header["kid"].as_str());
        assert!(parts.is_signed_by(&keys, &[algorithm.name()]), "{algorithm:?}");
        let expected = jwt::half_hash(text(&reply["access_token"]), algorithm);
        assert_eq!(parts.claims["at_hash"], expected, "{algorithm:?}");
        let discovery = format!("{}/.well-known/openid-configuration", world.issuer());
        let document = world.handle(Request::get(&discovery)).unwrap().json();
        let announced = &document["id_token_signing_alg_values_supported"];
        assert_eq!(announced, &json!(["RS256", algorithm.name()]));
    }
}

#[test]
fn the_answer_comes_in_the_mode_that_was_asked_for() {
    let world = World::new();
    let fragment = signed_in(&world, &[("response_mode", Some("fragment"))]);
    assert!(fragment.contains("callback#") && parameter(&fragment, "code").is_some());
    let silent = [("response_mode", Some("form_post")), ("prompt", Some("none"))];
    let page = world.handle(Request::get(&authorize_url(&world, &silent))).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("name=\"error\" value=\"login_required\""));
}
