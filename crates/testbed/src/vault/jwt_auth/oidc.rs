//! OIDC login: the Vault is the relying party, the person's program only carries addresses.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{
    Call, Desk, Outcome, Refusal, Reply, Voice, claims,
    config::{Config, Discovered},
    role::{CallbackMode, Role},
};
use crate::{
    canary::Kind,
    encoding::{self, unix_seconds},
    jwt,
    message::Request,
    random,
    vault::auth::Person,
};

/// "oidcRequestTimeout": a login that takes longer has to begin again.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A login under way. It is gone at the first callback, whatever comes of it.
pub(super) struct Login {
    role: String,
    redirect_uri: String,
    nonce: String,
    verifier: String,
    client_nonce: String,
    begun: SystemTime,
    waits: Waits,
}

/// For whom a login waits that the program asks after.
enum Waits {
    /// For nobody: the program brings the code itself.
    No,
    /// For the browser, which comes to the Vault.
    ForBrowser,
    /// For the person, who types the code of this device in.
    ForDevice(String),
    /// Whoever it was has come: this is the answer.
    Over(Box<Reply>),
}

impl Desk<'_> {
    /// [OIDC authorization URL request](https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-authorization-url-request).
    ///
    /// Whatever is wrong beyond the role's name is answered with an empty address, and said to nobody but the log.
    pub(super) fn auth_url(&mut self, call: &Call, mount: &str) -> Outcome {
        let client_nonce = call.text("client_nonce");
        self.plant(&client_nonce, Kind::ClientNonce);
        let jwt = self.jwt(mount);
        let config = jwt.and_then(|jwt| jwt.config.clone());
        let config = config.ok_or_else(|| Refusal::bad("could not load configuration"))?;
        if !config.is_oidc() {
            return Err(Refusal::bad("OIDC login is not configured for this mount"));
        }
        let role_name = match call.text("role").to_lowercase() {
            name if name.is_empty() => config.default_role.clone(),
            name => name,
        };
        if role_name.is_empty() {
            return Err(Refusal::bad("missing role"));
        }
        let redirect_uri = call.text("redirect_uri");
        let role = jwt.and_then(|jwt| jwt.roles.get(&role_name)).cloned();
        let mode = match self.state.voice {
            Voice::OpenBao => role.as_ref().map(|role| role.callback_mode).unwrap_or_default(),
            Voice::Vault => CallbackMode::Client,
        };
        if redirect_uri.is_empty() && mode != CallbackMode::Device {
            return Err(Refusal::bad("missing redirect_uri"));
        }
        let role = role.ok_or_else(|| Refusal::bad(format!("role \"{role_name}\" could not be found")))?;
        if mode != CallbackMode::Client && client_nonce.is_empty() {
            return Err(Refusal::bad("missing client_nonce"));
        }

        let silent = || Ok(Reply::data(json!({ "auth_url": "" })));
        if mode == CallbackMode::Device {
            let Ok(discovered) = config.discover(self.world) else { return silent() };
            return self
                .begin_device(call, mount, &config, &role, role_name, &discovered)
                .map_or_else(silent, Ok);
        }
        if !allows_redirect(&role.allowed_redirect_uris, &redirect_uri, self.state.voice) {
            return silent();
        }
        let Ok(discovered) = config.discover(self.world) else { return silent() };
        let login = Login {
            role: role_name,
            redirect_uri,
            nonce: format!("n_{}", random::base62(20)),
            verifier: random::base62(43),
            client_nonce,
            begun: call.now,
            waits: if mode == CallbackMode::Direct { Waits::ForBrowser } else { Waits::No },
        };
        let state = format!("st_{}", random::base62(20));
        for (secret, kind) in
            [(&state, Kind::State), (&login.nonce, Kind::Nonce), (&login.verifier, Kind::Verifier)]
        {
            self.plant(secret, kind);
        }
        let auth_url =
            authorization_url(&discovered.endpoint("authorization_endpoint"), &config, &role, &login, &state);
        let mut data = json!({ "auth_url": auth_url });
        if mode == CallbackMode::Direct {
            data["poll_interval"] = poll_interval(&role).into();
            data["state"] = state.as_str().into();
        }
        self.change_jwt(mount, |jwt| jwt.logins.insert(state, login));
        Ok(Reply::data(data).ignoring(&call.data, &["role", "redirect_uri", "client_nonce"]))
    }

    /// [OIDC callback](https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-callback).
    pub(super) fn callback(&mut self, call: &Call, mount: &str) -> Outcome {
        let voice = self.state.voice;
        let failed = |why: &str| Refusal::bad(format!("{} {why}", voice.login_failed()));
        for (name, kind) in
            [("code", Kind::Code), ("state", Kind::State), ("client_nonce", Kind::ClientNonce)]
        {
            self.plant(&call.text(name), kind);
        }
        let Some(config) = self.jwt(mount).and_then(|jwt| jwt.config.clone()) else {
            return Err(failed("Could not load configuration"));
        };
        let login = self.change_jwt(mount, |jwt| jwt.logins.remove(&call.text("state"))).flatten();
        let login = login.filter(|login| call.now < login.begun + TIMEOUT);
        let login = login.ok_or_else(|| failed("Expired or missing OAuth state."))?;
        let role = self.jwt(mount).and_then(|jwt| jwt.roles.get(&login.role)).cloned();
        let error = call.text("error").trim().to_lowercase();
        let is_nonce_wrong =
            !login.client_nonce.is_empty() && call.text("client_nonce") != login.client_nonce;
        let is_direct = matches!(login.waits, Waits::ForBrowser);
        if let (true, Some(role)) = (is_direct && error.is_empty(), &role)
            && !role.disable_confirmation
            && call.text("confirmation").is_empty()
        {
            // The browser only asks; it comes again once the person has confirmed.
            let page = confirmation_page(&login.role);
            self.change_jwt(mount, |jwt| jwt.logins.insert(call.text("state"), login));
            return Ok(page);
        }
        // A browser does not know the nonce: whoever asks for the answer must.
        let is_nonce_wrong = is_nonce_wrong && !is_direct;
        let role = match voice {
            // HashiCorp's looks at the client nonce first, and does not know of errors.
            Voice::Vault if is_nonce_wrong => return Err(Refusal::bad("invalid client_nonce")),
            Voice::Vault => role.ok_or_else(|| failed("Role could not be found"))?,
            Voice::OpenBao => {
                let role = role.ok_or_else(|| failed("Role could not be found"))?;
                if !error.is_empty() {
                    return Err(failed(known_error(&error)));
                }
                if is_nonce_wrong {
                    return Err(Refusal::bad("invalid client_nonce"));
                }
                role
            }
        };
        let code = call.text("code");
        if code.is_empty() {
            return Err(failed("No code or id_token received."));
        }
        let claims = self
            .exchange(&config, &role, &login, &code, call.now)
            .map_err(|why| failed(&format!("Error exchanging oidc code: {}.", json!(why))))?;

        let reply = self.log_in_with(call, mount, &role, &login.role, &claims)?;
        if is_direct {
            let login = Login { waits: Waits::Over(Box::new(reply)), ..login };
            self.change_jwt(mount, |jwt| jwt.logins.insert(call.text("state"), login));
            return Ok(Reply::html("<title>Signed in via your OIDC provider</title>"));
        }
        // HashiCorp's still lists the `nonce` of old; OpenBao knows the parameters of an error.
        let known: &[&str] = match voice {
            Voice::OpenBao => &[
                "state",
                "code",
                "id_token",
                "client_nonce",
                "error",
                "error_description",
                "error_uri",
                "confirmation",
            ],
            Voice::Vault => &["state", "code", "id_token", "client_nonce", "nonce", "error_description"],
        };
        Ok(reply.ignoring(&call.data, known))
    }

    /// The token for somebody whose ID token is good, if the role has nothing against it.
    fn log_in_with(&mut self, call: &Call, mount: &str, role: &Role, name: &str, claims: &Value) -> Outcome {
        let voice = self.state.voice;
        let failed = |why: &str| Refusal::bad(format!("{} {why}", voice.login_failed()));
        // From here on, OpenBao puts its prefix before what HashiCorp's says bare.
        let refused = |why: String| match voice {
            Voice::OpenBao => failed(&why),
            Voice::Vault => Refusal::bad(why),
        };
        if !role.bound_subject.is_empty() && claims["sub"] != role.bound_subject.as_str() {
            return Err(match voice {
                Voice::OpenBao => failed("sub claim does not match bound subject"),
                Voice::Vault => Refusal::wrapped(500, "sub claim does not match bound subject"),
            });
        }
        let person = Person::of_claims(role, name, claims).map_err(refused)?;
        claims::check_bound(role, claims)
            .map_err(|why| refused(format!("error validating claims: {why}")))?;
        self.log_in(call, mount, &role.token, person)
    }

    /// Form posts are for mounts that are configured for them; this double knows only the other ones.
    pub(super) fn callback_post(&self, mount: &str) -> Refusal {
        match self.jwt(mount).and_then(|jwt| jwt.config.as_ref()) {
            Some(_) => Refusal::empty(405),
            None => {
                Refusal::bad(format!("{} Could not load configuration.", self.state.voice.login_failed()))
            }
        }
    }

    /// Asks the provider for the codes of a device. `None` where it does not give any.
    fn begin_device(
        &mut self,
        call: &Call,
        mount: &str,
        config: &Config,
        role: &Role,
        role_name: String,
        discovered: &Discovered,
    ) -> Option<Reply> {
        let scopes = scopes(role);
        let request = Request::post(&discovered.endpoint("device_authorization_endpoint"))
            .with_basic(&config.client_id, &config.client_secret)
            .with_form(&[("client_id", &config.client_id), ("scope", &scopes)]);
        let codes = self.world.ask_provider(&request).ok().filter(|response| response.status == 200)?.json();
        let (device_code, complete) =
            (codes["device_code"].as_str()?.to_owned(), codes["verification_uri_complete"].as_str()?);
        let state = format!("st_{}", random::base62(20));
        self.plant(&state, Kind::State);
        let interval =
            if role.poll_interval > 0 { role.poll_interval } else { codes["interval"].as_u64()? };
        let data =
            json!({ "auth_url": complete, "poll_interval": interval.to_string(), "state": state.as_str() });
        let login = Login {
            role: role_name,
            redirect_uri: String::new(),
            nonce: String::new(),
            verifier: String::new(),
            client_nonce: call.text("client_nonce"),
            begun: call.now,
            waits: Waits::ForDevice(device_code),
        };
        self.change_jwt(mount, |jwt| jwt.logins.insert(state, login));
        Some(Reply::data(data))
    }

    /// OpenBao's way to wait for a login that somebody else finishes: a browser that comes to the Vault, or a person with
    /// the code of a device.
    pub(super) fn poll(&mut self, call: &Call, mount: &str) -> Outcome {
        let voice = self.state.voice;
        let failed = |why: &str| Refusal::bad(format!("{} {why}", voice.login_failed()));
        let state = call.text("state");
        let config = self.jwt(mount).and_then(|jwt| jwt.config.clone());
        let config = config.ok_or_else(|| failed("Could not load configuration"))?;
        let login = self.change_jwt(mount, |jwt| jwt.logins.remove(&state)).flatten();
        let login = login.filter(|login| call.now < login.begun + TIMEOUT);
        let login = login.ok_or_else(|| failed("Expired or missing OAuth state."))?;
        if call.text("client_nonce") != login.client_nonce {
            return Err(Refusal::bad("invalid client_nonce"));
        }
        let pending = |desk: &mut Self, login: Login, error: &str| {
            desk.change_jwt(mount, |jwt| jwt.logins.insert(state.clone(), login));
            Err(Refusal::bad(error))
        };
        let device_code = match &login.waits {
            Waits::Over(reply) => return Ok(Reply::clone(reply)),
            Waits::No | Waits::ForBrowser => return pending(self, login, "authorization_pending"),
            Waits::ForDevice(code) => code.clone(),
        };
        let role = self.jwt(mount).and_then(|jwt| jwt.roles.get(&login.role)).cloned();
        let role = role.ok_or_else(|| failed("Role could not be found"))?;
        let discovered = config.discover(self.world).map_err(|why| failed(&why))?;
        let request = Request::post(&discovered.endpoint("token_endpoint"))
            .with_basic(&config.client_id, &config.client_secret)
            .with_form(&[
                ("device_code", &device_code),
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ]);
        let response = self.world.ask_provider(&request).map_err(|lost| failed(&lost.to_string()))?;
        let tokens = response.json();
        match tokens["error"].as_str() {
            Some(error @ ("authorization_pending" | "slow_down")) => return pending(self, login, error),
            Some(error) => return Err(Refusal::bad(format!("authorization failed: {error}"))),
            None => {}
        }
        let claims = self
            .claims_of(&config, &role, &tokens, "", &discovered, call.now)
            .map_err(|why| failed(&format!("Token verification failed. {why}")))?;
        self.log_in_with(call, mount, &role, &login.role, &claims)
    }

    /// Redeems the code at the provider, checks the ID token, and adds what userinfo says.
    fn exchange(
        &self,
        config: &Config,
        role: &Role,
        login: &Login,
        code: &str,
        now: SystemTime,
    ) -> Result<Value, String> {
        let discovered = config.discover(self.world)?;
        let request = Request::post(&discovered.endpoint("token_endpoint"))
            .with_basic(&config.client_id, &config.client_secret)
            .with_form(&[
                ("code", code),
                ("code_verifier", &login.verifier),
                ("grant_type", "authorization_code"),
                ("redirect_uri", &login.redirect_uri),
            ]);
        let failed =
            |why: String| format!("Provider.Exchange: unable to exchange auth code with provider: {why}");
        let response = self.world.ask_provider(&request).map_err(|lost| failed(lost.to_string()))?;
        let tokens = response.json();
        if response.status != 200 {
            return Err(failed(match (tokens["error"].as_str(), tokens["error_description"].as_str()) {
                (Some(error), Some(description)) => format!("oauth2: \"{error}\" \"{description}\""),
                _ => {
                    format!("oauth2: cannot fetch token: {}\nResponse: {}", response.status, response.text())
                }
            }));
        }
        self.claims_of(config, role, &tokens, &login.nonce, &discovered, now)
    }

    /// The claims of the ID token in a token reply, and what userinfo adds to them.
    fn claims_of(
        &self,
        config: &Config,
        role: &Role,
        tokens: &Value,
        nonce: &str,
        discovered: &Discovered,
        now: SystemTime,
    ) -> Result<Value, String> {
        let Some(id_token) = tokens["id_token"].as_str() else {
            return Err(
                "Provider.Exchange: id_token is missing from auth code exchange: id_token is missing"
                    .to_owned(),
            );
        };
        let unverified = |why: &str| {
            format!("Provider.Exchange: id_token failed verification: Provider.VerifyIDToken: {why}")
        };
        let mut claims =
            self.verified(config, id_token).map_err(|why| unverified(&format!("invalid id_token: {why}")))?;
        check_id_token(&claims, config, role, nonce, now).map_err(|why| unverified(&why))?;

        let userinfo = Request::get(&discovered.endpoint("userinfo_endpoint"))
            .with_bearer(tokens["access_token"].as_str().unwrap_or_default());
        // What userinfo does not say, or says of somebody else, is left out, and the login goes on.
        if let Some(more) = self.world.ask_provider(&userinfo).ok().map(|response| response.json())
            && more["sub"] == claims["sub"]
            && let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more)
        {
            claims.extend(more);
        }
        Ok(claims)
    }
}

