//! `docs/conformance.md`: the table as a run has shown it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, bail};

use super::bench::{Bench, Net};
use super::{PLANS, Plan, Row, Show, Verdict};

/// Set by `cargo xtask conformance`: the file is written, not compared.
const WRITE: &str = "LATCHKEY_WRITE_CONFORMANCE";

const HEAD: &str = "\
# Conformance

The relying-party tests of the OpenID conformance suite, by their names there, against the provider double of
`crates/testbed`, which misbehaves as the suite does. This page is written by `cargo xtask conformance` from a run; the test
`conformance::the_committed_table_is_that_of_this_run` fails when it is stale, and each row is a test of its own besides
(`tests/suite/conformance/`), in memory and over loopback.

It is no certification: that takes the suite itself, which `conformance-rp` of `examples/` lets anybody run. *Refused* means
that the login ended with that code before userinfo was asked (or used, where it is userinfo that is wrong). Throughout, the
provider publishes keys that are to be passed over, PKCE, redirect address and client are checked, and no call carries
anything in its query.
";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md")
}

/// Runs every row, and compares the table with the committed one, or writes it.
pub(super) async fn compare() -> anyhow::Result<()> {
    let text = text().await;
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(path().parent().context("it is in a folder")?)?;
        return Ok(fs::write(path(), text)?);
    }
    let committed = fs::read_to_string(path()).unwrap_or_default();
    if let Some((line, ours)) = first_difference(&text, &committed) {
        bail!("docs/conformance.md is stale, run `cargo xtask conformance`; line {line} of this run: {ours}");
    }
    Ok(())
}

fn first_difference<'a>(ours: &'a str, committed: &str) -> Option<(usize, &'a str)> {
    if ours == committed {
        return None;
    }
    let differs = |(ours, theirs): &(&str, Option<&str>)| Some(*ours) != *theirs;
    let theirs = committed.lines().map(Some).chain(std::iter::repeat(None));
    let mut pairs = ours.lines().zip(theirs).enumerate();
    let found = pairs.find(|(_, pair)| differs(pair)).map(|(index, (line, _))| (index + 1, line));
    Some(found.unwrap_or((ours.lines().count() + 1, "(nothing more)")))
}

async fn text() -> String {
    let mut tables = String::new();
    let (mut shown, mut failed, mut left_out) = (0, 0, 0);
    for plan in PLANS {
        let _ = write!(
            tables,
            "\n## {}\n\n| test | the relying party must | what it does |\n|---|---|---|\n",
            plan.title
        );
        for row in plan.rows() {
            let outcome = if let Show::Not(why) = row.show {
                left_out += 1;
                format!("not shown: {why}")
            } else {
                let verdict = shown_by(&plan, row).await;
                *if verdict.is_some() { &mut shown } else { &mut failed } += 1;
                verdict.as_ref().map_or("**FAILED**".to_owned(), told)
            };
            let _ = writeln!(tables, "| `{}` | {} | {outcome} |", row.id, row.must);
        }
    }
    format!(
        "{HEAD}\n{shown} rows are shown, {failed} failed, {left_out} are not shown, each with its reason.\n{tables}"
    )
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".to_owned(),
        Verdict::Refused(code) => format!("refused: `{code}`"),
        Verdict::Did(what) => (*what).to_owned(),
    }
}

/// What a row shows in memory; nothing where it fails.
async fn shown_by(plan: &Plan, row: &'static Row) -> Option<Verdict> {
    let bench = Bench::new(Net::Memory, plan.response_mode).await.ok()?;
    // In a task of its own: a row that panics is a red row, and the others go on.
    tokio::spawn(row.run(bench)).await.ok()
}
