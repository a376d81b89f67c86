//! `cargo xtask wasm`, and the same for `cargo xtask test`: the libraries compile for a browser, and the bindings become an
//! npm package.

mod codes;
mod licences;
mod package;
mod size;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::progress::{self, say};
use crate::project::{Metadata, Project};
use crate::setup::Packages;

pub(crate) use self::package::{build as build_package, test_command};

const TARGET: &str = "wasm32-unknown-unknown";

/// What is there for browsers only.
const BINDINGS: &str = "latchkey-wasm-bindings";

/// Native on purpose: it opens sockets, and nothing in a browser needs a double.
const NATIVE_ONLY: &[&str] = &["latchkey-testbed"];

/// What a browser build turns on beyond the defaults: (package, feature).
const EXTRA_FEATURES: &[(&str, &str)] = &[
    ("latchkey-transport", "system-random"),
    ("latchkey-token-lifecycle", "browser,vault-client,oidc-flow"),
];

/// Debian's compilers for its web browsers: newer than the stable ones, with the library's source beside them.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// A way to compile for [`TARGET`].
#[derive(Clone, Copy)]
pub(crate) enum Toolchain {
    /// The cargo that runs us has the target installed.
    Installed,
    /// Debian's cargo builds the standard library from source.
    Debian,
}

impl Toolchain {
    /// What this machine has already.
    pub(crate) fn find() -> Option<Self> {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
        let sysroot = String::from_utf8(sysroot.stdout).ok()?;
        if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
            return Some(Self::Installed);
        }
        let debian = ["/usr/bin/cargo", "/usr/bin/rustc", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"];
        debian.iter().all(|path| Path::new(path).is_file()).then_some(Self::Debian)
    }

    /// Whether the standard library can be built from source as well, with what a browser does not need left out of it: where
    /// `rustup component add rust-src` was run. Debian's compiler builds it, too, but knows fewer ways to leave something out.
    pub(crate) fn has_source(self) -> bool {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
        let sysroot =
            sysroot.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml");
        matches!(self, Self::Installed) && source.is_file()
    }

    /// What this machine has, after adding it where it was missing.
    pub(crate) fn provide(packages: &Packages<'_>) -> Result<Self> {
        if let Some(toolchain) = Self::find() {
            return Ok(toolchain);
        }
        say!("  {TARGET}: rustup target add");
        let log = packages.project().target("servers/logs/setup-wasm.log");
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]);
        let added = progress::run_logged(packages.project().guard(), "rustup target add", &mut rustup, &log);
        if added.is_ok_and(|finished| finished.success)
            && let Some(toolchain) = Self::find()
        {
            return Ok(toolchain);
        }
        say!("  {TARGET}: rustup could not add it, taking Debian's compiler");
        packages.install(DEBIAN_PACKAGES, "to compile for wasm32")?;
        Self::find().with_context(|| format!("no compiler for {TARGET} after installing {DEBIAN_PACKAGES:?}"))
    }

    /// The command of one check.
    pub(crate) fn command(self, project: &Project, check: &Check) -> Command {
        let verb = if check.is_linted { self.linter() } else { "check" };
        let (mut command, _) = self.cargo(project, verb);
        if verb == "clippy" {
            // The other crates are linted where they are at home.
            command.arg("--no-deps");
        }
        command.args(["--lib", "--target", TARGET, "--package", &check.package]).args(&check.features);
        command.env("RUSTFLAGS", "-Dwarnings");
        command
    }

    /// Debian's compiler comes without clippy.
    fn linter(self) -> &'static str {
        match self {
            Self::Installed => "clippy",
            Self::Debian => "check",
        }
    }

    /// A call of the cargo that can compile for a browser, and the folder that it writes to.
    fn cargo(self, project: &Project, verb: &str) -> (Command, PathBuf) {
        match self {
            Self::Installed => {
                let target = project.target("");
                let mut command = project.cargo([verb, "--target-dir"]);
                command.arg(&target);
                (command, target)
            }
            Self::Debian => {
                let target = project.target("wasm-debian");
                let mut command = Command::new("/usr/bin/cargo");
                project.prepare_cargo(&mut command);
                command
                    // `-Zbuild-std` is what makes up for the missing library, and needs this key on stable.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "/usr/bin/wasm-ld-22")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .args([verb, "-Zbuild-std=std,panic_abort", "--target-dir"])
                    .arg(&target);
                (command, target)
            }
        }
    }
}

