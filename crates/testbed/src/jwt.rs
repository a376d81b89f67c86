//! Signed tokens: the keys of a process, signing, taking apart, checking.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
        RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::encoding;

/// How many RSA keys a process makes at most: two in use (a rotation and what was before), one for encryption, one of a
/// cluster that signs the tokens of service accounts.
const POOL: usize = 4;

/// An RSA key under one name.
///
/// The key itself is made once per process, because that takes a good part of a second; worlds differ in the names.
#[derive(Clone, Copy)]
pub(crate) struct RsaKey(usize);

impl RsaKey {
    /// The key for encryption, as Keycloak announces one beside those for signatures.
    pub(crate) const ENCRYPTION: Self = Self(POOL - 1);

    /// The key of a Kubernetes cluster that exists only by its tokens.
    pub(crate) const CLUSTER: Self = Self(POOL - 2);

    /// The key for the n-th rotation.
    pub(crate) fn for_rotation(rotation: usize) -> Self {
        Self(rotation % (POOL - 2))
    }

    fn pair(self) -> &'static KeyPair {
        static KEYS: [OnceLock<KeyPair>; POOL] = [const { OnceLock::new() }; POOL];
        KEYS[self.0].get_or_init(|| match KeyPair::generate(KeySize::Rsa2048) {
            Ok(pair) => pair,
            // Without keys there is no provider, and nobody here who could hear of it.
            Err(_) => std::process::abort(),
        })
    }

    /// The public key as PEM.
    pub(crate) fn pem(self) -> String {
        pem(self.pair().public_key().as_der().ok())
    }

    /// The public key as a JWK of [RFC 7517](https://www.rfc-editor.org/rfc/rfc7517).
    pub(crate) fn jwk(self, kid: &str, usage: &str, alg: &str) -> Value {
        let (n, e) = modulus_and_exponent(self.pair().public_key().as_ref()).unwrap_or_default();
        let (n, e) = (encoding::base64url(&n), encoding::base64url(&e));
        json!({"kid": kid, "kty": "RSA", "alg": alg, "use": usage, "n": n, "e": e})
    }

    fn sign(self, message: &[u8], algorithm: Algorithm) -> Vec<u8> {
        let pair = self.pair();
        let padding: &dyn aws_lc_rs::signature::RsaEncoding =
            if algorithm == Algorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let mut signature = vec![0; pair.public_modulus_len()];
        // A key that this process has made signs; were it not so, the signature is zeros, and no check accepts it.
        let _ = pair.sign(padding, &SystemRandom::new(), message, &mut signature);
        signature
    }
}

/// How a provider signs, by the names of
/// [RFC 7518, section 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, what every provider has.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519, as [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037) names it.
    EdDsa,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key that signs with one algorithm.
