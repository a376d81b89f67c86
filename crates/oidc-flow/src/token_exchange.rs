//! One token for another.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};

use crate::form::{ClientForm, FormExchange};
use crate::text::printable;
use crate::token::TokenReply;
use crate::{Client, Endpoint, Error, Misbehaviour};

/// What a token is, for an exchange ([RFC 8693, 3](https://www.rfc-editor.org/rfc/rfc8693#section-3)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// `urn:ietf:params:oauth:token-type:access_token`
    AccessToken,
    /// `urn:ietf:params:oauth:token-type:refresh_token`
    RefreshToken,
    /// `urn:ietf:params:oauth:token-type:id_token`
    IdToken,
    /// `urn:ietf:params:oauth:token-type:jwt`: any signed token.
    Jwt,
    /// `urn:ietf:params:oauth:token-type:saml1`
    Saml1,
    /// `urn:ietf:params:oauth:token-type:saml2`
    Saml2,
    /// Another one: its whole URI, of at most 256 characters where a provider named it.
    Other(String),
}

impl TokenType {
    const KNOWN: [(&str, Self); 6] = [
        ("urn:ietf:params:oauth:token-type:access_token", Self::AccessToken),
        ("urn:ietf:params:oauth:token-type:refresh_token", Self::RefreshToken),
        ("urn:ietf:params:oauth:token-type:id_token", Self::IdToken),
        ("urn:ietf:params:oauth:token-type:jwt", Self::Jwt),
        ("urn:ietf:params:oauth:token-type:saml1", Self::Saml1),
        ("urn:ietf:params:oauth:token-type:saml2", Self::Saml2),
    ];

    fn uri(&self) -> &str {
        match self {
            Self::Other(uri) => uri,
            known => Self::KNOWN.iter().find(|(_, this)| this == known).map_or("", |(uri, _)| uri),
        }
    }

    fn from_uri(uri: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|(this, _)| *this == uri);
        known.map_or_else(|| Self::Other(printable(uri, 256)), |(_, known)| known)
    }
}

/// An exchange of tokens about to be made ([RFC 8693, 2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)).
///
/// With a subject alone the new token impersonates them; with an actor it says who acts for them.
#[derive(Clone, Debug)]
pub struct TokenExchange {
    client: Client,
    subject: (Secret, TokenType),
    actor: Option<(Secret, TokenType)>,
    requested: Option<TokenType>,
    audiences: Vec<String>,
    resources: Vec<String>,
    scopes: Vec<String>,
}

impl TokenExchange {
    /// Says who acts for the subject ([RFC 8693, 1.1](https://www.rfc-editor.org/rfc/rfc8693#section-1.1)).
    pub fn with_actor(mut self, token: Secret, kind: TokenType) -> Self {
        self.actor = Some((token, kind));
        self
    }

    /// Says what the new token shall be.
    pub fn with_requested_type(mut self, kind: TokenType) -> Self {
        self.requested = Some(kind);
        self
    }

    /// Names a server that the new token shall be for, by the name that the provider knows. May be said more than once.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Names a server that the new token shall be for, by its address
    /// ([RFC 8707, 2](https://www.rfc-editor.org/rfc/rfc8707#section-2)). May be said more than once.
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Asks for a scope, or for several with blanks between them.
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.scopes.extend(scope.split_ascii_whitespace().map(str::to_owned));
        self
    }

    /// Makes the exchange ([RFC 8693, 2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)).
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where the provider says no, [`Error::Misbehaved`] where its answer cannot be used.
    pub async fn send(self, now: SystemTime) -> Result<ExchangedToken, Error> {
        let provider = self.client.provider();
        let endpoint = provider.metadata().token_endpoint().clone();
        let authentication = self.client.authentication(now).await?;
        let (subject, subject_type) = self.subject;
        let mut form = ClientForm::new(Endpoint::Token, endpoint, self.client.client_id(), authentication)
            .with("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .with_secret("subject_token", subject)
            .with("subject_token_type", subject_type.uri());
        if let Some((actor, kind)) = self.actor {
            form = form.with_secret("actor_token", actor).with("actor_token_type", kind.uri());
        }
        if let Some(kind) = &self.requested {
            form = form.with("requested_token_type", kind.uri());
        }
        let form = form
            .with_each("audience", &self.audiences)
            .with_each("resource", &self.resources)
            .with_list("scope", &self.scopes);
        let reply = self.client.call(ExchangeTokens { form }, now).await?;
        let issued = reply.issued_token_type.as_deref();
        let missing = Misbehaviour::FieldMissing { endpoint: Endpoint::Token, field: "issued_token_type" };
        Ok(ExchangedToken {
            issued_type: TokenType::from_uri(issued.ok_or(missing)?),
            // 2.2.1: "N_A" where the token is none that opens a door by itself.
            is_bearer: reply.check_type(false).is_ok(),
            expires_at: reply.expires_at(now),
            scopes: reply.scopes(self.scopes),
            refresh_token: reply.refresh_token,
            token: reply.access_token,
        })
    }
}

struct ExchangeTokens {
    form: ClientForm,
}

impl FormExchange for ExchangeTokens {
    fn form_mut(&mut self) -> &mut ClientForm {
        &mut self.form
    }
}

impl Exchange for ExchangeTokens {
    type Output = TokenReply;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<TokenReply, Error> {
        if reply.status() != 200 {
            return Err(self.form.problem(&reply));
        }
        TokenReply::read(reply.body())
    }

    /// A provider may take a subject token once only.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// What an exchange gives ([RFC 8693, 2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)). Nothing in it was
/// checked: it is for the server that it was asked for.
#[non_exhaustive]
pub struct ExchangedToken {
    /// The new token, whatever it is.
    pub token: Secret,
    /// What it is.
    pub issued_type: TokenType,
    /// Whether it is sent as a bearer token.
    pub is_bearer: bool,
    /// When it expires, where the provider says so.
    pub expires_at: Option<SystemTime>,
    /// The scopes that were granted.
    pub scopes: Vec<String>,
    /// A refresh token, where the provider gives one.
    pub refresh_token: Option<Secret>,
}

impl fmt::Debug for ExchangedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExchangedToken")
            .field("issued_type", &self.issued_type)
            .field("is_bearer", &self.is_bearer)
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares to exchange a token for another ([RFC 8693, 2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)).
    pub fn exchange(&self, subject_token: Secret, kind: TokenType) -> TokenExchange {
        TokenExchange {
            client: self.clone(),
            subject: (subject_token, kind),
            actor: None,
            requested: None,
            audiences: Vec::new(),
            resources: Vec::new(),
            scopes: Vec::new(),
        }
    }
}
