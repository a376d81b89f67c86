//! `provision`: plans, applies, checks, exports.

use std::path::{Path, PathBuf};

use latchkey_tests::{Backend, Place, User, behaviours};
use latchkey_transport::{Method, Secret};
use latchkey_vault_client::secret_store::{Layout, SecretStore, Terms, UserName, UserTokens};
use latchkey_vault_client::token::TokenRequest;
use latchkey_vault_client::{Error, Token, Vault};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{CONTENT, Done, Running, TURN, ground, program, provision, sign_in};

behaviours! {
    provision_changes_nothing_the_second_time,
    provision_repairs_what_was_changed,
    provision_repairs_a_role_that_drifted,
    provision_check_tells_what_differs_and_changes_nothing,
    provision_by_a_file_changes_nothing_the_second_time,
    provision_applies_what_it_exported_without_a_change,
    provision_never_widens_the_policy_default,
    provision_sets_services_up_and_changes_nothing_the_second_time,
    provision_repairs_what_services_stand_on,
    provision_exports_services_and_applies_them_without_a_change,
    provision_keeps_a_reviewers_token_that_it_cannot_see,
    the_hub_that_provision_sets_up_makes_tokens_of_users_and_nothing_else,
    provision_leaves_alone_what_others_made,
    #[not_on(Place::Loopback, "the double of the provider has no Admin API")]
    provision_makes_a_realm_that_signs_people_in,
    #[not_on(Place::Real, "another test may have provisioned the real server already")]
    a_dry_run_changes_nothing,
}

async fn provision_changes_nothing_the_second_time(backend: Backend) {
    let ground = ground(backend).await;
    let again = provision(&ground.backend, &[]).await;
    assert!(again.is_success(), "{again:?}");
    let text = again.text();
    assert!(text.lines().last().unwrap().ends_with("unchanged, nothing to do"), "{text}");
    assert!(text.lines().all(|line| line.contains("unchanged")), "{text}");
}

async fn provision_repairs_what_was_changed(backend: Backend) {
    let ground = ground(backend).await;
    let nothing = json!({"policy": "path \"nothing/*\" { capabilities = [\"read\"] }"});
    ground.backend.admin(Method::Put, "sys/policies/acl/reader", nothing).await.unwrap();
    let repaired = provision(&ground.backend, &[]).await.text();
    let changed: Vec<_> = repaired.lines().filter(|line| line.starts_with("changed ")).collect();
    assert_eq!(changed.len(), 1, "{repaired}");
    assert!(changed[0].contains("policy reader"), "{repaired}");
}

async fn provision_repairs_a_role_that_drifted(backend: Backend) {
    let ground = ground(backend).await;
    let path = "auth/keycloak-jwt/role/default";
    // Somebody let everybody in, for ever, with more than they should have.
    let drifted = json!({"role_type": "jwt", "user_claim": "email", "bound_audiences": ["vault-oidc", "anything"],
        "token_policies": ["management"], "token_ttl": 0});
    ground.backend.admin(Method::Post, path, drifted).await.unwrap();
    let plan = provision(&ground.backend, &["plan"]).await.text();
    let fields = "(bound_audiences, token_policies, token_ttl, user_claim)";
    assert!(plan.contains(&format!("to change  role default of keycloak-jwt/ {fields}")), "{plan}");
    let repaired = provision(&ground.backend, &[]).await.text();
    assert!(repaired.contains(&format!("changed    role default of keycloak-jwt/ {fields}")), "{repaired}");
    let role = ground.backend.admin(Method::Get, path, Value::Null).await.unwrap()["data"].clone();
    assert_eq!((&role["bound_audiences"], &role["token_policies"]), (&json!(["vault-oidc"]), &json!([])));
    assert!(provision(&ground.backend, &[]).await.text().ends_with("unchanged, nothing to do\n"));
}

