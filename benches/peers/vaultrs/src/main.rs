//! vaultrs.

use std::collections::HashMap;
use std::sync::Arc;

use peer_harness::{Reader, TOKEN, run};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

#[derive(Clone)]
struct Vaultrs(Arc<VaultClient>);

impl Reader for Vaultrs {
    async fn read(&self) -> anyhow::Result<usize> {
        let secret: HashMap<String, String> = vaultrs::kv2::read(&*self.0, "secret", "team/app").await?;
        Ok(secret["password"].len())
    }
}

fn main() -> anyhow::Result<()> {
    run(|address| {
        let settings = VaultClientSettingsBuilder::default().address(address).token(TOKEN).build()?;
        Ok(Vaultrs(Arc::new(VaultClient::new(settings)?)))
    })
}
