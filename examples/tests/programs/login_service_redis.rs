//! `login-service` and its Redis: how it is reached, what it may refuse, and what becomes of people meanwhile.

use std::fs;

use latchkey_tests::kubernetes::Certificate;
use latchkey_tests::{Backend, OwnRedis, Place, READER, behaviours};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::replicas::{PATIENCE, Replicas, until};

/// It is about the service and its Redis alone, whoever signs people in.
const ONCE: &str = "it is about the service alone";

behaviours! {
    #[not_on(Place::Real, ONCE)]
    redis_is_reached_with_tls_by_a_user_that_may_do_no_more_than_the_readme_says,
    #[not_on(Place::Real, ONCE)]
    a_redis_that_shows_a_foreign_certificate_is_told_and_gets_no_password,
    #[not_on(Place::Real, ONCE)]
    a_redis_that_refuses_the_password_is_told,
    #[not_on(Place::Real, ONCE)]
    a_redis_that_is_full_is_told_and_ends_no_session,
    #[not_on(Place::Real, ONCE)]
    a_redis_that_stands_still_keeps_nobody_waiting_for_long,
    #[not_on(Place::Real, ONCE)]
    a_certificate_is_looked_at_or_not_spoken_of,
}

/// Somebody's CA, in a file.
fn ca(certificate: &Certificate) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    fs::write(&path, &certificate.pem).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

async fn redis_is_reached_with_tls_by_a_user_that_may_do_no_more_than_the_readme_says(backend: Backend) {
    let readme = include_str!("../../README.md");
    let rules = readme.lines().find_map(|line| line.strip_prefix("ACL SETUSER ")).unwrap();
    let rules = rules.replace("PASSWORD", OwnRedis::PASSWORD);
    let rules: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rules.split(' ')).collect();
    let certificate = Certificate::generate().unwrap();
    let (_folder, ca) = ca(&certificate);
    let redis = OwnRedis::start_with(&certificate).unwrap();
    let address = redis.tls_address(rules[2]).unwrap();
    let replicas = Replicas::at(&backend, redis, &["--redis", &address, "--redis-ca", &ca]).await;
    let ready = async || replicas.get("/readyz").await;
    assert_eq!(ready().await.status(), 503, "there is no such user yet");
    replicas.command_of_redis(&rules).await;
    // And nobody comes in as anybody else.
    replicas.command_of_redis(&["ACL", "SETUSER", "default", "resetpass", ">another-password"]).await;
    until("all replicas", async || {
        ready().await.status() == 200 && ready().await.status() == 200 && ready().await.status() == 200
    })
    .await;
    // All that it ever does: a sign-in, a session, both ways out.
    let (browser, other) = (replicas.signed_in().await, replicas.signed_in().await);
    replicas.sign_out_at_provider(&browser).await;
    until("the sign-out", async || browser.open(&replicas.url("/me"), None).await.unwrap().status == 401)
        .await;
    let home = other.open(&replicas.url("/"), None).await.unwrap();
    other.submit(&home, &[], None).await.unwrap();
    assert!(!replicas.knows(&other).await);
    replicas.terminate_all().await;
    assert!(!replicas.said().contains(OwnRedis::PASSWORD));
}

async fn a_redis_that_shows_a_foreign_certificate_is_told_and_gets_no_password(backend: Backend) {
    let (_folder, ca) = ca(&Certificate::generate().unwrap());
    let redis = OwnRedis::start_with(&Certificate::generate().unwrap()).unwrap();
    let address = redis.tls_address("").unwrap().replace("//@", "//");
    let replicas = Replicas::at(&backend, redis, &["--redis", &address, "--redis-ca", &ca]).await;
    let ready = replicas.get("/readyz").await;
    assert_eq!(ready.status(), 503);
    let told = String::from_utf8_lossy(ready.body()).into_owned();
    assert!(told.contains("certificate that is not trusted") && told.contains("--redis-ca"), "{told}");
    let page = replicas.browser().open(&replicas.url("/login"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (503, "/login"), "{}", page.html);
    assert_eq!(replicas.get("/healthz").await.status(), 200);
    // This look alone has shown a password.
    let commands = replicas.statistics("commandstats").await;
    assert!(commands.contains("cmdstat_auth:calls=1,"), "{commands}");
    replicas.terminate_all().await;
    assert!(replicas.said().contains("invalid peer certificate"), "{}", replicas.said());
}

async fn a_redis_that_refuses_the_password_is_told(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    replicas.command_of_redis(&["CONFIG", "SET", "requirepass", "another-one"]).await;
    // Whoever is connected stays so; a new replica is not let in.
    assert!(replicas.knows(&browser).await);
    assert!(replicas.terminate(0).await);
    replicas.start(0).await;
    let ready = replicas.get_at(0, "/readyz").await;
    let told = String::from_utf8_lossy(ready.body()).into_owned();
    assert_eq!(ready.status(), 503);
    assert!(told.contains("does not take the user or the password"), "{told}");
    replicas.terminate_all().await;
    assert!(!replicas.said().contains(OwnRedis::PASSWORD));
}

async fn a_redis_that_is_full_is_told_and_ends_no_session(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (browser, waiting) = (replicas.signed_in().await, replicas.browser());
    let callback = replicas.callback(&waiting, READER).await;
    replicas.command_of_redis(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for (who, url) in [(&browser, replicas.url("/login")), (&waiting, callback)] {
        let page = who.open(&url, None).await.unwrap();
        assert_eq!(page.status, 503, "{}", page.html);
        assert!(page.html.contains("try again"), "{}", page.html);
    }
    assert!(replicas.knows(&browser).await, "what is there is served");
    replicas.command_of_redis(&["CONFIG", "SET", "maxmemory", "0"]).await;
    // That sign-in is spent, as the provider's code is; the provider still knows who it was.
    let page = waiting.open(&replicas.url("/login"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"), "{}", page.html);
    assert!(replicas.knows(&waiting).await && replicas.knows(&browser).await);
    assert!(replicas.said().contains("OOM"), "the log has the reason: {}", replicas.said());
}

async fn a_redis_that_stands_still_keeps_nobody_waiting_for_long(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    replicas.redis.stand_still(true).unwrap();
    for path in ["/me", "/login", "/readyz"] {
        let page = timeout(PATIENCE, browser.open(&replicas.url(path), None)).await.unwrap().unwrap();
        assert_eq!((page.status, page.address.path()), (503, path), "{}", page.html);
    }
    assert_eq!(replicas.get("/healthz").await.status(), 200);
    replicas.redis.stand_still(false).unwrap();
    until("all replicas", async || {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(replicas.get("/readyz").await.status());
        }
        statuses == [200, 200, 200]
    })
    .await;
    assert!(replicas.knows(&browser).await, "nothing was lost");
}

async fn a_certificate_is_looked_at_or_not_spoken_of(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (_folder, ca) = ca(&Certificate::generate().unwrap());
    let keys = replicas.keys().display().to_string();
    for (arguments, told) in [
        (["--redis", "rediss://127.0.0.1:1/0#insecure", "--redis-ca", &ca], "#insecure"),
        (["--redis", "redis://127.0.0.1:1/0", "--redis-ca", &ca], "--redis-ca is for rediss://"),
        (["--redis", "rediss://127.0.0.1:1/0", "--redis-ca", &keys], "no certificates"),
        (["--redis", "rediss://127.0.0.1:1/0", "--redis-ca", "/nonexistent"], "--redis-ca /nonexistent"),
    ] {
        let output = timeout(PATIENCE, replicas.bare().args(arguments).output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told) && said.contains("hint:"), "{arguments:?}: {said}");
    }
}
