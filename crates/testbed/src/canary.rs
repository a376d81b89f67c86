//! Every secret that a world has seen, so that a test can look for them where they must not be.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::encoding;

/// What sort of secret was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A Vault token.
    Token,
    /// An access token of the provider.
    AccessToken,
    /// An ID token.
    IdToken,
    /// A refresh token.
    RefreshToken,
    /// An authorization code.
    Code,
    /// The code of a device, or the one that it shows.
    DeviceCode,
    /// The `state` of a login.
    State,
    /// The `nonce` of a login.
    Nonce,
    /// The `client_nonce` of a login through Vault.
    ClientNonce,
    /// A PKCE verifier.
    Verifier,
    /// The secret of a client.
    ClientSecret,
    /// The password of a person.
    Password,
    /// A cookie of the provider.
    Cookie,
    /// A value that was written to a secrets engine.
    Secret,
}

/// The secrets of a world.
///
/// Values shorter than [`Canary::SHORTEST`] and values that are also somebody's name are left out: they would be found
/// in any text. A test that wants to find a password gives its user a long one.
#[derive(Clone, Default)]
pub struct Canary(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    secrets: HashMap<String, Kind>,
    names: HashSet<String>,
}

impl Canary {
    /// The fewest characters of a secret that is looked for: `s3cr3t`, the default client secret, has six.
    pub const SHORTEST: usize = 6;

    /// The first secret that the text contains, as it is or form-encoded.
    pub fn find_in(&self, text: &str) -> Option<Kind> {
        self.find_all_in(text).first().copied()
    }

    /// The kinds of all the secrets that the text contains.
    pub fn find_all_in(&self, text: &str) -> Vec<Kind> {
        let secrets = &self.known().secrets;
        secrets.iter().filter(|(secret, _)| text.contains(secret.as_str())).map(|(_, kind)| *kind).collect()
    }

    /// Adds a secret that the world does not see by itself.
    pub fn plant(&self, secret: &str, kind: Kind) {
        if secret.chars().count() < Self::SHORTEST {
            return;
        }
        let mut known = self.known();
        if known.names.contains(secret) {
            return;
        }
        known.secrets.insert(secret.to_owned(), kind);
        let encoded = encoding::form_value(secret);
        if encoded != secret {
            known.secrets.insert(encoded, kind);
        }
    }

    /// A name that everybody may know, even where it is a password as well.
    pub(crate) fn spare(&self, name: &str) {
        self.known().names.insert(name.to_owned());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds every string inside a JSON value.
    pub(crate) fn plant_all(&self, value: &serde_json::Value, kind: Kind) {
        match value {
            serde_json::Value::String(text) => self.plant(text, kind),
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.plant_all(item, kind)),
            serde_json::Value::Object(fields) => fields.values().for_each(|item| self.plant_all(item, kind)),
            _ => {}
        }
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.known().secrets.len();
        f.debug_struct("Canary").field("secrets", &count).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_a_name_is_not_looked_for() {
        let canary = Canary::default();
        canary.spare("reader");
        canary.plant("reader", Kind::Password);
        assert_eq!(canary.find_in("hello reader"), None);
    }

    #[test]
    fn a_secret_is_found_as_it_is_and_form_encoded() {
        let canary = Canary::default();
        canary.plant("open sesame", Kind::Password);
        canary.plant("root", Kind::Token);
        assert_eq!(canary.find_in("he said: open sesame!"), Some(Kind::Password));
        assert_eq!(canary.find_in("password=open+sesame&x"), Some(Kind::Password));
        assert_eq!(canary.find_in("root"), None);
        assert!(!format!("{canary:?}").contains("sesame"));
    }
}
