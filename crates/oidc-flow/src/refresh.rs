//! New tokens without the person.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use crate::discovery::fits;
use crate::form::{ClientForm, FormExchange};
use crate::id_token::{IdTokenProblem, VerifiedIdToken};
use crate::token::TokenReply;
use crate::{Authentication, Client, Endpoint, Error, Misuse, Tokens};

/// What has to be kept to get new tokens without the person: the refresh token, and whose it is.
///
/// It can be stored (`serde`), and what is stored is as secret as a password. Who signed in is stored with it, since a
/// refresh must go on with the same person, client and sign-in
/// ([OpenID Connect Core, 12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).
#[derive(Clone, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Grant {
    issuer: String,
    client_id: String,
    refresh_token: Secret,
    scopes: Vec<String>,
    origin: Origin,
}

/// What the ID token of the sign-in said, as far as a refreshed one must say the same.
#[derive(Clone, Serialize, Deserialize)]
struct Origin {
    subject: String,
    audiences: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    azp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

impl Origin {
    fn of(id_token: &VerifiedIdToken) -> Self {
        let text = |claim| id_token.claim(claim).and_then(Value::as_str).map(str::to_owned);
        Self {
            subject: id_token.subject().to_owned(),
            audiences: audiences(id_token),
            azp: text("azp"),
            auth_time: seconds(id_token.claim("auth_time")),
            nonce: text("nonce"),
        }
    }

    /// Core, 12.2, point by point. The issuer and the client among the audiences were compared before.
    fn check(&self, id_token: &VerifiedIdToken) -> Result<(), IdTokenProblem> {
        let broken = |claim| Err(IdTokenProblem::NotContinued { claim });
        // "its sub Claim Value MUST be the same as in the ID Token issued when the original authentication occurred"
        if id_token.subject() != self.subject {
            return broken("sub");
        }
        // "its aud Claim Value MUST include the value in the ID Token issued when the original authentication
        // occurred"
        let found = audiences(id_token);
        if !self.audiences.iter().all(|audience| found.contains(audience)) {
            return broken("aud");
        }
        // "if the ID Token contains an auth_time Claim, its value MUST represent the time of the original
        // authentication"
        let auth_time = seconds(id_token.claim("auth_time"));
        if auth_time.is_some() && self.auth_time.is_some() && auth_time != self.auth_time {
            return broken("auth_time");
        }
        // "its azp Claim Value MUST be the same as in the ID Token issued when the original authentication occurred;
        // if no azp Claim was present in the original ID Token, one MUST NOT be present in the new ID Token"
        if id_token.claim("azp").and_then(Value::as_str) != self.azp.as_deref() {
            return broken("azp");
        }
        // "it SHOULD NOT have a nonce Claim [...]. However, if it is present, its value MUST be the same"
        match id_token.claim("nonce") {
            Some(found) if found.as_str() != self.nonce.as_deref() => broken("nonce"),
            _ => Ok(()),
        }
    }
}

fn audiences(id_token: &VerifiedIdToken) -> Vec<String> {
    match id_token.claim("aud") {
        Some(Value::String(audience)) => vec![audience.clone()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn seconds(claim: Option<&Value>) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is meant to go, and the rest saturates"
    )]
    claim.and_then(|value| value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64)))
}

impl Grant {
    /// Takes up a sign-in that another program made and keeps, such as a hub: its refresh token, and the ID token that it
    /// goes on from ([OpenID Connect Core, 12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).
    /// That one was checked, and may have ended since.
    pub fn of(id_token: &VerifiedIdToken, client_id: impl Into<String>, refresh_token: Secret) -> Self {
        Self {
            issuer: id_token.issuer().to_owned(),
            client_id: client_id.into(),
            refresh_token,
            scopes: Vec::new(),
            origin: Origin::of(id_token),
        }
    }

    /// Returns who issued the refresh token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the client that it was issued to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns who signed in.
    pub fn subject(&self) -> &str {
        &self.origin.subject
    }

    /// Returns the scopes that were granted.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns the refresh token, to give it back ([`Client::revoke`]).
    pub fn refresh_token(&self) -> &Secret {
        &self.refresh_token
    }
}

