//! How a client says who it is, what it gets for itself, and other ways to ask and to be answered.

use latchkey_oidc_flow::{
    Algorithm, Assertions, AwsLcSigner, CallbackParams, Client, Error, Provider, RefusalReason, ResponseMode,
    TokenType,
};
use latchkey_tests::{Backend, Browser, Place, READER, behaviours};
use latchkey_transport::{Secret, SystemRandom};
use url::form_urlencoded;

use crate::support::{REDIRECT_URI, client};

behaviours! {
    a_client_that_may_have_no_token_for_itself_is_told_so,
    an_answer_comes_in_the_fragment,
    an_answer_comes_in_a_form,
    #[not_on(Place::MemoryOpenBao, "the double has no service accounts yet")]
    #[not_on(Place::MemoryVault, "the double has no service accounts yet")]
    #[not_on(Place::Loopback, "the double has no service accounts yet")]
    a_client_gets_a_token_for_itself,
    #[not_on(Place::MemoryOpenBao, "the double has no service accounts yet")]
    #[not_on(Place::MemoryVault, "the double has no service accounts yet")]
    #[not_on(Place::Loopback, "the double has no service accounts yet")]
    a_client_signs_who_it_is_with_its_key,
    #[not_on(Place::MemoryOpenBao, "the double has no service accounts yet")]
    #[not_on(Place::MemoryVault, "the double has no service accounts yet")]
    #[not_on(Place::Loopback, "the double has no service accounts yet")]
    a_client_signs_who_it_is_with_its_secret,
    a_pushed_login_signs_in,
    #[not_on(Place::MemoryOpenBao, "the double exchanges no tokens yet")]
    #[not_on(Place::MemoryVault, "the double exchanges no tokens yet")]
    #[not_on(Place::Loopback, "the double exchanges no tokens yet")]
    a_token_is_exchanged_for_another,
}

async fn named(backend: &Backend, client_id: &str) -> Client {
    let provider = Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap();
    Client::new(provider, client_id)
}

async fn service(backend: &Backend) -> Client {
    named(backend, "latchkey-service").await.with_secret("s3rv1ce")
}

async fn a_client_that_may_have_no_token_for_itself_is_told_so(backend: Backend) {
    let error = client(&backend).await.client_credentials().send(backend.now()).await.unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.reason, RefusalReason::UnauthorizedClient);
}

async fn an_answer_comes_in_the_fragment(backend: Backend) {
    let client = client(&backend).await;
    let login = client
        .authorize(REDIRECT_URI)
        .with_response_mode(ResponseMode::Fragment)
        .begin(&mut SystemRandom, backend.now())
        .unwrap();
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    assert_eq!(page.address.query(), None);
    let callback = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&callback, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn an_answer_comes_in_a_form(backend: Backend) {
    let client = client(&backend).await;
    let login = client
        .authorize(REDIRECT_URI)
        .with_response_mode(ResponseMode::FormPost)
        .begin(&mut SystemRandom, backend.now())
        .unwrap();
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    let mut body = form_urlencoded::Serializer::new(String::new());
    for name in ["code", "state", "iss", "session_state"] {
        if let Some(value) = field(&page.html, name) {
            body.append_pair(name, &value);
        }
    }
    let callback = CallbackParams::parse(&body.finish()).unwrap();
    let callback = login.pending.accept(&callback, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

/// The value of a hidden field, whatever the order and the case of its attributes.
fn field(html: &str, name: &str) -> Option<String> {
    let wanted = format!("name=\"{name}\"");
    let tags = html.split('<').filter_map(|tag| tag.split('>').next());
    let tag = tags
        .map(|tag| tag.replace("NAME=", "name=").replace("VALUE=", "value="))
        .find(|tag| tag.contains(&wanted))?;
    let value = tag.split("value=\"").nth(1)?.split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&#x2F;", "/").replace("&#x3A;", ":"))
}

async fn a_client_gets_a_token_for_itself(backend: Backend) {
    let client = service(&backend).await;
    let token = client.client_credentials().with_scope("email").send(backend.now()).await.unwrap();
    assert!(token.expires_at.unwrap() > backend.now());
    assert!(token.scopes.iter().any(|scope| scope == "email"), "{:?}", token.scopes);
    let wrong = client.with_secret("wrong").client_credentials().send(backend.now()).await;
    assert!(matches!(wrong, Err(Error::Refused(_))), "{wrong:?}");
}

async fn signing(backend: &Backend, client_id: &str, signer: AwsLcSigner) {
    let assertions = Assertions::new(signer, &mut SystemRandom).unwrap();
    let client = named(backend, client_id).await.with_assertions(assertions);
    for _ in 0..2 {
        client.client_credentials().send(backend.now()).await.unwrap();
    }
}

async fn a_client_signs_who_it_is_with_its_key(backend: Backend) {
    let key = Secret::new(include_str!("../servers/client-key.pem"));
    let signer = AwsLcSigner::from_pem(Algorithm::Es256, &key).unwrap().with_key_id("client-key");
    signing(&backend, "latchkey-key-jwt", signer).await;
}

async fn a_client_signs_who_it_is_with_its_secret(backend: Backend) {
    let secret = Secret::new("a-secret-of-more-than-32-bytes-for-hs256");
    let signer = AwsLcSigner::from_secret(&secret).unwrap();
    signing(&backend, "latchkey-secret-jwt", signer).await;
}

async fn a_pushed_login_signs_in(backend: Backend) {
    let client = client(&backend).await;
    let login = client.authorize(REDIRECT_URI).push(&mut SystemRandom, backend.now()).await.unwrap();
    let state = login.pending.state().expose_secret();
    assert!(!login.url.as_str().contains(state), "the state is not in the address");
    let browser = Browser::new(backend.transport.clone());
    let stop = Some(REDIRECT_URI);
    let page = browser.sign_in(&login.url, READER.name, READER.password, stop).await.unwrap();
    let callback = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&callback, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_token_is_exchanged_for_another(backend: Backend) {
    let client = service(&backend).await;
    let token = client.client_credentials().send(backend.now()).await.unwrap();
    let exchange = client.exchange(token.access_token.clone(), TokenType::AccessToken);
    let exchanged = exchange.with_requested_type(TokenType::AccessToken).send(backend.now()).await.unwrap();
    assert_eq!(exchanged.issued_type, TokenType::AccessToken);
    assert!(exchanged.is_bearer);
    let invented = client.exchange(Secret::new("invented"), TokenType::AccessToken);
    let outcome = invented.send(backend.now()).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
}
