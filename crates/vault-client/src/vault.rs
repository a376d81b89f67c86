//! The handle that people use.

use std::fmt;
use std::sync::Arc;

use latchkey_transport::{Exchange, MaybeSend, MaybeSync, Perform, Request, SharedTransport};
use url::Url;

use crate::auth::{AppRoleAuth, JwtAuth, KubernetesAuth, OidcAuth, UserpassAuth};
use crate::identity::Identity;
use crate::kv2::Kv2;
use crate::logical::Logical;
use crate::path;
use crate::retry::{Retry, Waiting};
use crate::sys::{Health, ReadHealth, Sys};
use crate::token::TokenAuth;
use crate::wrapping::Wrapping;
use crate::{Error, PathPart, Token};

/// A Vault or `OpenBao`: its address, and if you like a namespace and a token. Cloning it is cheap.
///
/// # Namespaces
///
/// A namespace is sent as the beginning of the path (`/v1/team/a/…`) and never as the header `X-Vault-Namespace`. A
/// browser may not send that header, since servers do not allow it by CORS; and the free edition of Vault, which has no
/// namespaces, *ignores* it and answers from the root namespace, where the path makes it say that there is no such
/// place. `sys/health` and its like are about the node, so they are called without the namespace.
///
/// # What is sent
///
/// `X-Vault-Token` and `Content-Type`, which servers let a browser send without being told to; no `X-Vault-Request`, which
/// they do not. An [`Exchange`] of yours sends what it asks for.
#[derive(Clone)]
pub struct Vault {
    /// The address without a slash at its end.
    address: Arc<str>,
    /// `/team/a`, encoded; empty for the root namespace.
    namespace: Arc<str>,
    token: Option<Arc<Token>>,
    transport: SharedTransport,
}

impl Vault {
    /// Returns a handle on the server at `address`, which may have a path if the server sits behind a proxy that
    /// expects one (`https://example.org/vault`).
    pub fn new(address: Url, transport: SharedTransport) -> Self {
        let address = String::from(address);
        let address = address.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Self { address: address.into(), namespace: "".into(), token: None, transport }
    }

