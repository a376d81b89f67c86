//! The task: performs what the machine asks for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_listener::EventListener;

use super::build::Observer;
use super::shared::{Held, Shared};
use super::watch::{News, Status};
use crate::maybe::{BoxFuture, BoxGuard};
use crate::source::SharedSource;
use crate::time::millis;
use crate::{
    Action, Answer, Event, Failure, Flight, Granted, Ladder, Lease, Machine, MaybeSend, MaybeSync, Moment,
    Notice, Phase, Policy, Step, Timeline, Verdict,
};

/// The clocks are looked at that often, since a sleeping computer's timers may sleep with it.
pub(crate) const NAP: Duration = Duration::from_secs(60);

/// To give a token back is a courtesy; nobody waits longer for it.
pub(crate) const REVOCATION_LIMIT: Duration = Duration::from_secs(10);

/// A text for a cause, of a type of its own: that of the standard library would bring tables of signs into a browser.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Because(&'static str);

/// How a call of a source ended.
pub(crate) enum Outcome<V> {
    New(Granted<V>),
    Renewed(Lease),
    Alive,
    Failed(Failure),
}

pub(super) struct Task<V> {
    shared: Arc<Shared<V>>,
    source: SharedSource<V>,
    pub(super) machine: Machine,
    timeline: Timeline,
    held: Option<Arc<Held<V>>>,
    generations: u64,
    flight: Option<(Flight, Step, BoxFuture<'static, Outcome<V>>)>,
    /// What the last attempt failed of, until it is told.
    failed: Option<Failure>,
    observer: Option<Observer>,
    _end: End<V>,
    _attended: Option<BoxGuard>,
}

/// Tells those who wait, however the task ends: by itself, by a panic, or with its runtime.
struct End<V>(Arc<Shared<V>>);

impl<V> Drop for End<V> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<V: MaybeSend + MaybeSync + 'static> Task<V> {
    pub(super) fn new(
        shared: Arc<Shared<V>>,
        source: SharedSource<V>,
        timeline: Timeline,
        observer: Option<Observer>,
    ) -> Self {
        let nudged = Arc::downgrade(&shared);
        let attended = shared.runtime.attend(Box::new(move || {
            if let Some(shared) = nudged.upgrade() {
                shared.wish(super::shared::Wish::nudge);
            }
        }));
        Self {
            _end: End(Arc::clone(&shared)),
            shared,
            source,
            machine: Machine::new(Policy::default(), Ladder::default(), 0),
            timeline,
            held: None,
            generations: 0,
            flight: None,
            failed: None,
            observer,
            _attended: attended,
        }
    }

    pub(super) fn hold(&mut self, token: V) {
        self.generations += 1;
        self.held = Some(Arc::new(Held::new(token, self.generations)));
    }

    pub(super) async fn run(mut self) {
        let mut napping = None;
        loop {
            // Listening before looking, or a wish that is made in between would wait for the timer.
            let mail = self.shared.mail();
            let before = self.timeline.now();
            let now = self.look_at_the_clocks();
            if let Some(nap) = napping
                && Policy::has_slept(nap, now - before)
            {
                let _ = self.machine.handle(Event::Nudged, now);
            }
            if self.read_wishes(now) {
                return;
            }
            let Some(until) = self.act(now).await else { return };
            let now = self.timeline.now();
            self.publish(now, until);
            let nap = Policy::nap(until - now).min(NAP);
            napping = Some(nap);
            if let Some(outcome) = self.wait(nap, mail).await {
                self.land(outcome);
            }
        }
    }

    fn look_at_the_clocks(&mut self) -> Moment {
        self.timeline.observe(self.shared.runtime.read())
    }

    /// Tells the machine what the handles want; returns whether there is no handle any more.
    fn read_wishes(&mut self, now: Moment) -> bool {
        let wishes = self.shared.take_wishes();
        if let Some(Granted { token, lease }) = wishes.supplied {
            let verdict = self.machine.handle(Event::Supplied { lease, sent: now }, now);
            if verdict == Verdict::Adopted {
                self.hold(token);
                self.succeed();
            }
        }
        if let Some((generation, certain)) = wishes.refused
            && self.held.as_ref().is_some_and(|held| held.generation() == generation)
        {
            let _ = self.machine.handle(Event::Refused { certain }, now);
        }
        for (is_wanted, event) in [
            (wishes.nudged, Event::Nudged),
            (wishes.renew_now, Event::RenewNow),
            (wishes.wanted, Event::Wanted),
        ] {
            if is_wanted {
                let _ = self.machine.handle(event, now);
            }
        }
        if let Some(revoke) = wishes.stop {
            let _ = self.machine.handle(Event::Stop { revoke }, now);
        }
        wishes.gone
    }

