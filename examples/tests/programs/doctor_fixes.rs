//! What `doctor` prints is run as it stands, on the real servers, and mends what it was printed for.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use latchkey_tests::{Backend, OwnOpenBao, Place, Terminal, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::doctor::{doctor, with_a_public_client};
use crate::replicas::PATIENCE;
use crate::support::{Done, TURN, ground};

/// The command-line clients come with the real servers.
const NO_CLIENTS: &str = "the doubles have no command-line clients";

behaviours! {
    #[not_on(Place::Loopback, NO_CLIENTS)]
    what_doctor_prints_for_keycloak_mends_the_client,
    #[not_on(Place::Loopback, NO_CLIENTS)]
    what_doctor_prints_for_a_role_that_nobody_may_read_mends_it,
    #[not_on(Place::Loopback, NO_CLIENTS)]
    what_doctor_prints_for_an_address_mends_the_next_run,
    #[not_on(Place::Loopback, NO_CLIENTS)]
    what_doctor_prints_for_a_vault_mends_it_from_nothing,
}

/// A shell in a folder of its own that has what a fix calls: the clients of the real servers, and our own programs.
pub struct Shell<'a> {
    backend: &'a Backend,
    folder: TempDir,
}

/// Where that folder is, below the one of what is built, and so of this program.
fn installed(what: &str) -> PathBuf {
    let own = env::current_exe().unwrap();
    own.ancestors().map(|folder| folder.join("servers").join(what)).find(|path| path.is_dir()).unwrap()
}

