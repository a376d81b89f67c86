//! A real API server, which asks `token-review`, with kubectl and `kube-credential`; and OpenBao, which asks the API
//! server about the pod that runs `webapp`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use latchkey_tests::kubernetes::{api_server, kubectl};
use latchkey_tests::{Backend, MANAGEMENT, Misbehaviour, Place, READER, Span, Terminal, behaviours};
use latchkey_transport::{Method, Request, ReqwestTransport, Transport};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cluster::{
    Done, GROUP, Reviewer, age, at_home, configure, done, home, opened, tokens, while_signing_in,
};
use crate::webapp::{AS_EVER, Pod};

behaviours! {
    a_group_decides_who_may_see_the_pods,
    an_old_token_is_refreshed_without_a_person,
    a_forged_token_and_one_for_another_audience_are_unauthorized,
    #[not_on(Place::Real, "the real provider does not lie on request")]
    an_expired_token_is_unauthorized,
    #[not_on(Place::Loopback, "the double answers for its service accounts itself")]
    a_pod_logs_in_with_the_token_of_its_service_account,
}

/// etcd and kube-apiserver, on free ports of this machine.
struct Kubernetes {
    address: String,
    ca_pem: String,
    folder: TempDir,
    backend: Backend,
    _reviewer: Reviewer,
    _etcd: Child,
    _server: Child,
}

/// Whoever shows this may do everything: it is in the server's own file.
const ADMIN: &str = "the-token-of-the-administrator";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn background(program: &Path, folder: &Path, name: &str, arguments: &[String]) -> Child {
    let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("HOME", folder).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

impl Kubernetes {
    async fn start(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let reviewer = Reviewer::start(&backend, &[]).await;
        fs::write(path("review-ca.pem"), &reviewer.ca_pem).unwrap();
        let webhook = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "webhook",
            "clusters": [{"name": "token-review", "cluster": {
                "server": format!("{}/token-review", reviewer.address),
                "certificate-authority": path("review-ca.pem")}}],
            "users": [{"name": "api-server"}],
            "contexts": [{"name": "webhook", "context": {"cluster": "token-review", "user": "api-server"}}],
        });
        fs::write(path("webhook.json"), webhook.to_string()).unwrap();
        fs::write(path("tokens.csv"), format!("{ADMIN},admin,admin,system:masters\n")).unwrap();
        let accounts = rcgen::KeyPair::generate().unwrap();
        fs::write(path("accounts.pem"), accounts.serialize_pem()).unwrap();
        fs::write(path("accounts.pub"), accounts.public_key_pem()).unwrap();

        let (etcd, server) = api_server().unwrap();
        let (client, peer, secure) = (free_port(), free_port(), free_port());
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd = background(
            &etcd,
            folder.path(),
            "etcd",
            &[
                format!("--data-dir={}", path("etcd")),
                format!("--listen-client-urls={}", at(client)),
                format!("--advertise-client-urls={}", at(client)),
                format!("--listen-peer-urls={}", at(peer)),
                format!("--initial-advertise-peer-urls={}", at(peer)),
                format!("--initial-cluster=default={}", at(peer)),
            ],
        );
        let mut server = background(
            &server,
            folder.path(),
            "kube-apiserver",
            &[
                format!("--etcd-servers={}", at(client)),
                format!("--cert-dir={}", path("certificates")),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={secure}"),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", path("accounts.pub")),
                format!("--service-account-signing-key-file={}", path("accounts.pem")),
                "--authorization-mode=RBAC".to_owned(),
                format!("--token-auth-file={}", path("tokens.csv")),
                format!("--authentication-token-webhook-config-file={}", path("webhook.json")),
                "--authentication-token-webhook-version=v1".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                "--anonymous-auth=false".to_owned(),
            ],
        );
        let certificate = folder.path().join("certificates/apiserver.crt");
        let log = folder.path().join("kube-apiserver.log");
        let until = Instant::now() + Duration::from_secs(180);
        let mut is_alive = || Instant::now() < until && server.try_wait().unwrap().is_none();
        while !certificate.is_file() {
            assert!(is_alive(), "no API server: {}", tail(&log));
            sleep(Duration::from_millis(100)).await;
        }
        let ca_pem = fs::read_to_string(certificate).unwrap();
        while status(&format!("https://127.0.0.1:{secure}/readyz"), &ca_pem, ADMIN).await != Some(200) {
            assert!(is_alive(), "the API server is not ready: {}", tail(&log));
            sleep(Duration::from_millis(200)).await;
        }
        let this = Self {
            address: format!("https://127.0.0.1:{secure}"),
            ca_pem,
            folder,
            backend,
            _reviewer: reviewer,
            _etcd: etcd,
            _server: server,
        };
        // `view` itself is put together by a controller, which is not here.
        this.admin(&[
            "create",
            "clusterrolebinding",
            "viewers",
            "--clusterrole=system:aggregate-to-view",
            "--group",
            GROUP,
        ])
        .await;
        this
    }

    /// What a request with that token is answered.
    async fn status(&self, path: &str, token: &str) -> Option<u16> {
        status(&format!("{}{path}", self.address), &self.ca_pem, token).await
    }

    /// Runs kubectl as the administrator.
    async fn admin(&self, arguments: &[&str]) -> String {
        let ca = self.folder.path().join("certificates/apiserver.crt");
        let mut command = at_home(kubectl().unwrap(), self.folder.path());
        command.args(["--server", &self.address, "--token", ADMIN, "--certificate-authority"]).arg(ca);
        command.args(arguments).stdin(Stdio::null());
        let done = done(command.spawn().unwrap()).await;
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout.trim().to_owned()
    }

    /// Runs kubectl as somebody in that home.
    fn pods(&self, home: &Path, terminal: Option<&Terminal>) -> Child {
        configure(home, &self.address, &self.ca_pem, &self.backend, ("v1", &[]));
        let mut command = at_home(kubectl().unwrap(), home);
        command.args(["get", "pods", "-o", "name"]).env("KUBECONFIG", home.join("config"));
        command.stdin(terminal.map_or_else(Stdio::null, |terminal| terminal.end().unwrap().into()));
        command.spawn().unwrap()
    }

    async fn pods_of(&self, home: &Path, user: latchkey_tests::User) -> Done {
        let terminal = Terminal::open().unwrap();
        let pods = done(self.pods(home, Some(&terminal)));
        while_signing_in(&self.backend, home, user, pods).await
    }
}

