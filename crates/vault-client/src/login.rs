//! What every login gives: a token and what came with it, or why not.

use std::collections::BTreeMap;
use std::fmt;

use latchkey_transport::{Reply, Secret};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::messages::Messages;
use crate::reply::{self, Envelope};
use crate::{Error, Lease, LoginProblem, Token, TokenType};

/// A token, and what came with it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Login {
    pub(crate) token: Token,
    /// The token's accessor: names it without being it, and may be logged. Batch tokens have none.
    pub accessor: String,
    /// Everything that the token may: its own policies and those of its identity.
    pub policies: Vec<String>,
    /// The policies of the token itself.
    pub token_policies: Vec<String>,
    /// The policies that come from the entity and its groups.
    pub identity_policies: Vec<String>,
    /// What the auth method noted: the role, and the claims that it maps.
    pub metadata: BTreeMap<String, String>,
    /// How long the token lives.
    pub lease: Lease,
    /// The entity that the token stands for; empty where there is none.
    pub entity_id: String,
    /// Whether it has no parent that takes it along when revoked.
    pub orphan: bool,
    /// Its kind.
    pub token_type: TokenType,
    /// How often it may be used; `None` where that is not counted.
    pub num_uses: Option<u64>,
    /// What the server wants noted.
    pub warnings: Messages,
}

impl Login {
    /// Returns the token.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Reads a reply to a login.
    pub(crate) fn receive(reply: &Reply, attempt: &Attempt<'_>) -> Result<Self, Error> {
        const WANTED: &str = "a login";
        let envelope = Envelope::read(reply, attempt.sent, WANTED).map_err(|error| attempt.refused(error))?;
        let auth = envelope.auth_as::<AuthReply<'_>>().ok_or_else(|| reply::malformed(reply, WANTED))?;
        if auth.client_token.is_empty() && auth.mfa_requirement.is_some() {
            return Err(attempt.second_factor(reply.status()));
        }
        let login = auth.into_login().map_err(|_| reply::malformed(reply, WANTED))?;
        Ok(Self { warnings: envelope.warnings(attempt.sent), ..login })
    }
}

/// Shows neither the token nor what the metadata say of a person.
impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("accessor", &self.accessor)
            .field("policies", &self.policies)
            .field("metadata", &self.metadata.keys())
            .field("lease", &self.lease)
            .field("token_type", &self.token_type)
            .finish_non_exhaustive()
    }
}

/// The auth block of a reply.
#[derive(Deserialize)]
pub(crate) struct AuthReply<'a> {
    client_token: Secret,
    #[serde(default)]
    accessor: String,
    #[serde(default)]
    policies: Option<Vec<String>>,
    #[serde(default)]
    token_policies: Option<Vec<String>>,
    #[serde(default)]
    identity_policies: Option<Vec<String>>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    entity_id: String,
    #[serde(default)]
    orphan: bool,
    #[serde(borrow, default)]
    token_type: Option<&'a str>,
    #[serde(default)]
    num_uses: i64,
    #[serde(borrow, default)]
    mfa_requirement: Option<&'a RawValue>,
}

impl AuthReply<'_> {
    pub(crate) fn into_login(self) -> Result<Login, Error> {
        Ok(Login {
            token: Token::new(self.client_token)?,
            accessor: self.accessor,
            policies: self.policies.unwrap_or_default(),
            token_policies: self.token_policies.unwrap_or_default(),
            identity_policies: self.identity_policies.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            lease: Lease::new(self.lease_duration, self.renewable),
            entity_id: self.entity_id,
            orphan: self.orphan,
            token_type: self.token_type.map_or(TokenType::Service, TokenType::from),
            num_uses: uses_left(self.num_uses),
            warnings: Messages::default(),
        })
    }
}

/// Returns how often a token may still be used. Servers write zero where it is not counted, and -1 at the last use.
pub(crate) fn uses_left(num_uses: i64) -> Option<u64> {
    (num_uses != 0).then(|| num_uses.try_into().unwrap_or_default())
}

/// A login under way, as its errors tell it.
pub(crate) struct Attempt<'a> {
    pub(crate) mount: &'a str,
    pub(crate) role: Option<&'a str>,
    /// The secrets that the request carried.
    pub(crate) sent: &'a [&'a Secret],
}

