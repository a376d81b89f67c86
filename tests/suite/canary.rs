//! No secret in any `Debug`, error or message: the doubles remember every secret that passed, and here each value of
//! each step is printed and searched for them.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::time::Duration;

use latchkey_oidc_flow::{CallbackParams, Provider, RedeemCode};
use latchkey_testbed::{Fault, Misbehaviour as Lie, Response, Span, Target};
use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::{Exchange, Perform, Secret, SystemRandom};
use latchkey_vault_client::Token;
use latchkey_vault_client::auth::{ClientNonce, JwtLogin, OidcAuthUrl, OidcCallback};
use serde_json::json;

use crate::support::{begin, begin_oob, callback, client, pasted, root, tokens_at, validated, vault};

behaviours! {
    #[not_on(Place::Real, "only the doubles remember every secret")]
    no_value_of_a_sign_in_shows_a_secret,
    #[not_on(Place::Real, "only the doubles remember every secret")]
    no_value_of_a_vault_login_shows_a_secret,
    #[not_on(Place::Real, "only the doubles remember every secret")]
    no_error_shows_a_secret,
    #[not_on(Place::Real, "only the doubles remember every secret")]
    the_canary_sings,
}

/// Everything that a program could have printed.
#[derive(Default)]
struct Witness(String);

impl Witness {
    fn sees(&mut self, value: &impl Debug) {
        self.0.push_str(&[format!("{value:?}"), format!("{value:#?}")].join("\n"));
    }

