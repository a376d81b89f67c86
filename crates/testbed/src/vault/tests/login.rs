//! Logging in: with a JWT, and through the Vault itself.

use super::*;
use crate::{encoding, provider::OUT_OF_BAND};

const REDIRECT: &str = "http://localhost:8250/oidc/callback";

/// A bench with an OIDC mount `oidc` and a JWT mount `keycloak-jwt`, both with the role `default`.
fn bench(voice: Voice) -> Bench {
    let bench = Bench::new(voice);
    let issuer = bench.world.issuer();
    for (mount, kind, config) in [
        (
            "oidc",
            "oidc",
            json!({"oidc_discovery_url": issuer, "oidc_client_id": "vault-oidc", "oidc_client_secret": "s3cr3t"}),
        ),
        ("keycloak-jwt", "jwt", json!({"oidc_discovery_url": issuer})),
    ] {
        assert_eq!(bench.root("POST", &format!("sys/auth/{mount}"), &json!({ "type": kind })).0, 204);
        assert_eq!(bench.root("POST", &format!("auth/{mount}/config"), &config).0, 204);
        role(&bench, mount, "default", &json!({}));
    }
    bench
}

fn role(bench: &Bench, mount: &str, name: &str, changes: &Value) {
    let mut body = json!({
        "role_type": if mount == "oidc" { "oidc" } else { "jwt" },
        "user_claim": "sub",
        "bound_audiences": ["vault-oidc"],
        "groups_claim": "/resource_access/vault-oidc/roles",
        "claim_mappings": {"preferred_username": "username", "email": "email"},
        "allowed_redirect_uris": [REDIRECT, OUT_OF_BAND],
        "token_ttl": "1h",
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    assert_eq!(bench.root("POST", &format!("auth/{mount}/role/{name}"), &body).0, 204);
}

/// An external group for this alias, with the policy of the same name.
fn group(bench: &Bench, mount: &str, alias: &str) {
    let accessor = bench.read("sys/auth").1["data"][format!("{mount}/")]["accessor"].clone();
    let named = json!({"name": format!("{mount}-{alias}"), "type": "external", "policies": [alias]});
    let id = bench.root("POST", "identity/group", &named).1["data"]["id"].clone();
    let alias = json!({"name": alias, "mount_accessor": accessor, "canonical_id": id});
    assert_eq!(bench.root("POST", "identity/group-alias", &alias).0, 200);
}

fn jwt_login(bench: &Bench, jwt: &str) -> (u16, Value) {
    bench.ask("", "POST", "auth/keycloak-jwt/login", &json!({"role": "default", "jwt": jwt}))
}

fn auth_url(bench: &Bench, body: &Value) -> String {
    let (status, reply) = bench.ask("", "POST", "auth/oidc/oidc/auth_url", body);
    assert_eq!(status, 200, "{reply}");
    reply["data"]["auth_url"].as_str().unwrap().to_owned()
}

/// What the provider sends back to the person's program.
struct Returned {
    state: String,
    code: String,
}

fn sign_in(bench: &Bench, auth_url: &str) -> Returned {
    let location = bench.world.provider().sign_in(auth_url, "reader", "reader").unwrap().unwrap();
    let fields = encoding::from_form(location.split_once('?').unwrap().1.as_bytes());
    let value = |name: &str| fields.iter().find(|(key, _)| key == name).unwrap().1.clone();
    Returned { state: value("state"), code: value("code") }
}

fn begin(bench: &Bench) -> Returned {
    let body = json!({"role": "default", "redirect_uri": REDIRECT, "client_nonce": "client-nonce"});
    sign_in(bench, &auth_url(bench, &body))
}

fn callback(bench: &Bench, query: &[(&str, &str)]) -> (u16, Value) {
    let query = encoding::form(query.iter().copied());
    bench.ask("", "GET", &format!("auth/oidc/oidc/callback?{query}"), &Value::Null)
}

fn finish(bench: &Bench, returned: &Returned) -> (u16, Value) {
    callback(bench, &[("state", &returned.state), ("code", &returned.code), ("client_nonce", "client-nonce")])
}

// JWT.

#[test]
fn a_jwt_login_answers_as_the_servers_do() {
    let bench = bench(Voice::OpenBao);
    group(&bench, "keycloak-jwt", "reader");
    let (status, reply) = jwt_login(&bench, &bench.world.provider().id_token("reader"));
    assert_eq!(status, 200, "{reply}");
    let auth = &reply["auth"];
    assert_eq!(auth["policies"], json!(["default", "reader"]));
    assert_eq!(auth["token_policies"], json!(["default"]));
    assert_eq!(auth["identity_policies"], json!(["reader"]));
    assert_eq!(
        auth["metadata"],
        json!({"role": "default", "username": "reader", "email": "reader@example.com"})
    );
    assert_eq!((&auth["lease_duration"], &auth["orphan"]), (&3600.into(), &true.into()));
    assert_eq!(auth["token_type"], "service");
}

#[test]
fn a_jwt_that_is_not_good_is_refused_in_the_servers_words() {
    use Misbehaviour as M;
    let bench = bench(Voice::OpenBao);
    let with = |lie| {
        bench.world.provider().misbehave(lie, Span::Once);
        jwt_login(&bench, &bench.world.provider().id_token("reader"))
    };
    let signature = "error verifying token signature: failed to verify id token signature";
    for (lie, why) in [
        (M::BrokenSignature, signature),
        (M::AlgNone, signature),
        (M::UnknownKeyId, signature),
        (M::OtherIssuer, "invalid issuer (iss) claim"),
        (
            M::OtherAudience,
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (M::Expired, "invalid expiration time (exp) claim: token is expired"),
        (M::NotYetValid, "invalid not before (nbf) claim: token not yet valid"),
        (M::IssuedInFuture(Duration::from_secs(61)), "invalid not before (nbf) claim: token not yet valid"),
    ] {
        assert_error(&with(lie), 400, &format!("error validating token: {why}"));
    }
    assert_error(&with(M::MissingSubject), 400, "claim \"sub\" not found in token");
    assert_eq!(
        with(M::IssuedInFuture(Duration::from_secs(60))).0,
        200,
        "sixty seconds are allowed for the clocks"
    );
}

#[test]
fn a_jwt_is_accepted_for_a_minute_after_its_expiry() {
    let bench = bench(Voice::OpenBao);
    let jwt = bench.world.provider().id_token("reader");
    bench.pass(300 + 60);
    assert_eq!(jwt_login(&bench, &jwt).0, 200);
    bench.pass(1);
    assert_eq!(jwt_login(&bench, &jwt).0, 400);
}

#[test]
fn a_jwt_login_says_what_is_missing() {
    let bench = bench(Voice::OpenBao);
    let login = |body: Value| bench.ask("", "POST", "auth/keycloak-jwt/login", &body);
    assert_error(&login(json!({})), 400, "missing role");
    assert_error(&login(json!({"role": "nope", "jwt": "x"})), 400, "role \"nope\" could not be found");
    assert_error(&login(json!({"role": "default", "jwt": null})), 400, "missing token");
    let oidc = bench.ask("", "POST", "auth/oidc/login", &json!({"role": "default", "jwt": "x"}));
    assert_error(&oidc, 400, "role with oidc role_type is not allowed");
    bench.root("POST", "sys/auth/fresh", &json!({"type": "jwt"}));
    let fresh = bench.ask("", "POST", "auth/fresh/login", &json!({"role": "default", "jwt": "x"}));
    assert_error(&fresh, 400, "could not load configuration");
}

#[test]
fn an_audience_without_a_bound_one_and_a_bound_claim_that_differs_are_refused() {
    let bench = bench(Voice::OpenBao);
    let jwt = bench.world.provider().id_token("reader");
    role(&bench, "keycloak-jwt", "default", &json!({"bound_audiences": [], "bound_subject": "x"}));
    let subject = "error validating token: invalid subject (sub) claim";
    assert_error(&jwt_login(&bench, &jwt), 400, subject);
    role(
        &bench,
        "keycloak-jwt",
        "default",
        &json!({"bound_audiences": [], "bound_subject": "", "bound_claims": {"typ": "ID"}}),
    );
    let audience = "audience claim found in JWT but no audiences bound to the role";
    assert_error(&jwt_login(&bench, &jwt), 400, audience);
    for (bound, why) in [
        (json!({"typ": "Bearer"}), "claim \"typ\" does not match any associated bound claim values"),
        (json!({"nope": "x"}), "claim \"nope\" is missing"),
    ] {
        role(&bench, "keycloak-jwt", "default", &json!({ "bound_claims": bound }));
        assert_error(&jwt_login(&bench, &jwt), 400, &format!("error validating claims: {why}"));
    }
}

#[test]
fn keys_may_be_configured_as_text() {
    let bench = bench(Voice::OpenBao);
    let config = json!({"jwt_validation_pubkeys": [bench.world.provider().public_key_pem()]});
    assert_eq!(bench.root("POST", "auth/keycloak-jwt/config", &config).0, 204);
    assert_eq!(jwt_login(&bench, &bench.world.provider().id_token("reader")).0, 200);
    bench.world.provider().rotate_keys();
    let why = "error validating token: error verifying token signature: no known key successfully validated the token signature";
    assert_error(&jwt_login(&bench, &bench.world.provider().id_token("reader")), 400, why);
    let bad = bench.root("POST", "auth/keycloak-jwt/config", &json!({"jwt_validation_pubkeys": ["bad"]}));
    assert_error(&bad, 400, "error parsing public key: data does not contain any valid public keys");
}

#[test]
fn a_rotated_key_is_fetched_at_once() {
    let bench = bench(Voice::OpenBao);
    assert_eq!(jwt_login(&bench, &bench.world.provider().id_token("reader")).0, 200);
    bench.world.provider().rotate_keys();
    assert_eq!(jwt_login(&bench, &bench.world.provider().id_token("reader")).0, 200);
}

// Roles.

#[test]
fn a_role_that_makes_no_sense_is_refused() {
    let bench = bench(Voice::OpenBao);
    let write = |body: Value| bench.root("POST", "auth/oidc/role/x", &body);
    for (body, text) in [
        (json!({}), "a user claim must be defined on the role"),
        (
            json!({"user_claim": "sub"}),
            "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
        ),
        (json!({"user_claim": "sub", "role_type": "nope"}), "invalid 'role_type': nope"),
        (
            json!({"user_claim": "sub", "role_type": "jwt"}),
            "must have at least one bound constraint when creating/updating a role",
        ),
        (
            json!({"user_claim": "sub", "allowed_redirect_uris": "x", "claim_mappings": {"a": "role"}}),
            "metadata key \"role\" is reserved and may not be a mapping destination",
        ),
        (
            json!({"user_claim": "sub", "allowed_redirect_uris": "x", "token_ttl": "2h", "token_max_ttl": "1h"}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
    ] {
        assert_error(&write(body), 400, text);
    }
}

#[test]
fn a_role_is_changed_field_by_field() {
    let bench = bench(Voice::OpenBao);
    assert_eq!(bench.root("POST", "auth/oidc/role/DEFAULT", &json!({"token_ttl": "2h"})).0, 204);
    let role = bench.read("auth/oidc/role/default").1["data"].clone();
    assert_eq!((&role["token_ttl"], &role["user_claim"]), (&7200.into(), &"sub".into()));
    assert_eq!(bench.root("LIST", "auth/oidc/role", &Value::Null).1["data"]["keys"], json!(["default"]));
    assert_eq!(bench.root("DELETE", "auth/oidc/role/default", &Value::Null).0, 204);
    assert_eq!(bench.read("auth/oidc/role/default"), (404, json!({"errors": []})));
}

// Groups.

#[test]
fn a_second_alias_takes_the_place_of_the_first() {
    let bench = bench(Voice::OpenBao);
    group(&bench, "keycloak-jwt", "reader");
    let jwt = || bench.world.provider().id_token("reader");
    assert_eq!(jwt_login(&bench, &jwt()).1["auth"]["identity_policies"], json!(["reader"]));
    let group = bench.read("identity/group/name/keycloak-jwt-reader").1["data"]["id"].clone();
    let accessor = bench.read("sys/auth").1["data"]["oidc/"]["accessor"].clone();
    let second = json!({"name": "reader", "mount_accessor": accessor, "canonical_id": group});
    assert_eq!(bench.root("POST", "identity/group-alias", &second).0, 200);
    role(&bench, "keycloak-jwt", "default", &json!({"user_claim": "preferred_username"}));
    assert_eq!(jwt_login(&bench, &jwt()).1["auth"].get("identity_policies"), None);
}

#[test]
fn the_errors_of_group_aliases_are_the_servers() {
    let bench = bench(Voice::OpenBao);
    group(&bench, "oidc", "reader");
    let accessor = bench.read("sys/auth").1["data"]["oidc/"]["accessor"].clone();
    let group = bench.read("identity/group/name/oidc-reader").1["data"]["id"].clone();
    let write = |name: &str, accessor: &Value, id: &Value| {
        let body = json!({"name": name, "mount_accessor": accessor, "canonical_id": id});
        bench.root("POST", "identity/group-alias", &body)
    };
    let taken = "combination of mount and group alias name is already in use";
    assert_error(&write("reader", &accessor, &group), 400, taken);
    assert_error(&write("x", &json!("nope"), &group), 400, "invalid mount accessor \"nope\"");
    assert_error(&write("x", &accessor, &json!("nope")), 400, "invalid group ID given in 'canonical_id'");
    let internal = bench.root("POST", "identity/group", &json!({"name": "in"})).1["data"]["id"].clone();
    assert_error(&write("x", &accessor, &internal), 400, "alias can't be set on an internal group");
}

// OIDC.

#[test]
fn a_login_through_the_vault_ends_in_a_token() {
    for voice in BOTH {
        let bench = bench(voice);
        group(&bench, "oidc", "reader");
        let (status, reply) = finish(&bench, &begin(&bench));
        assert_eq!(status, 200, "{reply}");
        assert_eq!(reply["auth"]["policies"], json!(["default", "reader"]));
        let token = client_token(&reply);
        let (_, look) = bench.ask(&token, "GET", "auth/token/lookup-self", &Value::Null);
        assert_eq!(look["data"]["path"], "auth/oidc/oidc/callback");
        assert!(look["data"]["display_name"].as_str().unwrap().starts_with("oidc-"));
        bench.pass(3600);
        assert_eq!(bench.ask(&token, "GET", "auth/token/lookup-self", &Value::Null).0, 403);
    }
}

#[test]
fn the_address_has_everything_that_the_provider_needs() {
    let bench = bench(Voice::OpenBao);
    let url = auth_url(&bench, &json!({"role": "default", "redirect_uri": REDIRECT}));
    let (endpoint, query) = url.split_once('?').unwrap();
    assert_eq!(endpoint, format!("{}/protocol/openid-connect/auth", bench.world.issuer()));
    let names: Vec<String> =
        encoding::from_form(query.as_bytes()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state"
        ]
    );
    assert!(
        query.contains("state=st_")
            && query.contains("nonce=n_")
            && query.contains("code_challenge_method=S256")
    );
}

#[test]
fn whatever_is_wrong_with_a_redirect_or_a_provider_is_an_empty_address() {
    let bench = bench(Voice::OpenBao);
    let url =
        |redirect_uri: &str| auth_url(&bench, &json!({"role": "default", "redirect_uri": redirect_uri}));
    assert_eq!(url("https://elsewhere.example.com/"), "");
    assert_eq!(url("http://127.0.0.1:8250/oidc/callback"), "");
    assert_ne!(url("http://localhost:9999/oidc/callback"), "");
    assert_ne!(url(OUT_OF_BAND), "");
    bench.world.faults().inject(crate::Target::provider("/realms/*"), 1, crate::Fault::Refuse);
    assert_eq!(url(REDIRECT), "");
    bench.world.provider().misbehave(Misbehaviour::DiscoveryIssuer, Span::Once);
    assert_eq!(url(REDIRECT), "");
}

#[test]
fn a_vault_that_is_its_own_provider_finds_nobody() {
    let bench = bench(Voice::OpenBao);
    let config = json!({ "oidc_discovery_url": bench.world.vault_address() });
    let (status, reply) = bench.root("POST", "auth/keycloak-jwt/config", &config);
    assert_eq!(status, 400);
    assert!(reply["errors"][0].as_str().unwrap().ends_with("connection refused"));
}

#[test]
fn what_is_missing_for_an_address_is_said() {
    let bench = bench(Voice::OpenBao);
    let ask = |mount: &str, body: Value| bench.ask("", "POST", &format!("auth/{mount}/oidc/auth_url"), &body);
    assert_error(&ask("oidc", json!({})), 400, "missing role");
    assert_error(&ask("oidc", json!({"role": "default"})), 400, "missing redirect_uri");
    let unknown = ask("oidc", json!({"role": "nope", "redirect_uri": REDIRECT}));
    assert_error(&unknown, 400, "role \"nope\" could not be found");
    let jwt = ask("keycloak-jwt", json!({"role": "default", "redirect_uri": REDIRECT}));
    assert_error(&jwt, 400, "OIDC login is not configured for this mount");
}

#[test]
fn a_state_is_good_for_one_callback() {
    for (voice, prefix) in [(Voice::OpenBao, "OpenBao"), (Voice::Vault, "Vault")] {
        let bench = bench(voice);
        let expired = format!("{prefix} login failed. Expired or missing OAuth state.");
        let returned = begin(&bench);
        assert_eq!(finish(&bench, &returned).0, 200);
        assert_error(&finish(&bench, &returned), 400, &expired);

        let returned = begin(&bench);
        let query = [("state", returned.state.as_str()), ("code", &returned.code), ("client_nonce", "wrong")];
        assert_error(&callback(&bench, &query), 400, "invalid client_nonce");
        assert_error(&finish(&bench, &returned), 400, &expired);
    }
}

#[test]
fn a_state_is_good_for_ten_minutes() {
    let bench = bench(Voice::OpenBao);
    let body = json!({"role": "default", "redirect_uri": REDIRECT, "client_nonce": "client-nonce"});
    let (early, late) = (auth_url(&bench, &body), auth_url(&bench, &body));
    bench.pass(599);
    assert_eq!(finish(&bench, &sign_in(&bench, &early)).0, 200);
    bench.pass(1);
    let refused = finish(&bench, &sign_in(&bench, &late));
    assert_error(&refused, 400, "OpenBao login failed. Expired or missing OAuth state.");
}

#[test]
fn a_code_that_is_not_good_is_told_with_the_providers_words() {
    let bench = bench(Voice::OpenBao);
    let returned = begin(&bench);
    let (status, reply) =
        callback(&bench, &[("state", &returned.state), ("code", "wrong"), ("client_nonce", "client-nonce")]);
    let text = reply["errors"][0].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(
        text.starts_with("OpenBao login failed. Error exchanging oidc code: \"Provider.Exchange:"),
        "{text}"
    );
    assert!(text.contains(r#"oauth2: \"invalid_grant\" \"Code not valid\""#), "{text}");
}

#[test]
fn an_error_of_the_provider_is_repeated_by_openbao_and_ignored_by_hashicorps() {
    for (voice, text) in [
        (Voice::OpenBao, "OpenBao login failed. access_denied"),
        (Voice::Vault, "Vault login failed. No code or id_token received."),
    ] {
        let bench = bench(voice);
        let state = begin(&bench).state;
        let query = [("state", state.as_str()), ("error", "access_denied"), ("client_nonce", "client-nonce")];
        assert_error(&callback(&bench, &query), 400, text);
    }
}

#[test]
fn the_vault_refuses_an_id_token_that_lies() {
    use Misbehaviour as M;
    for lie in [M::OtherIssuer, M::OtherAudience, M::OtherNonce, M::BrokenSignature, M::Expired, M::AlgNone] {
        let bench = bench(Voice::OpenBao);
        role(&bench, "oidc", "default", &json!({"bound_audiences": []}));
        let returned = begin(&bench);
        bench.world.provider().misbehave(lie, Span::Once);
        let (status, reply) = finish(&bench, &returned);
        let text = reply["errors"][0].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{lie:?}");
        assert!(text.contains("id_token failed verification"), "{lie:?}: {text}");
    }
}

#[test]
fn polling_is_openbaos_alone() {
    let poll = |voice| bench(voice).ask("", "POST", "auth/oidc/oidc/poll", &json!({"state": "x"}));
    assert_error(&poll(Voice::OpenBao), 400, "OpenBao login failed. Expired or missing OAuth state.");
    assert_error(&poll(Voice::Vault), 403, "permission denied");
}

#[test]
fn disabling_a_method_revokes_its_tokens() {
    let bench = bench(Voice::OpenBao);
    let token = client_token(&finish(&bench, &begin(&bench)).1);
    assert_eq!(bench.root("DELETE", "sys/auth/oidc", &Value::Null).0, 204);
    assert_eq!(bench.ask(&token, "GET", "auth/token/lookup-self", &Value::Null).0, 403);
}
