//! Reading what a page passes in. Whatever is of another type than the types say is named.

use js_sys::{Array, Function, Object, Reflect};
use url::Url;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::failure::Failure;

/// An object of options.
pub(crate) struct Options<'a>(pub(crate) &'a JsValue);

impl Options<'_> {
    fn member(&self, name: &str) -> JsValue {
        if !self.0.is_object() {
            return JsValue::UNDEFINED;
        }
        Reflect::get(self.0, &name.into()).unwrap_or(JsValue::UNDEFINED)
    }

    /// A text that may be missing.
    pub(crate) fn optional_text(&self, name: &'static str) -> Result<Option<String>, Failure> {
        let value = self.member(name);
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        value.as_string().map(Some).ok_or(Failure::InvalidArgument { name, problem: "is not a string" })
    }

    /// A text that must be there.
    pub(crate) fn text(&self, name: &'static str) -> Result<String, Failure> {
        self.optional_text(name)?.ok_or(Failure::InvalidArgument { name, problem: "is missing" })
    }

    /// An address that must be there.
    pub(crate) fn url(&self, name: &'static str) -> Result<Url, Failure> {
        parse_url(name, &self.text(name)?)
    }

    /// A yes or no; no where it is missing.
    pub(crate) fn flag(&self, name: &'static str) -> bool {
        self.member(name).is_truthy()
    }

    /// A number of something, not negative.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Failure> {
        let value = self.member(name);
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        whole(name, value.as_f64()).map(Some)
    }

    /// A list of texts; empty where it is missing.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<String>, Failure> {
        let value = self.member(name);
        if value.is_undefined() || value.is_null() {
            return Ok(Vec::new());
        }
        let wrong = Failure::InvalidArgument { name, problem: "is not a list of strings" };
        let Ok(list) = value.dyn_into::<Array>() else { return Err(wrong) };
        list.iter().map(|item| item.as_string()).collect::<Option<_>>().ok_or(wrong)
    }

    /// A function that may be missing.
    pub(crate) fn function(&self, name: &'static str) -> Result<Option<Function>, Failure> {
        let value = self.member(name);
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        value
            .dyn_into()
            .map(Some)
            .map_err(|_| Failure::InvalidArgument { name, problem: "is not a function" })
    }

    /// The value itself.
    pub(crate) fn value(&self, name: &str) -> Option<JsValue> {
        Some(self.member(name)).filter(JsValue::is_truthy)
    }
}

/// Reads an address.
pub(crate) fn parse_url(name: &'static str, text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|_| Failure::InvalidArgument { name, problem: "is not an address" })
}

/// Reads a whole number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
pub(crate) fn whole(name: &'static str, number: Option<f64>) -> Result<u64, Failure> {
    number
        .filter(|number| (0.0..=9_007_199_254_740_991.0).contains(number) && number.fract() == 0.0)
        .map(|number| number as u64)
        .ok_or(Failure::InvalidArgument { name, problem: "is not a whole number" })
}

/// Reads versions.
pub(crate) fn versions(value: &JsValue) -> Result<Vec<u64>, Failure> {
    let wrong = || Failure::InvalidArgument { name: "versions", problem: "is not a list of numbers" };
    let list: &Array = value.dyn_ref().ok_or_else(wrong)?;
    list.iter().map(|version| whole("versions", version.as_f64())).collect()
}

/// Reads the members of an object in its order.
pub(crate) fn entries(name: &'static str, value: &JsValue) -> Result<Vec<(String, JsValue)>, Failure> {
    let wrong = || Failure::InvalidArgument { name, problem: "is not an object" };
    let object: &Object = value.dyn_ref().ok_or_else(wrong)?;
    Object::entries(object)
        .iter()
        .map(|pair| {
            let pair: Array = pair.unchecked_into();
            Some((pair.get(0).as_string()?, pair.get(1)))
        })
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}
