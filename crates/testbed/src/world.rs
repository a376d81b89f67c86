//! The world: both doubles, one clock, one plan of faults, one list of secrets.

use std::{
    borrow::Borrow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    canary::{Canary, Kind},
    clock::Clock,
    faults::{Fault, Faults, Lost},
    message::{Request, Response},
    provider::{self, Provider, User},
    vault::{self, Vault, Voice},
};

/// 1 June 2026, 12:00:00 UTC: when [`World::new`] begins. Any fixed date does; a round one is easy to read in a failure.
const BEGINNING: Duration = Duration::from_secs(1_780_315_200);

/// The body that the servers still read; they refuse more ([`World::handle`] answers as the voice does).
pub(crate) const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Which of the two doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The OpenID provider.
    Provider,
    /// The Vault.
    Vault,
}

/// One request that arrived, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Who was asked.
    pub side: Side,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The status of the answer; `None` where no reply arrived.
    pub status: Option<u16>,
}

/// An OpenID provider and a Vault.
///
/// A clone is the same world. Every method may be called from any thread.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    clock: Clock,
    canary: Canary,
    faults: Faults,
    log: Mutex<Vec<Handled>>,
    provider_origin: String,
    vault_origin: String,
    provider: Mutex<provider::State>,
    vault: Mutex<vault::State>,
}

impl World {
    /// A world with the defaults of [`WorldBuilder`]: in memory, the clock frozen.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A world to be described.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Answers a request, owned or borrowed, addressed to either double by its origin.
    ///
    /// A delay that was planned passes on a frozen clock; on the system's clock it is not waited for here (the sockets
    /// of `serve` do wait).
    ///
    /// # Errors
    ///
    /// [`Lost::Refused`] when neither double has that origin, or a fault says so; [`Lost::Dropped`] when a fault lost
    /// the reply.
    pub fn handle(&self, request: impl Borrow<Request>) -> Result<Response, Lost> {
        let request = request.borrow();
        let side = match request.origin() {
            origin if origin == self.0.provider_origin => Side::Provider,
            origin if origin == self.0.vault_origin => Side::Vault,
            _ => return Err(Lost::Refused),
        };
        let (result, delay) = self.handle_at(side, request);
        if self.0.clock.is_frozen() {
            self.0.clock.advance(delay);
        }
        result
    }

    /// What the Vault does when it needs the provider. Nobody else can be reached from here, itself included.
    pub(crate) fn ask_provider(&self, request: &Request) -> Result<Response, Lost> {
        if request.origin() == self.0.provider_origin { self.handle(request) } else { Err(Lost::Refused) }
    }

    /// Answers a request to this double, and says how much later the reply is to be sent.
    pub(crate) fn handle_at(&self, side: Side, request: &Request) -> (Result<Response, Lost>, Duration) {
        let fault = self.0.faults.take(side, request);
        let delay = if let Some(Fault::Delay(delay)) = fault { delay } else { Duration::ZERO };
        let (method, path) = (request.method.clone(), request.path().to_owned());
        let result = match fault {
            Some(Fault::Answer(response)) => Ok(response),
            Some(Fault::Refuse) => Err(Lost::Refused),
            Some(Fault::Drop) => {
                self.answer(side, request);
                Err(Lost::Dropped)
            }
            Some(Fault::Delay(_)) | None => Ok(self.answer(side, request)),
        };
        let status = result.as_ref().ok().map(|response| response.status);
        self.log().push(Handled { side, method, path, status });
        (result, delay)
    }

    fn answer(&self, side: Side, request: &Request) -> Response {
        match side {
            Side::Provider => provider::answer(self, request),
            Side::Vault => vault::answer(self, request),
        }
    }

    /// The issuer identifier: the provider's origin and `/realms/HashiCorp`.
    pub fn issuer(&self) -> String {
        format!("{}{}", self.0.provider_origin, provider::REALM_PATH)
    }

    /// The address of the Vault, without a path.
    pub fn vault_address(&self) -> &str {
        &self.0.vault_origin
    }

    /// The clock that both doubles read.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The plan of what goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Every secret that the world has seen or made.
    pub fn canary(&self) -> &Canary {
        &self.0.canary
    }

    /// What has been asked so far, requests of the Vault to the provider included, in the order in which it was answered.
    pub fn requests(&self) -> Vec<Handled> {
        self.log().clone()
    }

