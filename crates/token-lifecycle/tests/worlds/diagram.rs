//! The table of phases in the machine's documentation is what happens.

use std::collections::BTreeSet;

use latchkey_token_lifecycle::{Machine, Moment, Phase};

use crate::plan::Plan;
use crate::random::Random;
use crate::world::World;

type Change = (String, &'static str, String);

/// Every change of phase, and what it came from.
pub(crate) struct Journal {
    phase: Phase,
    pub(crate) changes: BTreeSet<Change>,
}

impl Journal {
    pub(crate) fn new(machine: &Machine, now: Moment) -> Self {
        Self { phase: machine.phase(now), changes: BTreeSet::new() }
    }

    /// In another process.
    pub(crate) fn restart(&mut self, machine: &Machine, now: Moment) {
        self.phase = machine.phase(now);
    }

    /// After time has passed.
    pub(crate) fn pass(&mut self, machine: &Machine, now: Moment) {
        self.note("end of its life", machine, now);
    }

    /// After something has happened.
    pub(crate) fn note(&mut self, why: &'static str, machine: &Machine, now: Moment) {
        let phase = machine.phase(now);
        if phase != self.phase {
            self.changes.insert((format!("{:?}", self.phase), why, format!("{phase:?}")));
            self.phase = phase;
        }
    }
}

fn documented() -> BTreeSet<(String, String, String)> {
    let text = include_str!("../../src/machine/mod.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = rows.filter(|row| !row.starts_with("from ") && !row.starts_with("---"));
    rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").map(str::to_owned).collect();
        let [from, why, to] = cells.try_into().unwrap();
        let whys: Vec<_> = why.split(", ").map(str::to_owned).collect();
        whys.into_iter().map(move |why| (from.clone(), why, to.clone()))
    })
    .collect()
}

#[test]
fn the_documented_changes_of_phase_are_those_that_happen() {
    let mut seen = BTreeSet::new();
    for seed in 0..20_000 {
        let mut world = World::new(Plan::draw(&mut Random::new(seed)), seed);
        world.run();
        let changes = world.journal.changes.iter();
        seen.extend(changes.map(|(from, why, to)| (from.clone(), (*why).to_owned(), to.clone())));
    }
    let documented = documented();
    let missing: Vec<_> = seen.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&seen).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:#?}\nnever seen: {invented:#?}"
    );
}
