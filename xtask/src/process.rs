//! Children that never outlive us.
//!
//! Every child leads a process group of its own. A tiny shell, the guard, knows these groups and waits at the
//! other end of a pipe: when the pipe closes — because we are done, or because somebody killed us — it ends
//! whatever is still there. So Ctrl-C, a panic and `kill -9` all leave nothing behind, without a signal handler.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long a group may take to stop by itself. Keycloak needs 3 s idle; ten covers a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets a program know nothing of the Vault that the person's own shell may name.
pub(crate) fn forget_vault(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("VAULT_") || name.starts_with("BAO_")) {
            command.env_remove(name);
        }
    }
}

/// Reads `watch GROUP` and `forget GROUP`; at the end of its input it ends what it still watches: politely, and
/// by force after `$1` tenths of a second. It ignores what a terminal sends, for it must work after everybody else is gone.
const GUARD_SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=
while read -r verb group; do
    case $verb in
        watch) groups="$groups $group" ;;
        forget)
            kept=
            for each in $groups; do [ "$each" = "$group" ] || kept="$kept $each"; done
            groups=$kept ;;
    esac
done
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
left=$1
while [ "$left" -gt 0 ]; do
    alive=
    for group in $groups; do kill -s 0 -- "-$group" 2>/dev/null && alive="$alive $group"; done
    [ -n "$alive" ] || exit 0
    groups=$alive
    left=$((left - 1))
    sleep 0.1
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

/// The shell that ends our children when we are gone.
pub(crate) struct Guard {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    pub(crate) fn start() -> Result<Self> {
        Self::with_patience(PATIENCE)
    }

    fn with_patience(patience: Duration) -> Result<Self> {
        let tenths = (patience.as_millis() / 100).to_string();
        let mut shell = Command::new("sh")
            .args(["-c", GUARD_SCRIPT, "sh", &tenths])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("`sh` does not start")?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// Starts a child without a terminal to read from; it ends when the returned value is dropped.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Process<'_>> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("`{name}` does not start"))?;
        // From here on the child ends with `process`, even if the guard cannot be told.
        let process = Process { child, guard: self, released: false };
        self.tell("watch", process.id())?;
        Ok(process)
    }

    fn tell(&self, verb: &str, group: u32) -> Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // One short write reaches the pipe as a whole: a line is never torn, even if we are killed now.
        let line = format!("{verb} {group}\n");
        let pipe = pipe.as_mut().context("the guard has been dismissed")?;
        pipe.write_all(line.as_bytes()).context("the guard of our children has ended")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.shell.wait();
    }
}

/// A running child and everything that it started.
pub(crate) struct Process<'guard> {
    child: Child,
    guard: &'guard Guard,
    released: bool,
}

impl Process<'_> {
    /// The process, and the group that it leads.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// The child's output, if it was started with a pipe for it.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Lets the child live on without us.
    pub(crate) fn release(mut self) -> Result<()> {
        self.guard.tell("forget", self.id())?;
        self.released = true;
        Ok(())
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        let group = self.id();
        let child = &mut self.child;
        // Waiting for our own child also removes its zombie, which would count as alive.
        end_group(group, || {
            let _ = child.try_wait();
        });
        let _ = self.child.wait();
        let _ = self.guard.tell("forget", group);
    }
}

/// Ends a whole process group, politely and then by force, and returns when it is gone.
pub(crate) fn end_group(group: u32, meanwhile: impl FnMut()) {
    end_group_within(PATIENCE, group, meanwhile);
}

