//! Finding the provider.

use latchkey_oidc_flow::{Error, Misbehaviour, Provider};
use latchkey_testbed::{Misbehaviour as Lie, Span};
use latchkey_tests::{Backend, Place, behaviours};

behaviours! {
    a_provider_is_discovered,
    an_issuer_with_a_slash_more_is_another_issuer,
    an_unknown_realm_is_no_provider,
    #[not_on(Place::MemoryOpenBao, "in memory nobody can be down")]
    #[not_on(Place::MemoryVault, "in memory nobody can be down")]
    a_provider_that_is_down_is_unreachable,
    #[not_on(Place::Real, "the real provider does not lie")]
    a_provider_that_names_another_issuer_is_refused,
    #[not_on(Place::Real, "the real provider announces S256")]
    a_provider_without_s256_is_refused,
}

async fn a_provider_is_discovered(backend: Backend) {
    let provider = Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap();
    assert_eq!(provider.issuer(), backend.issuer);
    let endpoint = provider.metadata().token_endpoint().as_str();
    assert_eq!(endpoint, format!("{}/protocol/openid-connect/token", backend.issuer));
}

async fn an_issuer_with_a_slash_more_is_another_issuer(backend: Backend) {
    let issuer = format!("{}/", backend.issuer);
    let outcome = Provider::discover(&issuer, backend.transport.clone()).await;
    let Err(Error::Misbehaved(Misbehaviour::IssuerMismatch { expected, found })) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((expected, found), (issuer, backend.issuer));
}

async fn an_unknown_realm_is_no_provider(backend: Backend) {
    let issuer = backend.issuer.replace("HashiCorp", "nobody");
    let outcome = Provider::discover(&issuer, backend.transport.clone()).await;
    assert!(
        matches!(outcome, Err(Error::Misbehaved(Misbehaviour::Status { status: 404, .. }))),
        "{outcome:?}"
    );
}

async fn a_provider_that_is_down_is_unreachable(backend: Backend) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}/realms/HashiCorp");
    let error = Provider::discover(&issuer, backend.transport.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Transport(latchkey_transport::Error::Unreachable { .. })), "{error:?}");
    assert!(error.is_transient());
}

async fn a_provider_that_names_another_issuer_is_refused(backend: Backend) {
    backend.world().provider().misbehave(Lie::DiscoveryIssuer, Span::Once);
    let outcome = Provider::discover(&backend.issuer, backend.transport.clone()).await;
    assert!(matches!(outcome, Err(Error::Misbehaved(Misbehaviour::IssuerMismatch { .. }))), "{outcome:?}");
}

async fn a_provider_without_s256_is_refused(backend: Backend) {
    backend.world().provider().misbehave(Lie::NoS256, Span::Once);
    let outcome = Provider::discover(&backend.issuer, backend.transport.clone()).await;
    assert!(matches!(outcome, Err(Error::Misbehaved(Misbehaviour::PkceUnsupported))), "{outcome:?}");
}
