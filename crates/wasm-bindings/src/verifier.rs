//! Signatures, checked by the browser.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use js_sys::{Object, Reflect, Uint8Array};
use latchkey_oidc_flow::keys::PublicKey;
use latchkey_oidc_flow::{Algorithm, SignatureCheck, Verifier, VerifierError};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use crate::platform;

/// `crypto.subtle`. It is not there on a page over plain `http` beyond this machine; then the check says
/// [`VerifierError::Unavailable`].
pub(crate) struct WebCrypto;

#[async_trait::async_trait(?Send)]
impl Verifier for WebCrypto {
    async fn verify(&self, check: &SignatureCheck<'_>) -> Result<bool, VerifierError> {
        let (name, parameters): (_, &[(&str, JsValue)]) = match check.algorithm {
            Algorithm::Rs256 => ("RSASSA-PKCS1-v1_5", &[hash("SHA-256")]),
            Algorithm::Rs384 => ("RSASSA-PKCS1-v1_5", &[hash("SHA-384")]),
            Algorithm::Rs512 => ("RSASSA-PKCS1-v1_5", &[hash("SHA-512")]),
            // RFC 7518, 3.5: "The size of the salt value is the same size as the hash function output."
            Algorithm::Ps256 => ("RSA-PSS", &[hash("SHA-256"), ("saltLength", JsValue::from(32))]),
            Algorithm::Ps384 => ("RSA-PSS", &[hash("SHA-384"), ("saltLength", JsValue::from(48))]),
            Algorithm::Ps512 => ("RSA-PSS", &[hash("SHA-512"), ("saltLength", JsValue::from(64))]),
            Algorithm::Es256 => ("ECDSA", &[hash("SHA-256"), ("namedCurve", JsValue::from("P-256"))]),
            Algorithm::Es384 => ("ECDSA", &[hash("SHA-384"), ("namedCurve", JsValue::from("P-384"))]),
            Algorithm::Es512 => ("ECDSA", &[hash("SHA-512"), ("namedCurve", JsValue::from("P-521"))]),
            Algorithm::EdDsa => ("Ed25519", &[]),
            _ => return Err(VerifierError::UnsupportedAlgorithm),
        };
        let algorithm = Object::new();
        set(&algorithm, "name", &name.into());
        for (name, value) in parameters {
            set(&algorithm, name, value);
        }
        let promise = platform::verify(
            jwk(check.key.public_key())?,
            algorithm,
            Uint8Array::from(check.signature),
            Uint8Array::from(check.signing_input),
        );
        let outcome = JsFuture::from(promise).await.unwrap_or(JsValue::UNDEFINED);
        match (outcome.as_bool(), outcome.as_string().as_deref()) {
            (Some(is_right), _) => Ok(is_right),
            (None, Some("unsupported")) => Err(VerifierError::UnsupportedAlgorithm),
            (None, Some("unusable")) => Err(VerifierError::UnusableKey),
            _ => Err(VerifierError::Unavailable),
        }
    }
}

/// Only what the key is: `use`, `key_ops` and `alg` of the provider's were looked at when it was chosen, and a browser would
/// stumble over some of them.
fn jwk(key: &PublicKey) -> Result<Object, VerifierError> {
    let jwk = Object::new();
    let number = |name, bytes: &[u8]| set(&jwk, name, &URL_SAFE_NO_PAD.encode(bytes).into());
    match key {
        PublicKey::Rsa { modulus, exponent } => {
            set(&jwk, "kty", &"RSA".into());
            number("n", modulus);
            number("e", exponent);
        }
        PublicKey::Ec { curve, x, y } => {
            set(&jwk, "kty", &"EC".into());
            set(&jwk, "crv", &curve.name().into());
            number("x", x);
            number("y", y);
        }
        PublicKey::Ed25519 { x } => {
            set(&jwk, "kty", &"OKP".into());
            set(&jwk, "crv", &"Ed25519".into());
            number("x", x);
        }
        _ => return Err(VerifierError::UnusableKey),
    }
    Ok(jwk)
}

fn hash(name: &str) -> (&'static str, JsValue) {
    ("hash", name.into())
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // A plain object takes any property.
    let _ = Reflect::set(object, &name.into(), value);
}
