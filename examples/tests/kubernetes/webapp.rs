//! `webapp` as a pod runs it: its service account's token in a file, and a Vault that asks the API server about it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use latchkey_testbed::{Clock, World};
use latchkey_tests::kubernetes::ApiServer;
use latchkey_tests::{Backend, Fault, Place, Target, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

behaviours! {
    the_secret_is_served_as_ever,
    a_secret_that_changed_is_served_after_the_next_read,
    a_secret_that_was_deleted_is_no_longer_served,
    the_token_of_the_service_account_is_read_anew_at_every_login,
    a_login_after_the_first_shows_what_is_in_the_file_by_then,
    a_token_that_was_revoked_is_replaced,
    a_token_is_kept_alive_beyond_its_first_life,
    it_ends_when_it_is_told_to_and_gives_its_token_back,
    what_nobody_offers_is_not_found,
    a_port_that_is_taken_is_told,
    the_commands_of_the_readme_do_what_it_says,
    #[not_on(Place::Real, "the real server counts no requests")]
    a_thousand_at_once_cost_the_vault_one_read_an_interval,
    #[not_on(Place::Real, "the real server does not fail on request")]
    a_vault_that_is_down_is_waited_for,
    #[not_on(Place::Real, "the real server does not fail on request")]
    a_secret_that_cannot_be_read_again_is_served_until_it_is_stale,
    #[not_on(Place::Real, "the server of the other tests is not sealed")]
    a_vault_that_is_sealed_is_named_and_waited_for,
    #[not_on(Place::Real, "the real server is not slow on request")]
    a_vault_that_is_slow_keeps_nobody_waiting,
}

/// Somebody who makes tokens of service accounts that are good now.
fn somebody() -> World {
    World::builder().clock(Clock::system()).build()
}

pub const AS_EVER: &str = "password:static-password username:static-user";

/// A Vault with the Kubernetes auth method, a secret, and a pod's file with a token.
pub struct Pod {
    backend: Backend,
    mount: String,
    kv: String,
    folder: TempDir,
    good: String,
    /// Kept, so that it goes on listening.
    api: Option<ApiServer>,
}

impl Pod {
    pub async fn new(backend: Backend) -> Self {
        Self::with_ttl(backend, "1h").await
    }

    async fn with_ttl(backend: Backend, ttl: &str) -> Self {
        // The real Vault asks an API server; the double knows its tokens by itself.
        if backend.place == Place::Real {
            let api = ApiServer::without_people().await.unwrap();
            let token = somebody().vault().service_account_token("default", "webapp", None);
            api.add_account(&token).unwrap();
            let mut pod = Self::of(backend, ttl, (&api.address, &api.ca_pem), &token, &token).await;
            pod.api = Some(api);
            pod
        } else {
            let token = backend.world().vault().service_account_token("default", "webapp", None);
            Self::of(backend, ttl, ("https://127.0.0.1:1", "-----BEGIN CERTIFICATE-----"), "", &token).await
        }
    }

    /// A pod of the cluster whose API server is there, trusted by that CA, and reviews tokens for whoever shows the token
    /// `reviewer`.
    pub async fn of(
        backend: Backend,
        ttl: &str,
        (host, ca): (&str, &str),
        reviewer: &str,
        token: &str,
    ) -> Self {
        let (mount, kv) = (backend.unique("kubernetes"), backend.unique("secret"));
        let admin = |path: String, body: Value| {
            let backend = &backend;
            async move { backend.admin(Method::Post, &path, body).await.unwrap() }
        };
        admin(format!("sys/auth/{mount}"), json!({"type": "kubernetes"})).await;
        let config =
            json!({"kubernetes_host": host, "kubernetes_ca_cert": ca, "token_reviewer_jwt": reviewer});
        admin(format!("auth/{mount}/config"), config).await;
        let role = json!({
            "bound_service_account_names": ["webapp"], "bound_service_account_namespaces": ["default"],
            "token_policies": [kv], "token_ttl": ttl,
        });
        admin(format!("auth/{mount}/role/webapp"), role).await;
        admin(format!("sys/mounts/{kv}"), json!({"type": "kv", "options": {"version": "2"}})).await;
        let policy = format!("path \"{kv}/data/webapp/config\" {{ capabilities = [\"read\"] }}");
        backend
            .admin(Method::Put, &format!("sys/policies/acl/{kv}"), json!({"policy": policy}))
            .await
            .unwrap();
        let pod = Self {
            mount,
            kv,
            folder: tempfile::tempdir().unwrap(),
            good: token.to_owned(),
            api: None,
            backend,
        };
        pod.write_secret("static-password").await;
        pod.write_token(&pod.good);
        pod
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub fn write_token(&self, token: &str) {
        fs::write(self.token_file(), token).unwrap();
    }

    async fn write_secret(&self, password: &str) {
        let secret = json!({"username": "static-user", "password": password});
        self.backend.put_secret(&self.kv, "webapp/config", secret).await.unwrap();
    }

    fn command(&self, port: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webapp"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("VAULT_ADDR", self.backend.vault_address.as_str()).env("JWT_PATH", self.token_file());
        command.env("SERVICE_PORT", port).env("SERVICE_ADDRESS", "127.0.0.1");
        command.args(["--mount", &self.mount, "--secret", &self.secret()]);
        command.args(["--log-format", "json"]).args(arguments);
        command
    }

    pub async fn start(&self, arguments: &[&str]) -> Service {
        Service::start(&mut self.command("0", arguments)).await
    }

    /// The folder of its token, which a container's user may read as well.
    pub fn open_folder(&self) -> &Path {
        for path in [self.folder.path(), &self.token_file()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.folder.path()
    }

    /// The address of its Vault.
    pub fn vault_address(&self) -> Url {
        self.backend.vault_address.clone()
    }

    /// The auth method that knows it.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// What it may read.
    pub fn secret(&self) -> String {
        format!("{}/webapp/config", self.kv)
    }

    /// The tokens that exist, by their accessors.
    async fn accessors(&self) -> Vec<Value> {
        let list = self.backend.admin(Method::List, "auth/token/accessors", Value::Null).await.unwrap();
        list["data"]["keys"].as_array().unwrap().clone()
    }
}

impl Pod {
    /// Revokes the tokens that the service has got, beside those that were there before.
    async fn revoke(&self, before: &[Value]) {
        if self.backend.place == Place::Real {
            let path = format!("sys/leases/revoke-prefix/auth/{}", self.mount);
            self.backend.admin(Method::Put, &path, Value::Null).await.unwrap();
            return;
        }
        for accessor in self.accessors().await.iter().filter(|accessor| !before.contains(accessor)) {
            let body = json!({"accessor": accessor});
            self.backend.admin(Method::Post, "auth/token/revoke-accessor", body).await.unwrap();
        }
    }
}

pub struct Service {
    child: Child,
    address: String,
    log: Lines<BufReader<ChildStderr>>,
    said: String,
}

/// Asks once, on a connection of its own.
async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: webapp\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

impl Service {
    /// Starts it, and waits until it says where it listens.
    pub async fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let Some(line) = log.next_line().await.unwrap() else { panic!("webapp ended at once: {said}") };
            said.push_str(&line);
            said.push('\n');
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            if event["message"] == "listening" {
                break event["address"].as_str().unwrap().to_owned();
            }
        };
        Self { child, address, log, said }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, path).await
    }

    /// Asks until that is the answer.
    pub async fn until(&self, path: &str, status: u16, body: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get(path).await;
            if answer.0 == status && (body.is_empty() || answer.1 == body) {
                return;
            }
            assert!(Instant::now() < until, "{answer:?} instead of {status} {body}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it as Kubernetes does, and returns everything that it has said.
    pub async fn end(self) -> String {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        self.ended().await
    }

    /// Waits for its end, which somebody else has asked for, and returns everything that it has said.
    pub async fn ended(mut self) -> String {
        let status = timeout(Duration::from_secs(60), self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.said.push_str(&(line + "\n"));
        }
        self.said
    }
}

async fn the_secret_is_served_as_ever(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&[]).await;
    service.until("/readyz", 200, "").await;
    assert_eq!(service.get("/").await, (200, AS_EVER.to_owned()));
    assert_eq!(service.get("/healthz").await.0, 200);
    let said = service.end().await;
    for secret in ["static-password", &pod.good] {
        assert!(!said.contains(secret), "{said}");
    }
}

async fn a_secret_that_changed_is_served_after_the_next_read(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    pod.write_secret("another").await;
    service.until("/", 200, "password:another username:static-user").await;
}

async fn a_secret_that_was_deleted_is_no_longer_served(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    let path = format!("{}/data/webapp/config", pod.kv);
    pod.backend.admin(Method::Delete, &path, Value::Null).await.unwrap();
    service.until("/", 503, "").await;
    assert_eq!((service.get("/readyz").await.0, service.get("/healthz").await.0), (503, 200));
}

async fn the_token_of_the_service_account_is_read_anew_at_every_login(backend: Backend) {
    let pod = Pod::new(backend).await;
    // Kubernetes has not written it yet; then one that nobody takes; then the right one.
    fs::remove_file(pod.token_file()).unwrap();
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/readyz", 503, "").await;
    pod.write_token(&somebody().vault().service_account_token("default", "other", None));
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(service.get("/").await.0, 503);
    pod.write_token(&pod.good);
    service.until("/", 200, AS_EVER).await;
}

async fn a_login_after_the_first_shows_what_is_in_the_file_by_then(backend: Backend) {
    let pod = Pod::new(backend).await;
    let before = pod.accessors().await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    pod.write_token(&somebody().vault().service_account_token("default", "other", None));
    pod.write_secret("newer").await;
    pod.revoke(&before).await;
    // The token that it began with would be taken, and what is served is what it read with that.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(service.get("/").await, (200, AS_EVER.to_owned()));
    pod.write_token(&pod.good);
    service.until("/", 200, "password:newer username:static-user").await;
}

async fn a_token_that_was_revoked_is_replaced(backend: Backend) {
    let pod = Pod::new(backend).await;
    let before = pod.accessors().await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    pod.write_secret("newer").await;
    pod.revoke(&before).await;
    service.until("/", 200, "password:newer username:static-user").await;
}

async fn a_token_is_kept_alive_beyond_its_first_life(backend: Backend) {
    let pod = Pod::with_ttl(backend, "8s").await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    sleep(Duration::from_secs(10)).await;
    pod.write_secret("newer").await;
    service.until("/", 200, "password:newer username:static-user").await;
    let logins = service.end().await.matches("logged in").count();
    assert_eq!(logins, 1, "it was renewed, not replaced");
}

async fn it_ends_when_it_is_told_to_and_gives_its_token_back(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&[]).await;
    service.until("/", 200, AS_EVER).await;
    let accessor = |said: &str| {
        let events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut accessors = events.filter_map(|event| event["accessor"].as_str().map(str::to_owned));
        accessors.next().unwrap()
    };
    let accessor = accessor(&service.end().await);
    assert!(!pod.accessors().await.contains(&json!(accessor)));
}

