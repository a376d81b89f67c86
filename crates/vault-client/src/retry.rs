//! When a call that failed is worth another attempt: a policy without a clock, a timer or a random source of its own.

use std::sync::Arc;
use std::time::Duration;

use latchkey_transport::{Error as TransportError, MaybeSend, MaybeSync, Replay};

use crate::Error;

/// When a call that failed is sent again, and after what pause. Used by [`Vault::with_retry`](crate::Vault::with_retry).
///
/// What may be sent again depends on the call and on what is known of the failure:
///
/// | failure | [`Replay::Safe`] | [`Replay::AfterRefusal`] | [`Replay::Never`] |
/// |---|---|---|---|
/// | no connection was made | yes | yes | no |
/// | the server did not run the call: sealed, standby, 412, 429, store being upgraded | yes | yes | no |
/// | the reply was lost or late, 502, 503, 504 | yes | no, it may have run | no |
/// | everything else | no | no | no |
///
/// The pause before the second attempt is anything up to 500 ms, then up to 1 s, 2 s, 4 s, 5 s: full jitter, so that
/// many clients of one server that comes back do not come at once. A pause that the server asks for is kept in full, with
/// up to the same on top. All attempts and pauses together end at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
    deadline: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            // A leader election takes 2–10 s; six attempts with the pauses below span 6 s on average, 12 s at the most.
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

impl Retry {
    /// Sends a call so often at the most; 1 is no second attempt.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Waits up to that long before the second attempt, twice as long before each further one.
    pub fn with_first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Never waits longer than that, unless the server asks for it.
    pub fn with_longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Gives up after that time, for all attempts together.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns the time for all attempts together.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns how long to wait before the next attempt, or `None` where the error is final.
    ///
    /// `attempts` have been made in the time `elapsed`; `random` is a number from 0 to 1, new for each call.
    pub fn pause(
        &self,
        replay: Replay,
        error: &Error,
        attempts: u32,
        elapsed: Duration,
        random: f64,
    ) -> Option<Duration> {
        if attempts >= self.attempts || !may_be_repeated(replay, error) {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(31);
        let longest = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        let jitter = longest.mul_f64(if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 });
        let asked = match error {
            Error::RateLimited { retry_after: Some(rest) } => *rest,
            _ => Duration::ZERO,
        };
        let pause = asked.saturating_add(jitter);
        (elapsed.saturating_add(pause) < self.deadline).then_some(pause)
    }
}

/// Returns whether repeating a call does no harm after this error.
fn may_be_repeated(replay: Replay, error: &Error) -> bool {
    let did_not_run = match error {
        Error::RateLimited { .. }
        | Error::Sealed
        | Error::NotActive { .. }
        | Error::PreconditionFailed(_)
        | Error::MountUpgrading(_) => true,
        Error::Transport(error) => matches!(error, TransportError::Unreachable { .. }),
        _ => false,
    };
    match replay {
        Replay::Safe => did_not_run || error.is_transient(),
        Replay::AfterRefusal => did_not_run,
        Replay::Never => false,
    }
}

/// Returns whether a reply with that status may stand for an error that passes.
pub(crate) fn may_pass(status: u16) -> bool {
    matches!(status, 307 | 400 | 412 | 429 | 472..=474 | 502..=504)
}

/// What waiting takes: a clock, a timer and chance. The caller has them; the crate has none of its own.
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub trait Waiting: MaybeSend + MaybeSync {
    /// Returns the time that has passed since a moment that stays the same.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, pause: Duration);

    /// Returns a number from 0 to 1 that others do not get at the same time. It need not be unguessable.
    fn random(&self) -> f64;
}

/// Waiting that many handles share.
pub type SharedWaiting = Arc<dyn Waiting>;

