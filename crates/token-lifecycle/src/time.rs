//! Time as the machine sees it: one line that never goes back and does not stop while the computer sleeps.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point of a [`Timeline`], in milliseconds.
///
/// Sums end at [`Moment::NEVER`] and differences at zero instead of overflowing.
///
/// ```
/// use std::time::Duration;
/// use latchkey_token_lifecycle::Moment;
///
/// let start = Moment::from_millis(1_000);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later - start, Duration::from_secs(2));
/// assert_eq!(start - later, Duration::ZERO);
/// assert_eq!(Moment::NEVER + Duration::from_secs(1), Moment::NEVER);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of every timeline: all of it is later.
    pub const START: Self = Self(0);
    /// What is never reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the point that many milliseconds after the beginning.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns how many milliseconds after the beginning it is.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whether it is [`NEVER`](Self::NEVER).
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// Returns the point that much earlier, or the beginning. Never stays never.
    pub fn before(self, span: Duration) -> Self {
        if self.is_never() { self } else { Self(self.0.saturating_sub(millis(span))) }
    }
}

/// Returns a span in whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return formatter.write_str("never");
        }
        write!(formatter, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

/// Both clocks of a computer, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Time since some point, by a clock that nobody sets. It may stand still while the computer sleeps.
    pub monotonic: Duration,
    /// What the clock on the wall shows. Somebody may set it.
    pub wall: SystemTime,
}

/// Makes one time of two clocks: what has passed is the greater of what the two say.
///
/// - A computer that slept: its monotonic clock may have stood still, the wall's has not. The sleep counts.
/// - A wall clock that was set back: the monotonic clock goes on. Nothing happens.
/// - A wall clock that was set forward: that cannot be told from sleep, and counts as one. A token is renewed earlier
///   than it need be, which is harmless.
///
/// Its moments begin at the wall's time since 1970, which makes them easy to read and nothing more: after a change of
/// the wall's clock they differ from it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use latchkey_token_lifecycle::{Reading, Timeline};
///
/// let morning = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let read = |monotonic, wall: i64| Reading {
///     monotonic: Duration::from_secs(monotonic),
///     wall: morning.checked_add_signed(wall),
/// };
/// # trait Signed { fn checked_add_signed(self, seconds: i64) -> SystemTime; }
/// # impl Signed for SystemTime { fn checked_add_signed(self, seconds: i64) -> SystemTime {
/// #     let span = Duration::from_secs(seconds.unsigned_abs());
/// #     if seconds < 0 { self - span } else { self + span }
/// # } }
/// let mut timeline = Timeline::new(read(0, 0));
/// let start = timeline.now();
/// // Ten seconds of work.
/// assert_eq!(timeline.observe(read(10, 10)) - start, Duration::from_secs(10));
/// // The lid was closed for an hour, and the monotonic clock stood still.
/// assert_eq!(timeline.observe(read(10, 3610)) - start, Duration::from_secs(3610));
/// // Somebody set the clock back by two hours, twenty seconds ago.
/// assert_eq!(timeline.observe(read(30, 3630 - 7200)) - start, Duration::from_secs(3630));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    anchor: Reading,
    anchored: Moment,
    now: Moment,
}

impl Timeline {
    /// How far the clocks may drift apart before that counts as a jump.
    const TOLERANCE: Duration = Duration::from_millis(500);

    /// Begins with that reading.
    pub fn new(first: Reading) -> Self {
        let start = Moment::START + first.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: first, anchored: start, now: start }
    }

    /// Returns the moment of the last reading.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Returns the moment of a reading. It is never before an earlier one.
    pub fn observe(&mut self, reading: Reading) -> Moment {
        let by_monotonic = reading.monotonic.saturating_sub(self.anchor.monotonic);
        let by_wall = reading.wall.duration_since(self.anchor.wall).unwrap_or_default();
        let was_set_back = by_wall + Self::TOLERANCE < by_monotonic || reading.wall < self.anchor.wall;
        let jumped = was_set_back || by_monotonic + Self::TOLERANCE < by_wall;
        self.now = self.now.max(self.anchored + by_monotonic.max(by_wall));
        if jumped {
            // Both are compared from here on, or a wall clock that was put right again would count twice.
            (self.anchor, self.anchored) = (reading, self.now);
        }
        self.now
    }

    /// Returns what the wall's clock shows at a moment, if nobody sets it until then: for people, and for comparing
    /// with it without a timeline.
    pub fn wall(&self, moment: Moment) -> SystemTime {
        let shown = self.anchor.wall.checked_add(moment - self.anchored);
        let shown = shown.and_then(|wall| wall.checked_sub(self.anchored - moment));
        // What cannot be shown is as far away as never is: thousands of years.
        shown.unwrap_or(self.anchor.wall + Duration::from_secs(1_000_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(monotonic: u64, wall: u64) -> Reading {
        Reading {
            monotonic: Duration::from_millis(monotonic),
            wall: UNIX_EPOCH + Duration::from_millis(wall),
        }
    }

    fn passed(readings: &[(u64, u64)]) -> Vec<u64> {
        let mut timeline = Timeline::new(reading(readings[0].0, readings[0].1));
        let start = timeline.now();
        let spans = readings[1..].iter().map(|&(monotonic, wall)| {
            u64::try_from((timeline.observe(reading(monotonic, wall)) - start).as_millis()).unwrap()
        });
        spans.collect()
    }

    #[test]
    fn time_passes_by_the_clock_that_says_more() {
        assert_eq!(passed(&[(5, 100_000), (1_005, 100_900), (2_005, 102_300)]), [1_000, 2_300]);
    }

    #[test]
    fn sleep_counts_although_the_monotonic_clock_stood_still() {
        assert_eq!(passed(&[(0, 0), (100, 7_200_100), (200, 7_200_200)]), [7_200_100, 7_200_200]);
    }

    #[test]
    fn a_wall_clock_set_back_changes_nothing() {
        let day = 86_400_000;
        assert_eq!(passed(&[(0, day), (1_000, 1_000), (2_000, 2_000)]), [1_000, 2_000]);
    }

    #[test]
    fn a_clock_that_jumps_forth_and_back_stops_nothing() {
        // An hour forth, and put right a second later: time goes on from where the jump had brought it.
        let spans = passed(&[(0, 0), (1_000, 3_601_000), (2_000, 2_000), (9_000, 9_000)]);
        assert_eq!(spans, [3_601_000, 3_602_000, 3_609_000]);
    }

    #[test]
    fn many_readings_do_not_add_up_their_noise() {
        let mut timeline = Timeline::new(reading(0, 0));
        let start = timeline.now();
        for step in 1..=100_000u64 {
            // Each clock is a little ahead of the other in turn.
            timeline.observe(reading(step + step % 2, step + (step + 1) % 2));
        }
        assert!(timeline.now() - start <= Duration::from_millis(100_001));
    }

    #[test]
    fn a_moment_is_shown_by_the_walls_clock_of_today() {
        let mut timeline = Timeline::new(reading(0, 50_000));
        let end = timeline.now() + Duration::from_secs(60);
        assert_eq!(timeline.wall(end), UNIX_EPOCH + Duration::from_secs(110));
        timeline.observe(reading(10_000, 5_000));
        assert_eq!(timeline.wall(end), UNIX_EPOCH + Duration::from_secs(55), "50 s from now");
        assert_eq!(
            timeline.wall(timeline.now().before(Duration::from_secs(2))),
            UNIX_EPOCH + Duration::from_secs(3)
        );
        assert!(timeline.wall(Moment::NEVER) > UNIX_EPOCH + Duration::from_secs(100_000_000_000));
    }
}
