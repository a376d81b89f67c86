//! The crate as its users see it, against replies recorded from JupyterHub 5.5.4 and 6.1.1.

// `cfg(test)` tells the linter that helpers may unwrap, too.
#[cfg(test)]
mod hub;
