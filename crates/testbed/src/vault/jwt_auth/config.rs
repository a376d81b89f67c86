//! The configuration of a mount: where its keys come from.

use serde_json::{Value, json};

use super::{Call, Refusal, Voice};
use crate::{jwt::PublicKey, message::Request, world::World};

#[derive(Clone)]
pub(super) struct Config {
    pub(super) keys: Keys,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) default_role: String,
    pub(super) response_mode: String,
    bound_issuer: String,
    /// As it was sent, to be told again.
    sent: serde_json::Map<String, Value>,
}

/// Where the keys come from: exactly one of them.
#[derive(Clone)]
pub(super) enum Keys {
    Discovery(String),
    KeySet(String),
    Pem(Vec<String>),
}

/// The documents of a provider that one login needs.
pub(super) struct Discovered {
    document: Value,
}

impl Discovered {
    pub(super) fn endpoint(&self, name: &str) -> String {
        self.document[name].as_str().unwrap_or_default().to_owned()
    }
}

impl Config {
    /// [Configure](https://developer.hashicorp.com/vault/api-docs/auth/jwt#configure). The provider is asked at once.
    pub(super) fn read(call: &Call, world: &World) -> Result<Self, Refusal> {
        let (discovery, key_set) = (call.text("oidc_discovery_url"), call.text("jwks_url"));
        let pem: Vec<String> =
            call.list("jwt_validation_pubkeys").iter().map(|pem| pem.trim().to_owned()).collect();
        let keys = match (discovery.is_empty(), key_set.is_empty(), pem.is_empty()) {
            (false, true, true) => Keys::Discovery(discovery),
            (true, false, true) => Keys::KeySet(key_set),
            (true, true, false) => Keys::Pem(pem),
            _ => {
                return Err(Refusal::bad(
                    "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', 'oidc_discovery_url', or \
                     'provider_config' must be set",
                ));
            }
        };
        let (client_id, client_secret) = (call.text("oidc_client_id"), call.text("oidc_client_secret"));
        if client_id.is_empty() != client_secret.is_empty() {
            return Err(Refusal::bad("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC"));
        }
        if !client_id.is_empty() && !matches!(keys, Keys::Discovery(_)) {
            return Err(Refusal::bad("'oidc_discovery_url' must be set for OIDC"));
        }
        let response_mode = call.text("oidc_response_mode");
        if !matches!(response_mode.as_str(), "" | "query" | "form_post") {
            return Err(Refusal::bad(format!("invalid response_mode: \"{response_mode}\"")));
        }
        let config = Self {
            keys,
            client_id,
            client_secret,
            default_role: call.text("default_role"),
            response_mode,
            bound_issuer: call.text("bound_issuer"),
            sent: call.data.clone(),
        };
        match &config.keys {
            Keys::Discovery(_) => {
                config.discover(world).map_err(|why| {
                    Refusal::bad(format!(
                        "error checking oidc discovery URL: error creating provider with given values: \
                         NewProvider: unable to create provider: {why}"
                    ))
                })?;
            }
            Keys::KeySet(url) => {
                fetch(world, url).map_err(|why| Refusal::bad(format!("error checking jwks URL: {why}")))?;
            }
            Keys::Pem(keys) => {
                if keys.iter().any(|pem| PublicKey::of_pem(pem).is_none()) {
                    return Err(Refusal::bad(
                        "error parsing public key: data does not contain any valid public keys",
                    ));
                }
            }
        }
        Ok(config)
    }

    /// The algorithms that are accepted: RS256 where nobody said otherwise.
    pub(super) fn algorithms(&self) -> Vec<&str> {
        let sent = self.sent.get("jwt_supported_algs").and_then(Value::as_array);
        let names: Vec<&str> = sent.into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() { vec!["RS256"] } else { names }
    }

    pub(super) fn is_oidc(&self) -> bool {
        !self.client_id.is_empty()
    }

    /// The issuer that a token must name; none where nobody said.
    pub(super) fn expected_issuer(&self) -> Option<&str> {
        match (&self.keys, self.bound_issuer.as_str()) {
            (Keys::Discovery(url), "") => Some(url.trim_end_matches('/')),
            (_, "") => None,
            (_, issuer) => Some(issuer),
        }
    }

    /// Reads the provider's configuration, and compares its issuer.
    pub(super) fn discover(&self, world: &World) -> Result<Discovered, String> {
        let Keys::Discovery(issuer) = &self.keys else { return Err("no discovery URL".to_owned()) };
        let issuer = issuer.trim_end_matches('/');
        let document = fetch(world, &format!("{issuer}/.well-known/openid-configuration"))?;
        if document["issuer"] != issuer {
            return Err(format!(
                "oidc: issuer did not match the issuer returned by provider, expected \"{issuer}\" got {}",
                document["issuer"]
            ));
        }
        Ok(Discovered { document })
    }

    /// The keys for a token that names one, or names none.
    pub(super) fn public_keys(&self, world: &World, kid: Option<&str>) -> Result<Vec<PublicKey>, String> {
        let url = match &self.keys {
            Keys::Pem(keys) => return Ok(keys.iter().filter_map(|pem| PublicKey::of_pem(pem)).collect()),
            Keys::KeySet(url) => url.clone(),
            Keys::Discovery(_) => self.discover(world)?.endpoint("jwks_uri"),
        };
        Ok(PublicKey::of_key_set(&fetch(world, &url)?, kid))
    }

    pub(super) fn describe(&self, voice: Voice) -> Value {
        let sent = |name: &str, otherwise: Value| self.sent.get(name).cloned().unwrap_or(otherwise);
        let mut data = json!({
            "bound_issuer": self.bound_issuer,
            "default_role": self.default_role,
            "jwks_ca_pem": sent("jwks_ca_pem", "".into()),
            "jwks_url": sent("jwks_url", "".into()),
            "jwt_supported_algs": sent("jwt_supported_algs", json!([])),
            "jwt_validation_pubkeys": match &self.keys { Keys::Pem(keys) => json!(keys), _ => json!([]) },
            "namespace_in_state": sent("namespace_in_state", true.into()),
            "oidc_client_id": self.client_id,
            "oidc_discovery_ca_pem": sent("oidc_discovery_ca_pem", "".into()),
            "oidc_discovery_url": sent("oidc_discovery_url", "".into()),
            "oidc_response_mode": self.response_mode,
            "oidc_response_types": sent("oidc_response_types", json!([])),
            "provider_config": sent("provider_config", json!({})),
        });
        if voice == Voice::OpenBao {
            data["override_allowed_server_names"] = json!([]);
            data["status"] = "valid".into();
        }
        data
    }
}

/// Asks the provider, the way any client would: faults included.
fn fetch(world: &World, url: &str) -> Result<Value, String> {
    match world.ask_provider(&Request::get(url)) {
        Ok(response) if response.status == 200 => Ok(response.json()),
        Ok(response) if response.status == 404 => Err(format!("404 Not Found: {}", response.text())),
        Ok(response) => Err(format!("{}: {}", response.status, response.text())),
        Err(_) => Err(format!("Get \"{url}\": dial tcp: connect: connection refused")),
    }
}