async fn status(url: &str, ca_pem: &str, token: &str) -> Option<u16> {
    let transport = ReqwestTransport::builder()
        .with_root_certificates(ca_pem.as_bytes())
        .with_named_roots_only()
        .build()
        .unwrap();
    let request = Request::for_url(Method::Get, url.parse().unwrap());
    let request = request.with_secret_header("authorization", format!("Bearer {token}").into());
    transport.send(request).await.ok().map(|reply| reply.status())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

async fn a_group_decides_who_may_see_the_pods(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let (member, other) = (home(), home());
    kubernetes.pods_of(member.path(), MANAGEMENT).await.assert_success("");
    let failed = kubernetes.pods_of(other.path(), READER).await;
    failed.assert_failure(&["Forbidden", "oidc:reader"]);
}

async fn an_old_token_is_refreshed_without_a_person(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let home = home();
    kubernetes.pods_of(home.path(), MANAGEMENT).await.assert_success("");
    age(home.path());
    done(kubernetes.pods(home.path(), None)).await.assert_success("");
    assert_eq!(opened(home.path()).len(), 1);
}

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn a_forged_token_and_one_for_another_audience_are_unauthorized(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let (one, other) =
        (tokens(&kubernetes.backend, MANAGEMENT).await, tokens(&kubernetes.backend, READER).await);
    let good = one.id_token.as_secret().expose_secret();
    assert_eq!(kubernetes.status(PODS, good).await, Some(200));
    let (claims, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.id_token.as_secret().expose_secret().rsplit_once('.').unwrap();
    let forged = format!("{claims}.{signature}");
    for token in [&forged, one.access_token.expose_secret(), "nonsense"] {
        assert_eq!(kubernetes.status(PODS, token).await, Some(401));
    }
}

async fn an_expired_token_is_unauthorized(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let provider = || kubernetes.backend.world().provider();
    assert_eq!(kubernetes.status(PODS, &provider().id_token("management")).await, Some(200));
    for how in [Misbehaviour::Expired, Misbehaviour::OtherAudience] {
        provider().misbehave(how, Span::Once);
        let token = provider().id_token("management");
        assert_eq!(kubernetes.status(PODS, &token).await, Some(401), "{how:?}");
    }
}

async fn a_pod_logs_in_with_the_token_of_its_service_account(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    kubernetes.admin(&["create", "serviceaccount", "webapp"]).await;
    kubernetes.admin(&["create", "serviceaccount", "reviewer"]).await;
    let binding = ["create", "clusterrolebinding", "reviewers", "--clusterrole=system:auth-delegator"];
    kubernetes.admin(&[&binding[..], &["--serviceaccount=default:reviewer"]].concat()).await;
    let token = kubernetes.admin(&["create", "token", "webapp"]).await;
    let reviewer = kubernetes.admin(&["create", "token", "reviewer"]).await;
    let Kubernetes { backend, address, ca_pem, .. } = &kubernetes;
    let pod =
        Pod::of(Backend::at(backend.place).await.unwrap(), "1h", (address, ca_pem), &reviewer, &token).await;
    let service = pod.start(&[]).await;
    service.until("/", 200, AS_EVER).await;
    // Another account is told so, and serves nothing.
    pod.write_token(&reviewer);
    let other = pod.start(&[]).await;
    other.until("/readyz", 503, "").await;
}
