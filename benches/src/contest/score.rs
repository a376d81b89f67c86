//! What is counted.

use super::fleet_world::{DAY, MINUTE, Outage};
use super::policy::{Call, SECOND};

/// The figures of one policy.
pub(crate) struct Score {
    pub(crate) name: &'static str,
    /// Requests that were served or refused.
    pub(crate) requests: u64,
    /// Requests that carried a token which was dead when it arrived.
    pub(crate) dead: u64,
    /// Requests that the client itself turned away for want of a token.
    pub(crate) refused: u64,
    /// Time without a live token, machine awake, in milliseconds.
    pub(crate) gap: u64,
    /// As much of it as the server could be reached in.
    pub(crate) gap_with_a_way: u64,
    pub(crate) renewals: u64,
    pub(crate) logins: u64,
    /// Calls in each second of the day.
    pub(crate) load: Vec<u32>,
    /// The most calls in one second within ten minutes after an outage.
    peak: u32,
}

impl Score {
    pub(crate) fn new(name: &'static str) -> Self {
        let seconds = usize::try_from(DAY / SECOND).unwrap_or_default();
        Self {
            name,
            requests: 0,
            dead: 0,
            refused: 0,
            gap: 0,
            gap_with_a_way: 0,
            renewals: 0,
            logins: 0,
            load: vec![0; seconds],
            peak: 0,
        }
    }

    pub(crate) fn count_call(&mut self, call: Call, at: u64) {
        match call {
            Call::Renew => self.renewals += 1,
            Call::Login => self.logins += 1,
        }
        if let Some(second) = usize::try_from(at / SECOND).ok().and_then(|second| self.load.get_mut(second)) {
            *second += 1;
        }
    }

    /// Finds the peak, once all is played.
    pub(crate) fn judge(&mut self, outages: &[Outage]) {
        let second = |at: u64| usize::try_from(at / SECOND).unwrap_or_default();
        let after = |outage: &Outage| self.load.get(second(outage.until)..second(outage.until + 10 * MINUTE));
        self.peak = outages.iter().filter_map(after).flatten().copied().max().unwrap_or_default();
    }

    /// Renewals and logins.
    pub(crate) fn calls(&self) -> u64 {
        self.renewals + self.logins
    }

    /// The most calls in one second after an outage.
    pub(crate) fn peak(&self) -> u64 {
        u64::from(self.peak)
    }
}

/// A count, for a table.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