#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
mod timer;
#[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
pub use timer::TokioWaiting;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use latchkey_transport::{Reply, Secret};
    use serde_json::json;

    use super::*;
    use crate::Vault;
    use crate::auth::ClientNonce;
    use crate::kv2::{Cas, WriteSecret};
    use crate::reply::refused;
    use crate::script::{Script, lost, script};

    fn pause(replay: Replay, error: &Error) -> Option<Duration> {
        Retry::default().pause(replay, error, 1, Duration::ZERO, 1.0)
    }

    fn said(status: u16, text: &str) -> Error {
        refused(&Reply::new(status, format!(r#"{{"errors":["{text}"]}}"#)), &[])
    }

    #[test]
    fn what_the_server_did_not_run_is_sent_again_unless_the_caller_wants_to_see_it() {
        for error in [
            said(412, "required index state not present"),
            said(429, "rate limit quota exceeded"),
            said(503, "Vault is sealed"),
            said(503, "no active Vault instance found"),
            said(307, ""),
            said(400, "Upgrading from non-versioned to versioned data."),
            Error::Transport(TransportError::Unreachable { host: String::new(), cause: None }),
        ] {
            assert!(pause(Replay::Safe, &error).is_some(), "{error}");
            assert!(pause(Replay::AfterRefusal, &error).is_some(), "{error}");
            assert!(pause(Replay::Never, &error).is_none(), "{error}");
        }
    }

    #[test]
    fn what_may_have_run_is_sent_again_only_where_that_is_harmless() {
        let host = String::new;
        for error in [
            Error::Transport(TransportError::Lost { host: host(), cause: None }),
            Error::Transport(TransportError::TimedOut { host: host(), limit: Duration::ZERO }),
            said(502, ""),
            said(503, "upstream connect error"),
            said(504, ""),
        ] {
            assert!(pause(Replay::Safe, &error).is_some(), "{error}");
            assert!(pause(Replay::AfterRefusal, &error).is_none(), "{error}");
        }
    }

    #[test]
    fn what_will_not_pass_is_final() {
        for status in [302, 400, 401, 403, 404, 405, 413, 415, 500, 501] {
            assert!(pause(Replay::Safe, &said(status, "")).is_none(), "{status}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_jitter_takes_any_part_of_them() {
        let retry = Retry::default().with_attempts(100);
        let millis = |attempts, random| {
            let pause = retry.pause(Replay::Safe, &Error::Sealed, attempts, Duration::ZERO, random);
            pause.unwrap().as_millis()
        };
        assert_eq!(
            [1, 2, 3, 4, 5, 50].map(|attempts| millis(attempts, 1.0)),
            [500, 1000, 2000, 4000, 5000, 5000]
        );
        assert_eq!((millis(3, 0.0), millis(3, 0.25)), (0, 500));
        assert_eq!((millis(1, f64::NAN), millis(1, 7.0), millis(1, -7.0)), (500, 500, 0));
    }

    #[test]
    fn the_pause_that_the_server_asks_for_is_the_least() {
        let busy = Error::RateLimited { retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(pause(Replay::Safe, &busy), Some(Duration::from_millis(7500)));
        let for_ever = Error::RateLimited { retry_after: Some(Duration::MAX) };
        assert_eq!(pause(Replay::Safe, &for_ever), None, "longer than the deadline");
    }

    #[test]
    fn attempts_and_time_come_to_an_end() {
        let retry = Retry::default().with_attempts(3).with_deadline(Duration::from_secs(10));
        let pause = |attempts, elapsed| {
            retry.pause(Replay::Safe, &Error::Sealed, attempts, Duration::from_millis(elapsed), 1.0)
        };
        assert!(pause(2, 0).is_some() && pause(3, 0).is_none());
        assert!(pause(1, 9400).is_some() && pause(1, 9500).is_none());
    }

    /// Time that passes only by sleeping.
    #[derive(Default)]
    struct Slept(Mutex<Vec<Duration>>);

    #[async_trait::async_trait]
    impl Waiting for Slept {
        fn elapsed(&self) -> Duration {
            self.0.lock().unwrap().iter().sum()
        }

        async fn sleep(&self, pause: Duration) {
            self.0.lock().unwrap().push(pause);
        }

        fn random(&self) -> f64 {
            1.0
        }
    }

    fn patient(script: &Arc<Script>, retry: Retry) -> (Vault, Arc<Slept>) {
        let waiting = Arc::new(Slept::default());
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        (vault.with_retry(retry, waiting.clone()), waiting)
    }

    fn sealed() -> Reply {
        Reply::new(503, r#"{"errors":["Vault is sealed"]}"#)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_read_outlasts_a_restart_within_one_deadline() {
        let script = script([lost(), Ok(sealed()), Ok(Reply::new(404, r#"{"errors":[]}"#))]);
        let (vault, waiting) = patient(&script, Retry::default().with_deadline(Duration::from_secs(20)));
        vault.kv2("secret").read("a").await.unwrap();
        assert_eq!(*waiting.0.lock().unwrap(), [Duration::from_millis(500), Duration::from_secs(1)]);
        let limits: Vec<_> = script.sent().iter().map(|request| request.time_limit().as_millis()).collect();
        assert_eq!(limits, [20_000, 19_500, 18_500], "no attempt outlives the deadline");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_slept_beyond_the_deadline_does_not_try_again() {
        /// A machine that was shut during the pause.
        #[derive(Default)]
        struct Shut(Mutex<Duration>);
        #[async_trait::async_trait]
        impl Waiting for Shut {
            fn elapsed(&self) -> Duration {
                *self.0.lock().unwrap()
            }
            async fn sleep(&self, _: Duration) {
                *self.0.lock().unwrap() += Duration::from_secs(3600);
            }
            fn random(&self) -> f64 {
                1.0
            }
        }
        let script = script([Ok(sealed()), Ok(sealed())]);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let vault = vault.with_retry(Retry::default(), Arc::new(Shut::default()));
        assert_eq!(vault.kv2("secret").read("a").await.unwrap_err().code(), "vault_sealed");
        assert_eq!(script.sent().len(), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_write_is_repeated_only_before_it_ran() {
        let run = async |outcomes: Vec<Result<Reply, TransportError>>| {
            let script = script(outcomes);
            let (vault, _) = patient(&script, Retry::default());
            let outcome =
                vault.perform(WriteSecret::new("secret", "a", &json!({}), Cas::None).unwrap()).await;
            (outcome.unwrap_err().code(), script.sent().len())
        };
        assert_eq!(run(vec![lost()]).await, ("transport_lost", 1));
        assert_eq!(run(vec![Ok(sealed()), Ok(Reply::new(403, ""))]).await, ("vault_permission_denied", 2));
        assert_eq!(run((0..6).map(|_| Ok(sealed())).collect()).await, ("vault_sealed", 6));
    }

    #[test]
    fn a_call_with_pauses_can_be_spawned() {
        fn spawnable<T: Send>(_: T) {}
        let (vault, _) = patient(&script([]), Retry::default());
        spawnable(vault.with_dead_token_check().kv2("secret").read("a"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_token_does_not_come_back_in_an_error() {
        let script = script([Ok(Reply::new(403, r#"{"errors":["token sesame is bad"]}"#))]);
        let (vault, _) = patient(&script, Retry::default());
        let vault = vault.with_token(&crate::Token::new("sesame").unwrap());
        let outcome = vault.kv2("secret").read("a").await;
        let shown = format!("{:?}", outcome.unwrap_err());
        assert!(!shown.contains("sesame") && shown.contains("token … is bad"), "{shown}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_callback_that_may_have_arrived_is_never_sent_again() {
        struct Zeros;
        impl latchkey_transport::Random for Zeros {
            fn fill(&mut self, _: &mut [u8]) -> Result<(), latchkey_transport::RandomUnavailable> {
                Ok(())
            }
        }
        let (secret, nonce) = (Secret::new("x"), ClientNonce::generate(&mut Zeros).unwrap());
        // A sealed server has not spent the state.
        for (outcomes, sent) in [(vec![lost()], 1), (vec![Ok(sealed()), Ok(Reply::new(400, ""))], 2)] {
            let script = script(outcomes);
            let (vault, _) = patient(&script, Retry::default());
            vault.oidc("oidc").callback(&secret, &secret, &nonce).await.unwrap_err();
            assert_eq!(script.sent().len(), sent);
        }
    }
}
