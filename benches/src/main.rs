//! Measurements of the Latchkey crates against what users would pick instead, in the same run.
//!
//! `cargo xtask bench` runs them, prints a table and writes `target/bench/report.json`. A new measurement is a
//! function that returns [`Measure`]s, and a line in [`BENCHES`]; a new peer is one more reference in the same function.

mod code_flow;
mod contest;
mod crates;
mod documents;
mod fleet;
mod id_token;
mod kv2_read;
mod paging;
mod report;
mod server;
mod signed;
mod token;

use std::path::PathBuf;

use clap::Parser;

use report::Measure;

/// Measures one thing in a few ways.
type Bench = fn() -> anyhow::Result<Vec<Measure>>;

/// Every bench: its name, which a filter matches, and what it measures.
const BENCHES: &[(&str, Bench)] = &[
    ("vault-client/kv2_read", kv2_read::measure),
    ("vault-client/kv2_list", paging::measure),
    ("oidc-flow/id_token", id_token::measure),
    ("token-lifecycle/token", token::measure),
    ("token-lifecycle/fleet", fleet::measure),
    ("token-lifecycle/contest", contest::measure),
    ("oidc-flow/code_flow", code_flow::measure),
    ("oidc-flow/documents", documents::measure),
    ("oidc-flow/crates", crates::measure),
];

/// Measures the Latchkey crates against what users would pick instead.
#[derive(Parser)]
struct Arguments {
    /// Runs only benches whose name contains this
    filter: Option<String>,
    /// Where the report goes
    #[arg(long, default_value = "target/bench/report.json")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = arguments.filter.unwrap_or_default();
    let mut measures = Vec::new();
    for (name, bench) in BENCHES.iter().filter(|(name, _)| name.contains(&filter)) {
        eprintln!("measuring {name} …");
        measures.extend(bench()?);
    }
    report::print(&measures);
    report::write(&measures, &arguments.out)
}
