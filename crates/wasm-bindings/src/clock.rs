//! The browser's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasm_bindgen_futures::JsFuture;

use crate::platform;

/// Returns what time it is. `SystemTime::now` panics in a browser.
pub(crate) fn now() -> SystemTime {
    from_millis(js_sys::Date::now())
}

/// Returns a time as JavaScript counts it.
pub(crate) fn millis(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    duration_millis(since)
}

/// Returns a span in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "exact for more than two hundred thousand years")]
pub(crate) fn duration_millis(span: Duration) -> f64 {
    span.as_millis() as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn from_millis(millis: f64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis as u64)).unwrap_or(UNIX_EPOCH)
}

/// Waits.
pub(crate) async fn sleep(pause: Duration) {
    // It resolves, whatever happens.
    let _ = JsFuture::from(platform::sleep(duration_millis(pause))).await;
}