impl Attempt<'_> {
    /// Sorts what a server says of a login that it refuses. Both products' wordings; the product's name is skipped.
    pub(crate) fn refused(&self, error: Error) -> Error {
        use LoginProblem as Problem;
        const MEANINGS: &[(&str, Problem)] = &[
            ("Expired or missing OAuth state", Problem::StateExpired),
            ("invalid client_nonce", Problem::ClientNonceMismatch),
            ("Role could not be found", Problem::UnknownRole),
            ("\" could not be found", Problem::UnknownRole),
            ("missing role_id", Problem::CredentialsRejected),
            ("missing role", Problem::MissingRole),
            ("role_type is not allowed", Problem::WrongRoleType),
            ("OIDC login is not configured", Problem::NotConfigured),
            ("ould not load configuration", Problem::NotConfigured),
            ("could not load backend configuration", Problem::NotConfigured),
            // All three stand inside the message about the exchange.
            ("id_token failed verification", Problem::IdTokenRejected),
            ("VerifyIDToken", Problem::IdTokenRejected),
            ("fetching keys", Problem::IdTokenRejected),
            ("Error exchanging oidc code", Problem::CodeRejected),
            ("No code or id_token received", Problem::CodeRejected),
            ("no audiences bound to the role", Problem::AudienceRejected),
            ("invalid audience (aud) claim", Problem::AudienceRejected),
            ("token is expired", Problem::TokenNotValidNow),
            ("token not yet valid", Problem::TokenNotValidNow),
            ("token issued in the future", Problem::TokenNotValidNow),
            ("invalid subject (sub) claim", Problem::ClaimsRejected),
            ("error validating claims", Problem::ClaimsRejected),
            ("not found in token", Problem::ClaimsRejected),
            ("does not match associated bound subject", Problem::ClaimsRejected),
            ("Token verification failed", Problem::TokenRejected),
            ("error validating token", Problem::TokenRejected),
            ("error verifying token", Problem::TokenRejected),
            ("missing token", Problem::TokenRejected),
            ("missing jwt", Problem::TokenRejected),
            ("invalid role name", Problem::UnknownRole),
            ("service account name not authorized", Problem::ClaimsRejected),
            ("namespace not authorized", Problem::ClaimsRejected),
            ("invalid username or password", Problem::CredentialsRejected),
            ("invalid role or secret ID", Problem::CredentialsRejected),
            ("invalid role ID", Problem::CredentialsRejected),
            ("invalid secret id", Problem::CredentialsRejected),
            ("missing password", Problem::CredentialsRejected),
            ("missing secret_id", Problem::CredentialsRejected),
            ("authorization failed", Problem::Cancelled),
        ];
        let meaning = |refusal: &crate::Refusal| {
            let meant = |text| refusal.messages.iter().any(|said| said.contains(text));
            MEANINGS.iter().find(|(text, _)| meant(*text)).map(|(_, problem)| *problem)
        };
        let (problem, refusal) = match error {
            Error::InvalidRequest(refusal) if refusal.status == 400 => {
                (meaning(&refusal).unwrap_or(Problem::Other), refusal)
            }
            // A claim that does not fit can arrive with status 500.
            Error::ServerFault(refusal) if refusal.status == 500 => match meaning(&refusal) {
                Some(problem) => (problem, refusal),
                None => return Error::ServerFault(refusal),
            },
            // No token was sent that could be short of a policy.
            Error::PermissionDenied(refusal)
            | Error::NotFound(refusal)
            | Error::UnsupportedOperation(refusal) => {
                (meaning(&refusal).unwrap_or(Problem::NotServed), refusal)
            }
            other => return other,
        };
        self.error(problem, refusal)
    }

    fn second_factor(&self, status: u16) -> Error {
        let refusal = crate::Refusal { status, messages: Messages::default() };
        self.error(LoginProblem::SecondFactorRequired, refusal)
    }

    fn error(&self, problem: LoginProblem, refusal: crate::Refusal) -> Error {
        let role = self.role.filter(|role| !role.is_empty()).map(str::to_owned);
        Error::LoginRefused { mount: self.mount.to_owned(), role, problem, refusal }
    }
}
