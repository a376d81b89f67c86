//! What goes wrong between a caller and a Vault, and what a handle makes of it: a test for each row of what is retried,
//! what is told, and what must not get through.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use latchkey_testbed::{Fault, Response, Target, World};
use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::{
    Error as TransportError, Exchange, Method, Replay, Reply, Request, ReqwestTransport,
};
use latchkey_vault_client::kv2::Cas;
use latchkey_vault_client::retry::{Retry, Waiting};
use latchkey_vault_client::token::TokenRequest;
use latchkey_vault_client::{Error, LoginProblem, PathProblem, Read, Token, Vault};
use serde_json::json;

use crate::support::{root, tokens, vault};

behaviours! {
    #[not_on(Place::Real, "the real server does not fail on request")]
    a_failure_that_passes_is_waited_out,
    #[not_on(Place::Real, "the real server does not fail on request")]
    a_failure_that_stays_is_told_at_once,
    #[not_on(Place::Real, "the real server limits no rates on request")]
    too_many_calls_rest_for_as_long_as_the_server_says,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    #[not_on(Place::Loopback, "a server that listens cannot refuse a connection")]
    what_never_arrived_is_sent_again_whatever_it_is,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    what_may_have_run_is_sent_again_only_where_that_is_harmless,
    #[not_on(Place::Real, "the real server's replies are not lost on request")]
    a_checked_write_whose_reply_was_lost_is_settled,
    #[not_on(Place::Real, "the real server sends no broken body on request")]
    a_body_that_is_cut_short_is_no_answer,
    #[not_on(Place::Real, "the real server sends no endless body on request")]
    an_endless_body_is_left_at_the_limit,
    #[not_on(Place::Real, "the real server sends no page on request")]
    a_page_is_no_answer_whatever_it_calls_itself,
    #[not_on(Place::Real, "the real server is no standby on request")]
    a_balancer_that_finds_the_active_node_is_followed,
    #[not_on(Place::Real, "the real server is no standby on request")]
    standbys_that_send_in_circles_are_left,
    #[not_on(Place::Real, "the server of the other tests is not sealed")]
    a_server_that_is_sealed_in_the_middle_is_waited_for,
    #[not_on(Place::Real, "the real server is no standby on request")]
    a_cluster_without_an_active_node_is_waited_for,
    #[not_on(Place::Real, "the real server is not behind on request")]
    a_node_that_is_behind_is_waited_for,
    #[not_on(Place::Real, "the real server does not fail on request")]
    all_attempts_end_at_one_deadline,
    #[not_on(Place::Real, "time does not pass there on request")]
    #[not_on(Place::Loopback, "time does not pass there on request")]
    a_clock_that_is_off_is_told_as_such,
    #[not_on(Place::Real, "one place with sockets is enough")]
    #[not_on(Place::MemoryOpenBao, "there are no names in memory")]
    #[not_on(Place::MemoryVault, "there are no names in memory")]
    a_host_that_nobody_knows_is_unreachable,
    a_token_with_a_newline_at_its_end_is_the_token,
    dots_escapes_and_unicode_stay_in_their_place,
    a_dead_token_is_told_from_a_call_that_is_denied,
    each_refusal_has_its_kind,
    nothing_is_sent_that_a_web_page_may_not_send,
}

/// Waits by advancing what can be advanced, and does something meanwhile.
struct Meanwhile {
    slept: Mutex<Vec<Duration>>,
    action: Box<dyn Fn() + Send + Sync>,
}

impl Meanwhile {
    fn nothing() -> Arc<Self> {
        Self::does(|| {})
    }

    fn does(action: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { slept: Mutex::default(), action: Box::new(action) })
    }

    fn slept(&self) -> Vec<u128> {
        self.slept.lock().unwrap().iter().map(Duration::as_millis).collect()
    }
}

#[async_trait::async_trait]
impl Waiting for Meanwhile {
    fn elapsed(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }

