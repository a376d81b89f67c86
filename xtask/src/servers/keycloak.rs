//! Keycloak: the identity provider, with the realm of `tests/servers/hashicorp-realm.json`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Launch, Server};
use crate::http;
use crate::install::{self, Stamp};
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages};

const VERSION: &str = "26.6.4";

/// The options that are compiled into the installation, so that every start is quick.
const BUILD: &[&str] = &["build", "--db=dev-mem", "--health-enabled=true", "--cache=local"];

/// What the realm file holds, and a program needs to know.
pub(crate) const REALM: &str = "HashiCorp";
pub(crate) const CLIENT_ID: &str = "vault-oidc";
pub(crate) const CLIENT_SECRET: &str = "s3cr3t";
pub(crate) const USERS: &[&str] = &["reader", "management"];

pub(crate) const SERVER: Server = Server {
    name: "Keycloak",
    key: "keycloak",
    version: VERSION,
    ports: 2,
    // 15–40 s idle and 90 s on a busy machine were seen: three times that before we give up.
    deadline: Duration::from_secs(270),
    install,
    command,
    // One spelling only: the issuer follows the host that was asked, and users say `localhost`.
    address: |port| format!("http://localhost:{port}"),
    version_at,
};

/// The issuer of the realm.
pub(crate) fn issuer(address: &str) -> String {
    format!("{address}/realms/{REALM}")
}

fn folder(project: &Project) -> PathBuf {
    project.target("servers/keycloak")
}

fn install(project: &Project, packages: &Packages<'_>) -> Result<bool> {
    let folder = folder(project);
    let stamp = Stamp::new(&folder, &format!("keycloak {VERSION} {}", BUILD.join(" ")));
    if stamp.holds() {
        return Ok(false);
    }
    install::check_java(packages)?;
    install::check_python(packages)?;
    stamp.begin()?;

    say!("  Keycloak {VERSION}: downloading 174 MB with mvn");
    let downloads = folder.join("download");
    let mut mvn = Command::new("mvn");
    mvn.args(["--batch-mode", "--no-transfer-progress", "dependency:copy"])
        .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"))
        .arg(format!("-DoutputDirectory={}", downloads.display()))
        // Outside of the workspace: no file of ours can be taken for a Maven project.
        .current_dir(&folder);
    setup::run_step(project, "keycloak", "mvn dependency:copy", &mut mvn)?;

    say!("  Keycloak {VERSION}: unpacking and building");
    let mut unzip = Command::new("python3");
    unzip
        .args(["-m", "zipfile", "-e"])
        .arg(downloads.join(format!("keycloak-quarkus-dist-{VERSION}.zip")))
        .arg(&folder);
    setup::run_step(project, "keycloak", "unpacking Keycloak", &mut unzip)?;
    fs::remove_dir_all(&downloads)?;
    make_executable(&home(project).join("bin"))?;

    let mut build = kc(project);
    build.args(BUILD);
    setup::run_step(project, "keycloak", "kc.sh build", &mut build)?;
    stamp.finish()?;
    Ok(true)
}

fn command(project: &Project, launch: &Launch) -> Result<Command> {
    import_realm(project)?;
    let mut command = kc(project);
    command
        .args(["start", "--optimized", "--import-realm", "--http-enabled=true", "--http-host=127.0.0.1"])
        .arg(format!("--http-port={}", launch.port))
        .arg(format!("--http-management-port={}", launch.second_port))
        .arg("--hostname-strict=false")
        // Compiled in, and still needed here: without it two cluster ports open on every interface.
        .arg("--cache=local")
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &launch.admin_password)
        // The quick compiler only: a server that lives for minutes saves a third of its processor time.
        .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1");
    Ok(command)
}

fn version_at(address: &str) -> Option<String> {
    let path = format!("/realms/{REALM}/.well-known/openid-configuration");
    let answer = http::get(address, &path).filter(|answer| answer.status == 200)?;
    let document: Value = serde_json::from_str(&answer.body).ok()?;
    // It does not tell its version to strangers; this is the only one that we install.
    (document["issuer"] == issuer(address)).then(|| VERSION.to_owned())
}

fn home(project: &Project) -> PathBuf {
    folder(project).join(format!("keycloak-{VERSION}"))
}

fn kc(project: &Project) -> Command {
    let home = home(project);
    let mut command = Command::new(home.join("bin/kc.sh"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("KC_") || name.starts_with("JAVA_OPTS")) {
            command.env_remove(name);
        }
    }
    command.current_dir(home);
    command
}

/// Puts the realm where Keycloak looks. It insists on the realm's exact name at the start of the file's name.
fn import_realm(project: &Project) -> Result<()> {
    let ours = project.root().join("tests/servers/hashicorp-realm.json");
    let text = fs::read(&ours).with_context(|| format!("cannot read {}", ours.display()))?;
    let folder = home(project).join("data/import");
    fs::create_dir_all(&folder)?;
    let theirs = folder.join(format!("{REALM}-realm.json"));
    fs::write(&theirs, text).with_context(|| format!("cannot write {}", theirs.display()))
}

/// Python's unpacker forgets the executable bit.
fn make_executable(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_file_holds_what_programs_are_told() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/hashicorp-realm.json");
        let realm: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(realm["realm"], REALM);
        assert_eq!(realm["clients"][0]["clientId"], CLIENT_ID);
        assert_eq!(realm["clients"][0]["secret"], CLIENT_SECRET);
        for (index, name) in USERS.iter().enumerate() {
            assert_eq!(realm["users"][index]["username"], *name);
            assert_eq!(realm["users"][index]["credentials"][0]["value"], *name);
        }
    }
}
