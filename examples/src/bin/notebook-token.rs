//! `notebook-token`: from the token of a person's sign-in to a secret, in a notebook or a terminal of their server.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use latchkey_examples::terminal::{Interrupt, say};
use latchkey_examples::{
    Exit, Failure, Hub, HubArguments, SecretPath, VaultArguments, content, finish, help_after, output,
};
use latchkey_oidc_flow::IdToken;
use latchkey_token_lifecycle::Freshness;
use latchkey_transport::Secret;
use latchkey_vault_client::kv2::Secret as Found;
use latchkey_vault_client::{Read, Vault};
use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

const EXAMPLES: &str = "\
Examples:
  notebook-token --secret secret/team/app                      how the token is, and the secret without its values
  notebook-token --secret secret/team/app --field password     one value, for a program to read
  notebook-token --secret kv//team/app --mount keycloak-jwt --role reader --json --show";

/// Says how the token of your sign-in is, logs in to Vault or OpenBao with it, and reads a secret
///
/// The ID token comes from `VAULT_OIDC_TOKEN`, which was set when your server started, or from the hub. One that has ended
/// or has ten minutes or less is replaced by a fresh one of the hub; where the hub has none, the page at which you restart
/// your server is shown. The token of Vault is given back at the end.
#[derive(Parser, Debug)]
#[command(name = "notebook-token", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Secret to read
    #[arg(long, value_name = "MOUNT/PATH")]
    secret: SecretPath,

    /// JWT auth method of Vault
    #[arg(long, value_name = "MOUNT", env = "VAULT_MOUNT", default_value = "jwt")]
    mount: String,

    /// Role of the auth method
    #[arg(long, value_name = "NAME", env = "VAULT_ROLE", default_value = "default")]
    role: String,

    /// Print this field only, as it is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["show", "json"])]
    field: Option<String>,

    /// Show the values, too
    #[arg(long)]
    show: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let vault = arguments.vault.connect()?;
    let hub = arguments.hub.connect()?;
    let restart_page = arguments.hub.restart_page();
    let in_hand = Held::from_environment()?;
    let held = interrupt.or(usable(in_hand, hub.as_ref(), restart_page.as_deref())).await?;

    let login =
        interrupt.or(vault.jwt(&arguments.mount).login(&arguments.role, held.token.as_secret())).await?;
    let vault = vault.with_token(login.token());
    let printed = match interrupt.or(read(&vault, &arguments.secret)).await {
        Ok(found) => print(arguments, &held, &found),
        Err(failure) => Err(failure),
    };
    if let Err(error) = vault.token().revoke_self().await {
        say(format_args!("warning: the token of Vault is not revoked and ends by itself: {error}"));
    }
    printed
}

/// An ID token, and how it is.
struct Held {
    token: IdToken,
    origin: &'static str,
    /// `None` where it does not say when it ends: Vault decides.
    freshness: Option<Freshness>,
}

impl Held {
    fn new(token: IdToken, origin: &'static str) -> Self {
        let freshness = token.unverified_expiry().map(|end| Freshness::of(end, SystemTime::now()));
        Self { token, origin, freshness }
    }

    fn from_environment() -> Result<Option<Self>, Failure> {
        let text = std::env::var("VAULT_OIDC_TOKEN").ok().map(Secret::from).filter(|text| !text.is_empty());
        let Some(text) = text else { return Ok(None) };
        // Some shells and files end with a line break.
        let token = IdToken::parse(Secret::new(text.expose_secret().trim())).map_err(|problem| {
            Failure::of(Exit::Usage, &problem)
                .while_doing("VAULT_OIDC_TOKEN")
                .with_hint("it is the ID token of your sign-in; unset it to ask the hub for one")
        })?;
        Ok(Some(Self::new(token, "VAULT_OIDC_TOKEN")))
    }

    fn wants_a_fresh_one(&self) -> bool {
        self.freshness.is_some_and(|freshness| freshness.wants_a_fresh_one())
    }

    /// Says how it is; with the page where that is what helps.
    fn advice(&self, restart_page: Option<&str>) -> String {
        self.freshness.map_or_else(
            || "your token does not say when it ends".to_owned(),
            |freshness| freshness.advice(restart_page),
        )
    }
}

