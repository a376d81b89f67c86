//! Text that must not be seen.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A text that must not be seen: a token, a code, a password, a nonce.
///
/// It is wiped from memory when it is dropped; clones share the one copy. Its `Debug` shows nothing, it has no
/// `Display`, no `Serialize` and no `==`. The only way to its text is [`expose_secret`](Secret::expose_secret), so that
/// every such place can be found by name.
///
/// ```
/// use latchkey_transport::Secret;
///
/// let password = Secret::new("correct horse");
/// assert_eq!(format!("{password:?}"), "Secret(…)");
/// assert!(password.is_same_as("correct horse"));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes a text over. Copies that were made of it before are not wiped.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// Returns the text. This is the only method that does.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Returns whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in a time that depends on the lengths alone, not on where the texts differ.
    pub fn is_same_as(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_neither_text_nor_length() {
        assert_eq!(format!("{:?}", Secret::new("a")), format!("{:?}", Secret::new("a longer one")));
    }

    #[test]
    fn comparison_is_of_the_whole_text() {
        let secret = Secret::new("abc");
        assert!(secret.is_same_as("abc"));
        assert!(!secret.is_same_as("abd"));
        assert!(!secret.is_same_as("ab"));
        assert!(!secret.is_same_as(""));
    }
}
