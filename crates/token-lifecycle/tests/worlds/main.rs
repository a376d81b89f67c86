//! The machine in a hundred thousand random worlds, and what must hold in each of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something unexpected happens")]

mod account;
mod diagram;
mod exhaustive;
mod plan;
mod random;
mod world;

use account::Account;
use plan::Plan;
use random::Random;
use world::World;

/// How many worlds a test run lives through.
const WORLDS: u64 = 100_000;

/// Runs one world; a failure names the seed, and `LATCHKEY_WORLD=<seed>` runs that one alone.
fn live(seed: u64, account: &mut Account) {
    let plan = Plan::draw(&mut Random::new(seed));
    let outcome = std::panic::catch_unwind(|| {
        let mut world = World::new(plan.clone(), seed);
        world.run();
        world.account()
    });
    // What went wrong was printed where it did.
    let Ok(lived) = outcome else { panic!("in world {seed} (replay with LATCHKEY_WORLD={seed}): {plan:#?}") };
    account.add(&lived);
}

#[test]
fn no_world_breaks_a_promise() {
    let mut account = Account::default();
    #[expect(clippy::disallowed_methods, reason = "a person replays a world")]
    if let Ok(seed) = std::env::var("LATCHKEY_WORLD") {
        return live(seed.parse().unwrap(), &mut account);
    }
    for seed in 0..WORLDS {
        live(seed, &mut account);
    }
    println!("{account:#?}");
    // A check of worlds in which nothing happens would hold as well.
    account.assert_that_much_happened(WORLDS);
}
