//! A provider: what it says about itself, its keys, and the way to it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use latchkey_transport::{Flight, Perform as _, Secret, SharedTransport};

use crate::id_token::{
    Algorithm, Expectations, FetchKeys, IdToken, IdTokenProblem, KeySet, SharedVerifier, VerifiedIdToken,
    check_signature,
};
use crate::json::Object;
use crate::{
    CallbackProblem, Discover, Error, LogoutProblem, LogoutToken, Metadata, Misuse, UserInfoProblem,
};

/// A provider: what it says about itself, its keys, and the way to it.
///
/// It is a handle: cloning it is cheap, and all clones share the keys that were fetched.
///
/// Specified in [OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    metadata: Metadata,
    transport: SharedTransport,
    verifier: SharedVerifier,
    keys: RwLock<Cache>,
    /// For whoever fetches keys; the others wait for what it brings.
    flight: Flight,
}

impl Provider {
    /// Asks the provider what it says about itself, and checks signatures with the native engine
    /// ([OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
    ///
    /// The issuer is given exactly as the provider writes it.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidIssuer`] for what is no issuer, [`Error::Misbehaved`] where the document cannot be used,
    /// [`Error::Transport`] where none came.
    #[cfg(all(feature = "aws-lc-rs", not(target_arch = "wasm32")))]
    pub async fn discover(issuer: &str, transport: SharedTransport) -> Result<Self, Error> {
        Self::discover_with(issuer, transport, Arc::new(crate::AwsLc::default())).await
    }

    /// Asks the provider what it says about itself, and checks signatures with an engine of your choice
    /// ([OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
    ///
    /// # Errors
    ///
    /// Those of `discover`: [`Misuse::InvalidIssuer`] for what is no issuer, [`Error::Misbehaved`] where the document
    /// cannot be used, [`Error::Transport`] where none came.
    pub async fn discover_with(
        issuer: &str,
        transport: SharedTransport,
        verifier: SharedVerifier,
    ) -> Result<Self, Error> {
        let metadata = transport.perform(Discover::new(issuer)?).await?;
        Ok(Self::new(metadata, transport, verifier))
    }

