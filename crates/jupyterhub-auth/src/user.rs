//! What the hub's API tells of a person, of a token, and of itself.
//!
//! The API: <https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html>

use std::fmt;
use std::time::SystemTime;

use latchkey_oidc_flow::IdToken;
use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};
use serde::{Deserialize, Deserializer};

use crate::id_token::fresh;
use crate::{AuthState, Error, Holder, reply, scopes};

/// `GET users/<name>`: what the hub knows of a person.
///
/// Not `GET user`: that shows `auth_state: null` whatever the token may (Hub 5 and 6).
#[derive(Clone)]
pub struct ReadUser {
    request: Request,
    token: Secret,
    name: String,
}

impl ReadUser {
    pub(crate) fn new(request: Request, token: Secret, name: &str) -> Self {
        Self { request, token, name: name.to_owned() }
    }
}

impl Exchange for ReadUser {
    type Output = HubUser;
    type Error = Error;

    fn request(&self) -> Request {
        self.request.clone()
    }

    fn receive(self, reply: Reply) -> Result<HubUser, Error> {
        const WANTED: &str = "a user of the hub";
        let user: HubUser = reply::read(&reply, &self.token, WANTED)?;
        if user.name == self.name {
            return Ok(user);
        }
        Err(Error::MalformedReply { status: reply.status(), length: reply.body().len(), wanted: WANTED })
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for ReadUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadUser").field("request", &self.request).finish_non_exhaustive()
    }
}

/// A person as the hub knows them.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct HubUser {
    /// Their name at the hub.
    pub name: String,
    /// Whether they administer the hub; `None` where the token may not know.
    #[serde(default)]
    pub admin: Option<bool>,
    /// Their groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the hub shows of their sign-in.
    #[serde(default)]
    pub auth_state: StateView,
}

/// What the hub shows of a person's sign-in: three answers that look alike.
#[derive(Clone, Debug, Default)]
pub enum StateView {
    /// The key is not there: the token lacks the scope.
    #[default]
    Hidden,
    /// The key is there and `null`: the hub keeps nothing.
    Empty,
    /// Here it is.
    Shown(Box<AuthState>),
}

impl<'de> Deserialize<'de> for StateView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let state = Option::<Box<AuthState>>::deserialize(deserializer)?;
        Ok(state.map_or(Self::Empty, Self::Shown))
    }
}

impl HubUser {
    /// Returns the ID token of the person's sign-in, if it has not expired.
    ///
    /// `holder` says whose token asked, so that the error can say where a scope is to be set. Nobody has checked the ID
    /// token here: the server that it is shown to does.
    ///
    /// Fails with [`Error::ScopeMissing`], [`Error::AuthStateOff`], [`Error::IdTokenMissing`],
    /// [`Error::IdTokenMalformed`] or [`Error::IdTokenExpired`].
    pub fn id_token(&self, holder: Holder, now: SystemTime) -> Result<IdToken, Error> {
        match &self.auth_state {
            StateView::Hidden => {
                Err(Error::ScopeMissing { missing: scopes::missing(&[], &self.name), holder })
            }
            StateView::Empty => Err(Error::AuthStateOff),
            StateView::Shown(state) => {
                let text = state.id_token.clone().filter(|text| !text.is_empty());
                fresh(text.ok_or(Error::IdTokenMissing)?, now)
            }
        }
    }
}

/// Shows neither groups nor what is known of the person.
impl fmt::Debug for HubUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HubUser").field("auth_state", &self.auth_state).finish_non_exhaustive()
    }
}

/// `GET user`: who a token belongs to.
#[derive(Clone)]
pub struct ReadWho {
    request: Request,
    token: Secret,
}

impl ReadWho {
    pub(crate) fn new(request: Request, token: Secret) -> Self {
        Self { request, token }
    }
}

impl Exchange for ReadWho {
    type Output = Who;
    type Error = Error;

    fn request(&self) -> Request {
        self.request.clone()
    }

    fn receive(self, reply: Reply) -> Result<Who, Error> {
        reply::read(&reply, &self.token, "the owner of a token of the hub")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for ReadWho {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadWho").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The owner of a token, and what the token may.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct Who {
    /// Their name at the hub.
    pub name: String,
    /// What the token may, with filters written out: `admin:auth_state!user=reader`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

impl Who {
    /// Returns which scopes the token lacks for its owner's `auth_state`, as `jupyterhub_config.py` writes them.
    pub fn missing_scopes(&self) -> Vec<String> {
        scopes::missing(&self.scopes, &self.name)
    }
}

/// Shows the scopes, without the name.
impl fmt::Debug for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Who").field("scopes", &self.scopes.len()).finish_non_exhaustive()
    }
}

/// `GET /`: which hub this is.
#[derive(Clone, Debug)]
pub struct ReadInfo {
    request: Request,
}

impl ReadInfo {
    pub(crate) fn new(request: Request) -> Self {
        Self { request }
    }
}

impl Exchange for ReadInfo {
    type Output = HubInfo;
    type Error = Error;

    fn request(&self) -> Request {
        self.request.clone()
    }

    fn receive(self, reply: Reply) -> Result<HubInfo, Error> {
        reply::read(&reply, &Secret::new(""), "the version of a hub")
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Which hub this is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HubInfo {
    /// Its version, `6.1.1`.
    pub version: String,
}

impl HubInfo {
    /// Returns the first number of the version, where it has one.
    pub fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    /// Returns whether the hub may go on showing the `auth_state` of a person whose sign-in it cannot refresh: from 6.1 on it
    /// does unless `auth_refresh_strict` is set; older ones refuse every call of that person's tokens.
    pub fn may_show_stale_state(&self) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
        (numbers.next(), numbers.next()) >= (Some(6), Some(1))
    }
}
