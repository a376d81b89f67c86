//! What one may do with a token: ask for claims, ask whether it is good, give it up.

use serde_json::{Value, json};

use super::{
    Desk, Misbehaviour,
    dpop::Unproven,
    json, json_error,
    misbehaviour::{Draft, Signature},
    token::Access,
};
use crate::{
    canary::Kind,
    http::Fields,
    jwt,
    message::{Request, Response},
    random,
};

impl Desk<'_> {
    /// What an access token stands for, if it is good.
    pub(super) fn access(&self, token: &str) -> Option<&Access> {
        let access = self.state.access_tokens.get(token).filter(|access| self.now < access.expires)?;
        let is_alive = |sid: &String| self.state.session(sid, self.now).is_some();
        access.holder.session.as_ref().is_none_or(is_alive).then_some(access)
    }

    /// [OpenID Connect Core, section 5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo).
    pub(super) fn userinfo(&mut self, request: &Request) -> Response {
        use Misbehaviour as M;
        let form = Fields::of_body(request);
        // RFC 6750, section 3: what is wrong stands in the header, and the body is empty.
        let refuse = |status, more: &str| {
            Response::new(status)
                .with_header("Cache-Control", "no-store")
                .with_header("Content-Type", "text/plain;charset=utf-8")
                .with_header("WWW-Authenticate", &format!("Bearer realm=\"HashiCorp\"{more}"))
        };
        let bearer = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        let mut in_form = form.value("access_token");
        let mut bearer = bearer;
        match self.state.lies(|lie| matches!(lie, M::UserinfoWantsHeader | M::UserinfoWantsBody)) {
            Some(M::UserinfoWantsHeader) => in_form = None,
            Some(_) => bearer = None,
            // RFC 6750, section 2: "Clients MUST NOT use more than one method to transmit the token in each request."
            None if bearer.is_some() && in_form.is_some() => {
                return refuse(400, ", error=\"invalid_request\"");
            }
            None => {}
        }
        let bound = request.header("Authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("DPoP").then(|| token.to_owned())
        });
        if let Some(token) = &bound
            && let Err(refusal) = self.check_bound(request, token)
        {
            return refusal;
        }
        let Some(token) = bound.as_deref().or(bearer).or(in_form) else { return refuse(401, "") };
        if bound.is_none() && self.access(token).is_some_and(|access| access.holder.key.is_some()) {
            return refuse(401, ", error=\"invalid_token\", error_description=\"DPoP proof is missing\"");
        }
        let (user, client, asked) = match self.access(token) {
            Some(access) if access.holder.has_openid() => {
                let holder = &access.holder;
                (holder.user, holder.client.clone(), holder.asked.clone())
            }
            Some(_) => {
                return refuse(
                    403,
                    ", error=\"insufficient_scope\", error_description=\"Missing openid scope\"",
                );
            }
            None => {
                return refuse(
                    401,
                    ", error=\"invalid_token\", error_description=\"Token verification failed\"",
                );
            }
        };
        let mut claims = json!({ "sub": self.state.users[user].subject });
        self.add_profile(user, &mut claims);
        self.add_scoped_claims(user, &asked, &mut claims);
        self.add_claim_sources(&mut claims);
        if self.state.lies(|lie| *lie == M::UserinfoOtherSubject).is_some() {
            claims["sub"] = "somebody-else".into();
        }
        if !self.state.signs_userinfo {
            return json(&claims);
        }
        claims["iss"] = self.issuer().into();
        claims["aud"] = client.into();
        let signed = self.sign(&Draft { header: self.header(), claims, signature: Signature::Good });
        Response::new(200)
            .with_header("Cache-Control", "no-store")
            .with_header("Content-Type", "application/jwt")
            .with_body(signed)
    }

    /// [RFC 9449, section 7](https://www.rfc-editor.org/rfc/rfc9449#section-7): the key that the token is bound to is
    /// proven, for this token.
    fn check_bound(&mut self, request: &Request, token: &str) -> Result<(), Response> {
        let refuse = |error: &str| {
            let challenge = format!("DPoP error=\"{error}\", algs=\"ES256 EdDSA RS256 PS256\"");
            Response::new(401).with_header("WWW-Authenticate", &challenge)
        };
        let key = match self.proven_key(request, Some(token)) {
            Ok(key) => key,
            Err(Unproven::Invalid(_)) => return Err(refuse("invalid_dpop_proof")),
            Err(Unproven::NonceWanted(nonce)) => {
                return Err(refuse("use_dpop_nonce").with_header("DPoP-Nonce", &nonce));
            }
        };
        let wanted = self.access(token).and_then(|access| access.holder.key.clone());
        if key.is_some() && key == wanted { Ok(()) } else { Err(refuse("invalid_token")) }
    }

    /// Claims of somebody else, and where more can be had:
    /// [OpenID Connect Core, section 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims).
    fn add_claim_sources(&mut self, claims: &mut Value) {
        use Misbehaviour as M;
        let source = match self.state.lies(|lie| matches!(lie, M::AggregatedClaims | M::DistributedClaims)) {
            Some(M::AggregatedClaims) => json!({ "JWT": self.credit_score() }),
            Some(_) => {
                let token = random::base64url::<24>();
                self.plant(&token, Kind::AccessToken);
                self.state.claims_token = Some(token.clone());
                json!({ "endpoint": format!("{}/claims", self.issuer()), "access_token": token })
            }
            None => return,
        };
        claims["_claim_names"] = json!({ "credit_score": "src1" });
        claims["_claim_sources"] = json!({ "src1": source });
    }

    /// The endpoint of a source that is told as [`Misbehaviour::DistributedClaims`].
    pub(super) fn distributed_claims(&self, request: &Request) -> Response {
        let bearer = request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_none() || bearer != self.state.claims_token.as_deref() {
            return Response::new(401).with_header("WWW-Authenticate", "Bearer error=\"invalid_token\"");
        }
        Response::new(200).with_header("Content-Type", "application/jwt").with_body(self.credit_score())
    }

    fn credit_score(&self) -> String {
        let claims = json!({ "iss": self.issuer(), "credit_score": 650 });
        self.sign(&Draft { header: self.header(), claims, signature: Signature::Good })
    }

    /// [RFC 7662](https://www.rfc-editor.org/rfc/rfc7662). A refresh token is found only with its `token_type_hint`, as in
    /// Keycloak.
    pub(super) fn introspect(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        if self.check_client(request, &form).is_err() {
            return json_error(401, "invalid_request", Some("Authentication failed."));
        }
        let Some(token) = form.value("token") else {
            return json_error(400, "invalid_request", Some("Token not provided."));
        };
        let (holder, kind) = if form.value("token_type_hint") == Some("refresh_token") {
            let refresh = self.state.refresh_tokens.get(token).filter(|refresh| self.now < refresh.expires);
            let is_alive = |sid: &String| self.state.session(sid, self.now).is_some();
            let alive = refresh.filter(|refresh| refresh.holder.session.as_ref().is_none_or(is_alive));
            (alive.map(|refresh| refresh.holder.clone()), "Refresh")
        } else {
            (self.access(token).map(|access| access.holder.clone()), "Bearer")
        };
        match (holder, jwt::parse(token)) {
            (Some(holder), Ok(parts)) => {
                let mut claims = parts.claims;
                claims["client_id"] = holder.client.into();
                claims["username"] = self.state.users[holder.user].name.as_str().into();
                claims["token_type"] = kind.into();
                claims["active"] = true.into();
                json(&claims)
            }
            _ => json(&json!({ "active": false })),
        }
    }

    /// [RFC 7009](https://www.rfc-editor.org/rfc/rfc7009). Revoking a refresh token ends the session.
    pub(super) fn revoke(&mut self, request: &Request) -> Response {
        let form = Fields::of_body(request);
        let client = match self.check_client(request, &form) {
            Ok(client) => client,
            Err(refusal) => return refusal,
        };
        let Some(token) = form.value("token") else {
            return json_error(400, "invalid_request", Some("Token not provided"));
        };
        let of_refresh = self.state.refresh_tokens.get(token).map(|refresh| refresh.holder.clone());
        let of_access = self.access(token).map(|access| access.holder.clone());
        let holder = of_refresh.clone().or(of_access).filter(|holder| {
            holder.session.as_ref().is_none_or(|sid| self.state.session(sid, self.now).is_some())
        });
        let Some(holder) = holder else {
            // A token that is dead already: 200, as the RFC has it, and Keycloak says why all the same.
            let mut response = json_error(200, "invalid_token", Some("Invalid token"));
            response.status = 200;
            return response;
        };
        if holder.client != client {
            return json_error(400, "invalid_token", Some("Unmatching clients"));
        }
        self.state.access_tokens.remove(token);
        if let Some(sid) = of_refresh.and_then(|holder| holder.session) {
            self.state.sessions.remove(&sid);
        }
        Response::new(200).with_header("Cache-Control", "no-store")
    }
}
