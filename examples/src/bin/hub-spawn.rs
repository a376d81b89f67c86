//! `hub-spawn`: what a hub asks before it starts somebody's server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{io, mem};

use clap::Parser;
use latchkey_examples::hub_spawn::{
    Accounts, Asked, Config, Purpose, SignIn, SignedIn, Start, UsersConfig, VaultConfig, hand_over,
    remove_for, take_back, write_done, write_for, write_start, write_stop,
};
use latchkey_examples::logging::LogFormat;
use latchkey_examples::{Exit, Failure, finish, help_after, output};
use latchkey_jupyterhub_auth::{EnvironmentProblem, Page, Reason, UnixName, UnixUser, UserProblem};
use latchkey_oidc_flow::VerifiedIdToken;
use latchkey_transport::SharedTransport;
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
    let run = Run { arguments, config: &config, asked: &asked };
    if asked.purpose == Purpose::Stopped {
        return run.stopped().await;
    }
    match run.start().await {
        Err(Halt::Fault(failure)) => Err(failure),
        _ if arguments.dry_run => Ok(()),
        Ok(start) => write_start(&start, asked.carrier()),
        Err(Halt::Page(page)) => {
            warn!(reason = page.reason().code(), "the server is not started");
            write_stop(&page)
        }
    }
}

/// Why a server is not started.
enum Halt {
    /// What the person is shown.
    Page(Page),
    /// The hub shows a page of its own, and whoever runs it looks at the log.
    Fault(Failure),
}

impl From<Page> for Halt {
    fn from(page: Page) -> Self {
        Self::Page(page)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Fault(failure)
    }
}

impl From<EnvironmentProblem> for Halt {
    fn from(problem: EnvironmentProblem) -> Self {
        Self::Fault(Failure::of(Exit::Refused, &problem).while_doing("the server's environment"))
    }
}

/// What one question is answered by.
struct Run<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    asked: &'a Asked,
}

