//! How long kubectl waits for `kube-credential` where a good token is kept: from exec to the answer.
//!
//! Beside it, in turns and in the same run: an empty program, which is what any program costs here at the least, and
//! kubelogin with a token of its own, where Go was there to build it.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use latchkey_tests::{Backend, MANAGEMENT, Place};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Usage;
use crate::cluster::{at_home, done, home, opened, while_signing_in};

/// What it may take: a person does not notice it, and a script that calls kubectl a hundred times hardly.
const GOAL: Duration = Duration::from_millis(10);

/// How often each of them is run.
const RUNS: usize = 1_000;

/// What one run took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    /// Counted by the system in steps of 10 ms: right over many runs.
    cpu: Duration,
}

/// Somebody's way to a token, who has signed in by it.
struct Plugin {
    what: &'static str,
    command: Command,
    _home: TempDir,
}

impl Plugin {
    /// Signs in with it once.
    async fn new(what: &'static str, program: &Path, arguments: &[&str], backend: &Backend) -> Self {
        let home = home();
        // kubelogin opens what a Linux desktop opens.
        fs::copy(home.path().join("browser"), home.path().join("xdg-open")).unwrap();
        let path = format!("{}:/usr/bin:/bin", home.path().display());
        let asked = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": {"interactive": true},
        });
        let variables = [
            ("PATH", path),
            ("KUBERNETES_EXEC_INFO", asked.to_string()),
            // Opened for a program of ours, which is told so.
            ("LATCHKEY_CLIENT_SECRET", backend.client_secret.expose_secret().to_owned()),
        ];
        let mut first = at_home(program, home.path());
        first.args(arguments).envs(variables.clone()).stdin(Stdio::null());
        let signed_in =
            while_signing_in(backend, home.path(), MANAGEMENT, done(first.spawn().unwrap())).await;
        assert_eq!((signed_in.code, opened(home.path()).len()), (Some(0), 1), "{what}: {signed_in:?}");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(variables).env("HOME", home.path()).stdin(Stdio::null());
        command.current_dir(home.path());
        Self { what, command, _home: home }
    }

    /// From exec to the answer, which is looked at.
    fn run(&mut self) -> io::Result<Took> {
        let (begun, before) = (Instant::now(), Usage::of_the_ended());
        let Output { status, stdout, .. } = self.command.output()?;
        let took = Took { wall: begun.elapsed(), cpu: Usage::of_the_ended().saturating_sub(before) };
        let answer: Value = serde_json::from_slice(&stdout)?;
        assert!(status.success() && answer["status"]["token"].is_string(), "{}: {status}", self.what);
        Ok(took)
    }
}

/// Runs all of them, in turns, and tells the median and what 95 of 100 stay below.
pub async fn measure(part: usize) -> Vec<Value> {
    let backend = Backend::at(Place::Loopback).await.unwrap();
    let Backend { issuer, client_id, .. } = &backend;
    let ours = ["--issuer", issuer, "--client-id", client_id, "--flow", "loopback", "--port", "0"];
    let program = Path::new(env!("CARGO_BIN_EXE_kube-credential"));
    let mut plugins = vec![Plugin::new("kube-credential", program, &ours, &backend).await];
    if let Some(program) = env::var_os("LATCHKEY_KUBELOGIN") {
        let (issuer, client) =
            (format!("--oidc-issuer-url={issuer}"), format!("--oidc-client-id={client_id}"));
        // The secret is the double's, and no secret at all.
        let secret = format!("--oidc-client-secret={}", backend.client_secret.expose_secret());
        let theirs = ["get-token", "--listen-address=127.0.0.1:0", &issuer, &client, &secret];
        plugins.push(Plugin::new("kubelogin", Path::new(&program), &theirs, &backend).await);
    }
    let (mut floor, mut took) = (Vec::new(), vec![Vec::new(); plugins.len()]);
    for _ in 0..RUNS / part {
        let (begun, before) = (Instant::now(), Usage::of_the_ended());
        assert!(Command::new("/bin/true").stdin(Stdio::null()).output().unwrap().status.success());
        floor.push(Took { wall: begun.elapsed(), cpu: Usage::of_the_ended().saturating_sub(before) });
        for (plugin, took) in plugins.iter_mut().zip(&mut took) {
            took.push(plugin.run().unwrap());
        }
    }
    println!("{:<58} {:>12} {:>10} {:>10}", "", "p50 ms", "p95 ms", "CPU ms");
    let names = plugins.iter().map(|plugin| plugin.what);
    let lines: Vec<_> = [("an empty program", floor)].into_iter().chain(names.zip(took)).map(line).collect();
    let goal = GOAL.as_secs_f64() * 1_000.0;
    let is_held = lines[1]["p95_ms"].as_f64().unwrap() <= goal;
    println!("    goal of kube-credential: {goal} ms; p95 {}", if is_held { "holds" } else { "misses it" });
    lines
}

fn line((what, took): (&str, Vec<Took>)) -> Value {
    let mut walls: Vec<_> = took.iter().map(|took| took.wall.as_secs_f64() * 1_000.0).collect();
    walls.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| walls[(walls.len() * percent / 100).min(walls.len() - 1)];
    let (median, high) = (at(50), at(95));
    // What a busy machine does not change.
    let runs = f64::from(u32::try_from(took.len()).unwrap());
    let cpu = took.iter().map(|took| took.cpu).sum::<Duration>().as_secs_f64() * 1_000.0 / runs;
    let text = format!("{what}: from exec to the answer, {} runs", took.len());
    println!("{text:<58} {median:>12.2} {high:>10.2} {cpu:>10.2}");
    json!({"what": what, "runs": took.len(), "p50_ms": median, "p95_ms": high, "cpu_ms": cpu})
}
