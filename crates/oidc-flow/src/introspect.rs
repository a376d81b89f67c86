//! Asking the provider what a token is worth.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Perform as _, Replay, Reply, Request, Secret};
use serde_json::Value;
use url::Url;

use crate::form::ClientForm;
use crate::id_token::time_claim;
use crate::json::Object;
use crate::{Authentication, Client, Endpoint, Error, Misbehaviour, TokenKind};

/// Asks the provider what a token is worth ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): for a server that is
/// given access tokens of the provider's.
pub struct Introspect {
    form: ClientForm,
}

impl Introspect {
    /// Takes the token, and what kind it is ([RFC 7662, 2.1](https://www.rfc-editor.org/rfc/rfc7662#section-2.1)).
    pub fn new(
        introspection_endpoint: Url,
        client_id: impl Into<String>,
        authentication: Authentication,
        token: Secret,
        kind: TokenKind,
    ) -> Self {
        let endpoint = Endpoint::Introspection;
        let form = ClientForm::new(endpoint, introspection_endpoint, client_id, authentication)
            .with_secret("token", token)
            .with("token_type_hint", kind.name());
        Self { form }
    }
}

impl Exchange for Introspect {
    type Output = Introspection;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<Introspection, Error> {
        if reply.status() != 200 {
            return Err(self.form.problem(&reply));
        }
        let endpoint = Endpoint::Introspection;
        let members = Object::read(reply.body().to_vec(), &["active"])
            .map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
        // RFC 7662, 2.2: "REQUIRED. Boolean indicator". A text "false" must not pass for true, nor the other way round.
        match members.member("active") {
            Some(Value::Bool(true)) => Ok(Introspection::Active(ActiveToken { members })),
            Some(Value::Bool(false)) => Ok(Introspection::Inactive),
            _ => Err(Misbehaviour::FieldMissing { endpoint, field: "active" }.into()),
        }
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for Introspect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Introspect");
        shown.field("client_id", &self.form.client_id()).finish_non_exhaustive()
    }
}

/// What a token is worth.
///
/// Specified in [RFC 7662, 2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Introspection {
    /// It is good, and this is what it is good for.
    Active(ActiveToken),
    /// It is unknown, expired, revoked, or none of this client's business. A provider does not say which.
    Inactive,
}

/// What the provider says about a token that is good
/// ([RFC 7662, 2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
///
/// That it is good does not mean that it is for you: compare [`audiences`](Self::audiences) and
/// [`scopes`](Self::scopes).
#[derive(Clone)]
pub struct ActiveToken {
    members: Object,
}

impl ActiveToken {
    /// Returns the scopes of the token.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text("scope").unwrap_or_default().split_ascii_whitespace()
    }

    /// Returns the client that the token was given to.
    pub fn client_id(&self) -> Option<&str> {
        self.text("client_id")
    }

    /// Returns who it is about, uniquely within the issuer.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// Returns the name of who it is about, for people.
    pub fn username(&self) -> Option<&str> {
        self.text("username")
    }

    /// Returns whom it is for.
    pub fn audiences(&self) -> Vec<&str> {
        match self.claim("aud") {
            Some(Value::String(audience)) => vec![audience],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns when it expires, where the provider says so.
    pub fn expires_at(&self) -> Option<SystemTime> {
        time_claim(&self.members, "exp")
    }

    /// Returns any member by its name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.members.member(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claim(name).and_then(Value::as_str)
    }
}

/// Shows when it expires: everything else is about a person.
impl fmt::Debug for ActiveToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ActiveToken").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

impl Client {
    /// Asks the provider what a token is worth ([RFC 7662, 2.1](https://www.rfc-editor.org/rfc/rfc7662#section-2.1)).
    /// Whoever asks must be a client with a secret.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such endpoint. [`Error::Refused`] where the provider says no,
    /// [`Error::Misbehaved`] where its answer cannot be used.
    pub async fn introspect(
        &self,
        token: &Secret,
        kind: TokenKind,
        now: SystemTime,
    ) -> Result<Introspection, Error> {
        let endpoint = self.provider().metadata().offered(Endpoint::Introspection)?;
        let authentication = self.authentication(now).await?;
        let introspect = Introspect::new(endpoint, self.client_id(), authentication, token.clone(), kind);
        self.provider().transport().perform(introspect).await
    }
}
