//! The end of a session: asked for by the client, and told to it by the back channel.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{
    Desk, Misbehaviour, REALM_PATH, json_error,
    misbehaviour::{Draft, Signature},
    page,
};
use crate::{
    canary::Kind,
    encoding::{self, unix_seconds},
    http::{self, Fields},
    jwt,
    message::{Request, Response},
    random,
};

/// Keycloak's: a logout token is good for two minutes.
const LIFETIME: Duration = Duration::from_secs(120);

/// The one event of [OpenID Connect Back-Channel Logout, section 2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token that is to be delivered: posted as the form field `logout_token`.
#[derive(Clone)]
pub struct LogoutDelivery {
    /// The client's back-channel logout address.
    pub uri: String,
    /// The logout token.
    pub token: String,
}

impl std::fmt::Debug for LogoutDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogoutDelivery").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl LogoutDelivery {
    /// The request that delivers it.
    pub fn request(&self) -> Request {
        Request::post(&self.uri).with_form(&[("logout_token", &self.token)])
    }
}

impl Desk<'_> {
    /// [OpenID Connect RP-Initiated Logout](https://openid.net/specs/openid-connect-rpinitiated-1_0.html).
    pub(super) fn logout(&mut self, request: &Request, fields: &Fields) -> Response {
        let hint = match fields.value("id_token_hint").map(jwt::parse) {
            // An expired token is as good a hint as any, "the OP SHOULD accept".
            Some(Ok(parts)) if self.is_ours(&parts, fields.value("client_id")) => Some(parts.claims),
            Some(_) => return page::sorry("Invalid parameter: id_token_hint"),
            None => None,
        };
        let client = fields.value("client_id").filter(|client| self.state.knows_client(client));
        let target = fields.value("post_logout_redirect_uri");
        if hint.is_none() && client.is_none() && target.is_some() {
            return page::sorry("Missing parameters: id_token_hint");
        }
        if target.is_some_and(|target| !self.allows_redirect(target)) {
            return page::sorry("Invalid redirect uri");
        }
        let of_cookie = http::cookie(request, "KEYCLOAK_IDENTITY").and_then(|cookie| {
            self.state
                .sessions
                .iter()
                .find(|(_, session)| session.cookie == cookie)
                .map(|(sid, _)| sid.clone())
        });
        let mut ended = None;
        match hint.as_ref().and_then(|claims| claims["sid"].as_str()) {
            Some(sid) => {
                ended = self.state.sessions.contains_key(sid).then(|| sid.to_owned());
                self.end_session(sid);
            }
            None if of_cookie.is_some() => {
                let action = format!("{}?{}", self.endpoint("logout/logout-confirm"), request.query());
                return page::confirm_logout(&action);
            }
            None => {}
        }
        self.after_logout(target, fields.value("state"), ended.as_deref())
    }

    /// The person has confirmed.
    pub(super) fn logout_confirmed(&mut self, request: &Request) -> Response {
        let fields = Fields::of_query(request);
        let session = http::cookie(request, "KEYCLOAK_IDENTITY").and_then(|cookie| {
            self.state
                .sessions
                .iter()
                .find(|(_, session)| session.cookie == cookie)
                .map(|(sid, _)| sid.clone())
        });
        if let Some(sid) = &session {
            self.end_session(sid);
        }
        let target = fields.value("post_logout_redirect_uri").filter(|target| self.allows_redirect(target));
        self.after_logout(target, fields.value("state"), session.as_deref())
    }

    /// What the browser sees once a session has ended: where there is an address for it, a hidden frame tells the client
    /// ([OpenID Connect Front-Channel Logout](https://openid.net/specs/openid-connect-frontchannel-1_0.html)).
    fn after_logout(&mut self, target: Option<&str>, state: Option<&str>, ended: Option<&str>) -> Response {
        use Misbehaviour as M;
        let state = match self.state.lies(|lie| matches!(lie, M::LogoutStateMissing | M::LogoutStateOther)) {
            Some(M::LogoutStateMissing) => None,
            Some(_) => Some("another-state"),
            None => state,
        };
        let target = target.map(|target| {
            let separator = if target.contains('?') { '&' } else { '?' };
            let query = state.map_or_else(String::new, |state| {
                format!("{separator}{}", encoding::form([("state", state)]))
            });
            format!("{target}{query}")
        });
        let frame = self.state.frame_uri.as_ref().zip(ended).map(|(uri, sid)| {
            let separator = if uri.contains('?') { '&' } else { '?' };
            format!("{uri}{separator}{}", encoding::form([("iss", self.issuer().as_str()), ("sid", sid)]))
        });
        let response = match (frame, target) {
            (Some(frame), target) => page::signed_out_with_frame(&frame, target.as_deref()),
            (None, Some(target)) => Response::new(302).with_header("Location", &target),
            (None, None) => page::signed_out(),
        };
        let gone = format!("KEYCLOAK_IDENTITY=; Path={REALM_PATH}/; Max-Age=0");
        response.with_header("Set-Cookie", &gone)
    }

    fn is_ours(&self, parts: &jwt::Parts<'_>, client: Option<&str>) -> bool {
        let audience = parts.claims["aud"].as_str();
        parts.claims["iss"] == self.issuer().as_str() && client.is_none_or(|client| audience == Some(client))
    }

    /// Keycloak's older way: the client ends a session with its refresh token.
    pub(super) fn logout_client(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        if form.has("id_token_hint") || !form.has("refresh_token") {
            return self.logout(request, &form);
        }
        if let Err(refusal) = self.check_client(request, &form) {
            return refusal;
        }
        let refresh = form.value("refresh_token").and_then(|token| self.state.refresh_tokens.get(token));
        match refresh.and_then(|refresh| refresh.holder.session.clone()) {
            Some(sid) => {
                self.end_session(&sid);
                Response::new(204)
            }
            None => json_error(400, "invalid_grant", Some("Invalid refresh token")),
        }
    }

    /// Ends a session, and leaves the token that tells the client.
    pub(super) fn end_session(&mut self, sid: &str) {
        let Some(session) = self.state.sessions.remove(sid) else { return };
        let Some(uri) = self.state.logout_uri.clone() else { return };
        let subject = self.state.users[session.user].subject.clone();
        let token = self.logout_token(&subject, sid);
        self.state.outbox.push(LogoutDelivery { uri, token });
    }

    fn logout_token(&mut self, subject: &str, sid: &str) -> String {
        let expires: SystemTime = self.now + LIFETIME;
        let claims = json!({
            "exp": unix_seconds(expires),
            "iat": unix_seconds(self.now),
            "jti": random::uuid(),
            "iss": self.issuer(),
            "aud": self.state.client_id,
            "sub": subject,
            "typ": "Logout",
            "sid": sid,
            "events": { EVENT: {} },
        });
        let mut header = self.header();
        header["typ"] = "logout+jwt".into();
        let mut draft = Draft { header, claims, signature: Signature::Good };
        if let Some(lie) = self.state.lies(Misbehaviour::is_in_logout_token) {
            spoil(lie, &mut draft);
        }
        let token = self.sign(&draft);
        self.plant(&token, Kind::IdToken);
        token
    }
}

/// The refusals that the conformance suite asks for, by the names that it has for them.
fn spoil(lie: Misbehaviour, draft: &mut Draft) {
    use Misbehaviour as M;
    let Draft { header, claims, signature } = draft;
    match lie {
        M::LogoutAlgNone => {
            header["alg"] = "none".into();
            *signature = Signature::Absent;
        }
        M::LogoutOtherAlg => {
            header["alg"] = "HS256".into();
            *signature = Signature::Broken;
        }
        M::LogoutOtherIssuer => claims["iss"] = "https://evil.example.com".into(),
        M::LogoutOtherAudience => claims["aud"] = "somebody-else".into(),
        M::LogoutWithoutEvent => {
            if let Some(claims) = claims.as_object_mut() {
                claims.remove("events");
            }
        }
        M::LogoutOtherEvent => claims["events"] = json!({ "http://schemas.openid.net/event/other": {} }),
        M::LogoutWithNonce => claims["nonce"] = Value::from("a-nonce"),
        _ => {}
    }
}
