//! What a provider may say about itself.

use latchkey_oidc_flow::{Discover, Endpoint, Error, Misbehaviour, Misuse, Provider};
use latchkey_transport::{Exchange as _, Replay, Reply};
use serde_json::{Value, json};

use crate::support::{ISSUER, Script, document, metadata};

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut document = document();
    document[name] = value.into();
    document
}

fn without(name: &str) -> Value {
    let mut document = document();
    document.as_object_mut().unwrap().remove(name);
    document
}

fn misbehaviour(document: &Value) -> Misbehaviour {
    match metadata(document) {
        Err(Error::Misbehaved(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn discovery_openid_config() {
    let script =
        Script::default().then("/realms/Team%20A/.well-known/openid-configuration", document().to_string());
    let provider = Provider::discover(ISSUER, script.shared()).await.unwrap();
    assert_eq!(provider.issuer(), ISSUER);
    assert_eq!(provider.metadata().token_endpoint().as_str(), "https://id.example/token");
    assert_eq!(provider.metadata().jwks_uri().as_str(), "https://id.example/jwks");
    assert_eq!(provider.metadata().authorization_endpoint().as_str(), "https://id.example/auth?theme=dark");
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn the_address_is_made_from_the_issuer_as_it_is_written() {
    let cases = [
        ("https://id.example", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
        ("https://id.example/a/", "https://id.example/a/.well-known/openid-configuration"),
        ("https://id.example:8443/a", "https://id.example:8443/a/.well-known/openid-configuration"),
        ("http://localhost:8080/realms/x", "http://localhost:8080/realms/x/.well-known/openid-configuration"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x/.well-known/openid-configuration"),
        ("http://[::1]:1/x", "http://[::1]:1/x/.well-known/openid-configuration"),
    ];
    for (issuer, address) in cases {
        let discover = Discover::new(issuer).unwrap();
        assert_eq!(discover.request().url().unwrap().as_str(), address);
        assert_eq!(discover.replay(), Replay::Safe);
    }
}

#[test]
fn an_issuer_that_is_none_is_refused() {
    let cases = [
        "",
        "id.example",
        "http://id.example",
        "ftp://id.example",
        "https://",
        "https://id.example?tenant=1",
        "https://id.example#x",
        "https://user:password@id.example",
        "javascript:alert(1)",
    ];
    for issuer in cases {
        let error = Discover::new(issuer).unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::InvalidIssuer { .. })), "{issuer}");
    }
}

#[test]
fn discovery_issuer_mismatch() {
    let found = [
        "https://evil.example/realms/Team%20A",
        "https://id.example/realms/Team%20A/",
        "https://id.example/realms/Team A",
        "https://ID.example/realms/Team%20A",
        "https://id.example:443/realms/Team%20A",
    ];
    for found in found {
        let expected = Misbehaviour::IssuerMismatch { expected: ISSUER.into(), found: found.into() };
        assert_eq!(misbehaviour(&with("issuer", found)), expected);
    }
    let missing = Misbehaviour::FieldMissing { endpoint: Endpoint::Discovery, field: "issuer" };
    assert_eq!(misbehaviour(&without("issuer")), missing);
}

#[test]
fn every_endpoint_is_there_and_safe() {
    for field in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let missing = Misbehaviour::FieldMissing { endpoint: Endpoint::Discovery, field };
        assert_eq!(misbehaviour(&without(field)), missing);
        assert_eq!(misbehaviour(&with(field, "/relative")), missing);
        for unsafe_one in
            ["http://id.example/x", "https://u:p@id.example/x", "file:///etc/passwd", "https://id.example/#x"]
        {
            let insecure = Misbehaviour::InsecureEndpoint { field };
            assert_eq!(misbehaviour(&with(field, unsafe_one)), insecure, "{unsafe_one}");
        }
        // A provider elsewhere that sends us to a port of this machine would have us post secrets to it.
        let insecure = Misbehaviour::InsecureEndpoint { field };
        assert_eq!(misbehaviour(&with(field, "http://localhost:8080/x")), insecure);
    }
}

#[test]
fn pkce_is_never_given_up() {
    let announced = |methods: Value| with("code_challenge_methods_supported", methods);
    assert_eq!(misbehaviour(&announced(json!(["plain"]))), Misbehaviour::PkceUnsupported);
    assert_eq!(misbehaviour(&announced(json!([]))), Misbehaviour::PkceUnsupported);
    // One that announces nothing gets a challenge, too.
    assert!(metadata(&without("code_challenge_methods_supported")).is_ok());
}

#[test]
fn what_is_no_document_is_an_error_without_its_text() {
    let malformed = Misbehaviour::MalformedReply { endpoint: Endpoint::Discovery };
    for text in ["", "<html>canary</html>", "[]", r#"{"issuer": 1}"#] {
        let error = Discover::new(ISSUER).unwrap().receive(Reply::new(200, text)).unwrap_err();
        assert!(matches!(&error, Error::Misbehaved(problem) if *problem == malformed), "{text}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn only_a_failing_provider_may_do_better_later() {
    for (status, is_transient) in
        [(404, false), (301, false), (204, false), (429, true), (500, true), (503, true)]
    {
        let reply = Reply::new(status, document().to_string());
        let error = Discover::new(ISSUER).unwrap().receive(reply).unwrap_err();
        assert_eq!(error.code(), "oidc_provider_status");
        assert_eq!(error.is_transient(), is_transient, "{status}");
    }
}
