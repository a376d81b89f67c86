//! The world: what happens to everybody, and what happens to one token's machine.

use super::policy::SECOND;
use super::random::Random;
use super::server::Terms;

/// One minute, in milliseconds.
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// One hour, in milliseconds.
pub(crate) const HOUR: u64 = 60 * MINUTE;

/// How long the contest lasts.
pub(crate) const DAY: u64 = 24 * HOUR;

/// A time in which the server cannot be used.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// Whether calls hang until they time out, or are refused at once.
    pub(crate) hangs: bool,
}

/// What happens to everybody.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) outages: Vec<Outage>,
}

/// What happens to one token, whatever the policy.
pub(crate) struct Fate {
    pub(crate) terms: Terms,
    /// When its program starts.
    pub(crate) start: u64,
    /// When its machine sleeps.
    pub(crate) sleeps: Vec<(u64, u64)>,
}

impl World {
    /// A day with three outages and two restarts.
    pub(crate) fn new(seed: u64) -> Self {
        let outage = |from: u64, lasts: u64| Outage { from, until: from + lasts, hangs: true };
        let restart = |from: u64| Outage { from, until: from + 20 * SECOND, hangs: false };
        let outages = vec![
            outage(5 * HOUR, 2 * MINUTE),
            restart(8 * HOUR),
            outage(11 * HOUR + 13 * MINUTE, 10 * MINUTE),
            outage(18 * HOUR + 7 * MINUTE, 40 * SECOND),
            restart(20 * HOUR),
        ];
        Self { seed, outages }
    }

    /// The outage at a time, if there is one.
    pub(crate) fn outage(&self, at: u64) -> Option<&Outage> {
        self.outages.iter().find(|outage| (outage.from..outage.until).contains(&at))
    }

    /// What happens to a token.
    pub(crate) fn fate(&self, token: u32) -> Fate {
        let mut random = Random::of(self.seed, token, 1);
        let terms = match random.up_to(100) {
            0..40 => Terms { ttl: 3600, max_ttl: Some(32 * 86_400), renewable: true },
            40..65 => Terms { ttl: 1200, max_ttl: Some(4 * 3600), renewable: true },
            65..80 => Terms { ttl: 1800, max_ttl: None, renewable: true },
            80..90 => Terms { ttl: 300, max_ttl: Some(3600), renewable: true },
            _ => Terms { ttl: 3600, max_ttl: None, renewable: false },
        };
        // A deployment starts the whole fleet within a minute.
        let start = random.up_to(MINUTE);
        // Three in ten are laptops. Their lids are shut twice.
        let mut sleeps = Vec::new();
        if random.up_to(10) < 3 {
            let first = random.between(2 * HOUR, 10 * HOUR);
            sleeps.push((first, first + random.between(5 * MINUTE, 3 * HOUR)));
            let second = random.between(14 * HOUR, 20 * HOUR);
            sleeps.push((second, second + random.between(5 * MINUTE, 3 * HOUR)));
        }
        Fate { terms, start, sleeps }
    }
}

impl Fate {
    /// What the monotonic clock shows at a time: the time without the sleeps before it.
    pub(crate) fn monotonic(&self, at: u64) -> u64 {
        let slept: u64 = self.sleeps.iter().map(|(from, until)| at.min(*until).saturating_sub(*from)).sum();
        at - slept
    }

    /// When the monotonic clock shows this, the machine being awake.
    pub(crate) fn when(&self, monotonic: u64) -> u64 {
        self.sleeps
            .iter()
            .fold(monotonic, |at, (from, until)| if at >= *from { at + (until - from) } else { at })
    }

    /// A time at which the machine is awake: this one, or the end of the sleep that it falls into.
    pub(crate) fn awake(&self, at: u64) -> u64 {
        self.sleeps.iter().find(|(from, until)| (*from..*until).contains(&at)).map_or(at, |(_, until)| *until)
    }

    /// How long the machine was awake in a span.
    pub(crate) fn awake_in(&self, from: u64, until: u64) -> u64 {
        self.monotonic(until).saturating_sub(self.monotonic(from))
    }
}
