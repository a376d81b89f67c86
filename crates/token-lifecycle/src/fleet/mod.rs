//! Many tokens at once: one timer and one task for the tokens of all users of a gateway.
//!
//! A [`Fleet`] is to many machines what a [`Machine`] is to one token, and has the same two verbs. It reads no clock and makes no
//! call. It asks for a bounded number of calls at a time; what has to wait for its turn waits in an order that is fair:
//!
//! - Of the tokens that live, the one that ends first comes first.
//! - Of those that have none (any more), the one that has waited longest comes first.
//! - The two take turns, so that a storm of lost tokens does not let the living ones die, nor the other way round.
//!
//! A step costs O(log n) for n tokens, and a token takes less than 256 bytes, without its secret, which the fleet does not
//! know: keep it in a map from [`LeaseId`].

mod keeper;
mod slots;
mod snapshot;

pub use keeper::FleetKeeper;
pub use snapshot::FleetSnapshot;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{Action, Event, Machine, Moment, Verdict};

use slots::{Queue, Slot, Slots};

/// Keeps many tokens alive: see the [module](self).
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use latchkey_token_lifecycle::fleet::{Fleet, FleetAction};
/// use latchkey_token_lifecycle::{Action, Answer, Event, Ladder, Lease, Machine, Moment, Policy, Step};
///
/// let mut fleet = Fleet::new(NonZeroUsize::new(2).unwrap());
/// let ladder = Ladder::of(&[Step::Renew, Step::SignIn]);
/// let start = Moment::from_millis(0);
/// for seed in 0..3 {
///     fleet.add(Machine::new(Policy::default(), ladder, seed), start);
/// }
///
/// // Two calls at a time: the third waits for its turn.
/// let FleetAction::Of { lease, action: Action::Call { flight, .. } } = fleet.poll(start) else { panic!() };
/// assert!(matches!(fleet.poll(start), FleetAction::Of { action: Action::Call { .. }, .. }));
/// assert!(matches!(fleet.poll(start), FleetAction::Wait { .. }));
///
/// let answer = Answer::Granted(Lease::of(Duration::from_secs(3600)).renewable());
/// let _ = fleet.handle(lease, Event::Answered { flight, answer }, start);
/// assert!(fleet.serves(lease, start));
/// # let FleetAction::Of { action: Action::Tell(_), .. } = fleet.poll(start) else { panic!() };
/// assert!(matches!(fleet.poll(start), FleetAction::Of { action: Action::Call { .. }, .. }), "the third one");
/// ```
#[derive(Debug)]
pub struct Fleet {
    slots: Slots,
    free: Vec<u32>,
    /// When a machine is polled again.
    timers: BTreeSet<(Moment, u32)>,
    /// Machines that want to call, and have a token: by its end.
    living: BTreeSet<(Moment, u32)>,
    /// Machines that want to call, and have none: by when they came.
    lost: BTreeSet<(Moment, u32)>,
    /// Which of the two was served last.
    lost_had_its_turn: bool,
    underway: usize,
    limit: NonZeroUsize,
}

/// Names a token of a fleet. The name of one that was removed is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    index: u32,
    generation: u32,
}

/// What a fleet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetAction {
    /// Nothing until then, or until something happens.
    Wait {
        /// [`Moment::NEVER`] if only an event changes anything.
        until: Moment,
    },
    /// What the machine of one token asks for: never [`Action::Wait`]. After [`Action::Stop`] it is gone.
    Of {
        /// Whose.
        lease: LeaseId,
        /// What.
        action: Action,
    },
}

