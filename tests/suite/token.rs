//! What a token can do about itself.

use std::time::Duration;

use latchkey_tests::{Backend, Place, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::{Error, Vault};
use serde_json::{Value, json};

use crate::support::{token, vault};

behaviours! {
    a_token_looks_itself_up,
    a_token_is_renewed_by_what_is_asked,
    a_token_under_a_cap_gets_what_is_left,
    a_token_that_cannot_be_renewed_says_so,
    a_revoked_token_is_dead,
    #[not_on(Place::Real, "the real server has no clock to advance")]
    an_expired_token_is_dead,
    #[not_on(Place::Real, "the real server has no clock to advance")]
    a_renewed_token_outlives_its_first_lease,
}

/// A token as root makes it, on a handle of its own.
async fn made(backend: &Backend, how: Value) -> Vault {
    let reply = backend.admin(Method::Post, "auth/token/create", how).await.unwrap();
    vault(backend).with_token(&token(&reply["auth"]["client_token"].as_str().unwrap().into()))
}

const HOUR: Duration = Duration::from_secs(3600);

async fn a_token_looks_itself_up(backend: Backend) {
    let how = json!({"ttl": "1h", "explicit_max_ttl": "4h", "display_name": "app", "policies": ["default"], "meta": {"team": "a"}});
    let info = made(&backend, how).await.token().lookup_self().await.unwrap();
    let left = info.lease.time_to_live().unwrap();
    assert!(left <= HOUR && left > Duration::from_secs(3540), "{left:?}");
    assert!(info.lease.renewable);
    assert_eq!(info.explicit_max_ttl, Some(4 * HOUR));
    assert_eq!(info.policies, ["default"]);
    assert_eq!(info.display_name, "token-app");
    assert_eq!(info.metadata.get("team").map(String::as_str), Some("a"));
    assert!(info.expire_time.is_some());
}

async fn a_token_is_renewed_by_what_is_asked(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "2h"})).await;
    // Asked for ten minutes first: without an increment the server would repeat those ten, not the two hours.
    for increment in [Duration::from_secs(600), HOUR] {
        let renewal = vault.token().renew_self(increment).await.unwrap();
        assert_eq!(renewal.lease.time_to_live(), Some(increment));
    }
}

async fn a_token_under_a_cap_gets_what_is_left(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "30s", "explicit_max_ttl": "1m"})).await;
    let renewal = vault.token().renew_self(HOUR).await.unwrap();
    let left = renewal.lease.time_to_live().unwrap();
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30), "{left:?}");
}

async fn a_token_that_cannot_be_renewed_says_so(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "1h", "renewable": false})).await;
    assert!(!vault.token().lookup_self().await.unwrap().lease.renewable);
    let error = vault.token().renew_self(HOUR).await.unwrap_err();
    assert!(matches!(error, Error::NotRenewable(_)), "{error:?}");
}

async fn a_revoked_token_is_dead(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "1h"})).await;
    vault.token().revoke_self().await.unwrap();
    assert_dead(&backend, &vault).await;
}

async fn assert_dead(backend: &Backend, vault: &Vault) {
    let error = vault.token().lookup_self().await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error:?}");
    if backend.place == Place::MemoryVault {
        assert_eq!(error.is_token_dead(), Some(true), "{error:?}");
    }
}

async fn an_expired_token_is_dead(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "1h"})).await;
    backend.advance(Duration::from_secs(3595));
    vault.token().lookup_self().await.unwrap();
    backend.advance(Duration::from_secs(10));
    assert_dead(&backend, &vault).await;
}

async fn a_renewed_token_outlives_its_first_lease(backend: Backend) {
    let vault = made(&backend, json!({"ttl": "1h"})).await;
    backend.advance(HOUR / 2);
    vault.token().renew_self(HOUR).await.unwrap();
    backend.advance(HOUR / 2 + Duration::from_secs(60));
    vault.token().lookup_self().await.unwrap();
}
