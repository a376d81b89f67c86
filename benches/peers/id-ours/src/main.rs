//! latchkey-oidc-flow: every claim, the nonce and `at_hash`.

use std::time::SystemTime;

use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{Algorithm, AwsLc, Expectations, IdToken};
use latchkey_transport::Secret;
use peer_id_harness::{Checker, NONCE, at_once, run};

struct Ours {
    expectations: Expectations,
    keys: KeySet,
    engine: AwsLc,
    access_token: Secret,
    now: SystemTime,
}

impl Checker for Ours {
    fn check(&self, token: &str) -> anyhow::Result<()> {
        let token = IdToken::parse(token)?;
        let access_token = Some(&self.access_token);
        at_once(self.expectations.verify(token, &self.keys, &self.engine, access_token, self.now))??;
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    run(|known| {
        let expectations = Expectations::new(known.issuer, known.client).with_nonce(NONCE.into());
        Ok(Ours {
            expectations: expectations.with_algorithms([Algorithm::Rs256, Algorithm::Es256]),
            keys: KeySet::parse(known.keys.as_bytes())?,
            engine: AwsLc::default(),
            access_token: known.access_token.as_str().into(),
            now: known.now,
        })
    })
}
