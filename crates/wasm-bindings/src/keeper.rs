//! A session's token, kept alive by `latchkey-token-lifecycle`.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use js_sys::Function;
use latchkey_token_lifecycle::{
    Failure as Setback, Granted, Keeper as Kept, Ladder, Lease, News, Phase, Source, Step,
};
use latchkey_vault_client::{Error as VaultError, Token};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::clock::{millis, now};
use crate::failure::Failure;
use crate::object::{object, optional};
use crate::options::Options;
use crate::platform;
use crate::session::{Inner, Session};

/// `Keeper` of `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
pub struct Keeper {
    session: Rc<Inner>,
    keeping: Rc<Keeping>,
}

/// The keeping of a session's token: nothing while nobody is signed in.
pub(crate) struct Keeping {
    page: Rc<Page>,
    kept: RefCell<Option<Kept<Token>>>,
}

impl Keeping {
    /// Takes on what somebody signed in with.
    pub(crate) fn signed_in(&self, session: &Rc<Inner>) {
        let Some(granted) = session.granted() else { return };
        if let Some(kept) = &*self.kept.borrow() {
            return kept.supply(granted.token, granted.lease);
        }
        let source = Tokens { session: Rc::downgrade(session), page: Rc::clone(&self.page) };
        let (page, session) = (Rc::clone(&self.page), Rc::downgrade(session));
        let builder = Kept::of(source).with_token(granted.token, granted.lease);
        let kept = builder.with_observer(move |news| tell(&page, &session, news)).spawn();
        *self.kept.borrow_mut() = Some(kept);
    }

    /// Lets go of it: the person signed out. The last one that is dropped ends the keeping.
    pub(crate) fn signed_out(&self) {
        self.kept.borrow_mut().take();
    }

    /// The server refused a call; `is_certain` where it said that the token is dead.
    pub(crate) fn refused(&self, is_certain: bool) {
        if let Some(kept) = &*self.kept.borrow()
            && let Some(token) = kept.fresh()
        {
            kept.refused(&token, is_certain);
        }
    }
}

fn tell(page: &Page, session: &Weak<Inner>, news: News) {
    match news {
        News::Renewed { until } | News::Refreshed { until } => page.tell_at("renewed", "expiresAt", until),
        News::Capped { until } => page.tell_at("capped", "expiresAt", until),
        News::SignedInAgain { until } => page.tell_at("signed-in-again", "expiresAt", until),
        News::NeedsPerson { by } => page.tell_at("needs-person", "by", by),
        News::Lost => {
            if let Some(session) = session.upgrade() {
                session.forget();
            }
            page.tell(&object([("kind", "lost".into())]));
        }
        // Of the first sign-in the page knows: it was there.
        _ => {}
    }
}

/// What the page brought.
struct Page {
    sign_in_again: Option<Function>,
    lock: Option<String>,
    on_event: Option<Function>,
}

impl Page {
    fn tell(&self, event: &JsValue) {
        if let Some(listener) = &self.on_event {
            // What a listener throws is the page's.
            let _ = listener.call1(&JsValue::UNDEFINED, event);
        }
    }

    fn tell_at(&self, kind: &str, member: &str, time: Option<SystemTime>) {
        self.tell(&object([("kind", kind.into()), (member, optional(time.map(millis)))]));
    }
}

/// Where the tokens come from: the session's own calls.
struct Tokens {
    /// A keeper does not keep its session alive.
    session: Weak<Inner>,
    page: Rc<Page>,
}

impl Tokens {
    fn session(&self) -> Result<Rc<Inner>, Setback> {
        self.session.upgrade().ok_or(Setback::over())
    }

    /// Tells the page, and says what it means for the next step.
    fn failed(&self, failure: Failure) -> Setback {
        let setback = setback(&failure);
        self.page.tell(&object([("kind", "failed".into()), ("error", failure.into())]));
        setback
    }
}

fn setback(failure: &Failure) -> Setback {
    match failure {
        Failure::Vault(error) if error.is_token_dead() == Some(true) => Setback::dead(),
        Failure::Vault(VaultError::PermissionDenied(_)) => Setback::denied(),
        Failure::Vault(VaultError::RateLimited { retry_after }) => Setback::later_after(*retry_after),
        failure if failure.is_retryable() => Setback::later(),
        _ => Setback::over(),
    }
}

