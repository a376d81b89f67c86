//! `cargo xtask bench --peers`: the same read by us and by what users would pick instead, each in a program of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::progress::say;
use crate::project::Project;

/// Their own workspace.
const MANIFEST: &str = "benches/peers/Cargo.toml";

/// Its programs: ourselves first; second the floor, which is no client; then the other clients.
const PEERS: [&str; 5] = ["ours", "reqwest", "vaultrs", "vault-client-rs", "openbao"];

/// How often each program runs. All run in turn, so that a busy minute of the machine strikes them all.
const ROUNDS: usize = 15;

/// What is measured of each: its name in the report, its unit, and how it is compared.
const MEASURES: [(&str, &str, Goal); 7] = [
    ("allocations", "count per read", Goal::AtMost(56.0)),
    ("allocated", "bytes per read", Goal::AtMost(18_600.0)),
    ("in_a_row", "reads/s", Goal::OfFloor(0.95)),
    ("by_64_tasks", "reads/s", Goal::OfFloor(0.95)),
    ("crates", "count", Goal::LeastOfClients),
    ("binary", "bytes", Goal::LeastOfClients),
    ("build", "CPU s from nothing", Goal::LeastOfClients),
];

#[derive(Clone, Copy)]
enum Goal {
    /// Our figure is at most this.
    AtMost(f64),
    /// Our figure is at least this part of the floor's.
    OfFloor(f64),
    /// Our figure is at most that of every other client.
    LeastOfClients,
}

/// What the runs of one program said, and what was counted of it once.
struct Figures {
    rounds: Vec<Value>,
    fixed: Map<String, Value>,
}

/// Builds each program, runs them in turn, and prints all figures with what we want of them. If `is_from_nothing`, each
/// is built in an empty folder of its own, which tells what its build costs; otherwise they share their crates.
pub(crate) fn run(project: &Project, is_from_nothing: bool) -> Result<ExitCode> {
    let mut programs = Vec::new();
    let mut peers = Vec::new();
    for name in PEERS {
        say!("{name}: building …");
        let (program, fixed) =
            prepare(project, name, is_from_nothing).with_context(|| format!("{name} cannot be built"))?;
        programs.push(program);
        peers.push(Figures { rounds: Vec::new(), fixed });
    }
    for round in 1..=ROUNDS {
        say!("round {round} of {ROUNDS} …");
        for ((name, program), peer) in PEERS.iter().zip(&programs).zip(&mut peers) {
            peer.rounds.push(measure(program).with_context(|| format!("{name} cannot be measured"))?);
        }
    }
    print(&peers);
    write(&peers, &project.target("bench/peers.json"))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds one program; returns where it is, and what there is to say of it before it runs.
fn prepare(project: &Project, name: &str, is_from_nothing: bool) -> Result<(PathBuf, Map<String, Value>)> {
    let package = format!("peer-{name}");
    let target =
        project.target(if is_from_nothing { format!("peers-alone/{name}") } else { "peers".to_owned() });
    if is_from_nothing && target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let seconds = build(project, &package, &target)?;
    let program = target.join("release").join(&package);
    let mut fixed = Map::new();
    fixed.insert("crates".to_owned(), json!(crates(project, &package)?));
    fixed.insert("binary".to_owned(), json!(fs::metadata(&program)?.len()));
    if is_from_nothing {
        fixed.insert("build".to_owned(), json!(seconds));
    }
    Ok((program, fixed))
}

/// Builds a program and returns how many seconds of processor time that took.
fn build(project: &Project, package: &str, target: &Path) -> Result<f64> {
    let line = r#"TIMEFORMAT="spent %U %S"; time cargo build --quiet --release --manifest-path "$0" --package "$1" --target-dir "$2""#;
    let mut command = Command::new("bash");
    command.args(["-c", line, MANIFEST, package]).arg(target);
    project.prepare_cargo(&mut command);
    let output = command.output().context("bash does not start")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("it does not compile:\n{text}");
    }
    let spent = text.lines().find_map(|line| line.strip_prefix("spent ")).context("bash told no times")?;
    spent.split(' ').map(|part| part.parse::<f64>().context("a time is no number")).sum()
}

