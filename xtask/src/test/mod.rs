//! `cargo xtask test`: every check and every suite, and a count at the end.
//!
//! Two lanes: cargo works through its steps one after the other, while the real servers are downloaded, built and
//! started beside it.

mod failures;
mod packages;
mod plan;
mod report;
mod runner;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use self::plan::{Plan, Scope};
use self::runner::Runner;
use crate::progress::say;
use crate::project::Project;
use crate::{progress, setup};

/// Run every check and every suite on every backend: doubles in memory, doubles over loopback, real servers.
///
/// The last line is `N passed, N failed, N skipped`. Fails if anything failed or if no test ran.
/// Logs of the steps are in target/test-logs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out what needs the real servers, the packaging, and whatever would have to be installed
    #[arg(long, conflicts_with = "all")]
    fast: bool,
    /// Add what is too long for every run
    #[arg(long)]
    all: bool,
    /// Show the steps and run none
    #[arg(long)]
    list: bool,
    /// Only the tests whose names contain one of these; the other steps are left out
    filter: Vec<String>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    let scope = match (arguments.fast, arguments.all) {
        (true, _) => Scope::Fast,
        (_, true) => Scope::All,
        _ => Scope::Usual,
    };
    let plan = Plan::new(&project.metadata()?, scope, &arguments.filter);
    if arguments.list {
        say!("{}", plan.describe().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    setup::components(project)?;
    let report = Runner::new(project, scope).run(&plan)?;
    say!("\n{}", report.table());
    say!("took {}", progress::seconds(begun.elapsed()));
    say!("{}", report.summary());
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
