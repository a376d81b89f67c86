//! `login-service`: people sign in to a web service that runs many times, with nothing in the memory of any replica.
//!
//! In the reading order: what is kept about a person (`record`), sealed by keys that change (`keys`), in a Redis that
//! every replica asks (`store`), found by what the browser has (`cookies`), and what is answered (`service`, `page`).

mod cookies;
mod keys;
mod page;
mod record;
mod service;
mod store;

pub use keys::KeyRing;
pub use service::{Service, Settings};
pub use store::{Store, StoreArguments};
