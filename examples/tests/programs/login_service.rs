//! `login-service`: three replicas behind a round-robin, a real Redis, and a provider.

use std::time::Duration;

use latchkey_testbed::{Fault, Target};
use latchkey_tests::{Backend, MANAGEMENT, OwnRedis, Place, READER, behaviours};
use latchkey_transport::{Method, Request};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use crate::replicas::{Replicas, until};

behaviours! {
    a_login_begins_on_one_replica_and_ends_on_another,
    a_callback_replayed_on_another_replica_is_refused,
    a_callback_meant_for_somebody_else_is_refused_and_stays_theirs,
    a_sign_out_at_the_provider_ends_the_session_on_every_replica,
    signing_out_ends_the_session_here_and_at_the_provider,
    #[not_on(Place::Real, "it is about the service alone")]
    two_tabs_of_a_browser_sign_in_beside_each_other,
    #[not_on(Place::Real, "it is about the service alone")]
    every_sign_in_has_a_session_of_its_own_and_none_can_be_planted,
    #[not_on(Place::Real, "it is about the service alone")]
    a_form_of_another_site_ends_nothing,
    #[not_on(Place::Real, "it is about the service alone")]
    nobody_is_sent_to_another_site,
    #[not_on(Place::Real, "it is about the service alone")]
    redis_sees_nothing_and_forgets_everything,
    #[not_on(Place::Real, "it is about the service alone")]
    any_replica_may_be_killed_between_two_requests,
    #[not_on(Place::Real, "the real provider does not wait on request")]
    a_replica_killed_in_the_middle_of_a_callback_loses_that_request_alone,
    #[not_on(Place::Real, "the real provider does not wait on request")]
    a_replica_that_is_told_to_end_finishes_the_callback_first,
    #[not_on(Place::Real, "the real provider does not wait on request")]
    a_sign_out_that_overtakes_the_callback_wins,
    #[not_on(Place::Real, "it is about the service alone")]
    a_redis_that_restarts_is_told_and_never_makes_a_loop,
}