async fn provision_check_tells_what_differs_and_changes_nothing(backend: Backend) {
    let ground = ground(backend).await;
    assert!(provision(&ground.backend, &["check"]).await.is_success());
    let wide = json!({"policy": "path \"notebook-secret-kv-v2/*\" { capabilities = [\"read\"] }"});
    ground.backend.admin(Method::Put, "sys/policies/acl/reader", wide).await.unwrap();
    for _ in 0..2 {
        let check = provision(&ground.backend, &["check"]).await;
        assert!(check.text().contains("to change  policy reader"), "{check:?}");
        check.assert_failed(1, &["differs", "hint:"]);
    }
    assert!(provision(&ground.backend, &["apply"]).await.is_success());
    assert!(provision(&ground.backend, &["check"]).await.is_success());
}

/// A blueprint of one's own, beside what other tests have.
fn blueprint(backend: &Backend, folder: &Path) -> (PathBuf, String) {
    let (own, issuer) = (backend.unique("bp"), &backend.issuer);
    let text = format!(
        r#"
        [[kv]]
        mount = "{own}/kv"
        sample = "team/app"
        [[policy]]
        name = "{own}-reader"
        rules = 'path "{own}/kv/data/*" {{ capabilities = ["read"] }}'
        [[auth]]
        mount = "{own}/jwt"
        type = "jwt"
        issuer = "{issuer}"
        [[auth.role]]
        name = "users"
        user_claim = "preferred_username"
        audiences = ["vault-oidc"]
        policies = ["{own}-reader"]
        no_default_policy = true
        ttl = 600
        [[auth]]
        mount = "{own}/oidc"
        type = "oidc"
        issuer = "{issuer}"
        client_id = "vault-oidc"
        default_role = "users"
        [[auth.role]]
        name = "users"
        user_claim = "sub"
        redirect_uris = ["http://localhost:8250/oidc/callback"]
        [[group]]
        name = "{own}-group"
        policies = ["{own}-reader"]
        auth = "{own}/jwt"
        alias = "reader"
        [cors]
        origins = ["https://{own}.example"]
        "#
    );
    let file = folder.join("blueprint.toml");
    std::fs::write(&file, text).unwrap();
    (file, own)
}

async fn provision_by_a_file_changes_nothing_the_second_time(backend: Backend) {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, own) = blueprint(&backend, folder.path());
    let file = file.to_str().unwrap();
    let plan = provision(&backend, &["plan", "--file", file]).await.text();
    // Another test may have let pages call the real server already.
    assert!(plan.ends_with("12 to create\n") || plan.ends_with("11 to create, 1 to change\n"), "{plan}");
    let made = provision(&backend, &["apply", "--file", file]).await.text();
    assert!(made.ends_with("12 created\n") || made.ends_with("11 created, 1 changed\n"), "{made}");
    assert_eq!(made.lines().count(), plan.lines().count(), "the plan named everything");
    let again = provision(&backend, &["--file", file]).await.text();
    assert!(again.ends_with("12 unchanged, nothing to do\n"), "{again}");
    let groups = backend.admin(Method::Get, &format!("identity/group/name/{own}-group"), Value::Null).await;
    assert_eq!(groups.unwrap()["data"]["alias"]["mount_path"], format!("auth/{own}/jwt/"));
}

async fn provision_applies_what_it_exported_without_a_change(backend: Backend) {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, own) = blueprint(&backend, folder.path());
    assert!(provision(&backend, &["--file", file.to_str().unwrap()]).await.is_success());
    let exported = provision(&backend, &["export"]).await;
    assert!(exported.is_success(), "{exported:?}");
    let text = exported.text();
    assert!(
        text.contains(&format!("mount = \"{own}/jwt\"")) && text.contains("no_default_policy = true"),
        "{text}"
    );
    for secret in [backend.client_secret.expose_secret(), "Hello from Latchkey"] {
        assert!(!text.contains(secret), "{text}");
    }
    // Other tests of the real server have things of their own, which are not in order: only ours count.
    let kept: toml::Table = text.parse().unwrap();
    let ours = |name: &str, field: &str| -> toml::Value {
        let all = kept.get(name).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        all.into_iter()
            .filter(|item| item[field].as_str().is_some_and(|it| it.starts_with(&own)))
            .collect::<Vec<_>>()
            .into()
    };
    let mut table = toml::Table::new();
    for (name, field) in [("kv", "mount"), ("policy", "name"), ("auth", "mount"), ("group", "name")] {
        table.insert(name.to_owned(), ours(name, field));
    }
    let again = folder.path().join("again.toml");
    std::fs::write(&again, toml::to_string(&table).unwrap()).unwrap();
    let applied = provision(&backend, &["--file", again.to_str().unwrap()]).await;
    assert!(applied.text().ends_with("unchanged, nothing to do\n"), "{applied:?}");
    assert!(applied.text().lines().count() > 7, "{applied:?}");
}

