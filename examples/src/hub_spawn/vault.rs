//! What Vault gives for a server.

use std::time::Duration;

use latchkey_jupyterhub_auth::{EnvironmentProblem, Page, Reason, ServerEnvironment};
use latchkey_oidc_flow::VerifiedIdToken;
use latchkey_transport::{Secret, SharedTransport};
use latchkey_vault_client::secret_store::{Layout, UserName, UserTokens};
use latchkey_vault_client::{Error, LoginProblem, Read, Token, Vault};
use tokio::time::timeout;
use tracing::{error, warn};
use zeroize::Zeroizing;

use super::{OwnToken, SecretConfig, VaultConfig, WhenDown};
use crate::token_file::read_token;
use crate::{Failure, content};

/// How long a stop waits for a Vault that takes a token back.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(5);

/// What was got.
pub struct Handed {
    /// The variables, with these added.
    pub environment: ServerEnvironment,
    /// The person's own token, which is among the variables: to be given back where the server is not started after all.
    pub own_token: Option<Secret>,
    /// The secret that goes into a file.
    pub file: Option<Zeroizing<Vec<u8>>>,
    /// What the server goes without.
    pub without: Option<Reason>,
}

/// Gets it: within the time, or as the configuration says what happens while Vault is down.
///
/// # Errors
///
/// The page that the person is shown.
pub async fn hand_over(
    config: &VaultConfig,
    transport: SharedTransport,
    user: &str,
    token: Option<&VerifiedIdToken>,
    before: ServerEnvironment,
    limit: Duration,
) -> Result<Handed, Page> {
    let vault = Vault::new(config.address.clone(), transport);
    let got = timeout(limit, get(config, vault, user, token, before.clone())).await;
    let problem = match got {
        Ok(Ok(handed)) => return Ok(handed),
        Ok(Err(problem)) => problem,
        Err(_) => {
            warn!(seconds = limit.as_secs(), "Vault does not answer in time");
            Problem(Reason::VaultDown)
        }
    };
    if problem.0 == Reason::VaultDown && config.when_down == WhenDown::Start {
        let without = Some(Reason::VaultDown);
        return Ok(Handed { environment: before, own_token: None, file: None, without });
    }
    Err(Page::new(problem.0))
}

/// Gives a person's own token back, when the server has stopped that it was made for, or is not started after all. Every such
/// token may revoke itself: the hub's needs no right for that. Where it cannot be it ends by itself, and nobody waits for it.
pub async fn take_back(config: &VaultConfig, transport: SharedTransport, token: &Secret) {
    let vault = Vault::new(config.address.clone(), transport);
    match vault.with_namespace(config.namespace.as_deref().unwrap_or_default()) {
        Ok(vault) => give_back(&vault, token).await,
        Err(error) => not_given_back(Failure::from(error).message()),
    }
}

async fn give_back(vault: &Vault, token: &Secret) {
    let revoked = async { vault.with_token(&Token::new(token.clone())?).token().revoke_self().await };
    match timeout(TAKEN_BACK_WITHIN, revoked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => not_given_back(Failure::from(error).message()),
        Err(_) => not_given_back("Vault does not answer in time"),
    }
}

fn not_given_back(problem: &str) {
    warn!(problem, "the person's own token of Vault is not given back and ends by itself");
}

/// Told to the log already.
struct Problem(Reason);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let is_down = error.is_transient()
            || matches!(&error, Error::Transport(_) | Error::Sealed | Error::Uninitialised)
            || matches!(&error, Error::NotActive { .. });
        let reason = match &error {
            // It was checked here before: whoever is of another opinion has another clock.
            Error::LoginRefused { problem: LoginProblem::TokenNotValidNow, .. } => Reason::ClockWrong,
            _ if is_down => Reason::VaultDown,
            _ => Reason::VaultRefused,
        };
        warn!(problem = Failure::from(error).message(), "Vault does not give what the server should get");
        Self(reason)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        warn!(problem = failure.message(), hint = failure.hint(), "the hub is not set up for Vault");
        Self(Reason::HubBroken)
    }
}

impl From<EnvironmentProblem> for Problem {
    fn from(problem: EnvironmentProblem) -> Self {
        warn!(%problem, "a value cannot be handed over");
        Self(Reason::VaultRefused)
    }
}

