//! The keeper on tokio's own virtual time.

use std::future::Future as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::*;
use crate::runtime::Runtime;
use crate::{BoxFuture, Failure, Ladder, Phase, Reading, Step};

const HOUR: Duration = Duration::from_secs(3600);

/// Tokio's clock, which a test advances; and a wall's clock that a test can set.
#[derive(Clone)]
struct Virtual {
    start: Instant,
    set: Arc<AtomicI64>,
}

impl Virtual {
    fn new() -> Self {
        Self { start: Instant::now(), set: Arc::default() }
    }
}

impl Runtime for Virtual {
    fn read(&self) -> Reading {
        let monotonic = self.start.elapsed();
        let wall = UNIX_EPOCH + Duration::from_secs(1_800_000_000) + monotonic;
        let set = self.set.load(Ordering::Relaxed);
        let by = Duration::from_secs(set.unsigned_abs());
        Reading { monotonic, wall: if set < 0 { wall - by } else { wall + by } }
    }
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
    fn seed(&self) -> u64 {
        4
    }
}

/// A server whose tokens are numbers.
#[derive(Default)]
struct Server {
    logins: AtomicUsize,
    renewals: AtomicUsize,
    probes: AtomicUsize,
    revoked: Mutex<Vec<usize>>,
    is_down: AtomicBool,
    panics: AtomicBool,
    denies_probe: AtomicBool,
    latency: Mutex<Duration>,
}

#[derive(Clone)]
struct Numbers(Arc<Server>, Ladder);

#[async_trait::async_trait]
impl Source for Numbers {
    type Token = usize;

    fn ladder(&self) -> Ladder {
        self.1
    }

    async fn sign_in(&self, _: SystemTime) -> Result<Granted<usize>, Failure> {
        let number = self.0.logins.fetch_add(1, Ordering::SeqCst) + 1;
        let latency = *self.0.latency.lock().unwrap();
        tokio::time::sleep(latency).await;
        assert!(!self.0.panics.load(Ordering::SeqCst), "as the test wants");
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(Failure::later().because("down"));
        }
        Ok(Granted { token: number, lease: Lease::of(HOUR).renewable() })
    }

    async fn renew(&self, _: &usize, _: SystemTime) -> Result<Lease, Failure> {
        self.0.renewals.fetch_add(1, Ordering::SeqCst);
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(Failure::later());
        }
        Ok(Lease::of(HOUR).renewable())
    }

    async fn probe(&self, _: &usize, _: SystemTime) -> Result<(), Failure> {
        self.0.probes.fetch_add(1, Ordering::SeqCst);
        if self.0.denies_probe.load(Ordering::SeqCst) { Err(Failure::denied()) } else { Ok(()) }
    }

    async fn revoke(&self, token: &usize, _: SystemTime) -> Result<(), Failure> {
        self.0.revoked.lock().unwrap().push(*token);
        Ok(())
    }
}

fn ladder() -> Ladder {
    Ladder::of(&[Step::Renew, Step::SignIn, Step::Probe])
}

fn begun(ladder: Ladder) -> (Keeper<usize>, Arc<Server>, Virtual) {
    let (server, runtime) = (Arc::new(Server::default()), Virtual::new());
    let keeper = Keeper::of(Numbers(Arc::clone(&server), ladder)).spawn_on(runtime.clone());
    (keeper, server, runtime)
}

