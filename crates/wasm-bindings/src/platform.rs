//! What `js/platform.js` and `js/error.js` do for us.

use js_sys::{Array, Function, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./platform.js")]
extern "C" {
    /// Carries a request and its reply.
    pub(crate) fn send(
        method: &str,
        url: &str,
        headers: Object,
        body: Option<Uint8Array>,
        time_limit: f64,
        reply_limit: f64,
    ) -> Promise;

    /// Checks a signature.
    pub(crate) fn verify(jwk: Object, algorithm: Object, signature: Uint8Array, input: Uint8Array)
    -> Promise;

    /// Lets the page sign in again, one tab at a time.
    #[wasm_bindgen(js_name = signInAgain)]
    pub(crate) fn sign_in_again(call: &Function, lock: Option<String>) -> Attempt;

    /// What the page does at the moment.
    #[derive(Clone)]
    pub(crate) type Attempt;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn promise(this: &Attempt) -> Promise;
    #[wasm_bindgen(method)]
    pub(crate) fn abort(this: &Attempt);

    /// Waits so many milliseconds.
    pub(crate) fn sleep(milliseconds: f64) -> Promise;
}

#[wasm_bindgen(raw_module = "./error.js")]
extern "C" {
    /// Makes the one kind of error that leaves the package.
    #[wasm_bindgen(js_name = makeError)]
    pub(crate) fn make_error(
        message: &str,
        code: &str,
        retryable: bool,
        problem: Option<String>,
        status: Option<u16>,
        server_messages: Array,
        missing: Array,
    ) -> JsValue;
}
