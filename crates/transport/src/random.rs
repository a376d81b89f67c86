//! Where random bytes come from.

/// A source of random bytes that nobody can guess.
///
/// The protocol crates never draw random numbers by themselves: whoever starts a login passes a source in, and a
/// test passes one whose output it knows.
pub trait Random {
    /// Fills the whole slice.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable>;
}

impl<T: Random + ?Sized> Random for &mut T {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        (**self).fill(bytes)
    }
}

/// The source of random bytes gave none. Going on without would make a login guessable.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the source of random numbers is unavailable")]
pub struct RandomUnavailable;

/// The operating system's random numbers; in the browser `crypto.getRandomValues`.
#[cfg(feature = "system-random")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

#[cfg(feature = "system-random")]
impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        getrandom::fill(bytes).map_err(|_| RandomUnavailable)
    }
}
