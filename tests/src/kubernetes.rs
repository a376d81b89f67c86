//! A Kubernetes API server, as far as kubectl notices: HTTPS, a webhook that says who somebody is, roles bound to
//! groups, and a few pods.

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use latchkey_transport::{Method, Request, ReqwestTransport, Transport};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use url::Url;

/// A certificate for 127.0.0.1 that vouches for itself.
pub struct Certificate {
    /// The certificate, PEM.
    pub pem: String,
    /// Its key, PEM.
    pub key_pem: String,
}

impl Certificate {
    /// Makes one.
    pub fn generate() -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        Ok(Self { pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() })
    }
}

/// Returns the kubectl to test with: what `cargo xtask` found or installed, else the one on the path.
pub fn kubectl() -> Option<PathBuf> {
    if let Some(path) = env::var_os("LATCHKEY_KUBECTL") {
        return Some(path.into());
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("kubectl")).find(|path| path.is_file())
}

/// Returns the real thing to test with: etcd and kube-apiserver, where `cargo xtask test --all` made them.
pub fn api_server() -> Option<(PathBuf, PathBuf)> {
    Some((env::var_os("LATCHKEY_ETCD")?.into(), env::var_os("LATCHKEY_KUBE_APISERVER")?.into()))
}

/// Returns the folder with what goes into the image of `webapp`, where `cargo xtask test --all` made it and podman is.
pub fn image_parts() -> Option<PathBuf> {
    env::var_os("LATCHKEY_IMAGE_PARTS").map(PathBuf::from)
}

/// One request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The path, without the query.
    pub path: String,
    /// Who asked, as the webhook said.
    pub user: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// An API server on loopback. Its clients are told apart by a webhook, as a real one asks it; members of one group may
/// list pods.
pub struct ApiServer {
    /// Where it listens.
    pub address: String,
    /// What its certificate is trusted by, PEM.
    pub ca_pem: String,
    accounts: Arc<Mutex<Vec<Account>>>,
    log: Arc<Mutex<Vec<Answered>>>,
    _serving: JoinSet<()>,
}

struct Rules {
    webhook: Option<(Url, ReqwestTransport)>,
    group: String,
    accounts: Arc<Mutex<Vec<Account>>>,
    log: Arc<Mutex<Vec<Answered>>>,
}

/// A token of a service account, and what it says about it.
struct Account {
    token: String,
    claims: Value,
}

impl ApiServer {
    /// Starts one that asks that webhook, which is trusted by `webhook_ca`, and lets that group list pods.
    pub async fn start(webhook: &str, webhook_ca: &str, group: &str) -> anyhow::Result<Self> {
        let transport = ReqwestTransport::builder()
            .with_root_certificates(webhook_ca.as_bytes())
            .with_named_roots_only()
            .build()?;
        Self::listen(Some((webhook.parse().context("the webhook's address")?, transport)), group).await
    }

    /// Starts one that knows nobody but [service accounts](Self::add_account).
    pub async fn without_people() -> anyhow::Result<Self> {
        Self::listen(None, "").await
    }

    async fn listen(webhook: Option<(Url, ReqwestTransport)>, group: &str) -> anyhow::Result<Self> {
        let certificate = Certificate::generate()?;
        let chain = rustls_pem::certificates(&certificate.pem)?;
        let key = rustls_pem::key(&certificate.key_pem)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (log, accounts) = (Arc::default(), Arc::default());
        let rules = Arc::new(Rules {
            webhook,
            group: group.to_owned(),
            accounts: Arc::clone(&accounts),
            log: Arc::clone(&log),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("https://{}", listener.local_addr()?);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, rules) = (acceptor.clone(), Arc::clone(&rules));
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(Arc::clone(&rules), request));
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Ok(Self { address, ca_pem: certificate.pem, accounts, log, _serving: serving })
    }

    /// Takes that token for one of a service account: whoever asks for a review of it, such as a Vault, is told whose it
    /// is by what it says itself.
    pub fn add_account(&self, token: &str) -> anyhow::Result<()> {
        let claims = token.split('.').nth(1).context("a token has three parts")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        let account = Account { token: token.to_owned(), claims };
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).push(account);
        Ok(())
    }

    /// Returns what was answered so far.
    pub fn answered(&self) -> Vec<Answered> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// PEM becomes what rustls takes.
