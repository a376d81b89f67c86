//! A small HTTP server that stays up: limits on everything a stranger may send, TLS whose files may change, and an end
//! that lets the requests under way finish.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tracing::{info, warn};

use crate::failure::{Exit, Failure};

/// How many connections are served at a time. More wait in the system's queue.
const CONNECTIONS: usize = 2048;

/// How long a client may take to shake hands, or to send the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long one request may take, its body included.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// How long the end waits for requests under way: less than the 30 s that Kubernetes gives a pod.
const FINISH_WITHIN: Duration = Duration::from_secs(20);

/// How often the files of a certificate are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What a program of ours answers.
pub type Answer = Response<Full<Bytes>>;

/// A request whose body has arrived, within the limit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

impl Asked {
    /// Returns a request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: Bytes::new() }
    }
}

/// A server that listens, and has not begun to answer.
pub struct Server {
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    body_limit: usize,
}

impl Server {
    /// Listens for plain HTTP.
    pub async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::of(Exit::Usage, &error)
                .while_doing(&format!("listening on {address}"))
                .with_hint("end the other program, or choose another address or port")
        })?;
        Ok(Self { listener, certificate: None, body_limit: 64 * 1024 })
    }

    /// Speaks TLS alone.
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(Arc::new(certificate));
        self
    }

    /// Sets how long a body may be, in bytes. A longer one is answered with 413.
    pub fn with_body_limit(mut self, limit: usize) -> Self {
        self.body_limit = limit;
        self
    }

    /// Returns where it listens.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers until `stop`, and then lets the requests under way finish.
    pub async fn serve<A, F>(self, stop: impl Future<Output = ()>, answer: A)
    where
        A: Fn(Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let limit = self.body_limit;
        self.run(stop, move |request| respond(request, limit, answer.clone())).await;
    }

    /// Answers by a router of axum until `stop`, and then lets the requests under way finish.
    pub async fn route(self, stop: impl Future<Output = ()>, router: Router) {
        let router = TowerToHyperService::new(router.layer(DefaultBodyLimit::max(self.body_limit)));
        self.run(stop, move |request| {
            let answer = router.call(request);
            async move {
                let late = |_| Ok(text(StatusCode::SERVICE_UNAVAILABLE, "took too long\n").map(Body::new));
                timeout(REQUEST_WITHIN, answer).await.unwrap_or_else(late)
            }
        })
        .await;
    }

    async fn run<S, F, B>(self, stop: impl Future<Output = ()>, service: S)
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { listener, certificate, .. } = self;
        let acceptor = certificate.as_ref().map(Certificate::acceptor);
        let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(64 * 1024);
        let mut looks = interval(LOOK_AGAIN);
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => break,
                _ = looks.tick() => {
                    if let Some(certificate) = &certificate {
                        certificate.look_again();
                    }
                    continue;
                }
                accepted = accept(&listener, &places) => accepted,
            };
            // Out of descriptors, most likely: connections end meanwhile.
            let Some((stream, place)) = stream else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (http, watcher) = (http.clone(), graceful.watcher());
            let (acceptor, service) = (acceptor.clone(), service_fn(service.clone()));
            tokio::spawn(async move {
                let _place = place;
                // An error here is a client that went away, was too slow, or spoke no HTTP: its own affair.
                let _ = stream.set_nodelay(true);
                match acceptor {
                    None => {
                        let connection = http.serve_connection(TokioIo::new(stream), service);
                        let _ = watcher.watch(connection).await;
                    }
                    Some(acceptor) => {
                        if let Ok(Ok(stream)) = timeout(HEAD_WITHIN, acceptor.accept(stream)).await {
                            let connection = http.serve_connection(TokioIo::new(stream), service);
                            let _ = watcher.watch(connection).await;
                        }
                    }
                }
            });
        }
        drop(listener);
        info!("stopping: no new requests");
        if timeout(FINISH_WITHIN, graceful.shutdown()).await.is_err() {
            warn!(seconds = FINISH_WITHIN.as_secs(), "some requests did not finish in time");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, place))
}

async fn respond<A, F>(request: Request<Incoming>, limit: usize, answer: A) -> Result<Answer, Infallible>
where
    A: Fn(Asked) -> F,
    F: Future<Output = Answer>,
{
    let (head, body) = request.into_parts();
    let answered = timeout(REQUEST_WITHIN, async {
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "too long\n");
            }
            Err(_) => return text(StatusCode::BAD_REQUEST, "cut off\n"),
        };
        answer(Asked { method: head.method, path: head.uri.path().to_owned(), body }).await
    });
    Ok(answered.await.unwrap_or_else(|_| text(StatusCode::SERVICE_UNAVAILABLE, "took too long\n")))
}

/// An answer that is a text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}

/// An answer that is JSON.
pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Answer {
    answer(status, "application/json", json)
}

fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A certificate and its key in files, which somebody may replace while the program runs.
#[derive(Debug)]
pub struct Certificate {
    certificates: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// What stood in the files: the two of them change one after the other.
    files: (Vec<u8>, zeroize::Zeroizing<Vec<u8>>),
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads both files: PEM, the server's own certificate first.
    pub fn load(certificates: &Path, key: &Path) -> Result<Self, Failure> {
        let loaded = Loaded::read(certificates, key)?;
        Ok(Self { certificates: certificates.into(), key: key.into(), current: RwLock::new(loaded) })
    }

    /// Takes what stands in the files now, if that is new and fits together. Until then the old one serves.
    fn look_again(&self) {
        let files = |loaded: &Loaded| loaded.files.clone();
        let known = files(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        match Loaded::read(&self.certificates, &self.key) {
            Ok(loaded) if loaded.files != known => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                info!("the certificate was replaced");
            }
            Ok(_) => {}
            Err(failure) => warn!(problem = failure.message(), "the old certificate serves on"),
        }
    }

    fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        // The default versions are versions of the default provider.
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth().with_cert_resolver(resolver));
        #[expect(clippy::expect_used, reason = "both come from the same crate")]
        TlsAcceptor::from(Arc::new(config.expect("the provider has the default versions")))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).certified))
    }
}

impl Loaded {
    fn read(certificates: &Path, key: &Path) -> Result<Self, Failure> {
        let unusable = |path: &Path, what: &str| {
            Failure::new(Exit::Usage, format!("{}: {what}", path.display())).with_hint(
                "--tls-cert and --tls-key name PEM files: a certificate with its chain, and its key",
            )
        };
        let read = |path: &Path| fs::read(path).map_err(|error| unusable(path, &error.to_string()));
        let files = (read(certificates)?, zeroize::Zeroizing::new(read(key)?));
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&files.0)
            .collect::<Result<_, _>>()
            .map_err(|_| unusable(certificates, "no certificate in PEM"))?;
        if chain.is_empty() {
            return Err(unusable(certificates, "no certificate in PEM"));
        }
        let private =
            PrivateKeyDer::from_pem_slice(&files.1).map_err(|_| unusable(key, "no private key in PEM"))?;
        let provider = crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, private, &provider)
            .map_err(|_| unusable(key, "not the key of the certificate"))?;
        Ok(Self { files, certified: Arc::new(certified) })
    }
}
