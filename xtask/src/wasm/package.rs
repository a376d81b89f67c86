//! `cargo xtask wasm --package`: the npm package of `crates/wasm-bindings`, in `target/npm/latchkey-wasm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use super::codes::Codes;
use super::licences;
use super::size::{self, Size};
use super::{TARGET, Toolchain};
use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages};
use crate::tools::NpmFolder;

/// The optimiser, the compiler that checks the types, and the driver of the browser in the tests.
pub(crate) const TOOLS: NpmFolder = NpmFolder { name: "wasm", source: "crates/wasm-bindings/tests" };

/// Where the sources are.
const SOURCE: &str = "crates/wasm-bindings";

/// What the compiler writes, and what the optimiser may use: the features that Rust itself takes for granted.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// A package that was built.
pub(crate) struct Package {
    pub(crate) folder: PathBuf,
    pub(crate) size: Size,
}

/// Builds the package from nothing. What was there is replaced as a whole, so that nobody packs a part of an older one.
pub(crate) fn build(project: &Project, packages: &Packages<'_>) -> Result<Package> {
    let toolchain = Toolchain::provide(packages)?;
    TOOLS.provide(project, packages)?;
    say!("  compiling {SOURCE} for a browser");
    let compiled = compile(project, toolchain)?;
    let work = project.target("npm/work");
    recreate(&work)?;
    bind(&compiled, &work)?;
    let bound = fs::read(work.join("engine_bg.wasm"))?;
    optimise(project, &work)?;
    let optimised = fs::read(work.join("engine_bg.wasm"))?;
    copy_sources(project, &work)?;
    licences::write(project, &work)?;
    let folder = project.target("npm/latchkey-wasm");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::rename(&work, &folder)?;
    let limit = if toolchain.has_source() { size::LIMIT } else { size::LIMIT_AS_SHIPPED };
    Ok(Package { folder, size: size::measure(&bound, &optimised, limit)? })
}

/// Compiles with a lock file of its own: that of the workspace, but for one thing. `url` compares host names in every script of the
/// world by tables that take 45 kB packed; a browser has them already, and gives us names that are in ASCII.
fn compile(project: &Project, toolchain: Toolchain) -> Result<PathBuf> {
    let lock = project.target("npm/Cargo.lock");
    fs::create_dir_all(project.target("npm"))?;
    fs::copy(project.root().join("Cargo.lock"), &lock)?;
    let with_lock = |command: &mut Command| {
        // The flag is not stable yet; without it the engine would only be larger.
        if let Toolchain::Installed = toolchain {
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("-Zlockfile-path")
                .arg("--config")
                .arg(format!("resolver.lockfile-path='{}'", lock.display()));
        }
    };
    if let Toolchain::Installed = toolchain {
        let mut command = project.cargo(["update"]);
        with_lock(&mut command);
        command.args(["--package", "idna_adapter", "--precise", WITHOUT_TABLES]);
        setup::run_step(project, "wasm-lock", "cargo update, for a browser", &mut command)?;
    }

    // The library is a Rust library, too, for its own tests; and where it is one, cargo leaves link-time optimisation out in silence.
    let (mut command, target) = toolchain.cargo(project, "rustc");
    with_lock(&mut command);
    command.args([
        "--profile",
        "browser",
        "--lib",
        "--crate-type",
        "cdylib",
        "--target",
        TARGET,
        "--package",
        "latchkey-wasm-bindings",
    ]);
    // No path of this machine in the file.
    let home =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
    let root = remap(&project.root().to_string_lossy(), "/latchkey");
    let mut flags = vec![remap(&home.unwrap_or_default(), "/cargo"), root];
    flags.extend(SMALLER.map(str::to_owned));
    if toolchain.has_source() {
        command.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
        flags.extend(SMALLER_WITH_SOURCE.map(str::to_owned));
    }
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env_remove("RUSTFLAGS");
    setup::run_step(project, "wasm", "cargo build, for a browser", &mut command)?;
    let compiled = target.join(TARGET).join("browser/latchkey_wasm_bindings.wasm");
    if compiled.is_file() { Ok(compiled) } else { bail!("{} was not written", compiled.display()) }
}

/// What the compiler leaves out.
const SMALLER: [&str; 5] = [
    // What is called in two places is one call there: the optimiser of the whole puts it in where that is smaller.
    "-Zinline-mir=no",
    "-Zlocation-detail=none",
    "-Zfmt-debug=none",
    "--cfg=sha2_backend=\"soft\"",
    "--cfg=sha2_backend_soft=\"compact\"",
];

/// What it leaves out where the standard library is built as well: a panic says nothing, it traps.
const SMALLER_WITH_SOURCE: [&str; 2] = ["-Zunstable-options", "-Cpanic=immediate-abort"];

/// The version of `idna_adapter` that has no tables: <https://docs.rs/crate/idna_adapter/latest>
const WITHOUT_TABLES: &str = "1.0.0";

