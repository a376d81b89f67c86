//! What every program is called with: how it says so itself, and that nothing of it is a secret, which everybody on the
//! machine could read.

use latchkey_tests::{Backend, Place, behaviours};
use tokio::process::Command;

use crate::support::done;

behaviours! {
    #[not_on(Place::Real, "it is about the programs alone")]
    every_program_tells_how_it_is_called_and_takes_no_secret_as_an_argument,
}

const PROGRAMS: [(&str, &str); 12] = [
    ("conformance-rp", env!("CARGO_BIN_EXE_conformance-rp")),
    ("doctor", env!("CARGO_BIN_EXE_doctor")),
    ("hub-spawn", env!("CARGO_BIN_EXE_hub-spawn")),
    ("keep-token", env!("CARGO_BIN_EXE_keep-token")),
    ("kube-credential", env!("CARGO_BIN_EXE_kube-credential")),
    ("login", env!("CARGO_BIN_EXE_login")),
    ("login-service", env!("CARGO_BIN_EXE_login-service")),
    ("notebook-token", env!("CARGO_BIN_EXE_notebook-token")),
    ("provision", env!("CARGO_BIN_EXE_provision")),
    ("secrets", env!("CARGO_BIN_EXE_secrets")),
    ("token-review", env!("CARGO_BIN_EXE_token-review")),
    ("webapp", env!("CARGO_BIN_EXE_webapp")),
];

/// What a secret would be called. A file with one has another name.
const SECRETS: [&str; 12] = [
    "--token",
    "--vault-token",
    "--id-token",
    "--hub-token",
    "--jwt",
    "--code",
    "--password",
    "--client-secret",
    "--auth-state",
    "--value",
    "--key",
    "--redis-password",
];

/// What it prints of itself. A debug build looks on the way whether its arguments are consistent.
async fn printed(path: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(path);
    command.args(arguments).env_clear();
    let done = done(command, "").await;
    assert!(done.is_success() && done.stderr.is_empty(), "{path} {arguments:?} {done:?}");
    done.text()
}

/// The names of the options in a help.
fn options(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| line.split([' ', ',', '=', '['])).filter(|word| word.starts_with("--")).collect()
}

/// The names of the commands in it.
fn commands(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

async fn every_program_tells_how_it_is_called_and_takes_no_secret_as_an_argument(_backend: Backend) {
    let mut called = 0;
    for (name, path) in PROGRAMS {
        let version = printed(path, &["--version"]).await;
        assert_eq!(version.split(' ').next(), Some(name), "{version}");
        let help = printed(path, &["--help"]).await;
        for part in ["\nExamples:\n", "\nExit codes", "--help", "--version"] {
            assert!(help.contains(part), "{name} does not tell {part:?}: {help}");
        }
        assert!(help.contains(&format!("Usage: {name}")), "{help}");
        let mut helps = vec![help.clone()];
        for command in commands(&help) {
            helps.push(printed(path, &[command, "--help"]).await);
        }
        called += helps.len();
        for help in &helps {
            let options = options(help);
            assert!(options.contains(&"--help"), "{help}");
            for secret in SECRETS {
                assert!(!options.contains(&secret), "{name} takes {secret}");
            }
        }
    }
    assert!(called > PROGRAMS.len() + 5, "the commands of `secrets` are among them");
}