impl Fleet {
    /// An empty fleet that asks for at most so many calls at a time.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self {
            slots: Slots::default(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            living: BTreeSet::new(),
            lost: BTreeSet::new(),
            lost_had_its_turn: false,
            underway: 0,
            limit,
        }
    }

    /// Adds a machine. Give each its own seed: that is what spreads their renewals.
    ///
    /// # Panics
    ///
    /// With more than 2³² tokens.
    #[expect(clippy::expect_used, reason = "a fleet of 2^32 machines does not fit into memory")]
    pub fn add(&mut self, machine: Machine, now: Moment) -> LeaseId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::empty(0));
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 tokens")
        });
        self.underway += usize::from(machine.underway().is_some());
        let mut generation = 0;
        if let Some(slot) = self.slot_mut(index) {
            slot.machine = Some(machine);
            generation = slot.generation;
        }
        self.set_timer(index, now);
        LeaseId { index, generation }
    }

    /// Takes a machine out. Its token is not given back: for that, handle [`Event::Stop`] and go on until
    /// [`Action::Stop`].
    pub fn remove(&mut self, lease: LeaseId) -> Option<Machine> {
        self.machine(lease)?;
        self.unqueue(lease.index);
        self.set_timer(lease.index, Moment::NEVER);
        let slot = self.slot_mut(lease.index)?;
        let machine = slot.machine.take();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(lease.index);
        self.underway -= usize::from(machine.as_ref().is_some_and(|machine| machine.underway().is_some()));
        machine
    }

    /// Returns the machine of a token; `None` if it is gone.
    pub fn machine(&self, lease: LeaseId) -> Option<&Machine> {
        let slot = self.slots.get(lease.index).filter(|slot| slot.generation == lease.generation)?;
        slot.machine.as_ref()
    }

    /// Returns whether a token may be handed out now. Never for one that is gone.
    pub fn serves(&self, lease: LeaseId, now: Moment) -> bool {
        self.machine(lease).is_some_and(|machine| machine.serves(now))
    }

    /// Returns how many tokens there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many calls may be under way.
    pub fn limit(&self) -> NonZeroUsize {
        self.limit
    }

    /// Returns how many calls are under way.
    pub fn underway(&self) -> usize {
        self.underway
    }

    /// Returns how many tokens wait for their turn to call.
    pub fn waiting(&self) -> usize {
        self.living.len() + self.lost.len()
    }

    /// Takes note of what happened to a token. What happens to one that is gone is [`Verdict::Superseded`].
    pub fn handle(&mut self, lease: LeaseId, event: Event, now: Moment) -> Verdict {
        if self.machine(lease).is_none() {
            return Verdict::Superseded;
        }
        let verdict = self.with(lease.index, |machine| machine.handle(event, now));
        // It keeps its place in the queue until it is polled: who asks for a token time and again must not lose its turn.
        self.set_timer(lease.index, now);
        verdict.unwrap_or(Verdict::Superseded)
    }

    /// Takes note of what happened to all of them: the network is back ([`Event::Nudged`]), the program ends
    /// ([`Event::Stop`]).
    pub fn handle_all(&mut self, event: Event, now: Moment) {
        let leases: Vec<_> = self.leases().map(|(lease, _)| lease).collect();
        for lease in leases {
            let _noted = self.handle(lease, event, now);
        }
    }

    /// Returns every token with its machine.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, &Machine)> {
        (0..).zip(self.slots.iter()).filter_map(|(index, slot)| {
            Some((LeaseId { index, generation: slot.generation }, slot.machine.as_ref()?))
        })
    }

    /// Returns what to do now. Poll again until it says [`FleetAction::Wait`].
    pub fn poll(&mut self, now: Moment) -> FleetAction {
        while let Some((when, index)) = self.timers.first().copied().filter(|(when, _)| *when <= now) {
            match self.with(index, |machine| machine.poll_without_calling(now)).flatten() {
                Some(Action::Wait { until }) => {
                    self.unqueue(index);
                    self.set_timer(index, until);
                }
                Some(action) => return self.told(index, action, now),
                None => self.enqueue(index, now),
            }
            debug_assert!(self.timers.first() != Some(&(when, index)), "a timer that went off is set anew");
        }
        while self.underway < self.limit.get()
            && let Some(index) = self.next_in_turn()
        {
            self.unqueue(index);
            match self.with(index, |machine| machine.poll(now)) {
                Some(Action::Wait { until }) => self.set_timer(index, until),
                Some(action) => return self.told(index, action, now),
                None => {}
            }
        }
        FleetAction::Wait { until: self.timers.first().map_or(Moment::NEVER, |(when, _)| *when) }
    }

    /// Hands an action out. The machine is polled again at once.
    fn told(&mut self, index: u32, action: Action, now: Moment) -> FleetAction {
        self.set_timer(index, now);
        let generation = self.slots.get(index).map_or(0, |slot| slot.generation);
        let lease = LeaseId { index, generation };
        if action == Action::Stop {
            let _machine = self.remove(lease);
        }
        FleetAction::Of { lease, action }
    }

    /// Does something with a machine, and counts the calls under way.
    fn with<T>(&mut self, index: u32, act: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        let machine = self.slots.get_mut(index)?.machine.as_mut()?;
        let before = usize::from(machine.underway().is_some());
        let result = act(machine);
        let after = usize::from(machine.underway().is_some());
        self.underway = self.underway + after - before;
        Some(result)
    }

    /// Lets a machine wait for its turn. It is polled again when its token ends, or nobody would be told.
    fn enqueue(&mut self, index: u32, now: Moment) {
        let Some(machine) = self.slots.get(index).and_then(|slot| slot.machine.as_ref()) else {
            return;
        };
        let (lives, end) = (machine.serves(now), machine.serves_until());
        let since = match self.slots.get(index).map(|slot| slot.queue) {
            Some(Queue::Lost(since)) => since,
            _ => now,
        };
        self.unqueue(index);
        let queue = if lives { Queue::Living(end) } else { Queue::Lost(since) };
        match queue {
            Queue::Living(end) => self.living.insert((end, index)),
            Queue::Lost(since) => self.lost.insert((since, index)),
            Queue::None => false,
        };
        if let Some(slot) = self.slot_mut(index) {
            slot.queue = queue;
        }
        self.set_timer(index, if lives { end } else { Moment::NEVER });
    }

    fn unqueue(&mut self, index: u32) {
        let Some(slot) = self.slot_mut(index) else { return };
        match std::mem::replace(&mut slot.queue, Queue::None) {
            Queue::Living(end) => self.living.remove(&(end, index)),
            Queue::Lost(since) => self.lost.remove(&(since, index)),
            Queue::None => false,
        };
    }

    /// Returns whose turn it is.
    fn next_in_turn(&mut self) -> Option<u32> {
        let (living, lost) = (self.living.first(), self.lost.first());
        let takes_lost = match (living, lost) {
            (Some(_), Some(_)) => !self.lost_had_its_turn,
            (_, lost) => lost.is_some(),
        };
        self.lost_had_its_turn = takes_lost;
        if takes_lost { lost } else { living }.map(|(_, index)| *index)
    }

    fn set_timer(&mut self, index: u32, when: Moment) {
        let Some(slot) = self.slot_mut(index) else { return };
        let old = std::mem::replace(&mut slot.timer, when);
        if old == when {
            return;
        }
        if !old.is_never() {
            self.timers.remove(&(old, index));
        }
        if !when.is_never() {
            self.timers.insert((when, index));
        }
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index)
    }
}

#[cfg(test)]
mod tests;
