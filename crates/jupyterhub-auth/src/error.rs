//! What can go wrong, grouped by who must act.

use std::fmt;
use std::time::Duration;

use latchkey_oidc_flow::IdTokenProblem;

use crate::Holder;

/// Why the hub did not give an ID token.
///
/// No error holds a token, a body or what the hub knows of a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller. Never repeated.
    /// The address of the hub's API cannot be used. Nothing was sent.
    #[error("the address of the hub's API cannot be used")]
    InvalidAddress,
    /// A name that cannot stand in an address: empty, `.` or `..`. Nothing was sent.
    #[error("the name of the hub's user cannot be used")]
    InvalidUser,
    /// The server belongs to somebody else, and signing in would hand one's own secrets to their kernels. Nothing was
    /// sent.
    #[error("this server belongs to somebody else")]
    OtherUser,

    // The person.
    /// The hub does not know the token, or cannot refresh the person's sign-in any more (Hub 5, and 6 with
    /// `auth_refresh_strict`, answer both alike): sign in to the hub again, then restart the server if that is not enough.
    #[error("the hub does not take the token: sign in to the hub again ({0})")]
    Unauthorized(Refusal),
    /// The ID token that the hub holds has expired. The hub refreshes it late or not at all: see `refresh_user_hook`.
    #[error("the hub's ID token expired {} s ago: sign in to the hub again", ago.as_secs())]
    IdTokenExpired {
        /// How long ago.
        ago: Duration,
    },

    // The operator of the hub.
    /// The hub does not show `auth_state` to whoever holds this token: it leaves the key out, without an error.
    #[error("the hub shows no auth_state: {missing} is missing; {holder}", missing = Scopes(.missing))]
    ScopeMissing {
        /// The scopes that are missing.
        missing: Vec<String>,
        /// Whose token was used, and so where the scopes are to be set.
        holder: Holder,
    },
    /// The hub keeps no `auth_state`, or has none of this person: `enable_auth_state` is off, or was off when they signed in.
    #[error(
        "the hub keeps no auth_state of this person (is enable_auth_state set, and did they sign in since?)"
    )]
    AuthStateOff,
    /// `auth_state` has no ID token: the authenticator does not speak OpenID Connect, or does not ask for `openid`.
    #[error("the hub's auth_state has no ID token (does its authenticator ask for the scope openid?)")]
    IdTokenMissing,
    /// What stands in for the ID token is none.
    #[error("the hub's ID token cannot be read")]
    IdTokenMalformed(#[source] IdTokenProblem),
    /// The hub knows no such person, or does not let this token know: it answers both alike.
    #[error("the hub shows no such person to this token ({0})")]
    NotFound(Refusal),
    /// The hub refused for another reason.
    #[error("the hub refused ({0})")]
    Refused(Refusal),
    /// The reply is not the hub's: a proxy's page, or another program. Transient for 502, 503 and 504.
    #[error("the reply is not {wanted} (status {status}, {length} bytes)")]
    MalformedReply {
        /// The status.
        status: u16,
        /// How long the body is, in bytes.
        length: usize,
        /// What it should have been.
        wanted: &'static str,
    },

    // The network.
    /// No whole reply arrived. Transient where its source is.
    #[error(transparent)]
    Transport(#[from] latchkey_transport::Error),
}

impl Error {
    /// Returns whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::MalformedReply { status, .. } => matches!(status, 502..=504),
            Self::Refused(refusal) => matches!(refusal.status, 429 | 502..=504),
            Self::Transport(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Returns the status of the reply, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized(refusal) | Self::NotFound(refusal) | Self::Refused(refusal) => {
                Some(refusal.status)
            }
            Self::MalformedReply { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns the stable name of this error, for programs and other languages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidAddress => "hub_invalid_address",
            Self::InvalidUser => "hub_invalid_user",
            Self::OtherUser => "hub_other_user",
            Self::Unauthorized(_) => "hub_unauthorized",
            Self::IdTokenExpired { .. } => "hub_id_token_expired",
            Self::ScopeMissing { .. } => "hub_scope_missing",
            Self::AuthStateOff => "hub_auth_state_off",
            Self::IdTokenMissing => "hub_id_token_missing",
            Self::IdTokenMalformed(_) => "hub_id_token_malformed",
            Self::NotFound(_) => "hub_not_found",
            Self::Refused(_) => "hub_refused",
            Self::MalformedReply { .. } => "hub_malformed_reply",
            Self::Transport(error) => error.code(),
        }
    }
}

/// A refusal as the hub put it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status of the reply.
    pub status: u16,
    /// What the hub said, on one line and shortened; empty where it said nothing in its own form, or repeated the token.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "status {}", self.status)?;
        if self.message.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.message) }
    }
}

/// The scopes, with commas between.
struct Scopes<'a>(&'a [String]);

impl fmt::Display for Scopes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(", "))
    }
}