impl Tokens {
    /// Returns what has to be kept to get new tokens, where the provider gave a refresh token
    /// ([RFC 6749, 1.5](https://www.rfc-editor.org/rfc/rfc6749#section-1.5)).
    pub fn grant(&self) -> Option<Grant> {
        Some(Grant {
            issuer: self.id_token.issuer().to_owned(),
            client_id: self.client_id.clone(),
            refresh_token: self.refresh_token.clone()?,
            scopes: self.scopes.clone(),
            origin: Origin::of(&self.id_token),
        })
    }
}

/// Shows whose client it is for: neither the token nor the person.
impl fmt::Debug for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Grant")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// How a grant is stored. The version comes first; a reader refuses what it does not know.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    issuer: String,
    client_id: String,
    refresh_token: String,
    scopes: Vec<String>,
    origin: Origin,
}

const VERSION: u32 = 1;

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            version: VERSION,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            // The only place where it is written out: into the caller's own store.
            refresh_token: self.refresh_token.expose_secret().to_owned(),
            scopes: self.scopes.clone(),
            origin: self.origin.clone(),
        };
        stored.serialize(serializer)
    }
}

impl TryFrom<Stored> for Grant {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        if stored.version != VERSION {
            return Err(format!("a stored grant of version {} cannot be read", stored.version));
        }
        Ok(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            refresh_token: stored.refresh_token.into(),
            scopes: stored.scopes,
            origin: stored.origin,
        })
    }
}

/// Asks for new tokens ([RFC 6749, 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
///
/// What comes back is not checked: [`Client::refresh`] does both.
pub struct Refresh {
    form: ClientForm,
}

impl Refresh {
    /// Takes the refresh token out of a grant.
    pub fn new(token_endpoint: Url, authentication: Authentication, grant: &Grant) -> Self {
        let form = ClientForm::new(Endpoint::Token, token_endpoint, &grant.client_id, authentication)
            .with("grant_type", "refresh_token")
            .with_secret("refresh_token", grant.refresh_token.clone());
        Self { form }
    }

    /// Names the server that the new access token shall be for, out of those that the person agreed to
    /// ([RFC 8707, 2.2](https://www.rfc-editor.org/rfc/rfc8707#section-2.2)).
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.form = self.form.with("resource", resource);
        self
    }
}

impl FormExchange for Refresh {
    fn form_mut(&mut self) -> &mut ClientForm {
        &mut self.form
    }
}

impl Exchange for Refresh {
    type Output = UnverifiedRefresh;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<UnverifiedRefresh, Error> {
        let refusal = match reply.status() {
            200 => {
                let reply = TokenReply::read(reply.body())?;
                reply.check_type(self.form.is_bound())?;
                return Ok(UnverifiedRefresh(reply));
            }
            400 => self.form.refusal(&reply),
            _ => return Err(self.form.problem(&reply)),
        };
        match refusal {
            // These say nothing about the token: it may be as good as ever.
            Some(refusal) if refusal.reason.is_transient() || refusal.reason.is_about_client() => {
                Err(refusal.into())
            }
            // There are providers that call a dead token an invalid request.
            refusal => Err(Error::GrantOver { refusal }),
        }
    }

    /// A provider that rotates refresh tokens takes the second use of one for theft.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Refresh").field("client_id", &self.form.client_id()).finish_non_exhaustive()
    }
}

/// What came back from a refresh, before any check: nothing in it may be used.
///
/// Specified in [RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1).
pub struct UnverifiedRefresh(TokenReply);

impl fmt::Debug for UnverifiedRefresh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedRefresh").finish_non_exhaustive()
    }
}

/// A refresh that has passed every check, with its tokens still inside: first the new grant is stored, then the tokens
/// come out.
///
/// The old refresh token may be void already. Whoever used the new tokens first and then lost them in a crash would
/// have neither ([RFC 9700, 4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
#[must_use = "the grant in it replaces the one that was used"]
pub struct Refreshed {
    grant: Grant,
    access_token: Secret,
    id_token: Option<VerifiedIdToken>,
    expires_at: Option<SystemTime>,
    rotated: bool,
}

impl Refreshed {
    /// Returns what has to be stored in place of the grant that was used.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns whether the provider gave a new refresh token
    /// ([RFC 9700, 4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). Without one, the old one stays
    /// good.
    pub fn is_rotated(&self) -> bool {
        self.rotated
    }

