//! A whole login in memory: address, callback, code, tokens, every check; and logins that wait.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_oidc_flow::{AwsLc, CallbackParams, Client, Metadata, Pending, Provider};
use latchkey_transport::{Error, Random, RandomUnavailable, Reply, Request, Transport};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::id_token::ISSUED;
use crate::report::{Goal, Measure, median};
use crate::signed::{ACCESS_TOKEN, CLIENT, ISSUER, Key as _, RsaKey, key_set_text, sign, signature_only};

const LOGINS: u32 = 500;
const ROUNDS: usize = 7;
const PENDING: u32 = 10_000;
/// The allocations of the least that anybody writes by hand to check an ID token, which is one part of a login.
const YARDSTICK: f64 = 28.0;

/// Measures time and allocations of a login, beside the bare check of the one signature in it, and the memory of logins
/// under way, beside what a store keeps of one.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let key = RsaKey::generate()?;
    let (client, token) = client(&key)?;
    let runtime = Builder::new_current_thread().build()?;
    let now = UNIX_EPOCH + Duration::from_secs(ISSUED + 1);
    let parsed = key.parsed()?;
    sign_in(&runtime, &client, now)?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let our_time = timed(|| sign_in(&runtime, &client, now))?;
        let bare_time = timed(|| signature_only(&token, &parsed))?;
        ours.push(our_time);
        bare.push(bare_time);
        ratios.push(our_time / bare_time);
    }
    let mut outcome = Ok(());
    let allocated = allocation_counter::measure(|| outcome = sign_in(&runtime, &client, now));
    outcome?;
    let waiting = waiting(&client, now)?;
    let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Ok(vec![
        Measure::with_ratio(
            "oidc-flow/code_flow_time",
            "µs",
            (median(ours), median(bare)),
            median(ratios),
            Goal::RatioAtMost(4.0),
        ),
        Measure::new(
            "oidc-flow/code_flow_allocations",
            "count",
            (count(allocated.count_total), YARDSTICK),
            Goal::ValueAtMost(200.0),
        ),
        Measure::new("oidc-flow/pending_memory", "bytes", (waiting.0, waiting.1), Goal::ValueAtMost(1024.0)),
    ])
}

/// Signs somebody in, from the address to the tokens.
fn sign_in(runtime: &Runtime, client: &Client, now: SystemTime) -> anyhow::Result<()> {
    let login =
        client.authorize("https://app.example/callback").with_scope("email").begin(&mut Counting(0), now)?;
    let state = login.pending.state().expose_secret();
    let callback = CallbackParams::parse(&format!("state={state}&code=6f1c.9ab2.77e0&session_state=a.b"))?;
    let callback = login.pending.accept(&callback, now)?;
    black_box(runtime.block_on(client.redeem(callback, now))?);
    Ok(())
}

/// Returns how many bytes each of ten thousand logins under way takes: in memory, and stored.
fn waiting(client: &Client, now: SystemTime) -> anyhow::Result<(f64, f64)> {
    let begin = || -> anyhow::Result<Pending> {
        Ok(client
            .authorize("https://app.example/callback")
            .with_scope("email")
            .begin(&mut Counting(0), now)?
            .pending)
    };
    let stored = serde_json::to_string(&begin()?)?.len();
    let (mut logins, mut outcome) = (Vec::with_capacity(PENDING as usize), Ok(()));
    let info = allocation_counter::measure(|| {
        for _ in 0..PENDING {
            match begin() {
                Ok(login) => logins.push(login),
                Err(error) => outcome = Err(error),
            }
        }
    });
    outcome?;
    let heap = f64::from(u32::try_from(info.bytes_current).unwrap_or(u32::MAX)) / f64::from(PENDING);
    let inline = f64::from(u32::try_from(size_of::<Pending>())?);
    black_box(logins);
    Ok((heap + inline, f64::from(u32::try_from(stored)?)))
}

/// The client, and the ID token that its provider gives.
fn client(key: &RsaKey) -> anyhow::Result<(Client, String)> {
    let endpoint = |name: &str| format!("{ISSUER}/{name}");
    let document = json!({
        "issuer": ISSUER, "authorization_endpoint": endpoint("auth"), "token_endpoint": endpoint("token"),
        "jwks_uri": endpoint("keys"),
    });
    // What the second draw gives: the nonce.
    let nonce = URL_SAFE_NO_PAD.encode([2; 32]);
    let token = sign(key, &nonce, ISSUED)?;
    let reply = json!({
        "access_token": ACCESS_TOKEN.repeat(3), "token_type": "Bearer", "expires_in": 300,
        "refresh_token": "r".repeat(600), "scope": "openid email", "id_token": token, "session_state": "a.b",
    });
    let transport = Canned { keys: key_set_text(key), tokens: reply.to_string() };
    let metadata = Metadata::parse(ISSUER, document.to_string().as_bytes())?;
    let provider = Provider::new(metadata, Arc::new(transport), Arc::new(AwsLc::default()));
    Ok((Client::new(provider, CLIENT).with_secret("a-secret"), token))
}

/// A provider in memory.
struct Canned {
    keys: String,
    tokens: String,
}

#[async_trait]
impl Transport for Canned {
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        let body = if request.path().ends_with("/keys") { &self.keys } else { &self.tokens };
        Ok(Reply::new(200, body.as_str()))
    }
}

/// Bytes that everybody knows: another one for each call.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        self.0 += 1;
        bytes.fill(self.0);
        Ok(())
    }
}

fn timed(mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..LOGINS {
        call().context("a login that was measured")?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(LOGINS))
}
