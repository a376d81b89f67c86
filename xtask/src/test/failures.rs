//! Which tests failed, with the first words of why, and which were tried again: people read the end of a run first.

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) name: String,
    /// One line, empty where the runner gave none.
    pub(super) why: String,
}

/// Finds every `test NAME ... FAILED` of test runners.
pub(super) fn of_output(output: &str) -> Vec<Failure> {
    let lines: Vec<&str> = output.lines().collect();
    let failed =
        |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.trim().to_owned());
    let names = lines.iter().enumerate().filter_map(|(index, line)| Some((index, failed(line)?)));
    names.map(|(index, name)| Failure { why: why(&lines, index, &name), name }).collect()
}

/// Finds the tests that passed only when they were tried again: `test NAME ... ok, unsteady, 12.3 s`.
pub(super) fn unsteady(output: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.split_once(" ... ok, unsteady")?.0.to_owned());
    output.lines().filter_map(name).collect()
}

/// The message of a panic, which Rust's runner shows further below, or else the line after the verdict.
fn why(lines: &[&str], verdict: usize, name: &str) -> String {
    let title = format!("---- {name} stdout ----");
    let begin = lines.iter().position(|line| *line == title).map_or(verdict, |index| index + 1);
    let is_message = |line: &&&str| !line.is_empty() && !line.starts_with("thread '");
    let message = if begin == verdict {
        lines.get(verdict + 1).filter(|line| !line.is_empty() && !line.starts_with("test "))
    } else {
        let own = lines[begin..].iter().take_while(|line| !line.starts_with("---- "));
        // What the test printed itself comes before its panic.
        let panic = own.clone().position(|line| line.starts_with("thread '")).unwrap_or(0);
        own.skip(panic).find(is_message)
    };
    message.map(|line| line.trim().chars().take(200).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, why: &str) -> Failure {
        Failure { name: name.to_owned(), why: why.to_owned() }
    }

    #[test]
    fn a_failure_of_rusts_runner_is_told_with_its_panic() {
        let output = "running 3 tests\n\
            test a::one ... ok\n\
            test a::two ... FAILED\n\
            test README.md - (line 7) ... FAILED\n\
            \n\
            failures:\n\
            \n\
            ---- a::two stdout ----\n\
            what it printed\n\
            \n\
            thread 'a::two' panicked at src/a.rs:3:5:\n\
            assertion `left == right` failed\n  left: 1\n right: 2\n\
            \n\
            ---- README.md - (line 7) stdout ----\n\
            error[E0425]: cannot find value\n\
            \n\
            failures:\n    a::two\n";
        let expected = [
            failure("a::two", "assertion `left == right` failed"),
            failure("README.md - (line 7)", "error[E0425]: cannot find value"),
        ];
        assert_eq!(of_output(output), expected);
    }

    #[test]
    fn a_failure_of_a_script_is_told_with_the_line_below_it() {
        let output = "test a window ... FAILED\nError: timed out\n    at until\ntest two ... FAILED\ntest three ... ok\n";
        assert_eq!(of_output(output), [failure("a window", "Error: timed out"), failure("two", "")]);
    }

    #[test]
    fn a_test_that_passed_at_the_second_attempt_is_unsteady_and_no_failure() {
        let output = "test a window ... tried again, after 60.1 s\nError: timed out\n\
            test a window ... ok, unsteady, 64.0 s\ntest two ... ok, 3.0 s\n";
        assert_eq!(unsteady(output), ["a window"]);
        assert_eq!(of_output(output), []);
    }

    #[test]
    fn the_line_of_counts_names_no_test() {
        assert_eq!(of_output("test result: FAILED. 1 passed; 2 failed; 0 ignored\n"), []);
    }
}
