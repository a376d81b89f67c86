//! What the service answers. Any replica may answer any request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use latchkey_oidc_flow::{CallbackParams, Client, Error};
use latchkey_transport::{Secret, SystemRandom};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};
use url::{Url, form_urlencoded};

use super::cookies::Cookie;
use super::page::{self, Trouble};
use super::record::{Login, Session, random_text};
use super::store::{Store, Unavailable};
use crate::failure::{Exit, Failure};
use crate::late_provider::{LateProvider, Unready};

/// How long a request waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// How long an address to go back to may be.
const LONGEST_RETURN: usize = 1024;

/// What differs from one installation to the other.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What people type: `https://app.example`.
    pub base_url: Url,
    /// The client that the provider knows this service as.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// How long a person may take to sign in.
    pub login_lifetime: Duration,
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// How many requests are worked on at a time. More wait, for a moment.
    pub at_a_time: usize,
}

/// A service that people sign in to. It keeps nothing about anybody.
pub struct Service {
    settings: Settings,
    provider: LateProvider,
    store: Store,
}

impl Service {
    /// Puts the service together.
    ///
    /// # Errors
    ///
    /// A wrong use where the base address has a path, or is neither https nor on this machine: browsers would not keep its
    /// cookies.
    pub fn new(settings: Settings, provider: LateProvider, store: Store) -> Result<Self, Failure> {
        let base = &settings.base_url;
        let is_local = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let is_usable = base.scheme() == "https" || (base.scheme() == "http" && is_local);
        if !is_usable || base.path() != "/" || base.query().is_some() || base.fragment().is_some() {
            return Err(Failure::new(Exit::Usage, "--base-url: not an address that this can be served at")
                .with_hint("https and a host, without a path, such as https://app.example; http on this machine only"));
        }
        Ok(Self { settings, provider, store })
    }

    /// Asks whether the provider and the store are there.
    pub async fn check(&self) -> Result<(), &'static str> {
        match self.provider.get().await {
            Ok(_) => {}
            Err(Unready::NotNow) => return Err("the provider does not answer"),
            Err(Unready::Wrong(_)) => return Err("what answers is not the provider that was named"),
        }
        self.store.ping().await.map_err(|error| error.told())
    }

    /// Returns what answers. `/healthz` and `/readyz` are answered however many wait for the rest.
    pub fn router(self: Arc<Self>) -> Router {
        let turns = Arc::new(Semaphore::new(self.settings.at_a_time));
        Router::new()
            .route("/", get(home))
            .route("/me", get(me))
            .route("/login", get(login))
            .route("/callback", get(callback))
            .route("/logout", post(logout))
            .route("/signed-out", get(async || page::signed_out()))
            .route("/backchannel-logout", post(back_channel_logout))
            .layer(from_fn_with_state(turns, in_turn))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .layer(from_fn(with_headers))
            .with_state(self)
    }

    async fn client(&self) -> Result<Client, Trouble> {
        let provider = self.provider.get().await.map_err(|_| Trouble::NoProvider)?;
        let client = Client::new(provider, &*self.settings.client_id);
        Ok(match &self.settings.client_secret {
            Some(secret) => client.with_secret(secret.clone()),
            None => client,
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base_url.as_str().trim_end_matches('/'))
    }

    async fn session(&self, headers: &HeaderMap) -> Result<Option<(Secret, Session)>, Trouble> {
        let Some(id) = Cookie::Session.read(headers) else { return Ok(None) };
        let session = self.store.session(&id, SystemTime::now()).await?;
        Ok(session.map(|session| (id, session)))
    }

    /// Takes a path of this service, and nothing that a browser would read as another's address.
    fn return_to(&self, wanted: Option<String>) -> String {
        let is_ours = |path: &String| {
            let joined = self.settings.base_url.join(path);
            path.starts_with('/')
                && path.len() <= LONGEST_RETURN
                && !path.contains(|sign: char| sign == '\\' || sign.is_control())
                && joined.is_ok_and(|joined| joined.origin() == self.settings.base_url.origin())
        };
        wanted.filter(is_ours).unwrap_or_else(|| "/".to_owned())
    }
}

impl From<Unavailable> for Trouble {
    fn from(error: Unavailable) -> Self {
        let problem = Failure::of(Exit::Network, &error);
        warn!(problem = problem.message(), hint = error.told(), "the store does not answer");
        Self::NoStore
    }
}

/// What a person is told is not what went wrong in all its details; a log is.
fn told(error: Error) -> Trouble {
    let trouble = match &error {
        Error::Refused(_) => Trouble::Refused,
        Error::Callback(_) | Error::LoginExpired { .. } => Trouble::NotUnderWay,
        error if error.is_transient() => Trouble::NoProvider,
        Error::Unredeemed(_) | Error::Transport(_) => Trouble::NoProvider,
        _ => Trouble::NotProven,
    };
    warn!(problem = Failure::from(error).message(), "a sign-in came to nothing");
    trouble
}

type Shared = State<Arc<Service>>;

impl axum::response::IntoResponse for Trouble {
    fn into_response(self) -> Response {
        self.page()
    }
}

async fn home(State(service): Shared, headers: HeaderMap) -> Result<Response, Trouble> {
    Ok(match service.session(&headers).await? {
        Some((_, session)) => {
            page::signed_in(session.name.as_deref().unwrap_or(&session.subject), &session.form_token)
        }
        None => page::signed_out(),
    })
}

