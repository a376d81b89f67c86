//! Node packages in a folder of their own, and the scripts that use them.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::install::{self, Stamp};
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages};

/// A folder below `target/tools/npm`, with what a `package.json` of the repository asks for.
///
/// The files that stand beside the `package.json` are copied too, so that the scripts among them find the packages:
/// Node looks for them from where a script is.
pub(crate) struct NpmFolder {
    /// For files and people.
    pub(crate) name: &'static str,
    /// The folder in the repository that holds `package.json`, `package-lock.json` and the scripts.
    pub(crate) source: &'static str,
}

impl NpmFolder {
    /// Where it is, once it is [provided](Self::provide).
    pub(crate) fn folder(&self, project: &Project) -> PathBuf {
        project.target("tools/npm").join(self.name)
    }

    /// Installs the packages that the lock file names; `false` if exactly these were there. The scripts are copied in any
    /// case.
    pub(crate) fn provide(&self, project: &Project, packages: &Packages<'_>) -> Result<bool> {
        let (source, folder) = (project.root().join(self.source), self.folder(project));
        let lock = source.join("package-lock.json");
        let locked = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        let stamp = Stamp::new(&folder, &locked);
        let is_new = !stamp.holds();
        if is_new {
            install::check_node(packages)?;
            stamp.begin()?;
        }
        for entry in fs::read_dir(&source)? {
            let path = entry?.path();
            if path.is_file() {
                fs::copy(&path, folder.join(path.file_name().unwrap_or(OsStr::new("_"))))?;
            }
        }
        if is_new {
            say!("  {}: npm ci", self.name);
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
            setup::run_step(project, self.name, &format!("npm ci, for {}", self.name), &mut npm)?;
            stamp.finish()?;
        }
        Ok(is_new)
    }
}
