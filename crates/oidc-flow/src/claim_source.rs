//! Claims that another party makes about the person.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Method, Perform as _, Replay, Reply, Request, Secret};
use serde_json::{Map, Value};
use url::Url;

use crate::discovery::is_safe;
use crate::id_token::IdToken;
use crate::json::Object;
use crate::{Client, Endpoint, Error, Misbehaviour, Provider, UserInfo, UserInfoProblem, VerifiedIdToken};

/// A party that makes some of the claims about a person
/// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)):
/// which ones, and where they are. Nothing of it is checked: [`Client::claims_of`] does that.
#[derive(Clone)]
pub struct ClaimSource {
    names: Vec<String>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Here(Secret),
    There { endpoint: Url, access_token: Option<Secret> },
}

impl ClaimSource {
    /// How many sources are read: 16. Real answers have one or two.
    const LIMIT: usize = 16;

    /// Returns the names of the claims that it makes
    /// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims),
    /// `_claim_names`).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns where the claims have to be fetched: nothing where they came along (aggregated claims;
    /// [OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims),
    /// `_claim_sources`).
    pub fn endpoint(&self) -> Option<&Url> {
        match &self.place {
            Place::Here(_) => None,
            Place::There { endpoint, .. } => Some(endpoint),
        }
    }

    /// Reads what stands beside the claims. A source that cannot be used, or that no claim names, is left out.
    fn read_all(members: &Map<String, Value>) -> Vec<Self> {
        let (Some(names), Some(sources)) =
            (object(members, "_claim_names"), object(members, "_claim_sources"))
        else {
            return Vec::new();
        };
        let read = |(id, source): (&String, &Value)| {
            let place = Place::read(source.as_object()?)?;
            let is_this = |(_, source): &(&String, &Value)| source.as_str() == Some(id);
            let names: Vec<_> = names.iter().filter(is_this).map(|(name, _)| name.clone()).collect();
            (!names.is_empty()).then_some(Self { names, place })
        };
        sources.iter().filter_map(read).take(Self::LIMIT).collect()
    }
}

impl Place {
    fn read(source: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| source.get(name).and_then(Value::as_str);
        if let Some(token) = text("JWT") {
            return Some(Self::Here(Secret::new(token)));
        }
        let endpoint = Url::parse(text("endpoint")?).ok().filter(is_safe)?;
        Some(Self::There { endpoint, access_token: text("access_token").map(Secret::new) })
    }
}

fn object<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    members.get(name).and_then(Value::as_object)
}

/// Shows where it is, not what it says.
impl fmt::Debug for ClaimSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.endpoint().and_then(Url::host_str);
        formatter
            .debug_struct("ClaimSource")
            .field("names", &self.names)
            .field("host", &host)
            .finish_non_exhaustive()
    }
}

impl UserInfo {
    /// Returns who makes claims about the person beside the provider
    /// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)).
    pub fn claim_sources(&self) -> Vec<ClaimSource> {
        ClaimSource::read_all(self.members())
    }
}

impl VerifiedIdToken {
    /// Returns who makes claims about the person beside the provider
    /// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)).
    pub fn claim_sources(&self) -> Vec<ClaimSource> {
        ClaimSource::read_all(self.members())
    }
}

/// Claims of another party, checked: its signature, and that it is the one that was named.
///
/// Specified in [OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims).
#[derive(Clone)]
pub struct ForeignClaims {
    issuer: String,
    names: Vec<String>,
    members: Object,
}

impl ForeignClaims {
    /// Returns who makes them.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns a claim: one of those that the source was named for, and no other.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.names.iter().find(|this| *this == name).and_then(|name| self.members.member(name))
    }
}

/// Shows who makes them: everything else is about a person.
impl fmt::Debug for ForeignClaims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ForeignClaims")
            .field("issuer", &self.issuer)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Fetches distributed claims.
struct FetchClaims {
    endpoint: Url,
    access_token: Option<Secret>,
}

impl Exchange for FetchClaims {
    type Output = IdToken;
    type Error = Error;

    fn request(&self) -> Request {
        let request =
            Request::for_url(Method::Get, self.endpoint.clone()).with_header("accept", "application/jwt");
        match &self.access_token {
            Some(token) => {
                // Opened for the header, which is secret.
                let bearer = Secret::new(format!("Bearer {}", token.expose_secret()));
                request.with_secret_header("authorization", bearer)
            }
            None => request,
        }
    }

    fn receive(self, reply: Reply) -> Result<IdToken, Error> {
        let endpoint = Endpoint::ClaimSource;
        if reply.status() != 200 {
            return Err(Misbehaviour::Status { endpoint, status: reply.status() }.into());
        }
        let text = str::from_utf8(reply.body()).map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
        Ok(IdToken::parse(text.trim()).map_err(UserInfoProblem::Token)?)
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl Client {
    /// Returns the claims of another party, fetched where they did not come along, and checked: signed by `party`,
    /// whose issuer they must name, for this client where they say for whom, and not expired where they say when
    /// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)).
    ///
    /// Which parties are believed about what is for the caller to know: never discover one that a token names. With
    /// this client's own provider as the party, claims are read that it has signed for itself.
    ///
    /// # Errors
    ///
    /// [`UserInfoProblem::Token`] where the claims do not prove what they should, [`Error::Misbehaved`] where they
    /// cannot be fetched from there, [`Error::Transport`] where they could not be fetched now.
    pub async fn claims_of(
        &self,
        source: &ClaimSource,
        party: &Provider,
        now: SystemTime,
    ) -> Result<ForeignClaims, Error> {
        let token = match &source.place {
            Place::Here(token) => IdToken::parse(token.clone()).map_err(UserInfoProblem::Token)?,
            Place::There { endpoint, access_token } => {
                // A party elsewhere has no endpoint on this machine.
                if endpoint.scheme() != "https" && !party.issuer().starts_with("http://") {
                    return Err(Misbehaviour::InsecureEndpoint { field: "endpoint" }.into());
                }
                let fetch = FetchClaims { endpoint: endpoint.clone(), access_token: access_token.clone() };
                party.transport().perform(fetch).await?
            }
        };
        let members = party.check_foreign_claims(token, self.expectations(), now).await?;
        Ok(ForeignClaims { issuer: party.issuer().to_owned(), names: source.names.clone(), members })
    }
}
