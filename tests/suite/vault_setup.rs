//! Setting a server up: tuning, audit devices, auth methods with their roles, entities and groups.

use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::{Method, Secret};
use latchkey_vault_client::auth::{
    AliasNameSource, JwtConfigSettings, JwtRoleSettings, KubernetesConfigSettings, KubernetesRoleSettings,
    RoleTokenSettings,
};
use latchkey_vault_client::identity::{EntitySettings, GroupKind, GroupSettings};
use latchkey_vault_client::sys::{MountKind, MountRequest, TuningSettings};
use latchkey_vault_client::token::TokenRequest;
use latchkey_vault_client::{Error, Vault};
use serde_json::{Value, json};

use crate::support::{root, vault};

behaviours! {
    an_auth_method_is_tuned_and_told,
    an_engine_is_tuned_and_told,
    a_mount_that_is_not_there_has_no_tuning,
    a_tuning_that_contradicts_itself_is_refused,
    audit_devices_are_listed_and_need_sudo,
    a_jwt_method_is_configured_and_told_without_its_secret,
    a_jwt_method_that_does_not_reach_its_provider_is_refused,
    a_jwt_role_is_written_read_changed_and_removed,
    a_jwt_role_that_is_bound_to_nothing_is_refused,
    a_kubernetes_method_is_configured_and_told_without_its_secret,
    a_kubernetes_role_is_written_read_and_removed,
    an_entity_is_written_found_and_removed,
    an_alias_leads_a_login_to_its_entity_and_moves_to_another,
    an_entity_has_one_alias_at_an_auth_method,
    a_group_gives_its_policies_to_its_members_and_to_those_of_its_groups,
    an_external_group_keeps_its_alias_unless_it_is_told_otherwise,
    a_group_does_not_change_its_kind,
}

const HOUR: Duration = Duration::from_secs(3600);

async fn method(vault: &Vault, path: &str, kind: &str) -> String {
    let sys = vault.sys();
    sys.enable(MountKind::AuthMethod, path, &MountRequest::new(kind)).await.unwrap();
    sys.mounts(MountKind::AuthMethod).await.unwrap()[&format!("{path}/")].accessor.clone()
}

async fn an_auth_method_is_tuned_and_told(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("tuned"));
    method(&vault, &path, "jwt").await;
    let settings = TuningSettings::default()
        .with_description("of a test")
        .with_default_lease_ttl(HOUR)
        .with_max_lease_ttl(24 * HOUR)
        .with_token_type("batch")
        .with_listed_before_login(true)
        .with_passthrough_request_headers(["X-A"])
        .with_allowed_response_headers(["X-B"]);
    vault.sys().tune(MountKind::AuthMethod, &path, &settings).await.unwrap();
    let tuning = vault.sys().tuning(MountKind::AuthMethod, &path).await.unwrap().unwrap();
    assert_eq!((tuning.default_lease_ttl, tuning.max_lease_ttl), (HOUR, 24 * HOUR));
    assert_eq!((tuning.description.as_str(), tuning.token_type.as_str()), ("of a test", "batch"));
    assert_eq!(tuning.listing_visibility, "unauth");
    assert_eq!(tuning.passthrough_request_headers, ["X-A"]);
    assert_eq!(tuning.allowed_response_headers, ["X-B"]);
    let reset = TuningSettings::default().with_default_lease_ttl(Duration::ZERO);
    vault.sys().tune(MountKind::AuthMethod, &path, &reset).await.unwrap();
    let tuning = vault.sys().tuning(MountKind::AuthMethod, &path).await.unwrap().unwrap();
    assert_eq!(tuning.default_lease_ttl, 768 * HOUR, "zero means the server's own time");
    assert_eq!(tuning.description, "of a test", "what is not set stays");
}

async fn an_engine_is_tuned_and_told(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("tuned"));
    vault.sys().enable(MountKind::SecretsEngine, &path, &MountRequest::kv2()).await.unwrap();
    let settings = TuningSettings::default().with_max_lease_ttl(HOUR);
    vault.sys().tune(MountKind::SecretsEngine, &path, &settings).await.unwrap();
    let tuning = vault.sys().tuning(MountKind::SecretsEngine, &path).await.unwrap().unwrap();
    assert_eq!(tuning.max_lease_ttl, HOUR);
    assert_eq!(tuning.options.get("version").map(String::as_str), Some("2"));
    assert_eq!(tuning.token_type, "");
}

