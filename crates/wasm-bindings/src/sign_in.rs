//! A sign-in that has begun.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::SystemTime;

use js_sys::Promise;
use latchkey_oidc_flow::oob::Pasted;
use latchkey_oidc_flow::{
    Algorithm, CallbackParams, CallbackProblem, Client, Error as OidcError, Pending, Prompt,
};
use latchkey_transport::{Secret, SystemRandom};
use latchkey_vault_client::auth::{AuthUrl, ClientNonce};
use serde_json::Value;
use url::form_urlencoded;
use wasm_bindgen::prelude::*;

use crate::clock::{millis, now, sleep};
use crate::failure::Failure;
use crate::options::{Options, entries};
use crate::promise::promise;
use crate::session::{Inner, Target};
use crate::silent::silent;

/// `PendingSignIn` of `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
pub struct PendingSignIn(Rc<Begun>);

struct Begun {
    session: Rc<Inner>,
    target: Target,
    url: String,
    state: Secret,
    expires_at: Option<SystemTime>,
    user_code: Option<String>,
    polls: bool,
    driver: RefCell<Option<Driver>>,
    cancel: Cancel,
}

/// Who drives it.
enum Driver {
    Vault { auth_url: AuthUrl, nonce: ClientNonce },
    Provider { client: Client, pending: Pending },
}

impl PendingSignIn {
    pub(crate) async fn at_vault(session: Rc<Inner>, begin: &Options<'_>) -> Result<Self, Failure> {
        let (target, redirect_uri) = (Target::read(begin)?, begin.text("redirectUri")?);
        let nonce = ClientNonce::generate(&mut SystemRandom)?;
        let begun_at = now();
        let oidc = session.bare_vault().oidc(&target.mount);
        let auth_url = oidc.auth_url(&target.role, &redirect_uri, &nonce).await?;
        let url = if begin.flag("silent") { silent(auth_url.url()) } else { auth_url.url().clone() };
        Ok(Self(Rc::new(Begun {
            session,
            target,
            url: url.into(),
            state: auth_url.state().clone(),
            // As long as servers remember it, which is also the default on the other side.
            expires_at: begun_at.checked_add(Pending::DEFAULT_LIFETIME),
            user_code: auth_url.user_code().map(str::to_owned),
            polls: auth_url.poll_interval().is_some(),
            driver: RefCell::new(Some(Driver::Vault { auth_url, nonce })),
            cancel: Cancel::default(),
        })))
    }

    pub(crate) async fn at_provider(session: Rc<Inner>, begin: &Options<'_>) -> Result<Self, Failure> {
        let (target, redirect_uri) = (Target::read(begin)?, begin.text("redirectUri")?);
        let (client_id, scopes) = (begin.text("clientId")?, begin.texts("scopes")?);
        let provider = session.provider(&begin.text("issuer")?).await?;
        let mut client = Client::new(provider, client_id);
        let algorithms = begin.texts("algorithms")?;
        if !algorithms.is_empty() {
            // One that is not known is not expected either: what it signed is refused.
            client = client.with_algorithms(algorithms.iter().filter_map(|name| Algorithm::from_name(name)));
        }
        let mut authorize = client.authorize(redirect_uri);
        for scope in scopes.iter().filter(|scope| *scope != "openid") {
            authorize = authorize.with_scope(scope);
        }
        if begin.flag("silent") {
            authorize = authorize.with_prompt(Prompt::None);
        }
        let begun_at = now();
        let authorization = authorize.begin(&mut SystemRandom, begun_at)?;
        let pending = authorization.pending;
        Ok(Self(Rc::new(Begun {
            session,
            target,
            url: authorization.url.into(),
            state: pending.state().clone(),
            expires_at: pending.remaining(begun_at).and_then(|rest| begun_at.checked_add(rest)),
            user_code: None,
            polls: false,
            driver: RefCell::new(Some(Driver::Provider { client, pending })),
            cancel: Cancel::default(),
        })))
    }
}

impl Begun {
    /// Takes the one end that there is.
    fn take(&self) -> Result<Driver, Failure> {
        if self.cancel.is_cancelled.get() {
            return Err(Failure::Cancelled);
        }
        self.driver.borrow_mut().take().ok_or(Failure::Ended)
    }

    async fn finish(&self, callback: &CallbackParams) -> Result<JsValue, Failure> {
        // Before anything is taken: what belongs to another sign-in does not end this one.
        let state = callback.state().ok_or(OidcError::from(CallbackProblem::StateMissing))?;
        // Opened to be compared, in constant time.
        if !self.state.is_same_as(state.expose_secret()) {
            return Err(OidcError::from(CallbackProblem::StateMismatch).into());
        }
        match self.take()? {
            Driver::Vault { nonce, .. } => self.redeem(callback.code_for(&self.state)?, &nonce).await,
            Driver::Provider { client, pending } => {
                self.trade(client, pending.accept(callback, now())?).await
            }
        }
    }

