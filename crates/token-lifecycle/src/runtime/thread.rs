//! Plain threads, for programs without a runtime.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::Runtime;
use super::system::{self, SystemClocks};
use crate::Reading;
use crate::maybe::BoxFuture;

/// A thread for each keeper, and one for their timers. The timers' thread ends with the last that waits for it.
///
/// A source may block in it. What waits for tokio (`ReqwestTransport`) needs [`Tokio`](super::Tokio) instead.
#[derive(Clone, Debug)]
pub struct Threads {
    timers: Arc<Timers>,
    clocks: Arc<SystemClocks>,
}

impl Threads {
    /// Returns a runtime without a thread yet.
    pub fn new() -> Self {
        Self { timers: Arc::default(), clocks: Arc::new(SystemClocks::new()) }
    }

    /// Runs a future on this thread until it is ready: `threads.block_on(keeper.token())`.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(future)
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Threads {
    fn read(&self) -> Reading {
        self.clocks.read()
    }

    fn glance(&self) -> u64 {
        system::glance()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { deadline: system::now() + span, timers: Arc::clone(&self.timers), key: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // Where no thread can be made, the task is dropped, and whoever waits for it is told.
        let _ = thread::Builder::new().name("latchkey-keeper".into()).spawn(move || block_on(task));
    }

    fn seed(&self) -> u64 {
        system::seed()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// Who is to be woken when.
#[derive(Debug, Default)]
struct Timers {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    sleepers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    is_running: bool,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.lock();
        while let Some(first) = queue.sleepers.first_entry() {
            let wait = first.key().0.saturating_duration_since(system::now());
            if wait.is_zero() {
                let waker = first.remove();
                drop(queue);
                waker.wake();
                queue = self.lock();
            } else {
                let woken = self.changed.wait_timeout(queue, wait);
                queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        queue.is_running = false;
    }
}

struct Sleep {
    deadline: Instant,
    timers: Arc<Timers>,
    key: Option<(Instant, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if system::now() >= self.deadline {
            return Poll::Ready(());
        }
        let timers = Arc::clone(&self.timers);
        let mut queue = timers.lock();
        let key = self.key.unwrap_or_else(|| {
            queue.last += 1;
            (self.deadline, queue.last)
        });
        self.key = Some(key);
        queue.sleepers.insert(key, context.waker().clone());
        if !queue.is_running {
            let own = Arc::clone(&timers);
            let thread = thread::Builder::new().name("latchkey-timers".into()).spawn(move || own.run());
            queue.is_running = thread.is_ok();
        }
        timers.changed.notify_one();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timers.lock().sleepers.remove(&key);
            self.timers.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Error, Failure, Granted, Keeper, Ladder, Lease, Source, Step};

    /// A source that blocks its thread, as those do that know no futures.
    struct Blocking;

    #[async_trait::async_trait]
    impl Source for Blocking {
        type Token = &'static str;

        fn ladder(&self) -> Ladder {
            Ladder::of(&[Step::SignIn])
        }

        #[expect(clippy::disallowed_methods, reason = "it is what such sources do")]
        async fn sign_in(&self, _: SystemTime) -> Result<Granted<&'static str>, Failure> {
            thread::sleep(Duration::from_millis(20));
            Ok(Granted { token: "fresh", lease: Lease::of(Duration::from_secs(1)) })
        }
    }

    #[test]
    fn a_program_without_a_runtime_keeps_a_token() {
        let threads = Threads::new();
        let keeper = Keeper::of(Blocking).spawn_on(threads.clone());
        let first = threads.block_on(keeper.token()).unwrap();
        assert_eq!(*first, "fresh");
        // It is replaced in the middle of its second, by the timers' thread alone.
        let mut watch = keeper.watch();
        let before = watch.current().expires;
        let after = threads.block_on(async {
            loop {
                let status = watch.changed().await.unwrap();
                if status.expires > before {
                    return status.expires;
                }
            }
        });
        assert!(after > before);
        threads.block_on(keeper.stop(false));
        assert!(matches!(threads.block_on(keeper.token()), Err(Error::Ended)));
    }

    #[test]
    fn a_timer_fires_not_before_its_time_and_one_that_was_dropped_does_not() {
        let threads = Threads::new();
        let start = system::now();
        let long = threads.sleep(Duration::from_secs(3600));
        threads.block_on(async {
            let mut long = long;
            std::future::poll_fn(|context| {
                assert!(long.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            threads.sleep(Duration::from_millis(30)).await;
        });
        assert!(start.elapsed() >= Duration::from_millis(30));
        while threads.timers.lock().is_running {
            thread::yield_now();
        }
        assert!(threads.timers.lock().sleepers.is_empty(), "an hour was dropped");
    }
}
