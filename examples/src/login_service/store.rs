//! What all replicas share: a Redis that forgets by itself, and cannot read what it keeps.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use latchkey_oidc_flow::LogoutToken;
use latchkey_transport::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    RedisError, ServerErrorKind, TlsCertificates,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tracing::warn;
use zeroize::Zeroizing;

use super::keys::KeyRing;
use super::record::{Login, Session, random_text, seconds};
use crate::environment::{from_environment, named, path, read};
use crate::failure::{Exit, Failure};

/// How long Redis may take. A person waits no longer, and the connection is made anew beside that.
const WITHIN: Duration = Duration::from_secs(5);

/// How long it is remembered that somebody has signed out: longer than a sign-in that was under way meanwhile can take.
const SIGNED_OUT_FOR: Duration = Duration::from_secs(30 * 60);

/// Which Redis is meant.
#[derive(Args, Debug)]
#[command(next_help_heading = "Redis")]
pub struct StoreArguments {
    /// Redis that all replicas share, `rediss://` with TLS; its password comes from `REDIS_PASSWORD`
    #[arg(
        long = "redis",
        value_name = "URL",
        env = "LATCHKEY_REDIS",
        default_value = "redis://127.0.0.1:6379/0"
    )]
    address: String,

    /// Trust the certificates in this PEM file, and no others, for Redis
    #[arg(long = "redis-ca", value_name = "FILE", env = "LATCHKEY_REDIS_CACERT", value_parser = path)]
    ca: Option<PathBuf>,

    /// What the names of everything that is kept there begin with
    #[arg(long, value_name = "TEXT", default_value = "login-service")]
    prefix: String,
}

/// Sign-ins under way, and sessions, where every replica finds them.
///
/// Names are digests, and values are sealed: whoever reads Redis can neither take over a session nor see whose it is, and
/// whoever writes to it can end sessions and make none.
#[derive(Clone)]
pub struct Store {
    redis: Arc<Redis>,
    keys: Arc<KeyRing>,
    prefix: Arc<str>,
}

/// Redis cannot be asked now, or cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unavailable {
    #[error("redis does not answer as it should")]
    Redis(#[from] RedisError),
    #[error("there are no random numbers")]
    Random,
}

impl Unavailable {
    /// Says in a few words what there is to do something about.
    pub(super) fn told(&self) -> &'static str {
        let error = match self {
            Self::Random => return "there are no random numbers",
            Self::Redis(error) => error,
        };
        match (error.kind(), error.code()) {
            _ if is_of_tls(error) => "redis shows a certificate that is not trusted: see --redis-ca",
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
                "redis does not take the user or the password: see REDIS_PASSWORD"
            }
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
                "the user of redis may not do what is needed: see its ACL"
            }
            _ => "redis does not answer",
        }
    }
}

/// Whether the other side did not prove who it is.
fn is_of_tls(error: &RedisError) -> bool {
    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let io = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    let Some(inner) = io.and_then(io::Error::get_ref) else { return false };
    inner.is::<rustls::Error>()
}

/// Ends the sessions of an index that began up to a time, and remembers that time: in one step, so that no replica can
/// be ended in between. A session that begins beside this is seen here, or sees what is remembered.
///
/// Keys: index, memory. Arguments: time, how long to remember it.
const END: &str = r"
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
local ended = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local issued, name = string.match(member, '^(%d+) (.+)$')
  if tonumber(issued) <= tonumber(ARGV[1]) then
    ended = ended + redis.call('DEL', name)
    redis.call('ZREM', KEYS[1], member)
  end
end
return ended";