async fn a_mount_that_is_not_there_has_no_tuning(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("nowhere"));
    for kind in [MountKind::AuthMethod, MountKind::SecretsEngine] {
        assert!(vault.sys().tuning(kind, &path).await.unwrap().is_none());
        let settings = TuningSettings::default().with_description("x");
        let error = vault.sys().tune(kind, &path, &settings).await.unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    }
}

async fn a_tuning_that_contradicts_itself_is_refused(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("tuned"));
    method(&vault, &path, "jwt").await;
    for settings in [
        TuningSettings::default().with_default_lease_ttl(2 * HOUR).with_max_lease_ttl(HOUR),
        TuningSettings::default().with_token_type("made-up"),
    ] {
        let error = vault.sys().tune(MountKind::AuthMethod, &path, &settings).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
}

async fn audit_devices_are_listed_and_need_sudo(backend: Backend) {
    let (root, name) = (root(&backend), backend.unique("auditor"));
    assert!(root.sys().audit_devices().await.unwrap().is_empty());
    root.sys().write_policy(&name, "path \"sys/audit\" { capabilities = [\"read\"] }").await.unwrap();
    let request = TokenRequest::default().with_policies([name.as_str()]);
    let login = root.token().create(&request).await.unwrap();
    let auditor = vault(&backend).with_token(login.token());
    let error = auditor.sys().audit_devices().await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    root.sys()
        .write_policy(&name, "path \"sys/audit\" { capabilities = [\"read\", \"sudo\"] }")
        .await
        .unwrap();
    assert!(auditor.sys().audit_devices().await.unwrap().is_empty());
}

async fn a_jwt_method_is_configured_and_told_without_its_secret(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("jwt"));
    method(&vault, &path, "oidc").await;
    let setup = vault.oidc(&path).setup();
    assert!(setup.config().await.unwrap().is_none());
    let settings = JwtConfigSettings::discovery(&backend.issuer)
        .with_client(&backend.client_id, &backend.client_secret)
        .with_default_role("default")
        .with_bound_issuer(&backend.issuer);
    setup.write_config(&settings).await.unwrap();
    let config = setup.config().await.unwrap().unwrap();
    assert_eq!((&config.oidc_discovery_url, &config.bound_issuer), (&backend.issuer, &backend.issuer));
    assert_eq!((&config.oidc_client_id, config.default_role.as_str()), (&backend.client_id, "default"));
    assert!(config.jwt_validation_pubkeys.is_empty() && config.jwks_url.is_empty());
    assert!(!format!("{config:?}").contains(backend.client_secret.expose_secret()));
    // The whole of it is replaced.
    setup.write_config(&JwtConfigSettings::discovery(&backend.issuer)).await.unwrap();
    let config = setup.config().await.unwrap().unwrap();
    assert_eq!((config.oidc_client_id.as_str(), config.default_role.as_str()), ("", ""));
}

async fn a_jwt_method_that_does_not_reach_its_provider_is_refused(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("jwt"));
    method(&vault, &path, "jwt").await;
    let nowhere = format!("{}/nowhere", backend.issuer);
    for settings in [JwtConfigSettings::discovery(&nowhere), JwtConfigSettings::key_set(&nowhere)] {
        let error = vault.jwt(&path).setup().write_config(&settings).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
    let error = vault.jwt(&path).setup().write_config(&JwtConfigSettings::public_keys(["no key"])).await;
    assert!(matches!(error, Err(Error::InvalidRequest(_))), "{error:?}");
    let absent = vault.jwt("no-such-mount").setup().config().await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "{absent:?}");
}

fn jwt_role() -> JwtRoleSettings {
    JwtRoleSettings::jwt("preferred_username")
        .with_bound_audiences(["vault-oidc"])
        .with_bound_claim("department", ["a", "b"])
        .with_groups_claim("/resource_access/vault-oidc/roles")
        .with_claim_mapping("email", "mail")
        .with_expiration_leeway(Duration::from_secs(10))
        .with_tokens(RoleTokenSettings::default().with_policies(["reader"]).with_ttl(HOUR))
}

