//! `login`: a person signs in with their browser, a secret comes out.
//!
//! Two ways to get a token of Vault, and three ways to sign in: see [`through_vault`] and
//! [`SignedIn::at_the_provider`]. The rest reads the secret, hands it over, and revokes the token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, ValueEnum};
use latchkey_examples::output::{self, OutputFile};
use latchkey_examples::session::{Locked, Session, Sessions};
use latchkey_examples::sign_in::{self, IN_BROWSER, SignInArguments};
use latchkey_examples::terminal::{Interrupt, say, wait_for_paste, wait_for_person};
use latchkey_examples::{
    Encoding, Exit, Failure, ProviderArguments, SecretPath, VaultArguments, browser, content, finish,
    help_after,
};
use latchkey_oidc_flow::flow::Flow;
use latchkey_oidc_flow::oob::{self, Pasted};
use latchkey_oidc_flow::{
    CallbackParams, CallbackProblem, Client, Endpoint, Error as OidcError, Loopback, Provider, TokenKind,
};
use latchkey_transport::{Secret, SystemRandom};
use latchkey_vault_client::auth::ClientNonce;
use latchkey_vault_client::{Error, Login, Read, Vault};
use url::Url;

/// Signs you in with your browser and reads a secret from Vault or OpenBao
///
/// The secret goes to standard output, or to a file with --out; everything else goes to standard error. The Vault
/// token lives as long as the program: it is revoked at the end, also after an error or Ctrl-C.
///
/// No secret is ever an argument. The client's secret (for --via provider) comes from `LATCHKEY_CLIENT_SECRET`, a file
/// or a prompt; the code (for --flow oob) from a prompt that shows nothing, or from standard input.
#[derive(Parser, Debug)]
#[command(name = "login", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Secret to read; a mount with slashes in its name ends with two: team/kv//app/db
    #[arg(long, value_name = "MOUNT/PATH")]
    secret: SecretPath,

    /// Only this field, as it is; without it all fields are printed as JSON
    #[arg(long, value_name = "NAME")]
    field: Option<String>,

    /// What the field is to be decoded from
    #[arg(long, value_name = "ENCODING", requires = "field")]
    decode: Option<Encoding>,

    /// Write to this file, for your eyes only (mode 0600)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Keep the token, in this file (mode 0600), and do not revoke it
    #[arg(long, value_name = "FILE")]
    keep_token: Option<PathBuf>,

    /// Overwrite files that exist
    #[arg(long)]
    force: bool,

    /// Who drives the sign-in
    #[arg(long, value_enum, default_value_t = Via::Vault, help_heading = "Sign-in")]
    via: Via,

    /// Auth method of Vault [default: keycloak-oidc, or keycloak-jwt with --via provider]
    #[arg(long, value_name = "MOUNT", help_heading = "Sign-in")]
    mount: Option<String>,

    /// Role of the auth method
    #[arg(long, value_name = "NAME", default_value = "default", help_heading = "Sign-in")]
    role: String,

    /// Keep the sign-in among your caches, so that the next one needs no browser (with --via provider)
    #[arg(long, help_heading = "Sign-in")]
    remember: bool,

    /// Sign out at the provider at the end, and forget what --remember kept (with --via provider)
    #[arg(long, help_heading = "Sign-in")]
    logout: bool,

    /// Folder that --remember keeps sign-ins in [default: latchkey among your caches]
    #[arg(long, value_name = "FOLDER", help_heading = "Sign-in")]
    cache_dir: Option<PathBuf>,

    #[command(flatten)]
    sign_in: SignInArguments,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Via {
    /// Vault: its OIDC auth method at --mount
    Vault,
    /// This program: signs in at --issuer, and brings the ID token to the JWT auth method at --mount
    Provider,
}

