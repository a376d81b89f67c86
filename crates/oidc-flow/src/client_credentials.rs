//! Tokens for the client itself.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret};

use crate::form::{ClientForm, FormExchange};
use crate::token::TokenReply;
use crate::{Client, Endpoint, Error, Misuse};

/// An access token for the client itself about to be asked for
/// ([RFC 6749, 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)): no person takes part.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    client: Client,
    scopes: Vec<String>,
    resources: Vec<String>,
}

impl ClientCredentials {
    /// Asks for a scope, or for several with blanks between them
    /// ([RFC 6749, 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). None: what the provider gives this
    /// client.
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.scopes.extend(scope.split_ascii_whitespace().map(str::to_owned));
        self
    }

    /// Names a server that the token shall be for
    /// ([RFC 8707, 2](https://www.rfc-editor.org/rfc/rfc8707#section-2)). May be said more than once.
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Asks for the token ([RFC 6749, 4.4.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.4.2)).
    ///
    /// # Errors
    ///
    /// [`Misuse::PublicClient`] where the client has nothing to prove itself with: "The client credentials grant type
    /// MUST only be used by confidential clients."
    pub async fn send(self, now: SystemTime) -> Result<AccessToken, Error> {
        let authentication = self.client.authentication(now).await?;
        if !authentication.is_confidential() {
            return Err(Misuse::PublicClient.into());
        }
        let provider = self.client.provider();
        let endpoint = provider.metadata().token_endpoint().clone();
        let form = ClientForm::new(Endpoint::Token, endpoint, self.client.client_id(), authentication)
            .with("grant_type", "client_credentials")
            .with_list("scope", &self.scopes)
            .with_each("resource", &self.resources);
        let reply = self.client.call(Grant { form }, now).await?;
        Ok(AccessToken {
            expires_at: reply.expires_at(now),
            scopes: reply.scopes(self.scopes),
            access_token: reply.access_token,
        })
    }
}

struct Grant {
    form: ClientForm,
}

impl FormExchange for Grant {
    fn form_mut(&mut self) -> &mut ClientForm {
        &mut self.form
    }
}

impl Exchange for Grant {
    type Output = TokenReply;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<TokenReply, Error> {
        if reply.status() != 200 {
            return Err(self.form.problem(&reply));
        }
        let reply = TokenReply::read(reply.body())?;
        reply.check_type(self.form.is_bound())?;
        Ok(reply)
    }

    /// A second token would do no harm, but a signed statement of who the client is may be sent only once.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// An access token for the client itself.
///
/// Specified in [RFC 6749, 4.4.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.4.3).
#[non_exhaustive]
pub struct AccessToken {
    /// The token. Opaque.
    pub access_token: Secret,
    /// When it expires, where the provider says so
    /// ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1), `expires_in`).
    pub expires_at: Option<SystemTime>,
    /// The scopes that were granted ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1), `scope`).
    pub scopes: Vec<String>,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessToken")
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares to ask for an access token for the client itself
    /// ([RFC 6749, 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    pub fn client_credentials(&self) -> ClientCredentials {
        ClientCredentials { client: self.clone(), scopes: Vec::new(), resources: Vec::new() }
    }
}
