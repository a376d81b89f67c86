//! `cargo xtask bench`: the measures, and their report.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::peers;
use crate::progress::say;
use crate::project::Project;

const PACKAGE: &str = "latchkey-benches";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure the Vault client and the relying party beside others of the registry instead
    #[arg(long)]
    peers: bool,
    /// Build each of the peers from nothing, to tell what that costs: a quarter of an hour
    #[arg(long, requires = "peers")]
    from_nothing: bool,
    /// Passed on to the measuring program
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<String>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.peers {
        let filter = arguments.passed_on.first().map(String::as_str).unwrap_or_default();
        return peers::run(project, arguments.from_nothing, filter);
    }
    if !project.metadata()?.has(PACKAGE) {
        bail!("there is nothing to measure yet: the workspace has no package `{PACKAGE}`");
    }
    let report = project.target("bench/report.json");
    fs::create_dir_all(project.target("bench"))?;
    // A report that is left from an earlier run must not pass for one of this run.
    let _ = fs::remove_file(&report);
    let status = project
        .cargo(["run", "--release", "--package", PACKAGE, "--"])
        .args(&arguments.passed_on)
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("the measuring program failed ({status})");
    }
    if report.is_file() {
        say!("report: {}", report.display());
    }
    Ok(ExitCode::SUCCESS)
}
