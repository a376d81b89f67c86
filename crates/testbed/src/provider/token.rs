//! The token endpoint: what a client gets for a code, a refresh token, a token of somebody, or for being itself.

use std::time::SystemTime;

use serde_json::json;

use super::{Desk, Misbehaviour, State, claims::Beside, client::ends, json, json_error, misbehaviour::Draft};
use crate::{
    canary::Kind,
    encoding,
    http::Fields,
    jwt,
    message::{Request, Response},
};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TYPE_OF_ACCESS_TOKENS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The scopes that a client may ask for; others are dropped, or refused where Keycloak refuses them.
const SCOPES: [&str; 7] = ["openid", "profile", "email", "roles", "address", "phone", "offline_access"];

/// Whom a token was given to, and for whom.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) client: String,
    pub(super) user: usize,
    /// `None`: a client in its own name has no session.
    pub(super) session: Option<String>,
    /// When the person signed in, and when the session ends.
    pub(super) signed_in: SystemTime,
    pub(super) session_end: SystemTime,
    /// As it was asked for.
    pub(super) asked: String,
    /// The thumbprint of the key that its tokens are bound to.
    pub(super) key: Option<String>,
}

impl Holder {
    /// Somebody with a session that is still alive.
    pub(super) fn of_session(
        state: &State,
        client: &str,
        sid: &str,
        asked: &str,
        now: SystemTime,
    ) -> Option<Self> {
        let session = state.session(sid, now)?;
        Some(Self {
            client: client.to_owned(),
            user: session.user,
            session: Some(sid.to_owned()),
            signed_in: session.started,
            session_end: session.started + state.lifetimes.session,
            asked: asked.to_owned(),
            key: None,
        })
    }

    pub(super) fn has_openid(&self) -> bool {
        self.asked.split_whitespace().any(|scope| scope == "openid")
    }

    /// What is granted: the default scopes come without being asked for, two others where they are asked for.
    pub(super) fn scope(&self) -> String {
        let optional = self.asked.split_whitespace().filter(|scope| matches!(*scope, "address" | "phone"));
        let openid = self.has_openid().then_some("openid");
        openid.into_iter().chain(["email", "profile"]).chain(optional).collect::<Vec<_>>().join(" ")
    }
}

/// What an access token stands for.
pub(super) struct Access {
    pub(super) holder: Holder,
    pub(super) expires: SystemTime,
}

/// What a refresh token stands for.
pub(super) struct Refresh {
    pub(super) holder: Holder,
    pub(super) expires: SystemTime,
    /// When it was used first.
    spent: Option<SystemTime>,
}

/// Which tokens are handed out together.
struct Handed {
    access_token: String,
    expires: SystemTime,
}