#[async_trait::async_trait(?Send)]
impl Source for Tokens {
    type Token = Token;

    fn ladder(&self) -> Ladder {
        match self.page.sign_in_again {
            Some(_) => Ladder::of(&[Step::Renew, Step::SignIn, Step::Probe]).with_person(),
            None => Ladder::of(&[Step::Renew, Step::Probe]).with_person(),
        }
    }

    async fn sign_in(&self, _now: SystemTime) -> Result<Granted<Token>, Setback> {
        let session = self.session()?;
        let Some(call) = &self.page.sign_in_again else { return Err(Setback::over()) };
        let attempt = platform::sign_in_again(call, self.page.lock.clone());
        // Dropped when it has taken too long, and aborts then.
        let _guard = Abort(attempt.clone());
        let _quiet = session.quietly();
        match JsFuture::from(attempt.promise()).await {
            Ok(_) => session.granted().ok_or(Setback::needs_person()),
            Err(error) => {
                let is_retryable = Options(&error).flag("retryable");
                self.page.tell(&object([("kind", "failed".into()), ("error", error)]));
                Err(if is_retryable { Setback::later() } else { Setback::needs_person() })
            }
        }
    }

    async fn renew(&self, _token: &Token, _now: SystemTime) -> Result<Lease, Setback> {
        let session = self.session()?;
        match session.renew().await {
            Ok(_) => session.granted().map(|granted| granted.lease).ok_or(Setback::dead()),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    async fn probe(&self, token: &Token, _now: SystemTime) -> Result<(), Setback> {
        let vault = self.session()?.bare_vault().with_token(token);
        match vault.token().lookup_self().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(error.into())),
        }
    }
}

/// Aborts an attempt when it is dropped; one that has ended does not mind.
struct Abort(platform::Attempt);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns a lease as the keeper counts it.
pub(crate) fn lease(left: Option<Duration>, renewable: bool) -> Lease {
    left.map_or(Lease::endless(), Lease::of).with_renewable(renewable)
}

/// Holds back what a session would tell its keeper of, while the keeper itself is at work.
pub(crate) struct Quiet<'a>(pub(crate) &'a Cell<bool>);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[wasm_bindgen]
impl Keeper {
    /// See `types.d.ts`; so it is for all that follows.
    #[wasm_bindgen(constructor)]
    pub fn new(session: &Session, options: &JsValue) -> Result<Self, JsValue> {
        let options = Options(options);
        let page = Page {
            sign_in_again: options.function("signInAgain")?,
            lock: options.optional_text("lock")?,
            on_event: options.function("onEvent")?,
        };
        let keeping = Keeping { page: Rc::new(page), kept: RefCell::default() };
        Ok(Self { session: session.inner(), keeping: Rc::new(keeping) })
    }

    #[wasm_bindgen(getter)]
    pub fn state(&self) -> String {
        let phase = self.keeping.kept.borrow().as_ref().map(|kept| kept.status().phase);
        match phase {
            None | Some(Phase::Empty | Phase::Stopped) => "idle",
            Some(Phase::Fresh | Phase::Capped) => "fresh",
            Some(Phase::Failing) => "renewing",
            Some(Phase::Asking) => "needs-person",
            Some(_) => "lost",
        }
        .to_owned()
    }

    pub fn start(&self) {
        self.session.keep(Some(Rc::clone(&self.keeping)));
        if self.keeping.kept.borrow().is_none() {
            self.keeping.signed_in(&self.session);
        }
    }

    pub fn wake(&self) {
        if let Some(kept) = &*self.keeping.kept.borrow() {
            // Looks at the clock, and nudges what waits.
            kept.nudge();
        }
    }

    pub fn stop(&self) {
        self.session.keep(None);
        self.keeping.signed_out();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is left of a token that ends then.
pub(crate) fn left(end: Option<SystemTime>) -> Option<Duration> {
    end.map(|end| end.duration_since(now()).unwrap_or_default())
}
