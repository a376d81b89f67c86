//! The clocks of a computer. The one place of this crate that reads them.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

use crate::Reading;

#[derive(Debug)]
pub(super) struct SystemClocks {
    start: Instant,
}

impl SystemClocks {
    pub(super) fn new() -> Self {
        Self { start: now() }
    }

    pub(super) fn read(&self) -> Reading {
        Reading { monotonic: now().saturating_duration_since(self.start), wall: wall() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a runtime is where time comes from")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a runtime is where time comes from")]
fn wall() -> SystemTime {
    SystemTime::now()
}

/// The wall's clock in milliseconds since 1970, from the kernel's last tick: a few nanoseconds, and at most a tick old.
#[cfg(target_os = "linux")]
pub(super) fn glance() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1000).saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn glance() -> u64 {
    let since = wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The standard library's own source of what must differ from process to process.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(Duration::ZERO)
}
