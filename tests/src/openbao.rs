//! An `OpenBao` of a test's own, which may be sealed and restarted.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use latchkey_transport::{Method, Request, ReqwestTransport, Secret, Transport};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::free_ports;

/// Where `cargo xtask servers` has installed it: below the folder of what is built, and so of this program.
fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let mut programs = own.ancestors().map(|folder| folder.join("servers/openbao/bin/bao"));
    programs.find(|program| program.is_file()).context("OpenBao is not installed (`cargo xtask servers up`)")
}

/// A server with its storage in a file, so that a restart forgets nothing. It ends with this value.
pub struct OwnOpenBao {
    folder: TempDir,
    program: PathBuf,
    address: Url,
    child: Mutex<Option<Child>>,
    transport: ReqwestTransport,
    key: Secret,
    root: Secret,
}

impl OwnOpenBao {
    /// Starts one, initialised and unsealed.
    pub async fn start() -> anyhow::Result<Self> {
        let program = program()?;
        let [port, cluster] = free_ports()?;
        let folder = tempfile::tempdir()?;
        let configuration = json!({
            "listener": {"tcp": {
                "address": format!("127.0.0.1:{port}"),
                "cluster_address": format!("127.0.0.1:{cluster}"),
                "tls_disable": true,
            }},
            "storage": {"raft": {"path": folder.path(), "node_id": "one", "performance_multiplier": "1"}},
            "api_addr": format!("http://127.0.0.1:{port}"),
            "cluster_addr": format!("http://127.0.0.1:{cluster}"),
        });
        std::fs::write(folder.path().join("server.json"), configuration.to_string())?;
        let mut server = Self {
            folder,
            program,
            address: Url::parse(&format!("http://127.0.0.1:{port}"))?,
            child: Mutex::default(),
            transport: ReqwestTransport::new()?,
            key: Secret::new(""),
            root: Secret::new(""),
        };
        server.run().await?;
        let made =
            server.call(Method::Put, "sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).await?;
        server.key = Secret::new(made["keys"][0].as_str().context("no key")?);
        server.root = Secret::new(made["root_token"].as_str().context("no root token")?);
        server.unseal().await?;
        Ok(server)
    }

    /// Returns its address.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// Returns its root token.
    pub fn root(&self) -> &Secret {
        &self.root
    }

    /// Returns what unseals it.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Seals it.
    pub async fn seal(&self) -> anyhow::Result<()> {
        self.call(Method::Put, "sys/seal", Value::Null).await.map(drop)
    }

    /// Unseals it, and waits until it serves.
    pub async fn unseal(&self) -> anyhow::Result<()> {
        // Opened for a server of our own.
        self.call(Method::Put, "sys/unseal", json!({"key": self.key.expose_secret()})).await?;
        self.until(|status| status == 200).await
    }

    /// Ends it and starts it again. It is sealed then.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.end();
        self.run().await
    }

    async fn run(&self) -> anyhow::Result<()> {
        let child = Command::new(&self.program)
            .arg("server")
            .arg(format!("-config={}", self.folder.path().join("server.json").display()))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        *self.child.lock().expect("no test panics with it") = Some(child);
        self.until(|_| true).await
    }

    fn end(&self) {
        if let Some(mut child) = self.child.lock().expect("no test panics with it").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    async fn until(&self, is_good: impl Fn(u16) -> bool) -> anyhow::Result<()> {
        /// A second on an idle machine, and many times that beside a compiler.
        const PATIENCE: Duration = Duration::from_secs(120);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let request = Request::new(Method::Get, "/v1/sys/health").at(&self.address);
            if let Ok(reply) = self.transport.send(request).await
                && is_good(reply.status())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the server does not come up within {} s", PATIENCE.as_secs())
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let mut request = Request::new(method, format!("/v1/{path}")).at(&self.address);
        if !self.root.is_empty() {
            request = request.with_secret_header("X-Vault-Token", self.root.clone());
        }
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        let reply = self.transport.send(request).await?;
        if !reply.is_success() {
            bail!("{path}: {} {}", reply.status(), String::from_utf8_lossy(reply.body()));
        }
        Ok(serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
    }
}

impl Drop for OwnOpenBao {
    fn drop(&mut self) {
        self.end();
    }
}
