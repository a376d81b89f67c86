//! Calls that take their time, as JavaScript waits for them.

use std::pin::Pin;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

/// Any call.
type Call = Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>>;

/// Begins a call and returns the promise of its outcome.
pub(crate) fn promise(call: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    begin(Box::pin(call))
}

/// Compiled once, and not for each call as an `async fn` that is exported would be: a browser downloads every byte.
#[inline(never)]
fn begin(call: Call) -> Promise {
    future_to_promise(call)
}
