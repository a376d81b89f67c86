//! The beginning of a login.

mod parameters;
mod wishes;

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::{Perform as _, Random, Secret};
use url::Url;

use crate::form::{ClientForm, Field};
use crate::pushed::PushAuthorization;
use crate::{Client, Endpoint, Error, Misuse, Pending, Signer, VerifiedIdToken, pkce};

pub use wishes::{Prompt, ResponseMode};

/// A login about to begin: what the provider is asked for
/// ([OpenID Connect Core, 3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
///
/// PKCE with S256, a state and a nonce are always part of it.
#[derive(Clone)]
pub struct Authorize {
    client: Client,
    redirect_uri: String,
    scopes: Vec<String>,
    prompts: Vec<Prompt>,
    response_mode: Option<ResponseMode>,
    wants_id_token: bool,
    login_hint: Option<String>,
    id_token_hint: Option<Secret>,
    max_age: Option<Duration>,
    acr_values: Vec<String>,
    resources: Vec<String>,
    parameters: Vec<(String, String)>,
    lifetime: Duration,
}

/// Shows the names of the extra parameters, not their values: one may be a token (`id_token_hint`).
impl fmt::Debug for Authorize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Authorize")
            .field("client", &self.client)
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

impl Authorize {
    pub(crate) fn new(client: Client, redirect_uri: String) -> Self {
        Self {
            client,
            redirect_uri,
            scopes: vec!["openid".to_owned()],
            prompts: Vec::new(),
            response_mode: None,
            wants_id_token: false,
            login_hint: None,
            id_token_hint: None,
            max_age: None,
            acr_values: Vec::new(),
            resources: Vec::new(),
            parameters: Vec::new(),
            lifetime: Pending::DEFAULT_LIFETIME,
        }
    }

