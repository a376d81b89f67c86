//! `hub-spawn` by itself, asked as a hub asks it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use latchkey_tests::{Backend, Misbehaviour, NOWHERE, Place, READER, Site, Span, behaviours};
use latchkey_transport::{Method, Request, Secret, Transport as _};
use latchkey_vault_client::secret_store::{Layout, Terms, UserTokens};
use latchkey_vault_client::{Token, Vault};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use url::form_urlencoded;

/// The real provider issues no token that has ended, and forges none.
const LIES: &str = "the real provider does not lie";

behaviours! {
    somebody_who_is_signed_in_gets_what_the_file_names_and_nothing_else,
    a_dry_run_says_what_would_be_done,
    kubespawner_leaves_the_values_as_they_are,
    somebody_who_is_called_otherwise_at_the_provider_is_not_served,
    #[not_on(Place::Real, LIES)]
    a_token_that_has_ended_is_refreshed_before_the_start,
    #[not_on(Place::Real, LIES)]
    a_token_that_proves_nothing_stops_the_start_whatever_the_policy,
    #[not_on(Place::Real, LIES)]
    a_token_of_another_time_names_the_clock,
    what_was_handed_over_as_a_file_is_taken_away_without_a_sign_in,
    a_persons_own_token_is_given_back_when_its_server_has_stopped,
    a_persons_own_token_is_given_back_where_the_server_is_not_started_after_all,
    #[not_on(Place::Real, "the real server counts no calls")]
    a_server_costs_the_vault_four_calls_and_one_when_it_stops,
    a_provider_that_is_down_stops_the_start_or_is_done_without,
    a_vault_that_is_down_stops_the_start_or_is_done_without,
    servers_that_never_answer_are_not_waited_for,
    what_is_no_question_is_told_without_a_word_of_it,
    a_wrong_setting_is_told_by_its_name,
}

/// A hub, as far as the program sees one.
struct Asker {
    backend: Backend,
    site: Site,
    folder: TempDir,
    state: Value,
}

/// How the program ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    lines: Vec<Value>,
    stdout: String,
    stderr: String,
}

impl Done {
    /// The variables of the server, which must start.
    fn environment(&self) -> &Value {
        let last = self.lines.last().unwrap_or(&Value::Null);
        assert!(self.code == Some(0) && last["start"].is_object(), "{self:?}");
        &last["start"]["environment"]
    }

    fn assert_stopped(&self, status: u16, reason: &str) {
        let last = self.lines.last().unwrap_or(&Value::Null);
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(
            (&last["stop"]["status"], &last["stop"]["reason"]),
            (&json!(status), &json!(reason)),
            "{self:?}"
        );
    }
}

impl Asker {
    /// Signs the person in at the hub.
    async fn new(backend: Backend) -> Self {
        let site = backend.site().await.unwrap();
        let tokens = backend.tokens(READER).await.unwrap();
        // Opened for a program that is told so, as a hub tells it.
        let state = json!({
            "id_token": tokens.id_token.as_secret().expose_secret(),
            "access_token": tokens.access_token.expose_secret(),
            "refresh_token": tokens.refresh_token.as_ref().map(Secret::expose_secret),
            "scope": ["openid"],
            "oauth_user": {"sub": tokens.id_token.subject(), "preferred_username": READER.name},
        });
        Self { backend, site, folder: tempfile::tempdir().unwrap(), state }
    }

    /// Has the hub keep the ID token of a refresh, whatever the double makes of it.
    async fn keep_another(&mut self) {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", self.state["refresh_token"].as_str().unwrap())
            .append_pair("client_id", &self.backend.client_id)
            .append_pair("client_secret", self.backend.client_secret.expose_secret())
            .finish();
        let address = format!("{}/protocol/openid-connect/token", self.backend.issuer).parse().unwrap();
        let request = Request::for_url(Method::Post, address);
        let request = request.with_body("application/x-www-form-urlencoded", form);
        let reply = self.backend.transport.send(request).await.unwrap();
        let tokens: Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(reply.status(), 200, "{tokens}");
        self.state["id_token"] = tokens["id_token"].clone();
    }

