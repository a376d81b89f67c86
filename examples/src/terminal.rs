//! The person at the terminal: what is said to them, what they type unseen, and their Ctrl-C.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use latchkey_transport::Secret;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::failure::{Exit, Failure};

/// How much of what is pasted or piped in is read at the most: ten times the longest address that browsers carry.
const LONGEST_INPUT: u64 = 64 * 1024;

/// How often the waiting is told of where no terminal shows a countdown.
const REMINDER: Duration = Duration::from_secs(60);

/// Says a line on standard error. That nobody listens there any more is no reason to stop, or to leave a token behind.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The person's wish to stop: Ctrl-C, or the signals that ask a program to end.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen. From here on Ctrl-C no longer kills the program, so that it can revoke and remove what it
    /// made; pressed a second time, it does.
    pub fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            let _ = stop.send(true);
            signals.next().await;
            std::process::exit(Exit::Refused as i32);
        });
        Ok(Self(stopped))
    }

    /// Returns whether the person wants to stop.
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the person, or whoever runs this program, wants it to stop.
    pub async fn wanted(&self) {
        // Nobody listens any more: then nobody can want it either, and the program is at its end.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Does the work, unless the person wants to stop: then the work is dropped where it stands.
    pub async fn or<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let mut stopped = self.0.clone();
        tokio::select! {
            biased;
            Ok(_) = stopped.wait_for(|stop| *stop) => Err(Failure::new(Exit::Refused, "interrupted")),
            done = work => done.map_err(Into::into),
        }
    }
}

/// Waits for something that a person does elsewhere, and shows on standard error how much time is left.
///
/// # Errors
///
/// [`Exit::TimedOut`] after `limit`, [`Exit::Refused`] when the person wants to stop.
pub async fn wait_for_person<T, E: Into<Failure>>(
    what: &str,
    limit: Duration,
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let _line = Line;
    tokio::select! {
        done = interrupt.or(work) => done,
        never = show_time_left(what, Instant::now() + limit) => match never {},
        () = sleep(limit) => Err(Failure::new(
            Exit::TimedOut,
            format!("nobody came within {} s", limit.as_secs()),
        )
        .with_hint("run it again; --timeout gives more time")),
    }
}

async fn show_time_left(what: &str, deadline: Instant) -> Infallible {
    let on_terminal = io::stderr().is_terminal();
    let mut ticks = interval(if on_terminal { Duration::from_secs(1) } else { REMINDER });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let left = clock(deadline.saturating_duration_since(Instant::now()));
        if on_terminal {
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r\x1b[K{what} ({left} left, Ctrl-C stops) ").and_then(|()| err.flush());
        } else {
            say(format_args!("{what} ({left} left)"));
        }
    }
}

/// Waits for what the person pastes unseen. At a terminal, a text that `understand` refuses is asked for again; one
/// that was piped in cannot get better.
pub async fn wait_for_paste<T>(
    limit: Duration,
    interrupt: &Interrupt,
    understand: impl Fn(&str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let unseen = Unseen::begin();
    let work = async {
        loop {
            let pasted = unseen.read().await?;
            // Opened to be understood.
            match understand(pasted.expose_secret()) {
                Err(failure) if io::stdin().is_terminal() => {
                    say(format_args!("\r\x1b[K{}", failure.message()));
                }
                outcome => return outcome,
            }
        }
    };
    wait_for_person("Paste the code, or the address of its page, here (not shown)", limit, interrupt, work)
        .await
}

/// Says on the terminal what to type, and reads it unseen. For what belongs to the person who started the program.
///
/// # Errors
///
/// A usage failure with `otherwise` as its hint where no person sits at a terminal, or nothing was typed.
pub async fn ask(what: &str, otherwise: &str, interrupt: &Interrupt) -> Result<Secret, Failure> {
    let missing = || Failure::new(Exit::Usage, format!("the {what} is missing")).with_hint(otherwise);
    if !io::stdin().is_terminal() {
        return Err(missing());
    }
    let unseen = Unseen::begin();
    let prompt = |mut err: io::StderrLock<'_>| write!(err, "{what} (not shown): ").and_then(|()| err.flush());
    let _ = prompt(io::stderr().lock());
    let typed = interrupt.or(unseen.read()).await;
    say(format_args!(""));
    let typed = typed?;
    if typed.is_empty() { Err(missing()) } else { Ok(typed) }
}

/// The terminal shows nothing of what is typed while this lives, and is as before afterwards, also when the program
/// ends while it waits for input. It begins before a person is asked: who is quick is not shown either.
#[derive(Debug)]
struct Unseen {
    #[cfg(unix)]
    before: Option<(std::fs::File, rustix::termios::Termios)>,
}

impl Unseen {
    #[cfg(unix)]
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let begin = || {
            let terminal = std::fs::File::open("/dev/tty").ok()?;
            let before = tcgetattr(&terminal).ok()?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&terminal, OptionalActions::Now, &silent).ok()?;
            Some((terminal, before))
        };
        Self { before: if io::stdin().is_terminal() { begin() } else { None } }
    }

    #[cfg(not(unix))]
    fn begin() -> Self {
        Self {}
    }

    /// Reads one line: from the terminal, or from standard input where that is no terminal.
    async fn read(&self) -> Result<Secret, Failure> {
        let (send, received) = oneshot::channel();
        // A thread of its own: a read cannot be cancelled, and tokio would wait for its own threads at the end.
        thread::spawn(move || {
            let read =
                if io::stdin().is_terminal() { read_terminal() } else { first_line(io::stdin().lock()) };
            let _ = send.send(read);
        });
        match received.await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                Err(Failure::new(Exit::Refused, "interrupted"))
            }
            Ok(Err(error)) => Err(Failure::of(Exit::Usage, &error)
                .while_doing("reading the input")
                .with_hint("type it at a terminal, or pipe it in: one line")),
            Err(_) => Err(Failure::new(Exit::Usage, "there is no input to read")),
        }
    }
}

