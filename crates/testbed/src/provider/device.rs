//! The device grant of [RFC 8628](https://www.rfc-editor.org/rfc/rfc8628): a device shows a code, a person types it in
//! elsewhere.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Desk, json, json_error, token::Holder};
use crate::{
    canary::Kind,
    http::Fields,
    jwt,
    message::{Request, Response},
    random,
};

/// Keycloak's: ten minutes to type the code in.
const LIFETIME: Duration = Duration::from_secs(600);

/// Keycloak's, and the default of the RFC: five seconds between two questions.
const INTERVAL: Duration = Duration::from_secs(5);

/// A device that waits.
pub(super) struct Device {
    user_code: String,
    client: String,
    scope: String,
    challenge: Option<String>,
    nonce: Option<String>,
    expires: SystemTime,
    asked: Option<SystemTime>,
    decision: Decision,
}

enum Decision {
    Pending,
    Denied,
    /// The session of whoever typed the code in.
    Approved(String),
}

impl Desk<'_> {
    /// [Section 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1): a device asks for its codes.
    pub(super) fn begin_device(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        let client = match self.check_client(request, &form) {
            Ok(client) => client,
            Err(refusal) => return refusal,
        };
        let own = |name: &str| form.value(name).map(str::to_owned);
        let device_code = random::base64url::<32>();
        let letters = random::letters(8);
        let user_code = format!("{}-{}", &letters[..4], &letters[4..]);
        self.plant(&device_code, Kind::DeviceCode);
        self.plant(&user_code, Kind::DeviceCode);
        let verification = format!("{}/device", self.issuer());
        let reply = json(&json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": verification,
            "verification_uri_complete": format!("{verification}?user_code={user_code}"),
            "expires_in": LIFETIME.as_secs(),
            "interval": INTERVAL.as_secs(),
        }));
        let device = Device {
            user_code,
            client,
            scope: own("scope").unwrap_or_default(),
            challenge: own("code_challenge"),
            nonce: own("nonce"),
            expires: self.now + LIFETIME,
            asked: None,
            decision: Decision::Pending,
        };
        self.state.devices.insert(device_code, device);
        reply
    }

    /// [Section 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4): the device asks whether it is time.
    pub(super) fn poll_device(&mut self, client: &str, form: &Fields) -> Response {
        let refuse = |error, description| json_error(400, error, Some(description));
        let Some(code) = form.value("device_code") else {
            return refuse("invalid_request", "Missing parameter: device_code");
        };
        let now = self.now;
        let Some(device) = self.state.devices.get_mut(code).filter(|device| device.client == client) else {
            return refuse("invalid_grant", "Device code not valid");
        };
        let is_hasty = device.asked.is_some_and(|asked| now < asked + INTERVAL);
        device.asked = Some(now);
        if is_hasty {
            return refuse("slow_down", "Slow down");
        }
        if now >= device.expires {
            return refuse("expired_token", "Device code is expired");
        }
        match &device.decision {
            Decision::Pending => {
                refuse("authorization_pending", "The authorization request is still pending")
            }
            Decision::Denied => {
                self.state.devices.remove(code);
                refuse("access_denied", "The end user denied the authorization request")
            }
            Decision::Approved(session) => {
                if let Some(challenge) = &device.challenge {
                    match form.value("code_verifier") {
                        Some(verifier) if jwt::s256(verifier) == *challenge => {}
                        Some(_) => return refuse("invalid_grant", "PKCE verification failed: Code mismatch"),
                        None => return refuse("invalid_grant", "PKCE code verifier not specified"),
                    }
                }
                let (session, scope, nonce) = (session.clone(), device.scope.clone(), device.nonce.clone());
                self.state.devices.remove(code);
                let lie = self.state.lies(super::Misbehaviour::is_in_id_token);
                match Holder::of_session(self.state, client, &session, &scope, now) {
                    Some(holder) => self.grant_tokens(&holder, nonce.as_deref(), lie),
                    None => refuse("invalid_grant", "Session not active"),
                }
            }
        }
    }

    /// The device that shows this code and still waits for somebody.
    pub(super) fn pending_device(&mut self, user_code: &str) -> Option<&mut Device> {
        let now = self.now;
        self.state.devices.values_mut().find(|device| {
            device.user_code == user_code
                && now < device.expires
                && matches!(device.decision, Decision::Pending)
        })
    }

    /// Somebody typed the code in, and signed in (or refused). False where no device waits for it.
    pub(super) fn decide_device(&mut self, user_code: &str, session: Option<String>) -> bool {
        let Some(device) = self.pending_device(user_code) else { return false };
        device.decision = session.map_or(Decision::Denied, Decision::Approved);
        true
    }
}
