//! A cluster: an API server that asks `token-review`, and people with kubectl and `kube-credential`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use latchkey_tests::kubernetes::{ApiServer, Certificate, kubectl};
use latchkey_tests::{Backend, Browser, Terminal, User};
use latchkey_transport::ReqwestTransport;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use url::Url;

/// The group that may list pods: who has the role `management`.
pub const GROUP: &str = "oidc:management";

/// The webhook's process and its address.
pub struct Reviewer {
    pub child: Child,
    pub address: String,
    pub ca_pem: String,
    pub folder: TempDir,
    _log: Lines<BufReader<ChildStderr>>,
}

impl Reviewer {
    /// Starts `token-review` for the client of that backend.
    pub async fn start(backend: &Backend, arguments: &[&str]) -> Self {
        Self::start_for(backend, &backend.client_id, arguments).await
    }

    /// Starts it for that client.
    pub async fn start_for(backend: &Backend, audience: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::generate().unwrap();
        write_certificate(folder.path(), &certificate);
        let groups = format!("resource_access.{}.roles", backend.client_id);
        let mut command = Command::new(env!("CARGO_BIN_EXE_token-review"));
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json", "--issuer", &backend.issuer]);
        command.args(["--audience", audience, "--username-claim", "preferred_username"]);
        command.args(["--groups-claim", &groups]).args(arguments);
        command.arg("--tls-cert").arg(folder.path().join("cert.pem"));
        command.arg("--tls-key").arg(folder.path().join("key.pem"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let Some(line) = log.next_line().await.unwrap() else {
                panic!("token-review ended before it was ready");
            };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if event["message"] == "ready" {
                break format!("https://{}", event["address"].as_str().unwrap());
            }
        };
        Self { child, address, ca_pem: certificate.pem, folder, _log: log }
    }

    /// A way to it that trusts that certificate alone.
    pub fn transport(&self) -> ReqwestTransport {
        let builder = ReqwestTransport::builder().with_root_certificates(self.ca_pem.as_bytes());
        builder.with_named_roots_only().build().unwrap()
    }
}

pub fn write_certificate(folder: &Path, certificate: &Certificate) {
    fs::write(folder.join("cert.pem"), &certificate.pem).unwrap();
    fs::write(folder.join("key.pem"), &certificate.key_pem).unwrap();
}

/// A cluster, and the home of somebody who uses it.
pub struct Cluster {
    pub backend: Backend,
    pub api: ApiServer,
    pub home: TempDir,
    _reviewer: Reviewer,
}

impl Cluster {
    pub async fn start(backend: Backend) -> Self {
        let reviewer = Reviewer::start(&backend, &[]).await;
        let webhook = format!("{}/token-review", reviewer.address);
        let api = ApiServer::start(&webhook, &reviewer.ca_pem, GROUP).await.unwrap();
        let cluster = Self { backend, api, home: home(), _reviewer: reviewer };
        cluster.configure("v1", &[]);
        cluster
    }

    /// Writes the kubeconfig.
    pub fn configure(&self, version: &str, arguments: &[&str]) {
        let Self { api, backend, home, .. } = self;
        configure(home.path(), &api.address, &api.ca_pem, backend, (version, arguments));
    }

    /// Runs kubectl, at a terminal or without one.
    pub fn kubectl(&self, terminal: Option<&Terminal>, arguments: &[&str]) -> Child {
        let mut command = at_home(kubectl().unwrap(), self.home.path());
        command.args(arguments).env("KUBECONFIG", self.home.path().join("config"));
        command.stdin(terminal.map_or_else(Stdio::null, |terminal| terminal.end().unwrap().into()));
        command.spawn().unwrap()
    }

    /// What kubectl says about the pods, without a person.
    pub async fn pods(&self) -> Done {
        done(self.kubectl(None, &["get", "pods", "-o", "name"])).await
    }

    /// The same at a terminal, where somebody signs in when a browser is opened.
    pub async fn pods_with(&self, user: User) -> Done {
        let terminal = Terminal::open().unwrap();
        let pods = done(self.kubectl(Some(&terminal), &["get", "pods", "-o", "name"]));
        while_signing_in(&self.backend, self.home.path(), user, pods).await
    }
}

/// Writes a kubeconfig for that server, in that version and with these arguments of `kube-credential`. JSON is YAML, too.
pub fn configure(
    home: &Path,
    server: &str,
    ca_pem: &str,
    backend: &Backend,
    (version, arguments): (&str, &[&str]),
) {
    fs::write(home.join("ca.pem"), ca_pem).unwrap();
    let mut all = vec!["--flow", "loopback", "--port", "0", "--issuer", &backend.issuer];
    all.extend(["--client-id", &backend.client_id, "--client-secret-file", "client-secret"]);
    all.extend(arguments);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": server, "certificate-authority": home.join("ca.pem")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "me"}}],
        "users": [{"name": "me", "user": {"exec": {
            "apiVersion": format!("client.authentication.k8s.io/{version}"),
            "command": env!("CARGO_BIN_EXE_kube-credential"),
            "args": all, "interactiveMode": "IfAvailable"}}}],
    });
    fs::write(home.join("config"), config.to_string()).unwrap();
    // Opened for a program of ours, which is told so.
    fs::write(home.join("client-secret"), backend.client_secret.expose_secret()).unwrap();
}

/// A home with a browser that leaves the addresses which it is to open in a file.
pub fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("browser");
    fs::write(&path, format!("#!/bin/sh\necho \"$1\" >> {}/opened\n", home.path().display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

pub fn at_home(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", "/usr/bin:/bin").env("HOME", home).env("BROWSER", home.join("browser"));
    command.current_dir(home);
    command
}

/// The addresses that a browser was to open.
pub fn opened(home: &Path) -> Vec<Url> {
    let text = fs::read_to_string(home.join("opened")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Signs in at each address that is opened, until the work is done.
pub async fn while_signing_in<T>(
    backend: &Backend,
    home: &Path,
    user: User,
    work: impl Future<Output = T>,
) -> T {
    let person = async {
        let mut seen = 0;
        loop {
            for address in opened(home).into_iter().skip(seen) {
                seen += 1;
                let browser = Browser::new(backend.transport.clone());
                let page = browser.sign_in(&address, user.name, user.password, None).await.unwrap();
                assert_eq!(page.status, 200, "{}", page.html);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = person => unreachable!(),
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn assert_success(&self, stdout: &str) {
        assert_eq!((self.code, self.stdout.trim()), (Some(0), stdout), "{self:?}");
    }

    pub fn assert_failure(&self, told: &[&str]) {
        assert!(self.code.is_some_and(|code| code != 0) && self.stdout.is_empty(), "{self:?}");
        for words in told {
            assert!(self.stderr.contains(words), "{words:?} is missing in: {}", self.stderr);
        }
    }
}

pub async fn done(child: Child) -> Done {
    let output = timeout(Duration::from_secs(120), child.wait_with_output()).await.unwrap().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The one sign-in that is kept in that home.
pub fn kept(home: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(home.join(".cache/latchkey")).ok()?.map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.extension().is_some_and(|this| this == "json"));
    let first = files.next();
    assert_eq!(files.next(), None, "one client is one file");
    first
}

/// What is kept there.
pub fn session(home: &Path) -> Value {
    serde_json::from_slice(&fs::read(kept(home).unwrap()).unwrap()).unwrap()
}

/// Lets the kept ID token have expired long ago.
pub fn age(home: &Path) {
    let mut session = session(home);
    session["id_token"]["expires_at"] = json!(1);
    fs::write(kept(home).unwrap(), session.to_string()).unwrap();
}
