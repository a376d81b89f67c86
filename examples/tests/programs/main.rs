//! The programs as a person runs them: against the doubles on loopback, and against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "the modules of a test are for each other")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

mod doctor;
mod login;
mod provision;
mod relying_party;
mod secrets;
mod support;
mod ways;

use std::process::ExitCode;

use latchkey_tests::{Place, run_groups};

fn main() -> ExitCode {
    let behaviours = [
        provision::behaviours(),
        secrets::behaviours(),
        login::behaviours(),
        ways::behaviours(),
        doctor::behaviours(),
    ]
    .concat();
    let relying_party = relying_party::behaviours();
    let groups: [(&[_], &[_]); 2] = [
        (&behaviours, &[Place::Loopback, Place::Real]),
        (&relying_party, &[Place::Loopback, Place::Real, Place::Certified]),
    ];
    run_groups(&groups, Vec::new())
}
