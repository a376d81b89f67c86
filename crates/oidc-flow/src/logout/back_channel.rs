//! A provider's word that somebody has signed out.

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::Secret;
use serde_json::Value;
use url::form_urlencoded;

use crate::id_token::{IdToken, IdTokenProblem, time_claim};
use crate::json::Object;
use crate::{Client, Error, VerifiedIdToken};

/// A provider's word that somebody has signed out, checked
/// ([OpenID Connect Back-Channel Logout, 2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
#[derive(Clone)]
pub struct LogoutToken {
    issuer: String,
    id: String,
    subject: Option<String>,
    session_id: Option<String>,
    issued_at: SystemTime,
}

impl LogoutToken {
    /// The event that makes a token a logout token.
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

    /// How old a token without `exp` may be: two minutes, which is what the standard recommends as a lifetime.
    const LIFETIME: Duration = Duration::from_secs(120);

    /// Returns the token's id (`jti`). One that was seen within the last few minutes is a replay, and harmless: the
    /// sessions are gone already.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whose sessions end, where it says so: all of them unless it names one.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns which session ends (`sid`), where it says so.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// Returns when it was issued. A sign-in after that is not meant.
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Returns whether the session that began with this ID token ends.
    pub fn ends(&self, id_token: &VerifiedIdToken) -> bool {
        let same_subject = self.subject.as_ref().is_none_or(|subject| subject == id_token.subject());
        let sid = id_token.claim("sid").and_then(Value::as_str);
        let same_session = self.session_id.as_ref().is_none_or(|session| Some(session.as_str()) == sid);
        self.issuer == id_token.issuer() && same_subject && same_session
    }

    /// Reads what the signature has proven to be the provider's, and checks what is special about a logout token.
    pub(crate) fn read(claims: &Object, leeway: Duration, now: SystemTime) -> Result<Self, LogoutProblem> {
        let text = |name: &'static str| match claims.member(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(LogoutProblem::Token(IdTokenProblem::ClaimInvalid { claim: name })),
        };
        let missing = |claim| LogoutProblem::Token(IdTokenProblem::ClaimMissing { claim });
        // 2.6: "Verify that the Logout Token contains an events Claim whose value is JSON object containing the member
        // name http://schemas.openid.net/event/backchannel-logout."
        if !claims.member("events").and_then(|events| events.get(Self::EVENT)).is_some_and(Value::is_object) {
            return Err(LogoutProblem::EventMissing);
        }
        // 2.6: "Verify that the Logout Token does not contain a nonce Claim." An ID token has one.
        if claims.member("nonce").is_some() {
            return Err(LogoutProblem::NoncePresent);
        }
        let (subject, session_id) = (text("sub")?, text("sid")?);
        if subject.is_none() && session_id.is_none() {
            return Err(LogoutProblem::NobodyNamed);
        }
        let issued_at = time_claim(claims, "iat").ok_or_else(|| missing("iat"))?;
        let age = now.duration_since(issued_at).unwrap_or_default();
        if claims.member("exp").is_none() && age > Self::LIFETIME + leeway {
            return Err(LogoutProblem::TooOld { seconds: age.as_secs() });
        }
        let id = text("jti")?.ok_or_else(|| missing("jti"))?;
        let issuer = text("iss")?.ok_or_else(|| missing("iss"))?;
        Ok(Self { issuer, id, subject, session_id, issued_at })
    }
}

/// Shows the token's id: the rest is about a person.
impl fmt::Debug for LogoutToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogoutToken")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}

/// Why a logout token, or a call of the front-channel address, is refused. Whoever serves the address answers 400, and
/// ends no session.
///
/// Specified in [Back-Channel Logout, 2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutProblem {
    /// The form holds no `logout_token`, or several
    /// ([Back-Channel Logout, 2.5](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCRequest)).
    #[error("the form holds no logout token, or several")]
    Missing,
    /// The signature, or a claim that ID tokens have too, is wrong. The cause speaks of an ID token, which is checked
    /// alike.
    #[error("the logout token proves nothing")]
    Token(#[source] IdTokenProblem),
    /// It does not hold the event of a logout: it is another kind of token.
    #[error("the token tells of no logout")]
    EventMissing,
    /// It has a nonce, which an ID token has and a logout token must not have.
    #[error("the logout token has a nonce")]
    NoncePresent,
    /// It says neither whose sessions nor which session ends.
    #[error("the logout token names neither a person nor a session")]
    NobodyNamed,
    /// A call of the front-channel address names an issuer without a session, or the other way round, or several
    /// ([Front-Channel Logout, 2](https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout)).
    #[error("the call does not name one issuer and one session, or neither")]
    SessionIncomplete,
    /// A call of the front-channel address names another provider
    /// ([Front-Channel Logout, 2](https://openid.net/specs/openid-connect-frontchannel-1_0.html#RPLogout)).
    #[error("the call comes from {found:?}, which is another provider")]
    OtherIssuer {
        /// The issuer that it names, shortened.
        found: String,
    },
    /// It has no `exp`, and was issued too long ago to be taken without
    /// ([Back-Channel Logout, 2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken), `exp`).
    #[error("the logout token was issued {seconds} s ago")]
    TooOld {
        /// How long ago.
        seconds: u64,
    },
}

impl LogoutProblem {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "oidc_logout_token_missing",
            Self::Token(_) => "oidc_logout_token",
            Self::EventMissing => "oidc_logout_token_event",
            Self::NoncePresent => "oidc_logout_token_nonce",
            Self::NobodyNamed => "oidc_logout_token_nobody",
            Self::SessionIncomplete => "oidc_logout_session_incomplete",
            Self::OtherIssuer { .. } => "oidc_logout_issuer",
            Self::TooOld { .. } => "oidc_logout_token_too_old",
        }
    }
}

impl Client {
    /// Checks what a provider posted to the back-channel logout address of this client: the body of the form
    /// ([Back-Channel Logout, 2.5](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCRequest)).
    ///
    /// Answer 200 to what comes back well, once the sessions are ended, and 400 to an error, both with
    /// `Cache-Control: no-store`.
    ///
    /// # Errors
    ///
    /// [`Error::LogoutToken`] where the token proves nothing; otherwise what fetching the provider's keys says, and the
    /// provider may post it again.
    pub async fn back_channel_logout(&self, form: &[u8], now: SystemTime) -> Result<LogoutToken, Error> {
        let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
        let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
            return Err(LogoutProblem::Missing.into());
        };
        let token = IdToken::parse(Secret::new(token.into_owned())).map_err(LogoutProblem::Token)?;
        self.provider().check_logout(token, self.expectations(), now).await
    }
}
