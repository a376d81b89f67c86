//! etcd and kube-apiserver: for the longest run of the tests, where Go is there to build the one.
//!
//! The suites start them by themselves, for each test has an API server that asks a webhook of its own. Here they are
//! only made.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::install::Stamp;
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages, succeeds};

use super::go::{self, Version};

const VERSION: &str = "1.34.1";

/// What its go.mod asks for.
const GO: Version = (1, 24, 0);

/// Where the suites look for the two.
pub(crate) const VARIABLES: [&str; 2] = ["LATCHKEY_ETCD", "LATCHKEY_KUBE_APISERVER"];

/// What was found or made.
pub(crate) enum Kubernetes {
    /// Where the two are.
    There([(&'static str, PathBuf); 2]),
    /// Why they are not.
    Absent(String),
}

fn folder(project: &Project) -> PathBuf {
    project.target("tools/kubernetes")
}

/// Builds kube-apiserver (13 minutes of a processor, once) and unpacks etcd, or says what this machine lacks.
pub(crate) fn provide(project: &Project) -> Result<Kubernetes> {
    if let Err(absent) = go::check(GO) {
        return Ok(Kubernetes::Absent(absent));
    }
    let Some(etcd) = etcd(project)? else {
        return Ok(Kubernetes::Absent("there is no etcd here: Debian calls it `etcd-server`".to_owned()));
    };
    let server = kube_apiserver(project)?;
    let [etcd_variable, server_variable] = VARIABLES;
    Ok(Kubernetes::There([(etcd_variable, etcd), (server_variable, server)]))
}

/// The etcd on the path, or Debian's, unpacked below target/: installed, it would run.
fn etcd(project: &Project) -> Result<Option<PathBuf>> {
    if let Some(path) = on_path("etcd") {
        return Ok(Some(path));
    }
    let folder = folder(project).join("etcd");
    let program = folder.join("usr/bin/etcd");
    if program.is_file() {
        return Ok(Some(program));
    }
    Packages::new(project).unpack("etcd-server", &folder)?;
    Ok(Some(program).filter(|program| program.is_file()))
}

fn kube_apiserver(project: &Project) -> Result<PathBuf> {
    let folder = folder(project);
    let program = folder.join("server/kube-apiserver");
    let source = project.root().join("tests/servers/kubernetes");
    let module = fs::read_to_string(source.join("go.mod")).context("cannot read our go.mod")?;
    let stamp = Stamp::new(&folder.join("server"), &format!("kube-apiserver {VERSION}\n{module}"));
    if stamp.holds() && program.is_file() {
        return Ok(program);
    }
    say!("  kube-apiserver {VERSION}: building, 13 minutes of a processor");
    stamp.begin()?;
    let mut build = go::build(&folder, &program, "k8s.io/kubernetes/cmd/kube-apiserver");
    build.current_dir(&source);
    setup::run_step(project, "kube-apiserver", "go build kube-apiserver", &mut build)?;
    stamp.finish()?;
    Ok(program)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&paths).map(|folder| folder.join(name));
    found.find(|path| path.is_file() && succeeds(Command::new(path).arg("--version")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_module_asks_for_the_version_that_is_named() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/kubernetes/go.mod");
        let module = fs::read_to_string(path).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes v{VERSION}\n")));
        let staging = format!("v0.{}", VERSION.split_once('.').unwrap().1);
        let replaced: Vec<_> = module.lines().filter(|line| line.contains(" => ")).collect();
        assert!(!replaced.is_empty() && replaced.iter().all(|line| line.ends_with(&staging)));
    }
}
