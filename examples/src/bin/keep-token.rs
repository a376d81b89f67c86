//! `keep-token`: keeps a token of Vault alive without end. A hub's admin token, or a user's, by the same keeper.

use std::future;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use latchkey_examples::logging::LogFormat;
use latchkey_examples::terminal::{Interrupt, ask};
use latchkey_examples::token_file::{read_secret, read_token, token_of};
use latchkey_examples::{Exit, Failure, VaultArguments, finish, help_after};
use latchkey_token_lifecycle::{Freshness, Keeper, Lease, News, VaultTokens};
use latchkey_vault_client::{Login, Token};
use tracing::{info, warn};

/// Keeps a token of Vault or OpenBao alive until it is stopped
///
/// A periodic token (a hub's admin token) lives as long as this runs. A user's token is renewed by itself up to the longest
/// life that the server allows: before that ends, a line says by when a person must sign in again, and then this ends.
/// A token with ten minutes or less is renewed at once, any other between 60 and 75 % of its life.
///
/// The token is all of --token-file, a file of mode 0600, or of standard input. It is never an argument and never written.
/// Where the file gets another token, that one is kept from then on.
/// SIGTERM and Ctrl-C stop the keeping and leave the token as it is, unless --revoke is given.
#[derive(Parser, Debug)]
#[command(name = "keep-token", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// File with the token, which nobody but its owner may open
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// How much life to ask for at each renewal; the server may give less, and gives a periodic token its period
    /// [default: what the token has now, and at least an hour]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    increment: Option<u64>,

    /// Give the token back when this is stopped
    #[arg(long)]
    revoke: bool,

    /// How events are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    vault: VaultArguments,
}

const EXAMPLES: &str = "\
Examples:
  vault token create -orphan -policy=hub -period=1h -field=token | keep-token
  keep-token --token-file /run/hub/vault-token --log-format json
  printenv NOTEBOOK_VAULT_TOKEN | keep-token --revoke";

/// What is asked for where the token has less: a user's token with a few minutes left is to last again.
const HOUR: Duration = Duration::from_secs(3600);

/// How often the file is looked at for another token.
const LOOK: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.log_format.begin();
    let interrupt = Interrupt::listen()?;
    let mut token = token(arguments.token_file.as_deref(), &interrupt).await?;
    while let Some(other) = keep(arguments, &interrupt, &token).await? {
        info!("the file has another token");
        token = other;
    }
    Ok(())
}

/// Keeps a token until this is stopped, or there is another one to be kept.
async fn keep(arguments: &Arguments, interrupt: &Interrupt, token: &Token) -> Result<Option<Token>, Failure> {
    let file = arguments.token_file.as_deref();
    let vault = arguments.vault.connect()?;
    let login = interrupt.or(vault.token().login(token)).await?;
    let life = renewable_life(&login)?;
    let left = Freshness::of(SystemTime::now() + life, SystemTime::now());
    info!(accessor = login.accessor, seconds = life.as_secs(), "keeping a token");

    let increment = arguments.increment.map_or(life.max(HOUR), Duration::from_secs);
    let tokens = VaultTokens::given(vault).with_increment(increment).with_person();
    let lease = Lease::from(&login);
    let keeper = Keeper::of(tokens).with_token(login, lease).with_observer(tell).spawn();
    let keeper = keeper.ok_or_else(|| Failure::new(Exit::Refused, "there is no tokio runtime"))?;
    let mut watch = keeper.watch();
    if left.wants_a_fresh_one() {
        let keeper = keeper.clone();
        // Where it fails the keeper tries again, and the watch tells why.
        tokio::spawn(async move { keeper.renew_now().await });
    }
    loop {
        let status = watch.current();
        if let Some(error) = &status.last_failure {
            let failure = Failure::of(Exit::Refused, error);
            warn!(problem = failure.message(), "the token is not renewed");
        }
        if !status.has_token {
            return Err(Failure::new(Exit::Refused, "the token has ended, and cannot be had back")
                .with_hint("sign in again, or make a new token, and run this with that one"));
        }
        tokio::select! {
            () = interrupt.wanted() => break,
            changed = watch.changed() => if changed.is_none() { break },
            other = replaced(file, token) => {
                keeper.stop(false).await;
                return Ok(Some(other));
            }
        }
    }
    keeper.stop(arguments.revoke).await;
    info!(revoked = arguments.revoke, "stopped");
    Ok(None)
}

/// Waits until the file has another token: whoever makes a new one, for the old one was revoked or has leaked, writes it there.
async fn replaced(file: Option<&Path>, token: &Token) -> Token {
    let Some(file) = file else { return future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        // A file that is just being written is looked at again. Both are opened to be compared.
        if let Ok(found) = read_token(file)
            && found.expose_secret() != token.expose_secret()
        {
            return found;
        }
    }
}

/// Reads the token: from the file, from standard input, or as the person types it.
async fn token(file: Option<&Path>, interrupt: &Interrupt) -> Result<Token, Failure> {
    match file {
        Some(path) => read_token(path),
        None if io::stdin().is_terminal() => {
            token_of(ask("Vault token", "use --token-file", interrupt).await?)
        }
        None => token_of(read_secret(io::stdin().lock())?),
    }
}

/// Returns how long the token lives, where there is something to be kept.
fn renewable_life(login: &Login) -> Result<Duration, Failure> {
    let usage = |what: &str| {
        Failure::new(Exit::Usage, what)
            .with_hint("make a token for this: `vault token create -orphan -period=1h -policy=NAME`")
    };
    let lease = Lease::from(login);
    match lease.ttl() {
        None => Err(usage("the token does not end: there is nothing to keep alive")),
        Some(_) if lease.is_counted() => Err(usage("each renewal would cost one of the token's uses")),
        Some(_) if !lease.can_renew() => Err(usage("the token cannot be renewed")),
        Some(life) => Ok(life),
    }
}

/// Writes what happened. Nothing in it is secret.
fn tell(news: News) {
    let seconds = |until: Option<SystemTime>| {
        until.and_then(|until| until.duration_since(SystemTime::now()).ok()).map(|left| left.as_secs())
    };
    match news {
        News::Renewed { until } => info!(seconds = seconds(until), "renewed"),
        News::Capped { until } => warn!(seconds = seconds(until), "the server extends the token no more"),
        News::NeedsPerson { by } => {
            warn!(seconds = seconds(by), "a person must sign in again");
        }
        News::Lost => warn!("the token has ended"),
        news => info!(?news, "token"),
    }
}
