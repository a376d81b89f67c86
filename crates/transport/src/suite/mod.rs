//! The [`Transport`] contract as cases that any implementation can run.
//!
//! The cases talk to an [`Origin`], a small server on loopback that misbehaves on request. A test of your own
//! transport is a loop:
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! use latchkey_transport::{ReqwestTransport, suite};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let transport = ReqwestTransport::new()?;
//! let origin = suite::Origin::start().await?;
//! for case in suite::CASES {
//!     case.run(&transport, origin.grounds()).await.map_err(|failed| format!("{}: {failed}", case.name()))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cases;
#[cfg(not(target_arch = "wasm32"))]
mod origin;

use std::future::Future;
use std::pin::Pin;

use url::Url;

use crate::{Error, Transport};

pub use cases::CASES;
#[cfg(not(target_arch = "wasm32"))]
pub use origin::Origin;

/// The addresses that the cases need.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// Where the [`Origin`] listens.
    pub origin: Url,
    /// An address of this machine at which nobody listens.
    pub closed: Url,
}

/// One rule of the contract.
pub struct Case {
    name: &'static str,
    run: for<'a> fn(&'a dyn Transport, &'a Grounds) -> Outcome<'a>,
}

#[cfg(not(target_arch = "wasm32"))]
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;
#[cfg(target_arch = "wasm32")]
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + 'a>>;

impl Case {
    /// Returns the rule as a sentence, with `_` for spaces.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case.
    ///
    /// # Errors
    ///
    /// [`Broken`] says how the transport broke the rule.
    pub async fn run(&self, transport: &dyn Transport, grounds: &Grounds) -> Result<(), Broken> {
        (self.run)(transport, grounds).await
    }
}

/// How a transport broke a rule of the contract.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// A call failed that had to succeed.
    #[error("a call failed that had to succeed")]
    Failed(#[from] Error),
    /// Something else came out than the contract says.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What the contract says.
        expected: &'static str,
        /// What came out instead.
        got: String,
    },
}
