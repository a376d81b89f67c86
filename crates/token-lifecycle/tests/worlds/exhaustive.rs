//! Every order in which the handles and the task of a keeper can go on, in a world that is small enough to see all of it.
//!
//! The handles and the task share a slot, a board, and two bells (`keeper/shared.rs`). Here each step that one of them does at
//! once is one step of the search, with the real machine inside. Two waiters, one of which may give up at any time; a
//! server that grants, fails, or answers too late; a person who puts a token in.

use std::collections::HashSet;
use std::time::Duration;

use latchkey_token_lifecycle::{
    Action, Answer, Event, Flight, Ladder, Lease, Machine, Moment, Policy, Setback, Step, Verdict,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiter {
    Begins,
    /// Knows how many failures there were when it began.
    Listens(u8),
    /// And how often the bell had rung when it began to listen.
    Looks(u8, u8),
    Wishes(u8, u8),
    Waits(u8, u8),
    Done,
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Listens,
    Reads(u8),
    /// Has set the slot and not yet rung.
    Publishes(u8),
    Waits(u8),
}

#[derive(Clone, Debug)]
struct State {
    machine: Machine,
    now: Moment,
    until: Moment,
    slot: bool,
    failures: u8,
    failed: bool,
    bell: u8,
    /// What the bell was rung for last: it rings for changes only.
    told: (bool, u8),
    mail: u8,
    wanted: bool,
    supplied: bool,
    flight: Option<Flight>,
    abandoned: Option<Flight>,
    task: Task,
    waiters: [Waiter; 2],
    answers: u8,
    timers: u8,
    supplies: u8,
}

/// What the search is to find out about: the protocol as it is, or one that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    AsItIs,
    LooksBeforeItListens,
    TaskReadsBeforeItListens,
}

impl State {
    fn new() -> Self {
        let machine = Machine::new(Policy::default(), Ladder::of(&[Step::SignIn]), 1);
        let now = Moment::from_millis(1_000_000);
        Self {
            machine,
            now,
            until: Moment::NEVER,
            slot: false,
            failures: 0,
            failed: false,
            bell: 0,
            told: (false, 0),
            mail: 0,
            wanted: false,
            supplied: false,
            flight: None,
            abandoned: None,
            task: Task::Listens,
            waiters: [Waiter::Begins; 2],
            answers: 2,
            timers: 1,
            supplies: 1,
        }
    }

    /// Everything that can happen next.
    fn next(&self, protocol: Protocol) -> Vec<Self> {
        let mut next = Vec::new();
        for index in 0..2 {
            self.waiter_goes_on(index, protocol, &mut next);
        }
        self.task_goes_on(protocol, &mut next);
        if self.supplies > 0 {
            let mut state = self.clone();
            state.supplies -= 1;
            state.supplied = true;
            state.mail += 1;
            next.push(state);
        }
        next
    }

    fn waiter_goes_on(&self, index: usize, protocol: Protocol, next: &mut Vec<Self>) {
        let mut go = |waiter: Waiter, change: &dyn Fn(&mut Self)| {
            let mut state = self.clone();
            state.waiters[index] = waiter;
            change(&mut state);
            next.push(state);
        };
        let is_served = |before| self.slot || self.failures != before;
        let listens_first = protocol != Protocol::LooksBeforeItListens;
        match self.waiters[index] {
            Waiter::Begins => go(Waiter::Listens(self.failures), &|_| {}),
            Waiter::Listens(before) if listens_first => go(Waiter::Looks(before, self.bell), &|_| {}),
            Waiter::Looks(before, bell) if listens_first => {
                go(if is_served(before) { Waiter::Done } else { Waiter::Wishes(before, bell) }, &|_| {});
            }
            // Broken: looks, and then listens.
            Waiter::Listens(before) => {
                go(if is_served(before) { Waiter::Done } else { Waiter::Looks(before, 0) }, &|_| {});
            }
            Waiter::Looks(before, _) => go(Waiter::Wishes(before, self.bell), &|_| {}),
            Waiter::Wishes(before, bell) => go(Waiter::Waits(before, bell), &|state| {
                state.wanted = true;
                state.mail += 1;
            }),
            Waiter::Waits(before, bell) if bell != self.bell => go(Waiter::Listens(before), &|_| {}),
            Waiter::Waits(..) | Waiter::Done | Waiter::GaveUp => {}
        }
        if index == 0 && !matches!(self.waiters[0], Waiter::Done | Waiter::GaveUp) {
            go(Waiter::GaveUp, &|_| {});
        }
    }

