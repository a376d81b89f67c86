//! How a call gets to the server and its reply back: address, token, namespace; further attempts and other nodes.

use std::sync::Arc;
use std::time::Duration;

use latchkey_transport::{
    Error as TransportError, Exchange, MaybeSend, MaybeSync, Replay, Reply, Request, Transport as _,
};
use url::Url;

use crate::consistency::{Forwarding, INDEX_HEADER, Seen};
use crate::retry::{self, Retry, SharedWaiting, Waiting};
use crate::token::{LookupSelf, TokenInfo};
use crate::trace::Attempt;
use crate::{Error, Vault};

/// What a handle does besides sending a call once.
#[derive(Clone, Default)]
pub(crate) struct Delivery {
    /// The addresses of further nodes, without a slash at the end.
    pub(crate) nodes: Vec<Arc<str>>,
    pub(crate) again: Option<(Retry, SharedWaiting)>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) seen: Option<Arc<Seen>>,
    pub(crate) forwarding: Option<Forwarding>,
    pub(crate) namespace_header: bool,
    pub(crate) looks_for_dead_tokens: bool,
}

/// How often a standby may send a call on: once, and once more if the active node has just stepped down.
const MOST_HOPS: u32 = 2;

/// Names of headers have no case; in small letters the transport needs no memory for it.
const TOKEN_HEADER: &str = "x-vault-token";
const NAMESPACE_HEADER: &str = "x-vault-namespace";

/// Paths that tell about the node and are not served in a namespace.
const NODE_PATHS: [&str; 4] = ["/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/leader", "/v1/sys/init"];

/// The half of an exchange that does not depend on what comes back.
trait Call: MaybeSend + MaybeSync {
    fn request(&self) -> Request;
    fn replay(&self) -> Replay;
    /// Returns the error that a reply stands for.
    fn error_in(&self, reply: Reply) -> Option<Error>;
}

impl<E: Exchange<Error = Error> + Clone + MaybeSend + MaybeSync> Call for E {
    fn request(&self) -> Request {
        Exchange::request(self)
    }

    fn replay(&self) -> Replay {
        Exchange::replay(self)
    }

    fn error_in(&self, reply: Reply) -> Option<Error> {
        self.clone().receive(reply).err()
    }
}

impl Vault {
    /// Performs an exchange whose request has a path for its target: adds address, namespace and token. A token that
    /// the exchange brings itself stays.
    ///
    /// A request that names a whole address goes there, without the token.
    ///
    /// Without [`with_retry`](Vault::with_retry) a call is repeated at once and at most once, where no connection was
    /// made or, if the call is [`Replay::Safe`], its reply was lost: the usual reason is a connection that the server
    /// closed while it was idle.
    ///
    /// Every call fails with [`Error::Transport`] where no whole reply arrived, with [`Error::TokenInvalid`] or
    /// [`Error::PermissionDenied`] where the token does not do, with [`Error::NotFound`] where nothing is served at its
    /// path, and with what else a server says to any call ([`Error::InvalidRequest`], [`Error::RateLimited`],
    /// [`Error::Sealed`], [`Error::NotActive`], [`Error::ServerFault`], [`Error::MalformedReply`] and their like). Each
    /// exchange names its own errors beside these.
    pub async fn perform<E>(&self, exchange: E) -> Result<E::Output, Error>
    where
        E: Exchange<Error = Error> + Clone + MaybeSend + MaybeSync,
    {
        let reply = self.deliver(&exchange).await?;
        exchange.receive(reply).map_err(|error| self.cleaned(error))
    }

    async fn look_up(&self) -> Result<TokenInfo, Error> {
        let reply = self.send_once(&LookupSelf).await?;
        LookupSelf.receive(reply).map_err(|error| self.cleaned(error))
    }

    /// Returns the reply that counts, unless it was refused for a dead token. Whatever waits is compiled once and not for
    /// each kind of call, here and in all that follows: in a browser every byte counts.
    async fn deliver(&self, call: &dyn Call) -> Result<Reply, Error> {
        let reply = match &self.delivery.again {
            None => self.send_once(call).await?,
            Some((retry, waiting)) => self.send_patiently(call, retry, &**waiting).await?,
        };
        match &self.token {
            Some(token) if self.delivery.looks_for_dead_tokens && reply.status() >= 400 => {
                match call.error_in(reply.clone()) {
                    Some(Error::PermissionDenied(refusal)) if token.is_dead(|| self.look_up()).await => {
                        Err(self.cleaned(Error::TokenInvalid(refusal)))
                    }
                    _ => Ok(reply),
                }
            }
            _ => Ok(reply),
        }
    }

