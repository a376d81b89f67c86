//! The whole verification of an ID token, beside a bare check of its signature with a key that was parsed before.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{Algorithm, AwsLc, Expectations, IdToken, JsonWebToken, Verifier};
use latchkey_transport::Secret;
use tokio::runtime::{Builder, Runtime};

use crate::report::{Goal, Measure, median};
use crate::signed::{ACCESS_TOKEN, CLIENT, EcKey, ISSUER, Key, RsaKey, key_set_text, sign, signature_only};

const NONCE: &str = "n-0S6_WzA2Mj9Q7kLxv3Tt8bYc4Re1";
/// When the token was issued, and so the time at which it is checked.
pub(crate) const ISSUED: u64 = 1_780_315_200;
const CHECKS: u32 = 1_000;
const ROUNDS: usize = 9;

/// Compares the time of one check, round by round: of each engine, of each of the two usual algorithms.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let (rsa, p256) = (RsaKey::generate()?, EcKey::generate()?);
    let runtime = Builder::new_current_thread().build()?;
    let mut measures = compare(
        &runtime,
        &rsa,
        [("oidc-flow/id_token_verify_rs256", 1.25), ("oidc-flow/id_token_verify_rs256_jsonwebtoken", 1.45)],
    )?;
    measures.extend(compare(
        &runtime,
        &p256,
        [("oidc-flow/id_token_verify_es256", 1.12), ("oidc-flow/id_token_verify_es256_jsonwebtoken", 1.12)],
    )?);
    measures.push(allocations(&runtime, &rsa)?);
    Ok(measures)
}

fn compare(
    runtime: &Runtime,
    key: &dyn Key,
    goals: [(&'static str, f64); 2],
) -> anyhow::Result<Vec<Measure>> {
    let (token, parsed, check) = (sign(key, NONCE, ISSUED)?, key.parsed()?, Check::of(key)?);
    let engines: [&dyn Verifier; 2] = [&AwsLc::default(), &JsonWebToken];
    let mut times = [const { (Vec::new(), Vec::new(), Vec::new()) }; 2];
    for _ in 0..ROUNDS {
        for (engine, (ours, bare, ratios)) in engines.into_iter().zip(&mut times) {
            let our_time = timed(|| runtime.block_on(check.whole(&token, engine)))?;
            let bare_time = timed(|| signature_only(&token, &parsed))?;
            ours.push(our_time);
            bare.push(bare_time);
            ratios.push(our_time / bare_time);
        }
    }
    let measures = goals.into_iter().zip(times).map(|((name, most), (ours, bare, ratios))| {
        let figures = (median(ours), median(bare));
        Measure::with_ratio(name, "µs", figures, median(ratios), Goal::RatioAtMost(most))
    });
    Ok(measures.collect())
}

/// Counts the allocations of one check, with a key that is known already.
fn allocations(runtime: &Runtime, key: &dyn Key) -> anyhow::Result<Measure> {
    let (token, check, engine) = (sign(key, NONCE, ISSUED)?, Check::of(key)?, AwsLc::default());
    runtime.block_on(check.whole(&token, &engine))?;
    let mut outcome = Ok(());
    let info = allocation_counter::measure(|| outcome = runtime.block_on(check.whole(&token, &engine)));
    outcome?;
    let count = f64::from(u32::try_from(info.count_total)?);
    Ok(Measure::new("oidc-flow/id_token_verify_allocations", "count", (count, 28.0), Goal::ValueAtMost(40.0)))
}

/// What a relying party does: parse, choose the key, check the signature and every claim.
struct Check {
    expectations: Expectations,
    keys: KeySet,
    access_token: Secret,
    now: SystemTime,
}

impl Check {
    fn of(key: &dyn Key) -> anyhow::Result<Self> {
        let expectations = Expectations::new(ISSUER, CLIENT).with_nonce(NONCE.into());
        Ok(Self {
            expectations: expectations.with_algorithms([Algorithm::Rs256, Algorithm::Es256]),
            keys: KeySet::parse(key_set_text(key).as_bytes())?,
            access_token: Secret::new(ACCESS_TOKEN.repeat(3)),
            now: UNIX_EPOCH + Duration::from_secs(ISSUED + 1),
        })
    }

    async fn whole(&self, token: &str, engine: &dyn Verifier) -> anyhow::Result<()> {
        let token = IdToken::parse(token)?;
        let access_token = Some(&self.access_token);
        black_box(self.expectations.verify(token, &self.keys, engine, access_token, self.now).await?);
        Ok(())
    }
}

/// Returns how many microseconds one call takes.
fn timed(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..CHECKS {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS))
}
