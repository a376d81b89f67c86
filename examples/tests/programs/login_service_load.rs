//! `login-service` over time and under load: keys that change, things that end, many people, a flood, and wrong arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use latchkey_testbed::{Fault, Target};
use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::{Method, Reply, Request};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::replicas::{PATIENCE, Replicas, until};

behaviours! {
    #[not_on(Place::Real, "it is about the service alone")]
    keys_change_while_people_are_signed_in,
    #[not_on(Place::Real, "it is about the service alone")]
    a_sign_in_and_a_session_end_by_themselves,
    #[not_on(Place::Real, "the real provider does not fail on request")]
    a_provider_that_is_down_is_told_and_waited_for,
    #[not_on(Place::Real, "it is about the service alone")]
    many_people_sign_in_at_the_same_time,
    #[not_on(Place::Real, "it is about the service alone")]
    a_flooded_service_answers_healthz,
    #[not_on(Place::Real, "it is about the service alone")]
    a_wrong_argument_is_told_with_what_would_be_right,
    #[not_on(Place::Real, "it is about the service alone")]
    the_commands_of_the_readme_do_what_it_says,
}

async fn keys_change_while_people_are_signed_in(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let replaced = async |times: usize| {
        until("the change of keys", async || {
            replicas.said().matches("the keys were replaced").count() == times
        })
        .await;
    };
    let before = replicas.signed_in().await;
    let waiting = replicas.browser();
    let callback = replicas.callback(&waiting, READER).await;

    replicas.write_keys(&[2, 1]);
    replaced(3).await;
    let after = replicas.signed_in().await;
    assert!(replicas.knows(&before).await, "the old key opens");
    assert_eq!(waiting.open(&callback, None).await.unwrap().status, 200, "for who is about to sign in, too");

    replicas.write_keys(&[2]);
    replaced(6).await;
    assert!(!replicas.knows(&before).await, "until it is taken out");
    assert!(replicas.knows(&after).await && replicas.knows(&waiting).await);
    assert_eq!(before.open(&replicas.url("/"), None).await.unwrap().status, 200);

    // What is no key changes nothing.
    fs::write(replicas.keys(), "nothing\n").unwrap();
    until("a complaint", async || replicas.said().contains("the old keys serve on")).await;
    assert!(replicas.knows(&after).await);
}

async fn a_sign_in_and_a_session_end_by_themselves(backend: Backend) {
    let replicas = Replicas::with(&backend, &["--login-seconds", "1"]).await;
    let late = replicas.browser();
    let callback = replicas.callback(&late, READER).await;
    sleep(Duration::from_secs(2)).await;
    let page = late.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.html);
    drop(replicas);

    let replicas = Replicas::with(&backend, &["--session-seconds", "8"]).await;
    let browser = replicas.browser();
    replicas.sign_in(&browser, READER).await;
    until("the end", async || browser.open(&replicas.url("/me"), None).await.unwrap().status == 401).await;
    until("oblivion", async || replicas.kept().await.is_empty()).await;
}

async fn a_provider_that_is_down_is_told_and_waited_for(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let browser = replicas.signed_in().await;
    let realm = Target::provider("/realms/HashiCorp/*");
    replicas.world().faults().inject(realm.clone(), 10_000, Fault::Refuse);
    replicas.kill(0).await;
    replicas.start(0).await;
    // A replica that is new knows no provider; what needs none goes on.
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/login", 503), ("/", 200)] {
        assert_eq!(replicas.get_at(0, path).await.status(), status, "{path}");
    }
    assert!(replicas.knows(&browser).await);
    replicas.world().faults().clear();
    until("the provider", async || replicas.get_at(0, "/readyz").await.status() == 200).await;

    // One that goes away in the middle of a sign-in costs that sign-in.
    let other = replicas.browser();
    let callback = replicas.callback(&other, READER).await;
    replicas.world().faults().inject(realm, 10_000, Fault::Refuse);
    let page = other.open(&callback, None).await.unwrap();
    assert_eq!(page.status, 503, "{}", page.html);
    assert!(page.html.contains("does not answer"), "{}", page.html);
    replicas.world().faults().clear();
    assert!(!replicas.knows(&other).await);
    let page = other.open(&replicas.url("/login"), None).await.unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/"), "{}", page.html);
}