    async fn keep_one_that_has_ended(&mut self) {
        self.backend.world().provider().misbehave(Misbehaviour::RefreshExpired, Span::Once);
        self.keep_another().await;
    }

    /// The settings, with some in place of the usual ones.
    fn settings(&self, changes: &[(&str, &str)]) -> String {
        let (issuer, client) = (&self.backend.issuer, &self.backend.client_id);
        let (address, jwt, kv) = (&self.backend.vault_address, &self.site.jwt, &self.site.kv);
        let usual = format!(
            r#"
            hand_over_id_token = true
            [provider]
            issuer = "{issuer}"
            client_id = "{client}"
            username_claim = "preferred_username"
            fresh_for = 60
            when_down = "stop"
            [vault]
            address = "{address}"
            when_down =  "stop"
            [vault.secret]
            mount = "{jwt}"
            role = "default"
            path = "{kv}/team/app"
            field = "password"
            file = false
            variable = true
            "#
        );
        changes.iter().fold(usual, |text, (usual, other)| {
            assert!(text.contains(usual), "{usual}");
            text.replace(usual, other)
        })
    }

    fn question(&self) -> Value {
        let secret = self.backend.client_secret.expose_secret();
        json!({"user": READER.name, "auth_state": self.state, "client_secret": secret})
    }

    async fn ask(&self, settings: &str, question: &Value, arguments: &[&str]) -> Done {
        let done = self.run(settings, &question.to_string(), arguments).await;
        for name in ["id_token", "access_token", "refresh_token"] {
            let token = self.state[name].as_str().unwrap_or("none");
            assert!(!done.stderr.contains(token), "{name} is in the log");
        }
        assert!(!done.stderr.contains(self.site.password) && !done.stderr.contains("panicked"), "{done:?}");
        done
    }

    async fn run(&self, settings: &str, question: &str, arguments: &[&str]) -> Done {
        let file = self.folder.path().join("hub-spawn.toml");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hub-spawn"));
        command.arg("--config").arg(file).args(arguments).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that ends before it has read everything has its reasons.
        let _ = stdin.write_all(question.as_bytes()).await;
        drop(stdin);
        let output = timeout(Duration::from_secs(90), child.wait_with_output()).await.unwrap().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Done {
            code: output.status.code(),
            lines: stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            stdout,
        }
    }
}

async fn somebody_who_is_signed_in_gets_what_the_file_names_and_nothing_else(backend: Backend) {
    let asker = Asker::new(backend).await;
    let done = asker.ask(&asker.settings(&[]), &asker.question(), &[]).await;
    let address = asker.backend.vault_address.as_str().trim_end_matches('/');
    let expected = json!({
        "VAULT_OIDC_TOKEN": asker.state["id_token"], "VAULT_ADDR": address, "MY_SECRET": asker.site.password,
    });
    assert_eq!(done.environment(), &expected);
    assert_eq!(done.lines.len(), 1, "nothing was refreshed");
    let only = asker.settings(&[("hand_over_id_token = true", ""), ("variable = true", "variable = false")]);
    let done = asker.ask(&only, &asker.question(), &[]).await;
    assert_eq!(done.environment(), &json!({"VAULT_ADDR": address}));
}

async fn a_dry_run_says_what_would_be_done(backend: Backend) {
    let asker = Asker::new(backend).await;
    let users = format!("{}\n[users]\nhomes = \"/nowhere\"\n", asker.settings(&[]));
    let mut question = asker.question();
    question["auth_state"]["oauth_user"]["uid"] = json!(199_999);
    let told = asker.ask(&users, &question, &["--dry-run"]).await;
    let to_user = |what: &str| format!("user      to {what} (reader 199999)\n");
    let expected = format!(
        "sign-in   fine\n{}{}{}vault     to ask {}\n",
        to_user("add a group"),
        to_user("add a user"),
        to_user("make a home"),
        asker.backend.vault_address
    );
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), expected.as_str()), "{told:?}");
    let due = asker.settings(&[("fresh_for = 60", "fresh_for = 360000")]);
    let told = asker.ask(&due, &question, &["--dry-run"]).await;
    assert!(told.stdout.starts_with("sign-in   to be refreshed\n"), "{told:?}");
    question["auth_state"]["oauth_user"]["uid"] = json!(999);
    let told = asker.ask(&users, &question, &["--dry-run"]).await;
    assert!(told.stdout.contains("user      Your server was not started: the user id 999"), "{told:?}");
}

