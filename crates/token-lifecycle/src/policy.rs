//! When, and how long: the numbers, each with a worked example. Nothing here knows a state.
//!
//! The reasons are in the reference of the project: what each client of Vault, and each cloud's credential cache, does
//! about renewal, and where it breaks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;

/// A random number that somebody else has drawn: the place in a range.
///
/// Every range is spread by a factor of the life itself, so that a life of ten seconds and one of a month are both spread
/// well. (An absolute spread of five seconds wakes up after the end of a life of six.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(u32);

impl Draw {
    /// The lower end of every range.
    pub const LOW: Self = Self(0);
    /// The middle.
    pub const MIDDLE: Self = Self(1 << 31);
    /// The upper end, all but.
    pub const HIGH: Self = Self(u32::MAX);

    /// Takes 32 random bits.
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the place in a range of spans.
    pub fn between(self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (millis(low), millis(high));
        let part = (u128::from(high.saturating_sub(low)) * u128::from(self.0)) >> 32;
        Duration::from_millis(low.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)))
    }
}

/// The numbers by which a [`Machine`](crate::Machine) decides. The default is what you want.
///
/// ```
/// use std::time::Duration;
/// use latchkey_token_lifecycle::{Draw, Policy};
///
/// const fn minutes(count: u64) -> Duration { Duration::from_secs(60 * count) }
///
/// // A token of one hour renews between minute 36 and 45.
/// let policy = Policy::default();
/// assert_eq!(policy.renew_after(minutes(60), Draw::LOW), minutes(36));
/// assert!(policy.renew_after(minutes(60), Draw::HIGH) <= minutes(45));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// In thousandths of the life.
    renew_from: u16,
    renew_until: u16,
    /// In milliseconds.
    longest_pause: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { renew_from: 600, renew_until: 750, longest_pause: 60_000 }
    }
}

/// Two calls are never closer to each other, unless the first one had a clear answer.
pub(crate) const MIN_SPACING: Duration = Duration::from_millis(200);

/// After a nudge, the next attempt is never closer to the last one than this.
pub(crate) const NUDGE_SPACING: Duration = Duration::from_secs(1);

/// What a server asks us to wait is honoured up to this: five minutes. A header with a year in it is a mistake.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

impl Policy {
    /// The longest that any timer runs: one hour. A timer of a browser or of Node fires at once when it is set to more
    /// than 2³¹−1 ms (24.8 days); and the wall's clock must be looked at now and then.
    pub const LONGEST_NAP: Duration = Duration::from_secs(3600);

    /// Renews between these two thousandths of the life instead of between 600 and 750. Values are held between 100 and
    /// 900, and the second is never before the first.
    pub fn with_renewal_between(mut self, from: u16, until: u16) -> Self {
        self.renew_from = from.clamp(100, 900);
        self.renew_until = until.clamp(self.renew_from, 900);
        self
    }

    /// Pauses at most that long between attempts, instead of for a minute; at least a second. A shorter pause finds a server that is back
    /// earlier; with many holders it makes the crowd that meets it denser.
    pub fn with_longest_pause(mut self, span: Duration) -> Self {
        self.longest_pause = u32::try_from(millis(span)).unwrap_or(u32::MAX).max(1_000);
        self
    }

    /// When to renew, counted from when the token was asked for: between 60 and 75 % of its life. A life of 15 s or
    /// less renews in its middle, where three attempts still fit behind it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::{Draw, Policy};
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// // One hour: between minute 36 and 45.
    /// assert_eq!(policy.renew_after(seconds(3600), Draw::LOW), seconds(36 * 60));
    /// assert_eq!(policy.renew_after(seconds(3600), Draw::MIDDLE), seconds(40 * 60 + 30));
    /// // 32 days: between day 19.2 and 24.
    /// assert_eq!(policy.renew_after(seconds(32 * 86_400), Draw::LOW), seconds(1_658_880));
    /// // Ten seconds: after five, whatever was drawn.
    /// assert_eq!(policy.renew_after(seconds(10), Draw::HIGH), seconds(5));
    /// ```
    pub fn renew_after(&self, ttl: Duration, draw: Draw) -> Duration {
        const SHORT: Duration = Duration::from_secs(15);
        if ttl <= SHORT {
            return ttl / 2;
        }
        draw.between(share(ttl, self.renew_from.into()), share(ttl, self.renew_until.into()))
    }

