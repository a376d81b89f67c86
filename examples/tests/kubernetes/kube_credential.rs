//! `kube-credential` as kubectl calls it, without kubectl.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use latchkey_tests::{Backend, Fault, MANAGEMENT, Place, Target, behaviours};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cluster::{Done, age, at_home, done, home, kept, opened, session, while_signing_in};

behaviours! {
    the_answer_is_a_token_that_is_good_until_then,
    what_is_kept_is_for_its_owner_only,
    a_forced_refresh_gives_another_token,
    a_program_that_is_killed_does_not_let_the_next_one_ask_at_once,
    a_wrong_question_names_the_fix,
    what_is_forgotten_is_given_back,
    a_folder_that_lies_open_is_refused,
    a_lock_that_is_held_is_waited_for_no_longer_than_a_sign_in,
    #[not_on(Place::Real, "the real provider does not fail on request")]
    a_network_that_fails_opens_no_browser,
    #[not_on(Place::Real, "another test may be using the sessions of the real provider")]
    a_session_that_ended_is_signed_in_anew,
}

pub struct Plugin {
    pub backend: Backend,
    pub home: TempDir,
}

impl Plugin {
    pub fn new(backend: Backend) -> Self {
        Self { backend, home: home() }
    }

    pub fn command(&self, is_interactive: bool, arguments: &[&str]) -> Command {
        let version = "client.authentication.k8s.io/v1";
        let asked =
            json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": is_interactive}});
        let mut command = at_home(env!("CARGO_BIN_EXE_kube-credential"), self.home.path());
        command.args(["--issuer", &self.backend.issuer, "--client-id", &self.backend.client_id]);
        command.args(["--flow", "loopback", "--port", "0"]).args(arguments).stdin(Stdio::null());
        command.env("KUBERNETES_EXEC_INFO", asked.to_string());
        // Opened for a program of ours, which is told so.
        command.env("LATCHKEY_CLIENT_SECRET", self.backend.client_secret.expose_secret());
        command
    }

    fn start(&self, is_interactive: bool, arguments: &[&str]) -> Child {
        self.command(is_interactive, arguments).spawn().unwrap()
    }

    /// Waits until a browser was opened.
    async fn until_opened(&self) {
        let begun = Instant::now();
        while opened(self.home.path()).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no browser is opened");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn run(&self, is_interactive: bool, arguments: &[&str]) -> Done {
        done(self.start(is_interactive, arguments)).await
    }

    pub async fn sign_in(&self) -> Value {
        let run = self.run(true, &[]);
        let done = while_signing_in(&self.backend, self.home.path(), MANAGEMENT, run).await;
        status(&done)
    }
}

pub fn status(done: &Done) -> Value {
    assert_eq!(done.code, Some(0), "{done:?}");
    let mut answer: Value = serde_json::from_str(&done.stdout).unwrap();
    answer["status"].take()
}

async fn the_answer_is_a_token_that_is_good_until_then(backend: Backend) {
    let plugin = Plugin::new(backend);
    let first = plugin.sign_in().await;
    let until = humantime::parse_rfc3339(first["expirationTimestamp"].as_str().unwrap()).unwrap();
    let left = until.duration_since(SystemTime::now()).unwrap();
    // The realm's tokens live for 300 s.
    assert!((60..=255).contains(&left.as_secs()), "{left:?}");
    assert_eq!(status(&plugin.run(false, &[]).await), first, "the same as long as it is good");
    assert_eq!(opened(plugin.home.path()).len(), 1);
}

async fn what_is_kept_is_for_its_owner_only(backend: Backend) {
    let plugin = Plugin::new(backend);
    plugin.sign_in().await;
    let file = kept(plugin.home.path()).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let names = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(names, 2, "the sign-in and its lock; no temporary file is left");
}

async fn a_forced_refresh_gives_another_token(backend: Backend) {
    let plugin = Plugin::new(backend);
    let first = plugin.sign_in().await;
    let second = status(&plugin.run(false, &["--force-refresh"]).await);
    assert_ne!(first["token"], second["token"]);
    assert_eq!(status(&plugin.run(false, &[]).await), second);
}

