//! The task that performs what a fleet asks for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use event_listener::{Event as Bell, EventListener};

use super::{Fleet, FleetAction, FleetSnapshot, LeaseId};
use crate::keeper::Kept;
use crate::keeper::run::{Caught, NAP, Outcome, call};
use crate::keeper::shared::Held;
use crate::maybe::BoxFuture;
use crate::runtime::Runtime;
use crate::source::SharedSource;
use crate::{
    Action, Answer, Error, Event, Failure, Flight, Granted, Machine, MaybeSend, MaybeSync, Moment, Phase,
    Policy, Source, Timeline, Verdict,
};

/// Keeps the tokens of many users alive, each from a source of its own, with one task and one timer.
///
/// Cheap to clone; the task ends when the last clone is dropped, or with [`stop`](Self::stop).
///
/// ```
/// # use std::sync::Arc;
/// # use latchkey_token_lifecycle::Source;
/// use std::num::NonZeroUsize;
/// use latchkey_token_lifecycle::fleet::FleetKeeper;
/// # use latchkey_token_lifecycle::runtime::Runtime;
///
/// # async fn f(runtime: impl Runtime, alices: impl Source<Token = String> + 'static) -> Result<(), latchkey_token_lifecycle::Error> {
/// let keeper = FleetKeeper::spawn(runtime, NonZeroUsize::new(64).unwrap());
/// let alice = keeper.add(alices);
/// let token = keeper.token(alice).await?;
/// # Ok(()) }
/// ```
pub struct FleetKeeper<V> {
    handle: Arc<Handle<V>>,
    patience: Duration,
    policy: Policy,
}

impl<V> Clone for FleetKeeper<V> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), ..*self }
    }
}

/// When the last one goes, the task ends.
struct Handle<V>(Arc<Shared<V>>);

impl<V> Drop for Handle<V> {
    fn drop(&mut self) {
        self.0.state().gone = true;
        self.0.mail.notify(usize::MAX);
    }
}

struct Shared<V> {
    state: Mutex<State<V>>,
    /// Rings when the task has something to do.
    mail: Bell,
    /// Rings when all is over.
    end: Bell,
    runtime: Box<dyn Runtime>,
}

struct State<V> {
    fleet: Fleet,
    timeline: Timeline,
    wards: HashMap<LeaseId, Ward<V>>,
    generations: u64,
    /// Nobody has a handle any more.
    gone: bool,
    /// The task ends when the fleet is empty.
    stopping: bool,
    ended: bool,
}

/// What belongs to one token, besides its machine.
struct Ward<V> {
    source: SharedSource<V>,
    held: Option<Arc<Held<V>>>,
    failed: Option<Failure>,
    /// Rings when a call has ended; made for the first who waits.
    ended: Option<Arc<Bell>>,
}

impl<V> Ward<V> {
    fn tell(&mut self) {
        if let Some(bell) = self.ended.take() {
            bell.notify(usize::MAX);
        }
    }
}

impl<V> Shared<V> {
    fn state(&self) -> MutexGuard<'_, State<V>> {
        // A panic leaves the state whole: nothing is changed in two steps with foreign code between them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> State<V> {
    fn now(&mut self, runtime: &dyn Runtime) -> Moment {
        self.timeline.observe(runtime.read())
    }
}

