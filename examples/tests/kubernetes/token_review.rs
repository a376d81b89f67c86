//! `token-review` as an API server asks it.

use std::process::Stdio;
use std::time::Duration;

use latchkey_tests::kubernetes::Certificate;
use latchkey_tests::{Backend, MANAGEMENT, Misbehaviour, NOWHERE, Place, READER, Span, behaviours};
use latchkey_transport::{Method, Reply, Request, Transport};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::{Reviewer, done, write_certificate};

behaviours! {
    a_person_has_the_name_and_the_groups_of_their_token,
    a_forged_token_is_nobodys,
    a_token_for_another_audience_is_nobodys,
    what_is_no_token_is_nobodys,
    what_no_api_server_asks_is_refused,
    a_question_that_is_too_long_is_refused,
    its_health_needs_no_provider,
    it_ends_when_it_is_told_to,
    a_certificate_that_is_replaced_is_taken_up,
    a_certificate_without_its_key_is_a_usage_error,
    #[not_on(Place::Real, "the real provider does not lie on request")]
    whatever_is_wrong_with_a_token_is_told_without_a_word_of_it,
    #[not_on(Place::Real, "the real provider's keys are everybody's")]
    new_keys_are_taken_up_at_once,
}

async fn ask(reviewer: &Reviewer, method: Method, path: &str, body: Option<String>) -> Reply {
    let address = format!("{}{path}", reviewer.address).parse().unwrap();
    let request = Request::for_url(method, address);
    let request = match body {
        Some(body) => request.with_body("application/json", body),
        None => request,
    };
    reviewer.transport().send(request).await.unwrap()
}

async fn review(reviewer: &Reviewer, token: &str) -> Value {
    let asked =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let reply = ask(reviewer, Method::Post, "/token-review", Some(asked.to_string())).await;
    assert_eq!(reply.status(), 200);
    let mut answer: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!(answer["apiVersion"], asked["apiVersion"]);
    answer["status"].take()
}

fn assert_unknown(status: &Value, why: &str) {
    assert_eq!(*status, json!({"authenticated": false, "error": why}));
}

async fn a_person_has_the_name_and_the_groups_of_their_token(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    for (user, groups) in
        [(READER, json!(["oidc:reader"])), (MANAGEMENT, json!(["oidc:management", "oidc:reader"]))]
    {
        let tokens = backend.tokens(user).await.unwrap();
        // Opened for a program of ours, which is told so.
        let status = review(&reviewer, tokens.id_token.as_secret().expose_secret()).await;
        let name = format!("oidc:{}", user.name);
        let known = json!({"username": name, "uid": tokens.id_token.subject(), "groups": groups});
        assert_eq!(status, json!({"authenticated": true, "user": known}));
    }
}

async fn a_forged_token_is_nobodys(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    let (one, other) = (backend.tokens(READER).await.unwrap(), backend.tokens(MANAGEMENT).await.unwrap());
    let (claims, _) = one.id_token.as_secret().expose_secret().rsplit_once('.').unwrap();
    let (_, signature) = other.id_token.as_secret().expose_secret().rsplit_once('.').unwrap();
    let status = review(&reviewer, &format!("{claims}.{signature}")).await;
    assert_unknown(&status, "the signature of the token is not the provider's");
}

async fn a_token_for_another_audience_is_nobodys(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    let tokens = backend.tokens(READER).await.unwrap();
    // The access token is from the same provider and signed with the same key.
    let status = review(&reviewer, tokens.access_token.expose_secret()).await;
    assert_eq!(status["authenticated"], false, "{status}");
    let other = Reviewer::start_for(&backend, "somebody-else", &[]).await;
    let status = review(&other, tokens.id_token.as_secret().expose_secret()).await;
    assert_unknown(&status, "the token is for another audience");
    let both = Reviewer::start_for(&backend, "somebody-else", &["--audience", &backend.client_id]).await;
    let status = review(&both, tokens.id_token.as_secret().expose_secret()).await;
    assert_eq!(status["authenticated"], true, "{status}");
}

async fn what_is_no_token_is_nobodys(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    for token in ["", "x", "a.b.c", "e30.e30.e30", "…"] {
        let status = review(&reviewer, token).await;
        assert_unknown(&status, "this is no ID token");
    }
}

async fn what_no_api_server_asks_is_refused(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    for (method, path, body, status) in [
        (Method::Post, "/token-review", Some("{}"), 400),
        (Method::Post, "/token-review", Some("nonsense"), 400),
        (Method::Get, "/token-review", None, 405),
        (Method::Post, "/healthz", Some("{}"), 405),
        (Method::Get, "/metrics", None, 404),
    ] {
        let reply = ask(&reviewer, method, path, body.map(str::to_owned)).await;
        assert_eq!(reply.status(), status, "{path}");
    }
}