async fn a_program_that_is_killed_does_not_let_the_next_one_ask_at_once(backend: Backend) {
    let plugin = Plugin::new(backend);
    let mut first = plugin.start(true, &[]);
    plugin.until_opened().await;
    let second = plugin.start(true, &[]);
    first.kill().await.unwrap();
    done(second).await.assert_failure(&["a sign-in came to nothing", "--force-refresh"]);
    assert_eq!(opened(plugin.home.path()).len(), 1);
    // Who insists is asked; what the killed one opened is gone.
    fs::remove_file(plugin.home.path().join("opened")).unwrap();
    let forced = plugin.run(true, &["--force-refresh"]);
    status(&while_signing_in(&plugin.backend, plugin.home.path(), MANAGEMENT, forced).await);
}

async fn a_wrong_question_names_the_fix(backend: Backend) {
    let plugin = Plugin::new(backend);
    for (asked, told) in [
        ("{}", "leave it to kubectl"),
        (r#"{"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential"}"#, "kubeconfig"),
    ] {
        let mut command = plugin.command(true, &[]);
        let failed = done(command.env("KUBERNETES_EXEC_INFO", asked).spawn().unwrap()).await;
        failed.assert_failure(&[told]);
        assert_eq!(failed.code, Some(2));
    }
}

async fn what_is_forgotten_is_given_back(backend: Backend) {
    let plugin = Plugin::new(backend);
    plugin.sign_in().await;
    let kept_before = fs::read(kept(plugin.home.path()).unwrap()).unwrap();
    let done = plugin.run(false, &["--forget"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(kept(plugin.home.path()), None);
    // What was kept is worth nothing any more.
    let folder = plugin.home.path().join(".cache/latchkey");
    let name = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path().with_extension("json");
    fs::write(name, kept_before).unwrap();
    age(plugin.home.path());
    plugin.run(false, &[]).await.assert_failure(&["nobody is there"]);
}

async fn a_folder_that_lies_open_is_refused(backend: Backend) {
    let plugin = Plugin::new(backend);
    let folder = plugin.home.path().join("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let failed = plugin.run(false, &["--cache-dir", "open"]).await;
    failed.assert_failure(&["lies open", "chmod 700"]);
}

async fn a_lock_that_is_held_is_waited_for_no_longer_than_a_sign_in(backend: Backend) {
    let plugin = Plugin::new(backend);
    // 1 s for a sign-in, and as long as somebody may refresh.
    let _first = plugin.start(true, &[]);
    plugin.until_opened().await;
    let begun = Instant::now();
    let failed = plugin.run(true, &["--timeout", "1"]).await;
    failed.assert_failure(&["another program signs in"]);
    assert_eq!(failed.code, Some(4));
    assert!(begun.elapsed().as_secs() >= 16, "{:?}", begun.elapsed());
}

async fn a_network_that_fails_opens_no_browser(backend: Backend) {
    let plugin = Plugin::new(backend);
    plugin.sign_in().await;
    age(plugin.home.path());
    let token = Target::provider("/realms/HashiCorp/protocol/openid-connect/token");
    plugin.backend.world().faults().inject(token, 10, Fault::Refuse);
    let failed = plugin.run(true, &[]).await;
    failed.assert_failure(&["hint:"]);
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert_eq!(opened(plugin.home.path()).len(), 1);
    assert!(session(plugin.home.path())["grant"].is_object(), "the sign-in is still there");
}

async fn a_session_that_ended_is_signed_in_anew(backend: Backend) {
    let plugin = Plugin::new(backend);
    plugin.sign_in().await;
    age(plugin.home.path());
    plugin.backend.world().provider().end_sessions();
    plugin.run(false, &[]).await.assert_failure(&["nobody is there"]);
    fs::remove_file(plugin.home.path().join("opened")).unwrap();
    plugin.sign_in().await;
    assert_eq!(opened(plugin.home.path()).len(), 1);
}
