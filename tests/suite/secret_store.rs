//! A store of one's own for every user: what its owner does with it, and what nobody else can.

use std::sync::Arc;
use std::time::Duration;

use latchkey_testbed::{Fault, Target};
use latchkey_tests::{Backend, MANAGEMENT, Place, READER, User, behaviours};
use latchkey_transport::{Method, Reply, Request, SharedTransport, Transport};
use latchkey_vault_client::auth::{JwtConfigSettings, JwtRoleSettings, RoleTokenSettings};
use latchkey_vault_client::kv2::Cas;
use latchkey_vault_client::secret_store::{Layout, SecretStore, Terms, UserName, UserTokens};
use latchkey_vault_client::sys::{MountKind, MountRequest};
use latchkey_vault_client::token::TokenRequest;
use latchkey_vault_client::{Error, Login, Read, Vault};
use serde_json::{Value, json};

use crate::support::{root, token, tokens, vault};

behaviours! {
    a_secret_is_put_read_and_listed,
    a_put_keeps_the_fields_that_it_does_not_name,
    a_put_of_what_is_there_makes_no_new_version,
    a_field_is_deleted_alone,
    a_deleted_secret_can_be_restored_and_a_purged_one_cannot,
    an_empty_store_and_a_denied_one_are_not_the_same,
    writers_at_the_same_time_never_lose_a_field,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    a_put_whose_reply_was_lost_is_done_once,
    a_key_does_not_lead_out_of_the_store,
    two_users_with_policies_of_their_own_are_apart,
    two_users_of_one_role_are_apart,
    names_that_differ_in_case_only_are_apart,
    users_who_sign_in_are_apart_by_one_template,
    who_makes_the_tokens_can_write_no_policy,
    a_short_token_is_kept_alive_and_a_long_one_is_left_alone,
    a_users_token_ends_after_its_longest_life,
    a_withdrawn_policy_opens_nothing,
}

const HOUR: Duration = Duration::from_secs(3600);

/// A mount of one's own for stores, ready to be written to.
async fn layout(backend: &Backend) -> Layout {
    let kv = backend.unique("stores");
    let options = json!({"type": "kv", "options": {"version": "2"}});
    backend.admin(Method::Post, &format!("sys/mounts/{kv}"), options).await.unwrap();
    backend.put_secret(&kv, "ready", json!({"is": "it"})).await.unwrap();
    Layout::new(&kv, "jupyter/users").unwrap()
}

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// Root's view of a user's store.
async fn store(backend: &Backend) -> SecretStore {
    SecretStore::in_layout(root(backend), layout(backend).await, name("alice"))
}

fn of(backend: &Backend, layout: &Layout, user: &str, login: &Login) -> SecretStore {
    SecretStore::in_layout(vault(backend).with_token(login.token()), layout.clone(), name(user))
}

async fn field(store: &SecretStore, key: &str, field: &str) -> Option<String> {
    let text = store.field(key, field).await.unwrap();
    text.map(|text| text.expose_secret().to_owned())
}

async fn a_secret_is_put_read_and_listed(backend: Backend) {
    let store = store(&backend).await;
    assert!(store.path().ends_with("/jupyter/users/alice"));
    store.put("database", &json!({"user": "app", "password": "p4ss"})).await.unwrap();
    store.put("team/key", &json!({"n": 1.10})).await.unwrap();
    assert_eq!(field(&store, "database", "password").await.as_deref(), Some("p4ss"));
    assert_eq!(field(&store, "nothing", "password").await, None);
    let error = store.field("database", "pasword").await.unwrap_err();
    assert!(
        matches!(&error, Error::FieldMissing { fields, .. } if fields == &["password", "user"]),
        "{error:?}"
    );
    assert_eq!(store.list().await.unwrap(), ["database", "team/"]);
    assert_eq!(store.list_below("team").await.unwrap(), ["key"]);
    assert_eq!(store.list_fields("database").await.unwrap().unwrap(), ["password", "user"]);
    assert!(store.list_fields("nothing").await.unwrap().is_none());
    let Read::Found(secret) = store.get("team/key").await.unwrap() else { panic!("not found") };
    assert_eq!(secret.data().raw("n").unwrap().parse(), Ok(1.1));
    let status = store.status().await.unwrap();
    assert_eq!((status.path, status.user), (store.path(), name("alice")));
    assert_eq!(status.token.policies, ["root"]);
}

