//! Programs whose machine has a wrong clock.

use latchkey_tests::{Backend, READER, WrongClock, behaviours};
use serde_json::Value;

use crate::secrets::notebook;
use crate::support::{CONTENT, ground, login_with, sign_in};

behaviours! {
    a_pasted_sign_in_with_a_wrong_clock_is_told_and_writes_nothing,
    a_store_does_not_care_about_the_clock,
}

const OFF: [i64; 4] = [-86_400, -1200, 7200, 86_400];

async fn a_pasted_sign_in_with_a_wrong_clock_is_told_and_writes_nothing(backend: Backend) {
    let ground = ground(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let signed_in = async |via: &str, seconds: i64| {
        let clock = WrongClock::find().unwrap().variables(seconds);
        let clock = clock.each_ref().map(|(name, value)| (*name, value.as_str()));
        let arguments =
            ["--via", via, "--flow", "oob", "--field", "data", "--force", "--out", file.to_str().unwrap()];
        let mut login = login_with(&ground.backend, &arguments, &clock);
        let address = login.address().await;
        let page = sign_in(&ground.backend, &address, READER).await;
        login.paste(page.address.as_str()).await;
        login.end().await
    };
    for seconds in OFF {
        signed_in("provider", seconds).await.assert_failed(1, &["hint: set the clock of this machine"]);
        assert!(!file.exists(), "{seconds}");
    }
    // Within the leeway; and Vault checks the tokens that it gets by its own clock.
    for (via, seconds) in [("provider", -20), ("provider", 20), ("vault", -86_400), ("vault", 86_400)] {
        let done = signed_in(via, seconds).await;
        assert!(done.is_success(), "{via} {seconds} {done:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), CONTENT);
        std::fs::remove_file(&file).unwrap();
    }
}

async fn a_store_does_not_care_about_the_clock(backend: Backend) {
    let notebook = notebook(backend).await;
    for seconds in OFF {
        let clock = WrongClock::find().unwrap().variables(seconds);
        let clock = clock.each_ref().map(|(name, value)| (*name, value.as_str()));
        let text = seconds.to_string();
        let put = notebook.secrets_with(&["put", "key", "written"], &text, &clock).await;
        assert!(put.is_success(), "{put:?}");
        let done = notebook.secrets_with(&["get", "key", "--field", "written"], "", &clock).await;
        assert_eq!((done.code, done.text()), (Some(0), text), "{done:?}");
        let done = notebook.secrets_with(&["status", "--json"], "", &clock).await;
        let status: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert!(status["seconds_left"].as_u64().unwrap() > 80_000, "by the server's clock: {status}");
    }
}
