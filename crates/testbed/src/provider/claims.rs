//! What the tokens say, and how they are signed.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{
    Desk, Misbehaviour,
    misbehaviour::{Draft, Signature},
    token::Holder,
};
use crate::{canary::Kind, encoding::unix_seconds, jwt, random};

/// What an ID token is bound to.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub(super) access_token: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
}

impl Desk<'_> {
    /// An ID token without a login.
    pub(super) fn mint_id_token(&mut self, name: &str) -> String {
        let Some(user) = self.state.users.iter().position(|user| user.name == name) else {
            return String::new();
        };
        let holder = Holder {
            client: self.state.client_id.clone(),
            user,
            session: Some(random::uuid()),
            signed_in: self.now,
            session_end: self.now + self.state.lifetimes.session,
            asked: "openid".to_owned(),
            key: None,
        };
        let lie = self.state.lies(Misbehaviour::is_in_id_token);
        self.id_token(&holder, self.now + self.state.lifetimes.token, Beside::default(), lie)
    }

    pub(super) fn id_token(
        &mut self,
        holder: &Holder,
        expires: SystemTime,
        beside: Beside<'_>,
        lie: Option<Misbehaviour>,
    ) -> String {
        if self.state.lies(|lie| *lie == Misbehaviour::KeyChangedBeforeSigning).is_some() {
            self.state.rotate_keys();
            self.state.forget_old_keys();
        }
        let mut claims = self.claims(holder, "ID", expires);
        claims["aud"] = holder.client.as_str().into();
        add_session(holder, &mut claims);
        if let Some(nonce) = beside.nonce {
            claims["nonce"] = nonce.into();
        }
        for (name, value) in [("at_hash", beside.access_token), ("c_hash", beside.code)] {
            if let Some(value) = value {
                claims[name] = jwt::half_hash(value, self.algorithm()).into();
            }
        }
        self.add_profile(holder.user, &mut claims);
        let mut draft = Draft { header: self.header(), claims, signature: Signature::Good };
        if let Some(lie) = lie {
            lie.spoil(&mut draft, unix_seconds(self.now));
        }
        let token = self.sign(&draft);
        self.plant(&token, Kind::IdToken);
        token
    }

    pub(super) fn access_claims(&self, holder: &Holder, expires: SystemTime) -> Value {
        let mut claims = self.claims(holder, "Bearer", expires);
        claims["aud"] = "account".into();
        add_session(holder, &mut claims);
        claims["realm_access"] =
            json!({"roles": ["offline_access", "uma_authorization", "default-roles-hashicorp"]});
        claims["scope"] = holder.scope().into();
        if let Some(key) = &holder.key {
            claims["cnf"] = json!({ "jkt": key });
        }
        self.add_profile(holder.user, &mut claims);
        if holder.session.is_none() {
            claims["client_id"] = holder.client.as_str().into();
        }
        claims
    }

    pub(super) fn refresh_claims(&self, holder: &Holder, expires: SystemTime) -> Value {
        let mut claims = self.claims(holder, "Refresh", expires);
        claims["aud"] = self.issuer().into();
        claims["sid"] = json!(holder.session);
        claims["scope"] = holder.scope().into();
        claims
    }

    /// What every token says.
    fn claims(&self, holder: &Holder, typ: &str, expires: SystemTime) -> Value {
        json!({
            "exp": unix_seconds(expires),
            "iat": unix_seconds(self.now),
            "jti": random::uuid(),
            "iss": self.issuer(),
            "sub": self.state.users[holder.user].subject,
            "typ": typ,
            "azp": holder.client,
        })
    }

    pub(super) fn add_profile(&self, user: usize, claims: &mut Value) {
        let is_person = self.state.service_account != Some(user);
        let user = &self.state.users[user];
        if !user.roles.is_empty() {
            claims["resource_access"] = json!({ &self.state.client_id: { "roles": user.roles } });
        }
        claims["email_verified"] = is_person.into();
        claims["preferred_username"] = user.name.as_str().into();
        if is_person {
            claims["name"] = format!("{} Example", user.name).into();
            claims["given_name"] = user.name.as_str().into();
            claims["family_name"] = "Example".into();
            claims["email"] = user.email.as_str().into();
        }
        for (name, value) in user.claims.iter().filter(|(name, _)| scope_of(name).is_none()) {
            claims[name] = value.clone();
        }
    }

    /// The claims of the scopes `phone` and `address`, where they were asked for.
    pub(super) fn add_scoped_claims(&self, user: usize, asked: &str, claims: &mut Value) {
        let is_asked = |scope: &str| asked.split_whitespace().any(|this| this == scope);
        for (name, value) in &self.state.users[user].claims {
            if scope_of(name).is_some_and(is_asked) {
                claims[name] = value.clone();
            }
        }
    }

    fn algorithm(&self) -> jwt::Algorithm {
        self.state.keys.last().map(|key| key.key.algorithm()).unwrap_or_default()
    }

    pub(super) fn header(&self) -> Value {
        let kid = self.state.keys.last().map(|key| key.kid.as_str());
        json!({"alg": self.algorithm().name(), "typ": "JWT", "kid": kid})
    }

    pub(super) fn sign(&self, draft: &Draft) -> String {
        let (header, claims) = (&draft.header, &draft.claims);
        match (draft.signature, self.state.keys.last()) {
            (Signature::Good, Some(key)) => jwt::sign(header, claims, &key.key),
            (Signature::Broken, Some(key)) => jwt::sign_wrongly(header, claims, &key.key),
            (Signature::Secret, _) => jwt::sign_with_secret(header, claims, &self.state.client_secret),
            (Signature::PublicKey, Some(key)) => jwt::sign_with_secret(header, claims, &key.key.pem()),
            _ => format!("{}.", jwt::unsigned(header, claims)),
        }
    }
}

/// The scope that a claim is told for, where it is not told always.
fn scope_of(claim: &str) -> Option<&'static str> {
    match claim {
        "phone_number" => Some("phone"),
        "address" => Some("address"),
        _ => None,
    }
}

fn add_session(holder: &Holder, claims: &mut Value) {
    if let Some(sid) = &holder.session {
        claims["auth_time"] = unix_seconds(holder.signed_in).into();
        claims["sid"] = sid.as_str().into();
    }
    claims["acr"] = "1".into();
}
