//! A realm of this test's own, which it may change as it likes.

use std::env;
use std::time::Duration;

use latchkey_tests::Backend;
use latchkey_transport::{Method, Request, ReqwestTransport, Secret, Transport as _};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

pub const CLIENT: &str = "jupyterhub";
pub const CLIENT_SECRET: &str = "hub-s3cret";

/// The password of everybody here.
pub const PASSWORD: &str = "p4ssw0rd";

pub struct Realm {
    server: String,
    name: String,
}

/// Somebody of the realm.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub uid: u32,
    /// As the realm knows them.
    id: String,
}

/// What the realm tells of a person's group, for a hub that asks.
pub fn gid_of(uid: u32) -> u32 {
    uid + 500_000
}

async fn send(request: Request) -> (u16, Option<String>, Value) {
    // A realm has keys to make, which takes half a minute on a machine that does other things as well.
    let request = request.with_time_limit(Duration::from_secs(180));
    // Each test has a runtime of its own, and so has its connections.
    let reply = ReqwestTransport::new().unwrap().send(request).await.unwrap();
    let body = serde_json::from_slice(reply.body()).unwrap_or(Value::Null);
    (reply.status(), reply.header("location").map(str::to_owned), body)
}

impl Realm {
    pub async fn new(backend: &Backend, hub: &Url) -> Self {
        let server = backend.issuer.split("/realms/").next().unwrap().to_owned();
        let realm = Self { server, name: backend.unique("hub") };
        let claim = |name: &str, kind: &str| {
            json!({"name": name, "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper",
                "config": {"user.attribute": name, "claim.name": name, "jsonType.label": kind,
                    "id.token.claim": "true", "access.token.claim": "true", "userinfo.token.claim": "true"}})
        };
        let wanted = json!({
            "realm": realm.name, "enabled": true, "sslRequired": "none", "accessTokenLifespan": 3600,
            "ssoSessionIdleTimeout": 7200, "ssoSessionMaxLifespan": 36000,
            "clients": [{
                "clientId": CLIENT, "secret": CLIENT_SECRET, "enabled": true, "directAccessGrantsEnabled": true,
                "redirectUris": [hub.join("hub/oauth_callback").unwrap().as_str()], "protocolMappers": [claim("uid", "long"), claim("gid", "long")],
            }],
        });
        assert_eq!(realm.admin(Method::Post, "", wanted).await.0, 201);
        let (_, _, mut profile) = realm.admin(Method::Get, "/users/profile", Value::Null).await;
        profile["unmanagedAttributePolicy"] = json!("ENABLED");
        assert_eq!(realm.admin(Method::Put, "/users/profile", profile).await.0, 200);
        realm
    }

    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server, self.name)
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> (u16, Option<String>, Value) {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin")])
            .append_pair("password", &env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD").unwrap())
            .finish();
        let address = format!("{}/realms/master/protocol/openid-connect/token", self.server);
        let asked = Request::new(Method::Post, address).with_body("application/x-www-form-urlencoded", form);
        let token = send(asked).await.2["access_token"].as_str().unwrap().to_owned();

        let realm = if path.is_empty() && method == Method::Post { "" } else { &format!("/{}", self.name) };
        let mut request = Request::new(method, format!("{}/admin/realms{realm}{path}", self.server))
            .with_secret_header("authorization", Secret::new(format!("Bearer {token}")));
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        send(request).await
    }

    /// Lets somebody in whose uid is this, and whose gid is that of [`gid_of`].
    pub async fn add(&self, name: &str, uid: u32) -> Person {
        let user = json!({
            "username": name, "enabled": true, "emailVerified": true, "email": format!("{name}@example.com"),
            "firstName": "F", "lastName": "L", "attributes": {"uid": [uid.to_string()], "gid": [gid_of(uid).to_string()]},
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": false}],
        });
        let (status, location, said) = self.admin(Method::Post, "/users", user).await;
        assert_eq!(status, 201, "{said}");
        let id = location.unwrap().rsplit('/').next().unwrap().to_owned();
        Person { name: name.to_owned(), uid, id }
    }

    /// Ends the sessions of a person, as an administrator does, or they elsewhere.
    pub async fn sign_out(&self, person: &Person) {
        let path = format!("/users/{}/logout", person.id);
        assert_eq!(self.admin(Method::Post, &path, Value::Null).await.0, 204);
    }

    /// Sets how long tokens live that are issued from now on, in seconds.
    pub async fn set_life(&self, seconds: u32) {
        assert_eq!(self.admin(Method::Put, "", json!({"accessTokenLifespan": seconds})).await.0, 204);
    }

    /// The tokens of a sign-in without a browser, as the provider gives them.
    pub async fn tokens(&self, person: &Person) -> Value {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "password"),
                ("client_id", CLIENT),
                ("client_secret", CLIENT_SECRET),
            ])
            .extend_pairs([("username", person.name.as_str()), ("password", PASSWORD), ("scope", "openid")])
            .finish();
        let address = format!("{}/protocol/openid-connect/token", self.issuer());
        let asked = Request::new(Method::Post, address).with_body("application/x-www-form-urlencoded", form);
        let (status, _, tokens) = send(asked).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    pub async fn remove(&self) {
        self.admin(Method::Delete, "", Value::Null).await;
    }
}
