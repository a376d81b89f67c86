//! The beginning of a login.

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::{Perform as _, Random};
use url::Url;

use crate::form::ClientForm;
use crate::pushed::PushAuthorization;
use crate::{Client, Endpoint, Error, Misuse, Pending, pkce};

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
    login_hint: Option<String>,
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

/// What the provider shall show the person (`prompt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// `none`: nothing. Who is not signed in is refused.
    None,
    /// `login`: the sign-in page, although the person is signed in.
    Login,
    /// `consent`: the question for consent.
    Consent,
    /// `select_account`: a choice of accounts.
    SelectAccount,
    /// `create`: the page that makes a new account.
    Create,
}

impl Prompt {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

/// How the provider sends its answer (`response_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseMode {
    /// `query`: in the address. Every provider's default for a code.
    Query,
    /// `fragment`: after the `#`, which a browser sends to no server: for a page that reads its own address.
    Fragment,
    /// `form_post`: in the body of a form, which keeps the code out of addresses, logs and histories.
    FormPost,
}

impl Authorize {
    pub(crate) fn new(client: Client, redirect_uri: String) -> Self {
        Self {
            client,
            redirect_uri,
            scopes: vec!["openid".to_owned()],
            prompts: Vec::new(),
            response_mode: None,
            login_hint: None,
            max_age: None,
            acr_values: Vec::new(),
            resources: Vec::new(),
            parameters: Vec::new(),
            lifetime: Pending::DEFAULT_LIFETIME,
        }
    }

    /// Asks for a scope beside `openid`, or for several with blanks between them.
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

    /// Says how the provider shall send its answer.
    pub fn with_response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = Some(mode);
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

    /// Adds a parameter that only this provider knows. One that the login itself sets is refused by
    /// [`begin`](Self::begin).
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sets how long the login may take, in whole seconds.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Begins the login: draws state, nonce and verifier, and builds the address to open.
    pub fn begin(self, random: &mut impl Random, now: SystemTime) -> Result<Authorization, Error> {
        let metadata = self.client.provider().metadata();
        if metadata.wants_pushed_authorization {
            return Err(Misuse::PushRequired.into());
        }
        let pending = self.draw(random, now)?;
        let mut url = metadata.authorization_endpoint().clone();
        url.query_pairs_mut()
            .extend_pairs(self.wishes())
            .append_pair("client_id", &pending.client_id)
            // Opened for the address, where the protocol wants them.
            .append_pair("state", pending.state.expose_secret())
            .append_pair("nonce", pending.nonce.expose_secret())
            .append_pair("code_challenge", &pkce::challenge(&pending.verifier))
            .append_pair("code_challenge_method", pkce::METHOD);
        Ok(Authorization { url, pending })
    }

    /// Begins the login like [`begin`](Self::begin), but leaves everything that is asked for with the provider first
    /// ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)): the address to open holds a reference only, and nobody
    /// on the way can read or change a wish.
    pub async fn push(self, random: &mut impl Random, now: SystemTime) -> Result<Authorization, Error> {
        let pending = self.draw(random, now)?;
        let client = &self.client;
        let endpoint = client.provider().metadata().offered(Endpoint::PushedAuthorization)?;
        let authentication = client.authentication(now).await?;
        let mut form =
            ClientForm::new(Endpoint::PushedAuthorization, endpoint, client.client_id(), authentication);
        for (name, value) in self.wishes() {
            form = form.with(name, value);
        }
        let form = form
            .with_secret("state", pending.state.clone())
            .with_secret("nonce", pending.nonce.clone())
            .with("code_challenge", pkce::challenge(&pending.verifier))
            .with("code_challenge_method", pkce::METHOD);
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
            created_at: now,
            lifetime: self.lifetime,
        })
    }

    /// Returns what is asked for, without what is secret.
    fn wishes(&self) -> Vec<(&str, String)> {
        let mut wishes: Vec<(&str, String)> = vec![
            ("response_type", "code".to_owned()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("scope", self.scopes.join(" ")),
        ];
        wishes.extend(self.optional_parameters());
        wishes.extend(self.resources.iter().map(|resource| ("resource", resource.clone())));
        wishes.extend(self.parameters.iter().map(|(name, value)| (name.as_str(), value.clone())));
        wishes
    }

    fn optional_parameters(&self) -> impl Iterator<Item = (&str, String)> {
        let prompts = self.prompts.iter().map(|prompt| prompt.name()).collect::<Vec<_>>().join(" ");
        let mode = self.response_mode.map(|mode| match mode {
            ResponseMode::Query => "query".to_owned(),
            ResponseMode::Fragment => "fragment".to_owned(),
            ResponseMode::FormPost => "form_post".to_owned(),
        });
        [
            ("response_mode", mode),
            ("prompt", Some(prompts).filter(|text| !text.is_empty())),
            ("login_hint", self.login_hint.clone()),
            ("max_age", self.max_age.map(|max_age| max_age.as_secs().to_string())),
            ("acr_values", Some(self.acr_values.join(" ")).filter(|text| !text.is_empty())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
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
        let mut seen = RESERVED.to_vec();
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
const RESERVED: [&str; 17] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
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
#[non_exhaustive]
pub struct Authorization {
    /// The address to open in the person's browser. Never fetch it.
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
