//! The picture: what each policy does to the server around the long outage.

use std::fmt::Write as _;

use super::TOKENS;
use super::fleet_world::{MINUTE, World};
use super::policy::SECOND;
use super::score::{Score, float};

// In pixels.
const WIDTH: f64 = 900.0;
const ROW: f64 = 64.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 56.0;

/// Seconds in one column.
const COLUMN: usize = 5;

/// The share of the fleet at which a row is full.
const FULL: f64 = 0.05;

/// Draws one row per policy: the most calls in one second, for each five seconds around the longest outage.
pub(crate) fn svg(world: &World, scores: &[Score]) -> String {
    let Some(outage) = world.outages.iter().max_by_key(|outage| outage.until - outage.from) else {
        return String::new();
    };
    let (from, until) = (outage.from - 10 * MINUTE, outage.until + 20 * MINUTE);
    let x = |at: u64| LEFT + float(at - from) / float(until - from) * (WIDTH - LEFT - RIGHT);
    let bottom = scores.iter().fold(TOP, |height, _| height + ROW);
    let height = bottom + 30.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\" fill=\"#1b1f24\">Calls per second around an outage of ten minutes, {TOKENS} tokens</text>\n\
         <text x=\"{LEFT}\" y=\"40\" fill=\"#57606a\">a row is as high as 5 % of the fleet in one second; a red tip was cut off</text>\n",
    );
    let (start, wide) = (x(outage.from), x(outage.until) - x(outage.from));
    let _ = writeln!(
        text,
        "<rect x=\"{start:.1}\" y=\"{TOP}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"#eaeef2\"/>",
        bottom - TOP
    );
    let mut base = TOP;
    for (row, score) in scores.iter().enumerate() {
        base += ROW;
        let color = if row == 0 { "#0969da" } else { "#6e7781" };
        let _ =
            writeln!(text, "<text x=\"8\" y=\"{:.0}\" fill=\"{color}\">{}</text>", base - 8.0, score.name);
        let bars = bars(score, (from, until), base, x);
        let end = WIDTH - RIGHT;
        let _ = writeln!(text, "<path d=\"M{LEFT} {base}{}H{end}V{base}Z\" fill=\"{color}\"/>", bars.shape);
        if !bars.cut.is_empty() {
            let _ = writeln!(text, "<path d=\"{}\" stroke=\"#cf222e\" stroke-width=\"3\"/>", bars.cut);
        }
    }
    for minute in (0..=(until - from) / MINUTE).step_by(5) {
        let (place, y) = (x(from + minute * MINUTE), bottom + 20.0);
        let label = float(minute) - 10.0;
        let _ = writeln!(
            text,
            "<text x=\"{place:.1}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#57606a\">{label:+} min</text>",
        );
    }
    text + "</svg>\n"
}

/// One row.
struct Bars {
    /// The outline, as an SVG path.
    shape: String,
    /// Marks where it was higher than its row.
    cut: String,
}

fn bars(score: &Score, (from, until): (u64, u64), base: f64, x: impl Fn(u64) -> f64) -> Bars {
    let mut bars = Bars { shape: String::new(), cut: String::new() };
    let second = |at: u64| usize::try_from(at / SECOND).unwrap_or_default();
    let loads = score.load.get(second(from)..second(until)).unwrap_or_default();
    let mut at = from;
    for column in loads.chunks(COLUMN) {
        let most = column.iter().max().copied().unwrap_or_default();
        let share = f64::from(most) / (f64::from(TOKENS) * FULL);
        let tip = base - share.min(1.0) * (ROW - 10.0);
        let _ = write!(bars.shape, "H{:.1}V{tip:.1}", x(at));
        if share > 1.0 {
            let _ = write!(bars.cut, "M{:.1} {tip:.1}h4", x(at) - 2.0);
        }
        at += SECOND * 5;
    }
    bars
}
