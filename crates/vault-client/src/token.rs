//! Tokens, and what a token can do about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use latchkey_transport::{Exchange, Method, Replay, Reply, Request, Secret};
use serde::Deserialize;

use crate::messages::Messages;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, TokenProblem, Vault};

/// A token of the server, fit to be sent.
///
/// ```
/// use latchkey_vault_client::Token;
///
/// let token = Token::new("hvs.EXAMPLE\n")?; // as it stands in a file
/// assert_eq!(token.expose_secret(), "hvs.EXAMPLE");
/// assert_eq!(format!("{token:?}"), "Token(…)");
/// assert!(Token::new("  ").is_err());
/// # Ok::<(), latchkey_vault_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Token(Secret);

impl Token {
    /// Takes a token over, without the space around it.
    ///
    /// Fails with [`Error::InvalidToken`] where nothing is left, or where a sign is in it that no token has.
    pub fn new(text: impl Into<Secret>) -> Result<Self, Error> {
        let text = text.into();
        // Opened to look for signs that a header cannot hold.
        let trimmed = text.expose_secret().trim();
        if trimmed.is_empty() {
            return Err(Error::InvalidToken { problem: TokenProblem::Empty });
        }
        if !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::InvalidToken { problem: TokenProblem::Unprintable });
        }
        if trimmed.len() < text.expose_secret().len() {
            Ok(Self(Secret::new(trimmed)))
        } else {
            Ok(Self(text))
        }
    }

    /// Returns the token's text.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// How long a token lives, counted from when the request for it was *sent*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The life that is left, in whole seconds. Zero means that it does not end, as with a root token.
    pub duration: Duration,
    /// Whether the token can be renewed.
    pub renewable: bool,
}

impl Lease {
    pub(crate) fn new(seconds: u64, renewable: bool) -> Self {
        Self { duration: Duration::from_secs(seconds), renewable }
    }

    /// Returns the life that is left, or `None` where it does not end.
    pub fn time_to_live(&self) -> Option<Duration> {
        (!self.duration.is_zero()).then_some(self.duration)
    }
}

/// The kind of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// Stored by the server, renewable, revocable.
    Service,
    /// Carries everything in itself: neither renewable nor revocable.
    Batch,
    /// A kind that this version does not know.
    Other(String),
}

