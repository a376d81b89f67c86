//! The authorization endpoint and the sign-in form.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{
    Consent, Desk, Misbehaviour, OUT_OF_BAND, REALM_PATH, Session,
    claims::Beside,
    json, json_error,
    misbehaviour::{Draft, Signature},
    page,
    token::Holder,
};
use crate::{
    canary::Kind,
    encoding::{self, unix_seconds},
    http::{self, Fields},
    jwt,
    message::{Request, Response},
    random,
};

/// What the client asked for, kept while the person looks at the form.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) client: String,
    /// Exactly as it was sent: the token request must repeat it.
    pub(super) redirect_uri: String,
    /// `query`, `fragment` or `form_post`.
    response_mode: String,
    /// Whether the answer is signed, as [JARM](https://openid.net/specs/oauth-v2-jarm-final.html) has it.
    is_signed: bool,
    /// Whether an ID token comes beside the code.
    is_hybrid: bool,
    state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) scope: String,
}

/// What happens once the person has signed in.
#[derive(Clone)]
enum Purpose {
    /// The browser is sent back to the client.
    SendBack(Asked),
    /// The device that shows this code gets its tokens.
    Device(String),
}

/// A sign-in page that is open somewhere.
pub(super) struct Page {
    purpose: Purpose,
    opened: SystemTime,
    cookie: String,
    tab: String,
    execution: String,
}

/// An authorization request that came by the back channel.
pub(super) struct Pushed {
    client: String,
    fields: Fields,
    expires: SystemTime,
}

/// What a code stands for.
pub(super) struct Grant {
    pub(super) asked: Asked,
    pub(super) session: String,
    pub(super) issued: SystemTime,
    pub(super) is_spent: bool,
}

