#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The seam.
mod exchange;
mod replay;
mod transport;

// What crosses it.
mod headers;
pub mod json;
mod message;
mod secret;

// What it costs to be wrong.
pub mod danger;
mod error;

// Engines and helpers.
mod flight;
mod random;
#[cfg(all(feature = "reqwest", not(target_arch = "wasm32")))]
mod reqwest;
#[cfg(feature = "suite")]
pub mod suite;

pub use error::{Error, Misuse, TlsProblem};
pub use exchange::Exchange;
pub use flight::{Flight, Turn};
pub use headers::ReplyHeaders;
pub use message::{Body, Method, Reply, Request};
pub use random::{Random, RandomUnavailable};
pub use replay::Replay;
pub use secret::Secret;
pub use transport::{Build, MaybeSend, MaybeSync, Perform, SharedTransport, Transport};

#[cfg(feature = "system-random")]
pub use random::SystemRandom;
#[cfg(all(feature = "reqwest", not(target_arch = "wasm32")))]
pub use reqwest::{ReqwestTransport, ReqwestTransportBuilder};