impl StoreArguments {
    /// Returns the store. Redis is asked when something is wanted of it: it may come up later.
    pub fn connect(&self, keys: Arc<KeyRing>) -> Result<Store, Failure> {
        let unusable = |why: &str| {
            Failure::new(Exit::Usage, format!("--redis: {why}")).with_hint(
                "an address such as rediss://redis.example:6379/0, or redis+unix:///run/redis.sock",
            )
        };
        let info: ConnectionInfo = self
            .address
            .as_str()
            .into_connection_info()
            .map_err(|_| unusable("not an address of a Redis"))?;
        if info.redis_settings().password().is_some() {
            return Err(unusable("no password belongs here: other users of the machine see it")
                .with_hint("put the password into REDIS_PASSWORD"));
        }
        let info = match from_environment("REDIS_PASSWORD") {
            // Opened for the server that it is for.
            Some(password) => {
                let settings = info.redis_settings().clone().set_password(password.expose_secret());
                info.set_redis_settings(settings)
            }
            None => info,
        };
        let has_tls = match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(unusable("a certificate is always looked at")
                    .with_hint("leave `#insecure` out, and name the CA with --redis-ca"));
            }
            address => matches!(address, ConnectionAddr::TcpTls { .. }),
        };
        let client = match named(self.ca.as_deref()) {
            Some(_) if !has_tls => {
                return Err(unusable("--redis-ca is for rediss://, and nothing else looks at a certificate"));
            }
            Some(path) => {
                let pem = read(path, "--redis-ca")?;
                // Redis' client would take a file without any, and trust nobody.
                let has_some = CertificateDer::pem_slice_iter(&pem).next().is_some();
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                let client = Client::build_with_tls(info, certificates).ok().filter(|_| has_some);
                client.ok_or_else(|| {
                    Failure::new(Exit::Usage, format!("--redis-ca {}: no certificates", path.display()))
                        .with_hint("--redis-ca names a PEM file with certificates")
                })?
            }
            None => Client::open(info).map_err(|_| unusable("not an address of a Redis"))?,
        };
        let redis = Redis::at(client).map_err(|_| unusable("not an address of a Redis"))?;
        Ok(Store { redis: Arc::new(redis), keys, prefix: self.prefix.as_str().into() })
    }
}

/// A connection that is made anew when it breaks.
struct Redis {
    client: Client,
    manager: Mutex<ConnectionManager>,
}

impl Redis {
    /// Asks nothing yet: it may come up later.
    fn at(client: Client) -> Result<Self, RedisError> {
        Ok(Self { manager: Mutex::new(managed(&client)?), client })
    }

    async fn ask<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, RedisError> {
        let mut manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = pipe.query_async(&mut manager).await;
        // The manager comes back by itself after everything but this: the user or its password may be there only later.
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::AuthenticationFailed)
            && let Ok(new) = managed(&self.client)
        {
            *self.manager.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
        answer
    }
}

fn managed(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(WITHIN))
        .set_response_timeout(Some(WITHIN))
        .set_number_of_retries(1);
    client.get_connection_manager_lazy(config)
}

impl Store {
    /// Asks whether Redis answers.
    pub(super) async fn ping(&self) -> Result<(), Unavailable> {
        self.ask(redis::pipe().cmd("PING").ignore()).await
    }

    /// Keeps a sign-in for the browser that began it, as long as it may take.
    pub(super) async fn remember(
        &self,
        login: &Login,
        browser: &Secret,
        lifetime: Duration,
    ) -> Result<(), Unavailable> {
        let place = self.login_place(login.pending.state(), browser);
        let sealed = self.seal(&place, login)?;
        self.ask(redis::pipe().cmd("SET").arg(place).arg(sealed).arg("EX").arg(lifetime.as_secs()).ignore())
            .await
    }

    /// Takes a sign-in out: once, whichever replicas ask at the same time. Another browser finds nothing, and takes nothing
    /// away.
    pub(super) async fn take(&self, state: &Secret, browser: &Secret) -> Result<Option<Login>, Unavailable> {
        let place = self.login_place(state, browser);
        let (sealed,): (Option<Vec<u8>>,) = self.ask(redis::pipe().cmd("GETDEL").arg(&place)).await?;
        Ok(sealed.and_then(|sealed| self.open(&place, &sealed)))
    }

