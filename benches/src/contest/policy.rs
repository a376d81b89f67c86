//! What a renewal policy sees, and what it may do.

use super::random::Random;

/// One second, in milliseconds: the unit of all times here.
pub(crate) const SECOND: u64 = 1000;

/// Makes one client that follows a policy.
pub(crate) type Make = fn() -> Box<dyn Policy>;

/// The two clocks of a client, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// Stands still while the machine sleeps.
    pub(crate) monotonic: u64,
    /// Goes on while the machine sleeps.
    pub(crate) wall: u64,
}

/// A call to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// The token is renewed.
    Renew,
    /// A new token is got.
    Login,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The token lives for this many whole seconds.
    Granted {
        /// What the server says: a floor of what it knows.
        seconds: u64,
        /// Whether it may be renewed.
        renewable: bool,
    },
    /// Nobody answered, or the answer was lost.
    Unreachable,
    /// The server does not renew this token (any more).
    Refused,
}

/// What a policy does next by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// A call, now.
    Call(Call),
    /// Nothing for so many milliseconds of the clock that timers follow, the monotonic one.
    Sleep(u64),
    /// Nothing until something happens.
    Idle,
}

/// What a policy says to a request that wants the token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Serve {
    /// Here it is.
    Token,
    /// Wait for a call that is made now, or is under way.
    After(Call),
    /// There is none.
    Nothing,
}

/// A renewal policy, as one client follows it for one token.
pub(crate) trait Policy {
    /// A call ended. `sent` is when it began.
    fn answered(&mut self, call: Call, answer: Answer, sent: Clocks, now: Clocks, random: &mut Random);

    /// What comes next. Asked at the start, after every answer, when a sleep is over, and after a request.
    fn next(&mut self, now: Clocks, random: &mut Random) -> Next;

    /// When a call is given up.
    fn time_limit(&self) -> u64 {
        10 * SECOND
    }

    /// A request wants the token. `waited` says that it has waited for a call already.
    fn serve(&mut self, now: Clocks, waited: bool, random: &mut Random) -> Serve;
}

/// A part of a span of time.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a day in milliseconds is exact in a float, and no part is negative"
)]
pub(crate) fn part(span: u64, factor: f64) -> u64 {
    (span as f64 * factor) as u64
}