/// Counts the crates that stand in a program, those of the measuring aside.
fn crates(project: &Project, package: &str) -> Result<usize> {
    let output = project
        .cargo(["tree", "--manifest-path", MANIFEST, "--package", package])
        .args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .output()?;
    if !output.status.success() {
        bail!("cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    // `name v1.2.3 (where it comes from) (*)`: one crate in two versions is two crates.
    let crates: BTreeSet<_> =
        text.lines().filter_map(|line| line.split(" (").next()).map(str::trim).collect();
    let is_measuring =
        |name: &str| name.is_empty() || name.starts_with("peer-") || name.starts_with("allocation-counter");
    Ok(crates.iter().filter(|name| !is_measuring(name)).count())
}

/// Runs a program once.
fn measure(program: &Path) -> Result<Value> {
    let mut command = Command::new(program);
    // Its server is on this machine; not every client knows that no proxy leads there.
    command.env("NO_PROXY", "*").env("no_proxy", "*").stderr(Stdio::inherit());
    let output = command.output().context("it does not start")?;
    if !output.status.success() {
        bail!("it failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).context("it printed no JSON")
}

impl Figures {
    /// The greatest of all rounds, or nothing if this was not measured. A busy machine makes a rate lower and never
    /// higher, and leaves a count as it is.
    fn of(&self, measure: &str) -> Option<f64> {
        let said = self.rounds.iter().filter_map(|round| round.get(measure));
        said.chain(self.fixed.get(measure)).filter_map(Value::as_f64).max_by(f64::total_cmp)
    }

    /// Its part of another's figure.
    fn part_of(&self, other: &Self, measure: &str) -> Option<f64> {
        Some(self.of(measure)? / other.of(measure)?)
    }
}

fn print(peers: &[Figures]) {
    let Some((ours, others)) = peers.split_first() else { return };
    let Some((floor, clients)) = others.split_first() else { return };
    say!("\n{:<12} {}  goal", "measure", PEERS.map(|name| format!("{name:>15}")).join(" "));
    for (measure, unit, goal) in MEASURES {
        let Some(value) = ours.of(measure) else {
            say!("{measure:<12} not measured: only with --from-nothing");
            continue;
        };
        let (text, holds) = match goal {
            Goal::AtMost(most) => (format!("at most {most}"), value <= most),
            Goal::OfFloor(part) => {
                let ratio = ours.part_of(floor, measure).unwrap_or_default();
                (format!("at least {part} of reqwest, is {ratio:.3}"), ratio >= part)
            }
            Goal::LeastOfClients => {
                let least =
                    clients.iter().filter_map(|client| client.of(measure)).fold(f64::INFINITY, f64::min);
                (format!("the least of the clients, is {:.3} of the next", value / least), value <= least)
            }
        };
        let cell = |peer: &Figures| format!("{:>15.1}", peer.of(measure).unwrap_or(f64::NAN));
        let cells: Vec<_> = peers.iter().map(cell).collect();
        let verdict = if holds { "holds" } else { "MISSED" };
        say!("{measure:<12} {}  {text}: {verdict} ({unit})", cells.join(" "));
        let ratio = |peer: &Figures| peer.part_of(ours, measure).unwrap_or(f64::NAN);
        let ratios: Vec<_> = peers.iter().map(|peer| format!("{:>15.3}", ratio(peer))).collect();
        say!("{:<12} {}", "  of ours", ratios.join(" "));
    }
}

/// Writes the figures.
fn write(peers: &[Figures], path: &Path) -> Result<()> {
    let figures = |peer: &Figures| -> Value {
        MEASURES
            .iter()
            .map(|(measure, ..)| ((*measure).to_owned(), json!(peer.of(measure))))
            .collect::<Map<_, _>>()
            .into()
    };
    let report: Map<_, _> =
        PEERS.iter().map(|name| (*name).to_owned()).zip(peers.iter().map(figures)).collect();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    say!("report: {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rates: &[f64]) -> Figures {
        Figures {
            rounds: rates.iter().map(|rate| json!({ "by_64_tasks": rate })).collect(),
            fixed: Map::new(),
        }
    }

    #[test]
    fn a_round_on_a_busy_machine_takes_nothing_from_a_rate() {
        let ours = figures(&[20.0, 90.0, 3.0]);
        let floor = figures(&[100.0, 7.0]);
        assert_eq!(ours.of("by_64_tasks"), Some(90.0));
        assert_eq!(ours.part_of(&floor, "by_64_tasks"), Some(0.9));
    }

    #[test]
    fn what_was_not_measured_has_no_figure() {
        assert_eq!(figures(&[1.0]).of("build"), None);
    }
}
