//! Measures one way of reading a KV v2 secret: allocations and bytes per read, reads in a row, and by 64 tasks.

use std::future::Future;
use std::hint::black_box;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

#[path = "../../../src/server.rs"]
mod server;

/// The token that every side sends.
pub const TOKEN: &str =
    "hvs.CAESIJzWvX0Y4kq3nq0yZ5vQ2mS9cR8tN1bLwE7uP6iO4dFhGh4KHGh2cy5hYmNkZWZnaGlqa2xtbm9wcXJz";

const TASKS: u32 = 64;
const READS: u32 = 200;
const IN_A_ROW: u32 = 2_000;
const ROUNDS: usize = 3;

/// Something that reads the secret's password and returns its length.
pub trait Reader: Clone + Send + Sync + 'static {
    /// Reads it once.
    fn read(&self) -> impl Future<Output = anyhow::Result<usize>> + Send;
}

/// Measures a reader and prints one line of JSON.
pub fn run<R: Reader>(make: impl Fn(&str) -> anyhow::Result<R>) -> anyhow::Result<()> {
    let address = server::start()?;
    let single = Builder::new_current_thread().enable_all().build()?;
    // Connections belong to the runtime that made them.
    let reader = make(&address)?;
    anyhow::ensure!(single.block_on(reader.read())? == 28, "it reads what is there");
    let (count, bytes) = allocations(&single, &reader)?;
    let in_a_row = middle(|| single.block_on(rate(&reader, 1, IN_A_ROW)))?;
    let several = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let reader = make(&address)?;
    let by_tasks = middle(|| several.block_on(rate(&reader, TASKS, READS)))?;
    println!(
        r#"{{"allocations":{count:.2},"allocated":{bytes:.0},"in_a_row":{in_a_row:.0},"by_64_tasks":{by_tasks:.0}}}"#
    );
    Ok(())
}

fn allocations(runtime: &Runtime, reader: &impl Reader) -> anyhow::Result<(f64, f64)> {
    runtime.block_on(rate(reader, 1, 20))?;
    let mut outcome = Ok(());
    let info = allocation_counter::measure(|| {
        outcome = runtime.block_on(async {
            for _ in 0..READS {
                black_box(reader.read().await?);
            }
            anyhow::Ok(())
        });
    });
    outcome?;
    let each = |total: u64| total as f64 / f64::from(READS);
    Ok((each(info.count_total), each(info.bytes_total)))
}

/// Returns the median of some rounds.
fn middle(mut round: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let mut rates = (0..ROUNDS).map(|_| round()).collect::<anyhow::Result<Vec<_>>>()?;
    rates.sort_by(f64::total_cmp);
    Ok(rates[ROUNDS / 2])
}

async fn rate(reader: &impl Reader, tasks: u32, reads: u32) -> anyhow::Result<f64> {
    let start = Instant::now();
    let one = |reads| {
        let reader = reader.clone();
        async move {
            for _ in 0..reads {
                black_box(reader.read().await?);
            }
            anyhow::Ok(())
        }
    };
    if tasks == 1 {
        one(reads).await?;
    } else {
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(one(reads))).collect();
        for task in tasks {
            task.await??;
        }
    }
    Ok(f64::from(tasks * reads) / start.elapsed().as_secs_f64())
}