impl<V: MaybeSend + MaybeSync + 'static> FleetKeeper<V> {
    /// Starts the task. At most `limit` calls are made at a time.
    pub fn spawn(runtime: impl Runtime, limit: NonZeroUsize) -> Self {
        let timeline = Timeline::new(runtime.read());
        Self::begin(Box::new(runtime), timeline, Fleet::new(limit))
    }

    /// Goes on where a fleet was left. What was kept is put in by [`restore`](Self::restore); a token that was not put in
    /// before its next call is got anew.
    pub fn resume(runtime: impl Runtime, limit: NonZeroUsize, snapshot: FleetSnapshot) -> Self {
        let timeline = Timeline::new(runtime.read());
        let (now, wall) = (timeline.now(), timeline.wall(timeline.now()));
        let fleet = snapshot.resume(limit, now, wall, runtime.seed());
        Self::begin(Box::new(runtime), timeline, fleet)
    }

    fn begin(runtime: Box<dyn Runtime>, timeline: Timeline, fleet: Fleet) -> Self {
        let state = State {
            fleet,
            timeline,
            wards: HashMap::new(),
            generations: 0,
            gone: false,
            stopping: false,
            ended: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), mail: Bell::new(), end: Bell::new(), runtime });
        shared.runtime.spawn(Box::pin(run(Arc::clone(&shared))));
        Self {
            handle: Arc::new(Handle(shared)),
            patience: Duration::from_secs(30),
            policy: Policy::default(),
        }
    }

    /// Lets those who ask this handle for a token wait that long at most, instead of 30 s.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Decides by other numbers about the tokens that are added with this handle from now on.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    fn shared(&self) -> &Shared<V> {
        &self.handle.0
    }

    /// Adds a token that has to be got.
    pub fn add(&self, source: impl Source<Token = V> + 'static) -> LeaseId {
        self.enter(Arc::new(source), None)
    }

    /// Adds a token that is at hand; its lease counts from now.
    pub fn add_granted(&self, source: impl Source<Token = V> + 'static, granted: Granted<V>) -> LeaseId {
        self.enter(Arc::new(source), Some(granted))
    }

    fn enter(&self, source: SharedSource<V>, granted: Option<Granted<V>>) -> LeaseId {
        let shared = self.shared();
        let seed = shared.runtime.seed();
        let mut state = shared.state();
        let now = state.now(&*shared.runtime);
        let mut machine = Machine::new(self.policy, source.ladder(), seed);
        let mut ward = Ward { source, held: None, failed: None, ended: None };
        if let Some(Granted { token, lease }) = granted
            && machine.handle(Event::Supplied { lease, sent: now }, now) == Verdict::Adopted
        {
            state.generations += 1;
            ward.held = Some(Arc::new(Held::new(token, state.generations)));
        }
        let lease = state.fleet.add(machine, now);
        state.wards.insert(lease, ward);
        drop(state);
        shared.mail.notify(1);
        lease
    }

    /// Puts the source, and the token if it was kept, under a name of the snapshot that this fleet was resumed from.
    /// Returns whether there is such a name that is not taken yet.
    pub fn restore(
        &self,
        lease: LeaseId,
        source: impl Source<Token = V> + 'static,
        token: Option<V>,
    ) -> bool {
        let mut state = self.shared().state();
        if state.fleet.machine(lease).is_none() || state.wards.contains_key(&lease) {
            return false;
        }
        let now = state.now(&*self.shared().runtime);
        state.generations += 1;
        let generation = state.generations;
        let held = token.map(|token| Arc::new(Held::new(token, generation)));
        if held.is_none() {
            // Without its token the machine knows nothing worth keeping.
            let _noted = state.fleet.handle(lease, Event::Refused { certain: true }, now);
        }
        state.wards.insert(lease, Ward { source: Arc::new(source), held, failed: None, ended: None });
        drop(state);
        self.shared().mail.notify(1);
        true
    }

    /// Returns a token if it is fresh, without waiting.
    pub fn fresh(&self, lease: LeaseId) -> Option<Kept<V>> {
        let mut state = self.shared().state();
        let now = state.now(&*self.shared().runtime);
        state.fresh(lease, now)
    }

    /// Returns a token that lives. Where there is none, waits for the call that gets one, for 30 s at most or what
    /// [`with_patience`](Self::with_patience) says.
    ///
    /// # Errors
    ///
    /// As those of [`Keeper::token`](crate::Keeper::token); [`Error::Ended`] for a token that is gone, too.
    pub async fn token(&self, lease: LeaseId) -> Result<Kept<V>, Error> {
        let shared = self.shared();
        let patience = self.patience;
        let mut timer = shared.runtime.sleep(patience);
        let mut has_waited = false;
        loop {
            let mut listener = match shared.look(lease, has_waited)? {
                Look::Token(token) => return Ok(token),
                Look::Wait(listener) => listener,
            };
            has_waited = true;
            let timed_out = poll_fn(|context| match Pin::new(&mut listener).poll(context) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => timer.as_mut().poll(context).map(|()| true),
            });
            if timed_out.await {
                let last = shared.state().wards.get(&lease).and_then(|ward| ward.failed.clone());
                return Err(Error::TimedOut { patience, last });
            }
        }
    }

    /// Tells that a request with this token was refused; see [`Keeper::refused`](crate::Keeper::refused).
    pub fn refused(&self, lease: LeaseId, token: &Kept<V>, certain: bool) {
        let mut state = self.shared().state();
        let is_current =
            |ward: &Ward<V>| ward.held.as_ref().is_some_and(|held| held.generation() == token.generation());
        if state.wards.get(&lease).is_some_and(is_current) {
            let now = state.now(&*self.shared().runtime);
            let _noted = state.fleet.handle(lease, Event::Refused { certain }, now);
            drop(state);
            self.shared().mail.notify(1);
        }
    }

    /// Ends the keeping of one token; with `revoke` it is given back.
    pub fn remove(&self, lease: LeaseId, revoke: bool) {
        let mut state = self.shared().state();
        let now = state.now(&*self.shared().runtime);
        let _noted = state.fleet.handle(lease, Event::Stop { revoke }, now);
        drop(state);
        self.shared().mail.notify(1);
    }

    /// Says that another attempt is promising for all: the network is back.
    pub fn nudge(&self) {
        let mut state = self.shared().state();
        let now = state.now(&*self.shared().runtime);
        state.fleet.handle_all(Event::Nudged, now);
        drop(state);
        self.shared().mail.notify(1);
    }

    /// Returns where a token is; `None` for one that is gone.
    pub fn phase(&self, lease: LeaseId) -> Option<Phase> {
        let mut state = self.shared().state();
        let now = state.now(&*self.shared().runtime);
        state.fleet.machine(lease).map(|machine| machine.phase(now))
    }

    /// Returns how many tokens there are.
    pub fn len(&self) -> usize {
        self.shared().state().fleet.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what is to be stored beside the tokens to go on after a restart. Nothing in it is secret.
    pub fn snapshot(&self) -> FleetSnapshot {
        let mut state = self.shared().state();
        let now = state.now(&*self.shared().runtime);
        state.fleet.snapshot(now, state.timeline.wall(now))
    }

    /// Ends the keeping of all and returns when it has ended; with `revoke` the tokens are given back.
    pub async fn stop(&self, revoke: bool) {
        let shared = self.shared();
        {
            let mut state = shared.state();
            let now = state.now(&*shared.runtime);
            state.fleet.handle_all(Event::Stop { revoke }, now);
            state.stopping = true;
        }
        shared.mail.notify(1);
        loop {
            let end = shared.end.listen();
            if shared.state().ended {
                return;
            }
            end.await;
        }
    }
}