/// Who is there, for programs: never a redirect, so that none of them runs in circles.
async fn me(State(service): Shared, headers: HeaderMap) -> Result<Response, Trouble> {
    let (status, body) = match service.session(&headers).await? {
        Some((_, session)) => (
            StatusCode::OK,
            json!({"subject": session.subject, "name": session.name, "ends_at": session.ends_at}),
        ),
        None => (StatusCode::UNAUTHORIZED, json!({"error": "nobody is signed in"})),
    };
    let json = [("content-type", "application/json")];
    Ok((status, json, body.to_string()).into_response())
}

async fn login(State(service): Shared, headers: HeaderMap, request: Request) -> Result<Response, Trouble> {
    let client = service.client().await?;
    let (settings, now) = (&service.settings, SystemTime::now());
    // Kept where there is one, so that two tabs can sign in beside each other.
    let browser = Cookie::Browser.read(&headers).or_else(random_text).ok_or(Trouble::NoStore)?;
    let begun = client
        .authorize(service.at("/callback"))
        .with_scope("profile")
        .with_lifetime(settings.login_lifetime)
        .begin(&mut SystemRandom, now)
        .map_err(told)?;
    let wanted = parameter(request.uri().query().unwrap_or_default().as_bytes(), "next");
    let login = Login { pending: begun.pending, return_to: service.return_to(wanted) };
    service.store.remember(&login, &browser, settings.login_lifetime).await?;
    let cookie = Cookie::Browser.set(&browser, settings.login_lifetime);
    Ok(with_cookies(Redirect::to(begun.url.as_str()), [cookie]))
}

async fn callback(State(service): Shared, headers: HeaderMap, request: Request) -> Result<Response, Trouble> {
    let params = CallbackParams::parse(request.uri().query().unwrap_or_default())
        .map_err(|problem| told(problem.into()))?;
    let (Some(state), Some(browser)) = (params.state(), Cookie::Browser.read(&headers)) else {
        return Err(Trouble::NotUnderWay);
    };
    // Before anything is spent.
    let client = service.client().await?;
    let Some(login) = service.store.take(state, &browser).await? else {
        info!("a callback that no sign-in of that browser waits for");
        return Err(Trouble::NotUnderWay);
    };
    let now = SystemTime::now();
    let validated = login.pending.accept(&params, now).map_err(told)?;
    let tokens = client.redeem(validated, now).await.map_err(told)?;
    let lifetime = service.settings.session_lifetime;
    let session = Session::begin(&tokens.id_token, lifetime, now).ok_or(Trouble::NoStore)?;
    let id = service.store.begin(&session, now).await?.ok_or(Trouble::SignedOut)?;
    // The browser has a new one now. That the old one is not ended at once is no reason to refuse.
    if let Some(old) = Cookie::Session.read(&headers) {
        let _ = service.store.end(&old).await;
    }
    info!(ends_at = session.ends_at, "signed in");
    Ok(with_cookies(Redirect::to(&login.return_to), [Cookie::Session.set(&id, lifetime)]))
}

async fn logout(State(service): Shared, headers: HeaderMap, body: Bytes) -> Result<Response, Trouble> {
    let Some((id, session)) = service.session(&headers).await? else {
        return Ok(with_cookies(Redirect::to("/signed-out"), [Cookie::Session.remove()]));
    };
    let form_token = parameter(&body, "form_token").unwrap_or_default();
    if !Secret::new(session.form_token).is_same_as(&form_token) {
        return Err(Trouble::ForeignForm);
    }
    service.store.end(&id).await?;
    info!("signed out");
    // Here it is over. At the provider too, where it can be asked; it asks the person first.
    let there = match service.client().await {
        Ok(client) => {
            let end = client.end_session().with_redirect_uri(service.at("/signed-out"));
            let end = match session.sid {
                Some(sid) => end.with_logout_hint(sid),
                None => end,
            };
            end.begin(&mut SystemRandom).ok()
        }
        Err(_) => None,
    };
    let target = there.as_ref().map_or("/signed-out", |there| there.url.as_str());
    Ok(with_cookies(Redirect::to(target), [Cookie::Session.remove()]))
}

/// [OpenID Connect Back-Channel Logout, 2.8](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCResponse):
/// 200 where the sessions are ended, 400 where the token is refused; and 503 where the provider should post it again.
async fn back_channel_logout(State(service): Shared, body: Bytes) -> Result<Response, Trouble> {
    let client = service.client().await?;
    match client.back_channel_logout(&body, SystemTime::now()).await {
        Ok(token) => {
            let ended = service.store.end_all(client.provider().issuer(), &token).await?;
            info!(ended, "the provider tells that somebody has signed out");
            Ok(StatusCode::OK.into_response())
        }
        Err(error) => {
            let is_transient = error.is_transient();
            warn!(problem = Failure::from(error).message(), "a logout token is refused");
            if is_transient { Err(Trouble::NoProvider) } else { Ok(StatusCode::BAD_REQUEST.into_response()) }
        }
    }
}

async fn ready(State(service): Shared) -> Response {
    match service.check().await {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Lets a request wait for its turn, and not for long.
async fn in_turn(State(turns): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match timeout(TURN_WITHIN, turns.acquire()).await {
        Ok(_turn) => next.run(request).await,
        Err(_) => Trouble::Busy.page(),
    }
}

async fn with_headers(request: Request, next: middleware::Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in page::HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn with_cookies(redirect: Redirect, cookies: impl IntoIterator<Item = Option<HeaderValue>>) -> Response {
    let mut response = redirect.into_response().map(Body::new);
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn parameter(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded).find(|(this, _)| this == name).map(|(_, value)| value.into_owned())
}