async fn provision_never_widens_the_policy_default(backend: Backend) {
    let _turn = TURN.lock().await;
    let path = "sys/policies/acl/default";
    let before = backend.admin(Method::Get, path, Value::Null).await.unwrap()["data"]["policy"].clone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wide.toml");
    for name in ["default", "Default"] {
        let text = format!(
            "[[policy]]\nname = \"{name}\"\nrules = 'path \"secret/*\" {{ capabilities = [\"read\"] }}'"
        );
        std::fs::write(&file, text).unwrap();
        let refused = provision(&backend, &["--file", file.to_str().unwrap()]).await;
        refused.assert_failed(2, &["in every token"]);
        provision(&backend, &["--reader", name]).await.assert_failed(2, &["in every token"]);
    }
    let after = backend.admin(Method::Get, path, Value::Null).await.unwrap()["data"]["policy"].clone();
    assert_eq!(before, after);
}

async fn provision_leaves_alone_what_others_made(backend: Backend) {
    let ground = ground(backend).await;
    let own = ground.backend.unique("others");
    let policy = json!({"policy": "path \"x\" { capabilities = [\"read\"] }"});
    ground.backend.admin(Method::Put, &format!("sys/policies/acl/{own}"), policy).await.unwrap();
    ground
        .backend
        .admin(Method::Post, "sys/auth/keycloak-jwt/tune", json!({"description": "theirs"}))
        .await
        .unwrap();
    let page = format!("https://{own}.example");
    ground.backend.admin(Method::Post, "sys/config/cors", json!({"allowed_origins": [page]})).await.unwrap();
    assert!(provision(&ground.backend, &["--allow-origin", "https://hub.example"]).await.is_success());
    let cors = ground.backend.admin(Method::Get, "sys/config/cors", Value::Null).await.unwrap();
    assert_eq!(cors["data"]["allowed_origins"], json!([page, "https://hub.example"]));
    let tuning = ground.backend.admin(Method::Get, "sys/auth/keycloak-jwt/tune", Value::Null).await.unwrap();
    assert_eq!(tuning["data"]["description"], "theirs");
    ground.backend.admin(Method::Get, &format!("sys/policies/acl/{own}"), Value::Null).await.unwrap();
    ground.backend.admin(Method::Delete, "sys/config/cors", Value::Null).await.unwrap();
}

/// A cluster, a token role and a hub of one's own.
struct Services {
    backend: Backend,
    _turn: tokio::sync::MutexGuard<'static, ()>,
    folder: tempfile::TempDir,
    own: String,
}

impl Services {
    async fn new(backend: Backend) -> Self {
        let services = Self {
            _turn: TURN.lock().await,
            folder: tempfile::tempdir().unwrap(),
            own: backend.unique("services"),
            backend,
        };
        services.write("");
        services
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("services.toml")
    }

    /// Writes the blueprint, with more of the cluster in it.
    fn write(&self, more: &str) {
        let own = &self.own;
        let pem = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap().cert.pem();
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        // One certificate for the whole test.
        let pem = text.split("'''").nth(1).map_or(pem, str::to_owned);
        let text = format!(
            r#"
            [[kv]]
            mount = "{own}/kv"
            [[kubernetes]]
            mount = "{own}/kubernetes"
            host = "https://127.0.0.1:6443"
            outside = true
            ca_pem = '''{pem}'''
            {more}
            [[kubernetes.role]]
            name = "webapp"
            service_accounts = ["webapp"]
            namespaces = ["team", "other"]
            audience = "vault"
            policies = ["{own}-reader"]
            ttl = 600
            [[token_role]]
            name = "{own}-jobs"
            policies = ["{own}-reader"]
            orphan = true
            longest = 3600
            no_default_policy = true
            [hub]
            url = "https://hub.example"
            policy = "{own}-hub"
            role = "{own}-users"
            mount = "{own}/kv"
            folder = "people"
            "#
        );
        std::fs::write(self.file(), text).unwrap();
    }

