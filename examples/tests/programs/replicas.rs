//! `login-service` as it is run: three processes behind a balancer, a Redis, and a provider that tells of sign-outs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as Asked, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_examples::serve::Server;
use latchkey_testbed::{Clock, Served, World, serve};
use latchkey_tests::{Backend, Browser, OwnRedis, Page, Place, READER, User};
use latchkey_transport::{Method, Reply, Request, ReqwestTransport, Secret, SharedTransport, Transport};
use redis::IntoConnectionInfo as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use url::{Url, form_urlencoded};

/// How long anything may take that a test waits for: much longer than it does.
pub const PATIENCE: Duration = Duration::from_secs(60);

const COUNT: usize = 3;

/// Three replicas and what they need.
pub struct Replicas {
    pub redis: OwnRedis,
    pub balancer: Balancer,
    pub transport: SharedTransport,
    /// Where people go.
    pub base: Url,
    provider: Provider,
    folder: TempDir,
    arguments: Vec<String>,
    running: Mutex<Vec<Option<Child>>>,
    /// What all replicas have said.
    said: Arc<Mutex<String>>,
}

/// Who signs people in.
struct Provider {
    issuer: String,
    client_id: String,
    client_secret: Secret,
    double: Option<Served>,
}

impl Replicas {
    pub async fn new(backend: &Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: &Backend, arguments: &[&str]) -> Self {
        Self::at(backend, OwnRedis::start().unwrap(), arguments).await
    }

    /// With a Redis that is there.
    pub async fn at(backend: &Backend, redis: OwnRedis, arguments: &[&str]) -> Self {
        let balancer = Balancer::start(Arc::clone(&backend.transport)).await;
        let base = Url::parse(&format!("http://{}/", balancer.address)).unwrap();
        let provider = Provider::new(backend, &base).await;
        let folder = tempfile::tempdir().unwrap();
        let replicas = Self {
            redis,
            balancer,
            transport: Arc::new(ReqwestTransport::new().unwrap()),
            base,
            provider,
            folder,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            running: Mutex::new((0..COUNT).map(|_| None).collect()),
            said: Arc::default(),
        };
        replicas.write_keys(&[1]);
        for index in 0..COUNT {
            replicas.start(index).await;
        }
        replicas
    }