    /// Sends a call, and once more where that is harmless.
    async fn send_once(&self, call: &dyn Call) -> Result<Reply, TransportError> {
        match self.send(call, 1, Duration::MAX).await {
            Err(error) if call.replay().allows(&error) => self.send(call, 2, Duration::MAX).await,
            outcome => outcome,
        }
    }

    async fn send_patiently(
        &self,
        call: &dyn Call,
        retry: &Retry,
        waiting: &dyn Waiting,
    ) -> Result<Reply, Error> {
        let begun = waiting.elapsed();
        let elapsed = || waiting.elapsed().saturating_sub(begun);
        let mut attempts = 1;
        loop {
            let left = retry.deadline().saturating_sub(elapsed());
            let outcome = self.send(call, attempts, left).await.map_err(Error::from);
            let pause =
                |error: &Error| retry.pause(call.replay(), error, attempts, elapsed(), waiting.random());
            let pause = match &outcome {
                Ok(reply) if !retry::may_pass(reply.status()) => None,
                Ok(reply) => call.error_in(reply.clone()).and_then(|error| pause(&error)),
                Err(error) => pause(error),
            };
            let Some(pause) = pause else { return outcome };
            waiting.sleep(pause).await;
            // The pause may have been longer than it should: a machine that slept, a page in the background.
            if elapsed() >= retry.deadline() {
                return outcome;
            }
            attempts += 1;
        }
    }

    /// Sends a request, and sends it on where a standby names a node that is known; `left` is for each of them.
    async fn send(&self, call: &dyn Call, number: u32, left: Duration) -> Result<Reply, TransportError> {
        let (mut node, mut hops) = (&*self.address, 0);
        loop {
            let request = call.request();
            let attempt = Attempt::new(&request, number);
            let request = self.place(request, node);
            let limit = match self.delivery.time_limit {
                Some(limit) if request.time_limit() == Request::DEFAULT_TIME_LIMIT => limit,
                _ => request.time_limit(),
            };
            let request = request.with_time_limit(limit.min(left));
            let reply = attempt.follow(self.transport.send(request)).await?;
            if let (Some(seen), Some(state)) = (&self.delivery.seen, reply.header(INDEX_HEADER)) {
                seen.note(state);
            }
            match self.active_node(&reply, call) {
                Some(next) if hops < MOST_HOPS => (node, hops) = (next, hops + 1),
                _ => return Ok(reply),
            }
        }
    }

    /// Returns the request with all that the handle adds, for that node.
    fn place(&self, mut request: Request, node: &str) -> Request {
        if request.url().is_some() {
            return request;
        }
        let in_root = NODE_PATHS.contains(&request.path());
        let address = self.address_of(node, request.path(), request.query());
        request = request.with_target(address);
        if self.delivery.namespace_header && !in_root && !self.namespace.is_empty() {
            request =
                request.with_header(NAMESPACE_HEADER, self.namespace.trim_start_matches('/').to_owned());
        }
        for state in self.delivery.seen.iter().flat_map(|seen| seen.states()) {
            request = request.with_header(INDEX_HEADER, state);
        }
        if let Some((name, value)) = self.delivery.forwarding.map(Forwarding::header) {
            request = request.with_header(name, value);
        }
        match &self.token {
            Some(token) if request.header(TOKEN_HEADER).is_none() => {
                request.with_secret_header(TOKEN_HEADER, token.secret().clone())
            }
            _ => request,
        }
    }

