//! No secret of the further calls in any `Debug`, error or message, on every place: each test names its own secrets.

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::{Exchange, Secret};
use latchkey_vault_client::auth::{AppRoleLogin, JwtConfigSettings, KubernetesConfigSettings, UserpassLogin};
use latchkey_vault_client::identity::GroupSettings;
use latchkey_vault_client::kv2::{Cas, PatchSecret, WriteSecret};
use latchkey_vault_client::secret_store::{Layout, SecretStore, Terms, UserName, UserTokens};
use latchkey_vault_client::sys::{MountKind, MountRequest, TuningSettings};
use latchkey_vault_client::token::{LookupToken, RenewToken, RevokeToken, TokenRequest};
use latchkey_vault_client::wrapping::{LookupWrapping, Rewrap, Unwrap, WrapValue};
use latchkey_vault_client::{Error, Token};
use serde_json::json;

use crate::support::{root, vault};

behaviours! {
    no_value_of_a_write_shows_what_is_written,
    no_value_about_another_token_shows_it,
    no_failed_login_shows_what_it_was_tried_with,
    no_set_up_of_an_auth_method_shows_its_secret,
    no_store_of_a_user_shows_a_value_or_a_token,
    no_look_at_mounts_and_identities_shows_ones_own_token,
}

/// Prints everything, and finds what must not be there.
#[derive(Default)]
struct Witness(String);

impl Witness {
    fn sees(&mut self, value: &impl Debug) {
        writeln!(self.0, "{value:?} {value:#?}").unwrap();
    }

    fn sees_exchange(&mut self, exchange: &(impl Exchange + Debug)) {
        self.sees(exchange);
        self.sees(&exchange.request());
    }

    fn hears(&mut self, error: &Error) {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(this) = cause {
            writeln!(self.0, "{this} {this:?}").unwrap();
            cause = this.source();
        }
    }

    fn swears(&self, secrets: &[&str]) {
        assert!(self.0.len() > 200, "there is something to search");
        for secret in secrets {
            assert!(!self.0.contains(secret), "{secret} in:\n{}", self.0);
        }
    }
}

async fn no_value_of_a_write_shows_what_is_written(backend: Backend) {
    let (mut witness, path) = (Witness::default(), backend.unique("canary"));
    let data = json!({"field": "p4ss-of-canary"});
    witness.sees_exchange(&WriteSecret::new("secret", &path, &data, Cas::Create).unwrap());
    witness.sees_exchange(&PatchSecret::new("secret", &path, &data, Cas::None).unwrap());
    witness.sees_exchange(&WrapValue::new(&data, Duration::from_secs(60)).unwrap());
    let root = root(&backend);
    let kv = root.kv2("secret");
    witness.sees(&kv.write(&path, &data, Cas::Create).await.unwrap());
    witness.hears(&kv.write(&path, &data, Cas::Create).await.unwrap_err());
    witness.sees(&kv.patch(&path, &data, Cas::None).await.unwrap());
    witness.sees(&kv.subkeys(&path).await.unwrap());
    witness.sees(&kv.metadata(&path).await.unwrap());
    witness.sees(&kv.read(&path).await.unwrap());
    witness.hears(&kv.write("../x", &data, Cas::None).await.unwrap_err());
    witness.hears(&vault(&backend).kv2("secret").write(&path, &data, Cas::None).await.unwrap_err());
    witness.swears(&["p4ss-of-canary", root_token(&backend)]);
}

fn root_token(backend: &Backend) -> &str {
    // `root` alone is a word of policies; longer ones are searched for.
    Some(backend.root.expose_secret()).filter(|token| token.len() > 8).unwrap_or("no-such-text")
}

