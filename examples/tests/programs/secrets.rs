//! `secrets`: a person's own store.

use latchkey_tests::{Backend, Place, Terminal, behaviours};
use latchkey_transport::Method;
use latchkey_vault_client::secret_store::{Layout, Terms, UserName, UserTokens};
use latchkey_vault_client::{Token, Vault};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Done, done, program};

behaviours! {
    secrets_are_put_printed_listed_and_deleted,
    secrets_takes_no_value_as_an_argument,
    secrets_tells_a_denied_store_from_an_empty_one,
    secrets_tells_how_the_token_is_doing,
    secrets_gives_a_program_its_environment_without_a_shell,
    secrets_env_prints_nothing_unless_told_to,
    secrets_completes_for_every_shell,
    secrets_asks_for_values_unseen_at_a_terminal,
    secrets_prints_json_wherever_it_prints,
    #[not_on(Place::Real, "the real server counts no calls")]
    a_look_costs_the_vault_two_calls_and_a_change_three,
    names_that_look_like_anothers_open_nothing_of_theirs,
    keys_that_lead_elsewhere_open_nothing_there,
}

/// A mount of one's own, and a user of it with their token.
pub struct Notebook {
    pub backend: Backend,
    pub mount: String,
    pub user: String,
    pub token: String,
}

pub async fn notebook(backend: Backend) -> Notebook {
    let (mount, user) = (backend.unique("stores"), backend.unique("alice"));
    let tokens = stores(&backend, &mount).await;
    let login =
        tokens.issue_with_own_policy(&UserName::new(&user).unwrap(), &Terms::default()).await.unwrap();
    let token = login.token().expose_secret().to_owned();
    Notebook { backend, mount, user, token }
}

/// Makes a mount for stores, and returns who gives tokens for them.
async fn stores(backend: &Backend, mount: &str) -> UserTokens {
    let options = json!({"type": "kv", "options": {"version": "2"}});
    backend.admin(Method::Post, &format!("sys/mounts/{mount}"), options).await.unwrap();
    backend.put_secret(mount, "ready", json!({"is": "it"})).await.unwrap();
    let root = Vault::new(backend.vault_address.clone(), backend.transport.clone())
        .with_token(&Token::new(backend.root.clone()).unwrap());
    UserTokens::new(root, Layout::new(mount, "jupyter/users").unwrap())
}

impl Notebook {
    pub async fn secrets(&self, arguments: &[&str], input: &str) -> Done {
        self.secrets_with(arguments, input, &[]).await
    }

