//! `cargo xtask`: everything that a developer or a build machine does with this workspace.
//!
//! One file per verb. What the verbs share: [`project`] (where things are), [`process`] (children that never
//! outlive us), [`progress`] (what is shown) and [`http`] (is a server answering?).

mod bench;
mod conformance;
mod demo;
mod fuzz;
mod http;
mod install;
mod labextension;
mod peers;
mod process;
mod progress;
mod project;
mod servers;
mod setup;
mod test;
mod tools;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::project::Project;

/// Set up, try, test and measure Latchkey.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what this machine lacks: Java, Maven, the wasm32 target, OpenBao and Keycloak
    Setup(setup::Arguments),
    /// Sign in against the test doubles and read a secret, in your browser
    Demo(demo::Arguments),
    /// Run every check and every suite, and end with a count
    Test(test::Arguments),
    /// Start, stop or show the real servers: OpenBao, Keycloak and a certified provider in Node
    Servers(servers::Arguments),
    /// Install the Python and Node programs that some suites run, below target/tools, and Redis
    Tools(tools::Arguments),
    /// Check that the libraries compile for a browser, or build the npm package
    Wasm(wasm::Arguments),
    /// Run one fuzz target with coverage, for as long as you like
    Fuzz(fuzz::Arguments),
    /// Run the conformance tests and write docs/conformance.md
    Conformance,
    /// Build the JupyterLab extension and its wheel
    Labextension(labextension::Arguments),
    /// Measure the libraries and write target/bench/report.json
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let verb = Arguments::parse().verb;
    let done = Project::open().and_then(|project| match verb {
        Verb::Setup(arguments) => setup::run(&project, &arguments),
        Verb::Demo(arguments) => demo::run(&project, &arguments),
        Verb::Test(arguments) => test::run(&project, &arguments),
        Verb::Servers(arguments) => servers::run(&project, &arguments),
        Verb::Tools(arguments) => tools::run(&project, &arguments),
        Verb::Wasm(arguments) => wasm::run(&project, &arguments),
        Verb::Fuzz(arguments) => fuzz::run(&project, &arguments),
        Verb::Conformance => conformance::run(&project),
        Verb::Labextension(arguments) => labextension::run(&project, &arguments),
        Verb::Bench(arguments) => bench::run(&project, &arguments),
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
