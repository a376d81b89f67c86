//! One tab at a time: the Web Locks of a browser.

use std::error::Error as StdError;

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::maybe::BoxGuard;

/// Waits until no other tab, window or worker of this origin holds the lock of that name; until what it returns is
/// dropped, none does. The browser lets go of it when the page goes away.
///
/// For the `lock` of a store of refresh tokens that tabs share. `None` where the browser has no Web Locks (a page that is
/// not secure): then nothing keeps two tabs apart.
///
/// # Errors
///
/// What the browser says, without its message: the request was refused.
pub async fn web_lock(name: &str) -> Result<Option<BoxGuard>, Box<dyn StdError + Send + Sync>> {
    let global = js_sys::global();
    let locks = property(&global, "navigator").and_then(|navigator| property(&navigator, "locks"));
    let Some(locks) = locks else { return Ok(None) };
    let Some(request) = property(&locks, "request").and_then(|request| request.dyn_into::<Function>().ok())
    else {
        return Ok(None);
    };
    // The lock is held while this promise is open.
    let mut release = None;
    let held = Promise::new(&mut |resolve, _| release = Some(resolve));
    let mut granted = None;
    let is_granted = Promise::new(&mut |resolve, _| granted = Some(resolve));
    let (Some(release), Some(granted)) = (release, granted) else { return Ok(None) };
    let guard = Released(release);
    let call = Closure::once_into_js(move |_lock: JsValue| -> Promise {
        let _ = granted.call0(&JsValue::UNDEFINED);
        held
    });
    let requested = request.call2(&locks, &name.into(), &call).map_err(|_| "the lock was refused")?;
    let requested: Promise = requested.dyn_into().map_err(|_| "the lock was refused")?;
    // The request's own promise ends when the lock is let go, or at once with an error.
    let first = Promise::race(&js_sys::Array::of2(&is_granted, &requested));
    JsFuture::from(first).await.map_err(|_| "the lock was refused")?;
    Ok(Some(Box::new(guard)))
}

/// Lets the lock go, also when whoever waits for it goes away.
struct Released(Function);

impl Drop for Released {
    fn drop(&mut self) {
        let _ = self.0.call0(&JsValue::UNDEFINED);
    }
}

fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}
