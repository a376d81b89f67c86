//! One walk over the public calls, with a unique secret in every secret place, where they succeed and where they fail in
//! the worst way: a server that repeats all that it was sent. No `Debug`, `Display`, chain of causes, trace or path shows one.

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::{
    Error as TransportError, Reply, Request, Secret, SharedTransport, SystemRandom, Transport,
};
use latchkey_vault_client::auth::{
    ClientNonce, JwtConfigSettings, JwtRoleSettings, KubernetesConfigSettings, KubernetesRoleSettings,
};
use latchkey_vault_client::identity::{EntitySettings, GroupSettings};
use latchkey_vault_client::kv2::{Cas, MetadataSettings, StoreSettings};
use latchkey_vault_client::logical::Answer;
use latchkey_vault_client::secret_store::{Layout, SecretStore, Terms, UserName, UserTokens};
use latchkey_vault_client::sys::{MountKind, MountRequest, TuningSettings};
use latchkey_vault_client::token::{RoleSettings, TokenRequest};
use latchkey_vault_client::{Error, Login, Token, Vault};
use serde_json::json;

behaviours! {
    no_call_that_succeeds_shows_a_secret,
    no_call_that_fails_shows_a_secret_even_if_the_server_repeats_it,
}

const MINUTE: Duration = Duration::from_secs(60);

/// A secret for each place where one goes in.
struct Secrets {
    token: Token,
    other: Token,
    value: &'static str,
    jwt: Secret,
    password: Secret,
    code: Secret,
    state: Secret,
    nonce: ClientNonce,
    client_secret: Secret,
}

impl Secrets {
    fn new(token: Token) -> Self {
        Self {
            token,
            other: Token::new("hvs.other-canary-0123456789").unwrap(),
            value: "value-canary-p4ss",
            jwt: Secret::new("jwt-canary.eyJzdWIiOiJhIn0.c2ln"),
            password: Secret::new("password-canary"),
            code: Secret::new("code-canary/+ ="),
            state: Secret::new("state-canary"),
            nonce: ClientNonce::generate(&mut SystemRandom).unwrap(),
            client_secret: Secret::new("client-secret-canary"),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let secrets = [&self.jwt, &self.password, &self.code, &self.state, &self.client_secret];
        let mut texts: Vec<_> = secrets.map(Secret::expose_secret).to_vec();
        texts.extend([self.value, self.other.expose_secret(), self.nonce.expose_secret()]);
        // The root token of a development server is a word of policies.
        texts.extend(Some(self.token.expose_secret()).filter(|token| token.len() > 8));
        texts
    }
}

/// Prints whatever a call came to, as a program could.
#[derive(Default)]
struct Witness {
    seen: String,
    /// Tokens that the server has made on the way.
    made: Vec<Token>,
    calls: usize,
    successes: usize,
}

impl Witness {
    fn takes<T: Debug>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        self.calls += 1;
        match outcome {
            Ok(value) => {
                self.successes += 1;
                writeln!(self.seen, "{value:?} {value:#?}").unwrap();
                Some(value)
            }
            Err(error) => {
                let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
                while let Some(this) = cause {
                    writeln!(self.seen, "{this} {this:?} {this:#?}").unwrap();
                    cause = this.source();
                }
                None
            }
        }
    }

    /// The same of a call that makes a token, which is one more secret.
    fn takes_login(&mut self, outcome: Result<Login, Error>) -> Option<Login> {
        let login = self.takes(outcome)?;
        self.made.push(login.token().clone());
        Some(login)
    }

    fn swears(&self, secrets: &Secrets, traced: &str) {
        let made = self.made.iter().map(Token::expose_secret);
        for secret in secrets.texts().into_iter().chain(made) {
            assert!(!self.seen.contains(secret), "{secret} in:\n{}", self.seen);
            assert!(!traced.contains(secret), "{secret} in the trace");
        }
    }
}

