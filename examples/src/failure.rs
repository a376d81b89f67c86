//! How a program ends without what was asked of it: one clear line, one line that names the fix, one exit code.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use crate::terminal::say;

/// Why a program ends without what was asked of it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

/// The exit codes of every program here. Success is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 1: somebody said no. The person, the provider, Vault, a check of ours, or the disk.
    Refused = 1,
    /// 2: the command line or the environment asks for something that cannot be done.
    Usage = 2,
    /// 3: a server cannot be reached, cannot prove who it is, or is out of order.
    Network = 3,
    /// 4: nobody signed in within the time that was given.
    TimedOut = 4,
}

/// What `--help` tells about exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: by you (Ctrl-C, Cancel), the provider, Vault, a check of the answer, or the disk
  2  usage: an argument, a file or the environment must change
  3  network: a server cannot be reached, cannot prove who it is, or is out of order
  4  timed out: nobody signed in within --timeout";

/// What `--help` ends with: how the program is called, and the exit codes.
pub fn help_after(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}

impl Failure {
    /// Returns a failure with its line: one lower-case clause.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Returns a failure whose line is the error and its causes. Of what an HTTP engine tells from its depths, only
    /// the root says more than the transport already did.
    pub fn of(exit: Exit, error: &(dyn StdError + 'static)) -> Self {
        let mut message = error.to_string();
        let mut current = error;
        while let Some(cause) = current.source() {
            let in_engine =
                current.is::<latchkey_transport::Error>() && !cause.is::<latchkey_transport::Misuse>();
            current = if in_engine { root(cause) } else { cause };
            let text = current.to_string();
            if !message.contains(&text) {
                // Writing to a String does not fail.
                let _ = write!(message, ": {text}");
            }
        }
        Self::new(exit, message)
    }

    /// Says what would help.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what would help where nobody knew it before.
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says before the line what was being done.
    pub fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Returns the exit code's meaning.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what would help.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Returns the cause of all causes.
pub(crate) fn root<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

/// Ends a program: tells what went wrong, if anything did, and returns the exit code.
pub fn finish(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    say(format_args!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        say(format_args!("hint: {hint}"));
    }
    ExitCode::from(failure.exit as u8)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(Exit::Refused, &error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Exit, Failure};

    #[derive(Debug, thiserror::Error)]
    #[error("the key cannot be read")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_line_names_every_cause_once() {
        let failure =
            Failure::of(Exit::Network, &Outer(io::Error::other(Outer(io::Error::other("no such key")))));
        assert_eq!(failure.message(), "the key cannot be read: no such key");
    }

    #[test]
    fn of_an_engine_only_the_root_is_told() {
        let cause = Outer(io::Error::other(Outer(io::Error::other("connection refused"))));
        let error = latchkey_transport::Error::Unreachable {
            host: "vault.example".into(),
            cause: Some(cause.into()),
        };
        let failure = Failure::of(Exit::Network, &error);
        assert_eq!(failure.message(), "vault.example cannot be reached: connection refused");
    }

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes = [Exit::Refused, Exit::Usage, Exit::Network, Exit::TimedOut].map(|exit| exit as u8);
        assert_eq!(codes, [1, 2, 3, 4]);
        for code in codes {
            assert!(super::EXIT_CODES.contains(&format!("\n  {code}  ")));
        }
    }
}