impl Desk<'_> {
    /// [RFC 6749, section 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2).
    pub(super) fn token(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        for (name, kind) in [
            ("code", Kind::Code),
            ("code_verifier", Kind::Verifier),
            ("client_secret", Kind::ClientSecret),
            ("refresh_token", Kind::RefreshToken),
            ("subject_token", Kind::AccessToken),
            ("device_code", Kind::DeviceCode),
        ] {
            self.plant(form.value(name).unwrap_or_default(), kind);
        }
        let Some(grant_type) = form.value("grant_type") else {
            return json_error(400, "invalid_request", Some("Missing form parameter: grant_type"));
        };
        let client = match self.check_client(request, &form) {
            Ok(client) => client,
            Err(refusal) => return refusal,
        };
        let key = match self.proven_key(request, None) {
            Ok(key) => key,
            Err(unproven) => return unproven.at_token_endpoint(),
        };
        match grant_type {
            "authorization_code" => self.redeem(&client, &form, key),
            "refresh_token" => self.refresh(&client, &form, key),
            "client_credentials" => self.service_account(&client, &form),
            DEVICE_CODE => self.poll_device(&client, &form),
            TOKEN_EXCHANGE => self.exchange(&client, &form),
            _ => json_error(400, "unsupported_grant_type", Some("Unsupported grant_type")),
        }
    }

    fn redeem(&mut self, client: &str, form: &Fields, key: Option<String>) -> Response {
        let refuse = |description| json_error(400, "invalid_grant", Some(description));
        let Some(code) = form.value("code") else {
            return json_error(400, "invalid_request", Some("Missing parameter: code"));
        };
        let (now, lifetime) = (self.now, self.state.lifetimes.code);
        let Some(grant) = self.state.codes.get_mut(code) else { return refuse("Code not valid") };
        if grant.asked.client != client {
            return refuse("Auth error");
        }
        let sid = grant.session.clone();
        if grant.is_spent {
            // RFC 6749, section 4.1.2: a code that is used twice revokes what was issued for it.
            self.state.sessions.remove(&sid);
            return refuse("Code not valid");
        }
        grant.is_spent = true;
        if now >= grant.issued + lifetime {
            return refuse("Code not valid");
        }
        if form.value("redirect_uri") != Some(grant.asked.redirect_uri.as_str()) {
            return refuse("Incorrect redirect_uri");
        }
        match (&grant.asked.challenge, form.value("code_verifier")) {
            (None, None) => {}
            (None, Some(_)) => {
                return refuse("PKCE code verifier specified but challenge not present in authorization");
            }
            (Some(_), None) => return refuse("PKCE code verifier not specified"),
            (Some(_), Some(verifier)) if !is_verifier(verifier) => {
                return refuse("PKCE verification failed: Invalid code verifier");
            }
            (Some(challenge), Some(verifier)) => {
                if jwt::s256(verifier) != *challenge {
                    return refuse("PKCE verification failed: Code mismatch");
                }
            }
        }
        let (scope, nonce) = (grant.asked.scope.clone(), grant.asked.nonce.clone());
        let Some(holder) = Holder::of_session(self.state, client, &sid, &scope, now) else {
            return refuse("Session not active");
        };
        let holder = Holder { key, ..holder };
        let lie = self.state.lies(Misbehaviour::is_in_id_token);
        self.grant_tokens(&holder, nonce.as_deref(), lie)
    }

    fn refresh(&mut self, client: &str, form: &Fields, key: Option<String>) -> Response {
        let refuse = |description| json_error(400, "invalid_grant", Some(description));
        let Some(token) = form.value("refresh_token") else {
            return json_error(400, "invalid_request", Some("No refresh token"));
        };
        let (now, rotates, reuse_interval) =
            (self.now, self.state.rotates_refresh_tokens, self.state.reuse_interval);
        let Some(refresh) = self.state.refresh_tokens.get_mut(token) else {
            return refuse("Invalid refresh token");
        };
        if refresh.holder.client != client {
            return refuse("Invalid refresh token. Token client and authorized client don't match");
        }
        if now >= refresh.expires {
            return refuse("Token is not active");
        }
        // RFC 9449, section 5: a refresh token of a client that has no other proof of itself is bound too; this double
        // binds it for every client.
        if refresh.holder.key.is_some() && refresh.holder.key != key {
            return refuse("DPoP proof key does not match the one of the refresh token");
        }
        let asked = form.value("scope").unwrap_or_default();
        if asked.split_whitespace().any(|scope| !SCOPES.contains(&scope)) {
            return json_error(400, "invalid_scope", Some(&format!("Invalid scopes: {asked}")));
        }
        let sid = refresh.holder.session.clone().unwrap_or_default();
        let is_reused = refresh.spent.is_some_and(|spent| now >= spent + reuse_interval);
        if rotates && is_reused {
            self.state.sessions.remove(&sid);
            return refuse("Maximum allowed refresh token reuse exceeded");
        }
        refresh.spent.get_or_insert(now);
        let scope = refresh.holder.asked.clone();
        let Some(holder) = Holder::of_session(self.state, client, &sid, &scope, now) else {
            return refuse("Session not active");
        };
        let holder = Holder { key, ..holder };
        let lie = self.state.lies(Misbehaviour::is_in_refreshed_id_token);
        let keeps = self.state.lies(|lie| *lie == Misbehaviour::RefreshKeepsToken).is_some();
        let mut response = self.grant_tokens(&holder, None, lie);
        if keeps {
            let mut reply = response.json();
            if let Some(reply) = reply.as_object_mut() {
                reply.remove("refresh_token");
                reply.remove("refresh_expires_in");
            }
            response.body = reply.to_string().into_bytes();
        }
        response
    }

    /// [RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4): the client in its own name.
    fn service_account(&mut self, client: &str, form: &Fields) -> Response {
        let is_public = client != self.state.client_id;
        let Some(user) = self.state.service_account.filter(|_| !is_public) else {
            return json_error(
                401,
                "unauthorized_client",
                Some("Client not enabled to retrieve service account"),
            );
        };
        let session_end = self.now + self.state.lifetimes.session;
        let holder = Holder {
            client: client.to_owned(),
            user,
            session: None,
            signed_in: self.now,
            session_end,
            asked: form.value("scope").unwrap_or_default().to_owned(),
            key: None,
        };
        let Handed { access_token, expires } = self.hand_out_access(&holder);
        let mut reply = json!({
            "access_token": access_token,
            "expires_in": encoding::remaining(expires, self.now),
            "refresh_expires_in": 0,
            "token_type": "Bearer",
        });
        if holder.has_openid() {
            let lie = self.state.lies(Misbehaviour::is_in_id_token);
            let beside = Beside { access_token: Some(&access_token), ..Beside::default() };
            reply["id_token"] = self.id_token(&holder, expires, beside, lie).into();
        }
        reply["not-before-policy"] = 0.into();
        reply["scope"] = holder.scope().into();
        json(&reply)
    }

    /// [RFC 8693](https://www.rfc-editor.org/rfc/rfc8693), what Keycloak calls the standard token exchange.
    fn exchange(&mut self, client: &str, form: &Fields) -> Response {
        let refuse = |description: &str| json_error(400, "invalid_request", Some(description));
        let missing =
            |name: &str| refuse(&format!("Parameter '{name}' required for standard token exchange"));
        let Some(subject) = form.value("subject_token") else { return missing("subject_token") };
        match form.value("subject_token_type") {
            None => return missing("subject_token_type"),
            Some(TYPE_OF_ACCESS_TOKENS) => {}
            Some(_) => return refuse("Parameter 'subject_token' supports access tokens only"),
        }
        if form.value("requested_token_type").is_some_and(|kind| kind != TYPE_OF_ACCESS_TOKENS) {
            return refuse("requested_token_type unsupported");
        }
        let Some(holder) = self.access(subject).map(|access| access.holder.clone()) else {
            return refuse("Invalid token");
        };
        match form.value("audience") {
            None => {}
            Some(audience) if self.state.knows_client(audience) => {}
            Some(_) => return json_error(400, "invalid_client", Some("Audience not found")),
        }
        let asked = form.value("scope").unwrap_or(&holder.asked).to_owned();
        let holder = Holder { client: client.to_owned(), asked, ..holder };
        let Handed { access_token, expires } = self.hand_out_access(&holder);
        json(&json!({
            "access_token": access_token,
            "expires_in": encoding::remaining(expires, self.now),
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": holder.session,
            "scope": holder.scope(),
            "issued_token_type": TYPE_OF_ACCESS_TOKENS,
        }))
    }

    fn hand_out_access(&mut self, holder: &Holder) -> Handed {
        let expires = ends(self.now, self.state.lifetimes.token, holder.session_end);
        let draft = self.draft(self.access_claims(holder, expires));
        let access_token = self.sign(&draft);
        self.plant(&access_token, Kind::AccessToken);
        let access = Access { holder: holder.clone(), expires };
        self.state.access_tokens.insert(access_token.clone(), access);
        Handed { access_token, expires }
    }

    /// All the tokens that somebody with a session gets.
    pub(super) fn grant_tokens(
        &mut self,
        holder: &Holder,
        nonce: Option<&str>,
        lie: Option<Misbehaviour>,
    ) -> Response {
        let Handed { access_token, expires } = self.hand_out_access(holder);
        let refresh_expires = ends(self.now, self.state.lifetimes.refresh, holder.session_end);
        let draft = self.draft(self.refresh_claims(holder, refresh_expires));
        let refresh_token = self.sign(&draft);
        self.plant(&refresh_token, Kind::RefreshToken);

        let token_type = self.state.lies(|lie| *lie == Misbehaviour::TokenTypeOtherCase);
        let mut reply = json!({
            "access_token": access_token,
            "expires_in": encoding::remaining(expires, self.now),
            "refresh_expires_in": encoding::remaining(refresh_expires, self.now),
            "refresh_token": refresh_token,
            "token_type": match (token_type.is_some(), holder.key.is_some()) {
                (false, false) => "Bearer",
                (true, false) => "bEARER",
                (false, true) => "DPoP",
                (true, true) => "dpOP",
            },
        });
        if self.state.lies(|lie| *lie == Misbehaviour::NoExpiresIn).is_some()
            && let Some(reply) = reply.as_object_mut()
        {
            reply.remove("expires_in");
        }
        if holder.has_openid() && self.state.lies(|lie| *lie == Misbehaviour::IdTokenMissing).is_none() {
            let beside = Beside { access_token: Some(&access_token), nonce, ..Beside::default() };
            reply["id_token"] = self.id_token(holder, expires, beside, lie).into();
        }
        reply["not-before-policy"] = 0.into();
        reply["session_state"] = json!(holder.session);
        reply["scope"] = holder.scope().into();

        let refresh = Refresh { holder: holder.clone(), expires: refresh_expires, spent: None };
        self.state.refresh_tokens.insert(refresh_token, refresh);
        json(&reply)
    }

    fn draft(&self, claims: serde_json::Value) -> Draft {
        Draft { header: self.header(), claims, signature: super::misbehaviour::Signature::Good }
    }
}

/// "43*128unreserved", [RFC 7636, section 4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}
