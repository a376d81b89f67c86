//! The handle that people use.

mod build;
pub(crate) mod run;
pub(crate) mod shared;
mod watch;

pub use build::KeeperBuilder;
pub use shared::Kept;
pub use watch::{News, Status, Watch};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::Snapshot;
use crate::source::Source;
use crate::{Error, Granted, Lease};
use shared::{Shared, Wish};

/// Keeps a token alive, and hands it out. Cloning it is cheap; when the last clone is dropped, the keeping ends.
///
/// Handing out a fresh token takes no lock and makes no call. Where there is none, all who wait share one call; who stops
/// waiting does not end it. A failure is told to those who waited for it, and forgotten.
///
/// ```no_run
/// # use latchkey_token_lifecycle::{Keeper, Source, Error};
/// # async fn f<S: Source<Token = String> + 'static>(source: S) -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "tokio")] {
/// let keeper = Keeper::of(source).spawn().ok_or("no tokio runtime")?;
/// let token = keeper.token().await?; // never expired, one call for all, cheap when fresh
/// # let _ = token; }
/// # Ok(())
/// # }
/// ```
pub struct Keeper<V> {
    handle: Arc<Handle<V>>,
    patience: Duration,
}

/// Tells the task when the last one is gone.
struct Handle<V> {
    shared: Arc<Shared<V>>,
}

impl<V> Drop for Handle<V> {
    fn drop(&mut self) {
        self.shared.wish(|wish| wish.gone = true);
    }
}

impl<V> Clone for Keeper<V> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), patience: self.patience }
    }
}

impl<V: crate::MaybeSend + crate::MaybeSync + 'static> Keeper<V> {
    /// Begins to build a keeper of that source's tokens.
    pub fn of(source: impl Source<Token = V> + 'static) -> KeeperBuilder<V> {
        KeeperBuilder::new(Arc::new(source))
    }

    fn new(shared: Arc<Shared<V>>, patience: Duration) -> Self {
        Self { handle: Arc::new(Handle { shared }), patience }
    }

    fn shared(&self) -> &Shared<V> {
        &self.handle.shared
    }

    /// Returns the token if it is fresh, without waiting: some fifty nanoseconds.
    pub fn fresh(&self) -> Option<Kept<V>> {
        self.shared().fresh()
    }

    /// Returns a token that lives. Where there is none, waits for the call that gets one.
    ///
    /// The future may be dropped at any time; the call goes on for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] where the attempt that was waited for failed, [`Error::NeedsPerson`] at once where only a person
    /// can help, [`Error::TimedOut`] after the [patience](KeeperBuilder::with_patience) of this keeper, and
    /// [`Error::Ended`].
    pub async fn token(&self) -> Result<Kept<V>, Error> {
        match self.shared().fresh() {
            Some(token) => Ok(token),
            None => self.shared().wait(self.patience).await,
        }
    }

    /// Extends or replaces the token now, and returns when that has been tried.
    pub async fn renew_now(&self) -> Result<(), Error> {
        self.shared().renew_now(self.patience).await
    }

    /// Tells that a request with this token was refused (403), so that a dead token is found out and replaced. `certain`
    /// where the server said in words that the token is invalid; otherwise the source is asked, once for all who say so.
    ///
    /// Says nothing about a token that has been replaced meanwhile.
    pub fn refused(&self, token: &Kept<V>, certain: bool) {
        let generation = token.generation();
        self.shared().wish(|wish| {
            let told = wish.refused.filter(|(other, _)| *other == generation);
            wish.refused = Some((generation, certain || told.is_some_and(|(_, certain)| certain)));
        });
    }

    /// Puts a token in: what a person brought, or what was stored. Its lease counts from now.
    pub fn supply(&self, token: V, lease: Lease) {
        self.shared().wish(|wish| wish.supplied = Some(Granted { token, lease }));
    }

    /// Says that another attempt is promising, such as when somebody looks at the screen.
    pub fn nudge(&self) {
        self.shared().wish(Wish::nudge);
    }

    /// Returns how things are.
    pub fn status(&self) -> Status {
        self.shared().status()
    }

    /// Returns a view of how things are, that can be waited on.
    pub fn watch(&self) -> Watch<V> {
        Watch::new(Arc::clone(&self.handle.shared))
    }

    /// Returns what is to be stored beside the token to go on after a restart
    /// ([`KeeperBuilder::with_snapshot`]). Nothing in it is secret.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.shared().snapshot()
    }

    /// Ends the keeping and returns when it has ended; with `revoke` the token is given back to the server. Those who
    /// wait get [`Error::Ended`].
    pub async fn stop(&self, revoke: bool) {
        self.shared().wish(|wish| wish.stop = Some(revoke || wish.stop == Some(true)));
        self.shared().ended().await;
    }
}

/// Shows how things are, and no token.
impl<V> fmt::Debug for Keeper<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keeper").field("status", &self.handle.shared.status()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
