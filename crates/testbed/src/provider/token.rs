//! The token endpoint, and what one may do with the tokens: userinfo, introspection, revocation, logout.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Desk, Misbehaviour, Session, json, json_error,
    misbehaviour::{Draft, Signature},
    page,
};
use crate::{
    canary::Kind,
    encoding::{self, unix_seconds},
    http::Fields,
    jwt,
    message::{Request, Response},
    random,
};

/// What an access token stands for.
pub(super) struct Access {
    session: String,
    scope: String,
    expires: SystemTime,
}

/// What a refresh token stands for.
pub(super) struct Refresh {
    session: String,
    scope: String,
    expires: SystemTime,
    is_spent: bool,
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
        ] {
            self.plant(form.value(name).unwrap_or_default(), kind);
        }
        let Some(grant_type) = form.value("grant_type") else {
            return json_error(400, "invalid_request", Some("Missing form parameter: grant_type"));
        };
        if let Err(refusal) = self.check_client(request, &form) {
            return refusal;
        }
        match grant_type {
            "authorization_code" => self.redeem(&form),
            "refresh_token" => self.refresh(&form),
            "client_credentials" => {
                json_error(401, "unauthorized_client", Some("Client not enabled to retrieve service account"))
            }
            _ => json_error(400, "unsupported_grant_type", Some("Unsupported grant_type")),
        }
    }

    /// `client_secret_basic` or `client_secret_post` of
    /// [RFC 6749, section 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1).
    fn check_client(&self, request: &Request, form: &Fields) -> Result<(), Response> {
        let basic =
            request.header("Authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|pair| {
                let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
                let (id, secret) = pair.split_once(':')?;
                // Form-encoded values inside, so the plus sign is a space.
                let decode = |text: &str| encoding::from_path(&text.replace('+', " "));
                Some((decode(id), decode(secret)))
            });
        let (id, secret) = basic.unwrap_or_else(|| {
            let value = |name| form.value(name).unwrap_or_default().to_owned();
            (value("client_id"), value("client_secret"))
        });
        let error = if id != self.state.client_id {
            "invalid_client"
        } else if secret != self.state.client_secret {
            "unauthorized_client"
        } else {
            return Ok(());
        };
        Err(json_error(401, error, Some("Invalid client or Invalid client credentials")))
    }

    fn redeem(&mut self, form: &Fields) -> Response {
        let refuse = |description| json_error(400, "invalid_grant", Some(description));
        let Some(code) = form.value("code") else {
            return json_error(400, "invalid_request", Some("Missing parameter: code"));
        };
        let (now, lifetime) = (self.now, self.state.lifetimes.code);
        let Some(grant) = self.state.codes.get_mut(code) else { return refuse("Code not valid") };
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
        if self.state.session(&sid, now).is_none() {
            return refuse("Session not active");
        }
        let lie = self.state.lies(Misbehaviour::is_in_id_token);
        self.grant_tokens(&sid, &scope, nonce.as_deref(), lie)
    }

    fn refresh(&mut self, form: &Fields) -> Response {
        let refuse = |description| json_error(400, "invalid_grant", Some(description));
        let Some(token) = form.value("refresh_token") else {
            return json_error(400, "invalid_request", Some("No refresh token"));
        };
        let (now, rotates) = (self.now, self.state.rotates_refresh_tokens);
        let Some(refresh) = self.state.refresh_tokens.get_mut(token) else {
            return refuse("Invalid refresh token");
        };
        if now >= refresh.expires {
            return refuse("Token is not active");
        }
        if rotates && refresh.is_spent {
            let sid = refresh.session.clone();
            self.state.sessions.remove(&sid);
            return refuse("Maximum allowed refresh token reuse exceeded");
        }
        refresh.is_spent = true;
        let (sid, scope) = (refresh.session.clone(), refresh.scope.clone());
        if self.state.session(&sid, now).is_none() {
            return refuse("Session not active");
        }
        let lie = self
            .state
            .lies(|lie| matches!(lie, Misbehaviour::RefreshOtherSubject | Misbehaviour::RefreshOtherIssuer));
        self.grant_tokens(&sid, &scope, None, lie)
    }

    fn grant_tokens(
        &mut self,
        sid: &str,
        asked: &str,
        nonce: Option<&str>,
        lie: Option<Misbehaviour>,
    ) -> Response {
        let Some(&Session { user, started, .. }) = self.state.sessions.get(sid) else {
            return json_error(400, "invalid_grant", Some("Session not active"));
        };
        let has_openid = asked.split_whitespace().any(|scope| scope == "openid");
        let scope = if has_openid { "openid email profile" } else { "email profile" };
        let lifetimes = self.state.lifetimes;
        let expires = (self.now + lifetimes.token).min(started + lifetimes.session);
        let refresh_expires = (self.now + lifetimes.refresh).min(started + lifetimes.session);

        let claims = self.access_claims(user, sid, scope, expires);
        let access_token = self.sign(&Draft { header: self.header(), claims, signature: Signature::Good });
        let claims = self.refresh_claims(user, sid, scope, refresh_expires);
        let refresh_token = self.sign(&Draft { header: self.header(), claims, signature: Signature::Good });
        self.plant(&access_token, Kind::AccessToken);
        self.plant(&refresh_token, Kind::RefreshToken);

        let token_type = self.state.lies(|lie| *lie == Misbehaviour::TokenTypeOtherCase);
        let mut reply = json!({
            "access_token": access_token,
            "expires_in": encoding::remaining(expires, self.now),
            "refresh_expires_in": encoding::remaining(refresh_expires, self.now),
            "refresh_token": refresh_token,
            "token_type": if token_type.is_some() { "bEARER" } else { "Bearer" },
        });
        if self.state.lies(|lie| *lie == Misbehaviour::NoExpiresIn).is_some()
            && let Some(reply) = reply.as_object_mut()
        {
            reply.remove("expires_in");
        }
        if has_openid && self.state.lies(|lie| *lie == Misbehaviour::IdTokenMissing).is_none() {
            let hash = jwt::half_hash(&access_token);
            reply["id_token"] = self.id_token(user, sid, expires, Some(&hash), nonce, lie).into();
        }
        reply["not-before-policy"] = 0.into();
        reply["session_state"] = sid.into();
        reply["scope"] = scope.into();

        let session = sid.to_owned();
        let access = Access { session: session.clone(), scope: scope.to_owned(), expires };
        self.state.access_tokens.insert(access_token, access);
        let refresh = Refresh { session, scope: asked.to_owned(), expires: refresh_expires, is_spent: false };
        self.state.refresh_tokens.insert(refresh_token, refresh);
        json(&reply)
    }

    /// An ID token without a login.
    pub(super) fn mint_id_token(&mut self, name: &str) -> String {
        let Some(user) = self.state.users.iter().position(|user| user.name == name) else {
            return String::new();
        };
        let (sid, expires) = (random::uuid(), self.now + self.state.lifetimes.token);
        let lie = self.state.lies(Misbehaviour::is_in_id_token);
        self.id_token(user, &sid, expires, None, None, lie)
    }

    fn id_token(
        &mut self,
        user: usize,
        sid: &str,
        expires: SystemTime,
        access_token_hash: Option<&str>,
        nonce: Option<&str>,
        lie: Option<Misbehaviour>,
    ) -> String {
        let mut claims = self.claims(user, "ID", expires);
        claims["aud"] = self.state.client_id.as_str().into();
        claims["sid"] = sid.into();
        claims["acr"] = "1".into();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(hash) = access_token_hash {
            claims["at_hash"] = hash.into();
        }
        self.add_profile(user, &mut claims);
        let mut draft = Draft { header: self.header(), claims, signature: Signature::Good };
        if let Some(lie) = lie {
            lie.spoil(&mut draft, unix_seconds(self.now));
        }
        let token = self.sign(&draft);
        self.plant(&token, Kind::IdToken);
        token
    }

    fn access_claims(&self, user: usize, sid: &str, scope: &str, expires: SystemTime) -> Value {
        let mut claims = self.claims(user, "Bearer", expires);
        claims["aud"] = "account".into();
        claims["sid"] = sid.into();
        claims["acr"] = "1".into();
        claims["realm_access"] =
            json!({"roles": ["offline_access", "uma_authorization", "default-roles-hashicorp"]});
        claims["scope"] = scope.into();
        self.add_profile(user, &mut claims);
        claims
    }

    fn refresh_claims(&self, user: usize, sid: &str, scope: &str, expires: SystemTime) -> Value {
        let mut claims = self.claims(user, "Refresh", expires);
        claims["aud"] = self.issuer().into();
        claims["sid"] = sid.into();
        claims["scope"] = scope.into();
        claims
    }

    /// What every token says.
    fn claims(&self, user: usize, typ: &str, expires: SystemTime) -> Value {
        json!({
            "exp": unix_seconds(expires),
            "iat": unix_seconds(self.now),
            "jti": random::uuid(),
            "iss": self.issuer(),
            "sub": self.state.users[user].subject,
            "typ": typ,
            "azp": self.state.client_id,
        })
    }

    fn add_profile(&self, user: usize, claims: &mut Value) {
        let user = &self.state.users[user];
        if !user.roles.is_empty() {
            claims["resource_access"] = json!({ &self.state.client_id: { "roles": user.roles } });
        }
        claims["email_verified"] = true.into();
        claims["name"] = format!("{} Example", user.name).into();
        claims["preferred_username"] = user.name.as_str().into();
        claims["given_name"] = user.name.as_str().into();
        claims["family_name"] = "Example".into();
        claims["email"] = user.email.as_str().into();
    }

    fn header(&self) -> Value {
        let kid = self.state.keys.last().map(|key| key.kid.as_str());
        json!({"alg": "RS256", "typ": "JWT", "kid": kid})
    }

    fn sign(&self, draft: &Draft) -> String {
        let input = || jwt::unsigned(&draft.header, &draft.claims);
        match (draft.signature, self.state.keys.last()) {
            (Signature::Good, Some(key)) => jwt::sign(&draft.header, &draft.claims, key.key),
            (Signature::Broken, _) => format!("{}.{}", input(), encoding::base64url(&[7; 256])),
            _ => format!("{}.", input()),
        }
    }

    /// The access token of the request, if it is good.
    fn access(&self, token: &str) -> Option<(&Access, &Session)> {
        let access = self.state.access_tokens.get(token).filter(|access| self.now < access.expires)?;
        Some((access, self.state.session(&access.session, self.now)?))
    }

    /// [OpenID Connect Core, section 5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo).
    pub(super) fn userinfo(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        let bearer = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = bearer.or_else(|| form.value("access_token")) else {
            return json_error(401, "invalid_request", Some("Missing token"))
                .with_header("WWW-Authenticate", "Bearer realm=\"HashiCorp\", error=\"invalid_request\"");
        };
        let user = match self.access(token) {
            Some((access, session)) if access.scope.starts_with("openid") => session.user,
            Some(_) => return json_error(403, "insufficient_scope", Some("Missing openid scope")),
            None => {
                return json_error(401, "invalid_token", Some("Token verification failed"))
                    .with_header("WWW-Authenticate", "Bearer realm=\"HashiCorp\", error=\"invalid_token\"");
            }
        };
        let mut claims = json!({ "sub": self.state.users[user].subject });
        self.add_profile(user, &mut claims);
        if self.state.lies(|lie| *lie == Misbehaviour::UserinfoOtherSubject).is_some() {
            claims["sub"] = "somebody-else".into();
        }
        json(&claims)
    }

    /// [RFC 7662](https://www.rfc-editor.org/rfc/rfc7662).
    pub(super) fn introspect(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        if let Err(refusal) = self.check_client(request, &form) {
            return refusal;
        }
        let token = form.value("token").unwrap_or_default();
        match (self.access(token), jwt::parse(token)) {
            (Some(_), Ok(parts)) => {
                let mut claims = parts.claims;
                claims["client_id"] = self.state.client_id.as_str().into();
                claims["username"] = claims["preferred_username"].clone();
                claims["token_type"] = "Bearer".into();
                claims["active"] = true.into();
                json(&claims)
            }
            _ => json(&json!({ "active": false })),
        }
    }

    /// [RFC 7009](https://www.rfc-editor.org/rfc/rfc7009). Revoking a refresh token ends the session.
    pub(super) fn revoke(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        if let Err(refusal) = self.check_client(request, &form) {
            return refusal;
        }
        let Some(token) = form.value("token") else {
            return json_error(400, "invalid_request", Some("Token not provided"));
        };
        if let Some(refresh) = self.state.refresh_tokens.remove(token) {
            self.state.sessions.remove(&refresh.session);
        }
        self.state.access_tokens.remove(token);
        Response::new(200).with_header("Cache-Control", "no-store")
    }

    /// [OpenID Connect RP-Initiated Logout](https://openid.net/specs/openid-connect-rpinitiated-1_0.html).
    pub(super) fn logout(&mut self, fields: &Fields) -> Response {
        let hint = fields.value("id_token_hint").and_then(|token| jwt::parse(token).ok());
        if let Some(sid) = hint.as_ref().and_then(|parts| parts.claims["sid"].as_str()) {
            self.state.sessions.remove(sid);
        }
        match (hint.is_some(), fields.value("post_logout_redirect_uri")) {
            (true, Some(target)) => {
                let state = fields.value("state");
                let query = state
                    .map_or_else(String::new, |state| format!("?{}", encoding::form([("state", state)])));
                Response::new(302).with_header("Location", &format!("{target}{query}"))
            }
            (false, Some(_)) => page::sorry("Missing parameters: id_token_hint"),
            _ => page::signed_out(),
        }
    }

    /// Keycloak's older way: the client ends a session with its refresh token.
    pub(super) fn logout_client(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        if let Err(refusal) = self.check_client(request, &form) {
            return refusal;
        }
        match form.value("refresh_token").and_then(|token| self.state.refresh_tokens.remove(token)) {
            Some(refresh) => {
                self.state.sessions.remove(&refresh.session);
                Response::new(204)
            }
            None => json_error(400, "invalid_grant", Some("Invalid refresh token")),
        }
    }
}

/// "43*128unreserved", [RFC 7636, section 4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}
