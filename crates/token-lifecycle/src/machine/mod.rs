//! The machine that keeps one token alive: told events, it says what to do.
//!
//! It has two verbs: [`Machine::handle`] and [`Machine::poll`]. It reads no clock, draws no random number but from the
//! seed that it was given, makes no call, allocates nothing, and knows no secret. After every `handle`, and when the time of
//! an [`Action::Wait`] has come, poll until it says `Wait` again.
//!
//! # Phases
//!
//! ```text
//!              a token comes               it comes again
//!    Empty ------------------>  Fresh  <------------------  Lost
//!      |                       |  ^  ^                       ^
//!      |           its cap is  |  |  |  success              |
//!      |                 seen  v  |  +-----------+           |  end of its life, or
//!      |                     Capped --- setback -> Failing --+  the server says it is dead
//!      |                        |                   |           (from Fresh and Capped, too)
//!      |  only a person can     v                   v
//!      +------------------->  Asking  <-------------+           every phase -- stop --> Stopped
//!          go on                 |
//!                                +--- a token comes ---> Fresh
//! ```
//!
//! Every change of phase that there is, and nothing else; a test walks through random worlds and compares what it sees
//! with this table.
//!
//! | from | when | to |
//! |---|---|---|
//! | Empty | granted, supplied | Fresh |
//! | Empty | granted | Capped |
//! | Empty | only a person can go on | Asking |
//! | Empty | stop | Stopped |
//! | Fresh | setback | Failing |
//! | Fresh | granted | Capped |
//! | Fresh | only a person can go on | Asking |
//! | Fresh | end of its life, probed, refused, setback | Lost |
//! | Fresh | stop | Stopped |
//! | Failing | granted, probed, supplied | Fresh |
//! | Failing | granted | Capped |
//! | Failing | only a person can go on | Asking |
//! | Failing | end of its life, probed, refused, setback | Lost |
//! | Failing | stop | Stopped |
//! | Capped | granted, supplied | Fresh |
//! | Capped | setback | Failing |
//! | Capped | only a person can go on | Asking |
//! | Capped | end of its life, probed, refused, setback | Lost |
//! | Capped | stop | Stopped |
//! | Asking | granted, supplied | Fresh |
//! | Asking | granted, supplied | Capped |
//! | Asking | stop | Stopped |
//! | Lost | granted, supplied | Fresh |
//! | Lost | granted | Capped |
//! | Lost | only a person can go on | Asking |
//! | Lost | stop | Stopped |
//!
//! *Fresh*, *Failing* and *Capped* have a token to hand out; *Empty* and *Lost* have none. *Asking* may have one that will
//! end, which [`Machine::serves`] tells. A call may be under way in every phase.
//!
//! # What it promises
//!
//! - A token is never handed out at or after its end, nor after the server said that it is dead.
//! - There is never more than one call under way, and an answer that comes too late changes nothing.
//! - Where a way to a new token exists, it is tried until it works; the pauses grow, but never beyond five minutes.
//! - Two calls are never closer to each other than 200 ms, unless the first one had a clear answer.

mod schedule;
mod snapshot;
mod step;
mod words;

pub use snapshot::Snapshot;
pub use words::{Action, Answer, Event, Flight, Ladder, Notice, Setback, Step, Verdict};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::{MIN_SPACING, NUDGE_SPACING};
use crate::{Draw, Moment, Policy};
use words::Notices;

/// Keeps one token alive: see the [module](self).
///
/// ```
/// use std::time::Duration;
/// use latchkey_token_lifecycle::{Action, Answer, Event, Ladder, Lease, Machine, Moment, Policy, Step, Verdict};
///
/// const HOUR: Duration = Duration::from_secs(3600);
/// let ladder = Ladder::of(&[Step::Renew, Step::SignIn]);
/// let mut machine = Machine::new(Policy::default(), ladder, 42);
///
/// // There is no token yet: it signs in.
/// let start = Moment::from_millis(0);
/// let Action::Call { flight, step: Step::SignIn, .. } = machine.poll(start) else { panic!() };
/// let answer = Answer::Granted(Lease::of(HOUR).renewable());
/// assert_eq!(machine.handle(Event::Answered { flight, answer }, start), Verdict::Adopted);
/// assert!(machine.serves(start));
///
/// // A token of one hour is renewed between minute 36 and 45.
/// assert!(matches!(machine.poll(start), Action::Tell(_)));
/// let Action::Wait { until } = machine.poll(start) else { panic!() };
/// assert!(until >= start + HOUR * 6 / 10 && until <= start + HOUR * 3 / 4);
/// assert!(matches!(machine.poll(until), Action::Call { step: Step::Renew, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    policy: Policy,
    ladder: Ladder,
    /// The state of the random numbers, which began with the seed.
    draws: u64,

    held: Option<Held>,
    /// When the next step is due by schedule; what failed has its own pause besides.
    due: Moment,
    /// Of [`Step::Renew`], [`Step::Refresh`] and [`Step::SignIn`].
    retries: [Retry; 3],
    /// The same for probes.
    probe: Retry,
    /// No call before.
    quiet_until: Moment,
    /// The longest life that tokens of this source were seen to reach; zero if none was seen to end by a cap.
    learned_max: u64,

    #[serde(skip)]
    flight: Option<Underway>,
    flights: u32,
    notices: Notices,

    /// A request waits for a token.
    wanted: bool,
    /// A request was refused, and nobody knows yet whether the token is dead.
    suspect: bool,
    /// The refused request was our own, to renew it.
    renew_denied: bool,
    /// Signing in was refused for good, as far as one can tell.
    refused: bool,
    /// A person was asked.
    asked: bool,
    /// There was a token once.
    had_one: bool,
    /// Its loss was told.
    told_loss: bool,
    stopping: bool,
    revoke: bool,
}

