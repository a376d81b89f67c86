//! The other Vault clients, each from the description of what it does.

use super::policy::{Answer, Call, Clocks, Next, Policy, SECOND, Serve, part};
use super::random::Random;

/// Go's `LifetimeWatcher`, and a caller that logs in again when it ends, every ten seconds until that works.
pub(crate) fn lifetime_watcher() -> Box<dyn Policy> {
    Box::new(Watcher::new(Relogin::EveryTenSeconds))
}

/// Vault Agent: the same watcher, and logins with a growing pause.
pub(crate) fn agent() -> Box<dyn Policy> {
    Box::new(Watcher::new(Relogin::Doubling { pause: SECOND }))
}

/// How a login that failed is tried again.
#[derive(Clone, Copy)]
enum Relogin {
    EveryTenSeconds,
    /// From one second to five minutes, less up to a quarter.
    Doubling {
        pause: u64,
    },
}

impl Relogin {
    fn pause(&mut self, random: &mut Random) -> u64 {
        match self {
            Self::EveryTenSeconds => 10 * SECOND,
            Self::Doubling { pause } => {
                let waits = *pause - part(*pause, 0.25 * random.unit());
                *pause = (*pause * 2).min(300 * SECOND);
                waits
            }
        }
    }

    fn reset(&mut self) {
        if let Self::Doubling { pause } = self {
            *pause = SECOND;
        }
    }
}

/// Watches one lease until it is about to end. Times are of the monotonic clock.
struct Watcher {
    relogin: Relogin,
    phase: Phase,
    has_token: bool,
    is_renewable: bool,
    expires: u64,
    grace: u64,
    prior: u64,
    backoff: u64,
}

enum Phase {
    Login,
    Renew,
    Wait { until: u64, then: Call },
}

impl Watcher {
    fn new(relogin: Relogin) -> Self {
        Self {
            relogin,
            phase: Phase::Login,
            has_token: false,
            is_renewable: true,
            expires: 0,
            grace: 0,
            prior: 0,
            backoff: 10 * SECOND,
        }
    }

    fn recompute_grace(&mut self, lease: u64, random: &mut Random) {
        self.grace = part(lease, 0.1 + 0.1 * random.unit());
    }

    /// Sleeps, or is done: then the caller logs in.
    fn settle(&mut self, remaining: u64, sleep: u64, now: u64) {
        let is_done = remaining <= self.grace || remaining.saturating_sub(sleep) <= self.grace;
        self.phase =
            if is_done { Phase::Login } else { Phase::Wait { until: now + sleep, then: Call::Renew } };
    }
}

impl Policy for Watcher {
    fn answered(&mut self, call: Call, answer: Answer, _sent: Clocks, now: Clocks, random: &mut Random) {
        let now = now.monotonic;
        match (call, answer) {
            (Call::Login, Answer::Granted { seconds, renewable }) => {
                let lease = seconds * SECOND;
                self.relogin.reset();
                self.has_token = true;
                self.is_renewable = renewable;
                self.expires = now + lease;
                self.prior = 0;
                self.recompute_grace(lease, random);
                // It renews on entry; what cannot be renewed is only watched.
                self.phase = Phase::Renew;
                if !renewable {
                    self.settle(lease, part(lease, 2.0 / 3.0) + self.grace / 3, now);
                }
            }
            (Call::Login, _) => {
                self.phase = Phase::Wait { until: now + self.relogin.pause(random), then: Call::Login };
            }
            (Call::Renew, Answer::Granted { seconds, .. }) => {
                let lease = seconds * SECOND;
                self.expires = now + lease;
                self.backoff = 10 * SECOND;
                if lease > self.prior {
                    self.recompute_grace(lease, random);
                }
                self.prior = lease;
                self.settle(lease, part(lease, 2.0 / 3.0) + self.grace / 3, now);
            }
            (Call::Renew, Answer::Unreachable) => {
                let remaining = self.expires.saturating_sub(now);
                let sleep = part(self.backoff, 0.5 + random.unit());
                self.backoff = (self.backoff * 2).min(300 * SECOND);
                self.settle(remaining, sleep, now);
            }
            (Call::Renew, Answer::Refused) => {
                // Not renewable from now on, and kept until the grace time.
                self.is_renewable = false;
                let remaining = self.expires.saturating_sub(now);
                self.settle(remaining, part(remaining, 2.0 / 3.0) + self.grace / 3, now);
            }
        }
    }

    fn next(&mut self, now: Clocks, _random: &mut Random) -> Next {
        match self.phase {
            Phase::Wait { until, .. } if now.monotonic < until => Next::Sleep(until - now.monotonic),
            Phase::Login | Phase::Wait { then: Call::Login, .. } => Next::Call(Call::Login),
            Phase::Wait { then: Call::Renew, .. } if self.is_renewable => Next::Call(Call::Renew),
            Phase::Renew => Next::Call(Call::Renew),
            Phase::Wait { then: Call::Renew, .. } => {
                let remaining = self.expires.saturating_sub(now.monotonic);
                self.settle(remaining, part(remaining, 2.0 / 3.0) + self.grace / 3, now.monotonic);
                self.next_after_settling(now)
            }
        }
    }