/// The checks of an ID token, in the order and the words of the servers' library.
fn check_id_token(
    claims: &Value,
    config: &Config,
    role: &Role,
    nonce: &str,
    now: SystemTime,
) -> Result<(), String> {
    let now = unix_seconds(now);
    let issuer = config.expected_issuer().unwrap_or_default();
    if claims["iss"] != issuer {
        return Err(format!(
            "invalid id_token: oidc: id token issued by a different provider, expected \"{issuer}\" got {}",
            claims["iss"]
        ));
    }
    let audiences = claims::audiences(claims);
    if !audiences.contains(&config.client_id.as_str()) {
        return Err(format!(
            "invalid id_token: oidc: expected audience \"{}\" got {}",
            config.client_id,
            json!(audiences)
        ));
    }
    if claims["exp"].as_u64().is_none_or(|expires| now > expires) {
        return Err("invalid id_token: oidc: token is expired".to_owned());
    }
    // Five minutes for clocks that differ.
    if claims["nbf"].as_u64().is_some_and(|from| from > now + 300) {
        return Err("invalid id_token: oidc: current time before the nbf (not before) time".to_owned());
    }
    // A device has none.
    if !nonce.is_empty() && claims["nonce"] != nonce {
        return Err("invalid id_token nonce: invalid nonce".to_owned());
    }
    if claims["iat"].as_u64().is_some_and(|issued| issued > now + 60) {
        return Err(
            "invalid issued at (iat): current time before the iat (issued at) time: invalid issued at"
                .to_owned(),
        );
    }
    if !role.bound_audiences.is_empty()
        && !role.bound_audiences.iter().any(|bound| audiences.contains(&bound.as_str()))
    {
        return Err(
            "invalid id_token audiences: verifyAudiences: invalid id_token audiences: invalid audience"
                .to_owned(),
        );
    }
    if audiences.len() > 1 && claims["azp"] != config.client_id.as_str() {
        return Err(
            "authorized party ID of the token does not match the client ID: invalid authorized party"
                .to_owned(),
        );
    }
    Ok(())
}

