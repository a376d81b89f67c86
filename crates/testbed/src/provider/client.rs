//! Clients, and how they prove who they are.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Desk, State, json_error};
use crate::{
    canary::Kind,
    encoding::{self, unix_seconds},
    http::Fields,
    jwt::{self, PublicKey},
    message::{Request, Response},
};

/// The type of an assertion, [RFC 7523, section 2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Before the paths of [RFC 8705, section 5](https://www.rfc-editor.org/rfc/rfc8705#section-5). TLS is not checked here: who
/// asks there counts as a client with a certificate.
pub(super) const WITH_CERTIFICATE: &str = "mtls/";

/// What an assertion may be signed with, beside the client's secret.
const ASSERTION_ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// The longest life of an assertion that is taken: Keycloak's, one hour.
const ASSERTION_LIFETIME: u64 = 3600;

impl State {
    pub(super) fn knows_client(&self, id: &str) -> bool {
        id == self.client_id || self.public_clients.iter().any(|client| client == id)
    }

    fn takes_clients_by(&self, method: &str) -> bool {
        self.client_methods.as_ref().is_none_or(|chosen| chosen.iter().any(|this| this == method))
    }
}

impl Desk<'_> {
    /// `client_secret_basic`, `client_secret_post` and `none` of
    /// [RFC 6749, section 2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3), and the two JWTs of
    /// [OpenID Connect Core, section 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication).
    ///
    /// The client's id, or the refusal.
    pub(super) fn check_client(&mut self, request: &Request, form: &Fields) -> Result<String, Response> {
        let refuse =
            |error| Err(json_error(401, error, Some("Invalid client or Invalid client credentials")));
        if let Some(assertion) = form.value("client_assertion") {
            self.plant(assertion, Kind::ClientSecret);
            let is_known = form.value("client_assertion_type") == Some(ASSERTION_TYPE);
            let method = if jwt::parse(assertion).is_ok_and(|parts| parts.header["alg"] == "HS256") {
                "client_secret_jwt"
            } else {
                "private_key_jwt"
            };
            return if is_known && self.state.takes_clients_by(method) && self.takes_assertion(assertion) {
                Ok(self.state.client_id.clone())
            } else {
                refuse("invalid_client")
            };
        }
        let basic =
            request.header("Authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|pair| {
                let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
                let (id, secret) = pair.split_once(':')?;
                // Form-encoded values inside, so the plus sign is a space.
                let decode = |text: &str| encoding::from_path(&text.replace('+', " "));
                Some((decode(id), decode(secret)))
            });
        if request.path().contains("/mtls/") && form.value("client_id") == Some(&self.state.client_id) {
            return Ok(self.state.client_id.clone());
        }
        let in_form = if form.has("client_secret") { "client_secret_post" } else { "none" };
        let method = if basic.is_some() { "client_secret_basic" } else { in_form };
        if !self.state.takes_clients_by(method) {
            return refuse("invalid_client");
        }
        let (id, secret) = basic.unwrap_or_else(|| {
            let value = |name| form.value(name).unwrap_or_default().to_owned();
            (value("client_id"), value("client_secret"))
        });
        if self.state.public_clients.contains(&id) {
            return Ok(id);
        }
        if id != self.state.client_id {
            return refuse("invalid_client");
        }
        if secret != self.state.client_secret {
            return refuse("unauthorized_client");
        }
        Ok(id)
    }

    /// Whether an assertion is the client's own, meant for this provider, still good, and shown for the first time.
    fn takes_assertion(&mut self, assertion: &str) -> bool {
        let Ok(parts) = jwt::parse(assertion) else { return false };
        let kid = parts.header["kid"].as_str();
        let keys = PublicKey::of_key_set(&self.state.client_keys, kid);
        if !parts.is_signed_by(&keys, &ASSERTION_ALGORITHMS)
            && !parts.is_signed_with(&self.state.client_secret)
        {
            return false;
        }
        let claims = &parts.claims;
        let client = self.state.client_id.as_str();
        let audiences = [self.issuer(), self.endpoint("token")];
        let is_for_us = match &claims["aud"] {
            serde_json::Value::Array(all) => all.iter().any(|aud| audiences.iter().any(|own| aud == own)),
            one => audiences.iter().any(|own| one == own),
        };
        let now = unix_seconds(self.now);
        let is_fresh = claims["exp"]
            .as_u64()
            .is_some_and(|expires| now < expires && expires <= now + ASSERTION_LIFETIME);
        let id = claims["jti"].as_str().unwrap_or_default().to_owned();
        claims["iss"] == client
            && claims["sub"] == client
            && is_for_us
            && is_fresh
            && !id.is_empty()
            && self.state.assertions.insert(id)
    }

    /// Whether a page of this origin may read what the provider answers.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        // The realm's client has "+" for its web origins: the origins of its redirect addresses.
        let origin_of =
            |address: &str| url::Url::parse(address).ok().map(|url| url.origin().ascii_serialization());
        let is_loopback = url::Url::parse(origin).is_ok_and(|url| {
            url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        });
        is_loopback
            || self.state.web_origins.iter().any(|allowed| allowed == origin)
            || self.state.redirect_uris.iter().any(|uri| origin_of(uri).as_deref() == Some(origin))
    }
}

/// When something that lives this long from now on ends, not after the session.
pub(super) fn ends(now: SystemTime, lifetime: std::time::Duration, session_end: SystemTime) -> SystemTime {
    (now + lifetime).min(session_end)
}
