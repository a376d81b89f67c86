//! How a keeper begins.

use std::sync::Arc;
use std::time::Duration;

use super::Keeper;
use super::run::Task;
use super::shared::Shared;
use super::watch::News;
use crate::machine::Snapshot;
use crate::runtime::Runtime;
use crate::source::SharedSource;
use crate::{Event, Granted, Lease, Machine, MaybeSend, MaybeSync, Policy, Timeline};

#[cfg(not(target_arch = "wasm32"))]
pub(super) type Observer = Box<dyn Fn(News) + Send + Sync>;
#[cfg(target_arch = "wasm32")]
pub(super) type Observer = Box<dyn Fn(News)>;

/// A keeper that has not begun yet. Made by [`Keeper::of`].
#[must_use = "nothing happens before it is spawned"]
pub struct KeeperBuilder<V> {
    source: SharedSource<V>,
    policy: Policy,
    patience: Duration,
    observer: Option<Observer>,
    token: Option<Granted<V>>,
    snapshot: Option<Snapshot>,
}

impl<V: MaybeSend + MaybeSync + 'static> KeeperBuilder<V> {
    pub(super) fn new(source: SharedSource<V>) -> Self {
        Self {
            source,
            policy: Policy::default(),
            patience: Duration::from_secs(30),
            observer: None,
            token: None,
            snapshot: None,
        }
    }

    /// Decides by other numbers.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Lets those who ask for a token wait that long at most, instead of 30 s.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Begins with a token that is at hand already; its lease counts from when the keeper is spawned.
    pub fn with_token(mut self, token: V, lease: Lease) -> Self {
        self.token = Some(Granted { token, lease });
        self.snapshot = None;
        self
    }

    /// Goes on where another keeper of such a source was, with the token that it had. See [`Keeper::snapshot`].
    pub fn with_snapshot(mut self, token: V, snapshot: Snapshot) -> Self {
        self.token = Some(Granted { token, lease: Lease::endless() });
        self.snapshot = Some(snapshot);
        self
    }

    /// Tells what happens: for a user interface, for a log, for meters. It is called on the keeper's own task and must
    /// not block.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_observer(mut self, observer: impl Fn(News) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Tells what happens: for a user interface, for a log, for meters. It is called on the keeper's own task.
    #[cfg(target_arch = "wasm32")]
    pub fn with_observer(mut self, observer: impl Fn(News) + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Begins, on that runtime.
    pub fn spawn_on(self, runtime: impl Runtime) -> Keeper<V> {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime);
        let first = runtime.read();
        let timeline = Timeline::new(first);
        let now = timeline.now();
        let ladder = self.source.ladder();
        let seed = runtime.seed();
        let shared = Arc::new(Shared::new(Arc::clone(&runtime)));
        let mut task = Task::new(Arc::clone(&shared), self.source, timeline, self.observer);
        match (self.token, self.snapshot) {
            (Some(granted), Some(snapshot)) => {
                task.machine = snapshot.resume(now, first.wall, seed);
                task.hold(granted.token);
            }
            (token, _) => {
                task.machine = Machine::new(self.policy, ladder, seed);
                if let Some(Granted { token, lease }) = token {
                    let verdict = task.machine.handle(Event::Supplied { lease, sent: now }, now);
                    if verdict == crate::Verdict::Adopted {
                        task.hold(token);
                    }
                }
            }
        }
        // So that a token that was given is handed out at once.
        task.publish(now, now);
        runtime.spawn(Box::pin(task.run()));
        Keeper::new(shared, self.patience)
    }

    /// Begins, on the tokio runtime that runs this code. `None` where none does.
    #[cfg(all(feature = "tokio", not(target_arch = "wasm32")))]
    pub fn spawn(self) -> Option<Keeper<V>> {
        Some(self.spawn_on(crate::runtime::Tokio::current()?))
    }

    /// Begins, on the event loop of the page or worker.
    #[cfg(all(feature = "browser", target_arch = "wasm32"))]
    pub fn spawn(self) -> Keeper<V> {
        self.spawn_on(crate::runtime::Browser)
    }
}
