//! A sign-in that comes back to a port of this machine.

use std::time::Duration;

use latchkey_oidc_flow::{CallbackProblem, Error, Loopback, LoopbackAddress};
use latchkey_tests::{Backend, Browser, Page, Place, READER, behaviours};
use latchkey_transport::{Method, Request, SystemRandom, Transport};
use latchkey_vault_client::auth::ClientNonce;
use url::Url;

use crate::support::{client, vault};

behaviours! {
    #[not_on(Place::MemoryOpenBao, "a listener needs sockets")]
    #[not_on(Place::MemoryVault, "a listener needs sockets")]
    a_browser_comes_back_and_is_signed_in,
    #[not_on(Place::MemoryOpenBao, "a listener needs sockets")]
    #[not_on(Place::MemoryVault, "a listener needs sockets")]
    strangers_do_not_end_the_wait,
    #[not_on(Place::MemoryOpenBao, "a listener needs sockets")]
    #[not_on(Place::MemoryVault, "a listener needs sockets")]
    the_vault_signs_in_through_the_same_door,
    #[not_on(Place::MemoryOpenBao, "a listener needs sockets")]
    #[not_on(Place::MemoryVault, "a listener needs sockets")]
    a_callback_with_the_wrong_issuer_is_refused_on_the_page,
}

async fn door() -> Loopback {
    Loopback::bind(LoopbackAddress::any_port()).await.unwrap()
}

const LIMIT: Duration = Duration::from_secs(60);

/// Signs in and follows every redirect, through the door, to the last page.
async fn sign_in(backend: &Backend, address: Url) -> Page {
    let browser = Browser::new(backend.transport.clone());
    browser.sign_in(&address, READER.name, READER.password, None).await.unwrap()
}

async fn a_browser_comes_back_and_is_signed_in(backend: Backend) {
    let client = client(&backend).await;
    let door = door().await;
    let login = client.authorize(door.redirect_uri()).begin(&mut SystemRandom, backend.now()).unwrap();
    let (callback, page) =
        tokio::join!(door.wait(login.pending, LIMIT, backend.now()), sign_in(&backend, login.url));
    client.redeem(callback.unwrap(), backend.now()).await.unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(page.address.query(), None, "code and state are gone from the address bar");
    assert!(page.html.contains("window.close"), "the page closes itself");
}

async fn strangers_do_not_end_the_wait(backend: Backend) {
    let client = client(&backend).await;
    let door = door().await;
    let redirect = door.redirect_uri().to_owned();
    let login = client.authorize(&*redirect).begin(&mut SystemRandom, backend.now()).unwrap();
    let strangers = async {
        for (method, target) in [
            (Method::Get, format!("{redirect}?code=forged&state=forged")),
            (Method::Get, format!("{redirect}?error=access_denied")),
            (Method::Get, redirect.replace("/oidc/callback", "/favicon.ico")),
            (Method::Delete, redirect.clone()),
        ] {
            let reply = backend.transport.send(Request::new(method, target.clone())).await.unwrap();
            assert!(reply.status() >= 400, "{target}: {}", reply.status());
        }
        sign_in(&backend, login.url).await
    };
    let (callback, page) = tokio::join!(door.wait(login.pending, LIMIT, backend.now()), strangers);
    client.redeem(callback.unwrap(), backend.now()).await.unwrap();
    assert_eq!(page.status, 200);
}

async fn the_vault_signs_in_through_the_same_door(backend: Backend) {
    let site = backend.site().await.unwrap();
    let door = door().await;
    let nonce = ClientNonce::generate(&mut SystemRandom).unwrap();
    let vault = vault(&backend);
    let oidc = vault.oidc(&site.oidc);
    let auth_url = oidc.auth_url("default", door.redirect_uri(), &nonce).await.unwrap();
    let answer = door.wait_for_code(auth_url.state(), LIMIT);
    let (code, _) = tokio::join!(answer, sign_in(&backend, auth_url.url().clone()));
    oidc.callback(auth_url.state(), &code.unwrap(), &nonce).await.unwrap();
}

async fn a_callback_with_the_wrong_issuer_is_refused_on_the_page(backend: Backend) {
    let client = client(&backend).await;
    let door = door().await;
    let redirect = door.redirect_uri().to_owned();
    let login = client.authorize(&*redirect).begin(&mut SystemRandom, backend.now()).unwrap();
    let browser = Browser::new(backend.transport.clone());
    let mixed_up = async {
        let stop = Some(redirect.as_str());
        let page = browser.sign_in(&login.url, READER.name, READER.password, stop).await.unwrap();
        let address = page.address.as_str().replace("HashiCorp", "Elsewhere");
        browser.open(&Url::parse(&address).unwrap(), None).await.unwrap()
    };
    let (callback, page) = tokio::join!(door.wait(login.pending, LIMIT, backend.now()), mixed_up);
    let error = callback.unwrap_err();
    assert!(matches!(error, Error::Callback(CallbackProblem::IssuerMismatch { .. })), "{error:?}");
    assert!(page.html.contains("Not signed in"), "{}", page.html);
}
