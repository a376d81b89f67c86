//! `login`: what it reads, writes and says.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use latchkey_tests::{Backend, Fault, NOWHERE, Place, READER, Target, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::support::{CONTENT, SECRET, done, ground, login, program, sign_in, signed_in};

behaviours! {
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
    a_port_that_is_taken_is_told,
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
    // Others may sign in at the same server meanwhile; theirs go in time.
    let until = Instant::now() + Duration::from_secs(60);
    while let left @ 1.. = signed_in_since(&ground.backend, &before).await {
        assert!(Instant::now() < until, "{left} tokens are left");
        sleep(Duration::from_millis(500)).await;
    }
}

/// How many tokens there are that a sign-in gave since.
async fn signed_in_since(backend: &Backend, before: &[Value]) -> usize {
    let mut count = 0;
    for accessor in accessors(backend).await.into_iter().filter(|accessor| !before.contains(accessor)) {
        let body = json!({"accessor": accessor});
        // One that went away since the list was made is none.
        let found = backend.admin(Method::Post, "auth/token/lookup-accessor", body).await.unwrap_or_default();
        count += usize::from(found["data"]["path"].as_str().is_some_and(|path| path.ends_with("/callback")));
    }
    count
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
    login(&backend, &["--vault", NOWHERE]).end().await.assert_failed(3, &["127.0.0.1", "hint:"]);
    let issuer = format!("{NOWHERE}/realms/HashiCorp");
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
    let done = tokio::time::timeout(Duration::from_secs(60), login.end()).await.unwrap();
    done.assert_failed(1, &[]);
}

async fn ctrl_c_while_the_secret_is_read_revokes_the_token(backend: Backend) {
    let ground = ground(backend).await;
    let before = accessors(&ground.backend).await.len();
    let read = Target::vault("/v1/notebook-secret-kv-v2/data/test");
    ground.backend.world().faults().inject(read, 1, Fault::Delay(Duration::from_secs(90)));
    let mut login = login(&ground.backend, &[]);
    let address = login.address().await;
    sign_in(&ground.backend, &address, READER).await;
    while accessors(&ground.backend).await.len() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = login.child.id().unwrap().to_string();
    Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(60), login.end()).await.unwrap();
    done.assert_failed(1, &["interrupted"]);
    assert_eq!(accessors(&ground.backend).await.len(), before, "the token is gone");
}

async fn a_port_that_is_taken_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let path = env!("CARGO_BIN_EXE_login");
    let arguments = ["--no-browser", "--flow", "loopback", "--port", &port, "--secret", SECRET];
    done(program(&ground.backend, path, &arguments), "").await.assert_failed(2, &[&port, "hint:"]);
}
