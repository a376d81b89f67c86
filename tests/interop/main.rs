//! Programs of others that drive the provider double as they drive Keycloak: unchanged.
//!
//! They are installed by `cargo xtask tools`; a run that does not know where they are counts them as ignored.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use latchkey_tests::{Backend, Behaviour, Browser, Misbehaviour, Place, READER, Span, behaviours, run};
use latchkey_transport::{Method, Request, Secret, Transport};
use serde_json::{Value, json};
use url::Url;

behaviours! {
    openid_client_signs_in_refreshes_and_looks_into_tokens,
    #[not_on(Place::Real, "the real provider does not lie")]
    openid_client_sees_the_lies_of_the_double,
    a_jupyterhub_signs_people_in_and_keeps_their_tokens,
}

/// Where the programs are.
const NODE: &str = "LATCHKEY_NODE_PEERS";
const HUB: &str = "LATCHKEY_JUPYTERHUB";

/// How long a hub may take to start: 4 s idle, and many times that beside a compiler.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let places = [Place::Loopback, Place::Real];
    let is_installed = [NODE, HUB].iter().all(|name| env::var_os(name).is_some());
    let behaviours: Vec<Behaviour> = behaviours()
        .into_iter()
        .map(|behaviour| {
            let why = "the programs are not installed (`cargo xtask tools`)";
            let nowhere = places.map(|place| (place, why)).to_vec();
            // A list of a test run: it lives as long as it does.
            Behaviour { not_on: if is_installed { behaviour.not_on } else { nowhere.leak() }, ..behaviour }
        })
        .collect();
    run(&behaviours, &places, Vec::new())
}

fn folder(name: &str) -> PathBuf {
    env::var_os(name).unwrap().into()
}

/// A program that knows the provider and the client.
fn program(backend: &Backend, program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .env("ISSUER", &backend.issuer)
        .env("CLIENT_ID", &backend.client_id)
        // Opened for a program that is told so.
        .env("CLIENT_SECRET", backend.client_secret.expose_secret());
    command
}

async fn openid_client(backend: &Backend) -> Output {
    let mut command = program(backend, "node".into());
    command
        .arg("openid-client.mjs")
        .current_dir(folder(NODE))
        .env("REDIRECT_URI", "http://localhost:8250/oidc/callback")
        .env("SIGN_IN_NAME", READER.name)
        .env("SIGN_IN_PASSWORD", READER.password);
    // Beside the runtime: the double answers on it meanwhile.
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

async fn openid_client_sees_the_lies_of_the_double(backend: Backend) {
    for (lie, told) in [
        (Misbehaviour::CallbackIssuerOther, "unexpected \"iss\" (issuer) response parameter value"),
        (Misbehaviour::OtherNonce, "unexpected ID Token \"nonce\" claim value"),
        (Misbehaviour::BrokenSignature, "JWT signature verification failed"),
        (Misbehaviour::UserinfoOtherSubject, "unexpected \"response\" body \"sub\" property value"),
    ] {
        backend.world().provider().misbehave(lie, Span::Always);
        let output = openid_client(&backend).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(told), "{lie:?}: {stderr}");
        backend.world().provider().behave();
    }
}

async fn openid_client_signs_in_refreshes_and_looks_into_tokens(backend: Backend) {
    let output = openid_client(&backend).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let device = if backend.place == Place::Real { "unauthorized_client" } else { "string" };
    let expected = json!({
        "pushed": [false, true], "username": "reader", "same": true, "active": true, "dead": "invalid_grant",
        "logout": true, "device": device,
    });
    assert_eq!(told, expected, "{stderr}");
}

/// A running hub with its proxy; both end with it.
struct Hub {
    child: Child,
    address: Url,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

const PROBE: &str = "a-token-for-the-probe-alone";

impl Hub {
    fn start(backend: &Backend) -> Self {
        use std::os::unix::process::CommandExt as _;
        // All are held before the first is let go, so that no port comes up twice.
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("hub.log");
        let output = fs::File::create(&log).unwrap();
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/jupyterhub_config.py");
        let bin = folder(HUB).join("bin");
        let node = folder(NODE).join("node_modules/.bin");
        let usual = env::var_os("PATH").unwrap_or_default();
        let paths = [bin.clone(), node].into_iter().chain(env::split_paths(&usual));
        let child = program(backend, bin.join("jupyterhub"))
            .args(["--config", config])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("PATH", env::join_paths(paths).unwrap())
            .env("HUB_URL", format!("http://127.0.0.1:{}", ports[0]))
            .env("HUB_PORT", ports[1].to_string())
            .env("PROXY_API_URL", format!("http://127.0.0.1:{}", ports[2]))
            .env("PROBE_TOKEN", PROBE)
            .env("JUPYTERHUB_CRYPT_KEY", "6d".repeat(32))
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // The proxy is a child of the hub: one signal for both.
            .process_group(0)
            .spawn()
            .unwrap();
        let address = format!("http://127.0.0.1:{}/", ports[0]).parse().unwrap();
        Self { child, address, log, _folder: home }
    }

    fn at(&self, path: &str) -> Url {
        self.address.join(path).unwrap()
    }

    async fn is_up(&mut self, backend: &Backend) {
        let begun = Instant::now();
        loop {
            let health = Request::for_url(Method::Get, self.at("hub/health"));
            match backend.transport.send(health).await {
                Ok(reply) if reply.status() == 200 => return,
                _ => {}
            }
            let ended = self.child.try_wait().unwrap();
            let is_late = ended.is_some() || begun.elapsed() > PATIENCE;
            assert!(!is_late, "the hub is not up: {ended:?} {}", self.told());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        for signal in ["-TERM", "-KILL"] {
            let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            for _ in 0..50 {
                if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

async fn a_jupyterhub_signs_people_in_and_keeps_their_tokens(backend: Backend) {
    let mut hub = Hub::start(&backend);
    hub.is_up(&backend).await;
    let browser = Browser::new(backend.transport.clone());
    let page = browser
        .sign_in(&hub.at("hub/oauth_login?next=/hub/home"), READER.name, READER.password, None)
        .await
        .unwrap();
    assert_eq!((page.status, page.address.path()), (200, "/hub/home"), "{}", hub.told());
    assert!(page.html.contains("reader"), "the page greets the person");

    let ask = Request::for_url(Method::Get, hub.at("hub/api/users/reader"))
        .with_secret_header("authorization", Secret::new(format!("token {PROBE}")));
    let reply = backend.transport.send(ask).await.unwrap();
    let user: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!((reply.status(), &user["name"]), (200, &json!("reader")), "{}", hub.told());
    let state = &user["auth_state"];
    for token in ["access_token", "refresh_token", "id_token"] {
        assert!(state[token].as_str().is_some_and(|text| text.split('.').count() == 3), "{token}");
    }
    assert_eq!(state["oauth_user"]["preferred_username"], "reader");
}