/// The names of [RFC 6749, section 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1) are repeated, others
/// are not.
fn known_error(error: &str) -> &str {
    match error {
        "invalid_request"
        | "unauthorized_client"
        | "access_denied"
        | "unsupported_response_type"
        | "invalid_scope"
        | "server_error"
        | "temporarily_unavailable" => error,
        _ => "An unknown error occurred during OIDC authentication. Check server logs for details",
    }
}

fn scopes(role: &Role) -> String {
    let scopes: Vec<&str> =
        std::iter::once("openid").chain(role.oidc_scopes.iter().map(String::as_str)).collect();
    scopes.join(" ")
}

/// Seconds between two questions, as the text that the server sends.
fn poll_interval(role: &Role) -> String {
    if role.poll_interval == 0 { "5".to_owned() } else { role.poll_interval.to_string() }
}

/// Anybody may have sent the person this address: it says what it is about before it does anything.
fn confirmation_page(role: &str) -> Reply {
    Reply::html(&format!(
        "<title>OpenBao Authentication Confirmation</title>\n\
         <p>A sign-in request with the role {} was begun. Only confirm if you began it yourself.</p>\n\
         <button id=\"confirm-button\">Confirm sign-in</button>\n\
         <script>document.getElementById(\"confirm-button\").onclick = () => \
         location.replace(location.href + \"&confirmation=yes\")</script>",
        encoding::escape_html(role)
    ))
}

