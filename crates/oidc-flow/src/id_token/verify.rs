//! What an ID token must say.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::Secret;
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use super::signature::{SignatureCheck, Verifier, VerifierError};
use super::{Algorithm, IdToken, IdTokenProblem, KeySet, VerifiedIdToken, point_in_time, seconds};
use crate::discovery::{ISSUER_LIMIT, Tenants, fits, of_tenant};
use crate::json::Object;
use crate::text::printable;
use crate::{Error, Metadata, Misuse};

/// What an ID token must say to be taken
/// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
///
/// The checks are the crate's own. The engine behind [`Verifier`] sees the signature only.
#[derive(Clone, Debug)]
pub struct Expectations {
    issuer: String,
    tenants: Tenants,
    client_id: String,
    algorithms: Vec<Algorithm>,
    trusted_audiences: Vec<String>,
    leeway: Duration,
    nonce: Option<Secret>,
    max_age: Option<Duration>,
    acr_values: Vec<String>,
}

impl Expectations {
    /// How far two clocks may be apart unless said otherwise: 30 s
    /// ([RFC 7519, 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)). Machines that keep time at all are
    /// within a second; a clock that is minutes off should be noticed.
    pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

    /// The greatest leeway: five minutes, where [RFC 7519, 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)
    /// says "no more than a few minutes". A clock that is off by more has to be set; a token that is accepted for longer
    /// than it lives is no check.
    pub const GREATEST_LEEWAY: Duration = Duration::from_secs(5 * 60);

