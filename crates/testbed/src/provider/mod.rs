//! The OpenID provider: Keycloak's layout, one realm, one confidential client.

mod authorize;
mod metadata;
mod misbehaviour;
mod page;
mod token;

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

pub use misbehaviour::{Misbehaviour, Span};

use crate::{
    canary::Kind,
    faults::Lost,
    http::Fields,
    jwt::RsaKey,
    message::{Request, Response},
    random,
    world::World,
};

/// The one realm that exists.
pub(crate) const REALM_PATH: &str = "/realms/HashiCorp";

/// The redirect address that stands for "show the code to the person".
pub(crate) const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// Somebody who may sign in.
#[derive(Clone)]
pub struct User {
    name: String,
    password: String,
    subject: String,
    email: String,
    roles: Vec<String>,
}

impl User {
    /// A person without roles. The mail address is the name at `example.com`.
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            subject: random::uuid(),
            email: format!("{name}@example.com"),
            roles: Vec::new(),
        }
    }

    /// The roles of the client, which tokens carry in `resource_access.<client>.roles`.
    pub fn with_roles(mut self, roles: &[&str]) -> Self {
        self.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self
    }

    /// The subject, a random one unless said.
    pub fn with_subject(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// The name to sign in with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password to sign in with.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The `sub` of the tokens.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// How long what the provider hands out is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An authorization code: 60 s, Keycloak's default.
    pub code: Duration,
    /// The sign-in page: 30 min, Keycloak's default.
    pub page: Duration,
    /// Access and ID tokens: 300 s, Keycloak's default for both.
    pub token: Duration,
    /// A refresh token: 1800 s, Keycloak's idle time of a session.
    pub refresh: Duration,
    /// The session behind all of them: 10 h, Keycloak's default.
    pub session: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            code: Duration::from_secs(60),
            page: Duration::from_secs(30 * 60),
            token: Duration::from_secs(300),
            refresh: Duration::from_secs(1800),
            session: Duration::from_secs(10 * 3600),
        }
    }
}

/// What happens after the password was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// Nothing: the browser is sent back. The default.
    #[default]
    Silent,
    /// The sign-in page has a button `cancel`, which sends the browser back with `error=access_denied`.
    Asked,
    /// Every sign-in is refused in that way.
    Refused,
}

pub(crate) struct State {
    client_id: String,
    client_secret: String,
    redirect_uris: Vec<String>,
    users: Vec<User>,
    keys: Vec<Key>,
    rotations: usize,
    encryption_kid: String,
    pages: HashMap<String, authorize::Page>,
    codes: HashMap<String, authorize::Grant>,
    sessions: HashMap<String, Session>,
    access_tokens: HashMap<String, token::Access>,
    refresh_tokens: HashMap<String, token::Refresh>,
    misbehaviours: Vec<(Misbehaviour, Span)>,
    consent: Consent,
    lifetimes: Lifetimes,
    rotates_refresh_tokens: bool,
}

struct Key {
    kid: String,
    key: RsaKey,
}

/// A person's session with the provider.
struct Session {
    user: usize,
    started: SystemTime,
    cookie: String,
}

impl State {
    pub(crate) fn new(
        client_id: String,
        client_secret: String,
        redirect_uris: Vec<String>,
        users: Vec<User>,
    ) -> Self {
        let mut state = Self {
            client_id,
            client_secret,
            redirect_uris,
            users,
            keys: Vec::new(),
            rotations: 0,
            encryption_kid: random::base64url::<32>(),
            pages: HashMap::new(),
            codes: HashMap::new(),
            sessions: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            misbehaviours: Vec::new(),
            consent: Consent::default(),
            lifetimes: Lifetimes::default(),
            rotates_refresh_tokens: false,
        };
        state.rotate_keys();
        state
    }

    fn rotate_keys(&mut self) {
        self.keys.push(Key { kid: random::base64url::<32>(), key: RsaKey::for_rotation(self.rotations) });
        self.rotations += 1;
    }

