//! What a provider says about itself.

use latchkey_transport::{Exchange, Method, Replay, Reply, Request};
use serde::Deserialize;
use url::Url;

use crate::text::printable;
use crate::{Endpoint, Error, Misbehaviour, Misuse, pkce};

/// Fetches a provider's metadata
/// ([OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
///
/// ```
/// use latchkey_oidc_flow::Discover;
/// use latchkey_transport::{Exchange, Reply};
///
/// let discover = Discover::new("https://id.example/realms/team")?;
/// assert_eq!(discover.request().path(), "/realms/team/.well-known/openid-configuration");
///
/// let forged = Reply::new(200, r#"{"issuer": "https://evil.example"}"#);
/// assert_eq!(discover.receive(forged).unwrap_err().code(), "oidc_provider_issuer_mismatch");
/// # Ok::<(), latchkey_oidc_flow::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Discover {
    issuer: String,
    address: Url,
}

impl Discover {
    /// Takes the issuer exactly as the provider writes it: `https://id.example` and `https://id.example/` are two.
    ///
    /// It is an `https` address, or an `http` one on loopback, without query and fragment.
    pub fn new(issuer: &str) -> Result<Self, Error> {
        let invalid = || Misuse::InvalidIssuer { issuer: printable(issuer, ISSUER_LIMIT) };
        // The issuer alone has to be an address, or the path that is appended would be taken for its host.
        if issuer.contains(['?', '#']) || !issuer.contains("://") || Url::parse(issuer).is_err() {
            return Err(invalid().into());
        }
        // Discovery, 4.1: "If the Issuer value contains a path component, any terminating / MUST be removed before
        // appending /.well-known/openid-configuration."
        let address =
            format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let address = Url::parse(&address).ok().filter(is_safe).ok_or_else(invalid)?;
        Ok(Self { issuer: issuer.to_owned(), address })
    }
}

impl Exchange for Discover {
    type Output = Metadata;
    type Error = Error;

    fn request(&self) -> Request {
        Request::for_url(Method::Get, self.address.clone()).with_header("accept", "application/json")
    }

