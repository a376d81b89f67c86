//! Providers that are not where or what their issuer says: tenants, policies, an address inside a cluster, addresses for
//! clients with a certificate.

use std::sync::Arc;

use latchkey_oidc_flow::danger::Danger;
use latchkey_oidc_flow::{
    Authentication, CallbackParams, Client, Discover, Endpoint, Error, IdToken, IdTokenProblem as Problem,
    JsonWebToken, Metadata, Misbehaviour, Misuse, Provider, VerifiedIdToken,
};
use latchkey_transport::{Exchange as _, Perform as _, Reply};
use serde_json::{Value, json};

use crate::support::{
    CLIENT_ID, Counting, ISSUER, KEYS, REDIRECT_URI, Script, Token, document, jwks, last_form, merge, nonce,
    now, rsa_jwk, signed_in, state, token_reply, usual_jwks, value,
};

fn with(more: &Value) -> Value {
    let mut document = document();
    merge(&mut document, more);
    document
}

fn read(discover: Discover, document: &Value) -> Result<Metadata, Error> {
    discover.receive(Reply::new(200, document.to_string()))
}

fn address(metadata: &Metadata, endpoint: Endpoint) -> &str {
    metadata.endpoint(endpoint).unwrap().as_str()
}

// One provider, many tenants.

const COMMON: &str = "https://login.example/common/v2.0";
const PATTERN: &str = "https://login.example/{tenantid}/v2.0";
const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn tenants_document() -> Value {
    with(&json!({"issuer": PATTERN}))
}

fn of_tenant(tenant: &str) -> Token {
    Token::good().with("iss", PATTERN.replace("{tenantid}", tenant)).with("tid", tenant)
}

async fn check(discover: Discover, token: &Token, keys: String) -> Result<VerifiedIdToken, Error> {
    let metadata = read(discover, &tenants_document())?;
    let script = Script::default().then("/jwks", keys);
    let client = Client::new(Provider::new(metadata, script.shared(), Arc::new(JsonWebToken)), CLIENT_ID);
    client.provider().verify(IdToken::parse(token.sign())?, client.expectations(), None, now()).await
}

#[tokio::test]
async fn a_token_of_a_tenant_names_its_own_issuer() {
    let discover = || Discover::new(COMMON).unwrap().with_tenants([TENANT.to_uppercase()]);
    let token = check(discover(), &of_tenant(TENANT), usual_jwks()).await.unwrap();
    assert_eq!(token.issuer(), format!("https://login.example/{TENANT}/v2.0"));

    let other = "00000000-0000-0000-0000-000000000000";
    let mismatch = Problem::IssuerMismatch {
        expected: PATTERN.replace("{tenantid}", TENANT),
        found: PATTERN.replace("{tenantid}", other),
    };
    let cases = [
        (of_tenant(other), Problem::TenantNotAllowed),
        (of_tenant(other).with("tid", TENANT), mismatch),
        (of_tenant(TENANT).without("tid"), Problem::ClaimMissing { claim: "tid" }),
        (of_tenant(TENANT).with("tid", 1), Problem::ClaimInvalid { claim: "tid" }),
        (of_tenant("a/../b"), Problem::ClaimInvalid { claim: "tid" }),
        (of_tenant(""), Problem::ClaimInvalid { claim: "tid" }),
    ];
    for (token, expected) in cases {
        let error = check(discover(), &token, usual_jwks()).await.unwrap_err();
        assert!(matches!(&error, Error::IdToken(problem) if *problem == expected), "{error}");
    }
    // The pattern itself is nobody's issuer.
    let literal = of_tenant(TENANT).with("iss", PATTERN);
    assert_eq!(check(discover(), &literal, usual_jwks()).await.unwrap_err().code(), "oidc_id_token_issuer");
}

#[tokio::test]
async fn every_tenant_is_let_in_only_where_danger_was_asked_for() {
    let other = of_tenant("00000000-0000-0000-0000-000000000000");
    let discover = Discover::danger(COMMON, &[Danger::AnyTenant]).unwrap();
    assert!(check(discover, &other, usual_jwks()).await.is_ok());
    let refused = read(Discover::new(COMMON).unwrap(), &tenants_document()).unwrap_err();
    assert_eq!(refused.code(), "oidc_provider_issuer_mismatch");
}

#[test]
fn a_document_with_tenants_is_that_of_the_address_that_was_asked() {
    for issuer in
        ["https://evil.example/{tenantid}/v2.0", "https://login.example/{tenantid}/v1.0", "{tenantid}"]
    {
        let discover = Discover::new(COMMON).unwrap().with_tenants([TENANT]);
        let error = read(discover, &with(&json!({"issuer": issuer}))).unwrap_err();
        assert_eq!(error.code(), "oidc_provider_issuer_mismatch", "{issuer}");
    }
    // The address of one tenant names it outright.
    let own = PATTERN.replace("{tenantid}", TENANT);
    let discover = Discover::new(&own).unwrap().with_tenants([TENANT]);
    assert_eq!(read(discover, &with(&json!({"issuer": own}))).unwrap().issuer(), own);
}

