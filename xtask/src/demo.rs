//! `cargo xtask demo`: one sign-in against the test doubles, from nothing to a secret: in JupyterLab, or in a terminal.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::labextension;
use crate::process::{self, Process};
use crate::progress::{self, say};
use crate::project::Project;
use crate::setup::Packages;

/// What `provision` is told; everything else comes from the environment.
pub(crate) const PROVISION: &[&str] = &[];

/// What `login` is told: a secret that `provision` made. The mount and the role are what both take by default.
pub(crate) const LOGIN: &[&str] = &["--secret", "notebook-secret-kv-v2/test", "--field", "data"];

/// It only has to bind two ports and make two keys.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Open JupyterLab with the extension, against doubles of an identity provider and of Vault on this machine.
///
/// Nothing to configure; everything ends with the command.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Do it without a person, and end when a kernel has its secret
    #[arg(long)]
    headless: bool,

    /// Sign in by a program in this terminal instead: no JupyterLab is built or installed
    #[arg(long)]
    terminal: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.terminal { in_terminal(project, arguments) } else { in_jupyterlab(project, arguments) }
}

fn in_jupyterlab(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    say!("building the engine, the extension and the doubles");
    let mut demo = labextension::prepare(project, &Packages::new(project), "demo.mjs")?;
    demo.env("LATCHKEY_UI_OUTPUT", project.target("demo"));
    let status = if arguments.headless {
        project.guard().spawn(demo.arg("--headless"))?.wait()?
    } else {
        // In the foreground, so that it hears Ctrl-C.
        demo.status().context("`node` does not start")?
    };
    succeed("the demo", status)?;
    Ok(ExitCode::SUCCESS)
}

fn in_terminal(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    say!("building the doubles and the programs");
    let programs = Programs::build(project, arguments.headless)?;
    let (_testbed, doubles) = Doubles::start(project, &programs)?;

    say!("\n$ {}", command_line("provision", PROVISION));
    let mut provision = doubles.command(&programs, "provision", PROVISION);
    provision.env("VAULT_TOKEN", &doubles.root_token);
    succeed("provision", project.guard().spawn(&mut provision)?.wait()?)?;

    say!("\n$ {}", command_line("login", LOGIN));
    let mut login = doubles.command(&programs, "login", LOGIN);
    // Any free port: the usual one may be taken, and the demo shall work all the same.
    login.args(["--port", "0"]);
    let status = if arguments.headless {
        let (name, password) = doubles.users.first().context("the provider has no users")?;
        say!("(signing in as {name})");
        // Without a person it must be said which way: nobody sits at this terminal.
        login
            .args(["--flow", "loopback"])
            .env("BROWSER", programs.path("headless-browser"))
            .env("LATCHKEY_USERNAME", name)
            .env("LATCHKEY_PASSWORD", password);
        project.guard().spawn(&mut login)?.wait()?
    } else {
        for (name, password) in &doubles.users {
            say!("sign in as `{name}` with the password `{password}`");
        }
        // In the foreground, so that it may read the terminal and hears Ctrl-C.
        login.status().context("`login` does not start")?
    };
    succeed("login", status)?;
    say!("\nThat was a sign-in at an identity provider, a Vault token from it, and a secret read with it.");
    Ok(ExitCode::SUCCESS)
}

/// How a person calls one of the example programs.
pub(crate) fn command_line(program: &str, arguments: &[&str]) -> String {
    let mut line = format!("cargo run --bin {program}");
    for part in ["--"].iter().chain(arguments).take(if arguments.is_empty() { 0 } else { usize::MAX }) {
        line.push(' ');
        line.push_str(part);
    }
    line
}

/// The compiled programs of the workspace.
struct Programs {
    folder: PathBuf,
}

