//! Tokio.

use std::time::Duration;

use tokio::runtime::Handle;

use super::Runtime;
use super::system::{self, SystemClocks};
use crate::Reading;
use crate::maybe::BoxFuture;

/// A tokio runtime with its timers turned on. A keeper lives on it as one task, and ends with it.
#[derive(Debug)]
pub struct Tokio {
    handle: Handle,
    clocks: SystemClocks,
}

impl Tokio {
    /// The runtime that is running this code; `None` where none is.
    pub fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self::on)
    }

    /// That runtime.
    pub fn on(handle: Handle) -> Self {
        Self { handle, clocks: SystemClocks::new() }
    }
}

impl Runtime for Tokio {
    fn read(&self) -> Reading {
        self.clocks.read()
    }

    fn glance(&self) -> u64 {
        system::glance()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        let handle = self.handle.clone();
        // A timer belongs to the runtime that is entered when it is made; whoever waits may run on another one.
        let sleep = {
            let _entered = handle.enter();
            tokio::time::sleep(span)
        };
        Box::pin(sleep)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn seed(&self) -> u64 {
        system::seed()
    }
}
