//! The discovery document.

use latchkey_transport::json;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{ISSUER_LIMIT, Rules, Tenants, fits, may_be_asked, rebased};
use crate::text::printable;
use crate::{Endpoint, Error, Misbehaviour, pkce};

/// What a provider says about itself, as far as it is needed here
/// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)).
/// Everything else in it is ignored.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub(crate) issuer: String,
    pub(crate) tenants: Tenants,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    others: Vec<(Endpoint, Url)>,
    mtls_aliases: Vec<(Endpoint, Url)>,
    pub(crate) wants_pushed_authorization: bool,
    pub(crate) names_itself_in_callbacks: bool,
    pub(crate) token_endpoint_auth_methods: Vec<String>,
}

impl Metadata {
    /// Reads a discovery document and checks that it is that of `issuer`: compared as text, sign by sign, since a
    /// comparison that forgives is one that an attacker can use
    /// ([OpenID Connect Discovery, 4.3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation)).
    ///
    /// # Errors
    ///
    /// [`Error::Misbehaved`]: [`Misbehaviour::MalformedReply`], [`Misbehaviour::IssuerMismatch`],
    /// [`Misbehaviour::FieldMissing`], [`Misbehaviour::InsecureEndpoint`] and [`Misbehaviour::PkceUnsupported`].
    pub fn parse(issuer: &str, document: &[u8]) -> Result<Self, Error> {
        Self::read(&Rules { issuer: issuer.to_owned(), ..Rules::default() }, document)
    }

    pub(crate) fn read(rules: &Rules, document: &[u8]) -> Result<Self, Error> {
        let document: Document = json::from_slice(document)
            .map_err(|_| Misbehaviour::MalformedReply { endpoint: Endpoint::Discovery })?;
        let issuer = document.issuer.ok_or(missing("issuer"))?;
        let tenants = rules.tenants_of(&issuer)?;
        if document
            .code_challenge_methods_supported
            .is_some_and(|methods| !methods.iter().any(|method| method == pkce::METHOD))
        {
            return Err(Misbehaviour::PkceUnsupported.into());
        }
        let required = |endpoint, address: Option<String>| {
            rules.endpoint(endpoint, &address.ok_or(missing(endpoint.field()))?)
        };
        let others = [
            (Endpoint::UserInfo, document.userinfo_endpoint),
            (Endpoint::Revocation, document.revocation_endpoint),
            (Endpoint::Introspection, document.introspection_endpoint),
            (Endpoint::EndSession, document.end_session_endpoint),
            (Endpoint::DeviceAuthorization, document.device_authorization_endpoint),
            (Endpoint::PushedAuthorization, document.pushed_authorization_request_endpoint),
            (Endpoint::CheckSession, document.check_session_iframe),
        ];
        let optional = |(endpoint, address): (Endpoint, Option<String>)| {
            let address = address.filter(|address| !address.is_empty())?;
            Some(rules.endpoint(endpoint, &address).map(|url| (endpoint, url)))
        };
        let aliases = match document.mtls_endpoint_aliases {
            None => Map::new(),
            Some(json::Any(Value::Object(aliases))) => aliases,
            Some(_) => return Err(Misbehaviour::MalformedReply { endpoint: Endpoint::Discovery }.into()),
        };
        let mtls_aliases = Endpoint::WITH_ALIASES.into_iter().filter_map(|endpoint| {
            let address = aliases.get(endpoint.field())?;
            optional((endpoint, address.as_str().map(str::to_owned)))
        });
        Ok(Self {
            tenants,
            authorization_endpoint: required(Endpoint::Authorization, document.authorization_endpoint)?,
            token_endpoint: required(Endpoint::Token, document.token_endpoint)?,
            jwks_uri: required(Endpoint::Keys, document.jwks_uri)?,
            others: others.into_iter().filter_map(optional).collect::<Result<_, _>>()?,
            mtls_aliases: mtls_aliases.collect::<Result<_, _>>()?,
            wants_pushed_authorization: document.require_pushed_authorization_requests.unwrap_or(false),
            names_itself_in_callbacks: document
                .authorization_response_iss_parameter_supported
                .unwrap_or(false),
            token_endpoint_auth_methods: document.token_endpoint_auth_methods_supported.unwrap_or_default(),
            issuer,
        })
    }