#[tokio::test]
async fn a_key_of_one_tenant_signs_for_no_other() {
    let discover = || Discover::new(COMMON).unwrap().with_tenants([TENANT]);
    let mut key = rsa_jwk(&KEYS.rsa, "key-1");
    for (issuer, is_let_in) in [
        (PATTERN.to_owned(), true),
        (PATTERN.replace("{tenantid}", TENANT), true),
        (PATTERN.replace("{tenantid}", "00000000-0000-0000-0000-000000000000"), false),
        ("https://login.example".to_owned(), false),
    ] {
        key["issuer"] = issuer.as_str().into();
        let outcome = check(discover(), &of_tenant(TENANT), jwks([key.clone()])).await;
        assert_eq!(outcome.is_ok(), is_let_in, "{issuer}");
        if let Err(error) = outcome {
            assert_eq!(error.code(), "oidc_id_token_key_tenant");
        }
    }
}

#[tokio::test]
async fn a_grant_goes_on_with_its_own_tenant() {
    let metadata = read(Discover::danger(COMMON, &[Danger::AnyTenant]).unwrap(), &tenants_document());
    let other = of_tenant("00000000-0000-0000-0000-000000000000");
    let first = of_tenant(TENANT).with("nonce", nonce()).sign();
    let script = Script::default()
        .then("/jwks", usual_jwks())
        .then("/token", token_reply(&json!({"id_token": first})).to_string())
        .then(
            "/token",
            token_reply(&json!({"id_token": of_tenant(TENANT).without("nonce").sign()})).to_string(),
        )
        .then("/token", token_reply(&json!({"id_token": other.without("nonce").sign()})).to_string());
    let client =
        Client::new(Provider::new(metadata.unwrap(), script.shared(), Arc::new(JsonWebToken)), CLIENT_ID);
    let login = client.authorize(REDIRECT_URI).begin(&mut Counting::default(), now()).unwrap();
    let callback = CallbackParams::parse(&format!("state={}&code=x", state())).unwrap();
    let tokens = client.redeem(login.pending.accept(&callback, now()).unwrap(), now()).await.unwrap();
    let grant = tokens.grant().unwrap();
    let grant = client.refresh(&grant, now()).await.unwrap().release().grant;
    let error = client.refresh(&grant, now()).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(Problem::NotContinued { claim: "iss" })), "{error}");
}

// Somewhere else.

#[test]
fn a_document_may_be_kept_elsewhere_and_names_its_issuer_all_the_same() {
    let policy = "https://tenant.b2c.example/policy/.well-known/openid-configuration?p=B2C_1";
    let discover = Discover::new(ISSUER).unwrap().at(policy).unwrap();
    assert_eq!(discover.request().url().unwrap().as_str(), policy);
    assert!(read(discover.clone(), &document()).is_ok());
    let error = read(discover, &with(&json!({"issuer": "https://tenant.b2c.example"}))).unwrap_err();
    assert_eq!(error.code(), "oidc_provider_issuer_mismatch");
    for address in ["http://id.example/x", "nowhere", "https://u:p@id.example/x", "https://id.example/#x"] {
        let error = Discover::new(ISSUER).unwrap().at(address).unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::InvalidAddress)), "{address}");
    }
}

#[test]
fn inside_a_cluster_only_what_a_browser_opens_stays_outside() {
    let discover =
        Discover::new(ISSUER).unwrap().with_internal_address("https://keycloak:8443/auth/").unwrap();
    assert_eq!(
        discover.request().url().unwrap().as_str(),
        "https://keycloak:8443/auth/realms/Team%20A/.well-known/openid-configuration"
    );
    let more = json!({
        "check_session_iframe": "https://id.example/session",
        // Keycloak's dynamic back channel names the inner address by itself, and others are on another host.
        "revocation_endpoint": "https://keycloak:8443/auth/revoke",
        "introspection_endpoint": "https://api.example/introspect",
    });
    let metadata = read(discover, &with(&more)).unwrap();
    assert_eq!(metadata.issuer(), ISSUER);
    for (endpoint, expected) in [
        (Endpoint::Authorization, "https://id.example/auth?theme=dark"),
        (Endpoint::EndSession, "https://id.example/logout?theme=dark"),
        (Endpoint::CheckSession, "https://id.example/session"),
        (Endpoint::Token, "https://keycloak:8443/auth/token"),
        (Endpoint::Keys, "https://keycloak:8443/auth/jwks"),
        (Endpoint::UserInfo, "https://keycloak:8443/auth/userinfo"),
        (Endpoint::DeviceAuthorization, "https://keycloak:8443/auth/device"),
        (Endpoint::PushedAuthorization, "https://keycloak:8443/auth/par"),
        (Endpoint::Revocation, "https://keycloak:8443/auth/revoke"),
        (Endpoint::Introspection, "https://api.example/introspect"),
    ] {
        assert_eq!(address(&metadata, endpoint), expected, "{endpoint}");
    }
}

