//! Which names of a hub can be names of Unix users.

use std::fmt;

/// A name that any Unix takes for a user, judged by a rule of its own.
///
/// The rule, whatever the distribution and the mood of its `useradd`: 1 to 32 signs out of `a`–`z`, `0`–`9`, `_`, `.` and
/// `-`; the first is a letter, a digit or `_`; and they are not digits alone. So `4username` is a name, and `-rf`,
/// `--help`, `..`, `a/b`, `a b`, `Alice`, `юзер` and `123` are none. Nothing is changed to make a name fit: two people
/// could then become one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnixName(String);

/// Why a name cannot be a Unix user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is longer than any Unix takes.
    #[error("it has more than {} signs", UnixName::LONGEST)]
    TooLong,
    /// It begins with a sign that programs take for an option, or hide.
    #[error("it does not begin with a letter from a to z, a digit or an underscore")]
    Beginning,
    /// It has another sign in it: a capital letter, a letter of another alphabet, a slash, a space.
    #[error("it has signs other than a to z, 0 to 9, underscore, dot and hyphen")]
    Sign,
    /// It is a number, and programs take numbers for user ids.
    #[error("it is made of digits alone")]
    Number,
}

impl UnixName {
    /// How long a name may be, in signs: what `utmp` has room for.
    pub const LONGEST: usize = 32;

    /// Checks a name.
    ///
    /// Fails with the first [`NameProblem`] that it has.
    pub fn new(name: &str) -> Result<Self, NameProblem> {
        let is_letter = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
        let first = name.chars().next().ok_or(NameProblem::Empty)?;
        if !name.chars().all(|sign| is_letter(sign) || matches!(sign, '.' | '-')) {
            return Err(NameProblem::Sign);
        }
        if !is_letter(first) {
            return Err(NameProblem::Beginning);
        }
        if name.len() > Self::LONGEST {
            return Err(NameProblem::TooLong);
        }
        if name.chars().all(|sign| sign.is_ascii_digit()) {
            return Err(NameProblem::Number);
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{NameProblem, UnixName};

    #[test]
    fn a_name_of_letters_digits_and_a_few_signs_is_taken_as_it_is() {
        for name in ["alice", "4username", "a.b", "a-b", "_x", "a_", "a..", "0x1f", "x", &"a".repeat(32)] {
            assert_eq!(UnixName::new(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn a_name_that_a_program_could_take_for_something_else_is_refused() {
        for (name, problem) in [
            ("", NameProblem::Empty),
            ("-rf", NameProblem::Beginning),
            ("--help", NameProblem::Beginning),
            ("-D", NameProblem::Sign),
            (".", NameProblem::Beginning),
            ("..", NameProblem::Beginning),
            (".profile", NameProblem::Beginning),
            ("a/b", NameProblem::Sign),
            ("a b", NameProblem::Sign),
            ("a:b", NameProblem::Sign),
            ("a,b", NameProblem::Sign),
            ("a\nb", NameProblem::Sign),
            ("a\0", NameProblem::Sign),
            ("~a", NameProblem::Sign),
            ("+x", NameProblem::Sign),
            ("a$", NameProblem::Sign),
            ("a@b.c", NameProblem::Sign),
            ("alice%2f..", NameProblem::Sign),
            ("Alice", NameProblem::Sign),
            ("юзер", NameProblem::Sign),
            ("ünïcode", NameProblem::Sign),
            // Cyrillic а before latin letters; a full-width 4.
            ("аlice", NameProblem::Sign),
            ("４user", NameProblem::Sign),
            ("123", NameProblem::Number),
            ("0", NameProblem::Number),
        ] {
            assert_eq!(UnixName::new(name), Err(problem), "{name:?}");
        }
        assert_eq!(UnixName::new(&"a".repeat(33)), Err(NameProblem::TooLong));
    }
}
