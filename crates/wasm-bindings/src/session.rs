//! One person at one Vault.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use js_sys::{Function, Promise};
use latchkey_jupyterhub_auth::{Error as HubError, Holder, HubApi, ReadIdToken, check_own_server};
use latchkey_oidc_flow::{IdToken, Provider};
use latchkey_token_lifecycle::Granted;
use latchkey_transport::{Perform as _, Secret, SharedTransport};
use latchkey_vault_client::token::{CreateToken, TokenRequest};
use latchkey_vault_client::{Lease, Login, Token, Vault};
use wasm_bindgen::prelude::*;

use crate::clock::{duration_millis, millis, now};
use crate::failure::Failure;
use crate::keeper::{Keeping, Quiet, lease, left};
use crate::object::{list, notes, object, optional};
use crate::options::Options;
use crate::promise::promise;
use crate::secrets::Secrets;
use crate::sign_in::PendingSignIn;
use crate::transport::Fetch;
use crate::verifier::WebCrypto;

/// `Session` of `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
#[derive(Clone)]
pub struct Session(Rc<Inner>);

/// What a session and everything that came from it share.
pub(crate) struct Inner {
    vault: Vault,
    pub(crate) transport: SharedTransport,
    held: RefCell<Option<Held>>,
    listeners: RefCell<Vec<(u32, Function)>>,
    last_listener: Cell<u32>,
    providers: RefCell<Vec<Provider>>,
    keeping: RefCell<Option<Rc<Keeping>>>,
    /// The keeper itself is signing in.
    is_quiet: Cell<bool>,
}

/// A token, and what the page may know of it.
struct Held {
    token: Token,
    way: &'static str,
    name: String,
    login: Login,
    /// How much life is asked for when it is prolonged: as much as it had at first.
    increment: Duration,
    expires_at: Option<SystemTime>,
    /// Made once, so that a page sees by `===` whether anything has changed.
    identity: JsValue,
}

impl Held {
    fn new(way: &'static str, name: String, login: Login, asked_at: SystemTime) -> Self {
        let mut held = Self {
            token: login.token().clone(),
            way,
            name,
            increment: login.lease.duration,
            expires_at: expiry(&login.lease, asked_at),
            login,
            identity: JsValue::UNDEFINED,
        };
        held.identity = held.describe();
        held
    }

    fn prolonged(mut self, lease: Lease, asked_at: SystemTime) -> Self {
        self.login.lease = lease;
        self.expires_at = expiry(&lease, asked_at);
        self.identity = self.describe();
        self
    }

    fn describe(&self) -> JsValue {
        object([
            ("way", self.way.into()),
            ("name", self.name.as_str().into()),
            ("accessor", self.login.accessor.as_str().into()),
            ("entityId", self.login.entity_id.as_str().into()),
            ("policies", list(self.login.policies.iter().map(String::as_str))),
            ("metadata", notes(&self.login.metadata)),
            ("expiresAt", optional(self.expires_at.map(millis))),
            ("renewable", self.login.lease.renewable.into()),
        ])
    }
}

/// Counted from when the request was sent: that is the earlier end.
fn expiry(lease: &Lease, asked_at: SystemTime) -> Option<SystemTime> {
    lease.time_to_live().and_then(|life| asked_at.checked_add(life))
}

impl Inner {
    /// The Vault with the session's token.
    pub(crate) fn vault(&self) -> Result<Vault, Failure> {
        self.current().ok_or(Failure::NotSignedIn)?;
        let held = self.held.borrow();
        let held = held.as_ref().ok_or(Failure::NotSignedIn)?;
        Ok(self.vault.with_token(&held.token))
    }

    /// The Vault without a token, as logins want it.
    pub(crate) fn bare_vault(&self) -> &Vault {
        &self.vault
    }

    /// Who is signed in, after a look at the clock.
    fn current(&self) -> Option<JsValue> {
        let identity = match &*self.held.borrow() {
            Some(held) if held.expires_at.is_none_or(|end| now() < end) => Some(held.identity.clone()),
            Some(_) => None,
            None => return None,
        };
        if identity.is_none() {
            self.set(None);
        }
        identity
    }