async fn a_put_keeps_the_fields_that_it_does_not_name(backend: Backend) {
    let store = store(&backend).await;
    store.put("k", &json!({"a": "1", "o": {"x": 1}})).await.unwrap();
    let second = store.put("k", &json!({"b": "2", "o": {"y": 2}})).await.unwrap();
    assert_eq!(second.version, 2);
    let Read::Found(secret) = store.get("k").await.unwrap() else { panic!("not found") };
    assert_eq!(secret.data().to::<Value>().unwrap(), json!({"a": "1", "b": "2", "o": {"y": 2}}));
    let error = store.put("k", &json!(["no", "object"])).await.unwrap_err();
    assert!(matches!(error, Error::UnwritableBody), "{error:?}");
}

async fn a_put_of_what_is_there_makes_no_new_version(backend: Backend) {
    let store = store(&backend).await;
    store.put("k", &json!({"a": "1", "b": "2"})).await.unwrap();
    assert_eq!(store.put("k", &json!({"b": "2"})).await.unwrap().version, 1);
    assert_eq!(store.put("k", &json!({"b": "3"})).await.unwrap().version, 2);
}

async fn a_field_is_deleted_alone(backend: Backend) {
    let store = store(&backend).await;
    store.put("k", &json!({"a": "1", "b": "2"})).await.unwrap();
    assert!(store.delete_field("k", "a").await.unwrap());
    assert_eq!(store.list_fields("k").await.unwrap().unwrap(), ["b"]);
    assert!(!store.delete_field("k", "a").await.unwrap(), "it was gone");
    assert!(store.delete_field("k", "b").await.unwrap());
    assert!(store.list_fields("k").await.unwrap().unwrap().is_empty());
    assert!(!store.delete_field("nothing", "a").await.unwrap());
    store.delete("k").await.unwrap();
    assert!(!store.delete_field("k", "b").await.unwrap());
}

async fn a_deleted_secret_can_be_restored_and_a_purged_one_cannot(backend: Backend) {
    let store = store(&backend).await;
    store.put("k", &json!({"a": "1"})).await.unwrap();
    assert!(!store.restore("k").await.unwrap(), "it is there");
    store.delete("k").await.unwrap();
    assert!(matches!(store.get("k").await.unwrap(), Read::Deleted(_)));
    assert_eq!(field(&store, "k", "a").await, None);
    assert!(store.restore("k").await.unwrap());
    assert_eq!(field(&store, "k", "a").await.as_deref(), Some("1"));
    // A put after a delete begins anew: what was deleted does not come back by it.
    store.delete("k").await.unwrap();
    assert_eq!(store.put("k", &json!({"b": "2"})).await.unwrap().version, 2);
    assert_eq!(store.list_fields("k").await.unwrap().unwrap(), ["b"]);
    store.purge("k").await.unwrap();
    store.purge("k").await.unwrap();
    assert!(matches!(store.get("k").await.unwrap(), Read::Missing));
    assert!(!store.restore("k").await.unwrap() && store.list().await.unwrap().is_empty());
    store.delete("k").await.unwrap();
}

async fn an_empty_store_and_a_denied_one_are_not_the_same(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let alice = tokens.issue_with_own_policy(&name("alice"), &Terms::default()).await.unwrap();
    assert!(of(&backend, &layout, "alice", &alice).list().await.unwrap().is_empty());
    let error = of(&backend, &layout, "bob", &alice).list().await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    tokens.withdraw_own_policy(&name("alice")).await.unwrap();
}

/// A transport that lets others go first before each call, so that calls of several tasks always interleave.
struct Interleaved(SharedTransport);

#[async_trait::async_trait]
impl Transport for Interleaved {
    async fn send(&self, request: Request) -> Result<Reply, latchkey_transport::Error> {
        tokio::task::yield_now().await;
        self.0.send(request).await
    }
}

async fn writers_at_the_same_time_never_lose_a_field(backend: Backend) {
    const WRITERS: usize = 6;
    const FIELDS: usize = 4;
    let layout = layout(&backend).await;
    let transport = Arc::new(Interleaved(backend.transport.clone()));
    let vault = Vault::new(backend.vault_address.clone(), transport).with_token(&token(&backend.root));
    let store = SecretStore::in_layout(vault, layout, name("alice"));
    store.put("shared", &json!({"old": "kept"})).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for field in 0..FIELDS {
                    store.put("shared", &json!({format!("w{writer}-{field}"): "x"})).await.unwrap();
                }
                // And one of its own is taken out again, amid the others.
                assert!(store.delete_field("shared", &format!("w{writer}-0")).await.unwrap());
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let fields = store.list_fields("shared").await.unwrap().unwrap();
    assert_eq!(fields.len(), 1 + WRITERS * (FIELDS - 1), "{fields:?}");
    let Read::Found(secret) = store.get("shared").await.unwrap() else { panic!("not found") };
    assert_eq!(secret.metadata().version, 1 + (WRITERS * (FIELDS + 1)) as u64, "each change is one version");
}

