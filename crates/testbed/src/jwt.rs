//! Signed tokens: the keys of a process, signing, taking apart, checking.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
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
        let der: Option<PublicKeyX509Der<'_>> = self.pair().public_key().as_der().ok();
        let text = STANDARD.encode(der.map(|der| der.as_ref().to_vec()).unwrap_or_default());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The public key as a JWK of [RFC 7517](https://www.rfc-editor.org/rfc/rfc7517).
    pub(crate) fn jwk(self, kid: &str, usage: &str, alg: &str) -> Value {
        let (n, e) = modulus_and_exponent(self.pair().public_key().as_ref()).unwrap_or_default();
        let (n, e) = (encoding::base64url(&n), encoding::base64url(&e));
        json!({"kid": kid, "kty": "RSA", "alg": alg, "use": usage, "n": n, "e": e})
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        let pair = self.pair();
        let mut signature = vec![0; pair.public_modulus_len()];
        // A key that this process has made signs; were it not so, the signature is zeros, and no check accepts it.
        let _ = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signature
    }
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

/// A compact JWS of [RFC 7515](https://www.rfc-editor.org/rfc/rfc7515), signed with RS256.
pub(crate) fn sign(header: &Value, claims: &Value, key: RsaKey) -> String {
    let input = unsigned(header, claims);
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", encoding::base64url(&signature))
}

/// Header and claims, joined by a dot, without the second dot and a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoding::base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// The left half of a SHA-256, as `at_hash` has it.
pub(crate) fn half_hash(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    encoding::base64url(&digest.as_ref()[..16])
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
    /// Whether one of the keys made the signature. RS256 only, and nothing that is marked critical.
    pub(crate) fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let plain = self.header["alg"] == "RS256" && self.header.get("crit").is_none();
        plain && keys.iter().any(|key| key.verify(self.signing_input.as_bytes(), &self.signature))
    }
}

/// A public key to check with.
pub(crate) enum PublicKey {
    /// Modulus and exponent, as a JWK has them.
    Components(Vec<u8>, Vec<u8>),
    /// `SubjectPublicKeyInfo` or `RSAPublicKey`, DER.
    Der(Vec<u8>),
}

impl PublicKey {
    /// Reads a key set. A key that is no RSA key for signatures is passed over; so is one of another name, if the
    /// token names its key.
    pub(crate) fn of_key_set(keys: &Value, kid: Option<&str>) -> Vec<Self> {
        let usable = |key: &&Value| {
            key["kty"] == "RSA"
                && key["use"] != "enc"
                && kid.is_none_or(|kid| key["kid"].as_str() == Some(kid))
        };
        let part = |key: &Value, name: &str| key[name].as_str().and_then(encoding::from_base64url);
        keys["keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(usable)
            .filter_map(|key| Some(Self::Components(part(key, "n")?, part(key, "e")?)))
            .collect()
    }

    /// Reads a PEM text with one public key.
    pub(crate) fn of_pem(pem: &str) -> Option<Self> {
        let inner: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(inner).ok().filter(|der| der.first() == Some(&0x30))?;
        pem.contains("-----BEGIN").then_some(Self::Der(der))
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Components(n, e) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Self::Der(der) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> String {
        sign(&json!({"alg": "RS256", "kid": "one"}), &json!({"sub": "x"}), RsaKey::for_rotation(0))
    }

    #[test]
    fn a_signature_is_accepted_by_its_jwk_and_by_its_pem_and_by_no_other_key() {
        let token = token();
        let parts = parse(&token).unwrap();
        let set = json!({"keys": [RsaKey::for_rotation(0).jwk("one", "sig", "RS256")]});
        assert!(parts.is_signed_by(&PublicKey::of_key_set(&set, Some("one"))));
        assert!(!parts.is_signed_by(&PublicKey::of_key_set(&set, Some("two"))));
        assert!(parts.is_signed_by(&[PublicKey::of_pem(&RsaKey::for_rotation(0).pem()).unwrap()]));
        assert!(!parts.is_signed_by(&[PublicKey::of_pem(&RsaKey::for_rotation(1).pem()).unwrap()]));
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