    fn task_goes_on(&self, protocol: Protocol, next: &mut Vec<Self>) {
        let mut state = self.clone();
        match self.task {
            Task::Listens if protocol == Protocol::TaskReadsBeforeItListens => {
                // Broken: the wishes are read, and only then the bell is listened to.
                state.read();
                state.task = Task::Publishes(u8::MAX);
                next.push(state);
            }
            Task::Listens => {
                state.task = Task::Reads(self.mail);
                next.push(state);
            }
            Task::Reads(mail) => {
                state.read();
                state.task = Task::Publishes(mail);
                next.push(state);
            }
            Task::Publishes(mail) => {
                if state.told != (state.slot, state.failures) {
                    state.told = (state.slot, state.failures);
                    state.bell += 1;
                }
                state.task = Task::Waits(if mail == u8::MAX { self.mail } else { mail });
                next.push(state);
            }
            Task::Waits(mail) => {
                if mail != self.mail {
                    state.task = Task::Listens;
                    next.push(state.clone());
                }
                self.world_goes_on(next);
            }
        }
    }

    /// An answer, an answer too late, or the timer.
    fn world_goes_on(&self, next: &mut Vec<Self>) {
        if self.answers > 0 {
            for flight in [self.flight, self.abandoned].into_iter().flatten() {
                for answer in [
                    Answer::Granted(Lease::of(Duration::from_secs(10))),
                    Answer::Failed(Setback::Later { after: None }),
                ] {
                    let mut state = self.clone();
                    state.answers -= 1;
                    state.land(flight, answer);
                    state.task = Task::Listens;
                    next.push(state);
                }
            }
        }
        if self.timers > 0 && !self.until.is_never() {
            let mut state = self.clone();
            state.timers -= 1;
            state.now = state.until;
            state.task = Task::Listens;
            next.push(state);
        }
    }

    fn land(&mut self, flight: Flight, answer: Answer) {
        let is_late = self.flight != Some(flight);
        let before = self.machine.expires();
        let verdict = self.machine.handle(Event::Answered { flight, answer }, self.now);
        if is_late {
            assert_ne!(verdict, Verdict::Adopted, "a slow older call overwrites");
            assert_eq!(before, self.machine.expires(), "a slow older call changes something");
            self.abandoned = None;
            return;
        }
        self.flight = None;
        self.failed = matches!(answer, Answer::Failed(_));
    }

    /// What the task does between its listening and its waiting.
    fn read(&mut self) {
        if std::mem::take(&mut self.supplied) {
            let lease = Lease::of(Duration::from_secs(20));
            let verdict = self.machine.handle(Event::Supplied { lease, sent: self.now }, self.now);
            assert_eq!(verdict, Verdict::Adopted);
            self.failed = false;
        }
        if std::mem::take(&mut self.wanted) {
            let _ = self.machine.handle(Event::Wanted, self.now);
        }
        loop {
            match self.machine.poll(self.now) {
                Action::Wait { until } => {
                    self.until = until;
                    break;
                }
                Action::Call { flight, .. } => {
                    assert_eq!(self.flight, None, "a second call while one is under way");
                    self.flight = Some(flight);
                }
                Action::Abandon(flight) => {
                    assert_eq!(self.flight.take(), Some(flight));
                    self.abandoned = Some(flight);
                    self.failed = true;
                }
                _ => {}
            }
        }
        if self.flight.is_none() && std::mem::take(&mut self.failed) {
            self.failures += 1;
        }
        self.slot = self.machine.serves(self.now);
    }

    /// Returns what is wrong.
    fn fault(&self) -> Option<&'static str> {
        let Task::Waits(mail) = self.task else { return None };
        if mail != self.mail {
            return None;
        }
        // The task sleeps, and nothing will wake it but an answer or its timer.
        for waiter in self.waiters {
            let Waiter::Waits(before, bell) = waiter else { continue };
            if bell == self.bell && (self.slot || self.failures != before) {
                return Some("somebody sleeps although what it waits for is there");
            }
            if bell == self.bell && self.wanted {
                return Some("somebody sleeps whose wish nobody has read");
            }
            if bell == self.bell && self.flight.is_none() && self.until.is_never() {
                return Some("somebody sleeps, and nothing is going to happen");
            }
        }
        None
    }
}

/// Walks through all states; returns how many there are, or the first fault.
fn search(protocol: Protocol) -> Result<usize, &'static str> {
    let mut seen = HashSet::new();
    let mut open = vec![State::new()];
    while let Some(state) = open.pop() {
        if !seen.insert(format!("{state:?}")) {
            continue;
        }
        if let Some(fault) = state.fault() {
            return Err(fault);
        }
        open.extend(state.next(protocol));
    }
    Ok(seen.len())
}

#[test]
fn no_order_of_steps_loses_a_waiter_or_makes_two_calls() {
    let states = search(Protocol::AsItIs).unwrap();
    println!("{states} states");
    assert!(states > 10_000, "{states}");
}

#[test]
fn the_search_sees_what_it_searches_for() {
    let fault = search(Protocol::LooksBeforeItListens).unwrap_err();
    assert_eq!(fault, "somebody sleeps although what it waits for is there");
    assert_eq!(
        search(Protocol::TaskReadsBeforeItListens).unwrap_err(),
        "somebody sleeps whose wish nobody has read"
    );
}
