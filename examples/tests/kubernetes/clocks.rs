//! `kube-credential` on a machine whose clock is off.

use latchkey_tests::{Backend, MANAGEMENT, WrongClock, behaviours};
use tokio::process::Command;

use crate::cluster::{Done, age, done, opened, session, while_signing_in};
use crate::kube_credential::{Plugin, status};

behaviours! {
    a_sign_in_with_a_wrong_clock_is_told_and_answers_nothing,
    a_sign_in_that_is_kept_is_neither_used_nor_lost_while_the_clock_is_wrong,
    a_clock_that_is_off_by_seconds_asks_nobody,
}

/// Behind and ahead, by more than the leeway and than a token lives.
const WRONG: [i64; 2] = [-1200, 7200];

fn with_clock(mut command: Command, seconds: i64) -> Command {
    command.envs(WrongClock::find().unwrap().variables(seconds));
    command
}

/// What kubectl shows to the person. There is no answer that it could take for a token.
fn assert_names_the_clock(ended: &Done, seconds: i64) {
    ended.assert_failure(&["hint: set the clock of this machine"]);
    assert_eq!(ended.code, Some(1), "{seconds} {ended:?}");
}

async fn a_sign_in_with_a_wrong_clock_is_told_and_answers_nothing(backend: Backend) {
    let mut plugin = Plugin::new(backend);
    for seconds in WRONG {
        let run = done(with_clock(plugin.command(true, &[]), seconds).spawn().unwrap());
        let ended = while_signing_in(&plugin.backend, plugin.home.path(), MANAGEMENT, run).await;
        assert_names_the_clock(&ended, seconds);
        assert!(session(plugin.home.path())["id_token"].is_null(), "nothing of it is kept");
        plugin = Plugin::new(plugin.backend);
    }
}

async fn a_sign_in_that_is_kept_is_neither_used_nor_lost_while_the_clock_is_wrong(backend: Backend) {
    let plugin = Plugin::new(backend);
    let first = plugin.sign_in().await;
    for seconds in WRONG {
        // By the one clock it has ended; by the other it comes from the future, and nobody knows how old it is.
        for is_interactive in [false, true] {
            let ended = done(with_clock(plugin.command(is_interactive, &[]), seconds).spawn().unwrap()).await;
            assert_names_the_clock(&ended, seconds);
        }
    }
    assert_eq!(opened(plugin.home.path()).len(), 1, "no person could help");
    assert_eq!(status(&plugin.run(false, &[]).await), first, "it is as good as it was");
    age(plugin.home.path());
    assert_ne!(status(&plugin.run(false, &[]).await)["token"], first["token"], "and can be refreshed");
    assert_eq!(opened(plugin.home.path()).len(), 1);
}

async fn a_clock_that_is_off_by_seconds_asks_nobody(backend: Backend) {
    let plugin = Plugin::new(backend);
    let first = plugin.sign_in().await;
    let answer = async |seconds: i64| {
        status(&done(with_clock(plugin.command(false, &[]), seconds).spawn().unwrap()).await)
    };
    let ahead = answer(20).await;
    assert_eq!(ahead, first, "it has less left than it seems, and enough");
    // It comes from the future: it is refreshed once, and then kept as ever.
    let behind = answer(-20).await;
    assert_ne!(behind["token"], first["token"]);
    assert_eq!(answer(-20).await, behind);
    assert_eq!(opened(plugin.home.path()).len(), 1);
}
