//! A Redis of a test's own, which may be ended and started again.

use std::env;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::free_ports;
use crate::kubernetes::Certificate;

/// Returns where Redis is installed (Debian's `redis-server`).
pub fn redis_server() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|program| program.is_file())
}

/// A Redis that keeps nothing on disk, at a socket in a folder of its own. It ends with this value.
pub struct OwnRedis {
    folder: TempDir,
    program: PathBuf,
    child: Mutex<Option<Child>>,
    /// Where it listens with TLS, too.
    tls: Option<u16>,
}

impl OwnRedis {
    /// The password that it wants.
    pub const PASSWORD: &'static str = "redis-hush-hush";

    /// Starts one.
    pub fn start() -> anyhow::Result<Self> {
        let program = redis_server().context("there is no redis-server (`cargo xtask tools`)")?;
        let redis = Self { folder: tempfile::tempdir()?, program, child: Mutex::default(), tls: None };
        redis.run()?;
        Ok(redis)
    }

    /// Starts one that listens with TLS as well, and shows this certificate.
    pub fn start_with(certificate: &Certificate) -> anyhow::Result<Self> {
        let program = redis_server().context("there is no redis-server (`cargo xtask tools`)")?;
        let mut redis = Self { folder: tempfile::tempdir()?, program, child: Mutex::default(), tls: None };
        fs::write(redis.folder.path().join("cert.pem"), &certificate.pem)?;
        fs::write(redis.folder.path().join("key.pem"), &certificate.key_pem)?;
        redis.tls = Some(free_ports::<1>()?[0]);
        redis.run()?;
        Ok(redis)
    }

    /// Returns its address with TLS, for that user.
    pub fn tls_address(&self, user: &str) -> anyhow::Result<String> {
        let port = self.tls.context("it has no TLS")?;
        Ok(format!("rediss://{user}@127.0.0.1:{port}/0"))
    }

    /// Returns its address, as programs take it.
    pub fn address(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Ends it at once. What it kept is lost.
    pub fn end(&self) {
        if let Some(mut child) = self.child.lock().expect("no test panics with it").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// Lets it stand still, so that it takes calls and answers none, or lets it go on.
    pub fn stand_still(&self, still: bool) -> anyhow::Result<()> {
        let child = self.child.lock().expect("no test panics with it");
        let pid = child.as_ref().context("it has ended")?.id().to_string();
        let status = Command::new("kill").args([if still { "-STOP" } else { "-CONT" }, &pid]).status()?;
        if !status.success() {
            bail!("kill: {status}");
        }
        Ok(())
    }

    /// Starts it again, with nothing in it.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--maxclients", "500"])
            .args(["--requirepass", Self::PASSWORD, "--unixsocket"])
            .arg(self.socket())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(port) = self.tls {
            command.args([
                "--bind",
                "127.0.0.1",
                "--tls-port",
                &port.to_string(),
                "--tls-auth-clients",
                "no",
            ]);
            command.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
        }
        *self.child.lock().expect("no test panics with it") = Some(command.spawn()?);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            // Its last: by then it listens everywhere.
            if UnixStream::connect(self.socket()).is_ok() {
                return Ok(());
            }
            let mut child = self.child.lock().expect("no test panics with it");
            if let Some(status) = child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
                bail!("Redis ended at once ({status})");
            }
            drop(child);
            sleep(Duration::from_millis(10));
        }
        bail!("Redis does not come up within 60 s")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.end();
    }
}
