//! Handing out a fresh token, beside the least that can hand out a shared value, and beside a lock.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use latchkey_token_lifecycle::{Failure, Granted, Keeper, Ladder, Lease, Source, Step};
use tokio::runtime::Builder;
use tokio::sync::RwLock;

use crate::report::{Goal, Measure, median};

const CALLS: u32 = 640_000;
const ROUNDS: usize = 9;

/// A source whose token lasts longer than the bench.
struct Hour;

#[async_trait::async_trait]
impl Source for Hour {
    type Token = String;

    fn ladder(&self) -> Ladder {
        Ladder::of(&[Step::SignIn])
    }

    async fn sign_in(&self, _: SystemTime) -> Result<Granted<String>, Failure> {
        Ok(Granted { token: "hvs.EXAMPLE".to_owned(), lease: Lease::of(Duration::from_secs(3600)) })
    }
}

/// Compares the time of one call, round by round, with one task and with 64 on two threads.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let keeper = Keeper::of(Hour).spawn().context("there is a runtime")?;
        keeper.token().await?;
        let swap = Arc::new(ArcSwap::from_pointee("hvs.EXAMPLE".to_owned()));
        let lock = Arc::new(RwLock::new(Arc::new("hvs.EXAMPLE".to_owned())));
        let mut measures = Vec::new();
        for (tasks, by_swap, by_lock) in [
            (1, "token-lifecycle/token_fresh_1_task", "token-lifecycle/token_fresh_1_task_rwlock"),
            (64, "token-lifecycle/token_fresh_64_tasks", "token-lifecycle/token_fresh_64_tasks_rwlock"),
        ] {
            let mut times: [Vec<f64>; 3] = Default::default();
            for _ in 0..ROUNDS {
                let ours = timed(tasks, |calls| {
                    let keeper = keeper.clone();
                    async move {
                        for _ in 0..calls {
                            let _ = black_box(keeper.token().await);
                        }
                    }
                });
                times[0].push(ours.await?);
                let bare = timed(tasks, |calls| {
                    let swap = Arc::clone(&swap);
                    async move {
                        for _ in 0..calls {
                            let _ = black_box(swap.load_full());
                        }
                    }
                });
                times[1].push(bare.await?);
                let locked = timed(tasks, |calls| {
                    let lock = Arc::clone(&lock);
                    async move {
                        for _ in 0..calls {
                            let _ = black_box(Arc::clone(&*lock.read().await));
                        }
                    }
                });
                times[2].push(locked.await?);
            }
            let [ours, swap, lock] = times.map(median);
            measures.push(Measure::new(by_swap, "ns", (ours, swap), Goal::RatioAtMost(2.0)));
            measures.push(Measure::new(by_lock, "ns", (ours, lock), Goal::RatioAtMost(1.0)));
        }
        Ok(measures)
    })
}

/// Returns the nanoseconds of one call, where so many tasks share the calls.
async fn timed<F: Future<Output = ()> + Send + 'static>(
    tasks: u32,
    work: impl Fn(u32) -> F,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks).map(|_| tokio::spawn(work(CALLS / tasks))).collect();
    for task in running {
        task.await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS))
}
