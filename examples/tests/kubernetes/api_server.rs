//! A real API server, which asks `token-review`, with kubectl and `kube-credential`; and OpenBao, which asks the API
//! server about the pod that runs `webapp`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use latchkey_tests::kubernetes::kubectl;
use latchkey_tests::{
    Backend, MANAGEMENT, Misbehaviour, OwnApiServer, Place, READER, Span, Terminal, behaviours,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Child;

use crate::cluster::{Done, GROUP, Reviewer, age, at_home, configure, done, home, opened, while_signing_in};
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

/// An API server that asks `token-review` who somebody is.
pub struct Kubernetes {
    pub server: OwnApiServer,
    backend: Backend,
    folder: TempDir,
    _reviewer: Reviewer,
}

impl Kubernetes {
    pub async fn start(backend: Backend) -> Self {
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
        let arguments = [
            format!("--authentication-token-webhook-config-file={}", path("webhook.json")),
            "--authentication-token-webhook-version=v1".to_owned(),
        ];
        let server = OwnApiServer::start(&arguments).await.unwrap();
        let this = Self { server, backend, folder, _reviewer: reviewer };
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

    /// Runs kubectl as the administrator, and returns what it prints.
    pub async fn admin(&self, arguments: &[&str]) -> String {
        let done = self.kubectl(arguments).await;
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout.trim().to_owned()
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Done {
        let mut command = at_home(kubectl().unwrap(), self.folder.path());
        command.args(["--server", self.server.address(), "--token", OwnApiServer::ADMIN]);
        command.arg("--certificate-authority").arg(self.server.ca_path());
        done(command.args(arguments).stdin(Stdio::null()).spawn().unwrap()).await
    }

    /// Runs kubectl as somebody in that home.
    fn pods(&self, home: &Path, terminal: Option<&Terminal>) -> Child {
        configure(home, self.server.address(), self.server.ca_pem(), &self.backend, ("v1", &[]));
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
    let (one, other) = (
        kubernetes.backend.tokens(MANAGEMENT).await.unwrap(),
        kubernetes.backend.tokens(READER).await.unwrap(),
    );
    let good = one.id_token.as_secret().expose_secret();
    assert_eq!(kubernetes.server.status(PODS, good).await, Some(200));
    let (claims, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.id_token.as_secret().expose_secret().rsplit_once('.').unwrap();
    let forged = format!("{claims}.{signature}");
    for token in [&forged, one.access_token.expose_secret(), "nonsense"] {
        assert_eq!(kubernetes.server.status(PODS, token).await, Some(401));
    }
}

async fn an_expired_token_is_unauthorized(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let provider = || kubernetes.backend.world().provider();
    assert_eq!(kubernetes.server.status(PODS, &provider().id_token("management")).await, Some(200));
    for how in [Misbehaviour::Expired, Misbehaviour::OtherAudience] {
        provider().misbehave(how, Span::Once);
        let token = provider().id_token("management");
        assert_eq!(kubernetes.server.status(PODS, &token).await, Some(401), "{how:?}");
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
    let Kubernetes { backend, server, .. } = &kubernetes;
    let pod = Pod::of(
        Backend::at(backend.place).await.unwrap(),
        "1h",
        (server.address(), server.ca_pem()),
        &reviewer,
        &token,
    )
    .await;
    let service = pod.start(&[]).await;
    service.until("/", 200, AS_EVER).await;
    // Another account is told so, and serves nothing.
    pod.write_token(&reviewer);
    let other = pod.start(&[]).await;
    other.until("/readyz", 503, "").await;
}
