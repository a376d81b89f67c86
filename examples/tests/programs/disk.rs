//! A disk that takes nothing more, and folders that take nothing at all: nobody is asked for nothing, and what was kept is
//! unharmed.

use std::fs;
use std::path::Path;

use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::Method;
use serde_json::Value;
use tokio::process::Command;

use crate::support::{CONTENT, SECRET, done, ground, login, program, running, sign_in};

behaviours! {
    a_token_that_cannot_be_written_is_told_and_revoked,
    a_secret_that_cannot_be_written_leaves_the_one_before,
    a_sign_in_that_could_not_be_kept_asks_nobody,
    a_sign_in_that_is_kept_survives_a_full_disk,
    a_folder_that_takes_no_file_asks_nobody,
}

/// The same program where every write to a file fails, as on a full disk: the system calls it a file too large, and no
/// signal kills whoever writes it.
fn on_a_full_disk(command: &Command) -> Command {
    const XFSZ: u32 = 25;
    let inner = command.as_std();
    let mut outer = Command::new("/bin/sh");
    outer.args(["-c", &format!("trap '' {XFSZ}; ulimit -f 0; exec \"$0\" \"$@\"")]);
    outer.arg(inner.get_program()).args(inner.get_args()).env_clear().kill_on_drop(true);
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.stdin(std::process::Stdio::piped());
    outer.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    outer
}

async fn tokens(backend: &Backend) -> Vec<Value> {
    let list = backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
    list["data"]["keys"].as_array().unwrap().clone()
}

async fn a_token_that_cannot_be_written_is_told_and_revoked(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "the one before").unwrap();
    let before = tokens(&ground.backend).await;
    let arguments =
        ["--no-browser", "--port", "0", "--flow", "loopback", "--secret", SECRET, "--field", "data"];
    let mut command = program(&ground.backend, env!("CARGO_BIN_EXE_login"), &arguments);
    command.args(["--force", "--keep-token"]).arg(&file);
    let mut login = running(on_a_full_disk(&command));
    let address = login.address().await;
    sign_in(&ground.backend, &address, READER).await;
    let told = login.end().await;
    told.assert_failed(1, &["writing ", "hint: make room"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "the one before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part of it is left");
    // Other tests of the real server make tokens meanwhile.
    if ground.backend.place != Place::Real {
        let after = tokens(&ground.backend).await;
        assert!(after.iter().all(|token| before.contains(token)), "a token that nobody has is left");
    }
}

async fn a_secret_that_cannot_be_written_leaves_the_one_before(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "the one before").unwrap();
    let arguments =
        ["--no-browser", "--flow", "oob", "--secret", SECRET, "--field", "data", "--force", "--out"];
    let mut command = program(&ground.backend, env!("CARGO_BIN_EXE_login"), &arguments);
    command.arg(&file);
    let mut login = running(on_a_full_disk(&command));
    let address = login.address().await;
    let page = sign_in(&ground.backend, &address, READER).await;
    login.paste(&page.input("code").unwrap()).await;
    let told = login.end().await;
    told.assert_failed(1, &["writing ", "hint: make room"]);
    assert!(!told.stderr.contains(CONTENT) && told.stdout.is_empty(), "{told:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "the one before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part of it is left");
}

const REMEMBER: [&str; 9] =
    ["--remember", "--via", "provider", "--mount", "keycloak-jwt", "--secret", SECRET, "--field", "data"];

fn remembering(backend: &Backend, folder: &Path) -> Command {
    let mut command = program(backend, env!("CARGO_BIN_EXE_login"), &REMEMBER);
    command
        .args(["--no-browser", "--port", "0", "--flow", "loopback", "--timeout", "60", "--cache-dir"])
        .arg(folder);
    command
}

/// It refreshes what `login` has kept: both keep a sign-in of the same client with the same scopes.
fn refreshing(backend: &Backend, folder: &Path) -> Command {
    let mut command = program(backend, env!("CARGO_BIN_EXE_kube-credential"), &["--force-refresh"]);
    command.arg("--cache-dir").arg(folder);
    command
}

async fn a_sign_in_that_could_not_be_kept_asks_nobody(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let told = done(on_a_full_disk(&remembering(&ground.backend, &folder.path().join("kept"))), "").await;
    told.assert_failed(1, &["writing ", "hint: make room"]);
    assert!(!told.stderr.contains("Sign in at"), "{told:?}");
    let told = done(on_a_full_disk(&refreshing(&ground.backend, &folder.path().join("kept"))), "").await;
    assert!(!told.is_success() && !told.stderr.contains("Sign in at"), "{told:?}");
}

async fn a_sign_in_that_is_kept_survives_a_full_disk(backend: Backend) {
    let ground = ground(backend).await;
    if ground.backend.place != Place::Real {
        // A refresh token that is spent and lost would be the end of the sign-in.
        ground.backend.world().provider().set_refresh_rotation(true);
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let mut first = running(remembering(&ground.backend, &kept));
    let address = first.address().await;
    sign_in(&ground.backend, &address, READER).await;
    let first = first.end().await;
    assert_eq!((first.code, first.text().trim_end()), (Some(0), CONTENT), "{first:?}");

    let full = done(on_a_full_disk(&refreshing(&ground.backend, &kept)), "").await;
    full.assert_failed(1, &["writing ", "hint: make room"]);
    assert!(full.stdout.is_empty());
    let after = done(refreshing(&ground.backend, &kept), "").await;
    assert!(after.is_success() && after.text().contains("ExecCredential"), "{after:?}");
    // Nothing need be written for a token that is still good.
    let again = done(on_a_full_disk(&remembering(&ground.backend, &kept)), "").await;
    assert_eq!((again.code, again.text().trim_end()), (Some(0), CONTENT), "{again:?}");
}

async fn a_folder_that_takes_no_file_asks_nobody(backend: Backend) {
    let ground = ground(backend).await;
    // Nobody makes a file there, an administrator neither.
    for arguments in
        [&["--keep-token", "/proc/latchkey"][..], &["--out", "/proc/latchkey", "--field", "data"]]
    {
        let told = login(&ground.backend, arguments).end().await;
        told.assert_failed(2, &["no file can be made in /proc", "hint:"]);
        assert!(!told.stderr.contains("Sign in at"), "{told:?}");
    }
    for command in [remembering, refreshing] {
        let told = done(command(&ground.backend, Path::new("/proc/latchkey")), "").await;
        told.assert_failed(
            2,
            &["the folder /proc/latchkey for sign-ins", "hint: name another with --cache-dir"],
        );
        assert!(!told.stderr.contains("Sign in at"), "{told:?}");
    }
}