/// Every call, in an order in which they can succeed.
async fn walk(vault: &Vault, secrets: &Secrets, name: &str) -> Witness {
    let mut witness = Witness::default();
    let w = &mut witness;
    let data = json!({"password": secrets.value, "nested": {"list": [secrets.value]}});
    let (kv, tokens, sys, logical, wrapping) =
        (vault.kv2("secret"), vault.token(), vault.sys(), vault.logical(), vault.wrapping());

    w.takes(kv.write(name, &data, Cas::Create).await);
    w.takes(kv.write(name, &data, Cas::Create).await);
    w.takes(kv.write(name, &secrets.value, Cas::None).await);
    w.takes(kv.patch(name, &json!({"more": secrets.value}), Cas::None).await);
    w.takes(kv.read(name).await);
    w.takes(kv.read_version(name, 1).await);
    w.takes(kv.subkeys(name).await);
    w.takes(kv.rollback(name, 1).await);
    w.takes(kv.delete(name).await);
    w.takes(kv.delete_versions(name, &[1]).await);
    w.takes(kv.undelete_versions(name, &[1]).await);
    w.takes(kv.destroy_versions(name, &[1]).await);
    w.takes(kv.write_metadata(name, &MetadataSettings::default().with_note("owner", "team")).await);
    w.takes(kv.patch_metadata(name, &MetadataSettings::default().with_note("owner", "team")).await);
    w.takes(kv.metadata(name).await);
    w.takes(kv.list("").await);
    w.takes(kv.pages("", 10).unwrap().next().await);
    w.takes(kv.config().await);
    w.takes(kv.write_config(&StoreSettings::default()).await);
    w.takes(kv.delete_metadata(name).await);
    w.takes(kv.read("..").await);

    w.takes(tokens.login(&secrets.token).await);
    w.takes(tokens.lookup_self().await);
    let request =
        TokenRequest::default().with_policies(["default"]).with_ttl(10 * MINUTE).with_metadata("team", "a");
    let made = w.takes_login(tokens.create(&request).await);
    let made = made.as_ref().map_or(&secrets.other, |login| login.token()).clone();
    w.takes_login(tokens.create_orphan(&request).await);
    w.takes(tokens.write_role(name, &RoleSettings::default()).await);
    w.takes(tokens.role(name).await);
    w.takes(tokens.roles().await);
    w.takes_login(tokens.create_by_role(name, &request).await);
    w.takes(tokens.delete_role(name).await);
    for token in [&made, &secrets.other] {
        w.takes(tokens.lookup(token).await);
        w.takes(tokens.renew(token, MINUTE).await);
        w.takes(tokens.revoke(token).await);
        w.takes(tokens.revoke_orphan(token).await);
        let vault = vault.with_token(token);
        w.takes(vault.token().renew_self(MINUTE).await);
        w.takes(vault.with_dead_token_check().kv2("secret").read("x").await);
        w.takes(vault.token().revoke_self().await);
        write!(w.seen, "{vault:?} {vault:#?}").unwrap();
    }
    w.takes(tokens.lookup_accessor("no-such-accessor").await);
    w.takes(tokens.renew_accessor("no-such-accessor", MINUTE).await);
    w.takes(tokens.revoke_accessor("no-such-accessor").await);
    w.takes(tokens.accessors().await);
    w.takes(Token::new(format!("{0} {0}", secrets.other.expose_secret())));

    let wrapped = w.takes(wrapping.wrap(&data, MINUTE).await);
    let wrapped = wrapped.map_or(secrets.other.clone(), |wrapped| wrapped.token);
    w.takes(wrapping.lookup(&wrapped).await);
    let wrapped = w.takes(wrapping.rewrap(&wrapped).await).map_or(wrapped, |wrapped| wrapped.token);
    w.takes(wrapping.unwrap(&wrapped, "sys/wrapping/wrap").await);
    w.takes(wrapping.unwrap_unchecked(&wrapped).await);

    w.takes(vault.jwt("nowhere").login("role", &secrets.jwt).await);
    w.takes(vault.kubernetes("nowhere").login("role", &secrets.jwt).await);
    w.takes(vault.approle("nowhere").login("role-id", &secrets.password).await);
    w.takes(vault.userpass("nowhere").login("bob", &secrets.password).await);
    let oidc = vault.oidc("nowhere");
    w.takes(oidc.auth_url("role", "http://localhost:8250/oidc/callback", &secrets.nonce).await);
    w.takes(oidc.callback(&secrets.state, &secrets.code, &secrets.nonce).await);
    w.takes(oidc.poll(&secrets.state, &secrets.nonce).await);
    let settings =
        JwtConfigSettings::discovery("https://id.example").with_client("id", &secrets.client_secret);
    write!(w.seen, "{settings:?}").unwrap();
    w.takes(vault.jwt("nowhere").setup().write_config(&settings).await);
    w.takes(vault.jwt("nowhere").setup().config().await);

    w.takes(sys.health().await);
    w.takes(sys.seal_status().await);
    w.takes(sys.enable(MountKind::SecretsEngine, name, &MountRequest::new("kv")).await);
    w.takes(sys.mounts(MountKind::SecretsEngine).await);
    w.takes(sys.tuning(MountKind::SecretsEngine, name).await);
    w.takes(sys.disable(MountKind::SecretsEngine, name).await);
    w.takes(sys.write_policy(name, "path \"secret/data/x\" { capabilities = [\"read\"] }").await);
    w.takes(sys.policy(name).await);
    w.takes(sys.policies().await);
    w.takes(sys.capabilities(&["secret/data/x"]).await);
    w.takes(sys.delete_policy(name).await);
    w.takes(sys.audit_devices().await);
    w.takes(sys.cors().await);
    w.takes(vault.identity().entities().await);
    w.takes(vault.identity().groups().await);

    w.takes::<Answer>(logical.write("cubbyhole/canary", &data).await);
    w.takes(
        logical.write("auth/nowhere/users/bob", &json!({"password": secrets.password.expose_secret()})).await,
    );
    w.takes(logical.read("cubbyhole/canary").await);
    w.takes(logical.list("cubbyhole").await);
    w.takes(logical.delete("cubbyhole/canary").await);
    walk_of_operators(vault, secrets, name, w).await;
    walk_of_users(vault, secrets, name, w).await;
    witness
}