    fn receive(self, reply: Reply) -> Result<Metadata, Error> {
        if reply.status() != 200 {
            return Err(Misbehaviour::Status { endpoint: Endpoint::Discovery, status: reply.status() }.into());
        }
        Metadata::parse(&self.issuer, reply.body())
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// What a provider says about itself, as far as it is needed here. Everything else in it is ignored.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) introspection_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    pub(crate) device_authorization_endpoint: Option<Url>,
    pub(crate) pushed_authorization_endpoint: Option<Url>,
    pub(crate) wants_pushed_authorization: bool,
    pub(crate) names_itself_in_callbacks: bool,
    pub(crate) token_endpoint_auth_methods: Vec<String>,
}

impl Metadata {
    /// Reads a discovery document and checks that it is that of `issuer`: compared as text, sign by sign, since a
    /// comparison that forgives is one that an attacker can use.
    pub fn parse(issuer: &str, document: &[u8]) -> Result<Self, Error> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|_| Misbehaviour::MalformedReply { endpoint: Endpoint::Discovery })?;
        let found = document.issuer.ok_or(missing("issuer"))?;
        if found != issuer {
            let found = printable(&found, ISSUER_LIMIT);
            return Err(Misbehaviour::IssuerMismatch { expected: issuer.to_owned(), found }.into());
        }
        if document
            .code_challenge_methods_supported
            .is_some_and(|methods| !methods.iter().any(|m| m == pkce::METHOD))
        {
            return Err(Misbehaviour::PkceUnsupported.into());
        }
        Ok(Self {
            issuer: found,
            authorization_endpoint: endpoint(
                issuer,
                "authorization_endpoint",
                document.authorization_endpoint,
            )?,
            token_endpoint: endpoint(issuer, "token_endpoint", document.token_endpoint)?,
            jwks_uri: endpoint(issuer, "jwks_uri", document.jwks_uri)?,
            userinfo_endpoint: optional(issuer, "userinfo_endpoint", document.userinfo_endpoint)?,
            revocation_endpoint: optional(issuer, "revocation_endpoint", document.revocation_endpoint)?,
            introspection_endpoint: optional(
                issuer,
                "introspection_endpoint",
                document.introspection_endpoint,
            )?,
            end_session_endpoint: optional(issuer, "end_session_endpoint", document.end_session_endpoint)?,
            device_authorization_endpoint: optional(
                issuer,
                "device_authorization_endpoint",
                document.device_authorization_endpoint,
            )?,
            pushed_authorization_endpoint: optional(
                issuer,
                "pushed_authorization_request_endpoint",
                document.pushed_authorization_request_endpoint,
            )?,
            wants_pushed_authorization: document.require_pushed_authorization_requests.unwrap_or(false),
            names_itself_in_callbacks: document
                .authorization_response_iss_parameter_supported
                .unwrap_or(false),
            token_endpoint_auth_methods: document.token_endpoint_auth_methods_supported.unwrap_or_default(),
        })
    }

    /// Returns the issuer, sign by sign as the provider writes it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the address of the page where people sign in.
    pub fn authorization_endpoint(&self) -> &Url {
        &self.authorization_endpoint
    }

    /// Returns the address where a code becomes tokens.
    pub fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Returns the address of the provider's keys.
    pub fn jwks_uri(&self) -> &Url {
        &self.jwks_uri
    }

    /// Returns the address of an endpoint, where the provider has it. Discovery itself has none here.
    pub fn endpoint(&self, endpoint: Endpoint) -> Option<&Url> {
        match endpoint {
            Endpoint::Discovery => None,
            Endpoint::Authorization => Some(&self.authorization_endpoint),
            Endpoint::Token => Some(&self.token_endpoint),
            Endpoint::Keys => Some(&self.jwks_uri),
            Endpoint::UserInfo => self.userinfo_endpoint.as_ref(),
            Endpoint::Revocation => self.revocation_endpoint.as_ref(),
            Endpoint::Introspection => self.introspection_endpoint.as_ref(),
            Endpoint::EndSession => self.end_session_endpoint.as_ref(),
            Endpoint::DeviceAuthorization => self.device_authorization_endpoint.as_ref(),
            Endpoint::PushedAuthorization => self.pushed_authorization_endpoint.as_ref(),
        }
    }

    pub(crate) fn offered(&self, endpoint: Endpoint) -> Result<Url, Error> {
        self.endpoint(endpoint).cloned().ok_or(Error::NotOffered { endpoint })
    }
}

/// How much of a foreign issuer is shown.
pub(crate) const ISSUER_LIMIT: usize = 256;

/// The members that are read. A member of another type than the standard's makes the whole document unreadable.
#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    require_pushed_authorization_requests: Option<bool>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

fn missing(field: &'static str) -> Misbehaviour {
    Misbehaviour::FieldMissing { endpoint: Endpoint::Discovery, field }
}

/// A provider elsewhere may not send us to a port of this machine: only a provider that is here itself has one.
fn endpoint(issuer: &str, field: &'static str, address: Option<String>) -> Result<Url, Misbehaviour> {
    let url = Url::parse(&address.ok_or(missing(field))?).map_err(|_| missing(field))?;
    let is_no_step_down = url.scheme() == "https" || issuer.starts_with("http://");
    if is_no_step_down && is_safe(&url) { Ok(url) } else { Err(Misbehaviour::InsecureEndpoint { field }) }
}

fn optional(issuer: &str, field: &'static str, address: Option<String>) -> Result<Option<Url>, Misbehaviour> {
    let address = address.filter(|address| !address.is_empty());
    address.map(|address| endpoint(issuer, field, Some(address))).transpose()
}

/// Returns whether secrets may be sent there: `https`, or `http` that does not leave this machine; no password in
/// the address, and no fragment, which RFC 6749, 3.1 forbids.
pub(crate) fn is_safe(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && Request::for_url(Method::Get, url.clone()).check(false).is_ok()
}
