//! What only a certified provider does, on npm's `oidc-provider`, and on Keycloak where it does the same.
//!
//! [`of_the_others`] lets the certified provider stand in for the provider of the other modules as well.

use std::time::Duration;

use latchkey_oidc_flow::{
    Algorithm, Authentication, AwsLcSigner, CallbackParams, Client, DeviceProgress, Dpop, Error, Grant,
    Introspection, LogoutToken, Prompt, Provider, RefusalReason, ResponseMode, TokenKind, Tokens,
};
use latchkey_tests::{Backend, Behaviour, Browser, Place, READER, behaviours};
use latchkey_transport::{Method, Request, Secret, SystemRandom, Transport};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::form_urlencoded;

use crate::support::{REDIRECT_URI, client, tokens, validated};

behaviours! {
    an_error_is_posted_as_an_answer_is,
    a_signed_answer_is_opened,
    a_signed_answer_comes_in_a_form,
    an_answer_that_should_be_signed_and_is_not_is_refused,
    a_signed_request_is_understood,
    signed_userinfo_is_checked,
    a_logout_token_comes_by_the_back_channel,
    tokens_are_bound_to_a_key,
    #[not_on(Place::Real, "the real provider asks for no nonce")]
    a_provider_that_wants_its_nonce_in_the_proof_gets_it,
    #[not_on(Place::Real, "no client of this realm must push what it asks for")]
    a_client_that_must_push_is_refused_without_and_signs_in_with,
    #[not_on(Place::Real, "the real provider's keys are not the test's to rotate")]
    keys_that_change_just_before_signing_are_fetched_at_once,
    #[not_on(Place::Real, "refresh tokens do not rotate in this realm")]
    a_refresh_token_rotates_and_the_old_one_ends_the_grant,
    #[not_on(Place::Real, "its pages are those of another module's test")]
    a_person_signs_in_on_another_device_and_is_asked_first,
    #[not_on(Place::Real, "the scopes phone and address have no claims in this realm")]
    claims_come_with_their_scopes,
    #[not_on(Place::Real, "the real provider tells a client only about access tokens that name it in aud")]
    an_opaque_access_token_is_looked_into,
    #[not_on(Place::Real, "this realm has no public client")]
    a_public_client_signs_in,
}

/// The other modules' tests that a provider alone can pass, here.
pub fn of_the_others() -> Vec<Behaviour> {
    let modules = [
        crate::discovery::behaviours(),
        crate::login::behaviours(),
        crate::oidc_refresh::behaviours(),
        crate::oidc_grants::behaviours(),
        crate::oidc_device::behaviours(),
    ];
    modules.into_iter().flatten().map(|behaviour| here(&behaviour)).collect()
}

/// What is not run here, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("a_provider_is_discovered", "its addresses are not Keycloak's"),
    ("an_unknown_realm_is_no_provider", "it has no realms"),
    ("roles_are_in_the_token_as_the_provider_nests_them", "it knows no roles"),
    ("a_callback_from_another_issuer_is_refused", "its issuer has no realm that could be another"),
    ("a_code_needs_the_verifier_of_its_login", "it shows no codes to people"),
    ("a_pasted_code_signs_in", "it shows no codes to people"),
    ("a_pasted_address_signs_in_and_its_state_counts", "it shows no codes to people"),
    ("a_pasted_address_of_another_login_is_refused", "it shows no codes to people"),
    ("a_client_that_may_have_no_token_for_itself_is_told_so", "it calls such a request invalid"),
    ("a_token_is_exchanged_for_another", "it exchanges no tokens"),
    (
        "a_sign_out_ends_the_session_and_comes_back_with_its_state",
        "it asks the person first: there is a test for that",
    ),
    ("a_person_signs_in_on_another_device", "its pages are others: there is a test for them"),
    ("a_person_may_say_no_on_another_device", "its pages are others: there is a test for them"),
    ("a_client_that_may_not_use_devices_is_told_so", "every client here may"),
];

fn here(behaviour: &Behaviour) -> Behaviour {
    let real = behaviour.not_on.iter().find(|(place, _)| *place == Place::Real).map(|(_, why)| *why);
    let own = NOT_HERE.iter().find(|(name, _)| behaviour.name.ends_with(name)).map(|(_, why)| *why);
    // Lists of a test run: they live as long as it does.
    let not_on = own.or(real).map(|why| vec![(Place::Certified, why)]).unwrap_or_default();
    Behaviour { name: behaviour.name, not_on: not_on.leak(), run: behaviour.run }
}

