//! Tokens of an `OpenID` provider.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use latchkey_oidc_flow::{Client, Error, Grant, Refreshed, RefreshedTokens, Tokens, VerifiedIdToken};
use latchkey_transport::Secret;

use super::{Failure, Granted, Source};
use crate::{BoxGuard, Ladder, Lease, MaybeSend, MaybeSync, Step};

/// What a store fails with; it must hold no secret.
pub type StoreError = Box<dyn StdError + Send + Sync>;

/// Where the refresh token is kept, for all processes or tabs that share it.
///
/// A provider that rotates refresh tokens takes the second use of one for theft and ends the session. So whoever refreshes
/// holds the [`lock`](Self::lock), reads what is stored, and stores what came before letting go. Who had to wait reads what
/// the other one stored.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait GrantStore: MaybeSend + MaybeSync {
    /// Waits until nobody else uses the grant; until what it returns is dropped, nobody else does. A store that only one
    /// keeper knows returns `None`.
    async fn lock(&self) -> Result<Option<BoxGuard>, StoreError> {
        Ok(None)
    }

    /// Returns what is stored.
    async fn load(&self) -> Result<Option<Grant>, StoreError>;

    /// Stores a grant in place of the one before. When it returns, a crash of this computer must not lose it.
    async fn save(&self, grant: &Grant) -> Result<(), StoreError>;

    /// Forgets the grant: it is over.
    async fn forget(&self) -> Result<(), StoreError>;
}

/// A grant in the memory of one keeper.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<Option<Grant>>);

impl InMemory {
    /// Keeps that grant.
    pub fn new(grant: Option<Grant>) -> Self {
        Self(Mutex::new(grant))
    }

    fn put(&self, grant: Option<Grant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = grant;
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl GrantStore for InMemory {
    async fn load(&self) -> Result<Option<Grant>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, grant: &Grant) -> Result<(), StoreError> {
        self.put(Some(grant.clone()));
        Ok(())
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.put(None);
        Ok(())
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<S: GrantStore + ?Sized> GrantStore for Arc<S> {
    async fn lock(&self) -> Result<Option<BoxGuard>, StoreError> {
        (**self).lock().await
    }
    async fn load(&self) -> Result<Option<Grant>, StoreError> {
        (**self).load().await
    }
    async fn save(&self, grant: &Grant) -> Result<(), StoreError> {
        (**self).save(grant).await
    }
    async fn forget(&self) -> Result<(), StoreError> {
        (**self).forget().await
    }
}

/// What a keeper of an `OpenID` provider's tokens hands out.
pub struct OidcToken {
    /// For interfaces that take the provider's tokens. Opaque.
    pub access_token: Secret,
    /// Who signed in, proven; a provider need not repeat it when it refreshes.
    pub id_token: Option<VerifiedIdToken>,
    expires_at: Option<SystemTime>,
}

impl OidcToken {
    /// Returns how long it lives, seen from when it was asked for: until the access token's end, or until the ID token's
    /// if that is earlier. Where a provider tells of neither, five minutes.
    pub fn lease(&self, sent: SystemTime) -> Lease {
        const UNTOLD: Duration = Duration::from_secs(300);
        let ends = [self.expires_at, self.id_token.as_ref().map(VerifiedIdToken::expires_at)];
        let end = ends.into_iter().flatten().min();
        end.map_or(Lease::of(UNTOLD), |end| Lease::until(end, sent))
    }
}

impl fmt::Debug for OidcToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OidcToken")
            .field("id_token", &self.id_token)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Of a sign-in. Put its [`grant`](Tokens::grant) into the store.
impl From<Tokens> for OidcToken {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            id_token: Some(tokens.id_token),
            expires_at: tokens.expires_at,
        }
    }
}

impl From<RefreshedTokens> for OidcToken {
    fn from(tokens: RefreshedTokens) -> Self {
        Self { access_token: tokens.access_token, id_token: tokens.id_token, expires_at: tokens.expires_at }
    }
}

/// Tokens of an `OpenID` provider, refreshed as long as the sign-in lasts; then a person is asked.
///
/// ```no_run
/// use latchkey_token_lifecycle::{InMemory, Keeper, OidcTokens};
/// # use latchkey_oidc_flow::{Client, Tokens};
/// # async fn f(client: Client, tokens: Tokens) -> Result<(), Box<dyn std::error::Error>> {
/// let source = OidcTokens::new(client, InMemory::new(tokens.grant()));
/// # #[cfg(feature = "tokio")] {
/// let keeper = Keeper::of(source).spawn().ok_or("no tokio runtime")?;
/// let token = keeper.token().await?;
/// # let _ = token; }
/// # Ok(())
/// # }
/// ```
pub struct OidcTokens {
    client: Client,
    store: Box<dyn GrantStore>,
    /// A refresh that could not be stored: its tokens stay inside until that works.
    unstored: Mutex<Option<Refreshed>>,
}

impl OidcTokens {
    /// Refreshes the grant in that store.
    pub fn new(client: Client, store: impl GrantStore + 'static) -> Self {
        Self { client, store: Box::new(store), unstored: Mutex::default() }
    }

