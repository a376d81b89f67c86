//! Making tokens, and what can be done with other tokens than one's own.

use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::token::{RoleSettings, TokenRequest};
use latchkey_vault_client::{Error, Login, PathPart, Token, TokenType, Vault};
use serde_json::json;

use crate::support::{root, vault};

behaviours! {
    a_token_is_made_as_it_is_asked_for,
    a_token_without_the_default_policy_has_only_its_own,
    a_child_dies_with_its_parent_and_an_orphan_does_not,
    a_token_with_a_number_of_uses_ends_after_them,
    a_periodic_token_is_renewed_by_its_period,
    a_batch_token_can_be_used_but_not_renewed_or_revoked,
    another_token_is_looked_up_by_itself_and_by_its_accessor,
    another_token_is_renewed_by_itself_and_by_its_accessor,
    another_token_is_revoked_by_itself_and_by_its_accessor,
    a_token_that_is_not_there_says_nothing_of_ones_own,
    a_token_revoked_alone_leaves_its_children,
    every_token_is_listed_by_its_accessor,
    a_token_that_exists_is_a_login,
    a_token_role_is_written_read_and_removed,
    a_token_is_made_by_a_role,
    a_role_that_is_not_there_is_told,
    leftovers_are_tidied,
}

const HOUR: Duration = Duration::from_secs(3600);

fn short() -> TokenRequest {
    TokenRequest::default().with_policies(["default"]).with_ttl(HOUR)
}

async fn made(vault: &Vault, request: &TokenRequest) -> Login {
    vault.token().create(request).await.unwrap()
}

async fn is_alive(backend: &Backend, token: &Token) -> bool {
    vault(backend).with_token(token).token().lookup_self().await.is_ok()
}

async fn a_token_is_made_as_it_is_asked_for(backend: Backend) {
    let request = short()
        .with_explicit_max_ttl(4 * HOUR)
        .with_num_uses(5)
        .with_display_name("app")
        .with_metadata("team", "a");
    let login = made(&root(&backend), &request).await;
    assert_eq!((login.lease.time_to_live(), login.lease.renewable), (Some(HOUR), true));
    assert_eq!((login.policies.as_slice(), login.num_uses), (["default".to_owned()].as_slice(), Some(5)));
    assert_eq!((login.token_type.clone(), login.orphan), (TokenType::Service, false));
    let info = root(&backend).token().lookup(login.token()).await.unwrap();
    assert_eq!((info.explicit_max_ttl, info.display_name.as_str()), (Some(4 * HOUR), "token-app"));
    assert_eq!(info.metadata.get("team").map(String::as_str), Some("a"));
}

async fn a_token_without_the_default_policy_has_only_its_own(backend: Backend) {
    let own = backend.unique("own");
    let policy = json!({"policy": "path \"secret/data/own\" { capabilities = [\"read\"] }"});
    backend.admin(Method::Put, &format!("sys/policies/acl/{own}"), policy).await.unwrap();
    let request = TokenRequest::default().with_policies([own.as_str()]);
    assert_eq!(made(&root(&backend), &request).await.policies, ["default", own.as_str()]);
    let without = made(&root(&backend), &request.without_default_policy()).await;
    assert_eq!(without.policies, [own]);
}

async fn a_child_dies_with_its_parent_and_an_orphan_does_not(backend: Backend) {
    let request = TokenRequest::default().with_policies(["root"]).with_ttl(HOUR);
    let parent = made(&root(&backend), &request).await;
    let handle = vault(&backend).with_token(parent.token());
    let child = made(&handle, &short()).await;
    let orphan = handle.token().create_orphan(&short()).await.unwrap();
    assert_eq!((child.orphan, orphan.orphan), (false, true));
    handle.token().revoke_self().await.unwrap();
    assert!(!is_alive(&backend, child.token()).await && is_alive(&backend, orphan.token()).await);
}

async fn a_token_with_a_number_of_uses_ends_after_them(backend: Backend) {
    let login = made(&root(&backend), &short().with_num_uses(2)).await;
    let handle = vault(&backend).with_token(login.token());
    assert_eq!(handle.token().lookup_self().await.unwrap().num_uses, Some(1));
    assert_eq!(handle.token().lookup_self().await.unwrap().num_uses, Some(0));
    assert!(!is_alive(&backend, login.token()).await);
}

async fn a_periodic_token_is_renewed_by_its_period(backend: Backend) {
    let request = TokenRequest::default().with_policies(["default"]).with_period(HOUR);
    let login = made(&root(&backend), &request).await;
    assert_eq!(login.lease.time_to_live(), Some(HOUR));
    let handle = vault(&backend).with_token(login.token());
    assert_eq!(handle.token().renew_self(8 * HOUR).await.unwrap().lease.time_to_live(), Some(HOUR));
    assert_eq!(handle.token().lookup_self().await.unwrap().period, Some(HOUR));
}

