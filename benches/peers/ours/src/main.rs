//! latchkey-vault-client over latchkey-transport.

use std::sync::Arc;

use latchkey_transport::ReqwestTransport;
use latchkey_vault_client::{Read, Token, Vault};
use peer_harness::{Reader, TOKEN, run};

#[derive(Clone)]
struct Ours(Vault);

impl Reader for Ours {
    async fn read(&self) -> anyhow::Result<usize> {
        match self.0.kv2("secret").read("team/app").await? {
            Read::Found(secret) => Ok(secret.data().text("password")?.len()),
            _ => anyhow::bail!("not found"),
        }
    }
}

fn main() -> anyhow::Result<()> {
    run(|address| {
        let vault = Vault::new(address.parse()?, Arc::new(ReqwestTransport::new()?));
        Ok(Ours(vault.with_token(&Token::new(TOKEN)?)))
    })
}
