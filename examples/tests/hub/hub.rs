//! A running JupyterHub, and what is asked of it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use latchkey_tests::{Browser, Page, free_ports};
use latchkey_transport::{Method, Request, ReqwestTransport, Secret, Transport as _};
use serde_json::{Value, json};
use url::Url;

use crate::keycloak::{PASSWORD, Person};

/// How long a hub may take to start: 4 s idle, and many times that beside a compiler.
const PATIENCE: Duration = Duration::from_secs(180);

const PROBE: &str = "a-token-for-the-probe-alone";

/// The ports of a hub.
pub struct Ports([u16; 3]);

impl Ports {
    pub fn free() -> Self {
        Self(free_ports().unwrap())
    }

    /// Where people find the hub.
    pub fn address(&self) -> Url {
        format!("http://127.0.0.1:{}/", self.0[0]).parse().unwrap()
    }
}

/// A running hub with its proxy and its servers; they end with it.
pub struct Hub {
    command: Command,
    child: Child,
    address: Url,
    log: PathBuf,
}

impl Hub {
    /// Starts a hub of a virtual environment in a folder, with these variables.
    pub fn start(venv: &Path, ports: &Ports, folder: &Path, variables: &[(&str, String)]) -> Self {
        fs::create_dir_all(folder).unwrap();
        let log = folder.join("hub.log");
        let output = fs::File::create(&log).unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let node = PathBuf::from(env::var_os("LATCHKEY_NODE_PEERS").unwrap()).join("node_modules/.bin");
        let usual = env::var_os("PATH").unwrap_or_default();
        let paths = [venv.join("bin"), node].into_iter().chain(env::split_paths(&usual));
        let Ports([public, hub, proxy]) = ports;
        let mut command = Command::new(venv.join("bin/jupyterhub"));
        command
            .arg("--config")
            .arg(here.join("tests/hub/config.py"))
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("PATH", env::join_paths(paths).unwrap())
            .env("HUB_CONFIG", here.join("hub/jupyterhub_config.py"))
            .env("HUB_URL", format!("http://127.0.0.1:{public}"))
            .env("HUB_PORT", hub.to_string())
            .env("PROXY_API_URL", format!("http://127.0.0.1:{proxy}"))
            .env("PROBE_TOKEN", PROBE)
            .env("JUPYTERHUB_CRYPT_KEY", "6d".repeat(32))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0);
        let child = command.spawn().unwrap();
        Self { command, child, address: ports.address(), log }
    }

    /// Ends the hub alone, by this signal: after `-KILL` its servers live on, and its services, too.
    pub async fn end(&mut self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the hub does not end: {}", self.told());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts it again, at the ports that it had.
    pub async fn begin(&mut self) {
        for _ in 0..5 {
            self.child = self.command.spawn().unwrap();
            if self.comes_up().await {
                return;
            }
            // For a moment a port was somebody else's.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        panic!("the hub is not up again: {}", self.told());
    }

    pub fn at(&self, path: &str) -> Url {
        self.address.join(path).unwrap()
    }

    pub async fn is_up(&mut self) {
        assert!(self.comes_up().await, "the hub is not up: {}", self.told());
    }

    /// Waits until it answers, or has ended.
    async fn comes_up(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            let health = Request::for_url(Method::Get, self.at("hub/health"));
            match ReqwestTransport::new().unwrap().send(health).await {
                Ok(reply) if reply.status() == 200 => return true,
                _ => {}
            }
            if self.child.try_wait().unwrap().is_some() || begun.elapsed() > PATIENCE {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What it has written to its log.
    pub fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks its API, as an administrator.
    pub async fn api(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(method, path, &body);
        let reply = ReqwestTransport::new().unwrap().send(request).await.unwrap();
        (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
    }

    /// What asks it.
    pub fn request(&self, method: Method, path: &str, body: &Value) -> Request {
        let mut request = Request::for_url(method, self.at(&format!("hub/api/{path}")))
            .with_secret_header("authorization", Secret::new(format!("token {PROBE}")))
            .with_time_limit(PATIENCE);
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        request
    }

    /// Signs a person in, with a browser of their own.
    pub async fn sign_in(&self, person: &Person) -> Browser {
        let browser = Browser::new(Arc::new(ReqwestTransport::new().unwrap()));
        let login = self.at("hub/oauth_login?next=/hub/home");
        let page = browser.sign_in(&login, &person.name, PASSWORD, None).await.unwrap();
        assert_eq!((page.status, page.address.path()), (200, "/hub/home"), "{}", self.told());
        browser
    }

    /// Opens a page of the hub.
    pub async fn page(&self, browser: &Browser, path: &str) -> Page {
        browser.open(&self.at(path), None).await.unwrap()
    }

    pub async fn user(&self, person: &Person) -> Value {
        let (status, user) = self.api(Method::Get, &format!("users/{}", person.name), Value::Null).await;
        assert_eq!(status, 200, "{user}");
        user
    }

    pub async fn auth_state(&self, person: &Person) -> Value {
        self.user(person).await["auth_state"].clone()
    }

    /// Changes what the hub keeps of a person's sign-in.
    pub async fn set_auth_state(&self, person: &Person, state: &Value) {
        let path = format!("users/{}", person.name);
        let (status, said) = self.api(Method::Patch, &path, json!({"auth_state": state})).await;
        assert_eq!(status, 200, "{said}");
    }

    /// Has a person's server started: its process, or the status and the message.
    pub async fn spawn(&self, person: &Person) -> Result<Server, (u16, String)> {
        let path = format!("users/{}/server", person.name);
        let (status, said) = self.api(Method::Post, &path, json!({})).await;
        if status != 201 {
            return Err((status, said["message"].as_str().unwrap_or_default().to_owned()));
        }
        Ok(self.server(person).await)
    }

    /// Somebody's server, which must run.
    pub async fn server(&self, person: &Person) -> Server {
        let user = self.user(person).await;
        let server = &user["servers"][""];
        let pid = server["state"]["pid"].as_u64().unwrap_or_else(|| panic!("{user} {}", self.told()));
        assert_eq!(server["ready"], true, "{user}");
        Server { pid, address: self.at(&format!("user/{}/", person.name)) }
    }

    /// The same where it must start.
    pub async fn started(&self, person: &Person) -> Server {
        match self.spawn(person).await {
            Ok(server) => server,
            Err(problem) => panic!("{problem:?} {}", self.told()),
        }
    }

    /// The same where it must not: nothing of it is left, and the next try is a new one.
    pub async fn refused(&self, person: &Person) -> (u16, String) {
        let problem = self.spawn(person).await.err().unwrap();
        let user = self.user(person).await;
        let server = &user["servers"][""];
        assert!(server.is_null() || (server["ready"] == false && server["pending"].is_null()), "{user}");
        problem
    }

    pub async fn stop(&self, person: &Person) {
        let path = format!("users/{}/server", person.name);
        let begun = Instant::now();
        while self.api(Method::Delete, &path, Value::Null).await.0 != 404
            && !self.user(person).await["servers"][""].is_null()
        {
            assert!(begun.elapsed() < PATIENCE, "{}", self.told());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The hub ends its proxy and its servers by itself, which have sessions of their own.
        let group = format!("-{}", self.child.id());
        for signal in ["-TERM", "-KILL"] {
            let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            for _ in 0..300 {
                if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The process of somebody's server.
#[derive(Debug)]
pub struct Server {
    pub pid: u64,
    pub address: Url,
}

impl Server {
    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap();
        let mut variables = environment.split(|byte| *byte == 0);
        let prefix = format!("{name}=");
        let found = variables.find_map(|variable| variable.strip_prefix(prefix.as_bytes()))?;
        Some(String::from_utf8(found.to_vec()).unwrap())
    }

    /// Its real, effective, saved and file system uids, or gids.
    pub fn ids(&self, kind: &str) -> Vec<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        line.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }
}
