//! Login in a browser, driven by the server: it makes the address to sign in at, and redeems the code.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::{Body, Exchange, Method, Random, Replay, Reply, Request, Secret};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;
use zeroize::Zeroizing;

use crate::login::Attempt;
use crate::path::Path;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Login, PathPart, Vault};

/// An OIDC auth method. Made by [`Vault::oidc`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// ```no_run
/// # use latchkey_transport::{Random, Secret};
/// # use latchkey_vault_client::{Error, Login, Vault, auth::ClientNonce};
/// # async fn f(vault: Vault, mut random: impl Random, browser: impl Fn(&str) -> (Secret, Secret)) -> Result<Login, Error> {
/// let client_nonce = ClientNonce::generate(&mut random)?;
/// let oidc = vault.oidc("oidc");
/// let auth_url = oidc.auth_url("default", "http://localhost:8250/oidc/callback", &client_nonce).await?;
/// let (state, code) = browser(auth_url.url().as_str()); // whatever opens it and waits for the redirect
/// auth_url.check_state(&state)?;
/// let login = oidc.callback(&state, &code, &client_nonce).await?;
/// # Ok(login)
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OidcAuth<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> OidcAuth<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    pub(super) fn vault(&self) -> &'a Vault {
        self.vault
    }

    pub(super) fn mount(&self) -> &'a str {
        self.mount
    }

    /// Asks for an address to sign in at. An empty role means the mount's default.
    ///
    /// The redirect address must be one of the role's `allowed_redirect_uris`, letter by letter; only the port of a
    /// loopback address may differ. The server remembers the login for ten minutes.
    ///
    /// Fails with [`Error::NoAuthUrl`] where the server, by design, does not say why it gave none. See [`OidcAuthUrl`].
    pub async fn auth_url(
        &self,
        role: &str,
        redirect_uri: &str,
        client_nonce: &ClientNonce,
    ) -> Result<AuthUrl, Error> {
        self.vault
            .without_token()
            .perform(OidcAuthUrl::new(self.mount, role, redirect_uri, client_nonce)?)
            .await
    }

    /// Finishes the login with what the browser brought back. Check the state first: [`AuthUrl::check_state`].
    ///
    /// The server forgets the login with the first callback, whatever becomes of it: after a failure begin anew.
    /// See [`OidcCallback`].
    pub async fn callback(
        &self,
        state: &Secret,
        code: &Secret,
        client_nonce: &ClientNonce,
    ) -> Result<Login, Error> {
        self.vault.without_token().perform(OidcCallback::new(self.mount, state, code, client_nonce)?).await
    }
}

/// Ties the end of a login to its beginning: who has only seen the address in the browser cannot finish it.
///
/// Every login has its own, and it never goes through the browser.
#[derive(Clone, Debug)]
pub struct ClientNonce(Secret);

impl ClientNonce {
    /// How many random bytes go into it: 256 bits, twice what cannot be guessed.
    const BYTES: usize = 32;

