//! `notebook-token` in a server of a hub that is played here, and `keep-token`: against the doubles on loopback, and
//! against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use latchkey_testbed::Lifetimes;
use latchkey_tests::{
    Backend, Fault, Misbehaviour, Place, PlayedHub, READER, Site, Span, Target, behaviours, run,
};
use latchkey_transport::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};

fn main() -> ExitCode {
    run(&behaviours(), &[Place::Loopback, Place::Real], Vec::new())
}

/// The real provider gives tokens for five minutes, and none for an hour, or that has ended.
const ONE_LIFE: &str = "the real provider's tokens have one life";

behaviours! {
    a_short_token_is_told_and_reads_the_secret_all_the_same,
    the_values_are_masked_and_the_metadata_is_told,
    a_field_is_printed_as_it_is,
    json_has_the_values_only_where_they_are_asked_for,
    #[not_on(Place::Real, ONE_LIFE)]
    a_fine_token_asks_no_hub,
    #[not_on(Place::Real, ONE_LIFE)]
    an_expired_token_is_replaced_by_a_fresh_one_of_the_hub,
    #[not_on(Place::Real, ONE_LIFE)]
    a_short_token_is_replaced_by_a_fresh_one_of_the_hub,
    #[not_on(Place::Real, ONE_LIFE)]
    a_stale_token_of_the_hub_shows_where_to_restart,
    #[not_on(Place::Real, ONE_LIFE)]
    an_expired_token_without_a_hub_shows_where_to_restart,
    without_a_token_the_hub_is_asked,
    without_a_token_and_a_hub_the_fix_is_named,
    a_missing_scope_is_told_with_the_lines_that_set_it,
    a_hub_that_is_elsewhere_is_never_asked_in_the_clear,
    the_vault_token_is_given_back_after_an_error_too,
    #[not_on(Place::Real, "the real server counts no calls")]
    a_secret_costs_the_vault_three_calls,
    #[not_on(Place::Real, "the server of the other tests is not sealed")]
    a_vault_that_is_sealed_is_told_and_shows_nothing,
    a_wrong_role_is_told,
    what_is_no_token_is_told_without_a_word_of_it,
    a_periodic_token_is_kept_beyond_its_life,
    a_users_token_with_little_left_is_renewed_at_once,
    a_token_at_its_longest_life_asks_for_a_person_and_ends,
    a_kept_token_is_given_back_where_that_is_asked_for,
    a_kept_token_that_is_revoked_is_told_and_ends_the_keeping,
    a_token_file_that_others_may_read_is_refused,
    a_token_that_does_not_end_is_nothing_to_keep,
    #[not_on(Place::Real, "the real server does not fail on request")]
    a_vault_that_is_down_is_told_and_waited_for,
}

/// How long anything may take: many times what it takes beside a compiler.
const PATIENCE: Duration = Duration::from_secs(60);

const HUB_TOKEN: &str = PlayedHub::TOKEN;

/// How a program ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn assert_success(&self, told: &[&str]) {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.assert_told(told);
    }

    fn assert_failed(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.assert_told(told);
    }

    fn assert_told(&self, told: &[&str]) {
        for words in told {
            assert!(self.stderr.contains(words), "{words:?} is missing in: {}", self.stderr);
        }
    }

    fn assert_silent_about(&self, secrets: &[&str]) {
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            assert!(!self.stdout.contains(secret) && !self.stderr.contains(secret), "{self:?}");
        }
    }
}

