//! The server: what it grants, by the rules that Vault and `OpenBao` have for leases.

use super::policy::{Answer, SECOND};

/// How the server treats one token.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// What a login or a renewal grants, in seconds.
    pub(crate) ttl: u64,
    /// How old a token may become, in seconds; renewals do not go past it.
    pub(crate) max_ttl: Option<u64>,
    /// Whether it may be renewed at all; batch tokens may not.
    pub(crate) renewable: bool,
}

/// The token that a client holds, as the server knows it.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    issued: u64,
    pub(crate) expires: u64,
}

impl Terms {
    /// Logs in at `now`.
    pub(crate) fn login(&self, now: u64) -> (Held, Answer) {
        let ttl = self.max_ttl.map_or(self.ttl, |most| self.ttl.min(most));
        let held = Held { issued: now, expires: now + ttl * SECOND };
        (held, Answer::Granted { seconds: ttl, renewable: self.renewable })
    }

    /// Renews at `now`. Under a cap, the same end comes back time and again, in fewer and fewer seconds.
    pub(crate) fn renew(&self, held: Held, now: u64) -> (Held, Answer) {
        if !self.renewable || held.expires <= now {
            return (held, Answer::Refused);
        }
        let end = self.max_ttl.map_or(u64::MAX, |most| held.issued + most * SECOND);
        let expires = (now + self.ttl * SECOND).min(end);
        let seconds = expires.saturating_sub(now) / SECOND;
        if seconds == 0 {
            return (held, Answer::Refused);
        }
        // Durations are whole seconds on the server, too.
        let held = Held { expires: now + seconds * SECOND, ..held };
        (held, Answer::Granted { seconds, renewable: true })
    }
}