async fn a_jwt_role_is_written_read_changed_and_removed(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("jwt"));
    method(&vault, &path, "jwt").await;
    let setup = vault.jwt(&path).setup();
    assert!(setup.roles().await.unwrap().is_empty() && setup.role("r").await.unwrap().is_none());
    setup.write_role("r", &jwt_role()).await.unwrap();
    setup.write_role("o", &JwtRoleSettings::oidc("sub", ["http://localhost/cb"])).await.unwrap();
    assert_eq!(setup.roles().await.unwrap(), ["o", "r"]);
    let role = setup.role("r").await.unwrap().unwrap();
    assert_eq!((role.role_type.as_str(), role.user_claim.as_str()), ("jwt", "preferred_username"));
    assert_eq!(role.bound_claims["department"], ["a", "b"]);
    assert_eq!(role.claim_mappings.get("email").map(String::as_str), Some("mail"));
    assert_eq!((role.expiration_leeway, role.tokens.ttl), (10, Some(HOUR)));
    assert_eq!(role.tokens.policies, ["reader"]);
    // What is not set stays as it is.
    let change = JwtRoleSettings::jwt("sub").with_bound_subject("somebody");
    setup.write_role("r", &change).await.unwrap();
    let changed = setup.role("r").await.unwrap().unwrap();
    assert_eq!((changed.user_claim.as_str(), changed.bound_subject.as_str()), ("sub", "somebody"));
    assert_eq!((changed.bound_audiences, changed.tokens), (role.bound_audiences, role.tokens));
    let oidc = setup.role("o").await.unwrap().unwrap();
    assert_eq!((oidc.role_type.as_str(), oidc.allowed_redirect_uris.len()), ("oidc", 1));
    setup.delete_role("r").await.unwrap();
    setup.delete_role("r").await.unwrap();
    assert!(setup.role("r").await.unwrap().is_none());
}

async fn a_jwt_role_that_is_bound_to_nothing_is_refused(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("jwt"));
    method(&vault, &path, "jwt").await;
    let error = vault.jwt(&path).setup().write_role("r", &JwtRoleSettings::jwt("sub")).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
}

async fn a_kubernetes_method_is_configured_and_told_without_its_secret(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("kubernetes"));
    method(&vault, &path, "kubernetes").await;
    let setup = vault.kubernetes(&path).setup();
    assert!(setup.config().await.unwrap().is_none());
    let settings = KubernetesConfigSettings::new("https://127.0.0.1:1")
        .with_ca_cert("PEM")
        .with_token_reviewer_jwt(&Secret::new("a.reviewers.jwt"))
        .with_local_ca_jwt_disabled(true);
    setup.write_config(&settings).await.unwrap();
    let config = setup.config().await.unwrap().unwrap();
    assert_eq!(
        (config.kubernetes_host.as_str(), config.kubernetes_ca_cert.as_str()),
        ("https://127.0.0.1:1", "PEM")
    );
    assert!(config.token_reviewer_jwt_set && config.disable_local_ca_jwt);
    assert!(!format!("{config:?}").contains("a.reviewers.jwt"));
}

async fn a_kubernetes_role_is_written_read_and_removed(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("kubernetes"));
    method(&vault, &path, "kubernetes").await;
    let setup = vault.kubernetes(&path).setup();
    assert!(setup.roles().await.unwrap().is_empty());
    let settings = KubernetesRoleSettings::new(["app"], ["team"])
        .with_audience("vault")
        .with_alias_name_source(AliasNameSource::Name)
        .with_tokens(RoleTokenSettings::default().with_no_default_policy(true).with_ttl(HOUR));
    setup.write_role("r", &settings).await.unwrap();
    let role = setup.role("r").await.unwrap().unwrap();
    assert_eq!(role.bound_service_account_names, ["app"]);
    assert_eq!(role.bound_service_account_namespaces, ["team"]);
    assert_eq!((role.audience.as_str(), role.alias_name_source.as_str()), ("vault", "serviceaccount_name"));
    assert!(role.tokens.no_default_policy && role.tokens.ttl == Some(HOUR));
    assert_eq!(setup.roles().await.unwrap(), ["r"]);
    setup.delete_role("r").await.unwrap();
    assert!(setup.role("r").await.unwrap().is_none());
}