    /// Uses the addresses that the provider keeps for clients with a certificate
    /// ([RFC 8705, 5](https://www.rfc-editor.org/rfc/rfc8705#section-5)), where it has such: for a transport that
    /// presents one.
    pub fn with_mtls_aliases(mut self) -> Self {
        for (endpoint, alias) in std::mem::take(&mut self.mtls_aliases) {
            if endpoint == Endpoint::Token {
                self.token_endpoint = alias;
            } else if let Some((_, address)) = self.others.iter_mut().find(|(this, _)| *this == endpoint) {
                *address = alias;
            } else {
                self.others.push((endpoint, alias));
            }
        }
        self
    }

    /// Returns the issuer, sign by sign as the provider writes it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the address of the page where people sign in
    /// ([RFC 6749, 3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)).
    pub fn authorization_endpoint(&self) -> &Url {
        &self.authorization_endpoint
    }

    /// Returns the address where a code becomes tokens
    /// ([RFC 6749, 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).
    pub fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Returns the address of the provider's keys
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata),
    /// `jwks_uri`).
    pub fn jwks_uri(&self) -> &Url {
        &self.jwks_uri
    }

    /// Returns the address of an endpoint, where the provider has it
    /// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). Discovery itself and other parties have none
    /// here.
    pub fn endpoint(&self, endpoint: Endpoint) -> Option<&Url> {
        match endpoint {
            Endpoint::Discovery | Endpoint::ClaimSource => None,
            Endpoint::Authorization => Some(&self.authorization_endpoint),
            Endpoint::Token => Some(&self.token_endpoint),
            Endpoint::Keys => Some(&self.jwks_uri),
            other => self.others.iter().find(|(this, _)| *this == other).map(|(_, address)| address),
        }
    }

    pub(crate) fn offered(&self, endpoint: Endpoint) -> Result<Url, Error> {
        self.endpoint(endpoint).cloned().ok_or(Error::NotOffered { endpoint })
    }
}

impl Rules {
    /// Checks whose document it is.
    fn tenants_of(&self, found: &str) -> Result<Tenants, Misbehaviour> {
        if found == self.issuer {
            return Ok(Tenants::None);
        }
        // `https://login.example/common/v2.0` stands for `https://login.example/{tenantid}/v2.0`.
        if self.tenants.are_served() && fits(found, &self.issuer) {
            return Ok(self.tenants.clone());
        }
        let found = printable(found, ISSUER_LIMIT);
        Err(Misbehaviour::IssuerMismatch { expected: self.issuer.clone(), found })
    }

    /// A provider elsewhere may not send us to a port of this machine: only a provider that is here itself has one.
    fn endpoint(&self, endpoint: Endpoint, address: &str) -> Result<Url, Misbehaviour> {
        let field = endpoint.field();
        let mut url = Url::parse(address).map_err(|_| missing(field))?;
        let mut is_no_step_down =
            self.plain_http || url.scheme() == "https" || self.issuer.starts_with("http://");
        if let Some(internal) = self.internal.as_ref().filter(|_| endpoint.is_called_from_here()) {
            let is_the_issuers = Url::parse(&self.issuer).is_ok_and(|issuer| issuer.origin() == url.origin());
            if is_the_issuers {
                url = rebased(internal, &url);
            }
            // The operator has named it.
            is_no_step_down |= url.origin() == internal.origin();
        }
        if is_no_step_down && may_be_asked(&url, self.plain_http) {
            Ok(url)
        } else {
            Err(Misbehaviour::InsecureEndpoint { field })
        }
    }
}

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
    check_session_iframe: Option<String>,
    mtls_endpoint_aliases: Option<json::Any>,
    require_pushed_authorization_requests: Option<bool>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

fn missing(field: &'static str) -> Misbehaviour {
    Misbehaviour::FieldMissing { endpoint: Endpoint::Discovery, field }
}
