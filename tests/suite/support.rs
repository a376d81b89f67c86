//! Steps that many tests share.

use std::time::SystemTime;

use latchkey_oidc_flow::oob::{self, Pasted};
use latchkey_oidc_flow::{Authorization, CallbackParams, Client, Error, Provider, Tokens, ValidatedCallback};
use latchkey_tests::{Backend, Page, User};
use latchkey_transport::{Secret, SystemRandom};
use latchkey_vault_client::{Token, Vault};

/// Where the browser is sent back to; nobody listens there.
pub const REDIRECT_URI: &str = "http://localhost:8250/oidc/callback";

/// The client that both providers know.
pub async fn client(backend: &Backend) -> Client {
    let provider = Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap();
    Client::new(provider, &*backend.client_id).with_secret(backend.client_secret.clone())
}

pub fn begin(backend: &Backend, client: &Client) -> Authorization {
    client
        .authorize(REDIRECT_URI)
        .with_scope("email profile")
        .begin(&mut SystemRandom, backend.now())
        .unwrap()
}

pub fn begin_oob(backend: &Backend, client: &Client) -> Authorization {
    client.authorize(oob::REDIRECT_URI).begin(&mut SystemRandom, backend.now()).unwrap()
}

/// Signs in at the form and returns what the browser brought back.
pub async fn callback(backend: &Backend, login: &Authorization, user: User) -> CallbackParams {
    let page = page(backend, login, user).await;
    CallbackParams::from_address(page.address.as_str()).unwrap()
}

pub async fn page(backend: &Backend, login: &Authorization, user: User) -> Page {
    backend.sign_in(&login.url, user, REDIRECT_URI).await.unwrap()
}

/// Signs in up to the point where the code can be redeemed.
pub async fn validated(backend: &Backend, client: &Client, user: User) -> ValidatedCallback {
    let login = begin(backend, client);
    let callback = callback(backend, &login, user).await;
    login.pending.accept(&callback, backend.now()).unwrap()
}

/// Signs in, from the first request to the tokens, by a clock of one's own.
pub async fn tokens_at(backend: &Backend, user: User, now: SystemTime) -> Result<Tokens, Error> {
    let client = client(backend).await;
    let callback = validated(backend, &client, user).await;
    client.redeem(callback, now).await
}

pub async fn tokens(backend: &Backend, user: User) -> Tokens {
    tokens_at(backend, user, backend.now()).await.unwrap()
}

pub fn pasted(text: &str) -> Pasted {
    Pasted::parse(text).unwrap()
}

/// The Vault without a token.
pub fn vault(backend: &Backend) -> Vault {
    Vault::new(backend.vault_address.clone(), backend.transport.clone())
}

/// The Vault with the root token.
pub fn root(backend: &Backend) -> Vault {
    vault(backend).with_token(&token(&backend.root))
}

pub fn token(secret: &Secret) -> Token {
    Token::new(secret.clone()).unwrap()
}
