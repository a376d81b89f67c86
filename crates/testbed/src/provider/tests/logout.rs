//! The end of a session. The texts were observed on Keycloak 26.6.4.

use serde_json::json;

use super::*;

fn logout(world: &World, fields: &[(&str, &str)]) -> Response {
    let query = encoding::form(fields.iter().copied());
    world.handle(Request::get(&format!("{}/protocol/openid-connect/logout?{query}", world.issuer()))).unwrap()
}

fn id_token(reply: &Value) -> &str {
    reply["id_token"].as_str().unwrap()
}

#[test]
fn a_logout_ends_the_session_and_comes_back_with_its_state() {
    let world = World::new();
    let reply = tokens(&world);
    let back =
        [("id_token_hint", id_token(&reply)), ("post_logout_redirect_uri", REDIRECT), ("state", "a b")];
    let response = logout(&world, &back);
    assert_eq!(response.header("Location"), Some(format!("{REDIRECT}?state=a+b").as_str()));
    assert!(response.header("Set-Cookie").unwrap().starts_with("KEYCLOAK_IDENTITY=;"));
    assert_refused(&refresh(&world, &reply["refresh_token"]), 400, "invalid_grant", "Session not active");
    // A second time nothing is left to end, and the browser comes back all the same.
    assert_eq!(logout(&world, &back).status, 302);
}

#[test]
fn a_logout_that_cannot_be_right_stays_where_it_is() {
    let world = World::new();
    let reply = tokens(&world);
    let hint = ("id_token_hint", id_token(&reply));
    for (fields, why) in [
        (vec![hint, ("post_logout_redirect_uri", "https://evil.example.com/")], "Invalid redirect uri"),
        (vec![("post_logout_redirect_uri", REDIRECT)], "Missing parameters: id_token_hint"),
        (vec![("id_token_hint", "x")], "Invalid parameter: id_token_hint"),
        (vec![hint, ("client_id", "other")], "Invalid parameter: id_token_hint"),
    ] {
        let response = logout(&world, &fields);
        assert_eq!(response.status, 400, "{why}");
        assert!(response.text().contains(why), "{why}");
    }
    assert_eq!(refresh(&world, &reply["refresh_token"]).status, 200);
}

#[test]
fn somebody_who_is_signed_in_and_shows_no_token_is_asked_first() {
    let world = World::new();
    let form = world.handle(Request::get(&authorize_url(&world, &[]))).unwrap();
    let cookie = form.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let post = Request::post(&page::form_action(&form.text()).unwrap())
        .with_header("Cookie", &cookie)
        .with_form(&[("username", "reader"), ("password", "reader")]);
    let identity =
        world.handle(post).unwrap().header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let query = encoding::form([("client_id", "vault-oidc"), ("post_logout_redirect_uri", REDIRECT)]);
    let base = format!("{}/protocol/openid-connect/logout", world.issuer());
    let asked =
        world.handle(Request::get(&format!("{base}?{query}")).with_header("Cookie", &identity)).unwrap();
    assert!(asked.status == 200 && asked.text().contains("Do you want to log out?"));
    let confirm = Request::post(&format!("{base}/logout-confirm?{query}")).with_header("Cookie", &identity);
    assert_eq!(world.handle(confirm).unwrap().header("Location"), Some(REDIRECT));
}

#[test]
fn a_state_may_come_back_wrong() {
    let world = World::new();
    for (lie, expected) in [
        (Misbehaviour::LogoutStateMissing, REDIRECT.to_owned()),
        (Misbehaviour::LogoutStateOther, format!("{REDIRECT}?state=another-state")),
    ] {
        world.provider().misbehave(lie, Span::Once);
        let reply = tokens(&world);
        let fields =
            [("id_token_hint", id_token(&reply)), ("post_logout_redirect_uri", REDIRECT), ("state", "mine")];
        assert_eq!(logout(&world, &fields).header("Location"), Some(expected.as_str()), "{lie:?}");
    }
}

/// The logout token that a logout leaves.
fn logout_token(world: &World) -> String {
    let reply = tokens(world);
    logout(world, &[("id_token_hint", id_token(&reply))]);
    let mut deliveries = world.provider().take_logout_deliveries();
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0).token
}

fn told() -> World {
    World::builder().backchannel_logout_uri("http://127.0.0.1:9/logout").build()
}

#[test]
fn the_client_is_told_by_a_logout_token() {
    let world = told();
    let reply = tokens(&world);
    logout(&world, &[("id_token_hint", id_token(&reply))]);
    let deliveries = world.provider().take_logout_deliveries();
    assert!(world.provider().take_logout_deliveries().is_empty(), "handed out once");
    assert!(deliveries[0].request().url.ends_with("/logout"));
    assert_eq!(format!("{:?}", deliveries[0]), "LogoutDelivery { uri: \"http://127.0.0.1:9/logout\", .. }");

    let parts = jwt::parse(&deliveries[0].token).unwrap();
    let login = jwt::parse(id_token(&reply)).unwrap().claims;
    assert_eq!(parts.header["typ"], "logout+jwt");
    assert!(
        parts.is_signed_by(&[PublicKey::of_pem(&world.provider().public_key_pem()).unwrap()], &["RS256"])
    );
    for claim in ["iss", "aud", "sub", "sid"] {
        assert_eq!(parts.claims[claim], login[claim], "{claim}");
    }
    let event = "http://schemas.openid.net/event/backchannel-logout";
    assert_eq!(parts.claims["events"], json!({ event: {} }));
    assert!(parts.claims.get("nonce").is_none());
}

#[test]
fn an_administrator_who_ends_the_sessions_tells_the_client_too() {
    let world = told();
    tokens(&world);
    tokens(&world);
    world.provider().end_sessions();
    assert_eq!(world.provider().take_logout_deliveries().len(), 2);
}

#[test]
fn every_lie_of_a_logout_token_shows_there() {
    let world = told();
    for (lie, shows) in [
        (Misbehaviour::LogoutAlgNone, "alg"),
        (Misbehaviour::LogoutOtherAlg, "alg"),
        (Misbehaviour::LogoutOtherIssuer, "iss"),
        (Misbehaviour::LogoutOtherAudience, "aud"),
        (Misbehaviour::LogoutWithoutEvent, "events"),
        (Misbehaviour::LogoutOtherEvent, "events"),
        (Misbehaviour::LogoutWithNonce, "nonce"),
    ] {
        let good = logout_token(&world);
        world.provider().misbehave(lie, Span::Once);
        let bad = logout_token(&world);
        let (good, bad) = (jwt::parse(&good).unwrap(), jwt::parse(&bad).unwrap());
        if shows == "alg" {
            assert_ne!(good.header["alg"], bad.header["alg"], "{lie:?}");
        } else {
            assert_ne!(good.claims.get(shows), bad.claims.get(shows), "{lie:?}");
        }
    }
}
