//! [`Transport`] for native programs, on reqwest and rustls.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::iter;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, redirect, retry};
use rustls::{AlertDescription, CertificateError};
use url::{Position, Url};
use zeroize::Zeroizing;

use crate::danger::Danger;
use crate::message::is_loopback;
use crate::{Body, Error, Misuse, Reply, ReplyHeaders, Request, TlsProblem, Transport};

/// The engine for native programs: reqwest with rustls. Clones share their connections.
///
/// It keeps the [`Transport`] contract: no redirects, no cookies, a limit on every body, one time limit for a whole
/// call, TLS 1.2 or later with the certificates that the system trusts, and no proxy unless asked. The bodies that it
/// hands over are wiped; the buffers that hyper and rustls read them through are theirs.
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    /// What `client` is without its proxy, where it has one: plain http may not leave this machine through it.
    direct: Option<Client>,
    plain_http_anywhere: bool,
}

impl ReqwestTransport {
    /// Returns a transport that trusts what the system trusts.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidSetting`] where the system's trusted certificates cannot be loaded.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Returns a builder, for an own CA, a client certificate or a proxy.
    pub fn builder() -> ReqwestTransportBuilder {
        ReqwestTransportBuilder {
            roots: Vec::new(),
            only_roots: false,
            identity: None,
            environment_proxy: false,
            dangers: Vec::new(),
        }
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}

/// How a [`ReqwestTransport`] is to be.
pub struct ReqwestTransportBuilder {
    roots: Vec<u8>,
    only_roots: bool,
    identity: Option<Zeroizing<Vec<u8>>>,
    environment_proxy: bool,
    dangers: Vec<Danger>,
}

impl ReqwestTransportBuilder {
    /// Also trusts these certificates: PEM, one or more.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots.extend_from_slice(pem);
        self.roots.push(b'\n');
        self
    }

    /// Trusts only the certificates that were named, not the system's.
    pub fn with_named_roots_only(mut self) -> Self {
        self.only_roots = true;
        self
    }

    /// Shows this certificate to servers that ask for one: PEM, the private key and the certificate with its chain.
    pub fn with_client_certificate(mut self, pem: &[u8]) -> Self {
        self.identity = Some(Zeroizing::new(pem.to_vec()));
        self
    }

    /// Uses the proxy that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name. A library does not read the
    /// environment unless it is told to. Plain http to loopback stays on this machine and goes through no proxy.
    pub fn with_environment_proxy(mut self) -> Self {
        self.environment_proxy = true;
        self
    }

