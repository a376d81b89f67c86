//! The credential caches of the large clouds' libraries, each from the description of what it does. They do not renew: they log in anew.

use super::policy::{Answer, Call, Clocks, Next, Policy, SECOND, Serve, part};
use super::random::Random;

/// The lazy identity cache of the AWS SDK: up to ten seconds before the end, at the next use.
pub(crate) fn aws() -> Box<dyn Policy> {
    Box::new(Lazy { expires: 0, buffer: 0, rule: Rule::Aws })
}

/// `azure_core`: five minutes before the end, at the next use; an error does not matter while the token is good.
pub(crate) fn azure() -> Box<dyn Policy> {
    Box::new(Lazy { expires: 0, buffer: 300 * SECOND, rule: Rule::Azure })
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Aws,
    Azure,
}

/// A cache that looks at the wall clock whenever somebody asks.
struct Lazy {
    expires: u64,
    buffer: u64,
    rule: Rule,
}

impl Policy for Lazy {
    fn answered(&mut self, _call: Call, answer: Answer, _sent: Clocks, now: Clocks, random: &mut Random) {
        if let Answer::Granted { seconds, .. } = answer {
            self.expires = now.wall + seconds * SECOND;
            if self.rule == Rule::Aws {
                self.buffer = part(10 * SECOND, random.unit());
            }
        }
    }

    fn next(&mut self, _now: Clocks, _random: &mut Random) -> Next {
        Next::Idle
    }

    fn serve(&mut self, now: Clocks, waited: bool, _random: &mut Random) -> Serve {
        let is_fresh = now.wall + self.buffer < self.expires;
        let is_good = now.wall < self.expires;
        match (is_fresh, waited, self.rule) {
            (true, _, _) => Serve::Token,
            (false, false, _) => Serve::After(Call::Login),
            (false, true, Rule::Azure) if is_good => Serve::Token,
            (false, true, _) => Serve::Nothing,
        }
    }
}

/// `google-cloud-auth`: four minutes before the end, in the background, every ten seconds while that fails.
pub(crate) fn google() -> Box<dyn Policy> {
    Box::new(Google { expires: 0, due: 0 })
}

/// A task that sleeps by the monotonic clock.
struct Google {
    expires: u64,
    due: u64,
}

impl Policy for Google {
    fn answered(&mut self, _call: Call, answer: Answer, _sent: Clocks, now: Clocks, _random: &mut Random) {
        let now = now.monotonic;
        self.due = match answer {
            Answer::Granted { seconds, .. } => {
                let slack = if seconds > 240 { 240 } else { 10.min(seconds) };
                self.expires = now + seconds * SECOND;
                now + (seconds - slack) * SECOND
            }
            Answer::Unreachable | Answer::Refused => now + 10 * SECOND,
        };
    }

    fn next(&mut self, now: Clocks, _random: &mut Random) -> Next {
        if self.due <= now.monotonic {
            Next::Call(Call::Login)
        } else {
            Next::Sleep(self.due - now.monotonic)
        }
    }

    fn serve(&mut self, now: Clocks, waited: bool, _random: &mut Random) -> Serve {
        match (now.monotonic < self.expires, waited) {
            (true, _) => Serve::Token,
            (false, false) => Serve::After(Call::Login),
            (false, true) => Serve::Nothing,
        }
    }
}