impl From<&str> for TokenType {
    fn from(text: &str) -> Self {
        match text {
            "service" => Self::Service,
            "batch" => Self::Batch,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What a token can do about itself. Made by [`Vault::token`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token>
#[derive(Clone, Copy, Debug)]
pub struct TokenAuth<'a> {
    vault: &'a Vault,
}

impl<'a> TokenAuth<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Returns what the server knows of the token. A token with a limited number of uses spends one.
    pub async fn lookup_self(&self) -> Result<TokenInfo, Error> {
        self.vault.perform(LookupSelf).await
    }

    /// Renews the token, so that it lives for `increment` from now if the server's limits allow it.
    ///
    /// The increment is always sent: without one the server repeats what was granted *last*. A lease shorter than
    /// the increment is how the server says that the token's greatest age is near.
    ///
    /// Fails with [`Error::NotRenewable`] where the token never could be renewed, or no longer can.
    pub async fn renew_self(&self, increment: Duration) -> Result<Renewal, Error> {
        self.vault.perform(RenewSelf::new(increment)).await
    }

    /// Revokes the token and everything that was made with it. That it is dead already counts as success where the
    /// server says so in words; `OpenBao` calls it [`Error::PermissionDenied`].
    pub async fn revoke_self(&self) -> Result<(), Error> {
        self.vault.perform(RevokeSelf).await
    }
}

/// What the server knows of a token.
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The accessor: names the token without being it, and may be logged.
    pub accessor: String,
    /// How long it lives.
    pub lease: Lease,
    /// The longest life that it may have, counted from when it was made; `None` where only the mount's limit counts.
    pub explicit_max_ttl: Option<Duration>,
    /// The span by which a periodic token is renewed.
    pub period: Option<Duration>,
    /// When it ends, as the server writes it (RFC 3339); `None` where it does not.
    pub expire_time: Option<String>,
    /// When it was made, in seconds since 1970 by the server's clock.
    pub creation_time: u64,
    /// How many uses are left after this one; zero where they are not counted.
    pub num_uses: u64,
    /// The policies of the token itself.
    pub policies: Vec<String>,
    /// The policies that come from the entity and its groups.
    pub identity_policies: Vec<String>,
    /// The entity that the token stands for; empty where there is none.
    pub entity_id: String,
    /// A name for people.
    pub display_name: String,
    /// The path by which it was made, such as `auth/oidc/oidc/callback`.
    pub path: String,
    /// Whether it has no parent that takes it along when revoked.
    pub orphan: bool,
    /// Its kind.
    pub token_type: TokenType,
    /// What the auth method noted about it.
    pub metadata: BTreeMap<String, String>,
}

/// Leaves out what names a person: `display_name` and the values of `metadata`.
impl fmt::Debug for TokenInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenInfo")
            .field("accessor", &self.accessor)
            .field("lease", &self.lease)
            .field("explicit_max_ttl", &self.explicit_max_ttl)
            .field("period", &self.period)
            .field("expire_time", &self.expire_time)
            .field("num_uses", &self.num_uses)
            .field("policies", &self.policies)
            .field("identity_policies", &self.identity_policies)
            .field("path", &self.path)
            .field("orphan", &self.orphan)
            .field("token_type", &self.token_type)
            .field("metadata", &self.metadata.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What a renewal granted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renewal {
    /// The new lease.
    pub lease: Lease,
    /// What the server wants noted, such as that a limit cut the lease short. It may also cut without a warning.
    pub warnings: Messages,
}

/// `GET auth/token/lookup-self`
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupSelf;

impl Exchange for LookupSelf {
    type Output = TokenInfo;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/auth/token/lookup-self")
    }

    fn receive(self, reply: Reply) -> Result<TokenInfo, Error> {
        const WANTED: &str = "what a server knows of a token";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        let Some(info) = envelope.data_as::<TokenInfoReply<'_>>() else {
            return Err(reply::malformed(&reply, WANTED));
        };
        Ok(info.into_info())
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST auth/token/renew-self`
#[derive(Clone, Copy, Debug)]
pub struct RenewSelf {
    seconds: u64,
}

impl RenewSelf {
    /// Asks for that much life from now, in whole seconds, rounded up: zero would mean "as last time".
    pub fn new(increment: Duration) -> Self {
        let whole = increment.as_secs();
        let seconds = if increment.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole };
        Self { seconds: seconds.max(1) }
    }
}

impl Exchange for RenewSelf {
    type Output = Renewal;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/auth/token/renew-self")
            .with_body(JSON, format!(r#"{{"increment":{}}}"#, self.seconds))
    }

    fn receive(self, reply: Reply) -> Result<Renewal, Error> {
        const WANTED: &str = "a renewed token";
        let envelope = Envelope::read(&reply, &[], WANTED).map_err(renewal_refused)?;
        let Some(auth) = envelope.auth_as::<RenewalReply>() else {
            return Err(reply::malformed(&reply, WANTED));
        };
        Ok(Renewal {
            lease: Lease::new(auth.lease_duration, auth.renewable),
            warnings: envelope.warnings(&[]),
        })
    }

    /// A second renewal grants what the first one did.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST auth/token/revoke-self`
#[derive(Clone, Copy, Debug, Default)]
pub struct RevokeSelf;

impl Exchange for RevokeSelf {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/auth/token/revoke-self")
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        match reply::accept(&reply, &[]) {
            // The first attempt came through and only its reply was lost.
            Err(Error::TokenInvalid(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// A second revocation is answered as for any dead token, which would hide that the first one worked.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// Sorts what a server says of a token that it will not renew, some of it with status 500.
fn renewal_refused(error: Error) -> Error {
    const LASTING: [&str; 5] = [
        "is not renewable",
        "cannot be renewed",
        "past the max TTL",
        "does not exist during renewal",
        "lease expired",
    ];
    const DEAD: [&str; 3] = ["token not found", "lease not found", "invalid lease ID"];
    let (Error::InvalidRequest(refusal) | Error::ServerFault(refusal)) = error else { return error };
    let says =
        |texts: &[&str]| refusal.messages.iter().any(|said| texts.iter().any(|text| said.contains(text)));
    match refusal.status {
        400 if says(&DEAD) => Error::TokenInvalid(refusal),
        400 | 500 if says(&LASTING) => Error::NotRenewable(refusal),
        400 => Error::InvalidRequest(refusal),
        _ => Error::ServerFault(refusal),
    }
}

#[derive(Deserialize)]
struct RenewalReply {
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct TokenInfoReply<'a> {
    accessor: String,
    ttl: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    explicit_max_ttl: u64,
    #[serde(default)]
    period: u64,
    #[serde(default)]
    expire_time: Option<String>,
    #[serde(default)]
    creation_time: u64,
    #[serde(default)]
    num_uses: u64,
    #[serde(default)]
    policies: Option<Vec<String>>,
    #[serde(default)]
    identity_policies: Option<Vec<String>>,
    #[serde(default)]
    entity_id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    orphan: bool,
    #[serde(default, rename = "type")]
    token_type: &'a str,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

impl TokenInfoReply<'_> {
    fn into_info(self) -> TokenInfo {
        let span = |seconds| (seconds > 0).then(|| Duration::from_secs(seconds));
        TokenInfo {
            accessor: self.accessor,
            lease: Lease::new(self.ttl, self.renewable),
            explicit_max_ttl: span(self.explicit_max_ttl),
            period: span(self.period),
            expire_time: self.expire_time,
            creation_time: self.creation_time,
            num_uses: self.num_uses,
            policies: self.policies.unwrap_or_default(),
            identity_policies: self.identity_policies.unwrap_or_default(),
            entity_id: self.entity_id,
            display_name: self.display_name,
            path: self.path,
            orphan: self.orphan,
            token_type: TokenType::from(self.token_type),
            metadata: self.meta.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_a_header_cannot_hold_is_refused_and_not_shown() {
        for (text, expected) in [
            ("", TokenProblem::Empty),
            (" \r\n", TokenProblem::Empty),
            ("hvs.a b", TokenProblem::Unprintable),
            ("hvs.a\nb", TokenProblem::Unprintable),
            ("hvs.ä", TokenProblem::Unprintable),
            ("hvs.\u{7f}", TokenProblem::Unprintable),
        ] {
            let error = Token::new(text).unwrap_err();
            assert!(matches!(error, Error::InvalidToken { problem } if problem == expected), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("hvs"));
        }
    }

    #[test]
    fn the_space_around_a_token_is_no_part_of_it() {
        assert_eq!(Token::new("\t hvs.abc\r\n").unwrap().expose_secret(), "hvs.abc");
    }

    #[test]
    fn a_token_looks_up_renews_and_revokes_itself() {
        let lookup = LookupSelf.request();
        assert_eq!((lookup.method(), lookup.path()), (Method::Get, "/v1/auth/token/lookup-self"));
        let revoke = RevokeSelf.request();
        assert_eq!((revoke.method(), revoke.path()), (Method::Post, "/v1/auth/token/revoke-self"));
        let renew = RenewSelf::new(Duration::from_secs(3600)).request();
        assert_eq!((renew.method(), renew.path()), (Method::Post, "/v1/auth/token/renew-self"));
        assert_eq!(renew.body().unwrap().expose_secret(), br#"{"increment":3600}"#);
    }

    #[test]
    fn an_increment_is_never_rounded_to_as_last_time() {
        let seconds = |increment| RenewSelf::new(increment).seconds;
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn what_the_server_knows_of_a_root_token() {
        let body = r#"{"data":{"accessor":"acc","creation_time":1795400823,"creation_ttl":0,"display_name":"token",
            "entity_id":"","expire_time":null,"explicit_max_ttl":0,"id":"hush","meta":null,"num_uses":0,"orphan":true,
            "path":"auth/token/create","policies":["root"],"renewable":false,"ttl":0,"type":"service"}}"#;
        let info = LookupSelf.receive(Reply::new(200, body)).unwrap();
        assert_eq!(info.lease.time_to_live(), None, "a lease of zero does not end");
        assert_eq!(
            (info.accessor.as_str(), info.policies.as_slice()),
            ("acc", ["root".to_owned()].as_slice())
        );
        assert_eq!(
            (info.token_type.clone(), info.explicit_max_ttl, info.period),
            (TokenType::Service, None, None)
        );
        assert!(!format!("{info:?}").contains("hush"));
    }

    #[test]
    fn what_the_server_knows_of_a_periodic_token() {
        let body = r#"{"data":{"accessor":"acc","creation_time":1,"expire_time":"2026-11-23T03:27:08Z","id":"s.x",
            "explicit_max_ttl":8,"period":4,"num_uses":2,"policies":["default"],"identity_policies":["reader"],
            "renewable":true,"ttl":3,"type":"batch","meta":{"role":"a"}}}"#;
        let info = LookupSelf.receive(Reply::new(200, body)).unwrap();
        assert_eq!(info.lease, Lease::new(3, true));
        assert_eq!(info.period, Some(Duration::from_secs(4)));
        assert_eq!(info.explicit_max_ttl, Some(Duration::from_secs(8)));
        assert_eq!((info.num_uses, info.token_type), (2, TokenType::Batch));
        assert_eq!(info.metadata["role"], "a");
    }

    #[test]
    fn a_renewal_tells_its_lease_and_its_limits() {
        let body = r#"{"warnings":["TTL of \"4s\" exceeded the effective max_ttl of \"2s\"; TTL value is capped accordingly"],
            "auth":{"client_token":"hush","lease_duration":2,"renewable":true}}"#;
        let renewal = RenewSelf::new(Duration::from_secs(4)).receive(Reply::new(200, body)).unwrap();
        assert_eq!(renewal.lease, Lease::new(2, true));
        assert!(renewal.warnings.to_string().contains("capped accordingly"));
        assert!(!format!("{renewal:?}").contains("hush"));
    }

    #[test]
    fn a_renewal_that_will_never_succeed_says_so() {
        let code = |status, said: &str| {
            let reply = Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#));
            RenewSelf::new(Duration::from_secs(1)).receive(reply).unwrap_err().code()
        };
        for (status, said, expected) in [
            (400, "lease is not renewable", "vault_not_renewable"),
            (400, "batch tokens cannot be renewed", "vault_not_renewable"),
            (400, "lease expired", "vault_not_renewable"),
            (500, r"1 error occurred:\n\t* past the max TTL, cannot renew\n\n", "vault_not_renewable"),
            (500, r"role x does not exist during renewal", "vault_not_renewable"),
            (400, "token not found", "vault_token_invalid"),
            (400, "invalid lease ID", "vault_token_invalid"),
            (400, "something else", "vault_invalid_request"),
            (500, "something else", "vault_server_fault"),
            (403, "permission denied", "vault_permission_denied"),
        ] {
            assert_eq!(code(status, said), expected, "{status} {said}");
        }
    }

    #[test]
    fn a_token_that_is_dead_already_counts_as_revoked_where_the_server_says_so() {
        let receive = |status, body: &str| RevokeSelf.receive(Reply::new(status, body));
        assert!(receive(204, "").is_ok());
        assert!(receive(403, r#"{"errors":["permission denied\n* invalid token"]}"#).is_ok());
        assert!(matches!(
            receive(403, r#"{"errors":["permission denied"]}"#),
            Err(Error::PermissionDenied(_))
        ));
    }

    #[test]
    fn a_good_status_with_another_body_is_malformed() {
        for body in ["", "{}", "<html>", r#"{"data":{}}"#, r#"{"data":{"accessor":1}}"#, r#"{"auth":{}}"#] {
            let lookup = LookupSelf.receive(Reply::new(200, body)).unwrap_err();
            assert_eq!(lookup.code(), "vault_malformed_reply", "{body}");
            let renewal = RenewSelf::new(Duration::ZERO).receive(Reply::new(200, body)).unwrap_err();
            assert_eq!(renewal.code(), "vault_malformed_reply", "{body}");
        }
    }
}
