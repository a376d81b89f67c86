//! Signing out: begun here, or heard of.

mod back_channel;
mod end_session;

pub use back_channel::{LogoutProblem, LogoutToken};
pub use end_session::{EndSession, PendingLogout, SigningOut};