impl<V> fmt::Debug for FleetKeeper<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.handle.0.state();
        let (tokens, underway) = (state.fleet.len(), state.fleet.underway());
        formatter
            .debug_struct("FleetKeeper")
            .field("tokens", &tokens)
            .field("underway", &underway)
            .finish_non_exhaustive()
    }
}

/// What somebody who wants a token finds.
enum Look<V> {
    Token(Kept<V>),
    Wait(EventListener),
}

impl<V> State<V> {
    fn fresh(&self, lease: LeaseId, now: Moment) -> Option<Kept<V>> {
        let held = self.wards.get(&lease)?.held.as_ref()?;
        self.fleet.serves(lease, now).then(|| Kept(Arc::clone(held)))
    }
}

impl<V> Shared<V> {
    fn look(&self, lease: LeaseId, has_waited: bool) -> Result<Look<V>, Error> {
        let mut state = self.state();
        let now = state.now(&*self.runtime);
        if let Some(token) = state.fresh(lease, now) {
            return Ok(Look::Token(token));
        }
        let phase = state.fleet.machine(lease).map(|machine| machine.phase(now));
        let (Some(phase), false) = (phase, state.ended) else { return Err(Error::Ended) };
        let Some(ward) = state.wards.get_mut(&lease) else { return Err(Error::Ended) };
        if phase == Phase::Asking {
            return Err(Error::NeedsPerson);
        }
        if has_waited && let Some(failure) = ward.failed.clone() {
            return Err(Error::Failed(failure));
        }
        let listener = ward.ended.get_or_insert_default().listen();
        let _noted = state.fleet.handle(lease, Event::Wanted, now);
        drop(state);
        self.mail.notify(1);
        Ok(Look::Wait(listener))
    }
}

