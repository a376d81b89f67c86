//! What is true of a world from its beginning.

use latchkey_token_lifecycle::{Ladder, Step};

use crate::random::Random;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// What is true of a world from its beginning. All times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) ttl: u64,
    /// The longest life of a token, and whether the server tells it.
    pub(crate) max: Option<u64>,
    pub(crate) tells_max: bool,
    pub(crate) periodic: bool,
    pub(crate) renewable: bool,
    pub(crate) counted: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) person: bool,
    /// May the token renew itself?
    pub(crate) may_renew: bool,
    pub(crate) latency: u64,
    /// From, until, and what the server does meanwhile.
    pub(crate) outages: Vec<(u64, u64, Trouble)>,
    /// The token is revoked at these times.
    pub(crate) revocations: Vec<u64>,
    pub(crate) says_invalid: bool,
    /// The computer sleeps from, until.
    pub(crate) sleeps: Vec<(u64, u64)>,
    /// The wall's clock is set, by so much.
    pub(crate) settings: Vec<(u64, i64)>,
    /// A request uses the token.
    pub(crate) requests: Vec<u64>,
    /// The network is said to be back.
    pub(crate) nudges: Vec<u64>,
    /// Somebody puts a token in, unasked.
    pub(crate) supplies: Vec<u64>,
    /// How long a person takes who is asked.
    pub(crate) patience: u64,
    /// The program ends, and begins again so much later with what it had stored.
    pub(crate) restarts: Vec<(u64, u64)>,
    pub(crate) horizon: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Refuses at once: no connection, sealed.
    Refuses,
    /// The same, and asks for so many milliseconds of rest.
    AsksForRest(u64),
    /// Takes the call and does not answer.
    Hangs,
    /// Acts, and answers so many milliseconds later.
    IsSlow(u64),
    /// Acts, and the answer is lost.
    LosesAnswers,
    /// The login is refused: the role is gone.
    RefusesLogins,
}

impl Plan {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let ttl = match random.within(0..10) {
            0 => random.within(2..16) * SECOND,
            1 => random.pick(&[MINUTE, HOUR, DAY, 32 * DAY]),
            _ => random.any_size(2..32 * DAY / SECOND) * SECOND,
        };
        let horizon = ttl * random.within(2..6);
        let within = |random: &mut Random, most: u64| {
            let count = random.within(0..most + 1);
            (0..count).map(|_| random.within(0..horizon)).collect::<Vec<_>>()
        };
        let outages = within(random, 3).into_iter().map(|from| {
            let trouble = match random.within(0..7) {
                0 | 1 => Trouble::Refuses,
                2 => Trouble::AsksForRest(random.any_size(1..4000) * SECOND),
                3 => Trouble::Hangs,
                4 => Trouble::LosesAnswers,
                5 => Trouble::IsSlow(random.any_size(1..90) * SECOND),
                _ => Trouble::RefusesLogins,
            };
            let longest = match random.within(0..20) {
                0 => 6 * HOUR,
                1..6 => (ttl * 2).min(HOUR),
                _ => (ttl / 2).min(20 * MINUTE),
            };
            (from, from + random.any_size(1..longest.max(2)), trouble)
        });
        let outages: Vec<_> = outages.collect();
        let outages = if random.once_in(3) { Vec::new() } else { outages };
        let sleeps = if random.once_in(4) { within(random, 2) } else { Vec::new() };
        let sleeps = sleeps.into_iter().map(|from| (from, from + random.any_size(1..9 * HOUR))).collect();
        let settings = if random.once_in(4) { within(random, 2) } else { Vec::new() };
        let settings = settings.into_iter().map(|at| {
            let by = i64::try_from(random.any_size(1..3 * DAY)).unwrap();
            (at, if random.once_in(2) { by } else { -by })
        });
        let settings = settings.collect();
        let steps: &[Step] = match random.within(0..8) {
            0 => &[Step::Renew],
            1 => &[Step::SignIn],
            2 => &[Step::Refresh],
            3 => &[Step::Renew, Step::SignIn],
            4 => &[Step::Refresh, Step::SignIn],
            5 => &[Step::Renew, Step::Refresh, Step::SignIn, Step::Probe],
            _ => &[Step::Renew, Step::SignIn, Step::Probe],
        };
        Self {
            ttl,
            max: random.once_in(2).then(|| ttl * random.within(10..60) / 10 / SECOND * SECOND),
            tells_max: random.once_in(2),
            periodic: random.once_in(8),
            renewable: !random.once_in(4),
            counted: random.once_in(12),
            steps: steps.to_vec(),
            person: random.once_in(3),
            may_renew: !random.once_in(12),
            latency: random.any_size(1..(ttl / 40).clamp(2, 3 * SECOND)),
            outages,
            revocations: if random.once_in(4) { within(random, 2) } else { Vec::new() },
            says_invalid: random.once_in(2),
            sleeps,
            settings,
            requests: within(random, 30),
            nudges: if random.once_in(4) { within(random, 4) } else { Vec::new() },
            supplies: if random.once_in(8) { within(random, 2) } else { Vec::new() },
            patience: random.any_size(1..HOUR),
            restarts: if random.once_in(8) {
                within(random, 2).into_iter().map(|at| (at, random.any_size(1..ttl))).collect()
            } else {
                Vec::new()
            },
            horizon,
        }
    }

    pub(crate) fn ladder(&self) -> Ladder {
        let ladder = Ladder::of(&self.steps);
        if self.person { ladder.with_person() } else { ladder }
    }

    pub(crate) fn can_replace(&self) -> bool {
        self.steps.contains(&Step::SignIn)
    }

    /// Nothing goes wrong in this world.
    pub(crate) fn is_calm(&self) -> bool {
        self.outages.is_empty()
            && self.revocations.is_empty()
            && self.sleeps.is_empty()
            && self.settings.is_empty()
            && self.restarts.is_empty()
    }

    pub(crate) fn trouble(&self, at: u64) -> Option<Trouble> {
        self.outages.iter().find(|(from, until, _)| (*from..*until).contains(&at)).map(|outage| outage.2)
    }
}
