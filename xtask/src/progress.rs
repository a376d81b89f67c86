//! What a person sees while they wait.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::Guard;

/// Prints a line. A reader who went away, as in `cargo xtask test | head`, is no reason to stop or to panic.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}
pub(crate) use say;

/// After this long without news a line says that work goes on: shorter is noise, longer looks like a hang.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What became of a command whose output went into a log.
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// How it ended, for people: `exit status: 101`.
    pub(crate) status: String,
    pub(crate) took: Duration,
}

/// Runs a command to its end with all output in `log`, and prints a line now and then.
pub(crate) fn run_logged(guard: &Guard, title: &str, command: &mut Command, log: &Path) -> Result<Finished> {
    let begun = Instant::now();
    let mut heartbeat = Heartbeat::new();
    let output = create_log(log)?;
    command.stdout(output.try_clone()?).stderr(output);
    let mut process = guard.spawn(command)?;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(Finished {
                success: status.success(),
                status: status.to_string(),
                took: begun.elapsed(),
            });
        }
        heartbeat.tick(title, log);
        thread::sleep(Duration::from_millis(50));
    }
}

/// Says now and then that something long is still at work.
pub(crate) struct Heartbeat {
    begun: Instant,
    last: Instant,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now }
    }

    /// Prints the last line of the log, if it is time to.
    pub(crate) fn tick(&mut self, title: &str, log: &Path) {
        if self.last.elapsed() >= HEARTBEAT {
            self.last = Instant::now();
            say!("    … {title}, {}: {}", seconds(self.begun.elapsed()), last_line(log));
        }
    }
}

/// An empty log for a child to write to, with its folder made.
pub(crate) fn create_log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    // Appending, so that a child that reopens its output does not write over what others wrote.
    File::options().append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

/// The end of a log, for an error message.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = last_bytes(log, 16 * 1024);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A duration as people read it: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        whole @ 10..120 => format!("{whole} s"),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

fn last_line(log: &Path) -> String {
    let text = last_bytes(log, 2048);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet");
    line.trim().chars().take(90).collect()
}

fn last_bytes(log: &Path, count: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        assert_eq!(seconds(Duration::from_millis(440)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(119)), "119 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }
}
