//! A KV v2 read over loopback, beside bare reqwest with a typed serde envelope.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use latchkey_transport::ReqwestTransport;
use latchkey_vault_client::{Read, Token, Vault};
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use crate::report::{Goal, Measure, median};
use crate::server;

const TOKEN: &str =
    "hvs.CAESIJzWvX0Y4kq3nq0yZ5vQ2mS9cR8tN1bLwE7uP6iO4dFhGh4KHGh2cy5hYmNkZWZnaGlqa2xtbm9wcXJz";
/// Reads by each side in a round of the throughput bench.
const READS: usize = 4_000;
const TASKS: usize = 64;
const ROUNDS: usize = 25;

/// Counts allocations of one read, and compares the throughput of 64 tasks.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let address = server::start()?;
    let single = Builder::new_current_thread().enable_all().build()?;
    let ours = allocations(&single, &ours(&address)?)?;
    let bare = allocations(&single, &bare(&address)?)?;

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (our_reader, bare_reader) = (self::ours(&address)?, self::bare(&address)?);
    let mut rates = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In turn, so that neither side always has the warmer machine.
        let (our_rate, bare_rate) = if round % 2 == 0 {
            let ours = rate(&runtime, &our_reader)?;
            (ours, rate(&runtime, &bare_reader)?)
        } else {
            let bare = rate(&runtime, &bare_reader)?;
            (rate(&runtime, &our_reader)?, bare)
        };
        rates.0.push(our_rate);
        rates.1.push(bare_rate);
        rates.2.push(our_rate / bare_rate);
    }
    Ok(vec![
        Measure::new("vault-client/kv2_read_allocations", "count", (ours.0, bare.0), Goal::ValueAtMost(56.0)),
        Measure::new("vault-client/kv2_read_allocated", "bytes", (ours.1, bare.1), Goal::RatioAtMost(1.15)),
        Measure::with_ratio(
            "vault-client/kv2_read_throughput_64_tasks",
            "reads/s",
            (median(rates.0), median(rates.1)),
            median(rates.2),
            Goal::RatioAtLeast(0.95),
        ),
    ])
}

/// Something that reads the secret's password and returns its length.
trait Reader: Clone + Send + 'static {
    fn read(&self) -> impl Future<Output = anyhow::Result<usize>> + Send;
}

#[derive(Clone)]
struct Ours(Vault);

fn ours(address: &str) -> anyhow::Result<Ours> {
    let vault = Vault::new(address.parse()?, Arc::new(ReqwestTransport::new()?));
    Ok(Ours(vault.with_token(&Token::new(TOKEN)?)))
}

impl Reader for Ours {
    async fn read(&self) -> anyhow::Result<usize> {
        match self.0.kv2("secret").read("team/app").await? {
            Read::Found(secret) => Ok(secret.data().text("password")?.len()),
            _ => bail!("not found"),
        }
    }
}

#[derive(Clone)]
struct Bare {
    client: reqwest::Client,
    address: String,
}

fn bare(address: &str) -> anyhow::Result<Bare> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(Bare { client, address: address.to_owned() })
}

#[derive(Deserialize)]
struct Envelope {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    data: Fields,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Fields {
    user: String,
    password: String,
}

#[derive(Deserialize)]
struct Metadata {
    created_time: String,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

impl Reader for Bare {
    async fn read(&self) -> anyhow::Result<usize> {
        let url = format!("{}/v1/secret/data/team/app", self.address);
        let reply = self.client.get(url).header("X-Vault-Token", TOKEN).send().await?;
        let envelope: Envelope = serde_json::from_slice(&reply.bytes().await?)?;
        let Metadata { created_time, deletion_time, destroyed, version } = &envelope.data.metadata;
        black_box((created_time, deletion_time, destroyed, version, &envelope.data.data.user));
        Ok(envelope.data.data.password.len())
    }
}

/// Returns how many allocations one read makes, and of how many bytes, on a warm connection.
fn allocations(runtime: &Runtime, reader: &impl Reader) -> anyhow::Result<(f64, f64)> {
    const READS: u32 = 200;
    runtime.block_on(async {
        for _ in 0..20 {
            reader.read().await?;
        }
        anyhow::Ok(())
    })?;
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
    let each = |total: u64| -> f64 { f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / f64::from(READS) };
    Ok((each(info.count_total), each(info.bytes_total)))
}

/// Returns how many reads 64 tasks do in a second.
fn rate(runtime: &Runtime, reader: &impl Reader) -> anyhow::Result<f64> {
    runtime.block_on(async {
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let reader = reader.clone();
                tokio::spawn(async move {
                    for _ in 0..READS / TASKS {
                        black_box(reader.read().await?);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let reads = u32::try_from(READS / TASKS * TASKS)?;
        Ok(f64::from(reads) / start.elapsed().as_secs_f64())
    })
}
