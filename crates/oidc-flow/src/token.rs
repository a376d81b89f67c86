//! A code becomes tokens.

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret, json};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::form::{ClientForm, FormExchange};
use crate::id_token::{IdToken, IdTokenProblem, VerifiedIdToken};
use crate::text::printable;
use crate::{Authentication, Endpoint, Error, Misbehaviour, ValidatedCallback};

/// Redeems a code ([RFC 6749, 4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)).
///
/// What comes back is not checked: [`Client::redeem`](crate::Client::redeem) does both.
pub struct RedeemCode {
    form: ClientForm,
    redirect_uri: String,
}

impl RedeemCode {
    /// Takes what the callback holds.
    pub fn new(
        token_endpoint: Url,
        client_id: impl Into<String>,
        authentication: Authentication,
        callback: &ValidatedCallback,
    ) -> Self {
        let form = ClientForm::new(Endpoint::Token, token_endpoint, client_id, authentication)
            .with("grant_type", "authorization_code")
            .with_secret("code", callback.code.clone())
            .with("redirect_uri", &callback.redirect_uri)
            .with_secret("code_verifier", callback.verifier.clone())
            .with_each("resource", &callback.resources);
        Self { form, redirect_uri: callback.redirect_uri.clone() }
    }
}

impl FormExchange for RedeemCode {
    fn form_mut(&mut self) -> &mut ClientForm {
        &mut self.form
    }
}

impl Exchange for RedeemCode {
    type Output = UnverifiedTokens;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<UnverifiedTokens, Error> {
        if reply.status() == 200 {
            return UnverifiedTokens::read(reply.body(), self.form.is_bound());
        }
        Err(self.form.problem(&reply))
    }

    /// A code works once. A second attempt is safe only if the first one never arrived.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

impl fmt::Debug for RedeemCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedeemCode")
            .field("client_id", &self.form.client_id())
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// What the token endpoint sent, before any check: nothing in it may be used.
///
/// Specified in [OpenID Connect Core, 3.1.3.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse).
pub struct UnverifiedTokens {
    reply: TokenReply,
    id_token: IdToken,
}

impl UnverifiedTokens {
    pub(crate) fn read(body: &[u8], is_bound: bool) -> Result<Self, Error> {
        let mut reply = TokenReply::read(body)?;
        reply.check_type(is_bound)?;
        let id_token = reply.id_token.take().ok_or(IdTokenProblem::Missing)?;
        Ok(Self { reply, id_token })
    }

    /// Returns the ID token, which is what has to be checked.
    pub fn id_token(&self) -> &IdToken {
        &self.id_token
    }

    pub(crate) fn access_token(&self) -> &Secret {
        &self.reply.access_token
    }

    /// Lets the tokens out. Only for whoever has the proof that they belong together.
    pub(crate) fn release(
        self,
        id_token: VerifiedIdToken,
        client_id: &str,
        asked: Vec<String>,
        session_state: Option<Secret>,
        now: SystemTime,
    ) -> Tokens {
        Tokens {
            expires_at: self.reply.expires_at(now),
            scopes: self.reply.scopes(asked),
            access_token: self.reply.access_token,
            id_token,
            refresh_token: self.reply.refresh_token,
            session_state,
            client_id: client_id.to_owned(),
        }
    }
}

impl fmt::Debug for UnverifiedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedTokens").field("id_token", &self.id_token).finish_non_exhaustive()
    }
}

/// What a token endpoint answers, whatever the grant
/// ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
pub(crate) struct TokenReply {
    pub(crate) access_token: Secret,
    pub(crate) token_type: String,
    pub(crate) id_token: Option<IdToken>,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) issued_token_type: Option<String>,
    expires_in: Option<Duration>,
    scope: Option<String>,
}

/// What is read of the reply. Its parse errors are never shown: they may quote it.
#[derive(Deserialize)]
struct Body {
    access_token: Option<Secret>,
    token_type: Option<String>,
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
    issued_token_type: Option<String>,
    expires_in: Option<json::Any>,
    scope: Option<String>,
}

impl TokenReply {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let missing = |field| Misbehaviour::FieldMissing { endpoint: Endpoint::Token, field };
        let body: Body =
            json::from_slice(body).map_err(|_| Misbehaviour::MalformedReply { endpoint: Endpoint::Token })?;
        let access_token =
            body.access_token.filter(|token| !token.is_empty()).ok_or(missing("access_token"))?;
        Ok(Self {
            access_token,
            token_type: body.token_type.ok_or(missing("token_type"))?,
            id_token: body.id_token.map(IdToken::parse).transpose()?,
            refresh_token: body.refresh_token.filter(|token| !token.is_empty()),
            issued_token_type: body.issued_token_type,
            expires_in: body.expires_in.and_then(|json::Any(value)| lifetime(&value)),
            scope: body.scope,
        })
    }

    /// RFC 6749, 5.1: `token_type` "is case insensitive". RFC 9449, 5: a token that is bound to the client's key is of
    /// type `DPoP`; a provider that ignores the proof gives a bearer token, and that is not what was asked for.
    pub(crate) fn check_type(&self, is_bound: bool) -> Result<(), Misbehaviour> {
        let expected = if is_bound { "DPoP" } else { "Bearer" };
        if self.token_type.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Misbehaviour::TokenType { token_type: printable(&self.token_type, 32), expected })
    }

    pub(crate) fn expires_at(&self, now: SystemTime) -> Option<SystemTime> {
        self.expires_in.and_then(|lifetime| now.checked_add(lifetime))
    }

    /// RFC 6749, 5.1: `scope` is "OPTIONAL, if identical to the scope requested by the client".
    pub(crate) fn scopes(&self, asked: Vec<String>) -> Vec<String> {
        let granted = |scope: &String| scope.split_ascii_whitespace().map(str::to_owned).collect();
        self.scope.as_ref().map_or(asked, granted)
    }
}

/// Returns the lifetime that a provider tells as a number or, against the standard, as text. One that is beyond sense
/// is treated as not told.
pub(crate) fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        // A fraction of a second makes no difference.
        Value::String(text) => f64::from(text.trim().split('.').next()?.parse::<u32>().ok()?),
        _ => return None,
    };
    // A century: beyond it, adding to the time of day may overflow somewhere.
    let is_sensible = (0.0..=3_155_760_000.0).contains(&seconds);
    is_sensible.then(|| Duration::from_secs_f64(seconds.trunc()))
}

/// What a login gives. All checks have passed.
///
/// Specified in [OpenID Connect Core, 3.1.3.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse).
#[non_exhaustive]
pub struct Tokens {
    /// For the provider's own interfaces, such as userinfo
    /// ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)). Opaque.
    pub access_token: Secret,
    /// Who signed in, proven.
    pub id_token: VerifiedIdToken,
    /// For new tokens without the person, where the provider gives one
    /// ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
    pub refresh_token: Option<Secret>,
    /// When the access token expires, where the provider says so
    /// ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1), `expires_in`).
    pub expires_at: Option<SystemTime>,
    /// The scopes that were granted ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1), `scope`).
    pub scopes: Vec<String>,
    /// The state of the session at the provider, where it tells it: for
    /// [`Client::session_check`](crate::Client::session_check)
    /// ([Session Management, 2](https://openid.net/specs/openid-connect-session-1_0.html#CreatingUpdatingSessions)).
    pub session_state: Option<Secret>,
    pub(crate) client_id: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokens")
            .field("id_token", &self.id_token)
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
