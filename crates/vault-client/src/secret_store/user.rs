//! Names of users, as a path, a policy and an alias can hold them.

use std::fmt;

use crate::{Error, PathPart, PathProblem};

/// The name of a user, checked, and written so that no two users are ever one.
///
/// Small letters, digits and `-`, `_`, `.`, `@` stand for themselves; every other byte is written as `~` and two
/// hexadecimal digits. So `alice` is `alice`, and:
///
/// - `Alice` is `~41lice`. Servers write the names of policies in small letters, and take aliases that differ in case only
///   for one: without that, `Alice` would get what is `alice`'s.
/// - `al*` and `+` are `al~2a` and `~2b`: in the paths of a policy these signs stand for others' names.
/// - letters that look alike, as the Cyrillic `а` in `аlice`, differ at a glance: `~d0~b0lice`.
///
/// ```
/// use latchkey_vault_client::secret_store::UserName;
///
/// assert_eq!(UserName::new("alice@example.org")?.encoded(), "alice@example.org");
/// assert_eq!(UserName::new("Alice B")?.encoded(), "~41lice~20~42");
/// assert!(UserName::new("alice/../bob").is_err());
/// # Ok::<(), latchkey_vault_client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName {
    name: String,
    encoded: String,
}

impl UserName {
    /// The longest name, in bytes. Encoded it is at most three times as long, which every server takes.
    pub const LONGEST: usize = 128;

    /// Checks a name.
    ///
    /// Fails with [`Error::InvalidPath`] where it is empty, longer than [`LONGEST`](Self::LONGEST), `.` or `..`, or has a
    /// slash, a backslash or a control sign in it: names that were made to lead elsewhere.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let problem = match name.as_str() {
            "" => Some(PathProblem::Empty),
            "." | ".." => Some(PathProblem::DotSegment),
            _ if name.contains(['/', '\\']) => Some(PathProblem::Slash),
            _ if name.chars().any(char::is_control) => Some(PathProblem::ControlSign),
            _ if name.len() > Self::LONGEST => Some(PathProblem::TooLong),
            _ => None,
        };
        match problem {
            Some(problem) => Err(Error::InvalidPath { part: PathPart::User, problem }),
            None => Ok(Self { encoded: encoded(&name), name }),
        }
    }

    /// Returns the name as it was given.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns it as paths, policies and aliases have it.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }
}

/// Shows the name as it was given.
impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

fn encoded(name: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'@') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('~');
            for digit in [byte >> 4, byte & 15] {
                encoded.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plain_names_are_written_as_they_are() {
        for name in ["alice", "4username", "-rf", "--help", "a.b-c_d@example.org", "..a"] {
            assert_eq!(UserName::new(name).unwrap().encoded(), name);
        }
    }

    #[test]
    fn no_two_names_are_one_whatever_a_server_does_to_case() {
        let names = [
            "alice",
            "Alice",
            "ALICE",
            "alice ",
            " alice",
            "~41lice",
            "аlice",
            "alicé",
            "alice\u{301}",
            "alice*",
            "alic+",
        ];
        let encoded: BTreeSet<String> =
            names.iter().map(|name| UserName::new(*name).unwrap().encoded().to_lowercase()).collect();
        assert_eq!(encoded.len(), names.len());
    }

    #[test]
    fn nothing_that_means_something_in_a_policy_is_left() {
        let all: String =
            (' '..='\u{24f}').filter(|sign| !sign.is_control() && !"/\\".contains(*sign)).collect();
        for sign in all.chars() {
            let name = UserName::new(sign.to_string().repeat(3)).unwrap();
            let clean =
                |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || "-_.@~".contains(sign);
            assert!(name.encoded().chars().all(clean), "{sign:?}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for (name, expected) in [
            ("", PathProblem::Empty),
            (".", PathProblem::DotSegment),
            ("..", PathProblem::DotSegment),
            ("a/b", PathProblem::Slash),
            ("..\\b", PathProblem::Slash),
            ("a\0", PathProblem::ControlSign),
            ("a\nb", PathProblem::ControlSign),
        ] {
            let error = UserName::new(name).unwrap_err();
            assert!(
                matches!(error, Error::InvalidPath { part: PathPart::User, problem } if problem == expected),
                "{name:?} {error:?}"
            );
        }
        assert!(UserName::new("x".repeat(128)).is_ok());
        assert!(UserName::new("x".repeat(129)).is_err());
    }
}