/// Sends all of them, each on a connection of its own: one that is kept may end just as it is used again.
async fn send_all(replicas: &Replicas, requests: impl Iterator<Item = Request>) -> Vec<Reply> {
    let requests = requests.map(|request| request.with_header("connection", "close"));
    latchkey_tests::send_all(&replicas.transport, requests).await.unwrap()
}

async fn many_people_sign_in_at_the_same_time(backend: Backend) {
    let count: usize = std::env::var("LATCHKEY_LOGINS").map_or(200, |count| count.parse().unwrap());
    let replicas = Replicas::new(&backend).await;
    let get =
        |url: Url, cookie: &str| Request::for_url(Method::Get, url).with_header("cookie", cookie.to_owned());
    let cookie_of = |reply: &Reply, status: u16| {
        assert_eq!(reply.status(), status, "{}", String::from_utf8_lossy(reply.body()));
        reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let begun = send_all(&replicas, (0..count).map(|_| get(replicas.url("/login"), "a=b"))).await;
    assert_eq!(replicas.kept().await.len(), count, "all are under way");
    let browsers: Vec<_> = begun.iter().map(|login| cookie_of(login, 303)).collect();
    let callbacks: Vec<_> = begun
        .iter()
        .enumerate()
        .map(|(number, login)| {
            let name = if number % 2 == 0 { "reader" } else { "management" };
            let there = login.header("location").unwrap();
            let back = replicas.world().provider().sign_in(there, name, name).unwrap().unwrap();
            Url::parse(&back).unwrap()
        })
        .collect();
    let pairs = || callbacks.iter().cloned().zip(&browsers);
    let ended = send_all(&replicas, pairs().map(|(callback, browser)| get(callback, browser))).await;
    let sessions: Vec<_> = ended.iter().map(|callback| cookie_of(callback, 303)).collect();
    let mut distinct = sessions.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), count);
    // Each is who they are.
    let seen = send_all(&replicas, sessions.iter().map(|session| get(replicas.url("/me"), session))).await;
    let people: Vec<Value> = seen.iter().map(|me| serde_json::from_slice(me.body()).unwrap()).collect();
    for (number, person) in people.iter().enumerate() {
        assert_eq!(person["subject"], people[number % 2]["subject"], "{number}");
    }
    assert_ne!(people[0]["subject"], people[1]["subject"]);
    // What it costs Redis grows with the people, and with nothing else.
    let commands = replicas.commands().await;
    assert!(commands < 60 * u64::try_from(count).unwrap(), "{commands} commands");
}

