//! Every target on its corpus and on mutations of it: a test each.

use std::process::ExitCode;

use latchkey_fuzz::{Plan, run, targets};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trials = targets().map(|target| {
        Trial::test(target.name, move || {
            let outcome = run(target, &Plan::from_environment()?).map_err(|error| format!("{error:#}"))?;
            println!("{}: {} seeds, {} mutations", target.name, outcome.seeds, outcome.mutations);
            Ok(())
        })
        .with_kind("fuzz")
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
