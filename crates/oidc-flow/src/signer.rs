//! The client's own key, and what is signed with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::{MaybeSend, MaybeSync, Random, RandomUnavailable, Secret};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Misuse;

/// Makes signatures with the client's key. In a browser that is WebCrypto, natively [`JsonWebTokenSigner`].
///
/// Specified in [RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1).
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub trait Signer: MaybeSend + MaybeSync {
    /// Returns the algorithm's name for the header, such as `ES256`
    /// ([RFC 7515, 4.1.1](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.1)).
    fn algorithm(&self) -> &str;

    /// Returns the id under which the provider knows the key, where it has one
    /// ([RFC 7515, 4.1.4](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4)).
    fn key_id(&self) -> Option<&str>;

    /// Signs: for ECDSA the two numbers one after the other, as JWS wants them (RFC 7518, 3.4).
    ///
    /// # Errors
    ///
    /// [`SignerError`] where no signature was made.
    async fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SignerError>;
}

/// No signature was made: the key cannot be used, or is not there
/// ([RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)). An engine says no more, or it might say the
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's key makes no signature")]
pub struct SignerError;

/// Names that are never given twice: drawn once, then counted. Nobody who has seen some can foretell the next.
pub(crate) struct Unique {
    seed: Zeroizing<[u8; 32]>,
    count: AtomicU64,
}

impl Unique {
    pub(crate) fn draw(random: &mut impl Random) -> Result<Self, RandomUnavailable> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed)?;
        Ok(Self { seed, count: AtomicU64::new(0) })
    }

    pub(crate) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let name = Sha256::new().chain_update(*self.seed).chain_update(count.to_be_bytes()).finalize();
        URL_SAFE_NO_PAD.encode(name)
    }
}

/// Signs claims in compact serialization ([RFC 7515, 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)), with
/// these members of the header beside those that the signer determines.
pub(crate) async fn sign(
    signer: &dyn Signer,
    media_type: &str,
    mut header: Value,
    claims: &Value,
) -> Result<Secret, Misuse> {
    header["alg"] = signer.algorithm().into();
    header["typ"] = media_type.into();
    if let Some(key_id) = signer.key_id() {
        header["kid"] = key_id.into();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = Zeroizing::new(format!("{}.{}", encode(&header), encode(claims)));
    let signature = signer.sign(input.as_bytes()).await.map_err(|_| Misuse::UnusableClientKey)?;
    Ok(Secret::new(format!("{}.{}", *input, URL_SAFE_NO_PAD.encode(signature))))
}

/// A signer that signs claims. What it takes is reached through the signer alone: a program whose clients have no key, such as a
/// page, does not carry it.
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub(crate) trait SignClaims: Signer {
    async fn sign_claims(&self, media_type: &str, header: Value, claims: &Value) -> Result<Secret, Misuse>;
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
impl<S: Signer> SignClaims for S {
    async fn sign_claims(&self, media_type: &str, header: Value, claims: &Value) -> Result<Secret, Misuse> {
        sign(self, media_type, header, claims).await
    }
}

pub(crate) fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
mod engine {
    use std::fmt;

    use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    use jsonwebtoken::{Algorithm as Engine, EncodingKey};
    use latchkey_transport::Secret;

    use super::{Signer, SignerError};
    use crate::id_token::{Algorithm, engine_name};
    use crate::pem;

    /// The native signer: `jsonwebtoken` over aws-lc-rs
    /// ([RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)).
    pub struct JsonWebTokenSigner {
        name: &'static str,
        algorithm: Engine,
        key: EncodingKey,
        key_id: Option<String>,
    }

    impl JsonWebTokenSigner {
        /// Takes a private key as PEM: PKCS #8, also PKCS #1 for RSA
        /// ([RFC 7468, 10](https://www.rfc-editor.org/rfc/rfc7468#section-10)). The algorithm is one that the provider
        /// has registered for this client.
        ///
        /// # Errors
        ///
        /// [`SignerError`] where the key cannot be read, is not one of that algorithm, or makes no signature.
        pub fn from_pem(algorithm: Algorithm, pem: &Secret) -> Result<Self, SignerError> {
            let engine = engine_name(algorithm).ok_or(SignerError)?;
            let key = pem::private_key(pem).ok_or(SignerError)?;
            let key = match algorithm {
                Algorithm::Es256 | Algorithm::Es384 => {
                    EncodingKey::from_ec_der(key.pkcs8().ok_or(SignerError)?)
                }
                Algorithm::EdDsa => EncodingKey::from_ed_der(key.pkcs8().ok_or(SignerError)?),
                _ => EncodingKey::from_rsa_der(key.inner().ok_or(SignerError)?),
            };
            let this = Self { name: algorithm.name(), algorithm: engine, key, key_id: None };
            // Found out now, and not at the first login.
            this.make(b"")?;
            Ok(this)
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
            let key = EncodingKey::from_secret(secret);
            Ok(Self { name: "HS256", algorithm: Engine::HS256, key, key_id: None })
        }

        /// Sets the id under which the provider knows the key
        /// ([RFC 7515, 4.1.4](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4)).
        pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
            self.key_id = Some(key_id.into());
            self
        }

        fn make(&self, input: &[u8]) -> Result<Vec<u8>, SignerError> {
            let signer =
                (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).map_err(|_| SignerError)?;
            signer.try_sign(input).map_err(|_| SignerError)
        }
    }

    #[async_trait::async_trait]
    impl Signer for JsonWebTokenSigner {
        fn algorithm(&self) -> &str {
            self.name
        }

        fn key_id(&self) -> Option<&str> {
            self.key_id.as_deref()
        }

        async fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SignerError> {
            self.make(input)
        }
    }

    impl fmt::Debug for JsonWebTokenSigner {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter
                .debug_struct("JsonWebTokenSigner")
                .field("algorithm", &self.name)
                .field("key_id", &self.key_id)
                .finish_non_exhaustive()
        }
    }
}

#[cfg(all(feature = "jsonwebtoken", not(target_arch = "wasm32")))]
pub use engine::JsonWebTokenSigner;
