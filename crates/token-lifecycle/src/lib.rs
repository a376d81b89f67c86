#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// What there is to know about a token, and about time.
mod freshness;
mod lease;
mod time;

// What to do, and when.
pub mod fleet;
pub mod machine;
mod policy;

// Doing it.
mod keeper;
pub mod runtime;
mod source;

// What they stand on.
mod error;
mod maybe;

pub use error::Error;
pub use freshness::Freshness;
pub use keeper::{Keeper, KeeperBuilder, Kept, News, Status, Watch};
pub use lease::Lease;
pub use machine::{
    Action, Answer, Event, Flight, Ladder, Machine, Notice, Phase, Setback, Snapshot, Step, Verdict,
};
pub use maybe::{BoxCall, BoxFuture, BoxGuard, MaybeSend, MaybeSync};
pub use policy::{Draw, Policy};
#[cfg(all(feature = "file-store", unix))]
pub use source::FileStore;
pub use source::{Failure, Granted, Source};
#[cfg(feature = "oidc-flow")]
pub use source::{GrantStore, InMemory, OidcToken, OidcTokens, StoreError};
#[cfg(feature = "vault-client")]
pub use source::{Jwts, SignIn, VaultTokens};
pub use time::{Moment, Reading, Timeline};
