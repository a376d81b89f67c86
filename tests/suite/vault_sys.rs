//! The server itself: what is mounted, who may do what, which pages may call.

use latchkey_tests::{Backend, behaviours};
use latchkey_vault_client::Error;
use latchkey_vault_client::sys::{MountKind, MountRequest};
use latchkey_vault_client::token::TokenRequest;

use crate::support::{root, vault};

behaviours! {
    a_server_says_that_it_is_not_sealed,
    an_engine_is_mounted_found_and_removed,
    an_auth_method_is_mounted_found_and_removed,
    a_path_that_is_taken_is_told,
    a_policy_is_written_read_and_removed,
    a_policy_that_the_server_cannot_read_is_refused,
    a_token_learns_what_it_may_do,
    web_pages_are_let_in_and_out,
}

async fn a_server_says_that_it_is_not_sealed(backend: Backend) {
    let status = vault(&backend).sys().seal_status().await.unwrap();
    assert!(status.initialized && !status.sealed);
    assert!(!status.version.is_empty());
}

async fn an_engine_is_mounted_found_and_removed(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("engine"));
    let sys = vault.sys();
    let request = MountRequest::kv2().with_description("of a test");
    sys.enable(MountKind::SecretsEngine, &path, &request).await.unwrap();
    let mounts = sys.mounts(MountKind::SecretsEngine).await.unwrap();
    let mount = &mounts[&format!("{path}/")];
    assert_eq!((mount.mount_type.as_str(), mount.description.as_str()), ("kv", "of a test"));
    assert_eq!(mount.options.get("version").map(String::as_str), Some("2"));
    assert!(!mount.accessor.is_empty());
    sys.disable(MountKind::SecretsEngine, &path).await.unwrap();
    assert!(!sys.mounts(MountKind::SecretsEngine).await.unwrap().contains_key(&format!("{path}/")));
}

async fn an_auth_method_is_mounted_found_and_removed(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("method"));
    let sys = vault.sys();
    sys.enable(MountKind::AuthMethod, &path, &MountRequest::new("jwt")).await.unwrap();
    assert_eq!(sys.mounts(MountKind::AuthMethod).await.unwrap()[&format!("{path}/")].mount_type, "jwt");
    sys.disable(MountKind::AuthMethod, &path).await.unwrap();
    assert!(!sys.mounts(MountKind::AuthMethod).await.unwrap().contains_key(&format!("{path}/")));
}

async fn a_path_that_is_taken_is_told(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("engine"));
    let sys = vault.sys();
    sys.enable(MountKind::SecretsEngine, &path, &MountRequest::kv2()).await.unwrap();
    let error = sys.enable(MountKind::SecretsEngine, &path, &MountRequest::kv2()).await.unwrap_err();
    assert!(matches!(error, Error::MountExists(_)), "{error:?}");
}

const POLICY: &str = "path \"secret/data/own/*\" { capabilities = [\"read\"] }";

async fn a_policy_is_written_read_and_removed(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("policy"));
    let sys = vault.sys();
    sys.write_policy(&name, POLICY).await.unwrap();
    assert_eq!(sys.policy(&name).await.unwrap().as_deref(), Some(POLICY));
    assert!(sys.policies().await.unwrap().contains(&name));
    sys.delete_policy(&name).await.unwrap();
    assert!(sys.policy(&name).await.unwrap().is_none());
    sys.delete_policy(&name).await.unwrap();
}

async fn a_policy_that_the_server_cannot_read_is_refused(backend: Backend) {
    let name = backend.unique("policy");
    let error = root(&backend).sys().write_policy(&name, "path {").await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
}

async fn a_token_learns_what_it_may_do(backend: Backend) {
    let (root, name) = (root(&backend), backend.unique("policy"));
    root.sys().write_policy(&name, POLICY).await.unwrap();
    let login = root.token().create(&TokenRequest::default().with_policies([name])).await.unwrap();
    let vault = vault(&backend).with_token(login.token());
    let capabilities = vault.sys().capabilities(&["secret/data/own/app", "secret/data/other"]).await.unwrap();
    assert_eq!(capabilities["secret/data/own/app"], ["read"]);
    assert_eq!(capabilities["secret/data/other"], ["deny"]);
}

async fn web_pages_are_let_in_and_out(backend: Backend) {
    let vault = root(&backend);
    let sys = vault.sys();
    sys.write_cors(&["https://hub.example"]).await.unwrap();
    let cors = sys.cors().await.unwrap();
    assert_eq!((cors.enabled, cors.allowed_origins), (true, vec!["https://hub.example".to_owned()]));
    assert!(cors.allowed_headers.iter().any(|header| header.eq_ignore_ascii_case("x-vault-token")));
    sys.delete_cors().await.unwrap();
    assert!(!sys.cors().await.unwrap().enabled);
}
