//! What a keeper's handles and its task share.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use event_listener::{Event, EventListener};

use super::watch::Status;
use crate::machine::Snapshot;
use crate::maybe::BoxFuture;
use crate::runtime::Runtime;
use crate::{Error, Failure, Granted};

/// A token as it was handed out. It stays what it is when the keeper has another one; take a new one for each request.
///
/// ```
/// # fn f(kept: latchkey_token_lifecycle::Kept<String>) {
/// let token: &str = &kept; // it is what it holds
/// # }
/// ```
pub struct Kept<V>(pub(crate) Arc<Held<V>>);

pub(crate) struct Held<V> {
    value: V,
    /// Handed out before this, by the wall's clock in milliseconds since 1970.
    until: AtomicU64,
    generation: u64,
}

impl<V> Held<V> {
    pub(crate) fn new(value: V, generation: u64) -> Self {
        Self { value, until: AtomicU64::new(0), generation }
    }

    pub(crate) fn value(&self) -> &V {
        &self.value
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl<V> Kept<V> {
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation
    }
}

impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> Deref for Kept<V> {
    type Target = V;
    fn deref(&self) -> &V {
        &self.0.value
    }
}

impl<V> fmt::Debug for Kept<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kept(…)")
    }
}

/// What the handles want of the task. Each wish is one, however often it is made.
pub(super) struct Wish<V> {
    pub(super) wanted: bool,
    pub(super) nudged: bool,
    pub(super) renew_now: bool,
    /// A token of that generation was refused, and whether that is certain.
    pub(super) refused: Option<(u64, bool)>,
    pub(super) supplied: Option<Granted<V>>,
    /// Whether to revoke.
    pub(super) stop: Option<bool>,
    pub(super) gone: bool,
}

impl<V> Wish<V> {
    pub(super) fn nudge(&mut self) {
        self.nudged = true;
    }
}

impl<V> Default for Wish<V> {
    fn default() -> Self {
        Self {
            wanted: false,
            nudged: false,
            renew_now: false,
            refused: None,
            supplied: None,
            stop: None,
            gone: false,
        }
    }
}

/// What the task tells the handles.
#[derive(Default)]
pub(super) struct Board {
    pub(super) status: Status,
    /// Counts changes of the status.
    pub(super) version: u64,
    /// How many attempts brought a token or a longer life, and how many brought nothing and were followed by a pause.
    pub(super) successes: u64,
    pub(super) failures: u64,
    /// A person is asked, and there is no token.
    pub(super) needs_person: bool,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) ended: bool,
}

pub(super) struct Shared<V> {
    /// What is handed out. Read without a lock.
    slot: ArcSwapOption<Held<V>>,
    pub(super) runtime: Arc<dyn Runtime>,
    wishes: Mutex<Wish<V>>,
    mail: Event,
    board: Mutex<Board>,
    changed: Event,
}

impl<V> Shared<V> {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            slot: ArcSwapOption::const_empty(),
            runtime,
            wishes: Mutex::default(),
            mail: Event::new(),
            board: Mutex::default(),
            changed: Event::new(),
        }
    }

    pub(super) fn fresh(&self) -> Option<Kept<V>> {
        let held = self.slot.load();
        let held = held.as_ref()?;
        (self.runtime.glance() < held.until.load(Ordering::Relaxed)).then(|| Kept(Arc::clone(held)))
    }

    // For the handles.

    pub(super) fn wish(&self, make: impl FnOnce(&mut Wish<V>)) {
        make(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        self.mail.notify(usize::MAX);
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        self.board().status.clone()
    }

    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.board().snapshot.clone()
    }

    /// Waits for a token.
    pub(super) async fn wait(&self, patience: Duration) -> Result<Kept<V>, Error> {
        let mut timer = self.runtime.sleep(patience);
        let before = self.board().failures;
        loop {
            // Listening first: what changes from here on wakes us, whatever we see below.
            let changed = self.changed.listen();
            if let Some(token) = self.fresh() {
                return Ok(token);
            }
            self.look(|board| board.failures != before)?;
            self.wish(|wish| wish.wanted = true);
            if !is_first(changed, &mut timer).await {
                return Err(self.timed_out(patience));
            }
        }
    }

    pub(super) async fn renew_now(&self, patience: Duration) -> Result<(), Error> {
        let mut timer = self.runtime.sleep(patience);
        let (successes, failures) = {
            let board = self.board();
            (board.successes, board.failures)
        };
        self.wish(|wish| wish.renew_now = true);
        loop {
            let changed = self.changed.listen();
            if self.board().successes != successes {
                return Ok(());
            }
            self.look(|board| board.failures != failures)?;
            if !is_first(changed, &mut timer).await {
                return Err(self.timed_out(patience));
            }
        }
    }

    pub(super) async fn ended(&self) {
        loop {
            let changed = self.changed.listen();
            if self.board().ended {
                return;
            }
            changed.await;
        }
    }

    /// Fails where waiting is in vain.
    fn look(&self, has_failed: impl FnOnce(&Board) -> bool) -> Result<(), Error> {
        let board = self.board();
        if board.ended {
            return Err(Error::Ended);
        }
        if board.needs_person {
            return Err(Error::NeedsPerson);
        }
        if has_failed(&board) {
            return Err(Error::Failed(board.status.last_failure.clone().unwrap_or(Failure::later())));
        }
        Ok(())
    }

    fn timed_out(&self, patience: Duration) -> Error {
        Error::TimedOut { patience, last: self.board().status.last_failure.clone() }
    }

    pub(super) fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    // For the task.

    pub(super) fn mail(&self) -> EventListener {
        self.mail.listen()
    }

    pub(super) fn take_wishes(&self) -> Wish<V> {
        std::mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands out that token until then, or none.
    pub(super) fn hand_out(&self, held: Option<(&Arc<Held<V>>, u64)>) {
        let Some((held, until)) = held else {
            self.slot.store(None);
            return;
        };
        held.until.store(until, Ordering::Relaxed);
        let is_there = self.slot.load().as_ref().is_some_and(|there| Arc::ptr_eq(there, held));
        if !is_there {
            self.slot.store(Some(Arc::clone(held)));
        }
    }

    pub(super) fn tell_change(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Whoever waits waits for nobody from here on.
    pub(super) fn end(&self) {
        self.hand_out(None);
        {
            let mut board = self.board();
            board.ended = true;
            board.status.phase = crate::Phase::Stopped;
            board.version += 1;
        }
        self.tell_change();
    }
}

/// Waits for a change or for the timer; returns whether it was the change.
async fn is_first(mut changed: EventListener, timer: &mut BoxFuture<'static, ()>) -> bool {
    poll_fn(|context| {
        if Pin::new(&mut changed).poll(context).is_ready() {
            return Poll::Ready(true);
        }
        timer.as_mut().poll(context).map(|()| false)
    })
    .await
}
