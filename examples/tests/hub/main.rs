//! `hub-spawn`: by itself, against the doubles and against Keycloak and `OpenBao`; and in a real JupyterHub that starts
//! servers of real Unix users, who are made and removed by this test.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "the modules of a test are for each other")]

mod clocks;
mod disk;
mod faults;
mod hub;
mod keycloak;
mod kube;
mod program;
mod servers;
mod stage;

use std::env;
use std::process::ExitCode;

use latchkey_tests::{Behaviour, Place, run_groups};

fn main() -> ExitCode {
    let absence = stage::absence();
    // A measure is none of the tests, and is made alone.
    let measure = Behaviour {
        name: "hub::servers::what_hub_spawn_adds_to_a_spawn",
        not_on: &[],
        run: |backend| Box::pin(servers::measure(backend)),
    };
    let is_measure = env::var_os(servers::MEASURE).is_some();
    let with_hub = if is_measure {
        only_where(absence, vec![measure])
    } else {
        [
            only_where(absence, servers::behaviours()),
            only_where(absence, faults::behaviours()),
            only_where(absence.or_else(clocks::absence), clocks::behaviours()),
            only_where(absence.or_else(disk::absence), disk::behaviours()),
            only_where(absence.or_else(kube::absence), kube::behaviours()),
        ]
        .concat()
    };
    let by_itself = if is_measure { Vec::new() } else { program::behaviours() };
    let groups: [(&[_], &[_]); 2] =
        [(&by_itself, &[Place::Loopback, Place::Real]), (&with_hub, &[Place::Real])];
    let code = run_groups(&groups, Vec::new());
    stage::end();
    code
}

/// Leaves out what cannot run here, and says why.
fn only_where(absence: Option<&'static str>, behaviours: Vec<Behaviour>) -> Vec<Behaviour> {
    let Some(why) = absence else { return behaviours };
    // A list of a test run: it lives as long as it does.
    let not_on: &'static [_] = vec![(Place::Real, why)].leak();
    behaviours.into_iter().map(|behaviour| Behaviour { not_on, ..behaviour }).collect()
}
