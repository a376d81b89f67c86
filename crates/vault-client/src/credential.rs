//! A token as it is sent, and what is known of every token: how long it lives, and its kind.

use std::fmt;
use std::time::Duration;

use latchkey_transport::Secret;

use crate::{Error, TokenProblem};

/// A token of the server, fit to be sent.
///
/// ```
/// use latchkey_vault_client::Token;
///
/// let token = Token::new("hvs.EXAMPLE\n")?; // as it stands in a file
/// assert_eq!(token.expose_secret(), "hvs.EXAMPLE");
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// assert!(Token::new("  ").is_err());
/// # Ok::<(), latchkey_vault_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Token(Secret);

impl Token {
    /// Takes a token over, without the space around it.
    ///
    /// Fails with [`Error::InvalidToken`] where nothing is left, or where a sign is in it that no token has.
    pub fn new(text: impl Into<Secret>) -> Result<Self, Error> {
        let text = text.into();
        // Opened to look for signs that a header cannot hold.
        let trimmed = text.expose_secret().trim();
        if trimmed.is_empty() {
            return Err(Error::InvalidToken { problem: TokenProblem::Empty });
        }
        if !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::InvalidToken { problem: TokenProblem::Unprintable });
        }
        if trimmed.len() < text.expose_secret().len() {
            Ok(Self(Secret::new(trimmed)))
        } else {
            Ok(Self(text))
        }
    }

    /// Returns the token's text.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// How long a token lives, counted from when the request for it was *sent*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The life that is left, in whole seconds. Zero means that it does not end, as with a root token.
    pub duration: Duration,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

impl Lease {
    pub(crate) fn new(seconds: u64, renewable: bool) -> Self {
        Self { duration: Duration::from_secs(seconds), renewable }
    }

    /// Returns the life that is left, or `None` where it does not end.
    pub fn time_to_live(&self) -> Option<Duration> {
        (!self.duration.is_zero()).then_some(self.duration)
    }
}

/// The kind of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// Stored by the server, renewable, revocable.
    Service,
    /// Carries everything in itself: neither renewable nor revocable.
    Batch,
    /// A kind that this version does not know.
    Other(String),
}

impl From<&str> for TokenType {
    fn from(text: &str) -> Self {
        match text {
            "service" => Self::Service,
            "batch" => Self::Batch,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_a_header_cannot_hold_is_refused_and_not_shown() {
        for (text, expected) in [
            ("", TokenProblem::Empty),
            (" \r\n", TokenProblem::Empty),
            ("hvs.a b", TokenProblem::Unprintable),
            ("hvs.a\nb", TokenProblem::Unprintable),
            ("hvs.ä", TokenProblem::Unprintable),
            ("hvs.\u{7f}", TokenProblem::Unprintable),
        ] {
            let error = Token::new(text).unwrap_err();
            assert!(matches!(error, Error::InvalidToken { problem } if problem == expected), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("hvs"));
        }
    }

    #[test]
    fn the_space_around_a_token_is_no_part_of_it() {
        assert_eq!(Token::new("\t hvs.abc\r\n").unwrap().expose_secret(), "hvs.abc");
    }
}