    /// Writes the file of keys as Kubernetes does: in one step.
    pub fn write_keys(&self, keys: &[u8]) {
        let text: String = keys.iter().map(|&key| STANDARD.encode([key; 32]) + "\n").collect();
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.keys()).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare();
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).args(arguments);
        command
    }

    /// The program with its environment, and without an argument.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_login-service"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LATCHKEY_ISSUER", &self.provider.issuer);
        command.env("LATCHKEY_CLIENT_ID", &self.provider.client_id);
        // Opened for a program of ours, which is told so.
        command.env("LATCHKEY_CLIENT_SECRET", self.provider.client_secret.expose_secret());
        command.env("LATCHKEY_BASE_URL", self.base.as_str()).env("LATCHKEY_REDIS", self.redis.address());
        command.env("REDIS_PASSWORD", OwnRedis::PASSWORD).env("LATCHKEY_KEYS", self.keys());
        command
    }

    /// Starts a replica, and lets the balancer know.
    pub async fn start(&self, index: usize) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (child, address) = self.listening(self.command(&arguments)).await;
        self.balancer.set(index, Some(&address));
        self.running.lock().unwrap()[index] = Some(child);
    }

    /// Waits until a program says where it listens, and collects what it says.
    pub async fn listening(&self, mut command: Command) -> (Child, String) {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            self.said.lock().unwrap().push_str(&(line + "\n"));
            if event["message"] == "listening" {
                break event["address"].as_str().unwrap().to_owned();
            }
        };
        let said = Arc::clone(&self.said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                said.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        (child, address)
    }

    /// Ends a replica without a word. The balancer finds out by itself.
    pub async fn kill(&self, index: usize) {
        let replica = self.running.lock().unwrap()[index].take();
        replica.unwrap().kill().await.unwrap();
    }

    /// Ends a replica as Kubernetes does, and returns whether it ended well.
    pub async fn terminate(&self, index: usize) -> bool {
        let replica = self.running.lock().unwrap()[index].take();
        let mut child = replica.unwrap();
        let pid = child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success()
    }

    pub async fn terminate_all(&self) {
        for index in 0..COUNT {
            if self.running.lock().unwrap()[index].is_some() {
                assert!(self.terminate(index).await, "{}", self.said());
            }
        }
    }

    /// Asks one replica, and not the balancer.
    pub async fn get_at(&self, index: usize, path: &str) -> Reply {
        let url = Url::parse(&format!("http://{}{path}", self.address(index))).unwrap();
        self.ask(Request::for_url(Method::Get, url)).await
    }

    /// The address of a replica.
    pub fn address(&self, index: usize) -> String {
        self.balancer.shared.replicas.lock().unwrap()[index].clone().unwrap()
    }

    /// The processes.
    pub fn pids(&self) -> Vec<u32> {
        let running = self.running.lock().unwrap();
        running.iter().flatten().map(|child| child.id().unwrap()).collect()
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    pub fn world(&self) -> &World {
        self.provider.double.as_ref().unwrap().world()
    }

    pub fn browser(&self) -> Browser {
        Browser::new(Arc::clone(&self.transport))
    }

    /// Goes as far as the callback, which is not opened.
    pub async fn callback(&self, browser: &Browser, user: User) -> Url {
        let stop = self.url("/callback");
        let page = browser
            .sign_in(&self.url("/login"), user.name, user.password, Some(stop.as_str()))
            .await
            .unwrap();
        assert!(page.address.as_str().starts_with(stop.as_str()), "{}: {}", page.status, page.html);
        page.address
    }

    /// Signs in, and returns the page at the end.
    pub async fn sign_in(&self, browser: &Browser, user: User) -> Page {
        let page = browser.sign_in(&self.url("/login"), user.name, user.password, None).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.html);
        page
    }

    pub async fn signed_in(&self) -> Browser {
        let browser = self.browser();
        self.sign_in(&browser, READER).await;
        assert!(self.knows(&browser).await);
        browser
    }

    /// Whether every replica knows this browser, or none does.
    pub async fn knows(&self, browser: &Browser) -> bool {
        let mut known = Vec::new();
        for _ in 0..COUNT {
            known.push(browser.open(&self.url("/me"), None).await.unwrap().status);
        }
        assert!(known.iter().all(|status| *status == known[0]), "{known:?}");
        assert!(matches!(known[0], 200 | 401), "{known:?}");
        known[0] == 200
    }

    /// Signs out at the provider, as a person does who is done with everything.
    pub async fn sign_out_at_provider(&self, browser: &Browser) {
        let address = format!("{}/protocol/openid-connect/logout", self.provider.issuer);
        let page = browser.open(&Url::parse(&address).unwrap(), None).await.unwrap();
        let page = browser.submit(&page, &[("confirmLogout", "Logout")], None).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.html);
    }

    /// Asks once, without a browser.
    pub async fn ask(&self, request: Request) -> Reply {
        // On a connection of its own: one that is kept may end just as it is used again.
        let request = request.with_header("connection", "close");
        self.transport.send(request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Request::for_url(Method::Get, self.url(path))).await
    }

    /// How many commands Redis has done.
    pub async fn commands(&self) -> u64 {
        let text = self.statistics("stats").await;
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("total_commands_processed:"));
        count.unwrap().trim().parse().unwrap()
    }

    /// What Redis tells of itself.
    pub async fn statistics(&self, section: &str) -> String {
        redis::cmd("INFO").arg(section).query_async(&mut self.connection().await).await.unwrap()
    }

    /// Runs a command of Redis, as whoever may do everything.
    pub async fn command_of_redis(&self, words: &[&str]) {
        let mut words = words.iter();
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(*word);
        }
        command.exec_async(&mut self.connection().await).await.unwrap();
    }

    async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let info = self.redis.address().into_connection_info().unwrap();
        let settings = info.redis_settings().clone().set_password(OwnRedis::PASSWORD);
        let client = redis::Client::open(info.set_redis_settings(settings)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Everything that Redis keeps: name and value, as text.
    pub async fn kept(&self) -> Vec<String> {
        let mut redis = self.connection().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
        let mut kept = Vec::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
            // It may end while it is looked at.
            let values: Vec<Option<Vec<u8>>> = if kind == "zset" {
                redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(&mut redis).await.unwrap()
            } else {
                vec![redis::cmd("GET").arg(&key).query_async(&mut redis).await.unwrap()]
            };
            let life: i64 = redis::cmd("TTL").arg(&key).query_async(&mut redis).await.unwrap();
            assert_ne!(life, -1, "{key} would be kept for ever");
            for value in values.into_iter().flatten() {
                kept.push(format!("{key} {}", String::from_utf8_lossy(&value)));
            }
        }
        kept
    }
}

/// Waits until that is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "{what} does not happen");
        sleep(Duration::from_millis(50)).await;
    }
}