    async fn provision_with(&self, action: &str, environment: &[(&str, &str)]) -> Done {
        let file = self.file();
        let arguments = [action, "--file", file.to_str().unwrap()];
        let mut command = program(&self.backend, env!("CARGO_BIN_EXE_provision"), &arguments);
        command.env("VAULT_TOKEN", self.backend.root.expose_secret()).envs(environment.iter().copied());
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Done { code: output.status.code(), stdout: output.stdout, stderr }
    }

    async fn provision(&self, action: &str) -> Done {
        self.provision_with(action, &[]).await
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        self.backend.admin(method, path, body).await.unwrap()
    }
}

async fn provision_sets_services_up_and_changes_nothing_the_second_time(backend: Backend) {
    let services = Services::new(backend).await;
    let plan = services.provision("plan").await;
    assert!(plan.text().ends_with("8 to create\n"), "{plan:?}");
    let made = services.provision("apply").await;
    assert!(made.text().ends_with("8 created\n"), "{made:?}");
    let again = services.provision("apply").await;
    assert!(again.text().ends_with("8 unchanged, nothing to do\n"), "{again:?}");
    assert!(services.provision("check").await.is_success());
    let role = format!("auth/{}/kubernetes/role/webapp", services.own);
    let role = services.admin(Method::Get, &role, Value::Null).await["data"].clone();
    assert_eq!((&role["audience"], &role["token_ttl"]), (&json!("vault"), &json!(600)), "{role}");
}

async fn provision_repairs_what_services_stand_on(backend: Backend) {
    let services = Services::new(backend).await;
    assert!(services.provision("apply").await.is_success());
    let own = &services.own;
    // Somebody gave more, for longer, and to more.
    for (path, body, told) in [
        (
            format!("auth/token/roles/{own}-jobs"),
            json!({"allowed_policies": [format!("{own}-reader"), "management"], "token_explicit_max_ttl": "0"}),
            format!("to change  token role {own}-jobs (longest, policies)"),
        ),
        (
            format!("auth/{own}/kubernetes/role/webapp"),
            json!({"bound_service_account_names": ["*"], "audience": ""}),
            format!("to change  role webapp of {own}/kubernetes/ (audience, bound_service_account_names)"),
        ),
        (
            format!("sys/policies/acl/{own}-hub"),
            json!({"policy": "path \"sys/policies/acl/*\" { capabilities = [\"update\"] }"}),
            format!("to change  policy {own}-hub"),
        ),
        (
            format!("auth/token/roles/{own}-users"),
            json!({"token_no_default_policy": false}),
            format!("to change  token role {own}-users (no_default_policy)"),
        ),
    ] {
        services.admin(Method::Post, &path, body).await;
        let check = services.provision("check").await;
        assert!(check.text().contains(&told), "{told}: {check:?}");
        check.assert_failed(1, &["differs"]);
        let repaired = services.provision("apply").await;
        assert!(repaired.text().ends_with("1 changed, 7 unchanged\n"), "{repaired:?}");
    }
    assert!(services.provision("check").await.is_success());
}

async fn provision_exports_services_and_applies_them_without_a_change(backend: Backend) {
    let services = Services::new(backend).await;
    assert!(services.provision("apply").await.is_success());
    let exported = provision(&services.backend, &["export"]).await;
    assert!(exported.is_success(), "{exported:?}");
    // Other tests of the real server have things of their own: only ours count.
    let kept: toml::Table = exported.text().parse().unwrap();
    let mut table = toml::Table::new();
    for (name, field) in [("kubernetes", "mount"), ("token_role", "name"), ("policy", "name")] {
        let all = kept[name].as_array().unwrap().iter().cloned();
        let ours: Vec<_> =
            all.filter(|item| item[field].as_str().is_some_and(|it| it.starts_with(&services.own))).collect();
        table.insert(name.to_owned(), ours.into());
    }
    std::fs::write(services.file(), toml::to_string(&table).unwrap()).unwrap();
    let applied = services.provision("apply").await;
    assert!(applied.text().ends_with("7 unchanged, nothing to do\n"), "{applied:?}");
}

