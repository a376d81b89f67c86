//! What changes when something happened.

use std::time::Duration;

use super::words::{Answer, Flight, Notice, Setback, Step, Verdict};
use super::{Held, Machine, Retry};
use crate::policy::MIN_SPACING;
use crate::time::millis;
use crate::{Lease, Moment};

/// Servers cut what is left to whole seconds, so that ends which are the same differ by up to one.
const ROUNDING: Duration = Duration::from_secs(1);

impl Machine {
    pub(super) fn answered(&mut self, flight: Flight, answer: Answer, now: Moment) -> Verdict {
        let too_late = match answer {
            Answer::Granted(_) => Verdict::Superseded,
            _ => Verdict::Noted,
        };
        let Some(underway) = self.flight.filter(|underway| underway.flight == flight) else {
            return too_late;
        };
        self.flight = None;
        if underway.superseded {
            return too_late;
        }
        match (underway.step, answer) {
            (Step::Probe, Answer::Failed(setback)) => self.probe_failed(setback, now),
            (Step::Probe, _) => self.probe_found_alive(now),
            (step, Answer::Failed(setback)) => self.set_back(step, setback, now),
            (_, Answer::Alive) => {}
            // Servers write zero for no end; but a token that had one has it still, and less than a second is left.
            (Step::Renew, Answer::Granted(lease)) if lease.ttl().is_none_or(|ttl| ttl.is_zero()) => {
                self.set_back(Step::Renew, Setback::Over, now);
            }
            (Step::Renew, Answer::Granted(lease)) => {
                self.renewed(lease, underway.started, now);
                return Verdict::Adopted;
            }
            (step, Answer::Granted(lease)) => {
                if lease.ttl().is_some_and(|ttl| underway.started + ttl <= now) {
                    // It ended before it was here. Asking for another one at once would make a loop.
                    self.set_back(step, Setback::Later { after: None }, now);
                    return Verdict::Superseded;
                }
                self.replaced(lease, underway.started, now);
                self.notices.add(match (self.had_one, step) {
                    (false, _) => Notice::SignedIn,
                    (true, Step::Refresh) => Notice::Refreshed,
                    (true, _) => Notice::SignedInAgain,
                });
                self.has_one();
                return Verdict::Adopted;
            }
        }
        Verdict::Noted
    }

    pub(super) fn supplied(&mut self, lease: Lease, sent: Moment, now: Moment) -> Verdict {
        if self.stopping || lease.ttl().is_some_and(|ttl| sent + ttl <= now) {
            return Verdict::Superseded;
        }
        if let Some(underway) = &mut self.flight {
            // What it brings is older than what somebody has put in on purpose.
            underway.superseded = true;
        }
        self.replaced(lease, sent, now);
        self.notices.add(if self.had_one { Notice::SignedInAgain } else { Notice::SignedIn });
        self.has_one();
        Verdict::Adopted
    }

    /// A new token takes the place of the old one.
    fn replaced(&mut self, lease: Lease, sent: Moment, now: Moment) {
        let ttl = lease.ttl();
        if ttl.is_none_or(|ttl| millis(ttl) > self.learned_max.saturating_add(2 * millis(ROUNDING))) {
            self.learned_max = 0;
        }
        let expires = ttl.map_or(Moment::NEVER, |ttl| sent + ttl);
        let held = Held {
            issued: sent,
            granted: sent,
            expires,
            latest: lease.explicit_max_ttl().map_or(Moment::NEVER, |span| sent + span),
            first_ttl: ttl.map_or(0, millis),
            can_renew: lease.can_renew() && self.ladder.has(Step::Renew),
            capped: false,
            counted: lease.is_counted(),
            dead: false,
        };
        self.held = Some(Held { capped: held.can_renew && self.is_at_cap(&held, lease), ..held });
        self.retries = [Retry::default(); 3];
        self.refused = false;
        self.settle(now);
    }

    /// The same token lives longer, or no shorter.
    fn renewed(&mut self, lease: Lease, sent: Moment, now: Moment) {
        let Some(old) = self.held else { return };
        let expires = lease.ttl().map_or(Moment::NEVER, |ttl| sent + ttl);
        let latest = lease.explicit_max_ttl().map_or(old.latest, |span| old.issued + span);
        let mut held = Held {
            granted: sent,
            expires,
            latest,
            can_renew: lease.can_renew(),
            counted: old.counted || lease.is_counted(),
            dead: false,
            capped: false,
            ..old
        };
        let gains_too_little = self.policy.is_too_little(expires - old.expires, sent - old.granted);
        if gains_too_little && !lease.is_periodic() {
            held.capped = true;
            self.learned_max = millis(expires - old.issued);
        }
        held.capped |= held.can_renew && self.is_at_cap(&held, lease);
        if held.capped && !old.capped {
            self.notices.add(Notice::Capped);
        }
        self.held = Some(held);
        let closed = self.retries.map(|retry| retry.closed);
        self.retries = closed.map(|closed| Retry { closed, ..Retry::default() });
        self.notices.add(Notice::Renewed);
        self.has_one();
        self.settle(now);
    }

