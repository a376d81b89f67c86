//! When what is tried.

use std::time::Duration;

use super::{Machine, Retry, Step};
use crate::Moment;

/// The steps that may give a token, from the cheapest to the dearest.
pub(super) const RUNGS: [Step; 3] = [Step::Renew, Step::Refresh, Step::SignIn];

impl Machine {
    /// Returns whether there is a token that lives as far as we know.
    pub(super) fn is_alive(&self, now: Moment) -> bool {
        self.held.is_some_and(|held| !held.dead && now < held.expires)
    }

    /// Returns what is left of the token's life, where it ends.
    pub(super) fn left(&self, now: Moment) -> Option<Duration> {
        self.held.filter(|held| !held.expires.is_never()).map(|held| held.expires - now)
    }

    pub(super) fn retry(&self, step: Step) -> Retry {
        self.retries.get(step as usize).copied().unwrap_or(self.probe)
    }

    pub(super) fn retry_mut(&mut self, step: Step) -> &mut Retry {
        match step {
            Step::Probe => &mut self.probe,
            // The steps are declared in the order of the array.
            _ => self.retries.get_mut(step as usize).unwrap_or(&mut self.probe),
        }
    }

    /// Returns the next call and when it is to be made.
    pub(super) fn next_step(&self, now: Moment) -> (Moment, Option<Step>) {
        let mut next = (Moment::NEVER, None);
        if self.suspect && self.is_alive(now) {
            next = (self.probe.open.max(self.quiet_until).max(now), Some(Step::Probe));
        }
        let mut from = self.due;
        for step in RUNGS.into_iter().filter(|&step| self.is_open(step, now)) {
            let when = from.max(self.retry(step).open).max(self.quiet_until).max(now);
            if when < next.0 {
                next = (when, Some(step));
            }
            // While there is time, a dearer step waits for the cheaper one to succeed.
            from = from.max(self.late(now));
        }
        next
    }

    /// Returns whether a step can be tried at all.
    fn is_open(&self, step: Step, now: Moment) -> bool {
        if self.retry(step).closed || !self.ladder.has(step) {
            return false;
        }
        match step {
            Step::Renew => {
                let renewable =
                    self.held.is_some_and(|held| held.can_renew && (!held.capped || !self.can_replace()));
                renewable && self.is_alive(now)
            }
            _ => true,
        }
    }

    /// Returns whether a token can be replaced without a person.
    pub(super) fn can_replace(&self) -> bool {
        [Step::Refresh, Step::SignIn]
            .into_iter()
            .any(|step| self.ladder.has(step) && !self.retry(step).closed)
    }

    /// From here on dearer steps are tried beside the cheaper ones.
    fn late(&self, now: Moment) -> Moment {
        match (&self.held, self.left(now)) {
            (Some(held), Some(_)) if self.is_alive(now) => {
                let ttl = held.expires - held.granted;
                held.expires.before(self.policy.replace_before(held.first_ttl(), ttl, crate::Draw::LOW))
            }
            (Some(_), None) if self.is_alive(now) => Moment::NEVER,
            _ => Moment::START,
        }
    }

    /// Returns when a person has to be asked.
    pub(super) fn asks_at(&self, now: Moment) -> Moment {
        if !self.ladder.has_person() || self.asked || self.can_go_on_alone(now) {
            return Moment::NEVER;
        }
        match &self.held {
            Some(held) if self.is_alive(now) => match held.ttl() {
                Some(ttl) => held.expires.before(self.policy.ask_before(held.first_ttl(), ttl)),
                None => Moment::NEVER,
            },
            _ => Moment::START,
        }
    }

    fn can_go_on_alone(&self, now: Moment) -> bool {
        let is_good = |step| match step {
            Step::Renew => self.held.is_some_and(|held| !held.capped),
            Step::SignIn => !self.refused,
            _ => true,
        };
        RUNGS.into_iter().any(|step| self.is_open(step, now) && is_good(step))
    }

    /// Sets when the token that was just granted is to be extended or replaced.
    pub(super) fn schedule(&mut self, now: Moment) {
        let draw = self.draw();
        let Some(held) = self.held else { return };
        let Some(ttl) = held.ttl() else {
            self.due = Moment::NEVER;
            return;
        };
        self.due = if held.can_renew && held.capped {
            held.expires.before(self.policy.replace_before(held.first_ttl(), ttl, draw))
        } else {
            held.granted + self.policy.renew_after(ttl, draw)
        };
        if self.due <= now {
            // A life that was all but over when its lease came. Who has no other way than to renew has no hurry.
            let left = held.expires - now;
            let pause = if self.can_replace() { self.policy.herd_pause(left, draw) } else { left / 2 };
            self.due = now + pause;
        }
    }

    /// Replaces soon what has ended by no schedule of ours; at once if a request waits.
    pub(super) fn hurry(&mut self, now: Moment) {
        let draw = self.draw();
        let ttl = self.held.and_then(|held| held.ttl()).unwrap_or_default();
        let mut pause = self.policy.herd_pause(ttl, draw);
        if self.is_alive(now) {
            pause = pause.min(self.left(now).unwrap_or_default() / 2);
        } else if self.wanted {
            pause = Duration::ZERO;
        }
        self.due = now + pause;
    }
}
