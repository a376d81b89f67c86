//! Signing out: begun here, or heard of.

mod back_channel;
mod end_session;
mod front_channel;
mod session;

pub use back_channel::{LogoutProblem, LogoutToken};
pub use end_session::{EndSession, PendingLogout, SigningOut};
pub use front_channel::FrontChannelLogout;
pub use session::{SessionCheck, SessionStatus};
