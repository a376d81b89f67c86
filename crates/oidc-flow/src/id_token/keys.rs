//! The provider's keys: reading them, and choosing the one that a token was signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::{Exchange, Method, Replay, Reply, Request, json};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Algorithm, IdTokenProblem};
use crate::text::printable;
use crate::{Endpoint, Error, Misbehaviour};

/// Fetches the provider's keys.
///
/// Specified in [OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata), `jwks_uri`.
#[derive(Clone, Debug)]
pub struct FetchKeys {
    address: Url,
}

impl FetchKeys {
    /// Takes the `jwks_uri` of the provider's metadata.
    pub fn new(jwks_uri: Url) -> Self {
        Self { address: jwks_uri }
    }
}

impl Exchange for FetchKeys {
    type Output = KeySet;
    type Error = Error;

    fn request(&self) -> Request {
        Request::for_url(Method::Get, self.address.clone())
            .with_header("accept", "application/json, application/jwk-set+json")
    }

    fn receive(self, reply: Reply) -> Result<KeySet, Error> {
        if reply.status() != 200 {
            return Err(Misbehaviour::Status { endpoint: Endpoint::Keys, status: reply.status() }.into());
        }
        let keys = KeySet::parse(reply.body())?;
        Ok(KeySet { max_age: reply.header("cache-control").and_then(max_age), ..keys })
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// Returns for how many seconds a reply may be kept
/// ([RFC 9111, 5.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2)).
fn max_age(cache_control: &str) -> Option<u64> {
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Some(0);
    }
    directives().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok())
}

/// A provider's published keys ([RFC 7517, 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). Those that are broken,
/// of an unknown kind, or not meant for signatures are left out, as that section asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Jwk>,
    max_age: Option<u64>,
}

impl KeySet {
    /// How many keys are read: 100. Real providers publish two to ten.
    pub const LIMIT: usize = 100;

    /// Reads a key set ([RFC 7517, 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
    ///
    /// # Errors
    ///
    /// [`Misbehaviour::MalformedReply`] where it is no key set.
    pub fn parse(document: &[u8]) -> Result<Self, Error> {
        let malformed = || Misbehaviour::MalformedReply { endpoint: Endpoint::Keys };
        let json::Any(document) = json::from_slice(document).map_err(|_| malformed())?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or_else(malformed)?;
        let keys = keys.iter().take(Self::LIMIT).filter_map(Value::as_object).filter_map(Jwk::read).collect();
        Ok(Self { keys, max_age: None })
    }

    /// Returns the keys that can be used.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Returns for how many seconds the provider lets the set be kept, where that was visible.
    pub(crate) fn max_age(&self) -> Option<u64> {
        self.max_age
    }

    /// Chooses the keys that a token can have been signed with: of the algorithm's kind and curve, with the same id if
    /// the token names one, and not meant for another algorithm or use
    /// ([OpenID Connect Core, 10.1](https://openid.net/specs/openid-connect-core-1_0.html#Signing)).
    ///
    /// At most four come back ([`Candidates::LIMIT`]); there is more than one only where the token names no key or
    /// the provider gave one id to several.
    ///
    /// # Errors
    ///
    /// [`IdTokenProblem::WeakKey`] where what fits is too short, [`IdTokenProblem::UnknownKey`] where nothing fits.
    pub fn candidates(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> Result<Candidates<'_>, IdTokenProblem> {
        let fitting = || {
            self.keys.iter().filter(move |key| {
                key.fits(algorithm) && key_id.is_none_or(|key_id| key.key_id.as_deref() == Some(key_id))
            })
        };
        let strong =
            fitting().filter(|key| key.weakness().is_none()).take(Candidates::LIMIT).collect::<Vec<_>>();
        if !strong.is_empty() {
            return Ok(Candidates { keys: strong });
        }
        Err(match fitting().find_map(Jwk::weakness) {
            Some(bits) => IdTokenProblem::WeakKey { bits },
            None => IdTokenProblem::UnknownKey { kid: key_id.map(|key_id| printable(key_id, 64)) },
        })
    }
}

/// The keys that a token can have been signed with: one at least.
///
/// Specified in [OpenID Connect Core, 10.1](https://openid.net/specs/openid-connect-core-1_0.html#Signing).
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    keys: Vec<&'a Jwk>,
}

impl Candidates<'_> {
    /// How many keys are tried: four, enough for a rotation under way with two algorithms. Each costs a check of a
    /// signature.
    pub const LIMIT: usize = 4;
}

impl<'a> IntoIterator for Candidates<'a> {
    type Item = &'a Jwk;
    type IntoIter = std::vec::IntoIter<&'a Jwk>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

/// A public key ([RFC 7517, 4](https://www.rfc-editor.org/rfc/rfc7517#section-4)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    key_id: Option<String>,
    algorithm: Option<String>,
    issuer: Option<String>,
    key: PublicKey,
}

