//! What the services cost while ten times as much is asked of them: `cargo xtask bench --services`.
//!
//! Memory and processor time are those of the programs, as the system counts them; the calls are those that the doubles
//! and Redis have seen. And how long kubectl waits for `kube-credential`.
#![expect(clippy::unwrap_used, reason = "a measurement ends where something unexpected happens")]
#![expect(clippy::panic, reason = "a measurement ends where something unexpected happens")]
#![expect(unreachable_pub, reason = "it shares a module with the tests")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/kubernetes/cluster.rs"]
mod cluster;
mod kube_credential;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/programs/replicas.rs"]
mod replicas;

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latchkey_testbed::{Clock, Side, World, serve};
use latchkey_tests::{Backend, Place};
use latchkey_transport::{Method, Reply, Request, ReqwestTransport, SharedTransport, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;
use url::Url;

use replicas::Replicas;

#[tokio::main]
async fn main() {
    let mut report = kube_credential::measure(part()).await;
    println!("{:<58} {:>12} {:>10} {:>10}", "", "requests/s", "CPU ms/1k", "RSS MiB");
    report.extend(webapp().await);
    report.extend(login_service().await);
    report.push(vault_calls().await);
    let text = serde_json::to_string_pretty(&report).unwrap();
    if let Some(file) = std::env::args().skip_while(|argument| argument != "--out").nth(1) {
        fs::write(file, text + "\n").unwrap();
    }
}

/// What a process has used so far.
struct Usage {
    cpu: Duration,
    resident: u64,
}

impl Usage {
    /// Reads what the system tells of a process.
    fn of(pid: u32) -> Self {
        let cpu = Self::times(&format!("/proc/{pid}/stat"), [11, 12]);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        Self { cpu, resident: kibibytes }
    }

    /// Returns the processor time of those that this program has started, and that have ended.
    fn of_the_ended() -> Duration {
        Self::times("/proc/self/stat", [13, 14])
    }

    /// Adds up two fields: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
    fn times(stat: &str, places: [usize; 2]) -> Duration {
        /// Fixed for whoever reads `/proc`.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(stat).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        TICK * places.iter().map(|&place| fields[place].parse::<u32>().unwrap()).sum::<u32>()
    }
}

/// One line of the report: so many requests, of that kind, and what they cost the programs together.
async fn measure(what: &str, count: usize, pids: &[u32], work: impl Future<Output = ()>) -> Value {
    let sum = || {
        let all = pids.iter().map(|&pid| Usage::of(pid));
        all.fold((Duration::ZERO, 0), |(cpu, resident), usage| (cpu + usage.cpu, resident + usage.resident))
    };
    let (before, begun) = (sum().0, Instant::now());
    work.await;
    let (seconds, (cpu, resident)) = (begun.elapsed().as_secs_f64(), sum());
    let count_f = f64::from(u32::try_from(count).unwrap());
    let rate = count_f / seconds;
    let cost = cpu.saturating_sub(before).as_secs_f64() * 1_000_000.0 / count_f;
    let processes = f64::from(u32::try_from(pids.len()).unwrap());
    let resident = f64::from(u32::try_from(resident).unwrap()) / 1024.0 / processes;
    println!("{:<58} {rate:>12.0} {cost:>10.1} {resident:>10.1}", format!("{what}, {count} requests"));
    json!({
        "what": what, "requests": count, "requests_per_second": rate.round(),
        "cpu_ms_per_1000": cost, "resident_mib_each": resident,
    })
}

/// Sends all of them, which are all answered with this status.
async fn send_all(transport: &SharedTransport, requests: Vec<Request>, status: u16) -> Vec<Reply> {
    let replies = latchkey_tests::send_all(transport, requests).await.unwrap();
    assert!(replies.iter().all(|reply| reply.status() == status));
    replies
}

/// A `webapp` before a Vault that lets it in, with a token of that life.
async fn start_webapp(ttl: &str, refresh: &str) -> (latchkey_testbed::Served, tempfile::TempDir, Child, Url) {
    let served = serve(World::builder().clock(Clock::system()), 0, 0).await.unwrap();
    let transport = ReqwestTransport::new().unwrap();
    let address = Url::parse(served.world().vault_address()).unwrap();
    let admin = async |path: &str, body: Value| {
        let request = Request::new(Method::Post, format!("/v1/{path}"))
            .at(&address)
            .with_header("X-Vault-Token", "root")
            .with_body("application/json", body.to_string());
        let reply = transport.send(request).await.unwrap();
        assert!(reply.is_success(), "{path}: {}", String::from_utf8_lossy(reply.body()));
    };
    admin("sys/auth/kubernetes", json!({"type": "kubernetes"})).await;
    admin(
        "auth/kubernetes/config",
        json!({
            "kubernetes_host": "https://127.0.0.1:1", "kubernetes_ca_cert": "-----BEGIN CERTIFICATE-----",
        }),
    )
    .await;
    admin(
        "auth/kubernetes/role/webapp",
        json!({
            "bound_service_account_names": ["webapp"], "bound_service_account_namespaces": ["default"],
            "token_policies": ["webapp"], "token_ttl": ttl,
        }),
    )
    .await;
    admin(
        "sys/policies/acl/webapp",
        json!({
            "policy": "path \"kv/data/webapp/*\" { capabilities = [\"read\"] }",
        }),
    )
    .await;
    admin("sys/mounts/kv", json!({"type": "kv", "options": {"version": "2"}})).await;
    admin(
        "kv/data/webapp/config",
        json!({"data": {"username": "static-user", "password": "static-password"}}),
    )
    .await;

    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, served.world().vault().service_account_token("default", "webapp", None)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_webapp"));
    command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("VAULT_ADDR", address.as_str()).env("JWT_PATH", token);
    command.args(["--port", "0", "--address", "127.0.0.1", "--secret", "kv/webapp/config"]);
    command.args(["--refresh", refresh, "--log-format", "json"]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut url = None;
    while let Some(line) = lines.next_line().await.unwrap() {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            url = Url::parse(&format!("http://{}/", event["address"].as_str().unwrap())).ok();
        } else if event["message"] == "a new secret" {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (served, folder, child, url.unwrap())
}

/// `--small` asks for a tenth of each load, to try the measuring itself.
fn part() -> usize {
    if std::env::args().any(|argument| argument == "--small") { 10 } else { 1 }
}

/// The loads, each ten times the one before.
fn loads(first: usize) -> [usize; 3] {
    [first, first * 10, first * 100].map(|count| count / part())
}

async fn webapp() -> Vec<Value> {
    let (_served, _folder, child, url) = start_webapp("1h", "60").await;
    let transport: SharedTransport = Arc::new(ReqwestTransport::new().unwrap());
    let mut report = Vec::new();
    for count in loads(1_000) {
        let requests = (0..count).map(|_| Request::for_url(Method::Get, url.clone())).collect();
        let work = async { drop(send_all(&transport, requests, 200).await) };
        report.push(measure("webapp: the secret", count, &[child.id().unwrap()], work).await);
    }
    report
}

/// An hour on the scale of a minute: a token of an hour lives a minute, and what is read every minute is read every second.
async fn vault_calls() -> Value {
    let (served, _folder, _child, url) = start_webapp("60s", "1").await;
    let transport: SharedTransport = Arc::new(ReqwestTransport::new().unwrap());
    let calls = || served.world().requests().iter().filter(|handled| handled.side == Side::Vault).count();
    let (before, begun) = (calls(), Instant::now());
    let mut asked = 0;
    while begun.elapsed() < Duration::from_secs(60) {
        send_all(&transport, (0..100).map(|_| Request::for_url(Method::Get, url.clone())).collect(), 200)
            .await;
        asked += 100;
        sleep(Duration::from_millis(200)).await;
    }
    let calls = calls() - before;
    println!("webapp: {calls} calls of Vault an hour, however many ask ({asked} requests)");
    json!({"what": "webapp: calls of Vault an hour", "calls": calls, "requests": asked})
}

async fn login_service() -> Vec<Value> {
    let backend = Backend::at(Place::Loopback).await.unwrap();
    let replicas = Replicas::new(&backend).await;
    let transport = Arc::clone(&replicas.transport);
    let pids = replicas.pids();
    let get =
        |url: Url, cookie: &str| Request::for_url(Method::Get, url).with_header("cookie", cookie.to_owned());
    let cookie = |reply: &Reply| reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let at = |number: usize, path: &str| {
        Url::parse(&format!("http://{}{path}", replicas.address(number % pids.len()))).unwrap()
    };
    let (mut report, mut sessions) = (Vec::new(), Vec::new());
    for count in loads(100) {
        let (asked, redis) = (replicas.world().requests().len(), replicas.commands().await);
        let work = async {
            let begin = (0..count).map(|number| get(at(number, "/login"), "a=b")).collect();
            let begun = send_all(&transport, begin, 303).await;
            let callbacks = begun.iter().enumerate().map(|(number, login)| {
                let there = login.header("location").unwrap();
                let back = replicas.world().provider().sign_in(there, "reader", "reader").unwrap().unwrap();
                let mut url = at(number + 1, "/callback");
                url.set_query(Url::parse(&back).unwrap().query());
                get(url, &cookie(login))
            });
            let ended = send_all(&transport, callbacks.collect(), 303).await;
            sessions = ended.iter().map(&cookie).collect::<Vec<_>>();
        };
        let mut line = measure("login-service: sign-ins on three replicas", count, &pids, work).await;
        let posts = replicas.world().requests().split_off(asked);
        let tokens = posts.iter().filter(|handled| handled.path.ends_with("/token")).count();
        let commands = replicas.commands().await - redis;
        println!("    {tokens} calls of the token endpoint, {commands} commands of Redis");
        line["token_calls"] = tokens.into();
        line["redis_commands"] = commands.into();
        report.push(line);
    }
    for count in loads(1_000) {
        let requests =
            (0..count).map(|number| get(at(number, "/me"), &sessions[number % sessions.len()])).collect();
        let work = async { drop(send_all(&transport, requests, 200).await) };
        report.push(measure("login-service: who is there, on three replicas", count, &pids, work).await);
    }
    report
}
