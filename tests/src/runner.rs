//! Runs behaviours on every backend and says what did not run, and why.

use std::collections::BTreeMap;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::{Backend, Behaviour, Place};

/// Runs every behaviour in each of those places, and the trials that need no backend.
///
/// It understands the arguments of the usual test runner. What cannot run is counted as ignored; the reasons come after
/// the result.
pub fn run(behaviours: &[Behaviour], places: &[Place], trials: Vec<Trial>) -> ExitCode {
    run_groups(&[(behaviours, places)], trials)
}

/// The same for several groups of behaviours, each with places of its own.
pub fn run_groups(groups: &[(&[Behaviour], &[Place])], mut trials: Vec<Trial>) -> ExitCode {
    let arguments = Arguments::from_args();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for &(behaviours, places) in groups {
        for (&place, behaviour) in
            places.iter().flat_map(|place| behaviours.iter().map(move |each| (place, each)))
        {
            let excluded = behaviour.not_on.iter().find(|(this, _)| *this == place).map(|(_, why)| *why);
            let why = excluded.or_else(|| place.absence());
            if let Some(why) = why {
                *reasons.entry(format!("{place}: {why}")).or_default() += 1;
            }
            trials.push(trial(behaviour, place).with_ignored_flag(why.is_some()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        for (why, count) in reasons {
            println!("not run: {count} on {why}");
        }
    }
    conclusion.exit_code()
}

fn trial(behaviour: &Behaviour, place: Place) -> Trial {
    let run = behaviour.run;
    // `suite::login::a_sign_in…` is `login::a_sign_in…` for people.
    let name = behaviour.name.split_once("::").map_or(behaviour.name, |(_, name)| name);
    let test = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async {
            run(Backend::at(place).await?).await;
            Ok(())
        })
    };
    Trial::test(name, test).with_kind(place.to_string())
}
