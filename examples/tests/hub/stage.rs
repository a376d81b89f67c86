//! Everything that the servers of a hub need, set up once for all tests: a realm, a Vault of its own, a hub, and people.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, process};

use latchkey_tests::{Backend, OwnOpenBao};
use latchkey_transport::{Method, Request, ReqwestTransport, Secret, Transport as _};
use latchkey_vault_client::secret_store::{Layout, Terms, UserTokens};
use latchkey_vault_client::{Token, Vault};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::hub::{Hub, Ports};
use crate::keycloak::{CLIENT, CLIENT_SECRET, Person, Realm};

const HUB: &str = "LATCHKEY_JUPYTERHUB";

/// What stands in the secret: signs that a spawner on the way could take for something else.
pub const SECRET: &str = "a{b}c{{d}}{username} $HOME $(HOME) $$ \\ \" ' ü";

/// Says why no hub can be run here.
pub fn absence() -> Option<&'static str> {
    if [HUB, "LATCHKEY_NODE_PEERS"].iter().any(|name| env::var_os(name).is_none()) {
        return Some("JupyterHub is not installed (`cargo xtask tools`)");
    }
    if !rustix::process::geteuid().is_root() {
        return Some("Unix users are made, and only root may do that");
    }
    if !Path::new("/usr/sbin/useradd").exists() {
        return Some("this machine has no useradd");
    }
    python().is_none().then_some("no Python here can be run by everybody and has the version of the hub's")
}

pub fn venv() -> PathBuf {
    env::var_os(HUB).unwrap().into()
}