impl<'a> Shell<'a> {
    pub fn new(backend: &'a Backend) -> Self {
        Self { backend, folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, lines: &str) -> Command {
        let keycloaks =
            installed("keycloak").read_dir().unwrap().map(|entry| entry.unwrap().path().join("bin"));
        let own = Path::new(env!("CARGO_BIN_EXE_doctor")).parent().unwrap().to_owned();
        let folders = keycloaks.filter(|bin| bin.is_dir()).chain([installed("openbao/bin"), own]);
        let path = env::join_paths(folders.chain(["/usr/bin".into(), "/bin".into()])).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-e", "-c", lines]).env_clear().env("PATH", path).current_dir(self.folder.path());
        shell.env("HOME", self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        // Opened for the clients of the servers, and for programs of ours.
        for name in ["BAO_ADDR", "VAULT_ADDR"] {
            shell.env(name, self.backend.vault_address.as_str());
        }
        for name in ["BAO_TOKEN", "VAULT_TOKEN"] {
            shell.env(name, self.backend.root.expose_secret());
        }
        shell.env("LATCHKEY_ISSUER", &self.backend.issuer).env("LATCHKEY_CLIENT_ID", &self.backend.client_id);
        shell.env("LATCHKEY_CLIENT_SECRET", self.backend.client_secret.expose_secret());
        if let Ok(password) = env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD") {
            shell.env("KC_CLI_PASSWORD", password);
        }
        shell
    }

    pub async fn run(&self, lines: &str) -> String {
        let output = timeout(PATIENCE, self.command(lines).output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{lines}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

async fn what_doctor_prints_for_keycloak_mends_the_client(backend: Backend) {
    let _turn = TURN.lock().await;
    let (issuer, id, _) = with_a_public_client(&backend, "https://hub.example").await;
    let (page, callback) = ("https://other.example", "https://other.example/callback");
    let mut arguments = vec!["--public-client", "--client-id", &id, "--issuer", &issuer];
    // A Vault that knows nothing of that client, and everybody's pages: only the provider counts here.
    arguments.extend(["--jwt-mount", "", "--oidc-mount", ""]);
    arguments.extend(["--allow-origin", page, "--redirect-uri", callback]);
    let cors = "sys/config/cors";
    backend.admin(Method::Post, cors, json!({"allowed_origins": "*"})).await.unwrap();
    let broken = doctor(&backend, &arguments, &[]).await;
    let shell = Shell::new(&backend);
    let mut left = broken.troubles().len();
    assert_eq!(broken.troubles(), ["provider-redirect", "provider-cors"]);
    for check in broken.troubles() {
        shell.run(&broken.fix(check)).await;
        left -= 1;
        assert_eq!(doctor(&backend, &arguments, &[]).await.troubles().len(), left, "{check}");
    }
    backend.admin(Method::Delete, cors, Value::Null).await.unwrap();
    // What the client had before it has still.
    let before =
        ["--redirect-uri", "http://localhost:8250/oidc/callback", "--jwt-mount", "", "--oidc-mount", ""];
    let before = [&["--public-client", "--client-id", &id, "--issuer", &issuer][..], &before].concat();
    doctor(&backend, &before, &[]).await.assert_nothing();
}

async fn what_doctor_prints_for_a_role_that_nobody_may_read_mends_it(backend: Backend) {
    let ground = ground(backend).await;
    let arguments = ["--redirect-uri", "http://localhost:8250/nobody/knows"];
    let blind = [("VAULT_TOKEN", "")];
    let refused = doctor(&ground.backend, &arguments, &blind).await;
    refused.assert_only("vault-redirect", 1);
    let shown = Shell::new(&ground.backend).run(&refused.fix("vault-redirect")).await;
    assert!(shown.contains("http://localhost:8250/oidc/callback"), "those that must be named again: {shown}");
    let mended = doctor(&ground.backend, &arguments, &blind).await;
    ground.make_role_anew("keycloak-oidc").await;
    mended.assert_nothing();
}

async fn what_doctor_prints_for_an_address_mends_the_next_run(backend: Backend) {
    let ground = ground(backend).await;
    let issuer = format!("{}/", ground.backend.issuer);
    let spelt = doctor(&ground.backend, &[], &[("LATCHKEY_ISSUER", &issuer)]).await;
    spelt.assert_only("provider-issuer", 1);
    let lines = format!("export LATCHKEY_ISSUER={issuer}\n{}doctor --json", spelt.fix("provider-issuer"));
    let report: Value = serde_json::from_str(&Shell::new(&ground.backend).run(&lines).await).unwrap();
    assert_eq!(report["worst"], "ok", "{report}");
}

async fn what_doctor_prints_for_a_vault_mends_it_from_nothing(mut backend: Backend) {
    let bao = OwnOpenBao::start().await.unwrap();
    (backend.vault_address, backend.root) = (bao.address().clone(), bao.root().clone());
    let look = async || doctor(&backend, &[], &[]).await;
    let shell = Shell::new(&backend);

    // Nothing is there.
    let empty = look().await;
    assert_eq!(empty.fix("vault-trust"), "provision apply\n", "{:?}", empty.troubles());
    shell.run(&empty.fix("vault-trust")).await;
    look().await.assert_nothing();

    // Everybody may read everything. What a person does between the two commands, is done here.
    let path = "sys/policies/acl/default";
    let rules = backend.admin(Method::Get, path, Value::Null).await.unwrap();
    let rules = rules["data"]["policy"].as_str().unwrap().to_owned();
    let opened = "\npath \"notebook-secret-kv-v2/data/*\" { capabilities = [\"read\"] }\n";
    backend.admin(Method::Put, path, json!({"policy": format!("{rules}{opened}")})).await.unwrap();
    let wide = look().await;
    wide.assert_only("default-policy", 1);
    let fix = wide.fix("default-policy");
    let (read, write) = fix.split_once("# move these paths").unwrap();
    shell.run(read).await;
    let file = shell.folder.path().join("default.hcl");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains(opened.trim()), "{kept}");
    std::fs::write(&file, kept.replace(opened.trim(), "")).unwrap();
    shell.run(&format!("# move these paths{write}")).await;
    look().await.assert_nothing();

    // It is sealed: who has the key types it.
    bao.seal().await.unwrap();
    let sealed = look().await;
    sealed.assert_only("vault-health", 3);
    let mut terminal = Terminal::open().unwrap();
    // What it asks is to be seen at the terminal, and nowhere else.
    let lines = format!("exec >&2\n{}", sealed.fix("vault-health"));
    let child = terminal.run(&shell.command(&lines)).unwrap();
    timeout(PATIENCE, terminal.read_until("will be hidden")).await.unwrap().unwrap();
    terminal.write(&format!("{}\n", bao.key().expose_secret())).unwrap();
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let unsealed = Done { code: output.status.code(), stdout: output.stdout, stderr: said };
    assert!(unsealed.is_success(), "{unsealed:?}");
    bao.unseal().await.unwrap();
    look().await.assert_nothing();
}