    fn hears(&mut self, error: &(dyn StdError + 'static)) {
        let mut cause = Some(error);
        while let Some(this) = cause {
            self.0.push_str(&[this.to_string(), format!("{this:?}")].join("\n"));
            cause = this.source();
        }
    }

    fn swears(&self, backend: &Backend) {
        assert!(self.0.len() > 500, "there is something to search");
        let found = backend.world().canary().find_in(&self.0);
        assert!(found.is_none(), "{found:?} in:\n{}", self.0);
    }
}

async fn no_value_of_a_sign_in_shows_a_secret(backend: Backend) {
    let mut witness = Witness::default();
    let client = client(&backend).await;
    witness.sees(&client);
    let login = begin(&backend, &client);
    witness.sees(&login);
    let params = callback(&backend, &login, READER).await;
    witness.sees(&params);
    let validated = login.pending.accept(&params, backend.now()).unwrap();
    witness.sees(&validated);
    let secret = latchkey_oidc_flow::Authentication::SecretPost(backend.client_secret.clone());
    let endpoint = client.provider().metadata().token_endpoint().clone();
    let exchange = RedeemCode::new(endpoint, "vault-oidc", secret, &validated);
    witness.sees(&exchange);
    witness.sees(&exchange.request());
    let unverified = backend.transport.perform(exchange).await.unwrap();
    witness.sees(&unverified);
    witness.sees(unverified.id_token());
    let oob = begin_oob(&backend, &client);
    let page = backend.sign_in(&oob.url, READER, "none:").await.unwrap();
    witness.sees(&pasted(page.address.as_str()));
    witness.sees(&pasted(&page.input("code").unwrap()));
    let tokens = tokens_at(&backend, READER, backend.now()).await.unwrap();
    witness.sees(&tokens);
    witness.sees(&tokens.id_token);
    witness.sees(&tokens.access_token);
    witness.swears(&backend);
}

async fn no_value_of_a_vault_login_shows_a_secret(backend: Backend) {
    let mut witness = Witness::default();
    let site = backend.site().await.unwrap();
    let tokens = tokens_at(&backend, READER, backend.now()).await.unwrap();
    let exchange = JwtLogin::new(&site.jwt, "default", tokens.id_token.as_secret()).unwrap();
    witness.sees(&exchange);
    witness.sees(&exchange.request());
    let vault = vault(&backend);
    let login = vault.perform(exchange).await.unwrap();
    witness.sees(&login);
    witness.sees(login.token());
    let vault = vault.with_token(login.token());
    witness.sees(&vault);
    witness.sees(&vault.kv2(&site.kv).read("team/app").await.unwrap());
    witness.sees(&vault.token().lookup_self().await.unwrap());
    witness.sees(&vault.token().renew_self(Duration::from_secs(60)).await.unwrap());
    let nonce = ClientNonce::generate(&mut SystemRandom).unwrap();
    witness.sees(&nonce);
    let exchange = OidcAuthUrl::new(&site.oidc, "default", site.redirect_uri, &nonce).unwrap();
    witness.sees(&exchange);
    witness.sees(&exchange.request());
    let auth_url = vault.perform(exchange).await.unwrap();
    witness.sees(&auth_url);
    let page = backend.sign_in(auth_url.url(), READER, site.redirect_uri).await.unwrap();
    let params = CallbackParams::from_address(page.address.as_str()).unwrap();
    let (state, code) = (params.state().unwrap(), params.code().unwrap());
    let exchange = OidcCallback::new(&site.oidc, state, code, &nonce).unwrap();
    witness.sees(&exchange);
    witness.sees(&exchange.request());
    witness.sees(&vault.perform(exchange).await.unwrap());
    let data = root(&backend).logical().read(&format!("{}/data/team/app", site.kv)).await.unwrap();
    witness.sees(&data);
    witness.swears(&backend);
}

async fn no_error_shows_a_secret(backend: Backend) {
    let mut witness = Witness::default();
    let site = backend.site().await.unwrap();
    let world = backend.world();
    let client = client(&backend).await;
    for lie in [
        Lie::OtherIssuer,
        Lie::OtherNonce,
        Lie::BrokenSignature,
        Lie::MissingSubject,
        Lie::OtherAccessTokenHash,
    ] {
        world.provider().misbehave(lie, Span::Once);
        witness.hears(&tokens_at(&backend, READER, backend.now()).await.unwrap_err());
    }
    let wrong = client.clone().with_secret(Secret::new("another client secret"));
    let code = validated(&backend, &client, READER).await;
    witness.hears(&wrong.redeem(code, backend.now()).await.unwrap_err());
    let (mine, other) = (begin(&backend, &client), begin(&backend, &client));
    let params = callback(&backend, &other, READER).await;
    witness.hears(&mine.pending.accept(&params, backend.now()).unwrap_err());
    // A provider, a Vault and a proxy that repeat what they were sent.
    let tokens = tokens_at(&backend, READER, backend.now()).await.unwrap();
    let jwt = tokens.id_token.as_secret();
    for status in [200, 400, 403, 404, 500, 502] {
        let said =
            json!({"errors": [format!("cannot use {}", jwt.expose_secret())], "jwt": jwt.expose_secret()});
        let fault = Fault::Answer(Response::new(status).with_json(&said));
        world.faults().inject(Target::vault("/v1/auth/*"), 1, fault);
        witness.hears(&vault(&backend).jwt(&site.jwt).login("default", jwt).await.unwrap_err());
    }
    for fault in [Fault::Drop, Fault::Answer(Response::new(500).with_body("<html>s3cr3t</html>"))] {
        world.faults().inject(Target::provider("/realms/HashiCorp/protocol/openid-connect/token"), 1, fault);
        let code = validated(&backend, &client, READER).await;
        witness.hears(&client.redeem(code, backend.now()).await.unwrap_err());
    }
    world.faults().inject(
        Target::provider("/realms/*"),
        1,
        Fault::Answer(Response::new(200).with_body("s3cr3t")),
    );
    witness.hears(&Provider::discover(&backend.issuer, backend.transport.clone()).await.unwrap_err());
    let stolen = Token::new(backend.root.clone()).unwrap();
    let broken = Fault::Answer(Response::new(500).with_body(r#"{"errors":["p4ss-of-the-app"]"#));
    world.faults().inject(Target::vault("/v1/*"), 1, broken);
    witness.hears(&vault(&backend).with_token(&stolen).kv2(&site.kv).read("team/app").await.unwrap_err());
    witness.swears(&backend);
}

/// The search itself can fail: it finds each kind of secret when it is there.
async fn the_canary_sings(backend: Backend) {
    let site = backend.site().await.unwrap();
    let tokens = tokens_at(&backend, READER, backend.now()).await.unwrap();
    let login = vault(&backend).jwt(&site.jwt).login("default", tokens.id_token.as_secret()).await.unwrap();
    let canary = backend.world().canary();
    for secret in [
        tokens.id_token.as_secret().expose_secret(),
        tokens.access_token.expose_secret(),
        login.token().expose_secret(),
        backend.client_secret.expose_secret(),
        site.password,
    ] {
        assert!(canary.find_in(&format!("a log line with {secret} in it")).is_some());
    }
    assert!(canary.find_in("a log line without any").is_none());
}