    /// The provider: what it knows, and how it misbehaves.
    pub fn provider(&self) -> Provider<'_> {
        Provider::new(self)
    }

    /// The Vault: what is behind its API.
    pub fn vault(&self) -> Vault<'_> {
        Vault::new(self)
    }

    pub(crate) fn with_provider<T>(&self, look: impl FnOnce(&mut provider::State) -> T) -> T {
        look(&mut self.0.provider.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_vault<T>(&self, look: impl FnOnce(&mut vault::State) -> T) -> T {
        look(&mut self.0.vault.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Handled>> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("issuer", &self.issuer())
            .field("vault_address", &self.0.vault_origin)
            .field("clock", &self.0.clock)
            .finish_non_exhaustive()
    }
}

/// What a world is like at its beginning.
#[derive(Clone)]
pub struct WorldBuilder {
    voice: Voice,
    clock: Clock,
    provider_origin: String,
    vault_origin: String,
    root_token: String,
    client_id: String,
    client_secret: String,
    client_keys: serde_json::Value,
    public_clients: Vec<String>,
    redirect_uris: Vec<String>,
    web_origins: Vec<String>,
    logout_uri: Option<String>,
    opener_policy: Option<String>,
    users: Vec<User>,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        Self {
            voice: Voice::OpenBao,
            clock: Clock::frozen(UNIX_EPOCH + BEGINNING),
            provider_origin: "http://localhost:18080".to_owned(),
            vault_origin: "http://127.0.0.1:18200".to_owned(),
            root_token: "root".to_owned(),
            client_id: "vault-oidc".to_owned(),
            client_secret: "s3cr3t".to_owned(),
            client_keys: serde_json::Value::Null,
            public_clients: Vec::new(),
            redirect_uris: Vec::new(),
            web_origins: Vec::new(),
            logout_uri: None,
            opener_policy: None,
            users: vec![
                User::new("reader", "reader").with_roles(&["reader"]),
                User::new("management", "management").with_roles(&["management", "reader"]),
            ],
        }
    }
}

impl WorldBuilder {
    /// Whose words the Vault speaks; [`Voice::OpenBao`] unless said.
    pub fn voice(mut self, voice: Voice) -> Self {
        self.voice = voice;
        self
    }

    /// The clock; frozen at a fixed date unless said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The origin of the provider, `http://localhost:18080` unless said.
    pub fn provider_origin(mut self, origin: &str) -> Self {
        origin.trim_end_matches('/').clone_into(&mut self.provider_origin);
        self
    }

    /// The origin of the Vault, `http://127.0.0.1:18200` unless said.
    pub fn vault_origin(mut self, origin: &str) -> Self {
        origin.trim_end_matches('/').clone_into(&mut self.vault_origin);
        self
    }

    /// The root token of the Vault, `root` unless said.
    pub fn root_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.root_token);
        self
    }

    /// The confidential client of the provider, `vault-oidc` with the secret `s3cr3t` unless said.
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        id.clone_into(&mut self.client_id);
        secret.clone_into(&mut self.client_secret);
        self
    }

    /// The public keys of the client, as a JWK set, for `private_key_jwt`; none unless said.
    pub fn client_keys(mut self, keys: &serde_json::Value) -> Self {
        self.client_keys = keys.clone();
        self
    }

    /// One more client, a public one: it has no secret, and may do what the confidential client may, except to get tokens
    /// in its own name.
    pub fn public_client(mut self, id: &str) -> Self {
        self.public_clients.push(id.to_owned());
        self
    }

    /// One more origin whose pages may read what the provider answers, beside loopback and those of the redirect
    /// addresses.
    pub fn web_origin(mut self, origin: &str) -> Self {
        self.web_origins.push(origin.to_owned());
        self
    }

    /// Where the client wants its logout tokens; nowhere unless said.
    pub fn backchannel_logout_uri(mut self, uri: &str) -> Self {
        self.logout_uri = Some(uri.to_owned());
        self
    }

    /// What the provider's pages send as `Cross-Origin-Opener-Policy`; nothing unless said. With `same-origin`, a page loses
    /// the window that opened it, and looks closed to it.
    pub fn opener_policy(mut self, policy: &str) -> Self {
        self.opener_policy = Some(policy.to_owned());
        self
    }

    /// One more redirect address of the client, beside any port on loopback and `urn:ietf:wg:oauth:2.0:oob`.
    ///
    /// A star at its end matches the rest, as in Keycloak.
    pub fn redirect_uri(mut self, redirect_uri: &str) -> Self {
        self.redirect_uris.push(redirect_uri.to_owned());
        self
    }

    /// The people who may sign in; `reader` and `management` (each with its name as its password) unless said.
    pub fn users(mut self, users: impl IntoIterator<Item = User>) -> Self {
        self.users = users.into_iter().collect();
        self
    }

    /// Makes the world.
    pub fn build(self) -> World {
        let canary = Canary::default();
        for user in &self.users {
            canary.spare(user.name());
        }
        canary.spare(&self.client_id);
        canary.plant(&self.client_secret, Kind::ClientSecret);
        canary.plant(&self.root_token, Kind::Token);
        for user in &self.users {
            canary.plant(user.password(), Kind::Password);
        }
        let now = self.clock.now();
        let vault = vault::State::new(self.voice, &self.root_token, now);
        let provider = provider::State::new(provider::Setup {
            client_id: self.client_id,
            client_secret: self.client_secret,
            client_keys: self.client_keys,
            public_clients: self.public_clients,
            redirect_uris: self.redirect_uris,
            web_origins: self.web_origins,
            logout_uri: self.logout_uri,
            opener_policy: self.opener_policy,
            users: self.users,
        });
        World(Arc::new(Inner {
            clock: self.clock,
            canary,
            faults: Faults::default(),
            log: Mutex::default(),
            provider_origin: self.provider_origin,
            vault_origin: self.vault_origin,
            provider: Mutex::new(provider),
            vault: Mutex::new(vault),
        }))
    }
}

