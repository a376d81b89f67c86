//! `webapp`: a service on Kubernetes logs in with its service account's token, and serves the secret that it reads.
//!
//! A [`Keeper`] logs in and keeps the token alive. [`Reader`] reads the secret: one task, whatever number of people ask.
//! Those who ask get what it read last, and cost Vault nothing.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hyper::{Method, StatusCode};
use latchkey_examples::logging::LogFormat;
use latchkey_examples::serve::{self, Asked, Server};
use latchkey_examples::terminal::Interrupt;
use latchkey_examples::{Exit, Failure, SecretPath, VaultArguments, finish, help_after};
use latchkey_token_lifecycle::{Keeper, News, VaultTokens};
use latchkey_transport::Secret;
use latchkey_vault_client::auth::ServiceAccountToken;
use latchkey_vault_client::{Data, Error, Login, Read, Vault};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// Serves a secret of Vault or OpenBao to whoever may ask this pod
///
/// It logs in with the token of the pod's service account, which it reads anew each time, keeps its own token alive, and
/// reads the secret again every --refresh seconds. Whoever asks gets what was read last: Vault sees one read per interval,
/// however many ask.
///
///   GET /         the fields of the secret: password:static-password username:static-user
///   GET /healthz  200 while the program runs
///   GET /readyz   200 while there is a secret that is not older than --stale seconds
#[derive(Parser, Debug)]
#[command(name = "webapp", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Port to listen at; 0 is any free one
    #[arg(long, value_name = "PORT", env = "SERVICE_PORT", default_value_t = 8080)]
    port: u16,

    /// Address to listen at; the secret is served in the clear, so let a network policy say who reaches it
    #[arg(long = "address", value_name = "ADDRESS", env = "SERVICE_ADDRESS", default_value = "0.0.0.0")]
    service_address: IpAddr,

    /// File with the token of the service account
    #[arg(long, value_name = "FILE", env = "JWT_PATH", default_value = ServiceAccountToken::DEFAULT_PATH)]
    jwt_path: PathBuf,

    /// Kubernetes auth method of Vault
    #[arg(long, value_name = "MOUNT", env = "VAULT_MOUNT", default_value = "kubernetes")]
    mount: String,

    /// Role of the auth method
    #[arg(long, value_name = "NAME", env = "VAULT_ROLE", default_value = "webapp")]
    role: String,

    /// Secret to serve
    #[arg(long, value_name = "MOUNT/PATH", env = "VAULT_SECRET", default_value = "secret/webapp/config")]
    secret: SecretPath,

    /// Seconds between two reads
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    refresh: u64,

    /// Seconds after which a secret that could not be read again is no longer served
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    stale: u64,

    /// How events are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    #[command(flatten)]
    vault: VaultArguments,
}

const EXAMPLES: &str = "\
Examples:
  VAULT_ADDR=https://vault.vault:8200 SERVICE_PORT=8080 webapp
  webapp --vault https://vault.example:8200 --mount kubernetes --role webapp --secret secret/webapp/config \\
      --jwt-path /var/run/secrets/tokens/vault

examples/webapp/ has a Containerfile and a manifest.";

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.log_format.begin();
    let interrupt = Interrupt::listen()?;
    let vault = arguments.vault.connect()?;
    let server = Server::bind(SocketAddr::new(arguments.service_address, arguments.port)).await?;
    let (publish, published) = watch::channel(None);
    let account = ServiceAccountToken::at(&arguments.jwt_path);
    let tokens = VaultTokens::kubernetes(vault.clone(), &arguments.mount, &arguments.role, account);
    let keeper = Keeper::of(tokens).with_observer(tell).spawn();
    let reader = Reader {
        vault,
        keeper: keeper.ok_or_else(|| Failure::new(Exit::Refused, "there is no tokio runtime"))?,
        role: arguments.role.clone(),
        secret: arguments.secret.clone(),
        refresh: Duration::from_secs(arguments.refresh),
        publish,
    };
    let stop = interrupt.clone();
    let reading = tokio::spawn(async move { reader.run(stop).await });
    info!(address = %server.address()?, "listening");
    let stale = Duration::from_secs(arguments.stale);
    server
        .serve(async move { interrupt.wanted().await }, move |asked| {
            let answer = answer(&asked, published.borrow().as_ref(), stale);
            async move { answer }
        })
        .await;
    // It has heard of the end, too, and gives its token back.
    let _ = reading.await;
    info!("stopped");
    Ok(())
}

