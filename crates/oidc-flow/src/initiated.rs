//! A login that somebody else's page begins.

use std::fmt;

use url::{Url, form_urlencoded};

use crate::discovery::fits;
use crate::{Authorize, CallbackParams, CallbackProblem, Misuse};

/// A call of this client's `initiate_login_uri`, read: a provider's portal, or any other page, sends the person here to
/// sign in
/// ([OpenID Connect Core, 4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)).
///
/// Anybody can send it. It begins an ordinary login, and everything of that is checked as ever.
#[derive(Clone)]
pub struct InitiatedLogin {
    issuer: String,
    login_hint: Option<String>,
    target: Option<Url>,
}

impl InitiatedLogin {
    /// Reads the query of the call, or the body of a form: both methods are allowed.
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::TooLong`], [`CallbackProblem::DuplicateParameter`], [`CallbackProblem::IssuerMissing`] where
    /// no provider is named, and [`CallbackProblem::Malformed`] where the target is no address.
    pub fn parse(encoded: &str) -> Result<Self, CallbackProblem> {
        if encoded.len() > CallbackParams::LIMIT {
            return Err(CallbackProblem::TooLong { limit: CallbackParams::LIMIT });
        }
        let (mut issuer, mut login_hint, mut target) = (None, None, None);
        for (name, value) in form_urlencoded::parse(encoded.as_bytes()) {
            let (parameter, place) = match &*name {
                "iss" => ("iss", &mut issuer),
                "login_hint" => ("login_hint", &mut login_hint),
                "target_link_uri" => ("target_link_uri", &mut target),
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(CallbackProblem::DuplicateParameter { parameter });
            }
        }
        let target =
            target.map(|target| Url::parse(&target).map_err(|_| CallbackProblem::Malformed)).transpose()?;
        Ok(Self { issuer: issuer.ok_or(CallbackProblem::IssuerMissing)?, login_hint, target })
    }

    /// Returns the provider to sign in with: one that this program knows already, compared sign by sign. Never discover
    /// one that a stranger names.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns where the person wants to go after the login, if that is a page of the same scheme, host and port as
    /// `own`. Core, 4: "RPs MUST verify the value of the `target_link_uri` to prevent being used as an open redirector to
    /// external sites."
    pub fn target_within(&self, own: &Url) -> Option<&Url> {
        // What has no host has an origin that equals nothing.
        self.target.as_ref().filter(|target| target.origin().is_tuple() && target.origin() == own.origin())
    }
}

/// Shows the issuer: hint and target are about a person.
impl fmt::Debug for InitiatedLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InitiatedLogin").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Authorize {
    /// Begins the login that somebody else's page asked for, with the hint that it gave
    /// ([OpenID Connect Core, 4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)).
    ///
    /// Fails with [`Misuse::OtherIssuer`] where it names another provider than this client's.
    pub fn initiated_by(self, login: &InitiatedLogin) -> Result<Self, Misuse> {
        if !fits(self.issuer(), &login.issuer) {
            return Err(Misuse::OtherIssuer);
        }
        Ok(match &login.login_hint {
            Some(hint) => self.with_login_hint(hint),
            None => self,
        })
    }
}