    pub async fn secrets_with(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Done {
        let mut command = program(&self.backend, env!("CARGO_BIN_EXE_secrets"), &["--mount", &self.mount]);
        command.args(arguments).env("JUPYTERHUB_USER", &self.user).env("NOTEBOOK_VAULT_TOKEN", &self.token);
        command.env("VAULT_TOKEN", "s.not-this-one").envs(environment.iter().copied());
        done(command, input).await
    }

    pub async fn prints(&self, arguments: &[&str], expected: &str) {
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

async fn secrets_asks_for_values_unseen_at_a_terminal(backend: Backend) {
    let notebook = notebook(backend).await;
    let arguments = ["--mount", &notebook.mount, "put", "database", "user", "password"];
    let mut command = program(&notebook.backend, env!("CARGO_BIN_EXE_secrets"), &arguments);
    command.env("JUPYTERHUB_USER", &notebook.user).env("NOTEBOOK_VAULT_TOKEN", &notebook.token);
    let mut terminal = Terminal::open().unwrap();
    let child = terminal.run(&command).unwrap();
    terminal.read_until("user (not shown): ").await.unwrap();
    terminal.write("app\n").unwrap();
    terminal.read_until("password (not shown): ").await.unwrap();
    terminal.write("hunter2 of nobody\n").unwrap();
    let shown = terminal.read_until("is at version 1").await.unwrap();
    assert!(!shown.contains("hunter2") && !shown.contains("app"), "{shown}");
    assert!(child.wait_with_output().await.unwrap().status.success());
    notebook.prints(&["get", "database", "--field", "password"], "hunter2 of nobody").await;
    notebook.prints(&["get", "database", "--field", "user"], "app").await;
}

async fn secrets_prints_json_wherever_it_prints(backend: Backend) {
    let notebook = notebook(backend).await;
    notebook.secrets(&["put", "odd"], r#"{"a \"b\"": "c\nd", "n": 1e30, "deep": {"x": [null]}}"#).await;
    for arguments in [
        &["get", "odd", "--json"][..],
        &["get", "odd", "--field", "a \"b\"", "--json"],
        &["get", "odd", "--field", "deep", "--json"],
        &["list", "--json"],
        &["fields", "odd", "--json"],
        &["status", "--json"],
    ] {
        let done = notebook.secrets(arguments, "").await;
        assert!(done.is_success(), "{done:?}");
        let text = done.text();
        serde_json::from_str::<&serde_json::value::RawValue>(text.trim())
            .unwrap_or_else(|_| panic!("{text}"));
    }
    notebook.prints(&["get", "odd", "--field", "a \"b\"", "--json"], r#""c\nd""#).await;
    notebook.prints(&["fields", "odd", "--json"], "[\"a \\\"b\\\"\",\"deep\",\"n\"]\n").await;
}

/// The figures are in the README.
async fn a_look_costs_the_vault_two_calls_and_a_change_three(backend: Backend) {
    let notebook = notebook(backend).await;
    let world = notebook.backend.world();
    for (arguments, count) in [
        (&["put", "key", "field"][..], 3),
        (&["get", "key"], 2),
        (&["get", "key", "--field", "field"], 2),
        (&["list"], 2),
        (&["status"], 2),
        (&["run", "--from", "key", "--", "/bin/true"], 2),
    ] {
        let before = world.requests().len();
        let done = notebook.secrets(arguments, "value").await;
        assert!(done.is_success(), "{done:?}");
        let calls = world.requests().split_off(before);
        assert_eq!(calls.len(), count, "{arguments:?} {calls:?}");
    }
}

/// Names that a server, a person or a file system could take for `alice`.
const LOOKALIKES: [&str; 9] = [
    "Alice",
    "ALICE",
    "\u{430}lice",
    "alice ",
    "alice%2f..",
    "%61lice",
    "~61lice",
    "alice*",
    "alice\u{200b}",
];

/// Every one of them has a store, and a token in the two ways that there are. None opens another's, whatever is asked for.
async fn names_that_look_like_anothers_open_nothing_of_theirs(backend: Backend) {
    let (mount, role) = (backend.unique("stores"), backend.unique("users"));
    let tokens = stores(&backend, &mount).await;
    let terms = Terms::default();
    tokens.prepare_role(&role, &terms).await.unwrap();
    let mut people = Vec::new();
    for name in ["alice"].into_iter().chain(LOOKALIKES) {
        let user = UserName::new(name).unwrap();
        let own = tokens.issue_with_own_policy(&user, &terms).await.unwrap();
        let templated = tokens.issue_by_role(&role, &user, &terms).await.unwrap();
        for login in [own, templated] {
            let token = login.token().expose_secret().to_owned();
            people.push(Notebook {
                backend: Backend::at(backend.place).await.unwrap(),
                mount: mount.clone(),
                user: name.into(),
                token,
            });
        }
    }
    // On loopback each backend is a world of its own: all of them mean this one.
    let secrets = async |person: &Notebook, arguments: &[&str], input: &str| {
        let address = backend.vault_address.as_str();
        person.secrets_with(arguments, input, &[("VAULT_ADDR", address)]).await
    };
    for person in people.iter().step_by(2) {
        let put = secrets(person, &["put", "key", "whose"], &person.user).await;
        assert!(put.is_success(), "{}: {put:?}", person.user);
    }
    for person in &people {
        let own = secrets(person, &["get", "key", "--field", "whose"], "").await;
        assert_eq!((own.code, own.text()), (Some(0), person.user.clone()), "{own:?}");
    }
    // Everybody tries alice's, and alice tries everybody's.
    let (alice, others) = people.split_at(2);
    for person in others {
        let tries = [(person, "alice"), (&alice[0], &*person.user), (&alice[1], &*person.user)];
        for (thief, victim) in tries {
            let stolen = secrets(thief, &["get", "key", "--user", victim], "").await;
            assert!(stolen.stdout.is_empty(), "{} reads {victim}: {stolen:?}", thief.user);
            stolen.assert_failed(1, &["permission denied"]);
        }
        let overwritten = secrets(person, &["put", "key", "whose", "--user", "alice"], "a thief").await;
        overwritten.assert_failed(1, &["permission denied"]);
    }
    let untouched = secrets(&alice[0], &["get", "key", "--field", "whose"], "").await;
    assert_eq!(untouched.text(), "alice");
}

async fn keys_that_lead_elsewhere_open_nothing_there(backend: Backend) {
    let notebook = notebook(backend).await;
    let victim = format!("{}/data/jupyter/users/victim/key", notebook.mount);
    let theirs = json!({"data": {"whose": "the victim's"}});
    notebook.backend.admin(Method::Post, &victim, theirs).await.unwrap();
    for key in [
        "../victim/key",
        "a/../../victim/key",
        "./../victim/key",
        "..%2fvictim%2fkey",
        "%2e%2e/victim/key",
        "..%252fvictim%252fkey",
        "..\\victim\\key",
        "//victim/key",
        "key?list=true",
        "key#x",
        "\u{2025}/victim/key",
        "\u{ff0e}\u{ff0e}/victim/key",
    ] {
        for arguments in [&["get", key, "--field", "whose"][..], &["list", key], &["delete", key, "--purge"]]
        {
            let led = notebook.secrets(arguments, "").await;
            assert!(!led.text().contains("victim") && led.code != Some(101), "{arguments:?} {led:?}");
        }
    }
    let kept = notebook.backend.admin(Method::Get, &victim, Value::Null).await.unwrap();
    assert_eq!(kept["data"]["data"]["whose"], "the victim's");
    // What is no trick is a name like any other.
    notebook.secrets(&["put", "%2e%2e", "a"], "b").await;
    notebook.prints(&["get", "%2e%2e", "--field", "a"], "b").await;
    notebook.prints(&["list"], "%2e%2e\n").await;
}