    fn set(&self, held: Option<Held>) {
        let identity = held.as_ref().map_or(JsValue::UNDEFINED, |held| held.identity.clone());
        *self.held.borrow_mut() = held;
        // A copy, since a listener may add or remove one.
        let listeners: Vec<Function> =
            self.listeners.borrow().iter().map(|(_, listener)| listener.clone()).collect();
        for listener in listeners {
            // What a listener throws is the page's.
            let _ = listener.call1(&JsValue::UNDEFINED, &identity);
        }
    }

    /// Takes a login over.
    pub(crate) fn signed_in(
        self: &Rc<Self>,
        way: &'static str,
        name: Option<String>,
        login: Login,
        asked_at: SystemTime,
    ) -> JsValue {
        let name = name.or_else(|| name_in(&login)).unwrap_or_default();
        let held = Held::new(way, name, login, asked_at);
        let identity = held.identity.clone();
        self.set(Some(held));
        if !self.is_quiet.get()
            && let Some(keeping) = self.keeping()
        {
            keeping.signed_in(self);
        }
        identity
    }

    /// Logs in with an ID token.
    pub(crate) async fn log_in(
        self: &Rc<Self>,
        way: &'static str,
        name: Option<String>,
        target: &Target,
        id_token: &Secret,
    ) -> Result<JsValue, Failure> {
        let asked_at = now();
        let login = self.vault.jwt(&target.mount).login(&target.role, id_token).await?;
        Ok(self.signed_in(way, name, login, asked_at))
    }

    /// Prolongs the token by as much as the server likes.
    pub(crate) async fn renew(&self) -> Result<JsValue, Failure> {
        let vault = self.vault()?;
        let increment = self.held.borrow().as_ref().map(|held| held.increment).unwrap_or_default();
        let asked_at = now();
        let renewal = vault.token().renew_self(increment).await;
        let lease = renewal.map_err(|error| self.heard(error))?.lease;
        let held = self.held.borrow_mut().take().ok_or(Failure::NotSignedIn)?.prolonged(lease, asked_at);
        let identity = held.identity.clone();
        self.set(Some(held));
        Ok(identity)
    }

    /// Notes what the server said of the token: forgets one that is dead in words, and lets the keeper find out where a
    /// refusal may be either.
    pub(crate) fn heard(&self, error: latchkey_vault_client::Error) -> Failure {
        let is_dead = error.is_token_dead();
        if is_dead != Some(false)
            && let Some(keeping) = self.keeping()
        {
            keeping.refused(is_dead == Some(true));
        }
        if is_dead == Some(true) {
            self.forget();
        }
        error.into()
    }

    /// Forgets the token.
    pub(crate) fn forget(&self) {
        if self.held.borrow().is_some() {
            self.set(None);
        }
    }

    /// The token with what is left of its lease.
    pub(crate) fn granted(&self) -> Option<Granted<Token>> {
        self.current()?;
        let held = self.held.borrow();
        let held = held.as_ref()?;
        let lease = lease(left(held.expires_at), held.login.lease.renewable);
        Some(Granted { token: held.token.clone(), lease })
    }

    /// Takes a keeper on, or lets it go.
    pub(crate) fn keep(&self, keeping: Option<Rc<Keeping>>) {
        *self.keeping.borrow_mut() = keeping;
    }

    fn keeping(&self) -> Option<Rc<Keeping>> {
        self.keeping.borrow().clone()
    }

    /// Until what comes back is dropped, sign-ins are not told to the keeper: it asked for them.
    pub(crate) fn quietly(&self) -> Quiet<'_> {
        self.is_quiet.set(true);
        Quiet(&self.is_quiet)
    }

    /// The provider, whose metadata and keys are fetched once for a session.
    pub(crate) async fn provider(&self, issuer: &str) -> Result<Provider, Failure> {
        let known = self.providers.borrow().iter().find(|provider| provider.issuer() == issuer).cloned();
        if let Some(provider) = known {
            return Ok(provider);
        }
        let verifier = Arc::new(WebCrypto);
        let provider = Provider::discover_with(issuer, Arc::clone(&self.transport), verifier).await?;
        self.providers.borrow_mut().push(provider.clone());
        Ok(provider)
    }
}