async fn kubespawner_leaves_the_values_as_they_are(backend: Backend) {
    const ODD: &str = "a{b}c{{d}}{username} $HOME $(HOME) $$ \\ \" ' ü";
    let asker = Asker::new(backend).await;
    asker.backend.put_secret(&asker.site.kv, "team/app", json!({"password": ODD})).await.unwrap();
    let mut question = asker.question();
    question["is_kubespawner"] = json!(true);
    let done = asker.ask(&asker.settings(&[]), &question, &[]).await;
    let written = done.environment()["MY_SECRET"].as_str().unwrap();
    // What KubeSpawner does to it, by Python itself; then the kubelet takes one of two dollar signs.
    let format =
        "import sys; sys.stdout.write(sys.argv[1].format(username='reader', unescaped_username='x'))";
    let output = Command::new("python3").args(["-c", format, written]).env("PYTHONUTF8", "1").output();
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().replace("$$", "$"), ODD);
}

async fn somebody_who_is_called_otherwise_at_the_provider_is_not_served(backend: Backend) {
    let asker = Asker::new(backend).await;
    // The last one has a Cyrillic letter in it.
    for name in ["Reader", "reader ", "reader2", "reader/../root", "r\u{435}ader", ""] {
        let mut question = asker.question();
        question["user"] = json!(name);
        asker.ask(&asker.settings(&[]), &question, &[]).await.assert_stopped(401, "not_proven");
    }
    // What the hub kept of the person must be about the one who signed in.
    let mut question = asker.question();
    question["auth_state"]["oauth_user"]["sub"] = json!("somebody-else");
    asker.ask(&asker.settings(&[]), &question, &[]).await.assert_stopped(401, "not_proven");
}

async fn a_token_that_has_ended_is_refreshed_before_the_start(backend: Backend) {
    let mut asker = Asker::new(backend).await;
    asker.keep_one_that_has_ended().await;
    let done = asker.ask(&asker.settings(&[]), &asker.question(), &[]).await;
    let new = &done.lines[0]["refreshed"];
    assert_ne!(new["id_token"], asker.state["id_token"]);
    assert_eq!(done.environment()["VAULT_OIDC_TOKEN"], new["id_token"], "{done:?}");
    assert!(new["access_token"].is_string() && new["refresh_token"].is_string(), "{new}");
    // Without a refresh token there is nothing left.
    asker.state["refresh_token"] = Value::Null;
    asker.ask(&asker.settings(&[]), &asker.question(), &[]).await.assert_stopped(401, "sign_in_over");
}

async fn a_token_that_proves_nothing_stops_the_start_whatever_the_policy(backend: Backend) {
    let mut asker = Asker::new(backend).await;
    let lenient = asker.settings(&[("when_down = \"stop\"", "when_down = \"start\"\nask_session = false")]);
    for lie in [Misbehaviour::BrokenSignature, Misbehaviour::OtherAudience, Misbehaviour::AlgNone] {
        let provider = asker.backend.world().provider();
        provider.misbehave(lie, Span::Once);
        asker.state["id_token"] = json!(provider.id_token(READER.name));
        let done = asker.ask(&lenient, &asker.question(), &[]).await;
        done.assert_stopped(401, "not_proven");
    }
}

