//! What the hub keeps of a sign-in.

use std::fmt;

use latchkey_transport::{Secret, json};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What the hub keeps of a person's sign-in, as oauthenticator writes it.
///
/// It holds the refresh token, too: whoever may read it can be the person for as long as the provider lets them. The small
/// handler behind [`ReadIdToken`](crate::ReadIdToken) gives away less.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct AuthState {
    /// The ID token, as it travels. The hub refreshes it late or not at all: see
    /// [`HubUser::id_token`](crate::HubUser::id_token).
    #[serde(default)]
    pub id_token: Option<Secret>,
    /// The access token.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// The refresh token.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// The scopes that the provider granted.
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    pub scopes: Vec<String>,
    /// What the provider said of the person: userinfo, or the claims of the ID token. Nobody has checked it here; the
    /// hub did.
    #[serde(default, rename = "oauth_user")]
    claims: Option<json::Any>,
}

impl AuthState {
    /// Returns what the provider said of the person under that name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref()?.0.get(name)
    }
}

/// Shows which tokens there are: everything else is about a person.
impl fmt::Debug for AuthState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthState")
            .field("id_token", &self.id_token)
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// oauthenticator writes a list, and a text before its version 16.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let unexpected = || D::Error::custom("the scopes are neither a list nor a text");
    let json::Any(scopes) = json::Any::deserialize(deserializer)?;
    match scopes {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Value::Array(list) => list
            .into_iter()
            .map(|scope| match scope {
                Value::String(scope) => Ok(scope),
                _ => Err(unexpected()),
            })
            .collect(),
        _ => Err(unexpected()),
    }
}
