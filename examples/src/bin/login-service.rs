//! `login-service`: people sign in to a web service of many replicas. Start on one, finish on another.
//!
//! The program puts together what stands in `login_service/`: [`Service`] answers, [`Store`](latchkey_examples::login_service::Store)
//! keeps, [`KeyRing`] seals what is kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use latchkey_examples::late_provider::{LateProvider, Unready};
use latchkey_examples::logging::LogFormat;
use latchkey_examples::login_service::{KeyRing, Service, Settings, StoreArguments};
use latchkey_examples::serve::Server;
use latchkey_examples::terminal::Interrupt;
use latchkey_examples::{Failure, ProviderArguments, finish, help_after};
use tokio::time::interval;
use tracing::{info, warn};
use url::Url;

/// A web service that people sign in to, with as many replicas as you like
///
/// No replica keeps anything: sign-ins under way and sessions are in a Redis, under digests and sealed, and end by
/// themselves. So any replica may end at any time, and any other goes on.
///
///   GET  /                    who is signed in, and a button to sign out
///   GET  /me                  the same for programs: 200 or 401
///   GET  /login               to the provider, back to /callback, and to the path in ?next=
///   POST /logout              ends the session, here and at the provider
///   POST /backchannel-logout  the provider tells that somebody has signed out
///   GET  /healthz             200 while the program runs
///   GET  /readyz              200 while the provider and Redis answer
///
/// Serve it with https: it speaks http itself, behind whatever balances between the replicas.
#[derive(Parser, Debug)]
#[command(name = "login-service", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Address that people type, without a path; the provider's list has BASE/callback and BASE/signed-out
    #[arg(long, value_name = "URL", env = "LATCHKEY_BASE_URL")]
    base_url: Url,

    /// Address and port to listen at; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// File with the keys that seal what is kept: one a line, 32 bytes in Base64, the newest first
    #[arg(long, value_name = "FILE", env = "LATCHKEY_KEYS")]
    keys: PathBuf,

    /// Seconds that a person may take to sign in
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    login_seconds: u64,

    /// Seconds that a session lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 8 * 3600, value_parser = clap::value_parser!(u64).range(1..=30 * 86_400))]
    session_seconds: u64,

    /// How many requests are worked on at a time; the others wait, and after 5 s hear that too many are here
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    at_a_time: u16,

    /// How events are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    store: StoreArguments,

    #[command(flatten)]
    provider: ProviderArguments,
}

const EXAMPLES: &str = "\
Examples:
  (umask 077; head -c 32 /dev/urandom | base64 > keys)
  LATCHKEY_CLIENT_SECRET=... REDIS_PASSWORD=... login-service \\
      --issuer https://id.example/realms/team --client-id app --base-url https://app.example \\
      --redis redis://redis.example:6379/0 --keys keys --listen 0.0.0.0:8080

  A new key, without a restart:
  (umask 077; head -c 32 /dev/urandom | base64 | cat - keys > new; mv new keys)";

/// How often the file with the keys is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.log_format.begin();
    let interrupt = Interrupt::listen()?;
    let keys = Arc::new(KeyRing::load(&arguments.keys)?);
    let provider = LateProvider::new(arguments.provider.issuer()?, arguments.provider.transport()?);
    // An address that is no issuer is told at once; a provider that is down may come up later.
    if let Err(Unready::Wrong(error)) = interrupt.or(async { Ok::<_, Failure>(provider.get().await) }).await?
    {
        return Err((*error).into());
    }
    let settings = Settings {
        base_url: arguments.base_url.clone(),
        client_id: arguments.provider.client_id().to_owned(),
        client_secret: arguments.provider.client_secret(&interrupt).await?,
        login_lifetime: Duration::from_secs(arguments.login_seconds),
        session_lifetime: Duration::from_secs(arguments.session_seconds),
        at_a_time: arguments.at_a_time.into(),
    };
    let service = Arc::new(Service::new(settings, provider, arguments.store.connect(Arc::clone(&keys))?)?);
    let server = Server::bind(arguments.listen).await?;
    if let Err(problem) = service.check().await {
        warn!(problem, "not ready yet");
    }
    let looking = tokio::spawn(async move {
        let mut looks = interval(LOOK_AGAIN);
        loop {
            looks.tick().await;
            keys.look_again();
        }
    });
    info!(address = %server.address()?, "listening");
    server.route(async move { interrupt.wanted().await }, service.router()).await;
    looking.abort();
    info!("stopped");
    Ok(())
}