    /// Asks for a scope beside `openid`, or for several with blanks between them
    /// ([RFC 6749, 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)).
    pub fn with_scope(mut self, scope: &str) -> Self {
        for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
            if !self.scopes.iter().any(|this| this == scope) {
                self.scopes.push(scope.to_owned());
            }
        }
        self
    }

    /// Says what the provider shall show. May be said more than once.
    pub fn with_prompt(mut self, prompt: Prompt) -> Self {
        if !self.prompts.contains(&prompt) {
            self.prompts.push(prompt);
        }
        self
    }

    /// Says how the provider shall send its answer
    /// ([Multiple Response Types, 2.1](https://openid.net/specs/oauth-v2-multiple-response-types-1_0.html#ResponseModes)).
    pub fn with_response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = Some(mode);
        self
    }

    /// Asks for an ID token beside the code, so that the answer proves by itself that it is the provider's and that the
    /// code belongs to it (`code id_token`,
    /// [OpenID Connect Core, 3.3](https://openid.net/specs/openid-connect-core-1_0.html#HybridFlowAuth)). It is checked
    /// before the code is spent.
    ///
    /// The answer comes in the fragment, or where [`with_response_mode`](Self::with_response_mode) says; never in the
    /// query.
    pub fn with_id_token_in_callback(mut self) -> Self {
        self.wants_id_token = true;
        self
    }

    /// Tells the provider who was signed in: with [`Prompt::None`] it refuses when that is over.
    pub fn with_id_token_hint(mut self, id_token: &VerifiedIdToken) -> Self {
        self.id_token_hint = Some(id_token.as_secret().clone());
        self
    }

    /// Tells the provider who is probably going to sign in, such as an e-mail address.
    pub fn with_login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// Demands that the person signed in at most that long ago, in whole seconds. The ID token must prove it.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Demands one of these authentication context classes. The ID token must prove it.
    pub fn with_acr_values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Names a server that the access token shall be for
    /// ([RFC 8707, 2](https://www.rfc-editor.org/rfc/rfc8707#section-2)). May be said more than once.
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Adds a parameter that only this provider knows
    /// ([RFC 6749, 8.2](https://www.rfc-editor.org/rfc/rfc6749#section-8.2)). One that the login itself sets is refused
    /// by [`begin`](Self::begin).
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sets how long the login may take, in whole seconds.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Begins the login: draws state, nonce and verifier, and builds the address to open
    /// ([RFC 6749, 4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)).
    ///
    /// # Errors
    ///
    /// [`Misuse::PushRequired`] where the provider takes pushed requests only. Other [`Error::Misuse`] where a wish is
    /// none that a provider could take. [`Error::Random`] where there are no random numbers.
    pub fn begin(self, random: &mut impl Random, now: SystemTime) -> Result<Authorization, Error> {
        let metadata = self.client.provider().metadata();
        if metadata.wants_pushed_authorization {
            return Err(Misuse::PushRequired.into());
        }
        let pending = self.draw(random, now)?;
        let mut url = metadata.authorization_endpoint().clone();
        let parameters = self.parameters(&pending);
        url.query_pairs_mut()
            .append_pair("client_id", &pending.client_id)
            .extend_pairs(parameters.iter().map(|(name, value)| (name, value.text())));
        Ok(Authorization { url, pending })
    }

    /// Begins the login like [`begin`](Self::begin), and signs everything that is asked for
    /// ([RFC 9101](https://www.rfc-editor.org/rfc/rfc9101)): nobody on the way can change a wish. The key is one that
    /// the provider has registered for this client; [`danger::Unsigned`](crate::danger::Unsigned) signs nothing.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and [`Misuse::UnusableClientKey`] where the signer makes no signature.
    pub async fn begin_signed(
        self,
        signer: &dyn Signer,
        random: &mut impl Random,
        now: SystemTime,
    ) -> Result<Authorization, Error> {
        let metadata = self.client.provider().metadata();
        if metadata.wants_pushed_authorization {
            return Err(Misuse::PushRequired.into());
        }
        let pending = self.draw(random, now)?;
        let request = self.request_object(&pending, signer, random, now).await?;
        let mut url = metadata.authorization_endpoint().clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &pending.client_id);
        // Core, 6.1: these two "MUST be included using the OAuth 2.0 request syntax", so that the request is one of
        // OAuth's without the object, too.
        for (name, value) in self.parameters(&pending) {
            if matches!(name, "response_type" | "scope") {
                query.append_pair(name, value.text());
            }
        }
        // Opened for the address, where the protocol wants it.
        query.append_pair("request", request.expose_secret());
        query.finish();
        drop(query);
        Ok(Authorization { url, pending })
    }

    /// Begins the login like [`begin`](Self::begin), but leaves everything that is asked for with the provider first
    /// ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)): the address to open holds a reference only, and nobody
    /// on the way can read or change a wish.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin) but the first, [`Error::NotOffered`] where the provider has no such endpoint,
    /// and what its endpoint answers: [`Error::Refused`] or [`Error::Misbehaved`].
    pub async fn push(self, random: &mut impl Random, now: SystemTime) -> Result<Authorization, Error> {
        let pending = self.draw(random, now)?;
        let parameters = self.parameters(&pending).into_iter();
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value)).collect();
        self.leave(pending, parameters, now).await
    }

    /// Begins the login like [`push`](Self::push), and signs what is left with the provider
    /// ([RFC 9126, 3](https://www.rfc-editor.org/rfc/rfc9126#section-3)).
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push), and [`Misuse::UnusableClientKey`] where the signer makes no signature.
    pub async fn push_signed(
        self,
        signer: &dyn Signer,
        random: &mut impl Random,
        now: SystemTime,
    ) -> Result<Authorization, Error> {
        let pending = self.draw(random, now)?;
        let request = self.request_object(&pending, signer, random, now).await?;
        self.leave(pending, vec![("request".to_owned(), Field::Secret(request))], now).await
    }

    /// Leaves what is asked for with the provider.
    async fn leave(
        self,
        pending: Pending,
        parameters: Vec<(String, Field)>,
        now: SystemTime,
    ) -> Result<Authorization, Error> {
        let client = &self.client;
        let endpoint = client.provider().metadata().offered(Endpoint::PushedAuthorization)?;
        let authentication = client.authentication(now).await?;
        let form =
            ClientForm::new(Endpoint::PushedAuthorization, endpoint, client.client_id(), authentication);
        let form = parameters.into_iter().fold(form, |form, (name, value)| form.with_field(name, value));
        let request_uri = client.provider().transport().perform(PushAuthorization::new(form)).await?;
        let mut url = client.provider().metadata().authorization_endpoint().clone();
        url.query_pairs_mut()
            .append_pair("client_id", client.client_id())
            // Opened for the address, where the protocol wants it.
            .append_pair("request_uri", request_uri.expose_secret());
        Ok(Authorization { url, pending })
    }

    /// Draws what binds the answer to this login.
    fn draw(&self, random: &mut impl Random, now: SystemTime) -> Result<Pending, Error> {
        self.check()?;
        let metadata = self.client.provider().metadata();
        Ok(Pending {
            issuer: metadata.issuer().to_owned(),
            client_id: self.client.client_id().to_owned(),
            redirect_uri: self.redirect_uri.clone(),
            state: pkce::random_text(random)?,
            nonce: pkce::random_text(random)?,
            verifier: pkce::random_text(random)?,
            scopes: self.scopes.clone(),
            max_age: self.max_age,
            acr_values: self.acr_values.clone(),
            resources: self.resources.clone(),
            issuer_is_announced: metadata.names_itself_in_callbacks,
            wants_id_token: self.wants_id_token,
            wants_signed_response: self.response_mode.is_some_and(ResponseMode::is_signed),
            created_at: now,
            lifetime: self.lifetime,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.client.provider().issuer()
    }

    fn check(&self) -> Result<(), Misuse> {
        // RFC 6749, 3.1.2: "The redirection endpoint URI MUST be an absolute URI" and "MUST NOT include a fragment
        // component".
        if self.redirect_uri.contains('#') || Url::parse(&self.redirect_uri).is_err() {
            return Err(Misuse::InvalidRedirectUri);
        }
        // RFC 6749, 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        let is_scope_sign = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        if !self.scopes.iter().all(|scope| scope.bytes().all(is_scope_sign)) {
            return Err(Misuse::InvalidScope);
        }
        if self.prompts.len() > 1 && self.prompts.contains(&Prompt::None) {
            return Err(Misuse::PromptNotAlone);
        }
        // RFC 8707, 2: "Its value MUST be an absolute URI" and "MUST NOT include a fragment component".
        let is_resource = |this: &String| !this.contains('#') && Url::parse(this).is_ok();
        if !self.resources.iter().all(is_resource) {
            return Err(Misuse::InvalidResource);
        }
        // Multiple Response Types, 5: what holds a token must not stand in a query.
        if self.wants_id_token && self.response_mode.is_some_and(ResponseMode::is_query) {
            return Err(Misuse::TokenInQuery);
        }
        let mut seen = RESERVED.to_vec();
        seen.extend(self.id_token_hint.iter().map(|_| "id_token_hint"));
        for (name, _) in &self.parameters {
            if seen.contains(&name.as_str()) {
                return Err(Misuse::ReservedParameter { name: name.clone() });
            }
            seen.push(name);
        }
        Ok(())
    }
}

/// What the login sets by itself, and what would replace the whole request (RFC 9101).
const RESERVED: [&str; 18] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "response_mode",
    "prompt",
    "login_hint",
    "max_age",
    "acr_values",
    "resource",
    "request",
    "request_uri",
];

/// A login that has begun: the address to open, and what to remember until the person comes back.
///
/// Specified in [OpenID Connect Core, 3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
#[non_exhaustive]
pub struct Authorization {
    /// The address to open in the person's browser
    /// ([RFC 6749, 4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)). Never fetch it.
    pub url: Url,
    /// What to remember.
    pub pending: Pending,
}

/// Shows neither the query, which holds state and nonce, nor what is secret in the pending login.
impl fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authorization")
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("pending", &self.pending)
            .finish()
    }
}
