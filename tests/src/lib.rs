//! What the one suite stands on: a small [`Backend`] for each place where it runs, and a [`Browser`] that signs in.

mod api_server;
mod backend;
mod behaviour;
mod browser;
mod hub;
pub mod kubernetes;
mod load;
mod memory;
mod openbao;
mod ports;
mod redis;
mod runner;
mod terminal;
mod wrong_clock;

pub use api_server::OwnApiServer;
pub use backend::{Backend, MANAGEMENT, Place, READER, Site, User};
pub use behaviour::{Behaviour, Run};
pub use browser::{Browser, Page};
pub use hub::PlayedHub;
pub use load::send_all;
pub use memory::MemoryTransport;
pub use openbao::OwnOpenBao;
pub use ports::{NOWHERE, free_ports};
pub use redis::{OwnRedis, redis_server};
pub use runner::{run, run_groups};
pub use terminal::Terminal;
pub use wrong_clock::WrongClock;

pub use latchkey_testbed::{Consent, Fault, Misbehaviour, Span, Target};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