/// One of the clients that both real providers know.
async fn named(backend: &Backend, client_id: &str) -> Client {
    let provider = Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap();
    Client::new(provider, client_id).with_secret("s3cr3t")
}

async fn sign_in(backend: &Backend, client: &Client) -> Tokens {
    let callback = validated(backend, client, READER).await;
    client.redeem(callback, backend.now()).await.unwrap()
}

/// What would be posted to the client.
fn posted(page: &latchkey_tests::Page) -> CallbackParams {
    let fields = page.hidden_fields();
    assert!(!fields.is_empty(), "{} shows no form: {}", page.address, page.html);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    CallbackParams::parse(&body).unwrap()
}

async fn an_error_is_posted_as_an_answer_is(backend: Backend) {
    let client = client(&backend).await;
    let wishes =
        client.authorize(REDIRECT_URI).with_response_mode(ResponseMode::FormPost).with_prompt(Prompt::None);
    let login = wishes.begin(&mut SystemRandom, backend.now()).unwrap();
    let page = Browser::new(backend.transport.clone()).open(&login.url, Some(REDIRECT_URI)).await.unwrap();
    let error = login.pending.accept(&posted(&page), backend.now()).unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.reason, RefusalReason::LoginRequired);
}

async fn a_signed_answer_is_opened(backend: Backend) {
    let client = client(&backend).await;
    let wishes = client.authorize(REDIRECT_URI).with_response_mode(ResponseMode::QueryJwt);
    let login = wishes.begin(&mut SystemRandom, backend.now()).unwrap();
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    assert_eq!((page.parameter("code"), page.parameter("response").is_some()), (None, true));
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let answer = client.open(answer, backend.now()).await.unwrap();
    let callback = login.pending.accept(&answer, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_signed_answer_comes_in_a_form(backend: Backend) {
    let client = client(&backend).await;
    let wishes = client.authorize(REDIRECT_URI).with_response_mode(ResponseMode::FormPostJwt);
    let login = wishes.begin(&mut SystemRandom, backend.now()).unwrap();
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    let answer = client.open(posted(&page), backend.now()).await.unwrap();
    let callback = login.pending.accept(&answer, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn an_answer_that_should_be_signed_and_is_not_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let wishes = client.authorize(REDIRECT_URI).with_response_mode(ResponseMode::QueryJwt);
    let login = wishes.begin(&mut SystemRandom, backend.now()).unwrap();
    // Somebody on the way takes the wish for a signature out of the address.
    let mut address = login.url.clone();
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    address.query_pairs_mut().clear().extend_pairs(pairs.iter().filter(|(name, _)| name != "response_mode"));
    let page = backend.sign_in(&address, READER, REDIRECT_URI).await.unwrap();
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let answer = client.open(answer, backend.now()).await.unwrap();
    assert!(answer.code().is_some());
    let error = login.pending.accept(&answer, backend.now()).unwrap_err();
    assert_eq!(error.code(), "oidc_callback_not_signed", "{error:?}");
}

fn client_key() -> AwsLcSigner {
    let key = Secret::new(include_str!("../servers/client-key.pem"));
    AwsLcSigner::from_pem(Algorithm::Es256, &key).unwrap().with_key_id("client-key")
}

async fn a_signed_request_is_understood(backend: Backend) {
    let client = named(&backend, "latchkey-signed-request").await;
    let wishes = client.authorize(REDIRECT_URI).with_scope("email");
    let login = wishes.begin_signed(&client_key(), &mut SystemRandom, backend.now()).await.unwrap();
    assert!(login.url.query_pairs().all(|(name, _)| name != "state"), "the state is in the object alone");
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&answer, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn signed_userinfo_is_checked(backend: Backend) {
    let client = named(&backend, "latchkey-signed-userinfo").await;
    let tokens = sign_in(&backend, &client).await;
    let subject = tokens.id_token.subject();
    let info = client.userinfo(&tokens.access_token, subject, backend.now()).await.unwrap();
    assert!(info.is_signed());
    assert_eq!(info.claim("email"), Some(&json!("reader@example.com")));
}

/// Waits for one request and answers it; returns its body.
async fn receive_post(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) =
        tokio::time::timeout(Duration::from_secs(20), listener.accept()).await.unwrap().unwrap();
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.unwrap().trim().parse::<usize>().unwrap() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                return body.as_bytes().to_vec();
            }
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the provider went away");
    }
}

/// Listens there, once whoever else runs this test on this machine has done so.
async fn door(port: u16) -> TcpListener {
    for _ in 0..100 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("port {port} is taken")
}

async fn a_logout_token_comes_by_the_back_channel(backend: Backend) {
    // The address stands with the client, so that each provider has its own port.
    let port = if backend.place == Place::Real { 18251 } else { 18252 };
    let listener = door(port).await;
    let client = named(&backend, "latchkey-logout").await;
    let browser = Browser::new(backend.transport.clone());
    let login = client.authorize(REDIRECT_URI).begin(&mut SystemRandom, backend.now()).unwrap();
    let stop = Some(REDIRECT_URI);
    let page = browser.sign_in(&login.url, READER.name, READER.password, stop).await.unwrap();
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&answer, backend.now()).unwrap();
    let tokens = client.redeem(callback, backend.now()).await.unwrap();

    let out = client.end_session().with_id_token(&tokens.id_token).with_redirect_uri(REDIRECT_URI);
    let out = out.begin(&mut SystemRandom).unwrap();
    let leave = async {
        let page = browser.open(&out.url, stop).await.unwrap();
        // A certified provider asks first.
        let asks = page.status == 200 && page.html.contains("<form");
        if asks { browser.submit(&page, &[], stop).await.unwrap() } else { page }
    };
    let (body, page) = tokio::join!(receive_post(listener), leave);
    out.pending.unwrap().accept(&CallbackParams::from_address(page.address.as_str()).unwrap()).unwrap();
    let token: LogoutToken = client.back_channel_logout(&body, backend.now()).await.unwrap();
    assert!(token.ends(&tokens.id_token));
    assert!(token.session_id().is_some());
}