    /// Makes a new one.
    pub fn generate(random: &mut impl Random) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        random.fill(bytes.as_mut_slice())?;
        Ok(Self(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// Takes over the text of one that [`generate`](ClientNonce::generate) made: a login may begin in one process and
    /// end in another. Keep it where the browser cannot see it.
    ///
    /// Fails with [`Error::InvalidClientNonce`] for any other text.
    pub fn restore(text: impl Into<Secret>) -> Result<Self, Error> {
        let text = text.into();
        // Opened to be checked.
        let bytes = URL_SAFE_NO_PAD.decode(text.expose_secret()).map(Zeroizing::new);
        match bytes {
            Ok(bytes) if bytes.len() == Self::BYTES => Ok(Self(text)),
            _ => Err(Error::InvalidClientNonce),
        }
    }

    /// Returns its text.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// An address to sign in at.
#[derive(Clone)]
pub struct AuthUrl {
    url: Url,
    state: Secret,
    poll_interval: Option<Duration>,
    user_code: Option<Secret>,
}

impl AuthUrl {
    /// Returns the address, for the browser. Its query names the login: it is for the person alone.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the state that the browser will bring back.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Returns how long to wait between two polls, where the browser does not come back here but the server is to be
    /// asked: see [`poll_until_done`](OidcAuth::poll_until_done).
    pub fn poll_interval(&self) -> Option<Duration> {
        self.poll_interval
    }

    /// Returns the code that the person types at the address, in `OpenBao`'s mode `device`.
    pub fn user_code(&self) -> Option<&str> {
        // Opened for the person who is to type it.
        self.user_code.as_ref().map(Secret::expose_secret)
    }

    /// Compares the state that came back, in a time that does not depend on where they differ.
    ///
    /// Fails with [`Error::StateMismatch`].
    pub fn check_state(&self, returned: &Secret) -> Result<(), Error> {
        // Opened to be compared in constant time.
        if self.state.is_same_as(returned.expose_secret()) { Ok(()) } else { Err(Error::StateMismatch) }
    }
}

/// Shows the host of the identity provider.
impl fmt::Debug for AuthUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AuthUrl").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// `POST auth/<mount>/oidc/auth_url`
///
/// A login that nobody finishes is forgotten, so it is repeated freely ([`Replay::Safe`]). Fails with
/// [`Error::NoAuthUrl`], [`Error::InsecureAuthUrl`] and [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-authorization-url-request>
#[derive(Clone, Debug)]
pub struct OidcAuthUrl {
    mount: String,
    role: String,
    redirect_uri: String,
    path: String,
    body: Body,
    client_nonce: Secret,
}

impl OidcAuthUrl {
    /// Asks for an address to sign in at. An empty role means the mount's default.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn new(
        mount: &str,
        role: &str,
        redirect_uri: &str,
        client_nonce: &ClientNonce,
    ) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "str::is_empty")]
            role: &'a str,
            redirect_uri: &'a str,
            client_nonce: &'a str,
        }
        // Opened to be sent: the server compares it at the end.
        let body = reply::json(&Fields { role, redirect_uri, client_nonce: client_nonce.expose_secret() })?;
        Ok(Self {
            mount: mount.to_owned(),
            role: role.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            path: oidc_path(mount, "/oidc/auth_url")?.into_string(),
            body,
            client_nonce: client_nonce.0.clone(),
        })
    }
}

impl Exchange for OidcAuthUrl {
    type Output = AuthUrl;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<AuthUrl, Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            auth_url: Secret,
            #[serde(default)]
            state: Option<Secret>,
            /// `OpenBao` writes the number as a text.
            #[serde(borrow, default)]
            poll_interval: Option<&'a RawValue>,
            #[serde(default)]
            user_code: Option<Secret>,
        }
        const WANTED: &str = "an address to sign in at";
        let attempt = Attempt { mount: &self.mount, role: Some(&self.role), sent: &[&self.client_nonce] };
        let envelope =
            Envelope::read(&reply, attempt.sent, WANTED).map_err(|error| attempt.refused(error))?;
        let malformed = || reply::malformed(&reply, WANTED);
        let fields = envelope.data_as::<Fields<'_>>().ok_or_else(malformed)?;
        if fields.auth_url.is_empty() {
            return Err(Error::NoAuthUrl { role: self.role, redirect_uri: self.redirect_uri });
        }
        // Opened to be taken apart.
        let url = Url::parse(fields.auth_url.expose_secret()).map_err(|_| malformed())?;
        // A browser is sent there: nothing but the web, no `javascript:` and no `file:`.
        if !matches!(url.scheme(), "https" | "http") {
            return Err(malformed());
        }
        // Nor to a page that somebody on the way can read and change: a password is typed there.
        let sign_in = Request::for_url(Method::Get, url.clone());
        if sign_in.check(false).is_err() {
            return Err(Error::InsecureAuthUrl { host: sign_in.host() });
        }
        // What the server says beside the address counts: that of mode `device` has no state in it.
        let in_query =
            || url.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
        let state = fields.state.or_else(|| in_query().map(Secret::new));
        let state = state.filter(|state| !state.is_empty()).ok_or_else(malformed)?;
        let seconds = fields.poll_interval.and_then(|raw| raw.get().trim_matches('"').parse().ok());
        Ok(AuthUrl {
            url,
            state,
            poll_interval: seconds.map(Duration::from_secs),
            user_code: fields.user_code.filter(|code| !code.is_empty()),
        })
    }

    /// A login that nobody finishes is forgotten after ten minutes.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `GET auth/<mount>/oidc/callback`