    /// Stores the new grant and lets the tokens out. Where storing fails, nothing is lost: the refresh comes back
    /// beside the error, and can be stored elsewhere or again.
    ///
    /// # Errors
    ///
    /// What `store` failed with, and the refresh itself.
    pub fn store<E>(
        self,
        store: impl FnOnce(&Grant) -> Result<(), E>,
    ) -> Result<RefreshedTokens, (Box<Self>, E)> {
        match store(&self.grant) {
            Ok(()) => Ok(self.release()),
            Err(error) => Err((Box::new(self), error)),
        }
    }

    /// Lets the tokens out, for who has stored [`grant`](Self::grant) already or keeps it in memory alone.
    pub fn release(self) -> RefreshedTokens {
        RefreshedTokens {
            access_token: self.access_token,
            id_token: self.id_token,
            expires_at: self.expires_at,
            grant: self.grant,
        }
    }
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Refreshed")
            .field("grant", &self.grant)
            .field("expires_at", &self.expires_at)
            .field("is_rotated", &self.rotated)
            .finish_non_exhaustive()
    }
}

/// What a refresh gives. All checks have passed.
///
/// Specified in [OpenID Connect Core, 12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse).
#[non_exhaustive]
pub struct RefreshedTokens {
    /// For the provider's own interfaces. Opaque.
    pub access_token: Secret,
    /// Who signed in, proven anew; a provider need not repeat it.
    pub id_token: Option<VerifiedIdToken>,
    /// When the access token expires, where the provider says so.
    pub expires_at: Option<SystemTime>,
    /// For the next refresh.
    pub grant: Grant,
}

impl fmt::Debug for RefreshedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshedTokens")
            .field("id_token", &self.id_token)
            .field("expires_at", &self.expires_at)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Gets new tokens without the person
    /// ([OpenID Connect Core, 12](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokens)). They come out
    /// of the result when its grant was stored.
    ///
    /// An ID token in the reply is checked in full, and must go on with the sign-in that the grant is of: the same
    /// person, audiences, party, time of sign-in and nonce. A refresh token that was left out of the reply means that
    /// the old one stays good.
    ///
    /// # Errors
    ///
    /// [`Error::GrantOver`] is the end of the grant, however the provider put it: begin a new login.
    /// [`Error::Unrefreshed`] leaves open whether the token was spent.
    ///
    /// Only one refresh of a grant may be under way at a time, in all processes: a provider that rotates refresh tokens
    /// takes the second one for theft.
    pub async fn refresh(&self, grant: &Grant, now: SystemTime) -> Result<Refreshed, Error> {
        if !fits(self.provider().issuer(), &grant.issuer) || grant.client_id != self.client_id() {
            return Err(Misuse::OtherClient.into());
        }
        // Before anything is spent.
        self.provider().prepare(now).await?;
        let endpoint = self.provider().metadata().token_endpoint().clone();
        let refresh = Refresh::new(endpoint, self.authentication(now).await?, grant);
        let UnverifiedRefresh(mut reply) = self.call(refresh, now).await.map_err(|error| match error {
            Error::Transport(cause) if cause.may_have_acted() => Error::Unrefreshed(cause),
            other => other,
        })?;
        let id_token = match reply.id_token.take() {
            Some(token) => {
                let access_token = Some(&reply.access_token);
                let token = self.provider().verify(token, self.expectations(), access_token, now).await;
                let token = token.map_err(|error| match error {
                    // The keys could not be had, and the refresh token is spent by now.
                    Error::Transport(cause) => Error::Unrefreshed(cause),
                    other => other,
                })?;
                if token.issuer() != grant.issuer {
                    return Err(IdTokenProblem::NotContinued { claim: "iss" }.into());
                }
                grant.origin.check(&token)?;
                Some(token)
            }
            None => None,
        };
        let rotated = reply.refresh_token.as_ref();
        let rotated = rotated.is_some_and(|new| !grant.refresh_token.is_same_as(new.expose_secret()));
        let grant = Grant {
            refresh_token: reply.refresh_token.clone().unwrap_or_else(|| grant.refresh_token.clone()),
            scopes: reply.scopes(grant.scopes.clone()),
            ..grant.clone()
        };
        Ok(Refreshed {
            grant,
            expires_at: reply.expires_at(now),
            access_token: reply.access_token,
            id_token,
            rotated,
        })
    }
}