async fn what_nobody_offers_is_not_found(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&[]).await;
    assert_eq!(service.get("/metrics").await.0, 404);
    let mut stream = TcpStream::connect(&service.address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

async fn a_port_that_is_taken_is_told(backend: Backend) {
    let pod = Pod::new(backend).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let failed = crate::cluster::done(pod.command(&port, &[]).spawn().unwrap()).await;
    failed.assert_failure(&[&port, "hint:"]);
    assert_eq!(failed.code, Some(2), "{failed:?}");
}

/// As they stand there; only what is the reader's own is ours: addresses, the file, and the names on a server that others use.
async fn the_commands_of_the_readme_do_what_it_says(backend: Backend) {
    let pod = Pod::new(backend).await;
    let section = include_str!("../../README.md").split("## A service in a cluster").nth(1).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let block = block.replace("\\\n", " ");
    let mut lines = block.lines();
    let started = lines.next().unwrap().strip_prefix("$ ").unwrap();
    let (variables, arguments) = started.split_once(" webapp ").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webapp"));
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    let mut port = "";
    for (name, value) in variables.split_whitespace().map(|pair| pair.split_once('=').unwrap()) {
        match name {
            "VAULT_ADDR" => command.env(name, pod.vault_address().as_str()),
            "JWT_PATH" => command.env(name, pod.token_file()),
            "SERVICE_PORT" => {
                port = value;
                command.env(name, "0")
            }
            _ => panic!("{name} is not known here"),
        };
    }
    for word in arguments.split_whitespace() {
        match word {
            "kubernetes" => command.arg(pod.mount()),
            "secret/webapp/config" => command.arg(pod.secret()),
            _ => command.arg(word),
        };
    }
    let service =
        Service::start(command.args(["--log-format", "json"]).env("SERVICE_ADDRESS", "127.0.0.1")).await;
    service.until("/readyz", 200, "").await;
    let mut asked = 0;
    while let Some(line) = lines.next() {
        let url = line.strip_prefix("$ curl ").unwrap().split_whitespace().next().unwrap();
        let path = url.strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap();
        let (status, text) = service.get(path).await;
        assert_eq!((status, text.trim()), (200, lines.next().unwrap()), "{line}");
        asked += 1;
    }
    assert_eq!(asked, 2);
}

async fn a_thousand_at_once_cost_the_vault_one_read_an_interval(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "3600"]).await;
    service.until("/", 200, AS_EVER).await;
    let asking = (0..1000).map(|_| {
        let address = service.address.clone();
        tokio::spawn(async move { get(&address, "/").await })
    });
    for answer in asking.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), (200, AS_EVER.to_owned()));
    }
    let path = format!("/v1/{}/data/webapp/config", pod.kv);
    let reads = |handled: &&latchkey_testbed::Handled| handled.path == path && handled.method == "GET";
    assert_eq!(pod.backend.world().requests().iter().filter(reads).count(), 1);
}