fn end_group_within(patience: Duration, group: u32, mut meanwhile: impl FnMut()) {
    for signal in ["TERM", "KILL"] {
        meanwhile();
        if !group_is_alive(group) {
            return;
        }
        send(signal, group);
        let begun = Instant::now();
        while begun.elapsed() < patience {
            meanwhile();
            if !group_is_alive(group) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// When a process started, in the kernel's clock ticks since boot: with the pid it names one process for good.
///
/// `None` if there is no such process, if it is a zombie, or where there is no `/proc`.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    Stat::of(pid).filter(Stat::is_alive).map(|stat| stat.started)
}

/// Whether this machine can tell processes apart by their start time.
pub(crate) fn has_proc() -> bool {
    start_time(std::process::id()).is_some()
}

fn group_is_alive(group: u32) -> bool {
    if !has_proc() {
        return send("0", group);
    }
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
        .any(|stat| stat.group == group && stat.is_alive())
}

fn send(signal: &str, group: u32) -> bool {
    // `kill` is built into every shell, while the program of that name is missing on small images.
    let script = r#"kill -s "$1" -- "-$2""#;
    Command::new("sh")
        .args(["-c", script, "sh", signal, &group.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What we need of `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    state: char,
    group: u32,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the name in parentheses, and a name may hold spaces and parentheses itself.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(16)?.parse().ok()?;
        Some(Self { state, group, started })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// A shell that started a grandchild, which ignores nothing, and told us its pid.
    fn family(guard: &Guard) -> (Process<'_>, u32) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 300 & echo $!; wait"]).stdout(Stdio::piped());
        let mut process = guard.spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
        let grandchild = line.trim().parse().unwrap();
        assert!(start_time(grandchild).is_some());
        (process, grandchild)
    }

    fn is_gone(pid: u32) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if start_time(pid).is_none() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    #[test]
    fn a_child_dies_with_all_it_started_when_the_pipe_of_the_guard_closes() {
        let guard = Guard::start().unwrap();
        let (mut process, grandchild) = family(&guard);
        // What happens when we are killed: no destructor runs, only the pipe closes.
        *guard.pipe.lock().unwrap() = None;
        assert!(is_gone(grandchild), "the grandchild outlived the pipe");
        assert!(is_gone(process.id()), "the child outlived the pipe");
        assert_eq!(process.wait().unwrap().signal(), Some(15), "it was not asked politely");
    }

    #[test]
    fn a_child_dies_with_all_it_started_when_it_is_dropped() {
        let guard = Guard::start().unwrap();
        let (process, grandchild) = family(&guard);
        drop(process);
        assert!(start_time(grandchild).is_none());
    }

    #[test]
    fn a_released_child_outlives_the_guard() {
        let guard = Guard::start().unwrap();
        let (process, grandchild) = family(&guard);
        let group = process.id();
        process.release().unwrap();
        drop(guard);
        let outlived = start_time(grandchild).is_some();
        end_group(group, || {});
        assert!(outlived);
    }

    /// A shell that does not hear a polite end.
    fn deaf(guard: &Guard) -> Process<'_> {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]).stdout(Stdio::piped());
        let mut process = guard.spawn(&mut command).unwrap();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut String::new()).unwrap();
        process
    }

    #[test]
    fn a_child_that_refuses_to_stop_is_ended_by_force_when_the_pipe_closes() {
        let guard = Guard::with_patience(Duration::from_millis(200)).unwrap();
        let mut process = deaf(&guard);
        *guard.pipe.lock().unwrap() = None;
        assert!(is_gone(process.id()), "the child outlived the pipe");
        assert_eq!(process.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_child_that_refuses_to_stop_is_ended_by_force() {
        let guard = Guard::start().unwrap();
        let mut process = deaf(&guard);
        let group = process.id();
        end_group_within(Duration::from_millis(200), group, || {
            let _ = process.try_wait();
        });
        assert!(start_time(group).is_none());
    }

    #[test]
    fn a_stat_line_is_read_past_a_hostile_name() {
        let line = "42 (a) R 1) S 7 41 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 100 200";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', group: 41, started: 98765 }));
        assert_eq!(Stat::parse("42 (sh"), None);
    }

    #[test]
    fn a_zombie_does_not_count_as_alive() {
        let line = "42 (sh) Z 7 41 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 100 200";
        assert!(!Stat::parse(line).unwrap().is_alive());
    }
}
