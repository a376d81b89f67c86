//! What a measurement says, as a table and as JSON.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// One figure beside the figure of what users would pick instead, both from the same run.
#[derive(Serialize)]
pub(crate) struct Measure {
    /// `crate/what`.
    pub(crate) name: &'static str,
    /// Our figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The other's figure, in the same unit.
    pub(crate) reference: f64,
    /// Ours by the other's.
    pub(crate) ratio: f64,
    /// What we want, in words.
    pub(crate) goal: String,
    /// Whether we have it.
    pub(crate) holds: bool,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Our figure is at most this.
    ValueAtMost(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// The ratio is at least this.
    RatioAtLeast(f64),
}

impl Measure {
    /// Compares a figure with its reference and its goal.
    pub(crate) fn new(
        name: &'static str,
        unit: &'static str,
        (value, reference): (f64, f64),
        goal: Goal,
    ) -> Self {
        Self::with_ratio(name, unit, (value, reference), value / reference, goal)
    }

    /// The same where the ratio was taken pair by pair, which noise harms less than the ratio of two medians.
    pub(crate) fn with_ratio(
        name: &'static str,
        unit: &'static str,
        (value, reference): (f64, f64),
        ratio: f64,
        goal: Goal,
    ) -> Self {
        let (text, holds) = match goal {
            Goal::ValueAtMost(most) => (format!("at most {most} {unit}"), value <= most),
            Goal::RatioAtMost(most) => (format!("at most {most} of the reference"), ratio <= most),
            Goal::RatioAtLeast(least) => (format!("at least {least} of the reference"), ratio >= least),
        };
        Self { name, value, unit, reference, ratio, goal: text, holds }
    }
}

/// Prints the table.
pub(crate) fn print(measures: &[Measure]) {
    println!("{:<44} {:>12} {:>12} {:>7}  {:<10} goal", "measure", "ours", "reference", "ratio", "unit");
    for measure in measures {
        let Measure { name, value, unit, reference, ratio, goal, holds } = measure;
        let verdict = if *holds { "holds" } else { "MISSED" };
        println!("{name:<44} {value:>12.2} {reference:>12.2} {ratio:>7.3}  {unit:<10} {goal}: {verdict}");
    }
}

/// Writes the report.
pub(crate) fn write(measures: &[Measure], path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(measures)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

/// Returns the middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