async fn a_token_of_another_time_names_the_clock(backend: Backend) {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut asker = Asker::new(backend).await;
    let lenient = asker.settings(&[("when_down = \"stop\"", "when_down = \"start\"")]);
    // The provider's clock is ahead: within the leeway, and beyond it.
    for (further, is_served) in [(MINUTE / 3, true), (10 * MINUTE, false)] {
        asker.backend.world().clock().advance(further);
        asker.keep_another().await;
        let done = asker.ask(&lenient, &asker.question(), &[]).await;
        if is_served {
            done.environment();
        } else {
            done.assert_stopped(503, "clock_wrong");
            assert!(done.stderr.contains("is this machine's clock right?"), "{done:?}");
        }
    }
    // A token that has ended is nothing odd, unless the one that comes in its place has ended, too.
    let mut asker = Asker::new(Backend::at(Place::Loopback).await.unwrap()).await;
    asker.keep_one_that_has_ended().await;
    asker.backend.world().provider().misbehave(Misbehaviour::RefreshExpired, Span::Once);
    asker.ask(&asker.settings(&[]), &asker.question(), &[]).await.assert_stopped(503, "clock_wrong");
}

async fn what_was_handed_over_as_a_file_is_taken_away_without_a_sign_in(backend: Backend) {
    let asker = Asker::new(backend).await;
    let runtime = asker.folder.path().join("run");
    let users = format!("{}\n[users]\nruntime = \"{}\"\n", asker.settings(&[]), runtime.display());
    let own = runtime.join("0");
    fs::create_dir_all(&own).unwrap();
    for name in ["vault-secret", ".vault-secret.17.part", "other"] {
        fs::write(own.join(name), "x").unwrap();
    }
    let question = json!({"user": "root", "purpose": "stopped"});
    let told = asker.ask(&users, &question, &["--dry-run"]).await;
    let expected = format!("file      to remove {}/vault-secret\n", own.display());
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), expected.as_str()), "{told:?}");
    for settings in [&users, &users, &asker.settings(&[])] {
        let done = asker.ask(settings, &question, &[]).await;
        assert_eq!((done.code, done.lines.as_slice()), (Some(0), &[json!({"done": null})][..]), "{done:?}");
    }
    assert_eq!(fs::read_dir(&own).unwrap().count(), 1);
    for name in ["nobody-of-that-name", "../root", ""] {
        let done = asker.ask(&users, &json!({"user": name, "purpose": "stopped"}), &[]).await;
        assert_eq!((done.code, done.lines.as_slice()), (Some(0), &[json!({"done": null})][..]), "{done:?}");
    }
    assert!(own.join("other").exists());
}

/// How many tokens of people there are that this role gave.
async fn tokens_of(backend: &Backend, role: &str) -> usize {
    let list = backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
    let mut count = 0;
    for accessor in list["data"]["keys"].as_array().unwrap() {
        let body = json!({"accessor": accessor});
        // One that went away since the list was made is none.
        let found = backend.admin(Method::Post, "auth/token/lookup-accessor", body).await.unwrap_or_default();
        count += usize::from(found["data"]["path"] == format!("auth/token/create/{role}"));
    }
    count
}

