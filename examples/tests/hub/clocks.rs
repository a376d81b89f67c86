//! A hub whose clock is off, as `libfaketime` has it.

use latchkey_tests::{Backend, WrongClock, behaviours};

use crate::stage::Stage;

behaviours! {
    a_clock_that_is_off_is_named_once_it_is_off_by_more_than_the_leeway,
}

/// Says why no clock can be told to be wrong here.
pub fn absence() -> Option<&'static str> {
    WrongClock::find().is_none().then_some(WrongClock::ABSENT)
}

/// Lets the hub run `hub-spawn` with a clock that is so many seconds off.
fn run_with_clock(stage: &Stage, clock: &WrongClock, seconds: i64) {
    let variables = clock.variables(seconds).map(|(name, value)| format!("{name}={value}")).join(" ");
    stage.run(&format!("export {variables}\nexec {} \"$@\"", stage.path("bin/real-hub-spawn").display()));
}

async fn a_clock_that_is_off_is_named_once_it_is_off_by_more_than_the_leeway(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    let clock = WrongClock::find().unwrap();
    stage.hub.sign_in(alice).await;
    // Half a minute is allowed. Ahead, a token only seems to have less left, until it seems to have ended before it came.
    for seconds in [-20, 20, 1200] {
        run_with_clock(&stage, &clock, seconds);
        stage.hub.started(alice).await;
        stage.hub.stop(alice).await;
    }
    for (seconds, told) in [(-1200, "issued"), (7200, "expired")] {
        run_with_clock(&stage, &clock, seconds);
        let (status, message) = stage.hub.refused(alice).await;
        assert_eq!(status, 503, "{seconds}: {message} {}", stage.hub.told());
        assert!(message.contains("clocks do not agree"), "{seconds}: {message}");
        assert!(message.contains("whoever runs this hub, so that the clock is set"), "{seconds}: {message}");
        let log = stage.hub.told();
        let problem = log.lines().rev().find(|line| line.contains("is this machine's clock right?"));
        assert!(problem.is_some_and(|line| line.contains(told)), "{seconds}: {problem:?}");
    }
    stage.run_program();
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
}