async fn a_put_whose_reply_was_lost_is_done_once(backend: Backend) {
    let store = store(&backend).await;
    store.put("k", &json!({"a": "1"})).await.unwrap();
    let write = || {
        Target::vault(&format!("/v1/{}", store.path().replacen('/', "/data/", 1) + "/k")).with_method("POST")
    };
    backend.world().faults().inject(write(), 1, Fault::Drop);
    assert_eq!(store.put("k", &json!({"b": "2"})).await.unwrap().version, 2);
    assert_eq!(store.list_fields("k").await.unwrap().unwrap(), ["a", "b"]);
    backend.world().faults().inject(write(), 1, Fault::Drop);
    assert!(store.delete_field("k", "b").await.unwrap(), "it was taken out by this call");
    let Read::Found(secret) = store.get("k").await.unwrap() else { panic!("not found") };
    assert_eq!((secret.metadata().version, secret.data().fields().collect::<Vec<_>>()), (3, vec!["a"]));
}

async fn a_key_does_not_lead_out_of_the_store(backend: Backend) {
    let store = store(&backend).await;
    for key in ["", "/", "..", "../bob/k", "a/../../bob/k", "./k", "a//b", "/k", "k\0"] {
        let error = store.put(key, &json!({"a": "1"})).await.unwrap_err();
        assert!(matches!(error, Error::InvalidPath { .. }), "{key:?} {error:?}");
        assert!(store.get(key).await.is_err() && store.purge(key).await.is_err(), "{key:?}");
    }
    // What only looks like a way out is a name like any other.
    store.put("%2e%2e/x", &json!({"a": "1"})).await.unwrap();
    assert_eq!(store.list().await.unwrap(), ["%2e%2e/"]);
}

/// Each reads and writes their own store, and neither gets at the other's by any call.
async fn assert_apart(one: &SecretStore, other: &SecretStore) {
    for store in [one, other] {
        store.put("k", &json!({"mine": "1"})).await.unwrap();
        assert_eq!(store.list().await.unwrap(), ["k"]);
        store.delete("k").await.unwrap();
        assert!(store.restore("k").await.unwrap());
        let status = store.status().await.unwrap();
        assert!(!status.token.policies.contains(&"default".to_owned()), "{status:?}");
    }
    let denied = |outcome: Result<(), Error>| match outcome {
        Err(Error::PermissionDenied(_)) => {}
        other => panic!("{other:?}"),
    };
    for (mine, theirs) in [(one, other), (other, one)] {
        let vault = mine.vault();
        let (mount, folder) = place_of(theirs);
        let kv = vault.kv2(&mount);
        let key = format!("{folder}/k");
        denied(kv.read(&key).await.map(drop));
        denied(kv.write(&key, &json!({"x": "y"}), Cas::None).await.map(drop));
        denied(kv.patch(&key, &json!({"x": "y"}), Cas::None).await.map(drop));
        denied(kv.delete(&key).await);
        denied(kv.delete_metadata(&key).await);
        denied(kv.metadata(&key).await.map(drop));
        denied(kv.subkeys(&key).await.map(drop));
        denied(kv.list(&folder).await.map(drop));
        denied(kv.list(folder.rsplit_once('/').unwrap().0).await.map(drop));
        denied(kv.destroy_versions(&key, &[1]).await);
        denied(vault.sys().policies().await.map(drop));
    }
}

/// Where a store is: its mount, and its folder there.
fn place_of(store: &SecretStore) -> (String, String) {
    let path = store.path();
    let (mount, folder) = path.split_once('/').unwrap();
    (mount.to_owned(), folder.to_owned())
}

/// Lets the policy `default` allow everything on a mount while `work` is done, as operators have been seen to do.
async fn with_widened_default(backend: &Backend, layout: &Layout, work: impl Future<Output = ()>) {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let root = root(backend);
    let default = root.sys().policy("default").await.unwrap().unwrap();
    let wide = format!(
        "{default}\npath \"{}/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\"] }}\n",
        layout.mount()
    );
    root.sys().write_policy("default", &wide).await.unwrap();
    // Whoever has it gets at everything: the test would show nothing otherwise.
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(HOUR);
    let anybody = root.token().create(&request).await.unwrap();
    let kv = vault(backend).with_token(anybody.token());
    kv.kv2(layout.mount()).write("jupyter/users/probe/k", &json!({"x": "y"}), Cas::None).await.unwrap();
    work.await;
    root.sys().write_policy("default", &default).await.unwrap();
}

