//! vault-client-rs.

use std::collections::HashMap;

use peer_harness::{Reader, TOKEN, run};
use vault_client_rs::VaultClient;

#[derive(Clone)]
struct ClientRs(VaultClient);

impl Reader for ClientRs {
    async fn read(&self) -> anyhow::Result<usize> {
        let secret: HashMap<String, String> = self.0.kv2("secret").read_data("team/app").await?;
        Ok(secret["password"].len())
    }
}

fn main() -> anyhow::Result<()> {
    run(|address| Ok(ClientRs(VaultClient::builder().address(address).token_str(TOKEN).build()?)))
}
