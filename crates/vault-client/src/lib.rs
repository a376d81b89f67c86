#![doc = include_str!("../README.md")]

// The handle, and where its settings come from.
mod config;
mod consistency;
mod delivery;
mod trace;
mod vault;

// When it is asked again.
pub mod retry;

// What it can be asked, one module per part of the API.
pub mod auth;
pub mod identity;
pub mod kv2;
pub mod logical;
pub mod secret_store;
pub mod sys;
pub mod token;
pub mod wrapping;

// What crosses the wire.
mod credential;
mod duration;
mod leaves;
mod login;
mod merge;
mod messages;
mod path;
mod reply;
mod secret;

mod error;
mod problem;

#[cfg(test)]
mod script;

pub use config::Config;
pub use consistency::Forwarding;
pub use credential::{Lease, Token, TokenType};
pub use error::{Error, Refusal};
pub use kv2::read::Read;
pub use login::Login;
pub use messages::Messages;
pub use problem::{Gone, LoginProblem, MountProblem, PathPart, PathProblem, TokenProblem, ValueKind};
pub use secret::Data;
pub use vault::Vault;