/// One library with one set of features.
pub(crate) struct Check {
    package: String,
    features: Vec<String>,
    /// Has code that is compiled for browsers only, which clippy sees nowhere else.
    is_linted: bool,
}

impl Check {
    /// All that must compile: every library by default, without its defaults, and with what browsers add.
    pub(crate) fn all(metadata: &Metadata) -> Vec<Self> {
        let mut checks = Vec::new();
        for package in &metadata.packages {
            if !package.is_publishable || NATIVE_ONLY.contains(&package.name.as_str()) {
                continue;
            }
            let mut add = |features: &[&str]| {
                let features = features.iter().map(|&feature| feature.to_owned()).collect();
                checks.push(Self { package: package.name.clone(), features, is_linted: false });
            };
            add(&[]);
            if package.has_default_features {
                add(&["--no-default-features"]);
            }
            for (_, feature) in EXTRA_FEATURES.iter().filter(|(name, _)| *name == package.name) {
                add(&["--features", feature]);
            }
        }
        if metadata.has(BINDINGS) {
            checks.push(Self { package: BINDINGS.to_owned(), features: Vec::new(), is_linted: true });
        }
        checks
    }

    /// How the check is called in reports: `wasm32 oidc-flow --no-default-features`.
    pub(crate) fn name(&self) -> String {
        let package = self.package.trim_start_matches("latchkey-");
        [&["wasm32".to_owned(), package.to_owned()], self.features.as_slice()].concat().join(" ")
    }
}

/// Checks that the libraries compile for a browser, or packs them for npm.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build the npm package in target/npm/latchkey-wasm and tell its size
    #[arg(long)]
    package: bool,
    /// Write the list of error codes in the types anew, from the Rust enums
    #[arg(long)]
    codes: bool,
    /// Build the npm package and run its tests in Node and in Chromium
    #[arg(long)]
    test: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.codes {
        let path = project.root().join("crates/wasm-bindings/types.d.ts");
        let types = codes::Codes::collect(project.root())?.write_into(&fs::read_to_string(&path)?)?;
        fs::write(&path, types).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let packages = Packages::new(project);
    if arguments.test {
        let status = test_command(project, &packages)?.status().context("node does not start")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if arguments.package {
        let package = build_package(project, &packages)?;
        say!("{}", package.size.to_string().trim_end());
        say!("package: {}", package.folder.display());
        package.size.check()?;
    }
    if arguments.codes || arguments.package {
        return Ok(ExitCode::SUCCESS);
    }
    let toolchain = Toolchain::provide(&packages)?;
    for check in Check::all(&project.metadata()?) {
        say!("{}", check.name());
        let status = toolchain.command(project, &check).status().context("cargo does not start")?;
        if !status.success() {
            bail!("{} failed", check.name());
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Package;

    #[test]
    fn every_library_is_checked_with_and_without_its_defaults() {
        let package = |name: &str, is_publishable, has_default_features| Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            is_publishable,
            has_default_features,
        };
        let metadata = Metadata {
            target: "/t".into(),
            packages: vec![
                package("latchkey-transport", true, false),
                package("latchkey-oidc-flow", true, true),
                package("latchkey-testbed", true, true),
                package("latchkey-examples", false, false),
            ],
        };
        let names: Vec<_> = Check::all(&metadata).iter().map(Check::name).collect();
        assert_eq!(
            names,
            [
                "wasm32 transport",
                "wasm32 transport --features system-random",
                "wasm32 oidc-flow",
                "wasm32 oidc-flow --no-default-features"
            ]
        );
    }
}
