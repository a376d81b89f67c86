//! One day of one token after the other.
//!
//! Tokens do not touch each other: what they have in common are the outages, which come by the clock, and the load on the server,
//! which is counted. A client has one call under way at most, which is kinder than some of the others are to themselves.

use super::fleet_world::{DAY, Fate, World};
use super::policy::{Answer, Call, Clocks, Make, Next, Policy, SECOND, Serve};
use super::random::Random;
use super::score::Score;
use super::server::Held;

/// How often a token is wanted, on average.
const REQUEST_EVERY: u64 = 2 * 60 * SECOND;

/// More calls than this for one token in one day are a hot loop: the rest of it is not played.
const HOT_LOOP: u64 = 200_000;

/// Plays the day of every token, and counts.
pub(crate) fn run(world: &World, name: &'static str, make: Make, tokens: u32) -> Score {
    let mut score = Score::new(name);
    for token in 0..tokens {
        Client::new(world, token, make()).live(&mut score);
    }
    score.judge(&world.outages);
    score
}

/// One program that keeps one token.
struct Client<'a> {
    world: &'a World,
    fate: Fate,
    policy: Box<dyn Policy>,
    /// What the policy draws.
    chance: Random,
    /// What befalls calls.
    weather: Random,
    /// When requests come: the same times for every policy.
    requests: Random,
    now: u64,
    held: Option<Held>,
    flight: Option<Flight>,
    /// When the sleep of the policy is over.
    timer: Option<u64>,
    next_request: u64,
    /// Requests that wait for the flight.
    waiting: u64,
    calls: u64,
    /// Up to when the time without a token is counted.
    counted: u64,
}

/// A call under way.
#[derive(Clone, Copy)]
struct Flight {
    call: Call,
    sent: Clocks,
    ends: u64,
    answer: Answer,
    /// What the client holds after it.
    gives: Option<Held>,
}

impl<'a> Client<'a> {
    fn new(world: &'a World, token: u32, policy: Box<dyn Policy>) -> Self {
        let fate = world.fate(token);
        let mut requests = Random::of(world.seed, token, 2);
        let now = fate.start;
        let next_request = now + requests.wait(REQUEST_EVERY);
        Self {
            world,
            policy,
            chance: Random::of(world.seed, token, 3),
            weather: Random::of(world.seed, token, 4),
            requests,
            now,
            held: None,
            flight: None,
            timer: None,
            next_request,
            waiting: 0,
            calls: 0,
            counted: now,
            fate,
        }
    }

    fn live(mut self, score: &mut Score) {
        self.plan(score);
        loop {
            let answered = self.flight.map_or(u64::MAX, |flight| flight.ends);
            let timer = self.timer.unwrap_or(u64::MAX);
            let next = answered.min(timer).min(self.next_request);
            if next >= DAY || self.calls > HOT_LOOP {
                break;
            }
            self.now = next;
            if next == answered {
                self.land(score);
            } else if next == timer {
                self.timer = None;
            } else {
                self.request(score);
            }
            self.plan(score);
        }
        self.now = DAY;
        self.count_gap(score);
    }

    fn clocks(&self) -> Clocks {
        // The wall clock of the simulation starts well after zero, as real ones do.
        Clocks { monotonic: self.fate.monotonic(self.now), wall: 1_700_000_000_000 + self.now }
    }

    /// Asks the policy what comes next, unless a call is under way.
    fn plan(&mut self, score: &mut Score) {
        if self.flight.is_some() {
            return;
        }
        let clocks = self.clocks();
        match self.policy.next(clocks, &mut self.chance) {
            Next::Call(call) => self.send(call, score),
            Next::Sleep(span) => {
                self.timer = Some(self.fate.when(clocks.monotonic + span.max(1)).max(self.now + 1));
            }
            Next::Idle => self.timer = None,
        }
    }

    fn send(&mut self, call: Call, score: &mut Score) {
        self.timer = None;
        self.calls += 1;
        score.count_call(call, self.now);
        let latency = if self.weather.up_to(100) == 0 { 2 * SECOND } else { self.weather.between(5, 40) };
        let is_lost = self.weather.up_to(2000) == 0;
        let (arrives, given_up) = (self.now + latency / 2, self.now + self.policy.time_limit());
        let (ends, answer, gives) = match self.world.outage(arrives) {
            Some(outage) if outage.hangs => (given_up, Answer::Unreachable, self.held),
            Some(_) => (self.now + 5, Answer::Unreachable, self.held),
            None => {
                let (held, answer) = self.act(call, arrives);
                match (is_lost, call) {
                    (false, _) => (self.now + latency, answer, held),
                    // The server has renewed, the client does not know; a token that nobody received is nobody's.
                    (true, Call::Renew) => (given_up, Answer::Unreachable, held),
                    (true, Call::Login) => (given_up, Answer::Unreachable, self.held),
                }
            }
        };
        let sent = self.clocks();
        self.flight = Some(Flight { call, sent, ends: self.fate.awake(ends), answer, gives });
    }

    /// What the server does.
    fn act(&self, call: Call, at: u64) -> (Option<Held>, Answer) {
        match (call, self.held) {
            (Call::Login, _) => {
                let (held, answer) = self.fate.terms.login(at);
                (Some(held), answer)
            }
            (Call::Renew, None) => (None, Answer::Refused),
            (Call::Renew, Some(held)) => {
                let (held, answer) = self.fate.terms.renew(held, at);
                (Some(held), answer)
            }
        }
    }

    /// An answer arrives, and whoever waited for it is served.
    fn land(&mut self, score: &mut Score) {
        let Some(flight) = self.flight.take() else { return };
        self.count_gap(score);
        self.held = flight.gives;
        let now = self.clocks();
        self.policy.answered(flight.call, flight.answer, flight.sent, now, &mut self.chance);
        for _ in 0..std::mem::take(&mut self.waiting) {
            let serve = self.policy.serve(now, true, &mut self.chance);
            self.serve(serve, score);
        }
    }

    fn request(&mut self, score: &mut Score) {
        let next = self.now + self.requests.wait(REQUEST_EVERY);
        self.next_request = self.fate.awake(next);
        let clocks = self.clocks();
        match self.policy.serve(clocks, false, &mut self.chance) {
            Serve::After(call) => {
                self.waiting += 1;
                if self.flight.is_none() {
                    self.send(call, score);
                }
            }
            serve => self.serve(serve, score),
        }
    }

    fn serve(&mut self, serve: Serve, score: &mut Score) {
        score.requests += 1;
        let arrives = self.now + 10;
        match serve {
            Serve::Token if self.held.is_none_or(|held| held.expires <= arrives) => score.dead += 1,
            Serve::Token => {}
            Serve::After(_) | Serve::Nothing => score.refused += 1,
        }
    }

    /// Counts the time without a live token since it was last counted. Time asleep does not count.
    fn count_gap(&mut self, score: &mut Score) {
        let from = self.held.map_or(self.counted, |held| held.expires.max(self.counted));
        if from < self.now {
            let gap = self.fate.awake_in(from, self.now);
            let outages = self.world.outages.iter().map(|outage| {
                let (from, until) = (outage.from.max(from), outage.until.min(self.now));
                if from < until { self.fate.awake_in(from, until) } else { 0 }
            });
            let without_a_way = outages.sum::<u64>().min(gap);
            score.gap += gap;
            score.gap_with_a_way += gap - without_a_way;
        }
        self.counted = self.now;
    }
}