impl fmt::Debug for WorldBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldBuilder")
            .field("voice", &self.voice)
            .field("provider_origin", &self.provider_origin)
            .field("vault_origin", &self.vault_origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Target;

    #[test]
    fn a_request_to_nobody_is_refused() {
        let world = World::new();
        assert_eq!(world.handle(Request::get("http://elsewhere/")).unwrap_err(), Lost::Refused);
    }

    #[test]
    fn a_dropped_reply_was_committed_and_a_refused_request_was_not() {
        let world = World::new();
        let url = |path: &str| format!("{}/v1/secret/data/{path}", world.vault_address());
        let write = |path: &str| {
            Request::post(&url(path)).with_token("root").with_json(&serde_json::json!({"data": {"a": 1}}))
        };
        let status = |path: &str| world.handle(Request::get(&url(path)).with_token("root")).unwrap().status;

        world.faults().inject(Target::vault("/v1/secret/*").with_method("POST"), 1, Fault::Drop);
        assert_eq!(world.handle(write("dropped")).unwrap_err(), Lost::Dropped);
        assert_eq!(status("dropped"), 200);

        world.faults().inject(Target::any(), 1, Fault::Refuse);
        assert_eq!(world.handle(write("refused")).unwrap_err(), Lost::Refused);
        assert_eq!(status("refused"), 404);
        assert!(world.faults().is_spent());
    }

    #[test]
    fn an_answer_that_was_planned_comes_as_often_as_it_was_planned() {
        let world = World::new();
        let url = format!("{}/v1/sys/health", world.vault_address());
        let busy = Response::new(429).with_header("Retry-After", "7").with_body("busy");
        world.faults().inject(Target::vault("/v1/sys/health"), 2, Fault::Answer(busy));
        let statuses: Vec<u16> = (0..3).map(|_| world.handle(Request::get(&url)).unwrap().status).collect();
        assert_eq!(statuses, [429, 429, 200]);
    }

    #[test]
    fn a_delay_passes_on_a_frozen_clock() {
        let world = World::new();
        let before = world.clock().now();
        world.faults().inject(Target::any(), 1, Fault::Delay(Duration::from_secs(9)));
        world.handle(Request::get(&format!("{}/v1/sys/health", world.vault_address()))).unwrap();
        assert_eq!(world.clock().now(), before + Duration::from_secs(9));
    }

    #[test]
    fn the_log_has_paths_and_statuses_and_no_queries() {
        let world = World::new();
        world.handle(Request::get(&format!("{}/v1/sys/health?code=hush", world.vault_address()))).unwrap();
        let expected = Handled {
            side: Side::Vault,
            method: "GET".into(),
            path: "/v1/sys/health".into(),
            status: Some(200),
        };
        assert_eq!(world.requests(), [expected]);
    }
}