/// Who sets auth methods, roles and identities up.
async fn walk_of_operators(vault: &Vault, secrets: &Secrets, name: &str, w: &mut Witness) {
    let (sys, identity) = (vault.sys(), vault.identity());
    let (jwt, kubernetes) = (format!("{name}-jwt"), format!("{name}-kubernetes"));
    for (mount, kind) in [(&jwt, "jwt"), (&kubernetes, "kubernetes")] {
        w.takes(sys.enable(MountKind::AuthMethod, mount, &MountRequest::new(kind)).await);
        let settings = TuningSettings::default().with_default_lease_ttl(MINUTE);
        w.takes(sys.tune(MountKind::AuthMethod, mount, &settings).await);
    }
    let setup = vault.jwt(&jwt).setup();
    let role = JwtRoleSettings::jwt("sub").with_bound_audiences(["walk"]);
    w.takes(setup.write_role("reader", &role).await);
    w.takes(setup.role("reader").await);
    w.takes(setup.roles().await);
    w.takes(setup.delete_role("reader").await);
    let setup = vault.kubernetes(&kubernetes).setup();
    let settings = KubernetesConfigSettings::new("https://127.0.0.1:1")
        .with_ca_cert("PEM")
        .with_token_reviewer_jwt(&secrets.jwt);
    write!(w.seen, "{settings:?}").unwrap();
    w.takes(setup.write_config(&settings).await);
    w.takes(setup.config().await);
    w.takes(setup.write_role("reader", &KubernetesRoleSettings::new(["default"], ["default"])).await);
    w.takes(setup.role("reader").await);
    w.takes(setup.roles().await);
    w.takes(setup.delete_role("reader").await);

    let mounts = w.takes(sys.mounts(MountKind::AuthMethod).await).unwrap_or_default();
    let accessor = mounts.get(&format!("{jwt}/")).map_or("nowhere", |mount| &*mount.accessor);
    w.takes(identity.write_entity(name, &EntitySettings::default().with_metadata("team", "a")).await);
    let entity =
        w.takes(identity.entity(name).await).flatten().map_or("nobody".to_owned(), |entity| entity.id);
    w.takes(identity.entity_by_id(&entity).await);
    w.takes(identity.write_entity_alias(&entity, accessor, "walker").await);
    w.takes(identity.entity_of(accessor, "walker").await);
    let aliases = w.takes(identity.entity_aliases().await).unwrap_or_default();
    let alias = aliases.keys().next().map_or("none", |id| id);
    // Only one that this walk has made may go.
    let own = aliases.get(alias).filter(|alias| alias.mount_accessor == accessor).map_or("none", |_| alias);
    w.takes(identity.delete_entity_alias(own).await);
    w.takes(identity.write_group(name, &GroupSettings::external().with_policies(["default"])).await);
    let group = w.takes(identity.group(name).await).flatten().map_or("nobody".to_owned(), |group| group.id);
    w.takes(identity.group_by_id(&group).await);
    w.takes(identity.add_group_alias(name, accessor, "walkers").await);
    w.takes(identity.add_group_alias(name, accessor, "others").await);
    w.takes(identity.replace_group_alias(name, accessor, "others").await);
    w.takes(identity.group_aliases().await);
    w.takes(identity.delete_group_alias("none").await);
    w.takes(identity.delete_group(name).await);
    w.takes(identity.delete_entity(name).await);
    for mount in [&jwt, &kubernetes] {
        w.takes(sys.tuning(MountKind::AuthMethod, mount).await);
        w.takes(sys.disable(MountKind::AuthMethod, mount).await);
    }
}

