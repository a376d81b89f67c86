//! Renewing tokens.

use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Deserialize;

use super::{about_the_named, naming, naming_accessor};
use crate::messages::Messages;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Lease, Token, duration};

/// What a renewal granted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renewal {
    /// The new lease.
    pub lease: Lease,
    /// What the server wants noted, such as that a limit cut the lease short. It may also cut without a warning.
    pub warnings: Messages,
}

impl Renewal {
    fn receive(reply: &Reply, sent: &[&Secret]) -> Result<Self, Error> {
        const WANTED: &str = "a renewed token";
        let envelope = Envelope::read(reply, sent, WANTED)?;
        let auth = envelope.auth_as::<RenewalReply>().ok_or_else(|| reply::malformed(reply, WANTED))?;
        let lease = Lease::new(auth.lease_duration, auth.renewable);
        Ok(Self { lease, warnings: envelope.warnings(sent) })
    }
}

/// `POST auth/token/renew-self`
///
/// A second one grants what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::NotRenewable`], and with [`Error::TokenInvalid`] where the token is dead.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token-self>
#[derive(Clone, Copy, Debug)]
pub struct RenewSelf {
    seconds: u64,
}

impl RenewSelf {
    /// Asks for that much life from now, in whole seconds, rounded up: zero would mean "as last time".
    pub fn new(increment: Duration) -> Self {
        Self { seconds: asked(increment) }
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
        Renewal::receive(&reply, &[]).map_err(renewal_refused)
    }

    /// A second renewal grants what the first one did.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST auth/token/renew` and `POST auth/token/renew-accessor`: renews another token.
///
/// A second one grants what the first did, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::NotRenewable`], and with [`Error::UnknownToken`] where there is no such token.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token>
#[derive(Clone, Debug)]
pub struct RenewToken {
    path: &'static str,
    body: Body,
    token: Option<Secret>,
}

impl RenewToken {
    /// Asks for that much life from now for a token, in whole seconds, rounded up.
    pub fn new(token: &Token, increment: Duration) -> Result<Self, Error> {
        Ok(Self {
            path: "/v1/auth/token/renew",
            body: naming(token, Some(asked(increment)))?,
            token: Some(token.secret().clone()),
        })
    }

    /// The same for the token with that accessor.
    pub fn by_accessor(accessor: &str, increment: Duration) -> Result<Self, Error> {
        let body = naming_accessor(accessor, Some(asked(increment)))?;
        Ok(Self { path: "/v1/auth/token/renew-accessor", body, token: None })
    }
}

impl Exchange for RenewToken {
    type Output = Renewal;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Renewal, Error> {
        let sent: Vec<&Secret> = self.token.iter().collect();
        Renewal::receive(&reply, &sent).map_err(|error| renewal_refused(about_the_named(error)))
    }

    /// A second renewal grants what the first one did.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Returns the seconds to ask for: zero would mean "as last time".
fn asked(increment: Duration) -> u64 {
    duration::seconds(increment).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increment_is_never_rounded_to_as_last_time() {
        let seconds = |increment| RenewSelf::new(increment).seconds;
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::MAX), u64::MAX);
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
    fn another_token_is_renewed_by_itself_or_by_its_accessor() {
        let renew = RenewToken::new(&Token::new("s.hush").unwrap(), Duration::from_secs(60)).unwrap();
        assert_eq!(renew.request().path(), "/v1/auth/token/renew");
        assert_eq!(renew.request().body().unwrap().expose_secret(), br#"{"token":"s.hush","increment":60}"#);
        let renew = RenewToken::by_accessor("acc", Duration::from_secs(60)).unwrap();
        assert_eq!(renew.request().path(), "/v1/auth/token/renew-accessor");
        assert_eq!(renew.request().body().unwrap().expose_secret(), br#"{"accessor":"acc","increment":60}"#);
    }

    #[test]
    fn that_another_token_is_dead_or_batch_is_told_apart() {
        let code = |said: &str| {
            let renew = RenewToken::by_accessor("acc", Duration::from_secs(60)).unwrap();
            renew.receive(Reply::new(400, format!(r#"{{"errors":["{said}"]}}"#))).unwrap_err().code()
        };
        assert_eq!(code("token not found"), "vault_unknown_token");
        assert_eq!(code("batch tokens cannot be renewed"), "vault_not_renewable");
    }
}
