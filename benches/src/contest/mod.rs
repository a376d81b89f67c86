//! The contest: our renewal policy and eight others keep the same ten thousand tokens alive for a day.
//!
//! A simulation, so that a day takes seconds and every run gives the same figures: no clock is read, and all chance
//! comes from a seed. Each policy meets the same world: the same leases, requests, outages, restarts of the server and
//! sleeping laptops. The algorithms of the others are written down here from the description of their behaviour, and only
//! as far as the contest needs them.

mod cloud;
mod fleet_world;
mod ours;
mod page;
mod plot;
mod policy;
mod random;
mod rivals;
mod score;
mod server;
mod simulation;

use std::time::Instant;

use crate::report::{Goal, Measure};

use self::fleet_world::World;
use self::policy::Make;
use self::score::Score;

/// How many tokens each policy keeps alive.
pub(crate) const TOKENS: u32 = 10_000;

/// Where all chance comes from.
const SEED: u64 = 0x1A7C_4BE1;

/// Every policy: how it is called, and how one client with it is made.
const POLICIES: &[(&str, Make)] = &[
    ("Latchkey", ours::make),
    ("Go LifetimeWatcher", rivals::lifetime_watcher),
    ("Vault Agent", rivals::agent),
    ("Spring Vault", rivals::spring),
    ("vault-client-rs", rivals::vault_client_rs),
    ("node-vault", rivals::node_vault),
    ("AWS lazy cache", cloud::aws),
    ("Azure cache", cloud::azure),
    ("Google cache", cloud::google),
];

/// Runs the contest, writes `docs/renewal.svg` and the table in `docs/renewal.md`, and gives the figures that have a goal.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let world = World::new(SEED);
    let mut scores = Vec::new();
    for (name, make) in POLICIES {
        let started = now();
        let score = simulation::run(&world, name, *make, TOKENS);
        eprintln!("  {name}: {:.1} s", started.elapsed().as_secs_f64());
        scores.push(score);
    }
    println!("{}", page::table(&scores));
    page::write(&world, &scores)?;
    Ok(goals(&scores))
}

/// Our figures beside the goals of the contest.
fn goals(scores: &[Score]) -> Vec<Measure> {
    let Some((ours, others)) = scores.split_first() else { return Vec::new() };
    // Beside whom: the most frugal of those that met the fewest dead tokens.
    let fewest = others.iter().map(|score| score.dead).min().unwrap_or_default();
    let rivals = || others.iter().filter(|score| score.dead == fewest);
    let frugal = rivals().map(Score::calls).min();
    let calmest = rivals().map(Score::peak).min();
    let fleet = f64::from(TOKENS);
    let count = |number: Option<u64>| number.map_or(f64::NAN, score::float);
    vec![
        Measure::new(
            "token-lifecycle/contest_dead_tokens",
            "requests",
            (
                score::float(ours.dead),
                others.iter().map(|score| score::float(score.dead)).fold(f64::NAN, f64::min),
            ),
            Goal::ValueAtMost(0.0),
        ),
        Measure::new(
            "token-lifecycle/contest_calls",
            "calls",
            (score::float(ours.calls()), count(frugal)),
            Goal::RatioAtMost(1.1),
        ),
        Measure::new(
            "token-lifecycle/contest_peak",
            "% of fleet",
            (score::float(ours.peak()) / fleet * 100.0, count(calmest) / fleet * 100.0),
            Goal::ValueAtMost(5.0),
        ),
    ]
}

fn now() -> Instant {
    Instant::now()
}
