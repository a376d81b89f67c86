//! The seam to the engine that checks signatures.

use std::sync::Arc;

use latchkey_transport::{MaybeSend, MaybeSync};

use super::Jwk;

/// A signature algorithm of [RFC 7518, 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1) or
/// [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037) that can be allowed.
///
/// `none` is not among them. Neither are the symmetric ones: whoever can check such a signature can make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// `RS256`, which every provider must offer ([RFC 7518, 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)).
    Rs256,
    /// `RS384` ([RFC 7518, 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3))
    Rs384,
    /// `RS512` ([RFC 7518, 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3))
    Rs512,
    /// `PS256` ([RFC 7518, 3.5](https://www.rfc-editor.org/rfc/rfc7518#section-3.5))
    Ps256,
    /// `PS384` ([RFC 7518, 3.5](https://www.rfc-editor.org/rfc/rfc7518#section-3.5))
    Ps384,
    /// `PS512` ([RFC 7518, 3.5](https://www.rfc-editor.org/rfc/rfc7518#section-3.5))
    Ps512,
    /// `ES256`, on the curve P-256 ([RFC 7518, 3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)).
    Es256,
    /// `ES384`, on the curve P-384 ([RFC 7518, 3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)).
    Es384,
    /// `ES512`, on the curve P-521 ([RFC 7518, 3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)).
    Es512,
    /// `EdDSA` on the curve Ed25519, also called `Ed25519`
    /// ([RFC 9864](https://www.rfc-editor.org/rfc/rfc9864)).
    EdDsa,
}

impl Algorithm {
    /// Returns the algorithm of that name ([RFC 7518, 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Returns the name that stands in a token's header
    /// ([RFC 7515, 4.1.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1)).
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// One signature to check.
///
/// Specified in [RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignatureCheck<'a> {
    /// How it was made. It was allowed, and the key fits it.
    pub algorithm: Algorithm,
    /// The provider's key. An RSA key has 2048 to 8192 bits.
    pub key: &'a Jwk,
    /// What was signed ([RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)).
    pub signing_input: &'a [u8],
    /// The signature: for ECDSA the two numbers one after the other, as JWS wants them (RFC 7518, 3.4).
    pub signature: &'a [u8],
}

impl<'a> SignatureCheck<'a> {
    /// Puts a check together, for a test of an engine. Whoever does so sees to it that the key fits the algorithm.
    pub fn new(algorithm: Algorithm, key: &'a Jwk, signing_input: &'a [u8], signature: &'a [u8]) -> Self {
        Self { algorithm, key, signing_input, signature }
    }
}

/// Why a signature could not be checked, which is another thing than that it is wrong
/// ([RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// The engine does not know the algorithm.
    #[error("the algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The engine does not take the key, such as one whose point is not on its curve.
    #[error("the key cannot be used")]
    UnusableKey,
    /// The engine is not there.
    #[error("the engine is unavailable")]
    Unavailable,
}

/// An engine that many providers share.
pub type SharedVerifier = Arc<dyn Verifier>;

/// Checks signatures, and nothing else: everything that a token says is checked elsewhere.
///
/// A wrong `true` here lets anybody sign in as anybody.
///
/// Specified in [RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2).
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub trait Verifier: MaybeSend + MaybeSync {
    /// Returns whether the signature was made over that input with the private half of the key.
    ///
    /// # Errors
    ///
    /// [`VerifierError`] where that cannot be said; a wrong signature is `false`.
    async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError>;
}

#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
mod engine {
    use jsonwebtoken::DecodingKey;
    use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

    use super::super::PublicKey;
    use super::{Algorithm, SignatureCheck, Verifier, VerifierError};

    /// The native engine: `jsonwebtoken` over aws-lc-rs, used for signatures only
    /// ([RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)).
    ///
    /// It asks the aws-lc-rs provider by name and not the one of the process: that one panics at the first use when
    /// another crate of the program enables a second provider, and a library must not install one.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct JsonWebToken;

    #[async_trait::async_trait]
    impl Verifier for JsonWebToken {
        async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
            let algorithm = engine_name(check.algorithm).ok_or(VerifierError::UnsupportedAlgorithm)?;
            let key = match check.key.public_key() {
                PublicKey::Rsa { modulus, exponent } => {
                    DecodingKey::from_rsa_raw_components(modulus, exponent)
                }
                // RFC 5480, 2.2: an uncompressed point is 04, x, y.
                PublicKey::Ec { x, y, .. } => DecodingKey::from_ec_der(&[&[4], x.as_slice(), y].concat()),
                PublicKey::Ed25519 { x } => DecodingKey::from_ed_der(x),
            };
            let engine = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key)
                .map_err(|_| VerifierError::UnusableKey)?;
            Ok(engine.verify(check.signing_input, &check.signature.to_vec()).is_ok())
        }
    }

    /// Returns the engine's own name of the algorithm; it does not know `ES512`.
    pub(crate) fn engine_name(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
        Some(match algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
            Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
            Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
            Algorithm::Es512 => return None,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        })
    }
}

#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub use engine::JsonWebToken;
#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub(crate) use engine::engine_name;