async fn provision_keeps_a_reviewers_token_that_it_cannot_see(backend: Backend) {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXZpZXdlciJ9.c2lnbmF0dXJl";
    let services = Services::new(backend).await;
    services.write("reviewer_env = \"REVIEWER\"");
    services.provision("apply").await.assert_failed(2, &["REVIEWER is not set", "hint:"]);
    let made = services.provision_with("apply", &[("REVIEWER", TOKEN)]).await;
    assert!(made.is_success() && !(made.text() + &made.stderr).contains(TOKEN), "{made:?}");
    // Whoever runs it later need not have it, unless there is something to write.
    assert!(services.provision("check").await.is_success());
    services.write("reviewer_env = \"REVIEWER\"\n# the same");
    let text = std::fs::read_to_string(services.file()).unwrap().replace("127.0.0.1:6443", "127.0.0.1:6444");
    std::fs::write(services.file(), text).unwrap();
    services.provision("apply").await.assert_failed(2, &["REVIEWER is not set"]);
    let config = format!("auth/{}/kubernetes/config", services.own);
    let config = services.admin(Method::Get, &config, Value::Null).await["data"].clone();
    assert_eq!(config["token_reviewer_jwt_set"], true);
    assert_eq!(config["kubernetes_host"], "https://127.0.0.1:6443");
}

async fn the_hub_that_provision_sets_up_makes_tokens_of_users_and_nothing_else(backend: Backend) {
    let services = Services::new(backend).await;
    assert!(services.provision("apply").await.is_success());
    let (own, backend) = (&services.own, &services.backend);
    let body = json!({"policies": [format!("{own}-hub")], "no_default_policy": true, "period": "1h"});
    let made = services.admin(Method::Post, "auth/token/create-orphan", body).await;
    let token = Token::new(Secret::new(made["auth"]["client_token"].as_str().unwrap())).unwrap();
    let hub = Vault::new(backend.vault_address.clone(), backend.transport.clone()).with_token(&token);
    let (layout, terms) = (Layout::new(&format!("{own}/kv"), "people").unwrap(), Terms::default());
    let tokens = UserTokens::new(hub.clone(), layout.clone());
    let (alice, role) = (UserName::new("alice").unwrap(), format!("{own}-users"));
    let login = tokens.issue_by_role(&role, &alice, &terms).await.unwrap();
    let store = SecretStore::in_layout(hub.with_token(login.token()), layout, alice);
    store.put("key", &json!({"a": "b"})).await.unwrap();
    // The hub itself keeps its token alive, and can do nothing else.
    hub.token().renew_self(Duration::from_secs(60)).await.unwrap();
    let denied = |outcome: Result<(), Error>| matches!(outcome, Err(Error::PermissionDenied(_)));
    assert!(denied(hub.sys().write_policy(&role, "path \"*\" { capabilities = [\"read\"] }").await));
    assert!(denied(hub.kv2(&format!("{own}/kv")).read("people/alice/key").await.map(drop)));
    assert!(denied(hub.token().create(&TokenRequest::default()).await.map(drop)));
}

