//! The programs as a person runs them: against the doubles on loopback, and against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use latchkey_tests::{
    Backend, Browser, Consent, Fault, Page, Place, READER, Target, Terminal, User, behaviours, run,
};
use latchkey_transport::Method;
use latchkey_vault_client::secret_store::{Layout, Terms, UserName, UserTokens};
use latchkey_vault_client::{Token, Vault};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use url::Url;

fn main() -> ExitCode {
    run(&behaviours(), &[Place::Loopback, Place::Real], Vec::new())
}

behaviours! {
    provision_changes_nothing_the_second_time,
    provision_repairs_what_was_changed,
    provision_repairs_a_role_that_drifted,
    provision_check_tells_what_differs_and_changes_nothing,
    provision_by_a_file_changes_nothing_the_second_time,
    provision_applies_what_it_exported_without_a_change,
    provision_never_widens_the_policy_default,
    provision_leaves_alone_what_others_made,
    #[not_on(Place::Loopback, "the double of the provider has no Admin API")]
    provision_makes_a_realm_that_signs_people_in,
    secrets_are_put_printed_listed_and_deleted,
    secrets_takes_no_value_as_an_argument,
    secrets_tells_a_denied_store_from_an_empty_one,
    secrets_tells_how_the_token_is_doing,
    secrets_gives_a_program_its_environment_without_a_shell,
    secrets_env_prints_nothing_unless_told_to,
    secrets_completes_for_every_shell,
    #[not_on(Place::Real, "another test may have provisioned the real server already")]
    a_dry_run_changes_nothing,
    a_sign_in_by_vault_through_loopback_reads_the_secret,
    a_sign_in_by_vault_with_a_pasted_code_reads_the_secret,
    a_sign_in_at_the_provider_through_loopback_reads_the_secret,
    a_sign_in_at_the_provider_with_a_pasted_address_reads_the_secret,
    the_token_is_revoked_at_the_end,
    a_kept_token_works_and_is_for_its_owner_only,
    a_binary_field_is_written_whole_and_for_its_owner_only,
    a_file_that_exists_is_left_alone_without_force,
    a_symbolic_link_is_never_followed,
    a_field_that_is_not_there_names_those_that_are,
    a_secret_that_is_not_there_is_told,
    a_wrong_role_is_told,
    a_wrong_issuer_is_told,
    a_server_that_is_down_is_exit_code_3,
    a_wrong_argument_is_exit_code_2,
    nobody_signing_in_is_exit_code_4,
    ctrl_c_ends_the_wait,
    #[not_on(Place::Real, "the real server does not wait on request")]
    ctrl_c_while_the_secret_is_read_revokes_the_token,
    a_ca_from_the_environment_is_trusted_and_an_unknown_one_is_told,
    a_namespace_that_is_not_there_is_told,
    a_port_that_is_taken_is_told,
    #[not_on(Place::Real, "the real provider asks for no consent in this realm")]
    a_refused_consent_is_told,
    the_first_free_port_is_taken,
    what_the_browser_writes_is_not_in_the_output,
    a_sign_in_on_another_device_reads_the_secret,
    vault_signs_nobody_in_on_another_device,
    a_terminal_over_ssh_is_offered_a_code_to_paste_and_told_why,
    without_a_terminal_nobody_is_asked,
    a_remembered_sign_in_needs_no_browser_and_is_refreshed,
    a_sign_out_ends_the_session_and_forgets_it,
    a_sign_out_needs_a_sign_in_of_ours,
}

const SECRET: &str = "notebook-secret-kv-v2/test";
const CONTENT: &str = "Hello from Latchkey";

/// The real servers have one set-up for all tests, so that one test at a time may use it.
static TURN: Mutex<()> = Mutex::const_new(());

/// A provisioned backend.
struct Ground {
    backend: Backend,
    _turn: MutexGuard<'static, ()>,
}

async fn ground(backend: Backend) -> Ground {
    let turn = TURN.lock().await;
    let done = provision(&backend, &[]).await;
    assert!(done.is_success(), "{done:?}");
    Ground { backend, _turn: turn }
}

/// How a program ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Done {
    fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn assert_failed(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for words in told {
            assert!(self.stderr.contains(words), "{words:?} is missing in: {}", self.stderr);
        }
    }
}

