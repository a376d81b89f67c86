//! `secrets`: a person's own store.

use latchkey_tests::{Backend, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::secret_store::{Layout, Terms, UserName, UserTokens};
use latchkey_vault_client::{Token, Vault};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{Done, program};

behaviours! {
    secrets_are_put_printed_listed_and_deleted,
    secrets_takes_no_value_as_an_argument,
    secrets_tells_a_denied_store_from_an_empty_one,
    secrets_tells_how_the_token_is_doing,
    secrets_gives_a_program_its_environment_without_a_shell,
    secrets_env_prints_nothing_unless_told_to,
    secrets_completes_for_every_shell,
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
