//! Keepers of Vault tokens with lives of seconds: what the machine assumes of servers is seen here on servers.
//!
//! The doubles in memory have a clock of their own; how keepers live by a clock that a test advances is tested in their
//! crate.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latchkey_tests::{Backend, OwnOpenBao, Place, behaviours};
use latchkey_token_lifecycle::{Keeper, News, Phase, VaultTokens};
use latchkey_transport::{Method, Secret};
use latchkey_vault_client::{Login, Token, Vault};
use serde_json::{Value, json};

use crate::support::vault;

const CLOCK: &str = "keepers live by the system's clock, the doubles in memory by their own";

behaviours! {
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_kept_token_is_renewed_beyond_its_first_lease,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_kept_token_that_meets_its_cap_is_replaced_without_a_gap,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_kept_token_that_was_revoked_is_found_out_and_replaced,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_policy_that_says_no_is_not_the_end_of_a_kept_token,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_token_whose_uses_are_counted_keeps_them_for_its_holder,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_batch_token_is_replaced_and_not_renewed,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_keeper_that_stops_gives_its_token_back,
    #[not_on(Place::MemoryOpenBao, CLOCK)]
    #[not_on(Place::MemoryVault, CLOCK)]
    a_kept_token_survives_a_sealed_server_and_a_restart,
}

/// What a keeper told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<News>>>);

impl Told {
    fn has(&self, is: impl Fn(&News) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(is)
    }
}

/// A keeper that signs in as a program, with a role like that.
async fn kept(backend: &Backend, vault: &Vault, role: Value) -> (Keeper<Login>, Told) {
    let mount = backend.unique("approle");
    let path = format!("auth/{mount}/role/app");
    backend.admin(Method::Post, &format!("sys/auth/{mount}"), json!({"type": "approle"})).await.unwrap();
    backend.admin(Method::Post, &path, role).await.unwrap();
    let role_id = backend.admin(Method::Get, &format!("{path}/role-id"), Value::Null).await.unwrap();
    let secret_id = backend.admin(Method::Post, &format!("{path}/secret-id"), json!({})).await.unwrap();
    let role_id = role_id["data"]["role_id"].as_str().unwrap();
    let secret_id = Secret::new(secret_id["data"]["secret_id"].as_str().unwrap());
    keeper(VaultTokens::approle(vault.clone(), mount, role_id, secret_id))
}

fn keeper(tokens: VaultTokens) -> (Keeper<Login>, Told) {
    let told = Told::default();
    let log = told.clone();
    let keeper = Keeper::of(tokens).with_observer(move |news| log.0.lock().unwrap().push(news)).spawn();
    (keeper.unwrap(), told)
}

async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

async fn assert_lives(vault: &Vault, login: &Login) {
    vault.with_token(login.token()).token().lookup_self().await.unwrap();
}

async fn a_kept_token_is_renewed_beyond_its_first_lease(backend: Backend) {
    let vault = vault(&backend);
    let (keeper, told) = kept(&backend, &vault, json!({"token_ttl": "4s"})).await;
    let first = keeper.token().await.unwrap();
    wait(5.0).await;
    let token = keeper.fresh().unwrap();
    assert_eq!(token.accessor, first.accessor);
    assert_lives(&vault, &token).await;
    assert!(told.has(|news| matches!(news, News::Renewed { .. })));
}

/// A machine that is busy compiling makes a second long; what must not be is a token that the server does not take.
async fn a_kept_token_that_meets_its_cap_is_replaced_without_a_gap(backend: Backend) {
    let vault = vault(&backend);
    let role = json!({"token_ttl": "4s", "token_max_ttl": "7s"});
    let (keeper, told) = kept(&backend, &vault, role).await;
    let first = keeper.token().await.unwrap().accessor.clone();
    let start = Instant::now();
    let mut last = first.clone();
    while start.elapsed() < Duration::from_secs(8) {
        let token = keeper.token().await.unwrap();
        assert_lives(&vault, &token).await;
        last.clone_from(&token.accessor);
        wait(0.2).await;
    }
    assert_ne!(first, last);
    assert!(told.has(|news| matches!(news, News::Capped { .. })), "{:?}", told.0);
    assert!(told.has(|news| matches!(news, News::SignedInAgain { .. })), "{:?}", told.0);
    assert!(!told.has(|news| *news == News::Lost), "{:?}", told.0);
}

async fn a_kept_token_that_was_revoked_is_found_out_and_replaced(backend: Backend) {
    let vault = vault(&backend);
    let (keeper, told) = kept(&backend, &vault, json!({"token_ttl": "1h"})).await;
    let token = keeper.token().await.unwrap();
    let accessor = json!({"accessor": token.accessor});
    backend.admin(Method::Post, "auth/token/revoke-accessor", accessor).await.unwrap();
    let error = vault.with_token(token.token()).token().lookup_self().await.unwrap_err();
    keeper.refused(&token, error.is_token_dead() == Some(true));
    // The probe is on its way; whoever has the token meanwhile asks again.
    let mut replaced = token.clone();
    for _ in 0..100 {
        wait(0.05).await;
        replaced = keeper.token().await.unwrap();
        if replaced.accessor != token.accessor {
            break;
        }
    }
    assert_ne!(replaced.accessor, token.accessor);
    assert_lives(&vault, &replaced).await;
    assert!(told.has(|news| *news == News::Lost));
}

