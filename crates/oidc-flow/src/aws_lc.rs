//! The native engine: aws-lc-rs.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_transport::Secret;
use zeroize::Zeroizing;

use crate::keys::{Curve, PublicKey};
use crate::{Algorithm, SignatureCheck, Signer, SignerError, Verifier, VerifierError, pem};

/// Checks signatures with aws-lc-rs, and keeps the keys parsed: reading an RSA key costs an eighth of a check
/// ([RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)).
///
/// One for all providers of a program is enough.
#[derive(Default)]
pub struct AwsLc {
    keys: RwLock<Vec<Parsed>>,
}

struct Parsed {
    algorithm: Algorithm,
    numbers: PublicKey,
    key: ParsedPublicKey,
}

impl AwsLc {
    /// How many keys are kept: 32, a few providers' worth. The oldest goes first.
    const LIMIT: usize = 32;

    fn check(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        let (algorithm, numbers) = (check.algorithm, check.key.public_key());
        let is_valid = |key: &ParsedPublicKey| key.verify_sig(check.signing_input, check.signature).is_ok();
        let is_this = |this: &&Parsed| this.algorithm == algorithm && this.numbers == *numbers;
        if let Some(known) = self.keys.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_this) {
            return Ok(is_valid(&known.key));
        }
        let key = parse(algorithm, numbers).ok_or(VerifierError::UnusableKey)?;
        let outcome = is_valid(&key);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if !keys.iter().any(|this| is_this(&this)) {
            if keys.len() >= Self::LIMIT {
                keys.remove(0);
            }
            keys.push(Parsed { algorithm, numbers: numbers.clone(), key });
        }
        Ok(outcome)
    }
}

#[async_trait::async_trait]
impl Verifier for AwsLc {
    async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        self.check(check)
    }
}

impl fmt::Debug for AwsLc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AwsLc").finish_non_exhaustive()
    }
}

fn parse(algorithm: Algorithm, numbers: &PublicKey) -> Option<ParsedPublicKey> {
    match numbers {
        PublicKey::Rsa { modulus, exponent } => {
            let components = RsaPublicKeyComponents { n: modulus.as_slice(), e: exponent.as_slice() };
            components.to_parsed_public_key(rsa_rules(algorithm)?).ok()
        }
        // RFC 5480, 2.2: an uncompressed point is 04, x, y.
        PublicKey::Ec { x, y, .. } => {
            ParsedPublicKey::new(ecdsa_rules(algorithm)?, [&[4], x.as_slice(), y].concat()).ok()
        }
        PublicKey::Ed25519 { x } => ParsedPublicKey::new(&signature::ED25519, x).ok(),
    }
}

fn rsa_rules(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => return None,
    })
}

fn ecdsa_rules(algorithm: Algorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match algorithm {
        Algorithm::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::Es512 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        _ => None,
    }
}

/// Signs with aws-lc-rs: for a client's own key ([`Assertions`](crate::Assertions), [`Dpop`](crate::Dpop), signed
/// requests; [RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)).
pub struct AwsLcSigner {
    name: &'static str,
    key: Key,
    key_id: Option<String>,
}

enum Key {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair, Curve),
    Ed25519(Ed25519KeyPair),
    Secret(Box<hmac::Key>),
}

