//! A real API server with its etcd, which a test has for itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use latchkey_transport::{Method, Request, ReqwestTransport, Transport};
use serde_json::Value;
use tempfile::TempDir;

use crate::free_ports;
use crate::kubernetes::api_server;

/// etcd and kube-apiserver, on free ports of this machine. They end with this value.
///
/// Nothing else of a cluster is there: no controller, no scheduler, no kubelet. What is created is kept and nothing comes of
/// it.
pub struct OwnApiServer {
    address: String,
    ca_pem: String,
    transport: ReqwestTransport,
    // Before the folder: they write to it.
    server: Running,
    _etcd: Running,
    folder: TempDir,
}

/// A program in the background.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(program: &Path, folder: &Path, name: &str, arguments: &[String]) -> anyhow::Result<Self> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", folder).current_dir(folder);
        Ok(Self(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?))
    }
}

impl OwnApiServer {
    /// Whoever shows this may do everything: it is in the server's own file.
    pub const ADMIN: &str = "the-token-of-the-administrator";

    /// How long it may take to start.
    const PATIENCE: Duration = Duration::from_secs(180);

    /// Starts both, the server with some more arguments.
    pub async fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let (etcd, server) = api_server().context("kube-apiserver is not built")?;
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let admin = Self::ADMIN;
        fs::write(path("tokens.csv"), format!("{admin},admin,admin,system:masters\n"))?;
        let accounts = rcgen::KeyPair::generate()?;
        fs::write(path("accounts.pem"), accounts.serialize_pem())?;
        fs::write(path("accounts.pub"), accounts.public_key_pem())?;

        let [client, peer, secure] = free_ports()?;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd_arguments = [
            format!("--data-dir={}", path("etcd")),
            format!("--listen-client-urls={}", at(client)),
            format!("--advertise-client-urls={}", at(client)),
            format!("--listen-peer-urls={}", at(peer)),
            format!("--initial-advertise-peer-urls={}", at(peer)),
            format!("--initial-cluster=default={}", at(peer)),
        ];
        let own_arguments = [
            format!("--etcd-servers={}", at(client)),
            format!("--cert-dir={}", path("certificates")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={secure}"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", path("accounts.pub")),
            format!("--service-account-signing-key-file={}", path("accounts.pem")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--anonymous-auth=false".to_owned(),
        ];
        let etcd = Running::start(&etcd, folder.path(), "etcd", &etcd_arguments)?;
        let arguments = [&own_arguments, arguments].concat();
        let server = Running::start(&server, folder.path(), "kube-apiserver", &arguments)?;
        let mut this = Self {
            address: format!("https://127.0.0.1:{secure}"),
            ca_pem: String::new(),
            transport: ReqwestTransport::new()?,
            server,
            _etcd: etcd,
            folder,
        };
        let begun = Instant::now();
        while !this.ca_path().is_file() {
            this.must_start(begun)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        this.ca_pem = fs::read_to_string(this.ca_path())?;
        this.transport = ReqwestTransport::builder()
            .with_root_certificates(this.ca_pem.as_bytes())
            .with_named_roots_only()
            .build()?;
        while this.status("/readyz", admin).await != Some(200) {
            this.must_start(begun)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(this)
    }

    fn must_start(&mut self, begun: Instant) -> anyhow::Result<()> {
        let ended = self.server.0.try_wait()?;
        if ended.is_none() && begun.elapsed() < Self::PATIENCE {
            return Ok(());
        }
        let log = fs::read_to_string(self.folder.path().join("kube-apiserver.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!("there is no API server ({ended:?}):\n{end}")
    }

    /// Returns its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the certificate that vouches for it, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the file with that certificate.
    pub fn ca_path(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    /// Returns what a request with that token is answered, as a status.
    pub async fn status(&self, path: &str, token: &str) -> Option<u16> {
        let request = Request::for_url(Method::Get, format!("{}{path}", self.address).parse().ok()?);
        let request = request.with_secret_header("authorization", format!("Bearer {token}").into());
        self.transport.send(request).await.ok().map(|reply| reply.status())
    }

    /// Asks it as the administrator.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
        let bearer = format!("Bearer {}", Self::ADMIN);
        let mut request = Request::for_url(method, format!("{}{path}", self.address).parse()?)
            .with_secret_header("authorization", bearer.into());
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        let reply = self.transport.send(request).await?;
        Ok((reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null)))
    }
}
