//! Python packages in a virtual environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::install::{self, Stamp};
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages};

/// A virtual environment below `target/tools/python`, with these packages and what they need.
pub(crate) struct Venv {
    /// For files and people.
    pub(crate) name: &'static str,
    /// What pip is asked for, each pinned: `jupyterhub==6.1.1`.
    pub(crate) packages: &'static [&'static str],
}

impl Venv {
    /// Where it is, once it is [provided](Self::provide). Its programs are in `bin`.
    pub(crate) fn folder(&self, project: &Project) -> PathBuf {
        project.target("tools/python").join(self.name)
    }

    /// Installs the packages; `false` if exactly these were there. An installation that was interrupted, or one for
    /// other packages, is made anew.
    pub(crate) fn provide(&self, project: &Project, packages: &Packages<'_>) -> Result<bool> {
        let folder = self.folder(project);
        let stamp = Stamp::new(&folder, &self.packages.join(" "));
        if stamp.holds() {
            return Ok(false);
        }
        install::check_python(packages)?;
        say!("  {}: pip install {}", self.name, self.packages.join(" "));
        stamp.begin()?;
        make(project, self.name, &folder, self.packages)?;
        stamp.finish()?;
        Ok(true)
    }
}

/// Makes a virtual environment in a folder that is empty.
pub(crate) fn make(project: &Project, name: &str, folder: &Path, packages: &[&str]) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    setup::run_step(project, name, "python3 -m venv", &mut venv)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--no-input", "--disable-pip-version-check"]).args(packages);
    setup::run_step(project, name, &format!("pip install, for {name}"), &mut pip)
}