fn logins(server: &Server) -> usize {
    server.logins.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_there_for_whoever_asks_and_is_renewed_before_its_end() {
    let (keeper, server, _) = begun(ladder());
    assert_eq!(*keeper.token().await.unwrap(), 1);
    for minute in 1..=600 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*keeper.fresh().unwrap(), 1, "minute {minute}");
    }
    let renewals = server.renewals.load(Ordering::SeqCst);
    assert!((13..=17).contains(&renewals), "{renewals}");
    assert_eq!(logins(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_call() {
    let (keeper, server, _) = begun(ladder());
    *server.latency.lock().unwrap() = Duration::from_secs(3);
    let waiters: Vec<_> = (0..1000)
        .map(|_| {
            let keeper = keeper.clone();
            tokio::spawn(async move { *keeper.token().await.unwrap() })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 1);
    }
    assert_eq!(logins(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_does_not_end_the_call_for_others() {
    let (keeper, server, _) = begun(ladder());
    *server.latency.lock().unwrap() = Duration::from_secs(3);
    let first = keeper.clone();
    let impatient = tokio::spawn(async move { first.token().await.map(drop) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = keeper.clone();
    let patient = tokio::spawn(async move { *second.token().await.unwrap() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    impatient.abort();
    assert_eq!(patient.await.unwrap(), 1);
    assert_eq!(logins(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_and_not_kept() {
    let (keeper, server, _) = begun(ladder());
    server.is_down.store(true, Ordering::SeqCst);
    let error = keeper.token().await.unwrap_err();
    assert!(matches!(&error, Error::Failed(_)) && error.is_transient(), "{error:?}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no token can be had at the moment");
    server.is_down.store(false, Ordering::SeqCst);
    assert!(keeper.token().await.is_ok(), "the next one waits for the next attempt");
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_nobodys_business_while_the_token_lives() {
    let (keeper, server, _) = begun(ladder());
    keeper.token().await.unwrap();
    server.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3597)).await;
    assert_eq!(*keeper.token().await.unwrap(), 1);
    assert_eq!(keeper.status().phase, Phase::Failing);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(keeper.fresh().is_none(), "its last two seconds are not handed out");
    assert!(matches!(keeper.token().await, Err(Error::Failed(_))));
    server.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(keeper.fresh().is_some(), "and it came back by itself");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_a_failure_and_the_keeping_goes_on() {
    let (keeper, server, _) = begun(ladder());
    server.panics.store(true, Ordering::SeqCst);
    let Err(Error::Failed(failure)) = keeper.token().await else { panic!() };
    assert_eq!(std::error::Error::source(&failure).unwrap().to_string(), "the source panicked");
    server.panics.store(false, Ordering::SeqCst);
    assert!(keeper.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_observer_ends_the_keeping_and_leaves_nobody_waiting() {
    let server = Arc::new(Server::default());
    let keeper = Keeper::of(Numbers(server, ladder()))
        .with_observer(|_| panic!("as the test wants"))
        .spawn_on(Virtual::new());
    assert!(matches!(keeper.token().await, Err(Error::Ended)));
    keeper.stop(true).await;
}

#[test]
fn a_dropped_runtime_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Arc::new(Server::default());
    *server.latency.lock().unwrap() = HOUR;
    let keeper = {
        let _entered = runtime.enter();
        Keeper::of(Numbers(server, ladder())).spawn_on(Virtual::new())
    };
    let waiting = keeper.clone();
    let waiter = std::thread::spawn(move || {
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        own.block_on(async move { waiting.token().await.map(drop) })
    });
    while keeper.handle.shared.board().version == 0 && keeper.status().phase != Phase::Empty {
        std::thread::yield_now();
    }
    runtime.shutdown_background();
    assert!(matches!(waiter.join().unwrap(), Err(Error::Ended)));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_keeping() {
    let (keeper, _, _) = begun(ladder());
    keeper.token().await.unwrap();
    let mut watch = keeper.watch();
    drop(keeper.clone());
    assert!(keeper.token().await.is_ok(), "a clone is not the last one");
    drop(keeper);
    while watch.changed().await.is_some() {}
    assert_eq!(watch.current().phase, Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn stopping_revokes_when_asked_and_hands_out_nothing_more() {
    for revoke in [true, false] {
        let (keeper, server, _) = begun(ladder());
        keeper.token().await.unwrap();
        keeper.stop(revoke).await;
        let revoked = server.revoked.lock().unwrap().clone();
        assert_eq!(revoked, if revoke { vec![1] } else { vec![] });
        assert!(keeper.fresh().is_none());
        assert!(matches!(keeper.token().await, Err(Error::Ended)));
        assert!(matches!(keeper.renew_now().await, Err(Error::Ended)));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_requests_make_one_probe_and_a_dead_token_is_replaced() {
    let (keeper, server, _) = begun(ladder());
    let token = keeper.token().await.unwrap();
    for _ in 0..100 {
        keeper.refused(&token, false);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((server.probes.load(Ordering::SeqCst), *keeper.fresh().unwrap()), (1, 1));
    server.denies_probe.store(true, Ordering::SeqCst);
    keeper.refused(&token, false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(keeper.fresh().is_none_or(|token| *token == 2));
    assert_eq!(*keeper.token().await.unwrap(), 2);
    // The old token's refusals say nothing about the new one.
    keeper.refused(&token, true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*keeper.fresh().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_certain_needs_no_probe() {
    let (keeper, server, _) = begun(ladder());
    let token = keeper.token().await.unwrap();
    keeper.refused(&token, true);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*keeper.token().await.unwrap(), 2);
    assert_eq!(server.probes.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_computer_that_slept_hands_out_no_dead_token() {
    let (keeper, server, runtime) = begun(ladder());
    keeper.token().await.unwrap();
    // Nine hours, in which the monotonic clock and all timers stood still.
    runtime.set.store(9 * 3600, Ordering::Relaxed);
    assert!(keeper.fresh().is_none(), "seen at the very next use");
    assert_eq!(*keeper.token().await.unwrap(), 2);
    assert_eq!(logins(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_make_a_token_live_longer() {
    let (keeper, server, runtime) = begun(ladder());
    keeper.token().await.unwrap();
    server.is_down.store(true, Ordering::SeqCst);
    runtime.set.store(-9 * 3600, Ordering::Relaxed);
    tokio::time::sleep(HOUR).await;
    assert!(keeper.fresh().is_none());
}

#[tokio::test(start_paused = true)]
async fn only_a_person_can_help_is_said_at_once() {
    let (keeper, _, _) = begun(Ladder::default().with_person());
    assert!(matches!(keeper.token().await, Err(Error::NeedsPerson)));
    keeper.supply(7, Lease::of(HOUR));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*keeper.token().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_so() {
    let server = Arc::new(Server::default());
    *server.latency.lock().unwrap() = Duration::from_secs(20);
    let keeper =
        Keeper::of(Numbers(server, ladder())).with_patience(Duration::from_secs(5)).spawn_on(Virtual::new());
    assert!(matches!(keeper.token().await, Err(Error::TimedOut { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_loses_the_race_against_a_person_is_revoked() {
    let (keeper, server, _) = begun(ladder());
    *server.latency.lock().unwrap() = Duration::from_secs(3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    keeper.supply(70, Lease::of(HOUR));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*keeper.token().await.unwrap(), 70);
    assert_eq!(*server.revoked.lock().unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn renewing_now_returns_when_it_is_done() {
    let (keeper, server, _) = begun(ladder());
    keeper.token().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    keeper.renew_now().await.unwrap();
    assert_eq!(server.renewals.load(Ordering::SeqCst), 1);
    server.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(keeper.renew_now().await, Err(Error::Failed(_))));
    assert!(keeper.fresh().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_in_order() {
    let server = Arc::new(Server::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let keeper = Keeper::of(Numbers(Arc::clone(&server), ladder()))
        .with_observer(move |news| {
            log.lock().unwrap().push(format!("{news:?}").split(' ').next().unwrap().to_owned());
        })
        .spawn_on(Virtual::new());
    keeper.token().await.unwrap();
    keeper.renew_now().await.unwrap();
    let token = keeper.fresh().unwrap();
    keeper.refused(&token, true);
    tokio::time::sleep(Duration::from_millis(1)).await;
    keeper.token().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let told = told.lock().unwrap().clone();
    assert_eq!(told, ["SignedIn", "Renewed", "Lost", "SignedInAgain"]);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_goes_on_after_a_restart_with_its_token_and_its_snapshot() {
    let (keeper, server, runtime) = begun(ladder());
    keeper.token().await.unwrap();
    let stored = serde_json::to_string(&keeper.snapshot().unwrap()).unwrap();
    keeper.stop(false).await;
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let snapshot = serde_json::from_str(&stored).unwrap();
    let keeper =
        Keeper::of(Numbers(Arc::clone(&server), ladder())).with_snapshot(1, snapshot).spawn_on(runtime);
    assert_eq!(*keeper.fresh().unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!((logins(&server), server.renewals.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_every_state_that_lasts() {
    let (keeper, server, _) = begun(ladder());
    let mut watch = keeper.watch();
    let status = watch.changed().await.unwrap();
    assert!(status.has_token && status.phase == Phase::Fresh && status.expires.is_some(), "{status:?}");
    server.is_down.store(true, Ordering::SeqCst);
    let status = watch.changed().await.unwrap();
    assert_eq!((status.phase, status.has_token), (Phase::Failing, true));
    assert!(status.next.is_some() && status.last_failure.is_some());
    server.is_down.store(false, Ordering::SeqCst);
    while watch.changed().await.unwrap().phase != Phase::Fresh {}
    assert!(!format!("{keeper:?} {watch:?} {:?}", keeper.token().await).contains("Kept(1"));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_at_any_point_leaves_nothing_behind() {
    let (keeper, server, _) = begun(ladder());
    *server.latency.lock().unwrap() = Duration::from_secs(3);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..100 {
        let mut waiter = Box::pin(keeper.token());
        assert!(waiter.as_mut().poll(&mut context).is_pending());
        drop(waiter);
        tokio::task::yield_now().await;
    }
    assert_eq!(*keeper.token().await.unwrap(), 1);
    assert_eq!(logins(&server), 1);
}