async fn two_users_with_policies_of_their_own_are_apart(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let (alice, bob) = (backend.unique("alice"), backend.unique("bob"));
    let one = tokens.issue_with_own_policy(&name(&alice), &Terms::default()).await.unwrap();
    let other = tokens.issue_with_own_policy(&name(&bob), &Terms::default()).await.unwrap();
    assert_eq!(one.policies, [layout.policy_name(&name(&alice))]);
    assert!(one.orphan && one.lease.renewable);
    let (one, other) = (of(&backend, &layout, &alice, &one), of(&backend, &layout, &bob, &other));
    assert_apart(&one, &other).await;
    with_widened_default(&backend, &layout, assert_apart(&one, &other)).await;
}

async fn two_users_of_one_role_are_apart(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let (role, alice, bob) = (backend.unique("users"), backend.unique("alice"), backend.unique("bob"));
    for _ in 0..2 {
        tokens.prepare_role(&role, &Terms::default()).await.unwrap();
    }
    let one = tokens.issue_by_role(&role, &name(&alice), &Terms::default()).await.unwrap();
    let other = tokens.issue_by_role(&role, &name(&bob), &Terms::default()).await.unwrap();
    assert_eq!((one.policies.as_slice(), one.orphan), (&[role.clone()][..], true));
    assert_ne!(one.entity_id, other.entity_id);
    let again = tokens.issue_by_role(&role, &name(&alice), &Terms::default()).await.unwrap();
    assert_eq!(again.entity_id, one.entity_id, "the same person is the same entity");
    let (one, other) = (of(&backend, &layout, &alice, &one), of(&backend, &layout, &bob, &other));
    assert_apart(&one, &other).await;
    with_widened_default(&backend, &layout, assert_apart(&one, &other)).await;
}

/// Servers write policies in small letters and take aliases that differ in case only for one.
async fn names_that_differ_in_case_only_are_apart(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let role = backend.unique("users");
    tokens.prepare_role(&role, &Terms::default()).await.unwrap();
    let small = backend.unique("eve");
    for large in
        [small.to_uppercase(), format!("{small}*"), format!("{small}+"), small.replace('e', "\u{435}")]
    {
        let terms = Terms::default();
        let one = tokens.issue_by_role(&role, &name(&small), &terms).await.unwrap();
        let other = tokens.issue_by_role(&role, &name(&large), &terms).await.unwrap();
        let (one, other) = (of(&backend, &layout, &small, &one), of(&backend, &layout, &large, &other));
        assert_apart(&one, &other).await;
        let one = tokens.issue_with_own_policy(&name(&small), &terms).await.unwrap();
        let other = tokens.issue_with_own_policy(&name(&large), &terms).await.unwrap();
        let (one, other) = (of(&backend, &layout, &small, &one), of(&backend, &layout, &large, &other));
        assert_apart(&one, &other).await;
    }
}

/// The policy comes with the sign-in at the identity provider: nobody makes tokens for anybody.
async fn users_who_sign_in_are_apart_by_one_template(backend: Backend) {
    let (layout, jwt, policy) = (layout(&backend).await, backend.unique("jwt"), backend.unique("template"));
    let root = root(&backend);
    root.sys().enable(MountKind::AuthMethod, &jwt, &MountRequest::new("jwt")).await.unwrap();
    let mounts = root.sys().mounts(MountKind::AuthMethod).await.unwrap();
    let template = layout.templated_policy(&mounts[&format!("{jwt}/")].accessor).unwrap();
    root.sys().write_policy(&policy, &template).await.unwrap();
    let setup = root.jwt(&jwt).setup();
    setup.write_config(&JwtConfigSettings::discovery(&backend.issuer)).await.unwrap();
    let tokens_of_role = RoleTokenSettings::default().with_policies([&policy]).with_no_default_policy(true);
    let role = JwtRoleSettings::jwt("preferred_username")
        .with_bound_audiences([&backend.client_id])
        .with_tokens(tokens_of_role.with_ttl(HOUR));
    setup.write_role("users", &role).await.unwrap();
    let mut stores = Vec::new();
    for user in [READER, MANAGEMENT] {
        let login = signed_in(&backend, &jwt, user).await;
        assert_eq!(login.token_policies, [policy.as_str()]);
        stores.push(of(&backend, &layout, user.name, &login));
    }
    assert_apart(&stores[0], &stores[1]).await;
    with_widened_default(&backend, &layout, assert_apart(&stores[0], &stores[1])).await;
}

