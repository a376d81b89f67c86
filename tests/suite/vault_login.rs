//! From an identity to a Vault token.

use std::time::Duration;

use latchkey_oidc_flow::CallbackParams;
use latchkey_tests::{Backend, MANAGEMENT, Place, READER, Site, behaviours};
use latchkey_transport::{Method, Secret, SystemRandom};
use latchkey_vault_client::auth::{AuthUrl, ClientNonce};
use latchkey_vault_client::{Error, LoginProblem, Read};
use serde_json::json;

use crate::support::{tokens, vault};

behaviours! {
    an_id_token_becomes_a_vault_token_that_reads_the_secret,
    the_login_says_who_and_how_long,
    an_unknown_role_is_named_as_the_reason,
    a_role_for_another_audience_is_named_as_the_reason,
    a_role_for_another_person_is_named_as_the_reason,
    a_broken_signature_is_named_as_the_reason,
    a_mount_that_is_not_there_is_named_as_the_reason,
    the_vault_drives_a_sign_in,
    the_vault_drives_a_pasted_sign_in,
    a_redirect_address_that_the_role_does_not_allow_is_named,
    another_port_of_the_same_loopback_is_allowed,
    an_unknown_role_gives_no_address,
    a_callback_works_once,
    a_callback_with_another_client_nonce_is_refused_and_ends_the_login,
    a_callback_with_a_made_up_code_is_refused,
    #[not_on(Place::Real, "the real servers have no clock to advance")]
    a_sign_in_left_for_ten_minutes_has_expired,
}

