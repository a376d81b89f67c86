//! The wider answers of the doubles, on them and on the servers: wrapping, passwords, role ids, token roles, refusals of
//! pages, and what the provider says to devices.
//!
//! A row is what OpenBao 2.7.2 or Keycloak 26.6.4 was seen to answer.

use latchkey_tests::{Backend, Place, behaviours};
use latchkey_transport::{Method, Reply, Request, Secret, Transport};
use serde_json::{Value, json};
use url::Url;

behaviours! {
    a_wrapped_answer_is_unwrapped_once,
    a_wrapping_token_is_spent_when_it_is_misused,
    passwords_answer_alike,
    role_ids_answer_alike,
    token_roles_answer_alike,
    the_status_answers_alike,
    a_dead_refresh_token_and_a_dead_access_token_answer_alike,
}

const GONE: &str = "wrapping token is not valid or does not exist";

struct Asked<'a> {
    backend: &'a Backend,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Asked<'a> {
    fn by(backend: &'a Backend, token: &str) -> Self {
        let headers = if token.is_empty() { Vec::new() } else { vec![("X-Vault-Token", token.to_owned())] };
        Self { backend, headers }
    }

    fn wrapped(mut self, ttl: &str) -> Self {
        self.headers.push(("X-Vault-Wrap-TTL", ttl.to_owned()));
        self
    }

    async fn send(self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = Request::new(method, format!("/v1/{path}")).at(&self.backend.vault_address);
        for (name, value) in &self.headers {
            request = request.with_secret_header(name, Secret::new(value.as_str()));
        }
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        let reply = self.backend.transport.send(request).await.unwrap();
        (reply.status(), json_of(&reply))
    }
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap_or(Value::Null)
}

fn errors(message: &str) -> Value {
    json!({"errors": [message]})
}

async fn root(backend: &Backend, method: Method, path: &str, body: Value) -> (u16, Value) {
    Asked::by(backend, "root").send(method, path, body).await
}

async fn nobody(backend: &Backend, path: &str, body: Value) -> (u16, Value) {
    Asked::by(backend, "").send(Method::Post, path, body).await
}

/// Wraps `{"x": "y"}`.
async fn wrapping_token(backend: &Backend) -> String {
    let asked = Asked::by(backend, "root").wrapped("60");
    let (status, reply) = asked.send(Method::Post, "sys/wrapping/wrap", json!({"x": "y"})).await;
    let info = &reply["wrap_info"];
    assert_eq!((status, &reply["data"], &info["ttl"]), (200, &Value::Null, &json!(60)));
    assert_eq!(info["creation_path"], "sys/wrapping/wrap");
    info["token"].as_str().unwrap().to_owned()
}

async fn a_wrapped_answer_is_unwrapped_once(backend: Backend) {
    let token = wrapping_token(&backend).await;
    let (status, reply) = nobody(&backend, "sys/wrapping/lookup", json!({"token": token})).await;
    assert_eq!((status, &reply["data"]["creation_path"]), (200, &json!("sys/wrapping/wrap")));
    let unwrap = || Asked::by(&backend, &token).send(Method::Post, "sys/wrapping/unwrap", Value::Null);
    assert_eq!(unwrap().await.1["data"], json!({"x": "y"}));
    assert_eq!(unwrap().await, (400, errors(GONE)));
    let empty = nobody(&backend, "sys/wrapping/unwrap", json!({})).await;
    assert_eq!(empty, (403, errors("error validating wrapping token: token is empty")));

    let token = wrapping_token(&backend).await;
    let (_, reply) = root(&backend, Method::Post, "sys/wrapping/rewrap", json!({"token": token})).await;
    let again = json!({"token": reply["wrap_info"]["token"]});
    assert_eq!(
        root(&backend, Method::Post, "sys/wrapping/unwrap", json!({"token": token})).await,
        (400, errors(GONE))
    );
    let (_, reply) = root(&backend, Method::Post, "sys/wrapping/unwrap", again).await;
    assert_eq!(reply["data"], json!({"x": "y"}));
}

async fn a_wrapping_token_is_spent_when_it_is_misused(backend: Backend) {
    let token = wrapping_token(&backend).await;
    let misused = Asked::by(&backend, &token).send(Method::Get, "secret/data/x", Value::Null).await;
    assert_eq!(misused, (403, errors("1 error occurred:\n\t* permission denied\n\n")));
    let late = root(&backend, Method::Post, "sys/wrapping/unwrap", json!({"token": token})).await;
    assert_eq!(late, (400, errors(GONE)));
}

