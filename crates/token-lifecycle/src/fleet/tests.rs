use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::{Answer, Flight, Ladder, Lease, Notice, Policy, Setback, Step};

const HOUR: Duration = Duration::from_secs(3600);
const START: Moment = Moment::from_millis(1_000_000);

fn limit(calls: usize) -> NonZeroUsize {
    NonZeroUsize::new(calls).expect("a limit above zero")
}

fn machine(seed: u64) -> Machine {
    Machine::new(Policy::default(), Ladder::of(&[Step::Renew, Step::SignIn]), seed)
}

/// A fleet whose tokens have all been granted at the start.
fn signed_in(tokens: u64, calls: usize, ttl: Duration) -> Fleet {
    let mut fleet = Fleet::new(limit(calls));
    for seed in 0..tokens {
        let mut machine = machine(seed);
        let _ = machine.handle(Event::Supplied { lease: Lease::of(ttl).renewable(), sent: START }, START);
        fleet.add(machine, START);
    }
    fleet
}

/// A server that takes a fixed time for each call, and what it saw.
struct Server {
    takes: Duration,
    grants: Answer,
    underway: BTreeMap<(Moment, u32), (LeaseId, Flight)>,
    calls_per_second: BTreeMap<u64, u32>,
    renewed: BTreeMap<LeaseId, u32>,
    notices: Vec<Notice>,
    most_underway: usize,
    number: u32,
}

impl Server {
    fn new(takes: Duration, ttl: Duration) -> Self {
        Self {
            takes,
            grants: Answer::Granted(Lease::of(ttl).renewable()),
            underway: BTreeMap::new(),
            calls_per_second: BTreeMap::new(),
            renewed: BTreeMap::new(),
            notices: Vec::new(),
            most_underway: 0,
            number: 0,
        }
    }

    /// Lets time pass.
    fn run(&mut self, fleet: &mut Fleet, from: Moment, until: Moment) {
        let mut now = from;
        loop {
            match fleet.poll(now) {
                FleetAction::Of { lease, action: Action::Call { flight, .. } } => {
                    self.number += 1;
                    self.underway.insert((now + self.takes, self.number), (lease, flight));
                    self.most_underway = self.most_underway.max(self.underway.len());
                    *self.calls_per_second.entry(now.as_millis() / 1000).or_default() += 1;
                }
                FleetAction::Of { action: Action::Tell(notice), .. } => self.notices.push(notice),
                FleetAction::Of { lease, action: Action::Abandon(_) } => {
                    self.underway.retain(|_, (other, _)| *other != lease);
                }
                FleetAction::Of { .. } => {}
                FleetAction::Wait { until: timer } => {
                    let answered = self.underway.first_key_value().map_or(Moment::NEVER, |((at, _), _)| *at);
                    now = timer.min(answered);
                    if now > until {
                        return;
                    }
                    if answered <= now
                        && let Some((_, (lease, flight))) = self.underway.pop_first()
                    {
                        let _ = fleet.handle(lease, Event::Answered { flight, answer: self.grants }, now);
                        *self.renewed.entry(lease).or_default() += 1;
                    }
                }
            }
            assert_eq!(fleet.underway(), self.underway.len(), "what is under way is counted");
        }
    }

    fn losses(&self) -> usize {
        self.notices.iter().filter(|notice| **notice == Notice::Lost).count()
    }
}

#[test]
fn an_empty_fleet_waits_for_ever() {
    let mut fleet = Fleet::new(limit(1));
    assert_eq!(fleet.poll(START), FleetAction::Wait { until: Moment::NEVER });
    assert!(fleet.is_empty());
}

#[test]
fn tokens_of_one_second_are_renewed_spread_over_minutes_and_none_late() {
    let mut fleet = signed_in(5_000, 64, HOUR);
    let mut server = Server::new(Duration::from_millis(10), HOUR);
    server.run(&mut fleet, START, START + HOUR * 6);
    assert_eq!(server.losses(), 0);
    assert!(
        server.renewed.values().all(|times| (7..=10).contains(times)),
        "six hours, every 36 to 45 minutes"
    );
    assert_eq!(server.renewed.len(), 5_000);
    // Spread evenly over nine minutes that would be 9 in a second.
    let peak = server.calls_per_second.values().max().copied();
    assert!(peak.is_some_and(|peak| peak < 30), "{peak:?} calls in one second");
}

#[test]
fn no_more_calls_are_under_way_than_allowed() {
    let mut fleet = Fleet::new(limit(7));
    for seed in 0..500 {
        fleet.add(machine(seed), START);
    }
    let mut server = Server::new(Duration::from_millis(100), HOUR);
    server.run(&mut fleet, START, START + Duration::from_secs(20));
    assert_eq!(server.most_underway, 7);
    assert!(fleet.leases().all(|(lease, _)| fleet.serves(lease, START + Duration::from_secs(20))));
}

