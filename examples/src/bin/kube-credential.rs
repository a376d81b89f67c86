//! `kube-credential`: kubectl asks it for a token, and it asks a person only when it must.
//!
//! [`run`] is the order of things: a token that is still good, else a refresh, else a person. Whatever is not a token
//! that is still good happens under a lock, and everybody who waited for it looks again first: thirty kubectl that start
//! at once open one browser.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use latchkey_examples::kubernetes::{ExecInfo, ExecInfoProblem, ExecVersion};
use latchkey_examples::session::{Attempt, Locked, Place, Session, Sessions};
use latchkey_examples::sign_in::{self, SignInArguments};
use latchkey_examples::terminal::{Interrupt, say};
use latchkey_examples::{Exit, Failure, ProviderArguments, finish, help_after, output};
use latchkey_oidc_flow::flow::Surroundings;
use latchkey_oidc_flow::{Client, Endpoint, Provider, TokenKind};
use latchkey_transport::Secret;

/// Signs kubectl in: an exec credential plugin for OpenID Connect
///
/// kubectl runs it, and it answers with an ID token: one that is kept and still good, else a refreshed one, else one of
/// a new sign-in. A browser is opened only where kubectl says that a person is there, and only once however many ask.
///
/// What is kept lies among your caches, for your eyes only (mode 0600).
#[derive(Parser, Debug)]
#[command(name = "kube-credential", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Scopes to ask for beside openid
    #[arg(long, value_name = "SCOPES", default_value = "email")]
    scope: String,

    /// Take no kept token, even if it looks good: for a cluster that refuses it
    #[arg(long)]
    force_refresh: bool,

    /// Forget the kept sign-in and give its refresh token back
    #[arg(long)]
    forget: bool,

    /// Folder that keeps sign-ins [default: latchkey among your caches]
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<PathBuf>,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    sign_in: SignInArguments,
}

const EXAMPLES: &str = "\
Examples:

In ~/.kube/config:
  users:
  - name: me
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: kube-credential
        args: [--issuer, https://id.example/realms/team, --client-id, kubernetes, --public-client]
        interactiveMode: IfAvailable

By hand:
  kube-credential --issuer https://id.example/realms/team --client-id kubernetes --public-client
  kube-credential --issuer https://id.example/realms/team --client-id kubernetes --public-client --forget";

/// For how long nobody is asked again after a sign-in failed: 30 s. Whoever started thirty at once has closed one
/// browser by then, and not thirty.
const REST: Duration = Duration::from_secs(30);

/// The same after Ctrl-C: enough for those that wait at that moment, and no nuisance to who starts anew.
const REST_AFTER_INTERRUPT: Duration = Duration::from_secs(5);

/// How long a program without a person waits for one that refreshes: a call to the provider and its repetition.
const UNATTENDED: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let begun = SystemTime::now();
    let asked = Asked::find()?;
    let settings = &arguments.provider;
    let place = Sessions::open(arguments.cache_dir.as_deref())?;
    let place = place.place(settings.issuer()?, settings.client_id(), &arguments.scope);
    if arguments.forget {
        return forget(arguments, &place).await;
    }
    // The usual way, and quick: no lock, no network.
    if !arguments.force_refresh
        && let Some((token, until)) = place.read().fresh(begun)
    {
        return asked.answer(&token, until);
    }
    let interrupt = Interrupt::listen()?;
    // Whoever holds the lock may wait for a person, who has that long.
    let patience = arguments.sign_in.time_limit() + UNATTENDED;
    let patience = if asked.is_interactive { patience } else { UNATTENDED };
    let locked = place.lock(patience, &interrupt).await?;
    let mut session = locked.read();
    // Somebody may have been quicker; and a token that came after we were started is as new as any.
    let is_new = !arguments.force_refresh || session.received_at().is_some_and(|at| at > begun);
    if is_new && let Some((token, until)) = session.fresh(SystemTime::now()) {
        return asked.answer(&token, until);
    }
    check_rest(arguments, &locked, &mut session)?;
    let client = match session.grant {
        Some(_) => {
            let client = connect(arguments, &interrupt).await?;
            if locked.refresh(&client, &mut session).await?.is_some()
                && let Some((token, until)) = session.fresh(SystemTime::now())
            {
                return asked.answer(&token, until);
            }
            // It is over: the next one need not try it again.
            locked.write(&mut session)?;
            Some(client)
        }
        None => None,
    };
    if !asked.is_interactive {
        return Err(Failure::new(Exit::Refused, "a sign-in is needed, and nobody is there who could")
            .with_hint("run kubectl in a terminal once, or this program by hand with the same arguments"));
    }
    let client = match client {
        Some(client) => client,
        None => connect(arguments, &interrupt).await?,
    };
    sign_in(arguments, &client, &locked, &interrupt).await?;
    match locked.read().fresh(SystemTime::now()) {
        Some((token, until)) => asked.answer(&token, until),
        None => Err(Failure::new(Exit::Refused, "the provider gave a token that has expired already")
            .with_hint("set the clock of this machine, or let the provider's tokens live longer")),
    }
}

