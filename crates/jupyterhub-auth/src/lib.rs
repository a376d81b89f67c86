#![doc = include_str!("../README.md")]

// The handle, and what it can ask.
mod hub_api;
mod id_token;
mod user;

// What comes back.
mod auth_state;
mod scopes;

mod error;
mod reply;

pub use auth_state::AuthState;
pub use error::{Error, Refusal};
pub use hub_api::{HubApi, check_own_server};
pub use id_token::ReadIdToken;
pub use scopes::Holder;
pub use user::{HubInfo, HubUser, ReadInfo, ReadUser, ReadWho, StateView, Who};
