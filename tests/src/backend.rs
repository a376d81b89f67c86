//! Where the suite runs: the doubles in memory, the doubles over loopback, the real servers.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use latchkey_oidc_flow::{CallbackParams, Client, Provider, Tokens};
use latchkey_testbed::{Clock, Served, Voice, World, serve};
use latchkey_transport::{
    Method, Request, ReqwestTransport, Secret, SharedTransport, SystemRandom, Transport,
};
use serde_json::{Value, json};
use url::Url;

use crate::{Browser, MemoryTransport, Page};

/// Where a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The doubles in memory; the Vault answers as OpenBao does.
    MemoryOpenBao,
    /// The doubles in memory; the Vault answers as HashiCorp's does.
    MemoryVault,
    /// The doubles over loopback, through the transport that programs use.
    Loopback,
    /// Keycloak and OpenBao.
    Real,
    /// npm's `oidc-provider`, which is certified; there is no Vault.
    Certified,
}

impl Place {
    /// Every place with a provider and a Vault.
    pub const ALL: [Self; 4] = [Self::MemoryOpenBao, Self::MemoryVault, Self::Loopback, Self::Real];

    /// Says why nothing can run there now.
    pub fn absence(self) -> Option<&'static str> {
        let absent = match self {
            Self::Real => RealServers::from_environment().is_err(),
            Self::Certified => env::var(CERTIFIED).is_err(),
            _ => false,
        };
        absent.then_some("no servers are named in the environment (`cargo xtask servers up`)")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::MemoryOpenBao => "memory, openbao",
            Self::MemoryVault => "memory, vault",
            Self::Loopback => "loopback",
            Self::Real => "real",
            Self::Certified => "certified",
        })
    }
}

/// Somebody who can sign in.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// What goes into the field `username`.
    pub name: &'static str,
    /// What goes into the field `password`.
    pub password: &'static str,
}

/// The user with the role `reader`.
pub const READER: User = User { name: "reader", password: "reader" };
/// The user with the roles `management` and `reader`.
pub const MANAGEMENT: User = User { name: "management", password: "management" };

/// A provider and a Vault, and a way to each.
pub struct Backend {
    /// Where this is.
    pub place: Place,
    /// The way to both servers.
    pub transport: SharedTransport,
    /// The provider's issuer.
    pub issuer: String,
    /// The client that both servers know.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// The Vault's address.
    pub vault_address: Url,
    /// The Vault's root token.
    pub root: Secret,
    /// The doubles, where they are.
    world: Option<World>,
    /// Keeps the doubles on loopback alive.
    _served: Option<Served>,
}

/// What a sign-in needs on the Vault, under names that no other test uses.
pub struct Site {
    /// The KV v2 mount, with the secret `team/app`: `{"user": "app", "password": …}`.
    pub kv: String,
    /// The password in that secret.
    pub password: &'static str,
    /// The JWT mount, with the role `default`.
    pub jwt: String,
    /// The OIDC mount, with the role `default`.
    pub oidc: String,
    /// The redirect address that the OIDC role allows, besides the out-of-band one.
    pub redirect_uri: &'static str,
}

impl Backend {
    /// Builds the backend of that place.
    pub async fn at(place: Place) -> anyhow::Result<Self> {
        match place {
            Place::MemoryOpenBao => Ok(Self::in_memory(place, Voice::OpenBao)),
            Place::MemoryVault => Ok(Self::in_memory(place, Voice::Vault)),
            Place::Loopback => {
                let served = serve(World::builder().clock(Clock::system()), 0, 0).await?;
                let world = served.world().clone();
                let transport = Arc::new(ReqwestTransport::new()?);
                Ok(Self::of_world(place, world, transport, Some(served)))
            }
            Place::Real => Self::real(),
            Place::Certified => Self::certified(),
        }
    }

    fn in_memory(place: Place, voice: Voice) -> Self {
        let world = World::builder().voice(voice).build();
        let transport = Arc::new(MemoryTransport::new(world.clone()));
        Self::of_world(place, world, transport, None)
    }

    fn of_world(place: Place, world: World, transport: SharedTransport, served: Option<Served>) -> Self {
        Self {
            place,
            transport,
            issuer: world.issuer(),
            client_id: "vault-oidc".into(),
            client_secret: Secret::new("s3cr3t"),
            vault_address: Url::parse(world.vault_address()).expect("the double's address is one"),
            root: Secret::new("root"),
            world: Some(world),
            _served: served,
        }
    }

    fn real() -> anyhow::Result<Self> {
        let servers = RealServers::from_environment()?;
        Ok(Self {
            place: Place::Real,
            transport: Arc::new(ReqwestTransport::new()?),
            issuer: servers.issuer,
            client_id: "vault-oidc".into(),
            client_secret: Secret::new("s3cr3t"),
            vault_address: Url::parse(&servers.vault_address)?,
            root: Secret::new(servers.root),
            world: None,
            _served: None,
        })
    }

    fn certified() -> anyhow::Result<Self> {
        Ok(Self {
            place: Place::Certified,
            transport: Arc::new(ReqwestTransport::new()?),
            issuer: env::var(CERTIFIED).with_context(|| format!("{CERTIFIED} is not set"))?,
            client_id: "vault-oidc".into(),
            client_secret: Secret::new("s3cr3t"),
            // Port 1 of this machine: nobody answers.
            vault_address: Url::parse("http://127.0.0.1:1")?,
            root: Secret::new(""),
            world: None,
            _served: None,
        })
    }

    /// Returns the time that the servers see.
    pub fn now(&self) -> SystemTime {
        self.world.as_ref().map_or_else(SystemTime::now, |world| world.clock().now())
    }