/// A token that lives, or has lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// When it was made.
    issued: Moment,
    /// When its last lease was asked for.
    granted: Moment,
    expires: Moment,
    /// By an explicit max TTL: no later end than that.
    latest: Moment,
    /// The life of its first lease, in milliseconds.
    first_ttl: u64,
    can_renew: bool,
    capped: bool,
    counted: bool,
    dead: bool,
}

impl Held {
    fn ttl(&self) -> Option<Duration> {
        (!self.expires.is_never()).then(|| self.expires - self.granted)
    }

    fn first_ttl(&self) -> Duration {
        Duration::from_millis(self.first_ttl)
    }
}

/// When a step may be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Retry {
    /// Not before.
    open: Moment,
    /// Failures in a row.
    failures: u16,
    /// It has ended for this token, or for this sign-in.
    closed: bool,
}

/// A call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Underway {
    flight: Flight,
    step: Step,
    started: Moment,
    deadline: Moment,
    /// What it brings is not wanted any more.
    superseded: bool,
}

/// Where a machine is: for people, and for the diagram of the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// There has been no token yet.
    Empty,
    /// There is a token, and all is well.
    Fresh,
    /// There is a token, and the last attempt to extend or replace it failed.
    Failing,
    /// There is a token that cannot be extended any more; it will be replaced.
    Capped,
    /// Only a person can go on.
    Asking,
    /// The token has ended, and there is no other one yet.
    Lost,
    /// The end.
    Stopped,
}

impl Machine {
    /// A machine without a token: its first action gets one by the lowest step of the ladder that makes a new token.
    ///
    /// Two machines with the same seed decide alike: give each its own.
    pub fn new(policy: Policy, ladder: Ladder, seed: u64) -> Self {
        Self {
            policy,
            ladder,
            draws: seed,
            held: None,
            due: Moment::START,
            retries: [Retry::default(); 3],
            probe: Retry::default(),
            quiet_until: Moment::START,
            learned_max: 0,
            flight: None,
            flights: 0,
            notices: Notices::default(),
            wanted: false,
            suspect: false,
            renew_denied: false,
            refused: false,
            asked: false,
            had_one: false,
            told_loss: false,
            stopping: false,
            revoke: false,
        }
    }

    /// Returns whether the token may be handed out now: it lives, and long enough for a request to arrive.
    pub fn serves(&self, now: Moment) -> bool {
        now < self.serves_until()
    }

    /// Returns when the token stops being handed out: a little before its end ([`Policy::skew`]).
    /// [`Moment::START`] if there is none.
    pub fn serves_until(&self) -> Moment {
        match &self.held {
            Some(held) if !held.dead => {
                held.ttl().map_or(Moment::NEVER, |ttl| held.expires.before(self.policy.skew(ttl)))
            }
            _ => Moment::START,
        }
    }

    /// Returns when the token ends, if there is one that lives as far as we know.
    pub fn expires(&self) -> Option<Moment> {
        self.held.filter(|held| !held.dead).map(|held| held.expires)
    }

    /// Returns the call that is under way.
    pub fn underway(&self) -> Option<(Flight, Step)> {
        self.flight.map(|underway| (underway.flight, underway.step))
    }