    /// Returns the whole address of a path of the API. It is encoded already.
    fn address_of(&self, node: &str, path: &str, query: Option<&str>) -> String {
        let is_in_path = !self.delivery.namespace_header && !NODE_PATHS.contains(&path);
        let namespace = if is_in_path { &*self.namespace } else { "" };
        let below = path.strip_prefix("/v1").unwrap_or(path);
        let room = node.len() + namespace.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut address = String::with_capacity(room);
        address.push_str(node);
        address.push_str(path.get(..path.len() - below.len()).unwrap_or_default());
        address.push_str(namespace);
        address.push_str(below);
        if let Some(query) = query {
            address.push('?');
            address.push_str(query);
        }
        address
    }

    /// Returns the node that a standby sends to: one of those that the handle was given, asked for exactly the same call,
    /// and not over plain http where the call came over https. Any other address is nobody's to have the token.
    fn active_node(&self, reply: &Reply, call: &dyn Call) -> Option<&str> {
        if reply.status() != 307 || call.replay() == Replay::Never {
            return None;
        }
        let request = call.request();
        if request.url().is_some() {
            return None;
        }
        let bare = |address: &str| {
            let mut url = Url::parse(address).ok()?;
            url.set_username("").ok()?;
            url.set_password(None).ok()?;
            Some(url)
        };
        let location = bare(reply.header("location")?)?;
        if location.scheme() != "https" && self.address.starts_with("https:") {
            return None;
        }
        let mut known = std::iter::once(&self.address).chain(&self.delivery.nodes);
        let node = known.find(|node| {
            bare(&self.address_of(node, request.path(), request.query())).as_ref() == Some(&location)
        });
        node.map(|node| &**node)
    }