#[test]
fn under_a_slow_server_who_ends_first_comes_first() {
    // Ten short ones among a thousand long ones, all due at once, one call at a time: 0.1 s each.
    let mut fleet = Fleet::new(limit(1));
    let mut short = Vec::new();
    for seed in 0..1000 {
        let mut machine = machine(seed);
        let ttl = if seed % 100 == 99 { Duration::from_secs(60) } else { HOUR };
        let _ = machine.handle(Event::Supplied { lease: Lease::of(ttl).renewable(), sent: START }, START);
        let _ = machine.handle(Event::RenewNow, START);
        let lease = fleet.add(machine, START);
        if seed % 100 == 99 {
            short.push(lease);
        }
    }
    let mut server = Server::new(Duration::from_millis(100), HOUR);
    server.run(&mut fleet, START, START + Duration::from_secs(120));
    assert_eq!(server.losses(), 0, "each short one was renewed before its minute was over");
    assert!(short.iter().all(|lease| server.renewed.contains_key(lease)));
}

#[test]
fn lost_tokens_and_living_ones_take_turns() {
    // One at a time. Three have no token, three have one; both kinds want to call at once.
    let mut fleet = Fleet::new(limit(1));
    let later = START + Duration::from_secs(1);
    let lost: Vec<_> = (0..3).map(|seed| fleet.add(machine(seed), later)).collect();
    for seed in 3..6 {
        let mut machine = machine(seed);
        let _ = machine.handle(Event::Supplied { lease: Lease::of(HOUR).renewable(), sent: START }, START);
        let _ = machine.handle(Event::RenewNow, later);
        fleet.add(machine, later);
    }
    let mut order = Vec::new();
    let mut now = later;
    while order.len() < 6 {
        match fleet.poll(now) {
            FleetAction::Of { lease, action: Action::Call { flight, .. } } => {
                order.push(lost.contains(&lease));
                let answer = Answer::Granted(Lease::of(HOUR).renewable());
                let _ = fleet.handle(lease, Event::Answered { flight, answer }, now);
            }
            FleetAction::Wait { until } => now = until,
            FleetAction::Of { .. } => {}
        }
    }
    assert_eq!(order, [true, false, true, false, true, false]);
}

#[test]
fn who_asks_time_and_again_keeps_its_turn() {
    let mut fleet = Fleet::new(limit(1));
    let leases: Vec<_> = (0..3).map(|seed| fleet.add(machine(seed), START)).collect();
    let FleetAction::Of { lease: first, action: Action::Call { .. } } = fleet.poll(START) else { panic!() };
    assert_eq!(first, leases[0]);
    let _ = fleet.poll(START);
    let later = START + Duration::from_secs(1);
    // The second one's requests keep asking; it was there before the third all the same.
    let _ = fleet.handle(leases[1], Event::Wanted, later);
    let _ = fleet.poll(later);
    assert_eq!(fleet.waiting(), 2);
    let done = Answer::Granted(Lease::of(HOUR));
    let flight =
        fleet.machine(first).and_then(Machine::underway).map(|(flight, _)| flight).expect("under way");
    let _ = fleet.handle(first, Event::Answered { flight, answer: done }, later);
    let second = loop {
        match fleet.poll(later) {
            FleetAction::Of { lease, action: Action::Call { .. } } => break lease,
            FleetAction::Wait { .. } => panic!("somebody waits"),
            FleetAction::Of { .. } => {}
        }
    };
    assert_eq!(second, leases[1]);
}

#[test]
fn a_loss_is_told_while_waiting_for_a_turn() {
    let mut fleet = signed_in(2, 1, Duration::from_secs(60));
    let mut losses = 0;
    let mut now = START;
    // The one call that may be under way never ends by itself.
    while now < START + Duration::from_secs(70) {
        match fleet.poll(now) {
            FleetAction::Wait { until } => now = until,
            FleetAction::Of { action: Action::Tell(Notice::Lost), .. } => losses += 1,
            FleetAction::Of { .. } => {}
        }
    }
    assert_eq!(losses, 2);
}

#[test]
fn a_call_that_takes_too_long_gives_its_place_back() {
    let mut fleet = Fleet::new(limit(1));
    let _stuck = fleet.add(machine(1), START);
    let _other = fleet.add(machine(2), START);
    let mut called = Vec::new();
    let mut now = START;
    while called.len() < 2 {
        match fleet.poll(now) {
            FleetAction::Wait { until } => now = until,
            FleetAction::Of { lease, action: Action::Call { .. } } => called.push(lease),
            FleetAction::Of { .. } => {}
        }
    }
    assert_ne!(called[0], called[1], "the one that was stuck waits for its pause");
    assert_eq!(fleet.underway(), 1);
}