async fn no_value_about_another_token_shows_it(backend: Backend) {
    let (mut witness, root) = (Witness::default(), root(&backend));
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(Duration::from_secs(60));
    witness.sees(&request);
    let login = root.token().create(&request).await.unwrap();
    witness.sees(&login);
    let token = login.token();
    witness.sees(token);
    witness.sees(&vault(&backend).with_token(token));
    witness.sees_exchange(&LookupToken::new(token).unwrap());
    witness.sees_exchange(&RenewToken::new(token, Duration::from_secs(60)).unwrap());
    witness.sees_exchange(&RevokeToken::new(token).unwrap());
    witness.sees_exchange(&LookupWrapping::new(token).unwrap());
    witness.sees_exchange(&Unwrap::new(token));
    witness.sees_exchange(&Rewrap::new(token).unwrap());
    witness.sees(&root.token().lookup(token).await.unwrap());
    witness.sees(&root.token().renew(token, Duration::from_secs(60)).await.unwrap());
    root.token().revoke(token).await.unwrap();
    witness.hears(&root.token().lookup(token).await.unwrap_err());
    witness.hears(&root.token().renew(token, Duration::from_secs(60)).await.unwrap_err());
    witness.hears(&vault(&backend).with_token(token).kv2("secret").read("x").await.unwrap_err());
    witness.hears(&Token::new(format!("{} {}", token.expose_secret(), token.expose_secret())).unwrap_err());
    witness.swears(&[token.expose_secret(), root_token(&backend)]);
}

async fn no_failed_login_shows_what_it_was_tried_with(backend: Backend) {
    let mut witness = Witness::default();
    let secret = Secret::new("canary-of-a-login");
    witness.sees_exchange(&UserpassLogin::new("nowhere", "bob", &secret).unwrap());
    witness.sees_exchange(&AppRoleLogin::new("nowhere", "role", &secret).unwrap());
    let vault = vault(&backend);
    witness.hears(&vault.userpass("nowhere").login("bob", &secret).await.unwrap_err());
    witness.hears(&vault.approle("nowhere").login("role", &secret).await.unwrap_err());
    witness.hears(&vault.kubernetes("nowhere").login("role", &secret).await.unwrap_err());
    witness.hears(&vault.token().login(&Token::new(secret).unwrap()).await.unwrap_err());
    witness.swears(&["canary-of-a-login"]);
}

async fn no_set_up_of_an_auth_method_shows_its_secret(backend: Backend) {
    let (mut witness, root) = (Witness::default(), root(&backend));
    let (oidc, kubernetes) = (backend.unique("oidc"), backend.unique("kubernetes"));
    for (mount, kind) in [(&oidc, "oidc"), (&kubernetes, "kubernetes")] {
        root.sys().enable(MountKind::AuthMethod, mount, &MountRequest::new(kind)).await.unwrap();
    }
    let secret = Secret::new("canary-of-a-client");
    let settings = JwtConfigSettings::discovery(&backend.issuer).with_client("vault-oidc", &secret);
    witness.sees(&settings);
    witness.sees_exchange(&settings.write(&oidc).unwrap());
    let setup = root.oidc(&oidc).setup();
    witness.sees(&setup);
    setup.write_config(&settings).await.unwrap();
    witness.sees(&setup.config().await.unwrap());
    let nowhere = JwtConfigSettings::discovery(format!("{}/nowhere", backend.issuer));
    witness.hears(&setup.write_config(&nowhere.with_client("vault-oidc", &secret)).await.unwrap_err());
    let reviewer = Secret::new("canary.of.a-reviewer");
    let settings = KubernetesConfigSettings::new("https://127.0.0.1:1")
        .with_ca_cert("PEM")
        .with_token_reviewer_jwt(&reviewer);
    witness.sees(&settings);
    witness.sees_exchange(&settings.write(&kubernetes).unwrap());
    let setup = root.kubernetes(&kubernetes).setup();
    setup.write_config(&settings).await.unwrap();
    witness.sees(&setup.config().await.unwrap());
    let denied = vault(&backend).kubernetes(&kubernetes).setup().write_config(&settings).await.unwrap_err();
    witness.hears(&denied);
    witness.swears(&["canary-of-a-client", "canary.of.a-reviewer", root_token(&backend)]);
}

