//! Where tokens come from.

#[cfg(all(feature = "file-store", unix))]
mod file;
#[cfg(feature = "oidc-flow")]
mod oidc;
#[cfg(feature = "vault-client")]
mod vault;

#[cfg(all(feature = "file-store", unix))]
pub use file::FileStore;
#[cfg(feature = "oidc-flow")]
pub use oidc::{GrantStore, InMemory, OidcToken, OidcTokens, StoreError};
#[cfg(feature = "vault-client")]
pub use vault::{Jwts, SignIn, VaultTokens};

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Ladder, Lease, MaybeSend, MaybeSync, Setback};

/// Where tokens come from, and how they are extended: what a [`Keeper`](crate::Keeper) calls.
///
/// Write those methods that your ladder names; each of the others says that there is no such way. The calls are made one
/// at a time. A call that takes longer than [`Policy::time_limit`](crate::Policy::time_limit) is dropped.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use latchkey_token_lifecycle::{Failure, Granted, Ladder, Lease, Source, Step};
///
/// /// A database whose passwords last for an hour.
/// struct Database;
///
/// # async fn new_password() -> Result<String, std::io::Error> { Ok("hush".into()) }
/// #[async_trait::async_trait]
/// impl Source for Database {
///     type Token = String;
///
///     fn ladder(&self) -> Ladder {
///         Ladder::of(&[Step::SignIn])
///     }
///
///     async fn sign_in(&self, _now: SystemTime) -> Result<Granted<String>, Failure> {
///         let password = new_password().await.map_err(|error| Failure::later().because(error))?;
///         Ok(Granted { token: password, lease: Lease::of(Duration::from_secs(3600)) })
///     }
/// }
/// ```
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub trait Source: MaybeSend + MaybeSync {
    /// What is kept: a token, or whatever has a lease.
    type Token: MaybeSend + MaybeSync + 'static;

    /// Returns which ways to a token there are. It is asked once.
    fn ladder(&self) -> Ladder;

    /// Signs in without a person and returns a new token.
    async fn sign_in(&self, now: SystemTime) -> Result<Granted<Self::Token>, Failure> {
        let _ = now;
        Err(Failure::over())
    }

    /// Returns a new token by what was kept for that. What replaces it (a rotated refresh token) must be stored before
    /// this returns: the token may be used at once, and a crash would lose both.
    async fn refresh(&self, now: SystemTime) -> Result<Granted<Self::Token>, Failure> {
        let _ = now;
        Err(Failure::over())
    }

    /// Extends the life of a token and returns its new lease.
    async fn renew(&self, token: &Self::Token, now: SystemTime) -> Result<Lease, Failure> {
        let _ = (token, now);
        Err(Failure::over())
    }

    /// Asks whether a token lives. [`Setback::Dead`] and [`Setback::Denied`] say that it does not.
    async fn probe(&self, token: &Self::Token, now: SystemTime) -> Result<(), Failure> {
        let _ = (token, now);
        Err(Failure::over())
    }

    /// Gives a token back. Whether that worked is not asked.
    async fn revoke(&self, token: &Self::Token, now: SystemTime) -> Result<(), Failure> {
        let _ = (token, now);
        Ok(())
    }
}

/// A source that a keeper shares.
pub(crate) type SharedSource<V> = Arc<dyn SourceOf<V>>;

/// [`Source`] with its type written as a parameter, so that it can be an object.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) trait SourceOf<V>: Source<Token = V> + 'static {}
#[cfg(not(target_arch = "wasm32"))]
impl<V, S: Source<Token = V> + 'static> SourceOf<V> for S {}
#[cfg(target_arch = "wasm32")]
pub(crate) trait SourceOf<V>: Source<Token = V> + 'static {}
#[cfg(target_arch = "wasm32")]
impl<V, S: Source<Token = V> + 'static> SourceOf<V> for S {}

/// A new token, and how long it lives.
#[derive(Clone, Copy, Debug)]
pub struct Granted<V> {
    /// The token.
    pub token: V,
    /// Its lease, counted from when it was asked for.
    pub lease: Lease,
}

/// Why a source gave nothing: what it means for what is done next, and the cause for people.
///
/// A cause must hold no secret; it is shown.
#[derive(Clone)]
pub struct Failure {
    setback: Setback,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// What a [`Setback`] means.
    pub const fn of(setback: Setback) -> Self {
        Self { setback, cause: None }
    }

    /// It will pass.
    pub const fn later() -> Self {
        Self::of(Setback::Later { after: None })
    }

    /// It will pass, and the server said in how long.
    pub const fn later_after(span: Option<Duration>) -> Self {
        Self::of(Setback::Later { after: span })
    }

    /// No answer came, and the server may have acted.
    pub const fn unknown() -> Self {
        Self::of(Setback::Unknown)
    }

    /// This way has ended.
    pub const fn over() -> Self {
        Self::of(Setback::Over)
    }

    /// The token is dead.
    pub const fn dead() -> Self {
        Self::of(Setback::Dead)
    }

    /// It was refused, and whether the token is dead is open.
    pub const fn denied() -> Self {
        Self::of(Setback::Denied)
    }

    /// Only a person can go on.
    pub const fn needs_person() -> Self {
        Self::of(Setback::Person)
    }

    /// Says what was behind it.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Returns what it means.
    pub const fn setback(&self) -> Setback {
        self.setback
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.cause.as_ref().map(ToString::to_string);
        formatter.debug_struct("Failure").field("setback", &self.setback).field("cause", &cause).finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.setback {
            Setback::Later { .. } => "no token can be had at the moment",
            Setback::Unknown => "no answer came",
            Setback::Over => "the token cannot be had in this way any more",
            Setback::Dead => "the token is dead",
            Setback::Denied => "the call was refused",
            Setback::Person => "only a person can sign in",
        })
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