impl Provider {
    async fn new(backend: &Backend, base: &Url) -> Self {
        if backend.place == Place::Real {
            return Self::real(backend, base).await;
        }
        let world = World::builder()
            .clock(Clock::system())
            .backchannel_logout_uri(base.join("/backchannel-logout").unwrap().as_str());
        let double = serve(world, 0, 0).await.unwrap();
        Self {
            issuer: double.world().issuer(),
            client_id: "vault-oidc".into(),
            client_secret: Secret::new("s3cr3t"),
            double: Some(double),
        }
    }

    /// A client of Keycloak that this test alone has.
    async fn real(backend: &Backend, base: &Url) -> Self {
        let (realm_url, realm) = backend.issuer.rsplit_once("/realms/").unwrap();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin")])
            .append_pair("password", &std::env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD").unwrap())
            .finish();
        let url = Url::parse(&format!("{realm_url}/realms/master/protocol/openid-connect/token")).unwrap();
        let request =
            Request::for_url(Method::Post, url).with_body("application/x-www-form-urlencoded", form);
        let reply = backend.transport.send(request).await.unwrap();
        let tokens: Value = serde_json::from_slice(reply.body()).unwrap();
        let client_id = backend.unique("login-service");
        let client = json!({
            "clientId": client_id, "secret": "s3cr3t", "publicClient": false, "standardFlowEnabled": true,
            "redirectUris": [format!("{base}*")],
            "attributes": {
                "post.logout.redirect.uris": "+", "backchannel.logout.session.required": "true",
                "backchannel.logout.url": base.join("/backchannel-logout").unwrap().as_str(),
            },
        });
        let url = Url::parse(&format!("{realm_url}/admin/realms/{realm}/clients")).unwrap();
        let bearer = Secret::new(format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
        let request = Request::for_url(Method::Post, url)
            .with_secret_header("authorization", bearer)
            .with_body("application/json", client.to_string());
        assert_eq!(backend.transport.send(request).await.unwrap().status(), 201);
        let issuer = backend.issuer.clone();
        Self { issuer, client_id, client_secret: Secret::new("s3cr3t"), double: None }
    }
}

/// A round-robin over the replicas. One that cannot be reached is passed over; a request that was lost on the way is not
/// repeated.
pub struct Balancer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    transport: SharedTransport,
    replicas: Mutex<Vec<Option<String>>>,
    next: AtomicUsize,
    /// Which replica answered which path.
    served: Mutex<Vec<(usize, String)>>,
}

impl Balancer {
    async fn start(transport: SharedTransport) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = server.address().unwrap();
        let shared = Arc::new(Shared {
            transport,
            replicas: Mutex::new(vec![None; COUNT]),
            next: AtomicUsize::new(0),
            served: Mutex::default(),
        });
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&shared));
        tokio::spawn(server.route(std::future::pending(), router));
        Self { address, shared }
    }

    fn set(&self, index: usize, address: Option<&str>) {
        self.shared.replicas.lock().unwrap()[index] = address.map(str::to_owned);
    }

    /// Which replica answered that path the last time.
    pub fn served(&self, path: &str) -> usize {
        let served = self.shared.served.lock().unwrap();
        served.iter().rev().find(|(_, this)| this == path).unwrap().0
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, asked: Asked) -> Response {
    let (head, body) = asked.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let first = shared.next.fetch_add(1, Ordering::Relaxed);
    for index in (first..first + COUNT).map(|index| index % COUNT) {
        let Some(address) = shared.replicas.lock().unwrap()[index].clone() else { continue };
        let url = Url::parse(&format!("http://{address}{}", head.uri)).unwrap();
        let method = if head.method == "POST" { Method::Post } else { Method::Get };
        // A connection each: one that is kept may end just as it is used again.
        let mut request = Request::for_url(method, url).with_header("connection", "close");
        request = request.with_time_limit(PATIENCE * 5);
        if let Some(cookie) = header("cookie") {
            request = request.with_header("cookie", cookie);
        }
        if method == Method::Post {
            request = request.with_body("application/x-www-form-urlencoded", body.to_vec());
        }
        let reply = match shared.transport.send(request).await {
            Ok(reply) => reply,
            Err(latchkey_transport::Error::Unreachable { .. }) => continue,
            Err(error) => return answer(502, format!("lost on the way: {error}")),
        };
        shared.served.lock().unwrap().push((index, head.uri.path().to_owned()));
        let mut response = Response::builder().status(reply.status());
        for (name, value) in reply.headers().iter().filter(|(name, _)| *name != "content-length") {
            response = response.header(name, value);
        }
        return response.body(Body::from(reply.body().to_vec())).unwrap();
    }
    answer(503, "no replica")
}

fn answer(status: u16, text: impl Into<Body>) -> Response {
    Response::builder().status(status).body(text.into()).unwrap()
}
