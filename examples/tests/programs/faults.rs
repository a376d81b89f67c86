//! What goes wrong around a sign-in by paste, whose secret goes to a file, around a person's own store, and in the middle of a
//! set-up: nothing is lost, nobody is let in, and the message says who must act.
//!
//! A full disk is in [`disk`](crate::disk), a wrong clock in [`clocks`](crate::clocks), names that look like another's in
//! [`secrets`](crate::secrets), a Vault that never answers in [`environment`](crate::environment).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use latchkey_tests::{Backend, Fault, MANAGEMENT, NOWHERE, OwnOpenBao, Place, READER, Target, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::secrets::{Notebook, notebook};
use crate::support::{CONTENT, Ground, Running, ground, login, program, provision, sign_in};

const ON_REQUEST: &str = "the real server does not fail on request";

behaviours! {
    a_vault_that_is_sealed_during_a_pasted_sign_in_is_told_and_nothing_is_written,
    #[not_on(Place::Loopback, "the double is not restarted")]
    a_vault_that_is_restarted_during_a_pasted_sign_in_asks_for_a_new_one,
    #[not_on(Place::Real, ON_REQUEST)]
    a_provider_that_goes_down_during_a_pasted_sign_in_is_told_and_nothing_is_written,
    #[not_on(Place::Real, ON_REQUEST)]
    a_token_that_is_revoked_before_the_secret_is_read_reads_nothing,
    an_answer_to_another_sign_in_is_refused_when_it_is_pasted,
    a_store_whose_vault_is_sealed_loses_nothing_and_starts_no_program,
    #[not_on(Place::Loopback, "the double is not restarted")]
    a_store_outlives_a_restart_of_its_vault,
    a_store_whose_vault_is_down_is_told_and_starts_no_program,
    a_store_whose_token_was_revoked_opens_nothing_and_starts_no_program,
    #[not_on(Place::Real, ON_REQUEST)]
    a_put_whose_answer_is_lost_can_be_repeated_and_costs_no_field,
    a_secret_that_cannot_be_printed_is_told,
    #[not_on(Place::Real, ON_REQUEST)]
    a_set_up_that_breaks_off_is_finished_by_the_next_run,
}

/// A Vault that a test may seal: the double, or on the real servers an OpenBao of its own.
struct Sealable(Option<OwnOpenBao>);

impl Sealable {
    async fn beside(mut backend: Backend) -> (Self, Backend) {
        if backend.place != Place::Real {
            return (Self(None), backend);
        }
        let own = OwnOpenBao::start().await.unwrap();
        (backend.vault_address, backend.root) = (own.address().clone(), own.root().clone());
        (Self(Some(own)), backend)
    }

    async fn seal(&self, backend: &Backend) {
        match &self.0 {
            Some(own) => own.seal().await.unwrap(),
            None => backend.world().vault().seal(),
        }
    }

    async fn unseal(&self, backend: &Backend) {
        match &self.0 {
            Some(own) => own.unseal().await.unwrap(),
            None => backend.world().vault().unseal(),
        }
    }

    async fn restart(&self) {
        let own = self.0.as_ref().unwrap();
        own.restart().await.unwrap();
        own.unseal().await.unwrap();
    }
}

/// A sign-in by paste whose secret goes into a file.
struct Desk {
    ground: Ground,
    folder: TempDir,
}

impl Desk {
    async fn new(backend: Backend) -> Self {
        Self { ground: ground(backend).await, folder: tempfile::tempdir().unwrap() }
    }

    fn begin(&self, via: &str) -> Running {
        let file = self.folder.path().join("secret");
        let arguments = ["--via", via, "--flow", "oob", "--field", "data", "--out", file.to_str().unwrap()];
        login(&self.ground.backend, &arguments)
    }