/// What the auth method noted as the person's name, under the names that administrators usually map claims to.
fn name_in(login: &Login) -> Option<String> {
    let names = ["username", "preferred_username", "name", "email"];
    names.iter().find_map(|name| login.metadata.get(*name)).cloned()
}

/// A role at a mount.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) mount: String,
    pub(crate) role: String,
}

impl Target {
    pub(crate) fn read(options: &Options<'_>) -> Result<Self, Failure> {
        Ok(Self { mount: options.text("mount")?, role: options.optional_text("role")?.unwrap_or_default() })
    }
}

/// Builds the transport of a session.
pub(crate) fn transport(options: &Options<'_>) -> Result<SharedTransport, Failure> {
    let danger = options.value("danger").unwrap_or(JsValue::UNDEFINED);
    Ok(Arc::new(Fetch {
        plain_http_anywhere: Options(&danger).flag("plainHttp"),
        time_limit: options.number("timeLimit")?.map(Duration::from_millis),
    }))
}

/// Builds the handle on the Vault.
pub(crate) fn vault(options: &Options<'_>, transport: &SharedTransport) -> Result<Vault, Failure> {
    let vault = Vault::new(options.url("vault")?, Arc::clone(transport));
    Ok(match options.optional_text("namespace")? {
        Some(namespace) => vault.with_namespace(&namespace)?,
        None => vault,
    })
}

/// Reads a hub's ID token.
pub(crate) async fn hub_id_token(hub: &Options<'_>, transport: &SharedTransport) -> Result<IdToken, Failure> {
    let user = hub.text("user")?;
    if let Some(server_user) = hub.optional_text("serverUser")? {
        check_own_server(&user, &server_user)?;
    }
    let api = HubApi::new(hub.url("apiUrl")?, Secret::new(hub.text("token")?));
    if let Some(address) = hub.optional_text("idTokenUrl")? {
        let address = address.parse().map_err(|_| HubError::InvalidAddress)?;
        let text = transport.perform(api.id_token_at(&address)?).await?;
        return Ok(ReadIdToken::fresh(text, now())?);
    }
    let read = transport.perform(api.user(&user)?).await?;
    Ok(read.id_token(Holder::Tab, now())?)
}

impl Session {
    pub(crate) fn inner(&self) -> Rc<Inner> {
        Rc::clone(&self.0)
    }
}