#[tokio::test]
async fn a_login_through_an_inner_address_checks_the_outer_issuer() {
    let script = Script::default()
        .then("/inner/realms/Team%20A/.well-known/openid-configuration", document().to_string())
        .then("/inner/jwks", usual_jwks())
        .then("/inner/token", token_reply(&json!({})).to_string());
    let discover =
        Discover::new(ISSUER).unwrap().with_internal_address("http://localhost:8080/inner").unwrap();
    let metadata = script.perform(discover).await.unwrap();
    let client = Client::new(Provider::new(metadata, script.shared(), Arc::new(JsonWebToken)), CLIENT_ID);
    assert_eq!(signed_in(&client).await.id_token.issuer(), ISSUER);
}

#[test]
fn plain_http_beyond_this_machine_takes_danger() {
    let inner = "http://keycloak:8080";
    let error = Discover::new(ISSUER).unwrap().with_internal_address(inner).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::InvalidAddress)));
    assert!(Discover::new(ISSUER).unwrap().with_internal_address("https://keycloak:8443/?a=b").is_err());

    let discover =
        Discover::danger(ISSUER, &[Danger::PlainHttp]).unwrap().with_internal_address(inner).unwrap();
    let metadata = read(discover, &document()).unwrap();
    assert_eq!(address(&metadata, Endpoint::Token), "http://keycloak:8080/token");
    assert_eq!(address(&metadata, Endpoint::Authorization), "https://id.example/auth?theme=dark");

    // Without danger a document cannot name what was not named here.
    let token = json!({"token_endpoint": "http://localhost:1/token"});
    let discover = Discover::new(ISSUER).unwrap().with_internal_address("https://keycloak:8443").unwrap();
    let insecure = Misbehaviour::InsecureEndpoint { field: "token_endpoint" };
    let error = read(discover, &with(&token)).unwrap_err();
    assert!(matches!(error, Error::Misbehaved(problem) if problem == insecure));

    let laboratory = "http://id.lab/realm";
    assert!(Discover::new(laboratory).is_err());
    let discover = Discover::danger(laboratory, &[Danger::PlainHttp]).unwrap();
    let document = json!({
        "issuer": laboratory, "authorization_endpoint": "http://id.lab/auth", "token_endpoint": "http://id.lab/token",
        "jwks_uri": "http://id.lab/jwks",
    });
    assert!(read(discover, &document).is_ok());
    assert!(Discover::danger("ftp://id.lab", &[Danger::PlainHttp]).is_err());
}

// Clients with a certificate.

fn aliases() -> Value {
    with(&json!({"mtls_endpoint_aliases": {
        "token_endpoint": "https://mtls.id.example/token", "userinfo_endpoint": "https://mtls.id.example/userinfo",
        "introspection_endpoint": "", "something_new": 1,
    }}))
}

#[test]
fn mtls_endpoint_aliases() {
    let plain = read(Discover::new(ISSUER).unwrap(), &aliases()).unwrap();
    assert_eq!(address(&plain, Endpoint::Token), "https://id.example/token");
    let mtls = plain.with_mtls_aliases();
    assert_eq!(address(&mtls, Endpoint::Token), "https://mtls.id.example/token");
    assert_eq!(mtls.token_endpoint().as_str(), "https://mtls.id.example/token");
    assert_eq!(address(&mtls, Endpoint::UserInfo), "https://mtls.id.example/userinfo");
    // Those without an alias stay where they are.
    assert_eq!(address(&mtls, Endpoint::Introspection), "https://id.example/introspect");
    assert_eq!(address(&mtls, Endpoint::Authorization), "https://id.example/auth?theme=dark");

    let insecure = with(&json!({"mtls_endpoint_aliases": {"token_endpoint": "http://id.example/token"}}));
    assert!(read(Discover::new(ISSUER).unwrap(), &insecure).is_err());
    let only = with(&json!({
        "userinfo_endpoint": null, "mtls_endpoint_aliases": {"userinfo_endpoint": "https://m.example/u"},
    }));
    let only = read(Discover::new(ISSUER).unwrap(), &only).unwrap().with_mtls_aliases();
    assert_eq!(address(&only, Endpoint::UserInfo), "https://m.example/u");
}

#[tokio::test]
async fn a_client_with_a_certificate_sends_its_id_alone() {
    let metadata = read(Discover::new(ISSUER).unwrap(), &aliases()).unwrap().with_mtls_aliases();
    let reply = json!({"access_token": "x", "token_type": "Bearer"}).to_string();
    let script = Script::default().then("/token", reply);
    let provider = Provider::new(metadata, script.shared(), Arc::new(JsonWebToken));
    let client = Client::new(provider, CLIENT_ID).with_authentication(Authentication::Certificate);
    client.client_credentials().send(now()).await.unwrap();
    let form = last_form(&script, "/token");
    assert_eq!(value(&form, "client_id"), Some(CLIENT_ID));
    assert_eq!(value(&form, "client_secret"), None);
    assert_eq!(script.requests()[0].host(), "mtls.id.example");
}