///
/// By the protocol the code stands in the query. It is good for one use, and only together with the client nonce.
///
/// The first one spends the state, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]),
/// and not after a lost reply. Fails with [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-callback>
#[derive(Clone, Debug)]
pub struct OidcCallback {
    mount: String,
    state: Secret,
    code: Secret,
    client_nonce: Secret,
    path: String,
}

impl OidcCallback {
    /// Finishes a login with what the browser brought back.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn new(
        mount: &str,
        state: &Secret,
        code: &Secret,
        client_nonce: &ClientNonce,
    ) -> Result<Self, Error> {
        Ok(Self {
            mount: mount.to_owned(),
            state: state.clone(),
            code: code.clone(),
            client_nonce: client_nonce.0.clone(),
            path: oidc_path(mount, "/oidc/callback")?.into_string(),
        })
    }
}

impl Exchange for OidcCallback {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        // Opened to be sent: the protocol puts all three into the query.
        let secrets = [&self.state, &self.code, &self.client_nonce].map(Secret::expose_secret);
        let [state, code, client_nonce] = secrets;
        let target = Path::from(self.path.clone())
            .parameter("state", state)
            .parameter("code", code)
            .parameter("client_nonce", client_nonce);
        Request::new(Method::Get, target.into_string())
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        let sent = [&self.code, &self.client_nonce, &self.state];
        Login::receive(&reply, &Attempt { mount: &self.mount, role: None, sent: &sent })
    }

    /// The first callback that arrives spends the state, whatever becomes of it.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

pub(super) fn oidc_path(mount: &str, call: &str) -> Result<Path, Error> {
    let path = Path::with_room(mount.len() + "/auth/".len() + call.len());
    Ok(path.literal("/auth").segments(PathPart::Mount, mount)?.literal(call))
}

#[cfg(test)]
mod tests {
    use latchkey_transport::RandomUnavailable;

    use super::*;
    use crate::LoginProblem;

    const REDIRECT: &str = "http://localhost:8250/oidc/callback";

    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    struct Empty;

