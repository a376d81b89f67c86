//! The handle that people use.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_transport::{Flight, Secret, SharedTransport};
use url::Url;

use crate::auth::{AppRoleAuth, JwtAuth, KubernetesAuth, OidcAuth, UserpassAuth};
use crate::consistency::{Forwarding, Seen};
use crate::delivery::Delivery;
use crate::identity::Identity;
use crate::kv2::Kv2;
use crate::logical::Logical;
use crate::path;
use crate::retry::{Retry, SharedWaiting};
use crate::sys::{Health, ReadHealth, Sys};
use crate::token::{TokenAuth, TokenInfo};
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
/// `X-Vault-Token`, `X-Vault-Wrap-TTL` and `Content-Type`, which servers let a browser send without being told to; no
/// `X-Vault-Request`, which they do not. So the same handle works in a web page once `sys/config/cors` names the page's
/// origin ([`WriteCors`](crate::sys::WriteCors)). Lists are read by `GET …?list=true`, a patch that CORS refuses becomes
/// a read and a checked write, and no reply's header is relied on. Only what is asked for by
/// [`with_namespace_header`](Vault::with_namespace_header), [`with_read_your_writes`](Vault::with_read_your_writes) and
/// [`with_forwarding`](Vault::with_forwarding) sends more. An [`Exchange`](latchkey_transport::Exchange) of yours sends
/// what it asks for.
#[derive(Clone)]
pub struct Vault {
    /// The address without a slash at its end.
    pub(crate) address: Arc<str>,
    /// `/team/a`, encoded; empty for the root namespace.
    pub(crate) namespace: Arc<str>,
    pub(crate) token: Option<Held>,
    pub(crate) transport: SharedTransport,
    pub(crate) delivery: Arc<Delivery>,
}

impl Vault {
    /// Returns a handle on the server at `address`, which may have a path if the server sits behind a proxy that
    /// expects one (`https://example.org/vault`).
    pub fn new(address: Url, transport: SharedTransport) -> Self {
        let address = base(address);
        Self { address, namespace: "".into(), token: None, transport, delivery: Arc::default() }
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
        Self { token: Some(Held::new(token)), ..self.clone() }
    }

    /// Calls without a token, as logins do.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Sends namespaces as the header `X-Vault-Namespace` and no longer as the beginning of the path: for a proxy that
    /// routes by it. Not for a web page, and not for the free edition of Vault: see [Namespaces](Vault#namespaces).
    pub fn with_namespace_header(&self) -> Self {
        self.with_delivery(|delivery| delivery.namespace_header = true)
    }

    /// Tries a call again after a pause, where the policy and the call's [`Replay`](latchkey_transport::Replay) allow
    /// it. The policy's deadline holds for all attempts and pauses together.
    ///
    /// The crate has no timer and no clock; `waiting` has them. `TokioWaiting` is one, behind the feature `tokio`.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use latchkey_vault_client::{Error, Read, Vault, retry::{Retry, Waiting}};
    /// # async fn f(vault: Vault, waiting: impl Waiting + 'static) -> Result<Read, Error> {
    /// let vault = vault.with_retry(Retry::default(), Arc::new(waiting));
    /// vault.kv2("secret").read("team/app").await // outlasts a restart of the server
    /// # }
    /// ```
    pub fn with_retry(&self, retry: Retry, waiting: SharedWaiting) -> Self {
        self.with_delivery(|delivery| delivery.again = Some((retry, waiting)))
    }

    /// Sets how long each call may take, where it does not say so itself;
    /// [30 s](latchkey_transport::Request::DEFAULT_TIME_LIMIT) otherwise.
    pub fn with_time_limit(&self, limit: Duration) -> Self {
        self.with_delivery(|delivery| delivery.time_limit = Some(limit))
    }

    /// Names the other nodes of the cluster. A standby that sends a call on with 307 is followed to one of them, and to
    /// no other address: the call carries a token. So is one that sends back to the address of this handle, where a
    /// load balancer may choose better the second time. It is never followed from https to plain http.
    ///
    /// Without them such a call ends in [`Error::NotActive`], which names the active node.
    pub fn with_nodes(&self, nodes: impl IntoIterator<Item = Url>) -> Self {
        self.with_delivery(|delivery| delivery.nodes = nodes.into_iter().map(base).collect())
    }

