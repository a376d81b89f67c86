//! openidconnect: its claims and the nonce. It leaves `at_hash` to the caller.

use std::str::FromStr as _;

use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Nonce};
use peer_id_harness::{Checker, NONCE, run};

struct Peer {
    verifier: CoreIdTokenVerifier<'static>,
    nonce: Nonce,
}

impl Checker for Peer {
    fn check(&self, token: &str) -> anyhow::Result<()> {
        CoreIdToken::from_str(token)?.claims(&self.verifier, &self.nonce)?;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    run(|known| {
        let keys: CoreJsonWebKeySet = serde_json::from_str(&known.keys)?;
        let verifier = CoreIdTokenVerifier::new_confidential_client(
            ClientId::new(known.client.to_owned()),
            ClientSecret::new("s3cr3t".to_owned()),
            IssuerUrl::new(known.issuer.to_owned())?,
            keys,
        );
        let algorithms =
            [CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, CoreJwsSigningAlgorithm::EcdsaP256Sha256];
        Ok(Peer { verifier: verifier.set_allowed_algs(algorithms), nonce: Nonce::new(NONCE.to_owned()) })
    })
}
