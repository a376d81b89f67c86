#![doc = include_str!("../README.md")]

mod kubernetes;
mod mutation;
mod oidc;
#[cfg(test)]
mod properties;
mod runner;
mod vault;

pub use runner::{Outcome, Plan, run};

/// Something that reads foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder with its seeds.
    pub name: &'static str,
    /// Reads them; panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// Returns every target.
pub fn targets() -> impl Iterator<Item = Target> {
    [kubernetes::TARGETS, oidc::TARGETS, vault::TARGETS].into_iter().flatten().copied()
}

/// Returns the target of that name.
pub fn target(name: &str) -> Option<Target> {
    targets().find(|target| target.name == name)
}
