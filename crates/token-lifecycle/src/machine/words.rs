//! What a machine is told, and what it says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Lease, Moment};

/// A call that a machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Step {
    /// Extend the life of the token itself: Vault's `renew-self`, the renewal of a lease.
    Renew,
    /// Get a new token by what was kept for that: an OAuth refresh token.
    Refresh,
    /// Sign in anew without a person: with a JWT from a file or from the hub, with a service account.
    SignIn,
    /// Ask whether the token still lives: Vault's `lookup-self`.
    Probe,
}

/// The ways to go on that there are, from the cheapest to the dearest: renew, refresh, sign in again by machine, ask a
/// person. And whether the server can be asked if a token lives.
///
/// ```
/// use latchkey_token_lifecycle::{Ladder, Step};
///
/// let ladder = Ladder::of(&[Step::Renew, Step::SignIn, Step::Probe]).with_person();
/// assert!(ladder.has(Step::SignIn) && !ladder.has(Step::Refresh) && ladder.has_person());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ladder(u8);

impl Ladder {
    const PERSON: u8 = 1 << 7;

    /// A ladder with these steps.
    pub fn of(steps: &[Step]) -> Self {
        Self(steps.iter().fold(0, |bits, &step| bits | Self::bit(step)))
    }

    /// Says that a person can be asked to sign in.
    pub const fn with_person(self) -> Self {
        Self(self.0 | Self::PERSON)
    }

    /// Returns whether it has that step.
    pub const fn has(self, step: Step) -> bool {
        self.0 & Self::bit(step) != 0
    }

    /// Returns whether a person can be asked.
    pub const fn has_person(self) -> bool {
        self.0 & Self::PERSON != 0
    }

    const fn bit(step: Step) -> u8 {
        1 << step as u8
    }
}

/// Names one call of one machine: an answer counts only if it is the answer to the call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flight(pub(super) u32);

/// What a machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A call that was asked for has come to an end.
    Answered {
        /// Which call.
        flight: Flight,
        /// How it ended.
        answer: Answer,
    },
    /// Somebody put a token in: a person who signed in, or a store where it was kept.
    Supplied {
        /// Its lease.
        lease: Lease,
        /// When it was asked for, so that its life is counted from there.
        sent: Moment,
    },
    /// A request waits for a token. Said while none can be handed out, it ends the pause that keeps a crowd apart, but not
    /// the one after a failure.
    Wanted,
    /// A request that carried the token was refused.
    Refused {
        /// Whether the server said in words that the token is dead; otherwise it may be a policy.
        certain: bool,
    },
    /// Something happened that makes another attempt promising: the network is back, the computer woke up, somebody
    /// looks at the page. Ends the pause after a failure.
    Nudged,
    /// Go on now, whatever the schedule says.
    RenewNow,
    /// No more calls.
    Stop {
        /// Whether to give the token back.
        revoke: bool,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// There is a token with that lease: a new one, or after [`Step::Renew`] the old one.
    Granted(Lease),
    /// After [`Step::Probe`]: the token lives.
    Alive,
    /// Nothing came of it.
    Failed(Setback),
}

/// Why nothing came of a call, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setback {
    /// It will pass: no connection, a sealed or overloaded server. The call was not run, or running it twice is harmless.
    Later {
        /// How long the server asked to be left alone (`Retry-After`).
        after: Option<Duration>,
    },
    /// No answer came, and whether the server acted is unknown. After [`Step::Refresh`] the refresh token may be spent:
    /// it is tried again at once, while a provider with a reuse interval still takes it.
    Unknown,
    /// This way has ended: the token cannot be renewed (any more), the refresh token is not taken, the login is refused.
    Over,
    /// The token itself is dead, and the server said so: `token not found`, `invalid token`.
    Dead,
    /// Refused, and it may be for a policy or because the token is dead (403).
    Denied,
    /// Only a person can go on.
    Person,
}

/// What became of what a machine was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a token that was superseded should be given back"]
pub enum Verdict {
    /// The token of the answer is the one to hand out from now on.
    Adopted,
    /// The token of the answer came too late, or is of no use. If it is a new one, revoke it.
    Superseded,
    /// There was no token in it.
    Noted,
}

/// What a machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing until then, or until something happens.
    Wait {
        /// [`Moment::NEVER`] if only an event changes anything.
        until: Moment,
    },
    /// Make a call, and tell how it ended with [`Event::Answered`].
    Call {
        /// To be told with the answer.
        flight: Flight,
        /// What to do.
        step: Step,
        /// After that long the machine gives the call up.
        limit: Duration,
    },
    /// Give that call up: it has taken too long. Its answer does not count any more.
    Abandon(Flight),
    /// Tell whoever wants to know.
    Tell(Notice),
    /// Give the token back to the server. No answer is expected.
    Revoke,
    /// This was the last action.
    Stop,
}

/// What a user interface, a log or a meter wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// There is no token that could be handed out any more.
    Lost,
    /// The first token is there.
    SignedIn,
    /// There is a new token, made by signing in again.
    SignedInAgain,
    /// The token lives longer.
    Renewed,
    /// There is a new token, made by what was kept for that.
    Refreshed,
    /// The token cannot be extended any more, and will be replaced before its end.
    Capped,
    /// Only a person can go on.
    NeedsPerson {
        /// When the token ends; `None` if there is none any more.
        by: Option<Moment>,
    },
}

/// Notices that wait to be told, in the order of their declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Notices(u8);

impl Notices {
    const ORDER: [Notice; 7] = [
        Notice::Lost,
        Notice::SignedIn,
        Notice::SignedInAgain,
        Notice::Renewed,
        Notice::Refreshed,
        Notice::Capped,
        Notice::NeedsPerson { by: None },
    ];

    pub(super) fn add(&mut self, notice: Notice) {
        let same = |other: &&Notice| std::mem::discriminant(*other) == std::mem::discriminant(&notice);
        if let Some(index) = Self::ORDER.iter().position(|other| same(&other)) {
            self.0 |= 1 << index;
        }
    }

    pub(super) fn remove_needs_person(&mut self) {
        self.0 &= !(1 << 6);
    }

    pub(super) fn take(&mut self) -> Option<Notice> {
        let notice = Self::ORDER.get(self.0.trailing_zeros() as usize).copied();
        self.0 &= self.0.wrapping_sub(1);
        notice
    }
}