    /// Does what the machine asks for; returns until when it wants to wait, or `None` at the end.
    async fn act(&mut self, now: Moment) -> Option<Moment> {
        loop {
            match self.machine.poll(now) {
                Action::Wait { until } => return Some(until),
                Action::Call { flight, step, .. } => {
                    let call = Caught(self.call(step));
                    self.flight = Some((flight, step, Box::pin(call)));
                }
                Action::Abandon(_) => {
                    self.flight = None;
                    self.failed = Some(Failure::unknown().because(Because("it took too long")));
                }
                Action::Tell(notice) => self.tell(notice),
                Action::Revoke => self.revoke().await,
                Action::Stop => return None,
            }
        }
    }

    fn call(&self, step: Step) -> BoxFuture<'static, Outcome<V>> {
        call(Arc::clone(&self.source), self.held.clone(), step, self.wall(self.timeline.now()))
    }

    /// Takes a call's end to the machine.
    fn land(&mut self, outcome: Outcome<V>) {
        let Some((flight, step, _)) = self.flight.take() else { return };
        let now = self.look_at_the_clocks();
        let (answer, token) = match outcome {
            Outcome::New(Granted { token, lease }) => (Answer::Granted(lease), Some(token)),
            Outcome::Renewed(lease) => (Answer::Granted(lease), None),
            Outcome::Alive => (Answer::Alive, None),
            Outcome::Failed(failure) => {
                let answer = Answer::Failed(failure.setback());
                self.failed = Some(failure);
                (answer, None)
            }
        };
        let verdict = self.machine.handle(Event::Answered { flight, answer }, now);
        match (verdict, token) {
            (Verdict::Adopted, token) => {
                if let Some(token) = token {
                    self.hold(token);
                }
                self.succeed();
            }
            // What a refresh brought has no life of its own: to revoke it would end the sign-in.
            (_, Some(token)) if step == Step::SignIn => self.give_back(token),
            _ => {}
        }
    }

    fn succeed(&mut self) {
        self.failed = None;
        let mut board = self.shared.board();
        board.successes += 1;
        board.status.last_failure = None;
        drop(board);
        self.shared.tell_change();
    }

    /// A token that nobody will use is revoked.
    fn give_back(&self, token: V) {
        let (source, now) = (Arc::clone(&self.source), self.wall(self.timeline.now()));
        let (runtime, limit) = (&self.shared.runtime, self.shared.runtime.sleep(REVOCATION_LIMIT));
        runtime.spawn(Box::pin(async move {
            within(limit, Box::pin(async move { drop(source.revoke(&token, now).await) })).await;
        }));
    }

    async fn revoke(&mut self) {
        self.shared.hand_out(None);
        let Some(held) = self.held.take() else { return };
        let (source, now) = (Arc::clone(&self.source), self.wall(self.timeline.now()));
        let limit = self.shared.runtime.sleep(REVOCATION_LIMIT);
        let revocation = Box::pin(async move { drop(source.revoke(held.value(), now).await) });
        within(limit, Box::pin(Caught(revocation))).await;
    }

    /// Waits for the call under way, a wish, or the timer; returns the call's outcome.
    async fn wait(&mut self, nap: Duration, mut mail: EventListener) -> Option<Outcome<V>> {
        let mut timer = self.shared.runtime.sleep(nap);
        let flight = &mut self.flight;
        poll_fn(|context| {
            if let Some((_, _, call)) = flight
                && let Poll::Ready(outcome) = call.as_mut().poll(context)
            {
                return Poll::Ready(Some(outcome));
            }
            if Pin::new(&mut mail).poll(context).is_ready() || timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Lets the handles see how things are.
    pub(super) fn publish(&mut self, now: Moment, until: Moment) {
        let serves = self.machine.serves(now);
        let end = self.machine.serves_until();
        let held = self.held.as_ref().filter(|_| serves);
        self.shared.hand_out(held.map(|held| (held, since_1970(self.wall(end)))));
        let phase = self.machine.phase(now);
        let at_rest = self.machine.underway().is_none();
        let told = if at_rest { self.failed.take() } else { None };
        let mut board = self.shared.board();
        let has_failed = told.is_some();
        if has_failed {
            board.failures += 1;
        }
        let status = Status {
            phase,
            has_token: held.is_some(),
            expires: self.machine.expires().filter(|end| !end.is_never()).map(|end| self.timeline.wall(end)),
            next: Some(until)
                .filter(|until| at_rest && !until.is_never())
                .map(|until| self.timeline.wall(until)),
            last_failure: told.or_else(|| board.status.last_failure.clone()),
        };
        board.needs_person = phase == Phase::Asking && !serves && at_rest;
        board.snapshot = Some(self.machine.snapshot(now, self.timeline.wall(now)));
        let differs = has_failed || status.differs(&board.status);
        if differs {
            board.version += 1;
        }
        board.status = status;
        drop(board);
        if differs {
            self.shared.tell_change();
        }
    }

    fn tell(&self, notice: Notice) {
        let Some(observer) = &self.observer else { return };
        let until = self.machine.expires().filter(|end| !end.is_never()).map(|end| self.timeline.wall(end));
        observer(match notice {
            Notice::SignedIn => News::SignedIn { until },
            Notice::SignedInAgain => News::SignedInAgain { until },
            Notice::Renewed => News::Renewed { until },
            Notice::Refreshed => News::Refreshed { until },
            Notice::Capped => News::Capped { until },
            Notice::NeedsPerson { by } => {
                News::NeedsPerson { by: by.filter(|by| !by.is_never()).map(|by| self.timeline.wall(by)) }
            }
            Notice::Lost => News::Lost,
        });
    }

    fn wall(&self, moment: Moment) -> SystemTime {
        self.timeline.wall(moment)
    }
}

/// Makes one call of a source.
pub(crate) fn call<V: MaybeSend + MaybeSync + 'static>(
    source: SharedSource<V>,
    held: Option<Arc<Held<V>>>,
    step: Step,
    now: SystemTime,
) -> BoxFuture<'static, Outcome<V>> {
    let new = |result: Result<Granted<V>, Failure>| result.map_or_else(Outcome::Failed, Outcome::New);
    match (step, held) {
        (Step::SignIn, _) => Box::pin(async move { new(source.sign_in(now).await) }),
        (Step::Refresh, _) => Box::pin(async move { new(source.refresh(now).await) }),
        (Step::Renew, Some(held)) => Box::pin(async move {
            let renewed = source.renew(held.value(), now).await;
            renewed.map_or_else(Outcome::Failed, Outcome::Renewed)
        }),
        (Step::Probe, Some(held)) => Box::pin(async move {
            let alive = source.probe(held.value(), now).await;
            alive.map_or_else(Outcome::Failed, |()| Outcome::Alive)
        }),
        (Step::Renew | Step::Probe, None) => Box::pin(std::future::ready(Outcome::Failed(Failure::over()))),
    }
}

fn since_1970(wall: SystemTime) -> u64 {
    millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(crate) async fn within(mut limit: BoxFuture<'static, ()>, mut work: BoxFuture<'static, ()>) {
    poll_fn(|context| {
        if work.as_mut().poll(context).is_ready() { Poll::Ready(()) } else { limit.as_mut().poll(context) }
    })
    .await;
}

/// A call whose panic is a failure like others, so that one bad answer does not end the keeping.
pub(crate) struct Caught<T>(pub(crate) BoxFuture<'static, T>);

/// What a panic is taken for.
pub(crate) trait FromPanic {
    fn from_panic() -> Self;
}

impl<V> FromPanic for Outcome<V> {
    fn from_panic() -> Self {
        Self::Failed(Failure::unknown().because(Because("the source panicked")))
    }
}

impl FromPanic for () {
    fn from_panic() -> Self {}
}

impl<T: FromPanic> Future for Caught<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // What it was in the middle of is dropped with it: nobody sees it again.
        let poll = std::panic::AssertUnwindSafe(|| self.0.as_mut().poll(context));
        std::panic::catch_unwind(poll).unwrap_or_else(|_| Poll::Ready(T::from_panic()))
    }
}
