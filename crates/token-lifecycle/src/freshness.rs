//! How a token is, said so that a person understands it.

use std::fmt;
use std::time::{Duration, SystemTime};

/// How much of a token's life is left, as a person in a notebook wants to know it before a long piece of work.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use latchkey_token_lifecycle::Freshness;
///
/// let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
/// let minutes = |count: u64| Duration::from_secs(60 * count);
/// assert!(matches!(Freshness::of(now + minutes(42), now), Freshness::Fine { .. }));
/// let short = Freshness::of(now + minutes(10), now);
/// assert_eq!(short.to_string(), "your token ends in 10 minutes; get a fresh one before longer work");
/// let expired = Freshness::of(now - minutes(5), now);
/// assert_eq!(
///     expired.advice(Some("https://hub.example/hub/home")),
///     "your token ended 5 minutes ago; sign in again by restarting your server: https://hub.example/hub/home",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It has ended, or ends now.
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// It has ten minutes or less.
    Short {
        /// What is left.
        left: Duration,
    },
    /// It has more than ten minutes.
    Fine {
        /// What is left.
        left: Duration,
    },
}

impl Freshness {
    /// What counts as short: ten minutes.
    pub const SHORT: Duration = Duration::from_secs(600);

    /// Says how a token is that ends at `end` (the `exp` of an ID token).
    pub fn of(end: SystemTime, now: SystemTime) -> Self {
        match end.duration_since(now) {
            Ok(left) if left > Self::SHORT => Self::Fine { left },
            Ok(left) if !left.is_zero() => Self::Short { left },
            Ok(_) => Self::Expired { ago: Duration::ZERO },
            Err(past) => Self::Expired { ago: past.duration() },
        }
    }

    /// Returns whether a fresh one should be fetched.
    pub fn wants_a_fresh_one(&self) -> bool {
        !matches!(self, Self::Fine { .. })
    }

    /// Says how it is and what to do, where no fresh one can be fetched: with the address at which the server is
    /// restarted, if there is one.
    pub fn advice(&self, restart: Option<&str>) -> String {
        match (self, restart) {
            (Self::Fine { .. }, _) | (_, None) => self.to_string(),
            (Self::Short { left }, Some(address)) => {
                format!(
                    "your token ends in {}; restart your server before longer work: {address}",
                    Span(*left)
                )
            }
            (Self::Expired { ago }, Some(address)) => {
                format!(
                    "your token ended {} ago; sign in again by restarting your server: {address}",
                    Span(*ago)
                )
            }
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { ago } => write!(formatter, "your token ended {} ago; sign in again", Span(*ago)),
            Self::Short { left } => {
                write!(formatter, "your token ends in {}; get a fresh one before longer work", Span(*left))
            }
            Self::Fine { left } => write!(formatter, "your token is good for another {}", Span(*left)),
        }
    }
}

/// A span in the largest unit that says enough.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7_200 => (seconds / 60, "minute"),
            7_200..172_800 => (seconds / 3_600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        write!(formatter, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: i64) -> Freshness {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let by = Duration::from_secs(seconds.unsigned_abs());
        Freshness::of(if seconds < 0 { now - by } else { now + by }, now)
    }

    #[test]
    fn ten_minutes_are_short_and_a_second_more_is_fine() {
        assert!(matches!(at(601), Freshness::Fine { .. }));
        assert!(matches!(at(600), Freshness::Short { .. }));
        assert!(matches!(at(1), Freshness::Short { .. }));
        assert!(matches!(at(0), Freshness::Expired { .. }));
        assert!(matches!(at(-1), Freshness::Expired { .. }));
        assert_eq!([601, 600, 0, -1].map(|left| at(left).wants_a_fresh_one()), [false, true, true, true]);
    }

    #[test]
    fn a_person_reads_one_number_and_one_unit() {
        let said = |seconds| Span(Duration::from_secs(seconds)).to_string();
        assert_eq!(
            [0, 1, 119, 120, 7_199, 7_200, 172_800].map(said),
            ["0 seconds", "1 second", "119 seconds", "2 minutes", "119 minutes", "2 hours", "2 days"]
        );
    }

    #[test]
    fn the_way_to_restart_is_told_only_where_it_is_needed() {
        let address = Some("https://hub.example/hub/home");
        assert!(!at(3600).advice(address).contains("hub.example"));
        assert!(at(60).advice(address).ends_with("https://hub.example/hub/home"));
        assert!(at(-60).advice(address).ends_with("https://hub.example/hub/home"));
        assert_eq!(at(-60).advice(None), "your token ended 60 seconds ago; sign in again");
    }
}
