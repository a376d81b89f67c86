//! What happened in all worlds together.

/// How often what was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) calls: u64,
    pub(crate) abandoned: u64,
    pub(crate) renewed: u64,
    pub(crate) capped: u64,
    pub(crate) signed_in_again: u64,
    pub(crate) refreshed: u64,
    pub(crate) lost: u64,
    pub(crate) asked: u64,
    pub(crate) probes: u64,
    pub(crate) served: u64,
    pub(crate) unserved: u64,
    pub(crate) superseded: u64,
    pub(crate) ends_after_three_attempts: u64,
}

impl Account {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts().into_iter().zip(other.clone().counts()) {
            *sum += *count;
        }
    }

    fn counts(&mut self) -> [&mut u64; 13] {
        [
            &mut self.calls,
            &mut self.abandoned,
            &mut self.renewed,
            &mut self.capped,
            &mut self.signed_in_again,
            &mut self.refreshed,
            &mut self.lost,
            &mut self.asked,
            &mut self.probes,
            &mut self.served,
            &mut self.unserved,
            &mut self.superseded,
            &mut self.ends_after_three_attempts,
        ]
    }

    pub(crate) fn assert_that_much_happened(&self, worlds: u64) {
        for count in self.clone().counts() {
            assert!(*count * 250 > worlds, "too rare to be a test: {self:#?}");
        }
    }
}