async fn a_login_begins_on_one_replica_and_ends_on_another(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    assert_eq!(replicas.get("/healthz").await.status(), 200);
    let login = replicas.get("/login").await;
    let cookie = login.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-login="), "{cookie}");
    for flag in ["; Path=/;", "; Secure;", "; HttpOnly;", "; SameSite=Lax"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    for (name, value) in [("cache-control", "no-store"), ("x-frame-options", "DENY")] {
        assert_eq!(login.header(name), Some(value));
    }

    let browser = replicas.browser();
    assert!(!replicas.knows(&browser).await);
    let page = replicas.sign_in(&browser, READER).await;
    assert_eq!(page.address.path(), "/");
    assert!(page.html.contains("You are signed in as"), "{}", page.html);
    assert_ne!(replicas.balancer.served("/login"), replicas.balancer.served("/callback"));
    assert!(replicas.knows(&browser).await);
    replicas.terminate_all().await;
    assert!(replicas.said().contains("signed in"));
}

async fn a_callback_replayed_on_another_replica_is_refused(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    let callback = replicas.callback(&browser, READER).await;
    assert_eq!(browser.open(&callback, None).await.unwrap().status, 200);
    let mut asked = Vec::new();
    for _ in 0..3 {
        let again = browser.open(&callback, None).await.unwrap();
        assert_eq!(again.status, 400, "{}", again.html);
        assert!(again.html.contains("not under way"), "{}", again.html);
        asked.push(replicas.balancer.served("/callback"));
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    assert!(replicas.knows(&browser).await, "whoever is signed in stays so");

    // And two at once: one of them at the most.
    let browser = replicas.browser();
    let callback = replicas.callback(&browser, READER).await;
    let (one, other) = tokio::join!(browser.open(&callback, None), browser.open(&callback, None));
    let mut statuses = [one.unwrap().status, other.unwrap().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

async fn a_callback_meant_for_somebody_else_is_refused_and_stays_theirs(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (theirs, ours) = (replicas.browser(), replicas.browser());
    let callback = replicas.callback(&theirs, MANAGEMENT).await;
    // Without any sign-in of its own, with one under way, and signed in as somebody else.
    let refused = async || {
        let page = ours.open(&callback, None).await.unwrap();
        assert_eq!(page.status, 400, "{}", page.html);
    };
    refused().await;
    assert!(!replicas.knows(&ours).await);
    let own = replicas.callback(&ours, READER).await;
    refused().await;
    assert!(!replicas.knows(&ours).await);
    assert_eq!(ours.open(&own, None).await.unwrap().status, 200);
    refused().await;
    let name = async |browser: &latchkey_tests::Browser| {
        browser.open(&replicas.url("/me"), None).await.unwrap().html.to_lowercase()
    };
    assert!(name(&ours).await.contains("reader"));
    // They have lost nothing by it.
    let page = theirs.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(!name(&theirs).await.contains("reader"));
}

async fn a_sign_out_at_the_provider_ends_the_session_on_every_replica(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (browser, other) = (replicas.signed_in().await, replicas.signed_in().await);
    replicas.sign_out_at_provider(&browser).await;
    until("the sign-out", async || browser.open(&replicas.url("/me"), None).await.unwrap().status == 401)
        .await;
    assert!(!replicas.knows(&browser).await);
    assert!(replicas.knows(&other).await, "another session of the same person goes on");

    for body in ["", "logout_token=x", "logout_token=a.b.c&logout_token=a.b.c"] {
        let request = Request::for_url(Method::Post, replicas.url("/backchannel-logout"))
            .with_body("application/x-www-form-urlencoded", body);
        assert_eq!(replicas.ask(request).await.status(), 400, "{body}");
    }
    assert!(replicas.knows(&other).await);
}

async fn signing_out_ends_the_session_here_and_at_the_provider(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    let home = browser.open(&replicas.url("/"), None).await.unwrap();
    // The provider asks.
    let there = browser.submit(&home, &[], None).await.unwrap();
    assert!(there.address.path().contains("/logout"), "{}", there.address.path());
    assert!(!replicas.knows(&browser).await, "here it is over at once");
    let back = browser.submit(&there, &[("confirmLogout", "Logout")], None).await.unwrap();
    assert_eq!((back.status, back.address.path()), (200, "/signed-out"), "{}", back.html);
    let stop = replicas.url("/callback");
    let login = browser.open(&replicas.url("/login"), Some(stop.as_str())).await.unwrap();
    assert!(login.html.contains("password"), "the provider asks for the password again: {}", login.html);
}

async fn two_tabs_of_a_browser_sign_in_beside_each_other(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    let stop = replicas.url("/callback");
    let one = replicas.callback(&browser, READER).await;
    let other = browser.open(&replicas.url("/login?next=/me"), Some(stop.as_str())).await.unwrap().address;
    let page = browser.open(&other, None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/me"));
    let page = browser.open(&one, None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"));
}

async fn every_sign_in_has_a_session_of_its_own_and_none_can_be_planted(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let session = |page: &latchkey_transport::Reply| {
        let cookies = page.headers().iter().filter(|(name, _)| *name == "set-cookie");
        let mut sessions = cookies.filter_map(|(_, cookie)| {
            cookie.strip_prefix("__Host-session=")?.split(';').next().map(str::to_owned)
        });
        sessions.next().unwrap()
    };
    let ask = async |path: &str, cookies: String| {
        let url = if path.starts_with('/') { replicas.url(path) } else { Url::parse(path).unwrap() };
        replicas.ask(Request::for_url(Method::Get, url).with_header("cookie", cookies)).await
    };
    let mut before = "planted".to_owned();
    for _ in 0..2 {
        let login = replicas.get("/login").await;
        let browser = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let there = login.header("location").unwrap();
        let callback = replicas.world().provider().sign_in(there, "reader", "reader").unwrap().unwrap();
        let back = ask(&callback, format!("{browser}; __Host-session={before}")).await;
        assert_eq!(back.status(), 303);
        let id = session(&back);
        assert_ne!(id, before);
        assert_eq!(ask("/me", format!("__Host-session={id}")).await.status(), 200);
        assert_eq!(ask("/me", format!("__Host-session={before}")).await.status(), 401, "the old one is over");
        let twice = format!("__Host-session={id}; __Host-session={before}");
        assert_eq!(ask("/me", twice).await.status(), 401, "two are none");
        before = id;
    }
}

async fn a_form_of_another_site_ends_nothing(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (browser, other) = (replicas.signed_in().await, replicas.signed_in().await);
    let mut home = browser.open(&replicas.url("/"), None).await.unwrap();
    let own = home.hidden_fields()[0].1.clone();
    let foreign = other.open(&replicas.url("/"), None).await.unwrap().hidden_fields()[0].1.clone();
    assert_ne!(own, foreign);
    let page = home.html.clone();
    for token in [foreign.as_str(), "", "x"] {
        home.html = page.replace(&own, token);
        let answer = browser.submit(&home, &[], None).await.unwrap();
        assert_eq!(answer.status, 403, "{}", answer.html);
        assert!(replicas.knows(&browser).await);
    }
    // A link, or a picture, ends nothing either.
    assert_eq!(browser.open(&replicas.url("/logout"), None).await.unwrap().status, 405);
    assert!(replicas.knows(&browser).await);
}

async fn nobody_is_sent_to_another_site(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    for (wanted, path) in [
        ("/me", "/me"),
        ("/me?a=b%26c", "/me"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/%5Cevil.example/", "/"),
        ("\\\\evil.example/", "/"),
        ("/%09/evil.example/", "/"),
        ("me", "/"),
    ] {
        let mut login = replicas.url("/login");
        login.set_query(Some(&format!("next={wanted}")));
        let page = browser.open(&login, None).await.unwrap();
        assert_eq!(page.address.host_str(), replicas.base.host_str(), "{wanted}");
        assert_eq!((page.status, page.address.path()), (200, path), "{wanted}");
    }
}

async fn redis_sees_nothing_and_forgets_everything(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    let callback = replicas.callback(&browser, READER).await;
    let pending = replicas.kept().await;
    let world = replicas.world();
    let state = callback.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    assert_eq!(pending.len(), 1);
    browser.open(&callback, None).await.unwrap();
    let me = browser.open(&replicas.url("/me"), None).await.unwrap().html;
    let me: Value = serde_json::from_str(&me).unwrap();
    let kept = replicas.kept().await;
    // A session, and how to find it by its person and by the provider's session.
    assert_eq!(kept.len(), 3, "{kept:?}");
    for text in pending.iter().chain(&kept) {
        for secret in [&state, me["subject"].as_str().unwrap(), "reader", "return_to", "nonce", "issuer"] {
            assert!(!text.contains(secret), "{secret}");
        }
        assert_eq!(world.canary().find_in(text), None);
    }
    replicas.terminate_all().await;
    assert_eq!(world.canary().find_in(&replicas.said()), None);
    assert!(!replicas.said().contains(OwnRedis::PASSWORD) && !replicas.said().contains(&state));
}

async fn any_replica_may_be_killed_between_two_requests(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    // The one that began it is gone before the person comes back.
    let callback = replicas.callback(&browser, READER).await;
    replicas.kill(replicas.balancer.served("/login")).await;
    let page = browser.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.html);
    // So is the one that finished it, before the next request.
    let finished = replicas.balancer.served("/callback");
    replicas.kill(finished).await;
    for _ in 0..3 {
        assert_eq!(browser.open(&replicas.url("/me"), None).await.unwrap().status, 200);
    }
    // A new one knows as much as the others.
    replicas.start(finished).await;
    for _ in 0..4 {
        let page = browser.open(&replicas.url("/me"), None).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.html);
    }
}

/// Begins a callback that stops in the middle, after the provider has given the tokens, and waits until it is there.
async fn in_the_middle(
    replicas: &Replicas,
    browser: &latchkey_tests::Browser,
    then: impl AsyncFnOnce(usize),
) -> latchkey_tests::Page {
    let callback = replicas.callback(browser, READER).await;
    let path = "/realms/HashiCorp/protocol/openid-connect/token";
    let asked = || replicas.world().requests().iter().filter(|handled| handled.path == path).count();
    let before = asked();
    replicas.world().faults().inject(Target::provider(path), 1, Fault::Delay(Duration::from_secs(3)));
    let next = (replicas.balancer.served("/login") + 1) % replicas.pids().len();
    let (page, ()) = tokio::join!(browser.open(&callback, None), async {
        until("the call", async || asked() > before).await;
        then(next).await;
    });
    page.unwrap()
}

async fn a_replica_killed_in_the_middle_of_a_callback_loses_that_request_alone(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let (browser, other) = (replicas.browser(), replicas.signed_in().await);
    let page = in_the_middle(&replicas, &browser, async |index| replicas.kill(index).await).await;
    assert_eq!(page.status, 502, "{}", page.html);
    // That sign-in is spent, and says so; the next one needs no password.
    let again = browser.open(&page.address, None).await.unwrap();
    assert_eq!(again.status, 400, "{}", again.html);
    let page = browser.open(&replicas.url("/login"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"), "{}", page.html);
    for browser in [&browser, &other] {
        assert_eq!(browser.open(&replicas.url("/me"), None).await.unwrap().status, 200);
    }
}

async fn a_replica_that_is_told_to_end_finishes_the_callback_first(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    let page =
        in_the_middle(&replicas, &browser, async |index| assert!(replicas.terminate(index).await)).await;
    assert_eq!((page.status, page.address.path()), (200, "/"), "{}", page.html);
}

async fn a_sign_out_that_overtakes_the_callback_wins(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.browser();
    let page = in_the_middle(&replicas, &browser, async |_| {
        replicas.world().provider().end_sessions();
        // The double tells of it with its next answer.
        replicas.sign_out_at_provider(&replicas.signed_in().await).await;
    })
    .await;
    assert_eq!(page.status, 403, "{}", page.html);
    assert!(page.html.contains("signed out"), "{}", page.html);
    assert!(!replicas.knows(&browser).await);
}

async fn a_redis_that_restarts_is_told_and_never_makes_a_loop(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    let waiting = replicas.browser();
    let callback = replicas.callback(&waiting, READER).await;
    replicas.redis.end();
    for path in ["/", "/me", "/login", "/readyz"] {
        // Not a redirect: a browser that would follow one never comes to an end.
        let page = browser.open(&replicas.url(path), Some("http://localhost")).await.unwrap();
        assert_eq!((page.status, page.address.path()), (503, path), "{}", page.html);
    }
    let page = waiting.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 503);
    assert!(page.html.contains("try again"), "{}", page.html);
    assert_eq!(replicas.get("/me").await.status(), 401, "who has no cookie is nobody without asking");
    assert_eq!(replicas.get("/healthz").await.status(), 200);

    replicas.redis.run().unwrap();
    until("an answer", async || replicas.get("/readyz").await.status() == 200).await;
    sleep(Duration::from_millis(500)).await;
    until("an answer of all", async || {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(replicas.get("/readyz").await.status());
        }
        statuses == [200, 200, 200]
    })
    .await;
    // It has forgotten everybody: that is told, and one click mends it.
    let page = browser.open(&replicas.url("/"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"));
    assert!(page.html.contains("href=\"/login\""), "{}", page.html);
    let page = waiting.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.html);
    let page = browser.open(&replicas.url("/login"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"), "{}", page.html);
    assert!(replicas.knows(&browser).await);
}