    async fn sleep(&self, pause: Duration) {
        self.slept.lock().unwrap().push(pause);
        (self.action)();
    }

    fn random(&self) -> f64 {
        1.0
    }
}

/// A secret that is there, a handle that tries again, and what it waits with.
async fn patient(backend: &Backend, waiting: &Arc<Meanwhile>) -> Vault {
    backend.put_secret("secret", "app", json!({"v": "1"})).await.unwrap();
    root(backend).with_retry(Retry::default(), waiting.clone())
}

fn fails(backend: &Backend, times: u32, fault: Fault) {
    backend.world().faults().inject(Target::vault("/v1/secret/*"), times, fault);
}

fn answers(backend: &Backend, times: u32, response: Response) {
    fails(backend, times, Fault::Answer(response));
}

fn said(status: u16, text: &str) -> Response {
    Response::new(status).with_json(&json!({"errors": [text]}))
}

async fn is_found(vault: &Vault) -> bool {
    matches!(vault.kv2("secret").read("app").await, Ok(Read::Found(_)))
}

async fn a_failure_that_passes_is_waited_out(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    for status in [502, 503, 504] {
        answers(&backend, 1, Response::new(status).with_body("<html>upstream connect error</html>"));
    }
    assert!(is_found(&vault).await);
    assert_eq!(waiting.slept(), [500, 1000, 2000]);
}

async fn a_failure_that_stays_is_told_at_once(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    for (status, code) in
        [(500, "vault_server_fault"), (501, "vault_uninitialised"), (413, "vault_payload_too_large")]
    {
        answers(&backend, 1, said(status, "1 error occurred:\n\t* internal error\n\n"));
        assert_eq!(vault.kv2("secret").read("app").await.unwrap_err().code(), code);
    }
    assert_eq!(waiting.slept(), []);
}

async fn too_many_calls_rest_for_as_long_as_the_server_says(backend: Backend) {
    let quota = || said(429, "request path \"secret/data/app\": rate limit quota exceeded");
    for (response, pause) in [
        (quota(), 500),
        (quota().with_header("Retry-After", "7"), 7500),
        // A date is compared with the reply's own, so that the clock of this machine, decades later, does not count.
        (
            quota()
                .with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
                .with_header("Retry-After", "Sun, 06 Nov 1994 08:49:46 GMT"),
            9500,
        ),
        (quota().with_header("Retry-After", "soon"), 500),
    ] {
        let waiting = Meanwhile::nothing();
        let vault = patient(&backend, &waiting).await;
        answers(&backend, 1, response);
        assert!(is_found(&vault).await);
        assert_eq!(waiting.slept(), [pause]);
    }
    // Longer than the call may take: told at once, with what the server asks for.
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    answers(&backend, 1, quota().with_header("Retry-After", "3600"));
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(
        matches!(error, Error::RateLimited { retry_after: Some(rest) } if rest.as_secs() == 3600),
        "{error:?}"
    );
    assert_eq!(waiting.slept(), []);
}

async fn what_never_arrived_is_sent_again_whatever_it_is(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    fails(&backend, 2, Fault::Refuse);
    let version = vault.kv2("secret").write("app", &json!({"v": "2"}), Cas::None).await.unwrap().version;
    assert_eq!((version, waiting.slept()), (2, vec![500, 1000]));
    backend.world().faults().inject(Target::vault("/v1/auth/*"), 1, Fault::Refuse);
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(Duration::from_secs(60));
    vault.token().create(&request).await.unwrap();
}

