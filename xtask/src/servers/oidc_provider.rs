//! A certified provider: npm's `oidc-provider`, set up by `tests/npm/oidc-provider.mjs`.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::{Launch, Server};
use crate::http;
use crate::project::Project;
use crate::setup::Packages;
use crate::tools::NODE_PEERS;

/// That of `tests/npm/package.json`.
const VERSION: &str = "9.13.3";

pub(crate) const SERVER: Server = Server {
    name: "oidc-provider",
    key: "oidc-provider",
    version: VERSION,
    ports: 1,
    // Up in 1 s; a machine that is busy compiling may take sixty times that.
    deadline: Duration::from_secs(60),
    install,
    command,
    // The issuer that the script gives itself.
    address: |port| format!("http://localhost:{port}"),
    version_at,
};

fn install(project: &Project, packages: &Packages<'_>) -> Result<bool> {
    NODE_PEERS.provide(project, packages)
}

#[expect(clippy::unnecessary_wraps, reason = "another server has files to write first")]
fn command(project: &Project, launch: &Launch) -> Result<Command> {
    let mut command = Command::new("node");
    command.arg("oidc-provider.mjs").arg(launch.port.to_string()).current_dir(NODE_PEERS.folder(project));
    Ok(command)
}

fn version_at(address: &str) -> Option<String> {
    let answer =
        http::get(address, "/.well-known/openid-configuration").filter(|answer| answer.status == 200)?;
    let document: Value = serde_json::from_str(&answer.body).ok()?;
    // It does not tell its version; this is the only one that we install.
    (document["issuer"] == address).then(|| VERSION.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_file() {
        let text = include_str!("../../../tests/npm/package.json");
        let package: Value = serde_json::from_str(text).unwrap();
        assert_eq!(package["dependencies"]["oidc-provider"], VERSION);
    }
}