fn program(backend: &Backend, path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments).env_clear().kill_on_drop(true);
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command.env("VAULT_ADDR", backend.vault_address.as_str()).env("LATCHKEY_ISSUER", &backend.issuer);
    command.env("LATCHKEY_CLIENT_ID", &backend.client_id);
    // Opened for a program of ours, which is told so.
    command.env("LATCHKEY_CLIENT_SECRET", backend.client_secret.expose_secret());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn provision(backend: &Backend, arguments: &[&str]) -> Done {
    let mut command = program(backend, env!("CARGO_BIN_EXE_provision"), arguments);
    let output = command.env("VAULT_TOKEN", backend.root.expose_secret()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Done { code: output.status.code(), stdout: output.stdout, stderr }
}

/// A running `login`, as far as its address.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    seen: String,
}

fn login(backend: &Backend, arguments: &[&str]) -> Running {
    login_with(backend, arguments, &[])
}

fn login_with(backend: &Backend, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
    let mut all = vec!["--no-browser", "--port", "0"];
    all.extend(arguments);
    if !arguments.contains(&"--flow") {
        // A test sits at no terminal.
        all.extend(["--flow", "loopback"]);
    }
    if !arguments.contains(&"--secret") {
        all.extend(["--secret", SECRET]);
    }
    let mut command = program(backend, env!("CARGO_BIN_EXE_login"), &all);
    command.envs(environment.iter().copied());
    running(command)
}

fn running(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    Running { child, lines, seen: String::new() }
}

impl Running {
    /// Waits for the address to sign in at.
    async fn address(&mut self) -> Url {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            let url = Url::parse(line.trim());
            self.seen.push_str(&(line + "\n"));
            if let Ok(url) = url {
                return url;
            }
        }
        panic!("no address: {}", self.seen);
    }

    async fn paste(&mut self, text: &str) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(format!("{text}\n").as_bytes()).await.unwrap();
        stdin.shutdown().await.unwrap();
    }

    async fn end(mut self) -> Done {
        drop(self.child.stdin.take());
        let mut stdout = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).await.unwrap();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push_str(&(line + "\n"));
        }
        Done { code: self.child.wait().await.unwrap().code(), stdout, stderr: self.seen }
    }
}

async fn sign_in(backend: &Backend, address: &Url, user: User) -> Page {
    let browser = Browser::new(backend.transport.clone());
    browser.sign_in(address, user.name, user.password, None).await.unwrap()
}