#[cfg(unix)]
impl Drop for Unseen {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some((terminal, before)) = &self.before {
            // What was typed or pasted and not read, such as the rest of an address with a line break in it, must not
            // reach the shell and its history.
            let _ = tcsetattr(terminal, OptionalActions::Flush, before);
        }
    }
}

fn read_terminal() -> io::Result<Secret> {
    // Sign by sign, so that the 4096 bytes which a terminal takes for a line are no limit to an address.
    let config = rpassword::ConfigBuilder::new().output_discard().build();
    rpassword::read_password_with_config(config).map(|line| Secret::new(line.trim()))
}

/// Returns the first line that holds something.
fn first_line(input: impl BufRead) -> io::Result<Secret> {
    for line in input.take(LONGEST_INPUT).lines() {
        let line = Secret::new(line?);
        if !line.expose_secret().trim().is_empty() {
            return Ok(Secret::new(line.expose_secret().trim()));
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "standard input ended before a line came"))
}

/// Returns a length of time as a clock shows it.
fn clock(left: Duration) -> String {
    // A second that has begun still counts: five minutes start at 5:00.
    let seconds = left.as_millis().div_ceil(1000);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The line of the countdown, which goes away with it.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K").and_then(|()| err.flush());
        }
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::{Interrupt, clock, first_line, wait_for_person};
    use crate::failure::{Exit, Failure};

    #[test]
    fn the_first_line_that_holds_something_is_read_and_trimmed() {
        let line = first_line(&b"\n  \r\n  code-1 \r\nmore\n"[..]).unwrap();
        assert_eq!(line.expose_secret(), "code-1");
    }

    #[test]
    fn a_line_without_an_end_is_read_too() {
        assert_eq!(first_line(&b"code-1"[..]).unwrap().expose_secret(), "code-1");
    }

    #[test]
    fn input_that_ends_at_once_is_an_error() {
        assert!(first_line(&b""[..]).is_err());
    }

    #[test]
    fn endless_input_is_not_read_to_its_end() {
        let line = first_line(std::io::BufReader::new(std::io::repeat(b'a'))).unwrap();
        assert_eq!(line.expose_secret().len(), 64 * 1024);
    }

    #[test]
    fn a_second_that_has_begun_still_counts() {
        let shown =
            [300_000, 299_999, 60_000, 59_001, 59_000, 1, 0].map(|ms| clock(Duration::from_millis(ms)));
        assert_eq!(shown, ["5:00", "5:00", "1:00", "1:00", "0:59", "0:01", "0:00"]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_its_limit() {
        let (_stop, stopped) = watch::channel(false);
        let started = tokio::time::Instant::now();
        let waited = wait_for_person(
            "waiting",
            Duration::from_secs(90),
            &Interrupt(stopped),
            pending::<Result<(), Failure>>(),
        )
        .await;
        assert_eq!(waited.unwrap_err().exit(), Exit::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_person_wants_to_stop() {
        let (stop, stopped) = watch::channel(false);
        stop.send(true).unwrap();
        let waited = wait_for_person(
            "waiting",
            Duration::from_secs(90),
            &Interrupt(stopped),
            pending::<Result<(), Failure>>(),
        )
        .await;
        assert_eq!(waited.unwrap_err().exit(), Exit::Refused);
    }

    #[tokio::test]
    async fn a_wish_that_came_between_two_steps_is_not_forgotten() {
        let (stop, stopped) = watch::channel(false);
        let interrupt = Interrupt(stopped);
        assert!(interrupt.or(async { Ok::<_, Failure>(()) }).await.is_ok());
        stop.send(true).unwrap();
        assert!(interrupt.or(async { Ok::<_, Failure>(()) }).await.is_err());
    }
}
