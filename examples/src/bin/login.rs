//! `login`: a person signs in with their browser, a secret comes out.
//!
//! Two ways to get a token of Vault, and two ways to get the answer of the sign-in page back: see [`through_vault`]
//! and [`at_the_provider`]. The rest reads the secret, hands it over, and revokes the token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use latchkey_examples::output::{self, OutputFile};
use latchkey_examples::terminal::{Interrupt, say, wait_for_paste, wait_for_person};
use latchkey_examples::{
    EXIT_CODES, Encoding, Exit, Failure, ProviderArguments, SecretPath, VaultArguments, browser, content,
    finish,
};
use latchkey_oidc_flow::oob::{self, Pasted};
use latchkey_oidc_flow::{
    CallbackParams, CallbackProblem, Client, Error as OidcError, Loopback, LoopbackAddress, Provider,
};
use latchkey_transport::SystemRandom;
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
#[command(verbatim_doc_comment, after_help = EXIT_CODES)]
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

    /// How the answer of the sign-in page comes back
    #[arg(long, value_enum, default_value_t = Flow::Loopback, help_heading = "Sign-in")]
    flow: Flow,

    /// Who drives the sign-in
    #[arg(long, value_enum, default_value_t = Via::Vault, help_heading = "Sign-in")]
    via: Via,

    /// Auth method of Vault [default: keycloak-oidc, or keycloak-jwt with --via provider]
    #[arg(long, value_name = "MOUNT", help_heading = "Sign-in")]
    mount: Option<String>,

    /// Role of the auth method
    #[arg(long, value_name = "NAME", default_value = "default", help_heading = "Sign-in")]
    role: String,

    /// Port that the browser comes back to; 0 is any free one
    #[arg(long, default_value_t = 8250, help_heading = "Sign-in")]
    port: u16,

    /// Only print the address to sign in at
    #[arg(long, help_heading = "Sign-in")]
    no_browser: bool,

    /// How long you have to sign in; servers forget a sign-in after 600 s
    #[arg(long, value_name = "SECONDS", default_value_t = 300, help_heading = "Sign-in",
        value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Flow {
    /// By itself: the page sends the browser back to this machine
    Loopback,
    /// By your hand: the page shows a code, you paste it here
    Oob,
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

    fn time_limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
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
    // What cannot be written is told before the person spends time on a sign-in.
    let file =
        |path: &Option<PathBuf>| path.clone().map(|path| OutputFile::new(path, arguments.force)).transpose();
    let (secret_file, token_file) = (file(&arguments.out)?, file(&arguments.keep_token)?);
    let interrupt = Interrupt::listen()?;
    let vault = arguments.vault.connect()?;

    let login = match arguments.via {
        Via::Vault => through_vault(&vault, arguments, &interrupt).await?,
        Via::Provider => at_the_provider(&vault, arguments, &interrupt).await?,
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
    delivered.and(kept.map(|_| ()))
}

/// Vault makes the address to sign in at, and redeems the code itself.
async fn through_vault(
    vault: &Vault,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<Login, Failure> {
    let (oidc, limit) = (vault.oidc(arguments.mount()), arguments.time_limit());
    let nonce = ClientNonce::generate(&mut SystemRandom)?;
    let (state, code) = match arguments.flow {
        Flow::Loopback => {
            let door = Loopback::bind(LoopbackAddress::port(arguments.port)).await?;
            let sign_in = interrupt.or(oidc.auth_url(&arguments.role, door.redirect_uri(), &nonce)).await?;
            browser::show(sign_in.url(), !arguments.no_browser);
            let answer = door.wait_for_code(sign_in.state(), limit);
            let code = wait_for_person(IN_BROWSER, limit, interrupt, answer).await?;
            (sign_in.state().clone(), code)
        }
        Flow::Oob => {
            let sign_in = interrupt.or(oidc.auth_url(&arguments.role, oob::REDIRECT_URI, &nonce)).await?;
            browser::show(sign_in.url(), !arguments.no_browser);
            let pasted = wait_for_paste(limit, interrupt, |text| {
                let pasted = Pasted::parse(text)?;
                pasted.params().state().map_or(Ok(()), |state| sign_in.check_state(state))?;
                check_issuer(pasted.params(), sign_in.url())?;
                Ok(pasted)
            });
            let code = pasted.await?.code_for(sign_in.state())?.clone();
            (sign_in.state().clone(), code)
        }
    };
    // Not to be interrupted: it may make a token, which must then be revoked.
    Ok(oidc.callback(&state, &code, &nonce).await?)
}

/// We make the address to sign in at, redeem the code, check the ID token, and bring it to Vault.
async fn at_the_provider(
    vault: &Vault,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<Login, Failure> {
    let (settings, limit) = (&arguments.provider, arguments.time_limit());
    let issuer = settings.issuer()?;
    let secret = settings.client_secret(interrupt).await?;
    let provider = interrupt.or(Provider::discover(issuer, settings.transport()?)).await?;
    let client = Client::new(provider, settings.client_id());
    let client = match secret {
        Some(secret) => client.with_secret(secret),
        None => client,
    };
    let callback = match arguments.flow {
        Flow::Loopback => {
            let door = Loopback::bind(LoopbackAddress::port(arguments.port)).await?;
            let now = SystemTime::now();
            let login =
                client.authorize(door.redirect_uri()).with_scope("email").begin(&mut SystemRandom, now)?;
            browser::show(&login.url, !arguments.no_browser);
            wait_for_person(IN_BROWSER, limit, interrupt, door.wait(login.pending, limit, now)).await?
        }
        Flow::Oob => {
            let now = SystemTime::now();
            let login =
                client.authorize(oob::REDIRECT_URI).with_scope("email").begin(&mut SystemRandom, now)?;
            browser::show(&login.url, !arguments.no_browser);
            let pasted = wait_for_paste(limit, interrupt, |text| {
                let pasted = Pasted::parse(text)?;
                if login.pending.matches_pasted(&pasted) {
                    Ok(pasted)
                } else {
                    Err(OidcError::from(CallbackProblem::StateMismatch).into())
                }
            });
            let pasted = pasted.await?;
            login.pending.accept_pasted(&pasted, SystemTime::now())?
        }
    };
    let tokens = interrupt.or(client.redeem(callback, SystemTime::now())).await?;
    // Not to be interrupted: it may make a token, which must then be revoked.
    Ok(vault.jwt(arguments.mount()).login(&arguments.role, tokens.id_token.as_secret()).await?)
}

const IN_BROWSER: &str = "Waiting for your sign-in in the browser";

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
    use clap::{CommandFactory, Parser};

    use latchkey_oidc_flow::CallbackParams;

    use super::{Arguments, check_issuer};

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

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
    fn no_secret_can_be_an_argument() {
        let command = Arguments::command();
        let names: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
        for secret in ["client-secret", "code", "token", "password"] {
            assert!(!names.contains(&secret), "--{secret}");
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
