//! How things are, for people and meters.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::shared::Shared;
use crate::{Failure, Phase};

/// How things are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Where the machine is.
    pub phase: Phase,
    /// Whether a token can be handed out.
    pub has_token: bool,
    /// When the token ends, by the wall's clock; `None` if there is none, or if it does not end.
    pub expires: Option<SystemTime>,
    /// When something will be done or looked at next; `None` while a call is under way, or if nothing is planned.
    pub next: Option<SystemTime>,
    /// What the last attempt failed of; `None` if it succeeded.
    pub last_failure: Option<Failure>,
}

impl Default for Status {
    fn default() -> Self {
        Self { phase: Phase::Empty, has_token: false, expires: None, next: None, last_failure: None }
    }
}

impl Status {
    pub(super) fn differs(&self, other: &Self) -> bool {
        (self.phase, self.has_token, self.expires) != (other.phase, other.has_token, other.expires)
            || self.last_failure.is_some() != other.last_failure.is_some()
    }
}

/// What has happened: for a user interface, a log, or meters.
///
/// As a line of a log: `tracing::info!(?news, "token")`. Nothing in it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// The first token is there.
    SignedIn {
        /// When it ends.
        until: Option<SystemTime>,
    },
    /// The token lives longer.
    Renewed {
        /// When it ends now.
        until: Option<SystemTime>,
    },
    /// There is a new token, made by what was kept for that.
    Refreshed {
        /// When it ends.
        until: Option<SystemTime>,
    },
    /// The token cannot be extended any more.
    Capped {
        /// When it ends for good.
        until: Option<SystemTime>,
    },
    /// There is a new token, made by signing in again.
    SignedInAgain {
        /// When it ends.
        until: Option<SystemTime>,
    },
    /// Only a person can go on.
    NeedsPerson {
        /// When the token ends; `None` if there is none any more.
        by: Option<SystemTime>,
    },
    /// There is no token that could be handed out any more.
    Lost,
}

/// A view of a keeper's [`Status`].
pub struct Watch<V> {
    shared: Arc<Shared<V>>,
    seen: u64,
}

impl<V> Watch<V> {
    pub(super) fn new(shared: Arc<Shared<V>>) -> Self {
        let seen = shared.board().version;
        Self { shared, seen }
    }

    /// Returns how things are.
    pub fn current(&self) -> Status {
        self.shared.status()
    }

    /// Waits until something has changed since the last call, and returns how things are then. `None` when the keeper has
    /// ended. Changes that follow each other fast are seen as one.
    pub async fn changed(&mut self) -> Option<Status> {
        loop {
            let changed = self.shared.changed();
            {
                let board = self.shared.board();
                if board.version != self.seen {
                    self.seen = board.version;
                    return Some(board.status.clone());
                }
                if board.ended {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl<V> fmt::Debug for Watch<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("status", &self.current()).finish_non_exhaustive()
    }
}