/// What `nobody` gets from a program.
fn as_nobody(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().uid(65534).gid(65534).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The hub's packages.
fn packages() -> Option<PathBuf> {
    let mut versions = fs::read_dir(venv().join("lib")).ok()?;
    versions.find_map(|version| Some(version.ok()?.path().join("site-packages")).filter(|path| path.is_dir()))
}

/// A Python that everybody may run, for the packages of the hub. The one that the hub runs with is often below `/root`.
fn python() -> Option<PathBuf> {
    let packages = packages()?;
    let wanted = packages.parent()?.file_name()?.to_str()?;
    let version = "import sys; print(f'python{sys.version_info[0]}.{sys.version_info[1]}')";
    [venv().join("bin/python"), "/usr/bin/python3".into()]
        .into_iter()
        .find(|program| as_nobody(program, &["-c", version]).as_deref() == Some(wanted))
}

/// What `hub-spawn` is told for a test.
pub struct Settings {
    pub issuer: String,
    pub provider_when_down: &'static str,
    pub vault_when_down: &'static str,
    pub variable: bool,
    /// More lines of `[vault.own_token]`, and of `[users]`.
    pub own_token: &'static str,
    pub users: &'static str,
}

pub struct Stage {
    pub realm: Realm,
    pub vault: OwnOpenBao,
    pub hub: Hub,
    /// Two people with Unix users of their own.
    pub people: [Person; 2],
    /// Somebody who is called like an account of every system.
    pub daemon: Person,
    /// Somebody whose Unix user is made by one test.
    pub carol: Person,
    pub folder: TempDir,
    /// What a hub is told of all this.
    pub variables: Vec<(&'static str, String)>,
}

static STAGE: Mutex<Option<Stage>> = Mutex::const_new(None);

impl Stage {
    /// Waits until no other test uses it. The first one sets it up.
    pub async fn take_turn(backend: &Backend) -> MappedMutexGuard<'static, Self> {
        let mut turn = STAGE.lock().await;
        if turn.is_none() {
            *turn = Some(Self::new(backend).await);
        }
        let stage = MutexGuard::map(turn, |stage| stage.as_mut().unwrap());
        stage.set(&stage.settings());
        stage.run_program();
        stage.mark("small-servers", true);
        stage.mark("bare-spawns", false);
        stage.mark("broken-servers", false);
        // What a test has left that failed must not be the next one's.
        for person in stage.people.iter().chain([&stage.carol]) {
            let (_, user) = stage.hub.api(Method::Get, &format!("users/{}", person.name), Value::Null).await;
            if user["servers"][""]["ready"] == true {
                stage.hub.stop(person).await;
            }
        }
        stage
    }

    /// Tells the hub something: whether servers are small ones, which start at once, and whether spawns are bare.
    pub fn mark(&self, name: &str, is_set: bool) {
        let path = self.path("hub").join(name);
        if is_set {
            fs::write(path, "").unwrap();
        } else if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }

    /// Has the hub start notebook servers.
    pub fn start_notebooks(&self) {
        self.mark("small-servers", false);
    }

    async fn new(backend: &Backend) -> Self {
        let ports = Ports::free();
        let realm = Realm::new(backend, &ports.address()).await;
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let mut people = Vec::new();
        for (index, letter) in ["a", "b"].into_iter().enumerate() {
            let uid = 200_000 + process::id() % 100_000 * 2 + u32::try_from(index).unwrap();
            people.push(realm.add(&format!("lk{}{letter}", process::id()), uid).await);
        }
        let daemon = realm.add("daemon", 190_001).await;
        let carol = realm.add(&format!("lk{}c", process::id()), people[1].uid + 300_000).await;
        let vault = OwnOpenBao::start().await.unwrap();
        set_up(&vault, &realm.issuer(), folder.path()).await;

        let programs = folder.path().join("bin");
        fs::create_dir(&programs).unwrap();
        for (name, path) in [
            ("real-hub-spawn", env!("CARGO_BIN_EXE_hub-spawn")),
            ("keep-token", env!("CARGO_BIN_EXE_keep-token")),
            ("notebook-token", env!("CARGO_BIN_EXE_notebook-token")),
        ] {
            fs::copy(path, programs.join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("home")).unwrap();
        let packages = packages_for_all(folder.path());
        let small = folder.path().join("small_server.py");
        fs::write(&small, include_str!("small_server.py")).unwrap();
        let variables = vec![
            ("ISSUER", realm.issuer()),
            ("CLIENT_ID", CLIENT.to_owned()),
            ("CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("HUB_SPAWN", text(&programs.join("hub-spawn"))),
            ("HUB_SPAWN_CONFIG", text(&folder.path().join("hub-spawn.toml"))),
            ("HUB_SPAWN_PATIENCE", "20".to_owned()),
            ("KEEP_TOKEN", text(&programs.join("keep-token"))),
            ("VAULT_TOKEN_FILE", text(&folder.path().join("vault-token"))),
            ("VAULT_ADDR", vault.address().to_string()),
            ("SERVER_COMMAND", json!([python().unwrap(), "-m", "jupyterhub.singleuser"]).to_string()),
            ("SMALL_SERVER_COMMAND", json!([python().unwrap(), small]).to_string()),
            ("SERVER_ENVIRONMENT", json!({"PYTHONPATH": packages}).to_string()),
        ];
        let mut hub = Hub::start(&venv(), &ports, &folder.path().join("hub"), &variables);
        hub.is_up().await;
        let people = people.try_into().unwrap();
        Self { realm, vault, hub, people, daemon, carol, folder, variables }
    }

    pub fn settings(&self) -> Settings {
        let (issuer, stop) = (self.realm.issuer(), "stop");
        Settings {
            issuer,
            provider_when_down: stop,
            vault_when_down: stop,
            variable: false,
            own_token: "",
            users: "",
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file that `hub-spawn` reads before each server.
    pub fn set(&self, settings: &Settings) {
        fs::write(self.path("hub-spawn.toml"), self.text(settings)).unwrap();
    }

    /// What is in that file.
    pub fn text(&self, settings: &Settings) -> String {
        let Settings { issuer, provider_when_down, vault_when_down, variable, own_token, users } = settings;
        let (address, folder) = (self.vault.address(), self.folder.path().display());
        format!(
            r#"
            hand_over_id_token = true
            [provider]
            issuer = "{issuer}"
            client_id = "{CLIENT}"
            username_claim = "preferred_username"
            fresh_for = 900
            when_down = "{provider_when_down}"
            [vault]
            address = "{address}"
            when_down = "{vault_when_down}"
            [vault.secret]
            mount = "jwt"
            role = "default"
            path = "kv/team/app"
            field = "password"
            variable = {variable}
            [vault.own_token]
            token_file = "{folder}/vault-token"
            ttl = 600
            longest = 1200
            {own_token}
            [users]
            homes = "{folder}/home"
            runtime = "{folder}/run"
            {users}
            "#
        )
    }

    /// The account's folder for what is not to outlive the run of the machine.
    pub fn runtime(&self, person: &Person) -> PathBuf {
        self.path("run").join(person.uid.to_string())
    }

    /// Ends the services that a hub has left behind which could not end them.
    pub fn end_services(&self) {
        let program = self.path("bin/keep-token");
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if fs::read_link(entry.path().join("exe")).is_ok_and(|path| path == program) {
                let _ = Command::new("kill").arg(entry.file_name()).stderr(Stdio::null()).status();
            }
        }
    }

    /// Lets the hub run `hub-spawn`.
    pub fn run_program(&self) {
        self.run(&format!("exec {} \"$@\"", self.path("bin/real-hub-spawn").display()));
    }

    /// Lets the hub run something else in its place.
    pub fn run(&self, script: &str) {
        let path = self.path("bin/hub-spawn");
        // In one step: the hub may be about to start it.
        fs::write(path.with_extension("new"), format!("#!/bin/sh\n{script}\n")).unwrap();
        open_to_all(&path.with_extension("new"));
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    /// Calls its Vault with a token.
    pub async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        call(&self.vault, token, method, path, body).await
    }

    /// How many tokens of people's own there are.
    pub async fn people_tokens(&self) -> usize {
        let root = self.vault.root().expose_secret();
        let (_, list) = self.call(root, Method::List, "auth/token/accessors", Value::Null).await;
        let mut count = 0;
        for accessor in list["data"]["keys"].as_array().unwrap() {
            let asked = json!({"accessor": accessor});
            let (_, found) = self.call(root, Method::Post, "auth/token/lookup-accessor", asked).await;
            count += usize::from(found["data"]["path"] == "auth/token/create/jupyter-users");
        }
        count
    }

    /// The hub's own token.
    pub fn hub_token(&self) -> String {
        fs::read_to_string(self.path("vault-token")).unwrap()
    }
}

/// Takes everything away again.
pub fn end() {
    let Some(stage) = STAGE.try_lock().ok().and_then(|mut stage| stage.take()) else { return };
    stage.end_services();
    let Stage { realm, vault, hub, people, carol, folder, .. } = stage;
    drop(hub);
    drop(vault);
    for person in people.into_iter().chain([carol]) {
        for program in ["userdel", "groupdel"] {
            let _ = Command::new(program).arg(&person.name).stderr(Stdio::null()).status();
        }
    }
    let _ = Command::new("groupdel").arg(team()).stderr(Stdio::null()).status();
    drop(folder);
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        runtime.block_on(realm.remove());
    }
}

/// The name of a group of several people, which one test makes.
pub fn team() -> String {
    format!("lk{}t", process::id())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The hub's packages where everybody may read them.
fn packages_for_all(folder: &Path) -> PathBuf {
    let packages = packages().unwrap();
    if as_nobody(Path::new("/usr/bin/test"), &["-r", packages.to_str().unwrap()]).is_some() {
        return packages;
    }
    let copy = folder.join("packages");
    assert!(Command::new("cp").arg("-r").args([&packages, &copy]).status().unwrap().success());
    copy
}

async fn call(vault: &OwnOpenBao, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let mut request = Request::new(method, format!("/v1/{path}"))
        .at(vault.address())
        .with_secret_header("X-Vault-Token", Secret::new(token));
    if !body.is_null() {
        request = request.with_body("application/json", body.to_string());
    }
    let reply = ReqwestTransport::new().unwrap().send(request).await.unwrap();
    (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
}

/// What an operator does once: a secret, a JWT method, the role of people's tokens, and the hub's own token.
async fn set_up(vault: &OwnOpenBao, issuer: &str, folder: &Path) {
    let root = vault.root().expose_secret();
    let kv = json!({"type": "kv", "options": {"version": "2"}});
    let policy = |rules: &str| json!({"policy": rules});
    let jwt = json!({"oidc_discovery_url": issuer, "bound_issuer": issuer});
    let role = json!({"role_type": "jwt", "user_claim": "preferred_username", "bound_audiences": [CLIENT],
        "token_policies": ["app"], "token_ttl": "1h"});
    for (path, body) in [
        ("sys/mounts/kv", kv.clone()),
        ("sys/mounts/secret", kv),
        ("sys/policies/acl/app", policy("path \"kv/data/team/*\" { capabilities = [\"read\"] }")),
        ("sys/policies/acl/hub-spawn", policy(include_str!("../../hub/hub-spawn-policy.hcl"))),
        ("sys/auth/jwt", json!({"type": "jwt"})),
        ("auth/jwt/config", jwt),
        ("auth/jwt/role/default", role),
    ] {
        let (status, said) = call(vault, root, Method::Post, path, body).await;
        assert!(status < 300, "{path}: {said}");
    }
    let secret = json!({"data": {"password": SECRET, "user": "app"}});
    for _ in 0..100 {
        // A fresh mount may still be setting itself up.
        if call(vault, root, Method::Post, "kv/data/team/app", secret.clone()).await.0 < 300 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let transport = std::sync::Arc::new(ReqwestTransport::new().unwrap());
    let operator = Vault::new(vault.address().clone(), transport).with_token(&Token::new(root).unwrap());
    let tokens = UserTokens::new(operator, Layout::default());
    tokens.prepare_role("jupyter-users", &Terms::default()).await.unwrap();

    give_token(vault, "hub-spawn", &folder.join("vault-token")).await;
}

/// Makes a token for a hub, with one policy, and writes it where the hub reads it.
pub async fn give_token(vault: &OwnOpenBao, policy: &str, file: &Path) {
    let request =
        json!({"policies": [policy], "no_default_policy": true, "no_parent": true, "period": "300s"});
    let root = vault.root().expose_secret();
    let (_, made) = call(vault, root, Method::Post, "auth/token/create", request).await;
    fs::write(file, made["auth"]["client_token"].as_str().unwrap()).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
