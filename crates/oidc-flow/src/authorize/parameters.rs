//! What is asked for, as it travels: in the address, in a form, or signed.

use std::time::SystemTime;

use latchkey_transport::{Random, Secret, json};
use serde_json::{Map, Value, json};

use super::Authorize;
use crate::form::Field;
use crate::signer::{Unique, sign, unix_seconds};
use crate::{Error, Pending, Signer, pkce};

impl Authorize {
    /// Returns every parameter of the request but `client_id`.
    pub(super) fn parameters(&self, pending: &Pending) -> Vec<(&str, Field)> {
        let plain = |text: String| Field::Plain(text);
        let joined = |words: &[String]| Some(words.join(" ")).filter(|text| !text.is_empty());
        let prompts: Vec<_> = self.prompts.iter().map(|prompt| prompt.name().to_owned()).collect();
        let response_type = if self.wants_id_token { "code id_token" } else { "code" };
        let mut parameters = vec![
            ("response_type", plain(response_type.to_owned())),
            ("redirect_uri", plain(self.redirect_uri.clone())),
            ("scope", plain(self.scopes.join(" "))),
            ("state", Field::Secret(pending.state.clone())),
            ("nonce", Field::Secret(pending.nonce.clone())),
            ("code_challenge", plain(pkce::challenge(&pending.verifier))),
            ("code_challenge_method", plain(pkce::METHOD.to_owned())),
        ];
        let optional = [
            ("response_mode", self.response_mode.map(|mode| mode.name().to_owned())),
            ("prompt", joined(&prompts)),
            ("login_hint", self.login_hint.clone()),
            ("max_age", self.max_age.map(|max_age| max_age.as_secs().to_string())),
            ("acr_values", joined(&self.acr_values)),
        ];
        parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name, plain(value?)))));
        // RFC 9449, 10: the code is bound to the key from the beginning.
        let thumbprint = self.client.dpop().map(|dpop| plain(dpop.thumbprint().to_owned()));
        parameters.extend(thumbprint.map(|thumbprint| ("dpop_jkt", thumbprint)));
        parameters.extend(self.id_token_hint.clone().map(|hint| ("id_token_hint", Field::Secret(hint))));
        parameters.extend(self.resources.iter().map(|resource| ("resource", plain(resource.clone()))));
        let extra = self.parameters.iter().map(|(name, value)| (name.as_str(), plain(value.clone())));
        parameters.extend(extra);
        parameters
    }

    /// Signs every parameter ([RFC 9101, 4](https://www.rfc-editor.org/rfc/rfc9101#section-4)). The object lives as long
    /// as the login may take.
    pub(super) async fn request_object(
        &self,
        pending: &Pending,
        signer: &dyn Signer,
        random: &mut impl Random,
        now: SystemTime,
    ) -> Result<Secret, Error> {
        let mut claims = Map::new();
        for (name, field) in self.parameters(pending) {
            let value = match name {
                // Core, 6.1: numbers and objects stand as themselves.
                "max_age" | "claims" => {
                    json::from_str(field.text()).map_or(Value::Null, |json::Any(value)| value)
                }
                _ => field.text().into(),
            };
            match claims.get_mut(name) {
                None => {
                    claims.insert(name.to_owned(), value);
                }
                // RFC 8707, 2: `resource` may stand several times.
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = json!([first.take(), value]),
            }
        }
        let issued = unix_seconds(now);
        let client_id = self.client.client_id();
        for (name, value) in [
            ("client_id", json!(client_id)),
            ("iss", json!(client_id)),
            ("aud", json!(self.client.provider().issuer())),
            ("iat", json!(issued)),
            ("nbf", json!(issued)),
            ("exp", json!(issued.saturating_add(self.lifetime.as_secs()))),
            ("jti", json!(Unique::draw(random)?.next())),
        ] {
            claims.insert(name.to_owned(), value);
        }
        Ok(sign(signer, "oauth-authz-req+jwt", json!({}), &Value::Object(claims)).await?)
    }
}
