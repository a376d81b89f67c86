#![doc = include_str!("../README.md")]
//!
//! Nothing in here decides anything about a protocol: the classes convert and delegate. What can be said without a browser is
//! compiled natively, too, and tested there; the rest is tested in Node and in Chromium, against the doubles.

// What JavaScript sees.
#[cfg(target_arch = "wasm32")]
mod doctor;
#[cfg(target_arch = "wasm32")]
mod keeper;
#[cfg(target_arch = "wasm32")]
mod secrets;
#[cfg(target_arch = "wasm32")]
mod session;
#[cfg(target_arch = "wasm32")]
mod sign_in;
#[cfg(target_arch = "wasm32")]
mod version;

// What the browser is asked for.
#[cfg(target_arch = "wasm32")]
mod clock;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod transport;
#[cfg(target_arch = "wasm32")]
mod verifier;

// How values cross over.
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod options;
#[cfg(target_arch = "wasm32")]
mod promise;

// What needs no browser.
pub mod capabilities;
pub mod failure;
pub mod fields;
pub mod finding;
pub mod silent;

#[cfg(target_arch = "wasm32")]
pub use doctor::{diagnose, version};
