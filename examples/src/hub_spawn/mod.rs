//! What `hub-spawn` does before a hub starts somebody's server: one file per question.
//!
//! Not for the hub's side, which is `examples/hub/hub_spawn.py`.

mod accounts;
mod config;
mod message;
mod runtime_file;
mod sign_in;
mod vault;

pub use accounts::Accounts;
pub use config::{Config, OwnToken, ProviderConfig, SecretConfig, UsersConfig, VaultConfig, WhenDown};
pub use message::{Asked, Purpose, Refreshed, Start, write_done, write_refreshed, write_start, write_stop};
pub use runtime_file::{remove_for, write_for};
pub use sign_in::{SignIn, SignedIn};
pub use vault::{Handed, hand_over, take_back};
