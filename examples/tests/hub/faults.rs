//! What goes wrong around the servers of a hub, and that nobody is locked out by it: a hub that ends in the middle of a spawn,
//! and a token that is revoked.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use latchkey_tests::{Backend, Browser, behaviours};
use latchkey_transport::{Method, ReqwestTransport, Transport as _};
use serde_json::{Value, json};

use crate::hub::Server;
use crate::stage::{Stage, give_token};

behaviours! {
    a_hub_that_crashes_in_the_middle_of_a_spawn_locks_nobody_out,
    a_hub_that_is_restarted_in_the_middle_of_a_spawn_locks_nobody_out,
    a_token_of_the_hub_that_was_revoked_is_told_and_replaced_while_the_hub_runs,
}

/// Waits for something that comes about by itself.
async fn until(stage: &Stage, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: {}", stage.hub.told());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_running(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Has alice's server run and bob's spawn hang. Returns alice's browser, her server, and the process that hangs.
async fn in_the_middle_of_a_spawn(stage: &Stage) -> (Browser, Server, u64) {
    let [alice, bob] = &stage.people;
    let browser = stage.hub.sign_in(alice).await;
    stage.hub.sign_in(bob).await;
    let server = stage.hub.started(alice).await;
    let file = stage.path("hanging");
    let _ = fs::remove_file(&file);
    stage.run(&format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", file.display()));
    let request = stage.hub.request(Method::Post, &format!("users/{}/server", bob.name), &json!({}));
    // Nobody answers it: the hub ends before.
    tokio::spawn(async move { ReqwestTransport::new().unwrap().send(request).await });
    until(stage, "bob's spawn does not begin", async || file.exists()).await;
    (browser, server, fs::read_to_string(file).unwrap().trim().parse().unwrap())
}

async fn a_hub_that_crashes_in_the_middle_of_a_spawn_locks_nobody_out(backend: Backend) {
    let mut stage = Stage::take_turn(&backend).await;
    let stage = &mut *stage;
    let [alice, bob] = stage.people.clone();
    let (browser, server, hanging) = in_the_middle_of_a_spawn(stage).await;
    stage.hub.end("-KILL").await;
    assert!(is_running(server.pid) && is_running(hanging), "nobody was there to end them");
    // As whatever watches over the hub's services does; what hangs ends by itself.
    stage.end_services();
    Command::new("kill").arg(hanging.to_string()).status().unwrap();
    stage.run_program();
    stage.hub.begin().await;

    assert_eq!(stage.hub.server(&alice).await.pid, server.pid, "the server that ran still does");
    let page = stage.hub.page(&browser, "hub/home").await;
    assert_eq!((page.status, page.address.path()), (200, "/hub/home"), "alice is still signed in");
    stage.hub.started(&bob).await;
    for person in [&alice, &bob] {
        stage.hub.stop(person).await;
        assert_eq!(fs::read_dir(stage.runtime(person)).unwrap().count(), 0, "no secret is left");
        stage.hub.started(person).await;
        stage.hub.stop(person).await;
    }
    assert!(!is_running(server.pid));
}

async fn a_hub_that_is_restarted_in_the_middle_of_a_spawn_locks_nobody_out(backend: Backend) {
    let mut stage = Stage::take_turn(&backend).await;
    let stage = &mut *stage;
    let [alice, bob] = stage.people.clone();
    let (browser, server, hanging) = in_the_middle_of_a_spawn(stage).await;
    stage.hub.end("-TERM").await;
    // A hub that is told to end takes its servers with it, and what hangs as well.
    until(stage, "something lives on", async || !is_running(server.pid) && !is_running(hanging)).await;
    stage.run_program();
    stage.hub.begin().await;

    let page = stage.hub.page(&browser, "hub/home").await;
    assert_eq!((page.status, page.address.path()), (200, "/hub/home"), "alice is still signed in");
    let (of_alice, of_bob) = tokio::join!(stage.hub.started(&alice), stage.hub.started(&bob));
    assert!(of_alice.pid != server.pid && of_bob.variable("VAULT_OIDC_TOKEN").is_some());
    for person in [&alice, &bob] {
        stage.hub.stop(person).await;
    }
}

async fn a_token_of_the_hub_that_was_revoked_is_told_and_replaced_while_the_hub_runs(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    let root = stage.vault.root().expose_secret();
    let old = stage.hub_token();
    let (status, said) = stage.call(root, Method::Post, "auth/token/revoke", json!({"token": old})).await;
    assert_eq!(status, 204, "{said}");
    // Not even where an operator does without a Vault that is down: this one is up.
    for _ in 0..2 {
        let (status, message) = stage.hub.refused(alice).await;
        assert_eq!(status, 503, "{message}");
        assert!(message.contains("does not know this hub any more"), "{message}");
        assert!(message.contains("whoever runs this hub, who gives it a new one"), "{message}");
    }
    let log = stage.hub.told();
    assert!(log.contains("Vault does not take the hub's own token any more"), "{log}");
    assert!(log.contains("make a new one") && log.contains("/vault-token"), "{log}");
    assert!(!log.contains(&old), "the token is in the log");

    give_token(&stage.vault, "hub-spawn", &stage.path("vault-token")).await;
    stage.hub.started(alice).await;
    stage.hub.stop(alice).await;
    // And from here on that one is kept alive: one with minutes left is renewed at once.
    let new = stage.hub_token();
    until(&stage, "the new token is not renewed", async || {
        let (status, told) = stage.call(&new, Method::Get, "auth/token/lookup-self", Value::Null).await;
        assert_eq!(status, 200, "{told}");
        told["data"]["last_renewal_time"].as_u64().is_some()
    })
    .await;
}
