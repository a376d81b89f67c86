//! kubectl with `kube-credential`, an API server with `token-review`, a pod with `webapp`: against the doubles on
//! loopback, and against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "the modules of a test are for each other")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

mod api_server;
mod clocks;
mod cluster;
mod kube_credential;
mod kubectl;
mod manifest;
mod token_review;
mod webapp;

use std::process::ExitCode;

use latchkey_tests::{Behaviour, Place, WrongClock, kubernetes, run};

fn main() -> ExitCode {
    const NO_KUBECTL: &str = "there is no kubectl";
    const NO_CLOCK: &str = WrongClock::ABSENT;
    const NO_PODMAN: &str = "podman is installed, and its parts are built, by `cargo xtask test --all`";
    const NO_SERVER: &str = "kube-apiserver is built by `cargo xtask test --all`, where Go is";
    let mut with_kubectl = kubectl::behaviours();
    if kubernetes::kubectl().is_none() {
        leave_out(&mut with_kubectl, &[(Place::Loopback, NO_KUBECTL), (Place::Real, NO_KUBECTL)]);
    }
    let mut with_api_server = [api_server::behaviours(), manifest::applied::behaviours()].concat();
    if kubernetes::api_server().is_none() || kubernetes::kubectl().is_none() {
        leave_out(&mut with_api_server, &[(Place::Loopback, NO_SERVER), (Place::Real, NO_SERVER)]);
    }
    let mut with_podman = manifest::contained::behaviours();
    if kubernetes::image_parts().is_none() || kubernetes::kubectl().is_none() {
        leave_out(&mut with_podman, &[(Place::Loopback, NO_PODMAN), (Place::Real, NO_PODMAN)]);
    }
    let mut with_clock = clocks::behaviours();
    if WrongClock::find().is_none() {
        leave_out(&mut with_clock, &[(Place::Loopback, NO_CLOCK), (Place::Real, NO_CLOCK)]);
    }
    let behaviours = [
        with_clock,
        with_kubectl,
        with_api_server,
        with_podman,
        kube_credential::behaviours(),
        token_review::behaviours(),
        webapp::behaviours(),
    ]
    .concat();
    run(&behaviours, &[Place::Loopback, Place::Real], Vec::new())
}

fn leave_out(behaviours: &mut [Behaviour], why: &'static [(Place, &'static str)]) {
    for behaviour in behaviours {
        behaviour.not_on = why;
    }
}
