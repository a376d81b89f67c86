//! The crate `openbao`. It takes plain http for a loopback number only, not for `localhost`.

use std::hint::black_box;

use openbao::{Client, OpenBaoConfig, SecretString, SharedClient};
use peer_harness::{Reader, TOKEN, run};
use serde::Deserialize;

#[derive(Clone)]
struct OpenBao(SharedClient);

#[derive(Deserialize)]
struct Fields {
    user: String,
    password: String,
}

impl Reader for OpenBao {
    async fn read(&self) -> anyhow::Result<usize> {
        let secret = self.0.kv2("secret")?.read::<Fields>("team/app").await?;
        black_box(&secret.data.user);
        Ok(secret.data.password.len())
    }
}

fn main() -> anyhow::Result<()> {
    run(|address| {
        let address = address.replace("localhost", "127.0.0.1");
        let config = OpenBaoConfig::new(&address)?.allow_sensitive_local_http_for_tests()?;
        let client = Client::from_config(config)?.try_with_token(SecretString::from(TOKEN.to_owned()))?;
        Ok(OpenBao(SharedClient::new(client)))
    })
}
