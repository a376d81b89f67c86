//! Waiting on tokio.

use std::time::{Duration, Instant};

use latchkey_transport::{Random as _, SystemRandom};

use super::Waiting;

/// Waits on tokio's timer, by the system's clock and random numbers.
#[derive(Clone, Copy, Debug)]
pub struct TokioWaiting {
    begun: Instant,
}

impl TokioWaiting {
    /// Returns one whose time begins now.
    #[expect(clippy::disallowed_methods, reason = "whoever asks for this one asks for the system's clock")]
    pub fn new() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Default for TokioWaiting {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Waiting for TokioWaiting {
    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    fn random(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without random numbers the longest pause: it is only longer than it need be.
        SystemRandom
            .fill(&mut bytes)
            .map_or(1.0, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_and_draws() {
        let waiting = TokioWaiting::new();
        waiting.sleep(Duration::from_millis(5)).await;
        assert!(waiting.elapsed() >= Duration::from_millis(5));
        let drawn: Vec<_> = (0..20).map(|_| waiting.random()).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(drawn.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
