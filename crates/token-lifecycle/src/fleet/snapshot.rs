//! A fleet that survives a restart.

use std::num::NonZeroUsize;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::slots::Slot;
use super::{Fleet, LeaseId};
use crate::{Moment, Snapshot};

/// A fleet at rest: every machine under its name, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    leases: Vec<(LeaseId, Snapshot)>,
    /// Names that were not given yet, for places that are free: an old name is not used again.
    free: Vec<LeaseId>,
}

impl Fleet {
    /// Returns the fleet at rest. `wall` is what the wall's clock shows at `now`.
    ///
    /// Calls that are under way are left out: whether the server acted will not be known.
    pub fn snapshot(&self, now: Moment, wall: SystemTime) -> FleetSnapshot {
        let leases = self.leases().map(|(lease, machine)| (lease, machine.snapshot(now, wall)));
        let free = self
            .free
            .iter()
            .filter_map(|&index| Some(LeaseId { index, generation: self.slots.get(index)?.generation }));
        FleetSnapshot { leases: leases.collect(), free: free.collect() }
    }
}

impl FleetSnapshot {
    /// Returns the names of the tokens: what is not at hand any more is removed after [`resume`](Self::resume).
    pub fn leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        self.leases.iter().map(|(lease, _)| *lease)
    }

    /// Returns the fleet as it is at `now`. Every token has its old name.
    ///
    /// What came due in the meantime is due at once: the limit is what keeps it from being a herd. Snapshots can come from
    /// anywhere: of two machines under one name the first one counts, and names with a hole of more than a million before
    /// them are left out.
    pub fn resume(self, limit: NonZeroUsize, now: Moment, wall: SystemTime, seed: u64) -> Fleet {
        const HOLE: usize = 1_000_000;
        let mut fleet = Fleet::new(limit);
        let taken = self.leases.into_iter().map(|(lease, snapshot)| (lease, Some(snapshot)));
        let mut places: Vec<_> = taken.chain(self.free.into_iter().map(|lease| (lease, None))).collect();
        places.sort_by_key(|(lease, _)| lease.index);
        for (number, (LeaseId { index, generation }, snapshot)) in (0u64..).zip(places) {
            let at = index as usize;
            if at < fleet.slots.len() || at - fleet.slots.len() > HOLE {
                continue;
            }
            while fleet.slots.len() < at {
                fleet.free.push(u32::try_from(fleet.slots.len()).unwrap_or_default());
                fleet.slots.push(Slot::empty(0));
            }
            let own_seed = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let machine = snapshot.map(|snapshot| snapshot.resume(now, wall, own_seed));
            let lives = machine.is_some();
            fleet.slots.push(Slot { machine, ..Slot::empty(generation) });
            if lives {
                fleet.set_timer(index, now);
            } else {
                fleet.free.push(index);
            }
        }
        fleet
    }
}