/// What kubectl asked, or a person who runs this by hand.
struct Asked {
    version: ExecVersion,
    is_interactive: bool,
}

impl Asked {
    fn find() -> Result<Self, Failure> {
        match env::var("KUBERNETES_EXEC_INFO") {
            Ok(text) => ExecInfo::parse(&text)
                .map(|asked| Self { version: asked.version, is_interactive: asked.is_interactive })
                .map_err(|problem| {
                    let hint = match problem {
                        ExecInfoProblem::UnknownVersion { .. } => {
                            "set apiVersion: client.authentication.k8s.io/v1 in your kubeconfig"
                        }
                        _ => "kubectl sets it: leave it to kubectl, or unset it",
                    };
                    Failure::of(Exit::Usage, &problem).with_hint(hint)
                }),
            Err(env::VarError::NotPresent) => {
                let is_interactive = sign_in::surroundings().is_interactive;
                Ok(Self { version: ExecVersion::V1, is_interactive })
            }
            Err(env::VarError::NotUnicode(_)) => Err(Failure::of(Exit::Usage, &ExecInfoProblem::Malformed)),
        }
    }

    /// kubectl keeps the token until then, so it is told the time after which this program would not give it either.
    fn answer(&self, token: &Secret, good_until: SystemTime) -> Result<(), Failure> {
        output::print(self.version.answer(token, good_until).as_bytes())
    }
}

/// Refuses while nobody is to be asked again. A sign-in that was cut off by force counts as one that failed now: who
/// waited for it must not ask the same person at once.
fn check_rest(arguments: &Arguments, locked: &Locked, session: &mut Session) -> Result<(), Failure> {
    let now = SystemTime::now();
    let Some(attempt) = session.attempt.filter(|_| session.grant.is_none() && !arguments.force_refresh)
    else {
        return Ok(());
    };
    let Some((ago, left)) = attempt.rests(now) else { return Ok(()) };
    let (ago, left) = if attempt.is_over {
        (ago, left)
    } else {
        session.attempt = Some(Attempt::new(true, now, REST));
        locked.write(session)?;
        (ago, REST.as_secs())
    };
    Err(Failure::new(Exit::Refused, format!("a sign-in came to nothing {ago} s ago"))
        .with_hint(format!("wait {left} s, or sign in at once: run this by hand with --force-refresh")))
}

async fn connect(arguments: &Arguments, interrupt: &Interrupt) -> Result<Client, Failure> {
    let settings = &arguments.provider;
    let secret = settings.client_secret(interrupt).await?;
    let provider = interrupt.or(Provider::discover(settings.issuer()?, settings.transport()?)).await?;
    let client = Client::new(provider, settings.client_id());
    Ok(match secret {
        Some(secret) => client.with_secret(secret),
        None => client,
    })
}

/// Asks the person. That they are asked is written down before, so that a program that is killed meanwhile does not let
/// the next one ask again.
async fn sign_in(
    arguments: &Arguments,
    client: &Client,
    locked: &Locked,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let rest = arguments.sign_in.time_limit() + REST;
    let attempt =
        |is_over, rest| locked.write(&mut Session::of(Attempt::new(is_over, SystemTime::now(), rest)));
    attempt(false, rest)?;
    // kubectl has looked whether a person sits at the terminal. Where its messages go does not matter.
    let surroundings = Surroundings { is_interactive: true, ..sign_in::surroundings() };
    let tokens = arguments.sign_in.at_provider(client, &arguments.scope, surroundings, interrupt).await;
    match tokens {
        Ok(tokens) => locked.keep(&tokens),
        Err(failure) => {
            attempt(true, if interrupt.is_wanted() { REST_AFTER_INTERRUPT } else { REST })?;
            Err(failure)
        }
    }
}

/// Forgets the kept sign-in, and gives its refresh token back where the provider takes it.
async fn forget(arguments: &Arguments, place: &Place) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let locked = place.lock(UNATTENDED, &interrupt).await?;
    let Some(grant) = locked.read().grant else { return locked.forget() };
    // Forgotten first: whatever the network does, nobody uses it here any more.
    locked.forget()?;
    let client = connect(arguments, &interrupt).await?;
    if client.provider().metadata().endpoint(Endpoint::Revocation).is_some() {
        let now = SystemTime::now();
        interrupt.or(client.revoke(grant.refresh_token(), TokenKind::Refresh, now)).await?;
    }
    say(format_args!("The sign-in at {} is forgotten.", grant.issuer()));
    Ok(())
}