async fn a_flooded_service_answers_healthz(backend: Backend) {
    let replicas = Replicas::with(&backend, &["--at-a-time", "8"]).await;
    let browser = replicas.signed_in().await;
    let address = replicas.address(0);
    let (stop, stopped) = watch::channel(false);
    let mut flood = JoinSet::new();
    // More than are worked on at a time; each works on until it is told to stop.
    for number in 0..100 {
        let (address, stopped) = (address.clone(), stopped.clone());
        flood.spawn(async move {
            let lines = ["GET /login", "GET /callback?state=x&code=y", "GET /me", "POST /backchannel-logout"];
            let line = lines[number % lines.len()];
            let body = "x".repeat(if line.starts_with("POST") { 100_000 } else { 0 });
            let request = format!(
                "{line} HTTP/1.1\r\nHost: x\r\nCookie: __Host-session={number}; __Host-login={number}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            while !*stopped.borrow() {
                let Ok(mut stream) = TcpStream::connect(&address).await else { continue };
                let _ = stream.write_all(request.as_bytes()).await;
                let mut answer = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
            }
        });
    }
    // And those who connect, and say nothing.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    // Redis stands still, so that every turn is taken, and stays taken.
    replicas.redis.stand_still(true).unwrap();
    for _ in 0..20 {
        let reply = timeout(PATIENCE, replicas.get_at(0, "/healthz")).await.unwrap();
        assert_eq!(reply.status(), 200);
        sleep(Duration::from_millis(50)).await;
    }
    replicas.redis.stand_still(false).unwrap();
    for _ in 0..20 {
        let reply = timeout(PATIENCE, replicas.get_at(0, "/healthz")).await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    stop.send(true).unwrap();
    timeout(PATIENCE, flood.join_all()).await.unwrap();
    // Nothing is lost, and everybody may sign in.
    until("an answer", async || replicas.get_at(0, "/readyz").await.status() == 200).await;
    assert!(replicas.knows(&browser).await);
    replicas.signed_in().await;
}

async fn a_wrong_argument_is_told_with_what_would_be_right(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let open = replicas.keys().with_file_name("open");
    fs::copy(replicas.keys(), &open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let open = open.to_str().unwrap();
    for (arguments, told) in [
        (["--base-url", "http://app.example"], "--base-url"),
        (["--base-url", "https://app.example/path"], "--base-url"),
        (["--redis", "redis://:hush-hush@127.0.0.1:1/0"], "REDIS_PASSWORD"),
        (["--redis", "http://127.0.0.1:1"], "--redis"),
        (["--keys", "/nonexistent"], "--keys /nonexistent"),
        (["--keys", open], "everybody may read it"),
        (["--listen", replicas.balancer.address.to_string().as_str()], "another address or port"),
    ] {
        let output = replicas.bare().args(arguments).output();
        let output = timeout(PATIENCE, output).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
        assert!(!said.contains("hush-hush"), "{said}");
    }
}

async fn the_commands_of_the_readme_do_what_it_says(backend: Backend) {
    let replicas = Replicas::new(&backend).await;
    let readme = include_str!("../../README.md");
    let section = readme.split("## A service of many replicas").nth(1).unwrap();
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let mut lines = block.lines().peekable();
    let folder = replicas.keys().with_file_name("readme");
    fs::create_dir(&folder).unwrap();
    let (mut started, mut asked) = (Vec::new(), 0);
    while let Some(line) = lines.next() {
        let words = line.strip_prefix("$ ").unwrap_or_else(|| panic!("{line} is no command"));
        let words = words.split(" #").next().unwrap().trim().trim_end_matches('&').trim();
        if let Some(exported) = words.strip_prefix("export ") {
            for pair in exported.split(' ') {
                let name = pair.split('=').next().unwrap();
                let command = replicas.bare();
                let mut known = command.as_std().get_envs().map(|(name, _)| name.to_str().unwrap());
                assert!(known.any(|this| this == name), "{name} is not what the program is given here");
            }
        } else if let Some(arguments) = words.strip_prefix("login-service ") {
            let mut given: Vec<&str> = arguments.split(' ').collect();
            let place = given.iter().position(|word| *word == "--listen").unwrap() + 1;
            let port = given[place].to_owned();
            given[place] = "127.0.0.1:0";
            if !given.contains(&"--log-format") {
                given.extend(["--log-format", "json"]);
            }
            let mut program = replicas.bare();
            program.current_dir(&folder).args(given);
            let (child, address) = replicas.listening(program).await;
            started.push((child, port, address));
        } else if let Some(url) = words.strip_prefix("curl ") {
            let (_, port, address) = started.iter().find(|(_, port, _)| url.contains(port.as_str())).unwrap();
            let url = Url::parse(&url.replace(port.as_str(), address)).unwrap();
            let reply = replicas.ask(Request::for_url(Method::Get, url)).await;
            let text = String::from_utf8(reply.body().to_vec()).unwrap();
            assert_eq!(text.trim(), lines.next().unwrap(), "{line}");
            asked += 1;
        } else {
            let status = Command::new("sh").args(["-c", words]).current_dir(&folder).status().await.unwrap();
            assert!(status.success(), "{line}");
        }
    }
    assert_eq!((started.len(), asked), (2, 2));
    assert_eq!(fs::read_to_string(folder.join("keys")).unwrap().lines().count(), 2);
    until("the new key", async || replicas.said().matches("the keys were replaced").count() == 2).await;
}