impl Programs {
    fn build(project: &Project, headless: bool) -> Result<Self> {
        let mut command = project.cargo([
            "build",
            "--bins",
            "--package",
            "latchkey-testbed",
            "--package",
            "latchkey-examples",
        ]);
        if headless {
            command.args(["--package", "latchkey-tests"]);
        }
        let status = command.status().context("cargo does not start")?;
        if !status.success() {
            bail!("the programs do not compile");
        }
        Ok(Self { folder: project.metadata()?.target.join("debug") })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The running doubles, as they introduced themselves.
struct Doubles {
    issuer: String,
    client_id: String,
    client_secret: String,
    users: Vec<(String, String)>,
    vault: String,
    root_token: String,
}

impl Doubles {
    fn start<'project>(project: &'project Project, programs: &Programs) -> Result<(Process<'project>, Self)> {
        let log = project.target("demo/testbed.log");
        let mut command = Command::new(programs.path("testbed"));
        command
            .args(["--provider-port", "0", "--vault-port", "0"])
            .stdout(Stdio::piped())
            .stderr(progress::create_log(&log)?);
        let mut process = project.guard().spawn(&mut command)?;
        let line = first_line(&mut process, &log)?;
        let doubles = Self::parse(&line).context("the testbed did not introduce itself as expected")?;
        say!("  provider  {}", doubles.issuer);
        say!("  vault     {}", doubles.vault);
        Ok((process, doubles))
    }

    fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).context("not JSON")?;
        let text = |pointer: &str| -> Result<String> {
            let text = value.pointer(pointer).and_then(Value::as_str);
            Ok(text.with_context(|| format!("no text at {pointer}"))?.to_owned())
        };
        let users = value.pointer("/provider/users").and_then(Value::as_array).context("no users")?;
        Ok(Self {
            issuer: text("/provider/issuer")?,
            client_id: text("/provider/client_id")?,
            client_secret: text("/provider/client_secret")?,
            users: users
                .iter()
                .filter_map(|user| Some((user["name"].as_str()?.into(), user["password"].as_str()?.into())))
                .collect(),
            vault: text("/vault/address")?,
            root_token: text("/vault/root_token")?,
        })
    }

    /// One of the example programs, pointed at the doubles and at nothing else that the environment may name.
    fn command(&self, programs: &Programs, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs.path(name));
        command.args(arguments);
        process::forget_vault(&mut command);
        command.env_remove("LATCHKEY_ISSUER_CACERT");
        command
            .env("VAULT_ADDR", &self.vault)
            .env("LATCHKEY_ISSUER", &self.issuer)
            .env("LATCHKEY_CLIENT_ID", &self.client_id)
            .env("LATCHKEY_CLIENT_SECRET", &self.client_secret);
        command
    }
}

fn first_line(process: &mut Process<'_>, log: &Path) -> Result<String> {
    let stdout = process.take_stdout().context("the testbed has no output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let _ = sender.send(read.is_ok_and(|count| count > 0).then_some(line));
    });
    match receiver.recv_timeout(READY_WITHIN) {
        Ok(Some(line)) => Ok(line),
        Ok(None) => bail!("the testbed ended before it was ready:\n{}", progress::tail(log, 15)),
        Err(_) => bail!("the testbed was not ready within {}", progress::seconds(READY_WITHIN)),
    }
}

fn succeed(name: &str, status: std::process::ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{name}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_testbed_introduces_itself() {
        let doubles = Doubles::parse(
            r#"{"provider":{"issuer":"i","client_id":"c","client_secret":"s",
                "users":[{"name":"n","password":"p"}]},"vault":{"address":"a","root_token":"t"}}"#,
        )
        .unwrap();
        assert_eq!(doubles.issuer, "i");
        assert_eq!(doubles.users, [("n".to_owned(), "p".to_owned())]);
        assert_eq!(doubles.root_token, "t");
    }

    #[test]
    fn a_missing_part_is_named() {
        let error = Doubles::parse(r#"{"provider":{"users":[]},"vault":{}}"#).err().unwrap();
        assert_eq!(error.to_string(), "no text at /provider/issuer");
    }

    #[test]
    fn command_lines_have_a_separator_only_before_arguments() {
        assert_eq!(command_line("provision", &[]), "cargo run --bin provision");
        assert_eq!(command_line("login", &["--oob"]), "cargo run --bin login -- --oob");
    }
}