async fn passwords_answer_alike(backend: Backend) {
    root(&backend, Method::Post, "sys/auth/alike-userpass", json!({"type": "userpass"})).await;
    let user = json!({"password": "open-sesame", "token_ttl": "1h"});
    assert_eq!(root(&backend, Method::Post, "auth/alike-userpass/users/Anna", user).await.0, 204);
    let path = "auth/alike-userpass/login/ANNA";
    let (status, reply) = nobody(&backend, path, json!({"password": "open-sesame"})).await;
    let auth = &reply["auth"];
    assert_eq!((status, &auth["metadata"]), (200, &json!({"username": "anna"})));
    assert_eq!((&auth["lease_duration"], &auth["orphan"]), (&json!(3600), &json!(true)));
    for (body, status, message) in [
        (json!({"password": "wrong"}), 400, "invalid username or password"),
        (json!({}), 500, "missing password"),
    ] {
        assert_eq!(nobody(&backend, path, body).await, (status, errors(message)));
    }
}

async fn role_ids_answer_alike(backend: Backend) {
    root(&backend, Method::Post, "sys/auth/alike-approle", json!({"type": "approle"})).await;
    let path = |rest: &str| format!("auth/alike-approle/{rest}");
    let role = json!({"secret_id_num_uses": 1, "role_id": "alike"});
    assert_eq!(root(&backend, Method::Post, &path("role/app"), role).await.0, 204);
    let (_, made) = root(&backend, Method::Post, &path("role/app/secret-id"), json!({})).await;
    let body = json!({"role_id": "alike", "secret_id": made["data"]["secret_id"]});
    let (status, reply) = nobody(&backend, &path("login"), body.clone()).await;
    assert_eq!((status, &reply["auth"]["metadata"]), (200, &json!({"role_name": "app"})));
    for (body, status, message) in [
        (body, 400, "invalid role or secret ID"),
        (json!({"role_id": "alike"}), 400, "missing secret_id"),
        (json!({"secret_id": "x"}), 500, "missing role_id"),
    ] {
        assert_eq!(nobody(&backend, &path("login"), body).await, (status, errors(message)));
    }
}

async fn token_roles_answer_alike(backend: Backend) {
    let role = json!({"allowed_policies": ["x"], "orphan": true, "token_period": "1h"});
    assert_eq!(root(&backend, Method::Post, "auth/token/roles/alike", role).await.0, 204);
    let create = |body| root(&backend, Method::Post, "auth/token/create/alike", body);
    let (status, reply) = create(json!({})).await;
    let auth = &reply["auth"];
    assert_eq!((status, &auth["policies"]), (200, &json!(["default", "x"])));
    assert_eq!((&auth["orphan"], &auth["lease_duration"]), (&json!(true), &json!(3600)));
    let message = "token policies ([\"default\" \"z\"]) must be subset of the role's allowed policies \
                   ([\"default\" \"x\"]) or glob policies ([])";
    assert_eq!(create(json!({"policies": ["z"]})).await, (400, errors(message)));
    let unknown = root(&backend, Method::Post, "auth/token/create/nobody", json!({})).await;
    assert_eq!(unknown, (400, errors("unknown role nobody")));
}

async fn the_status_answers_alike(backend: Backend) {
    let (status, health) = Asked::by(&backend, "").send(Method::Get, "sys/health", Value::Null).await;
    assert_eq!((status, &health["sealed"], &health["standby"]), (200, &json!(false), &json!(false)));
    let (_, seal) = Asked::by(&backend, "").send(Method::Get, "sys/seal-status", Value::Null).await;
    assert_eq!((&seal["sealed"], &seal["t"], &seal["n"]), (&json!(false), &json!(1), &json!(1)));
    let is_openbao = backend.place != Place::MemoryVault;
    assert_eq!(seal.get("commit_date").is_some(), is_openbao);
    let asked = Asked::by(&backend, "").send(Method::Get, "sys/health?activecode=204", Value::Null).await;
    assert_eq!(asked, (204, Value::Null));
}

async fn a_dead_refresh_token_and_a_dead_access_token_answer_alike(backend: Backend) {
    let endpoint = |name: &str| format!("{}/protocol/openid-connect/{name}", backend.issuer);
    let base = Url::parse(&endpoint("token")).unwrap();
    let credentials =
        format!("client_id={}&client_secret={}", backend.client_id, backend.client_secret.expose_secret());
    let body = format!("{credentials}&grant_type=refresh_token&refresh_token=dead");
    let request = Request::new(Method::Post, base.path().to_owned())
        .at(&base.join("/").unwrap())
        .with_body("application/x-www-form-urlencoded", body);
    let reply = backend.transport.send(request).await.unwrap();
    let expected = json!({"error": "invalid_grant", "error_description": "Invalid refresh token"});
    assert_eq!((reply.status(), json_of(&reply)), (400, expected));

    let base = Url::parse(&endpoint("userinfo")).unwrap();
    let request = Request::new(Method::Get, base.path().to_owned())
        .at(&base.join("/").unwrap())
        .with_secret_header("Authorization", Secret::new("Bearer dead"));
    let reply = backend.transport.send(request).await.unwrap();
    let expected =
        r#"Bearer realm="HashiCorp", error="invalid_token", error_description="Token verification failed""#;
    assert_eq!((reply.status(), reply.header("WWW-Authenticate")), (401, Some(expected)));
}
