//! Where things are, and how cargo is called.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::Guard;

/// This checkout, and the guard that ends every child of this run.
pub(crate) struct Project {
    root: PathBuf,
    guard: Guard,
}

impl Project {
    /// Finds the checkout that this program was compiled in.
    pub(crate) fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file())
            .context("the workspace has moved since xtask was compiled: run it as `cargo xtask`")?;
        Ok(Self { root: root.to_owned(), guard: Guard::start()? })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Where this tool keeps what it installs and writes. Cargo's own folder may be elsewhere: see
    /// [`Metadata::target`].
    pub(crate) fn target(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join("target").join(path)
    }

    /// A cargo call in the root of the workspace, untouched by the cargo that runs us.
    pub(crate) fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments);
        self.prepare_cargo(&mut command);
        command
    }

    /// Gives a cargo call its folder, and takes from it what `cargo run` told *us* about our own package.
    pub(crate) fn prepare_cargo(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| {
                ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            });
            if ours {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.root).env_remove("LD_LIBRARY_PATH").env_remove("OUT_DIR");
    }

    /// What cargo knows about the members of the workspace.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let output = self
            .cargo(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo does not run: is Rust installed?")?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Metadata::parse(&output.stdout)
    }
}

/// The members of the workspace.
pub(crate) struct Metadata {
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// Every member, in cargo's order.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Meant for a registry one day, so that `cargo package` must pass.
    pub(crate) is_publishable: bool,
    /// Does something by default that `--no-default-features` leaves out.
    pub(crate) has_default_features: bool,
}

impl Metadata {
    fn parse(json: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(json).context("cargo metadata is not JSON")?;
        let packages = value["packages"].as_array().context("cargo metadata names no packages")?;
        Ok(Self {
            target: value["target_directory"]
                .as_str()
                .context("cargo metadata names no target folder")?
                .into(),
            packages: packages.iter().map(Package::parse).collect::<Result<_>>()?,
        })
    }

    pub(crate) fn version_of(&self, name: &str) -> Result<String> {
        let package = self.packages.iter().find(|package| package.name == name);
        Ok(package.with_context(|| format!("the workspace has no package {name}"))?.version.clone())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }
}

impl Package {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self {
            name: value["name"].as_str().context("a package without a name")?.to_owned(),
            version: value["version"].as_str().unwrap_or_default().to_owned(),
            // `publish = false` is an empty list of registries.
            is_publishable: !value["publish"].as_array().is_some_and(Vec::is_empty),
            has_default_features: value["features"]["default"]
                .as_array()
                .is_some_and(|list| !list.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_tells_publishable_packages_from_private_ones() {
        let json = br#"{"target_directory": "/t", "packages": [
            {"name": "a", "publish": null, "features": {"default": ["x"], "x": []}},
            {"name": "b", "publish": [], "features": {}},
            {"name": "c", "publish": ["somewhere"], "features": {"default": []}}]}"#;
        let metadata = Metadata::parse(json).unwrap();
        let seen: Vec<_> = metadata
            .packages
            .iter()
            .map(|package| (package.name.as_str(), package.is_publishable, package.has_default_features))
            .collect();
        assert_eq!(seen, [("a", true, true), ("b", false, false), ("c", true, false)]);
        assert_eq!(metadata.target, Path::new("/t"));
    }
}
