//! A login under way.

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::Secret;
use serde::{Deserialize, Serialize, Serializer};

use crate::discovery::{ISSUER_LIMIT, fits};
use crate::oob::Pasted;
use crate::text::{printable, repeats};
use crate::{CallbackParams, CallbackProblem, Error, StateCheck, ValidatedCallback};

/// A login under way: what has to be remembered until the person comes back.
///
/// It can be stored (`serde`) and so survives a page redirect, a restart, or a callback that lands on another replica.
/// What is stored is secret for as long as the login may take: whoever reads it can take the login over.
///
/// It cannot be cloned, and the callback takes it by value, so that no callback is accepted twice. A stored one must be
/// removed from the store when it is read, for the same reason.
///
/// Specified in [RFC 9700, 2.1.1](https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1).
#[derive(Deserialize)]
#[serde(try_from = "Stored")]
pub struct Pending {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Secret,
    pub(crate) nonce: Secret,
    pub(crate) verifier: Secret,
    pub(crate) scopes: Vec<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) acr_values: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) issuer_is_announced: bool,
    pub(crate) wants_id_token: bool,
    pub(crate) wants_signed_response: bool,
    pub(crate) created_at: SystemTime,
    pub(crate) lifetime: Duration,
}

impl Pending {
    /// How long a login may take unless said otherwise: ten minutes. That is enough for a forgotten password and a
    /// second factor, and a code itself lives no longer (RFC 6749, 4.1.2).
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);

    /// Returns the issuer that the login was begun with.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the client that began it.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns where the person is sent back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the state: the name under which a store finds this login when its callback arrives
    /// ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Returns when the login was begun.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// Returns how much time is left; nothing when it has expired.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        // A clock that was set back makes nothing older.
        let age = now.duration_since(self.created_at).unwrap_or_default();
        self.lifetime.checked_sub(age).filter(|rest| !rest.is_zero())
    }

    /// Returns whether a callback answers this login: whether its state is ours, compared in constant time
    /// ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    ///
    /// A callback that does not match is stray or forged. It costs nothing: this login goes on waiting.
    pub fn matches(&self, callback: &CallbackParams) -> bool {
        callback.state().is_some_and(|state| self.has_state(state))
    }

    /// Returns whether a pasted text answers this login. One that carries no state may.
    pub fn matches_pasted(&self, pasted: &Pasted) -> bool {
        pasted.params().state().is_none_or(|state| self.has_state(state))
    }

    /// Takes the callback: compares its state, then its issuer, and then looks at what it says
    /// ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2) and
    /// [RFC 9207, 2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)).
    ///
    /// The login is over, whatever comes out. Ask [`matches`](Self::matches) first where strangers can send
    /// callbacks, too.
    ///
    /// # Errors
    ///
    /// [`Error::Callback`] where it is not the answer to this login, [`Error::Refused`] where the provider says no,
    /// [`Error::LoginExpired`] where it comes too late.
    pub fn accept(self, callback: &CallbackParams, now: SystemTime) -> Result<ValidatedCallback, Error> {
        let state = callback.state().ok_or(CallbackProblem::StateMissing)?;
        if !self.has_state(state) {
            return Err(CallbackProblem::StateMismatch.into());
        }
        self.conclude(callback, StateCheck::Verified, now)
    }

    /// Takes what the person pasted: compares state and issuer where they are there.
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept).
    pub fn accept_pasted(self, pasted: &Pasted, now: SystemTime) -> Result<ValidatedCallback, Error> {
        let params = pasted.params();
        if params.state().is_some() {
            return self.accept(params, now);
        }
        self.conclude(params, StateCheck::Unavailable, now)
    }

    fn has_state(&self, state: &Secret) -> bool {
        // Opened to be compared, in constant time.
        self.state.is_same_as(state.expose_secret())
    }

    fn conclude(
        self,
        callback: &CallbackParams,
        state_check: StateCheck,
        now: SystemTime,
    ) -> Result<ValidatedCallback, Error> {
        if self.remaining(now).is_none() {
            return Err(Error::LoginExpired { lifetime: self.lifetime });
        }
        if self.wants_signed_response && !callback.is_signed() {
            return Err(CallbackProblem::NotSigned.into());
        }
        self.check_issuer(callback, state_check)?;
        let code = callback.code_or_refusal()?.clone();
        Ok(ValidatedCallback {
            code,
            state_check,
            issuer: self.issuer,
            client_id: self.client_id,
            redirect_uri: self.redirect_uri,
            state: self.state,
            nonce: self.nonce,
            verifier: self.verifier,
            id_token: callback.id_token().cloned(),
            wants_id_token: self.wants_id_token,
            session_state: callback.session_state().cloned(),
            scopes: self.scopes,
            max_age: self.max_age,
            acr_values: self.acr_values,
            resources: self.resources,
        })
    }

    /// RFC 9207, 2.4: "Clients MUST then compare the extracted and URL-decoded value to the issuer identifier of the
    /// authorization server where the authorization request was sent to", for errors, too, and by simple string
    /// comparison. A callback that lacks it is refused where the provider announces it; a bare code cannot have it.
    fn check_issuer(
        &self,
        callback: &CallbackParams,
        state_check: StateCheck,
    ) -> Result<(), CallbackProblem> {
        // A callback that puts what is secret where its issuer belongs does not bring it into a log.
        let may_tell = |found| callback.may_tell(found) && !repeats(found, &self.state);
        match callback.issuer() {
            Some(found) if !fits(&self.issuer, found) => Err(CallbackProblem::IssuerMismatch {
                expected: self.issuer.clone(),
                found: if may_tell(found) { printable(found, ISSUER_LIMIT) } else { String::new() },
            }),
            None if self.issuer_is_announced && state_check == StateCheck::Verified => {
                Err(CallbackProblem::IssuerMissing)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Shows nothing that could take the login over.
impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pending")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("created_at", &self.created_at)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// How a login is stored. The version comes first; a reader refuses what it does not know.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    issuer: String,
    client_id: String,
    redirect_uri: String,
    state: String,
    nonce: String,
    verifier: String,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acr_values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resources: Vec<String>,
    issuer_is_announced: bool,
    #[serde(default, skip_serializing_if = "is_not")]
    wants_id_token: bool,
    #[serde(default, skip_serializing_if = "is_not")]
    wants_signed_response: bool,
    created_at: u64,
    lifetime_seconds: u64,
}

const VERSION: u32 = 1;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_not(flag: &bool) -> bool {
    !flag
}

impl Serialize for Pending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The only place where they are written out: into the caller's own store.
        let open = |secret: &Secret| secret.expose_secret().to_owned();
        let stored = Stored {
            version: VERSION,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            state: open(&self.state),
            nonce: open(&self.nonce),
            verifier: open(&self.verifier),
            scopes: self.scopes.clone(),
            max_age_seconds: self.max_age.map(|max_age| max_age.as_secs()),
            acr_values: self.acr_values.clone(),
            resources: self.resources.clone(),
            issuer_is_announced: self.issuer_is_announced,
            wants_id_token: self.wants_id_token,
            wants_signed_response: self.wants_signed_response,
            created_at: self.created_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            lifetime_seconds: self.lifetime.as_secs(),
        };
        stored.serialize(serializer)
    }
}

impl TryFrom<Stored> for Pending {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        if stored.version != VERSION {
            return Err(format!("a stored login of version {} cannot be read", stored.version));
        }
        let created_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(stored.created_at));
        Ok(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            redirect_uri: stored.redirect_uri,
            state: stored.state.into(),
            nonce: stored.nonce.into(),
            verifier: stored.verifier.into(),
            scopes: stored.scopes,
            max_age: stored.max_age_seconds.map(Duration::from_secs),
            acr_values: stored.acr_values,
            resources: stored.resources,
            issuer_is_announced: stored.issuer_is_announced,
            wants_id_token: stored.wants_id_token,
            wants_signed_response: stored.wants_signed_response,
            created_at: created_at.ok_or("a stored login was begun at no possible time")?,
            lifetime: Duration::from_secs(stored.lifetime_seconds),
        })
    }
}
