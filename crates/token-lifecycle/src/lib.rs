#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// What there is to know about a token, and about time.
mod lease;
mod time;

// What to do, and when.
pub mod machine;
mod policy;

pub use lease::Lease;
pub use machine::{
    Action, Answer, Event, Flight, Ladder, Machine, Notice, Phase, Setback, Snapshot, Step, Verdict,
};
pub use policy::{Draw, Policy};
pub use time::{Moment, Reading, Timeline};