/// A client with a key of its own, beside its secret.
async fn bound(backend: &Backend, client_id: &str) -> Client {
    let pem = AwsLcSigner::generate(Algorithm::Es256).unwrap();
    let signer = AwsLcSigner::from_pem(Algorithm::Es256, &pem).unwrap();
    let public_key = signer.public_key().unwrap();
    let dpop = Dpop::new(signer, &public_key, &mut SystemRandom).unwrap();
    named(backend, client_id).await.with_dpop(dpop)
}

async fn tokens_are_bound_to_a_key(backend: Backend) {
    let client = bound(&backend, "latchkey-dpop").await;
    let tokens = sign_in(&backend, &client).await;
    let subject = tokens.id_token.subject();
    client.userinfo(&tokens.access_token, subject, backend.now()).await.unwrap();
    let refreshed = client.refresh(&tokens.grant().unwrap(), backend.now()).await.unwrap().release();
    client.userinfo(&refreshed.access_token, subject, backend.now()).await.unwrap();
    // Whoever has the token and not the key has nothing.
    for thief in [bound(&backend, "latchkey-dpop").await, named(&backend, "latchkey-dpop").await] {
        let outcome = thief.userinfo(&tokens.access_token, subject, backend.now()).await;
        assert!(matches!(outcome, Err(Error::Refused(_) | Error::Misbehaved(_))), "{outcome:?}");
    }
}

async fn a_provider_that_wants_its_nonce_in_the_proof_gets_it(backend: Backend) {
    let client = bound(&backend, "latchkey-dpop-nonce").await;
    let tokens = sign_in(&backend, &client).await;
    client.userinfo(&tokens.access_token, tokens.id_token.subject(), backend.now()).await.unwrap();
}

