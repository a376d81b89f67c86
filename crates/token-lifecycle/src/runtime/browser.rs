//! The event loop of a browser: of a page or a worker.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use js_sys::{Date, Function, Math, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::Runtime;
use crate::Reading;
use crate::maybe::{BoxCall, BoxFuture, BoxGuard};
use crate::time::millis;

/// The event loop of the page or worker that this code runs in.
///
/// A browser slows timers down in pages that nobody looks at, and stops them in pages that it has frozen. So a keeper looks at
/// the clock whenever it is asked for a token, and tries again when the page is seen, shown anew, or back on the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser;

/// Timers of browsers take a signed 32-bit number; a longer one fires at once.
const LONGEST_TIMER: u64 = 0x7FFF_FFFF;

impl Runtime for Browser {
    fn read(&self) -> Reading {
        Reading { monotonic: monotonic(), wall: UNIX_EPOCH + Duration::from_millis(self.glance()) }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of milliseconds")]
    fn glance(&self) -> u64 {
        Date::now() as u64
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Timer::new(span))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(task);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any bits will do")]
    fn seed(&self) -> u64 {
        (Math::random() * 18_446_744_073_709_551_615.0) as u64
    }

    fn attend(&self, nudge: BoxCall) -> Option<BoxGuard> {
        let window = js_sys::global();
        let document = property(&window, "document");
        let visible = document.clone();
        let call = Closure::<dyn Fn()>::new(move || {
            let is_hidden = visible.as_ref().and_then(|page| property(page, "hidden"));
            if !is_hidden.is_some_and(|hidden| hidden.is_truthy()) {
                nudge();
            }
        });
        let mut attended = Vec::new();
        for (target, event) in [
            (Some(window.clone().into()), "online"),
            (Some(window.into()), "pageshow"),
            (document, "visibilitychange"),
        ] {
            if let Some(target) = target
                && listen(&target, "addEventListener", event, &call).is_some()
            {
                attended.push((target, event));
            }
        }
        Some(Box::new(Listeners { call, attended }))
    }
}

/// Stops listening when it is dropped.
struct Listeners {
    call: Closure<dyn Fn()>,
    attended: Vec<(JsValue, &'static str)>,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (target, event) in &self.attended {
            let _ = listen(target, "removeEventListener", event, &self.call);
        }
    }
}

fn listen(target: &JsValue, method: &str, event: &str, call: &Closure<dyn Fn()>) -> Option<JsValue> {
    function(target, method)?.call2(target, &event.into(), call.as_ref()).ok()
}

fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

fn function(object: &JsValue, name: &str) -> Option<Function> {
    property(object, name)?.dyn_into().ok()
}

/// `performance.now()`, which does not go back. Where there is none, the wall's clock has to do for both.
fn monotonic() -> Duration {
    let millis = property(&js_sys::global(), "performance")
        .and_then(|performance| function(&performance, "now")?.call0(&performance).ok()?.as_f64());
    Duration::try_from_secs_f64(millis.unwrap_or_else(Date::now) / 1000.0).unwrap_or_default()
}

/// `setTimeout` as a future; dropped, it is cleared.
struct Timer {
    id: JsValue,
    fired: JsFuture,
}

impl Timer {
    fn new(span: Duration) -> Self {
        let mut id = JsValue::UNDEFINED;
        let promise = Promise::new(&mut |resolve, _| {
            let global = js_sys::global();
            #[expect(clippy::cast_precision_loss, reason = "less than 2 to the 31")]
            let span = JsValue::from_f64(millis(span).min(LONGEST_TIMER) as f64);
            if let Some(set) = function(&global, "setTimeout") {
                id = set.call2(&global, &resolve, &span).unwrap_or_default();
            }
        });
        Self { id, fired: JsFuture::from(promise) }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.fired).poll(context).map(drop)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let global = js_sys::global();
        if let Some(clear) = function(&global, "clearTimeout") {
            let _ = clear.call1(&global, &self.id);
        }
    }
}