/// A call under way.
struct Underway<V> {
    lease: LeaseId,
    flight: Flight,
    call: BoxFuture<'static, Outcome<V>>,
}

/// Tells those who wait, however the task ends.
struct End<V>(Arc<Shared<V>>);

impl<V> Drop for End<V> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = true;
        for ward in state.wards.values_mut() {
            ward.tell();
        }
        drop(state);
        self.0.end.notify(usize::MAX);
    }
}

async fn run<V: MaybeSend + MaybeSync + 'static>(shared: Arc<Shared<V>>) {
    let _end = End(Arc::clone(&shared));
    let mut work = Work { calls: Vec::new(), giving_back: VecDeque::new() };
    let mut napping: Option<(Moment, Duration)> = None;
    loop {
        // Listening before looking, or a wish that is made in between would wait for the timer.
        let mail = shared.mail.listen();
        let nap = {
            let mut state = shared.state();
            let now = state.now(&*shared.runtime);
            if let Some((before, nap)) = napping
                && Policy::has_slept(nap, now - before)
            {
                state.fleet.handle_all(Event::Nudged, now);
            }
            let until = state.act(&mut work, now);
            let is_done = state.stopping && state.fleet.is_empty() && work.giving_back.is_empty();
            if state.gone || is_done {
                break;
            }
            let nap = Policy::nap(until - now).min(NAP);
            napping = Some((now, nap));
            nap
        };
        let at_once = shared.state().fleet.limit().get();
        for (index, outcome) in work.wait(shared.runtime.sleep(nap), mail, at_once).await {
            let Underway { lease, flight, .. } = work.calls.swap_remove(index);
            let given_back = shared.state().land(lease, flight, outcome, &*shared.runtime);
            work.giving_back.extend(given_back);
        }
    }
}

/// What the task has begun.
struct Work<V> {
    calls: Vec<Underway<V>>,
    /// Tokens that nobody will use.
    giving_back: VecDeque<Revocation<V>>,
}

/// A token on its way back.
struct Revocation<V> {
    source: SharedSource<V>,
    token: Arc<Held<V>>,
    now: SystemTime,
    begun: Option<BoxFuture<'static, ()>>,
}

impl<V: MaybeSend + MaybeSync + 'static> Revocation<V> {
    fn new(source: &SharedSource<V>, token: Arc<Held<V>>, now: SystemTime) -> Self {
        Self { source: Arc::clone(source), token, now, begun: None }
    }

    fn call(&mut self) -> Pin<&mut (impl Future<Output = ()> + use<V>)> {
        let (source, token, now) = (&self.source, &self.token, self.now);
        let call = self.begun.get_or_insert_with(|| {
            let (source, token) = (Arc::clone(source), Arc::clone(token));
            Box::pin(Caught(Box::pin(async move { drop(source.revoke(token.value(), now).await) })))
        });
        Pin::new(call)
    }
}

