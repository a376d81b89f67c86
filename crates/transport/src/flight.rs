//! One at a time.

use std::future::poll_fn;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Lets one caller at a time do something that is needed once, such as fetching keys; the others wait, and look first
/// whether it is done when their turn comes.
///
/// It needs no runtime. Nobody is first in line: all who wait are woken when a turn ends, and one of them has the next.
/// That is right where turns after the first are short, and it makes a caller that gives up while it waits harmless.
///
/// ```
/// # use latchkey_transport::Flight;
/// # async fn f(keys: &std::sync::OnceLock<String>) {
/// let flight = Flight::default();
/// let turn = flight.turn().await;
/// if keys.get().is_none() { /* fetch them */ }
/// drop(turn);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Flight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_taken: bool,
    waiting: Vec<Waker>,
}

/// The turn of whoever has it: it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub struct Turn<'a>(&'a Flight);

impl Flight {
    /// Waits for a turn.
    pub async fn turn(&self) -> Turn<'_> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Turn<'_>> {
        let mut state = self.state();
        if !mem::replace(&mut state.is_taken, true) {
            return Poll::Ready(Turn(self));
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Poll::Pending
    }

    /// Nothing that is done under this lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.is_taken = false;
            mem::take(&mut state.waiting)
        };
        // Not under the lock: who is woken may run at once.
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;

    use super::{Flight, Turn};

    /// Counts how often somebody was woken.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<'a>(waiting: Pin<&mut impl Future<Output = Turn<'a>>>, by: &Arc<Counted>) -> Poll<Turn<'a>> {
        waiting.poll(&mut Context::from_waker(&Waker::from(Arc::clone(by))))
    }

    #[test]
    fn one_has_the_turn_and_the_next_is_woken_when_it_ends() {
        let flight = Flight::default();
        let (first, second) = (Arc::<Counted>::default(), Arc::<Counted>::default());
        let Poll::Ready(turn) = poll(pin!(flight.turn()), &first) else { panic!("nobody has it") };
        let mut waiting = pin!(flight.turn());
        for _ in 0..3 {
            assert!(poll(waiting.as_mut(), &second).is_pending());
        }
        assert_eq!(second.0.load(Ordering::SeqCst), 0);
        drop(turn);
        assert_eq!(second.0.load(Ordering::SeqCst), 1, "once, however often it asked");
        assert!(poll(waiting.as_mut(), &second).is_ready());
    }

    #[test]
    fn who_gives_up_while_waiting_takes_nobodys_turn_away() {
        let flight = Flight::default();
        let wakers: [Arc<Counted>; 3] = Default::default();
        let Poll::Ready(turn) = poll(pin!(flight.turn()), &wakers[0]) else { panic!("nobody has it") };
        let mut gives_up = Box::pin(flight.turn());
        let mut stays = pin!(flight.turn());
        assert!(poll(gives_up.as_mut(), &wakers[1]).is_pending());
        assert!(poll(stays.as_mut(), &wakers[2]).is_pending());
        drop(turn);
        // It was woken, and never looks.
        drop(gives_up);
        assert_eq!(wakers[2].0.load(Ordering::SeqCst), 1);
        assert!(poll(stays.as_mut(), &wakers[2]).is_ready());
        assert!(poll(pin!(flight.turn()), &wakers[0]).is_ready(), "both turns have ended");
    }

    /// Runs a future on this thread.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn no_two_have_the_turn_and_nobody_waits_for_ever() {
        let (flight, inside, turns) = (Flight::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let turn = block_on(flight.turn());
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turns.fetch_add(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(turns.load(Ordering::SeqCst), 2_000);
    }
}