    /// How long before its end a token that cannot be extended any more is replaced: 15 % of the life that it had at
    /// first, or 30 s, or half of what is left if that is less than 30 s; and up to half as much again, spread.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::{Draw, Policy};
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// // It had one hour, and its last renewal left it 20 minutes: replaced 9 to 13.5 minutes before its end.
    /// let margin = |draw| policy.replace_before(seconds(3600), seconds(1200), draw);
    /// assert_eq!(margin(Draw::LOW), seconds(9 * 60));
    /// assert_eq!(margin(Draw::MIDDLE), seconds(11 * 60 + 15));
    /// // It had one minute: 30 to 45 s before its end. It had ten seconds: 5 to 7.5 s.
    /// assert_eq!(policy.replace_before(seconds(60), seconds(60), Draw::LOW), seconds(30));
    /// assert_eq!(policy.replace_before(seconds(10), seconds(10), Draw::LOW), seconds(5));
    /// ```
    pub fn replace_before(&self, first_ttl: Duration, left: Duration, draw: Draw) -> Duration {
        let margin = share(first_ttl, 150).max(Duration::from_secs(30).min(left / 2));
        draw.between(margin, margin + margin / 2)
    }

    /// How long before its end a person is asked, where nobody else can help: as
    /// [`replace_before`](Self::replace_before), but with ten minutes in place of 30 s. People are slower.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// # let (policy, minutes) = (Policy::default(), |count: u64| Duration::from_secs(60 * count));
    /// // Of a sign-in for eight hours, the last 72 minutes. Of one for half an hour, the last ten minutes.
    /// assert_eq!(policy.ask_before(minutes(480), minutes(480)), minutes(72));
    /// assert_eq!(policy.ask_before(minutes(30), minutes(30)), minutes(10));
    /// ```
    pub fn ask_before(&self, first_ttl: Duration, left: Duration) -> Duration {
        share(first_ttl, 150).max(Duration::from_secs(600).min(left / 2))
    }

    /// How much earlier than its end a token is not handed out any more, so that a request that carries it arrives in
    /// time: a tenth of its life, at most two seconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// let skew = |seconds| Policy::default().skew(Duration::from_secs(seconds));
    /// assert_eq!(skew(3600), Duration::from_secs(2)); // handed out for 59 min 58 s
    /// assert_eq!(skew(5), Duration::from_millis(500)); // for 4.5 s
    /// ```
    pub fn skew(&self, ttl: Duration) -> Duration {
        (ttl / 10).min(Duration::from_secs(2))
    }

    /// Whether a renewal brought so little that the token runs against its cap: less than half of the time that passed
    /// since the last one. Under a cap each renewal returns the same end.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// # let minutes = |count: u64| Duration::from_secs(60 * count);
    /// // One hour, at most 100 minutes. Renewed at minute 40, it ends at minute 100: 40 minutes more. Good.
    /// assert!(!Policy::default().is_too_little(minutes(40), minutes(40)));
    /// // Renewed again at minute 80, it still ends at minute 100. That was the cap.
    /// assert!(Policy::default().is_too_little(minutes(0), minutes(40)));
    /// ```
    pub fn is_too_little(&self, gain: Duration, elapsed: Duration) -> bool {
        gain < elapsed / 2
    }

