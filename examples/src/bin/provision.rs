//! `provision`: makes on Vault or OpenBao what `login` needs. It looks first, changes only what differs, and says
//! what it did; run a second time it changes nothing.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use latchkey_examples::terminal::Interrupt;
use latchkey_examples::{
    Done, EXIT_CODES, Exit, Failure, ProviderArguments, SecretPath, Setup, VaultArguments, finish, output,
};
use latchkey_transport::{Secret, SystemRandom};
use latchkey_vault_client::auth::ClientNonce;
use latchkey_vault_client::{Error, Read, Vault};
use serde_json::{Value, json};

/// Makes on Vault or OpenBao what `login` needs: a secret, who may read it, and two ways to sign in
///
/// Looks at each thing first, changes only what differs, and prints for each of them `created`, `changed` or
/// `unchanged`. The Vault token comes from `VAULT_TOKEN` or a prompt, the client's secret from `LATCHKEY_CLIENT_SECRET`,
/// a file or a prompt; neither is ever an argument. Vault itself must reach the issuer: it fetches the keys.
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment, after_help = EXIT_CODES)]
struct Arguments {
    /// KV v2 mount to make, with the secret in it
    #[arg(long, value_name = "MOUNT/PATH", default_value = "notebook-secret-kv-v2/test")]
    secret: SecretPath,

    /// JWT auth method to make, for `login --via provider`
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-jwt", value_parser = mount_name)]
    jwt_mount: String,

    /// OIDC auth method to make, for `login --via vault`
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-oidc", value_parser = mount_name)]
    oidc_mount: String,

    /// Role to make in both
    #[arg(long, value_name = "NAME", default_value = "default")]
    role: String,

    /// The client's role whose holders may read, and the policy for them
    #[arg(long, value_name = "NAME", default_value = "reader", value_parser = policy_name)]
    reader: String,

    /// The client's role whose holders may write too, and the policy for them
    #[arg(long, value_name = "NAME", default_value = "management", value_parser = policy_name)]
    management: String,

    /// Address that may take the OIDC callback (may be repeated; any port is fine for this machine's own)
    #[arg(long = "redirect-uri", value_name = "URI", default_values = [
        "http://localhost:8250/oidc/callback", "http://127.0.0.1:8250/oidc/callback", "urn:ietf:wg:oauth:2.0:oob"])]
    redirect_uris: Vec<String>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

/// Servers list mounts with a slash at the end, and people copy them so.
fn mount_name(name: &str) -> Result<String, String> {
    match name.trim_matches('/') {
        "" => Err("a mount has a name".into()),
        name => Ok(name.to_owned()),
    }
}

/// Every token has the policy `default`: what it allows, everybody may do. `root` cannot be written at all.
fn policy_name(name: &str) -> Result<String, String> {
    match name.to_lowercase().as_str() {
        "default" => {
            Err("the policy `default` is in every token; widening it would give this to everybody".into())
        }
        "root" => Err("the policy `root` cannot be written".into()),
        // The server lower-cases names; the role of the provider must then be written the same way.
        lower if lower != name => Err("policy names are lower-case".into()),
        _ => Ok(name.to_owned()),
    }
}

