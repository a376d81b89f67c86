//! A code becomes tokens.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_transport::{Exchange, Method, Replay, Reply, Request, Secret};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::id_token::{IdToken, IdTokenProblem, VerifiedIdToken};
use crate::text::{printable, repeats};
use crate::{Endpoint, Error, Misbehaviour, Refusal, ValidatedCallback};

/// How the client says who it is at the token endpoint
/// ([OpenID Connect Core, 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Authentication {
    /// `none`: a public client, such as a program on a person's machine or a page in a browser. PKCE protects it.
    None,
    /// `client_secret_basic`: in a header.
    SecretBasic(Secret),
    /// `client_secret_post`: in the form.
    SecretPost(Secret),
}

/// Redeems a code ([RFC 6749, 4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)).
///
/// What comes back is not checked: [`Client::redeem`](crate::Client::redeem) does both.
pub struct RedeemCode {
    token_endpoint: Url,
    client_id: String,
    authentication: Authentication,
    code: Secret,
    redirect_uri: String,
    verifier: Secret,
}

impl RedeemCode {
    /// Takes what the callback holds.
    pub fn new(
        token_endpoint: Url,
        client_id: impl Into<String>,
        authentication: Authentication,
        callback: &ValidatedCallback,
    ) -> Self {
        Self {
            token_endpoint,
            client_id: client_id.into(),
            authentication,
            code: callback.code.clone(),
            redirect_uri: callback.redirect_uri.clone(),
            verifier: callback.verifier.clone(),
        }
    }

    fn form(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it, so that no copy is left behind when the form grows.
        let room =
            3 * (self.code.expose_secret().len() + self.redirect_uri.len() + self.client_id.len()) + 512;
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        form.append_pair("grant_type", "authorization_code")
            // Opened for the body, which is secret.
            .append_pair("code", self.code.expose_secret())
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", self.verifier.expose_secret());
        match &self.authentication {
            Authentication::SecretBasic(_) => {}
            Authentication::None => {
                form.append_pair("client_id", &self.client_id);
            }
            Authentication::SecretPost(secret) => {
                form.append_pair("client_id", &self.client_id)
                    .append_pair("client_secret", secret.expose_secret());
            }
        }
        Zeroizing::new(form.finish().into_bytes())
    }

    /// Returns what is secret in the request, so that no error repeats it.
    fn secrets(&self) -> impl Iterator<Item = Secret> {
        let (secret, header) = match &self.authentication {
            Authentication::None => (None, None),
            Authentication::SecretPost(secret) => (Some(secret.clone()), None),
            Authentication::SecretBasic(secret) => {
                (Some(secret.clone()), Some(credentials(&self.client_id, secret)))
            }
        };
        [self.code.clone(), self.verifier.clone()].into_iter().chain(secret).chain(header)
    }

    fn refusal(&self, reply: &Reply) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Body {
            error: String,
            error_description: Option<String>,
        }
        let body: Body = serde_json::from_slice(reply.body()).ok()?;
        let is_repeated = |text: &String| self.secrets().any(|secret| repeats(text, &secret));
        if is_repeated(&body.error) {
            return None;
        }
        let description = body.error_description.filter(|text| !is_repeated(text));
        Some(Refusal::new(Endpoint::Token, &body.error, description.as_deref()))
    }
}

impl Exchange for RedeemCode {
    type Output = UnverifiedTokens;
    type Error = Error;

    fn request(&self) -> Request {
        let request = Request::for_url(Method::Post, self.token_endpoint.clone())
            .with_header("accept", "application/json")
            .with_body("application/x-www-form-urlencoded", self.form());
        match &self.authentication {
            Authentication::SecretBasic(secret) => {
                request.with_secret_header("authorization", basic(&self.client_id, secret))
            }
            Authentication::None | Authentication::SecretPost(_) => request,
        }
    }

