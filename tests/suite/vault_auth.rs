//! The other ways in: name and password, two ids, Kubernetes, and a sign-in that is asked about.

use std::time::Duration;

use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::{Method, Secret, SystemRandom};
use latchkey_vault_client::auth::{ClientNonce, Poll};
use latchkey_vault_client::{Error, LoginProblem};
use serde_json::{Value, json};

use crate::support::vault;

behaviours! {
    a_name_and_its_password_become_a_token,
    a_wrong_password_is_told,
    two_ids_become_a_token,
    a_secret_id_that_is_used_up_is_told,
    a_service_account_is_refused_by_role_and_token,
    #[not_on(Place::MemoryVault, "HashiCorp's Vault has no polls")]
    a_sign_in_that_comes_back_to_the_server_is_asked_about,
    #[not_on(Place::MemoryVault, "HashiCorp's Vault has no polls")]
    a_poll_for_another_login_is_refused,
    a_login_is_finished_by_another_process,
}

fn problem(error: &Error) -> LoginProblem {
    match error {
        Error::LoginRefused { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

/// An auth method of one's own.
async fn auth(backend: &Backend, kind: &str) -> String {
    let mount = backend.unique(kind);
    backend.admin(Method::Post, &format!("sys/auth/{mount}"), json!({"type": kind})).await.unwrap();
    mount
}

async fn bob(backend: &Backend) -> String {
    let mount = auth(backend, "userpass").await;
    let bob = json!({"password": "pw of bob", "token_policies": "default", "token_ttl": "1h"});
    backend.admin(Method::Post, &format!("auth/{mount}/users/bob"), bob).await.unwrap();
    mount
}

async fn a_name_and_its_password_become_a_token(backend: Backend) {
    let mount = bob(&backend).await;
    let login = vault(&backend).userpass(&mount).login("bob", &Secret::new("pw of bob")).await.unwrap();
    assert_eq!(login.metadata.get("username").map(String::as_str), Some("bob"));
    assert_eq!((login.policies.as_slice(), login.orphan), (["default".to_owned()].as_slice(), true));
    assert_eq!(login.lease.time_to_live(), Some(Duration::from_secs(3600)));
    vault(&backend).with_token(login.token()).token().lookup_self().await.unwrap();
}

async fn a_wrong_password_is_told(backend: Backend) {
    let mount = bob(&backend).await;
    for (name, password) in [("bob", "pw of eve"), ("eve", "pw of eve")] {
        let error = vault(&backend).userpass(&mount).login(name, &Secret::new(password)).await.unwrap_err();
        assert_eq!(problem(&error), LoginProblem::CredentialsRejected);
        assert!(!format!("{error} {error:?}").contains(password));
    }
}

async fn role(backend: &Backend) -> (String, String, Secret) {
    let mount = auth(backend, "approle").await;
    let role = json!({"token_policies": "default", "secret_id_num_uses": 1});
    backend.admin(Method::Post, &format!("auth/{mount}/role/app"), role).await.unwrap();
    let path = format!("auth/{mount}/role/app");
    let role_id = backend.admin(Method::Get, &format!("{path}/role-id"), Value::Null).await.unwrap();
    let secret_id = backend.admin(Method::Post, &format!("{path}/secret-id"), json!({})).await.unwrap();
    let text = |reply: Value, name: &str| reply["data"][name].as_str().unwrap().to_owned();
    (mount, text(role_id, "role_id"), Secret::new(text(secret_id, "secret_id")))
}

async fn two_ids_become_a_token(backend: Backend) {
    let (mount, role_id, secret_id) = role(&backend).await;
    let login = vault(&backend).approle(&mount).login(&role_id, &secret_id).await.unwrap();
    assert_eq!(login.policies, ["default"]);
    assert_eq!(login.metadata.get("role_name").map(String::as_str), Some("app"));
}

async fn a_secret_id_that_is_used_up_is_told(backend: Backend) {
    let (mount, role_id, secret_id) = role(&backend).await;
    let vault = vault(&backend);
    let approle = vault.approle(&mount);
    approle.login(&role_id, &secret_id).await.unwrap();
    for (role_id, secret_id) in
        [(role_id.as_str(), &secret_id), (&role_id, &Secret::new("")), ("nobody", &secret_id)]
    {
        let error = approle.login(role_id, secret_id).await.unwrap_err();
        assert_eq!(problem(&error), LoginProblem::CredentialsRejected, "{error}");
    }
}

async fn a_service_account_is_refused_by_role_and_token(backend: Backend) {
    let mount = auth(&backend, "kubernetes").await;
    let role = json!({"bound_service_account_names": "app", "bound_service_account_namespaces": "default"});
    backend.admin(Method::Post, &format!("auth/{mount}/role/app"), role).await.unwrap();
    let vault = vault(&backend);
    let kubernetes = vault.kubernetes(&mount);
    let jwt = Secret::new("x.y.z");
    let unset = kubernetes.login("app", &jwt).await.unwrap_err();
    assert_eq!(problem(&unset), LoginProblem::NotConfigured);
    let config = json!({"kubernetes_host": "https://127.0.0.1:1", "kubernetes_ca_cert": "x"});
    backend.admin(Method::Post, &format!("auth/{mount}/config"), config).await.unwrap();
    assert_eq!(problem(&kubernetes.login("nobody", &jwt).await.unwrap_err()), LoginProblem::UnknownRole);
    assert_eq!(problem(&kubernetes.login("", &jwt).await.unwrap_err()), LoginProblem::MissingRole);
    assert_eq!(
        problem(&kubernetes.login("app", &Secret::new("")).await.unwrap_err()),
        LoginProblem::TokenRejected
    );
}

fn nonce() -> ClientNonce {
    ClientNonce::generate(&mut SystemRandom).unwrap()
}

/// A role whose logins come back to the server, and the address there.
async fn direct(backend: &Backend) -> (String, String) {
    let site = backend.site().await.unwrap();
    let redirect_uri = format!("{}v1/auth/{}/oidc/callback", backend.vault_address, site.oidc);
    let role = json!({
        "role_type": "oidc", "user_claim": "preferred_username", "token_policies": [site.kv],
        "allowed_redirect_uris": [redirect_uri], "callback_mode": "direct", "poll_interval": 1,
        "oidc_disable_confirmation": true,
    });
    backend.admin(Method::Post, &format!("auth/{}/role/direct", site.oidc), role).await.unwrap();
    (site.oidc, redirect_uri)
}

async fn a_sign_in_that_comes_back_to_the_server_is_asked_about(backend: Backend) {
    let (mount, redirect_uri) = direct(&backend).await;
    let (vault, nonce) = (vault(&backend), nonce());
    let oidc = vault.oidc(&mount);
    let auth_url = oidc.auth_url("direct", &redirect_uri, &nonce).await.unwrap();
    assert_eq!(auth_url.poll_interval(), Some(Duration::from_secs(1)));
    assert!(matches!(oidc.poll(auth_url.state(), &nonce).await.unwrap(), Poll::Pending));
    // The browser follows the redirect to the server, which is no provider of ours: the last page is its own.
    let page = backend.sign_in(auth_url.url(), READER, &redirect_uri).await.unwrap();
    let request = latchkey_transport::Request::new(Method::Get, page.address.to_string());
    let reply = backend.transport.send(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let login = oidc.poll_until_done(&auth_url, &nonce, tokio::time::sleep).await.unwrap();
    vault.with_token(login.token()).token().lookup_self().await.unwrap();
}

async fn a_poll_for_another_login_is_refused(backend: Backend) {
    let (mount, redirect_uri) = direct(&backend).await;
    let (vault, nonce, other) = (vault(&backend), nonce(), nonce());
    let oidc = vault.oidc(&mount);
    let unknown = oidc.poll(&Secret::new("st_nobody"), &nonce).await.unwrap_err();
    assert_eq!(problem(&unknown), LoginProblem::StateExpired);
    let auth_url = oidc.auth_url("direct", &redirect_uri, &nonce).await.unwrap();
    let stolen = oidc.poll(auth_url.state(), &other).await.unwrap_err();
    assert_eq!(problem(&stolen), LoginProblem::ClientNonceMismatch);
}

async fn a_login_is_finished_by_another_process(backend: Backend) {
    let site = backend.site().await.unwrap();
    let vault = vault(&backend);
    let begun = nonce();
    let auth_url = vault.oidc(&site.oidc).auth_url("default", site.redirect_uri, &begun).await.unwrap();
    let kept = (begun.expose_secret().to_owned(), auth_url.state().expose_secret().to_owned());
    let page = backend.sign_in(auth_url.url(), READER, site.redirect_uri).await.unwrap();
    let came = latchkey_oidc_flow::CallbackParams::from_address(page.address.as_str()).unwrap();
    let (nonce, state) = (ClientNonce::restore(kept.0).unwrap(), Secret::new(kept.1));
    assert!(state.is_same_as(came.state().unwrap().expose_secret()));
    vault.oidc(&site.oidc).callback(&state, came.code().unwrap(), &nonce).await.unwrap();
}