#[derive(Clone)]
pub(crate) enum SigningKey {
    Rsa(RsaKey, Algorithm),
    P256(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl SigningKey {
    /// The key for the n-th rotation. RSA keys come from the process, the others are new.
    pub(crate) fn for_rotation(rotation: usize, algorithm: Algorithm) -> Self {
        let rsa = || Self::Rsa(RsaKey::for_rotation(rotation), algorithm);
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => rsa(),
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_or_else(|_| rsa(), |pair| Self::P256(Arc::new(pair))),
            Algorithm::EdDsa => {
                Ed25519KeyPair::generate().map_or_else(|_| rsa(), |pair| Self::Ed25519(Arc::new(pair)))
            }
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_, algorithm) => *algorithm,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    pub(crate) fn pem(&self) -> String {
        match self {
            Self::Rsa(key, _) => key.pem(),
            Self::P256(pair) => pem(pair.public_key().as_der().ok()),
            Self::Ed25519(pair) => pem(pair.public_key().as_der().ok()),
        }
    }

    /// The public key as a JWK for signatures.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let alg = self.algorithm().name();
        match self {
            Self::Rsa(key, _) => key.jwk(kid, "sig", alg),
            Self::P256(pair) => {
                // An uncompressed point: the octet 4, then both coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                let (x, y) = (encoding::base64url(x), encoding::base64url(y));
                json!({"kid": kid, "kty": "EC", "alg": alg, "use": "sig", "crv": "P-256", "x": x, "y": y})
            }
            Self::Ed25519(pair) => {
                let x = encoding::base64url(pair.public_key().as_ref());
                json!({"kid": kid, "kty": "OKP", "alg": alg, "use": "sig", "crv": "Ed25519", "x": x})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key, algorithm) => key.sign(message, *algorithm),
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

impl From<RsaKey> for SigningKey {
    fn from(key: RsaKey) -> Self {
        Self::Rsa(key, Algorithm::Rs256)
    }
}

fn pem(der: Option<PublicKeyX509Der<'_>>) -> String {
    let text = STANDARD.encode(der.map(|der| der.as_ref().to_vec()).unwrap_or_default());
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// Reads `RSAPublicKey` of [RFC 8017, A.1.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1): a sequence of two
/// integers.
fn modulus_and_exponent(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    // DER prefixes a zero octet where the first bit is set; a JWK has no sign.
    let unsigned = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    Some((unsigned(modulus), unsigned(exponent)))
}

fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    if length < 0x80 {
        return rest.split_at_checked(usize::from(length));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
    let length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    rest.split_at_checked(length)
}

/// A compact JWS of [RFC 7515](https://www.rfc-editor.org/rfc/rfc7515); the header must name the key's algorithm.
pub(crate) fn sign(header: &Value, claims: &Value, key: &SigningKey) -> String {
    sign_text(header, &claims.to_string(), key)
}

/// The same for claims that no value can hold, such as one that stands twice.
pub(crate) fn sign_text(header: &Value, claims: &str, key: &SigningKey) -> String {
    let part = |text: &str| encoding::base64url(text.as_bytes());
    let input = format!("{}.{}", part(&header.to_string()), part(claims));
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", encoding::base64url(&signature))
}

/// The same with one bit of the signature turned.
pub(crate) fn sign_wrongly(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let input = unsigned(header, claims);
    let mut signature = key.sign(input.as_bytes());
    if let Some(last) = signature.last_mut() {
        *last ^= 1;
    }
    format!("{input}.{}", encoding::base64url(&signature))
}

/// A compact JWS whose signature is HS256's, whatever the header says.
pub(crate) fn sign_with_secret(header: &Value, claims: &Value, secret: &str) -> String {
    let input = unsigned(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{input}.{}", encoding::base64url(hmac::sign(&key, input.as_bytes()).as_ref()))
}

/// Header and claims, joined by a dot, without the second dot and a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoding::base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// The left half of the hash that belongs to an algorithm, as `at_hash` has it.
pub(crate) fn half_hash(text: &str, algorithm: Algorithm) -> String {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    let hash = if algorithm == Algorithm::EdDsa { &SHA512 } else { &SHA256 };
    let digest = digest(hash, text.as_bytes());
    encoding::base64url(&digest.as_ref()[..digest.as_ref().len() / 2])
}

/// The S256 challenge of [RFC 7636, section 4.2](https://www.rfc-editor.org/rfc/rfc7636#section-4.2).
pub(crate) fn s256(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    encoding::base64url(digest.as_ref())
}

/// A token taken apart, nothing checked.
pub(crate) struct Parts<'a> {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    signing_input: &'a str,
    signature: Vec<u8>,
}

/// Takes a compact JWS apart. The error is in the words of the library that Vault and OpenBao use.
pub(crate) fn parse(token: &str) -> Result<Parts<'_>, &'static str> {
    let mut split = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (split.next(), split.next(), split.next(), split.next())
    else {
        return Err("go-jose/go-jose: compact JWS format must have three parts");
    };
    let json = |part: &str| {
        let bytes = encoding::from_base64url(part).ok_or("illegal base64 data at input byte 0")?;
        serde_json::from_slice(&bytes).map_err(|_| "invalid character in JSON")
    };
    Ok(Parts {
        signing_input: &token[..header.len() + 1 + claims.len()],
        header: json(header)?,
        claims: json(claims)?,
        signature: encoding::from_base64url(signature).ok_or("illegal base64 data at input byte 0")?,
    })
}

impl Parts<'_> {
    /// Whether one of the keys made the signature, with one of these algorithms. Nothing may be marked critical.
    pub(crate) fn is_signed_by(&self, keys: &[PublicKey], algorithms: &[&str]) -> bool {
        let algorithm = self.header["alg"].as_str().unwrap_or_default();
        let is_plain = algorithms.contains(&algorithm) && self.header.get("crit").is_none();
        let message = self.signing_input.as_bytes();
        is_plain && keys.iter().any(|key| key.verify(algorithm, message, &self.signature))
    }

    /// Whether whoever has this secret made the signature, with HS256.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        self.header["alg"] == "HS256"
            && self.header.get("crit").is_none()
            && hmac::verify(&key, self.signing_input.as_bytes(), &self.signature).is_ok()
    }
}

/// A public key to check with.
pub(crate) enum PublicKey {
    /// Modulus and exponent, as a JWK has them.
    Components(Vec<u8>, Vec<u8>),
    /// `SubjectPublicKeyInfo` or `RSAPublicKey`, DER; or a point of a curve as it is.
    Bytes(Vec<u8>),
}

impl PublicKey {
    /// Reads a key set. A key that is none for signatures, or of a type that is unknown here, is passed over; so is one
    /// of another name, if the token names its key.
    pub(crate) fn of_key_set(keys: &Value, kid: Option<&str>) -> Vec<Self> {
        let usable =
            |key: &&Value| key["use"] != "enc" && kid.is_none_or(|kid| key["kid"].as_str() == Some(kid));
        let part = |key: &Value, name: &str| key[name].as_str().and_then(encoding::from_base64url);
        keys["keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(usable)
            .filter_map(|key| match (key["kty"].as_str()?, key["crv"].as_str()) {
                ("RSA", _) => Some(Self::Components(part(key, "n")?, part(key, "e")?)),
                ("EC", Some("P-256")) => {
                    Some(Self::Bytes([vec![4], part(key, "x")?, part(key, "y")?].concat()))
                }
                ("OKP", Some("Ed25519")) => Some(Self::Bytes(part(key, "x")?)),
                _ => None,
            })
            .collect()
    }

    /// Reads a PEM text with one public key.
    pub(crate) fn of_pem(pem: &str) -> Option<Self> {
        let inner: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(inner).ok().filter(|der| der.first() == Some(&0x30))?;
        pem.contains("-----BEGIN").then_some(Self::Bytes(der))
    }

    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let rsa = match algorithm {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "ES256" | "EdDSA" => {
                let Self::Bytes(bytes) = self else { return false };
                return if algorithm == "ES256" {
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes).verify(message, signature).is_ok()
                } else {
                    UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature).is_ok()
                };
            }
            _ => return false,
        };
        match self {
            Self::Components(n, e) => RsaPublicKeyComponents { n, e }.verify(rsa, message, signature).is_ok(),
            Self::Bytes(bytes) => UnparsedPublicKey::new(rsa, bytes).verify(message, signature).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> String {
        sign(&json!({"alg": "RS256", "kid": "one"}), &json!({"sub": "x"}), &RsaKey::for_rotation(0).into())
    }

    #[test]
    fn a_signature_is_accepted_by_its_jwk_and_by_its_pem_and_by_no_other_key() {
        let token = token();
        let parts = parse(&token).unwrap();
        let set = json!({"keys": [RsaKey::for_rotation(0).jwk("one", "sig", "RS256")]});
        assert!(parts.is_signed_by(&PublicKey::of_key_set(&set, Some("one")), &["RS256"]));
        assert!(!parts.is_signed_by(&PublicKey::of_key_set(&set, Some("two")), &["RS256"]));
        assert!(
            parts.is_signed_by(&[PublicKey::of_pem(&RsaKey::for_rotation(0).pem()).unwrap()], &["RS256"])
        );
        assert!(
            !parts.is_signed_by(&[PublicKey::of_pem(&RsaKey::for_rotation(1).pem()).unwrap()], &["RS256"])
        );
    }

    #[test]
    fn each_algorithm_is_verified_by_the_jwk_and_the_pem_of_its_key_and_under_no_other_name() {
        for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
            let (key, other) =
                (SigningKey::for_rotation(0, algorithm), SigningKey::for_rotation(1, algorithm));
            let name = algorithm.name();
            let token = sign(&json!({ "alg": name }), &json!({"sub": "x"}), &key);
            let parts = parse(&token).unwrap();
            let set = |key: &SigningKey| PublicKey::of_key_set(&json!({"keys": [key.jwk("k")]}), None);
            assert!(parts.is_signed_by(&set(&key), &[name]), "{name} by its JWK");
            assert!(
                parts.is_signed_by(&[PublicKey::of_pem(&key.pem()).unwrap()], &[name]),
                "{name} by its PEM"
            );
            assert!(!parts.is_signed_by(&set(&other), &[name]), "{name} by another key");
            assert!(!parts.is_signed_by(&set(&key), &["HS256"]), "{name} where it is not wanted");
        }
    }

    #[test]
    fn a_key_for_encryption_checks_no_signature() {
        let set = json!({"keys": [RsaKey::for_rotation(0).jwk("one", "enc", "RSA-OAEP")]});
        assert!(PublicKey::of_key_set(&set, None).is_empty());
    }

    #[test]
    fn the_challenge_of_rfc_7636_appendix_b() {
        assert_eq!(
            s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
