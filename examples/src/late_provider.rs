//! A provider that may come up after the service that needs it.

use std::time::Duration;

use latchkey_oidc_flow::{Error, Provider};
use latchkey_transport::SharedTransport;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::failure::Failure;

/// How long a provider that does not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// A provider that is looked for when it is needed, until it has answered once.
pub struct LateProvider {
    issuer: String,
    transport: SharedTransport,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    provider: Option<Provider>,
    tried: Option<Instant>,
}

/// Why there is no provider.
#[derive(Debug)]
pub enum Unready {
    /// The network, or its server: that passes.
    NotNow,
    /// What is there is not the provider that was named.
    Wrong(Box<Error>),
}

impl LateProvider {
    /// Names the provider. It is not asked yet.
    pub fn new(issuer: impl Into<String>, transport: SharedTransport) -> Self {
        Self { issuer: issuer.into(), transport, slot: Mutex::default() }
    }

    /// Returns the provider, and looks for it where it has not answered before: one call for all who ask.
    pub async fn get(&self) -> Result<Provider, Unready> {
        let mut slot = self.slot.lock().await;
        if let Some(provider) = &slot.provider {
            return Ok(provider.clone());
        }
        if slot.tried.is_some_and(|tried| tried.elapsed() < LEFT_ALONE) {
            return Err(Unready::NotNow);
        }
        slot.tried = Some(Instant::now());
        match Provider::discover(&self.issuer, self.transport.clone()).await {
            Ok(provider) => Ok(slot.provider.insert(provider).clone()),
            Err(error) if error.is_transient() => {
                warn!(problem = Failure::from(error).message(), "the provider does not answer");
                Err(Unready::NotNow)
            }
            Err(error) => Err(Unready::Wrong(Box::new(error))),
        }
    }
}
