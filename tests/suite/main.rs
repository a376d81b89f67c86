//! The one suite: every behaviour on every backend.
//!
//! The real servers' addresses are in the environment (`cargo xtask servers up` starts them, `cargo xtask test` does it
//! all); without them, the tests there are counted as ignored.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod canary;
mod discovery;
mod doubles;
mod id_token;
mod kv2;
mod login;
mod loopback;
mod parity;
mod support;
mod token;
mod vault_login;
mod workspace;

use std::process::ExitCode;

use latchkey_tests::{Place, run};

fn main() -> ExitCode {
    let behaviours = [
        discovery::behaviours(),
        login::behaviours(),
        id_token::behaviours(),
        vault_login::behaviours(),
        kv2::behaviours(),
        token::behaviours(),
        loopback::behaviours(),
        canary::behaviours(),
        parity::behaviours(),
        doubles::behaviours(),
    ];
    run(&behaviours.into_iter().flatten().collect::<Vec<_>>(), &Place::ALL, workspace::trials())
}