async fn a_client_that_must_push_is_refused_without_and_signs_in_with(backend: Backend) {
    let client = named(&backend, "latchkey-par-only").await;
    let login = client.authorize(REDIRECT_URI).begin(&mut SystemRandom, backend.now()).unwrap();
    let page = Browser::new(backend.transport.clone()).open(&login.url, Some(REDIRECT_URI)).await.unwrap();
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let error = login.pending.accept(&answer, backend.now()).unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.reason, RefusalReason::InvalidRequest);

    let login = client.authorize(REDIRECT_URI).push(&mut SystemRandom, backend.now()).await.unwrap();
    let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
    let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
    let callback = login.pending.accept(&answer, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn keys_that_change_just_before_signing_are_fetched_at_once(backend: Backend) {
    let client = client(&backend).await;
    let first = sign_in(&backend, &client).await;
    let callback = validated(&backend, &client, READER).await;
    let rotate = format!("{}/test/rotate-keys", backend.issuer).parse().unwrap();
    let reply = backend.transport.send(Request::for_url(Method::Post, rotate)).await.unwrap();
    assert_eq!(reply.status(), 204);
    let second = client.redeem(callback, backend.now()).await.unwrap();
    assert_eq!(first.id_token.subject(), second.id_token.subject());
}

async fn a_refresh_token_rotates_and_the_old_one_ends_the_grant(backend: Backend) {
    let client = client(&backend).await;
    let old: Grant = sign_in(&backend, &client).await.grant().unwrap();
    let refreshed = client.refresh(&old, backend.now()).await.unwrap();
    assert!(refreshed.is_rotated());
    let new = refreshed.release().grant;
    assert!(matches!(client.refresh(&old, backend.now()).await, Err(Error::GrantOver { .. })));
    // RFC 9700, 4.14.2: the use of an old one looks like theft, and ends all of them.
    assert!(matches!(client.refresh(&new, backend.now()).await, Err(Error::GrantOver { .. })));
}

async fn a_person_signs_in_on_another_device_and_is_asked_first(backend: Backend) {
    let client = client(&backend).await;
    for (button, denied) in [("accept", false), ("abort", true)] {
        let mut login = client.device().with_scope("email").begin(backend.now()).await.unwrap();
        let browser = Browser::new(backend.transport.clone());
        let address = login.verification_uri_complete.clone().unwrap();
        let mut page = browser.open(&address, None).await.unwrap();
        // The code's own form, the sign-in, the question.
        for _ in 0..4 {
            let fields: &[(&str, &str)] = if page.html.contains("name=\"password\"") {
                &[("username", "reader"), ("password", "reader")]
            } else if page.html.contains("deviceConfirmForm") {
                &[(button, "yes")]
            } else if page.html.contains("<form") {
                &[]
            } else {
                break;
            };
            page = browser.submit(&page, fields, None).await.unwrap();
        }
        let progress = client.poll_device(&mut login.pending, backend.now() + Duration::from_secs(6)).await;
        if denied {
            let Err(Error::Refused(refusal)) = &progress else { panic!("{progress:?}") };
            assert_eq!(refusal.reason, RefusalReason::AccessDenied);
        } else {
            let Ok(DeviceProgress::SignedIn(tokens)) = progress else { panic!("{progress:?}") };
            assert_eq!(tokens.id_token.claim("email"), Some(&json!("reader@example.com")));
        }
    }
}

async fn claims_come_with_their_scopes(backend: Backend) {
    let client = client(&backend).await;
    for (scope, phone) in [("email", None), ("phone address", Some(json!("+1 555 0100")))] {
        let wishes = client.authorize(REDIRECT_URI).with_scope(scope);
        let login = wishes.begin(&mut SystemRandom, backend.now()).unwrap();
        let page = backend.sign_in(&login.url, READER, REDIRECT_URI).await.unwrap();
        let answer = CallbackParams::from_address(page.address.as_str()).unwrap();
        let callback = login.pending.accept(&answer, backend.now()).unwrap();
        let tokens = client.redeem(callback, backend.now()).await.unwrap();
        let subject = tokens.id_token.subject();
        let info = client.userinfo(&tokens.access_token, subject, backend.now()).await.unwrap();
        assert_eq!(info.claim("phone_number"), phone.as_ref());
        assert_eq!(info.claim("address").is_some(), phone.is_some());
    }
}

async fn an_opaque_access_token_is_looked_into(backend: Backend) {
    let client = client(&backend).await;
    let tokens = tokens(&backend, READER).await;
    assert!(!tokens.access_token.expose_secret().contains('.'), "it is opaque");
    let look = || client.introspect(&tokens.access_token, TokenKind::Access, backend.now());
    let Introspection::Active(found) = look().await.unwrap() else { panic!("it is dead") };
    assert_eq!((found.subject(), found.client_id()), (Some(tokens.id_token.subject()), Some("vault-oidc")));
    client.revoke(&tokens.access_token, TokenKind::Access, backend.now()).await.unwrap();
    assert!(matches!(look().await.unwrap(), Introspection::Inactive));
}

async fn a_public_client_signs_in(backend: Backend) {
    let client = named(&backend, "latchkey-public").await.with_authentication(Authentication::None);
    let tokens = sign_in(&backend, &client).await;
    // Without a secret, a refresh token must rotate.
    assert!(client.refresh(&tokens.grant().unwrap(), backend.now()).await.unwrap().is_rotated());
}
