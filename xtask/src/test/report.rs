//! What came of it: counts per step, a table, and the last line.

use std::fmt::Write as _;
use std::time::Duration;

use super::failures::{self, Failure};
use super::plan::LeftOut;

/// How many of something passed, failed, and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Counts {
    pub(super) fn check(success: bool) -> Self {
        Self { passed: usize::from(success), failed: usize::from(!success), skipped: 0 }
    }

    /// Adds up every `test result:` line of test runners.
    pub(super) fn of_output(output: &str) -> Self {
        output.lines().filter_map(Self::of_line).fold(Self::default(), Self::plus)
    }

    /// Reads `test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 2 filtered out; finished in 0.05s`.
    fn of_line(line: &str) -> Option<Self> {
        let (_, numbers) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            match (number.parse(), what) {
                (Ok(number), "passed") => counts.passed = number,
                (Ok(number), "failed") => counts.failed = number,
                (Ok(number), "ignored") => counts.skipped = number,
                _ => {}
            }
        }
        Some(counts)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// What came of a step, which may be several runs of tests.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) counts: Counts,
    /// Those that a test runner named.
    pub(super) failures: Vec<Failure>,
    /// Those that passed only when they were tried again.
    pub(super) unsteady: Vec<String>,
}

impl From<Counts> for Outcome {
    fn from(counts: Counts) -> Self {
        Self { counts, ..Self::default() }
    }
}

impl Outcome {
    /// Reads what a runner of tests has printed.
    pub(super) fn of_output(success: bool, output: &str) -> Self {
        let mut counts = Counts::of_output(output);
        if !success && counts.failed == 0 {
            // A runner that crashed leaves no result behind.
            counts.failed = 1;
        }
        Self { counts, failures: failures::of_output(output), unsteady: failures::unsteady(output) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.counts = self.counts.plus(other.counts);
        self.failures.extend(other.failures);
        self.unsteady.extend(other.unsteady);
    }
}

/// Everything that was run, and what was not.
pub(super) struct Report {
    lines: Vec<Line>,
    left_out: Vec<LeftOut>,
}

/// One step that was run.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// Whether the counts are those of a test runner.
    pub(super) ran_tests: bool,
    pub(super) took: Duration,
}

impl Report {
    pub(super) fn new(lines: Vec<Line>, left_out: Vec<LeftOut>) -> Self {
        Self { lines, left_out }
    }

    /// Nothing failed, and at least one test was run: an empty run proves nothing.
    pub(super) fn is_success(&self) -> bool {
        let ran = |line: &Line| line.ran_tests && line.outcome.counts.passed > 0;
        self.total().failed == 0 && self.lines.iter().any(ran)
    }

    pub(super) fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
        let mut text =
            format!("{:<width$} {:>7} {:>7} {:>8} {:>8}\n", "step", "passed", "failed", "skipped", "seconds");
        for Line { name, outcome, took, .. } in &self.lines {
            let Counts { passed, failed, skipped } = outcome.counts;
            let took = took.as_secs_f64();
            let _ = writeln!(text, "{name:<width$} {passed:>7} {failed:>7} {skipped:>8} {took:>8.1}");
        }
        for LeftOut { what, why } in &self.left_out {
            let _ = writeln!(text, "left out: {what} ({why})");
        }
        for Line { name, outcome, .. } in &self.lines {
            for test in &outcome.unsteady {
                let _ = writeln!(text, "unsteady: {name}: {test}");
            }
        }
        for Line { name, outcome, .. } in self.lines.iter().filter(|line| line.outcome.counts.failed > 0) {
            if outcome.failures.is_empty() {
                let _ = writeln!(text, "failed: {name}");
            }
            for Failure { name: test, why } in &outcome.failures {
                let _ = writeln!(text, "failed: {name}: {test}\n    {why}");
            }
        }
        if !self.lines.iter().any(|line| line.ran_tests && line.outcome.counts.passed > 0) {
            text.push_str("no test passed: this run proves nothing and counts as failed\n");
        }
        text
    }

    /// The last line of a run, which other programs read.
    pub(super) fn summary(&self) -> String {
        let Counts { passed, failed, skipped } = self.total();
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    fn total(&self) -> Counts {
        self.lines.iter().map(|line| line.outcome.counts).fold(Counts::default(), Counts::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counts(passed: usize, failed: usize, skipped: usize) -> Counts {
        Counts { passed, failed, skipped }
    }

    fn line(counts: Counts, ran_tests: bool) -> Line {
        Line { name: "step".to_owned(), outcome: counts.into(), ran_tests, took: Duration::ZERO }
    }

    #[test]
    fn results_of_several_runners_are_added_up() {
        let output = "running 2 tests\n\
            test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 0.05s\n\
            test a_test_result ... ok\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(Counts::of_output(output), counts(13, 2, 3));
    }

    #[test]
    fn colours_do_not_hide_a_failure() {
        let output = "test result: \u{1b}[31mFAILED\u{1b}[0m. 1 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(Counts::of_output(output), counts(1, 2, 0));
    }

    #[test]
    fn what_a_test_prints_is_not_a_result() {
        assert_eq!(Counts::of_output("my test result: ok. 5 passed; 0 failed\n"), counts(0, 0, 0));
    }

    #[test]
    fn a_run_without_tests_is_no_success() {
        let report = Report::new(vec![line(counts(5, 0, 0), false), line(counts(0, 0, 9), true)], Vec::new());
        assert!(!report.is_success());
        assert!(report.table().contains("no test passed"));
    }

    #[test]
    fn one_failure_fails_the_run() {
        let report = Report::new(vec![line(counts(5, 1, 2), true), line(counts(1, 0, 0), false)], Vec::new());
        assert!(!report.is_success());
        assert_eq!(report.summary(), "6 passed, 1 failed, 2 skipped");
        assert!(report.table().ends_with("failed: step\n"));
    }

    #[test]
    fn what_failed_is_named_at_the_end() {
        let failures = vec![Failure { name: "a::two".to_owned(), why: "it is not so".to_owned() }];
        let unsteady = vec!["a window".to_owned()];
        let outcome = Outcome { counts: counts(5, 1, 2), failures, unsteady };
        let line = Line { outcome, ..line(counts(5, 1, 2), true) };
        let report = Report::new(vec![line], Vec::new());
        let end = "unsteady: step: a window\nfailed: step: a::two\n    it is not so\n";
        assert!(report.table().ends_with(end));
    }

    #[test]
    fn passing_tests_and_checks_are_a_success() {
        let report = Report::new(vec![line(counts(5, 0, 2), true), line(counts(1, 0, 0), false)], Vec::new());
        assert!(report.is_success());
    }
}
