//! What the tests of programs share.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use latchkey_tests::{Backend, Browser, Page, READER, User};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use url::Url;

pub const SECRET: &str = "notebook-secret-kv-v2/test";
pub const CONTENT: &str = "Hello from Latchkey";

/// The real servers have one set-up for all tests, so that one test at a time may use it.
pub static TURN: Mutex<()> = Mutex::const_new(());

/// A provisioned backend.
pub struct Ground {
    pub backend: Backend,
    pub _turn: MutexGuard<'static, ()>,
}

pub async fn ground(backend: Backend) -> Ground {
    let turn = TURN.lock().await;
    let done = provision(&backend, &[]).await;
    assert!(done.is_success(), "{done:?}");
    Ground { backend, _turn: turn }
}

/// How a program ended.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl fmt::Debug for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stderr, .. } = self;
        write!(formatter, "code {code:?}, standard output {:?}, standard error {stderr:?}", self.text())
    }
}

impl Done {
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn assert_failed(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for words in told {
            assert!(self.stderr.contains(words), "{words:?} is missing in: {}", self.stderr);
        }
    }
}

pub fn program(backend: &Backend, path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments).env_clear().kill_on_drop(true);
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command.env("VAULT_ADDR", backend.vault_address.as_str()).env("LATCHKEY_ISSUER", &backend.issuer);
    command.env("LATCHKEY_CLIENT_ID", &backend.client_id);
    // Opened for a program of ours, which is told so.
    command.env("LATCHKEY_CLIENT_SECRET", backend.client_secret.expose_secret());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a program with this on its standard input, to its end.
pub async fn done(mut command: Command, input: &str) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who reads nothing of it may have ended by now.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(Duration::from_secs(120), child.wait_with_output()).await.unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Done { code: output.status.code(), stdout: output.stdout, stderr }
}

pub async fn provision(backend: &Backend, arguments: &[&str]) -> Done {
    let mut command = program(backend, env!("CARGO_BIN_EXE_provision"), arguments);
    command.env("VAULT_TOKEN", backend.root.expose_secret());
    done(command, "").await
}

/// A running `login`, as far as its address.
pub struct Running {
    pub child: Child,
    pub lines: Lines<BufReader<ChildStderr>>,
    pub seen: String,
}

pub fn login(backend: &Backend, arguments: &[&str]) -> Running {
    login_with(backend, arguments, &[])
}

pub fn login_with(backend: &Backend, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
    let mut all = vec!["--no-browser", "--port", "0"];
    all.extend(arguments);
    if !arguments.contains(&"--flow") {
        // A test sits at no terminal.
        all.extend(["--flow", "loopback"]);
    }
    if !arguments.contains(&"--secret") {
        all.extend(["--secret", SECRET]);
    }
    let mut command = program(backend, env!("CARGO_BIN_EXE_login"), &all);
    command.envs(environment.iter().copied());
    running(command)
}

pub fn running(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    Running { child, lines, seen: String::new() }
}

impl Running {
    /// Waits for the address to sign in at.
    pub async fn address(&mut self) -> Url {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            let url = Url::parse(line.trim());
            self.seen.push_str(&(line + "\n"));
            if let Ok(url) = url {
                return url;
            }
        }
        panic!("no address: {}", self.seen);
    }

    pub async fn paste(&mut self, text: &str) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(format!("{text}\n").as_bytes()).await.unwrap();
        stdin.shutdown().await.unwrap();
    }

    pub async fn end(mut self) -> Done {
        drop(self.child.stdin.take());
        let mut stdout = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).await.unwrap();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push_str(&(line + "\n"));
        }
        Done { code: self.child.wait().await.unwrap().code(), stdout, stderr: self.seen }
    }
}

pub async fn sign_in(backend: &Backend, address: &Url, user: User) -> Page {
    let browser = Browser::new(backend.transport.clone());
    browser.sign_in(address, user.name, user.password, None).await.unwrap()
}

/// Runs `login` and signs in through its listener.
pub async fn signed_in(backend: &Backend, arguments: &[&str]) -> Done {
    let mut login = login(backend, arguments);
    let address = login.address().await;
    let page = sign_in(backend, &address, READER).await;
    assert_eq!(page.status, 200, "{}", page.html);
    login.end().await
}
