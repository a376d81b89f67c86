//! Tests that are written once and run on every backend.

use std::future::Future;
use std::pin::Pin;

use crate::{Backend, Place};

/// What a behaviour's function returns.
pub type Run = Pin<Box<dyn Future<Output = ()>>>;

/// One test: its name, where it cannot run and why, and what it does.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// The test as a sentence, with its module before it.
    pub name: &'static str,
    /// Where it cannot run, and why.
    pub not_on: &'static [(Place, &'static str)],
    /// What it does; it panics where something unexpected happens.
    pub run: fn(Backend) -> Run,
}

/// Lists the tests of a module.
///
/// ```
/// use latchkey_tests::{Backend, Place, behaviours};
///
/// behaviours! {
///     a_provider_is_discovered,
///     #[not_on(Place::Real, "the real provider has no clock to advance")]
///     a_login_expires,
/// }
///
/// async fn a_provider_is_discovered(_: Backend) {}
/// async fn a_login_expires(_: Backend) {}
///
/// assert_eq!(behaviours().len(), 2);
/// assert_eq!(behaviours()[1].not_on[0].0, Place::Real);
/// ```
#[macro_export]
macro_rules! behaviours {
    ($($(#[not_on($place:expr, $why:expr)])* $name:ident),* $(,)?) => {
        /// The tests of this module.
        pub fn behaviours() -> Vec<$crate::Behaviour> {
            vec![$($crate::Behaviour {
                name: concat!(module_path!(), "::", stringify!($name)),
                not_on: &[$(($place, $why)),*],
                run: |backend| Box::pin($name(backend)),
            }),*]
        }
    };
}