async fn what_may_have_run_is_sent_again_only_where_that_is_harmless(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    let kv = vault.kv2("secret");
    let version = async || match kv.read("app").await.unwrap() {
        Read::Found(secret) => secret.metadata().version,
        other => panic!("{other:?}"),
    };
    let is_lost =
        |error: Error| assert!(matches!(error, Error::Transport(TransportError::Lost { .. })), "{error:?}");

    // Harmless: reading, listing, deleting by number, notes.
    for _ in 0..2 {
        fails(&backend, 1, Fault::Drop);
    }
    assert_eq!(version().await, 1);
    fails(&backend, 1, Fault::Drop);
    assert_eq!(kv.list("").await.unwrap(), ["app"]);
    fails(&backend, 1, Fault::Drop);
    kv.delete_versions("app", &[1]).await.unwrap();
    fails(&backend, 1, Fault::Drop);
    kv.undelete_versions("app", &[1]).await.unwrap();
    assert_eq!(version().await, 1);

    // A second version, a second token, another version deleted: once, and told.
    fails(&backend, 1, Fault::Drop);
    is_lost(kv.write("app", &json!({"v": "2"}), Cas::None).await.unwrap_err());
    assert_eq!(version().await, 2);
    fails(&backend, 1, Fault::Drop);
    is_lost(kv.delete("app").await.unwrap_err());
    let tokens = vault.token().accessors().await.unwrap().len();
    backend.world().faults().inject(Target::vault("/v1/auth/token/create"), 1, Fault::Drop);
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(Duration::from_secs(60));
    is_lost(vault.token().create(&request).await.unwrap_err());
    assert_eq!(vault.token().accessors().await.unwrap().len(), tokens + 1);
}

async fn a_checked_write_whose_reply_was_lost_is_settled(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    let kv = vault.kv2("secret");
    fails(&backend, 1, Fault::Drop);
    assert_eq!(kv.write("app", &json!({"v": "2"}), Cas::Version(1)).await.unwrap().version, 2);
    fails(&backend, 1, Fault::Drop);
    assert_eq!(kv.write("new", &json!({"v": "1"}), Cas::Create).await.unwrap().version, 1);
    // The real mismatch is still one.
    assert!(matches!(kv.write("app", &json!({"v": "3"}), Cas::Version(1)).await, Err(Error::CasMismatch(_))));
}

async fn a_body_that_is_cut_short_is_no_answer(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await;
    // By the server itself, which then says how long it is: JSON that breaks off.
    answers(&backend, 1, Response::new(200).with_body(r#"{"request_id":"6c0a","data":{"data":{"v":"#));
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::MalformedReply { status: 200, .. }), "{error:?}");
    if backend.place != Place::Loopback {
        return;
    }
    // On its way: fewer bytes than were announced.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"data\":{\"data\":{");
        }
    });
    let vault = Vault::new(address.parse().unwrap(), backend.transport.clone());
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Lost { .. })), "{error:?}");
}

async fn an_endless_body_is_left_at_the_limit(backend: Backend) {
    let vault = patient(&backend, &Meanwhile::nothing()).await;
    answers(&backend, 1, Response::new(200).with_body(vec![b' '; Request::DEFAULT_REPLY_LIMIT + 1]));
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::ReplyTooLarge { .. })), "{error:?}");
    if backend.place != Place::Loopback {
        return;
    }
    // Without an end and without an announcement.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"8\r\n        \r\n".repeat(1000).as_slice()).is_ok() {}
    });
    let vault = Vault::new(address.parse().unwrap(), backend.transport.clone());
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::ReplyTooLarge { .. })), "{error:?}");
}