    /// The session of this id, if it is still alive.
    fn session(&self, sid: &str, now: SystemTime) -> Option<&Session> {
        self.sessions.get(sid).filter(|session| now < session.started + self.lifetimes.session)
    }

    /// Whether the provider is to lie in this way now. A lie that was meant for once is used up.
    fn lies(&mut self, how: impl Fn(&Misbehaviour) -> bool) -> Option<Misbehaviour> {
        let at = self.misbehaviours.iter().position(|(misbehaviour, _)| how(misbehaviour))?;
        let (misbehaviour, span) = self.misbehaviours[at];
        if span == Span::Once {
            self.misbehaviours.remove(at);
        }
        Some(misbehaviour)
    }
}

/// The provider's side of a [`World`]: what a test may ask of it without going through HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'w> {
    world: &'w World,
}

impl<'w> Provider<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self { world }
    }

    /// The client's identifier.
    pub fn client_id(&self) -> String {
        self.world.with_provider(|state| state.client_id.clone())
    }

    /// The client's secret.
    pub fn client_secret(&self) -> String {
        self.world.with_provider(|state| state.client_secret.clone())
    }

    /// The people who may sign in.
    pub fn users(&self) -> Vec<User> {
        self.world.with_provider(|state| state.users.clone())
    }

    /// Makes the provider do something wrong, once or from now on.
    pub fn misbehave(&self, how: Misbehaviour, span: Span) {
        self.world.with_provider(|state| state.misbehaviours.push((how, span)));
    }

    /// Ends every misbehaviour.
    pub fn behave(&self) {
        self.world.with_provider(|state| state.misbehaviours.clear());
    }

    /// Says what happens after the password was right.
    pub fn set_consent(&self, consent: Consent) {
        self.world.with_provider(|state| state.consent = consent);
    }

    /// Says how long codes, tokens and sessions are good for; what was handed out keeps its time.
    pub fn set_lifetimes(&self, lifetimes: Lifetimes) {
        self.world.with_provider(|state| state.lifetimes = lifetimes);
    }

    /// Whether a refresh token may be used only once. Off by default, as in Keycloak.
    pub fn set_refresh_rotation(&self, on: bool) {
        self.world.with_provider(|state| state.rotates_refresh_tokens = on);
    }

    /// Signs with a new key from now on; the key set still lists the old ones.
    pub fn rotate_keys(&self) {
        self.world.with_provider(State::rotate_keys);
    }

    /// Takes all keys but the newest out of the key set.
    pub fn forget_old_keys(&self) {
        self.world.with_provider(|state| {
            let old = state.keys.len() - 1;
            state.keys.drain(..old);
        });
    }

    /// The key that signs now, as PEM, for a verifier that is configured with keys.
    pub fn public_key_pem(&self) -> String {
        self.world.with_provider(|state| state.keys.last().map_or_else(String::new, |key| key.key.pem()))
    }

    /// An ID token for this person, as a sign-in just now would have given it; empty for a stranger.
    pub fn id_token(&self, user: &str) -> String {
        let (world, now) = (self.world, self.world.now());
        world.with_provider(|state| Desk { world, state, now }.mint_id_token(user))
    }

    /// Ends every session, as an administrator would: refresh tokens and access tokens are dead from now on.
    pub fn end_sessions(&self) {
        self.world.with_provider(|state| state.sessions.clear());
    }

    /// Does what a person in a browser does: opens the address, fills in the form, and returns where the browser is
    /// sent. `None` where no form comes or the password is wrong.
    ///
    /// # Errors
    ///
    /// What a fault of the plan lost on the way.
    pub fn sign_in(&self, authorize_url: &str, name: &str, password: &str) -> Result<Option<String>, Lost> {
        let page = self.world.handle(Request::get(authorize_url))?;
        let Some(action) = page::form_action(&page.text()) else { return Ok(None) };
        let cookies: Vec<&str> = page
            .headers
            .iter()
            .filter(|(name, _)| name == "Set-Cookie")
            .filter_map(|(_, value)| value.split(';').next())
            .collect();
        let post = Request::post(&action)
            .with_header("Cookie", &cookies.join("; "))
            .with_form(&[("username", name), ("password", password)]);
        let answer = self.world.handle(post)?;
        Ok(answer.header("Location").map(str::to_owned))
    }
}