async fn get(
    config: &VaultConfig,
    vault: Vault,
    user: &str,
    token: Option<&VerifiedIdToken>,
    environment: ServerEnvironment,
) -> Result<Handed, Problem> {
    let vault = vault.with_namespace(config.namespace.as_deref().unwrap_or_default())?;
    let environment = environment.with_vault_address(&config.address)?;
    // Nothing of Vault is handed over for somebody who is not proven to be there.
    let Some(token) = token else {
        return Ok(Handed { environment, own_token: None, file: None, without: None });
    };
    let own = async {
        match &config.own_token {
            Some(own) => own_token(&vault, own, user).await.map(Some),
            None => Ok(None),
        }
    };
    let secret = async {
        match &config.secret {
            Some(secret) => read(&vault, secret, token).await.map(|bytes| Some((secret, bytes))),
            None => Ok(None),
        }
    };
    // Side by side, and both to their end: what is logged in is logged out.
    let (own, secret) = tokio::join!(own, secret);
    let own = own?;
    let handed = secret.and_then(|secret| put_together(environment, own.clone(), secret));
    if let (Err(_), Some(own)) = (&handed, &own) {
        give_back(&vault, own).await;
    }
    handed
}

/// Puts what was got where the server finds it.
fn put_together(
    environment: ServerEnvironment,
    own_token: Option<Secret>,
    secret: Option<(&SecretConfig, Zeroizing<Vec<u8>>)>,
) -> Result<Handed, Problem> {
    let mut handed = Handed { environment, own_token, file: None, without: None };
    if let Some(own) = &handed.own_token {
        handed.environment = handed.environment.with_notebook_token(own)?;
    }
    if let Some((secret, bytes)) = secret {
        if secret.variable {
            // Opened to be a variable, which holds text alone.
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                warn!("a secret that is no text cannot be a variable");
                Problem(Reason::VaultRefused)
            })?;
            handed.environment = handed.environment.with_secret(Secret::new(text))?;
        }
        handed.file = secret.file.then_some(bytes);
    }
    Ok(handed)
}

/// Logs in by the person's own sign-in, reads, and gives the token back.
async fn read(
    vault: &Vault,
    config: &SecretConfig,
    token: &VerifiedIdToken,
) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let path = config.path()?;
    let login = vault.jwt(&config.mount).login(&config.role, token.as_secret()).await?;
    let vault = vault.with_token(login.token());
    let read = vault.kv2(path.mount()).read(path.path()).await;
    if let Err(error) = vault.token().revoke_self().await {
        let problem = Failure::from(error).message().to_owned();
        warn!(problem, "the token of Vault is not given back and ends by itself");
    }
    let Read::Found(found) = read? else {
        warn!(%path, "there is no such secret");
        return Err(Problem(Reason::VaultRefused));
    };
    Ok(content(found.data(), config.field.as_deref(), None)?)
}

/// Makes a token that opens the person's own store and nothing else.
async fn own_token(vault: &Vault, config: &OwnToken, user: &str) -> Result<Secret, Problem> {
    let admin = read_token(&config.token_file)?;
    let vault = vault.with_token(&admin);
    let tokens = UserTokens::new(vault.clone(), Layout::default());
    let (user, terms) = (UserName::new(user)?, config.terms());
    let made = if config.policy_each {
        tokens.issue_with_own_policy(&user, &terms).await
    } else {
        tokens.issue_by_role(&config.role, &user, &terms).await
    };
    let login = match made {
        Ok(login) => login,
        Err(error) if is_over(&vault, &error).await => {
            error!(
                problem = Failure::from(error).message(),
                hint = format!("make a new one as the README says, into {}", config.token_file.display()),
                "Vault does not take the hub's own token any more"
            );
            return Err(Problem(Reason::HubTokenOver));
        }
        Err(error) => return Err(error.into()),
    };
    // Opened for the server that it was made for.
    Ok(Secret::new(login.token().expose_secret()))
}

/// Whether that error means that the token itself has ended. Where the server does not say so, it is asked: every token of
/// the policy that is meant for a hub may look itself up.
async fn is_over(vault: &Vault, error: &Error) -> bool {
    match error.is_token_dead() {
        Some(is_dead) => is_dead,
        None => vault.token().lookup_self().await.is_err_and(|error| error.is_token_dead() != Some(false)),
    }
}