impl Desk<'_> {
    /// [OpenID Connect Core, section 3.1.2](https://openid.net/specs/openid-connect-core-1_0.html#AuthorizationEndpoint).
    pub(super) fn authorize(&mut self, request: &Request, fields: &Fields) -> Response {
        let Some(client_id) = fields.value("client_id") else {
            return page::sorry("Missing parameters: client_id");
        };
        if !self.state.knows_client(client_id) {
            return page::sorry("Client not found.");
        }
        if let Some(request_uri) = fields.value("request_uri") {
            let pushed = self.state.pushed.remove(request_uri);
            let fits = |pushed: &Pushed| pushed.client == client_id && self.now < pushed.expires;
            return match pushed.filter(fits) {
                Some(pushed) => self.authorize_client(request, client_id, &pushed.fields),
                None => page::sorry("Invalid Request"),
            };
        }
        self.authorize_client(request, client_id, fields)
    }

    fn authorize_client(&mut self, request: &Request, client_id: &str, fields: &Fields) -> Response {
        let Some(redirect_uri) = fields.value("redirect_uri").filter(|uri| self.allows_redirect(uri)) else {
            return page::sorry("Invalid parameter: redirect_uri");
        };
        for (name, kind) in [("state", Kind::State), ("nonce", Kind::Nonce)] {
            self.plant(fields.value(name).unwrap_or_default(), kind);
        }
        let max_age = match fields.value("max_age").map(str::parse::<u64>) {
            Some(Err(_)) => return page::sorry("Invalid Request"),
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        let is_hybrid = fields.value("response_type").is_some_and(is_hybrid);
        let (mode, is_signed) = response_mode(fields.value("response_mode"), is_hybrid);
        let asked = Asked {
            client: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            response_mode: mode.to_owned(),
            is_signed,
            is_hybrid,
            state: fields.value("state").map(str::to_owned),
            nonce: fields.value("nonce").map(str::to_owned),
            challenge: fields.value("code_challenge").map(str::to_owned),
            scope: fields.value("scope").unwrap_or_default().to_owned(),
        };
        if let Some((error, description)) = complaint(fields) {
            return self.send_back_error(&asked, error, Some(description));
        }
        let prompt = fields.value("prompt").unwrap_or_default();
        let session = http::cookie(request, "KEYCLOAK_IDENTITY").and_then(|cookie| {
            let is_fresh = |session: &Session| max_age.is_none_or(|age| session.started + age >= self.now);
            let alive = |(sid, session): (&String, &Session)| {
                let is_his = session.cookie == cookie && is_fresh(session);
                (is_his && self.state.session(sid, self.now).is_some()).then(|| sid.clone())
            };
            self.state.sessions.iter().find_map(alive)
        });
        match session {
            Some(sid) if !prompt.contains("login") => self.send_back_code(asked, sid),
            _ if prompt.contains("none") => self.send_back_error(&asked, "login_required", None),
            _ => self.open_page(Purpose::SendBack(asked)),
        }
    }

    /// [RFC 9126](https://www.rfc-editor.org/rfc/rfc9126): the request is pushed first, and the browser carries a name.
    pub(super) fn push(&mut self, request: &Request) -> Response {
        const LIFETIME: Duration = Duration::from_secs(60);
        let fields = Fields::of_body(request);
        let Ok(client) = self.check_client(request, &fields) else {
            return json_error(401, "invalid_request", Some("Authentication failed."));
        };
        let refuse = |description| json_error(400, "invalid_request", Some(description));
        if fields.has("request_uri") {
            return refuse("It is not allowed to include request_uri to PAR.");
        }
        if !fields.value("redirect_uri").is_some_and(|uri| self.allows_redirect(uri)) {
            return refuse("Invalid parameter: redirect_uri");
        }
        match complaint(&fields) {
            Some(("unsupported_response_type", _)) => return refuse("Unsupported response type"),
            Some((_, description)) => return refuse(description),
            None => {}
        }
        for (name, kind) in [("state", Kind::State), ("nonce", Kind::Nonce)] {
            self.plant(fields.value(name).unwrap_or_default(), kind);
        }
        let uri = format!("urn:ietf:params:oauth:request_uri:{}", random::uuid());
        self.state.pushed.insert(uri.clone(), Pushed { client, fields, expires: self.now + LIFETIME });
        let mut response = json(&json!({ "request_uri": uri, "expires_in": LIFETIME.as_secs() }));
        response.status = 201;
        response
    }

    /// The page where a person types the code that a device shows, and the sign-in behind it.
    pub(super) fn device_page(&mut self, request: &Request) -> Response {
        let fields =
            if request.method == "POST" { Fields::of_body(request) } else { Fields::of_query(request) };
        let action = format!("{}/device", self.issuer());
        let Some(code) = fields.value("device_user_code").or_else(|| fields.value("user_code")) else {
            return page::user_code(&action, None);
        };
        let code = code.trim().to_uppercase();
        if self.pending_device(&code).is_none() {
            return page::user_code(&action, Some("Invalid code, please try again."));
        }
        self.open_page(Purpose::Device(code))
    }

    fn open_page(&mut self, purpose: Purpose) -> Response {
        let page = Page {
            purpose,
            opened: self.now,
            cookie: random::uuid(),
            tab: random::base64url::<8>(),
            execution: random::uuid(),
        };
        let session_code = random::base64url::<32>();
        self.plant(&page.cookie, Kind::Cookie);
        let action = self.form_action(&session_code, &page);
        let cookie = format!("AUTH_SESSION_ID={}; Path={REALM_PATH}/; HttpOnly; SameSite=Lax", page.cookie);
        self.state.pages.insert(session_code, page);
        page::sign_in(&action, None, self.state.consent == Consent::Asked).with_header("Set-Cookie", &cookie)
    }

    fn form_action(&self, session_code: &str, page: &Page) -> String {
        let query = encoding::form([
            ("session_code", session_code),
            ("execution", page.execution.as_str()),
            ("client_id", self.state.client_id.as_str()),
            ("tab_id", page.tab.as_str()),
        ]);
        format!("{}/login-actions/authenticate?{query}", self.issuer())
    }

    /// The form comes back.
    pub(super) fn authenticate(&mut self, request: &Request) -> Response {
        let query = Fields::of_query(request);
        let session_code = query.value("session_code").unwrap_or_default();
        let Some(cookie) = http::cookie(request, "AUTH_SESSION_ID") else {
            return page::sorry("Cookie not found. Please make sure cookies are enabled in your browser.");
        };
        let deadline = self.now.checked_sub(self.state.lifetimes.page);
        let known = self.state.pages.get(session_code).filter(|page| {
            page.cookie == cookie
                && query.value("tab_id") == Some(page.tab.as_str())
                && deadline.is_none_or(|deadline| page.opened > deadline)
        });
        let Some(page) = known else {
            return page::sorry("Your login attempt timed out. Login will start from the beginning.");
        };
        let purpose = page.purpose.clone();
        let form = Fields::of_body(request);
        let asks = self.state.consent == Consent::Asked;
        if asks && form.has("cancel") {
            self.state.pages.remove(session_code);
            return self.refused(&purpose);
        }
        let (name, password) =
            (form.value("username").unwrap_or_default(), form.value("password").unwrap_or_default());
        let user = self.state.users.iter().position(|user| user.name == name && user.password == password);
        let Some(user) = user else {
            let action = self.form_action(session_code, page);
            return page::sign_in(&action, Some("Invalid username or password."), asks);
        };
        self.state.pages.remove(session_code);
        if self.state.consent == Consent::Refused {
            return self.refused(&purpose);
        }
        let (sid, identity) = (random::uuid(), random::base64url::<48>());
        self.plant(&identity, Kind::Cookie);
        let cookie = format!("KEYCLOAK_IDENTITY={identity}; Path={REALM_PATH}/; HttpOnly; SameSite=Lax");
        self.state.sessions.insert(sid.clone(), Session { user, started: self.now, cookie: identity });
        let answer = match purpose {
            Purpose::SendBack(asked) => self.send_back_code(asked, sid),
            Purpose::Device(code) => {
                self.decide_device(&code, Some(sid));
                page::notice(
                    "Device Login Successful",
                    "You may close this browser window and go back to your device.",
                )
            }
        };
        answer.with_header("Set-Cookie", &cookie)
    }

    fn refused(&mut self, purpose: &Purpose) -> Response {
        match purpose {
            Purpose::SendBack(asked) => self.send_back_error(asked, "access_denied", None),
            Purpose::Device(code) => {
                self.decide_device(code, None);
                page::notice("Device Login Failed", "Consent denied for connecting the device.")
            }
        }
    }

    /// Keycloak's code: a random part, the session, the client.
    fn send_back_code(&mut self, asked: Asked, session: String) -> Response {
        let code = format!("{}.{session}.{}", random::uuid(), random::uuid());
        self.plant(&code, Kind::Code);
        let id_token = self.id_token_beside(&asked, &session, &code);
        let mut outcome = vec![("code", code.as_str())];
        outcome.extend(id_token.as_ref().map(|token| ("id_token", token.as_str())));
        let response = self.send_back(&asked, Some(&session), &outcome);
        self.state.codes.insert(code, Grant { asked, session, issued: self.now, is_spent: false });
        response
    }

    /// [OpenID Connect Core, section 3.3.2.5](https://openid.net/specs/openid-connect-core-1_0.html#HybridAuthResponse).
    fn id_token_beside(&mut self, asked: &Asked, sid: &str, code: &str) -> Option<String> {
        let holder = Holder::of_session(self.state, &asked.client, sid, &asked.scope, self.now)?;
        let expires = self.now + self.state.lifetimes.token;
        let beside = Beside { code: Some(code), nonce: asked.nonce.as_deref(), ..Beside::default() };
        asked.is_hybrid.then(|| {
            let lie = self.state.lies(Misbehaviour::is_beside_code);
            self.id_token(&holder, expires, beside, lie)
        })
    }

    /// The fields of an answer, as the claims of a token.
    fn signed_response(&mut self, client: &str, fields: &[(String, String)]) -> String {
        let mut claims = json!({ "iss": self.issuer(), "aud": client, "exp": unix_seconds(self.now) + 600 });
        for (name, value) in fields.iter().filter(|(name, _)| name != "iss") {
            claims[name] = value.as_str().into();
        }
        let mut draft = Draft { header: self.header(), claims, signature: Signature::Good };
        if let Some(lie) = self.state.lies(Misbehaviour::is_in_response) {
            let second = match lie {
                Misbehaviour::ResponseIssuerTwice => Some(self.issuer()),
                Misbehaviour::ResponseTwoIssuers => Some("https://evil.example.com".to_owned()),
                _ => None,
            };
            if let (Some(second), Some(key)) = (second, self.state.keys.last()) {
                let text = format!("{{\"iss\":{},{}", json!(second), &draft.claims.to_string()[1..]);
                return jwt::sign_text(&draft.header, &text, &key.key);
            }
            lie.spoil(&mut draft, unix_seconds(self.now));
        }
        self.sign(&draft)
    }

    fn send_back_error(&mut self, asked: &Asked, error: &str, description: Option<&str>) -> Response {
        let description = description.map(|description| ("error_description", description));
        let fields: Vec<(&str, &str)> = std::iter::once(("error", error)).chain(description).collect();
        self.send_back(asked, None, &fields)
    }

    /// The authorization response, with `state` and the `iss` of [RFC 9207](https://www.rfc-editor.org/rfc/rfc9207).
    fn send_back(&mut self, asked: &Asked, session: Option<&str>, outcome: &[(&str, &str)]) -> Response {
        use Misbehaviour as M;
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut fields = Vec::new();
        let state =
            match self.state.lies(|lie| matches!(lie, M::CallbackStateMissing | M::CallbackStateOther)) {
                Some(M::CallbackStateMissing) => None,
                Some(_) => Some("another-state"),
                None => asked.state.as_deref(),
            };
        fields.extend(state.map(|state| own("state", state)));
        fields.extend(session.map(|session| own("session_state", session)));
        let lie = self.state.lies(|lie| {
            matches!(lie, M::NoCallbackIssuer | M::CallbackIssuerMissing | M::CallbackIssuerOther)
        });
        match lie {
            Some(M::CallbackIssuerOther) => fields.push(own("iss", "https://evil.example.com")),
            Some(_) => {}
            None => fields.push(own("iss", &self.issuer())),
        }
        fields.extend(outcome.iter().map(|(name, value)| own(name, value)));
        if self.state.lies(|lie| *lie == M::CallbackCodeTwice).is_some() {
            fields.push(own("code", "another-code"));
        }

        if asked.is_signed {
            fields = vec![own("response", &self.signed_response(&asked.client, &fields))];
        }

        let target = if asked.redirect_uri == OUT_OF_BAND {
            self.endpoint("oauth/oob")
        } else {
            asked.redirect_uri.clone()
        };
        if asked.response_mode == "form_post" {
            return page::form_post(&target, &fields);
        }
        let query = encoding::form(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let separator = match (asked.response_mode.as_str(), target.contains('?')) {
            ("fragment", _) => '#',
            (_, true) => '&',
            (_, false) => '?',
        };
        Response::new(302)
            .with_header("Location", &format!("{target}{separator}{query}"))
            .with_header("Cache-Control", "no-store, must-revalidate, max-age=0")
            .with_header("Referrer-Policy", "no-referrer")
    }

    /// Any port on loopback, out-of-band, and what the world's builder added.
    pub(super) fn allows_redirect(&self, redirect_uri: &str) -> bool {
        if redirect_uri == OUT_OF_BAND {
            return true;
        }
        let is_loopback = url::Url::parse(redirect_uri).is_ok_and(|url| {
            url.scheme() == "http"
                && url.fragment().is_none()
                && url.username().is_empty()
                && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        });
        is_loopback
            || self.state.redirect_uris.iter().any(|allowed| {
                allowed
                    .strip_suffix('*')
                    .map_or(allowed == redirect_uri, |prefix| redirect_uri.starts_with(prefix))
            })
    }
}

fn is_hybrid(response_type: &str) -> bool {
    matches!(response_type, "code id_token" | "id_token code")
}

/// How an answer travels, and whether it is signed: each way of asking has its own default.
fn response_mode(asked: Option<&str>, is_hybrid: bool) -> (&str, bool) {
    let default = if is_hybrid { "fragment" } else { "query" };
    match asked.unwrap_or(default) {
        "jwt" => (default, true),
        mode => mode.strip_suffix(".jwt").map_or((mode, false), |mode| (mode, true)),
    }
}

/// What is wrong with an authorization request whose client and redirect address are right.
fn complaint(fields: &Fields) -> Option<(&'static str, &'static str)> {
    match fields.value("response_type") {
        None => return Some(("invalid_request", "Missing parameter: response_type")),
        Some("code") => {}
        // Core, section 3.3.2.5: the answer of a hybrid flow never comes in a query.
        Some(this) if is_hybrid(this) => {
            if matches!(fields.value("response_mode"), Some("query" | "query.jwt")) {
                return Some((
                    "invalid_request",
                    "Response_mode 'query' not allowed for implicit or hybrid flow",
                ));
            }
        }
        Some(_) => return Some(("unsupported_response_type", "Unsupported response_type")),
    }
    let modes = ["query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"];
    if !fields.value("response_mode").is_none_or(|mode| modes.contains(&mode)) {
        return Some(("invalid_request", "Invalid parameter: response_mode"));
    }
    match (fields.value("code_challenge"), fields.value("code_challenge_method")) {
        (None, None) => None,
        (None, Some(_)) => Some(("invalid_request", "Missing parameter: code_challenge")),
        (Some(challenge), Some("S256")) if challenge.len() == 43 => None,
        (Some(_), Some("S256")) => Some(("invalid_request", "Invalid parameter: code_challenge")),
        (Some(_), _) => Some((
            "invalid_request",
            "Invalid parameter: code challenge method is not matching the configured one",
        )),
    }
}
