//! Many tokens at once: what one takes in memory, and what a step costs as the fleet grows.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use latchkey_token_lifecycle::fleet::{Fleet, FleetAction, LeaseId};
use latchkey_token_lifecycle::{
    Action, Answer, Event, Flight, Ladder, Lease, Machine, Moment, Notice, Policy, Step,
};

use crate::report::{Goal, Measure};

const START: Moment = Moment::from_millis(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// How many tokens there are, from a small gateway to a large one.
const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Measures memory per token, and the cost of a renewal.
#[expect(clippy::unnecessary_wraps, reason = "a bench may fail")]
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let mut costs = Vec::new();
    for size in SIZES {
        let run = renew_all(size);
        eprintln!(
            "  {size:>9} tokens: {:>6.0} ns a renewal, {} renewals, {} lost, at most {} calls in a second",
            run.nanoseconds, run.renewals, run.lost, run.peak
        );
        costs.push(run);
    }
    let (Some(smallest), Some(largest)) = (costs.first(), costs.last()) else { return Ok(Vec::new()) };
    let mut measures = Vec::new();
    let bytes = bytes_per_lease(100_000);
    measures.push(Measure::new(
        "token-lifecycle/fleet_memory_per_token",
        "bytes",
        (bytes, 256.0),
        Goal::ValueAtMost(256.0),
    ));
    // log2(10^6) / log2(10^3) = 2; memory that no longer fits into the caches comes on top.
    measures.push(Measure::new(
        "token-lifecycle/fleet_renewal_1e6_by_1e3",
        "ns",
        (largest.nanoseconds, smallest.nanoseconds),
        Goal::RatioAtMost(6.0),
    ));
    let lost = costs.iter().map(|run| f64::from(run.lost)).sum();
    measures.push(Measure::new(
        "token-lifecycle/fleet_lost_tokens",
        "tokens",
        (lost, 0.0),
        Goal::ValueAtMost(0.0),
    ));
    Ok(measures)
}

fn fleet(size: u32) -> Fleet {
    let mut fleet = Fleet::new(LIMIT);
    let ladder = Ladder::of(&[Step::Renew, Step::SignIn]);
    for seed in 0..size {
        let mut machine = Machine::new(Policy::default(), ladder, u64::from(seed) * 7919);
        let lease = Lease::of(HOUR).renewable();
        let _adopted = machine.handle(Event::Supplied { lease, sent: START }, START);
        fleet.add(machine, START);
    }
    fleet
}

fn bytes_per_lease(size: u32) -> f64 {
    let mut kept = None;
    let info = allocation_counter::measure(|| {
        let mut fleet = fleet(size);
        settle(&mut fleet, START);
        kept = Some(fleet);
    });
    drop(kept);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = info.bytes_current as f64;
    bytes / f64::from(size)
}

/// Polls until it waits.
fn settle(fleet: &mut Fleet, now: Moment) -> Moment {
    loop {
        if let FleetAction::Wait { until } = fleet.poll(now) {
            return until;
        }
    }
}

struct Run {
    nanoseconds: f64,
    renewals: u32,
    lost: u32,
    peak: u32,
}

/// Lets two hours pass; every call is answered after twenty milliseconds.
fn renew_all(size: u32) -> Run {
    let mut fleet = fleet(size);
    let end = START + HOUR * 2;
    let answer = Answer::Granted(Lease::of(HOUR).renewable());
    let mut run = Run { nanoseconds: 0.0, renewals: 0, lost: 0, peak: 0 };
    let (mut second, mut in_second) = (0, 0);
    let mut calls: std::collections::VecDeque<(Moment, LeaseId, Flight)> = std::collections::VecDeque::new();
    let mut now = START;
    let started = start();
    while now <= end {
        match fleet.poll(now) {
            FleetAction::Wait { until } => {
                let answered = calls.front().map_or(Moment::NEVER, |(at, _, _)| *at);
                now = until.min(answered);
                if answered <= now
                    && let Some((_, lease, flight)) = calls.pop_front()
                {
                    let _adopted = black_box(fleet.handle(lease, Event::Answered { flight, answer }, now));
                    run.renewals += 1;
                }
            }
            FleetAction::Of { lease, action: Action::Call { flight, .. } } => {
                if now.as_millis() / 1000 != second {
                    (second, in_second) = (now.as_millis() / 1000, 0);
                }
                in_second += 1;
                run.peak = run.peak.max(in_second);
                calls.push_back((now + Duration::from_millis(20), lease, flight));
            }
            FleetAction::Of { action: Action::Tell(Notice::Lost), .. } => run.lost += 1,
            FleetAction::Of { .. } => {}
        }
    }
    run.nanoseconds = started.elapsed().as_secs_f64() * 1e9 / f64::from(run.renewals.max(1));
    run
}

fn start() -> Instant {
    Instant::now()
}