    /// Expects a token of that issuer for that client, signed with `RS256`.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            tenants: Tenants::None,
            client_id: client_id.into(),
            algorithms: vec![Algorithm::Rs256],
            trusted_audiences: Vec::new(),
            leeway: Self::DEFAULT_LEEWAY,
            nonce: None,
            max_age: None,
            acr_values: Vec::new(),
        }
    }

    /// Returns the issuer that is expected.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Takes the issuer for a pattern with `{tenantid}` in it, as Microsoft Entra writes it, and takes tokens of these
    /// tenants: `tid` must be one of them, and `iss` the issuer of that one.
    pub fn with_tenants(self, tenants: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.of_tenants(Tenants::Only(tenants.into_iter().map(Into::into).collect()))
    }

    pub(crate) fn of_tenants(mut self, tenants: Tenants) -> Self {
        self.tenants = tenants;
        self
    }

    /// Sets the algorithms that are allowed, in place of `RS256`.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Allows one more audience beside the client: whoever it is can use the token, too.
    pub fn with_trusted_audience(mut self, audience: impl Into<String>) -> Self {
        self.trusted_audiences.push(audience.into());
        self
    }

    /// Sets how far the two clocks may be apart: at most [`GREATEST_LEEWAY`](Self::GREATEST_LEEWAY).
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(Self::GREATEST_LEEWAY);
        self
    }

    /// Expects the nonce of a login
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation),
    /// `nonce`).
    pub fn with_nonce(mut self, nonce: Secret) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Expects that the person signed in at most that long ago
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation),
    /// `auth_time`).
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Expects one of these authentication context classes
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation),
    /// `acr`). None given: any.
    pub fn with_acr_values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Checks the token's header and returns the algorithm of its signature
    /// ([RFC 7515, 4.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1)).
    ///
    /// # Errors
    ///
    /// [`IdTokenProblem::AlgorithmNotAllowed`], [`IdTokenProblem::CriticalExtension`] and
    /// [`IdTokenProblem::WrongType`].
    pub fn check_header(&self, token: &IdToken) -> Result<Algorithm, IdTokenProblem> {
        self.check_header_of(token, &["jwt"])
    }

    /// Checks the header of a token of one of these media types.
    pub(crate) fn check_header_of(
        &self,
        token: &IdToken,
        media_types: &[&str],
    ) -> Result<Algorithm, IdTokenProblem> {
        let algorithm = Algorithm::from_name(token.algorithm()).filter(|this| self.algorithms.contains(this));
        let algorithm = algorithm.ok_or_else(|| IdTokenProblem::AlgorithmNotAllowed {
            algorithm: printable(token.algorithm(), 32),
        })?;
        // RFC 7515, 4.1.11: "If any of the listed extension Header Parameters are not understood and supported by
        // the recipient, then the JWS is invalid."
        if token.header.has_critical {
            return Err(IdTokenProblem::CriticalExtension);
        }
        // RFC 8725, 3.11: explicit typing keeps an access token (`at+jwt`) or a logout token from passing here.
        let is_fitting = |this: &str| media_types.iter().any(|other| this.eq_ignore_ascii_case(other));
        if token.header.media_type.as_deref().is_some_and(|this| !is_fitting(this)) {
            return Err(IdTokenProblem::WrongType);
        }
        Ok(algorithm)
    }

    /// Checks everything that the token says
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)). This
    /// proves nothing unless its signature was checked, too.
    ///
    /// The access token that came beside it is compared with `at_hash` where the token has one.
    ///
    /// # Errors
    ///
    /// The [`IdTokenProblem`] of the first claim that is not what it must be.
    pub fn check_claims(
        &self,
        token: &IdToken,
        access_token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<(), IdTokenProblem> {
        let claims = &token.claims;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        check_subject(claims)?;
        self.check_times(claims, now)?;
        self.check_nonce(claims)?;
        self.check_authentication(claims, now)?;
        match access_token {
            Some(access_token) => check_access_token(token, access_token),
            None => Ok(()),
        }
    }

    /// Checks what a signed userinfo says about itself. Core, 5.3.2: "If signed, the `UserInfo` Response MUST contain the
    /// Claims iss (issuer) and aud (audience) as members." Times are checked where they are there.
    pub(crate) fn check_userinfo_claims(
        &self,
        token: &IdToken,
        now: SystemTime,
    ) -> Result<(), IdTokenProblem> {
        let claims = &token.claims;
        self.check_issuer(claims)?;
        self.check_audience_alone(claims)?;
        match seconds(claims, "exp")? {
            Some(expiry) => self.check_expiry(expiry, unix_seconds(now)),
            None => Ok(()),
        }
    }

    /// Checks what a logout token has in common with an ID token. A few providers leave `exp` out.
    pub(crate) fn check_logout_claims(&self, token: &IdToken, now: SystemTime) -> Result<(), IdTokenProblem> {
        let claims = &token.claims;
        self.check_issuer(claims)?;
        self.check_audience_alone(claims)?;
        let now = unix_seconds(now);
        if let Some(expiry) = seconds(claims, "exp")? {
            self.check_expiry(expiry, now)?;
        }
        let issued = seconds(claims, "iat")?.ok_or(IdTokenProblem::ClaimMissing { claim: "iat" })?;
        self.check_issued(issued, now)
    }

    pub(crate) fn leeway(&self) -> Duration {
        self.leeway
    }

    fn check_issuer(&self, claims: &Object) -> Result<(), IdTokenProblem> {
        let found = text(claims, "iss")?.ok_or(IdTokenProblem::ClaimMissing { claim: "iss" })?;
        let mismatch = |expected: String| {
            let found = printable(found, ISSUER_LIMIT);
            Err(IdTokenProblem::IssuerMismatch { expected, found })
        };
        if !self.tenants.are_served() {
            return if found == self.issuer { Ok(()) } else { mismatch(self.issuer.clone()) };
        }
        let tenant = text(claims, "tid")?.ok_or(IdTokenProblem::ClaimMissing { claim: "tid" })?;
        match of_tenant(&self.issuer, tenant) {
            Some(expected) if expected != found => mismatch(expected),
            Some(_) if !self.tenants.allow(tenant) => Err(IdTokenProblem::TenantNotAllowed),
            Some(_) => Ok(()),
            None => Err(IdTokenProblem::ClaimInvalid { claim: "tid" }),
        }
    }

    /// One provider's keys may sign for all of its tenants or for one, and say which.
    pub(crate) fn check_key_issuer(
        &self,
        token: &IdToken,
        key_issuer: Option<&str>,
    ) -> Result<(), IdTokenProblem> {
        let issuer = text(&token.claims, "iss")?.unwrap_or_default();
        match key_issuer {
            Some(pattern) if self.tenants.are_served() && !fits(pattern, issuer) => {
                Err(IdTokenProblem::KeyOfOtherTenant)
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, claims: &Object) -> Result<(), IdTokenProblem> {
        let count = self.check_audience_alone(claims)?;
        match text(claims, "azp")? {
            Some(party) if party != self.client_id => Err(IdTokenProblem::AuthorizedPartyMismatch),
            None if count > 1 => Err(IdTokenProblem::AuthorizedPartyMissing),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks whom it is for, and returns how many these are.
    fn check_audience_alone(&self, claims: &Object) -> Result<usize, IdTokenProblem> {
        let invalid = IdTokenProblem::ClaimInvalid { claim: "aud" };
        let audiences = match claims.member("aud") {
            None => return Err(IdTokenProblem::ClaimMissing { claim: "aud" }),
            Some(Value::String(audience)) => vec![audience.as_str()],
            Some(Value::Array(items)) => {
                items.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(|| invalid.clone())?
            }
            Some(_) => return Err(invalid),
        };
        if !audiences.contains(&self.client_id.as_str()) {
            return Err(IdTokenProblem::AudienceMismatch);
        }
        let is_trusted = |audience: &&str| {
            *audience == self.client_id || self.trusted_audiences.iter().any(|trusted| trusted == audience)
        };
        if !audiences.iter().all(is_trusted) {
            return Err(IdTokenProblem::UntrustedAudience);
        }
        Ok(audiences.len())
    }

    fn check_times(&self, claims: &Object, now: SystemTime) -> Result<(), IdTokenProblem> {
        let now = unix_seconds(now);
        let leeway = whole_seconds(self.leeway);
        let required = |claim| seconds(claims, claim)?.ok_or(IdTokenProblem::ClaimMissing { claim });
        self.check_expiry(required("exp")?, now)?;
        self.check_issued(required("iat")?, now)?;
        if let Some(not_before) = seconds(claims, "nbf")? {
            let wait = not_before.saturating_sub(now);
            if wait > leeway {
                return Err(IdTokenProblem::NotYetValid { seconds: wait.unsigned_abs() });
            }
        }
        Ok(())
    }

    /// With a clock that is behind, everything else still seems to work: say it before the token is used.
    fn check_issued(&self, issued: i64, now: i64) -> Result<(), IdTokenProblem> {
        let ahead = issued.saturating_sub(now);
        if ahead > whole_seconds(self.leeway) {
            return Err(IdTokenProblem::IssuedInFuture { seconds: ahead.unsigned_abs() });
        }
        Ok(())
    }

    /// "The current time MUST be before the time represented by the exp Claim."
    fn check_expiry(&self, expiry: i64, now: i64) -> Result<(), IdTokenProblem> {
        let over = now.saturating_sub(expiry);
        if over >= whole_seconds(self.leeway) {
            return Err(IdTokenProblem::Expired { seconds: over.unsigned_abs() });
        }
        Ok(())
    }

    fn check_nonce(&self, claims: &Object) -> Result<(), IdTokenProblem> {
        let Some(expected) = &self.nonce else { return Ok(()) };
        let found = text(claims, "nonce")?.ok_or(IdTokenProblem::ClaimMissing { claim: "nonce" })?;
        if expected.is_same_as(found) { Ok(()) } else { Err(IdTokenProblem::NonceMismatch) }
    }

    fn check_authentication(&self, claims: &Object, now: SystemTime) -> Result<(), IdTokenProblem> {
        let signed_in = seconds(claims, "auth_time")?;
        if let Some(max_age) = self.max_age {
            let signed_in = signed_in.ok_or(IdTokenProblem::ClaimMissing { claim: "auth_time" })?;
            let age = unix_seconds(now).saturating_sub(signed_in);
            let leeway = whole_seconds(self.leeway);
            if age < -leeway {
                return Err(IdTokenProblem::ClaimInvalid { claim: "auth_time" });
            }
            let over = age.saturating_sub(whole_seconds(max_age));
            if over > leeway {
                return Err(IdTokenProblem::AuthenticationTooOld { seconds: over.unsigned_abs() });
            }
        }
        if self.acr_values.is_empty() {
            return Ok(());
        }
        let found = text(claims, "acr")?.ok_or(IdTokenProblem::ClaimMissing { claim: "acr" })?;
        if self.acr_values.iter().any(|value| value == found) {
            Ok(())
        } else {
            Err(IdTokenProblem::AuthenticationContextMismatch)
        }
    }

    /// Checks signature and claims against a set of keys, and returns the proof
    /// ([OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)). It
    /// proves what the keys do: they must be those of the issuer that is expected.
    ///
    /// [`Provider::verify`](crate::Provider::verify) does the same with the provider's own keys.
    ///
    /// # Errors
    ///
    /// [`Error::IdToken`] where a check fails, [`Misuse::UnsupportedAlgorithm`](crate::Misuse::UnsupportedAlgorithm)
    /// and [`Misuse::VerifierUnavailable`](crate::Misuse::VerifierUnavailable) where the engine cannot check.
    pub async fn verify(
        &self,
        token: IdToken,
        keys: &KeySet,
        verifier: &dyn Verifier,
        access_token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<VerifiedIdToken, Error> {
        let algorithm = self.check_header(&token)?;
        // In this order: a claim is looked at only when it is known who wrote it.
        let key_issuer = check_signature(&token, algorithm, keys, verifier).await?;
        self.check_claims(&token, access_token, now)?;
        self.check_key_issuer(&token, key_issuer.as_deref())?;
        Ok(Self::proof(token, algorithm)?)
    }

    /// Puts together what was checked.
    pub(crate) fn proof(token: IdToken, algorithm: Algorithm) -> Result<VerifiedIdToken, IdTokenProblem> {
        let time = |claim| {
            let seconds = seconds(&token.claims, claim)?.ok_or(IdTokenProblem::ClaimMissing { claim })?;
            point_in_time(seconds).ok_or(IdTokenProblem::ClaimInvalid { claim })
        };
        let owned =
            |claim| Ok(text(&token.claims, claim)?.ok_or(IdTokenProblem::ClaimMissing { claim })?.to_owned());
        Ok(VerifiedIdToken {
            algorithm,
            issuer: owned("iss")?,
            subject: owned("sub")?,
            issued_at: time("iat")?,
            expires_at: time("exp")?,
            token,
        })
    }
}

/// Checks the signature with each key that fits, and returns whose tokens that key signs, where it says so.
pub(crate) async fn check_signature(
    token: &IdToken,
    algorithm: Algorithm,
    keys: &KeySet,
    verifier: &dyn Verifier,
) -> Result<Option<String>, Error> {
    for key in keys.candidates(algorithm, token.key_id())? {
        let check = SignatureCheck::new(algorithm, key, token.signing_input(), &token.signature);
        match verifier.verify(&check).await {
            Ok(true) => return Ok(key.issuer().map(str::to_owned)),
            Ok(false) | Err(VerifierError::UnusableKey) => {}
            Err(VerifierError::UnsupportedAlgorithm) => {
                return Err(Misuse::UnsupportedAlgorithm { algorithm: algorithm.name() }.into());
            }
            Err(VerifierError::Unavailable) => return Err(Misuse::VerifierUnavailable.into()),
        }
    }
    Err(IdTokenProblem::BadSignature.into())
}

/// Core, 2: "It MUST NOT exceed 255 ASCII characters in length."
fn check_subject(claims: &Object) -> Result<(), IdTokenProblem> {
    let subject = text(claims, "sub")?.ok_or(IdTokenProblem::ClaimMissing { claim: "sub" })?;
    if (1..=255).contains(&subject.len()) {
        Ok(())
    } else {
        Err(IdTokenProblem::ClaimInvalid { claim: "sub" })
    }
}

impl Expectations {
    /// Checks what a signed answer says about itself
    /// ([JARM, 2.4](https://openid.net/specs/oauth-v2-jarm-final.html)): issuer, audience and expiry must be there.
    pub(crate) fn check_response_claims(
        &self,
        token: &IdToken,
        now: SystemTime,
    ) -> Result<(), IdTokenProblem> {
        let claims = &token.claims;
        self.check_issuer(claims)?;
        self.check_audience_alone(claims)?;
        let expiry = seconds(claims, "exp")?.ok_or(IdTokenProblem::ClaimMissing { claim: "exp" })?;
        self.check_expiry(expiry, unix_seconds(now))
    }
}

impl Expectations {
    /// Expects the same of another party.
    pub(crate) fn of_party(self, party: &Metadata) -> Self {
        Self { issuer: party.issuer.clone(), tenants: party.tenants.clone(), ..self }
    }

    /// Checks what another party's claims say about themselves. Core, 5.6.2 leaves audience and times open; where they
    /// are there they count.
    pub(crate) fn check_foreign_claims(
        &self,
        token: &IdToken,
        now: SystemTime,
    ) -> Result<(), IdTokenProblem> {
        let claims = &token.claims;
        self.check_issuer(claims)?;
        if claims.member("aud").is_some() {
            self.check_audience_alone(claims)?;
        }
        let now = unix_seconds(now);
        if let Some(issued) = seconds(claims, "iat")? {
            self.check_issued(issued, now)?;
        }
        match seconds(claims, "exp")? {
            Some(expiry) => self.check_expiry(expiry, now),
            None => Ok(()),
        }
    }
}

/// Core, 3.3.2.11: `c_hash` binds the code, and must be there where the token came beside it in the callback.
pub(crate) fn check_code(token: &IdToken, code: &Secret, is_required: bool) -> Result<(), IdTokenProblem> {
    match half_hash_is(token, "c_hash", code)? {
        None if is_required => Err(IdTokenProblem::ClaimMissing { claim: "c_hash" }),
        Some(false) => Err(IdTokenProblem::CodeMismatch),
        _ => Ok(()),
    }
}

/// FAPI 1.0 Advanced, 5.2.2.1: `s_hash` binds the state, where the provider sends it.
pub(crate) fn check_state(token: &IdToken, state: &Secret) -> Result<(), IdTokenProblem> {
    match half_hash_is(token, "s_hash", state)? {
        Some(false) => Err(IdTokenProblem::StateMismatch),
        _ => Ok(()),
    }
}

fn check_access_token(token: &IdToken, access_token: &Secret) -> Result<(), IdTokenProblem> {
    match half_hash_is(token, "at_hash", access_token)? {
        Some(false) => Err(IdTokenProblem::AccessTokenMismatch),
        _ => Ok(()),
    }
}

/// Core, 3.1.3.6: `at_hash` is the left half of the hash of the access token, with the hash of the token's algorithm;
/// so are the others of what they bind. Returns nothing where the token does not say.
fn half_hash_is(
    token: &IdToken,
    claim: &'static str,
    hashed: &Secret,
) -> Result<Option<bool>, IdTokenProblem> {
    let Some(found) = text(&token.claims, claim)? else { return Ok(None) };
    // Opened to be hashed.
    let bytes = hashed.expose_secret().as_bytes();
    let hash = match Algorithm::from_name(token.algorithm()) {
        Some(Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256) => Sha256::digest(bytes).to_vec(),
        Some(Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384) => Sha384::digest(bytes).to_vec(),
        // Ed25519 hashes with SHA-512 (RFC 8032, 5.1).
        Some(Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::EdDsa) => {
            Sha512::digest(bytes).to_vec()
        }
        None => return Ok(Some(false)),
    };
    let half = URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default());
    Ok(Some(half.as_bytes().ct_eq(found.as_bytes()).into()))
}

fn text<'a>(claims: &'a Object, claim: &'static str) -> Result<Option<&'a str>, IdTokenProblem> {
    match claims.member(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(IdTokenProblem::ClaimInvalid { claim }),
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole_seconds(since),
        Err(before) => -whole_seconds(before.duration()),
    }
}
