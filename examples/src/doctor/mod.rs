//! What is wrong with a set-up, and what to write to mend it.
//!
//! `provider.rs`, `vault.rs` and `hub.rs` ask the servers; what they answer is judged in `judge.rs`, which asks nobody.
//! Nothing is changed anywhere, and nothing that is secret gets into a [`Finding`].

mod finding;
mod fix;
mod hub;
mod judge;
mod policy;
mod provider;
mod vault;

pub use finding::{Finding, Outcome, Report};
pub use hub::hub;
pub use provider::{AskedProvider, provider};
pub use vault::{AskedVault, vault};