impl Run<'_> {
    /// Returns what the server gets.
    async fn start(&self) -> Result<Start, Halt> {
        let mut start = Start::default();
        let to_provider = self.config.provider.transport()?;
        let token = self.sign_in(&to_provider, &mut start).await?;
        if self.asked.purpose == Purpose::Refresh {
            return Ok(start);
        }
        let user = match &self.config.users {
            Some(users) => Some((self.unix_user(users).await?, users)),
            None => None,
        };
        if let Some(token) = token.as_deref().filter(|_| self.config.hand_over_id_token) {
            start.environment = start.environment.with_id_token(token.as_secret())?;
        }
        match &self.config.vault {
            Some(vault) if self.arguments.dry_run => {
                self.plan("vault", &format!("to ask {}", vault.address))?;
                Ok(start)
            }
            Some(vault) => {
                let to_vault = vault.transport(&self.config.provider, &to_provider)?;
                self.add_secrets(start, vault, to_vault, token.as_deref(), user).await
            }
            None => Ok(start),
        }
    }

    /// Returns the proof that the person is signed in; `None` where the operator does without one.
    async fn sign_in(
        &self,
        to_provider: &SharedTransport,
        start: &mut Start,
    ) -> Result<Option<Box<VerifiedIdToken>>, Halt> {
        let (config, secret) = (&self.config.provider, self.asked.client_secret.as_ref());
        let sign_in = SignIn::new(config, to_provider.clone(), secret, self.limit(), self.arguments.dry_run);
        let signed_in = match &self.asked.auth_state {
            Some(state) => sign_in.of(&self.asked.user, state).await?,
            None => SignedIn::Stop(Page::new(Reason::NotSignedIn)),
        };
        let (token, told) = match signed_in {
            SignedIn::Proven { token, is_due } => {
                (Some(token), if is_due { "to be refreshed" } else { "fine" })
            }
            SignedIn::Unproven(reason) => {
                start.notes.push(reason.code());
                (None, "not proven: started without tokens")
            }
            SignedIn::Stop(page) => {
                self.plan("sign-in", page.message())?;
                return Err(page.into());
            }
        };
        self.plan("sign-in", told)?;
        Ok(token)
    }

    /// Returns the person's Unix user, who is there from here on.
    async fn unix_user(&self, config: &UsersConfig) -> Result<UnixUser, Halt> {
        let user = match self.wanted_user(config) {
            Ok(user) => user,
            Err(problem) => return Err(self.no_user(&problem)?),
        };
        let accounts = if self.arguments.dry_run {
            Accounts::to_look_at()
        } else {
            Accounts::take_turn(&config.runtime, &config.shell).await?
        };
        let steps = match user.steps(&accounts.find(&user)?) {
            Ok(steps) => steps,
            Err(problem) => {
                warn!(%problem, uid = user.uid(), "there is no Unix user for the person");
                return Err(self.no_user(&problem)?);
            }
        };
        for step in &steps {
            self.plan("user", &format!("to {step} ({} {})", user.name(), user.uid()))?;
            if !self.arguments.dry_run
                && let Err(failure) = accounts.take(*step, &user).await
            {
                error!(problem = failure.message(), hint = failure.hint(), "the Unix user is not made");
                return Err(Page::new(Reason::NoUser).into());
            }
        }
        // Whatever the system's programs made of it: only what is as it should be is served.
        if !steps.is_empty() && !self.arguments.dry_run {
            match user.steps(&accounts.find(&user)?) {
                Ok(left) if left.is_empty() => {}
                other => {
                    error!(?other, "the Unix user is not as it should be after it was made");
                    return Err(Page::new(Reason::NoUser).into());
                }
            }
        }
        Ok(user)
    }

    /// Returns who the person is to be on this machine, by their sign-in.
    fn wanted_user(&self, config: &UsersConfig) -> Result<UnixUser, UserProblem> {
        let claim = |name: &str| self.asked.auth_state.as_ref().and_then(|state| state.claim(name));
        let uid = claim(&config.uid_claim);
        let user = UnixUser::new(&self.asked.user, &config.uid_claim, uid, &config.homes)?;
        match &config.gid_claim {
            Some(name) => user.with_gid(name, claim(name)),
            None => Ok(user),
        }
    }

    fn no_user(&self, problem: &UserProblem) -> Result<Halt, Failure> {
        let page = Page::no_user(problem);
        self.plan("user", page.message())?;
        Ok(page.into())
    }

    /// Adds what Vault gives.
    async fn add_secrets(
        &self,
        mut start: Start,
        vault: &VaultConfig,
        to_vault: SharedTransport,
        token: Option<&VerifiedIdToken>,
        user: Option<(UnixUser, &UsersConfig)>,
    ) -> Result<Start, Halt> {
        let before = mem::take(&mut start.environment);
        let handed =
            hand_over(vault, to_vault.clone(), &self.asked.user, token, before, self.limit()).await?;
        start.environment = handed.environment;
        start.notes.extend(handed.without.map(Reason::code));
        if let (Some(content), Some((user, users))) = (handed.file, user) {
            let Some(path) = write_secret(&user, users, &content) else {
                if let Some(token) = handed.own_token {
                    take_back(vault, to_vault, &token).await;
                }
                return Err(Page::new(Reason::FileNotWritten).into());
            };
            start.environment = start.environment.with_secret_file(&path)?;
        }
        Ok(start)
    }

    /// Takes back what a server was handed: the token, and with the person's last server the file.
    async fn stopped(&self) -> Result<(), Failure> {
        // First what nothing can hold up.
        let removed = if self.asked.is_last { self.remove_file() } else { Ok(()) };
        if let (Some(vault), Some(token)) = (&self.config.vault, &self.asked.notebook_token) {
            self.plan("vault", &format!("to give the token back at {}", vault.address))?;
            if !self.arguments.dry_run {
                let provider = &self.config.provider;
                take_back(vault, vault.transport(provider, &provider.transport()?)?, token).await;
            }
        }
        removed?;
        if self.arguments.dry_run { Ok(()) } else { write_done() }
    }

    /// Removes the file with the secret. Whose it is this machine knows; a sign-in may be over by now.
    fn remove_file(&self) -> Result<(), Failure> {
        let (Some(users), Ok(name)) = (&self.config.users, UnixName::new(&self.asked.user)) else {
            return Ok(());
        };
        let Some(uid) = Accounts::uid_of(&name)? else { return Ok(()) };
        let folder = users.runtime.join(uid.to_string());
        self.plan("file", &format!("to remove {}", folder.join(SECRET_FILE).display()))?;
        if self.arguments.dry_run {
            return Ok(());
        }
        remove_for(uid, &users.runtime, SECRET_FILE)
            .map_err(|error| Failure::from(error).while_doing(&folder.display().to_string()))
    }

    /// How long the provider, and then Vault, may take.
    fn limit(&self) -> Duration {
        Duration::from_secs(self.arguments.timeout)
    }

    /// In a dry run, says what there is to a question.
    fn plan(&self, question: &str, text: &str) -> Result<(), Failure> {
        if self.arguments.dry_run {
            return output::print(format!("{question:<8}  {text}\n").as_bytes());
        }
        Ok(())
    }
}

/// Writes the secret where the person alone reads it. That it cannot be is told to the log.
fn write_secret(user: &UnixUser, users: &UsersConfig, content: &[u8]) -> Option<PathBuf> {
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
