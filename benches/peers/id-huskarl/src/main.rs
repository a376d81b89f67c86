//! huskarl: its claims and the nonce, with the one key of the provider. It knows no `at_hash`.

use huskarl::core::jwk::PublicJwk;
use huskarl::token::id_token::{IdToken, IdTokenValidator};
use huskarl_crypto_native::asymmetric::verifier::AsymmetricPublicKey;
use peer_id_harness::{Checker, NONCE, at_once, run};

struct Peer(IdTokenValidator);

impl Checker for Peer {
    fn check(&self, token: &str) -> anyhow::Result<()> {
        at_once(self.0.validate(&IdToken::from(token), Some(NONCE)))??;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    run(|known| {
        let keys: serde_json::Value = serde_json::from_str(&known.keys)?;
        let key: PublicJwk = serde_json::from_value(keys["keys"][0].clone())?;
        let validator = IdTokenValidator::builder()
            .verifier(AsymmetricPublicKey::from_jwk(key)?)
            .issuer(known.issuer)
            .audience(known.client)
            .build();
        Ok(Peer(validator))
    })
}
