//! A provider's keys, and an ID token as Keycloak sends it; the peers measure with the same.

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// The issuer.
pub(crate) const ISSUER: &str = "https://id.example/realms/HashiCorp";
/// The client.
pub(crate) const CLIENT: &str = "vault-oidc";
/// A third of an access token: Keycloak's are of 1200 signs.
pub(crate) const ACCESS_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCIgOiAiSldUIiwia2lkIiA6ICJfX0hqQ2RmTXlVQm1nSk9CeWk5TnRxNGhBIn0.eyJleHAiOjE3ODAzMTU1MDAsImlhdCI6MTc4MDMxNTIwMCwiYXV0aF90aW1lIjoxNzgwMzE1MjAwLCJqdGkiOiI5ZjFiMWEwZS02YjBhLTRjM2MtOGE0ZS0wYjZhM2YxYzJkNGUiLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUvcmVhbG1zL0hhc2hpQ29ycCIsInR5cCI6IkJlYXJlciIsImF6cCI6InZhdWx0LW9pZGMiLCJzaWQi";

/// The least that anybody can do: one signature, nothing of what the token says.
pub(crate) fn signature_only(token: &str, key: &ParsedPublicKey) -> anyhow::Result<()> {
    let (signed, signature) = token.rsplit_once('.').context("three parts")?;
    key.verify_sig(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)?;
    Ok(())
}

/// A provider's key.
pub(crate) trait Key {
    fn algorithm(&self) -> &'static str;
    fn jwk(&self) -> serde_json::Value;
    fn parsed(&self) -> anyhow::Result<ParsedPublicKey>;
    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>>;
}

/// An RSA key of 2048 bits.
pub(crate) struct RsaKey(RsaKeyPair);

/// A key on P-256.
pub(crate) struct EcKey(EcdsaKeyPair);

impl RsaKey {
    /// Makes a new one.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        Ok(Self(RsaKeyPair::generate(KeySize::Rsa2048)?))
    }
}

impl EcKey {
    /// Makes a new one.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        Ok(Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?))
    }
}

impl Key for RsaKey {
    fn algorithm(&self) -> &'static str {
        "RS256"
    }

    fn jwk(&self) -> serde_json::Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (self.0.public_key().modulus(), self.0.public_key().exponent());
        let (n, e) =
            (number(n.big_endian_without_leading_zero()), number(e.big_endian_without_leading_zero()));
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "a", "n": n, "e": e})
    }

    fn parsed(&self) -> anyhow::Result<ParsedPublicKey> {
        Ok(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.0.public_key().as_der()?.as_ref())?)
    }

    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)?;
        Ok(signature)
    }
}

impl Key for EcKey {
    fn algorithm(&self) -> &'static str {
        "ES256"
    }

    fn jwk(&self) -> serde_json::Value {
        let (_, point) = self.0.public_key().as_ref().split_at(1);
        let (x, y) = point.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": "a", "x": x, "y": y})
    }

    fn parsed(&self) -> anyhow::Result<ParsedPublicKey> {
        Ok(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0.public_key())?)
    }

    fn sign(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.0.sign(&SystemRandom::new(), input)?.as_ref().to_vec())
    }
}

/// A token with the claims that Keycloak 26 sends.
pub(crate) fn sign(key: &dyn Key, nonce: &str, issued: u64) -> anyhow::Result<String> {
    let hash = digest(&SHA256, ACCESS_TOKEN.repeat(3).as_bytes());
    let (half, _) = hash.as_ref().split_at(16);
    let claims = json!({
        "nonce": nonce, "at_hash": URL_SAFE_NO_PAD.encode(half), "exp": issued + 300, "iat": issued, "auth_time": issued, "jti": "9f1b1a0e-6b0a-4c3c-8a4e-0b6a3f1c2d4e",
        "iss": ISSUER, "aud": CLIENT, "sub": "f3b7d1c2-5a6e-4f80-9b1d-2c3e4f5a6b7c", "typ": "ID", "azp": CLIENT,
        "sid": "0c9d8e7f-1a2b-3c4d-5e6f-708192a3b4c5", "acr": "1", "email_verified": true,
        "resource_access": {CLIENT: {"roles": ["reader"]}}, "name": "Rita Reader",
        "preferred_username": "reader", "given_name": "Rita", "family_name": "Reader",
        "email": "reader@example.com",
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": key.algorithm(), "typ": "JWT", "kid": "a"}));
    let signed = format!("{header}.{}", encode(claims));
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?)))
}

/// The key set with that one key.
pub(crate) fn key_set_text(key: &dyn Key) -> String {
    json!({"keys": [key.jwk()]}).to_string()
}
