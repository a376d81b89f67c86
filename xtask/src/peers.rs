//! `cargo xtask bench --peers`: the same read of a secret, and the same check of an ID token, by us and by what users would
//! pick instead, each in a program of its own.

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

/// How often each program runs. All run in turn, so that a busy minute of the machine strikes them all.
const ROUNDS: usize = 15;

/// Programs that do the same.
struct Contest {
    what: &'static str,
    /// What stands before their names in the names of their packages.
    prefix: &'static str,
    /// The programs: ourselves first.
    peers: &'static [&'static str],
    /// Whether the second of them is the floor, which is no client.
    has_floor: bool,
    /// What is measured of each: its name in the report, its unit, and how it is compared.
    measures: &'static [(&'static str, &'static str, Goal)],
    /// Crates of ours that only measure: what they need is not counted.
    pruned: Option<&'static str>,
    report: &'static str,
}

const CONTESTS: [&Contest; 2] = [&SECRETS, &ID_TOKENS];

const SECRETS: Contest = Contest {
    what: "a secret is read",
    prefix: "peer-",
    peers: &["ours", "reqwest", "vaultrs", "vault-client-rs", "openbao"],
    has_floor: true,
    measures: &[
        ("allocations", "count per read", Goal::AtMost(56.0)),
        ("allocated", "bytes per read", Goal::AtMost(18_600.0)),
        ("in_a_row", "reads/s", Goal::OfFloor(0.95)),
        ("by_64_tasks", "reads/s", Goal::OfFloor(0.95)),
        ("crates", "count", Goal::LeastOfClients),
        ("binary", "bytes", Goal::LeastOfClients),
        ("build", "CPU s from nothing", Goal::LeastOfClients),
    ],
    pruned: None,
    report: "bench/peers.json",
};

const ID_TOKENS: Contest = Contest {
    what: "an ID token is checked, in units of a bare aws-lc-rs check with a parsed key",
    prefix: "peer-id-",
    peers: &["ours", "huskarl", "openidconnect"],
    has_floor: false,
    measures: &[
        ("rs256", "bare checks", Goal::RatioAtMost(1.25)),
        ("es256", "bare checks", Goal::RatioAtMost(1.12)),
        ("allocations", "count per check", Goal::AtMost(40.0)),
        ("crates", "count", Goal::LeastOfClients),
        ("crates_with_http", "count", Goal::LeastOfClients),
        ("binary", "bytes", Goal::LeastOfClients),
        ("build", "CPU s from nothing", Goal::LeastOfClients),
    ],
    pruned: Some("peer-id-harness"),
    report: "bench/peers-id-tokens.json",
};