async fn no_store_of_a_user_shows_a_value_or_a_token(backend: Backend) {
    let (mut witness, root, role) = (Witness::default(), root(&backend), backend.unique("users"));
    let (user, terms) = (UserName::new(backend.unique("alice")).unwrap(), Terms::default());
    let tokens = UserTokens::new(root.clone(), Layout::default());
    witness.sees(&(&tokens, &user, &terms, Layout::default()));
    tokens.prepare_role(&role, &terms).await.unwrap();
    let by_role = tokens.issue_by_role(&role, &user, &terms).await.unwrap();
    let own = tokens.issue_with_own_policy(&user, &terms).await.unwrap();
    witness.sees(&(&by_role, &own));
    witness.hears(&tokens.issue_by_role("no-such-role", &user, &terms).await.unwrap_err());
    let store = SecretStore::new(vault(&backend).with_token(own.token()), user.clone());
    witness.sees(&store);
    let data = json!({"field": "p4ss-of-a-store", "other": 1});
    witness.sees(&store.put("k", &data).await.unwrap());
    witness.sees(&store.put("k", &data).await.unwrap());
    witness.sees(&(store.get("k").await.unwrap(), store.field("k", "field").await.unwrap()));
    witness.hears(&store.field("k", "none").await.unwrap_err());
    witness.hears(&store.field("k", "other").await.unwrap_err());
    witness.hears(&store.put("../x", &data).await.unwrap_err());
    witness.hears(&store.put("k", &json!(["p4ss-of-a-store"])).await.unwrap_err());
    witness.sees(&(store.list().await.unwrap(), store.list_fields("k").await.unwrap()));
    witness.sees(&(store.status().await.unwrap(), store.keep_alive(Duration::from_secs(60)).await.unwrap()));
    witness.sees(&(store.delete_field("k", "other").await.unwrap(), store.delete("k").await.unwrap()));
    witness.sees(&(store.restore("k").await.unwrap(), store.purge("k").await.unwrap()));
    tokens.withdraw_own_policy(&user).await.unwrap();
    witness.hears(&store.put("k", &data).await.unwrap_err());
    witness.hears(&store.list().await.unwrap_err());
    let (one, other) = (by_role.token().expose_secret(), own.token().expose_secret());
    witness.swears(&["p4ss-of-a-store", one, other, root_token(&backend)]);
}

async fn no_look_at_mounts_and_identities_shows_ones_own_token(backend: Backend) {
    let (mut witness, root) = (Witness::default(), root(&backend));
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(Duration::from_secs(60));
    let login = root.token().create(&request).await.unwrap();
    let poor = vault(&backend).with_token(login.token());
    for vault in [&root, &poor] {
        let (sys, identity) = (vault.sys(), vault.identity());
        witness.sees(&(sys, identity));
        witness.sees(&sys.tuning(MountKind::AuthMethod, "token").await);
        witness.sees(&sys.tuning(MountKind::SecretsEngine, "nowhere").await);
        witness.sees(&sys.tune(MountKind::SecretsEngine, "nowhere", &TuningSettings::default()).await);
        witness.sees(&sys.audit_devices().await);
        witness.sees(&(identity.entities().await, identity.entity_aliases().await));
        witness.sees(&(identity.groups().await, identity.group_aliases().await));
        witness.sees(&(identity.entity("nobody").await, identity.group("nobody").await));
        witness.sees(&identity.entity_of("nowhere", "nobody").await);
        witness.sees(&identity.write_entity_alias("nobody", "nowhere", "nobody").await);
        witness.sees(&identity.add_group_alias("nobody", "nowhere", "nobody").await);
        witness.sees(&identity.write_group("no\nbody", &GroupSettings::internal()).await);
        witness.sees(&vault.jwt("nowhere").setup().roles().await);
        witness.sees(&vault.kubernetes("nowhere").setup().role("nobody").await);
    }
    witness.swears(&[login.token().expose_secret(), root_token(&backend)]);
}