/// Whose secrets lie in a store of their own, and who makes their tokens.
async fn walk_of_users(vault: &Vault, secrets: &Secrets, name: &str, w: &mut Witness) {
    let (user, terms) = (UserName::new(name).unwrap(), Terms::default());
    let tokens = UserTokens::new(vault.clone(), Layout::default());
    w.takes(tokens.prepare_role(name, &terms).await);
    let by_role = w.takes_login(tokens.issue_by_role(name, &user, &terms).await);
    let own = w.takes_login(tokens.issue_with_own_policy(&user, &terms).await);
    let token = own.as_ref().or(by_role.as_ref()).map_or(&secrets.other, |login| login.token());
    let store = SecretStore::new(vault.with_token(token), user.clone());
    write!(w.seen, "{store:?} {store:#?} {tokens:?}").unwrap();
    let fields = json!({"field": secrets.value, "other": secrets.value, "number": 1});
    w.takes(store.put("key", &fields).await);
    w.takes(store.put("key", &json!([secrets.value])).await);
    w.takes(store.put("../key", &fields).await);
    w.takes(store.get("key").await);
    w.takes(store.field("key", "field").await);
    w.takes(store.field("key", "number").await);
    w.takes(store.list().await);
    w.takes(store.list_below("key").await);
    w.takes(store.list_fields("key").await);
    w.takes(store.status().await);
    w.takes(store.keep_alive(MINUTE).await);
    w.takes(store.delete_field("key", "other").await);
    w.takes(store.delete("key").await);
    w.takes(store.restore("key").await);
    w.takes(store.purge("key").await);
    w.takes(tokens.withdraw_own_policy(&user).await);
    w.takes(store.get("key").await);
    w.takes(vault.token().delete_role(name).await);
}

async fn no_call_that_succeeds_shows_a_secret(backend: Backend) {
    let traced = listen();
    let root = Token::new(backend.root.clone()).unwrap();
    let request = TokenRequest::default().with_policies(["root"]).with_ttl(10 * MINUTE);
    let bare = Vault::new(backend.vault_address.clone(), backend.transport.clone()).with_token(&root);
    let token = bare.token().create(&request).await.unwrap().token().clone();
    let secrets = Secrets::new(token.clone());
    let watched = Arc::new(Watched { inner: backend.transport.clone(), paths: Mutex::default() });
    let vault = Vault::new(backend.vault_address.clone(), watched.clone()).with_token(&token);
    let witness = walk(&vault, &secrets, &backend.unique("walk")).await;
    assert!(witness.successes > 95, "{} of {} calls succeeded", witness.successes, witness.calls);
    let traced = traced.lock().unwrap().clone();
    assert!(
        traced.contains("mount=secret") && traced.contains("status=200"),
        "the calls are traced: {traced}"
    );
    witness.swears(&secrets, &traced);
    let paths = watched.paths.lock().unwrap().join("\n");
    assert!(secrets.texts().iter().all(|secret| !paths.contains(secret)), "{paths}");
}

async fn no_call_that_fails_shows_a_secret_even_if_the_server_repeats_it(backend: Backend) {
    let traced = listen();
    for status in [200, 400, 403, 404, 405, 412, 413, 429, 500, 502, 503] {
        let secrets = Secrets::new(Token::new("hvs.own-canary-0123456789").unwrap());
        let vault =
            Vault::new(backend.vault_address.clone(), Arc::new(Parrot(status))).with_token(&secrets.token);
        let witness = walk(&vault, &secrets, "walk").await;
        assert!(witness.calls > 130, "{} calls", witness.calls);
        witness.swears(&secrets, &traced.lock().unwrap());
    }
}

/// A transport that keeps the paths of what passes: what a proxy's log has.
struct Watched {
    inner: SharedTransport,
    paths: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        self.paths.lock().unwrap().push(format!("{request:?} {}", request.path()));
        self.inner.send(request).await
    }
}

/// A server that repeats all that it was sent, as a message of its own.
struct Parrot(u16);

#[async_trait::async_trait]
impl Transport for Parrot {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let body = request.body().map(|body| String::from_utf8_lossy(body.expose_secret()).into_owned());
        let headers: Vec<_> = request.headers().map(|(_, value, _)| value.to_owned()).collect();
        let said = format!("cannot use {headers:?} {:?} {body:?}", request.query());
        let heard =
            json!({"errors": [said, body, format!("2 errors occurred:\n\t* {said}\n\t* invalid token\n\n")]});
        Ok(Reply::new(self.0, heard.to_string())
            .with_header("location", "https://elsewhere.example/x?code=code-canary"))
    }
}

/// Returns what has been traced so far, in all tests.
fn listen() -> Arc<Mutex<String>> {
    static HEARD: Mutex<Option<Arc<Mutex<String>>>> = Mutex::new(None);
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let heard = Arc::new(Mutex::new(String::new()));
        *HEARD.lock().unwrap() = Some(heard.clone());
        tracing::subscriber::set_global_default(Listener(heard)).unwrap();
    });
    HEARD.lock().unwrap().clone().unwrap()
}

/// Writes every span and event down, with all that they carry.
struct Listener(Arc<Mutex<String>>);

struct Note<'a>(&'a mut String);

impl tracing::field::Visit for Note<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        write!(self.0, "{}={value} ", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("latchkey")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Note(&mut self.0.lock().unwrap()));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut Note(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Note(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
