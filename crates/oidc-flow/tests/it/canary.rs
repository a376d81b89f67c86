//! Nothing that is secret is shown by any value or error of a login.

use latchkey_oidc_flow::oob::Pasted;
use latchkey_oidc_flow::{Authentication, CallbackParams, Client, IdToken, RedeemCode};
use latchkey_transport::{Exchange as _, Reply, Secret};
use serde_json::json;

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, Counting, REDIRECT_URI, Script, Token, drawn, nonce, now,
    pending, provider, state, usual_jwks,
};

fn shows_nothing(name: &str, shown: &str) {
    let id_token = Token::good().with("nonce", nonce()).sign();
    let signature = id_token.rsplit('.').next().unwrap().to_owned();
    for secret in ["canary", CODE, ACCESS_TOKEN, CLIENT_SECRET, &state(), &nonce(), &drawn(3), &signature] {
        assert!(!shown.contains(secret), "{name} shows {secret:?}: {shown}");
    }
}

#[tokio::test]
async fn no_value_of_a_login_shows_a_secret() {
    let id_token = Token::good().with("nonce", nonce()).sign();
    let reply = json!({
        "access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": id_token, "refresh_token": "canary-refresh",
    });
    let script = Script::default().then("/jwks", usual_jwks()).then("/token", reply.to_string());
    let client = Client::new(provider(&script), CLIENT_ID).with_secret(CLIENT_SECRET);
    shows_nothing("Client", &format!("{client:?}"));
    shows_nothing("Expectations", &format!("{:?}", client.expectations().clone().with_nonce(nonce().into())));

    let authorize = client.authorize(REDIRECT_URI).with_parameter("id_token_hint", "canary-token");
    let authorize = authorize.with_login_hint("canary@example.org");
    shows_nothing("Authorize", &format!("{authorize:?}"));
    let login = authorize.begin(&mut Counting::default(), now()).unwrap();
    shows_nothing("Authorization", &format!("{login:?}"));
    shows_nothing("Pending", &format!("{:?}", login.pending));

    let query = format!("state={}&code={CODE}&error_description=canary&session_state=canary", state());
    let params = CallbackParams::parse(&query).unwrap();
    shows_nothing("CallbackParams", &format!("{params:?}"));
    shows_nothing("Pasted", &format!("{:?}", Pasted::parse(&query).unwrap()));
    let callback = login.pending.accept(&params, now()).unwrap();
    shows_nothing("ValidatedCallback", &format!("{callback:?}"));

    let authentication = Authentication::SecretPost(Secret::new(CLIENT_SECRET));
    shows_nothing("Authentication", &format!("{authentication:?}"));
    let endpoint = "https://id.example/token".parse().unwrap();
    let redeem = RedeemCode::new(endpoint, CLIENT_ID, authentication, &callback);
    shows_nothing("RedeemCode", &format!("{redeem:?} {:?}", redeem.request()));
    let unverified = redeem.receive(Reply::new(200, reply.to_string())).unwrap();
    shows_nothing("UnverifiedTokens", &format!("{unverified:?} {:?}", unverified.id_token()));

    let tokens = client.redeem(callback, now()).await.unwrap();
    shows_nothing("Tokens", &format!("{tokens:?} {:?}", tokens.id_token));
}

#[tokio::test]
async fn no_error_of_a_login_shows_a_secret() {
    let mut errors = Vec::new();
    for query in [format!("code={CODE}"), format!("state={}", state()), format!("state=canary&code={CODE}")] {
        let params = CallbackParams::parse(&query).unwrap();
        errors.push(pending().accept(&params, now()).unwrap_err());
    }
    errors.push(CallbackParams::parse("code=canary&code=canary").unwrap_err().into());
    errors.push(Pasted::parse("canary canary").unwrap_err());
    for text in ["canary", "canary.canary.canary"] {
        errors.push(IdToken::parse(text).unwrap_err().into());
    }
    let bodies = [
        json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": "canary.canary.canary"})
            .to_string(),
        format!("{{\"access_token\": \"{ACCESS_TOKEN}\", canary"),
        json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": Token::good().sign()})
            .to_string(),
        json!({"access_token": [ACCESS_TOKEN]}).to_string(),
    ];
    for body in bodies {
        for status in [200, 400, 500] {
            let script = Script::default()
                .then("/jwks", usual_jwks())
                .then("/token", Reply::new(status, body.as_str()));
            let client = Client::new(provider(&script), CLIENT_ID).with_secret(CLIENT_SECRET);
            let params = CallbackParams::parse(&format!("state={}&code={CODE}", state())).unwrap();
            let callback = pending().accept(&params, now()).unwrap();
            errors.push(client.redeem(callback, now()).await.unwrap_err());
        }
    }
    for error in errors {
        shows_nothing(error.code(), &format!("{error} {error:?}"));
    }
}
