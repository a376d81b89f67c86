//! `ReqwestTransport` as its users meet it: the contract, TLS, the proxy; and the contract suite itself.
#![cfg(all(feature = "reqwest", feature = "suite"))]
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod bent;
mod contract;
mod proxy;
mod tls;
