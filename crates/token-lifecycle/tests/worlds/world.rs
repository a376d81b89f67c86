//! One server, one computer, one machine, and time that somebody else advances.

use std::time::{Duration, UNIX_EPOCH};

use latchkey_token_lifecycle::{
    Action, Answer, Event, Flight, Lease, Machine, Moment, Notice, Phase, Policy, Reading, Setback, Step,
    Timeline, Verdict,
};

use crate::account::Account;
use crate::diagram::Journal;
use crate::plan::{MINUTE, Plan, SECOND, Trouble};
use crate::random::Random;

/// A token at the server.
#[derive(Clone, Copy, Debug)]
struct Token {
    made: u64,
    ends: u64,
    revoked: bool,
}

struct Call {
    flight: Flight,
    step: Step,
    /// When the answer is there, and which.
    answer: Option<(u64, Answer, Option<Token>)>,
}

pub(crate) struct World {
    plan: Plan,
    random: Random,
    /// The true time since the world began.
    now: u64,
    /// What the computer's clocks show beside it.
    slept: u64,
    set: i64,
    timeline: Timeline,
    pub(crate) machine: Machine,
    call: Option<Call>,
    /// Answers of calls that were given up, which come nevertheless.
    late: Vec<(u64, Flight, Answer)>,
    /// The token that the computer holds.
    token: Option<Token>,
    refresh_token_lives: bool,
    refused_for_good: bool,
    happenings: Vec<(u64, Happening)>,
    account: Account,
    pub(crate) journal: Journal,

    // For the promises.
    starts: Vec<u64>,
    last_answer_was_clear: bool,
    attempts_of_this_life: u32,
    life: Option<Life>,
    last_trouble: u64,
    last_disturbance: u64,
}

/// What the computer believes of its token's life.
#[derive(Clone, Copy)]
struct Life {
    ttl: u64,
    expires: Moment,
    disturbed: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let timeline = Timeline::new(reading(0, 0, 0));
        let machine = Machine::new(Policy::default(), plan.ladder(), seed);
        Self {
            random: Random::new(!seed),
            now: 0,
            slept: 0,
            set: 0,
            timeline,
            journal: Journal::new(&machine, timeline.now()),
            machine,
            call: None,
            late: Vec::new(),
            token: None,
            refresh_token_lives: plan.steps.contains(&Step::Refresh),
            refused_for_good: false,
            happenings: Vec::new(),
            account: Account::default(),
            starts: Vec::new(),
            last_answer_was_clear: false,
            attempts_of_this_life: 0,
            life: None,
            last_trouble: 0,
            last_disturbance: 0,
            plan,
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.account.clone()
    }

    pub(crate) fn run(&mut self) {
        self.happenings = self.planned();
        let mut steps = 0;
        loop {
            let wait = self.poll();
            // True time until the machine's moment: as long as nobody sets a clock, they pass alike.
            let timer = if wait.is_never() { u64::MAX } else { self.now + span(wait - self.moment()) };
            let timer = timer.min(self.now + span(Policy::LONGEST_NAP));
            let answer = self.call.as_ref().and_then(|call| call.answer.map(|answer| answer.0));
            let late = self.late.iter().map(|late| late.0).min();
            let happening = self.happenings.iter().map(|(at, _)| *at).min();
            let next = [Some(timer), answer, late, happening].into_iter().flatten().min().unwrap();
            if next > self.plan.horizon {
                break;
            }
            self.now = self.now.max(next);
            if Some(next) == happening {
                let index = self.happenings.iter().position(|(at, _)| *at == next).unwrap();
                let (_, what) = self.happenings.swap_remove(index);
                self.happen(what);
            }
            self.wake();
            self.deliver();
            steps += 1;
            assert!(steps < 200_000, "the world does not come to its end");
        }
        let _ = self.machine.handle(Event::Stop { revoke: self.random.once_in(2) }, self.moment());
        self.journal.note("stop", &self.machine, self.moment());
        self.stop();
    }

