//! Signing in on another device, and signing out.

use std::time::Duration;

use latchkey_oidc_flow::{
    CallbackParams, Client, DeviceLogin, DeviceProgress, Error, Provider, RefusalReason,
};
use latchkey_tests::{Backend, Browser, Page, Place, READER, behaviours};
use latchkey_transport::SystemRandom;
use serde_json::json;

use crate::support::{REDIRECT_URI, begin, client};

behaviours! {
    a_sign_out_ends_the_session_and_comes_back_with_its_state,
    #[not_on(Place::MemoryOpenBao, "the double does not sign in on another device yet")]
    #[not_on(Place::MemoryVault, "the double does not sign in on another device yet")]
    #[not_on(Place::Loopback, "the double does not sign in on another device yet")]
    a_person_signs_in_on_another_device,
    #[not_on(Place::MemoryOpenBao, "the double does not sign in on another device yet")]
    #[not_on(Place::MemoryVault, "the double does not sign in on another device yet")]
    #[not_on(Place::Loopback, "the double does not sign in on another device yet")]
    a_person_may_say_no_on_another_device,
    #[not_on(Place::MemoryOpenBao, "the double does not sign in on another device yet")]
    #[not_on(Place::MemoryVault, "the double does not sign in on another device yet")]
    #[not_on(Place::Loopback, "the double does not sign in on another device yet")]
    a_client_that_may_not_use_devices_is_told_so,
}

async fn a_sign_out_ends_the_session_and_comes_back_with_its_state(backend: Backend) {
    let client = client(&backend).await;
    let browser = Browser::new(backend.transport.clone());
    let login = begin(&backend, &client);
    let stop = Some(REDIRECT_URI);
    let page = browser.sign_in(&login.url, READER.name, READER.password, stop).await.unwrap();
    let callback = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&callback, backend.now()).unwrap();
    let tokens = client.redeem(callback, backend.now()).await.unwrap();

    let out = client
        .end_session()
        .with_id_token(&tokens.id_token)
        .with_redirect_uri(REDIRECT_URI)
        .begin(&mut SystemRandom)
        .unwrap();
    let page = browser.open(&out.url, stop).await.unwrap();
    assert!(page.address.as_str().starts_with(REDIRECT_URI), "{} {}", page.status, page.address.path());
    let back = CallbackParams::from_address(page.address.as_str()).unwrap();
    out.pending.unwrap().accept(&back).unwrap();

    let error = client.refresh(&tokens.grant().unwrap(), backend.now()).await.unwrap_err();
    assert!(matches!(error, Error::GrantOver { .. }), "{error:?}");
}

/// The client that may sign in on other devices.
async fn device_client(backend: &Backend) -> Client {
    let provider = Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap();
    Client::new(provider, "latchkey-service").with_secret("s3rv1ce")
}

/// Opens the page on the other device, signs in, and answers the question there.
async fn answer(backend: &Backend, login: &DeviceLogin, button: &str) -> Page {
    let browser = Browser::new(backend.transport.clone());
    let address = login.verification_uri_complete.as_ref().unwrap();
    let question = browser.sign_in(address, READER.name, READER.password, None).await.unwrap();
    browser.submit(&question, &[(button, "")], None).await.unwrap()
}

/// Polls until the provider has said something.
async fn poll(backend: &Backend, client: &Client, login: &mut DeviceLogin) -> Result<DeviceProgress, Error> {
    for _ in 0..20 {
        match client.poll_device(&mut login.pending, backend.now()).await {
            Ok(DeviceProgress::Waiting { .. }) => tokio::time::sleep(Duration::from_millis(500)).await,
            outcome => return outcome,
        }
    }
    panic!("nothing was heard within 10 s");
}

async fn a_person_signs_in_on_another_device(backend: Backend) {
    let client = device_client(&backend).await;
    let mut login = client.device().with_scope("email").begin(backend.now()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let progress = client.poll_device(&mut login.pending, backend.now()).await.unwrap();
    assert!(matches!(progress, DeviceProgress::Waiting { .. }), "{progress:?}");
    answer(&backend, &login, "accept").await;
    let progress = poll(&backend, &client, &mut login).await.unwrap();
    let DeviceProgress::SignedIn(tokens) = progress else { panic!("{progress:?}") };
    assert_eq!(tokens.id_token.claim("preferred_username"), Some(&json!("reader")));
    client.refresh(&tokens.grant().unwrap(), backend.now()).await.unwrap().release();
}

async fn a_person_may_say_no_on_another_device(backend: Backend) {
    let client = device_client(&backend).await;
    let mut login = client.device().begin(backend.now()).await.unwrap();
    answer(&backend, &login, "cancel").await;
    match poll(&backend, &client, &mut login).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.reason, RefusalReason::AccessDenied),
        other => panic!("{other:?}"),
    }
}

async fn a_client_that_may_not_use_devices_is_told_so(backend: Backend) {
    let error = client(&backend).await.device().begin(backend.now()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(_)), "{error:?}");
}
