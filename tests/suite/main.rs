//! The one suite: every behaviour on every backend.
//!
//! The real servers' addresses are in the environment (`cargo xtask servers up` starts them, `cargo xtask test` does it
//! all); without them, the tests there are counted as ignored.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod bao;
mod canary;
mod certified;
mod conformance;
mod discovery;
mod doubles;
mod id_token;
mod kv2;
mod lifecycle;
mod lifecycle_oidc;
mod login;
mod loopback;
mod oidc_device;
mod oidc_grants;
mod oidc_refresh;
mod parity;
mod secret_store;
mod support;
mod token;
mod vault_auth;
mod vault_canary;
mod vault_faults;
mod vault_kv2;
mod vault_login;
mod vault_setup;
mod vault_sys;
mod vault_token;
mod vault_walk;
mod vault_wrapping;
mod workspace;

use std::process::ExitCode;

use latchkey_tests::{Place, run_groups};

fn main() -> ExitCode {
    let behaviours = [
        discovery::behaviours(),
        login::behaviours(),
        lifecycle::behaviours(),
        lifecycle_oidc::behaviours(),
        id_token::behaviours(),
        vault_login::behaviours(),
        kv2::behaviours(),
        token::behaviours(),
        vault_auth::behaviours(),
        vault_canary::behaviours(),
        bao::behaviours(),
        vault_faults::behaviours(),
        vault_kv2::behaviours(),
        secret_store::behaviours(),
        vault_setup::behaviours(),
        vault_sys::behaviours(),
        vault_token::behaviours(),
        vault_walk::behaviours(),
        vault_wrapping::behaviours(),
        loopback::behaviours(),
        canary::behaviours(),
        parity::behaviours(),
        oidc_refresh::behaviours(),
        oidc_grants::behaviours(),
        oidc_device::behaviours(),
        doubles::behaviours(),
    ];
    let trials = [workspace::trials(), conformance::trials()].into_iter().flatten().collect();
    let behaviours = behaviours.into_iter().flatten().collect::<Vec<_>>();
    let on_both = [Place::Real, Place::Certified];
    let groups: [(&[_], &[_]); 3] = [
        (&behaviours, &Place::ALL),
        (&certified::behaviours(), &on_both),
        (&certified::of_the_others(), &[Place::Certified]),
    ];
    run_groups(&groups, trials)
}