    /// Begins a session and returns what the browser is to keep; nothing where the person has signed out meanwhile.
    pub(super) async fn begin(
        &self,
        session: &Session,
        now: SystemTime,
    ) -> Result<Option<Secret>, Unavailable> {
        let id = random_text().ok_or(Unavailable::Random)?;
        let place = self.session_place(&id);
        let sealed = self.seal(&place, session)?;
        let lifetime = session.ends_at.saturating_sub(seconds(now)).max(1);
        let (person, sid) = (self.person(session), self.sid(session));
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&place).arg(sealed).arg("EX").arg(lifetime).ignore();
        for index in [Some(&person), sid.as_ref()].into_iter().flatten() {
            let member = format!("{} {place}", session.issued_at);
            pipe.cmd("ZREMRANGEBYSCORE").arg(&index.sessions).arg("-inf").arg(seconds(now)).ignore();
            pipe.cmd("ZADD").arg(&index.sessions).arg(session.ends_at).arg(member).ignore();
            pipe.cmd("EXPIRE").arg(&index.sessions).arg(lifetime).ignore();
        }
        pipe.cmd("GET").arg(&person.memory);
        // Without a session at the provider the same once more: Redis may allow no other names than ours.
        pipe.cmd("GET").arg(&sid.as_ref().unwrap_or(&person).memory);
        let (of_person, of_sid): (Option<u64>, Option<u64>) = self.ask(&mut pipe).await?;
        let has_signed_out = [of_person, of_sid].into_iter().flatten().any(|time| session.issued_at <= time);
        if has_signed_out {
            self.end(&id).await?;
            return Ok(None);
        }
        Ok(Some(id))
    }

    /// Returns the session that a browser has.
    pub(super) async fn session(&self, id: &Secret, now: SystemTime) -> Result<Option<Session>, Unavailable> {
        let place = self.session_place(id);
        let (sealed,): (Option<Vec<u8>>,) = self.ask(redis::pipe().cmd("GET").arg(&place)).await?;
        let session: Option<Session> = sealed.and_then(|sealed| self.open(&place, &sealed));
        // Whoever writes to Redis could let it live on.
        Ok(session.filter(|session| !session.has_ended(now)))
    }

    /// Ends a session.
    pub(super) async fn end(&self, id: &Secret) -> Result<(), Unavailable> {
        self.ask(redis::pipe().cmd("DEL").arg(self.session_place(id)).ignore()).await
    }

    /// Ends the sessions that a provider's logout token means, on every replica, and returns how many there were.
    pub(super) async fn end_all(&self, issuer: &str, token: &LogoutToken) -> Result<u64, Unavailable> {
        let (index, until) = match (token.session_id(), token.subject()) {
            // No session of that name begins again.
            (Some(sid), _) => (self.index("sid", issuer, sid), u64::from(u32::MAX)),
            (None, Some(subject)) => (self.index("person", issuer, subject), seconds(token.issued_at())),
            (None, None) => return Ok(0),
        };
        let mut pipe = redis::pipe();
        pipe.cmd("EVAL").arg(END).arg(2).arg(index.sessions).arg(index.memory);
        let (ended,) = self.ask(pipe.arg(until).arg(SIGNED_OUT_FOR.as_secs())).await?;
        Ok(ended)
    }

    async fn ask<T: FromRedisValue>(&self, pipe: &mut Pipeline) -> Result<T, Unavailable> {
        // All of several commands, or none.
        if pipe.len() > 1 {
            pipe.atomic();
        }
        Ok(self.redis.ask(pipe).await?)
    }

    fn login_place(&self, state: &Secret, browser: &Secret) -> String {
        // Opened for a digest.
        self.place("login", [state.expose_secret(), browser.expose_secret()])
    }

    fn session_place(&self, id: &Secret) -> String {
        // Opened for a digest.
        self.place("session", [id.expose_secret(), ""])
    }

    fn person(&self, session: &Session) -> Index {
        self.index("person", &session.issuer, &session.subject)
    }

    fn sid(&self, session: &Session) -> Option<Index> {
        session.sid.as_deref().map(|sid| self.index("sid", &session.issuer, sid))
    }

    fn index(&self, kind: &str, issuer: &str, name: &str) -> Index {
        Index {
            sessions: self.place(&format!("{kind}-sessions"), [issuer, name]),
            memory: self.place(&format!("{kind}-signed-out"), [issuer, name]),
        }
    }

    fn place(&self, kind: &str, parts: [&str; 2]) -> String {
        let digest = parts
            .iter()
            .fold(Sha256::new(), |digest, part| {
                digest.chain_update(part.len().to_be_bytes()).chain_update(part.as_bytes())
            })
            .finalize();
        format!("{}:{kind}:{}", self.prefix, URL_SAFE_NO_PAD.encode(digest))
    }

    fn seal(&self, place: &str, record: &impl Serialize) -> Result<Vec<u8>, Unavailable> {
        // Numbers and texts alone: that they are not written does not happen.
        let text = Zeroizing::new(serde_json::to_vec(record).unwrap_or_default());
        self.keys.seal(place, &text).ok_or(Unavailable::Random)
    }

    fn open<T: DeserializeOwned>(&self, place: &str, sealed: &[u8]) -> Option<T> {
        let opened = self.keys.open(place, sealed).and_then(|text| serde_json::from_slice(&text).ok());
        if opened.is_none() {
            warn!("something in Redis was sealed by no key of ours, or by another version");
        }
        opened
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Where the sessions of a person, or of a session at the provider, are found.
struct Index {
    /// A sorted set: `issued-at place`, by the time at which each ends.
    sessions: String,
    /// Up to when those that began are over.
    memory: String,
}
