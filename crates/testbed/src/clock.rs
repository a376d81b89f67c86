//! The time of a world.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::encoding;

/// A clock that both doubles read, and that a test may advance.
///
/// Clones share the time.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    /// `None`: the system's time.
    start: Option<SystemTime>,
    advanced: Mutex<Duration>,
}

impl Clock {
    /// A clock that stands still until it is advanced.
    pub fn frozen(at: SystemTime) -> Self {
        Self(Arc::new(Inner { start: Some(at), advanced: Mutex::new(Duration::ZERO) }))
    }

    /// The system's time, plus what the clock was advanced by.
    pub fn system() -> Self {
        Self(Arc::new(Inner { start: None, advanced: Mutex::new(Duration::ZERO) }))
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        let advanced = *self.0.advanced.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.start.unwrap_or_else(system_time) + advanced
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.0.advanced.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.0.start.is_some()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_frozen() { "frozen" } else { "system" };
        f.debug_struct("Clock").field("kind", &kind).field("now", &encoding::rfc3339(self.now())).finish()
    }
}

#[expect(clippy::disallowed_methods, reason = "`Clock::system` is the one door to the system's time")]
fn system_time() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_when_it_is_advanced() {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let twin = clock.clone();
        clock.advance(Duration::from_secs(3));
        assert_eq!(twin.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(3));
    }
}
