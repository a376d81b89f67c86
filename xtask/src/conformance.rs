//! `cargo xtask conformance`: the table of `docs/conformance.md`, from a run.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::project::Project;

/// The one test that runs every row, and writes instead of comparing when it is told to.
const TEST: &str = "conformance::the_committed_table_is_that_of_this_run";

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let line = "test --quiet --package latchkey-tests --test suite --all-features -- --exact";
    let mut command = project.cargo(line.split(' ').chain([TEST]));
    let status = command.env("LATCHKEY_WRITE_CONFORMANCE", "1").status().context("cargo does not run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
