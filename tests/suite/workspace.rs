//! The rules of ARCHITECTURE.md that a program can check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

/// The tests of this module; they need no backend.
pub fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 7] = [
        ("the_arrows_are_those_of_the_architecture", the_arrows_are_those_of_the_architecture),
        ("no_library_pulls_an_engine_in_by_default", no_library_pulls_an_engine_in_by_default),
        ("every_package_inherits_the_lints", every_package_inherits_the_lints),
        (
            "every_library_says_what_a_registry_wants_to_know",
            every_library_says_what_a_registry_wants_to_know,
        ),
        ("no_file_is_longer_than_600_lines", no_file_is_longer_than_600_lines),
        ("every_system_has_its_program_and_its_test", every_system_has_its_program_and_its_test),
        ("the_oldest_rust_is_told_the_same_everywhere", the_oldest_rust_is_told_the_same_everywhere),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(format!("workspace::{name}"), move || -> Result<(), Failed> {
            test();
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages of the workspace, by name without `latchkey-`.
fn packages() -> BTreeMap<String, Value> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))
            .unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (short(package["name"].as_str().unwrap()).unwrap().to_owned(), package.clone()))
        .collect()
}

fn short(name: &str) -> Option<&str> {
    name.strip_prefix("latchkey-")
}

/// The table of ARCHITECTURE.md: crate, and what it may depend on.
fn law() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("ARCHITECTURE.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let allowed = cells.last().unwrap().split([',', ' ', ';']).filter(|word| !word.is_empty());
        (cells[0].trim_matches('`').to_owned(), allowed.map(str::to_owned).collect())
    })
    .collect()
}

fn libraries() -> BTreeMap<String, Value> {
    packages().into_iter().filter(|(_, package)| package["publish"].is_null()).collect()
}

fn the_arrows_are_those_of_the_architecture() {
    let law = law();
    let libraries = libraries();
    let names: BTreeSet<_> = libraries.keys().collect();
    assert_eq!(names, law.keys().collect(), "ARCHITECTURE.md has a row for each library, and no other");
    for (name, package) in &libraries {
        for dependency in package["dependencies"].as_array().unwrap() {
            // What a crate's own tests use is no arrow.
            if dependency["kind"] == "dev" {
                continue;
            }
            if let Some(other) = short(dependency["name"].as_str().unwrap()) {
                assert!(law[name].contains(other), "{name} may not depend on {other}");
            }
        }
    }
}

fn no_library_pulls_an_engine_in_by_default() {
    for name in libraries().keys().filter(|name| *name != "testbed") {
        let package = format!("latchkey-{name}");
        let tree = cargo(&["tree", "--offline", "-p", &package, "-e", "normal", "--prefix", "none"]);
        for engine in ["reqwest", "hyper", "rustls", "tokio", "ring"] {
            let pulled = tree.lines().any(|line| line.split(' ').next() == Some(engine));
            assert!(!pulled, "{package} pulls {engine} in by default");
        }
    }
}

fn every_package_inherits_the_lints() {
    for (name, package) in packages() {
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        if name == "tests" {
            assert!(manifest.contains("unsafe_code = \"forbid\""), "{name}");
        } else {
            assert!(manifest.contains("[lints]\nworkspace = true"), "{name}");
        }
    }
    let workspace = read("Cargo.toml");
    for lint in
        ["unsafe_code = \"forbid\"", "missing_docs = \"deny\"", "unwrap_used = \"deny\"", "panic = \"deny\""]
    {
        assert!(workspace.contains(lint), "{lint}");
    }
}

fn every_library_says_what_a_registry_wants_to_know() {
    for (name, package) in libraries() {
        for field in ["description", "license", "readme", "documentation"] {
            assert!(package[field].is_string(), "{name} has no {field}");
        }
        for field in ["keywords", "categories"] {
            assert!(!package[field].as_array().unwrap().is_empty(), "{name} has no {field}");
        }
    }
}

fn no_file_is_longer_than_600_lines() {
    let folders = ["crates", "examples", "xtask", "tests", "fuzz", "benches"];
    let mut folders: Vec<_> = folders.into_iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // Up to the tests inside, or up to its end.
                let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
                let lines = text[..tests].lines().count();
                assert!(lines <= 600, "{} has {lines} lines before its tests", path.display());
            }
        }
    }
}

fn the_oldest_rust_is_told_the_same_everywhere() {
    let workspace = read("Cargo.toml");
    let line = workspace.lines().find(|line| line.starts_with("rust-version")).unwrap();
    let version = line.split('"').nth(1).unwrap();
    for file in ["README.md", "CONTRIBUTING.md"] {
        assert!(read(file).contains(&format!("Rust {version}")), "{file} does not say Rust {version}");
    }
}

/// The table of README.md: eleven systems, each with commands and tests that are there.
fn every_system_has_its_program_and_its_test() {
    let (readme, tests) = (read("README.md"), tests_by_name());
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 4 && cells[0].parse::<u8>().is_ok())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|cells| cells[0]).collect();
    assert_eq!(numbers, (1..=11).map(|number| number.to_string()).collect::<Vec<_>>());
    // What stands between two of these signs.
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for cells in rows {
        let (commands, proofs) = (quoted(cells[2]), quoted(cells[3]));
        assert!(!commands.is_empty() && !proofs.is_empty(), "system {} has no command or no test", cells[0]);
        for command in commands.iter().filter_map(|command| command.strip_prefix("cargo run --bin ")) {
            let program = command.split(' ').next().unwrap();
            let path = root().join(format!("examples/src/bin/{program}.rs"));
            assert!(path.is_file(), "system {}: there is no program {program}", cells[0]);
        }
        for proof in proofs {
            assert!(tests.contains(&proof), "system {}: there is no test `{proof}`", cells[0]);
        }
    }
}

/// The names of all behaviours of programs and suites, and the sentences of the scenarios in a browser.
fn tests_by_name() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<_> = ["examples/tests", "tests", "jupyterlab/ui-tests"]
        .into_iter()
        .map(|folder| root().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !matches!(extension, "rs" | "mjs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if extension == "rs" {
                let functions = text.lines().filter_map(|line| line.strip_prefix("async fn "));
                names.extend(functions.filter_map(|line| line.split('(').next()).map(str::to_owned));
            } else {
                let sentences = text.split("scenario(").skip(1).filter_map(sentence);
                names.extend(sentences.map(str::to_owned));
            }
        }
    }
    names
}

/// The sentence that a scenario begins with; a template's as far as it is the same everywhere.
fn sentence(scenario: &str) -> Option<&str> {
    let text = scenario.trim_start();
    let quote = text.chars().next().filter(|sign| ['\'', '"', '`'].contains(sign))?;
    let sentence = text[1..].split(quote).next()?;
    sentence.split("${").next()
}