    async fn paste(&self, text: &str) -> Result<JsValue, Failure> {
        let pasted = Pasted::parse(text)?;
        if pasted.params().state().is_some() {
            return self.finish(pasted.params()).await;
        }
        match self.take()? {
            Driver::Vault { nonce, .. } => self.redeem(pasted.code_for(&self.state)?, &nonce).await,
            Driver::Provider { client, pending } => {
                self.trade(client, pending.accept_pasted(&pasted, now())?).await
            }
        }
    }

    /// Lets the Vault redeem the code.
    async fn redeem(&self, code: &Secret, nonce: &ClientNonce) -> Result<JsValue, Failure> {
        let asked_at = now();
        let oidc = self.session.bare_vault().oidc(&self.target.mount);
        let login = self.cancel.race(oidc.callback(&self.state, code, nonce)).await??;
        Ok(self.session.signed_in("vault", None, login, asked_at))
    }

    /// Redeems the code for an ID token, and that for a Vault token.
    async fn trade(
        &self,
        client: Client,
        callback: latchkey_oidc_flow::ValidatedCallback,
    ) -> Result<JsValue, Failure> {
        let tokens = self.cancel.race(client.redeem(callback, now())).await??;
        let claim = |name: &&str| tokens.id_token.claim(name).and_then(Value::as_str).map(str::to_owned);
        let name = ["preferred_username", "name", "email"].iter().find_map(claim);
        let log_in = self.session.log_in("provider", name, &self.target, tokens.id_token.as_secret());
        self.cancel.race(log_in).await?
    }

    async fn poll(&self) -> Result<JsValue, Failure> {
        let Driver::Vault { auth_url, nonce } = self.take()? else {
            return Err(Failure::InvalidArgument { name: "poll", problem: "is for a sign-in that polls" });
        };
        let asked_at = now();
        let oidc = self.session.bare_vault().oidc(&self.target.mount);
        let mut heard_at = asked_at;
        let polling = oidc.poll_until_done(&auth_url, &nonce, |pause| {
            heard_at = now();
            sleep(pause)
        });
        let login = self.cancel.race(polling).await??;
        Ok(self.session.signed_in("vault", None, login, heard_at))
    }
}

#[wasm_bindgen]
impl PendingSignIn {
    #[wasm_bindgen(getter)]
    pub fn url(&self) -> String {
        self.0.url.clone()
    }

    #[wasm_bindgen(getter)]
    pub fn state(&self) -> String {
        // Opened for the page, whose channel is named after it.
        self.0.state.expose_secret().to_owned()
    }

    #[wasm_bindgen(getter, js_name = expiresAt)]
    pub fn expires_at(&self) -> Option<f64> {
        self.0.expires_at.map(millis)
    }

    #[wasm_bindgen(getter)]
    pub fn polls(&self) -> bool {
        self.0.polls
    }

    #[wasm_bindgen(getter, js_name = userCode)]
    pub fn user_code(&self) -> Option<String> {
        self.0.user_code.clone()
    }

    pub fn finish(&self, callback: JsValue) -> Promise {
        let begun = Rc::clone(&self.0);
        promise(async move {
            let callback = read(&callback)?;
            Ok(begun.finish(&callback).await?)
        })
    }

    pub fn paste(&self, text: String) -> Promise {
        let begun = Rc::clone(&self.0);
        promise(async move { Ok(begun.paste(&text).await?) })
    }

    pub fn poll(&self) -> Promise {
        let begun = Rc::clone(&self.0);
        promise(async move { Ok(begun.poll().await?) })
    }

    pub fn cancel(&self) {
        self.0.cancel.now();
    }
}

/// Reads a callback: a query, or its members.
fn read(callback: &JsValue) -> Result<CallbackParams, Failure> {
    let encoded = if let Some(text) = callback.as_string() {
        text.trim_start_matches(['?', '#']).to_owned()
    } else {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in entries("callback", callback)? {
            if let Some(value) = value.as_string() {
                form.append_pair(&name, &value);
            }
        }
        form.finish()
    };
    Ok(CallbackParams::parse(&encoded).map_err(OidcError::from)?)
}

/// A way to end what is under way.
#[derive(Default)]
struct Cancel {
    is_cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Cancel {
    fn now(&self) {
        self.is_cancelled.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Runs to the end of one or the other. What is dropped half-way was perhaps sent already.
    async fn race<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let mut future: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(future);
        poll_fn(|context| {
            if self.is_cancelled.get() {
                return Poll::Ready(Err(Failure::Cancelled));
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            future.as_mut().poll(context).map(Ok)
        })
        .await
    }
}