    /// Leaves the token out of what the server said: an exchange knows only what it sent itself.
    fn cleaned(&self, error: Error) -> Error {
        match &self.token {
            Some(token) => error.cleaned_of(token.secret()),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use latchkey_transport::{Method, Transport};

    use super::*;
    use crate::kv2::Cas;
    use crate::logical::ReadPath;
    use crate::script::{Script, script};
    use crate::{Read, Token};

    const MISSING: &str = r#"{"errors":[]}"#;

    fn missing() -> Reply {
        Reply::new(404, MISSING)
    }

    fn sent_on(location: &str) -> Reply {
        Reply::new(307, "").with_header("Location", location)
    }

    fn vault(script: &Arc<Script>) -> Vault {
        Vault::new("https://a.example:8200".parse().unwrap(), script.clone())
            .with_token(&Token::new("hvs.x").unwrap())
    }

    fn cluster(script: &Arc<Script>) -> Vault {
        vault(script).with_nodes(
            ["https://b.example:8200/", "http://c.example:8200"].map(|node| node.parse().unwrap()),
        )
    }

    fn addresses(script: &Script) -> Vec<String> {
        script.sent().iter().map(|request| request.url().unwrap().to_string()).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_standby_is_followed_to_a_node_that_was_named() {
        let script =
            script([Ok(sent_on("https://b.example:8200/v1/secret/data/x?version=3")), Ok(missing())]);
        assert!(matches!(cluster(&script).kv2("secret").read_version("x", 3).await, Ok(Read::Missing)));
        let sent = script.sent();
        assert_eq!(addresses(&script)[1], "https://b.example:8200/v1/secret/data/x?version=3");
        assert_eq!(sent[1].header("x-vault-token"), Some("hvs.x"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_write_that_a_standby_sends_on_is_whole() {
        let written = r#"{"data":{"version":1,"created_time":"","deletion_time":"","destroyed":false}}"#;
        let script =
            script([Ok(sent_on("https://b.example:8200/v1/secret/data/x")), Ok(Reply::new(200, written))]);
        cluster(&script).kv2("secret").write("x", &[1], Cas::Create).await.unwrap();
        let sent = script.sent();
        assert_eq!(
            (sent[1].method(), sent[1].header("content-type")),
            (Method::Post, Some("application/json"))
        );
        assert_eq!(sent[0].body().unwrap().expose_secret(), sent[1].body().unwrap().expose_secret());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_standby_is_followed_nowhere_else() {
        for (location, leader) in [
            ("https://evil.example:8200/v1/secret/data/x", Some("evil.example:8200")),
            ("https://b.example/v1/secret/data/x", Some("b.example")),
            ("https://b.example:8200/v1/secret/data/y", Some("b.example:8200")),
            ("https://b.example:8200/v1/secret/data/x?version=1", Some("b.example:8200")),
            ("https://b.example:8200/v1/team/secret/data/x", Some("b.example:8200")),
            ("http://c.example:8200/v1/secret/data/x", Some("c.example:8200")),
            ("//b.example:8200/v1/secret/data/x", None),
            ("/v1/secret/data/x", None),
            ("", None),
        ] {
            let script = script([Ok(sent_on(location))]);
            let error = cluster(&script).kv2("secret").read("x").await.unwrap_err();
            let Error::NotActive { leader: told } = &error else { panic!("{error:?}") };
            assert_eq!(told.as_deref(), leader, "{location}");
            assert_eq!(script.sent().len(), 1, "{location}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nodes_that_send_to_each_other_are_left_after_two_hops() {
        let to = |node: &str| Ok(sent_on(&format!("https://{node}.example:8200/v1/secret/data/x")));
        let script = script([to("b"), to("a"), to("b"), Ok(missing())]);
        let error = cluster(&script).kv2("secret").read("x").await.unwrap_err();
        assert!(matches!(error, Error::NotActive { .. }), "{error:?}");
        assert_eq!(script.sent().len(), 3);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_call_that_is_never_repeated_is_sent_on_nowhere() {
        #[derive(Clone)]
        struct Once;
        impl Exchange for Once {
            type Output = u16;
            type Error = Error;
            fn request(&self) -> Request {
                Request::new(Method::Post, "/v1/secret/data/x")
            }
            fn receive(self, reply: Reply) -> Result<u16, Error> {
                Ok(reply.status())
            }
            fn replay(&self) -> Replay {
                Replay::Never
            }
        }
        let script = script([Ok(sent_on("https://b.example:8200/v1/secret/data/x"))]);
        assert_eq!(cluster(&script).perform(Once).await.unwrap(), 307);
        assert_eq!(script.sent().len(), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_balancer_that_sends_back_to_itself_is_asked_again() {
        let script = script([Ok(sent_on("https://a.example:8200/v1/secret/data/x")), Ok(missing())]);
        assert!(matches!(vault(&script).kv2("secret").read("x").await, Ok(Read::Missing)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_login_is_sent_on_no_further_than_a_read() {
        let script = script([Ok(sent_on("https://evil.example:8200/v1/auth/jwt/login"))]);
        let error = cluster(&script).jwt("jwt").login("r", &"hush".into()).await.unwrap_err();
        assert!(matches!(error, Error::NotActive { .. }), "{error:?}");
        assert_eq!(script.sent().len(), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_seen_is_demanded_of_every_later_node() {
        let seen = |state: &str| Ok(Reply::new(404, MISSING).with_header("X-Vault-Index", state));
        let script = script([seen("one"), seen("two"), Ok(missing()), Ok(missing())]);
        let vault = vault(&script).with_read_your_writes();
        for _ in 0..3 {
            vault.clone().kv2("secret").read("x").await.unwrap();
        }
        vault.with_read_your_writes().kv2("secret").read("x").await.unwrap();
        let sent: Vec<_> =
            script.sent().iter().map(|request| request.header("x-vault-index").map(str::to_owned)).collect();
        assert_eq!(sent, [None, Some("one".into()), Some("two".into()), None]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_node_is_told_to_hand_on_what_another_could_answer_better() {
        for (forwarding, header) in [
            (Forwarding::Always, ("x-vault-forward", "active-node")),
            (Forwarding::WhenBehind, ("x-vault-inconsistent", "forward-active-node")),
        ] {
            let script = script([Ok(missing())]);
            vault(&script).with_forwarding(forwarding).kv2("secret").read("x").await.unwrap();
            assert_eq!(script.sent()[0].header(header.0), Some(header.1));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_namespace_is_a_header_only_where_that_is_asked_for() {
        let script = script([Ok(missing()), Ok(Reply::new(200, "{}"))]);
        let vault = vault(&script).with_namespace("team/ä").unwrap().with_namespace_header();
        vault.kv2("secret").read("x").await.unwrap();
        vault.health().await.unwrap_err();
        let sent = script.sent();
        assert_eq!(addresses(&script)[0], "https://a.example:8200/v1/secret/data/x");
        assert_eq!(sent[0].header("x-vault-namespace"), Some("team/%C3%A4"));
        assert_eq!(sent[1].header("x-vault-namespace"), None, "a node has none");
        for path in ["sys/health", "sys/seal-status", "sys/leader", "sys/init"] {
            let script = self::script([Ok(missing()), Ok(missing())]);
            let vault = self::vault(&script).with_namespace("team").unwrap();
            let _ = vault.perform(ReadPath::new(path).unwrap()).await;
            let _ = vault.with_namespace_header().perform(ReadPath::new(path).unwrap()).await;
            let sent = script.sent();
            assert_eq!(addresses(&script), vec![format!("https://a.example:8200/v1/{path}"); 2]);
            assert_eq!(sent[1].header("x-vault-namespace"), None, "{path}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_time_limit_of_the_handle_is_that_of_each_call() {
        let script = script([Ok(missing()), Ok(missing())]);
        let vault = vault(&script);
        vault.with_time_limit(Duration::from_secs(3)).kv2("secret").read("x").await.unwrap();
        vault.kv2("secret").read("x").await.unwrap();
        let limits: Vec<_> = script.sent().iter().map(|request| request.time_limit().as_secs()).collect();
        assert_eq!(limits, [3, 30]);
    }

    /// Denies everything, and says of the token what it was told to.
    struct Denying {
        lookup: u16,
        sent: Mutex<Vec<String>>,
    }

    #[async_trait::async_trait]
    impl Transport for Denying {
        async fn send(&self, request: Request) -> Result<Reply, TransportError> {
            let path = request.path().to_owned();
            self.sent.lock().unwrap().push(path.clone());
            // Others get on meanwhile.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            let denied = r#"{"errors":["permission denied"]}"#;
            Ok(match path.ends_with("lookup-self") {
                true if self.lookup == 200 => Reply::new(
                    200,
                    r#"{"data":{"accessor":"a","creation_time":1,"ttl":60,"policies":[],"path":"x","orphan":true,"type":"service","display_name":"","num_uses":0,"id":"x","creation_ttl":1,"explicit_max_ttl":0,"meta":null}}"#,
                ),
                true => Reply::new(self.lookup, denied),
                false => Reply::new(403, denied),
            })
        }
    }

    async fn denied(lookup: u16, checks: bool) -> (Vec<&'static str>, usize) {
        let transport = Arc::new(Denying { lookup, sent: Mutex::default() });
        let vault = Vault::new("https://a.example".parse().unwrap(), transport.clone())
            .with_token(&Token::new("s.x").unwrap());
        let vault = if checks { vault.with_dead_token_check() } else { vault };
        let (one, two) = (vault.kv2("a"), vault.clone());
        let two = two.kv2("b");
        let (first, second, third) = tokio::join!(one.read("x"), two.read("y"), one.read("z"));
        let codes = [first, second, third].map(|outcome| outcome.unwrap_err().code());
        let lookups = transport.sent.lock().unwrap().iter().filter(|path| path.ends_with("self")).count();
        (codes.to_vec(), lookups)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_dead_token_is_told_from_a_denied_call_by_one_look() {
        assert_eq!(denied(403, true).await, (vec!["vault_token_invalid"; 3], 1));
        assert_eq!(denied(200, true).await, (vec!["vault_permission_denied"; 3], 1));
        assert_eq!(denied(503, true).await, (vec!["vault_permission_denied"; 3], 1), "not found out");
        assert_eq!(denied(403, false).await, (vec!["vault_permission_denied"; 3], 0));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn where_the_server_says_that_a_token_is_dead_nobody_looks() {
        let dead = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
        let script = script([Ok(Reply::new(403, dead))]);
        let error = vault(&script).with_dead_token_check().kv2("a").read("x").await.unwrap_err();
        assert!(matches!(error, Error::TokenInvalid(_)));
        assert_eq!(script.sent().len(), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_later_denial_is_looked_into_anew() {
        let denied = || Ok(Reply::new(403, r#"{"errors":["permission denied"]}"#));
        let script = script([denied(), denied(), denied(), denied()]);
        let vault = vault(&script).with_dead_token_check();
        for _ in 0..2 {
            vault.kv2("a").read("x").await.unwrap_err();
        }
        assert_eq!(script.sent().len(), 4);
    }
}
