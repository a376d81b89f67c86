//! Measures one way of checking an ID token, in units of a bare check of its signature with a key that was parsed before.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};

#[path = "../../../src/signed.rs"]
mod signed;

use signed::{ACCESS_TOKEN, EcKey, Key, RsaKey, key_set_text, sign, signature_only};

/// The nonce of the login.
pub const NONCE: &str = "n-0S6_WzA2Mj9Q7kLxv3Tt8bYc4Re1";

const CHECKS: u32 = 400;
const ROUNDS: usize = 9;

/// What a relying party knows before the token comes.
pub struct Known {
    /// The issuer.
    pub issuer: &'static str,
    /// The client.
    pub client: &'static str,
    /// The provider's keys, as a JWK set with one key.
    pub keys: String,
    /// The access token beside the ID token.
    pub access_token: String,
    /// The time.
    pub now: SystemTime,
}

/// Something that checks an ID token: whatever it does unless told otherwise, with the nonce.
pub trait Checker {
    /// Checks it once, from its text to a value that proves it.
    fn check(&self, token: &str) -> anyhow::Result<()>;
}

/// Measures a checker and prints one line of JSON.
pub fn run<C: Checker>(make: impl Fn(&Known) -> anyhow::Result<C>) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let issued = now.duration_since(UNIX_EPOCH)?.as_secs() - 1;
    let known = |key: &dyn Key| Known {
        issuer: signed::ISSUER,
        client: signed::CLIENT,
        keys: key_set_text(key),
        access_token: ACCESS_TOKEN.repeat(3),
        now,
    };
    let (rsa, p256) = (RsaKey::generate()?, EcKey::generate()?);
    let mut figures = Vec::new();
    for (name, key) in [("rs256", &rsa as &dyn Key), ("es256", &p256)] {
        let (text, parsed, checker) = (sign(key, NONCE, issued)?, key.parsed()?, make(&known(key))?);
        checker.check(&text).context("a good token")?;
        let (rest, last) = text.split_at(text.len() - 6);
        ensure!(checker.check(&format!("{rest}AAAAAA")).is_err() || last == "AAAAAA", "a broken signature");
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let whole = timed(|| checker.check(&text))?;
            ratios.push(whole / timed(|| signature_only(&text, &parsed))?);
        }
        ratios.sort_by(f64::total_cmp);
        figures.push(format!(r#""{name}":{:.3}"#, ratios[ROUNDS / 2]));
        if name == "rs256" {
            let mut outcome = Ok(());
            let info = allocation_counter::measure(|| outcome = checker.check(&text));
            outcome?;
            figures.push(format!(r#""allocations":{}"#, info.count_total));
        }
    }
    println!("{{{}}}", figures.join(","));
    Ok(())
}

/// Takes what a future that never waits comes to.
pub fn at_once<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => bail!("a check waits for something"),
    }
}

fn timed(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..CHECKS {
        black_box(call()?);
    }
    Ok(start.elapsed().as_secs_f64())
}
