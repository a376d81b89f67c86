//! Chance from a seed: the same world for every policy, and the same figures in every run.

/// A stream of numbers (`SplitMix64`, by Steele, Lea and Flood).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one token for one purpose: what a policy draws must not move the world.
    pub(crate) fn of(seed: u64, token: u32, purpose: u64) -> Self {
        let mut mixed = Self(seed ^ (u64::from(token) << 20) ^ purpose);
        Self(mixed.bits())
    }

    /// Sixty-four bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number of `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits: what a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.bits() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// A number of milliseconds of `[0, most)`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 { 0 } else { self.bits() % most }
    }

    /// Milliseconds of `[least, most)`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.up_to(most.saturating_sub(least))
    }

    /// The wait for the next of events that come by chance, on average every `mean` milliseconds.
    pub(crate) fn wait(&mut self, mean: u64) -> u64 {
        super::policy::part(mean, -(1.0 - self.unit()).ln()).max(1)
    }
}
