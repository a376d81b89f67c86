//! `cargo xtask labextension`: the engine, the extension around it, and the wheel that people install.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::install::{self, Stamp};
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages};
use crate::tools::{JUPYTERLAB, JUPYTERLAB_5, NODE_PEERS, SECRETS_MANAGER, UI_TESTS, Venv};
use crate::wasm;

/// The Python module, and the folder in it that Lab's builder writes.
const BUILT: &str = "jupyterlab_latchkey/labextension";

/// The one file that the browser asks for by a name that is written down elsewhere.
const CALLBACK: &str = "static/callback.html";

/// Builds the WASM engine, the JupyterLab extension and its wheel, below target/labextension.
///
/// Everything is built anew: a wheel never holds what an earlier build left behind.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(project: &Project, _: &Arguments) -> Result<ExitCode> {
    let wheel = build(project, &Packages::new(project))?;
    say!("{}", wheel.display());
    say!("next: `pip install {}`", wheel.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds everything, and says where the wheel is.
pub(crate) fn build(project: &Project, packages: &Packages<'_>) -> Result<PathBuf> {
    let engine = wasm::build_package(project, packages)?.folder;
    JUPYTERLAB.provide(project, packages)?;
    install::check_node(packages)?;
    let extension = Extension::new(project);
    extension.take_engine(&engine)?;
    extension.install_packages()?;
    extension.forget()?;
    extension.step("jlpm build:prod", &mut extension.jlpm(&["build:prod"]))?;
    extension.check_built(&engine)?;
    extension.wheel(&engine)
}

/// The unit tests and the scenarios in a browser, with everything that they need built and installed.
pub(crate) fn tests(project: &Project, packages: &Packages<'_>, all: bool) -> Result<Vec<Command>> {
    if !Path::new(R_KERNEL).exists() {
        packages.install(&["r-cran-irkernel"], "to put a secret into a kernel for R")?;
    }
    if !Path::new(KOREAN).exists()
        && let Err(error) = packages.install(&["fonts-nanum"], "to see Korean in the pictures")
    {
        // Nothing is tested by it.
        say!("  pictures in Korean have boxes: {error:#}");
    }
    // The hub's proxy is among them.
    NODE_PEERS.provide(project, packages)?;
    SECRETS_MANAGER.provide(project, packages)?;
    let mut scenarios = prepare(project, packages, "run.mjs")?;
    let extension = Extension::new(project);
    extension.step("jlpm lint:check", &mut extension.jlpm(&["lint:check"]))?;
    scenarios.env("LATCHKEY_SECRETS_MANAGER", SECRETS_MANAGER.folder(project));
    if all {
        JUPYTERLAB_5.provide(project, packages)?;
        extension.install_into(&JUPYTERLAB_5, &extension.packed()?)?;
        scenarios.arg("--all").env("LATCHKEY_JUPYTERHUB_5", JUPYTERLAB_5.folder(project));
    }
    Ok(vec![extension.jlpm(&["test"]), scenarios])
}

/// The measures in a browser. They say whether the goals are held, and fail by none of them.
pub(crate) fn bench(project: &Project, packages: &Packages<'_>) -> Result<ExitCode> {
    NODE_PEERS.provide(project, packages)?;
    let mut command = prepare(project, packages, "bench.mjs")?;
    command.env("LATCHKEY_UI_OUTPUT", project.target("bench/jupyterlab"));
    let status = project.guard().spawn(&mut command)?.wait()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A script of `jupyterlab/ui-tests`, with the extension, the doubles and a browser ready for it.
pub(crate) fn prepare(project: &Project, packages: &Packages<'_>, script: &str) -> Result<Command> {
    let wheel = build(project, packages)?;
    let extension = Extension::new(project);
    extension.install_into(&JUPYTERLAB, &wheel)?;
    if !Path::new(CHROMIUM).exists() {
        packages.install(&["chromium"], "to try the extension in a browser")?;
    }
    UI_TESTS.provide(project, packages)?;
    // With the features that the other suites are compiled with, so that nothing is compiled twice.
    let programs = ["build", "--workspace", "--all-features", "--bin", "testbed", "--bin", "provision"];
    extension.step("cargo build, for the doubles", &mut project.cargo(programs))?;
    let mut command = Command::new("node");
    command
        .arg(UI_TESTS.folder(project).join(script))
        .env("LATCHKEY_PROGRAMS", project.metadata()?.target.join("debug"))
        .env("LATCHKEY_JUPYTERLAB", JUPYTERLAB.folder(project))
        .env("LATCHKEY_WHEEL", wheel)
        .env("LATCHKEY_EXTENSION", project.root().join("jupyterlab"))
        .env("LATCHKEY_HUB", project.root().join("jupyterlab/hub"))
        .env("LATCHKEY_NODE_PEERS", NODE_PEERS.folder(project))
        .env("LATCHKEY_CHROMIUM", CHROMIUM)
        .env("LATCHKEY_UI_OUTPUT", project.target("ui-tests"));
    Ok(command)
}

/// Where Debian has its kernel for R.
const R_KERNEL: &str = "/usr/lib/R/site-library/IRkernel";

/// Where Debian has a Korean font.
const KOREAN: &str = "/usr/share/fonts/truetype/nanum";

/// Where Debian has the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// The folder `jupyterlab`.
pub(crate) struct Extension<'project> {
    project: &'project Project,
    folder: PathBuf,
}

impl<'project> Extension<'project> {
    pub(crate) fn new(project: &'project Project) -> Self {
        Self { project, folder: project.root().join("jupyterlab") }
    }

    /// A program of the virtual environment, in the folder of the extension.
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let bin = JUPYTERLAB.folder(self.project).join("bin");
        let mut command = Command::new(bin.join(name));
        command.args(arguments).current_dir(&self.folder).env("PATH", with_in_front(&bin));
        command
    }

    /// Yarn, as JupyterLab brings it along.
    pub(crate) fn jlpm(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("jlpm", arguments);
        command.env("YARN_ENABLE_TELEMETRY", "0");
        command
    }

    /// Installs the wheel as a person would, on a `PATH` without Node.
    fn install_into(&self, venv: &Venv, wheel: &Path) -> Result<()> {
        let bin = venv.folder(self.project).join("bin");
        let mut pip = Command::new(bin.join("pip"));
        pip.args(["install", "--no-deps", "--force-reinstall", "--no-input"]).arg(wheel).env("PATH", &bin);
        self.step("pip install, of the wheel", &mut pip)
    }

    fn step(&self, title: &str, command: &mut Command) -> Result<()> {
        setup::run_step(self.project, "labextension", title, command)
    }

    /// Puts the engine beside the sources, as they import it.
    fn take_engine(&self, engine: &Path) -> Result<()> {
        let folder = self.folder.join("engine");
        let _ = fs::remove_dir_all(&folder);
        copy(engine, &folder).context("cannot take the engine over")
    }

    /// What package.json asks for, exactly as yarn.lock has it.
    fn install_packages(&self) -> Result<()> {
        let lock = self.folder.join("yarn.lock");
        let locked = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        let stamp = Stamp::new(&self.folder.join("node_modules"), &locked);
        if stamp.holds() {
            return Ok(());
        }
        say!("  jupyterlab: jlpm install");
        stamp.begin()?;
        self.step("jlpm install", &mut self.jlpm(&["install", "--immutable"]))?;
        stamp.finish()
    }

    /// Removes what an earlier build left: the builder of the wheel takes it for good.
    fn forget(&self) -> Result<()> {
        for old in [BUILT, "lib", "tsconfig.tsbuildinfo"] {
            let path = self.folder.join(old);
            if path.is_dir() {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            } else if path.exists() {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// The build holds this engine, and the page that the provider sends people back to.
    fn check_built(&self, engine: &Path) -> Result<()> {
        let built = self.folder.join(BUILT);
        if !built.join(CALLBACK).is_file() {
            bail!("the build has no {CALLBACK}");
        }
        let fresh = fs::read(wasm_in(engine)?)?;
        if fs::read(wasm_in(&built.join("static"))?)? != fresh {
            bail!("the build holds another engine than the one that was just built");
        }
        Ok(())
    }

    /// Packs the wheel without an isolated environment, and looks into it.
    fn wheel(&self, engine: &Path) -> Result<PathBuf> {
        let folder = self.project.target("labextension");
        let _ = fs::remove_dir_all(&folder);
        let out = folder.to_string_lossy();
        let arguments = ["-m", "build", "--wheel", "--no-isolation", "--outdir", &out];
        self.step("python -m build", &mut self.program("python", &arguments))?;
        let wheel = self.packed()?;
        let mut check = self.program("python", &["-c", SAME_ENGINE]);
        self.step("looking into the wheel", check.arg(&wheel).arg(wasm_in(engine)?))?;
        Ok(wheel)
    }

    /// The wheel that was packed.
    fn packed(&self) -> Result<PathBuf> {
        fs::read_dir(self.project.target("labextension"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .context("no wheel was made")
    }
}

/// Compares the one `.wasm` of a wheel with a file, and looks for what else must be in it.
const SAME_ENGINE: &str = "
import sys, zipfile
wheel, engine = zipfile.ZipFile(sys.argv[1]), open(sys.argv[2], 'rb').read()
names = [name for name in wheel.namelist() if name.endswith('.wasm')]
assert len(names) == 1, f'one engine is wanted in the wheel: {names}'
assert wheel.read(names[0]) == engine, 'the wheel holds another engine than the one that was just built'
assert any(name.endswith('/static/callback.html') for name in wheel.namelist()), 'no callback page'
assert not any('Requires-Dist' in line and 'extra' not in line
               for name in wheel.namelist() if name.endswith('/METADATA')
               for line in wheel.read(name).decode().splitlines()), 'the wheel needs other packages'
";

/// The one `.wasm` in a folder.
fn wasm_in(folder: &Path) -> Result<PathBuf> {
    let mut found = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        (None, _) => bail!("there is no .wasm in {}", folder.display()),
        _ => bail!("there is more than one .wasm in {}", folder.display()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// `PATH` with one more folder in front.
pub(crate) fn with_in_front(folder: &Path) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = [folder.to_owned()].into_iter().chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_with_two_engines_is_refused() {
        let folder = std::env::temp_dir().join(format!("latchkey-engines-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(wasm_in(&folder).is_err());
        fs::write(folder.join("a.wasm"), b"1").unwrap();
        assert_eq!(wasm_in(&folder).unwrap(), folder.join("a.wasm"));
        fs::write(folder.join("b.wasm"), b"2").unwrap();
        assert!(wasm_in(&folder).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