#[test]
fn a_name_is_not_used_again() {
    let mut fleet = Fleet::new(limit(1));
    let old = fleet.add(machine(1), START);
    let machine_of_old = fleet.remove(old);
    assert!(machine_of_old.is_some() && fleet.is_empty());
    let new = fleet.add(machine(2), START);
    assert_ne!(old, new);
    assert_eq!(fleet.handle(old, Event::Wanted, START), Verdict::Superseded);
    assert!(fleet.machine(old).is_none() && fleet.machine(new).is_some());
}

#[test]
fn all_can_be_stopped_and_are_gone_then() {
    let mut fleet = signed_in(20, 4, HOUR);
    fleet.handle_all(Event::Stop { revoke: true }, START);
    let (mut revoked, mut stopped) = (0, 0);
    loop {
        match fleet.poll(START) {
            FleetAction::Of { action: Action::Revoke, .. } => revoked += 1,
            FleetAction::Of { action: Action::Stop, .. } => stopped += 1,
            FleetAction::Of { .. } => {}
            FleetAction::Wait { until } => break assert!(until.is_never()),
        }
    }
    assert_eq!((revoked, stopped, fleet.len()), (20, 20, 0));
}

#[test]
fn a_fleet_decides_as_its_machines_would_alone() {
    let mut fleet = signed_in(200, 200, HOUR);
    let mut server = Server::new(Duration::from_millis(10), HOUR);
    let mut alone: Vec<_> = fleet.leases().map(|(_, machine)| machine.clone()).collect();
    let end = START + HOUR * 3;
    server.run(&mut fleet, START, end);
    for machine in &mut alone {
        let mut now = START;
        loop {
            match machine.poll(now) {
                Action::Wait { until } if until > end => break,
                Action::Wait { until } => now = until,
                Action::Call { flight, .. } => {
                    now = now + Duration::from_millis(10);
                    let _ = machine.handle(Event::Answered { flight, answer: server.grants }, now);
                }
                _ => {}
            }
        }
    }
    assert!(fleet.leases().map(|(_, machine)| machine).eq(&alone));
}

#[test]
fn a_restart_keeps_names_and_plans_and_is_no_herd() {
    let mut fleet = signed_in(1000, 16, HOUR);
    let names: Vec<_> = fleet.leases().map(|(lease, _)| lease).collect();
    let gone = names[500];
    let _machine = fleet.remove(gone);
    let noon = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let stored = serde_json::to_string(&fleet.snapshot(START, noon)).expect("it can be written");

    // Fifty minutes later every one of them is due.
    let snapshot: FleetSnapshot = serde_json::from_str(&stored).expect("it can be read");
    let now = Moment::from_millis(5);
    let mut fleet = snapshot.resume(limit(16), now, noon + Duration::from_secs(3000), 9);
    assert_eq!(fleet.len(), 999);
    assert!(fleet.machine(gone).is_none());
    assert!(names.iter().filter(|name| **name != gone).all(|name| fleet.serves(*name, now)));
    let mut server = Server::new(Duration::from_millis(50), HOUR);
    server.run(&mut fleet, now, now + Duration::from_secs(60));
    assert_eq!((server.most_underway, server.losses()), (16, 0));
    assert_eq!(server.renewed.len(), 999);
    let new = fleet.add(machine(1), now);
    assert_ne!(new, gone, "the place is used again, the name is not");
}

#[test]
fn a_snapshot_with_absurd_names_takes_no_memory() {
    let fleet = signed_in(2, 1, HOUR);
    let stored = serde_json::to_string(&fleet.snapshot(START, UNIX_EPOCH)).expect("it can be written");
    let stored = stored.replace("\"index\":1", "\"index\":4294967295");
    let snapshot: FleetSnapshot = serde_json::from_str(&stored).expect("it can be read");
    assert_eq!(snapshot.resume(limit(1), START, UNIX_EPOCH, 1).len(), 1);
}

#[test]
fn an_answer_that_failed_is_tried_again_after_a_pause() {
    let mut fleet = Fleet::new(limit(1));
    let lease = fleet.add(machine(1), START);
    let FleetAction::Of { action: Action::Call { flight, .. }, .. } = fleet.poll(START) else { panic!() };
    let answer = Answer::Failed(Setback::Later { after: None });
    let _ = fleet.handle(lease, Event::Answered { flight, answer }, START);
    let FleetAction::Wait { until } = fleet.poll(START) else { panic!() };
    assert!(until > START && until <= START + Duration::from_secs(2), "{until:?}");
}

#[test]
fn a_place_in_a_fleet_is_less_than_256_bytes() {
    // A slot, and its entry in one of the sorted sets: B-trees are two thirds full.
    assert!(size_of::<Slot>() + size_of::<(Moment, u32)>() * 3 / 2 <= 256, "{} bytes", size_of::<Slot>());
}