async fn signed_in(backend: &Backend, jwt: &str, user: User) -> Login {
    let tokens = tokens(backend, user).await;
    vault(backend).jwt(jwt).login("users", tokens.id_token.as_secret()).await.unwrap()
}

async fn who_makes_the_tokens_can_write_no_policy(backend: Backend) {
    let (layout, role, hub) = (layout(&backend).await, backend.unique("users"), backend.unique("hub"));
    let alice = name(&backend.unique("alice"));
    let root = root(&backend);
    UserTokens::new(root.clone(), layout.clone()).prepare_role(&role, &Terms::default()).await.unwrap();
    root.sys().write_policy(&hub, &UserTokens::issuer_policy(&role).unwrap()).await.unwrap();
    let request = TokenRequest::default().with_policies([&hub]).without_default_policy().with_period(HOUR);
    let login = root.token().create_orphan(&request).await.unwrap();
    let issuer = vault(&backend).with_token(login.token());
    let tokens = UserTokens::new(issuer.clone(), layout.clone());
    let login = tokens.issue_by_role(&role, &alice, &Terms::default()).await.unwrap();
    of(&backend, &layout, alice.as_str(), &login).put("k", &json!({"a": "1"})).await.unwrap();
    issuer.token().renew_self(HOUR).await.unwrap();
    // What a thief of the hub's token would try.
    let wide = "path \"*\" { capabilities = [\"read\"] }";
    for name in [&role, &hub, "default", "anything", &layout.policy_name(&alice)] {
        let error = issuer.sys().write_policy(name, wide).await.unwrap_err();
        assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    }
    let more = TokenRequest::default().with_policies(["root"]);
    for outcome in [issuer.token().create(&more).await, issuer.token().create_orphan(&more).await] {
        assert!(matches!(outcome, Err(Error::PermissionDenied(_))), "{outcome:?}");
    }
    let outcome = issuer.token().create_by_role(&role, &more.with_entity_alias(alice.encoded())).await;
    assert!(matches!(outcome, Err(Error::InvalidRequest(_))), "{outcome:?}");
    let outcome = SecretStore::in_layout(issuer, layout, alice).get("k").await;
    assert!(matches!(outcome, Err(Error::PermissionDenied(_))), "{outcome:?}");
}

async fn a_short_token_is_kept_alive_and_a_long_one_is_left_alone(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let alice = backend.unique("alice");
    for (ttl, is_due) in [(Duration::from_secs(599), true), (HOUR, false)] {
        let terms = Terms::new(ttl, 4 * HOUR);
        let login = tokens.issue_with_own_policy(&name(&alice), &terms).await.unwrap();
        let store = of(&backend, &layout, &alice, &login);
        assert_eq!(store.status().await.unwrap().is_renewal_due(), is_due);
        let renewed = store.keep_alive(2 * HOUR).await.unwrap();
        assert_eq!(renewed.and_then(|lease| lease.time_to_live()), is_due.then_some(2 * HOUR));
    }
}

async fn a_users_token_ends_after_its_longest_life(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let terms = Terms::new(Duration::from_secs(60), Duration::from_secs(300));
    let alice = backend.unique("alice");
    let login = tokens.issue_with_own_policy(&name(&alice), &terms).await.unwrap();
    let store = of(&backend, &layout, &alice, &login);
    assert_eq!(store.status().await.unwrap().token.explicit_max_ttl, Some(Duration::from_secs(300)));
    let lease = store.keep_alive(HOUR).await.unwrap().unwrap();
    assert!(lease.time_to_live().unwrap() <= Duration::from_secs(300), "{lease:?}");
}

async fn a_withdrawn_policy_opens_nothing(backend: Backend) {
    let layout = layout(&backend).await;
    let tokens = UserTokens::new(root(&backend), layout.clone());
    let alice = backend.unique("alice");
    let login = tokens.issue_with_own_policy(&name(&alice), &Terms::default()).await.unwrap();
    let store = of(&backend, &layout, &alice, &login);
    store.put("k", &json!({"a": "1"})).await.unwrap();
    tokens.withdraw_own_policy(&name(&alice)).await.unwrap();
    let error = store.get("k").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
}