impl<V: MaybeSend + MaybeSync + 'static> Work<V> {
    /// Waits for calls to end, for a wish, or for the timer. Returns what ended, the last place first.
    async fn wait(
        &mut self,
        mut timer: BoxFuture<'static, ()>,
        mut mail: EventListener,
        at_once: usize,
    ) -> Vec<(usize, Outcome<V>)> {
        poll_fn(|context| {
            let mut ended = Vec::new();
            for (index, underway) in self.calls.iter_mut().enumerate().rev() {
                if let Poll::Ready(outcome) = underway.call.as_mut().poll(context) {
                    ended.push((index, outcome));
                }
            }
            let before = self.giving_back.len();
            let begun = self.giving_back.iter_mut().take(at_once);
            let given: Vec<bool> = begun.map(|one| one.call().poll(context).is_ready()).collect();
            let mut given = given.into_iter();
            self.giving_back.retain(|_| !given.next().unwrap_or(false));
            let is_over = !ended.is_empty()
                || self.giving_back.len() < before
                || Pin::new(&mut mail).poll(context).is_ready()
                || timer.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(ended) } else { Poll::Pending }
        })
        .await
    }
}

impl<V: MaybeSend + MaybeSync + 'static> State<V> {
    /// Does what the fleet asks for; returns until when it wants to wait.
    fn act(&mut self, work: &mut Work<V>, now: Moment) -> Moment {
        let wall = self.timeline.wall(now);
        loop {
            let (lease, action) = match self.fleet.poll(now) {
                FleetAction::Wait { until } => return until,
                FleetAction::Of { lease, action } => (lease, action),
            };
            let Some(ward) = self.wards.get_mut(&lease) else {
                // Nobody has put its source in: there is nothing to call.
                if let Action::Call { flight, .. } = action {
                    let answer = Answer::Failed(Failure::over().setback());
                    let _noted = self.fleet.handle(lease, Event::Answered { flight, answer }, now);
                }
                continue;
            };
            match action {
                Action::Call { flight, step, .. } => {
                    let call = Caught(call(Arc::clone(&ward.source), ward.held.clone(), step, wall));
                    work.calls.push(Underway { lease, flight, call: Box::pin(call) });
                }
                Action::Abandon(flight) => {
                    work.calls.retain(|underway| underway.lease != lease || underway.flight != flight);
                    ward.failed = Some(Failure::unknown().because("it took too long"));
                    ward.tell();
                }
                Action::Revoke => {
                    if let Some(held) = ward.held.take() {
                        work.giving_back.push_back(Revocation::new(&ward.source, held, wall));
                    }
                }
                Action::Stop => {
                    ward.tell();
                    self.wards.remove(&lease);
                }
                _ => ward.tell(),
            }
        }
    }

    /// Takes a call's end to its machine. Returns how a token that nobody will use is given back.
    fn land(
        &mut self,
        lease: LeaseId,
        flight: Flight,
        outcome: Outcome<V>,
        runtime: &dyn Runtime,
    ) -> Option<Revocation<V>> {
        let now = self.now(runtime);
        let wall = self.timeline.wall(now);
        let ward = self.wards.get_mut(&lease)?;
        let (answer, token) = match outcome {
            Outcome::New(Granted { token, lease }) => (Answer::Granted(lease), Some(token)),
            Outcome::Renewed(lease) => (Answer::Granted(lease), None),
            Outcome::Alive => (Answer::Alive, None),
            Outcome::Failed(failure) => {
                let answer = Answer::Failed(failure.setback());
                ward.failed = Some(failure);
                (answer, None)
            }
        };
        let verdict = self.fleet.handle(lease, Event::Answered { flight, answer }, now);
        let mut given_back = None;
        match (verdict, token) {
            (Verdict::Adopted, token) => {
                ward.failed = None;
                if let Some(token) = token {
                    self.generations += 1;
                    ward.held = Some(Arc::new(Held::new(token, self.generations)));
                }
            }
            (_, Some(token)) => {
                given_back = Some(Revocation::new(&ward.source, Arc::new(Held::new(token, 0)), wall));
            }
            _ => {}
        }
        ward.tell();
        given_back
    }
}

#[cfg(test)]
#[cfg(feature = "tokio")]
#[path = "keeper_tests.rs"]
mod tests;