async fn a_page_is_no_answer_whatever_it_calls_itself(backend: Backend) {
    let vault = patient(&backend, &Meanwhile::nothing()).await;
    let page = "<!doctype html><title>Sign in to the network</title> hush";
    for (status, kind) in
        [(200, "text/html"), (200, "application/json"), (404, "text/html"), (403, "text/html")]
    {
        answers(&backend, 1, Response::new(status).with_body(page).with_header("Content-Type", kind));
        let error = vault.kv2("secret").read("app").await.unwrap_err();
        let expected = match status {
            200 => "vault_malformed_reply",
            404 => "vault_not_found",
            _ => "vault_permission_denied",
        };
        assert_eq!(error.code(), expected, "{kind}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
    // And an answer is one, whatever it calls itself.
    let secret = json!({"data": {"data": {"v": "1"}, "metadata": {"version": 1, "created_time": ""}}});
    answers(&backend, 1, Response::new(200).with_json(&secret).with_header("Content-Type", "text/plain"));
    assert!(is_found(&vault).await);
}

async fn a_balancer_that_finds_the_active_node_is_followed(backend: Backend) {
    let vault = patient(&backend, &Meanwhile::nothing()).await;
    let location = format!("{}v1/secret/data/app", backend.vault_address);
    answers(&backend, 1, Response::new(307).with_header("Location", &location));
    assert!(is_found(&vault).await);
}

async fn standbys_that_send_in_circles_are_left(backend: Backend) {
    backend.put_secret("secret", "app", json!({"v": "1"})).await.unwrap();
    let location = format!("{}v1/secret/data/app", backend.vault_address);
    answers(&backend, 100, Response::new(307).with_header("Location", &location));
    let before = backend.world().requests().len();
    let error = root(&backend).kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::NotActive { .. }), "{error:?}");
    assert!(backend.world().requests().len() - before <= 3);
}

async fn a_server_that_is_sealed_in_the_middle_is_waited_for(backend: Backend) {
    let world: World = backend.world().clone();
    let waiting = Meanwhile::does(move || world.vault().unseal());
    let vault = patient(&backend, &waiting).await;
    backend.world().vault().seal();
    let hasty = root(&backend).kv2("secret").write("app", &json!({"v": "2"}), Cas::None).await.unwrap_err();
    assert!(matches!(hasty, Error::Sealed), "{hasty:?}");
    // A write, too: a sealed server has not run it.
    assert_eq!(vault.kv2("secret").write("app", &json!({"v": "2"}), Cas::None).await.unwrap().version, 2);
    assert_eq!(waiting.slept(), [500]);
}

async fn a_cluster_without_an_active_node_is_waited_for(backend: Backend) {
    let world: World = backend.world().clone();
    let waiting = Meanwhile::does(move || world.vault().standby(None));
    let vault = patient(&backend, &waiting).await;
    backend.world().vault().standby(None);
    let error = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(error, Error::NotActive { leader: None }), "{error:?}");
    assert_eq!(waiting.slept(), [500, 1000, 2000, 4000, 5000], "as often as the policy says");
    backend.world().vault().unseal();
    assert!(is_found(&vault).await);
}

async fn a_node_that_is_behind_is_waited_for(backend: Backend) {
    let waiting = Meanwhile::nothing();
    let vault = patient(&backend, &waiting).await.with_read_your_writes();
    answers(&backend, 2, said(412, "required index state not present"));
    assert_eq!(vault.kv2("secret").write("app", &json!({"v": "2"}), Cas::None).await.unwrap().version, 2);
    assert_eq!(waiting.slept(), [500, 1000]);
}

async fn all_attempts_end_at_one_deadline(backend: Backend) {
    let waiting = Meanwhile::nothing();
    backend.put_secret("secret", "app", json!({"v": "1"})).await.unwrap();
    let retry = Retry::default().with_attempts(100).with_deadline(Duration::from_secs(10));
    let vault = root(&backend).with_retry(retry, waiting.clone());
    answers(&backend, 100, said(503, "Vault is sealed"));
    assert!(matches!(vault.kv2("secret").read("app").await, Err(Error::Sealed)));
    assert_eq!(waiting.slept(), [500, 1000, 2000, 4000], "and not another five seconds");
}

async fn a_clock_that_is_off_is_told_as_such(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens(&backend, READER).await;
    backend.advance(Duration::from_secs(24 * 3600));
    let login = vault(&backend).jwt(&site.jwt).login("default", tokens.id_token.as_secret()).await;
    let Err(Error::LoginRefused { problem, .. }) = login else { panic!("{login:?}") };
    assert_eq!(problem, LoginProblem::TokenNotValidNow);
}