impl Arguments {
    /// Two things of one name would be changed into each other with every run.
    fn check(&self) -> Result<(), Failure> {
        let twice = |what: &str| Err(Failure::new(Exit::Usage, format!("{what} must have different names")));
        if self.reader == self.management {
            return twice("--reader and --management");
        }
        if self.jwt_mount == self.oidc_mount {
            return twice("--jwt-mount and --oidc-mount");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check()?;
    let interrupt = Interrupt::listen()?;
    let vault = arguments.vault.connect()?;
    let issuer = arguments.provider.issuer()?;
    let client_secret = arguments.provider.client_secret(&interrupt).await?;
    let vault = vault.with_token(&arguments.vault.token(&interrupt).await?);

    let mut setup = Setup::new(vault, arguments.dry_run);
    interrupt.or(provision(&mut setup, arguments, issuer, client_secret.as_ref())).await?;
    output::print(setup.summary().as_bytes())
}

async fn provision(
    setup: &mut Setup,
    arguments: &Arguments,
    issuer: &str,
    client_secret: Option<&Secret>,
) -> Result<(), Failure> {
    secret(setup, &arguments.secret).await?;
    policies(setup, arguments).await?;
    jwt(setup, arguments, issuer).await?;
    oidc(setup, arguments, issuer, client_secret).await
}

/// A KV v2 mount, and a secret to read. A secret that is there already is somebody's: it stays as it is.
async fn secret(setup: &mut Setup, secret: &SecretPath) -> Result<(), Failure> {
    let (mount, path) = (secret.mount(), secret.path());
    setup.mount("sys/mounts", mount, &json!({"type": "kv", "options": {"version": "2"}})).await?;
    let version = match setup.vault().kv2(mount).read(path).await {
        Ok(Read::Found(_)) => return setup.report(Done::Unchanged, &format!("secret {secret}")),
        Ok(Read::Deleted(version) | Read::Destroyed(version)) => version.version,
        // The mount is yet to be made, or is made this very moment.
        Ok(Read::Missing) | Err(Error::NotFound(_) | Error::MountUpgrading(_)) => 0,
        Err(error) => return Err(error.into()),
    };
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let data = json!({"data": "Hello from Latchkey", "binary": STANDARD.encode(bytes)});
    // By `cas`, nothing is written if somebody else was quicker.
    setup.write(&format!("{mount}/data/{path}"), &json!({"data": data, "options": {"cas": version}})).await?;
    setup.report(Done::Created, &format!("secret {secret}"))
}

/// One policy for those who read, one for those who write. Neither is the policy `default`: see [`policy_name`].
async fn policies(setup: &mut Setup, arguments: &Arguments) -> Result<(), Failure> {
    let mount = arguments.secret.mount();
    let reader = format!(
        "path \"{mount}/data/*\" {{ capabilities = [\"read\"] }}\n\
         path \"{mount}/metadata/*\" {{ capabilities = [\"read\", \"list\"] }}\n"
    );
    let management = format!(
        "path \"{mount}/data/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\"] }}\n\
         path \"{mount}/metadata/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\"] }}\n\
         path \"{mount}/delete/*\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/undelete/*\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/destroy/*\" {{ capabilities = [\"update\"] }}\n"
    );
    for (name, policy) in [(&arguments.reader, reader), (&arguments.management, management)] {
        let path = format!("sys/policies/acl/{name}");
        setup.settle(&format!("policy {name}"), &path, &json!({"policy": policy})).await?;
    }
    Ok(())
}

/// Sign-in with an ID token that the person already has: `login --via provider`.
async fn jwt(setup: &mut Setup, arguments: &Arguments, issuer: &str) -> Result<(), Failure> {
    let mount = &arguments.jwt_mount;
    let accessor = setup.mount("sys/auth", mount, &json!({"type": "jwt"})).await?;
    let mut config = json!({"oidc_discovery_url": issuer, "default_role": arguments.role});
    if let Some(pem) = arguments.provider.ca_pem()? {
        config["oidc_discovery_ca_pem"] = pem.into();
    }
    let thing = format!("trust of {mount}/ in the issuer");
    let settled = setup.settle(&thing, &format!("auth/{mount}/config"), &config).await;
    settled.map_err(|failure| failure.or_hint(format!("{CALLS_ISSUER} {issuer}")))?;
    let mut role = role(arguments, "jwt");
    // Without it, a token that the provider gave to any of its clients would do.
    role["bound_audiences"] = json!([arguments.provider.client_id()]);
    settle_role(setup, arguments, mount, &role).await?;
    groups(setup, arguments, mount, accessor.as_deref()).await
}

/// Sign-in that Vault itself drives: `login --via vault`.
async fn oidc(
    setup: &mut Setup,
    arguments: &Arguments,
    issuer: &str,
    client_secret: Option<&Secret>,
) -> Result<(), Failure> {
    let mount = &arguments.oidc_mount;
    let accessor = setup.mount("sys/auth", mount, &json!({"type": "oidc"})).await?;
    let mut config = json!({
        "oidc_discovery_url": issuer,
        "oidc_client_id": arguments.provider.client_id(),
        "default_role": arguments.role,
    });
    if let Some(pem) = arguments.provider.ca_pem()? {
        config["oidc_discovery_ca_pem"] = pem.into();
    }
    let (thing, path) =
        (format!("client {} of {mount}/", arguments.provider.client_id()), format!("auth/{mount}/config"));
    let settled = match client_secret {
        None => setup.settle(&thing, &path, &config).await,
        Some(secret) => {
            let vault = setup.vault().clone();
            let is_right = async || provider_knows_client(&vault, arguments).await;
            setup.settle_unseen(&thing, &path, &config, ("oidc_client_secret", secret), is_right).await
        }
    };
    settled.map_err(|failure| failure.or_hint(format!("{CALLS_ISSUER} {issuer}")))?;
    let mut role = role(arguments, "oidc");
    role["allowed_redirect_uris"] = json!(arguments.redirect_uris);
    role["oidc_scopes"] = json!(["email", "profile"]);
    settle_role(setup, arguments, mount, &role).await?;
    groups(setup, arguments, mount, accessor.as_deref()).await
}

/// Finds out whether the client's secret that Vault holds is right. Vault shows it to nobody, but it tells what the
/// provider answers when it brings a code that is none: `invalid_grant` is for a client that the provider knows.
async fn provider_knows_client(vault: &Vault, arguments: &Arguments) -> Option<bool> {
    let (nonce, code) =
        (ClientNonce::generate(&mut SystemRandom).ok()?, Secret::new("provision-asks-for-the-client"));
    let oidc = vault.oidc(&arguments.oidc_mount);
    let sign_in = oidc.auth_url(&arguments.role, arguments.redirect_uris.first()?, &nonce).await.ok()?;
    let Err(Error::LoginRefused { refusal, .. }) = oidc.callback(sign_in.state(), &code, &nonce).await else {
        return None;
    };
    let said = refusal.messages.to_string();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // RFC 6749, 5.2. Keycloak says `unauthorized_client` where the standard has `invalid_client`.
    match (says(&["invalid_grant"]), says(&["invalid_client", "unauthorized_client"])) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

const CALLS_ISSUER: &str = "Vault itself must reach the issuer, and trust its certificate (--issuer-ca):";

async fn settle_role(
    setup: &mut Setup,
    arguments: &Arguments,
    mount: &str,
    role: &Value,
) -> Result<(), Failure> {
    let name = &arguments.role;
    setup.settle(&format!("role {name} of {mount}/"), &format!("auth/{mount}/role/{name}"), role).await
}

/// What both kinds of role have in common: who the person is, and which groups the token puts them into.
fn role(arguments: &Arguments, kind: &str) -> Value {
    // A JSON pointer (RFC 6901), in which `~` and `/` of a name are escaped.
    let client = arguments.provider.client_id().replace('~', "~0").replace('/', "~1");
    json!({
        "role_type": kind,
        "user_claim": "sub",
        "groups_claim": format!("/resource_access/{client}/roles"),
        "claim_mappings": {"preferred_username": "username", "email": "email"},
        // An hour: `login` needs a second, and revokes its token; this is for a token that was kept.
        "token_ttl": 3600,
    })
}

/// A group for each role on this mount.
async fn groups(
    setup: &mut Setup,
    arguments: &Arguments,
    mount: &str,
    accessor: Option<&str>,
) -> Result<(), Failure> {
    for role in [&arguments.reader, &arguments.management] {
        let name = format!("{}-{role}", mount.replace('/', "-"));
        setup.group(&name, role, role, accessor).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Arguments, role};

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["provision"], arguments].concat())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_policy_default_is_never_widened() {
        for name in ["default", "Default", "root", "Reader"] {
            assert!(parse(&["--reader", name]).is_err(), "{name}");
            assert!(parse(&["--management", name]).is_err(), "{name}");
        }
        assert!(parse(&["--reader", "team-reader"]).is_ok());
    }

    #[test]
    fn two_things_of_one_name_are_refused() {
        for arguments in [["--reader", "management"], ["--jwt-mount", "keycloak-oidc/"]] {
            assert!(parse(&arguments).unwrap().check().is_err(), "{arguments:?}");
        }
        assert!(parse(&[]).unwrap().check().is_ok());
    }

    #[test]
    fn a_client_whose_name_has_a_slash_is_found_in_the_claims() {
        let arguments = parse(&["--client-id", "team/a~b"]).unwrap();
        assert_eq!(role(&arguments, "jwt")["groups_claim"], "/resource_access/team~1a~0b/roles");
    }
}
