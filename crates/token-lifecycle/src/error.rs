//! What can go wrong for whoever wants a token.

use std::time::Duration;

use crate::{Failure, Setback};

/// Why there is no token. Grouped by who must act.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, or the server: the attempt that was waited for failed. The keeper goes on trying; ask again.
    #[error("no token: the last attempt failed")]
    Failed(#[source] Failure),
    /// The person: nobody else can go on. Put what they bring in with [`Keeper::supply`](crate::Keeper::supply).
    #[error("a person has to sign in")]
    NeedsPerson,
    /// Time: nothing came within the patience of the keeper. It goes on trying; ask again.
    #[error("no token within {} s", patience.as_secs())]
    TimedOut {
        /// How long was waited.
        patience: Duration,
        /// What the last attempt failed of, if there was one.
        #[source]
        last: Option<Failure>,
    },
    /// The caller: the keeper was stopped, or what it ran on is gone.
    #[error("the keeper has ended")]
    Ended,
}

impl Error {
    /// Returns whether asking again later may help without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(failure) => {
                matches!(failure.setback(), Setback::Later { .. } | Setback::Unknown | Setback::Dead)
            }
            Self::TimedOut { .. } => true,
            Self::NeedsPerson | Self::Ended => false,
        }
    }

    /// Returns the stable name of this error, for programs and other languages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) => "token_failed",
            Self::NeedsPerson => "token_needs_person",
            Self::TimedOut { .. } => "token_timed_out",
            Self::Ended => "token_keeper_ended",
        }
    }
}