    /// Whether a further renewal would bring nothing.
    fn is_at_cap(&self, held: &Held, lease: Lease) -> bool {
        let learned = match self.learned_max {
            0 => Moment::NEVER,
            _ if lease.is_periodic() => Moment::NEVER,
            span => held.issued + Duration::from_millis(span),
        };
        lease.has_cap_warning() || held.expires >= held.latest.min(learned).before(ROUNDING)
    }

    fn settle(&mut self, now: Moment) {
        self.probe = Retry { open: self.probe.open.min(now), ..Retry::default() };
        (self.wanted, self.suspect, self.renew_denied) = (false, false, false);
        self.asked = false;
        self.notices.remove_needs_person();
        self.quiet_until = now + MIN_SPACING;
        self.schedule(now);
    }

    fn has_one(&mut self) {
        self.had_one = true;
        self.told_loss = false;
    }

    /// Nothing came of a call other than a probe.
    pub(super) fn set_back(&mut self, step: Step, setback: Setback, now: Moment) {
        if step == Step::Probe {
            return self.probe_failed(setback, now);
        }
        match (step, setback) {
            (_, Setback::Later { after }) => self.fail(step, after, now),
            // Once, promptly: a provider with a reuse interval still takes the refresh token.
            (Step::Refresh, Setback::Unknown) if self.retry(step).failures == 0 => {
                *self.retry_mut(step) = Retry { open: now + MIN_SPACING, failures: 1, closed: false };
            }
            (_, Setback::Unknown) => self.fail(step, None, now),
            (Step::Renew, Setback::Dead) => self.die(now),
            (Step::Renew, Setback::Denied) if self.ladder.has(Step::Probe) => {
                (self.suspect, self.renew_denied) = (true, true);
                self.probe.open = now;
                self.fail(step, None, now);
                self.quiet_until = now;
            }
            (Step::SignIn, _) => {
                self.refused = true;
                let failures = self.retry(step).failures.saturating_add(1);
                let draw = self.draw();
                let mut pause = self.policy.refused_pause(failures.into(), draw);
                if let Some(left) = self.left(now).filter(|_| self.is_alive(now)) {
                    pause = pause.min((left / 4).max(Duration::from_secs(1)));
                }
                let open = now + pause;
                *self.retry_mut(step) = Retry { open, failures, closed: false };
            }
            _ => {
                self.retry_mut(step).closed = true;
                self.quiet_until = now;
                self.hurry(now);
            }
        }
    }

    fn fail(&mut self, step: Step, after: Option<Duration>, now: Moment) {
        let failures = self.retry(step).failures.saturating_add(1);
        let left = if self.is_alive(now) { self.left(now) } else { None };
        let draw = self.draw();
        let open = now + self.policy.pause(failures.into(), left, after, draw);
        let retry = self.retry_mut(step);
        (retry.open, retry.failures) = (open, failures);
        self.quiet_until = now + MIN_SPACING;
    }

    fn probe_failed(&mut self, setback: Setback, now: Moment) {
        match setback {
            Setback::Later { after } => self.fail(Step::Probe, after, now),
            Setback::Unknown => self.fail(Step::Probe, None, now),
            Setback::Dead | Setback::Denied => self.die(now),
            Setback::Over | Setback::Person => self.probe_found_alive(now),
        }
    }

    /// The refusal came from a policy.
    fn probe_found_alive(&mut self, now: Moment) {
        self.suspect = false;
        let spacing = self.policy.probe_spacing(self.held.and_then(|held| held.ttl()));
        self.probe = Retry { open: now + spacing, ..Retry::default() };
        if std::mem::take(&mut self.renew_denied) {
            // It may not renew itself.
            *self.retry_mut(Step::Renew) = Retry { closed: true, ..Retry::default() };
            self.hurry(now);
        }
    }

    /// A request that carried the token was refused.
    pub(super) fn refused_by_server(&mut self, certain: bool, now: Moment) {
        let Some(held) = self.held.filter(|_| self.is_alive(now)) else { return };
        if certain || held.counted {
            // To ask about a token whose uses are counted would be a use.
            self.die(now);
        } else if self.ladder.has(Step::Probe) {
            self.suspect = true;
        } else if now >= self.probe.open {
            // Whoever cannot be asked is renewed or replaced; not for every refusal, since policies refuse as well.
            self.probe.open = now + self.policy.probe_spacing(None) * 6;
            self.due = self.due.min(now);
        }
    }

    /// The token is dead.
    pub(super) fn die(&mut self, now: Moment) {
        if let Some(held) = &mut self.held {
            held.dead = true;
        }
        (self.suspect, self.renew_denied) = (false, false);
        self.quiet_until = self.quiet_until.min(now);
        self.see_end(now);
        self.hurry(now);
    }
}
