//! What a program is told when a secure connection cannot be had, against a real TLS server with an own CA.

use std::sync::Arc;

use latchkey_transport::danger::Danger;
use latchkey_transport::{
    Error, Method, Request, ReqwestTransport, ReqwestTransportBuilder, TlsProblem, Transport,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn signs(&self, name: &str, expired: bool) -> (CertificateDer<'static>, KeyPair, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key, certificate.pem())
    }
}

/// Serves a certificate that the authority signs.
async fn serve(authority: &Authority, name: &str, expired: bool, wants_client: bool) -> String {
    let (certificate, key, _) = authority.signs(name, expired);
    serve_with(authority, certificate, &key, wants_client).await
}

/// Serves one certificate on a free port and answers everything with 204.
async fn serve_with(
    authority: &Authority,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    wants_client: bool,
) -> String {
    let builder = ServerConfig::builder();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                stream.read_u8().await?;
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await
            });
        }
    });
    address
}

async fn call(builder: ReqwestTransportBuilder, address: String) -> Result<u16, Error> {
    let transport = builder.build()?;
    transport.send(Request::new(Method::Get, address)).await.map(|reply| reply.status())
}

fn trusting(authority: &Authority) -> ReqwestTransportBuilder {
    ReqwestTransport::builder().with_root_certificates(authority.pem.as_bytes())
}

fn problem(outcome: &Result<u16, Error>) -> Option<TlsProblem> {
    match outcome {
        Err(Error::Tls { problem, .. }) => Some(*problem),
        _ => None,
    }
}

#[tokio::test]
async fn an_own_ca_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let address = serve(&authority, "127.0.0.1", false, false).await;
    assert_eq!(call(trusting(&authority), address.clone()).await.unwrap(), 204);
    assert_eq!(call(trusting(&authority).with_named_roots_only(), address).await.unwrap(), 204);
}

#[tokio::test]
async fn an_unknown_ca_is_named_as_the_problem() {
    let authority = Authority::new();
    let address = serve(&authority, "127.0.0.1", false, false).await;
    let outcome = call(ReqwestTransport::builder(), address.clone()).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::UnknownIssuer), "{outcome:?}");
    let outcome = call(trusting(&Authority::new()).with_named_roots_only(), address.clone()).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::UnknownIssuer), "{outcome:?}");
    let careless = ReqwestTransport::builder().danger(Danger::AnyCertificate);
    assert_eq!(call(careless, address).await.unwrap(), 204);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_named_as_the_problem() {
    let authority = Authority::new();
    let outcome = call(trusting(&authority), serve(&authority, "vault.example", false, false).await).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::WrongName), "{outcome:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_named_as_the_problem() {
    let authority = Authority::new();
    let outcome = call(trusting(&authority), serve(&authority, "127.0.0.1", true, false).await).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::NotValidNow), "{outcome:?}");
}

#[tokio::test]
async fn a_certificate_of_the_ca_itself_is_named_as_the_problem() {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let address = serve_with(&Authority::new(), certificate.der().clone(), &key, false).await;
    let trusting = ReqwestTransport::builder().with_root_certificates(certificate.pem().as_bytes());
    let outcome = call(trusting, address).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::UnfitCertificate), "{outcome:?}");
}

#[tokio::test]
async fn a_missing_client_certificate_is_named_as_the_problem() {
    let authority = Authority::new();
    let address = serve(&authority, "127.0.0.1", false, true).await;
    let outcome = call(trusting(&authority), address.clone()).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::ClientCertificate), "{outcome:?}");
    let (_, key, pem) = authority.signs("me.example", false);
    let identity = format!("{}{pem}", key.serialize_pem());
    let known = trusting(&authority).with_client_certificate(identity.as_bytes());
    assert_eq!(call(known, address).await.unwrap(), 204);
}

#[tokio::test]
async fn a_port_without_tls_is_named_as_the_problem() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let outcome = call(ReqwestTransport::builder(), address).await;
    assert_eq!(problem(&outcome), Some(TlsProblem::Handshake), "{outcome:?}");
}