#[derive(Clone, Copy)]
enum Goal {
    /// Our figure is at most this.
    AtMost(f64),
    /// Our figure, which is a ratio within each round, is at most this.
    RatioAtMost(f64),
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
/// is built in an empty folder of its own, which tells what its build costs; otherwise they share their crates. With a
/// filter, only contests whose report has it in its name.
pub(crate) fn run(project: &Project, is_from_nothing: bool, filter: &str) -> Result<ExitCode> {
    for contest in CONTESTS.into_iter().filter(|contest| contest.report.contains(filter)) {
        contest.run(project, is_from_nothing)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Contest {
    fn run(&self, project: &Project, is_from_nothing: bool) -> Result<()> {
        let mut programs = Vec::new();
        let mut peers = Vec::new();
        for name in self.peers {
            say!("{name}: building …");
            let (program, fixed) = prepare(project, self, name, is_from_nothing)
                .with_context(|| format!("{name} cannot be built"))?;
            programs.push(program);
            peers.push(Figures { rounds: Vec::new(), fixed });
        }
        for round in 1..=ROUNDS {
            say!("round {round} of {ROUNDS} …");
            for ((name, program), peer) in self.peers.iter().zip(&programs).zip(&mut peers) {
                peer.rounds.push(measure(program).with_context(|| format!("{name} cannot be measured"))?);
            }
        }
        print(self, &peers);
        write(self, &peers, &project.target(self.report))
    }
}

/// Builds one program; returns where it is, and what there is to say of it before it runs.
fn prepare(
    project: &Project,
    contest: &Contest,
    name: &str,
    is_from_nothing: bool,
) -> Result<(PathBuf, Map<String, Value>)> {
    let package = format!("{}{name}", contest.prefix);
    let target =
        project.target(if is_from_nothing { format!("peers-alone/{package}") } else { "peers".to_owned() });
    if is_from_nothing && target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let seconds = build(project, &package, &target)?;
    let program = target.join("release").join(&package);
    let mut fixed = Map::new();
    fixed.insert("crates".to_owned(), json!(crates(project, contest, &package, &[])?));
    if contest.measures.iter().any(|(measure, ..)| *measure == "crates_with_http") {
        let count = crates(project, contest, &package, &["--features", "http"])?;
        fixed.insert("crates_with_http".to_owned(), json!(count));
    }
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
fn crates(project: &Project, contest: &Contest, package: &str, more: &[&str]) -> Result<usize> {
    let output = project
        .cargo(["tree", "--manifest-path", MANIFEST, "--package", package])
        .args(more)
        .args(contest.pruned.iter().flat_map(|pruned| ["--prune", pruned]))
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
        self.all_of(measure).into_iter().next_back()
    }

    /// The middle of all rounds, for ratios: a busy machine makes them higher or lower.
    fn middle_of(&self, measure: &str) -> Option<f64> {
        let all = self.all_of(measure);
        all.get(all.len() / 2).copied()
    }

    fn all_of(&self, measure: &str) -> Vec<f64> {
        let said = self.rounds.iter().filter_map(|round| round.get(measure));
        let mut all: Vec<_> = said.chain(self.fixed.get(measure)).filter_map(Value::as_f64).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    fn figure(&self, measure: &str, goal: Goal) -> Option<f64> {
        if matches!(goal, Goal::RatioAtMost(_)) { self.middle_of(measure) } else { self.of(measure) }
    }

    /// Its part of another's figure.
    fn part_of(&self, other: &Self, measure: &str) -> Option<f64> {
        Some(self.of(measure)? / other.of(measure)?)
    }
}

fn print(contest: &Contest, peers: &[Figures]) {
    let Some((ours, others)) = peers.split_first() else { return };
    let (floor, clients) = others.split_at(usize::from(contest.has_floor).min(others.len()));
    let names: Vec<_> = contest.peers.iter().map(|name| format!("{name:>15}")).collect();
    say!("\n{}:\n{:<16} {}  goal", contest.what, "measure", names.join(" "));
    for &(measure, unit, goal) in contest.measures {
        let Some(value) = ours.figure(measure, goal) else {
            say!("{measure:<16} not measured: only with --from-nothing");
            continue;
        };
        let (text, holds) = match goal {
            Goal::AtMost(most) | Goal::RatioAtMost(most) => (format!("at most {most}"), value <= most),
            Goal::OfFloor(part) => {
                let ratio = floor.first().and_then(|floor| ours.part_of(floor, measure)).unwrap_or_default();
                (format!("at least {part} of {}, is {ratio:.3}", contest.peers[1]), ratio >= part)
            }
            Goal::LeastOfClients => {
                let least =
                    clients.iter().filter_map(|client| client.of(measure)).fold(f64::INFINITY, f64::min);
                (format!("the least of the clients, is {:.3} of the next", value / least), value <= least)
            }
        };
        let decimals = if matches!(goal, Goal::RatioAtMost(_)) { 3 } else { 1 };
        let cell =
            |peer: &Figures| format!("{:>15.*}", decimals, peer.figure(measure, goal).unwrap_or(f64::NAN));
        let cells: Vec<_> = peers.iter().map(cell).collect();
        let verdict = if holds { "holds" } else { "MISSED" };
        say!("{measure:<16} {}  {text}: {verdict} ({unit})", cells.join(" "));
        let ratio = |peer: &Figures| peer.figure(measure, goal).unwrap_or(f64::NAN) / value;
        let ratios: Vec<_> = peers.iter().map(|peer| format!("{:>15.3}", ratio(peer))).collect();
        say!("{:<16} {}", "  of ours", ratios.join(" "));
    }
}

/// Writes the figures.
fn write(contest: &Contest, peers: &[Figures], path: &Path) -> Result<()> {
    let figures = |peer: &Figures| -> Value {
        let figure =
            |&(measure, _, goal): &(&str, _, _)| ((*measure).to_owned(), json!(peer.figure(measure, goal)));
        contest.measures.iter().map(figure).collect::<Map<_, _>>().into()
    };
    let names = contest.peers.iter().map(|name| (*name).to_owned());
    let report: Map<_, _> = names.zip(peers.iter().map(figures)).collect();
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
    fn a_ratio_is_that_of_the_middle_round() {
        let ours = figures(&[1.3, 1.2, 9.0]);
        assert_eq!(ours.figure("by_64_tasks", Goal::RatioAtMost(1.25)), Some(1.3));
        assert_eq!(ours.figure("by_64_tasks", Goal::AtMost(1.25)), Some(9.0));
    }

    #[test]
    fn every_contest_begins_with_us_and_has_a_program_for_each() {
        let manifest = include_str!("../../benches/peers/Cargo.toml");
        for contest in CONTESTS {
            assert_eq!(contest.peers.first(), Some(&"ours"));
            let folder = contest.prefix.trim_start_matches("peer-");
            for peer in contest.peers {
                assert!(manifest.contains(&format!("\"{folder}{peer}\"")), "{peer}");
            }
        }
    }

    #[test]
    fn what_was_not_measured_has_no_figure() {
        assert_eq!(figures(&[1.0]).of("build"), None);
    }
}