mod rustls_pem {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::PrivateKeyDer;

    pub(super) fn certificates(pem: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
    }

    pub(super) fn key(pem: &str) -> anyhow::Result<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::from_pem_slice(pem.as_bytes())?)
    }
}

async fn answer(
    rules: Arc<Rules>,
    request: hyper::Request<Incoming>,
) -> anyhow::Result<hyper::Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    if path == "/apis/authentication.k8s.io/v1/tokenreviews" {
        let body = request.into_body().collect().await?.to_bytes();
        return reply(201, &rules.account(&serde_json::from_slice(&body)?));
    }
    let token = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .map(str::to_owned);
    let user = match token {
        Some(token) => rules.review(&token).await?,
        None => None,
    };
    let name = user.as_ref().map(|user| user["username"].as_str().unwrap_or_default().to_owned());
    let (status, body) = match &user {
        None => (401, refusal(401, "Unauthorized", "Unauthorized")),
        Some(user) => rules.resource(&path, user),
    };
    rules.log.lock().unwrap_or_else(PoisonError::into_inner).push(Answered { path, user: name, status });
    reply(status, &body)
}

fn reply(status: u16, body: &Value) -> anyhow::Result<hyper::Response<Full<Bytes>>> {
    let response = hyper::Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from(body.to_string())))?)
}

impl Rules {
    /// Says which service account's token that is.
    fn account(&self, review: &Value) -> Value {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = accounts.iter().find(|account| review["spec"]["token"] == account.token.as_str());
        let status = match found {
            Some(Account { claims, .. }) => {
                let account = &claims["kubernetes.io"];
                let namespace = account["namespace"].as_str().unwrap_or_default();
                let name = account["serviceaccount"]["name"].as_str().unwrap_or_default();
                json!({"authenticated": true, "audiences": claims["aud"], "user": {
                    "username": format!("system:serviceaccount:{namespace}:{name}"),
                    "uid": account["serviceaccount"]["uid"],
                    "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}")]}})
            }
            None => json!({"authenticated": false, "error": "invalid bearer token"}),
        };
        json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status})
    }

    /// Asks the webhook whose token that is.
    async fn review(&self, token: &str) -> anyhow::Result<Option<Value>> {
        let Some((webhook, transport)) = &self.webhook else { return Ok(None) };
        let review = json!({
            "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": {"token": token, "audiences": ["https://kubernetes.default.svc"]},
            "status": {"user": {}},
        });
        let request =
            Request::for_url(Method::Post, webhook.clone()).with_body("application/json", review.to_string());
        let reply = transport.send(request).await?;
        let answer: Value = serde_json::from_slice(reply.body()).unwrap_or_default();
        let is_known = reply.status() == 200 && answer["status"]["authenticated"] == true;
        Ok(is_known.then(|| answer["status"]["user"].clone()))
    }

    fn resource(&self, path: &str, user: &Value) -> (u16, Value) {
        let is_member = user["groups"]
            .as_array()
            .is_some_and(|groups| groups.iter().any(|group| *group == self.group.as_str()));
        match path {
            "/version" => (200, json!({"major": "1", "minor": "34", "gitVersion": "v1.34.1"})),
            "/api" => (200, json!({"kind": "APIVersions", "versions": ["v1"]})),
            "/apis" => (200, json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
            "/api/v1" => {
                let pods = json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod",
                    "verbs": ["get", "list"], "shortNames": ["po"]});
                (200, json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]}))
            }
            "/api/v1/namespaces/default/pods" if is_member => {
                let pod = json!({"kind": "Pod", "apiVersion": "v1",
                    "metadata": {"name": "latchkey", "namespace": "default"}});
                (200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]}))
            }
            "/api/v1/namespaces/default/pods" => {
                let who = user["username"].as_str().unwrap_or_default();
                let why = format!("pods is forbidden: User \"{who}\" cannot list resource \"pods\"");
                (403, refusal(403, "Forbidden", &why))
            }
            _ => (404, refusal(404, "NotFound", "the server could not find the requested resource")),
        }
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code})
}
