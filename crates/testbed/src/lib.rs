//! An OpenID provider and a Vault as test doubles: in memory or on loopback, with a virtual clock and faults.
//!
//! A [`World`] is one variable that holds both. It answers a [`Request`] with a [`Response`], synchronously and without
//! a socket, with the statuses and the texts that Keycloak 26 and OpenBao 2.7 (or Vault 1.21, see [`Voice`])
//! were seen to answer. Time stands still until the test advances it, replies get lost when the test says so, the
//! provider lies when it is told to, and every secret that passes is remembered, so that a test can prove that none
//! of them ended in a log.
//!
//! # What it is not
//!
//! It stores nothing, checks no TLS and is no provider for people: passwords are compared in plain text and keys live
//! as long as the process. It does what a login and a secrets client can observe, and no more.
//!
//! # Example
//!
//! ```
//! use latchkey_testbed::{Request, World};
//!
//! let world = World::new();
//! let url = format!("{}/v1/secret/data/team/app", world.vault_address());
//!
//! let write = Request::post(&url).with_token("root").with_json(&serde_json::json!({"data": {"door": "open sesame"}}));
//! assert_eq!(world.handle(write)?.status, 200);
//!
//! let read = world.handle(Request::get(&url).with_token("root"))?;
//! assert_eq!(read.json()["data"]["data"]["door"], "open sesame");
//! assert!(world.canary().find_in("a log line with open sesame in it").is_some());
//! # Ok::<(), latchkey_testbed::Lost>(())
//! ```

mod canary;
mod clock;
mod encoding;
mod faults;
mod http;
mod jwt;
mod message;
mod provider;
mod random;
#[cfg(feature = "serve")]
mod serve;
mod vault;
mod world;

pub use canary::{Canary, Kind};
pub use clock::Clock;
pub use faults::{Fault, Faults, Lost, Target};
pub use jwt::Algorithm;
pub use message::{Request, Response};
pub use provider::{Consent, Lifetimes, LogoutDelivery, Misbehaviour, Provider, Span, User};
#[cfg(feature = "serve")]
pub use serve::{Served, serve};
pub use vault::{Vault, Voice};
pub use world::{Handled, Side, World, WorldBuilder};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
