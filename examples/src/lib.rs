#![doc = include_str!("../README.md")]

// What every program does the same way, so that the programs themselves show the libraries.
mod content;
mod environment;
mod failure;
mod hints;
mod hub;
mod secret_path;
mod setup;

pub mod browser;
pub mod doctor;
pub mod headless;
pub mod hub_spawn;
pub mod kubernetes;
pub mod late_provider;
pub mod logging;
pub mod login_service;
pub mod logout_listener;
pub mod output;
pub mod provision;
pub mod qr;
pub mod serve;
pub mod session;
pub mod sign_in;
pub mod terminal;
pub mod token_file;

pub use content::{Encoding, content};
pub use environment::{IssuerArguments, ProviderArguments, VaultArguments};
pub use failure::{EXIT_CODES, Exit, Failure, finish, help_after};
pub use hub::{Hub, HubArguments};
pub use secret_path::{NotASecretPath, SecretPath};
pub use setup::{Done, Setup, absent};
