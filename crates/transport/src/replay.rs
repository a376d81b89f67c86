//! Which calls may be sent a second time.

use crate::Error;

/// Says whether a request may be sent again when no reply to it arrived.
///
/// The choice belongs to the call and not to its HTTP method: a `POST` that renews a token may be repeated, one that
/// redeems an authorization code may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Repeating the call does no more than the first one did: reading, listing. A Vault token with a limited number
    /// of uses spends one more.
    Safe,
    /// The call may be repeated only when the first one certainly never reached the server: no connection
    /// was made. Everything that creates or consumes, and whatever would be answered otherwise the second time.
    AfterRefusal,
    /// The call is never repeated, not even then: the caller wants to see every failure.
    Never,
}

impl Replay {
    /// Returns whether a call that ended in `error` may be sent once more, at once.
    ///
    /// A call that ran out of time is not sent again. A second attempt has the request's whole time limit anew.
    pub fn allows(self, error: &Error) -> bool {
        match self {
            Self::Safe => matches!(error, Error::Lost { .. } | Error::Unreachable { .. }),
            Self::AfterRefusal => matches!(error, Error::Unreachable { .. }),
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Replay;
    use crate::{Error, Misuse};

    #[test]
    fn only_what_is_harmless_is_sent_again() {
        let host = String::new;
        let unreachable = Error::Unreachable { host: host(), cause: None };
        let lost = Error::Lost { host: host(), cause: None };
        for (replay, after_refusal, after_loss) in
            [(Replay::Safe, true, true), (Replay::AfterRefusal, true, false), (Replay::Never, false, false)]
        {
            assert_eq!(replay.allows(&unreachable), after_refusal, "{replay:?}");
            assert_eq!(replay.allows(&lost), after_loss, "{replay:?}");
            for error in [
                Error::TimedOut { host: host(), limit: Duration::from_secs(1) },
                Error::ReplyTooLarge { host: host(), limit: 1 },
                Error::Misuse(Misuse::NoServer),
            ] {
                assert!(!replay.allows(&error), "{replay:?} {error}");
            }
        }
    }
}
