//! What is kept about a person: a sign-in under way, and a session.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::{Pending, VerifiedIdToken};
use latchkey_transport::{Random, Secret, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A sign-in under way.
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) pending: Pending,
    /// Where the person wanted to go: a path of this service.
    pub(super) return_to: String,
}

/// Somebody who is signed in. No token: none is needed once the person is known.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// What to call the person, where the provider tells.
    pub(super) name: Option<String>,
    /// The provider's session (`sid`), by which it tells that the person has signed out.
    pub(super) sid: Option<String>,
    /// When the ID token was made, in seconds since 1970.
    pub(super) issued_at: u64,
    /// When it ends, in seconds since 1970.
    pub(super) ends_at: u64,
    /// What a form of this session must hold, so that no other site can send it.
    pub(super) form_token: String,
}

impl Session {
    /// Begins a session of the person of this ID token. `None` where there are no random numbers.
    pub(super) fn begin(id_token: &VerifiedIdToken, lifetime: Duration, now: SystemTime) -> Option<Self> {
        let text = |claim: &str| id_token.claim(claim).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            issuer: id_token.issuer().to_owned(),
            subject: id_token.subject().to_owned(),
            name: text("name").or_else(|| text("preferred_username")),
            sid: text("sid"),
            issued_at: seconds(id_token.issued_at()),
            ends_at: seconds(now + lifetime),
            // Opened for the record, which is sealed.
            form_token: random_text()?.expose_secret().to_owned(),
        })
    }

    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        seconds(now) >= self.ends_at
    }
}

/// Shows nothing about the person.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

/// A text that nobody can guess: 256 bits.
pub(super) fn random_text() -> Option<Secret> {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes).ok()?;
    Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
