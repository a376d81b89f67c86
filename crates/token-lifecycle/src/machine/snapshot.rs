//! A machine that survives a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Machine, Retry};
use crate::Moment;
use crate::time::millis;

/// A machine at rest: all that it knows, which is nothing secret, and when that was.
///
/// The token itself is kept by whoever keeps secrets. Resume only where it is at hand; otherwise begin with
/// [`Machine::new`].
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use latchkey_token_lifecycle::{Event, Ladder, Lease, Machine, Moment, Policy, Snapshot, Step};
///
/// let ladder = Ladder::of(&[Step::Renew]);
/// let mut machine = Machine::new(Policy::default(), ladder, 1);
/// let lease = Lease::of(Duration::from_secs(3600)).renewable();
/// let (now, noon) = (Moment::from_millis(500), UNIX_EPOCH + Duration::from_secs(1_800_000_000));
/// let _ = machine.handle(Event::Supplied { lease, sent: now }, now);
///
/// let stored = serde_json::to_string(&machine.snapshot(now, noon))?;
///
/// // Ten minutes later, in another process, whose time began anew.
/// let snapshot: Snapshot = serde_json::from_str(&stored)?;
/// let now = Moment::from_millis(7);
/// let machine = snapshot.resume(now, noon + Duration::from_secs(600), 2);
/// assert_eq!(machine.expires(), Some(now + Duration::from_secs(3000)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    /// Milliseconds since 1970.
    wall: u64,
    moment: Moment,
    machine: Machine,
}

const VERSION: u32 = 1;

impl Machine {
    /// Returns the machine at rest. `wall` is what the wall's clock shows at `now`.
    ///
    /// A call that is under way is left out: whether the server acted will not be known.
    pub fn snapshot(&self, now: Moment, wall: SystemTime) -> Snapshot {
        let machine = Self { flight: None, ..self.clone() };
        Snapshot { version: VERSION, wall: since_1970(wall), moment: now, machine }
    }
}

fn since_1970(wall: SystemTime) -> u64 {
    millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Snapshot {
    /// Returns the machine, as it is at `now`. The seed should be another one than before.
    ///
    /// The time between is what the wall's clock says. If it says that it is earlier than the snapshot, nobody knows how
    /// much time has passed, and the token is taken for dead. So it is where the snapshot is of a version that this one
    /// does not know.
    pub fn resume(self, now: Moment, wall: SystemTime, seed: u64) -> Machine {
        let wall = since_1970(wall);
        let mut machine = self.machine;
        machine.flight = None;
        machine.draws = seed;
        let asleep = Duration::from_millis(wall.saturating_sub(self.wall));
        // What the old timeline would call now.
        let old_now = self.moment + asleep;
        let shift = |moment: Moment| match moment {
            Moment::START | Moment::NEVER => moment,
            _ if moment >= old_now => now + (moment - old_now),
            _ => now.before(old_now - moment),
        };
        if let Some(held) = &mut machine.held {
            for moment in [&mut held.issued, &mut held.granted, &mut held.expires, &mut held.latest] {
                *moment = shift(*moment);
            }
            held.dead |= wall < self.wall || self.version != VERSION;
        }
        for Retry { open, .. } in machine.retries.iter_mut().chain([&mut machine.probe]) {
            *open = shift(*open);
        }
        machine.due = shift(machine.due);
        machine.quiet_until = shift(machine.quiet_until);
        machine
    }
}
