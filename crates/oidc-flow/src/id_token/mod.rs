//! The ID token: reading it, and the proof that it was checked.

mod keys;
mod problem;
mod signature;
mod verify;

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json::{self, Object};

pub use keys::{Candidates, Curve, FetchKeys, Jwk, KeySet, PublicKey};
pub use problem::IdTokenProblem;
#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub use signature::JsonWebToken;
#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub(crate) use signature::engine_name;
pub use signature::{Algorithm, SharedVerifier, SignatureCheck, Verifier, VerifierError};
pub use verify::Expectations;
pub(crate) use verify::{check_code, check_signature, check_state};

/// An ID token that was read and not checked: what is in it proves nothing.
///
/// Good for showing how long a token lives before somebody else checks it; nothing more.
///
/// Specified in [OpenID Connect Core, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken).
#[derive(Clone)]
pub struct IdToken {
    text: Secret,
    header: Header,
    claims: Object,
    signature: Vec<u8>,
}

#[derive(Clone)]
struct Header {
    algorithm: String,
    key_id: Option<String>,
    media_type: Option<String>,
    has_critical: bool,
}

impl IdToken {
    /// How long a token may be: 64 KiB, four times what the header of a request can carry; a longer one is an attack
    /// on the reader.
    pub const LIMIT: usize = 64 * 1024;

    /// Reads a token in compact serialization ([RFC 7515, 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
    ///
    /// # Errors
    ///
    /// [`IdTokenProblem::TooLong`] beyond [`LIMIT`](Self::LIMIT), [`IdTokenProblem::Encrypted`], and what cannot be
    /// read: [`IdTokenProblem::Malformed`] and [`IdTokenProblem::DuplicateName`].
    pub fn parse(text: impl Into<Secret>) -> Result<Self, IdTokenProblem> {
        Self::read(text.into(), Object::read)
    }

    /// Reads a signed answer ([JARM, 2.1](https://openid.net/specs/oauth-v2-jarm-final.html)), which may say the same
    /// text twice; the header may not.
    pub(crate) fn parse_answer(text: Secret) -> Result<Self, IdTokenProblem> {
        Self::read(text, Object::read_answer)
    }

    fn read(text: Secret, read_claims: Read) -> Result<Self, IdTokenProblem> {
        // Opened to be read.
        let compact = text.expose_secret();
        if compact.len() > Self::LIMIT {
            return Err(IdTokenProblem::TooLong { limit: Self::LIMIT });
        }
        let mut parts = compact.split('.');
        let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(IdTokenProblem::Malformed { part: "form" });
        };
        match parts.count() {
            0 => {}
            // RFC 7516, 7.1: an encrypted token has five parts.
            2 => return Err(IdTokenProblem::Encrypted),
            _ => return Err(IdTokenProblem::Malformed { part: "form" }),
        }
        let header = Header::read(header)?;
        let claims = object("claims", claims, &CHECKED_CLAIMS, read_claims)?;
        let signature =
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| IdTokenProblem::Malformed { part: "signature" })?;
        Ok(Self { text, header, claims, signature })
    }

    /// Returns the algorithm that the token claims to be signed with
    /// ([RFC 7515, 4.1.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1)).
    pub fn algorithm(&self) -> &str {
        &self.header.algorithm
    }

    /// Returns the id of the key that the token claims to be signed with
    /// ([RFC 7515, 4.1.4](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4)).
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// Returns a claim. Nobody has checked it.
    pub fn unverified_claim(&self, name: &str) -> Option<&Value> {
        self.claims.member(name)
    }

    /// Returns when the token claims to expire
    /// ([RFC 7519, 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)). Nobody has checked it.
    pub fn unverified_expiry(&self) -> Option<SystemTime> {
        seconds(&self.claims, "exp").ok().flatten().and_then(point_in_time)
    }

    /// Returns the token as it travels.
    pub fn as_secret(&self) -> &Secret {
        &self.text
    }

    pub(crate) fn into_claims(self) -> Object {
        self.claims
    }

    /// Returns what it says, unchecked.
    pub(crate) fn unchecked_claims(&self) -> &Object {
        &self.claims
    }

    /// Returns what was signed: everything before the second dot.
    fn signing_input(&self) -> &[u8] {
        // Opened to be hashed.
        let compact = self.text.expose_secret();
        compact.rsplit_once('.').map_or(&[], |(input, _)| input.as_bytes())
    }
}