async fn an_entity_is_written_found_and_removed(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("Person"));
    let identity = vault.identity();
    let settings = EntitySettings::default().with_policies(["B", "a"]).with_metadata("team", "x");
    identity.write_entity(&name, &settings).await.unwrap();
    identity.write_entity(&name, &EntitySettings::default().with_disabled(true)).await.unwrap();
    let entity = identity.entity(&name).await.unwrap().unwrap();
    assert_eq!((entity.policies.as_slice(), entity.disabled), (&["a".to_owned(), "b".into()][..], true));
    assert_eq!(entity.metadata.get("team").map(String::as_str), Some("x"));
    assert_eq!(identity.entity_by_id(&entity.id).await.unwrap().unwrap(), entity);
    assert!(identity.entities().await.unwrap().contains(&name));
    identity.delete_entity(&name).await.unwrap();
    identity.delete_entity(&name).await.unwrap();
    assert!(identity.entity(&name).await.unwrap().is_none());
}

/// A userpass method with the users bob and eve. Returns its path and accessor.
async fn userpass(backend: &Backend) -> (String, String) {
    let path = backend.unique("userpass");
    let accessor = method(&root(backend), &path, "userpass").await;
    for user in ["bob", "eve"] {
        let body = json!({"password": "pw", "token_ttl": "1h"});
        backend.admin(Method::Post, &format!("auth/{path}/users/{user}"), body).await.unwrap();
    }
    (path, accessor)
}

async fn log_in(backend: &Backend, path: &str, user: &str) -> latchkey_vault_client::Login {
    vault(backend).userpass(path).login(user, &Secret::new("pw")).await.unwrap()
}

async fn an_alias_leads_a_login_to_its_entity_and_moves_to_another(backend: Backend) {
    let (vault, (path, accessor)) = (root(&backend), userpass(&backend).await);
    let (one, other) = (backend.unique("one"), backend.unique("other"));
    let identity = vault.identity();
    let mut ids = Vec::new();
    for name in [&one, &other] {
        identity.write_entity(name, &EntitySettings::default()).await.unwrap();
        ids.push(identity.entity(name).await.unwrap().unwrap().id);
    }
    assert!(identity.entity_of(&accessor, "bob").await.unwrap().is_none());
    for _ in 0..2 {
        identity.write_entity_alias(&ids[0], &accessor, "bob").await.unwrap();
    }
    assert_eq!(log_in(&backend, &path, "bob").await.entity_id, ids[0]);
    assert_eq!(identity.entity_of(&accessor, "bob").await.unwrap().unwrap().name, one);
    identity.write_entity_alias(&ids[1], &accessor, "bob").await.unwrap();
    assert_eq!(log_in(&backend, &path, "bob").await.entity_id, ids[1]);
    let found = identity.entity_aliases().await.unwrap();
    let (id, alias) = found.iter().find(|(_, alias)| alias.mount_accessor == accessor).unwrap();
    assert_eq!((alias.name.as_str(), &alias.entity_id), ("bob", &ids[1]));
    assert_eq!(alias.mount_path, format!("auth/{path}/"));
    identity.delete_entity_alias(id).await.unwrap();
    identity.delete_entity_alias(id).await.unwrap();
    assert!(identity.entity_of(&accessor, "bob").await.unwrap().is_none());
}

