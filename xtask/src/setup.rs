//! `cargo xtask setup`: what a machine with Rust, Python and Node still lacks.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::progress::{self, say};
use crate::project::Project;
use crate::servers::{self, Lock};
use crate::tools;
use crate::wasm::Toolchain;

/// Installs Java, Maven, the wasm32 target, the real servers and the programs of others where they are missing.
///
/// Everything but Debian packages and the wasm32 target stays below `target/`. What is there is kept; what was
/// interrupted is done again.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(project: &Project, _: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    say!("setting up (details in {})", project.target("servers/logs").display());
    let packages = Packages::new(project);
    components(project)?;
    thread::scope(|scope| {
        let wasm = scope.spawn(|| {
            Toolchain::provide(&packages)?;
            say!("  wasm32: ready");
            Ok(())
        });
        let servers = servers(project, &packages);
        let tools = tools::provide(project, &packages);
        joined(wasm.join()).and(servers).and(tools)
    })?;
    say!("ready after {}", progress::seconds(begun.elapsed()));
    say!("next: `cargo xtask demo`, `cargo xtask test`, or `cargo xtask servers up`");
    Ok(ExitCode::SUCCESS)
}

/// Installs the servers, side by side.
pub(crate) fn servers(project: &Project, packages: &Packages<'_>) -> Result<()> {
    let _lock = Lock::acquire(project)?;
    thread::scope(|scope| {
        let running = servers::ALL.map(|server| {
            scope.spawn(move || {
                let begun = Instant::now();
                if (server.install)(project, packages)? {
                    let took = progress::seconds(begun.elapsed());
                    say!("  {} {}: installed in {took}", server.name, server.version);
                } else {
                    say!("  {} {}: ready", server.name, server.version);
                }
                Ok(())
            })
        });
        // All come to an end before the first failure is reported.
        running.map(|thread| joined(thread.join())).into_iter().collect()
    })
}

/// Adds rustfmt and clippy where a minimal Rust came without them.
pub(crate) fn components(project: &Project) -> Result<()> {
    for (verb, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if succeeds(&mut project.cargo([verb, "--version"])) {
            continue;
        }
        say!("  {component}: rustup component add");
        if !succeeds(Command::new("rustup").args(["component", "add", component])) {
            bail!("`cargo {verb}` is missing, and `rustup component add {component}` failed");
        }
    }
    Ok(())
}

/// The packages of the operating system.
pub(crate) struct Packages<'project> {
    project: &'project Project,
    /// Whether the lists are fresh; locked while apt works, for apt refuses to run twice.
    updated: Mutex<bool>,
}

impl<'project> Packages<'project> {
    pub(crate) fn new(project: &'project Project) -> Self {
        Self { project, updated: Mutex::new(false) }
    }

    pub(crate) fn project(&self) -> &'project Project {
        self.project
    }

    /// Installs packages with apt if we may, and otherwise says what to do.
    pub(crate) fn install(&self, names: &[&str], purpose: &str) -> Result<()> {
        let list = names.join(" ");
        let mut updated = self.updated.lock().unwrap_or_else(PoisonError::into_inner);
        if !Path::new("/usr/bin/apt-get").is_file() {
            bail!("please install what Debian calls `{list}` {purpose}, and run this again");
        }
        if !is_root() {
            bail!("please run `sudo apt-get install {list}` {purpose}, and run this again");
        }
        if !*updated {
            say!("  apt-get update");
            self.apt_get(&["update"])?;
            *updated = true;
        }
        say!("  apt-get install {list}");
        self.apt_get(&[&["install", "--yes", "--no-install-recommends"], names].concat())
    }

    /// Unpacks a package of Debian into a folder below `target/`: installed, what is in it would run, or change the machine.
    /// Where there is no apt, or it does not have the package, nothing is there afterwards.
    pub(crate) fn unpack(&self, package: &str, folder: &Path) -> Result<()> {
        let mut updated = self.updated.lock().unwrap_or_else(PoisonError::into_inner);
        if !Path::new("/usr/bin/apt-get").is_file() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let download = || {
            let mut download = Command::new("apt-get");
            download.args(["download", package]).current_dir(folder);
            run_step(self.project, package, &format!("apt-get download {package}"), &mut download).is_ok()
        };
        let is_there = download() || {
            // Perhaps it was never asked what there is.
            *updated = *updated || (is_root() && self.apt_get(&["update"]).is_ok());
            *updated && download()
        };
        if !is_there {
            return Ok(());
        }
        let file = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|this| this == "deb"))
            .context("apt-get downloaded nothing")?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(&file).arg(folder);
        run_step(self.project, package, "dpkg-deb --extract", &mut unpack)?;
        Ok(fs::remove_file(file)?)
    }

    fn apt_get(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run_step(self.project, "apt", "apt-get", &mut command)
    }
}

/// Runs one step of an installation; an error carries the end of its log.
pub(crate) fn run_step(project: &Project, log: &str, title: &str, command: &mut Command) -> Result<()> {
    let log = project.target(format!("servers/logs/setup-{log}.log"));
    let finished = progress::run_logged(project.guard(), title, command, &log)?;
    if !finished.success {
        let status = finished.status;
        bail!("{title} failed ({status}); the end of {}:\n{}", log.display(), progress::tail(&log, 15));
    }
    Ok(())
}

/// Whether a command can be run and likes its arguments.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The result of a thread, whose panic is an error like any other.
pub(crate) fn joined<T>(result: thread::Result<Result<T>>) -> Result<T> {
    result.map_err(|_| anyhow!("a thread of xtask panicked")).and_then(|result| result)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.context("`id` does not run").is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
