//! Proofs of possession: tokens that are bound to a client's key
//! ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

use std::time::Duration;

use serde_json::{Value, json};

use super::{Desk, json_error};
use crate::{
    encoding::unix_seconds,
    jwt::{self, PublicKey},
    message::{Request, Response},
};

/// What a proof may be signed with.
const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

/// How far the time of a proof may be from now.
const WINDOW: Duration = Duration::from_secs(300);

/// Why a proof is not taken.
pub(super) enum Unproven {
    /// It is none, or not for this request.
    Invalid(&'static str),
    /// It lacks the nonce that the provider wants.
    NonceWanted(String),
}

impl Unproven {
    /// The answer of an endpoint for clients.
    pub(super) fn at_token_endpoint(self) -> Response {
        match self {
            Self::Invalid(why) => json_error(400, "invalid_dpop_proof", Some(why)),
            Self::NonceWanted(nonce) => {
                json_error(400, "use_dpop_nonce", Some("Authorization server requires nonce in DPoP proof"))
                    .with_header("DPoP-Nonce", &nonce)
            }
        }
    }
}

impl Desk<'_> {
    /// The thumbprint of the key that the request proves to have; nothing where it proves none.
    pub(super) fn proven_key(
        &mut self,
        request: &Request,
        access_token: Option<&str>,
    ) -> Result<Option<String>, Unproven> {
        let Some(proof) = request.header("DPoP") else { return Ok(None) };
        let parts = jwt::parse(proof).map_err(|_| Unproven::Invalid("DPoP proof is no JWT"))?;
        let key = &parts.header["jwk"];
        let keys = PublicKey::of_key_set(&json!({ "keys": [key] }), None);
        if parts.header["typ"] != "dpop+jwt" || !parts.is_signed_by(&keys, &ALGORITHMS) {
            return Err(Unproven::Invalid("DPoP proof signature verification failure"));
        }
        let claims = &parts.claims;
        let (address, _) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if claims["htm"] != request.method.as_str() || claims["htu"] != address {
            return Err(Unproven::Invalid("DPoP HTTP method or URL mismatch"));
        }
        let issued = claims["iat"].as_u64().unwrap_or_default();
        if issued.abs_diff(unix_seconds(self.now)) > WINDOW.as_secs() {
            return Err(Unproven::Invalid("DPoP proof is not active"));
        }
        // The hash is that of a PKCE challenge: SHA-256 in base64url.
        if access_token.is_some_and(|token| claims["ath"] != jwt::s256(token).as_str()) {
            return Err(Unproven::Invalid("No access token hash in DPoP proof"));
        }
        if let Some(nonce) = self.state.dpop_nonce.clone()
            && claims["nonce"] != nonce.as_str()
        {
            return Err(Unproven::NonceWanted(nonce));
        }
        let id = claims["jti"].as_str().unwrap_or_default();
        if id.is_empty() || !self.state.assertions.insert(format!("dpop {id}")) {
            return Err(Unproven::Invalid("DPoP proof has already been used"));
        }
        Ok(Some(thumbprint(key)))
    }
}

/// [RFC 7638](https://www.rfc-editor.org/rfc/rfc7638): the members that make the key, by name.
fn thumbprint(key: &Value) -> String {
    let names: &[&str] = match key["kty"].as_str() {
        Some("RSA") => &["e", "kty", "n"],
        Some("EC") => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", key[name])).collect();
    jwt::s256(&format!("{{{}}}", members.join(",")))
}
