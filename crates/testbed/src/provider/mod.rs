//! The OpenID provider: Keycloak's layout, one realm, one confidential client.

mod authorize;
mod claims;
mod client;
mod cors;
mod device;
mod dpop;
mod inspect;
mod logout;
mod metadata;
mod misbehaviour;
mod operator;
mod page;
mod token;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, SystemTime},
};

pub use logout::LogoutDelivery;
pub use misbehaviour::{Misbehaviour, Span};
pub use operator::Provider;

use crate::{
    canary::Kind,
    http::Fields,
    jwt::{Algorithm, SigningKey},
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
    claims: serde_json::Map<String, serde_json::Value>,
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
            claims: serde_json::Map::new(),
        }
    }

    /// A claim beside those that everybody has. `phone_number` and `address` are told where the scopes `phone` and
    /// `address` were asked for, others always.
    pub fn with_claim(mut self, name: &str, value: serde_json::Value) -> Self {
        self.claims.insert(name.to_owned(), value);
        self
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

/// What a provider is like at its beginning.
pub(crate) struct Setup {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) client_keys: serde_json::Value,
    pub(crate) public_clients: Vec<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) web_origins: Vec<String>,
    pub(crate) logout_uri: Option<String>,
    pub(crate) opener_policy: Option<String>,
    pub(crate) users: Vec<User>,
}

pub(crate) struct State {
    client_id: String,
    client_secret: String,
    client_keys: serde_json::Value,
    public_clients: Vec<String>,
    redirect_uris: Vec<String>,
    web_origins: Vec<String>,
    logout_uri: Option<String>,
    /// Where a hidden frame tells the client of a sign-out.
    frame_uri: Option<String>,
    opener_policy: Option<String>,
    users: Vec<User>,
    /// Which of the users is the client itself, once it has an account.
    service_account: Option<usize>,
    keys: Vec<Key>,
    algorithm: Algorithm,
    rotations: usize,
    encryption_kid: String,
    /// A part of the key set's address, once it has moved.
    keys_at: Option<String>,
    /// How clients may prove who they are, where that is not left to them.
    client_methods: Option<Vec<String>>,
    /// What opens the endpoint of distributed claims, once it was told.
    claims_token: Option<String>,
    /// What every proof of a client's key must hold, where that is wanted.
    dpop_nonce: Option<String>,
    pages: HashMap<String, authorize::Page>,
    pushed: HashMap<String, authorize::Pushed>,
    codes: HashMap<String, authorize::Grant>,
    devices: HashMap<String, device::Device>,
    sessions: HashMap<String, Session>,
    access_tokens: HashMap<String, token::Access>,
    refresh_tokens: HashMap<String, token::Refresh>,
    /// The ids of the assertions that clients have shown.
    assertions: HashSet<String>,
    outbox: Vec<LogoutDelivery>,
    misbehaviours: Vec<(Misbehaviour, Span)>,
    consent: Consent,
    lifetimes: Lifetimes,
    rotates_refresh_tokens: bool,
    reuse_interval: Duration,
    signs_userinfo: bool,
}

struct Key {
    kid: String,
    key: SigningKey,
}

/// A person's session with the provider.
struct Session {
    user: usize,
    started: SystemTime,
    cookie: String,
}

impl State {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut state = Self {
            client_id: setup.client_id,
            client_secret: setup.client_secret,
            client_keys: setup.client_keys,
            public_clients: setup.public_clients,
            redirect_uris: setup.redirect_uris,
            web_origins: setup.web_origins,
            logout_uri: setup.logout_uri,
            frame_uri: None,
            opener_policy: setup.opener_policy,
            users: setup.users,
            service_account: None,
            keys: Vec::new(),
            algorithm: Algorithm::default(),
            rotations: 0,
            encryption_kid: random::base64url::<32>(),
            keys_at: None,
            client_methods: None,
            claims_token: None,
            dpop_nonce: None,
            pages: HashMap::new(),
            pushed: HashMap::new(),
            codes: HashMap::new(),
            devices: HashMap::new(),
            sessions: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            assertions: HashSet::new(),
            outbox: Vec::new(),
            misbehaviours: Vec::new(),
            consent: Consent::default(),
            lifetimes: Lifetimes::default(),
            rotates_refresh_tokens: false,
            reuse_interval: Duration::ZERO,
            signs_userinfo: false,
        };
        state.rotate_keys();
        state
    }

    fn rotate_keys(&mut self) {
        let key = SigningKey::for_rotation(self.rotations, self.algorithm);
        self.keys.push(Key { kid: random::base64url::<32>(), key });
        self.rotations += 1;
    }

    fn forget_old_keys(&mut self) {
        let old = self.keys.len().saturating_sub(1);
        self.keys.drain(..old);
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
        let response = match request.header("Origin") {
            Some(origin) => self.answer_page(request, origin),
            None => self.route(request),
        };
        let is_page = response.header("Content-Type").is_some_and(|value| value.starts_with("text/html"));
        match &self.state.opener_policy {
            Some(policy) if is_page => response.with_header("Cross-Origin-Opener-Policy", policy),
            _ => response,
        }
    }

    fn route(&mut self, request: &Request) -> Response {
        let path = request.path();
        let Some(realm) = path.strip_prefix("/realms/") else {
            return json_error(404, "Unable to find matching target resource method", None);
        };
        let (realm, rest) = realm.split_once('/').map_or((realm, ""), |(realm, rest)| (realm, rest));
        if format!("/realms/{realm}") != REALM_PATH {
            return json_error(404, "Realm does not exist", None);
        }
        let method = request.method.as_str();
        // The addresses for clients with certificates: see `Misbehaviour::CertificateAddresses`.
        let rest = rest.strip_prefix(client::WITH_CERTIFICATE).unwrap_or(rest);
        match (rest, method) {
            (".well-known/openid-configuration", "GET") => self.configuration(),
            ("protocol/openid-connect/certs", "GET") if self.state.keys_at.is_none() => self.certificates(),
            (path, "GET") if self.keys_path().is_some_and(|moved| path == moved) => self.certificates(),
            ("protocol/openid-connect/certs", "GET") => {
                json_error(404, "Unable to find matching target resource method", None)
            }
            ("claims", "GET") => self.distributed_claims(request),
            ("protocol/openid-connect/auth", "GET") => self.authorize(request, &Fields::of_query(request)),
            ("protocol/openid-connect/auth", "POST") => self.authorize(request, &Fields::of_body(request)),
            ("login-actions/authenticate", "POST") => self.authenticate(request),
            ("protocol/openid-connect/oauth/oob", "GET") => page::out_of_band(&Fields::of_query(request)),
            ("protocol/openid-connect/token", "POST") => self.token(request),
            ("protocol/openid-connect/userinfo", "GET" | "POST") => self.userinfo(request),
            ("protocol/openid-connect/token/introspect", "POST") => self.introspect(request),
            ("protocol/openid-connect/revoke", "POST") => self.revoke(request),
            ("protocol/openid-connect/auth/device", "POST") => self.begin_device(request),
            ("device", "GET" | "POST") => self.device_page(request),
            ("protocol/openid-connect/ext/par/request", "POST") => self.push(request),
            ("protocol/openid-connect/logout", "GET") => self.logout(request, &Fields::of_query(request)),
            ("protocol/openid-connect/logout/logout-confirm", "POST") => self.logout_confirmed(request),
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

    /// Where the keys are, once they have moved.
    fn keys_path(&self) -> Option<String> {
        self.state.keys_at.as_ref().map(|name| format!("protocol/openid-connect/certs/{name}"))
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
