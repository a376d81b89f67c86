//! `cargo xtask fuzz`: one fuzz target under libFuzzer, which sees which branches an input reaches.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// What makes a stable compiler count branches and report comparisons, as libFuzzer wants it.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The target: the name of a folder in fuzz/corpus
    target: String,
    /// Passed on to libFuzzer, such as `-max_total_time=600`
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let seeds = project.root().join("fuzz/corpus").join(&arguments.target);
    if !seeds.is_dir() {
        bail!("there is no target `{}`: see the folders of fuzz/corpus", arguments.target);
    }
    let folder = project.target("fuzz").join(&arguments.target);
    let found = folder.join("corpus");
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let host = host()?;
    // A target of its own, or build scripts would be counted as well.
    let status = project
        .cargo(["run", "--release", "--manifest-path", "fuzz/libfuzzer/Cargo.toml", "--target", &host])
        .arg("--target-dir")
        .arg(project.target("fuzz/build"))
        .arg("--")
        .arg(format!("-artifact_prefix={}/", folder.display()))
        .args(&arguments.arguments)
        .args([&found, &seeds])
        .env("RUSTFLAGS", COVERAGE)
        .env("LATCHKEY_FUZZ_TARGET", &arguments.target)
        .status()
        .context("cargo does not start")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the platform that this compiler compiles for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not tell its platform")
}