async fn an_entity_has_one_alias_at_an_auth_method(backend: Backend) {
    let (vault, (_, accessor), name) = (root(&backend), userpass(&backend).await, backend.unique("one"));
    let identity = vault.identity();
    identity.write_entity(&name, &EntitySettings::default()).await.unwrap();
    let id = identity.entity(&name).await.unwrap().unwrap().id;
    identity.write_entity_alias(&id, &accessor, "bob").await.unwrap();
    for (entity, accessor, alias) in
        [(id.as_str(), accessor.as_str(), "eve"), ("nobody", &accessor, "eve"), (&id, "nowhere", "eve")]
    {
        let error = identity.write_entity_alias(entity, accessor, alias).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
}

async fn a_group_gives_its_policies_to_its_members_and_to_those_of_its_groups(backend: Backend) {
    let (vault, (path, accessor)) = (root(&backend), userpass(&backend).await);
    let (name, inner, outer) = (backend.unique("one"), backend.unique("inner"), backend.unique("outer"));
    let identity = vault.identity();
    identity.write_entity(&name, &EntitySettings::default()).await.unwrap();
    let id = identity.entity(&name).await.unwrap().unwrap().id;
    identity.write_entity_alias(&id, &accessor, "bob").await.unwrap();
    let settings = GroupSettings::internal().with_policies(["Inner"]).with_member_entities([&id]);
    identity.write_group(&inner, &settings).await.unwrap();
    let group = identity.group(&inner).await.unwrap().unwrap();
    let settings = GroupSettings::internal().with_policies(["outer"]).with_member_groups([&group.id]);
    identity.write_group(&outer, &settings).await.unwrap();
    assert_eq!(log_in(&backend, &path, "bob").await.identity_policies, ["inner", "outer"]);
    let (inside, outside) =
        (identity.group(&inner).await.unwrap().unwrap(), identity.group(&outer).await.unwrap().unwrap());
    assert_eq!(
        (&inside.parent_group_ids[..], &inside.member_entity_ids[..]),
        (&[outside.id.clone()][..], &[id.clone()][..])
    );
    assert_eq!(
        (&outside.member_group_ids[..], outside.kind),
        (&[inside.id.clone()][..], GroupKind::Internal)
    );
    assert_eq!(identity.entity_by_id(&id).await.unwrap().unwrap().group_ids.len(), 2);
    assert!(identity.groups().await.unwrap().contains(&outer));
    identity.delete_group(&outer).await.unwrap();
    identity.delete_group(&outer).await.unwrap();
    assert!(identity.group(&outer).await.unwrap().is_none());
    // A server may go on naming the group that is gone as a parent; its policies are gone.
    assert_eq!(identity.group_by_id(&inside.id).await.unwrap().unwrap().name, inner);
    assert_eq!(log_in(&backend, &path, "bob").await.identity_policies, ["inner"]);
}

async fn an_external_group_keeps_its_alias_unless_it_is_told_otherwise(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("ext"));
    let (jwt, oidc) = (backend.unique("jwt"), backend.unique("oidc"));
    let accessors = (method(&vault, &jwt, "jwt").await, method(&vault, &oidc, "oidc").await);
    let identity = vault.identity();
    let absent = identity.add_group_alias(&name, &accessors.0, "reader").await.unwrap_err();
    assert!(matches!(absent, Error::NotFound(_)), "{absent:?}");
    identity.write_group(&name, &GroupSettings::external().with_policies(["reader"])).await.unwrap();
    assert!(identity.group(&name).await.unwrap().unwrap().alias.is_none());
    for _ in 0..2 {
        identity.add_group_alias(&name, &accessors.0, "reader").await.unwrap();
    }
    for (accessor, alias) in [(&accessors.1, "reader"), (&accessors.0, "writer")] {
        let error = identity.add_group_alias(&name, accessor, alias).await.unwrap_err();
        let told = format!("the group {name:?} has the alias \"reader\" of auth/{jwt}/ already");
        assert_eq!(error.to_string(), told);
    }
    let alias = identity.group(&name).await.unwrap().unwrap().alias.unwrap();
    assert_eq!((&alias.mount_accessor, alias.name.as_str()), (&accessors.0, "reader"));
    // Another group cannot have the same.
    let other = backend.unique("ext");
    identity.write_group(&other, &GroupSettings::external()).await.unwrap();
    let error = identity.add_group_alias(&other, &accessors.0, "reader").await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    identity.replace_group_alias(&name, &accessors.1, "reader").await.unwrap();
    let alias = identity.group(&name).await.unwrap().unwrap().alias.unwrap();
    assert_eq!(alias.mount_accessor, accessors.1);
    assert!(identity.group_aliases().await.unwrap().contains_key(&alias.id));
    identity.delete_group_alias(&alias.id).await.unwrap();
    assert!(identity.group(&name).await.unwrap().unwrap().alias.is_none());
}

async fn a_group_does_not_change_its_kind(backend: Backend) {
    let (vault, name) = (root(&backend), backend.unique("kind"));
    let identity = vault.identity();
    identity.write_group(&name, &GroupSettings::internal()).await.unwrap();
    let error = identity.write_group(&name, &GroupSettings::external()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    let read = backend.admin(Method::Get, &format!("identity/group/name/{name}"), Value::Null).await.unwrap();
    assert_eq!(read["data"]["type"], "internal");
}