/// What was read last.
#[derive(Clone)]
struct Served {
    /// The fields, as they are served.
    text: Arc<Secret>,
    read_at: Instant,
}

fn answer(asked: &Asked, served: Option<&Served>, stale: Duration) -> serve::Answer {
    let served = served.filter(|served| served.read_at.elapsed() <= stale);
    match (&asked.method, asked.path.as_str()) {
        (&Method::GET | &Method::HEAD, "/healthz") => serve::text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => match served {
            Some(_) => serve::text(StatusCode::OK, "ok\n"),
            None => serve::text(StatusCode::SERVICE_UNAVAILABLE, "no secret yet\n"),
        },
        (&Method::GET | &Method::HEAD, "/") => match served {
            // Opened for whoever asks: that is what this service is for.
            Some(served) => serve::text(StatusCode::OK, served.text.expose_secret().to_owned()),
            None => serve::text(StatusCode::SERVICE_UNAVAILABLE, "the secret cannot be read now\n"),
        },
        (_, "/" | "/healthz" | "/readyz") => serve::text(StatusCode::METHOD_NOT_ALLOWED, "not that way\n"),
        _ => serve::text(StatusCode::NOT_FOUND, "nothing here\n"),
    }
}

/// Writes the fields as the service has always served them: sorted, `name:value`, blanks between.
fn written(data: &Data) -> Secret {
    let mut names: Vec<_> = data.fields().collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let value = data.text(name).or_else(|_| data.raw(name)).unwrap_or_default();
        let separator = if text.is_empty() { "" } else { " " };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{name}:{value}");
    }
    Secret::new(text)
}

/// Writes what becomes of the token. Nothing in it is secret.
fn tell(news: News) {
    match news {
        News::Lost => warn!("the token has ended"),
        news => info!(?news, "token"),
    }
}

/// Reads the secret, again and again, with the token that there is.
struct Reader {
    vault: Vault,
    keeper: Keeper<Login>,
    role: String,
    secret: SecretPath,
    refresh: Duration,
    publish: watch::Sender<Option<Served>>,
}

/// How long the first pause after a failure is. Each one after it is twice as long, up to `--refresh`.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

impl Reader {
    async fn run(self, stop: Interrupt) {
        let mut accessor = String::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = tokio::select! {
                () = stop.wanted() => break,
                done = self.turn(&mut accessor) => match done {
                    Ok(()) => {
                        pause = FIRST_PAUSE;
                        self.refresh
                    }
                    Err(failure) => {
                        warn!(problem = failure.message(), hint = failure.hint(), "the secret is not read");
                        let wait = pause.min(self.refresh);
                        pause *= 2;
                        wait
                    }
                },
            };
            tokio::select! {
                () = stop.wanted() => break,
                () = sleep(wait) => {}
            }
        }
        // It gives the token back.
        self.keeper.stop(true).await;
    }

    /// Reads the secret once, as soon as there is a token.
    async fn turn(&self, accessor: &mut String) -> Result<(), Failure> {
        // What stopped a login may have been put right: the file, the role, Vault.
        if self.keeper.fresh().is_none() {
            self.keeper.nudge();
        }
        let login = self.keeper.token().await.map_err(|error| not_logged_in(&error))?;
        if *accessor != login.accessor {
            info!(accessor = login.accessor, role = self.role, "logged in");
            accessor.clone_from(&login.accessor);
        }
        let vault = self.vault.with_token(login.token());
        match vault.kv2(self.secret.mount()).read(self.secret.path()).await {
            Ok(Read::Found(found)) => {
                let served = Served { text: Arc::new(written(found.data())), read_at: Instant::now() };
                let version = found.metadata().version;
                let before = self.publish.send_replace(Some(served.clone()));
                let is_new = before.is_none_or(|before| !before.text.is_same_as(served.text.expose_secret()));
                if is_new {
                    info!(version, secret = %self.secret, "a new secret");
                }
                Ok(())
            }
            Ok(_) => {
                // Somebody took it away: what was read before is not to be served on.
                self.publish.send_replace(None);
                Err(Failure::new(Exit::Refused, format!("there is no secret {}", self.secret))
                    .with_hint("whoever may write it must write a version"))
            }
            Err(error) => {
                // The token may be dead: the keeper finds out, and gets another one.
                if matches!(error, Error::PermissionDenied(_) | Error::TokenInvalid(_)) {
                    self.keeper.refused(&login, matches!(error, Error::TokenInvalid(_)));
                }
                Err(Failure::from(error).while_doing(&format!("reading {}", self.secret)))
            }
        }
    }
}