/// Shows algorithm and key id: claims are about a person.
impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IdToken")
            .field("algorithm", &self.header.algorithm)
            .field("key_id", &self.header.key_id)
            .finish_non_exhaustive()
    }
}

impl Header {
    fn read(part: &str) -> Result<Self, IdTokenProblem> {
        let members = object("header", part, &["alg", "kid", "typ", "crit"], Object::read)?;
        let text = |name: &str| match members.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(IdTokenProblem::Malformed { part: "header" }),
        };
        Ok(Self {
            algorithm: text("alg")?.ok_or(IdTokenProblem::Malformed { part: "header" })?,
            key_id: text("kid")?,
            media_type: text("typ")?,
            has_critical: members.member("crit").is_some(),
        })
    }
}

/// The claims that are looked at in every token.
const CHECKED_CLAIMS: [&str; 13] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "auth_time",
    "acr",
];

/// How an object is read out of its text.
type Read = fn(Vec<u8>, &'static [&'static str]) -> Result<Object, json::Problem>;

fn object(
    part: &'static str,
    encoded: &str,
    eager: &'static [&'static str],
    read: Read,
) -> Result<Object, IdTokenProblem> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| IdTokenProblem::Malformed { part })?;
    read(bytes, eager).map_err(|problem| match problem {
        json::Problem::Malformed => IdTokenProblem::Malformed { part },
        json::Problem::DuplicateName => IdTokenProblem::DuplicateName { part },
    })
}

/// Returns a `NumericDate` ([RFC 7519, 2](https://www.rfc-editor.org/rfc/rfc7519#section-2)) in whole seconds.
/// A fraction is cut off; a number beyond the year 9999 or before 1970 is none.
fn seconds(claims: &Object, claim: &'static str) -> Result<Option<i64>, IdTokenProblem> {
    /// The last second of the year 9999, where RFC 3339 ends.
    const LAST: i64 = 253_402_300_799;
    let Some(value) = claims.member(claim) else { return Ok(None) };
    let number = match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fraction is meant to go, and the rest saturates"
        )]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        _ => None,
    };
    number
        .filter(|seconds| (0..=LAST).contains(seconds))
        .map(Some)
        .ok_or(IdTokenProblem::ClaimInvalid { claim })
}

/// Returns a time among members that are not an ID token's: nothing where it is not one.
pub(crate) fn time_claim(members: &Object, name: &'static str) -> Option<SystemTime> {
    seconds(members, name).ok().flatten().and_then(point_in_time)
}

fn point_in_time(seconds: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// An ID token that has passed every check: whoever holds this value holds the proof.
///
/// There is no way to make one but by checking: [`Provider::verify`](crate::Provider::verify), or
/// [`Expectations::verify`](crate::Expectations::verify) with keys that you vouch for.
///
/// Specified in [OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation).
#[derive(Clone)]
pub struct VerifiedIdToken {
    token: IdToken,
    algorithm: Algorithm,
    issuer: String,
    subject: String,
    issued_at: SystemTime,
    expires_at: SystemTime,
}

impl VerifiedIdToken {
    /// Returns who issued it ([OpenID Connect Core, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken),
    /// `iss`).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns who it is about: unique and never reassigned within the issuer, unlike a name or an e-mail address
    /// ([OpenID Connect Core, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken), `sub`).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns when it was issued
    /// ([OpenID Connect Core, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken), `iat`).
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Returns when it expires
    /// ([OpenID Connect Core, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken), `exp`).
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Returns the algorithm of its signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns any claim by its name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.token.claims.member(name)
    }

    pub(crate) fn members(&self) -> &Map<String, Value> {
        self.token.claims.whole()
    }

    /// Returns a claim that is true: also where a provider writes it as text, as some do with `email_verified`
    /// ([OpenID Connect Core, 5.1](https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims)).
    pub fn flag(&self, name: &str) -> bool {
        crate::userinfo::is_set(self.claim(name))
    }

    /// Reads the claims into a type of your own.
    ///
    /// # Errors
    ///
    /// [`IdTokenProblem::Malformed`] where they do not fit into it.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, IdTokenProblem> {
        T::deserialize(self.token.claims.whole()).map_err(|_| IdTokenProblem::Malformed { part: "claims" })
    }

    /// Returns the token as it travels, for a server that checks it by itself, such as Vault.
    pub fn as_secret(&self) -> &Secret {
        self.token.as_secret()
    }
}

/// Shows issuer and times: everything else is about a person.
impl fmt::Debug for VerifiedIdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifiedIdToken")
            .field("issuer", &self.issuer)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