    fn assert_nothing_is_written(&self) {
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 0);
    }

    /// And then, when all is well again, the same goes through.
    async fn assert_works(&self, via: &str) {
        let mut login = self.begin(via);
        let address = login.address().await;
        let page = sign_in(&self.ground.backend, &address, READER).await;
        login.paste(page.address.as_str()).await;
        let done = login.end().await;
        assert!(done.is_success(), "{done:?}");
        let file = self.folder.path().join("secret");
        assert_eq!(fs::read_to_string(&file).unwrap(), CONTENT);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

async fn a_vault_that_is_sealed_during_a_pasted_sign_in_is_told_and_nothing_is_written(backend: Backend) {
    let (vault, backend) = Sealable::beside(backend).await;
    let desk = Desk::new(backend).await;
    let backend = &desk.ground.backend;
    for via in ["vault", "provider"] {
        let mut login = desk.begin(via);
        let address = login.address().await;
        let page = sign_in(backend, &address, READER).await;
        vault.seal(backend).await;
        login.paste(page.address.as_str()).await;
        login.end().await.assert_failed(3, &["sealed", "hint: whoever runs the server must unseal it"]);
        vault.unseal(backend).await;
    }
    vault.seal(backend).await;
    let told = desk.begin("vault").end().await;
    told.assert_failed(3, &["sealed"]);
    assert!(!told.stderr.contains("Sign in at"), "nobody is asked for nothing: {told:?}");
    desk.assert_nothing_is_written();
    vault.unseal(backend).await;
    desk.assert_works("vault").await;
}

async fn a_vault_that_is_restarted_during_a_pasted_sign_in_asks_for_a_new_one(backend: Backend) {
    let (vault, backend) = Sealable::beside(backend).await;
    let desk = Desk::new(backend).await;
    let mut login = desk.begin("vault");
    let address = login.address().await;
    let page = sign_in(&desk.ground.backend, &address, READER).await;
    vault.restart().await;
    login.paste(page.address.as_str()).await;
    // It had the sign-in in its memory.
    login.end().await.assert_failed(1, &["hint: run it again and sign in anew"]);
    desk.assert_nothing_is_written();
    desk.assert_works("vault").await;
}

async fn a_provider_that_goes_down_during_a_pasted_sign_in_is_told_and_nothing_is_written(backend: Backend) {
    let desk = Desk::new(backend).await;
    let faults = desk.ground.backend.world().faults();
    let mut login = desk.begin("provider");
    let address = login.address().await;
    let page = sign_in(&desk.ground.backend, &address, READER).await;
    faults.inject(Target::provider("/realms/*"), 1000, Fault::Refuse);
    login.paste(page.address.as_str()).await;
    login.end().await.assert_failed(3, &["localhost", "hint: "]);
    let told = desk.begin("provider").end().await;
    told.assert_failed(3, &["hint: "]);
    assert!(!told.stderr.contains("Sign in at"), "{told:?}");
    desk.assert_nothing_is_written();
    faults.clear();
    desk.assert_works("provider").await;
}

async fn a_token_that_is_revoked_before_the_secret_is_read_reads_nothing(backend: Backend) {
    let desk = Desk::new(backend).await;
    let backend = &desk.ground.backend;
    let accessors = async || {
        let list = backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
        list["data"]["keys"].as_array().unwrap().clone()
    };
    let before = accessors().await;
    let sign_in_at = Target::vault("/v1/auth/keycloak-jwt/login");
    backend.world().faults().inject(sign_in_at, 1, Fault::Delay(Duration::from_secs(5)));
    let mut login = desk.begin("provider");
    let address = login.address().await;
    let page = sign_in(backend, &address, READER).await;
    login.paste(page.address.as_str()).await;
    let begun = Instant::now();
    let new = loop {
        if let Some(new) = accessors().await.into_iter().find(|accessor| !before.contains(accessor)) {
            break new;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody logs in");
        sleep(Duration::from_millis(10)).await;
    };
    backend.admin(Method::Post, "auth/token/revoke-accessor", json!({"accessor": new})).await.unwrap();
    login
        .end()
        .await
        .assert_failed(1, &["reading notebook-secret-kv-v2/test", "permission denied", "hint: "]);
    desk.assert_nothing_is_written();
    desk.assert_works("provider").await;
}

/// The code that somebody else was given, as it stands or with the address of their page: by mistake, or by whoever wants a
/// person to act under another's name.
async fn an_answer_to_another_sign_in_is_refused_when_it_is_pasted(backend: Backend) {
    let desk = Desk::new(backend).await;
    for via in ["vault", "provider"] {
        for as_address in [true, false] {
            let (mut other, mut login) = (desk.begin(via), desk.begin(via));
            let address = other.address().await;
            let page = sign_in(&desk.ground.backend, &address, MANAGEMENT).await;
            login.address().await;
            let pasted = if as_address { page.address.to_string() } else { page.input("code").unwrap() };
            login.paste(&pasted).await;
            let told = login.end().await;
            assert!(told.code == Some(1) && told.stderr.contains("hint: "), "{via} {as_address} {told:?}");
            assert!(told.stdout.is_empty() && !told.stderr.contains(&pasted), "{told:?}");
            desk.assert_nothing_is_written();
        }
    }
    desk.assert_works("vault").await;
}

/// A store with a secret in it, and what its person does with it.
struct Shelf {
    notebook: Notebook,
    folder: TempDir,
}

impl Shelf {
    async fn new(backend: Backend) -> Self {
        let notebook = notebook(backend).await;
        let put = notebook.secrets(&["put", "environment"], r#"{"ONE": "1", "TWO": "2"}"#).await;
        assert!(put.is_success(), "{put:?}");
        Self { notebook, folder: tempfile::tempdir().unwrap() }
    }

    /// Whatever is tried ends so. A program that was to get the secrets is not started without them.
    async fn assert_fails(&self, code: i32, told: &[&str], environment: &[(&str, &str)]) {
        let started = self.folder.path().join("started");
        let started = started.to_str().unwrap();
        for (arguments, input) in [
            (&["get", "environment", "--field", "ONE"][..], ""),
            (&["put", "environment", "ONE"], "another"),
            (&["delete", "environment"], ""),
            (&["list"], ""),
            (&["status"], ""),
            (&["run", "--", "/usr/bin/touch", started], ""),
        ] {
            let done = self.notebook.secrets_with(arguments, input, environment).await;
            done.assert_failed(code, told);
            assert!(done.stdout.is_empty() && done.stderr.contains("hint: "), "{arguments:?} {done:?}");
            assert!(!Path::new(started).exists(), "the program was started: {done:?}");
        }
    }

    async fn assert_is_whole(&self) {
        self.notebook.prints(&["get", "environment"], r#"{"ONE":"1","TWO":"2"}"#).await;
    }
}

async fn a_store_whose_vault_is_sealed_loses_nothing_and_starts_no_program(backend: Backend) {
    let (vault, backend) = Sealable::beside(backend).await;
    let shelf = Shelf::new(backend).await;
    vault.seal(&shelf.notebook.backend).await;
    shelf.assert_fails(3, &["sealed", "whoever runs the server must unseal it"], &[]).await;
    vault.unseal(&shelf.notebook.backend).await;
    shelf.assert_is_whole().await;
}

async fn a_store_outlives_a_restart_of_its_vault(backend: Backend) {
    let (vault, backend) = Sealable::beside(backend).await;
    let shelf = Shelf::new(backend).await;
    vault.restart().await;
    // The token that the person had opens it still.
    shelf.assert_is_whole().await;
    let put = shelf.notebook.secrets(&["put", "environment", "ONE"], "after").await;
    assert!(put.is_success(), "{put:?}");
    shelf.notebook.prints(&["get", "environment", "--field", "ONE"], "after").await;
}

async fn a_store_whose_vault_is_down_is_told_and_starts_no_program(backend: Backend) {
    let shelf = Shelf::new(backend).await;
    shelf.assert_fails(3, &["127.0.0.1:1 cannot be reached"], &[("VAULT_ADDR", NOWHERE)]).await;
    shelf.assert_is_whole().await;
}

async fn a_store_whose_token_was_revoked_opens_nothing_and_starts_no_program(backend: Backend) {
    let shelf = Shelf::new(backend).await;
    let Notebook { backend, token, .. } = &shelf.notebook;
    backend.admin(Method::Post, "auth/token/revoke", json!({"token": token})).await.unwrap();
    shelf.assert_fails(1, &[], &[]).await;
    let data = format!("{}/data/jupyter/users/{}/environment", shelf.notebook.mount, shelf.notebook.user);
    let kept = backend.admin(Method::Get, &data, Value::Null).await.unwrap();
    assert_eq!(kept["data"]["data"], json!({"ONE": "1", "TWO": "2"}));
}

async fn a_put_whose_answer_is_lost_can_be_repeated_and_costs_no_field(backend: Backend) {
    let shelf = Shelf::new(backend).await;
    let Notebook { backend, mount, user, .. } = &shelf.notebook;
    let data = Target::vault(&format!("/v1/{mount}/data/jupyter/users/{user}/environment"));
    let faults = backend.world().faults();
    let mut lost_answers = 0;
    for (index, method) in ["PATCH", "POST", "PUT", "GET"].into_iter().enumerate() {
        faults.inject(data.clone().with_method(method), 1, Fault::Drop);
        let value = index.to_string();
        let lost = shelf.notebook.secrets(&["put", "environment", "ONE"], &value).await;
        // It finds out by itself what became of it, or says that it does not know.
        assert!(lost.is_success() || (lost.code == Some(3) && lost.stderr.contains("hint: ")), "{lost:?}");
        lost_answers += usize::from(faults.is_spent());
        faults.clear();
        let put = shelf.notebook.secrets(&["put", "environment", "ONE"], &value).await;
        assert!(put.is_success(), "{put:?}");
        shelf.notebook.prints(&["get", "environment", "--field", "ONE"], &value).await;
        shelf.notebook.prints(&["get", "environment", "--field", "TWO"], "2").await;
    }
    assert!(lost_answers > 1, "it neither reads nor writes in one of these ways");
}

async fn a_secret_that_cannot_be_printed_is_told(backend: Backend) {
    let shelf = Shelf::new(backend).await;
    let Notebook { backend, mount, user, token } = &shelf.notebook;
    let arguments = ["--mount", mount, "get", "environment", "--field", "ONE"];
    let mut command = program(backend, env!("CARGO_BIN_EXE_secrets"), &arguments);
    command.env("JUPYTERHUB_USER", user).env("NOTEBOOK_VAULT_TOKEN", token);
    // Where every write fails, as on a full disk.
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("writing to standard output") && told.contains("hint: "), "{told}");
    shelf.assert_is_whole().await;
}

async fn a_set_up_that_breaks_off_is_finished_by_the_next_run(backend: Backend) {
    for fault in [Fault::Refuse, Fault::Drop] {
        for path in ["sys/mounts/*", "sys/policies/acl/*", "auth/keycloak-oidc/config", "identity/group*"] {
            let backend = Backend::at(backend.place).await.unwrap();
            let faults = backend.world().faults();
            for method in ["POST", "PUT"] {
                // As often as a call is repeated, and more.
                let target = Target::vault(&format!("/v1/{path}")).with_method(method);
                faults.inject(target, 5, fault.clone());
            }
            let broken = provision(&backend, &[]).await;
            broken.assert_failed(3, &["hint: "]);
            faults.clear();
            let finished = provision(&backend, &[]).await;
            assert!(finished.is_success(), "{path} {fault:?} {finished:?}");
            let again = provision(&backend, &[]).await;
            assert!(
                again.is_success() && again.text().contains("nothing to do"),
                "{path} {fault:?} {again:?}"
            );
        }
    }
    let backend = Backend::at(backend.place).await.unwrap();
    backend.world().vault().seal();
    provision(&backend, &[])
        .await
        .assert_failed(3, &["sealed", "hint: whoever runs the server must unseal it"]);
}