    /// Takes metadata that was read before.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "in a browser everything stays on one thread")
    )]
    pub fn new(metadata: Metadata, transport: SharedTransport, verifier: SharedVerifier) -> Self {
        let (keys, flight) = (RwLock::default(), Flight::default());
        Self(Arc::new(Inner { metadata, transport, verifier, keys, flight }))
    }

    /// Returns the issuer, sign by sign as the provider writes it
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata),
    /// `issuer`).
    pub fn issuer(&self) -> &str {
        self.0.metadata.issuer()
    }

    /// Returns what the provider says about itself
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)).
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    pub(crate) fn transport(&self) -> &SharedTransport {
        &self.0.transport
    }

    /// Checks an ID token, whoever brought it, and returns the proof
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    ///
    /// Keys are fetched when there are none, when the time that the provider gave has passed, and at once when none
    /// fits the token: a provider may change its keys just before it signs. A refetch that did not help is not
    /// repeated within a minute, whatever tokens come in, and several callers wait for one fetch.
    ///
    /// Fails with [`Misuse::OtherIssuer`] where the expectations are for another provider: its proof would be worth
    /// nothing.
    pub async fn verify(
        &self,
        token: IdToken,
        expectations: &Expectations,
        access_token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<VerifiedIdToken, Error> {
        if expectations.issuer() != self.issuer() {
            return Err(Misuse::OtherIssuer.into());
        }
        let algorithm = expectations.check_header(&token)?;
        let key_issuer = self.check_signature(&token, algorithm, now).await?;
        expectations.check_claims(&token, access_token, now)?;
        expectations.check_key_issuer(&token, key_issuer.as_deref())?;
        Ok(Expectations::proof(token, algorithm)?)
    }

    /// Checks a signed userinfo, and returns its claims.
    pub(crate) async fn check_userinfo(
        &self,
        token: IdToken,
        expectations: &Expectations,
        now: SystemTime,
    ) -> Result<Object, Error> {
        let wrong = |error| match error {
            Error::IdToken(problem) => UserInfoProblem::Token(problem).into(),
            other => other,
        };
        let algorithm = expectations.check_header(&token).map_err(UserInfoProblem::Token)?;
        self.check_signature(&token, algorithm, now).await.map_err(wrong)?;
        expectations.check_userinfo_claims(&token, now).map_err(UserInfoProblem::Token)?;
        Ok(token.into_claims())
    }

    /// Checks claims that this party makes for somebody else's client.
    pub(crate) async fn check_foreign_claims(
        &self,
        token: IdToken,
        expectations: &Expectations,
        now: SystemTime,
    ) -> Result<Object, Error> {
        let expectations = expectations.clone().of_party(&self.0.metadata);
        let wrong = |error| match error {
            Error::IdToken(problem) => UserInfoProblem::Token(problem).into(),
            other => other,
        };
        let algorithm = expectations.check_header(&token).map_err(UserInfoProblem::Token)?;
        self.check_signature(&token, algorithm, now).await.map_err(wrong)?;
        expectations.check_foreign_claims(&token, now).map_err(UserInfoProblem::Token)?;
        Ok(token.into_claims())
    }

    /// Checks a signed answer.
    pub(crate) async fn check_response(
        &self,
        token: &IdToken,
        expectations: &Expectations,
        now: SystemTime,
    ) -> Result<(), Error> {
        let wrong = |error| match error {
            Error::IdToken(problem) => CallbackProblem::Response(problem).into(),
            other => other,
        };
        let algorithm = expectations.check_header(token).map_err(CallbackProblem::Response)?;
        self.check_signature(token, algorithm, now).await.map_err(wrong)?;
        expectations.check_response_claims(token, now).map_err(CallbackProblem::Response)?;
        Ok(())
    }

    /// Checks a logout token, and reads it.
    pub(crate) async fn check_logout(
        &self,
        token: IdToken,
        expectations: &Expectations,
        now: SystemTime,
    ) -> Result<LogoutToken, Error> {
        // Back-Channel Logout, 2.4: `logout+jwt` is recommended, and older providers say `JWT` or nothing.
        let media_types = ["logout+jwt", "application/logout+jwt", "jwt"];
        let algorithm = expectations.check_header_of(&token, &media_types).map_err(LogoutProblem::Token)?;
        self.check_signature(&token, algorithm, now).await.map_err(|error| match error {
            Error::IdToken(problem) => LogoutProblem::Token(problem).into(),
            other => other,
        })?;
        expectations.check_logout_claims(&token, now).map_err(LogoutProblem::Token)?;
        Ok(LogoutToken::read(&token.into_claims(), expectations.leeway(), now)?)
    }

    async fn check_signature(
        &self,
        token: &IdToken,
        algorithm: Algorithm,
        now: SystemTime,
    ) -> Result<Option<String>, Error> {
        let (keys, age) = self.keys(now).await?;
        let verifier = &*self.0.verifier;
        // A key without name, or one whose name was kept, shows its change by a wrong signature only.
        let problem = match check_signature(token, algorithm, &keys, verifier).await {
            Err(Error::IdToken(problem)) if age == Age::Old => problem,
            outcome => return outcome,
        };
        let second = match self.newer_keys(&keys, now).await {
            Ok(None) => return Err(problem.into()),
            Ok(Some(newer)) => check_signature(token, algorithm, &newer, verifier).await,
            // The key that is missing may exist: it is the network's fault that nobody knows.
            Err(error) if matches!(problem, IdTokenProblem::UnknownKey { .. }) => Err(error),
            Err(_) => Err(problem.into()),
        };
        if second.is_err() {
            self.rest(now);
        }
        second
    }

    /// Sees to it that there are keys before something is spent whose result needs them.
    pub(crate) async fn prepare(&self, now: SystemTime) -> Result<(), Error> {
        self.keys(now).await.map(|_| ())
    }

    /// Returns the keys: those at hand while they are fresh, else new ones. When new ones cannot be had, the old
    /// ones serve on for a day: a provider whose key endpoint is down still signs with the same keys, but whoever keeps
    /// us from it must not keep a withdrawn key alive.
    async fn keys(&self, now: SystemTime) -> Result<(Arc<KeySet>, Age), Error> {
        let current = |cache: &Cache| cache.keys.clone().filter(|_| !cache.wants_refresh(now));
        if let Some(keys) = self.read(current) {
            return Ok((keys, Age::Old));
        }
        let _turn = self.0.flight.turn().await;
        // Somebody else may have fetched them, or failed to, while this call waited.
        if let Some(keys) = self.read(current) {
            return Ok((keys, Age::Old));
        }
        match self.fetch(now).await {
            Ok(keys) => Ok((keys, Age::New)),
            Err(error) => match self.read(|cache| cache.keys.clone().filter(|_| !cache.is_too_old(now))) {
                Some(keys) => Ok((keys, Age::Old)),
                None => Err(error),
            },
        }
    }

    /// Returns keys that are newer than `known`: those that somebody else has fetched meanwhile, or fetched now.
    async fn newer_keys(&self, known: &Arc<KeySet>, now: SystemTime) -> Result<Option<Arc<KeySet>>, Error> {
        let _turn = self.0.flight.turn().await;
        let (held, rests, failed) =
            self.read(|cache| (cache.keys.clone(), cache.rests(now), cache.last_fetch_failed));
        match held {
            Some(held) if !Arc::ptr_eq(&held, known) => Ok(Some(held)),
            _ if rests && failed => Err(Error::KeysUnavailable),
            _ if rests => Ok(None),
            _ => self.fetch(now).await.map(Some),
        }
    }

    /// Fetches keys, in the one flight there is. After a failure nothing is fetched for a while.
    async fn fetch(&self, now: SystemTime) -> Result<Arc<KeySet>, Error> {
        let fetched = self.0.transport.perform(FetchKeys::new(self.0.metadata.jwks_uri().clone())).await;
        match fetched.map(Arc::new) {
            Ok(keys) => {
                self.write(|cache| cache.store(Arc::clone(&keys), now));
                Ok(keys)
            }
            Err(error) => {
                self.write(|cache| cache.last_fetch_failed = true);
                self.rest(now);
                Err(error)
            }
        }
    }

    /// Fetches nothing for a while.
    fn rest(&self, now: SystemTime) {
        self.write(|cache| cache.rest_until = now.checked_add(Cache::REST));
    }

    fn read<T>(&self, read: impl FnOnce(&Cache) -> T) -> T {
        read(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Cache)) {
        write(&mut self.0.keys.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Provider").field("metadata", &self.0.metadata).finish_non_exhaustive()
    }
}

/// Whether keys were fetched for this call or before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
    Old,
}

