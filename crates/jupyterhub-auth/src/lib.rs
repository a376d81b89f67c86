#![doc = include_str!("../README.md")]

// The handle, and what it can ask.
mod hub_api;
mod id_token;
mod user;

// What comes back.
mod auth_state;
mod scopes;

// Whether a person's server starts, as whom, and with what.
mod environment;
mod page;
mod spawn;
mod unix_user;
mod username;

mod error;
mod reply;

pub use auth_state::AuthState;
pub use environment::{Carrier, EnvironmentProblem, ServerEnvironment};
pub use error::{Error, Refusal};
pub use hub_api::{HubApi, check_own_server};
pub use id_token::ReadIdToken;
pub use page::{Page, Reason, Remedy};
pub use scopes::Holder;
pub use spawn::{Decision, Known, Session, SpawnPolicy, Standing};
pub use unix_user::{Account, Found, Home, Step, UnixUser, UserProblem};
pub use user::{HubInfo, HubUser, ReadInfo, ReadUser, ReadWho, StateView, Who};
pub use username::{NameProblem, UnixName};
