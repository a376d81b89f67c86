//! `login`: the ways to sign in, to stay signed in, and to sign out.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use latchkey_tests::{Backend, Browser, Consent, Place, READER, Terminal, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use url::Url;

use crate::support::{CONTENT, SECRET, ground, login, login_with, program, running, sign_in, signed_in};

behaviours! {
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
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = format!("{},0", taken.local_addr().unwrap().port());
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
