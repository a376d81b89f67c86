//! The programs as a person runs them: against the doubles on loopback, and against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "the modules of a test are for each other")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

mod arguments;
mod clocks;
mod disk;
mod doctor;
mod doctor_fixes;
mod environment;
mod faults;
mod login;
mod login_service;
mod login_service_load;
mod login_service_redis;
mod provision;
mod relying_party;
mod replicas;
mod secrets;
mod support;
mod ways;

use std::process::ExitCode;

use latchkey_tests::{Place, WrongClock, redis_server, run_groups};

fn main() -> ExitCode {
    const NO_CLOCK: &str = WrongClock::ABSENT;
    const NO_REDIS: &str = "there is no redis-server";
    let mut with_redis =
        [login_service::behaviours(), login_service_load::behaviours(), login_service_redis::behaviours()]
            .concat();
    if redis_server().is_none() {
        for behaviour in &mut with_redis {
            behaviour.not_on = &[(Place::Loopback, NO_REDIS), (Place::Real, NO_REDIS)];
        }
    }
    let mut with_clock = clocks::behaviours();
    if WrongClock::find().is_none() {
        for behaviour in &mut with_clock {
            behaviour.not_on = &[(Place::Loopback, NO_CLOCK), (Place::Real, NO_CLOCK)];
        }
    }
    let behaviours = [
        provision::behaviours(),
        secrets::behaviours(),
        login::behaviours(),
        ways::behaviours(),
        doctor::behaviours(),
        doctor_fixes::behaviours(),
        arguments::behaviours(),
        disk::behaviours(),
        environment::behaviours(),
        faults::behaviours(),
        with_clock,
        with_redis,
    ]
    .concat();
    let relying_party = relying_party::behaviours();
    let groups: [(&[_], &[_]); 2] = [
        (&behaviours, &[Place::Loopback, Place::Real]),
        (&relying_party, &[Place::Loopback, Place::Real, Place::Certified]),
    ];
    run_groups(&groups, Vec::new())
}
