//! The identity provider's side: a realm of a Keycloak, by its Admin API.
//!
//! The API: <https://www.keycloak.org/docs-api/latest/rest-api/index.html>

use std::fmt;

use latchkey_transport::{Method, Reply, Request, Secret, SharedTransport};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use super::blueprint::{Client, ClientRole, Keycloak, Mapper, User};
use crate::failure::{Exit, Failure};
use crate::setup::{Done, Setup};

/// The administrator of a Keycloak.
pub struct Admin {
    transport: SharedTransport,
    url: Url,
    name: String,
    password: Secret,
    /// Lives for a minute; a new one is fetched when it is refused.
    token: Mutex<Secret>,
}

/// Shows neither password nor token.
impl fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Admin").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Admin {
    /// Signs in at the realm `master`.
    ///
    /// # Errors
    ///
    /// A usage failure where the address is none, a refusal where name and password do not belong together.
    pub async fn sign_in(
        transport: SharedTransport,
        url: &str,
        name: &str,
        password: Secret,
    ) -> Result<Self, Failure> {
        let url: Url = url.parse().map_err(|error: url::ParseError| {
            Failure::of(Exit::Usage, &error).while_doing("the address of Keycloak")
        })?;
        let admin =
            Self { transport, url, name: name.to_owned(), password, token: Mutex::new(Secret::new("")) };
        *admin.token.lock().await = admin.fetch_token().await?;
        Ok(admin)
    }

    async fn fetch_token(&self) -> Result<Secret, Failure> {
        let url = self.address(&["realms", "master", "protocol", "openid-connect", "token"], &[])?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "password")
            .append_pair("client_id", "admin-cli")
            .append_pair("username", &self.name)
            // Opened to be sent.
            .append_pair("password", self.password.expose_secret())
            .finish();
        let request =
            Request::new(Method::Post, url.to_string()).with_body("application/x-www-form-urlencoded", form);
        let reply = self.transport.send(request).await.map_err(|error| unreachable(&error))?;
        let token = json_of(&reply)["access_token"].as_str().map(Secret::new);
        token.filter(|_| reply.is_success()).ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                format!("Keycloak refuses its administrator (status {})", reply.status()),
            )
            .with_hint("set KEYCLOAK_ADMIN and KEYCLOAK_ADMIN_PASSWORD")
        })
    }

    /// Reads something; nothing where it is not there.
    async fn read(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, Failure> {
        let reply = self.send(Method::Get, path, query, None).await?;
        if reply.status() == 404 {
            return Ok(None);
        }
        expect_success(&reply, path).map(|()| Some(json_of(&reply)))
    }

    async fn write(&self, method: Method, path: &[&str], body: &Value) -> Result<(), Failure> {
        let reply = self.send(method, path, &[], Some(body)).await?;
        expect_success(&reply, path)
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let url = self.address(path, query)?;
        for attempt in 0.. {
            let token = self.token.lock().await.clone();
            let bearer = Secret::new(format!("Bearer {}", token.expose_secret()));
            let mut request =
                Request::new(method, url.to_string()).with_secret_header("authorization", bearer);
            if let Some(body) = body {
                request = request.with_body("application/json", body.to_string());
            }
            let reply = self.transport.send(request).await.map_err(|error| unreachable(&error))?;
            if reply.status() != 401 || attempt > 0 {
                return Ok(reply);
            }
            let fresh = self.fetch_token().await?;
            *self.token.lock().await = fresh;
        }
        Err(Failure::new(Exit::Refused, "Keycloak refuses its administrator"))
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
        let mut url = self.url.clone();
        let none = |()| Failure::new(Exit::Usage, "the address of Keycloak cannot have a path");
        url.path_segments_mut().map_err(none)?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

fn unreachable(error: &latchkey_transport::Error) -> Failure {
    Failure::of(Exit::Network, error)
        .while_doing("Keycloak")
        .with_hint("is the address of Keycloak right (--keycloak, or `url` in the file), and does it run?")
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap_or_default()
}

fn expect_success(reply: &Reply, path: &[&str]) -> Result<(), Failure> {
    if reply.is_success() {
        return Ok(());
    }
    let body = json_of(reply);
    let said = ["errorMessage", "error_description", "error"].iter().find_map(|name| body[name].as_str());
    let said = said.map(|text| format!(": {}", text.escape_debug())).unwrap_or_default();
    let text = format!("Keycloak refuses {} (status {}{said})", path.join("/"), reply.status());
    Err(Failure::new(Exit::Refused, text))
}

/// Brings a realm to be what the blueprint says.
///
/// `secret` returns the secret in an environment variable.
pub async fn realm(
    setup: &mut Setup,
    admin: &Admin,
    wanted: &Keycloak,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    let name = wanted.realm.as_str();
    let path = ["admin", "realms", name];
    let found = admin.read(&path, &[]).await?;
    let body = json!({"realm": name, "enabled": true});
    let is_new = found.is_none();
    let write = async || {
        if is_new {
            admin.write(Method::Post, &["admin", "realms"], &body).await
        } else {
            admin.write(Method::Put, &path, &body).await
        }
    };
    setup.settle(&format!("realm {name}"), found, &body, write).await?;
    for wanted in &wanted.client {
        client(setup, admin, name, wanted, secret).await?;
    }
    for wanted in &wanted.user {
        user(setup, admin, name, wanted, secret).await?;
    }
    Ok(())
}

/// Finds the one thing of a list whose field has that value.
fn one_with<'a>(list: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item[field] == value)
}

fn id_of(found: Option<&Value>) -> String {
    found.and_then(|found| found["id"].as_str()).unwrap_or_default().to_owned()
}

async fn find_client(admin: &Admin, realm: &str, id: &str) -> Result<Option<Value>, Failure> {
    let list = admin.read(&["admin", "realms", realm, "clients"], &[("clientId", id)]).await?;
    Ok(list.and_then(|list| one_with(&list, "clientId", id).cloned()))
}

async fn client(
    setup: &mut Setup,
    admin: &Admin,
    realm: &str,
    wanted: &Client,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    let clients = ["admin", "realms", realm, "clients"];
    let mut body = json!({
        "clientId": wanted.id, "enabled": true, "protocol": "openid-connect", "publicClient": wanted.public,
        "standardFlowEnabled": true, "redirectUris": wanted.redirect_uris, "webOrigins": wanted.web_origins,
    });
    if let Some(secret) = secret(&wanted.secret_env).filter(|_| !wanted.public) {
        // Opened to be sent. Keycloak shows it to its administrator, so a wrong one is seen.
        body["secret"] = secret.expose_secret().into();
    }
    let found = find_client(admin, realm, &wanted.id).await?;
    let known = id_of(found.as_ref());
    let write = async || match known.as_str() {
        "" => admin.write(Method::Post, &clients, &body).await,
        id => admin.write(Method::Put, &[&clients[..], &[id]].concat(), &body).await,
    };
    setup.settle(&format!("client {} of realm {realm}", wanted.id), found, &body, write).await?;
    let id = id_of(find_client(admin, realm, &wanted.id).await?.as_ref());
    let path = [&clients[..], &[id.as_str()]].concat();
    for wanted in &wanted.role {
        role(setup, admin, &path, wanted).await?;
    }
    // Only now all roles are there that others may contain.
    for wanted in &wanted.role {
        composites(setup, admin, &path, wanted).await?;
    }
    for wanted in &wanted.mapper {
        mapper(setup, admin, &path, wanted).await?;
    }
    Ok(())
}

/// In a dry run a client that is yet to be made has no id, and nothing in it.
async fn inside(admin: &Admin, client: &[&str], below: &[&str]) -> Result<Option<Value>, Failure> {
    match client.last() {
        Some(&"") => Ok(None),
        _ => admin.read(&[client, below].concat(), &[]).await,
    }
}

async fn role(setup: &mut Setup, admin: &Admin, client: &[&str], wanted: &ClientRole) -> Result<(), Failure> {
    let found = inside(admin, client, &["roles", &wanted.name]).await?;
    let body = json!({ "name": wanted.name });
    let write = async || admin.write(Method::Post, &[client, &["roles"]].concat(), &body).await;
    setup.settle(&format!("client role {}", wanted.name), found, &body, write).await
}

async fn composites(
    setup: &mut Setup,
    admin: &Admin,
    client: &[&str],
    wanted: &ClientRole,
) -> Result<(), Failure> {
    for inner in &wanted.composites {
        let path = ["roles", &wanted.name, "composites"];
        let found = inside(admin, client, &path).await?.unwrap_or_default();
        let thing = format!("client role {} in {}", inner, wanted.name);
        if one_with(&found, "name", inner).is_some() {
            setup.report(Done::Unchanged, &thing)?;
            continue;
        }
        let inner = inside(admin, client, &["roles", inner]).await?;
        let body = json!([inner]);
        setup.write(async || admin.write(Method::Post, &[client, &path].concat(), &body).await).await?;
        setup.report(Done::Created, &thing)?;
    }
    Ok(())
}

async fn mapper(setup: &mut Setup, admin: &Admin, client: &[&str], wanted: &Mapper) -> Result<(), Failure> {
    let models = ["protocol-mappers", "models"];
    let found = inside(admin, client, &models).await?;
    let found = found.and_then(|list| one_with(&list, "name", &wanted.name).cloned());
    let mut body = json!({
        "name": wanted.name, "protocol": "openid-connect", "protocolMapper": wanted.kind, "config": wanted.config,
    });
    let id = id_of(found.as_ref());
    if !id.is_empty() {
        body["id"] = id.as_str().into();
    }
    let write = async || match id.as_str() {
        "" => admin.write(Method::Post, &[client, &models].concat(), &body).await,
        id => admin.write(Method::Put, &[client, &models, &[id]].concat(), &body).await,
    };
    setup.settle(&format!("mapper {}", wanted.name), found, &body, write).await
}

async fn find_user(admin: &Admin, realm: &str, name: &str) -> Result<Option<Value>, Failure> {
    let query = [("username", name), ("exact", "true")];
    let list = admin.read(&["admin", "realms", realm, "users"], &query).await?;
    Ok(list.and_then(|list| one_with(&list, "username", &name.to_lowercase()).cloned()))
}

async fn user(
    setup: &mut Setup,
    admin: &Admin,
    realm: &str,
    wanted: &User,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    let users = ["admin", "realms", realm, "users"];
    let mut body = json!({"username": wanted.name.to_lowercase(), "enabled": true});
    for (field, value) in
        [("email", &wanted.email), ("firstName", &wanted.first_name), ("lastName", &wanted.last_name)]
    {
        if !value.is_empty() {
            body[field] = value.as_str().into();
        }
    }
    if !wanted.email.is_empty() {
        body["emailVerified"] = true.into();
    }
    let found = find_user(admin, realm, &wanted.name).await?;
    let known = id_of(found.as_ref());
    let mut made = body.clone();
    // A user who is there has a password of their own.
    if let Some(password) = secret(&wanted.password_env).filter(|_| !wanted.password_env.is_empty()) {
        // Opened to be sent.
        let value = password.expose_secret();
        made["credentials"] = json!([{"type": "password", "value": value, "temporary": false}]);
    }
    let write = async || match known.as_str() {
        "" => admin.write(Method::Post, &users, &made).await,
        id => admin.write(Method::Put, &[&users[..], &[id]].concat(), &body).await,
    };
    setup.settle(&format!("user {} of realm {realm}", wanted.name), found, &body, write).await?;
    let user = id_of(find_user(admin, realm, &wanted.name).await?.as_ref());
    for role in &wanted.roles {
        user_role(setup, admin, realm, (&wanted.name, &user), role).await?;
    }
    Ok(())
}

async fn user_role(
    setup: &mut Setup,
    admin: &Admin,
    realm: &str,
    (name, user): (&str, &str),
    role: &str,
) -> Result<(), Failure> {
    let usage = || Failure::new(Exit::Usage, format!("{role}: a role is named as client/role"));
    let (client, role) = role.rsplit_once('/').ok_or_else(usage)?;
    let client = id_of(find_client(admin, realm, client).await?.as_ref());
    let path = ["admin", "realms", realm, "users", user, "role-mappings", "clients", &client];
    let is_there = !user.is_empty() && !client.is_empty();
    let found = if is_there { admin.read(&path, &[]).await?.unwrap_or_default() } else { Value::Null };
    let thing = format!("client role {role} of user {name}");
    if one_with(&found, "name", role).is_some() {
        return setup.report(Done::Unchanged, &thing);
    }
    let wanted = inside(admin, &["admin", "realms", realm, "clients", &client], &["roles", role]).await?;
    let body = json!([wanted]);
    setup.write(async || admin.write(Method::Post, &path, &body).await).await?;
    setup.report(Done::Created, &thing)
}