impl Asker {
    /// Sets up what an operator does once, and returns the settings with a token of the person's own, and the role's name.
    async fn with_own_tokens(&self) -> (String, String) {
        let Self { backend, folder, .. } = self;
        let role = backend.unique("users");
        let root = Vault::new(backend.vault_address.clone(), backend.transport.clone())
            .with_token(&Token::new(backend.root.clone()).unwrap());
        let tokens = UserTokens::new(root, Layout::default());
        tokens.prepare_role(&role, &Terms::default()).await.unwrap();
        let (policy, file) = (backend.unique("hub"), folder.path().join("vault-token"));
        let rules = json!({"policy": UserTokens::issuer_policy(&role).unwrap()});
        backend.admin(Method::Put, &format!("sys/policies/acl/{policy}"), rules).await.unwrap();
        let request = json!({"policies": [policy], "no_default_policy": true, "period": "300s"});
        let made = backend.admin(Method::Post, "auth/token/create", request).await.unwrap();
        fs::write(&file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let own = format!("[vault.own_token]\nrole = \"{role}\"\ntoken_file = \"{}\"\n", file.display());
        (format!("{}\n{own}", self.settings(&[])), role)
    }

    /// Tells of a stop, which nothing holds up, and returns what was said.
    async fn stopped(&self, settings: &str, token: &str, is_last: bool) -> String {
        let question =
            json!({"user": "root", "purpose": "stopped", "is_last": is_last, "notebook_token": token});
        let done = self.ask(settings, &question, &[]).await;
        assert_eq!((done.code, done.lines.as_slice()), (Some(0), &[json!({"done": null})][..]), "{done:?}");
        assert!(!done.stderr.contains(token), "the token is in the log");
        done.stderr
    }
}

async fn a_persons_own_token_is_given_back_when_its_server_has_stopped(backend: Backend) {
    let asker = Asker::new(backend).await;
    let (settings, role) = asker.with_own_tokens().await;
    let runtime = asker.folder.path().join("run");
    let users = format!("{settings}\n[users]\nruntime = \"{}\"\n", runtime.display());
    fs::create_dir_all(runtime.join("0")).unwrap();
    let file = runtime.join("0/vault-secret");
    fs::write(&file, "x").unwrap();
    let mut own = Vec::new();
    for _ in 0..3 {
        let done = asker.ask(&settings, &asker.question(), &[]).await;
        own.push(done.environment()["NOTEBOOK_VAULT_TOKEN"].as_str().unwrap().to_owned());
    }
    let dry = json!({"user": "root", "purpose": "stopped", "notebook_token": own[0]});
    let told = asker.ask(&users, &dry, &["--dry-run"]).await;
    assert!(told.stdout.contains("vault     to give the token back at http"), "{told:?}");
    assert_eq!(tokens_of(&asker.backend, &role).await, 3);

    // Another server of the person needs the file, and has a token of its own.
    assert_eq!(asker.stopped(&users, &own[0], false).await, "");
    assert_eq!((tokens_of(&asker.backend, &role).await, file.exists()), (2, true));
    assert_eq!(asker.stopped(&users, &own[1], true).await, "");
    assert_eq!((tokens_of(&asker.backend, &role).await, file.exists()), (1, false));

    // One that has ended by itself, and a Vault that is down, or says nothing.
    let warned = "is not given back and ends by itself";
    assert!(asker.stopped(&users, &own[1], true).await.contains(warned));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let address = asker.backend.vault_address.to_string();
    for elsewhere in [NOWHERE, &silent] {
        fs::write(&file, "x").unwrap();
        let said = asker.stopped(&users.replace(&address, elsewhere), &own[2], true).await;
        assert!(said.contains(warned) && !file.exists(), "{said}");
    }
    assert_eq!(tokens_of(&asker.backend, &role).await, 1);
}

async fn a_persons_own_token_is_given_back_where_the_server_is_not_started_after_all(backend: Backend) {
    let asker = Asker::new(backend).await;
    let (settings, role) = asker.with_own_tokens().await;
    for (usual, other) in [("role = \"default\"", "role = \"nobody\""), ("/team/app", "/team/none")] {
        let wrong = settings.replacen(usual, other, 1);
        assert_ne!(wrong, settings);
        asker.ask(&wrong, &asker.question(), &[]).await.assert_stopped(403, "vault_refused");
        assert_eq!(tokens_of(&asker.backend, &role).await, 0, "{other}");
    }
    asker.ask(&settings, &asker.question(), &[]).await.environment();
    assert_eq!(tokens_of(&asker.backend, &role).await, 1);
}

/// The figures are in the README.
async fn a_server_costs_the_vault_four_calls_and_one_when_it_stops(backend: Backend) {
    let asker = Asker::new(backend).await;
    let (settings, role) = asker.with_own_tokens().await;
    let world = asker.backend.world().clone();
    let calls = |before: usize| {
        let calls =
            world.requests().split_off(before).into_iter().filter(|call| call.path.starts_with("/v1/"));
        let mut calls: Vec<_> = calls.map(|call| format!("{} {}", call.method, call.path)).collect();
        calls.sort_unstable();
        calls
    };
    let before = world.requests().len();
    let start = asker.ask(&settings, &asker.question(), &[]).await;
    let (kv, jwt) = (&asker.site.kv, &asker.site.jwt);
    let mut expected = [
        format!("POST /v1/auth/token/create/{role}"),
        format!("POST /v1/auth/{jwt}/login"),
        format!("GET /v1/{kv}/data/team/app"),
        "POST /v1/auth/token/revoke-self".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(calls(before), expected);

    // While it runs the hub asks the provider alone.
    let before = world.requests().len();
    let mut question = asker.question();
    question["purpose"] = json!("refresh");
    asker.ask(&settings, &question, &[]).await;
    assert_eq!(calls(before), Vec::<String>::new());

    let own = start.environment()["NOTEBOOK_VAULT_TOKEN"].as_str().unwrap();
    asker.stopped(&settings, own, true).await;
    assert_eq!(calls(before), ["POST /v1/auth/token/revoke-self"]);
}

async fn a_provider_that_is_down_stops_the_start_or_is_done_without(backend: Backend) {
    let asker = Asker::new(backend).await;
    // Port 1 of this machine: nobody answers.
    let issuer = asker.backend.issuer.clone();
    let down = asker.settings(&[(&issuer, "http://localhost:1/realms/nobody")]);
    asker.ask(&down, &asker.question(), &[]).await.assert_stopped(503, "provider_down");
    let without = down.replace("when_down = \"stop\"", "when_down = \"start\"");
    let done = asker.ask(&without, &asker.question(), &[]).await;
    let address = asker.backend.vault_address.as_str().trim_end_matches('/');
    assert_eq!(done.environment(), &json!({"VAULT_ADDR": address}), "nothing for somebody who is not proven");
    assert_eq!(done.lines[0]["start"]["notes"], json!(["provider_down"]));
}

async fn a_vault_that_is_down_stops_the_start_or_is_done_without(backend: Backend) {
    let asker = Asker::new(backend).await;
    let address = asker.backend.vault_address.to_string();
    let down = asker.settings(&[(&address, "http://127.0.0.1:1/")]);
    asker.ask(&down, &asker.question(), &[]).await.assert_stopped(503, "vault_down");
    let without = down.replace("when_down =  \"stop\"", "when_down = \"start\"");
    let done = asker.ask(&without, &asker.question(), &[]).await;
    assert_eq!(done.environment(), &json!({"VAULT_OIDC_TOKEN": asker.state["id_token"]}));
    assert_eq!(done.lines[0]["start"]["notes"], json!(["vault_down"]));
    // One that is up and says no is never done without.
    let refused = asker.settings(&[
        ("role = \"default\"", "role = \"nobody\""),
        ("when_down =  \"stop\"", "when_down = \"start\""),
    ]);
    asker.ask(&refused, &asker.question(), &[]).await.assert_stopped(403, "vault_refused");
}

async fn servers_that_never_answer_are_not_waited_for(backend: Backend) {
    let asker = Asker::new(backend).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let (issuer, address) = (asker.backend.issuer.clone(), asker.backend.vault_address.to_string());
    let provider = asker.settings(&[(&issuer, &silent)]);
    asker.ask(&provider, &asker.question(), &["--timeout", "1"]).await.assert_stopped(503, "provider_down");
    // The provider gets as long as Vault: long enough for a busy machine.
    let vault = asker.settings(&[(&address, &silent)]);
    asker.ask(&vault, &asker.question(), &["--timeout", "10"]).await.assert_stopped(503, "vault_down");
}

async fn what_is_no_question_is_told_without_a_word_of_it(backend: Backend) {
    let asker = Asker::new(backend).await;
    for question in ["", "s3cret nonsense", r#"{"user": 5, "auth_state": {"id_token": "s3cret"}}"#] {
        let done = asker.run(&asker.settings(&[]), question, &[]).await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.contains("hint:") && !done.stderr.contains("s3cret"), "{done:?}");
    }
    let nothing = json!({"user": "reader", "auth_state": null});
    asker.ask(&asker.settings(&[]), &nothing, &[]).await.assert_stopped(401, "not_signed_in");
}

async fn a_wrong_setting_is_told_by_its_name(backend: Backend) {
    let asker = Asker::new(backend).await;
    let wrong = asker.settings(&[("fresh_for", "fresh_fro")]);
    let done = asker.ask(&wrong, &asker.question(), &[]).await;
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("fresh_fro") && done.stderr.contains("hub-spawn.toml"), "{done:?}");
}