#[wasm_bindgen]
impl Session {
    /// See `types.d.ts`; so it is for all that follows.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue) -> Result<Self, JsValue> {
        let options = Options(options);
        let transport = transport(&options)?;
        Ok(Self(Rc::new(Inner {
            vault: vault(&options, &transport)?,
            transport,
            held: RefCell::default(),
            listeners: RefCell::default(),
            last_listener: Cell::default(),
            providers: RefCell::default(),
            keeping: RefCell::default(),
            is_quiet: Cell::default(),
        })))
    }

    #[wasm_bindgen(getter)]
    pub fn identity(&self) -> Option<JsValue> {
        self.0.current()
    }

    #[wasm_bindgen(getter, js_name = timeLeft)]
    pub fn time_left(&self) -> Option<f64> {
        self.0.current()?;
        let end = self.0.held.borrow().as_ref()?.expires_at?;
        end.duration_since(now()).ok().map(duration_millis)
    }

    #[wasm_bindgen(getter)]
    pub fn secrets(&self) -> Secrets {
        Secrets(Rc::clone(&self.0))
    }

    #[wasm_bindgen(js_name = onChange)]
    pub fn on_change(&self, listener: Function) -> Function {
        let id = self.0.last_listener.get().wrapping_add(1);
        self.0.last_listener.set(id);
        self.0.listeners.borrow_mut().push((id, listener));
        let inner = Rc::downgrade(&self.0);
        let stop = Closure::<dyn Fn()>::new(move || {
            if let Some(inner) = inner.upgrade() {
                inner.listeners.borrow_mut().retain(|(other, _)| *other != id);
            }
        });
        stop.into_js_value().unchecked_into()
    }

    #[wasm_bindgen(js_name = signInWithHub)]
    pub fn sign_in_with_hub(&self, hub: JsValue, target: JsValue) -> Promise {
        let this = self.clone();
        promise(async move {
            let (hub, target) = (Options(&hub), Target::read(&Options(&target))?);
            let id_token = hub_id_token(&hub, &this.0.transport).await?;
            Ok(this.0.log_in("hub", Some(hub.text("user")?), &target, id_token.as_secret()).await?)
        })
    }

    #[wasm_bindgen(js_name = beginVault)]
    pub fn begin_vault(&self, begin: JsValue) -> Promise {
        let this = self.clone();
        promise(
            async move { Ok(PendingSignIn::at_vault(Rc::clone(&this.0), &Options(&begin)).await?.into()) },
        )
    }

    #[wasm_bindgen(js_name = beginProvider)]
    pub fn begin_provider(&self, begin: JsValue) -> Promise {
        let this = self.clone();
        promise(
            async move { Ok(PendingSignIn::at_provider(Rc::clone(&this.0), &Options(&begin)).await?.into()) },
        )
    }

    #[wasm_bindgen(js_name = signInWithJwt)]
    pub fn sign_in_with_jwt(&self, jwt: String, target: JsValue) -> Promise {
        let this = self.clone();
        promise(async move {
            let target = Target::read(&Options(&target))?;
            Ok(this.0.log_in("jwt", None, &target, &Secret::new(jwt)).await?)
        })
    }

    #[wasm_bindgen(js_name = signInWithToken)]
    pub fn sign_in_with_token(&self, token: String) -> Promise {
        let this = self.clone();
        promise(async move {
            let token = Token::new(token.trim()).map_err(Failure::from)?;
            let asked_at = now();
            let vault = this.0.bare_vault().with_token(&token);
            let login = vault.token().login(&token).await.map_err(Failure::from)?;
            Ok(this.0.signed_in("token", None, login, asked_at))
        })
    }

    pub fn renew(&self) -> Promise {
        let this = self.clone();
        promise(async move { Ok(this.0.renew().await?) })
    }

    #[wasm_bindgen(js_name = signOut)]
    pub fn sign_out(&self, options: JsValue) -> Promise {
        let this = self.clone();
        promise(async move {
            let vault = this.0.vault();
            if let Some(keeping) = this.0.keeping() {
                keeping.signed_out();
            }
            this.0.set(None);
            match vault {
                Ok(vault) if Options(&options).flag("revoke") => {
                    vault.token().revoke_self().await.map_err(Failure::from)?;
                }
                _ => {}
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    #[wasm_bindgen(js_name = wrapChildToken)]
    pub fn wrap_child_token(&self, options: JsValue) -> Promise {
        let this = self.clone();
        promise(async move {
            let options = Options(&options);
            let mut request = TokenRequest::default();
            if let Some(ttl) = options.number("ttl")? {
                request = request.with_ttl(Duration::from_secs(ttl));
            }
            let policies = options.texts("policies")?;
            if !policies.is_empty() {
                request = request.with_policies(policies);
            }
            let wrap_ttl = Duration::from_secs(options.number("wrapTtl")?.unwrap_or(WRAP_TTL));
            let vault = this.0.vault()?;
            let create = CreateToken::new(&request).map_err(Failure::from)?;
            let asked_at = now();
            let wrapped =
                vault.wrapping().perform(create, wrap_ttl).await.map_err(|error| this.0.heard(error))?;
            let expires_at = asked_at.checked_add(wrapped.ttl);
            Ok(object([
                // Opened for the page: whoever has it can fetch the child, once.
                ("token", wrapped.token.expose_secret().into()),
                ("childAccessor", optional(wrapped.wrapped_accessor)),
                ("expiresAt", optional(expires_at.map(millis))),
            ]))
        })
    }
}

/// How many seconds a wrapped token waits to be fetched: a kernel that is busy finishes its cell first.
const WRAP_TTL: u64 = 120;
