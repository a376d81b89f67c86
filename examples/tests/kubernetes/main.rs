//! kubectl with `kube-credential`, an API server with `token-review`, a pod with `webapp`: against the doubles on
//! loopback, and against Keycloak and OpenBao.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "the modules of a test are for each other")]
#![expect(clippy::panic, reason = "a test ends where something unexpected happens")]

mod cluster;
mod kube_credential;
mod kubectl;
mod token_review;
mod webapp;

use std::process::ExitCode;

use latchkey_tests::{Place, kubernetes, run};

fn main() -> ExitCode {
    let mut with_kubectl = kubectl::behaviours();
    if kubernetes::kubectl().is_none() {
        const ABSENT: &str = "there is no kubectl";
        for behaviour in &mut with_kubectl {
            behaviour.not_on = &[(Place::Loopback, ABSENT), (Place::Real, ABSENT)];
        }
    }
    let behaviours =
        [with_kubectl, kube_credential::behaviours(), token_review::behaviours(), webapp::behaviours()]
            .concat();
    run(&behaviours, &[Place::Loopback, Place::Real], Vec::new())
}