async fn a_host_that_nobody_knows_is_unreachable(_: Backend) {
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let waiting = Meanwhile::nothing();
    let vault = Vault::new("https://vault.invalid:8200".parse().unwrap(), transport);
    let vault = vault.with_retry(Retry::default().with_attempts(2), waiting.clone());
    let error = vault.kv2("secret").write("app", &json!({}), Cas::None).await.unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Unreachable { .. })), "{error:?}");
    assert!(error.to_string().contains("vault.invalid:8200"), "{error}");
    assert_eq!(waiting.slept(), [500], "it never arrived, so that a write may go again, too");
}

async fn a_token_with_a_newline_at_its_end_is_the_token(backend: Backend) {
    // Opened to be written as a file has it.
    let token = Token::new(format!("{}\r\n", backend.root.expose_secret())).unwrap();
    vault(&backend).with_token(&token).token().lookup_self().await.unwrap();
    let error = Token::new("hvs.one\nhvs.two").unwrap_err();
    assert!(matches!(error, Error::InvalidToken { .. }) && !error.to_string().contains("hvs"), "{error}");
}

async fn dots_escapes_and_unicode_stay_in_their_place(backend: Backend) {
    let (vault, folder) = (root(&backend), backend.unique("places"));
    let kv = vault.kv2("secret");
    let names =
        ["%2e%2e", "%2e", "a%2Fb", "...", "Zürich", "ключ", "🔑", "a b", "a+b", "what?#now", "a;b", "..a"];
    for (index, name) in names.iter().enumerate() {
        kv.write(&format!("{folder}/{name}"), &json!({ "n": index }), Cas::Create).await.unwrap();
    }
    for (index, name) in names.iter().enumerate() {
        let read = kv.read(&format!("{folder}/{name}")).await.unwrap();
        let Read::Found(secret) = read else { panic!("{name}: {read:?}") };
        assert_eq!(secret.data().raw("n").unwrap(), index.to_string(), "{name}");
    }
    let mut listed = kv.list(&folder).await.unwrap();
    let mut expected = names.map(str::to_owned).to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    for path in ["..", "../x", "a/../../sys/seal", ".", "a/./b"] {
        let error = kv.read(path).await.unwrap_err();
        assert!(
            matches!(error, Error::InvalidPath { problem: PathProblem::DotSegment, .. }),
            "{path}: {error:?}"
        );
    }
}

async fn a_dead_token_is_told_from_a_call_that_is_denied(backend: Backend) {
    let root = root(&backend);
    let request = TokenRequest::default().with_policies(["default"]).with_ttl(Duration::from_secs(600));
    let login = root.token().create(&request).await.unwrap();
    let vault = vault(&backend).with_token(login.token()).with_dead_token_check();
    let denied = vault.kv2("secret").read("app").await.unwrap_err();
    assert!(matches!(denied, Error::PermissionDenied(_)), "{denied:?}");
    root.token().revoke(login.token()).await.unwrap();
    let (one, two) = (vault.kv2("secret"), vault.kv2("secret"));
    for outcome in <[_; 2]>::from(tokio::join!(one.read("app"), two.read("app"))) {
        let dead = outcome.unwrap_err();
        assert!(matches!(dead, Error::TokenInvalid(_)) && dead.is_token_dead() == Some(true), "{dead:?}");
    }
}

