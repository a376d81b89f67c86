//! How long a token lives, as servers tell it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What a server says about the life of a token when it gives or renews one.
///
/// The life counts from when the request was *sent*, since the server may have counted from then on. Servers count in
/// whole seconds, so a part of a second is cut off here as well.
///
/// ```
/// use std::time::Duration;
/// use latchkey_token_lifecycle::Lease;
///
/// let lease = Lease::of(Duration::from_millis(3_600_900)).renewable();
/// assert_eq!(lease.ttl(), Some(Duration::from_secs(3600)));
/// assert_eq!(Lease::endless().ttl(), None); // a root token
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    ttl: Option<Duration>,
    renewable: bool,
    explicit_max_ttl: Option<Duration>,
    periodic: bool,
    counted: bool,
    capped: bool,
}

impl Lease {
    /// A token that ends that long after its request was sent, and cannot be renewed.
    ///
    /// A Vault writes zero for a token that does not end: that is [`endless`](Self::endless) here, unless it is the
    /// answer to a renewal, where zero means less than a second.
    pub const fn of(ttl: Duration) -> Self {
        Self { ttl: Some(Duration::from_secs(ttl.as_secs())), ..Self::endless() }
    }

    /// A token that does not end, such as a root token. Nothing is ever scheduled for it.
    pub const fn endless() -> Self {
        Self {
            ttl: None,
            renewable: false,
            explicit_max_ttl: None,
            periodic: false,
            counted: false,
            capped: false,
        }
    }

    /// A token that says itself when it ends (`exp` of a JWT). `now` is the wall's time when its request was sent.
    ///
    /// One that has ended already has a life of zero.
    pub fn until(end: SystemTime, now: SystemTime) -> Self {
        Self::of(end.duration_since(now).unwrap_or_default())
    }

    /// Says that it can be renewed. A batch token cannot.
    pub const fn renewable(self) -> Self {
        self.with_renewable(true)
    }

    /// Says whether it can be renewed.
    pub const fn with_renewable(mut self, renewable: bool) -> Self {
        self.renewable = renewable;
        self
    }

    /// Says how long it can live at most, however often it is renewed, counted from when it was made
    /// (Vault's `explicit_max_ttl`).
    pub const fn with_explicit_max_ttl(mut self, span: Option<Duration>) -> Self {
        self.explicit_max_ttl = span;
        self
    }

    /// Says that it is periodic: a renewal always gives the whole period, until an explicit max TTL.
    pub const fn with_period(mut self, period: Option<Duration>) -> Self {
        self.periodic = period.is_some();
        self
    }

    /// Says how many uses it has left (Vault's `num_uses`). One whose uses are counted is neither renewed nor asked
    /// after, since each of both is a use.
    pub const fn with_num_uses(mut self, uses: Option<u64>) -> Self {
        self.counted = uses.is_some();
        self
    }

    /// Says that the server warned of a cap: `TTL of "X" exceeded the effective max_ttl of "Y"`.
    pub const fn with_cap_warning(mut self, warned: bool) -> Self {
        self.capped = warned;
        self
    }

    /// Returns the life from when the request was sent, in whole seconds; `None` where it does not end.
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Returns the longest life from when it was made, if the server told it.
    pub const fn explicit_max_ttl(&self) -> Option<Duration> {
        self.explicit_max_ttl
    }

    /// Returns whether renewing can be tried: it is renewable, it ends, and its uses are not counted.
    pub const fn can_renew(&self) -> bool {
        self.renewable && !self.counted && self.ttl.is_some()
    }

    /// Returns whether each use counts.
    pub const fn is_counted(&self) -> bool {
        self.counted
    }

    /// Returns whether it is periodic.
    pub const fn is_periodic(&self) -> bool {
        self.periodic
    }

    /// Returns whether the server warned of a cap.
    pub const fn has_cap_warning(&self) -> bool {
        self.capped
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_life_is_cut_to_whole_seconds() {
        assert_eq!(Lease::of(Duration::from_millis(1_999)).ttl(), Some(Duration::from_secs(1)));
        assert_eq!(Lease::of(Duration::from_millis(999)).ttl(), Some(Duration::ZERO));
    }

    #[test]
    fn a_token_that_says_its_end_lives_until_then() {
        let now = UNIX_EPOCH + Duration::from_millis(1_000_500);
        let end = UNIX_EPOCH + Duration::from_secs(1_300);
        assert_eq!(Lease::until(end, now).ttl(), Some(Duration::from_secs(299)));
        assert_eq!(Lease::until(now, end).ttl(), Some(Duration::ZERO), "it has ended");
    }

    #[test]
    fn what_cannot_be_renewed_is_not() {
        let lease = Lease::of(Duration::from_secs(60));
        assert!(!lease.can_renew());
        assert!(lease.renewable().can_renew());
        assert!(!lease.renewable().with_num_uses(Some(5)).can_renew(), "renewing would be a use");
        assert!(!Lease::endless().renewable().can_renew(), "there is nothing to renew");
    }
}