    fn planned(&self) -> Vec<(u64, Happening)> {
        let plan = &self.plan;
        let requests = plan.requests.iter().map(|&at| (at, Happening::Request));
        let revocations = plan.revocations.iter().map(|&at| (at, Happening::Revocation));
        let sleeps = plan.sleeps.iter().map(|&(from, until)| (from, Happening::Sleep(until)));
        let settings = plan.settings.iter().map(|&(at, by)| (at, Happening::Setting(by)));
        let nudges = plan.nudges.iter().map(|&at| (at, Happening::Nudge));
        let supplies = plan.supplies.iter().map(|&at| (at, Happening::Supply));
        let restarts = plan.restarts.iter().map(|&(at, off)| (at, Happening::Restart(off)));
        let computer = sleeps.chain(settings).chain(restarts);
        requests.chain(revocations).chain(computer).chain(nudges).chain(supplies).collect()
    }

    fn moment(&self) -> Moment {
        self.timeline.now()
    }

    /// The computer looks at its clocks.
    fn wake(&mut self) {
        self.timeline.observe(reading(self.now - self.slept, self.now, self.set));
        self.journal.pass(&self.machine, self.moment());
        self.check_the_end();
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Revocation => {
                if let Some(token) = &mut self.token {
                    token.revoked = true;
                }
                self.last_trouble = self.now;
                self.disturb();
            }
            Happening::Sleep(until) => {
                if until > self.now {
                    self.slept += until - self.now;
                    self.now = until;
                }
                self.disturb();
                self.last_trouble = self.now;
            }
            Happening::Setting(by) => {
                // First it is seen where the clocks were, as a computer does that looks at them now and then.
                self.wake();
                self.set += by;
                self.disturb();
                self.last_trouble = self.now;
            }
            Happening::Nudge => {
                self.wake();
                let event = if self.random.once_in(3) { Event::RenewNow } else { Event::Nudged };
                let _ = self.machine.handle(event, self.moment());
                self.journal.note("nudged", &self.machine, self.moment());
                self.disturb();
            }
            Happening::Request => {
                self.wake();
                self.request();
            }
            Happening::Supply => {
                self.wake();
                self.supply();
            }
            Happening::Restart(off) => self.restart(off),
        }
    }

    fn disturb(&mut self) {
        self.last_disturbance = self.now;
        if let Some(life) = &mut self.life {
            life.disturbed = true;
        }
    }

    /// A person has signed in elsewhere and puts the token in.
    fn supply(&mut self) {
        if self.plan.trouble(self.now).is_some() {
            return;
        }
        let (sent, now) = (self.moment(), self.moment());
        let made = self.now;
        let ends = made + self.plan.ttl.min(self.plan.max.unwrap_or(u64::MAX)) / SECOND * SECOND;
        let lease = self.lease((ends - made) / SECOND);
        let verdict = self.machine.handle(Event::Supplied { lease, sent }, now);
        assert_eq!(verdict, Verdict::Adopted);
        self.journal.note("supplied", &self.machine, now);
        self.token = Some(Token { made, ends, revoked: false });
        self.refresh_token_lives = self.plan.steps.contains(&Step::Refresh);
        self.life = None;
    }

    /// The program ends, and another one begins with its snapshot and its token.
    fn restart(&mut self, off: u64) {
        self.wake();
        let wall = reading(0, self.now, self.set).wall;
        let snapshot = self.machine.snapshot(self.moment(), wall);
        self.now += off;
        // Monotonic clocks may begin anew.
        self.slept = self.now;
        let first = reading(0, self.now, self.set);
        self.timeline = Timeline::new(first);
        self.machine = snapshot.resume(self.moment(), first.wall, self.random.word());
        self.journal.restart(&self.machine, self.moment());
        self.call = None;
        self.late.clear();
        self.disturb();
        self.life = None;
        self.last_trouble = self.now;
    }

    /// A request takes the token, if there is one.
    fn request(&mut self) {
        let now = self.moment();
        if !self.machine.serves(now) {
            self.account.unserved += 1;
            let _ = self.machine.handle(Event::Wanted, now);
            self.journal.note("wanted", &self.machine, now);
            return self.check_that_something_is_done();
        }
        self.account.served += 1;
        let token = self.token.unwrap();
        assert!(self.now < token.ends, "a dead token was handed out, {} ms too late", self.now - token.ends);
        if token.revoked {
            self.last_trouble = self.now;
            self.disturb();
            let event = Event::Refused { certain: self.plan.says_invalid };
            let _ = self.machine.handle(event, now);
            self.journal.note("refused", &self.machine, now);
        } else if self.random.once_in(20) {
            // Some policy says no; the token is good. Who cannot ask takes it for dead.
            self.last_trouble = self.now;
            self.disturb();
            let _ = self.machine.handle(Event::Refused { certain: false }, now);
            self.journal.note("refused", &self.machine, now);
        }
    }

    /// Polls until the machine wants to wait.
    fn poll(&mut self) -> Moment {
        for _ in 0..100 {
            let now = self.moment();
            let action = self.machine.poll(now);
            let why =
                if matches!(action, Action::Abandon(_)) { "setback" } else { "only a person can go on" };
            self.journal.note(why, &self.machine, now);
            match action {
                Action::Wait { until } => {
                    assert!(until > now, "a timer that fires at once");
                    self.check_wait(until);
                    return until;
                }
                Action::Call { flight, step, limit } => self.begin(flight, step, limit),
                Action::Abandon(flight) => {
                    self.account.abandoned += 1;
                    let call = self.call.take().unwrap();
                    assert_eq!(call.flight, flight);
                    if let Some((at, answer, _)) = call.answer {
                        self.late.push((at, flight, answer));
                    }
                    self.last_answer_was_clear = false;
                }
                Action::Tell(notice) => self.told(notice),
                other => panic!("{other:?}"),
            }
        }
        panic!("the machine does not come to rest");
    }

    fn told(&mut self, notice: Notice) {
        match notice {
            Notice::Lost => self.account.lost += 1,
            Notice::SignedInAgain => self.account.signed_in_again += 1,
            Notice::Renewed => self.account.renewed += 1,
            Notice::Refreshed => self.account.refreshed += 1,
            Notice::Capped => self.account.capped += 1,
            Notice::NeedsPerson { by } => {
                self.account.asked += 1;
                assert!(self.plan.person, "nobody to ask");
                assert!(by.is_none_or(|by| by > self.moment()), "asked too late");
                self.happenings.push((self.now + self.plan.patience, Happening::Supply));
            }
            _ => {}
        }
    }

    fn begin(&mut self, flight: Flight, step: Step, limit: Duration) {
        assert!(self.call.is_none(), "a second call while one is under way");
        assert!(self.plan.steps.contains(&step), "{step:?} is not on the ladder");
        assert!(limit <= Duration::from_secs(30) && limit >= Duration::from_secs(1), "{limit:?}");
        if self.plan.counted {
            assert!(!matches!(step, Step::Renew | Step::Probe), "{step:?} would be a use");
        }
        self.account.calls += 1;
        if step == Step::Probe {
            self.account.probes += 1;
        } else {
            self.attempts_of_this_life += 1;
        }
        if let Some(last) = self.starts.last() {
            let spacing = self.now - last;
            assert!(
                spacing >= 200
                    || self.last_answer_was_clear
                    || !self.plan.sleeps.is_empty()
                    || self.set != 0
                    || !self.plan.restarts.is_empty(),
                "{spacing} ms after the last call"
            );
        }
        self.starts.push(self.now);
        if let Some(earlier) = self.starts.len().checked_sub(60) {
            let calm = self.set == 0;
            assert!(!calm || self.now - self.starts[earlier] >= 9 * SECOND, "a hot loop");
        }
        let at = self.now + self.random.within(1..self.plan.latency + 1);
        let (answer, token) = self.answer(step, at);
        let at = match self.plan.trouble(at) {
            Some(Trouble::IsSlow(by)) => at + by,
            _ => at,
        };
        let answer = answer.map(|answer| (at, answer, token));
        self.call = Some(Call { flight, step, answer });
    }

    /// What the server does with a call that is there at `at`.
    fn answer(&mut self, step: Step, at: u64) -> (Option<Answer>, Option<Token>) {
        let failed = |setback| (Some(Answer::Failed(setback)), None);
        match self.plan.trouble(at) {
            Some(Trouble::Refuses) => return failed(Setback::Later { after: None }),
            Some(Trouble::AsksForRest(rest)) => {
                return failed(Setback::Later { after: Some(Duration::from_millis(rest)) });
            }
            Some(Trouble::Hangs) => return (None, None),
            Some(Trouble::RefusesLogins) if step == Step::SignIn => {
                self.refused_for_good = true;
                return failed(Setback::Over);
            }
            _ => {}
        }
        let lost = self.plan.trouble(at) == Some(Trouble::LosesAnswers);
        let plan = &self.plan;
        let lives = self.token.is_some_and(|token| !token.revoked && at < token.ends);
        let dead = if plan.says_invalid { Setback::Dead } else { Setback::Denied };
        let end = |made: u64| {
            let end = at + plan.ttl;
            let latest = plan.max.filter(|_| !plan.periodic).map_or(u64::MAX, |max| made + max);
            // Servers cut what is left to whole seconds, and tell it so.
            (end.min(latest), end.min(latest).saturating_sub(at) / SECOND)
        };
        let (answer, token) = match step {
            Step::Renew if !lives => (Answer::Failed(dead), None),
            Step::Renew if !plan.may_renew => (Answer::Failed(Setback::Denied), None),
            Step::Renew => {
                let token = self.token.unwrap();
                let (ends, seconds) = end(token.made);
                (Answer::Granted(self.lease(seconds)), Some(Token { ends, ..token }))
            }
            Step::Probe if lives => (Answer::Alive, None),
            Step::Probe => (Answer::Failed(dead), None),
            Step::Refresh if !self.refresh_token_lives => (Answer::Failed(Setback::Over), None),
            _ => {
                let (ends, seconds) = end(at);
                (Answer::Granted(self.lease(seconds)), Some(Token { made: at, ends, revoked: false }))
            }
        };
        if step == Step::Refresh && lost && self.random.once_in(2) {
            // Its reply was lost, and the provider takes no refresh token twice.
            self.refresh_token_lives = false;
        }
        if lost && step == Step::Renew && token.is_some() {
            // The server has acted: the token lives longer than the computer knows.
            self.token = token;
        }
        if lost { (None, None) } else { (Some(answer), token) }
    }

    fn lease(&self, seconds: u64) -> Lease {
        let plan = &self.plan;
        let told = plan.max.filter(|_| plan.tells_max && !plan.periodic);
        Lease::of(Duration::from_secs(seconds))
            .with_renewable(plan.renewable)
            .with_explicit_max_ttl(told.map(Duration::from_millis))
            .with_num_uses(plan.counted.then_some(9))
    }

    /// Hands over the answers that have come.
    fn deliver(&mut self) {
        let now = self.moment();
        let now_true = self.now;
        let mut too_late = Vec::new();
        self.late.retain(|&(at, flight, answer)| {
            let is_here = at <= now_true;
            if is_here {
                too_late.push((flight, answer));
            }
            !is_here
        });
        for (flight, answer) in too_late {
            let before = self.machine.clone();
            let verdict = self.machine.handle(Event::Answered { flight, answer }, now);
            assert_ne!(verdict, Verdict::Adopted, "an answer that was given up counts");
            assert_eq!(
                before.expires(),
                self.machine.expires(),
                "an answer that was given up changes something"
            );
            if verdict == Verdict::Superseded {
                self.account.superseded += 1;
            }
        }
        let Some(call) = self.call.take_if(|call| call.answer.is_some_and(|answer| answer.0 <= now_true))
        else {
            return;
        };
        let (_, answer, token) = call.answer.unwrap();
        if matches!(answer, Answer::Failed(Setback::Dead | Setback::Denied)) {
            self.last_trouble = self.now;
        }
        let verdict = self.machine.handle(Event::Answered { flight: call.flight, answer }, now);
        self.last_answer_was_clear =
            !matches!(answer, Answer::Failed(Setback::Later { .. } | Setback::Unknown))
                && verdict != Verdict::Superseded;
        let label = match (answer, call.step) {
            (Answer::Granted(_), _) => "granted",
            (_, Step::Probe) => "probed",
            _ => "setback",
        };
        self.journal.note(label, &self.machine, now);
        if verdict == Verdict::Adopted {
            self.token = token;
            self.begin_life(answer);
        }
    }

    fn begin_life(&mut self, answer: Answer) {
        let Answer::Granted(lease) = answer else { panic!() };
        self.attempts_of_this_life = 0;
        let ttl = lease.ttl().map_or(u64::MAX, span);
        let expires = self.machine.expires().unwrap();
        let disturbed = self.starts.last().is_some_and(|&start| self.last_disturbance > start);
        self.life = Some(Life { ttl, expires, disturbed });
    }

    // The promises.

    /// At least three attempts fit into what is left, for every life of ten seconds and more.
    fn check_the_end(&mut self) {
        let Some(life) = self.life else { return };
        if self.moment() < life.expires
            || self.machine.expires().is_some_and(|expires| expires != life.expires)
        {
            return;
        }
        self.life = None;
        let has_way = self.plan.can_replace();
        if life.ttl >= 10 * SECOND && !life.disturbed && has_way {
            let attempts = self.attempts_of_this_life;
            assert!(attempts >= 3, "a life of {} ms ended after {attempts} attempts", life.ttl);
            self.account.ends_after_three_attempts += 1;
        }
        let is_spared = self.plan.is_calm() && has_way && life.ttl >= 4 * SECOND;
        assert!(!is_spared, "a life of {} ms ended in a calm world", life.ttl);
    }

    /// While there is no token, and a way to one, nobody idles.
    fn check_wait(&self, until: Moment) {
        let now = self.moment();
        if self.machine.serves(now) || !self.plan.can_replace() {
            return;
        }
        // A server that asks for rest gets five minutes, and the pause of a minute.
        assert!(until - now <= Duration::from_secs(361), "idle for {:?} without a token", until - now);
    }

    /// Without trouble for a while, there is a token.
    fn check_that_something_is_done(&self) {
        let end_of_trouble =
            self.plan.outages.iter().map(|outage| outage.1).filter(|&end| end <= self.now).max();
        let quiet = self.plan.trouble(self.now).is_none()
            && self.now - end_of_trouble.unwrap_or(0).max(self.last_trouble) > 7 * MINUTE;
        // A life must be long enough to be seen.
        if quiet
            && self.plan.can_replace()
            && self.plan.ttl > 30 * SECOND
            && self.plan.ttl > 10 * self.plan.latency
        {
            assert_ne!(self.machine.phase(self.moment()), Phase::Empty, "nothing was tried");
            panic!("no token, although nothing is in the way");
        }
    }

    fn stop(&mut self) {
        self.life = None;
        for _ in 0..10 {
            match self.machine.poll(self.moment()) {
                Action::Stop => return,
                Action::Wait { .. } => {
                    self.now += 40 * SECOND;
                    self.wake();
                }
                Action::Call { .. } => panic!("a call after the end"),
                _ => {}
            }
        }
        panic!("it does not stop");
    }
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Request,
    Revocation,
    Sleep(u64),
    Setting(i64),
    Nudge,
    Supply,
    Restart(u64),
}

fn span(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// The wall's clock begins far enough from 1970 to be set back.
fn reading(monotonic: u64, now: u64, set: i64) -> Reading {
    let wall = (1_800_000_000_000 + now).checked_add_signed(set).unwrap();
    Reading { monotonic: Duration::from_millis(monotonic), wall: UNIX_EPOCH + Duration::from_millis(wall) }
}