    /// Returns where it is.
    pub fn phase(&self, now: Moment) -> Phase {
        if self.stopping {
            return Phase::Stopped;
        }
        if self.asked {
            return Phase::Asking;
        }
        match self.held {
            _ if !self.serves(now) => {
                if self.had_one {
                    Phase::Lost
                } else {
                    Phase::Empty
                }
            }
            _ if self.retries.iter().any(|retry| retry.failures > 0) => Phase::Failing,
            Some(held) if held.capped => Phase::Capped,
            _ => Phase::Fresh,
        }
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, event: Event, now: Moment) -> Verdict {
        self.see_end(now);
        match event {
            Event::Answered { flight, answer } => return self.answered(flight, answer, now),
            Event::Supplied { lease, sent } => return self.supplied(lease, sent.min(now), now),
            Event::Wanted => {
                if !self.serves(now) {
                    self.wanted = true;
                    self.due = self.due.min(now);
                }
            }
            Event::Refused { certain } => self.refused_by_server(certain, now),
            Event::Nudged => self.nudge(),
            Event::RenewNow => {
                self.nudge();
                self.due = self.due.min(now);
            }
            Event::Stop { revoke } => {
                self.revoke |= revoke && !self.stopping;
                self.stopping = true;
                if let Some(underway) = &mut self.flight {
                    underway.superseded = true;
                }
            }
        }
        Verdict::Noted
    }

    /// Returns what to do now. Poll again until it says [`Action::Wait`], or [`Action::Stop`].
    pub fn poll(&mut self, now: Moment) -> Action {
        if let Some(action) = self.poll_without_calling(now) {
            return action;
        }
        match self.next_step(now) {
            (_, Some(step)) => self.call(step, now),
            (when, None) => Action::Wait { until: when },
        }
    }

    /// The same, and `None` where a call would be made: for who decides whether it may be made now.
    pub(crate) fn poll_without_calling(&mut self, now: Moment) -> Option<Action> {
        self.see_end(now);
        if let Some(underway) = self.flight.filter(|underway| now >= underway.deadline) {
            self.flight = None;
            if !underway.superseded {
                self.set_back(underway.step, Setback::Unknown, now);
            }
            return Some(Action::Abandon(underway.flight));
        }
        if self.stopping {
            return Some(self.poll_to_the_end(now));
        }
        if self.flight.is_none() && self.asks_at(now) <= now {
            self.asked = true;
            self.notices.add(Notice::NeedsPerson { by: None });
        }
        if let Some(notice) = self.notices.take() {
            return Some(Action::Tell(self.dated(notice, now)));
        }
        // The moments at which something changes by itself.
        let mut until = if self.serves(now) { self.serves_until() } else { Moment::NEVER };
        if let Some(underway) = self.flight {
            return Some(Action::Wait { until: until.min(underway.deadline) });
        }
        if self.is_alive(now) {
            until = until.min(self.held.map_or(Moment::NEVER, |held| held.expires));
        }
        let (when, step) = self.next_step(now);
        let calls = step.is_some() && when <= now;
        (!calls).then(|| Action::Wait { until: until.min(when).min(self.asks_at(now)) })
    }

    fn poll_to_the_end(&mut self, now: Moment) -> Action {
        if std::mem::take(&mut self.revoke) && self.is_alive(now) {
            return Action::Revoke;
        }
        match self.flight {
            Some(underway) => Action::Wait { until: underway.deadline },
            None => Action::Stop,
        }
    }

    fn call(&mut self, step: Step, now: Moment) -> Action {
        let left = self.is_alive(now).then(|| self.left(now)).flatten();
        let limit = self.policy.time_limit(left);
        self.flights = self.flights.wrapping_add(1);
        let flight = Flight(self.flights);
        let deadline = now + limit;
        self.flight = Some(Underway { flight, step, started: now, deadline, superseded: false });
        self.quiet_until = now + MIN_SPACING;
        Action::Call { flight, step, limit }
    }

    fn dated(&self, notice: Notice, now: Moment) -> Notice {
        match notice {
            Notice::NeedsPerson { .. } => Notice::NeedsPerson { by: self.expires().filter(|&end| now < end) },
            other => other,
        }
    }

    /// Tells the loss of a token that has come to its end.
    fn see_end(&mut self, now: Moment) {
        if self.had_one && !self.told_loss && !self.serves(now) {
            self.told_loss = true;
            self.notices.add(Notice::Lost);
        }
    }

    fn nudge(&mut self) {
        // Kept a second apart from the last call, whoever nudges how often.
        let soon = self.quiet_until + NUDGE_SPACING.saturating_sub(MIN_SPACING);
        for retry in self.retries.iter_mut().chain([&mut self.probe]) {
            retry.open = retry.open.min(soon);
            retry.failures = retry.failures.min(1);
        }
    }

    /// The next random number: `SplitMix64`, whose state is one word that can be stored.
    fn draw(&mut self) -> Draw {
        self.draws = self.draws.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.draws;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Draw::new(((word ^ (word >> 31)) >> 32) as u32)
    }
}

#[cfg(test)]
mod tests;