    impl Random for Empty {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), RandomUnavailable> {
            Err(RandomUnavailable)
        }
    }

    fn nonce() -> ClientNonce {
        ClientNonce::generate(&mut Counting(0)).unwrap()
    }

    fn auth_url(body: &str) -> Result<AuthUrl, Error> {
        OidcAuthUrl::new("oidc", "default", REDIRECT, &nonce()).unwrap().receive(Reply::new(200, body))
    }

    fn callback() -> OidcCallback {
        OidcCallback::new("oidc", &Secret::new("st_hush,ns=a"), &Secret::new("co/de+hush"), &nonce()).unwrap()
    }

    #[test]
    fn a_client_nonce_is_all_of_the_random_bytes() {
        let text = nonce();
        assert_eq!(text.expose_secret(), "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA");
        assert!(!format!("{text:?}").contains("AQID"));
        assert!(matches!(ClientNonce::generate(&mut Empty), Err(Error::Random(_))));
    }

    #[test]
    fn a_client_nonce_can_be_kept_and_taken_up_again() {
        let kept = nonce().expose_secret().to_owned();
        assert_eq!(ClientNonce::restore(kept.as_str()).unwrap().expose_secret(), kept);
        for other in ["", "short", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy", "!".repeat(43).as_str()] {
            let error = ClientNonce::restore(other).unwrap_err();
            assert!(matches!(error, Error::InvalidClientNonce), "{other}");
        }
    }

    #[test]
    fn the_address_is_asked_for_with_redirect_and_nonce() {
        let exchange = OidcAuthUrl::new("oidc", "default", REDIRECT, &nonce()).unwrap();
        let request = exchange.request();
        assert_eq!((request.method(), request.path()), (Method::Post, "/v1/auth/oidc/oidc/auth_url"));
        let body = format!(
            r#"{{"role":"default","redirect_uri":"{REDIRECT}","client_nonce":"{}"}}"#,
            nonce().expose_secret()
        );
        assert_eq!(request.body().unwrap().expose_secret(), body.as_bytes());
        assert!(!format!("{exchange:?}").contains("AQID"));
    }

    #[test]
    fn the_state_is_taken_from_the_address() {
        let body = r#"{"data":{"auth_url":"https://idp.example/auth?client_id=c\u0026nonce=n_x\u0026state=st_hush%2Cns%3Da"}}"#;
        let auth_url = auth_url(body).unwrap();
        assert_eq!(auth_url.state().expose_secret(), "st_hush,ns=a");
        assert_eq!(auth_url.url().host_str(), Some("idp.example"));
        let shown = format!("{auth_url:?}");
        assert!(shown.contains("idp.example") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn the_state_that_comes_back_must_be_the_same() {
        let auth_url = auth_url(r#"{"data":{"auth_url":"https://idp.example/?state=st_1"}}"#).unwrap();
        assert!(auth_url.check_state(&Secret::new("st_1")).is_ok());
        for forged in ["st_2", "st_", "", "st_11"] {
            assert!(
                matches!(auth_url.check_state(&Secret::new(forged)), Err(Error::StateMismatch)),
                "{forged}"
            );
        }
    }

    #[test]
    fn no_address_names_the_likely_causes() {
        let error = auth_url(r#"{"data":{"auth_url":""}}"#).unwrap_err();
        assert!(
            matches!(&error, Error::NoAuthUrl { role, redirect_uri } if role == "default" && redirect_uri == REDIRECT)
        );
        let shown = error.to_string();
        assert!(shown.contains(REDIRECT) && shown.contains("\"default\""), "{shown}");
    }

    #[test]
    fn a_browser_is_sent_to_the_web_only_and_never_without_a_state() {
        for url in [
            "javascript:alert(1)//?state=x",
            "file:///etc/passwd?state=x",
            "not an address",
            "https://idp.example/",
        ] {
            let body = serde_json::json!({ "data": { "auth_url": url } }).to_string();
            assert_eq!(auth_url(&body).unwrap_err().code(), "vault_malformed_reply", "{url}");
        }
        let plain = r#"{"data":{"auth_url":"http://idp.example:8080/auth?state=x"}}"#;
        let error = auth_url(plain).unwrap_err();
        assert!(matches!(&error, Error::InsecureAuthUrl { host } if host == "idp.example:8080"), "{error:?}");
        assert!(auth_url(r#"{"data":{"auth_url":"http://localhost:8080/auth?state=x"}}"#).is_ok());
        let empty = r#"{"data":{"auth_url":"https://idp.example/?state="}}"#;
        assert_eq!(auth_url(empty).unwrap_err().code(), "vault_malformed_reply");
    }

    #[test]
    fn a_refused_address_has_its_problem() {
        for (said, expected) in [
            (r#"role "nope" could not be found"#, LoginProblem::UnknownRole),
            ("missing role", LoginProblem::MissingRole),
            ("OIDC login is not configured for this mount", LoginProblem::NotConfigured),
            ("could not load configuration", LoginProblem::NotConfigured),
        ] {
            let body = serde_json::json!({ "errors": [said] }).to_string();
            let exchange = OidcAuthUrl::new("oidc", "nope", REDIRECT, &nonce()).unwrap();
            let error = exchange.receive(Reply::new(400, body)).unwrap_err();
            assert!(
                matches!(&error, Error::LoginRefused { problem, role: Some(role), .. } if *problem == expected && role == "nope"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_nonce_does_not_come_back_in_an_error() {
        let exchange = OidcAuthUrl::new("oidc", "r", REDIRECT, &nonce()).unwrap();
        let body =
            serde_json::json!({ "errors": [format!("what is {}?", nonce().expose_secret())] }).to_string();
        let error = exchange.receive(Reply::new(400, body)).unwrap_err();
        assert!(error.to_string().ends_with("what is …?)"), "{error}");
    }

    #[test]
    fn the_callback_puts_state_code_and_nonce_into_the_query_and_nothing_else() {
        let request = callback().request();
        assert_eq!((request.method(), request.path()), (Method::Get, "/v1/auth/oidc/oidc/callback"));
        let query =
            format!("state=st_hush%2Cns%3Da&code=co%2Fde%2Bhush&client_nonce={}", nonce().expose_secret());
        assert_eq!(request.query(), Some(query.as_str()));
        let shown = format!("{:?} {request:?}", callback());
        assert!(!shown.contains("hush") && !shown.contains("AQID"), "{shown}");
    }

    #[test]
    fn each_refused_callback_has_its_problem_in_both_voices() {
        for (said, expected) in [
            ("Expired or missing OAuth state.", LoginProblem::StateExpired),
            ("Role could not be found", LoginProblem::UnknownRole),
            ("No code or id_token received.", LoginProblem::CodeRejected),
            (
                r#"Error exchanging oidc code: "Provider.Exchange: invalid_grant"."#,
                LoginProblem::CodeRejected,
            ),
            (
                r#"Error exchanging oidc code: "Provider.Exchange: id_token failed verification: x"."#,
                LoginProblem::IdTokenRejected,
            ),
            (
                r#"Error exchanging oidc code: "failed to verify signature: fetching keys oidc: get keys failed"."#,
                LoginProblem::IdTokenRejected,
            ),
            ("Token verification failed. unknown issuer", LoginProblem::TokenRejected),
            ("Could not load configuration", LoginProblem::NotConfigured),
        ] {
            for product in ["Vault", "OpenBao"] {
                let body =
                    serde_json::json!({ "errors": [format!("{product} login failed. {said}")] }).to_string();
                let error = callback().receive(Reply::new(400, body)).unwrap_err();
                assert!(
                    matches!(&error, Error::LoginRefused { problem, .. } if *problem == expected),
                    "{said}: {error}"
                );
            }
        }
        let body = r#"{"errors":["invalid client_nonce"]}"#;
        let error = callback().receive(Reply::new(400, body)).unwrap_err();
        assert!(matches!(error, Error::LoginRefused { problem: LoginProblem::ClientNonceMismatch, .. }));
    }

    #[test]
    fn what_the_callback_sent_does_not_come_back_in_its_errors() {
        let said = format!(
            "Vault login failed. Error exchanging oidc code: \"POST code=co%2Fde%2Bhush co/de+hush st_hush,ns=a {}\".",
            nonce().expose_secret()
        );
        for status in [400, 403, 500, 503] {
            let body = serde_json::json!({ "errors": [said] }).to_string();
            let error = callback().receive(Reply::new(status, body)).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hush") && !shown.contains("AQID"), "{status} {shown}");
        }
    }

    #[test]
    fn a_callback_is_repeated_only_if_it_never_arrived() {
        assert_eq!(callback().replay(), Replay::AfterRefusal);
        assert_eq!(OidcAuthUrl::new("oidc", "", REDIRECT, &nonce()).unwrap().replay(), Replay::Safe);
    }
}