async fn a_policy_that_says_no_is_not_the_end_of_a_kept_token(backend: Backend) {
    let vault = vault(&backend);
    let (keeper, told) = kept(&backend, &vault, json!({"token_ttl": "1h"})).await;
    let token = keeper.token().await.unwrap();
    let error = vault.with_token(token.token()).logical().list("sys/policies/acl").await.unwrap_err();
    assert_eq!((error.status(), error.is_token_dead()), (Some(403), None), "{error:?}");
    for _ in 0..20 {
        keeper.refused(&token, false);
    }
    wait(1.0).await;
    assert_eq!(keeper.fresh().unwrap().accessor, token.accessor);
    assert!(!told.has(|news| *news == News::Lost));
}

async fn a_token_whose_uses_are_counted_keeps_them_for_its_holder(backend: Backend) {
    let vault = vault(&backend);
    let role = json!({"token_ttl": "30s", "token_num_uses": 2});
    let (keeper, _) = kept(&backend, &vault, role).await;
    let token = keeper.token().await.unwrap();
    wait(1.0).await;
    for _ in 0..2 {
        assert_lives(&vault, &token).await;
    }
    let used = vault.with_token(token.token());
    let error = used.token().lookup_self().await.unwrap_err();
    keeper.refused(&token, error.is_token_dead() == Some(true));
    wait(0.1).await;
    let replaced = keeper.token().await.unwrap();
    assert_ne!(replaced.accessor, token.accessor, "without a probe, which would be a use");
}

async fn a_batch_token_is_replaced_and_not_renewed(backend: Backend) {
    let vault = vault(&backend);
    let role = json!({"token_ttl": "4s", "token_type": "batch"});
    let (keeper, told) = kept(&backend, &vault, role).await;
    let first = Secret::new(keeper.token().await.unwrap().token().expose_secret());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        assert_lives(&vault, &keeper.token().await.unwrap()).await;
        wait(0.2).await;
    }
    assert!(!first.is_same_as(keeper.token().await.unwrap().token().expose_secret()));
    assert!(!told.has(|news| matches!(news, News::Renewed { .. } | News::Lost)), "{:?}", told.0);
}

async fn a_keeper_that_stops_gives_its_token_back(backend: Backend) {
    let vault = vault(&backend);
    let (keeper, _) = kept(&backend, &vault, json!({"token_ttl": "1h"})).await;
    let token = keeper.token().await.unwrap();
    keeper.stop(true).await;
    let error = vault.with_token(token.token()).token().lookup_self().await.unwrap_err();
    assert_eq!(error.status(), Some(403));
}

/// A server of its own: others would not like to see theirs sealed.
async fn a_kept_token_survives_a_sealed_server_and_a_restart(backend: Backend) {
    let (vault, root, own) = if backend.place == Place::Real {
        let own = OwnOpenBao::start().await.unwrap();
        let vault = Vault::new(own.address().clone(), backend.transport.clone());
        (vault, own.root().clone(), Some(own))
    } else {
        (vault(&backend), backend.root.clone(), None)
    };
    let as_root = vault.with_token(&Token::new(root).unwrap());
    let request = latchkey_vault_client::token::TokenRequest::default()
        .with_policies(["default"])
        .with_ttl(Duration::from_secs(60));
    let login = as_root.token().create(&request).await.unwrap();
    let lease = (&login).into();
    let told = Told::default();
    let log = told.clone();
    let keeper = Keeper::of(VaultTokens::given(vault.clone()))
        .with_token(login, lease)
        .with_observer(move |news| log.0.lock().unwrap().push(news))
        .spawn()
        .unwrap();
    let seal = async || match &own {
        Some(own) => own.seal().await.unwrap(),
        None => backend.world().vault().seal(),
    };
    let unseal = async || match &own {
        Some(own) => own.unseal().await.unwrap(),
        None => backend.world().vault().unseal(),
    };
    let token = keeper.token().await.unwrap();
    seal().await;
    assert!(keeper.renew_now().await.is_err());
    assert_eq!(keeper.status().phase, Phase::Failing);
    assert!(keeper.fresh().is_some(), "it serves on");
    unseal().await;
    keeper.renew_now().await.unwrap();
    assert_lives(&vault, &token).await;
    if let Some(own) = &own {
        own.restart().await.unwrap();
        assert!(keeper.renew_now().await.is_err(), "it starts sealed");
        own.unseal().await.unwrap();
    }
    // By itself, whatever the pause: before the end of its life.
    let start = Instant::now();
    while keeper.status().phase != Phase::Fresh || start.elapsed() < Duration::from_secs(1) {
        assert!(start.elapsed() < Duration::from_secs(58), "{:?}", keeper.status());
        wait(0.1).await;
    }
    assert_lives(&vault, &keeper.token().await.unwrap()).await;
    assert!(!told.has(|news| *news == News::Lost), "{:?}", told.0);
}