    /// Gives up a protection. See [`Danger`] for what that means.
    pub fn danger(mut self, danger: Danger) -> Self {
        self.dangers.push(danger);
        self
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidSetting`] names the setting that cannot be used: roots or a client certificate that are no
    /// PEM, or hold none.
    pub fn build(self) -> Result<ReqwestTransport, Error> {
        let plain_http_anywhere = self.dangers.contains(&Danger::PlainHttp);
        let direct = self.client(false)?;
        Ok(if self.environment_proxy {
            ReqwestTransport { client: self.client(true)?, direct: Some(direct), plain_http_anywhere }
        } else {
            ReqwestTransport { client: direct, direct: None, plain_http_anywhere }
        })
    }

    fn client(&self, proxied: bool) -> Result<Client, Error> {
        let invalid = |setting| move |_| Error::Misuse(Misuse::InvalidSetting { setting });
        let mut client = ClientBuilder::new()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .https_only(false) // `Request::check` decides: it knows loopback.
            .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")));
        if !proxied {
            client = client.no_proxy();
        }
        let roots = if self.roots.is_empty() {
            Vec::new()
        } else {
            Certificate::from_pem_bundle(&self.roots).map_err(invalid("root certificates"))?
        };
        if roots.is_empty() && (self.only_roots || !self.roots.is_empty()) {
            return Err(Misuse::InvalidSetting { setting: "root certificates" }.into());
        }
        client = if self.only_roots { client.tls_certs_only(roots) } else { client.tls_certs_merge(roots) };
        if let Some(pem) = &self.identity {
            client = client.identity(Identity::from_pem(pem).map_err(invalid("client certificate"))?);
        }
        if self.dangers.contains(&Danger::AnyCertificate) {
            client = client.tls_danger_accept_invalid_certs(true);
        }
        client.build().map_err(invalid("TLS settings"))
    }
}

#[async_trait::async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        let (host, time_limit, reply_limit) = (request.host(), request.time_limit(), request.reply_limit());
        let pending = self.begin(request)?;
        // One limit around the whole call: name, connection, waiting, and every part of the body.
        match tokio::time::timeout(time_limit, receive(pending, reply_limit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut { host, limit: time_limit }),
        }
    }
}

impl ReqwestTransport {
    /// Hands the request over to the engine. Nothing of it is kept while the reply is waited for.
    fn begin(
        &self,
        mut request: Request,
    ) -> Result<impl Future<Output = Result<Response, reqwest::Error>> + use<>, Error> {
        request.check(self.plain_http_anywhere)?;
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| Misuse::InvalidTarget)?;
        let headers = headers_to_send(&request)?;
        let body = request.take_body();
        let url = request.into_url().ok_or(Misuse::NoServer)?;
        let client = match &self.direct {
            Some(direct) if url.scheme() == "http" && is_loopback(&url) => direct,
            _ => &self.client,
        };
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers;
        *outgoing.body_mut() = body.map(|body| Bytes::from_owner(Shared(body)).into());
        Ok(client.execute(outgoing))
    }
}

/// How much memory is made on a server's word: 64 KiB, more than nearly every reply has.
const FIRST_PART: usize = 64 * 1024;

async fn receive(
    pending: impl Future<Output = Result<Response, reqwest::Error>>,
    limit: usize,
) -> Result<Reply, Error> {
    let mut response = pending.await.map_err(|error| {
        let host = error.url().map(host_of).unwrap_or_default();
        failure(error, host)
    })?;
    let too_large = |response: &Response| Error::ReplyTooLarge { host: host_of(response.url()), limit };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large(&response));
    }
    // What was announced is a promise: memory for more is made when it comes.
    let promised = usize::try_from(announced).unwrap_or(0).min(FIRST_PART);
    let mut body = Zeroizing::new(Vec::with_capacity(promised));
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => return Err(failure(error, host_of(response.url()))),
        };
        if body.len() + chunk.len() > limit {
            return Err(too_large(&response));
        }
        grow(&mut body, chunk.len());
        body.extend_from_slice(&chunk);
    }
    Ok(Reply::new(response.status().as_u16(), body).with_headers(headers_received(&response)))
}

/// Makes room without leaving an unwiped copy of what was read so far behind.
fn grow(body: &mut Zeroizing<Vec<u8>>, more: usize) {
    if body.capacity() - body.len() < more {
        let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + more).max(body.capacity() * 2)));
        larger.extend_from_slice(body);
        *body = larger;
    }
}

/// A body that is sent without copying it, and wiped when its last part was sent.
struct Shared(Body);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // Opened to be sent.
        self.0.expose_secret()
    }
}

fn headers_to_send(request: &Request) -> Result<HeaderMap, Misuse> {
    let mut headers = HeaderMap::with_capacity(4);
    for (name, value, secret) in request.headers() {
        let invalid = || Misuse::InvalidHeader { name: name.to_owned() };
        // A name in small letters needs no memory of its own. The check is that of `from_static`, which panics.
        let small = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let header = if !name.is_empty() && name.bytes().all(small) {
            HeaderName::from_static(name)
        } else {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?
        };
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(secret);
        headers.append(header, value);
    }
    Ok(headers)
}

fn headers_received(response: &Response) -> ReplyHeaders {
    let size = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum();
    let mut headers = ReplyHeaders::with_capacity(size);
    for (name, value) in response.headers() {
        if let Ok(value) = value.to_str() {
            headers.push_checked(name.as_str(), value);
        }
    }
    headers
}

fn host_of(url: &Url) -> String {
    url[Position::BeforeHost..Position::AfterPort].to_owned()
}

/// Sorts an error of the engine by what the server may have seen of the request.
fn failure(error: reqwest::Error, host: String) -> Error {
    if let Some(problem) = tls_problem(&error) {
        return Error::Tls { host, problem, cause: Some(Box::new(error.without_url())) };
    }
    let refused = error.is_connect();
    let cause = Some(error.without_url().into());
    if refused { Error::Unreachable { host, cause } } else { Error::Lost { host, cause } }
}

/// Finds the part of a handshake that failed. A TLS error after the handshake is a lost connection, except for the
/// alerts by which a TLS 1.3 server refuses a client certificate: they arrive late, yet nothing was processed.
fn tls_problem(error: &reqwest::Error) -> Option<TlsProblem> {
    let mut causes = iter::successors(error.source(), |&cause| match cause.downcast_ref::<io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => cause.source(),
    });
    let cause = causes.find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
    match cause {
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied,
        ) => Some(TlsProblem::ClientCertificate),
        _ if !error.is_connect() => None,
        rustls::Error::InvalidCertificate(problem) => Some(match problem {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::WrongName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsProblem::NotValidNow,
            // A bad signature is that of a namesake of an authority that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsProblem::UnknownIssuer,
            _ => TlsProblem::UnfitCertificate,
        }),
        _ => Some(TlsProblem::Handshake),
    }
}
