//! Ours: the machine of `latchkey-token-lifecycle`, driven as its drivers do it.

use std::time::{Duration, UNIX_EPOCH};

use latchkey_token_lifecycle::{
    Action, Answer as Told, Event, Flight, Ladder, Lease, Machine, Moment, Policy as Numbers, Reading,
    Setback, Step, Timeline,
};

use super::policy::{Answer, Call, Clocks, Next, Policy, SECOND, Serve};
use super::random::Random;

/// A client that can renew and sign in again.
pub(crate) fn make() -> Box<dyn Policy> {
    Box::new(Ours { client: None, flight: None, limit: 10 * SECOND })
}

struct Ours {
    /// Made at the first look at a clock.
    client: Option<(Machine, Timeline)>,
    flight: Option<Flight>,
    limit: u64,
}

impl Ours {
    fn client(&mut self, clocks: Clocks, random: &mut Random) -> (&mut Machine, Moment) {
        let reading = Reading {
            monotonic: Duration::from_millis(clocks.monotonic),
            wall: UNIX_EPOCH + Duration::from_millis(clocks.wall),
        };
        let (machine, timeline) = self.client.get_or_insert_with(|| {
            let ladder = Ladder::of(&[Step::Renew, Step::SignIn]);
            (Machine::new(Numbers::default(), ladder, random.bits()), Timeline::new(reading))
        });
        (machine, timeline.observe(reading))
    }
}

impl Policy for Ours {
    fn answered(&mut self, _call: Call, answer: Answer, sent: Clocks, now: Clocks, random: &mut Random) {
        let Some(flight) = self.flight.take() else { return };
        let was_lost = now.monotonic - sent.monotonic >= self.limit;
        let answer = match answer {
            Answer::Granted { seconds, renewable } => {
                Told::Granted(Lease::of(Duration::from_secs(seconds)).with_renewable(renewable))
            }
            Answer::Unreachable if was_lost => Told::Failed(Setback::Unknown),
            Answer::Unreachable => Told::Failed(Setback::Later { after: None }),
            Answer::Refused => Told::Failed(Setback::Over),
        };
        let (machine, now) = self.client(now, random);
        // What came too late would be given back; the contest does not count that.
        let _verdict = machine.handle(Event::Answered { flight, answer }, now);
    }

    fn next(&mut self, clocks: Clocks, random: &mut Random) -> Next {
        loop {
            let (machine, now) = self.client(clocks, random);
            match machine.poll(now) {
                Action::Call { flight, step, limit } => {
                    self.flight = Some(flight);
                    self.limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                    return Next::Call(if step == Step::Renew { Call::Renew } else { Call::Login });
                }
                Action::Wait { until } if until.is_never() => return Next::Idle,
                Action::Wait { until } => {
                    return Next::Sleep(
                        u64::try_from(Numbers::nap(until - now).as_millis()).unwrap_or(u64::MAX),
                    );
                }
                Action::Stop => return Next::Idle,
                _ => {}
            }
        }
    }

    fn time_limit(&self) -> u64 {
        self.limit
    }

    fn serve(&mut self, clocks: Clocks, waited: bool, random: &mut Random) -> Serve {
        let is_flying = self.flight.is_some();
        let (machine, now) = self.client(clocks, random);
        if machine.serves(now) {
            return Serve::Token;
        }
        let _verdict = machine.handle(Event::Wanted, now);
        match (waited, is_flying) {
            (true, _) => Serve::Nothing,
            // Which call is under way is the machine's business: the request waits for it, whatever it is.
            (false, true) => Serve::After(Call::Login),
            (false, false) => match self.next(clocks, random) {
                Next::Call(call) => Serve::After(call),
                Next::Sleep(_) | Next::Idle => Serve::Nothing,
            },
        }
    }
}