/// Runs `login` and signs in through its listener.
async fn signed_in(backend: &Backend, arguments: &[&str]) -> Done {
    let mut login = login(backend, arguments);
    let address = login.address().await;
    let page = sign_in(backend, &address, READER).await;
    assert_eq!(page.status, 200, "{}", page.html);
    login.end().await
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

/// The whole of it, from a Keycloak that has no such realm to a secret that a user of it reads.
async fn provision_makes_a_realm_that_signs_people_in(backend: Backend) {
    let _turn = TURN.lock().await;
    let (own, folder) = (backend.unique("realm"), tempfile::tempdir().unwrap());
    let keycloak = backend.issuer.split("/realms/").next().unwrap();
    // The example of the repository, under names of its own.
    let example = include_str!("../provision.toml")
        .replace("http://localhost:8080", keycloak)
        .replace("\"HashiCorp\"", &format!("\"{own}\""))
        .replace("/realms/HashiCorp", &format!("/realms/{own}"))
        .replace("notebook-secret-kv-v2", &format!("{own}-kv"))
        .replace("keycloak-", &format!("{own}-"))
        .replace("name = \"reader\"\nrules", &format!("name = \"{own}-reader\"\nrules"))
        .replace("name = \"management\"\nrules", &format!("name = \"{own}-management\"\nrules"))
        .replace("policies = [\"reader\"]", &format!("policies = [\"{own}-reader\"]"))
        .replace("policies = [\"management\"]", &format!("policies = [\"{own}-management\"]"));
    let file = folder.path().join("all.toml");
    std::fs::write(&file, example).unwrap();
    let run = async |action: &str| {
        let arguments = [action, "--file", file.to_str().unwrap()];
        let mut command = program(&backend, env!("CARGO_BIN_EXE_provision"), &arguments);
        command.env("VAULT_TOKEN", backend.root.expose_secret());
        command.env("KEYCLOAK_ADMIN_PASSWORD", std::env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD").unwrap());
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

/// A mount of one's own, and a user of it with their token.
struct Notebook {
    backend: Backend,
    mount: String,
    user: String,
    token: String,
}

async fn notebook(backend: Backend) -> Notebook {
    let (mount, user) = (backend.unique("stores"), backend.unique("alice"));
    let options = json!({"type": "kv", "options": {"version": "2"}});
    backend.admin(Method::Post, &format!("sys/mounts/{mount}"), options).await.unwrap();
    backend.put_secret(&mount, "ready", json!({"is": "it"})).await.unwrap();
    let root = Vault::new(backend.vault_address.clone(), backend.transport.clone())
        .with_token(&Token::new(backend.root.clone()).unwrap());
    let layout = Layout::new(&mount, "jupyter/users").unwrap();
    let tokens = UserTokens::new(root, layout);
    let login =
        tokens.issue_with_own_policy(&UserName::new(&user).unwrap(), &Terms::default()).await.unwrap();
    let token = login.token().expose_secret().to_owned();
    Notebook { backend, mount, user, token }
}

impl Notebook {
    async fn secrets(&self, arguments: &[&str], input: &str) -> Done {
        self.secrets_with(arguments, input, &[]).await
    }

    async fn secrets_with(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Done {
        let mut command = program(&self.backend, env!("CARGO_BIN_EXE_secrets"), &["--mount", &self.mount]);
        command.args(arguments).env("JUPYTERHUB_USER", &self.user).env("NOTEBOOK_VAULT_TOKEN", &self.token);
        command.env("VAULT_TOKEN", "s.not-this-one").envs(environment.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who reads nothing of it may have ended by now.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Done { code: output.status.code(), stdout: output.stdout, stderr }
    }

    async fn prints(&self, arguments: &[&str], expected: &str) {
        let done = self.secrets(arguments, "").await;
        assert_eq!((done.code, done.text().as_str()), (Some(0), expected), "{arguments:?} {done:?}");
    }
}

async fn secrets_are_put_printed_listed_and_deleted(backend: Backend) {
    let notebook = notebook(backend).await;
    notebook.prints(&["list"], "").await;
    assert!(notebook.secrets(&["put", "database", "password"], "p4ss of db\n").await.is_success());
    assert!(notebook.secrets(&["put", "database"], r#"{"port": 5432.10, "user": "app"}"#).await.is_success());
    notebook.prints(&["get", "database", "--field", "password"], "p4ss of db").await;
    notebook.prints(&["get", "database", "--field", "password", "--json"], "\"p4ss of db\"").await;
    let whole: Value =
        serde_json::from_slice(&notebook.secrets(&["get", "database"], "").await.stdout).unwrap();
    assert_eq!(whole, json!({"password": "p4ss of db", "port": 5432.1, "user": "app"}));
    notebook.prints(&["list"], "database\n").await;
    notebook.prints(&["list", "--json"], "[\"database\"]\n").await;
    notebook.prints(&["fields", "database"], "password\nport\nuser\n").await;
    assert!(notebook.secrets(&["delete", "database", "--field", "port"], "").await.is_success());
    notebook.prints(&["fields", "database"], "password\nuser\n").await;
    notebook.secrets(&["delete", "database", "--field", "port"], "").await.assert_failed(1, &["no field"]);
    assert!(notebook.secrets(&["delete", "database"], "").await.is_success());
    notebook.secrets(&["get", "database"], "").await.assert_failed(1, &["was deleted", "restore database"]);
    assert!(notebook.secrets(&["restore", "database"], "").await.is_success());
    notebook.prints(&["get", "database", "--field", "user"], "app").await;
    assert!(notebook.secrets(&["delete", "database", "--purge"], "").await.is_success());
    notebook.secrets(&["restore", "database"], "").await.assert_failed(1, &["no deleted secret"]);
    notebook.secrets(&["get", "database"], "").await.assert_failed(1, &["there is no secret", "hint:"]);
    notebook.prints(&["list"], "").await;
}

async fn secrets_takes_no_value_as_an_argument(backend: Backend) {
    let notebook = notebook(backend).await;
    for arguments in [&["put", "k", "password=hunter2"][..], &["put", "k", "password", "hunter2"]] {
        notebook.secrets(arguments, "x").await.assert_failed(2, &["hint:"]);
    }
    for input in ["no json", "[1]", "\"text\""] {
        notebook.secrets(&["put", "k"], input).await.assert_failed(2, &["JSON object"]);
    }
    notebook.prints(&["list"], "").await;
}

async fn secrets_tells_a_denied_store_from_an_empty_one(backend: Backend) {
    let notebook = notebook(backend).await;
    notebook.prints(&["list"], "").await;
    let denied = notebook.secrets(&["list", "--user", "somebody-else"], "").await;
    denied.assert_failed(1, &["permission denied", "hint:"]);
    for user in ["..", "a/b", ""] {
        notebook.secrets(&["list", "--user", user], "").await.assert_failed(2, &[]);
    }
    for key in ["../somebody-else/k", "", "a//b"] {
        notebook.secrets(&["get", key], "").await.assert_failed(2, &["path"]);
    }
}

async fn secrets_tells_how_the_token_is_doing(backend: Backend) {
    let notebook = notebook(backend).await;
    let done = notebook.secrets(&["status", "--json"], "").await;
    let status: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(status["path"], format!("{}/jupyter/users/{}", notebook.mount, notebook.user));
    assert!(status["seconds_left"].as_u64().unwrap() > 86_000 && status["renewable"] == true, "{status}");
    let done = notebook.secrets(&["status"], "").await;
    assert!(done.text().contains("can be renewed") && !done.text().contains(&notebook.token), "{done:?}");
    let dead = notebook.secrets_with(&["status"], "", &[("NOTEBOOK_VAULT_TOKEN", "s.dead")]).await;
    dead.assert_failed(1, &["hint:"]);
}

async fn secrets_gives_a_program_its_environment_without_a_shell(backend: Backend) {
    let notebook = notebook(backend).await;
    let odd = "it's $HOME `id`\n\"two\"";
    notebook.secrets(&["put", "environment"], &json!({"ODD": odd, "NUMBER": 7}).to_string()).await;
    notebook.secrets(&["put", "more", "MORE"], "more").await;
    let done = notebook.secrets(&["run", "--", "/usr/bin/printenv", "ODD", "NUMBER"], "").await;
    assert_eq!((done.code, done.text()), (Some(0), format!("{odd}\n7\n")), "{done:?}");
    let all =
        notebook.secrets(&["run", "--from", "environment", "--from", "more", "--", "/usr/bin/env"], "").await;
    assert!(all.text().contains("MORE=more"), "{all:?}");
    assert!(!all.text().contains(&notebook.token) && !all.text().contains("VAULT_TOKEN"), "{all:?}");
    // No shell reads the arguments, and the exit code is the program's.
    let done = notebook.secrets(&["run", "--", "/bin/echo", "$ODD", ";", "--json"], "").await;
    assert_eq!(done.text(), "$ODD ; --json\n");
    assert_eq!(notebook.secrets(&["run", "--", "/bin/sh", "-c", "exit 7"], "").await.code, Some(7));
    notebook.secrets(&["run", "--", "/no/such/program"], "").await.assert_failed(2, &["/no/such/program"]);
    notebook.secrets(&["put", "bad", "NOT-A-NAME"], "x").await;
    notebook
        .secrets(&["run", "--from", "bad", "--", "/usr/bin/env"], "")
        .await
        .assert_failed(1, &["NOT-A-NAME"]);
}

async fn secrets_env_prints_nothing_unless_told_to(backend: Backend) {
    let notebook = notebook(backend).await;
    let odd = "it's $HOME `id`\n\"two\"";
    notebook.secrets(&["put", "environment", "ODD"], odd).await;
    let silent = notebook.secrets(&["env"], "").await;
    assert!(silent.is_success() && silent.stdout.is_empty() && !silent.stderr.contains("HOME"), "{silent:?}");
    let shown = notebook.secrets(&["env", "--show"], "").await.text();
    let script = format!("{shown}\nprintf %s \"$ODD\"");
    let echoed = Command::new("/bin/sh").args(["-c", &script]).output().await.unwrap();
    assert_eq!(String::from_utf8(echoed.stdout).unwrap(), odd);
}

async fn secrets_completes_for_every_shell(backend: Backend) {
    let notebook = notebook(backend).await;
    for shell in ["bash", "zsh", "fish"] {
        let done = notebook.secrets(&["completion", shell], "").await;
        assert!(done.is_success() && done.text().contains("restore"), "{shell} {done:?}");
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

async fn a_sign_in_by_vault_through_loopback_reads_the_secret(backend: Backend) {
    let ground = ground(backend).await;
    let done = signed_in(&ground.backend, &["--via", "vault", "--flow", "loopback", "--field", "data"]).await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

async fn a_sign_in_at_the_provider_through_loopback_reads_the_secret(backend: Backend) {
    let ground = ground(backend).await;
    let done =
        signed_in(&ground.backend, &["--via", "provider", "--flow", "loopback", "--field", "data"]).await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

async fn a_sign_in_by_vault_with_a_pasted_code_reads_the_secret(backend: Backend) {
    let ground = ground(backend).await;
    let mut login = login(&ground.backend, &["--via", "vault", "--flow", "oob", "--field", "data"]);
    let address = login.address().await;
    let page = sign_in(&ground.backend, &address, READER).await;
    login.paste(&page.input("code").unwrap()).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

async fn a_sign_in_at_the_provider_with_a_pasted_address_reads_the_secret(backend: Backend) {
    let ground = ground(backend).await;
    let mut login = login(&ground.backend, &["--via", "provider", "--flow", "oob", "--field", "data"]);
    let address = login.address().await;
    let page = sign_in(&ground.backend, &address, READER).await;
    login.paste(page.address.as_str()).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
    assert!(!done.stderr.contains(page.parameter("code").unwrap().as_str()), "the code is not repeated");
}

/// The tokens that exist, by their accessors.
async fn accessors(backend: &Backend) -> Vec<Value> {
    let list = backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
    list["data"]["keys"].as_array().unwrap().clone()
}

async fn the_token_is_revoked_at_the_end(backend: Backend) {
    let ground = ground(backend).await;
    let before = accessors(&ground.backend).await;
    let done = signed_in(&ground.backend, &["--field", "data"]).await;
    assert!(done.is_success(), "{done:?}");
    signed_in(&ground.backend, &["--field", "nothing-like-it"]).await.assert_failed(1, &["nothing-like-it"]);
    let after = accessors(&ground.backend).await;
    let added: Vec<_> = after.iter().filter(|accessor| !before.contains(accessor)).collect();
    assert!(added.is_empty(), "{} tokens are left", added.len());
}

async fn a_kept_token_works_and_is_for_its_owner_only(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let done = signed_in(&ground.backend, &["--keep-token", file.to_str().unwrap()]).await;
    assert!(done.is_success(), "{done:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    assert!(!done.stderr.contains(&token) && !done.text().contains(&token));
    let found =
        ground.backend.admin(Method::Post, "auth/token/lookup", json!({"token": token})).await.unwrap();
    assert_eq!(found["data"]["meta"]["username"], "reader");
    ground.backend.admin(Method::Post, "auth/token/revoke", json!({"token": token})).await.unwrap();
}

async fn a_binary_field_is_written_whole_and_for_its_owner_only(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.bin");
    let arguments = ["--field", "binary", "--decode", "base64", "--out", file.to_str().unwrap()];
    let done = signed_in(&ground.backend, &arguments).await;
    assert!(done.is_success() && done.stdout.is_empty(), "{done:?}");
    assert_eq!(std::fs::read(&file).unwrap(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

async fn a_file_that_exists_is_left_alone_without_force(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "mine").unwrap();
    let arguments = ["--field", "data", "--out", file.to_str().unwrap()];
    // Told before the person signs in.
    login(&ground.backend, &arguments).end().await.assert_failed(2, &["exists", "--force"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    let done = signed_in(&ground.backend, &[&arguments[..], &["--force"]].concat()).await;
    assert!(done.is_success(), "{done:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), CONTENT);
}

async fn a_symbolic_link_is_never_followed(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    std::fs::write(&target, "mine").unwrap();
    symlink(&target, &link).unwrap();
    let arguments = ["--field", "data", "--out", link.to_str().unwrap(), "--force"];
    let running = login(&ground.backend, &arguments);
    running.end().await.assert_failed(2, &["symbolic link"]);
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
}

async fn a_field_that_is_not_there_names_those_that_are(backend: Backend) {
    let ground = ground(backend).await;
    let done = signed_in(&ground.backend, &["--field", "dta"]).await;
    done.assert_failed(1, &["dta", "data", "binary"]);
    assert!(done.stdout.is_empty() && !done.stderr.contains(CONTENT));
}

async fn a_secret_that_is_not_there_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let done = signed_in(&ground.backend, &["--secret", "notebook-secret-kv-v2/none"]).await;
    done.assert_failed(1, &["notebook-secret-kv-v2/none", "hint:"]);
    let done = signed_in(&ground.backend, &["--secret", "secret/test"]).await;
    done.assert_failed(1, &["permission denied", "secret/test", "hint:"]);
}

async fn a_wrong_role_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let done = login(&ground.backend, &["--role", "nobody"]).end().await;
    done.assert_failed(1, &["nobody", "hint:"]);
}

async fn a_wrong_issuer_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let issuer = format!("{}/", ground.backend.issuer);
    let done = login(&ground.backend, &["--via", "provider", "--issuer", &issuer]).end().await;
    done.assert_failed(1, &[&issuer, "hint:"]);
}

async fn a_server_that_is_down_is_exit_code_3(backend: Backend) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = format!("http://127.0.0.1:{port}");
    login(&backend, &["--vault", &nowhere]).end().await.assert_failed(3, &["127.0.0.1", "hint:"]);
    let issuer = format!("{nowhere}/realms/HashiCorp");
    let done = login(&backend, &["--via", "provider", "--issuer", &issuer]).end().await;
    done.assert_failed(3, &["127.0.0.1", "hint:"]);
}

async fn a_wrong_argument_is_exit_code_2(backend: Backend) {
    for arguments in
        [&["--no-such-thing"][..], &["--secret", "nothing-below-the-mount"], &["--flow", "pigeon"]]
    {
        login(&backend, arguments).end().await.assert_failed(2, &[]);
    }
}

async fn nobody_signing_in_is_exit_code_4(backend: Backend) {
    let ground = ground(backend).await;
    for arguments in [["--via", "vault"], ["--via", "provider"]] {
        let mut login = login(&ground.backend, &[&arguments[..], &["--timeout", "1"]].concat());
        login.address().await;
        login.end().await.assert_failed(4, &["hint:"]);
    }
}

async fn ctrl_c_ends_the_wait(backend: Backend) {
    let ground = ground(backend).await;
    let mut login = login(&ground.backend, &[]);
    login.address().await;
    let pid = login.child.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(killed.success());
    let done = tokio::time::timeout(Duration::from_secs(20), login.end()).await.unwrap();
    done.assert_failed(1, &[]);
}

async fn ctrl_c_while_the_secret_is_read_revokes_the_token(backend: Backend) {
    let ground = ground(backend).await;
    let before = accessors(&ground.backend).await.len();
    let read = Target::vault("/v1/notebook-secret-kv-v2/data/test");
    ground.backend.world().faults().inject(read, 1, Fault::Delay(Duration::from_secs(30)));
    let mut login = login(&ground.backend, &[]);
    let address = login.address().await;
    sign_in(&ground.backend, &address, READER).await;
    while accessors(&ground.backend).await.len() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = login.child.id().unwrap().to_string();
    Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(20), login.end()).await.unwrap();
    done.assert_failed(1, &["interrupted"]);
    assert_eq!(accessors(&ground.backend).await.len(), before, "the token is gone");
}

/// TLS in front of the Vault, with a CA of its own. Returns the address and the CA's certificate.
async fn behind_tls(backend: &Backend) -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let authority = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![certificate.der().clone()],
        PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let vault = backend.vault_address.socket_addrs(|| None).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, vault) = (acceptor.clone(), vault.clone());
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(&vault[..]).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    (address, pem)
}

async fn a_ca_from_the_environment_is_trusted_and_an_unknown_one_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let (address, pem) = behind_tls(&ground.backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    // An empty variable is none.
    for environment in
        [&[("VAULT_ADDR", address.as_str())][..], &[("VAULT_ADDR", &address), ("VAULT_CACERT", "")]]
    {
        let done = login_with(&ground.backend, &[], environment).end().await;
        done.assert_failed(3, &["certificate", "VAULT_CACERT"]);
    }
    let environment = [("VAULT_ADDR", address.as_str()), ("VAULT_CACERT", file.to_str().unwrap())];
    let mut login = login_with(&ground.backend, &["--field", "data"], &environment);
    let page = login.address().await;
    sign_in(&ground.backend, &page, READER).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

async fn a_namespace_that_is_not_there_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let done = login_with(&ground.backend, &[], &[("VAULT_NAMESPACE", "nowhere")]).end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("hint:"), "{done:?}");
}

async fn a_port_that_is_taken_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let path = env!("CARGO_BIN_EXE_login");
    let arguments = ["--no-browser", "--flow", "loopback", "--port", &port, "--secret", SECRET];
    let output = program(&ground.backend, path, &arguments).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Done { code: output.status.code(), stdout: output.stdout, stderr }.assert_failed(2, &[&port, "hint:"]);
}

async fn a_refused_consent_is_told(backend: Backend) {
    let ground = ground(backend).await;
    ground.backend.world().provider().set_consent(Consent::Refused);
    for via in ["vault", "provider"] {
        let mut login = login(&ground.backend, &["--via", via]);
        let address = login.address().await;
        sign_in(&ground.backend, &address, READER).await;
        login.end().await.assert_failed(1, &["refused", "hint:"]);
    }
}

async fn the_first_free_port_is_taken(backend: Backend) {
    let ground = ground(backend).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let ports = format!("{taken},0");
    let path = env!("CARGO_BIN_EXE_login");
    let arguments =
        ["--no-browser", "--flow", "loopback", "--port", &ports, "--secret", SECRET, "--field", "data"];
    let mut login = running(program(&ground.backend, path, &arguments));
    let address = login.address().await;
    sign_in(&ground.backend, &address, READER).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

/// A browser that writes where only the secret may be, and leaves the address in a file.
fn noisy_browser(folder: &std::path::Path) -> String {
    let path = folder.join("browser");
    let script = format!("#!/bin/sh\necho noise\necho \"$1\" > {}/address\n", folder.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn what_the_browser_writes_is_not_in_the_output(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--flow", "loopback", "--port", "0", "--secret", SECRET, "--field", "data"];
    let mut command = program(&ground.backend, env!("CARGO_BIN_EXE_login"), &arguments);
    command.env("BROWSER", noisy_browser(folder.path()));
    let mut login = running(command);
    let address = login.address().await;
    let opened = folder.path().join("address");
    for _ in 0..200 {
        if std::fs::read_to_string(&opened).is_ok_and(|text| !text.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(std::fs::read_to_string(&opened).unwrap().trim(), address.as_str());
    sign_in(&ground.backend, &address, READER).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().as_str()), (Some(0), CONTENT), "{done:?}");
}

/// A client that signs in on other devices, and an auth method of Vault that takes its tokens.
async fn device_client(backend: &Backend) -> (String, &'static str, &'static str) {
    let (id, secret) =
        if backend.place == Place::Real { ("latchkey-service", "s3rv1ce") } else { ("vault-oidc", "s3cr3t") };
    let mount = backend.unique("device");
    backend.admin(Method::Post, &format!("sys/auth/{mount}"), json!({"type": "jwt"})).await.unwrap();
    let config = json!({"oidc_discovery_url": backend.issuer, "bound_issuer": backend.issuer});
    backend.admin(Method::Post, &format!("auth/{mount}/config"), config).await.unwrap();
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": [id], "token_policies": ["reader"],
    });
    backend.admin(Method::Post, &format!("auth/{mount}/role/default"), role).await.unwrap();
    (mount, id, secret)
}

async fn a_sign_in_on_another_device_reads_the_secret(backend: Backend) {
    let ground = ground(backend).await;
    let (mount, id, secret) = device_client(&ground.backend).await;
    let arguments =
        ["--via", "provider", "--flow", "device", "--client-id", id, "--mount", &mount, "--field", "data"];
    let mut login = login_with(&ground.backend, &arguments, &[("LATCHKEY_CLIENT_SECRET", secret)]);
    let mut page = login.address().await;
    let code = loop {
        let line = login.lines.next_line().await.unwrap().unwrap();
        // The code is the one line that stands apart.
        if line.starts_with("  ") {
            break line.trim().to_owned();
        }
    };
    page.query_pairs_mut().append_pair("user_code", &code);
    let browser = Browser::new(ground.backend.transport.clone());
    let shown = browser.sign_in(&page, READER.name, READER.password, None).await.unwrap();
    if ground.backend.place == Place::Real {
        browser.submit(&shown, &[("accept", "")], None).await.unwrap();
    }
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
    let path = format!("sys/auth/{mount}");
    ground.backend.admin(Method::Delete, &path, Value::Null).await.unwrap();
}

async fn vault_signs_nobody_in_on_another_device(backend: Backend) {
    login(&backend, &["--flow", "device"]).end().await.assert_failed(2, &["hint:", "--via provider"]);
}

async fn a_terminal_over_ssh_is_offered_a_code_to_paste_and_told_why(backend: Backend) {
    let ground = ground(backend).await;
    let arguments = ["--no-browser", "--secret", SECRET, "--field", "data"];
    let mut command = program(&ground.backend, env!("CARGO_BIN_EXE_login"), &arguments);
    command.env("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22").env("DISPLAY", ":0");
    let mut terminal = Terminal::open().unwrap();
    let child = terminal.run(&command).unwrap();
    let shown = terminal.read_until("Paste the code").await.unwrap();
    assert!(shown.contains("a code carried over by hand, since this is an SSH session"), "{shown}");
    let address = shown.lines().find_map(|line| Url::parse(line.trim()).ok()).unwrap();
    let page = sign_in(&ground.backend, &address, READER).await;
    terminal.write(&format!("{}\n", page.input("code").unwrap())).unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), CONTENT);
}

async fn without_a_terminal_nobody_is_asked(backend: Backend) {
    let ground = ground(backend).await;
    let done = login(&ground.backend, &["--flow", "auto"]).end().await;
    done.assert_failed(2, &["nobody is there", "hint:", "--flow"]);
}

/// The one sign-in that is kept in that folder.
fn kept(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.extension().is_some_and(|this| this == "json"));
    let first = files.next();
    assert_eq!(files.next(), None, "one client is one file");
    first
}

/// Lets the kept ID token have expired long ago.
fn age(file: &std::path::Path) {
    let mut session: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    session["id_token"]["expires_at"] = json!(1);
    std::fs::write(file, session.to_string()).unwrap();
}

async fn a_remembered_sign_in_needs_no_browser_and_is_refreshed(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let caches = folder.path().join("kept");
    let arguments = ["--via", "provider", "--remember", "--cache-dir", caches.to_str().unwrap()];
    let arguments = [&arguments[..], &["--field", "data"]].concat();
    assert!(signed_in(&ground.backend, &arguments).await.is_success());
    let file = kept(&caches).unwrap();
    let first: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for is_old in [false, true] {
        if is_old {
            age(&file);
        }
        let done = login(&ground.backend, &arguments).end().await;
        assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{is_old} {done:?}");
        assert!(!done.stderr.contains("Sign in at"), "{done:?}");
        let now: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(first["id_token"]["text"] != now["id_token"]["text"], is_old);
    }
}

async fn a_sign_out_ends_the_session_and_forgets_it(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let caches = folder.path().join("kept");
    let arguments = ["--via", "provider", "--remember", "--cache-dir", caches.to_str().unwrap()];
    let arguments = [&arguments[..], &["--logout", "--field", "data"]].concat();
    let mut login = login(&ground.backend, &arguments);
    let address = login.address().await;
    let browser = Browser::new(ground.backend.transport.clone());
    browser.sign_in(&address, READER.name, READER.password, None).await.unwrap();
    let kept_before = || kept(&caches);
    let out = login.address().await;
    assert!(out.query_pairs().all(|(name, _)| name != "id_token_hint"), "the token is not shown");
    assert!(kept_before().is_none(), "it is forgotten");
    let mut page = browser.open(&out, None).await.unwrap();
    if page.html.contains("<form") {
        // A provider that still knows of the session asks whether it is to end.
        page = browser.submit(&page, &[("confirmLogout", "Logout")], None).await.unwrap();
    }
    assert!(page.html.contains("Signed out"), "{} {}", page.status, page.html);
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
    // The browser's session at the provider is over: the next sign-in asks for the password again.
    let mut login = self::login(&ground.backend, &["--via", "provider"]);
    let page = browser.open(&login.address().await, None).await.unwrap();
    assert!(page.html.contains("name=\"password\""), "{}", page.html);
    login.child.kill().await.unwrap();
}

async fn a_sign_out_needs_a_sign_in_of_ours(backend: Backend) {
    for argument in ["--logout", "--remember"] {
        login(&backend, &[argument]).end().await.assert_failed(2, &["hint:", "--via provider"]);
    }
}