    /// Lets time pass, where it can be told to.
    pub fn advance(&self, time: Duration) {
        self.world().clock().advance(time);
    }

    /// Returns the doubles. A test that needs them does not run on the real servers.
    pub fn world(&self) -> &World {
        self.world.as_ref().expect("this test is marked as not for the real servers")
    }

    /// Signs somebody in at the provider's form and returns where the browser was sent to: an address that begins
    /// with `stop`, or the page that the provider showed instead.
    pub async fn sign_in(&self, address: &Url, user: User, stop: &str) -> anyhow::Result<Page> {
        Browser::new(self.transport.clone()).sign_in(address, user.name, user.password, Some(stop)).await
    }

    /// Signs somebody in without a program.
    pub async fn tokens(&self, user: User) -> anyhow::Result<Tokens> {
        const REDIRECT_URI: &str = "http://localhost:8250/oidc/callback";
        let provider = Provider::discover(&self.issuer, self.transport.clone()).await?;
        let client = Client::new(provider, &*self.client_id).with_secret(self.client_secret.clone());
        let login = client.authorize(REDIRECT_URI).begin(&mut SystemRandom, self.now())?;
        let page = self.sign_in(&login.url, user, REDIRECT_URI).await?;
        let callback = CallbackParams::from_address(page.address.as_str())?;
        let callback = login.pending.accept(&callback, self.now())?;
        Ok(client.redeem(callback, self.now()).await?)
    }

    /// Returns a name that no other test on the same servers has.
    pub fn unique(&self, name: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls the Vault as root, without any of the crates under test. Anything but 2xx is an error.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let mut request = Request::new(method, format!("/v1/{path}"))
            .at(&self.vault_address)
            .with_secret_header("X-Vault-Token", self.root.clone());
        if !body.is_null() {
            request = request.with_body("application/json", body.to_string());
        }
        let reply = self.transport.send(request).await?;
        let text = String::from_utf8_lossy(reply.body()).into_owned();
        if !reply.is_success() {
            bail!("{path}: {} {text}", reply.status());
        }
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Makes what a sign-in needs on the Vault.
    pub async fn site(&self) -> anyhow::Result<Site> {
        let site = Site {
            kv: self.unique("kv"),
            password: "p4ss-of-the-app",
            jwt: self.unique("jwt"),
            oidc: self.unique("oidc"),
            redirect_uri: "http://localhost:8250/oidc/callback",
        };
        let Site { kv, jwt, oidc, .. } = &site;
        let policy = format!("path \"{kv}/data/team/*\" {{ capabilities = [\"read\"] }}");
        self.admin(
            Method::Post,
            &format!("sys/mounts/{kv}"),
            json!({"type": "kv", "options": {"version": "2"}}),
        )
        .await?;
        self.admin(Method::Put, &format!("sys/policies/acl/{kv}"), json!({"policy": policy})).await?;
        self.put_secret(kv, "team/app", json!({"user": "app", "password": site.password})).await?;

        self.admin(Method::Post, &format!("sys/auth/{jwt}"), json!({"type": "jwt"})).await?;
        let config = json!({"oidc_discovery_url": self.issuer, "bound_issuer": self.issuer});
        self.admin(Method::Post, &format!("auth/{jwt}/config"), config).await?;
        let role = json!({
            "role_type": "jwt", "user_claim": "preferred_username", "bound_audiences": [self.client_id],
            "token_policies": [kv], "claim_mappings": {"email": "email"}, "token_ttl": "1h",
        });
        self.admin(Method::Post, &format!("auth/{jwt}/role/default"), role).await?;

        self.admin(Method::Post, &format!("sys/auth/{oidc}"), json!({"type": "oidc"})).await?;
        let config = json!({
            "oidc_discovery_url": self.issuer, "oidc_client_id": self.client_id,
            // Opened for the set-up of a server of ours.
            "oidc_client_secret": self.client_secret.expose_secret(), "default_role": "default",
        });
        self.admin(Method::Post, &format!("auth/{oidc}/config"), config).await?;
        let role = json!({
            "role_type": "oidc", "user_claim": "preferred_username", "token_policies": [kv],
            "allowed_redirect_uris": [site.redirect_uri, "urn:ietf:wg:oauth:2.0:oob"],
        });
        self.admin(Method::Post, &format!("auth/{oidc}/role/default"), role).await?;
        Ok(site)
    }

    /// Writes a secret as root. A KV v2 mount that was just made may still be setting itself up.
    pub async fn put_secret(&self, kv: &str, path: &str, data: Value) -> anyhow::Result<()> {
        let path = format!("{kv}/data/{path}");
        for _ in 0..50 {
            match self.admin(Method::Post, &path, json!({"data": data})).await {
                Err(error) if error.to_string().contains("Upgrading") => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                outcome => return outcome.map(drop),
            }
        }
        bail!("{kv} is still setting itself up after 5 s")
    }
}

/// Where `oidc-provider` is: its issuer.
const CERTIFIED: &str = "LATCHKEY_OIDC_PROVIDER";

/// What `cargo xtask test` says about the servers that it started.
struct RealServers {
    issuer: String,
    vault_address: String,
    root: String,
}

impl RealServers {
    fn from_environment() -> anyhow::Result<Self> {
        let variable = |name| env::var(name).with_context(|| format!("{name} is not set"));
        Ok(Self {
            issuer: variable("LATCHKEY_KEYCLOAK")?,
            vault_address: variable("LATCHKEY_OPENBAO")?,
            root: variable("LATCHKEY_OPENBAO_TOKEN")?,
        })
    }
}
