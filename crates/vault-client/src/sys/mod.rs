//! What the server says of itself.

mod health;

pub use health::{Health, NodeState, ReadHealth};