/// Any request, and the error that its reply stands for.
#[derive(Clone)]
struct Bare(Method, String, Option<(&'static str, String)>);

impl Exchange for Bare {
    type Output = u16;
    type Error = Error;

    fn request(&self) -> Request {
        let request = Request::new(self.0, format!("/v1/{}", self.1));
        match &self.2 {
            Some((media_type, body)) => request.with_body(media_type, body.as_str()),
            None => request,
        }
    }

    fn receive(self, reply: Reply) -> Result<u16, Error> {
        let status = reply.status();
        latchkey_vault_client::logical::WritePath::new("x", &())?.receive(reply).map(|_| status)
    }

    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

async fn each_refusal_has_its_kind(backend: Backend) {
    let (vault, path) = (root(&backend), backend.unique("kinds"));
    backend.put_secret("secret", &path, json!({"v": "1"})).await.unwrap();
    let data = format!("secret/data/{path}");
    let json = |body: &str| Some(("application/json", body.to_owned()));
    for (call, code) in [
        (Bare(Method::Post, data.clone(), json("{}")), "vault_invalid_request"),
        (Bare(Method::Patch, data.clone(), json(r#"{"data":{}}"#)), "vault_unsupported_media_type"),
        (Bare(Method::Post, data.clone(), json(r#"{"options":{"cas":7},"data":{}}"#)), "vault_cas_mismatch"),
        (Bare(Method::Get, backend.unique("nowhere"), None), "vault_not_found"),
        (Bare(Method::Delete, "auth/token/lookup-self".into(), None), "vault_unsupported_operation"),
    ] {
        let (method, path) = (call.0, call.1.clone());
        let error = vault.perform(call).await.unwrap_err();
        assert_eq!(error.code(), code, "{method:?} {path}: {error}");
    }
    let error = self::vault(&backend).kv2("secret").read(&path).await.unwrap_err();
    assert_eq!(error.code(), "vault_permission_denied", "no token: {error}");
    let kv = vault.kv2("secret");
    kv.delete(&path).await.unwrap();
    assert!(matches!(kv.read(&path).await.unwrap(), Read::Deleted(_)));
    kv.destroy_versions(&path, &[1]).await.unwrap();
    assert!(matches!(kv.read(&path).await.unwrap(), Read::Destroyed(_)));
}

/// What servers let a web page send (`Access-Control-Allow-Headers`), and what pages send without being let.
const ALLOWED: [&str; 11] = [
    "content-type",
    "x-requested-with",
    "x-vault-aws-iam-server-id",
    "x-vault-mfa",
    "x-vault-no-request-forwarding",
    "x-vault-wrap-format",
    "x-vault-wrap-ttl",
    "x-vault-policy-override",
    "authorization",
    "x-vault-token",
    "accept",
];

async fn nothing_is_sent_that_a_web_page_may_not_send(backend: Backend) {
    let seen = Arc::new(Seen { inner: backend.transport.clone(), sent: Mutex::default() });
    let vault = Vault::new(backend.vault_address.clone(), seen.clone());
    let vault = vault.with_token(&Token::new(backend.root.clone()).unwrap()).with_namespace("").unwrap();
    let (kv, path) = (vault.kv2("secret"), backend.unique("page"));
    let data = json!({"a": "b"});
    kv.write(&path, &data, Cas::Create).await.unwrap();
    kv.read(&path).await.unwrap();
    kv.list("").await.unwrap();
    kv.metadata(&path).await.unwrap();
    kv.delete(&path).await.unwrap();
    let read = latchkey_vault_client::kv2::ReadSecret::new("secret", &path).unwrap();
    let wrapped = vault.wrapping().perform(read, Duration::from_secs(60)).await;
    drop(wrapped);
    vault.token().lookup_self().await.unwrap();
    vault.sys().policies().await.unwrap();
    vault.health().await.unwrap();
    let _ = vault.jwt("nowhere").login("r", &"x".into()).await;
    let sent = seen.sent.lock().unwrap();
    assert!(sent.len() >= 10);
    for (method, headers) in sent.iter() {
        assert!(matches!(method, Method::Get | Method::Post | Method::Put | Method::Delete | Method::List));
        for name in headers {
            assert!(ALLOWED.contains(&name.to_lowercase().as_str()), "{name}");
        }
    }
}

/// Keeps what passes.
struct Seen {
    inner: latchkey_transport::SharedTransport,
    sent: Mutex<Vec<(Method, Vec<&'static str>)>>,
}

#[async_trait::async_trait]
impl latchkey_transport::Transport for Seen {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let names = request.headers().map(|(name, ..)| name).collect();
        self.sent.lock().unwrap().push((request.method(), names));
        self.inner.send(request).await
    }
}
