//! How many crates a program builds for this, beside the peers.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::report::{Goal, Measure};

/// What the leaner of two peers has, as `cargo xtask bench --peers id-tokens` counts them (2026-11-26): without an HTTP
/// engine `openidconnect` 4.1 has 138 crates and `huskarl` 0.11, its native signatures included, 143; with reqwest and
/// rustls 181 and 187.
const LEANEST_PEER: (f64, f64) = (138.0, 181.0);

/// Counts the crates that Cargo names for this platform, build-time ones included.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let alone = count(&["-p", "latchkey-oidc-flow"])?;
    let with_http = count(&[
        "-p",
        "latchkey-transport",
        "-p",
        "latchkey-oidc-flow",
        "--features",
        "latchkey-transport/reqwest",
    ])?;
    Ok(vec![
        Measure::new("oidc-flow/crates", "count", (alone, LEANEST_PEER.0), Goal::RatioAtMost(1.0)),
        Measure::new(
            "oidc-flow/crates_with_http",
            "count",
            (with_http, LEANEST_PEER.1),
            Goal::RatioAtMost(1.0),
        ),
    ])
}

fn count(packages: &[&str]) -> anyhow::Result<f64> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(packages)
        .output()
        .context("cargo tree")?;
    ensure!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let names: BTreeSet<_> = std::str::from_utf8(&tree.stdout)?
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .map(|line| line.split(" (").next().unwrap_or(line).to_owned())
        .collect();
    Ok(f64::from(u32::try_from(names.len())?))
}
