//! What the provider says of itself: its configuration and its keys.

use serde_json::{Value, json};

use super::{Desk, Misbehaviour, client::WITH_CERTIFICATE, json};
use crate::{jwt::RsaKey, message::Response};

impl Desk<'_> {
    /// The document of [OpenID Connect Discovery, section 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
    pub(super) fn configuration(&mut self) -> Response {
        let issuer = self.issuer();
        // The one that everybody must have, and the one that signs now.
        let mut algorithms = vec!["RS256", self.state.algorithm.name()];
        algorithms.dedup();
        let methods = ["private_key_jwt", "client_secret_basic", "client_secret_post", "client_secret_jwt"];
        let methods = match &self.state.client_methods {
            Some(chosen) => json!(chosen),
            None => json!(methods),
        };
        let keys = self.state.keys_at.as_ref().map_or("certs".to_owned(), |name| format!("certs/{name}"));
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": self.endpoint("auth"),
            "token_endpoint": self.endpoint("token"),
            "introspection_endpoint": self.endpoint("token/introspect"),
            "userinfo_endpoint": self.endpoint("userinfo"),
            "end_session_endpoint": self.endpoint("logout"),
            "revocation_endpoint": self.endpoint("revoke"),
            "jwks_uri": self.endpoint(&keys),
            "device_authorization_endpoint": self.endpoint("auth/device"),
            "pushed_authorization_request_endpoint": self.endpoint("ext/par/request"),
            "require_pushed_authorization_requests": false,
            "frontchannel_logout_supported": true,
            "frontchannel_logout_session_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"],
            "response_types_supported": ["code", "code id_token"],
            "response_modes_supported": ["query", "fragment", "form_post",
                "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"],
            "authorization_signing_alg_values_supported": algorithms,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
            "userinfo_signing_alg_values_supported": algorithms,
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256"],
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "scopes_supported": ["openid", "profile", "email", "address", "phone", "roles", "offline_access"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
            "claim_types_supported": ["normal"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "name", "given_name", "family_name",
                "preferred_username", "email", "acr", "azp", "nonce", "auth_time"],
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
            "tls_client_certificate_bound_access_tokens": false,
        });
        if self.state.lies(|lie| *lie == Misbehaviour::DiscoveryIssuer).is_some() {
            document["issuer"] = "https://evil.example.com/realms/HashiCorp".into();
        }
        if self.state.lies(|lie| *lie == Misbehaviour::NoS256).is_some() {
            document["code_challenge_methods_supported"] = json!(["plain"]);
        }
        if self.state.lies(|lie| *lie == Misbehaviour::CertificateAddresses).is_some() {
            let names =
                ["token_endpoint", "userinfo_endpoint", "revocation_endpoint", "introspection_endpoint"];
            let elsewhere = format!("{issuer}/{}", WITH_CERTIFICATE.trim_end_matches('/'));
            for name in names {
                let address = document[name].as_str().unwrap_or_default().replace(&issuer, &elsewhere);
                document["mtls_endpoint_aliases"][name] = address.into();
            }
        }
        // Told again at the redirect, so that the announcement and the deed agree.
        if self.state.misbehaviours.iter().any(|(lie, _)| *lie == Misbehaviour::NoCallbackIssuer) {
            document["authorization_response_iss_parameter_supported"] = false.into();
        }
        Response::new(200)
            .with_header("Cache-Control", "no-cache, must-revalidate, no-transform, no-store")
            .with_json(&document)
    }

    /// The key set of [RFC 7517, section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5): one or more keys for
    /// signatures, and one for encryption that is to be passed over.
    pub(super) fn certificates(&mut self) -> Response {
        let mut keys = vec![RsaKey::ENCRYPTION.jwk(&self.state.encryption_kid, "enc", "RSA-OAEP")];
        if self.state.lies(|lie| *lie == Misbehaviour::UnknownKeyType).is_some() {
            keys.insert(
                0,
                json!({"kid": "new", "kty": "ML", "alg": "ML-DSA-99", "use": "sig", "pub": "AAAA"}),
            );
        }
        if self.state.lies(|lie| *lie == Misbehaviour::OddKeys).is_some() {
            keys.extend(odd_keys());
        }
        keys.extend(self.state.keys.iter().rev().map(|key| key.key.jwk(&key.kid)));
        Response::new(200).with_header("Cache-Control", "no-cache").with_json(&json!({ "keys": keys }))
    }

    /// What Keycloak answers at the realm itself.
    pub(super) fn realm(&mut self) -> Response {
        json(&json!({
            "realm": "HashiCorp",
            "token-service": format!("{}/protocol/openid-connect", self.issuer()),
            "account-service": format!("{}/account", self.issuer()),
            "tokens-not-before": 0,
        }))
    }
}

/// What the conformance suite publishes beside the key that signs: keys that are for something else.
fn odd_keys() -> Vec<Value> {
    let mut encryption = RsaKey::ENCRYPTION.jwk("enc-without-alg", "enc", "");
    if let Some(key) = encryption.as_object_mut() {
        key.remove("alg");
    }
    // The points are those of the generators: sound keys, whose private halves nobody uses.
    let (p256_x, p256_y) =
        ("axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU");
    let (k1_x, k1_y) =
        ("eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g", "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg");
    let ed25519 = "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY";
    vec![
        encryption,
        json!({"kid": "ec-enc", "kty": "EC", "use": "enc", "crv": "P-256", "x": p256_x, "y": p256_y}),
        json!({"kid": "secp256k1", "kty": "EC", "use": "sig", "alg": "ES256K", "crv": "secp256k1", "x": k1_x, "y": k1_y}),
        json!({"kid": "ed25519", "kty": "OKP", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "x": ed25519}),
        json!({"kid": "unreadable", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "not base64!", "e": "AQAB"}),
    ]
}