/// The command that runs the package's tests in Node and in Chromium, after building all that they need.
pub(crate) fn test_command(project: &Project, packages: &Packages<'_>) -> Result<Command> {
    if !Path::new(CHROMIUM).is_file() {
        packages.install(&["chromium"], "to test in a browser")?;
    }
    let package = build(project, packages)?;
    say!("{}", package.size.to_string().trim_end());
    package.size.check()?;
    let tabs = tabs(project, packages)?;
    // With the features that the other suites are compiled with, so that nothing is compiled twice.
    let mut testbed = project.cargo(["build", "--workspace", "--all-features", "--bin", "testbed"]);
    setup::run_step(project, "wasm-testbed", "cargo build, of the doubles", &mut testbed)?;
    let mut command = Command::new("node");
    command
        .arg("run.mjs")
        .current_dir(TOOLS.folder(project))
        .env("LATCHKEY_PACKAGE", package.folder)
        .env("LATCHKEY_TABS", tabs)
        .env("LATCHKEY_TESTBED", project.metadata()?.target.join("debug/testbed"))
        .env("LATCHKEY_CHROMIUM", CHROMIUM);
    Ok(command)
}

/// Builds the example of Web Locks, which two tabs load in the tests.
fn tabs(project: &Project, packages: &Packages<'_>) -> Result<PathBuf> {
    let (mut command, target) = Toolchain::provide(packages)?.cargo(project, "build");
    command.args(["--target", TARGET, "--package", "latchkey-token-lifecycle", "--example", "tabs"]);
    command.args(["--features", "browser"]);
    setup::run_step(project, "wasm-tabs", "cargo build, of the example of Web Locks", &mut command)?;
    let folder = project.target("npm/tabs");
    recreate(&folder)?;
    bind(&target.join(TARGET).join("debug/examples/tabs.wasm"), &folder)?;
    Ok(folder)
}

/// Debian's browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Writes `engine.js` and `engine_bg.wasm` there.
fn bind(compiled: &Path, folder: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled).out_name("engine").typescript(false).remove_producers_section(true);
    bindgen.web(true)?.generate(folder).context("wasm-bindgen does not like what the compiler wrote")
}

fn optimise(project: &Project, folder: &Path) -> Result<()> {
    let file = folder.join("engine_bg.wasm");
    let mut command = Command::new("node");
    command
        .arg(TOOLS.folder(project).join("node_modules/binaryen/bin/wasm-opt"))
        .args(FEATURES)
        // Packed, `-Os` is smaller than `-Oz`, which is smaller unpacked; the second round has what the pass between found. Code
        // that was taken apart first is put together alike. The lowest kilobyte is the end of the stack: no address is counted
        // from below zero into it. By name, functions stand beside their like, which is where gzip sees them.
        .args([
            "--flatten",
            "--rereloop",
            "-Os",
            "--gufa-optimizing",
            "-Os",
            "--low-memory-unused",
            "--reorder-functions-by-name",
            "--strip-debug",
            "--strip-producers",
            "--strip-target-features",
        ])
        .arg(&file)
        .arg("--output")
        .arg(&file);
    setup::run_step(project, "wasm-opt", "wasm-opt", &mut command)
}

/// What stands beside the engine: the package's own modules, its types, and what a registry shows.
fn copy_sources(project: &Project, folder: &Path) -> Result<()> {
    let source = project.root().join(SOURCE);
    for entry in fs::read_dir(source.join("js"))? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?;
        fs::copy(&path, folder.join(name))?;
    }
    let codes = Codes::collect(project.root())?;
    let types = fs::read_to_string(source.join("types.d.ts"))?;
    fs::write(folder.join("index.d.ts"), codes.write_into(&types)?)?;
    fs::write(folder.join("codes.js"), codes.module())?;
    fs::copy(source.join("NPM.md"), folder.join("README.md"))?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(source.join(licence), folder.join(licence))?;
    }
    let version = project.metadata()?.version_of("latchkey-wasm-bindings")?;
    Ok(fs::write(folder.join("package.json"), MANIFEST.replace("VERSION", &version))?)
}

/// Written as text: in `exports` the first condition that holds is taken, and a map of `serde_json` is sorted by name.
const MANIFEST: &str = r#"{
  "name": "latchkey-wasm",
  "version": "VERSION",
  "description": "Sign in with an identity provider, a hub or a Vault, read and write secrets, keep the token alive: Latchkey for browsers",
  "keywords": ["vault", "openbao", "oidc", "secrets", "jupyter", "wasm"],
  "license": "MIT OR Apache-2.0",
  "type": "module",
  "types": "./index.d.ts",
  "main": "./index.js",
  "exports": {
    ".": { "types": "./index.d.ts", "node": "./node.js", "default": "./index.js" },
    "./engine_bg.wasm": "./engine_bg.wasm",
    "./package.json": "./package.json"
  },
  "sideEffects": false,
  "engines": { "node": ">=20" }
}
"#;

fn recreate(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