    /// How long to wait after a number of failures in a row that will pass. The range doubles from one second on, up
    /// to a minute or a quarter of what is `left` of the token, whichever is less; and the place in it is drawn (full
    /// jitter), so that those who failed together do not come back together.
    ///
    /// Where the server said how long, that is waited *and* the drawn pause, but not beyond what leaves time for another
    /// attempt: ten seconds before the end, or half of what is left.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::{Draw, Policy};
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// let upper = |failures, left| policy.pause(failures, left, None, Draw::HIGH).as_secs_f64().ceil();
    /// let quarter_of_an_hour = Some(seconds(900));
    /// assert_eq!([1, 2, 3, 4, 9].map(|failures| upper(failures, quarter_of_an_hour)), [1., 2., 4., 8., 60.]);
    /// assert_eq!(upper(9, Some(seconds(8))), 2.); // a quarter of what is left
    /// // `Retry-After: 300` for a token with 100 s left: another attempt ten seconds before its end.
    /// assert_eq!(policy.pause(1, Some(seconds(100)), Some(seconds(300)), Draw::LOW), seconds(90));
    /// ```
    pub fn pause(
        &self,
        failures: u32,
        left: Option<Duration>,
        retry_after: Option<Duration>,
        draw: Draw,
    ) -> Duration {
        let doubled = 1_000u64 << failures.saturating_sub(1).min(20);
        let quarter = left.map_or(u64::MAX, |left| millis(left) / 4);
        let range = doubled.min(u64::from(self.longest_pause)).min(quarter);
        let drawn = draw.between(MIN_SPACING, Duration::from_millis(range).max(MIN_SPACING));
        let Some(asked) = retry_after else { return drawn };
        let pause = asked.min(LONGEST_RETRY_AFTER) + drawn;
        let latest = left.map(|left| left.saturating_sub(Duration::from_secs(10).min(left / 2)));
        latest.map_or(pause, |latest| pause.min(latest)).max(MIN_SPACING)
    }

    /// How long to wait after a refusal that will last until somebody changes something: as
    /// [`pause`](Self::pause), but from five seconds and up to five minutes. Trying goes on, since somebody may.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::{Draw, Policy};
    /// let upper = |refusals| Policy::default().refused_pause(refusals, Draw::HIGH).as_secs_f64().ceil();
    /// assert_eq!([1, 2, 3, 10].map(upper), [5., 10., 20., 300.]);
    /// ```
    pub fn refused_pause(&self, refusals: u32, draw: Draw) -> Duration {
        let range = (5_000u64 << refusals.saturating_sub(1).min(10)).min(300_000);
        draw.between(Duration::from_secs(1), Duration::from_millis(range))
    }

    /// How long to wait before replacing a token whose end came from outside: up to a tenth of its life, at most 30 s.
    /// Who revoked one token may have revoked ten thousand. Nothing, where a request waits.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::{Draw, Policy};
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// assert_eq!(policy.herd_pause(seconds(3600), Draw::MIDDLE), seconds(15));
    /// assert_eq!(policy.herd_pause(seconds(60), Draw::MIDDLE), seconds(3));
    /// ```
    pub fn herd_pause(&self, ttl: Duration, draw: Draw) -> Duration {
        draw.between(Duration::ZERO, (ttl / 10).min(Duration::from_secs(30)))
    }

