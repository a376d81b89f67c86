//! For tests: a transport with scripted outcomes.

use std::sync::{Arc, Mutex};

use latchkey_transport::{Error, Reply, Request, Transport};

/// Gives the scripted outcomes one after the other, and keeps what it was sent.
#[derive(Default)]
pub(crate) struct Script {
    outcomes: Mutex<Vec<Result<Reply, Error>>>,
    sent: Mutex<Vec<Request>>,
}

#[async_trait::async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        self.sent.lock().unwrap().push(request);
        self.outcomes.lock().unwrap().remove(0)
    }
}

impl Script {
    /// Returns what was sent.
    pub(crate) fn sent(&self) -> Vec<Request> {
        self.sent.lock().unwrap().clone()
    }
}

pub(crate) fn script(outcomes: impl Into<Vec<Result<Reply, Error>>>) -> Arc<Script> {
    Arc::new(Script { outcomes: Mutex::new(outcomes.into()), sent: Mutex::default() })
}

/// An outcome: the connection broke.
pub(crate) fn lost() -> Result<Reply, Error> {
    Err(Error::Lost { host: "vault".into(), cause: None })
}