fn authorization_url(endpoint: &str, config: &Config, role: &Role, login: &Login, state: &str) -> String {
    let scopes = scopes(role);
    let max_age = role.max_age.to_string();
    let challenge = jwt::s256(&login.verifier);
    let mut fields = vec![
        ("client_id", config.client_id.as_str()),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if role.max_age > 0 {
        fields.push(("max_age", &max_age));
    }
    fields.push(("nonce", &login.nonce));
    fields.push(("redirect_uri", &login.redirect_uri));
    if config.response_mode == "form_post" {
        fields.push(("response_mode", "form_post"));
    }
    fields.extend([("response_type", "code"), ("scope", scopes.as_str()), ("state", state)]);
    format!("{endpoint}?{}", encoding::form(fields))
}

/// Loopback addresses compare without their ports, all others whole. There are no wildcards.
fn allows_redirect(allowed: &[String], redirect_uri: &str, voice: Voice) -> bool {
    let Ok(asked) = url::Url::parse(redirect_uri) else { return false };
    let is_loopback = match asked.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) if voice == Voice::Vault => address.is_loopback(),
        Some(url::Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !is_loopback {
        return allowed.iter().any(|uri| match voice {
            Voice::OpenBao => uri == redirect_uri,
            Voice::Vault => uri.eq_ignore_ascii_case(redirect_uri),
        });
    }
    let without_port = |url: &url::Url| {
        let mut url = url.clone();
        url.set_port(None).is_ok().then(|| url.to_string())
    };
    for uri in allowed {
        // An entry that is no address ends the search, even where a later one would match.
        let Ok(uri) = url::Url::parse(uri) else { return false };
        if without_port(&uri).is_some() && without_port(&uri) == without_port(&asked) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_redirect_compares_without_its_port() {
        let allowed =
            ["http://localhost:8250/oidc/callback".to_owned(), "https://hub.example.com/cb".to_owned()];
        for (redirect_uri, expected) in [
            ("http://localhost:8250/oidc/callback", true),
            ("http://localhost:9999/oidc/callback", true),
            ("http://localhost/oidc/callback", true),
            ("http://127.0.0.1:8250/oidc/callback", false),
            ("http://localhost:8250/other", false),
            ("https://localhost:8250/oidc/callback", false),
            ("https://hub.example.com/cb", true),
            ("https://hub.example.com:444/cb", false),
            ("urn:ietf:wg:oauth:2.0:oob", false),
        ] {
            assert_eq!(allows_redirect(&allowed, redirect_uri, Voice::OpenBao), expected, "{redirect_uri}");
        }
        assert!(!allows_redirect(&allowed, "https://HUB.example.com/cb", Voice::OpenBao));
        assert!(allows_redirect(&allowed, "https://HUB.example.com/cb", Voice::Vault));
        let out_of_band = ["urn:ietf:wg:oauth:2.0:oob".to_owned()];
        assert!(allows_redirect(&out_of_band, "urn:ietf:wg:oauth:2.0:oob", Voice::OpenBao));
    }
}