async fn a_batch_token_can_be_used_but_not_renewed_or_revoked(backend: Backend) {
    let vault = root(&backend);
    let login = made(&vault, &short().with_type(&TokenType::Batch)).await;
    assert_eq!((login.token_type.clone(), login.accessor.as_str()), (TokenType::Batch, ""));
    assert!(!login.lease.renewable);
    assert!(is_alive(&backend, login.token()).await);
    let error = vault.token().renew(login.token(), HOUR).await.unwrap_err();
    assert!(matches!(error, Error::NotRenewable(_)), "{error:?}");
    let error = vault.token().revoke(login.token()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
}

async fn another_token_is_looked_up_by_itself_and_by_its_accessor(backend: Backend) {
    let vault = root(&backend);
    let login = made(&vault, &short()).await;
    let info = vault.token().lookup(login.token()).await.unwrap();
    assert_eq!((info.accessor.as_str(), info.path.as_str()), (login.accessor.as_str(), "auth/token/create"));
    assert_eq!(vault.token().lookup_accessor(&login.accessor).await.unwrap().policies, ["default"]);
}

async fn another_token_is_renewed_by_itself_and_by_its_accessor(backend: Backend) {
    let vault = root(&backend);
    let login = made(&vault, &short()).await;
    let renewal = vault.token().renew(login.token(), 2 * HOUR).await.unwrap();
    assert_eq!(renewal.lease.time_to_live(), Some(2 * HOUR));
    let renewal = vault.token().renew_accessor(&login.accessor, 3 * HOUR).await.unwrap();
    assert_eq!(renewal.lease.time_to_live(), Some(3 * HOUR));
}

async fn another_token_is_revoked_by_itself_and_by_its_accessor(backend: Backend) {
    let vault = root(&backend);
    let (one, other) = (made(&vault, &short()).await, made(&vault, &short()).await);
    vault.token().revoke(one.token()).await.unwrap();
    vault.token().revoke_accessor(&other.accessor).await.unwrap();
    assert!(!is_alive(&backend, one.token()).await && !is_alive(&backend, other.token()).await);
    vault.token().revoke(one.token()).await.unwrap();
    vault.token().revoke_accessor(&other.accessor).await.unwrap();
    vault.token().revoke_orphan(one.token()).await.unwrap();
}

async fn a_token_that_is_not_there_says_nothing_of_ones_own(backend: Backend) {
    let vault = root(&backend);
    let tokens = vault.token();
    let dead = Token::new("s.nobodyhasthistokennobody").unwrap();
    for error in [
        tokens.lookup(&dead).await.unwrap_err(),
        tokens.lookup_accessor("nobody").await.unwrap_err(),
        tokens.renew(&dead, HOUR).await.unwrap_err(),
        tokens.renew_accessor("nobody", HOUR).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::UnknownToken(_)), "{error:?}");
        assert_eq!(error.is_token_dead(), Some(false));
        assert!(!format!("{error} {error:?}").contains("nobodyhas"));
    }
}

async fn a_token_revoked_alone_leaves_its_children(backend: Backend) {
    let request = TokenRequest::default().with_policies(["root"]).with_ttl(HOUR);
    let parent = made(&root(&backend), &request).await;
    let child = made(&vault(&backend).with_token(parent.token()), &short()).await;
    root(&backend).token().revoke_orphan(parent.token()).await.unwrap();
    assert!(!is_alive(&backend, parent.token()).await && is_alive(&backend, child.token()).await);
    assert!(root(&backend).token().lookup(child.token()).await.unwrap().orphan);
}

async fn every_token_is_listed_by_its_accessor(backend: Backend) {
    let login = made(&root(&backend), &short()).await;
    assert!(root(&backend).token().accessors().await.unwrap().contains(&login.accessor));
}

async fn a_token_that_exists_is_a_login(backend: Backend) {
    let made = made(&root(&backend), &short().with_metadata("team", "a")).await;
    let login = vault(&backend).token().login(made.token()).await.unwrap();
    assert_eq!(
        (login.accessor.as_str(), login.policies.as_slice()),
        (made.accessor.as_str(), ["default".to_owned()].as_slice())
    );
    assert_eq!(login.metadata.get("team").map(String::as_str), Some("a"));
    let dead = Token::new("s.nobodyhasthistokennobody").unwrap();
    let error = vault(&backend).token().login(&dead).await.unwrap_err();
    assert_eq!(error.status(), Some(403), "{error:?}");
}

async fn a_token_role_is_written_read_and_removed(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("role"));
    let tokens = vault.token();
    let settings = RoleSettings::default()
        .with_allowed_policies(["reader", "default"])
        .with_orphan(true)
        .with_renewable(true)
        .with_period(HOUR);
    tokens.write_role(&name, &settings).await.unwrap();
    let role = tokens.role(&name).await.unwrap().unwrap();
    assert_eq!((role.name.as_str(), role.orphan, role.period), (name.as_str(), true, Some(HOUR)));
    assert_eq!(role.allowed_policies.iter().filter(|policy| *policy == "reader").count(), 1);
    assert!(tokens.roles().await.unwrap().contains(&name));
    tokens.delete_role(&name).await.unwrap();
    assert!(tokens.role(&name).await.unwrap().is_none());
}

async fn a_token_is_made_by_a_role(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("role"));
    let settings =
        RoleSettings::default().with_allowed_policies(["default"]).with_orphan(true).with_period(HOUR);
    vault.token().write_role(&name, &settings).await.unwrap();
    let login = vault.token().create_by_role(&name, &TokenRequest::default()).await.unwrap();
    assert_eq!((login.orphan, login.lease.time_to_live()), (true, Some(HOUR)));
    let request = TokenRequest::default().with_policies(["reader"]);
    let error = vault.token().create_by_role(&name, &request).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
}

async fn a_role_that_is_not_there_is_told(backend: Backend) {
    let vault = root(&backend);
    let error = vault.token().create_by_role("nobody", &TokenRequest::default()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    let error = vault.token().role("a/b").await.unwrap_err();
    assert!(matches!(error, Error::InvalidPath { part: PathPart::Role, .. }), "{error:?}");
}

async fn leftovers_are_tidied(backend: Backend) {
    root(&backend).token().tidy().await.unwrap();
}
