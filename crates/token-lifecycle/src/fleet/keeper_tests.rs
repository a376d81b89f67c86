//! Many tokens on tokio's own virtual time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use tokio::time::Instant;

use super::*;
use crate::{Ladder, Lease, Reading, Step};

const HOUR: Duration = Duration::from_secs(3600);

/// Tokio's clock, which a test advances.
struct Virtual(Instant, AtomicUsize);

impl Virtual {
    fn new() -> Self {
        Self(Instant::now(), AtomicUsize::new(0))
    }
}

impl Runtime for Virtual {
    fn read(&self) -> Reading {
        let monotonic = self.0.elapsed();
        Reading { monotonic, wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000) + monotonic }
    }
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
    fn seed(&self) -> u64 {
        self.1.fetch_add(7919, Ordering::SeqCst) as u64
    }
}

#[derive(Default)]
struct Server {
    logins: AtomicUsize,
    renewals: AtomicUsize,
    revoked: AtomicUsize,
    underway: AtomicUsize,
    most_underway: AtomicUsize,
    is_down: AtomicBool,
}

impl Server {
    /// One call: a tenth of a second.
    async fn call(&self) -> Result<(), Failure> {
        let underway = self.underway.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_underway.fetch_max(underway, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.underway.fetch_sub(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) { Err(Failure::later().because("down")) } else { Ok(()) }
    }
}

#[derive(Clone)]
struct User(Arc<Server>, &'static str);

#[async_trait::async_trait]
impl Source for User {
    type Token = &'static str;

    fn ladder(&self) -> Ladder {
        Ladder::of(&[Step::Renew, Step::SignIn])
    }

    async fn sign_in(&self, _: SystemTime) -> Result<Granted<&'static str>, Failure> {
        self.0.call().await?;
        self.0.logins.fetch_add(1, Ordering::SeqCst);
        Ok(Granted { token: self.1, lease: Lease::of(HOUR).renewable() })
    }

    async fn renew(&self, _: &&'static str, _: SystemTime) -> Result<Lease, Failure> {
        self.0.call().await?;
        self.0.renewals.fetch_add(1, Ordering::SeqCst);
        Ok(Lease::of(HOUR).renewable())
    }

    async fn revoke(&self, _: &&'static str, _: SystemTime) -> Result<(), Failure> {
        self.0.call().await?;
        self.0.revoked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn keeper(limit: usize) -> FleetKeeper<&'static str> {
    FleetKeeper::spawn(Virtual::new(), NonZeroUsize::new(limit).expect("above zero"))
}

#[tokio::test(start_paused = true)]
async fn each_user_gets_their_own_token() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(4));
    let alice = keeper.add(User(server.clone(), "alice's"));
    let bob = keeper.add(User(server.clone(), "bob's"));
    assert!(keeper.fresh(alice).is_none());
    let (first, second) = tokio::join!(keeper.token(alice), keeper.token(bob));
    assert_eq!((*first.expect("a token"), *second.expect("a token")), ("alice's", "bob's"));
    assert!(keeper.fresh(alice).is_some());
    assert_eq!(server.logins.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_kept_alive_with_eight_calls_at_a_time() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(8));
    let leases: Vec<_> = (0..1000).map(|_| keeper.add(User(server.clone(), "one"))).collect();
    for lease in &leases {
        assert!(keeper.token(*lease).await.is_ok());
    }
    tokio::time::sleep(HOUR * 2).await;
    assert!(leases.iter().all(|lease| keeper.fresh(*lease).is_some()));
    assert_eq!(server.logins.load(Ordering::SeqCst), 1000, "each signed in once");
    assert!((2000..=3400).contains(&server.renewals.load(Ordering::SeqCst)));
    assert_eq!(server.most_underway.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_that_an_attempt_failed_and_the_next_one_succeeds() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(1));
    server.is_down.store(true, Ordering::SeqCst);
    let lease = keeper.add(User(server.clone(), "one"));
    assert!(matches!(keeper.token(lease).await, Err(Error::Failed(_))));
    server.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(keeper.token(lease).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_longer_than_the_patience_is_told_so() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(1));
    let lease = keeper.add(User(server.clone(), "one"));
    let hurried = keeper.clone().with_patience(Duration::from_millis(50));
    let begun = Instant::now();
    assert!(matches!(hurried.token(lease).await, Err(Error::TimedOut { .. })));
    assert_eq!(begun.elapsed(), Duration::from_millis(50), "a call is a tenth of a second");
    assert!(keeper.token(lease).await.is_ok(), "the call went on");
    assert_eq!(server.logins.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_the_policy_that_it_was_added_with() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(1));
    let early = Policy::default().with_renewal_between(100, 200);
    let hurried = keeper.clone().with_policy(early);
    let usual = keeper.add(User(server.clone(), "one"));
    let early = hurried.add(User(server.clone(), "other"));
    assert!(keeper.token(usual).await.is_ok() && keeper.token(early).await.is_ok());
    tokio::time::sleep(HOUR / 4).await;
    assert_eq!(server.renewals.load(Ordering::SeqCst), 1, "the other has its turn between minute 36 and 45");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_server_refuses_is_replaced() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(1));
    let lease = keeper.add(User(server.clone(), "one"));
    let token = keeper.token(lease).await.expect("a token");
    keeper.refused(lease, &token, true);
    assert!(keeper.fresh(lease).is_none(), "never handed out again");
    let token_again = keeper.token(lease).await.expect("another one");
    keeper.refused(lease, &token, true);
    assert!(keeper.fresh(lease).is_some(), "what was said of the old one does not count");
    drop(token_again);
    assert_eq!(server.logins.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn to_stop_gives_every_token_back_and_ends() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(3));
    let leases: Vec<_> = (0..10).map(|_| keeper.add(User(server.clone(), "one"))).collect();
    for lease in &leases {
        assert!(keeper.token(*lease).await.is_ok());
    }
    keeper.stop(true).await;
    assert_eq!(server.revoked.load(Ordering::SeqCst), 10);
    assert_eq!(server.most_underway.load(Ordering::SeqCst), 3, "no herd at the end, either");
    assert!(matches!(keeper.token(leases[0]).await, Err(Error::Ended)));
    assert!(keeper.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_can_go_and_the_others_stay() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(3));
    let (one, other) = (keeper.add(User(server.clone(), "one")), keeper.add(User(server.clone(), "other")));
    assert!(keeper.token(one).await.is_ok() && keeper.token(other).await.is_ok());
    keeper.remove(one, true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((keeper.len(), server.revoked.load(Ordering::SeqCst)), (1, 1));
    assert!(keeper.fresh(one).is_none() && keeper.fresh(other).is_some());
    assert_eq!(keeper.phase(other), Some(Phase::Fresh));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_token_that_was_kept_goes_on_and_one_that_was_not_is_got_anew() {
    let (server, start) = (Arc::new(Server::default()), Instant::now());
    let clocks = || Virtual(start, AtomicUsize::new(0));
    let limit = NonZeroUsize::new(3).expect("above zero");
    let before = FleetKeeper::spawn(clocks(), limit);
    let (kept, lost) = (before.add(User(server.clone(), "kept")), before.add(User(server.clone(), "lost")));
    assert!(before.token(kept).await.is_ok() && before.token(lost).await.is_ok());
    let snapshot = before.snapshot();
    drop(before);

    let after = FleetKeeper::resume(clocks(), limit, snapshot);
    assert!(after.restore(kept, User(server.clone(), "kept"), Some("kept")));
    assert!(after.restore(lost, User(server.clone(), "lost"), None));
    assert!(!after.restore(lost, User(server.clone(), "lost"), None), "once");
    assert_eq!(after.fresh(kept).map(|token| *token), Some("kept"));
    assert!(after.token(lost).await.is_ok());
    assert_eq!(server.logins.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let server = Arc::new(Server::default());
    let keeper = keeper(1);
    let lease = keeper.add(User(server.clone(), "one"));
    assert!(keeper.clone().token(lease).await.is_ok());
    drop(keeper);
    tokio::time::sleep(HOUR * 3).await;
    assert_eq!(server.renewals.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&server), 1, "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_holds_a_token() {
    let (server, keeper) = (Arc::new(Server::default()), keeper(1));
    let lease = keeper.add(User(server, "s.canary"));
    let token = keeper.token(lease).await.expect("a token");
    let shown = format!("{keeper:?} {token:?} {:?} {lease:?}", keeper.snapshot());
    assert!(!shown.contains("s.canary"), "{shown}");
}