    fn receive(self, reply: Reply) -> Result<UnverifiedTokens, Error> {
        if reply.status() == 200 {
            return UnverifiedTokens::read(reply.body());
        }
        match self.refusal(&reply) {
            Some(refusal) => Err(refusal.into()),
            None => Err(Misbehaviour::Status { endpoint: Endpoint::Token, status: reply.status() }.into()),
        }
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
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

fn basic(client_id: &str, secret: &Secret) -> Secret {
    // Opened for the header, which is secret.
    Secret::new(format!("Basic {}", credentials(client_id, secret).expose_secret()))
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined, since either may hold a colon.
fn credentials(client_id: &str, secret: &Secret) -> Secret {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // Opened to be encoded.
    let secret = Zeroizing::new(encode(secret.expose_secret()));
    let pair = Zeroizing::new(format!("{}:{}", encode(client_id), *secret));
    Secret::new(STANDARD.encode(pair.as_bytes()))
}

/// What the token endpoint sent, before any check: nothing in it may be used.
pub struct UnverifiedTokens {
    access_token: Secret,
    id_token: IdToken,
    refresh_token: Option<Secret>,
    expires_in: Option<Duration>,
    scope: Option<String>,
}

impl UnverifiedTokens {
    fn read(body: &[u8]) -> Result<Self, Error> {
        let missing = |field| Misbehaviour::FieldMissing { endpoint: Endpoint::Token, field };
        let body: Body = serde_json::from_slice(body)
            .map_err(|_| Misbehaviour::MalformedReply { endpoint: Endpoint::Token })?;
        let access_token =
            body.access_token.filter(|token| !token.is_empty()).ok_or(missing("access_token"))?;
        // RFC 6749, 5.1: token_type "is case insensitive".
        let token_type = body.token_type.ok_or(missing("token_type"))?;
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(Misbehaviour::TokenType { token_type: printable(&token_type, 32) }.into());
        }
        Ok(Self {
            access_token,
            id_token: IdToken::parse(body.id_token.ok_or(IdTokenProblem::Missing)?)?,
            refresh_token: body.refresh_token.filter(|token| !token.is_empty()),
            expires_in: body.expires_in.as_ref().and_then(lifetime),
            scope: body.scope,
        })
    }

    /// Returns the ID token, which is what has to be checked.
    pub fn id_token(&self) -> &IdToken {
        &self.id_token
    }

    pub(crate) fn access_token(&self) -> &Secret {
        &self.access_token
    }

    /// Lets the tokens out. Only for whoever has the proof that they belong together.
    pub(crate) fn release(self, id_token: VerifiedIdToken, asked: Vec<String>, now: SystemTime) -> Tokens {
        // RFC 6749, 5.1: scope is "OPTIONAL, if identical to the scope requested by the client".
        let granted = |scope: String| scope.split_ascii_whitespace().map(str::to_owned).collect();
        Tokens {
            access_token: self.access_token,
            id_token,
            refresh_token: self.refresh_token,
            expires_at: self.expires_in.and_then(|lifetime| now.checked_add(lifetime)),
            scopes: self.scope.map_or(asked, granted),
        }
    }
}

impl fmt::Debug for UnverifiedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedTokens").field("id_token", &self.id_token).finish_non_exhaustive()
    }
}

/// What is read of the reply. Its parse errors are never shown: they may quote it.
#[derive(Deserialize)]
struct Body {
    access_token: Option<Secret>,
    token_type: Option<String>,
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_in: Option<Value>,
    scope: Option<String>,
}

/// Returns the lifetime that a provider tells as a number or, against the standard, as text. One that is beyond sense
/// is treated as not told.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // A century: beyond it, adding to the time of day may overflow somewhere.
    let is_sensible = (0.0..=3_155_760_000.0).contains(&seconds);
    is_sensible.then(|| Duration::from_secs_f64(seconds.trunc()))
}

/// What a login gives. All checks have passed.
#[non_exhaustive]
pub struct Tokens {
    /// For the provider's own interfaces, such as userinfo. Opaque.
    pub access_token: Secret,
    /// Who signed in, proven.
    pub id_token: VerifiedIdToken,
    /// For new tokens without the person, where the provider gives one.
    pub refresh_token: Option<Secret>,
    /// When the access token expires, where the provider says so.
    pub expires_at: Option<SystemTime>,
    /// The scopes that were granted.
    pub scopes: Vec<String>,
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