/// Returns the token to log in with: the one in hand, or a fresh one of the hub where that has too little left.
async fn usable(
    in_hand: Option<Held>,
    hub: Option<&Hub>,
    restart_page: Option<&str>,
) -> Result<Held, Failure> {
    let Some(in_hand) = in_hand else {
        let hub = hub.ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no token").with_hint(
                "set VAULT_OIDC_TOKEN, or JUPYTERHUB_API_URL, JUPYTERHUB_API_TOKEN and JUPYTERHUB_USER",
            )
        })?;
        let held = Held::new(hub.id_token().await.map_err(|error| told(error, restart_page))?, "the hub");
        say(format_args!("{}", held.advice(restart_page)));
        return Ok(held);
    };
    if !in_hand.wants_a_fresh_one() {
        say(format_args!("{}", in_hand.advice(None)));
        return Ok(in_hand);
    }
    let why = match hub {
        None => "no hub is named that could have a fresh one".to_owned(),
        Some(hub) => match hub.id_token().await {
            Ok(token) if token.unverified_expiry() > in_hand.token.unverified_expiry() => {
                let fresh = Held::new(token, "the hub");
                say(format_args!("the hub has a fresh token: {}", fresh.advice(restart_page)));
                return Ok(fresh);
            }
            Ok(_) => "the hub has no fresher one".to_owned(),
            Err(error) => {
                let failure = told(error, None);
                let hint = failure.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                format!("{}{hint}", failure.message())
            }
        },
    };
    say(format_args!("{why}"));
    let advice = in_hand.advice(restart_page);
    if matches!(in_hand.freshness, Some(Freshness::Expired { .. })) {
        return Err(Failure::new(Exit::Refused, advice)
            .with_hint("stop your server on that page, sign in, and start it again"));
    }
    say(format_args!("{advice}"));
    Ok(in_hand)
}

/// An error of the hub, with the page where a restart is what helps.
fn told(error: latchkey_jupyterhub_auth::Error, restart_page: Option<&str>) -> Failure {
    use latchkey_jupyterhub_auth::Error as E;
    match (&error, restart_page) {
        (E::IdTokenExpired { ago }, Some(page)) => {
            Failure::new(Exit::Refused, Freshness::Expired { ago: *ago }.advice(Some(page)))
                .with_hint("stop your server on that page, sign in, and start it again")
        }
        _ => error.into(),
    }
}

async fn read(vault: &Vault, secret: &SecretPath) -> Result<Found, Failure> {
    let gone =
        |what: &str, hint: &str| Err(Failure::new(Exit::Refused, format!("{secret} {what}")).with_hint(hint));
    match vault.kv2(secret.mount()).read(secret.path()).await {
        Ok(Read::Found(found)) => Ok(found),
        Ok(Read::Missing) => gone("is not there", "check the path, and that the mount is KV v2"),
        Ok(Read::Deleted(_)) => gone("was deleted", "whoever may write it can undelete that version"),
        Ok(Read::Destroyed(_)) => gone("was destroyed", "whoever may write it must write a new version"),
        Err(error) => Err(Failure::from(error).while_doing(&format!("reading {secret}"))),
    }
}

fn print(arguments: &Arguments, held: &Held, found: &Found) -> Result<(), Failure> {
    if let Some(field) = &arguments.field {
        return output::print(&content(found.data(), Some(field), None)?);
    }
    let text = if arguments.json { json(arguments, held, found)? } else { table(arguments, found)? };
    output::print(&text)
}

/// What is known of the secret, a line each. A mask tells nothing of a value, not even how long it is.
fn table(arguments: &Arguments, found: &Found) -> Result<Zeroizing<Vec<u8>>, Failure> {
    const MASK: &[u8] = b"********";
    let metadata = found.metadata();
    let mut text = Zeroizing::new(Vec::new());
    let mut line = |name: &str, value: &[u8]| {
        // Written by others: whatever it is, it shall not move the cursor.
        text.extend_from_slice(format!("{:<20}  ", name.escape_debug().to_string()).as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    line("secret", arguments.secret.to_string().as_bytes());
    line("version", metadata.version.to_string().as_bytes());
    line("created", metadata.created_time.escape_debug().to_string().as_bytes());
    for (name, note) in &metadata.custom_metadata {
        line(&format!("note {name}"), note.escape_debug().to_string().as_bytes());
    }
    for name in found.data().fields() {
        if arguments.show {
            line(name, &content(found.data(), Some(name), None)?);
        } else {
            line(name, MASK);
        }
    }
    Ok(text)
}

fn json(arguments: &Arguments, held: &Held, found: &Found) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (state, left) = match held.freshness {
        Some(Freshness::Fine { left }) => ("fine", Some(left)),
        Some(Freshness::Short { left }) => ("short", Some(left)),
        Some(Freshness::Expired { .. }) => ("expired", Some(Duration::ZERO)),
        None => ("unknown", None),
    };
    let metadata = found.metadata();
    // Opened where the person asked for the values.
    let data = arguments.show.then(|| serde_json::from_str::<&RawValue>(found.data().json())).transpose();
    let told = Told {
        token: TokenTold { state, seconds_left: left.map(|left| left.as_secs()), from: held.origin },
        secret: arguments.secret.to_string(),
        version: metadata.version,
        created_time: &metadata.created_time,
        custom_metadata: &metadata.custom_metadata,
        fields: found.data().fields().collect(),
        data: data.map_err(|_| Failure::new(Exit::Network, "the secret is no JSON"))?,
    };
    let mut text = Zeroizing::new(Vec::new());
    serde_json::to_writer(&mut *text, &told).map_err(std::io::Error::from)?;
    text.push(b'\n');
    Ok(text)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    token: TokenTold,
    secret: String,
    version: u64,
    created_time: &'a str,
    custom_metadata: &'a std::collections::BTreeMap<String, String>,
    fields: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct TokenTold {
    state: &'static str,
    seconds_left: Option<u64>,
    from: &'static str,
}