/// The numbers of a public key.
///
/// Specified in [RFC 7518, 6](https://www.rfc-editor.org/rfc/rfc7518#section-6) and [RFC 8037, 2](https://www.rfc-editor.org/rfc/rfc8037#section-2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// `kty` `RSA`: big-endian, without leading zeros
    /// ([RFC 7518, 6.3.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.3.1)).
    Rsa {
        /// `n`
        modulus: Vec<u8>,
        /// `e`
        exponent: Vec<u8>,
    },
    /// `kty` `EC`: both coordinates in the full length of the curve
    /// ([RFC 7518, 6.2.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1)).
    Ec {
        /// `crv`
        curve: Curve,
        /// `x`
        x: Vec<u8>,
        /// `y`
        y: Vec<u8>,
    },
    /// `kty` `OKP` with `crv` `Ed25519` ([RFC 8037, 2](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
    Ed25519 {
        /// `x`, 32 bytes.
        x: Vec<u8>,
    },
}

/// A curve of [RFC 7518, 6.2.1.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Curve {
    /// `P-256`
    P256,
    /// `P-384`
    P384,
    /// `P-521`
    P521,
}

impl Jwk {
    /// Returns the key's id ([RFC 7517, 4.5](https://www.rfc-editor.org/rfc/rfc7517#section-4.5)).
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns whose tokens it signs, where a provider with many tenants says so (Microsoft Entra's `issuer`).
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns its numbers ([RFC 7518, 6](https://www.rfc-editor.org/rfc/rfc7518#section-6)).
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the key as a JWK with nothing but its numbers, which is what WebCrypto wants to import
    /// ([RFC 7517, 4](https://www.rfc-editor.org/rfc/rfc7517#section-4)).
    pub fn to_json(&self) -> Value {
        self.key.to_json()
    }

    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let is_for_signatures = text("use") != Some("enc")
            && members.get("key_ops").is_none_or(|uses| {
                uses.as_array().is_some_and(|uses| uses.iter().any(|this| this == "verify"))
            });
        if !is_for_signatures {
            return None;
        }
        let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        let key = match text("kty")? {
            "RSA" => PublicKey::rsa(&number("n")?, &number("e")?),
            "EC" => {
                PublicKey::Ec { curve: Curve::from_name(text("crv")?)?, x: number("x")?, y: number("y")? }
            }
            "OKP" if text("crv") == Some("Ed25519") => PublicKey::Ed25519 { x: number("x")? },
            _ => return None,
        };
        let key_id = text("kid").map(str::to_owned);
        let algorithm = text("alg").map(str::to_owned);
        let issuer = text("issuer").map(str::to_owned);
        key.is_sound().then_some(Self { key_id, algorithm, issuer, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.is_of(algorithm)
            && self.algorithm.as_deref().is_none_or(|name| Algorithm::from_name(name) == Some(algorithm))
    }

    /// Returns the length of an RSA key that is too short. RFC 7518, 3.3: "A key of size 2048 bits or larger MUST be
    /// used with these algorithms."
    fn weakness(&self) -> Option<usize> {
        match &self.key {
            PublicKey::Rsa { modulus, .. } => Some(bits(modulus)).filter(|bits| *bits < 2048),
            PublicKey::Ec { .. } | PublicKey::Ed25519 { .. } => None,
        }
    }
}

impl PublicKey {
    /// Takes an RSA key's numbers, with any leading zeros.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa { modulus: without_zeros(modulus), exponent: without_zeros(exponent) }
    }

    /// Returns the key as a JWK with nothing but its numbers
    /// ([RFC 7517, 4](https://www.rfc-editor.org/rfc/rfc7517#section-4)).
    pub fn to_json(&self) -> Value {
        let encode = |bytes: &Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { modulus, exponent } => {
                serde_json::json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
            }
            Self::Ec { curve, x, y } => {
                serde_json::json!({"kty": "EC", "crv": curve.name(), "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519 { x } => serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)}),
        }
    }

    /// Returns the key's thumbprint with SHA-256 ([RFC 7638, 3](https://www.rfc-editor.org/rfc/rfc7638#section-3)).
    pub fn thumbprint(&self) -> String {
        let encode = |bytes: &Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        // "the members [...] ordered lexicographically [...] with no whitespace or line breaks": by hand, since how a
        // map is ordered depends on what else a program is built of.
        let text = match self {
            Self::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(exponent), encode(modulus))
            }
            Self::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), encode(x), encode(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
        };
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// Returns whether a signature of that algorithm can be made with it.
    pub(crate) fn is_of(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => matches!(self, Self::Rsa { .. }),
            Es256 => matches!(self, Self::Ec { curve: Curve::P256, .. }),
            Es384 => matches!(self, Self::Ec { curve: Curve::P384, .. }),
            Es512 => matches!(self, Self::Ec { curve: Curve::P521, .. }),
            EdDsa => matches!(self, Self::Ed25519 { .. }),
        }
    }

    /// Returns whether an engine may be bothered with it. Above 8192 bits a check takes long enough to be an attack,
    /// and no engine takes such a key; the same goes for an exponent beyond 64 bits. With the exponent 1 everything is its
    /// own signature, and an even one belongs to no key.
    fn is_sound(&self) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => {
                let is_odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
                (1..=8192).contains(&bits(modulus)) && (2..=64).contains(&bits(exponent)) && is_odd
            }
            Self::Ec { curve, x, y } => x.len() == curve.len() && y.len() == curve.len(),
            Self::Ed25519 { x } => x.len() == 32,
        }
    }
}

impl Curve {
    /// Returns the name that stands in a JWK
    /// ([RFC 7518, 6.2.1.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1.1)).
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    /// How many bytes a coordinate has.
    fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

fn without_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// Returns the length in bits of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