    /// How long a call may take: a quarter of what is left of the token, between one second and 30. So a server that
    /// does not answer cannot eat up the life in which two more attempts fit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// assert_eq!(policy.time_limit(Some(seconds(900))), seconds(30)); // 15 minutes left
    /// assert_eq!(policy.time_limit(Some(seconds(20))), seconds(5));
    /// assert_eq!(policy.time_limit(Some(seconds(1))), seconds(1));
    /// assert_eq!(policy.time_limit(None), seconds(30)); // no token, nothing to lose
    /// ```
    pub fn time_limit(&self, left: Option<Duration>) -> Duration {
        left.map_or(Duration::MAX, |left| left / 4).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// How long one look at whether a token lives stands, however many requests are refused meanwhile: ten seconds, or
    /// a tenth of the token's life if that is less, but a second at least.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// # let (policy, seconds) = (Policy::default(), Duration::from_secs);
    /// assert_eq!(policy.probe_spacing(Some(seconds(3600))), seconds(10));
    /// assert_eq!(policy.probe_spacing(Some(seconds(30))), seconds(3));
    /// assert_eq!(policy.probe_spacing(None), seconds(10)); // a root token
    /// ```
    pub fn probe_spacing(&self, ttl: Option<Duration>) -> Duration {
        let spacing = ttl.map_or(Duration::MAX, |ttl| ttl / 10);
        spacing.clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// How long a timer is set for, where the machine wants to wait that long: at most an hour.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// let month = Duration::from_secs(32 * 86_400);
    /// assert_eq!(Policy::nap(month), Duration::from_secs(3600));
    /// assert_eq!(Policy::nap(Duration::from_secs(5)), Duration::from_secs(5));
    /// ```
    pub fn nap(wait: Duration) -> Duration {
        wait.min(Self::LONGEST_NAP)
    }

    /// Whether a timer that was set for `wanted` ran so much too long that the computer must have slept: by more than
    /// two seconds and more than a tenth.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use latchkey_token_lifecycle::Policy;
    /// # let seconds = Duration::from_secs;
    /// assert!(!Policy::has_slept(seconds(60), seconds(65)));
    /// assert!(Policy::has_slept(seconds(60), seconds(70)));
    /// assert!(!Policy::has_slept(seconds(1), seconds(3)));
    /// ```
    pub fn has_slept(wanted: Duration, passed: Duration) -> bool {
        passed.saturating_sub(wanted) > Duration::from_secs(2).max(wanted / 10)
    }
}

fn thousandths(span: Duration, count: u64) -> u64 {
    u64::try_from(u128::from(millis(span)) * u128::from(count) / 1000).unwrap_or(u64::MAX)
}

fn share(span: Duration, permille: u64) -> Duration {
    Duration::from_millis(thousandths(span, permille))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_stays_inside_its_range() {
        let (low, high) = (Duration::from_secs(1), Duration::from_secs(3));
        assert_eq!(Draw::LOW.between(low, high), low);
        assert_eq!(Draw::MIDDLE.between(low, high), Duration::from_secs(2));
        assert!(Draw::HIGH.between(low, high) < high);
        assert_eq!(Draw::HIGH.between(high, low), high, "an empty range has one place");
        assert!(Draw::HIGH.between(Duration::ZERO, Duration::MAX) <= Duration::MAX);
    }

    #[test]
    fn a_renewal_is_spread_by_a_factor_of_the_life_alone() {
        for ttl in [16, 60, 3600, 86_400, 32 * 86_400] {
            let ttl = Duration::from_secs(ttl);
            for bits in (0..=u32::MAX).step_by(1 << 24) {
                let after = Policy::default().renew_after(ttl, Draw::new(bits));
                assert!(after >= ttl * 6 / 10 && after <= ttl * 3 / 4, "{ttl:?} {after:?}");
            }
        }
    }

    #[test]
    fn a_policy_cannot_be_set_to_nonsense() {
        let policy = Policy::default().with_renewal_between(950, 5).with_longest_pause(Duration::ZERO);
        let hour = Duration::from_secs(3600);
        assert_eq!(policy.renew_after(hour, Draw::HIGH), Duration::from_secs(3240));
        assert!(policy.pause(30, None, None, Draw::HIGH) >= Duration::from_millis(999));
        let policy = Policy::default().with_renewal_between(500, 800);
        assert_eq!(policy.renew_after(hour, Draw::LOW), Duration::from_secs(1800));
    }

    #[test]
    fn a_pause_never_reaches_the_end_of_the_token() {
        for left in [1u64, 5, 10, 100, 10_000] {
            let left = Duration::from_secs(left);
            for failures in [1, 5, 40, u32::MAX] {
                for retry_after in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
                    let pause = Policy::default().pause(failures, Some(left), retry_after, Draw::HIGH);
                    assert!(pause < left && pause >= MIN_SPACING, "{left:?} {pause:?}");
                }
            }
        }
        let pause = Policy::default().pause(1, None, Some(Duration::MAX), Draw::LOW);
        assert_eq!(pause, LONGEST_RETRY_AFTER + MIN_SPACING);
    }
}