fn problem(error: &Error) -> LoginProblem {
    match error {
        Error::LoginRefused { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

async fn an_id_token_becomes_a_vault_token_that_reads_the_secret(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens(&backend, READER).await;
    let vault = vault(&backend);
    let login = vault.jwt(&site.jwt).login("default", tokens.id_token.as_secret()).await.unwrap();
    let vault = vault.with_token(login.token());
    let Read::Found(secret) = vault.kv2(&site.kv).read("team/app").await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(secret.data().text("password").unwrap(), site.password);
    assert_eq!(secret.metadata().version, 1);
}

async fn the_login_says_who_and_how_long(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens(&backend, READER).await;
    let login = vault(&backend).jwt(&site.jwt).login("default", tokens.id_token.as_secret()).await.unwrap();
    assert!(login.policies.contains(&site.kv) && login.policies.contains(&"default".to_owned()));
    assert_eq!(login.metadata.get("role").map(String::as_str), Some("default"));
    assert_eq!(login.metadata.get("email").map(String::as_str), Some("reader@example.com"));
    assert_eq!(login.lease.time_to_live(), Some(Duration::from_secs(3600)));
    assert!(login.lease.renewable && login.orphan);
    assert!(!login.accessor.is_empty() && !login.entity_id.is_empty());
}

async fn an_unknown_role_is_named_as_the_reason(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens(&backend, READER).await;
    let outcome = vault(&backend).jwt(&site.jwt).login("nobody", tokens.id_token.as_secret()).await;
    assert_eq!(problem(&outcome.unwrap_err()), LoginProblem::UnknownRole);
}

/// Adds a role to the JWT mount.
async fn role(backend: &Backend, site: &Site, name: &str, more: serde_json::Value) {
    let mut role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": [backend.client_id]});
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    backend.admin(Method::Post, &format!("auth/{}/role/{name}", site.jwt), role).await.unwrap();
}

async fn a_role_for_another_audience_is_named_as_the_reason(backend: Backend) {
    let site = backend.site().await.unwrap();
    role(&backend, &site, "others", json!({"bound_audiences": ["somebody-else"]})).await;
    let tokens = tokens(&backend, READER).await;
    let outcome = vault(&backend).jwt(&site.jwt).login("others", tokens.id_token.as_secret()).await;
    let problem = problem(&outcome.unwrap_err());
    assert!([LoginProblem::AudienceRejected, LoginProblem::TokenRejected].contains(&problem), "{problem:?}");
}

async fn a_role_for_another_person_is_named_as_the_reason(backend: Backend) {
    let site = backend.site().await.unwrap();
    role(&backend, &site, "boss", json!({"bound_claims": {"preferred_username": "management"}})).await;
    let (reader, management) = (tokens(&backend, READER).await, tokens(&backend, MANAGEMENT).await);
    let vault = vault(&backend);
    vault.jwt(&site.jwt).login("boss", management.id_token.as_secret()).await.unwrap();
    let outcome = vault.jwt(&site.jwt).login("boss", reader.id_token.as_secret()).await;
    assert_eq!(problem(&outcome.unwrap_err()), LoginProblem::ClaimsRejected);
}

async fn a_broken_signature_is_named_as_the_reason(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens(&backend, READER).await;
    let good = tokens.id_token.as_secret().expose_secret();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    let broken = Secret::new(format!("{signed}.{swapped}{}", &signature[1..]));
    let outcome = vault(&backend).jwt(&site.jwt).login("default", &broken).await;
    let error = outcome.unwrap_err();
    assert_eq!(problem(&error), LoginProblem::TokenRejected);
    assert!(
        !format!("{error:?} {error}").contains(&broken.expose_secret()[..40]),
        "the token is not repeated"
    );
}

async fn a_mount_that_is_not_there_is_named_as_the_reason(backend: Backend) {
    let tokens = tokens(&backend, READER).await;
    let outcome = vault(&backend).jwt("nowhere").login("default", tokens.id_token.as_secret()).await;
    assert_eq!(problem(&outcome.unwrap_err()), LoginProblem::NotServed);
}

/// Begins a sign-in through the Vault and signs in at the form: what was begun, and what the browser brought back.
async fn signed_in(backend: &Backend, site: &Site, nonce: &ClientNonce) -> (AuthUrl, CallbackParams) {
    let vault = vault(backend);
    let auth_url = vault.oidc(&site.oidc).auth_url("default", site.redirect_uri, nonce).await.unwrap();
    let page = backend.sign_in(auth_url.url(), READER, site.redirect_uri).await.unwrap();
    (auth_url, CallbackParams::from_address(page.address.as_str()).unwrap())
}

fn nonce() -> ClientNonce {
    ClientNonce::generate(&mut SystemRandom).unwrap()
}

async fn the_vault_drives_a_sign_in(backend: Backend) {
    let site = backend.site().await.unwrap();
    let nonce = nonce();
    let (auth_url, params) = signed_in(&backend, &site, &nonce).await;
    let (state, code) = (params.state().unwrap(), params.code().unwrap());
    auth_url.check_state(state).unwrap();
    assert!(auth_url.check_state(&Secret::new("forged")).is_err());
    let vault = vault(&backend);
    let login = vault.oidc(&site.oidc).callback(state, code, &nonce).await.unwrap();
    let vault = vault.with_token(login.token());
    assert!(matches!(vault.kv2(&site.kv).read("team/app").await.unwrap(), Read::Found(_)));
}

async fn the_vault_drives_a_pasted_sign_in(backend: Backend) {
    let site = backend.site().await.unwrap();
    let (nonce, vault) = (nonce(), vault(&backend));
    let oidc = vault.oidc(&site.oidc);
    let auth_url = oidc.auth_url("default", latchkey_oidc_flow::oob::REDIRECT_URI, &nonce).await.unwrap();
    let page = backend.sign_in(auth_url.url(), READER, "none:").await.unwrap();
    let code = Secret::new(page.input("code").unwrap());
    oidc.callback(auth_url.state(), &code, &nonce).await.unwrap();
}

async fn a_redirect_address_that_the_role_does_not_allow_is_named(backend: Backend) {
    let site = backend.site().await.unwrap();
    for redirect in
        ["http://127.0.0.1:8250/oidc/callback", "http://localhost:8250/other", "https://evil.example/"]
    {
        let outcome = vault(&backend).oidc(&site.oidc).auth_url("default", redirect, &nonce()).await;
        let Err(Error::NoAuthUrl { role, redirect_uri }) = outcome else { panic!("{redirect}: {outcome:?}") };
        assert_eq!((role.as_str(), redirect_uri.as_str()), ("default", redirect));
    }
}

async fn another_port_of_the_same_loopback_is_allowed(backend: Backend) {
    let site = backend.site().await.unwrap();
    let redirect = "http://localhost:9999/oidc/callback";
    let auth_url = vault(&backend).oidc(&site.oidc).auth_url("default", redirect, &nonce()).await.unwrap();
    let sent = auth_url.url().query_pairs().any(|(name, value)| name == "redirect_uri" && value == redirect);
    assert!(sent, "the provider is told that address");
}

async fn an_unknown_role_gives_no_address(backend: Backend) {
    let site = backend.site().await.unwrap();
    let outcome = vault(&backend).oidc(&site.oidc).auth_url("nobody", site.redirect_uri, &nonce()).await;
    assert_eq!(problem(&outcome.unwrap_err()), LoginProblem::UnknownRole);
}

async fn a_callback_works_once(backend: Backend) {
    let site = backend.site().await.unwrap();
    let (nonce, vault) = (nonce(), vault(&backend));
    let (_, params) = signed_in(&backend, &site, &nonce).await;
    let (state, code) = (params.state().unwrap(), params.code().unwrap());
    vault.oidc(&site.oidc).callback(state, code, &nonce).await.unwrap();
    let again = vault.oidc(&site.oidc).callback(state, code, &nonce).await;
    assert_eq!(problem(&again.unwrap_err()), LoginProblem::StateExpired);
}

async fn a_callback_with_another_client_nonce_is_refused_and_ends_the_login(backend: Backend) {
    let site = backend.site().await.unwrap();
    let (mine, vault) = (nonce(), vault(&backend));
    let (_, params) = signed_in(&backend, &site, &mine).await;
    let (state, code) = (params.state().unwrap(), params.code().unwrap());
    let stolen = vault.oidc(&site.oidc).callback(state, code, &nonce()).await;
    assert_eq!(problem(&stolen.unwrap_err()), LoginProblem::ClientNonceMismatch);
    let mine = vault.oidc(&site.oidc).callback(state, code, &mine).await;
    assert_eq!(problem(&mine.unwrap_err()), LoginProblem::StateExpired);
}

async fn a_callback_with_a_made_up_code_is_refused(backend: Backend) {
    let site = backend.site().await.unwrap();
    let (nonce, vault) = (nonce(), vault(&backend));
    let auth_url = vault.oidc(&site.oidc).auth_url("default", site.redirect_uri, &nonce).await.unwrap();
    let made_up = Secret::new("made-up-code-0123456789");
    let error = vault.oidc(&site.oidc).callback(auth_url.state(), &made_up, &nonce).await.unwrap_err();
    assert_eq!(problem(&error), LoginProblem::CodeRejected);
    assert!(!format!("{error:?} {error}").contains(made_up.expose_secret()), "the code is not repeated");
}

async fn a_sign_in_left_for_ten_minutes_has_expired(backend: Backend) {
    let site = backend.site().await.unwrap();
    let (nonce, vault) = (nonce(), vault(&backend));
    let (_, params) = signed_in(&backend, &site, &nonce).await;
    backend.advance(Duration::from_secs(11 * 60));
    let late = vault.oidc(&site.oidc).callback(params.state().unwrap(), params.code().unwrap(), &nonce).await;
    assert_eq!(problem(&late.unwrap_err()), LoginProblem::StateExpired);
}
