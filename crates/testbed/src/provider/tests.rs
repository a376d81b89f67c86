//! What Keycloak does, and what it refuses.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::{encoding, jwt, jwt::PublicKey};

mod clients;
mod device;
mod grants;
mod logout;
mod suite;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://localhost:8250/oidc/callback";

fn authorize_url(world: &World, changes: &[(&str, Option<&str>)]) -> String {
    let challenge = jwt::s256(VERIFIER);
    let mut fields = vec![
        ("client_id", "vault-oidc"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "state-of-mine"),
        ("nonce", "nonce-of-mine"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        fields.retain(|(field, _)| field != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    format!("{}/protocol/openid-connect/auth?{}", world.issuer(), encoding::form(fields))
}

fn parameter(location: &str, name: &str) -> Option<String> {
    let (_, query) = location.split_once(['?', '#'])?;
    encoding::from_form(query.as_bytes()).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn signed_in(world: &World, changes: &[(&str, Option<&str>)]) -> String {
    world.provider().sign_in(&authorize_url(world, changes), "reader", "reader").unwrap().unwrap()
}

fn token_request(world: &World, fields: &[(&str, &str)]) -> Response {
    let url = format!("{}/protocol/openid-connect/token", world.issuer());
    world.handle(Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(fields)).unwrap()
}

fn redeem(world: &World, code: &str) -> Response {
    redeem_with(world, code, &[("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)])
}

fn redeem_with(world: &World, code: &str, more: &[(&str, &str)]) -> Response {
    let mut fields = vec![("grant_type", "authorization_code"), ("code", code)];
    fields.extend(more);
    token_request(world, &fields)
}

fn code(world: &World) -> String {
    parameter(&signed_in(world, &[]), "code").unwrap()
}

fn tokens(world: &World) -> Value {
    redeem(world, &code(world)).json()
}

fn id_token_claims(world: &World) -> Value {
    jwt::parse(tokens(world)["id_token"].as_str().unwrap()).unwrap().claims
}

fn refresh(world: &World, token: &Value) -> Response {
    token_request(world, &[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())])
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, error: &str, description: &str) {
    let body = response.json();
    let actual = (response.status, body["error"].as_str(), body["error_description"].as_str());
    assert_eq!(actual, (status, Some(error), Some(description)));
}

#[test]
fn a_sign_in_ends_in_tokens_that_the_key_set_verifies() {
    let world = World::new();
    let location = signed_in(&world, &[]);
    assert!(location.starts_with(REDIRECT));
    assert_eq!(parameter(&location, "state").as_deref(), Some("state-of-mine"));
    assert_eq!(parameter(&location, "iss"), Some(world.issuer()));

    let reply = redeem(&world, &parameter(&location, "code").unwrap());
    assert_eq!(reply.status, 200);
    let reply = reply.json();
    assert_eq!((&reply["expires_in"], &reply["refresh_expires_in"]), (&300.into(), &1800.into()));

    let keys = world
        .handle(Request::get(&format!("{}/protocol/openid-connect/certs", world.issuer())))
        .unwrap()
        .json();
    let parts = jwt::parse(reply["id_token"].as_str().unwrap()).unwrap();
    assert!(parts.is_signed_by(&PublicKey::of_key_set(&keys, parts.header["kid"].as_str()), &["RS256"]));
    let claims = &parts.claims;
    assert_eq!(claims["iss"], world.issuer());
    assert_eq!((&claims["aud"], &claims["azp"]), (&"vault-oidc".into(), &"vault-oidc".into()));
    assert_eq!((&claims["nonce"], &claims["typ"]), (&"nonce-of-mine".into(), &"ID".into()));
    assert_eq!(claims["resource_access"]["vault-oidc"]["roles"], serde_json::json!(["reader"]));
    assert_eq!(
        claims["at_hash"],
        jwt::half_hash(reply["access_token"].as_str().unwrap(), crate::Algorithm::Rs256)
    );
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|issued| issued + 300));
}

#[test]
fn a_wrong_password_shows_the_form_again() {
    let world = World::new();
    let url = authorize_url(&world, &[]);
    assert_eq!(world.provider().sign_in(&url, "reader", "wrong").unwrap(), None);
    let page = world.handle(Request::get(&url)).unwrap();
    let cookie = page.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let action = page::form_action(&page.text()).unwrap();
    let post = |password: &str| {
        let form = Request::post(&action).with_form(&[("username", "reader"), ("password", password)]);
        world.handle(form.with_header("Cookie", &cookie)).unwrap()
    };
    let again = post("wrong");
    assert_eq!(again.status, 200);
    assert!(again.text().contains("Invalid username or password."));
    assert_eq!(post("reader").status, 302);
    assert_eq!(post("reader").status, 400, "the form is good for one sign-in");
}

#[test]
fn the_form_needs_the_cookie_of_the_browser_that_opened_it() {
    let world = World::new();
    let page = world.handle(Request::get(&authorize_url(&world, &[]))).unwrap();
    let form = Request::post(&page::form_action(&page.text()).unwrap())
        .with_form(&[("username", "reader"), ("password", "reader")]);
    let stranger =
        world.handle(form.clone().with_header("Cookie", "AUTH_SESSION_ID=somebody-elses")).unwrap();
    assert_eq!(stranger.status, 400);
    let refused = world.handle(form).unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Cookie not found."));
}

#[test]
fn a_browser_with_a_session_is_sent_back_at_once() {
    let world = World::new();
    let page = world.handle(Request::get(&authorize_url(&world, &[]))).unwrap();
    let cookie = page.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let form = Request::post(&page::form_action(&page.text()).unwrap())
        .with_form(&[("username", "reader"), ("password", "reader")]);
    let done = world.handle(form.with_header("Cookie", &cookie)).unwrap();
    let session = done.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();

    let again = Request::get(&authorize_url(&world, &[])).with_header("Cookie", &session);
    assert_eq!(world.handle(again.clone()).unwrap().status, 302);
    let asked =
        Request::get(&authorize_url(&world, &[("prompt", Some("login"))])).with_header("Cookie", &session);
    assert_eq!(world.handle(asked).unwrap().status, 200);
    world.clock().advance(Duration::from_secs(10 * 3600));
    assert_eq!(world.handle(again).unwrap().status, 200, "ten hours later the session is over");
}

#[test]
fn a_code_is_good_once_and_its_second_use_ends_the_session() {
    let world = World::new();
    let code = code(&world);
    let first = redeem(&world, &code).json();
    assert_refused(&redeem(&world, &code), 400, "invalid_grant", "Code not valid");
    assert_refused(&refresh(&world, &first["refresh_token"]), 400, "invalid_grant", "Session not active");
}

#[test]
fn a_code_is_good_for_sixty_seconds() {
    let world = World::new();
    let (early, late) = (code(&world), code(&world));
    world.clock().advance(Duration::from_secs(59));
    assert_eq!(redeem(&world, &early).status, 200);
    world.clock().advance(Duration::from_secs(1));
    assert_refused(&redeem(&world, &late), 400, "invalid_grant", "Code not valid");
}

#[test]
fn a_code_is_bound_to_redirect_address_and_verifier() {
    let world = World::new();
    let other = "another-verifier-of-forty-three-characters-x";
    for (fields, description) in [
        (vec![("code_verifier", VERIFIER)], "Incorrect redirect_uri"),
        (
            vec![("redirect_uri", "http://localhost:1/"), ("code_verifier", VERIFIER)],
            "Incorrect redirect_uri",
        ),
        (vec![("redirect_uri", REDIRECT)], "PKCE code verifier not specified"),
        (
            vec![("redirect_uri", REDIRECT), ("code_verifier", other)],
            "PKCE verification failed: Code mismatch",
        ),
        (
            vec![("redirect_uri", REDIRECT), ("code_verifier", "short")],
            "PKCE verification failed: Invalid code verifier",
        ),
    ] {
        assert_refused(&redeem_with(&world, &code(&world), &fields), 400, "invalid_grant", description);
    }
}

#[test]
fn a_client_proves_itself_by_header_or_by_form() {
    let world = World::new();
    let url = format!("{}/protocol/openid-connect/token", world.issuer());
    let ask = |id: &str, secret: &str, is_basic: bool| {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", "none")];
        let mut request = Request::post(&url);
        if is_basic {
            request = request.with_basic(id, secret);
        } else {
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
        world.handle(request.with_form(&fields)).unwrap()
    };
    let refusal = "Invalid client or Invalid client credentials";
    for is_basic in [true, false] {
        assert_refused(&ask("vault-oidc", "wrong", is_basic), 401, "unauthorized_client", refusal);
        assert_refused(&ask("stranger", "s3cr3t", is_basic), 401, "invalid_client", refusal);
        assert_refused(&ask("vault-oidc", "s3cr3t", is_basic), 400, "invalid_grant", "Invalid refresh token");
    }
}

#[test]
fn redirect_addresses_are_any_port_on_loopback_and_out_of_band() {
    let world = World::builder().redirect_uri("https://hub.example.com/cb*").build();
    for (redirect_uri, status) in [
        ("http://localhost:1/x", 200),
        ("http://127.0.0.1:65535/", 200),
        ("http://[::1]:8250/oidc/callback", 200),
        (OUT_OF_BAND, 200),
        ("https://hub.example.com/cb?x=1", 200),
        ("https://evil.example.com/", 400),
        ("http://evil.example.com/", 400),
        ("http://localhost.evil.example.com/", 400),
        ("http://localhost@evil.example.com/", 400),
        ("https://localhost/", 400),
    ] {
        let url = authorize_url(&world, &[("redirect_uri", Some(redirect_uri))]);
        let page = world.handle(Request::get(&url)).unwrap();
        assert_eq!(page.status, status, "{redirect_uri}");
        assert_eq!(page.text().contains("Invalid parameter: redirect_uri"), status == 400);
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told_to_the_client() {
    let world = World::new();
    for (changes, error) in [
        (vec![("response_type", None)], "invalid_request"),
        (vec![("response_type", Some("token"))], "unsupported_response_type"),
        (vec![("code_challenge_method", Some("plain"))], "invalid_request"),
        (vec![("code_challenge_method", None)], "invalid_request"),
        (vec![("prompt", Some("none"))], "login_required"),
    ] {
        let response = world.handle(Request::get(&authorize_url(&world, &changes))).unwrap();
        let location = response.header("Location").unwrap();
        assert_eq!(parameter(location, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(parameter(location, "iss"), Some(world.issuer()));
    }
}

#[test]
fn out_of_band_ends_on_a_page_that_shows_the_code() {
    let world = World::new();
    let location = signed_in(&world, &[("redirect_uri", Some(OUT_OF_BAND))]);
    assert!(location.starts_with(&format!("{}/protocol/openid-connect/oauth/oob?state=", world.issuer())));
    assert_eq!(parameter(&location, "iss"), Some(world.issuer()));
    let code = parameter(&location, "code").unwrap();
    let page = world.handle(Request::get(&location)).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("<input id=\"code\" readonly=\"readonly\" value=\"{code}\">")));
    let reply = redeem_with(&world, &code, &[("redirect_uri", OUT_OF_BAND), ("code_verifier", VERIFIER)]);
    assert_eq!(reply.status, 200);
}

#[test]
fn a_refusal_of_the_person_comes_back_as_access_denied() {
    let world = World::new();
    let page = || world.handle(Request::get(&authorize_url(&world, &[]))).unwrap();
    assert!(!page().text().contains("name=\"cancel\""));
    world.provider().set_consent(Consent::Asked);
    let page = page();
    assert!(page.text().contains("name=\"cancel\""));
    let cookie = page.header("Set-Cookie").unwrap().split(';').next().unwrap();
    let cancel = Request::post(&page::form_action(&page.text()).unwrap())
        .with_header("Cookie", cookie)
        .with_form(&[("cancel", "cancel")]);
    let location = world.handle(cancel).unwrap().header("Location").unwrap().to_owned();
    assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&location, "code"), None);

    world.provider().set_consent(Consent::Refused);
    assert_eq!(parameter(&signed_in(&world, &[]), "error").as_deref(), Some("access_denied"));
}

#[test]
fn a_refresh_token_lives_half_an_hour_and_may_be_used_again_unless_it_rotates() {
    let world = World::new();
    let first = tokens(&world);
    assert_eq!(refresh(&world, &first["refresh_token"]).status, 200);
    let second = refresh(&world, &first["refresh_token"]).json();
    let claims = jwt::parse(second["id_token"].as_str().unwrap()).unwrap().claims;
    assert_eq!(claims.get("nonce"), None, "Keycloak leaves it out of a refreshed ID token");

    world.provider().set_refresh_rotation(true);
    let reused = refresh(&world, &first["refresh_token"]);
    assert_refused(&reused, 400, "invalid_grant", "Maximum allowed refresh token reuse exceeded");

    let late = tokens(&world);
    world.clock().advance(Duration::from_secs(1800));
    assert_refused(&refresh(&world, &late["refresh_token"]), 400, "invalid_grant", "Token is not active");
}

#[test]
fn userinfo_answers_an_access_token_until_it_expires() {
    let world = World::new();
    let token = tokens(&world)["access_token"].as_str().unwrap().to_owned();
    let ask = || {
        let url = format!("{}/protocol/openid-connect/userinfo", world.issuer());
        world.handle(Request::get(&url).with_bearer(&token)).unwrap()
    };
    assert_eq!(ask().json()["email"], "reader@example.com");
    world.clock().advance(Duration::from_secs(300));
    assert_eq!(ask().status, 401);
}

#[test]
fn revoking_a_refresh_token_ends_the_session() {
    let world = World::new();
    let tokens = tokens(&world);
    let url = format!("{}/protocol/openid-connect/revoke", world.issuer());
    let fields = [("token", tokens["refresh_token"].as_str().unwrap())];
    let revoke = Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(&fields);
    assert_eq!(world.handle(revoke).unwrap().status, 200);
    let url = format!("{}/protocol/openid-connect/token/introspect", world.issuer());
    let fields = [("token", tokens["access_token"].as_str().unwrap())];
    let look = Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(&fields);
    assert_eq!(world.handle(look).unwrap().json()["active"], false);
}

#[test]
fn another_realm_does_not_exist() {
    let world = World::new();
    let url = world.issuer().replace("HashiCorp", "Other") + "/.well-known/openid-configuration";
    let response = world.handle(Request::get(&url)).unwrap();
    assert_eq!((response.status, response.text().as_str()), (404, r#"{"error":"Realm does not exist"}"#));
}

#[test]
fn discovery_says_what_keycloak_says() {
    let world = World::new();
    let url = format!("{}/.well-known/openid-configuration", world.issuer());
    let read = || world.handle(Request::get(&url)).unwrap().json();
    let document = read();
    assert_eq!(document["issuer"], world.issuer());
    assert_eq!(document["jwks_uri"], format!("{}/protocol/openid-connect/certs", world.issuer()));
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["plain", "S256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);

    world.provider().misbehave(Misbehaviour::DiscoveryIssuer, Span::Once);
    world.provider().misbehave(Misbehaviour::NoS256, Span::Always);
    let lie = read();
    assert_ne!(lie["issuer"], world.issuer());
    assert_eq!(lie["code_challenge_methods_supported"], serde_json::json!(["plain"]));
    let half_a_lie = read();
    assert_eq!(half_a_lie["issuer"], world.issuer(), "once is once");
    assert_eq!(half_a_lie["code_challenge_methods_supported"], serde_json::json!(["plain"]));
}

#[test]
fn the_key_set_has_a_key_for_encryption_and_keeps_the_old_keys_of_a_rotation() {
    let world = World::new();
    let uses = || -> Vec<String> {
        let url = format!("{}/protocol/openid-connect/certs", world.issuer());
        let set = world.handle(Request::get(&url)).unwrap().json();
        set["keys"].as_array().unwrap().iter().map(|key| key["use"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uses(), ["enc", "sig"]);
    let old = world.provider().public_key_pem();
    world.provider().rotate_keys();
    assert_eq!(uses(), ["enc", "sig", "sig"]);
    assert_ne!(world.provider().public_key_pem(), old);
    world.provider().forget_old_keys();
    assert_eq!(uses(), ["enc", "sig"]);
    world.provider().misbehave(Misbehaviour::UnknownKeyType, Span::Once);
    assert_eq!(uses().len(), 3);
}

#[test]
fn every_lie_in_the_callback_shows_there() {
    use Misbehaviour as M;
    let world = World::new();
    let with = |lie| {
        world.provider().misbehave(lie, Span::Once);
        signed_in(&world, &[])
    };
    assert_eq!(parameter(&with(M::CallbackIssuerMissing), "iss"), None);
    assert_ne!(parameter(&with(M::CallbackIssuerOther), "iss"), Some(world.issuer()));
    assert_eq!(parameter(&with(M::CallbackStateMissing), "state"), None);
    assert_ne!(parameter(&with(M::CallbackStateOther), "state").as_deref(), Some("state-of-mine"));
    assert_eq!(with(M::CallbackCodeTwice).matches("code=").count(), 2);
    assert_eq!(parameter(&signed_in(&world, &[]), "iss"), Some(world.issuer()));
}

#[test]
fn every_lie_in_the_id_token_shows_there() {
    use Misbehaviour as M;
    let world = World::new();
    let now = encoding::unix_seconds(world.clock().now());
    let good = id_token_claims(&world);
    let with = |lie| {
        world.provider().misbehave(lie, Span::Once);
        id_token_claims(&world)
    };
    for (lie, claim) in [
        (M::MissingIssuer, "iss"),
        (M::MissingAudience, "aud"),
        (M::MissingNonce, "nonce"),
        (M::MissingSubject, "sub"),
        (M::MissingIssuedAt, "iat"),
        (M::MissingExpiry, "exp"),
    ] {
        assert_eq!(with(lie).get(claim), None, "{lie:?}");
    }
    for (lie, claim) in [
        (M::OtherIssuer, "iss"),
        (M::OtherAudience, "aud"),
        (M::ExtraAudience, "aud"),
        (M::AudienceAsList, "aud"),
        (M::OtherAuthorizedParty, "azp"),
        (M::OtherNonce, "nonce"),
        (M::OtherAccessTokenHash, "at_hash"),
    ] {
        assert_ne!(with(lie)[claim], good[claim], "{lie:?}");
    }
    assert_eq!(with(M::IssuedInFuture(Duration::from_secs(3600)))["iat"], now + 3600);
    assert!(with(M::Expired)["exp"].as_u64().unwrap() < now);
    assert!(with(M::NotYetValid)["nbf"].as_u64().unwrap() > now);
}

#[test]
fn every_lie_in_the_signature_shows_there() {
    use Misbehaviour as M;
    let world = World::new();
    let url = format!("{}/protocol/openid-connect/certs", world.issuer());
    let keys = world.handle(Request::get(&url)).unwrap().json();
    let is_accepted = |lie: Option<Misbehaviour>| {
        if let Some(lie) = lie {
            world.provider().misbehave(lie, Span::Once);
        }
        let token = tokens(&world)["id_token"].as_str().unwrap().to_owned();
        let parts = jwt::parse(&token).unwrap();
        parts.is_signed_by(&PublicKey::of_key_set(&keys, parts.header["kid"].as_str()), &["RS256"])
    };
    assert!(is_accepted(None));
    assert!(is_accepted(Some(M::NoKeyId)));
    for lie in [M::AlgNone, M::AlgHs256, M::BrokenSignature, M::UnknownCritical, M::UnknownKeyId] {
        assert!(!is_accepted(Some(lie)), "{lie:?}");
    }
}

#[test]
fn the_world_remembers_every_secret_of_a_sign_in() {
    let world = World::new();
    let code = code(&world);
    let tokens = redeem(&world, &code).json();
    let secret = |text: &str| world.canary().find_all_in(text);
    assert!(secret(&code).contains(&Kind::Code));
    assert!(secret(tokens["access_token"].as_str().unwrap()).contains(&Kind::AccessToken));
    assert!(secret(tokens["id_token"].as_str().unwrap()).contains(&Kind::IdToken));
    assert!(secret(tokens["refresh_token"].as_str().unwrap()).contains(&Kind::RefreshToken));
    assert_eq!(secret(VERIFIER), [Kind::Verifier]);
    assert_eq!(secret("state-of-mine"), [Kind::State]);
    assert_eq!(secret("nonce-of-mine"), [Kind::Nonce]);
    assert_eq!(secret("s3cr3t"), [Kind::ClientSecret]);
    let shown = format!("{world:?} {:?} {:?}", world.requests(), world.provider().users());
    assert_eq!(world.canary().find_in(&shown), None, "{shown}");
}