/// The keys at hand. The lock around them is never held while the network is asked, so that whoever has keys that fit
/// never waits.
#[derive(Default)]
struct Cache {
    keys: Option<Arc<KeySet>>,
    fetched_at: Option<SystemTime>,
    last_fetch_failed: bool,
    fresh_for: Duration,
    rest_until: Option<SystemTime>,
}

impl Cache {
    /// Keys are kept for an hour where the provider says nothing that we can see.
    const FRESH: Duration = Duration::from_secs(60 * 60);
    /// Less than a minute would be a request for every login, whatever the provider says.
    const FRESH_MIN: Duration = Duration::from_secs(60);
    /// More than a day would keep a withdrawn key alive, whatever the provider says.
    const FRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
    /// How long keys serve beyond that when new ones cannot be had: a day, which bridges a night's outage.
    const STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
    /// How long nothing is fetched after a fetch that did not help: a minute, so that tokens with invented key ids
    /// cannot make us attack the provider.
    const REST: Duration = Duration::from_secs(60);

    fn store(&mut self, keys: Arc<KeySet>, now: SystemTime) {
        let fresh_for = keys.max_age().map_or(Self::FRESH, Duration::from_secs);
        self.fresh_for = fresh_for.clamp(Self::FRESH_MIN, Self::FRESH_MAX);
        self.fetched_at = Some(now);
        self.last_fetch_failed = false;
        self.keys = Some(keys);
    }

    /// A clock that was set back makes keys of the future: these are old, too.
    fn wants_refresh(&self, now: SystemTime) -> bool {
        let may_be_fetched = !self.rests(now) || self.is_too_old(now);
        may_be_fetched && self.age(now).is_none_or(|age| age >= self.fresh_for)
    }

    fn is_too_old(&self, now: SystemTime) -> bool {
        self.age(now).is_some_and(|age| age >= self.fresh_for.saturating_add(Self::STALE_MAX))
    }

    fn age(&self, now: SystemTime) -> Option<Duration> {
        self.fetched_at.and_then(|fetched_at| now.duration_since(fetched_at).ok())
    }

    fn rests(&self, now: SystemTime) -> bool {
        let rest = self.rest_until.and_then(|until| until.duration_since(now).ok());
        rest.is_some_and(|rest| !rest.is_zero() && rest <= Self::REST)
    }
}