    fn unstored(&self) -> std::sync::MutexGuard<'_, Option<Refreshed>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores, then lets the tokens out.
    async fn store(&self, refreshed: Refreshed, sent: SystemTime) -> Result<Granted<OidcToken>, Failure> {
        let grant = refreshed.grant().clone();
        // From here on a dropped future loses nothing.
        *self.unstored() = Some(refreshed);
        self.store.save(&grant).await.map_err(|error| Failure::later().because(error))?;
        let refreshed = self.unstored().take().ok_or(Failure::later())?;
        let token = OidcToken::from(refreshed.release());
        let lease = token.lease(sent);
        Ok(Granted { token, lease })
    }

    async fn load(&self) -> Result<Option<Grant>, Failure> {
        self.store.load().await.map_err(|error| Failure::later().because(error))
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Source for OidcTokens {
    type Token = OidcToken;

    fn ladder(&self) -> Ladder {
        Ladder::of(&[Step::Refresh]).with_person()
    }

    async fn refresh(&self, now: SystemTime) -> Result<Granted<OidcToken>, Failure> {
        let _guard = self.store.lock().await.map_err(|error| Failure::later().because(error))?;
        let unstored = self.unstored().take();
        if let Some(refreshed) = unstored {
            // It was asked for a little earlier. What is left of its life is told by its own end.
            return self.store(refreshed, now).await;
        }
        let Some(mut grant) = self.load().await? else { return Err(Failure::needs_person()) };
        loop {
            let error = match self.client.refresh(&grant, now).await {
                Ok(refreshed) => return self.store(refreshed, now).await,
                Err(error) => error,
            };
            if !matches!(error, Error::GrantOver { .. }) {
                return Err(error.into());
            }
            // Whoever does not know of the lock may have refreshed meanwhile: what is stored now counts.
            match self.load().await? {
                Some(stored) if !is_same(&stored, &grant) => grant = stored,
                Some(_) => {
                    let _ = self.store.forget().await;
                    return Err(error.into());
                }
                None => return Err(error.into()),
            }
        }
    }

    async fn revoke(&self, _: &OidcToken, now: SystemTime) -> Result<(), Failure> {
        let Some(grant) = self.load().await? else { return Ok(()) };
        let kind = latchkey_oidc_flow::TokenKind::Refresh;
        self.client.revoke(grant.refresh_token(), kind, now).await?;
        let _ = self.store.forget().await;
        Ok(())
    }
}

fn is_same(one: &Grant, other: &Grant) -> bool {
    // Opened to compare, in constant time.
    one.refresh_token().is_same_as(other.refresh_token().expose_secret())
}

/// What an error of the `OpenID` client means for what is done next.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = match &error {
            Error::GrantOver { .. } => Self::over(),
            // Whether the refresh token was spent is not known: once more, at once.
            Error::Unrefreshed(_) => Self::unknown(),
            // What it says cannot be used today; it was not asked for wrongly.
            Error::Misbehaved(_) | Error::KeysUnavailable | Error::Transport(_) => Self::later(),
            other if other.is_transient() => Self::later(),
            _ => Self::over(),
        };
        failure.because(error)
    }
}
