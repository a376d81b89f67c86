//! The table and the picture in `docs/renewal.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::TOKENS;
use super::fleet_world::World;
use super::plot;
use super::score::{Score, float};

const START: &str = "<!-- the contest's table: `cargo xtask bench contest` writes it -->";
const END: &str = "<!-- end of the contest's table -->";

/// The table, as Markdown.
pub(crate) fn table(scores: &[Score]) -> String {
    let mut text = String::from(
        "| policy | dead tokens met | requests turned away | minutes without a token | … although the server could be reached | renewals | logins | peak after an outage |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for score in scores {
        let minutes = |milliseconds: u64| float(milliseconds) / 60_000.0;
        let peak = float(score.peak()) / f64::from(TOKENS) * 100.0;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.0} | {} | {} | {peak:.1} % |",
            score.name,
            grouped(score.dead),
            grouped(score.refused),
            minutes(score.gap),
            minutes(score.gap_with_a_way),
            grouped(score.renewals),
            grouped(score.logins),
        );
    }
    text
}

/// Writes table and picture.
pub(crate) fn write(world: &World, scores: &[Score]) -> anyhow::Result<()> {
    let docs = docs()?;
    let path = docs.join("renewal.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(&path, with_table(&page, &table(scores))?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let path = docs.join("renewal.svg");
    fs::write(&path, plot::svg(world, scores)).with_context(|| format!("cannot write {}", path.display()))
}

fn with_table(page: &str, table: &str) -> anyhow::Result<String> {
    let parts = page.split_once(START).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else { bail!("docs/renewal.md has lost the marks around its table") };
    Ok(format!("{before}{START}\n\n{table}\n{END}{after}"))
}

fn docs() -> anyhow::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the bench has no workspace")?;
    Ok(workspace.join("docs"))
}

/// A count with a thin gap between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{END, START, grouped, with_table};

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() -> anyhow::Result<()> {
        let page = format!("above\n{START}\nold\n{END}\nbelow\n");
        let once = with_table(&page, "new\n")?;
        assert_eq!(once, format!("above\n{START}\n\nnew\n\n{END}\nbelow\n"));
        assert_eq!(with_table(&once, "new\n")?, once);
        Ok(())
    }

    #[test]
    fn a_page_without_its_marks_is_not_overwritten() {
        assert!(with_table("a page", "new").is_err());
    }
}
