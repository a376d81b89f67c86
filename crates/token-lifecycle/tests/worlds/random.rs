//! Random numbers that come again for the same seed.

use std::ops::Range;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(0x2545_F491_4F6C_DD1D))
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + (self.word() >> 16) % (range.end - range.start).max(1)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.within(0..times) == 0
    }

    /// A number whose size is as likely to be small as great.
    pub(crate) fn any_size(&mut self, range: Range<u64>) -> u64 {
        let bits = |number: u64| u64::from(64 - number.leading_zeros());
        let bits = self.within(bits(range.start)..bits(range.end - 1) + 1);
        self.within(1 << bits.saturating_sub(1)..1 << bits).clamp(range.start, range.end - 1)
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.within(0..choices.len() as u64)).unwrap()]
    }
}
