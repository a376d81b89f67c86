//! What a keeper runs on: clocks, timers, and somewhere to run.

#[cfg(all(feature = "browser", target_arch = "wasm32"))]
mod browser;
#[cfg(all(feature = "thread", not(target_arch = "wasm32")))]
mod thread;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod tokio;

#[cfg(all(any(feature = "thread", feature = "tokio"), not(target_arch = "wasm32")))]
mod system;

#[cfg(all(feature = "browser", target_arch = "wasm32"))]
mod web_lock;

#[cfg(all(feature = "browser", target_arch = "wasm32"))]
pub use browser::Browser;
#[cfg(all(feature = "thread", not(target_arch = "wasm32")))]
pub use thread::Threads;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
pub use tokio::Tokio;
#[cfg(all(feature = "browser", target_arch = "wasm32"))]
pub use web_lock::web_lock;

use std::time::{Duration, UNIX_EPOCH};

use crate::maybe::{BoxCall, BoxFuture, BoxGuard};
use crate::time::millis;
use crate::{MaybeSend, MaybeSync, Reading};

/// What a keeper runs on. There is one for tokio, one for the browser, and one of plain threads; write another for
/// another executor, or for a test.
pub trait Runtime: MaybeSend + MaybeSync + 'static {
    /// Reads both clocks.
    fn read(&self) -> Reading;

    /// Reads the wall's clock, in milliseconds since 1970, as cheaply as can be: every request does it. It may lag a few
    /// milliseconds behind.
    fn glance(&self) -> u64 {
        millis(self.read().wall.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Returns a future that is ready after that time. It may be late.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task until its end, or until the runtime's.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Returns a number that another keeper does not get: the seed of what is drawn to keep many apart. No secret.
    fn seed(&self) -> u64;

    /// Calls `nudge` when another attempt is promising: the network is back, somebody looks at the page. Until what it
    /// returns is dropped.
    fn attend(&self, nudge: BoxCall) -> Option<BoxGuard> {
        let _ = nudge;
        None
    }
}