    fn serve(&mut self, _now: Clocks, _waited: bool, _random: &mut Random) -> Serve {
        if self.has_token { Serve::Token } else { Serve::Nothing }
    }
}

impl Watcher {
    fn next_after_settling(&self, now: Clocks) -> Next {
        match self.phase {
            Phase::Wait { until, .. } => Next::Sleep(until.saturating_sub(now.monotonic)),
            Phase::Login | Phase::Renew => Next::Call(Call::Login),
        }
    }
}

/// Spring Vault's `LifecycleAwareSessionManager`: five seconds before the end, and a token that an error drops.
pub(crate) fn spring() -> Box<dyn Policy> {
    Box::new(Spring::Without)
}

enum Spring {
    Without,
    /// A token that is not renewable is not watched, either.
    Unwatched,
    Until(u64),
}

impl Policy for Spring {
    fn answered(&mut self, _call: Call, answer: Answer, _sent: Clocks, now: Clocks, _random: &mut Random) {
        *self = match answer {
            Answer::Granted { seconds: 0..=7, .. } | Answer::Unreachable | Answer::Refused => Self::Without,
            Answer::Granted { renewable: false, .. } => Self::Unwatched,
            Answer::Granted { seconds, .. } => {
                Self::Until(now.monotonic + (seconds * SECOND).saturating_sub(5 * SECOND).max(SECOND))
            }
        };
    }

    fn next(&mut self, now: Clocks, _random: &mut Random) -> Next {
        match *self {
            Self::Until(due) if due <= now.monotonic => Next::Call(Call::Renew),
            Self::Until(due) => Next::Sleep(due - now.monotonic),
            Self::Unwatched | Self::Without => Next::Idle,
        }
    }

    fn serve(&mut self, _now: Clocks, waited: bool, _random: &mut Random) -> Serve {
        match (self, waited) {
            (Self::Until(_) | Self::Unwatched, _) => Serve::Token,
            (Self::Without, false) => Serve::After(Call::Login),
            (Self::Without, true) => Serve::Nothing,
        }
    }
}

/// `vault-client-rs`: two thirds of the lease and up to five seconds, one login when a renewal fails, then the same pause again.
pub(crate) fn vault_client_rs() -> Box<dyn Policy> {
    Box::new(VaultClientRs { lease: 0, expires: 0, has_token: false, wants: Some(Call::Login), due: 0 })
}

struct VaultClientRs {
    lease: u64,
    expires: u64,
    has_token: bool,
    wants: Option<Call>,
    due: u64,
}

impl Policy for VaultClientRs {
    fn answered(&mut self, call: Call, answer: Answer, _sent: Clocks, now: Clocks, random: &mut Random) {
        self.wants = None;
        match (call, answer) {
            (_, Answer::Granted { seconds, .. }) => {
                self.has_token = true;
                self.lease = seconds * SECOND;
                self.expires = now.monotonic + self.lease;
            }
            (Call::Renew, _) => {
                self.wants = Some(Call::Login);
                return;
            }
            (Call::Login, _) => {}
        }
        self.due = now.monotonic + part(self.lease, 0.66) + random.up_to(5 * SECOND);
    }

    fn next(&mut self, now: Clocks, _random: &mut Random) -> Next {
        match self.wants {
            Some(call) => Next::Call(call),
            None if self.due <= now.monotonic => Next::Call(Call::Renew),
            None => Next::Sleep(self.due - now.monotonic),
        }
    }

    fn serve(&mut self, now: Clocks, waited: bool, _random: &mut Random) -> Serve {
        let remaining = self.expires.saturating_sub(now.monotonic);
        match (self.has_token, waited) {
            (false, _) => Serve::Nothing,
            (true, false) if remaining < self.lease / 5 => Serve::After(Call::Renew),
            // The renewal's failure is the request's, although the token may still be good.
            (true, true) if self.wants.is_some() => Serve::Nothing,
            (true, _) => Serve::Token,
        }
    }
}

/// `node-vault`: at four fifths of the lease, until the first error, and never a login.
pub(crate) fn node_vault() -> Box<dyn Policy> {
    Box::new(NodeVault { has_token: false, due: Some(0), first: Call::Login })
}

struct NodeVault {
    has_token: bool,
    due: Option<u64>,
    first: Call,
}

impl Policy for NodeVault {
    fn answered(&mut self, call: Call, answer: Answer, _sent: Clocks, now: Clocks, _random: &mut Random) {
        self.due = match (call, answer) {
            (_, Answer::Granted { seconds, .. }) => {
                self.has_token = true;
                self.first = Call::Renew;
                Some(now.monotonic + (seconds * 4 / 5).max(1) * SECOND)
            }
            // Until it has a first token, its program tries again; what it does afterwards is the library's.
            (Call::Login, _) => Some(now.monotonic + 10 * SECOND),
            (Call::Renew, _) => None,
        };
    }

    fn next(&mut self, now: Clocks, _random: &mut Random) -> Next {
        match self.due {
            None => Next::Idle,
            Some(due) if due <= now.monotonic => Next::Call(self.first),
            Some(due) => Next::Sleep(due - now.monotonic),
        }
    }

    fn serve(&mut self, _now: Clocks, _waited: bool, _random: &mut Random) -> Serve {
        if self.has_token { Serve::Token } else { Serve::Nothing }
    }
}