async fn done(child: Child) -> Done {
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn program(backend: &Backend, path: &str) -> Command {
    let mut command = Command::new(path);
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("VAULT_ADDR", backend.vault_address.as_str());
    command
}

/// A notebook of the person `reader`.
struct Notebook {
    backend: Backend,
    site: Site,
}

impl Notebook {
    async fn new(backend: Backend) -> Self {
        let site = backend.site().await.unwrap();
        let notes = json!({"custom_metadata": {"owner": "team-app"}});
        backend.admin(Method::Post, &format!("{}/metadata/team/app", site.kv), notes).await.unwrap();
        Self { backend, site }
    }

    /// A token of the person's sign-in that has this life on the double, and five minutes on the real provider.
    async fn token(&self, life: Duration) -> String {
        if self.backend.place == Place::Real {
            return sign_in(&self.backend).await;
        }
        let provider = self.backend.world().provider();
        provider.set_lifetimes(Lifetimes { token: life, ..Lifetimes::default() });
        provider.id_token(READER.name)
    }

    async fn fine(&self) -> String {
        self.token(Duration::from_secs(3600)).await
    }

    async fn short(&self) -> String {
        self.token(Duration::from_secs(300)).await
    }

    fn expired(&self) -> String {
        let provider = self.backend.world().provider();
        provider.misbehave(Misbehaviour::Expired, Span::Once);
        provider.id_token(READER.name)
    }

    fn command(&self, token: &str, hub: Option<&PlayedHub>, arguments: &[&str]) -> Command {
        let mut command = program(&self.backend, env!("CARGO_BIN_EXE_notebook-token"));
        command.env("VAULT_OIDC_TOKEN", token).env("JUPYTERHUB_BASE_URL", "/jupyter/");
        if let Some(hub) = hub {
            command.env("JUPYTERHUB_API_URL", hub.address()).env("JUPYTERHUB_API_TOKEN", HUB_TOKEN);
            command.env("JUPYTERHUB_USER", READER.name);
        }
        command.args(["--mount", &self.site.jwt, "--secret", &format!("{}/team/app", self.site.kv)]);
        command.args(arguments);
        command
    }

    async fn run(&self, token: &str, hub: Option<&PlayedHub>, arguments: &[&str]) -> Done {
        let done = done(self.command(token, hub, arguments).spawn().unwrap()).await;
        done.assert_silent_about(&[token, HUB_TOKEN, "r3fresh"]);
        done
    }
}

async fn sign_in(backend: &Backend) -> String {
    let tokens = backend.tokens(READER).await.unwrap();
    // Opened to be given to a program of ours.
    tokens.id_token.as_secret().expose_secret().to_owned()
}

async fn a_short_token_is_told_and_reads_the_secret_all_the_same(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let told = notebook.run(&notebook.short().await, None, &["--show"]).await;
    told.assert_success(&[
        "your token ends in ",
        "no hub is named",
        "restart your server",
        "/jupyter/hub/home",
    ]);
    assert!(told.stdout.contains(notebook.site.password), "{told:?}");
}

async fn the_values_are_masked_and_the_metadata_is_told(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    // Servers refuse a note that moves the cursor, and take a field that does.
    let tricky = json!({"user": "app", "password": notebook.site.password, "\u{1b}[2J": "x"});
    notebook.backend.put_secret(&notebook.site.kv, "team/app", tricky).await.unwrap();
    let told = notebook.run(&notebook.fine().await, None, &[]).await;
    told.assert_success(&[]);
    told.assert_silent_about(&[notebook.site.password, "\u{1b}"]);
    let row = |name: &str| {
        let rows = told.stdout.lines().filter_map(|line| line.split_once("  "));
        rows.filter(|row| row.0.trim() == name).map(|row| row.1.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((row("version"), row("note owner")), (vec!["2".to_owned()], vec!["team-app".to_owned()]));
    assert_eq!((row("password"), row("user")), (vec!["********".to_owned()], vec!["********".to_owned()]));
    assert!(row("created")[0].starts_with("20"), "{told:?}");
}

async fn a_field_is_printed_as_it_is(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let told = notebook.run(&notebook.fine().await, None, &["--field", "password"]).await;
    told.assert_success(&[]);
    assert_eq!(told.stdout, notebook.site.password);
    let missing = notebook.run(&notebook.fine().await, None, &["--field", "nope"]).await;
    missing.assert_failed(1, &["user", "password", "--field"]);
}

async fn json_has_the_values_only_where_they_are_asked_for(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let token = notebook.short().await;
    let masked = notebook.run(&token, None, &["--json"]).await;
    masked.assert_silent_about(&[notebook.site.password]);
    let told: Value = serde_json::from_str(&masked.stdout).unwrap();
    assert_eq!(
        (&told["token"]["state"], &told["token"]["from"]),
        (&json!("short"), &json!("VAULT_OIDC_TOKEN"))
    );
    assert_eq!((&told["version"], &told["custom_metadata"]["owner"]), (&json!(1), &json!("team-app")));
    assert_eq!(told["fields"].as_array().unwrap().len(), 2);
    assert_eq!(told.get("data"), None);
    let shown = notebook.run(&token, None, &["--json", "--show"]).await;
    let told: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(told["data"], json!({"user": "app", "password": notebook.site.password}));
}

async fn a_fine_token_asks_no_hub(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let hub = PlayedHub::with("").await.unwrap();
    let told = notebook.run(&notebook.fine().await, Some(&hub), &[]).await;
    told.assert_success(&["your token is good for another 59 minutes"]);
    assert_eq!(hub.asked(), 0);
}

async fn an_expired_token_is_replaced_by_a_fresh_one_of_the_hub(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let fresh = notebook.fine().await;
    let hub = PlayedHub::with(&fresh).await.unwrap();
    let told = notebook.run(&notebook.expired(), Some(&hub), &["--json"]).await;
    told.assert_success(&["the hub has a fresh token", "59 minutes"]);
    told.assert_silent_about(&[&fresh]);
    let json: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&json["token"]["state"], &json["token"]["from"]), (&json!("fine"), &json!("the hub")));
}

async fn a_short_token_is_replaced_by_a_fresh_one_of_the_hub(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let hub = PlayedHub::with(&notebook.fine().await).await.unwrap();
    let ten_minutes = notebook.token(Duration::from_secs(600)).await;
    notebook
        .run(&ten_minutes, Some(&hub), &[])
        .await
        .assert_success(&["the hub has a fresh token", "59 minutes"]);
}

async fn a_stale_token_of_the_hub_shows_where_to_restart(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let (short, expired) = (notebook.short().await, notebook.expired());
    // The same one again: it is used, since it has some minutes.
    let same = notebook.run(&short, Some(&PlayedHub::with(&short).await.unwrap()), &[]).await;
    same.assert_success(&["no fresher one", "restart your server before longer work: /jupyter/hub/home"]);
    // An expired one, none, and no answer at all: nothing is left to log in with.
    for hub in [
        PlayedHub::with(&expired).await.unwrap(),
        PlayedHub::with("").await.unwrap(),
        PlayedHub::showing(json!({"name": "other"})).await.unwrap(),
    ] {
        let told = notebook.run(&expired, Some(&hub), &[]).await;
        told.assert_failed(
            1,
            &["sign in again by restarting your server: /jupyter/hub/home", "hint: stop your server"],
        );
        assert_eq!((told.stdout.as_str(), hub.asked()), ("", 1));
    }
}

async fn an_expired_token_without_a_hub_shows_where_to_restart(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let mut command = notebook.command(&notebook.expired(), None, &[]);
    command.env("JUPYTERHUB_PUBLIC_HUB_URL", "https://hub.example/hub/");
    let told = done(command.spawn().unwrap()).await;
    told.assert_failed(1, &["no hub is named", "restarting your server: https://hub.example/hub/home\n"]);
}

async fn without_a_token_the_hub_is_asked(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let hub = PlayedHub::with(&notebook.fine().await).await.unwrap();
    let told = notebook.run("", Some(&hub), &["--field", "user"]).await;
    told.assert_success(&["your token"]);
    assert_eq!((told.stdout.as_str(), hub.asked()), ("app", 1));
}

async fn without_a_token_and_a_hub_the_fix_is_named(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    notebook.run("", None, &[]).await.assert_failed(2, &["VAULT_OIDC_TOKEN", "JUPYTERHUB_API_URL"]);
    let hub = PlayedHub::with("").await.unwrap();
    let mut command = notebook.command("", Some(&hub), &[]);
    command.env_remove("JUPYTERHUB_API_TOKEN");
    done(command.spawn().unwrap()).await.assert_failed(2, &["JUPYTERHUB_API_TOKEN is not set"]);
}

async fn a_missing_scope_is_told_with_the_lines_that_set_it(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let hub = PlayedHub::showing(json!({"name": "reader"})).await.unwrap();
    let told = notebook.run("", Some(&hub), &[]).await;
    told.assert_failed(1, &["admin:auth_state!user is missing", "hint:", "c.JupyterHub.load_roles"]);
    let kept_none = PlayedHub::showing(json!({"name": "reader", "auth_state": null})).await.unwrap();
    notebook.run("", Some(&kept_none), &[]).await.assert_failed(1, &["enable_auth_state = True"]);
}

async fn a_hub_that_is_elsewhere_is_never_asked_in_the_clear(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    // By RFC 6761, 6.4 nobody has that name.
    let hub = PlayedHub::at("http://hub.invalid:8081/hub/api");
    notebook.run("", Some(&hub), &[]).await.assert_failed(2, &["https", "--danger-plain-http-hub"]);
    let told = notebook.run("", Some(&hub), &["--danger-plain-http-hub"]).await;
    told.assert_failed(3, &["hub.invalid", "JUPYTERHUB_API_URL"]);
}

async fn accessors(backend: &Backend) -> Vec<Value> {
    let list = backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
    list["data"]["keys"].as_array().unwrap().clone()
}

async fn the_vault_token_is_given_back_after_an_error_too(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let policy = "path \"nothing\" { capabilities = [\"read\"] }";
    let path = format!("sys/policies/acl/{}", notebook.site.kv);
    let (token, before) = (notebook.short().await, accessors(&notebook.backend).await);
    notebook.run(&token, None, &[]).await.assert_success(&[]);
    notebook.backend.admin(Method::Put, &path, json!({"policy": policy})).await.unwrap();
    notebook.run(&token, None, &[]).await.assert_failed(1, &["reading", "permission denied", "policy"]);
    if notebook.backend.place != Place::Real {
        assert_eq!(accessors(&notebook.backend).await.len(), before.len());
    }
}

/// The figure is in the README.
async fn a_secret_costs_the_vault_three_calls(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let token = notebook.fine().await;
    let world = notebook.backend.world();
    let before = world.requests().len();
    notebook.run(&token, None, &[]).await.assert_success(&[]);
    let calls = world.requests().split_off(before).into_iter().map(|call| call.path);
    // Vault itself asks the provider for its keys.
    let calls: Vec<_> = calls.filter(|path| path.starts_with("/v1/")).collect();
    let Site { kv, jwt, .. } = &notebook.site;
    let expected = [
        format!("/v1/auth/{jwt}/login"),
        format!("/v1/{kv}/data/team/app"),
        "/v1/auth/token/revoke-self".to_owned(),
    ];
    assert_eq!(calls, expected);
}

async fn a_vault_that_is_sealed_is_told_and_shows_nothing(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let token = notebook.fine().await;
    let vault = notebook.backend.world().vault();
    vault.seal();
    let told = notebook.run(&token, None, &["--show"]).await;
    told.assert_failed(3, &["sealed", "hint: whoever runs the server must unseal it"]);
    assert_eq!(told.stdout, "");
    vault.unseal();
    notebook.run(&token, None, &[]).await.assert_success(&[]);
}

async fn a_wrong_role_is_told(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    let told = notebook.run(&notebook.short().await, None, &["--role", "nobody"]).await;
    told.assert_failed(1, &["--role must name a role", &notebook.site.jwt]);
}

async fn what_is_no_token_is_told_without_a_word_of_it(backend: Backend) {
    let notebook = Notebook::new(backend).await;
    for text in ["nonsense-that-is-secret", "eyJh.secret.b", "{\"id_token\": \"secret\"}"] {
        notebook.run(text, None, &[]).await.assert_failed(2, &["VAULT_OIDC_TOKEN", "hint:"]);
    }
}

/// A token of Vault that `keep-token` keeps.
struct Kept {
    backend: Backend,
    token: String,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    said: String,
}

async fn create(backend: &Backend, request: Value) -> String {
    let made = backend.admin(Method::Post, "auth/token/create", request).await.unwrap();
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// What is left of a token's life in seconds; `None` where it is no more.
async fn life(backend: &Backend, token: &str) -> Option<u64> {
    let info = backend.admin(Method::Post, "auth/token/lookup", json!({"token": token})).await.ok()?;
    // In its last moments a server still knows it, with a life of zero.
    info["data"]["ttl"].as_u64().filter(|left| *left > 0)
}

impl Kept {
    /// Makes a token and has it kept, through standard input.
    async fn start(backend: Backend, request: Value, arguments: &[&str]) -> Self {
        let token = create(&backend, request).await;
        let mut command = program(&backend, env!("CARGO_BIN_EXE_keep-token"));
        let mut child =
            command.args(["--log-format", "json"]).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        drop(stdin);
        Self::of(backend, token, child)
    }

    fn of(backend: Backend, token: String, mut child: Child) -> Self {
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { backend, token, child, log, said: String::new() }
    }

    /// Waits until it says that it keeps the token: from then on it can be told to end.
    async fn begun(mut self) -> Self {
        while !self.said.contains("keeping a token") {
            let line = timeout(PATIENCE, self.log.next_line()).await.unwrap().unwrap();
            self.said.push_str(&(line.unwrap_or_else(|| panic!("it ended: {}", self.said)) + "\n"));
        }
        self
    }

    async fn left(&self) -> Option<u64> {
        life(&self.backend, &self.token).await
    }

    async fn until_left(&self, enough: impl Fn(Option<u64>) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = self.left().await;
            if enough(left) {
                return;
            }
            assert!(Instant::now() < until, "{left:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops it as a supervisor does.
    async fn end(self) -> (Done, Option<u64>) {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        self.ended().await
    }

    async fn ended(self) -> (Done, Option<u64>) {
        let Self { backend, token, child, mut log, mut said } = self;
        while let Some(line) = timeout(PATIENCE, log.next_line()).await.unwrap().unwrap() {
            said.push_str(&(line + "\n"));
        }
        let done = Done { stderr: said, ..done(child).await };
        done.assert_silent_about(&[&token]);
        assert_eq!(done.stdout, "");
        let left = life(&backend, &token).await;
        (done, left)
    }
}

async fn a_periodic_token_is_kept_beyond_its_life(backend: Backend) {
    let kept = Kept::start(backend, json!({"period": "8s", "policies": ["default"]}), &[]).await;
    let kept = kept.begun().await;
    sleep(Duration::from_secs(10)).await;
    assert!(kept.left().await.is_some(), "it lives on");
    let (done, left) = kept.end().await;
    done.assert_success(&["keeping a token", "renewed", "stopped"]);
    assert!(left.is_some(), "it is left as it is");
}

async fn a_users_token_with_little_left_is_renewed_at_once(backend: Backend) {
    let kept = Kept::start(backend, json!({"ttl": "60s", "policies": ["default"]}), &[]).await;
    kept.until_left(|left| left.is_some_and(|left| left > 3000)).await;
    kept.end().await.0.assert_success(&["renewed"]);
}

async fn a_token_at_its_longest_life_asks_for_a_person_and_ends(backend: Backend) {
    let request = json!({"ttl": "6s", "explicit_max_ttl": "9s", "policies": ["default"]});
    let (done, left) = Kept::start(backend, request, &[]).await.ended().await;
    done.assert_failed(1, &["a person must sign in again", "has ended", "hint:"]);
    assert_eq!(left, None);
}

async fn a_kept_token_is_given_back_where_that_is_asked_for(backend: Backend) {
    let request = json!({"period": "60s", "policies": ["default"]});
    let kept = Kept::start(backend, request, &["--revoke"]).await.begun().await;
    let (done, left) = kept.end().await;
    done.assert_success(&["stopped"]);
    assert_eq!(left, None);
}

async fn a_kept_token_that_is_revoked_is_told_and_ends_the_keeping(backend: Backend) {
    let request = json!({"period": "8s", "policies": ["default"]});
    let kept = Kept::start(backend, request, &[]).await.begun().await;
    let revoked = json!({"token": kept.token});
    kept.backend.admin(Method::Post, "auth/token/revoke", revoked).await.unwrap();
    let (done, left) = kept.ended().await;
    done.assert_failed(1, &["the token has ended", "hint: sign in again"]);
    assert_eq!(left, None);
}

async fn a_token_file_that_others_may_read_is_refused(backend: Backend) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = create(&backend, json!({"period": "60s", "policies": ["default"]})).await;
    fs::write(&file, &token).unwrap();
    let start = || {
        let mut command = program(&backend, env!("CARGO_BIN_EXE_keep-token"));
        command.arg("--token-file").arg(&file).spawn().unwrap()
    };
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = done(start()).await;
        refused.assert_failed(2, &["others than its owner", "chmod 600"]);
        refused.assert_silent_about(&[&token]);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let child = start();
    let kept = Kept::of(backend, token, child).begun().await;
    kept.end().await.0.assert_success(&["keeping a token"]);
}

async fn a_token_that_does_not_end_is_nothing_to_keep(backend: Backend) {
    for (request, told) in [
        (json!({"policies": ["root"]}), "does not end"),
        (json!({"ttl": "60s", "renewable": false, "policies": ["default"]}), "cannot be renewed"),
        (json!({"ttl": "60s", "num_uses": 5, "policies": ["default"]}), "one of the token's uses"),
    ] {
        let token = create(&backend, request).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, &token).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = program(&backend, env!("CARGO_BIN_EXE_keep-token"));
        let refused = done(command.arg("--token-file").arg(&file).spawn().unwrap()).await;
        refused.assert_failed(2, &[told, "-period=1h"]);
    }
}

async fn a_vault_that_is_down_is_told_and_waited_for(backend: Backend) {
    let renewal = Target::vault("/v1/auth/token/renew-self");
    backend.world().faults().inject(renewal, 2, Fault::Refuse);
    let kept = Kept::start(backend, json!({"period": "10s", "policies": ["default"]}), &[]).await;
    let kept = kept.begun().await;
    sleep(Duration::from_secs(12)).await;
    let (done, left) = kept.end().await;
    done.assert_success(&["the token is not renewed", "\"renewed\""]);
    assert!(left.is_some());
}