/// Whoever answers a request: the world, the provider's state and the time, for as long as one request takes.
struct Desk<'a> {
    world: &'a World,
    state: &'a mut State,
    now: SystemTime,
}

/// Answers a request that was addressed to the provider.
pub(crate) fn answer(world: &World, request: &Request) -> Response {
    let now = world.now();
    world.with_provider(|state| Desk { world, state, now }.answer(request))
}

impl Desk<'_> {
    fn answer(&mut self, request: &Request) -> Response {
        let path = request.path();
        let Some(realm) = path.strip_prefix("/realms/") else {
            return json_error(404, "Unable to find matching target resource method", None);
        };
        let (realm, rest) = realm.split_once('/').map_or((realm, ""), |(realm, rest)| (realm, rest));
        if format!("/realms/{realm}") != REALM_PATH {
            return json_error(404, "Realm does not exist", None);
        }
        let method = request.method.as_str();
        match (rest, method) {
            (".well-known/openid-configuration", "GET") => self.configuration(),
            ("protocol/openid-connect/certs", "GET") => self.certificates(),
            ("protocol/openid-connect/auth", "GET") => self.authorize(request, &Fields::of_query(request)),
            ("protocol/openid-connect/auth", "POST") => self.authorize(request, &Fields::of_body(request)),
            ("login-actions/authenticate", "POST") => self.authenticate(request),
            ("protocol/openid-connect/oauth/oob", "GET") => page::out_of_band(&Fields::of_query(request)),
            ("protocol/openid-connect/token", "POST") => self.token(request),
            ("protocol/openid-connect/userinfo", "GET" | "POST") => self.userinfo(request),
            ("protocol/openid-connect/token/introspect", "POST") => self.introspect(request),
            ("protocol/openid-connect/revoke", "POST") => self.revoke(request),
            ("protocol/openid-connect/logout", "GET") => self.logout(&Fields::of_query(request)),
            ("protocol/openid-connect/logout", "POST") => self.logout_client(request),
            ("", "GET") => self.realm(),
            (
                ".well-known/openid-configuration"
                | "protocol/openid-connect/certs"
                | "protocol/openid-connect/auth"
                | "protocol/openid-connect/token"
                | "protocol/openid-connect/userinfo",
                _,
            ) => json_error(405, "HTTP 405 Method Not Allowed", None),
            _ => json_error(404, "Unable to find matching target resource method", None),
        }
    }

    fn issuer(&self) -> String {
        self.world.issuer()
    }

    fn plant(&self, secret: &str, kind: Kind) {
        self.world.canary().plant(secret, kind);
    }

    fn endpoint(&self, name: &str) -> String {
        format!("{}/protocol/openid-connect/{name}", self.issuer())
    }
}

/// An error in the form of [RFC 6749, section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
fn json_error(status: u16, error: &str, description: Option<&str>) -> Response {
    let mut body = serde_json::json!({ "error": error });
    if let Some(description) = description {
        body["error_description"] = description.into();
    }
    Response::new(status)
        .with_header("Cache-Control", "no-store")
        .with_header("Pragma", "no-cache")
        .with_json(&body)
}

fn json(body: &serde_json::Value) -> Response {
    Response::new(200)
        .with_header("Cache-Control", "no-store")
        .with_header("Pragma", "no-cache")
        .with_json(body)
}

#[cfg(test)]
mod tests;