    /// Calls in that namespace, `team/a`. An empty one means the root namespace.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn with_namespace(&self, namespace: &str) -> Result<Self, Error> {
        let mut encoded = String::new();
        if !matches!(namespace, "" | "/") {
            path::push_segments(&mut encoded, PathPart::Namespace, namespace)?;
        }
        Ok(Self { namespace: encoded.into(), ..self.clone() })
    }

    /// Calls with that token.
    pub fn with_token(&self, token: &Token) -> Self {
        Self { token: Some(Arc::new(token.clone())), ..self.clone() }
    }

    /// Calls without a token, as logins do.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Returns the versioned key-value store (KV v2) at a mount.
    pub fn kv2<'a>(&'a self, mount: &'a str) -> Kv2<'a> {
        Kv2::new(self, mount)
    }

    /// Returns the JWT auth method at a mount: login with a token of the identity provider.
    pub fn jwt<'a>(&'a self, mount: &'a str) -> JwtAuth<'a> {
        JwtAuth::new(self, mount)
    }

    /// Returns the OIDC auth method at a mount: login in a browser, driven by the server.
    pub fn oidc<'a>(&'a self, mount: &'a str) -> OidcAuth<'a> {
        OidcAuth::new(self, mount)
    }

    /// Returns the Kubernetes auth method at a mount: login with the token of a service account.
    pub fn kubernetes<'a>(&'a self, mount: &'a str) -> KubernetesAuth<'a> {
        KubernetesAuth::new(self, mount)
    }

    /// Returns the `AppRole` auth method at a mount: login of a program with two ids.
    pub fn approle<'a>(&'a self, mount: &'a str) -> AppRoleAuth<'a> {
        AppRoleAuth::new(self, mount)
    }

    /// Returns the userpass auth method at a mount, or LDAP or another one with name and password.
    pub fn userpass<'a>(&'a self, mount: &'a str) -> UserpassAuth<'a> {
        UserpassAuth::new(self, mount)
    }

    /// Returns what can be done with tokens, the one of this handle and others.
    pub fn token(&self) -> TokenAuth<'_> {
        TokenAuth::new(self)
    }

    /// Returns response wrapping: answers that the server keeps for whoever is to have them.
    pub fn wrapping(&self) -> Wrapping<'_> {
        Wrapping::new(self)
    }

    /// Returns the server itself: mounts, policies, and how it is.
    pub fn sys(&self) -> Sys<'_> {
        Sys::new(self)
    }

    /// Returns the identity store: entities, their aliases, and groups.
    pub fn identity(&self) -> Identity<'_> {
        Identity::new(self)
    }

    /// Returns any path of the API.
    pub fn logical(&self) -> Logical<'_> {
        Logical::new(self)
    }

    /// Asks how the node is. Sealed or standby is an answer, not an error.
    pub async fn health(&self) -> Result<Health, Error> {
        self.without_token().perform(ReadHealth).await
    }

    /// Performs an exchange whose request has a path for its target: adds address, namespace and token. A token that
    /// the exchange brings itself stays.
    ///
    /// A request that names a whole address goes there, without the token.
    pub async fn perform<E>(&self, exchange: E) -> Result<E::Output, Error>
    where
        E: Exchange<Error = Error> + MaybeSend + MaybeSync,
    {
        let transport = &*self.transport;
        let reply = transport.deliver(exchange.replay(), || self.place(&exchange)).await?;
        exchange.receive(reply).map_err(|error| self.cleaned(error))
    }

    /// Performs an exchange as [`perform`](Vault::perform) does, and again after a pause where the policy allows it.
    ///
    /// The crate has no timer and no clock: `waiting` is the caller's.
    ///
    /// ```no_run
    /// # use latchkey_vault_client::{Error, Read, Vault, kv2::ReadSecret, retry::{Retry, Waiting}};
    /// # async fn f(vault: Vault, mut waiting: impl Waiting) -> Result<Read, Error> {
    /// let read = ReadSecret::new("secret", "team/app")?;
    /// vault.perform_with(read, &Retry::default(), &mut waiting).await
    /// # }
    /// ```
    pub async fn perform_with<E, W>(
        &self,
        exchange: E,
        retry: &Retry,
        waiting: &mut W,
    ) -> Result<E::Output, Error>
    where
        E: Exchange<Error = Error> + Clone + MaybeSend + MaybeSync,
        W: Waiting,
    {
        let mut attempts = 0;
        loop {
            let left = retry.deadline().saturating_sub(waiting.elapsed());
            let request = self.place(&exchange);
            let limit = request.time_limit().min(left);
            let outcome = match self.transport.send(request.with_time_limit(limit)).await {
                Ok(reply) => exchange.clone().receive(reply).map_err(|error| self.cleaned(error)),
                Err(error) => Err(Error::from(error)),
            };
            attempts += 1;
            let Err(error) = outcome else { return outcome };
            let (elapsed, random) = (waiting.elapsed(), waiting.random());
            match retry.pause(exchange.replay(), &error, attempts, elapsed, random) {
                Some(pause) => waiting.sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// Leaves the token out of what the server said: an exchange knows only what it sent itself.
    fn cleaned(&self, error: Error) -> Error {
        match &self.token {
            Some(token) => error.cleaned_of(token.secret()),
            None => error,
        }
    }

    /// Returns the exchange's request, ready to be sent.
    fn place(&self, exchange: &impl Exchange) -> Request {
        let request = exchange.request();
        if request.url().is_some() {
            return request;
        }
        let address = self.address_of(request.path(), request.query());
        let request = request.with_target(address);
        match &self.token {
            Some(token) if request.header(TOKEN_HEADER).is_none() => {
                request.with_secret_header(TOKEN_HEADER, token.secret().clone())
            }
            _ => request,
        }
    }

    /// Returns the whole address of a path of the API. It is encoded already.
    fn address_of(&self, path: &str, query: Option<&str>) -> String {
        let namespace = if NODE_PATHS.contains(&path) { "" } else { &*self.namespace };
        let below = path.strip_prefix("/v1").unwrap_or(path);
        let room =
            self.address.len() + namespace.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut address = String::with_capacity(room);
        address.push_str(&self.address);
        address.push_str(path.get(..path.len() - below.len()).unwrap_or_default());
        address.push_str(namespace);
        address.push_str(below);
        if let Some(query) = query {
            address.push('?');
            address.push_str(query);
        }
        address
    }
}

/// Names of headers have no case; in small letters the transport needs no memory for it.
const TOKEN_HEADER: &str = "x-vault-token";

/// Paths that tell about the node and are not served in a namespace.
const NODE_PATHS: [&str; 4] = ["/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/leader", "/v1/sys/init"];

/// Shows address and namespace.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password for a proxy: all but what stands before the host is shown.
        let address = self.address.rsplit('@').next().unwrap_or_default();
        formatter
            .debug_struct("Vault")
            .field("address", &address)
            .field("namespace", &self.namespace)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Method, Replay, Reply, Secret};

    use super::*;
    use crate::script::{Script, lost, script};
    use crate::{PathProblem, Read};

    fn vault(address: &str, script: &Arc<Script>) -> Vault {
        Vault::new(address.parse().unwrap(), script.clone())
    }

    const MISSING: &str = r#"{"errors":[]}"#;

    fn addresses(script: &Script) -> Vec<String> {
        script.sent().iter().map(|request| request.url().unwrap().to_string()).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_call_goes_to_the_address_with_the_token_and_nothing_else() {
        let script = script([Ok(Reply::new(404, MISSING))]);
        let vault = vault("https://vault:8200", &script).with_token(&Token::new("hvs.x").unwrap());
        assert!(matches!(vault.kv2("secret").read_version("team/app", 3).await, Ok(Read::Missing)));
        let sent = script.sent();
        assert_eq!(sent[0].url().unwrap().as_str(), "https://vault:8200/v1/secret/data/team/app?version=3");
        assert_eq!(sent[0].headers().collect::<Vec<_>>(), [("x-vault-token", "hvs.x", true)]);
        assert_eq!((sent[0].method(), sent[0].body().is_none()), (Method::Get, true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_address_may_have_a_path_and_a_slash() {
        for (address, expected) in [
            ("https://vault:8200/", "https://vault:8200/v1/a/data/b"),
            ("https://example.org/vault", "https://example.org/vault/v1/a/data/b"),
            ("https://example.org/vault/?x=1#y", "https://example.org/vault/v1/a/data/b"),
        ] {
            let script = script([Ok(Reply::new(404, MISSING))]);
            vault(address, &script).kv2("a").read("b").await.unwrap();
            assert_eq!(addresses(&script), [expected]);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_namespace_is_part_of_the_path_but_not_where_the_node_is_asked() {
        let script = script([
            Ok(Reply::new(404, MISSING)),
            Ok(Reply::new(404, MISSING)),
            Ok(Reply::new(404, MISSING)),
        ]);
        let vault = vault("https://vault/proxy", &script).with_namespace("/team/ä/").unwrap();
        vault.kv2("secret").read("x").await.unwrap();
        vault.logical().list("sys/mounts").await.unwrap();
        vault.health().await.unwrap_err();
        assert_eq!(
            addresses(&script),
            [
                "https://vault/proxy/v1/team/%C3%A4/secret/data/x",
                "https://vault/proxy/v1/team/%C3%A4/sys/mounts?list=true",
                "https://vault/proxy/v1/sys/health",
            ]
        );
        assert!(script.sent().iter().all(|request| request.headers().count() == 0));
    }

    #[test]
    fn a_namespace_cannot_lead_elsewhere_and_an_empty_one_is_the_root() {
        let vault = vault("https://vault", &script([]));
        let error = vault.with_namespace("team/../admin").unwrap_err();
        let expected = (PathPart::Namespace, PathProblem::DotSegment);
        assert!(matches!(error, Error::InvalidPath { part, problem } if (part, problem) == expected));
        assert_eq!(&*vault.with_namespace("").unwrap().namespace, "");
        assert_eq!(&*vault.with_namespace("a").unwrap().with_namespace("/").unwrap().namespace, "");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_login_and_a_look_at_the_node_carry_no_token() {
        let refused = || Ok(Reply::new(400, ""));
        let script = script([refused(), refused(), refused(), refused()]);
        let vault = vault("https://vault", &script).with_token(&Token::new("hvs.x").unwrap());
        let (secret, mut random) = (Secret::new("x"), Zeros);
        let nonce = crate::auth::ClientNonce::generate(&mut random).unwrap();
        vault.jwt("jwt").login("r", &secret).await.unwrap_err();
        vault.oidc("oidc").auth_url("r", "http://localhost/", &nonce).await.unwrap_err();
        vault.oidc("oidc").callback(&secret, &secret, &nonce).await.unwrap_err();
        vault.health().await.unwrap_err();
        assert!(script.sent().iter().all(|request| request.header("X-Vault-Token").is_none()));
    }

    struct Zeros;

    impl latchkey_transport::Random for Zeros {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), latchkey_transport::RandomUnavailable> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_arrives_with_its_media_type() {
        let script = script([Ok(Reply::new(204, ""))]);
        vault("https://vault", &script).logical().write("a", &[1]).await.unwrap();
        let sent = script.sent();
        assert_eq!(sent[0].headers().collect::<Vec<_>>(), [("content-type", "application/json", false)]);
        assert_eq!(sent[0].body().unwrap().expose_secret(), b"[1]");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_lost_reply_is_asked_for_again_only_where_that_is_harmless() {
        let read = script([lost(), Ok(Reply::new(404, MISSING))]);
        assert!(matches!(vault("https://vault", &read).kv2("a").read("b").await, Ok(Read::Missing)));
        let write = script([lost(), Ok(Reply::new(404, MISSING))]);
        let error = vault("https://vault", &write).logical().write("a", &()).await.unwrap_err();
        assert!(matches!(error, Error::Transport(_)) && error.is_transient());
        assert_eq!((addresses(&read).len(), addresses(&write).len()), (2, 1));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_token_does_not_come_back_in_an_error() {
        for status in [400, 403, 404, 405, 412, 413, 415, 500, 502] {
            let body = r#"{"errors":["token sesame is bad","2 errors occurred:\n\t* sesame\n\t* x"]}"#;
            let script = script([Ok(Reply::new(status, body))]);
            let vault = vault("https://vault", &script).with_token(&Token::new("sesame").unwrap());
            let error = vault.token().lookup_self().await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("sesame") && shown.contains("token … is bad"), "{shown}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_token_that_the_exchange_brings_is_the_only_one() {
        struct WithToken;
        impl Exchange for WithToken {
            type Output = ();
            type Error = Error;
            fn request(&self) -> Request {
                Request::new(Method::Post, "/v1/sys/wrapping/unwrap")
                    .with_secret_header("x-vault-token", Secret::new("hvs.own"))
            }
            fn receive(self, _: Reply) -> Result<(), Error> {
                Ok(())
            }
            fn replay(&self) -> Replay {
                Replay::Never
            }
        }
        let script = script([Ok(Reply::new(200, ""))]);
        let vault = vault("https://vault", &script).with_token(&Token::new("hvs.x").unwrap());
        vault.perform(WithToken).await.unwrap();
        let sent = script.sent();
        assert_eq!(sent[0].headers().collect::<Vec<_>>(), [("x-vault-token", "hvs.own", true)]);
    }

    /// An exchange of somebody else's.
    struct Foreign(&'static str);

    impl Exchange for Foreign {
        type Output = u16;
        type Error = Error;
        fn request(&self) -> Request {
            Request::new(Method::Patch, self.0)
                .with_header("x-vault-wrap-ttl", "60s")
                .with_header("X-Vault-Request", "true")
                .with_body("application/merge-patch+json", "{}")
                .with_time_limit(std::time::Duration::from_secs(5))
                .with_reply_limit(7)
        }
        fn receive(self, reply: Reply) -> Result<u16, Error> {
            Ok(reply.status())
        }
        fn replay(&self) -> Replay {
            Replay::Never
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_exchange_of_ones_own_keeps_what_it_asks_for() {
        let script = script([Ok(Reply::new(200, ""))]);
        let vault = vault("https://vault", &script).with_token(&Token::new("hvs.x").unwrap());
        assert_eq!(vault.perform(Foreign("/v1/a")).await.unwrap(), 200);
        let sent = script.sent();
        assert_eq!(sent[0].header("X-Vault-Wrap-TTL"), Some("60s"));
        assert_eq!(sent[0].header("X-Vault-Request"), Some("true"));
        assert_eq!(sent[0].header("Content-Type"), Some("application/merge-patch+json"));
        assert_eq!((sent[0].time_limit().as_secs(), sent[0].reply_limit()), (5, 7));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_token_goes_to_no_other_server() {
        let script = script([Ok(Reply::new(200, ""))]);
        let vault = vault("https://vault", &script).with_token(&Token::new("hvs.x").unwrap());
        vault.perform(Foreign("https://elsewhere.example/v1/a")).await.unwrap();
        assert_eq!(addresses(&script), ["https://elsewhere.example/v1/a"]);
        assert_eq!(script.sent()[0].header("X-Vault-Token"), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let vault =
            vault("https://user:hush@vault:8200/x", &script([])).with_token(&Token::new("hush").unwrap());
        assert_eq!(
            format!("{vault:?}"),
            r#"Vault { address: "vault:8200/x", namespace: "", token: Some(Token(…)), .. }"#
        );
    }

    #[test]
    fn every_call_can_be_spawned() {
        fn spawnable<T: Send>(_: T) {}
        let vault = vault("https://vault", &script([]));
        let secret = Secret::new("x");
        let nonce = crate::auth::ClientNonce::generate(&mut Zeros).unwrap();
        spawnable(vault.kv2("a").read("b"));
        spawnable(vault.jwt("a").login("b", &secret));
        spawnable(vault.oidc("a").auth_url("b", "c", &nonce));
        spawnable(vault.oidc("a").callback(&secret, &secret, &nonce));
        spawnable(vault.token().renew_self(std::time::Duration::ZERO));
        spawnable(vault.logical().write("a", &()));
        let kv = vault.kv2("a");
        let value = serde_json::json!({});
        spawnable(kv.write("b", &value, crate::kv2::Cas::None));
        spawnable(kv.patch("b", &value, crate::kv2::Cas::None));
        spawnable(kv.rollback("b", 1));
        let token = Token::new("hvs.x").unwrap();
        spawnable(vault.token().login(&token));
        spawnable(vault.wrapping().unwrap(&token, "a"));
        let read = crate::kv2::ReadSecret::new("a", "b").unwrap();
        spawnable(vault.wrapping().perform(read, std::time::Duration::ZERO));
        spawnable(vault.kubernetes("a").login("b", &secret));
        spawnable(vault.sys().policies());
        spawnable(vault.health());
    }
}