async fn a_vault_that_is_down_is_waited_for(backend: Backend) {
    let pod = Pod::new(backend).await;
    let login = Target::vault(&format!("/v1/auth/{}/login", pod.mount));
    pod.backend.world().faults().inject(login, 2, Fault::Refuse);
    let service = pod.start(&["--refresh", "1"]).await;
    assert_eq!((service.get("/healthz").await.0, service.get("/readyz").await.0), (200, 503));
    service.until("/", 200, AS_EVER).await;
}

async fn a_vault_that_is_sealed_is_named_and_waited_for(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    pod.write_secret("newer").await;
    pod.backend.world().vault().seal();
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(service.get("/").await, (200, AS_EVER.to_owned()), "what was read is served on");
    pod.backend.world().vault().unseal();
    service.until("/", 200, "password:newer username:static-user").await;
    let said = service.end().await;
    assert!(said.contains("sealed"), "{said}");
    assert_eq!(said.matches("logged in").count(), 1, "the token has outlived it: {said}");
}

async fn a_vault_that_is_slow_keeps_nobody_waiting(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "1"]).await;
    service.until("/", 200, AS_EVER).await;
    let read = Target::vault(&format!("/v1/{}/data/webapp/config", pod.kv));
    // A call may take 30 s.
    pod.backend.world().faults().inject(read, 1000, Fault::Delay(Duration::from_secs(600)));
    sleep(Duration::from_millis(1500)).await;
    for path in ["/", "/healthz", "/readyz"] {
        let answer = timeout(Duration::from_secs(60), service.get(path)).await;
        assert_eq!(answer.unwrap().0, 200, "{path}");
    }
    // Nor its own end, for which Kubernetes has no longer patience than a call has.
    timeout(Duration::from_secs(25), service.end()).await.unwrap();
}

async fn a_secret_that_cannot_be_read_again_is_served_until_it_is_stale(backend: Backend) {
    let pod = Pod::new(backend).await;
    let service = pod.start(&["--refresh", "1", "--stale", "3"]).await;
    service.until("/", 200, AS_EVER).await;
    let read = Target::vault(&format!("/v1/{}/data/webapp/config", pod.kv));
    pod.backend.world().faults().inject(read, 1000, Fault::Refuse);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(service.get("/").await, (200, AS_EVER.to_owned()));
    service.until("/", 503, "").await;
}
