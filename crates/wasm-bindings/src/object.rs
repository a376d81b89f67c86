//! Plain objects for JavaScript, and its errors.

use std::collections::BTreeMap;

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::JsValue;

use crate::failure::Failure;
use crate::platform;

/// Builds an object; a member that is `undefined` is left out.
pub(crate) fn object<const N: usize>(members: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in members {
        set(&object, name, &value);
    }
    Object::freeze(&object).into()
}

/// Builds an object of texts.
pub(crate) fn texts<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> JsValue {
    let object = Object::new();
    for (name, value) in members {
        set(&object, name, &value.into());
    }
    Object::freeze(&object).into()
}

/// Builds an object of notes.
pub(crate) fn notes(notes: &BTreeMap<String, String>) -> JsValue {
    texts(notes.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

/// Builds a list.
pub(crate) fn list(items: impl IntoIterator<Item: Into<JsValue>>) -> JsValue {
    let list: Array = items.into_iter().map(Into::into).collect();
    Object::freeze(&list).into()
}

/// A number of seconds or a version: JavaScript has whole numbers up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "no version and no span of time comes near 2^53")]
pub(crate) fn number(number: u64) -> JsValue {
    JsValue::from(number as f64)
}

/// A member that may be missing.
pub(crate) fn optional<T: Into<JsValue>>(value: Option<T>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, Into::into)
}

pub(crate) fn set(object: &Object, name: &str, value: &JsValue) {
    if !value.is_undefined() {
        // Defined and not assigned: a note named `__proto__` is a note.
        let descriptor = Object::new();
        for (key, value) in
            [("value", value), ("enumerable", &JsValue::TRUE), ("configurable", &JsValue::TRUE)]
        {
            let _ = Reflect::set(&descriptor, &key.into(), value);
        }
        let _ = Reflect::define_property(object, &name.into(), &descriptor);
    }
}

/// The one place where an error leaves.
impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let texts = |list: &[String]| list.iter().map(|text| JsValue::from(text.as_str())).collect::<Array>();
        platform::make_error(
            &failure.sentence(),
            failure.code(),
            failure.is_retryable(),
            failure.problem().map(str::to_owned),
            failure.status(),
            texts(&failure.server_messages()),
            texts(failure.missing()),
        )
    }
}