impl AwsLcSigner {
    /// Makes a new key with the system's random numbers, and returns it as PEM (PKCS #8,
    /// [RFC 7468, 10](https://www.rfc-editor.org/rfc/rfc7468#section-10)), to be stored and read by
    /// [`from_pem`](Self::from_pem). RSA keys have 2048 bits.
    ///
    /// # Errors
    ///
    /// [`SignerError`] where the engine makes no key.
    pub fn generate(algorithm: Algorithm) -> Result<Secret, SignerError> {
        let random = SystemRandom::new();
        let der: Zeroizing<Vec<u8>> = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
                let rules = ecdsa_signing(algorithm).ok_or(SignerError)?.0;
                let document = EcdsaKeyPair::generate_pkcs8(rules, &random).map_err(|_| SignerError)?;
                document.as_ref().to_vec().into()
            }
            Algorithm::EdDsa => {
                Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| SignerError)?.as_ref().to_vec().into()
            }
            _ => {
                let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SignerError)?;
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| SignerError)?;
                der.as_ref().to_vec().into()
            }
        };
        let text = Zeroizing::new(STANDARD.encode(&*der));
        Ok(Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *text)))
    }

    /// Takes a private key as PEM: PKCS #8, also PKCS #1 for RSA
    /// ([RFC 7468, 10](https://www.rfc-editor.org/rfc/rfc7468#section-10)). The algorithm is one that the provider
    /// takes from this client.
    ///
    /// # Errors
    ///
    /// [`SignerError`] where the key cannot be read, or is not one of that algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &Secret) -> Result<Self, SignerError> {
        let pem = pem::private_key(pem).ok_or(SignerError)?;
        let pkcs8 = || pem.pkcs8().ok_or(SignerError);
        let key = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
                let (rules, curve) = ecdsa_signing(algorithm).ok_or(SignerError)?;
                Key::Ecdsa(EcdsaKeyPair::from_pkcs8(rules, pkcs8()?).map_err(|_| SignerError)?, curve)
            }
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8()?).map_err(|_| SignerError)?;
                Key::Ed25519(key)
            }
            _ => {
                let key = RsaKeyPair::from_der(pem.inner().ok_or(SignerError)?).map_err(|_| SignerError)?;
                Key::Rsa(key, rsa_encoding(algorithm).ok_or(SignerError)?)
            }
        };
        Ok(Self { name: algorithm.name(), key, key_id: None })
    }

    /// Takes the client's secret, for `client_secret_jwt` with `HS256`. RFC 7518, 3.2: "A key of the same size as
    /// the hash output [...] or larger MUST be used": 32 bytes.
    ///
    /// # Errors
    ///
    /// [`SignerError`] where the secret is shorter.
    pub fn from_secret(secret: &Secret) -> Result<Self, SignerError> {
        // Opened for the engine.
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < 32 {
            return Err(SignerError);
        }
        Ok(Self {
            name: "HS256",
            key: Key::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))),
            key_id: None,
        })
    }

    /// Sets the id under which the provider knows the key
    /// ([RFC 7515, 4.1.4](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4)).
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Returns the public half; nothing for a secret, which has none
    /// ([RFC 7518, 6](https://www.rfc-editor.org/rfc/rfc7518#section-6)).
    pub fn public_key(&self) -> Option<PublicKey> {
        Some(match &self.key {
            Key::Rsa(key, _) => {
                // RFC 8017, A.1.1: RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }
                let (sequence, _) = pem::element(key.public_key().as_ref(), 0x30)?;
                let (modulus, rest) = pem::element(sequence, 0x02)?;
                let (exponent, _) = pem::element(rest, 0x02)?;
                PublicKey::rsa(modulus, exponent)
            }
            Key::Ecdsa(key, curve) => {
                let (_, point) = key.public_key().as_ref().split_first()?;
                let (x, y) = point.split_at_checked(point.len() / 2)?;
                PublicKey::Ec { curve: *curve, x: x.to_vec(), y: y.to_vec() }
            }
            Key::Ed25519(key) => PublicKey::Ed25519 { x: key.public_key().as_ref().to_vec() },
            Key::Secret(_) => return None,
        })
    }
}

fn ecdsa_signing(algorithm: Algorithm) -> Option<(&'static EcdsaSigningAlgorithm, Curve)> {
    match algorithm {
        Algorithm::Es256 => Some((&signature::ECDSA_P256_SHA256_FIXED_SIGNING, Curve::P256)),
        Algorithm::Es384 => Some((&signature::ECDSA_P384_SHA384_FIXED_SIGNING, Curve::P384)),
        Algorithm::Es512 => Some((&signature::ECDSA_P521_SHA512_FIXED_SIGNING, Curve::P521)),
        _ => None,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => return None,
    })
}

#[async_trait::async_trait]
impl Signer for AwsLcSigner {
    fn algorithm(&self) -> &str {
        self.name
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    async fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SignerError> {
        match &self.key {
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let random = SystemRandom::new();
                key.sign(*encoding, &random, input, &mut signature).map_err(|_| SignerError)?;
                Ok(signature)
            }
            Key::Ecdsa(key, _) => {
                let signature = key.sign(&SystemRandom::new(), input).map_err(|_| SignerError)?;
                Ok(signature.as_ref().to_vec())
            }
            Key::Ed25519(key) => Ok(key.sign(input).as_ref().to_vec()),
            Key::Secret(key) => Ok(hmac::sign(key, input).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for AwsLcSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AwsLcSigner")
            .field("algorithm", &self.name)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