async fn a_question_that_is_too_long_is_refused(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    let reply = ask(&reviewer, Method::Post, "/token-review", Some(" ".repeat(200_000))).await;
    assert_eq!(reply.status(), 413);
}

async fn its_health_needs_no_provider(mut backend: Backend) {
    backend.issuer = format!("{NOWHERE}/realms/none");
    let reviewer = Reviewer::start(&backend, &[]).await;
    assert_eq!(ask(&reviewer, Method::Get, "/healthz", None).await.status(), 200);
    // Nothing is said about a token that nobody can check: a "no" would be remembered.
    let claims = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.AAAA";
    let asked =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": claims}});
    let reply = ask(&reviewer, Method::Post, "/token-review", Some(asked.to_string())).await;
    assert_eq!(reply.status(), 503);
}

async fn it_ends_when_it_is_told_to(backend: Backend) {
    let mut reviewer = Reviewer::start(&backend, &[]).await;
    assert_eq!(ask(&reviewer, Method::Get, "/healthz", None).await.status(), 200);
    let pid = reviewer.child.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(60), reviewer.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

async fn a_certificate_that_is_replaced_is_taken_up(backend: Backend) {
    let mut reviewer = Reviewer::start(&backend, &[]).await;
    let newer = Certificate::generate().unwrap();
    write_certificate(reviewer.folder.path(), &newer);
    reviewer.ca_pem = newer.pem;
    let address: url::Url = format!("{}/healthz", reviewer.address).parse().unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    // It looks every 10 s.
    while reviewer.transport().send(Request::for_url(Method::Get, address.clone())).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "the old one is still there");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn a_certificate_without_its_key_is_a_usage_error(backend: Backend) {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    write_certificate(folder.path(), &Certificate { pem: one.pem, key_pem: other.key_pem });
    let run = |certificate: &str, key: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_token-review"));
        command.args(["--listen", "127.0.0.1:0", "--issuer", &backend.issuer, "--audience", "x"]);
        command.args(["--tls-cert", certificate, "--tls-key", key]).current_dir(folder.path());
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        done(command.spawn().unwrap())
    };
    for (certificate, key, told) in [
        ("cert.pem", "key.pem", "not the key of the certificate"),
        ("key.pem", "key.pem", "no certificate in PEM"),
        ("cert.pem", "cert.pem", "no private key in PEM"),
        ("nowhere.pem", "key.pem", "nowhere.pem"),
    ] {
        let failed = run(certificate, key).await;
        failed.assert_failure(&[told, "--tls-cert"]);
        assert_eq!(failed.code, Some(2), "{failed:?}");
    }
}

async fn whatever_is_wrong_with_a_token_is_told_without_a_word_of_it(backend: Backend) {
    use Misbehaviour as M;
    let reviewer = Reviewer::start(&backend, &[]).await;
    let provider = || backend.world().provider();
    assert_eq!(review(&reviewer, &provider().id_token("reader")).await["authenticated"], true);
    for (how, why) in [
        (M::Expired, "the token has expired"),
        (M::NotYetValid, "the token is not valid yet"),
        (M::IssuedInFuture(Duration::from_secs(3600)), "the token is not valid yet"),
        (M::OtherIssuer, "the token is from another issuer"),
        (M::MissingIssuer, "this is no ID token of the provider"),
        (M::OtherAudience, "the token is for another audience"),
        (M::ExtraAudience, "the token is for another audience"),
        (M::OtherAuthorizedParty, "the token is for another audience"),
        (M::AlgNone, "the signature of the token is not the provider's"),
        (M::AlgHs256, "the signature of the token is not the provider's"),
        (M::BrokenSignature, "the signature of the token is not the provider's"),
        (M::UnknownCritical, "this is no ID token of the provider"),
        (M::MissingSubject, "this is no ID token of the provider"),
    ] {
        provider().misbehave(how, Span::Once);
        let token = provider().id_token("reader");
        provider().behave();
        let status = review(&reviewer, &token).await;
        assert_eq!(status, json!({"authenticated": false, "error": why}), "{how:?}");
    }
}

async fn new_keys_are_taken_up_at_once(backend: Backend) {
    let reviewer = Reviewer::start(&backend, &[]).await;
    let provider = || backend.world().provider();
    for _ in 0..2 {
        assert_eq!(review(&reviewer, &provider().id_token("reader")).await["authenticated"], true);
        provider().rotate_keys();
        provider().forget_old_keys();
    }
}
