//! JSON of replies, read by `serde`. Why a text could not be read is not told: it would quote the text.
//!
//! Everywhere but in a browser this is `serde_json` as it is. A browser downloads every byte of a program, and there the code that
//! `serde_json` makes for each type, and for telling what is wrong, is most of it; so there a text is first found to be JSON, once
//! and for all types, and then taken apart by a reader that does not have to look for mistakes any more. The tests compare the two
//! with `serde_json`.

use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Visitor};
use serde_json::value::RawValue;

mod any;
#[cfg(any(target_arch = "wasm32", test))]
mod checked;
#[cfg(any(target_arch = "wasm32", test))]
mod syntax;

pub use any::Any;

/// Why a text is not what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), or is nested more than 127 levels deep.
    #[error("it is not JSON")]
    Syntax,
    /// It is JSON of another kind: a member is missing, stands twice, or has another type.
    #[error("it is JSON of another kind")]
    Kind,
}

/// Reads a text that may not be UTF-8.
///
/// ```
/// use latchkey_transport::json::{self, Problem};
///
/// #[derive(serde::Deserialize)]
/// struct Answer<'a> {
///     user: &'a str,
/// }
/// assert_eq!(json::from_slice::<Answer<'_>>(br#"{"user":"app"}"#)?.user, "app");
/// assert_eq!(json::from_slice::<Answer<'_>>(br#"{"user":7}"#).err(), Some(Problem::Kind));
/// # Ok::<(), Problem>(())
/// ```
///
/// Fails with [`Problem::Syntax`] or [`Problem::Kind`], as all of this module does.
pub fn from_slice<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Problem> {
    seed_from_slice(text, PhantomData)
}

/// Reads a text.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Problem> {
    read_str(text, PhantomData)
}

/// Reads a part of a text that was found by reading the whole.
pub fn from_raw<'de, T: Deserialize<'de>>(raw: &'de RawValue) -> Result<T, Problem> {
    read_raw(raw, PhantomData)
}

/// Reads an object, member by member.
pub fn object<'de, V: Visitor<'de>>(text: &'de str, visitor: V) -> Result<V::Value, Problem> {
    struct Object<V>(V);

    impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Object<V> {
        type Value = V::Value;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
            deserializer.deserialize_map(self.0)
        }
    }

    read_str(text, Object(visitor))
}

/// Reads a text by a seed.
#[cfg(not(target_arch = "wasm32"))]
pub fn seed_from_slice<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> Result<S::Value, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut deserializer).map_err(|error| Problem::of(&error))?;
    deserializer.end().map_err(|_| Problem::Syntax)?;
    Ok(value)
}

/// Reads a text by a seed.
#[cfg(target_arch = "wasm32")]
pub fn seed_from_slice<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> Result<S::Value, Problem> {
    checked::read(syntax::check(text).ok_or(Problem::Syntax)?, seed)
}

#[cfg(not(target_arch = "wasm32"))]
fn read_str<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).map_err(|error| Problem::of(&error))?;
    deserializer.end().map_err(|_| Problem::Syntax)?;
    Ok(value)
}

#[cfg(not(target_arch = "wasm32"))]
fn read_raw<'de, S: DeserializeSeed<'de>>(raw: &'de RawValue, seed: S) -> Result<S::Value, Problem> {
    read_str(raw.get(), seed)
}

#[cfg(target_arch = "wasm32")]
fn read_raw<'de, S: DeserializeSeed<'de>>(raw: &'de RawValue, seed: S) -> Result<S::Value, Problem> {
    checked::read(raw.get(), seed)
}

#[cfg(target_arch = "wasm32")]
fn read_str<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, Problem> {
    seed_from_slice(text.as_bytes(), seed)
}

#[cfg(not(target_arch = "wasm32"))]
impl Problem {
    fn of(error: &serde_json::Error) -> Self {
        if error.is_data() { Self::Kind } else { Self::Syntax }
    }
}

#[cfg(test)]
mod tests;
