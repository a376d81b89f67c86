//! A hub whose clock is off, as `libfaketime` has it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use latchkey_tests::{Backend, behaviours};

use crate::stage::Stage;

behaviours! {
    a_clock_that_is_off_is_named_once_it_is_off_by_more_than_the_leeway,
}

/// Where `libfaketime` is.
fn library() -> Option<PathBuf> {
    let folder = Path::new(&env::var_os("LATCHKEY_FAKETIME")?).join("usr/lib");
    let libraries = fs::read_dir(folder).ok()?.flatten();
    let mut libraries = libraries.map(|kind| kind.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file())
}

/// Says why no clock can be told to be wrong here.
pub fn absence() -> Option<&'static str> {
    library().is_none().then_some("libfaketime is not here (`cargo xtask tools`, on Debian)")
}

/// Lets the hub run `hub-spawn` with a clock that is so many seconds off.
fn run_with_clock(stage: &Stage, library: &Path, seconds: i64) {
    stage.run(&format!(
        "export LD_PRELOAD={} FAKETIME={seconds:+} DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n\
         exec {} \"$@\"",
        library.display(),
        stage.path("bin/real-hub-spawn").display()
    ));
}

async fn a_clock_that_is_off_is_named_once_it_is_off_by_more_than_the_leeway(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    let library = library().unwrap();
    stage.hub.sign_in(alice).await;
    // Half a minute is allowed. Ahead, a token only seems to have less left, until it seems to have ended before it came.
    for seconds in [-20, 20, 1200] {
        run_with_clock(&stage, &library, seconds);
        stage.hub.started(alice).await;
        stage.hub.stop(alice).await;
    }
    for (seconds, told) in [(-1200, "issued"), (7200, "expired")] {
        run_with_clock(&stage, &library, seconds);
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
