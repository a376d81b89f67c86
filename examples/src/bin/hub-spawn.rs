//! `hub-spawn`: what a hub asks before it starts somebody's server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{io, mem};

use clap::Parser;
use latchkey_examples::hub_spawn::{
    Accounts, Asked, Config, Handed, Purpose, SignIn, SignedIn, Start, UsersConfig, hand_over, remove_for,
    take_back, write_done, write_for, write_start, write_stop,
};
use latchkey_examples::logging::LogFormat;
use latchkey_examples::{Exit, Failure, finish, help_after, output};
use latchkey_jupyterhub_auth::{EnvironmentProblem, Page, Reason, UnixName, UnixUser};
use tracing::{error, warn};

/// The name of the file with the secret, in the person's folder.
const SECRET_FILE: &str = "vault-secret";

const EXAMPLES: &str = "\
Examples:
  hub-spawn --config /etc/jupyterhub/hub-spawn.toml < question.json
  hub-spawn --config hub-spawn.toml --dry-run < question.json      says what it would do, and does nothing

The question, which hub_spawn.py asks: {\"user\": NAME, \"auth_state\": {...}, \"client_secret\": TEXT}
The answer, a line each: {\"refreshed\": {...}} where there are new tokens, then {\"start\": {...}} or {\"stop\": {...}}";

/// Decides whether a JupyterHub may start somebody's server, and prepares what the server gets
///
/// It checks the ID token of the person's sign-in in full, asks the provider whether their session lives, refreshes what has
/// ended, makes the Unix user where that is missing, and fetches from Vault or OpenBao what the configuration names. It asks
/// and answers by JSON on standard input and output: no secret is ever an argument or a variable of a process that is not
/// the person's own. Whatever goes wrong is an answer with a page for that person; the details are on standard error.
#[derive(Parser, Debug)]
#[command(name = "hub-spawn", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// What is to be done for each server: TOML, without a secret in it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Say what would be done, and do nothing: no account is made, no token refreshed, nothing fetched from Vault
    #[arg(long)]
    dry_run: bool,

    /// How long the provider, and then Vault, may take altogether
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// How events are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.log_format.begin();
    let config = Config::read(&arguments.config)?;
    let asked = Asked::read(io::stdin().lock())?;
    if asked.purpose == Purpose::Stopped {
        return stopped(arguments, &config, &asked).await;
    }
    match answer(arguments, &config, &asked).await? {
        _ if arguments.dry_run => Ok(()),
        Ok(start) => write_start(&start, asked.carrier()),
        Err(page) => {
            warn!(reason = page.reason().code(), "the server is not started");
            write_stop(&page)
        }
    }
}

/// Returns what the server gets, or the page that is shown instead.
async fn answer(
    arguments: &Arguments,
    config: &Config,
    asked: &Asked,
) -> Result<Result<Start, Page>, Failure> {
    let limit = Duration::from_secs(arguments.timeout);
    let mut start = Start::default();

    let secret = asked.client_secret.as_ref();
    let to_provider = config.provider.transport()?;
    let sign_in = SignIn::new(&config.provider, to_provider.clone(), secret, limit, arguments.dry_run);
    let signed_in = match &asked.auth_state {
        Some(state) => sign_in.of(&asked.user, state).await?,
        None => SignedIn::Stop(Page::new(Reason::NotSignedIn)),
    };
    let (token, told) = match signed_in {
        SignedIn::Proven { token, is_due } => (Some(token), if is_due { "to be refreshed" } else { "fine" }),
        SignedIn::Unproven(reason) => {
            start.notes.push(reason.code());
            (None, "not proven: started without tokens")
        }
        SignedIn::Stop(page) => {
            plan(arguments, "sign-in", page.message())?;
            return Ok(Err(page));
        }
    };
    plan(arguments, "sign-in", told)?;
    if asked.purpose == Purpose::Refresh {
        return Ok(Ok(start));
    }

    let user = match &config.users {
        None => None,
        Some(users) => match unix_user(arguments, users, asked).await? {
            Ok(user) => Some((user, users)),
            Err(page) => {
                plan(arguments, "user", page.message())?;
                return Ok(Err(page));
            }
        },
    };

    if let Some(token) = token.as_deref().filter(|_| config.hand_over_id_token) {
        start.environment = start.environment.with_id_token(token.as_secret()).map_err(|it| unusable(&it))?;
    }
    let Some(vault) = &config.vault else { return Ok(Ok(start)) };
    if arguments.dry_run {
        plan(arguments, "vault", &format!("to ask {}", vault.address))?;
        return Ok(Ok(start));
    }
    let to_vault = vault.transport(&config.provider, &to_provider)?;
    let before = mem::take(&mut start.environment);
    let handed = hand_over(vault, to_vault.clone(), &asked.user, token.as_deref(), before, limit).await;
    let Handed { environment, own_token, file, without } = match handed {
        Ok(handed) => handed,
        Err(page) => return Ok(Err(page)),
    };
    start.environment = environment;
    start.notes.extend(without.map(Reason::code));
    if let (Some(content), Some((user, users))) = (file, user) {
        let Some(path) = secret_file(&user, users, &content) else {
            if let Some(token) = own_token {
                take_back(vault, to_vault, &token).await;
            }
            return Ok(Err(Page::new(Reason::FileNotWritten)));
        };
        start.environment = start.environment.with_secret_file(&path).map_err(|it| unusable(&it))?;
    }
    Ok(Ok(start))
}

fn unusable(problem: &EnvironmentProblem) -> Failure {
    Failure::of(Exit::Refused, problem).while_doing("the server's environment")
}

/// Writes the secret where the person alone reads it. That it cannot be is told to the log.
fn secret_file(user: &UnixUser, users: &UsersConfig, content: &[u8]) -> Option<PathBuf> {
    write_for(user, &users.runtime, SECRET_FILE, content)
        .inspect_err(|error| {
            error!(
                %error,
                runtime = %users.runtime.display(),
                hint = "make room there, and let nobody else write to the folder",
                "the secret's file is not written"
            );
        })
        .ok()
}

/// Returns the person's Unix user, who is there from here on.
async fn unix_user(
    arguments: &Arguments,
    config: &UsersConfig,
    asked: &Asked,
) -> Result<Result<UnixUser, Page>, Failure> {
    let uid = asked.auth_state.as_ref().and_then(|state| state.claim(&config.uid_claim));
    let user = UnixUser::new(&asked.user, &config.uid_claim, uid, &config.homes);
    let user = match &config.gid_claim {
        Some(name) => {
            let gid = asked.auth_state.as_ref().and_then(|state| state.claim(name));
            user.and_then(|user| user.with_gid(name, gid))
        }
        None => user,
    };
    let user = match user {
        Ok(user) => user,
        Err(problem) => return Ok(Err(Page::no_user(&problem))),
    };
    let accounts = if arguments.dry_run {
        Accounts::to_look_at()
    } else {
        Accounts::take_turn(&config.runtime, &config.shell).await?
    };
    let steps = match user.steps(&accounts.find(&user)?) {
        Ok(steps) => steps,
        Err(problem) => {
            warn!(%problem, uid = user.uid(), "there is no Unix user for the person");
            return Ok(Err(Page::no_user(&problem)));
        }
    };
    for step in &steps {
        plan(arguments, "user", &format!("to {step} ({} {})", user.name(), user.uid()))?;
        if !arguments.dry_run
            && let Err(failure) = accounts.take(*step, &user).await
        {
            error!(problem = failure.message(), hint = failure.hint(), "the Unix user is not made");
            return Ok(Err(Page::new(Reason::NoUser)));
        }
    }
    // Whatever the system's programs made of it: only what is as it should be is served.
    if !steps.is_empty() && !arguments.dry_run {
        match user.steps(&accounts.find(&user)?) {
            Ok(left) if left.is_empty() => {}
            other => {
                error!(?other, "the Unix user is not as it should be after it was made");
                return Ok(Err(Page::new(Reason::NoUser)));
            }
        }
    }
    Ok(Ok(user))
}

/// Takes back what a server was handed: the token, and with the person's last server the file.
async fn stopped(arguments: &Arguments, config: &Config, asked: &Asked) -> Result<(), Failure> {
    // First what nothing can hold up.
    let removed = if asked.is_last { remove_file(arguments, config, asked) } else { Ok(()) };
    if let (Some(vault), Some(token)) = (&config.vault, &asked.notebook_token) {
        plan(arguments, "vault", &format!("to give the token back at {}", vault.address))?;
        if !arguments.dry_run {
            let transport = vault.transport(&config.provider, &config.provider.transport()?)?;
            take_back(vault, transport, token).await;
        }
    }
    removed?;
    if arguments.dry_run { Ok(()) } else { write_done() }
}

/// Removes the file with the secret. Whose it is this machine knows; a sign-in may be over by now.
fn remove_file(arguments: &Arguments, config: &Config, asked: &Asked) -> Result<(), Failure> {
    let (Some(users), Ok(name)) = (&config.users, UnixName::new(&asked.user)) else { return Ok(()) };
    let Some(uid) = Accounts::uid_of(&name)? else { return Ok(()) };
    let folder = users.runtime.join(uid.to_string());
    plan(arguments, "file", &format!("to remove {}", folder.join(SECRET_FILE).display()))?;
    if arguments.dry_run {
        return Ok(());
    }
    remove_for(uid, &users.runtime, SECRET_FILE)
        .map_err(|error| Failure::from(error).while_doing(&folder.display().to_string()))
}

/// In a dry run, says what there is to a question.
fn plan(arguments: &Arguments, question: &str, text: &str) -> Result<(), Failure> {
    if arguments.dry_run { output::print(format!("{question:<8}  {text}\n").as_bytes()) } else { Ok(()) }
}
