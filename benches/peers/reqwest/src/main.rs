//! Bare reqwest with a typed envelope: the floor.

use std::hint::black_box;

use peer_harness::{Reader, TOKEN, run};
use serde::Deserialize;

#[derive(Clone)]
struct Bare(reqwest::Client, String);

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
        let url = format!("{}/v1/secret/data/team/app", self.1);
        let reply = self.0.get(url).header("X-Vault-Token", TOKEN).send().await?;
        let Envelope { data: Versioned { data, metadata } } = serde_json::from_slice(&reply.bytes().await?)?;
        let Metadata { created_time, deletion_time, destroyed, version } = metadata;
        black_box((created_time, deletion_time, destroyed, version, data.user));
        Ok(data.password.len())
    }
}

fn main() -> anyhow::Result<()> {
    run(|address| Ok(Bare(reqwest::Client::builder().no_proxy().build()?, address.to_owned())))
}
