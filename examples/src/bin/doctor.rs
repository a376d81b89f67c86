//! `doctor`: looks at a set-up from a terminal, and says what is wrong and what mends it.

use std::process::ExitCode;

use clap::Parser;
use latchkey_examples::doctor::{AskedProvider, AskedVault, Report, hub, provider, vault};
use latchkey_examples::terminal::{Interrupt, say};
use latchkey_examples::{Failure, HubArguments, ProviderArguments, VaultArguments, finish, output};

const EXAMPLES: &str = "\
Examples:
  doctor                                             what `provision` makes by default
  VAULT_TOKEN=... doctor                             with a token that may read policies, auth methods and CORS
  doctor --redirect-uri https://hub.example/oidc/callback --allow-origin https://hub.example
  doctor --issuer https://id.example/realms/team --client-id page --public-client --json

Exit codes: the worst that was found
  0  nothing
  1  something is wrong
  2  usage: an argument or the environment must change
  3  a server cannot be reached, cannot prove who it is, or is out of order
  5  something works, but not well";

/// Looks at a provider, a Vault or OpenBao, and a hub, and says what is wrong and what to write to mend it
///
/// It changes nothing and signs nobody in. Without `VAULT_TOKEN` it makes the checks that need none; with one it also reads
/// the policy `default`, the auth methods and their roles. A client's secret, if there is one, comes from
/// `LATCHKEY_CLIENT_SECRET` or a file; nothing is asked for, and no secret is ever printed. The hub is that of
/// `JUPYTERHUB_API_URL`, as in a server that it has started.
#[derive(Parser, Debug)]
#[command(name = "doctor", version, verbatim_doc_comment, after_help = EXAMPLES)]
struct Arguments {
    /// JWT auth method of Vault; an empty name leaves it out
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-jwt")]
    jwt_mount: String,

    /// OIDC auth method of Vault; an empty name leaves it out
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-oidc")]
    oidc_mount: String,

    /// Role in both
    #[arg(long, value_name = "NAME", default_value = "default")]
    role: String,

    /// Address that a sign-in comes back to (may be repeated)
    #[arg(long = "redirect-uri", value_name = "URI", default_value = "http://localhost:8250/oidc/callback")]
    redirect_uris: Vec<String>,

    /// Origin of a web page that calls Vault, or fetches tokens as a public client (may be repeated)
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_parser = origin)]
    origins: Vec<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    vault: VaultArguments,

    #[command(flatten)]
    hub: HubArguments,
}

/// Browsers write an origin without a slash at its end, and servers compare it so.
fn origin(text: &str) -> Result<String, String> {
    let url: url::Url = text.parse().map_err(|error| format!("{error}"))?;
    let origin = url.origin();
    if !origin.is_tuple() {
        return Err("an origin is such as https://hub.example".into());
    }
    Ok(origin.ascii_serialization())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(report) => ExitCode::from(report.worst().exit_code()),
        Err(failure) => finish(Err(failure)),
    }
}

async fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let interrupt = Interrupt::listen()?;
    let report = interrupt.or(examine(arguments)).await?;
    let text = if arguments.json { report.to_json() + "\n" } else { report.to_string() };
    output::print(text.as_bytes())?;
    Ok(report)
}

async fn examine(arguments: &Arguments) -> Result<Report, Failure> {
    let mut report = Report::default();
    let (settings, server) = (&arguments.provider, arguments.vault.connect()?);
    let hub_of_server = arguments.hub.connect()?;
    let asked = AskedProvider {
        issuer: settings.issuer()?,
        client_id: settings.client_id(),
        client_secret: settings.given_client_secret()?,
        is_public: settings.is_public(),
        redirect_uris: &arguments.redirect_uris,
        origins: &arguments.origins,
    };
    say(format_args!("asking {}", asked.issuer));
    let (findings, issuer) = provider(&asked, &settings.transport()?).await;
    report.extend(findings);

    let address = arguments.vault.address()?;
    say(format_args!("asking {address}"));
    let asked = AskedVault {
        address: &address,
        operator: arguments.vault.given_token()?.map(|token| server.with_token(&token)),
        vault: server,
        issuer: issuer.as_deref(),
        client_id: settings.client_id(),
        jwt_mount: arguments.jwt_mount.trim_matches('/'),
        oidc_mount: arguments.oidc_mount.trim_matches('/'),
        role: &arguments.role,
        redirect_uris: &arguments.redirect_uris,
        origins: &arguments.origins,
    };
    report.extend(vault(&asked).await);
    report.extend(hub(hub_of_server.as_ref()).await);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        assert_eq!(origin("https://hub.example/").unwrap(), "https://hub.example");
        assert_eq!(origin("http://localhost:8888").unwrap(), "http://localhost:8888");
        assert!(origin("hub.example").is_err() && origin("urn:x").is_err());
    }
}
