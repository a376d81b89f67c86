//! What the conformance suite asks of a provider beside plain lies.

use serde_json::json;

use super::*;

fn document(world: &World) -> Value {
    let url = format!("{}/.well-known/openid-configuration", world.issuer());
    world.handle(Request::get(&url)).unwrap().json()
}

fn userinfo(world: &World, request: Request) -> Response {
    world.handle(request).unwrap()
}

fn endpoint(world: &World) -> String {
    format!("{}/protocol/openid-connect/userinfo", world.issuer())
}

#[test]
fn the_odd_keys_stand_beside_the_one_that_signs() {
    let world = World::new();
    world.provider().misbehave(Misbehaviour::OddKeys, Span::Always);
    let keys = world.handle(Request::get(document(&world)["jwks_uri"].as_str().unwrap())).unwrap().json();
    let keys = keys["keys"].as_array().unwrap();
    let curves: Vec<_> = keys.iter().filter_map(|key| key["crv"].as_str()).collect();
    assert_eq!(curves, ["P-256", "secp256k1", "Ed25519"]);
    assert!(keys.iter().any(|key| key["use"] == "enc" && key.get("alg").is_none()));
    assert!(keys.iter().any(|key| key["use"] == "sig" && key["alg"] == "RS256"));
}

#[test]
fn keys_that_have_moved_are_gone_from_where_they_were() {
    let world = World::new();
    let before = document(&world)["jwks_uri"].as_str().unwrap().to_owned();
    world.provider().move_keys();
    let after = document(&world)["jwks_uri"].as_str().unwrap().to_owned();
    assert_eq!(world.handle(Request::get(&before)).unwrap().status, 404);
    assert_eq!(world.handle(Request::get(&after)).unwrap().status, 200);
}

#[test]
fn a_key_that_changes_before_signing_is_published_alone() {
    let world = World::new();
    let kid = |token: &str| jwt::parse(token).unwrap().header["kid"].clone();
    let before = kid(&world.provider().id_token("reader"));
    world.provider().misbehave(Misbehaviour::KeyChangedBeforeSigning, Span::Once);
    let after = kid(&world.provider().id_token("reader"));
    assert_ne!(before, after);
    let keys = world.handle(Request::get(document(&world)["jwks_uri"].as_str().unwrap())).unwrap().json();
    let kids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&after) && !kids.contains(&&before), "{kids:?}");
}

#[test]
fn a_client_is_taken_by_the_chosen_methods_alone() {
    let world = World::new();
    world.provider().take_clients_by(&["client_secret_basic"]);
    assert_eq!(document(&world)["token_endpoint_auth_methods_supported"], json!(["client_secret_basic"]));
    let url = format!("{}/protocol/openid-connect/token/introspect", world.issuer());
    let in_header = Request::post(&url).with_basic("vault-oidc", "s3cr3t").with_form(&[("token", "t")]);
    let fields = [("token", "t"), ("client_id", "vault-oidc"), ("client_secret", "s3cr3t")];
    let in_form = Request::post(&url).with_form(&fields);
    assert_eq!(world.handle(in_header).unwrap().status, 200);
    assert_eq!(world.handle(in_form).unwrap().status, 401);
}

#[test]
fn an_access_token_is_taken_in_one_place_alone_where_that_is_wanted() {
    let world = World::new();
    let token = tokens(&world)["access_token"].as_str().unwrap().to_owned();
    let in_header = || Request::post(&endpoint(&world)).with_bearer(&token);
    let in_body = || Request::post(&endpoint(&world)).with_form(&[("access_token", &token)]);
    let in_both = in_header().with_form(&[("access_token", &token)]);
    let status = |request| userinfo(&world, request).status;
    assert_eq!((status(in_header()), status(in_body()), status(in_both)), (200, 200, 400));
    for (how, expected) in
        [(Misbehaviour::UserinfoWantsHeader, (200, 401)), (Misbehaviour::UserinfoWantsBody, (401, 200))]
    {
        world.provider().misbehave(how, Span::Always);
        assert_eq!((status(in_header()), status(in_body())), expected, "{how:?}");
        world.provider().behave();
    }
}

#[test]
fn claims_of_others_are_brought_or_fetched() {
    let world = World::new();
    let token = tokens(&world)["access_token"].as_str().unwrap().to_owned();
    let ask = || userinfo(&world, Request::get(&endpoint(&world)).with_bearer(&token)).json();
    assert!(ask().get("_claim_names").is_none());

    world.provider().misbehave(Misbehaviour::AggregatedClaims, Span::Once);
    let claims = ask();
    let source = claims["_claim_names"]["credit_score"].as_str().unwrap();
    let signed = claims["_claim_sources"][source]["JWT"].as_str().unwrap();
    assert_eq!(jwt::parse(signed).unwrap().claims["credit_score"], 650);

    world.provider().misbehave(Misbehaviour::DistributedClaims, Span::Once);
    let source = ask()["_claim_sources"]["src1"].clone();
    let address = source["endpoint"].as_str().unwrap();
    let with = |token: &str| world.handle(Request::get(address).with_bearer(token)).unwrap();
    assert_eq!(with("invented").status, 401);
    let signed = with(source["access_token"].as_str().unwrap()).text();
    assert_eq!(jwt::parse(&signed).unwrap().claims["credit_score"], 650);
}

#[test]
fn hmac_signatures_are_those_of_the_keys_that_they_confuse() {
    let world = World::new();
    for (how, key) in [
        (Misbehaviour::AlgHs256WithSecret, "s3cr3t".to_owned()),
        (Misbehaviour::AlgHs256WithPublicKey, world.provider().public_key_pem()),
    ] {
        world.provider().misbehave(how, Span::Once);
        let token = world.provider().id_token("reader");
        assert!(jwt::parse(&token).unwrap().is_signed_with(&key), "{how:?}");
    }
}

#[test]
fn claims_of_a_scope_are_told_where_it_was_asked_for() {
    let user = User::new("ada", "lovelace")
        .with_claim("phone_number", json!("+44 20 7946 0000"))
        .with_claim("locale", json!("en"));
    let world = World::builder().users([user]).build();
    let ask = |scope| {
        let url = authorize_url(&world, &[("scope", Some(scope))]);
        let location = world.provider().sign_in(&url, "ada", "lovelace").unwrap().unwrap();
        let code = parameter(&location, "code").unwrap();
        let token = redeem(&world, &code).json()["access_token"].as_str().unwrap().to_owned();
        userinfo(&world, Request::get(&endpoint(&world)).with_bearer(&token)).json()
    };
    assert_eq!((&ask("openid")["locale"], ask("openid").get("phone_number")), (&json!("en"), None));
    assert_eq!(ask("openid phone")["phone_number"], "+44 20 7946 0000");
}
