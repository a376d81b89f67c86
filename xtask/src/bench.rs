//! `cargo xtask bench`: the measures, their report, and the size of the engine for browsers.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::progress::say;
use crate::project::Project;
use crate::servers::Session;
use crate::setup::Packages;
use crate::{labextension, peers, tools, wasm};

const PACKAGE: &str = "latchkey-benches";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure the Vault client and the relying party beside others of the registry instead
    #[arg(long)]
    peers: bool,
    /// Build each of the peers from nothing, to tell what that costs: a quarter of an hour
    #[arg(long, requires = "peers")]
    from_nothing: bool,
    /// Measure what hub-spawn adds to a spawn instead: so many spawns, and as many bare ones, in a real JupyterHub
    #[arg(long, value_name = "SPAWNS", num_args = 0..=1, default_missing_value = "50", conflicts_with = "peers")]
    hub: Option<u32>,
    /// Measure the JupyterLab extension in a browser instead: how soon, how often, how smooth, how much
    #[arg(long, conflicts_with = "peers")]
    jupyterlab: bool,
    /// Measure what webapp and login-service cost while ten times as much is asked of them, and how soon
    /// kube-credential answers, instead: minutes, and Redis
    #[arg(long, conflicts_with = "peers")]
    services: bool,
    /// Passed on to the measuring program
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<String>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if let Some(spawns) = arguments.hub {
        return hub(project, spawns);
    }
    if arguments.peers {
        let filter = arguments.passed_on.first().map(String::as_str).unwrap_or_default();
        return peers::run(project, arguments.from_nothing, filter);
    }
    if arguments.jupyterlab {
        return labextension::bench(project, &Packages::new(project));
    }
    if arguments.services {
        return services(project, &arguments.passed_on);
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
    // Only when all is measured: building the engine takes a minute.
    if arguments.passed_on.is_empty() {
        let size = wasm::build_package(project, &Packages::new(project))?.size;
        say!("{}", size.to_string().trim_end());
        size.check()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The measure is made by the hub's tests, which have everything that a spawn needs.
fn hub(project: &Project, spawns: u32) -> Result<ExitCode> {
    let packages = Packages::new(project);
    tools::provide(project, &packages)?;
    let session = Session::open(project, &packages)?;
    let status = project
        .cargo(["test", "--workspace", "--all-features", "--test", "hub", "--", "--nocapture"])
        .envs(session.addresses.for_tests())
        .envs(tools::environment(project))
        .env("LATCHKEY_HUB_SPAWNS", spawns.to_string())
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("the hub's spawns could not be measured ({status})");
    }
    Ok(ExitCode::SUCCESS)
}

fn services(project: &Project, passed_on: &[String]) -> Result<ExitCode> {
    fs::create_dir_all(project.target("bench"))?;
    let report = project.target("bench/services.json");
    let kubelogin = match tools::kubelogin::provide(project)? {
        Ok(program) => Some((tools::kubelogin::VARIABLE, program)),
        Err(why) => {
            say!("kubelogin is not measured beside kube-credential: {why}");
            None
        }
    };
    let status = project
        .cargo(["bench", "--package", "latchkey-examples", "--bench", "services", "--", "--out"])
        .arg(&report)
        .args(passed_on)
        .envs(kubelogin)
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("the measuring program failed ({status})");
    }
    say!("report: {}", report.display());
    Ok(ExitCode::SUCCESS)
}