fn not_logged_in(error: &latchkey_token_lifecycle::Error) -> Failure {
    Failure::of(Exit::Refused, error).with_hint(
        "--jwt-path must name a token of the service account, and --role a role of --mount that is bound to it",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;
    use hyper::{Method, StatusCode};
    use latchkey_examples::VaultArguments;
    use latchkey_examples::serve::Asked;
    use latchkey_transport::{Exchange, Reply};
    use latchkey_vault_client::Read;
    use latchkey_vault_client::kv2::ReadSecret;

    use super::{Arguments, answer, written};

    /// What stands between this and the end of the line.
    fn after<'a>(text: &'a str, begin: &str) -> impl Iterator<Item = &'a str> {
        text.lines().filter_map(move |line| line.trim().strip_prefix(begin)).map(str::trim)
    }

    #[test]
    fn the_manifest_and_the_container_file_name_what_the_program_takes() {
        let manifest = include_str!("../../webapp/webapp.yaml");
        let container = include_str!("../../webapp/Containerfile");
        let command = Arguments::command();
        let takes = |name: &str| {
            VaultArguments::VARIABLES.contains(&name)
                || command.get_arguments().any(|this| this.get_env().is_some_and(|env| env == name))
        };
        let variables = after(manifest, "- {name: ").filter_map(|rest| rest.split_once(", value: "));
        let variables: Vec<_> = variables.map(|(name, _)| name).collect();
        assert!(variables.len() >= 6, "{variables:?}");
        for name in
            variables.into_iter().chain(after(container, "ENV ").filter_map(|rest| rest.split('=').next()))
        {
            assert!(takes(name), "{name}");
        }
        let given = after(manifest, "args: [").chain(after(container, "CMD ["));
        for words in given {
            let words = words.trim_end_matches(']').split(", ").map(|word| word.trim_matches('"'));
            assert!(command.clone().try_get_matches_from(["webapp"].into_iter().chain(words)).is_ok());
        }
        let port = after(container, "EXPOSE ").next().unwrap();
        assert!(manifest.contains(&format!("{{name: SERVICE_PORT, value: \"{port}\"}}")));
        assert!(container.contains("ENTRYPOINT [\"/webapp\"]"));
        let probes: Vec<_> =
            after(manifest, "httpGet: {path: ").filter_map(|rest| rest.split(',').next()).collect();
        assert_eq!(probes, ["/healthz", "/readyz"]);
        for path in probes {
            let asked = Asked::new(Method::GET, path);
            assert_ne!(answer(&asked, None, Duration::ZERO).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_fields_are_sorted_and_written_as_ever() {
        let body = r#"{"data":{"data":{"username":"static-user","password":"static-password","port":5432},
            "metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}"#;
        let Read::Found(found) =
            ReadSecret::new("secret", "webapp/config").unwrap().receive(Reply::new(200, body)).unwrap()
        else {
            panic!("it is there");
        };
        let text = written(found.data());
        assert_eq!(text.expose_secret(), "password:static-password port:5432 username:static-user");
    }
}