/// The whole of it, from a Keycloak that has no such realm to a secret that a user of it reads.
async fn provision_makes_a_realm_that_signs_people_in(backend: Backend) {
    let _turn = TURN.lock().await;
    let (own, folder) = (backend.unique("realm"), tempfile::tempdir().unwrap());
    let keycloak = backend.issuer.split("/realms/").next().unwrap();
    let pem = rcgen::generate_simple_self_signed(["kube".to_owned()]).unwrap().cert.pem();
    // The example of the repository, under names of its own.
    let example = include_str!("../../provision.toml")
        .replace("http://localhost:8080", keycloak)
        .replace("\"HashiCorp\"", &format!("\"{own}\""))
        .replace("/realms/HashiCorp", &format!("/realms/{own}"))
        .replace("notebook-secret-kv-v2", &format!("{own}-kv"))
        .replace("keycloak-", &format!("{own}-"))
        .replace("name = \"reader\"\nrules", &format!("name = \"{own}-reader\"\nrules"))
        .replace("name = \"management\"\nrules", &format!("name = \"{own}-management\"\nrules"))
        .replace("policies = [\"reader\"]", &format!("policies = [\"{own}-reader\"]"))
        .replace("policies = [\"management\"]", &format!("policies = [\"{own}-management\"]"))
        .replace("mount = \"secret\"", &format!("mount = \"{own}-stores\""))
        .replace("mount = \"kubernetes\"", &format!("mount = \"{own}-kubernetes\""))
        .replace(
            "\"https://kubernetes.default.svc\"",
            &format!("\"https://kube\"\noutside = true\nca_pem = '''{pem}'''"),
        )
        .replace("\"webapp\"", &format!("\"{own}-webapp\""))
        .replace("\"jobs\"", &format!("\"{own}-jobs\""))
        .replace("[hub]", &format!("[hub]\npolicy = \"{own}-hub\"\nrole = \"{own}-users\""));
    let file = folder.path().join("all.toml");
    std::fs::write(&file, example).unwrap();
    let run = async |action: &str| {
        let arguments = [action, "--file", file.to_str().unwrap()];
        let mut command = program(&backend, env!("CARGO_BIN_EXE_provision"), &arguments);
        command.env("VAULT_TOKEN", backend.root.expose_secret());
        command.env("KEYCLOAK_ADMIN_PASSWORD", std::env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD").unwrap());
        command.env("JUPYTERHUB_CLIENT_SECRET", "hub-s3cret");
        command.env("PASSWORD_OF_READER", "pw-of-reader").env("PASSWORD_OF_MANAGEMENT", "pw-of-management");
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Done { code: output.status.code(), stdout: output.stdout, stderr }
    };
    let plan = run("plan").await;
    assert!(plan.text().contains(&format!("to create  realm {own}")), "{plan:?}");
    run("check").await.assert_failed(1, &["differs"]);
    let made = run("apply").await;
    assert!(made.is_success() && !made.text().contains("unchanged"), "{made:?}");
    assert_eq!(plan.text().lines().count(), made.text().lines().count());
    let again = run("apply").await;
    assert!(again.text().ends_with("unchanged, nothing to do\n"), "{again:?}");
    let issuer = format!("{keycloak}/realms/{own}");
    for via in ["provider", "vault"] {
        let mounts = [format!("{own}-jwt"), format!("{own}-oidc")];
        let mount = &mounts[usize::from(via == "vault")];
        let secret = format!("{own}-kv/test");
        let mut all =
            vec!["--no-browser", "--port", "0", "--via", via, "--issuer", &issuer, "--flow", "loopback"];
        all.extend(["--mount", mount, "--secret", &secret, "--field", "data"]);
        let mut command = program(&backend, env!("CARGO_BIN_EXE_login"), &all);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut login = Running { child, lines, seen: String::new() };
        let address = login.address().await;
        let page = sign_in(&backend, &address, User { name: "reader", password: "pw-of-reader" }).await;
        assert_eq!(page.status, 200, "{}", page.html);
        let done = login.end().await;
        assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
    }
}

async fn a_dry_run_changes_nothing(backend: Backend) {
    let before = backend.admin(Method::Get, "sys/auth", Value::Null).await.unwrap()["data"].clone();
    let dry = provision(&backend, &["--dry-run"]).await;
    assert!(dry.is_success(), "{dry:?}");
    let after = backend.admin(Method::Get, "sys/auth", Value::Null).await.unwrap()["data"].clone();
    assert_eq!(before, after);
    assert!(provision(&backend, &[]).await.text().contains("created"));
}