impl Arguments {
    fn mount(&self) -> &str {
        self.mount.as_deref().unwrap_or(match self.via {
            Via::Vault => "keycloak-oidc",
            Via::Provider => "keycloak-jwt",
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.out.is_some() && arguments.out == arguments.keep_token {
        return Err(Failure::new(Exit::Usage, "--out and --keep-token name the same file"));
    }
    if matches!(arguments.via, Via::Vault) && (arguments.remember || arguments.logout) {
        return Err(Failure::new(Exit::Usage, "--remember and --logout are about a sign-in of this program")
            .with_hint("add --via provider: with Vault in between, Vault alone has the tokens"));
    }
    // What cannot be written is told before the person spends time on a sign-in.
    let file =
        |path: &Option<PathBuf>| path.clone().map(|path| OutputFile::new(path, arguments.force)).transpose();
    let (secret_file, token_file) = (file(&arguments.out)?, file(&arguments.keep_token)?);
    let interrupt = Interrupt::listen()?;
    let vault = arguments.vault.connect()?;

    let (login, signed_in) = match arguments.via {
        Via::Vault => (through_vault(&vault, arguments, &interrupt).await?, None),
        Via::Provider => {
            let signed_in = SignedIn::at_the_provider(arguments, &interrupt).await?;
            // Not to be interrupted: it may make a token, which must then be revoked.
            let login = vault.jwt(arguments.mount()).login(&arguments.role, &signed_in.id_token).await?;
            (login, Some(signed_in))
        }
    };
    // From here on there is a token, and no way out but past its end.
    let vault = vault.with_token(login.token());
    let delivered = interrupt.or(deliver(&vault, &login, arguments, secret_file.as_ref())).await;
    let kept = match (&delivered, token_file) {
        (Ok(()), Some(file)) => keep(&login, &file).map(|()| true),
        _ => Ok(false),
    };
    if !matches!(kept, Ok(true)) {
        revoke(&vault, &login).await;
    }
    let signed_out = match signed_in {
        Some(signed_in) if arguments.logout => signed_in.sign_out(arguments, &interrupt).await,
        _ => Ok(()),
    };
    delivered.and(kept.map(|_| ())).and(signed_out)
}

/// Vault makes the address to sign in at, and redeems the code itself.
async fn through_vault(
    vault: &Vault,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<Login, Failure> {
    let (oidc, settings) = (vault.oidc(arguments.mount()), &arguments.sign_in);
    let limit = settings.time_limit();
    let nonce = ClientNonce::generate(&mut SystemRandom)?;
    let (state, code) = match settings.flow(&sign_in::surroundings())? {
        Flow::Loopback => {
            let door = Loopback::bind(settings.loopback()).await?;
            let sign_in = interrupt.or(oidc.auth_url(&arguments.role, door.redirect_uri(), &nonce)).await?;
            browser::show("Sign in at", sign_in.url(), settings.opens_browser());
            let answer = door.wait_for_code(sign_in.state(), limit);
            let code = wait_for_person(IN_BROWSER, limit, interrupt, answer).await?;
            (sign_in.state().clone(), code)
        }
        Flow::Oob => {
            let sign_in = interrupt.or(oidc.auth_url(&arguments.role, oob::REDIRECT_URI, &nonce)).await?;
            browser::show("Sign in at", sign_in.url(), settings.opens_browser());
            let pasted = wait_for_paste(limit, interrupt, |text| {
                let pasted = Pasted::parse(text)?;
                pasted.params().state().map_or(Ok(()), |state| sign_in.check_state(state))?;
                check_issuer(pasted.params(), sign_in.url())?;
                Ok(pasted)
            });
            let code = pasted.await?.code_for(sign_in.state())?.clone();
            (sign_in.state().clone(), code)
        }
        _ => {
            return Err(Failure::new(Exit::Usage, "Vault signs nobody in on another device here")
                .with_hint("add --via provider, or choose --flow oob"));
        }
    };
    // Not to be interrupted: it may make a token, which must then be revoked.
    Ok(oidc.callback(&state, &code, &nonce).await?)
}

/// Somebody who signed in at the provider, now or in an earlier run.
struct SignedIn {
    client: Client,
    id_token: Secret,
    refresh_token: Option<Secret>,
    /// Where it is kept, if it is.
    kept: Option<Locked>,
}

impl SignedIn {
    /// We make the address to sign in at, redeem the code and check the ID token. With `--remember`, that is done once,
    /// and then only when the sign-in can no longer be refreshed.
    async fn at_the_provider(arguments: &Arguments, interrupt: &Interrupt) -> Result<Self, Failure> {
        let settings = &arguments.provider;
        let issuer = settings.issuer()?;
        let kept = if arguments.remember {
            let sessions = Sessions::open(arguments.cache_dir.as_deref())?;
            let place = sessions.place(issuer, settings.client_id(), SCOPES);
            Some(place.lock(arguments.sign_in.time_limit(), interrupt).await?)
        } else {
            None
        };
        let secret = settings.client_secret(interrupt).await?;
        let provider = interrupt.or(Provider::discover(issuer, settings.transport()?)).await?;
        let client = Client::new(provider, settings.client_id());
        let client = match secret {
            Some(secret) => client.with_secret(secret),
            None => client,
        };
        if let Some(locked) = &kept {
            let mut session = locked.read();
            let id_token = match session.fresh(SystemTime::now()) {
                Some((id_token, _)) => Some(id_token),
                None => locked.refresh(&client, &mut session).await?,
            };
            if let Some(id_token) = id_token {
                let refresh_token = session.grant.map(|grant| grant.refresh_token().clone());
                return Ok(Self { client, id_token, refresh_token, kept });
            }
        }
        if let Some(locked) = &kept {
            // What is there is over. Where nothing can be kept, the person need not sign in to hear it.
            locked.write(&mut Session::default())?;
        }
        let tokens =
            arguments.sign_in.at_provider(&client, SCOPES, sign_in::surroundings(), interrupt).await?;
        if let Some(kept) = &kept {
            kept.keep(&tokens)?;
        }
        let id_token = tokens.id_token.as_secret().clone();
        Ok(Self { client, id_token, refresh_token: tokens.refresh_token, kept })
    }

    /// Gives the refresh token back, and lets the person sign out at the provider.
    ///
    /// The ID token is no part of the address: what opens a browser is seen by every account of the machine. The
    /// provider asks the person once more instead.
    async fn sign_out(self, arguments: &Arguments, interrupt: &Interrupt) -> Result<(), Failure> {
        if let Some(kept) = &self.kept {
            kept.forget()?;
        }
        if let Some(token) = self.refresh_token
            && self.client.provider().metadata().endpoint(Endpoint::Revocation).is_some()
        {
            interrupt.or(self.client.revoke(&token, TokenKind::Refresh, SystemTime::now())).await?;
        }
        let settings = &arguments.sign_in;
        let out = self.client.end_session();
        if !settings.comes_back(&sign_in::surroundings()) {
            let out = out.begin(&mut SystemRandom)?;
            browser::show("To end your session there too, sign out at", &out.url, settings.opens_browser());
            return Ok(());
        }
        let door = Loopback::bind(settings.loopback()).await?;
        let out = out.with_redirect_uri(door.redirect_uri()).begin(&mut SystemRandom)?;
        browser::show("Sign out at", &out.url, settings.opens_browser());
        let limit = settings.time_limit();
        match out.pending {
            Some(pending) => {
                let answer = door.wait_for_sign_out(pending, limit);
                wait_for_person("Waiting for your sign-out in the browser", limit, interrupt, answer).await
            }
            None => Ok(()),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  login --secret team/kv//app/db --field password
  login --via provider --flow device --secret kv/app --field key --decode base64 --out key.bin
  login --via provider --remember --secret kv/app      the next one needs no browser
  login --via provider --remember --logout --secret kv/app";

/// What is asked for beside `openid`.
const SCOPES: &str = "email";

/// Compares the issuer that an answer names (RFC 9207) with where the person was sent. Vault alone knows the whole name
/// of its provider; that it is the same server can be seen from here.
fn check_issuer(answer: &CallbackParams, page: &Url) -> Result<(), OidcError> {
    match answer.issuer() {
        Some(issuer) if Url::parse(issuer).map(|url| url.origin()) != Ok(page.origin()) => {
            let (expected, found) = (page.origin().ascii_serialization(), issuer.escape_debug().to_string());
            Err(CallbackProblem::IssuerMismatch { expected, found }.into())
        }
        _ => Ok(()),
    }
}

/// Reads the secret and hands it over.
async fn deliver(
    vault: &Vault,
    login: &Login,
    arguments: &Arguments,
    file: Option<&OutputFile>,
) -> Result<(), Failure> {
    let secret = &arguments.secret;
    let refused = |what: String| Failure::new(Exit::Refused, what);
    let found = match vault.kv2(secret.mount()).read(secret.path()).await {
        Ok(Read::Found(found)) => found,
        Ok(Read::Missing) => {
            return Err(refused(format!("there is no secret {secret}"))
                .with_hint("check the path, and that the mount is KV v2"));
        }
        Ok(Read::Deleted(version)) => {
            // Written by the server: whatever it is, it shall not move the cursor.
            let (number, time) = (version.version, version.deletion_time.unwrap_or_default());
            return Err(refused(format!(
                "version {number} of {secret} was deleted at {}",
                time.escape_debug()
            ))
            .with_hint("whoever may write it can undelete that version"));
        }
        Ok(Read::Destroyed(version)) => {
            return Err(refused(format!("version {} of {secret} was destroyed", version.version))
                .with_hint("it is gone for good: whoever may write it must write a new version"));
        }
        Err(error @ Error::PermissionDenied(_)) => {
            let policies = login.policies.join(", ");
            let hint = format!("one of your policies ({}) must allow to read it", policies.escape_debug());
            return Err(Failure::from(error).while_doing(&format!("reading {secret}")).with_hint(hint));
        }
        Err(error) => return Err(Failure::from(error).while_doing(&format!("reading {secret}"))),
    };
    let content = content(found.data(), arguments.field.as_deref(), arguments.decode)?;
    match file {
        None => output::print(&content),
        Some(file) => {
            file.write(&content)?;
            say(format_args!("Wrote {} bytes to {}.", content.len(), file.path().display()));
            Ok(())
        }
    }
}

/// Writes the token to a file and says how long it lives.
fn keep(login: &Login, file: &OutputFile) -> Result<(), Failure> {
    // Opened to be kept, as the person asked for.
    file.write(login.token().expose_secret().as_bytes())?;
    let life = login
        .lease
        .time_to_live()
        .map_or("until it is revoked".to_owned(), |life| format!("for {} s", life.as_secs()));
    say(format_args!("The token is in {} and lives {life}.", file.path().display()));
    Ok(())
}

/// Revokes the token. The secret is delivered or not: that this fails too changes nothing about it, but is told.
async fn revoke(vault: &Vault, login: &Login) {
    if let Err(error) = vault.token().revoke_self().await {
        let life = login.lease.duration.as_secs();
        say(format_args!("warning: the token could not be revoked and lives for {life} s more: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use latchkey_oidc_flow::CallbackParams;

    use super::{Arguments, check_issuer};

    #[test]
    fn an_answer_of_another_provider_is_refused() {
        let page = "https://id.example/realms/team/auth?x=y".parse().unwrap();
        let check = |query| check_issuer(&CallbackParams::parse(query).unwrap(), &page);
        for query in ["code=c", "code=c&iss=https://id.example/realms/team"] {
            assert!(check(query).is_ok(), "{query}");
        }
        for query in ["code=c&iss=https://evil.example/realms/team", "code=c&iss=nonsense", "code=c&iss="] {
            assert_eq!(check(query).unwrap_err().code(), "oidc_callback_issuer_mismatch", "{query}");
        }
    }

    #[test]
    fn decoding_needs_a_field() {
        assert!(
            Arguments::try_parse_from(["login", "--secret", "secret/test", "--decode", "base64"]).is_err()
        );
    }

    #[test]
    fn a_servers_memory_limits_the_time_to_sign_in() {
        for (seconds, fits) in [("0", false), ("1", true), ("600", true), ("601", false)] {
            let parsed =
                Arguments::try_parse_from(["login", "--secret", "secret/test", "--timeout", seconds]);
            assert_eq!(parsed.is_ok(), fits, "{seconds}");
        }
    }
}
