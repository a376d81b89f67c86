//! The small runner: a target's corpus, then mutations of it until the time is over.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};

use crate::Target;
use crate::mutation::{Chance, mutate};

/// How long, from which seed, and whether it is only about one file.
pub struct Plan {
    /// How long mutations are tried.
    pub time: Duration,
    /// Which mutations.
    pub seed: u64,
    /// The one input to be tried.
    pub file: Option<PathBuf>,
}

impl Plan {
    /// Reads `LATCHKEY_FUZZ_SECONDS` (2), `LATCHKEY_FUZZ_SEED` (1) and `LATCHKEY_FUZZ_FILE`.
    pub fn from_environment() -> anyhow::Result<Self> {
        let number = |name: &str, default: u64| match env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name} is no number")),
            Err(_) => Ok(default),
        };
        Ok(Self {
            time: Duration::from_secs(number("LATCHKEY_FUZZ_SECONDS", 2)?),
            seed: number("LATCHKEY_FUZZ_SEED", 1)?,
            file: env::var_os("LATCHKEY_FUZZ_FILE").map(PathBuf::from),
        })
    }
}

/// How much was tried.
#[derive(Debug)]
pub struct Outcome {
    /// Files of the corpus.
    pub seeds: usize,
    /// Mutations of them.
    pub mutations: u64,
}

/// Runs a target. An error tells how to run the input that broke it again.
pub fn run(target: Target, plan: &Plan) -> anyhow::Result<Outcome> {
    if let Some(file) = &plan.file {
        (target.run)(&fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?);
        return Ok(Outcome { seeds: 1, mutations: 0 });
    }
    let corpus = corpus(target)?;
    for (name, bytes) in &corpus {
        attempt(target, bytes, &format!("the seed {name}"))?;
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    let mut chance = Chance::new(plan.seed);
    let (begun, mut mutations) = (Instant::now(), 0);
    while begun.elapsed() < plan.time {
        let parent = inputs.get(chance.below(inputs.len())).map(Vec::as_slice).unwrap_or_default();
        let bytes = mutate(parent, &inputs, &mut chance);
        mutations += 1;
        attempt(target, &bytes, &format!("mutation {mutations} of seed {}", plan.seed))?;
    }
    Ok(Outcome { seeds: inputs.len(), mutations })
}

fn attempt(target: Target, bytes: &[u8], what: &str) -> anyhow::Result<()> {
    // A target keeps nothing between two runs.
    let Err(cause) = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))) else { return Ok(()) };
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no text");
    let folder = root().join("../target/fuzz").join(target.name);
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("crash-{:016x}", fingerprint(bytes)));
    fs::write(&file, bytes)?;
    bail!(
        "{what} breaks {name}: {text}\nrun it again: LATCHKEY_FUZZ_FILE={file} cargo test -p latchkey-fuzz --test fuzz -- {name}",
        name = target.name,
        file = file.display(),
    )
}

/// Reads the seeds of a target, in the order of their names.
fn corpus(target: Target) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = root().join("corpus").join(target.name);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{} has no seeds", target.name))? {
        let entry = entry?;
        seeds.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    ensure!(!seeds.is_empty(), "{} has no seeds", target.name);
    seeds.sort();
    Ok(seeds)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names a file after its content (FNV-1a).
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_is_kept_and_can_be_run_again() {
        fn picky(bytes: &[u8]) {
            assert!(!bytes.contains(&b'9'), "nine");
        }
        let target = Target { name: "vault_duration", run: picky };
        let plan = Plan { time: Duration::from_secs(30), seed: 1, file: None };
        let error = run(target, &plan).unwrap_err().to_string();
        assert!(error.contains("nine") && error.contains("breaks vault_duration"), "{error}");
        let file = error.split("LATCHKEY_FUZZ_FILE=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(fs::read(file).unwrap().contains(&b'9'));
        let again = Plan { file: Some(file.into()), ..plan };
        assert!(panic::catch_unwind(AssertUnwindSafe(|| run(target, &again))).is_err());
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn every_target_has_seeds_and_all_seeds_have_a_target() {
        let folders = fs::read_dir(root().join("corpus")).unwrap();
        let mut folders: Vec<_> =
            folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut targets: Vec<_> = crate::targets().map(|target| target.name.to_owned()).collect();
        folders.sort();
        targets.sort();
        assert_eq!(folders, targets);
        for target in crate::targets() {
            corpus(target).unwrap();
        }
    }
}