    /// Reads what it wrote, also where another node of a cluster answers: each reply says how far its node has come
    /// (`X-Vault-Index`), and each later call of this handle and its clones demands at least that much. A node that has
    /// not come so far answers [`Error::PreconditionFailed`], which is worth another attempt
    /// ([`with_retry`](Vault::with_retry)), or hands the call on ([`with_forwarding`](Vault::with_forwarding)).
    ///
    /// Not for a web page, which may neither send that header nor see it.
    pub fn with_read_your_writes(&self) -> Self {
        self.with_delivery(|delivery| delivery.seen = Some(Arc::new(Seen::default())))
    }

    /// Says what a node does with a call that another node could answer better.
    pub fn with_forwarding(&self, forwarding: Forwarding) -> Self {
        self.with_delivery(|delivery| delivery.forwarding = Some(forwarding))
    }

    /// Tells a token that is dead apart from one that may not: where the server says "permission denied" and no more,
    /// the token is looked up, once for all calls that wait for it, and [`Error::TokenInvalid`] takes the place of
    /// [`Error::PermissionDenied`] if the server does not know it.
    ///
    /// Not the default: it doubles what a caller costs that keeps asking for what it may not have, and a token with a
    /// limited number of uses spends one.
    pub fn with_dead_token_check(&self) -> Self {
        self.with_delivery(|delivery| delivery.looks_for_dead_tokens = true)
    }

    fn with_delivery(&self, change: impl FnOnce(&mut Delivery)) -> Self {
        let mut delivery = Delivery::clone(&self.delivery);
        change(&mut delivery);
        Self { delivery: Arc::new(delivery), ..self.clone() }
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

    /// Asks how the node is. Sealed or standby is an answer, not an error. See [`ReadHealth`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.without_token().perform(ReadHealth).await
    }
}

/// The token of a handle, and what was found out about it.
#[derive(Clone)]
pub(crate) struct Held {
    token: Token,
    looks: Arc<Looks>,
}

/// The looks at a token, one at a time.
#[derive(Default)]
struct Looks {
    flight: Flight,
    last: Mutex<Look>,
}

#[derive(Clone, Copy, Default)]
struct Look {
    found_dead: bool,
    /// How many looks there were.
    number: u64,
}

impl Held {
    fn new(token: &Token) -> Self {
        Self { token: token.clone(), looks: Arc::default() }
    }

    pub(crate) fn secret(&self) -> &Secret {
        self.token.secret()
    }

    /// Returns whether the server knows the token no more. Whoever asks while somebody else is looking gets that look's
    /// answer. What is not found out is taken for alive.
    pub(crate) async fn is_dead<F>(&self, look: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Result<TokenInfo, Error>>,
    {
        let before = self.looks.last();
        let _turn = self.looks.flight.turn().await;
        let last = self.looks.last();
        if last.number > before.number {
            return last.found_dead;
        }
        let outcome = look().await;
        let found_dead = matches!(outcome, Err(Error::PermissionDenied(_) | Error::TokenInvalid(_)));
        self.looks.note(Look { found_dead, number: last.number + 1 });
        found_dead
    }
}

impl Looks {
    fn last(&self) -> Look {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, look: Look) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }
}

/// Returns an address without query, fragment, and the slash at its end.
fn base(address: Url) -> Arc<str> {
    let address = String::from(address);
    address.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').into()
}

/// Shows address and namespace.
impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password for a proxy: all but what stands before the host is shown.
        let address = self.address.rsplit('@').next().unwrap_or_default();
        formatter
            .debug_struct("Vault")
            .field("address", &address)
            .field("namespace", &self.namespace)
            .field("token", &self.token.as_ref().map(|held| &held.token))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange, Method, Replay, Reply, Request};

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
        #[derive(Clone)]
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
    #[derive(Clone)]
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
