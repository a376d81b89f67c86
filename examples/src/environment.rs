//! Where the servers are: arguments and environment, read in one place, and what is connected by them.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use clap::Args;
use latchkey_transport::danger::Danger;
use latchkey_transport::{ReqwestTransport, Secret, SharedTransport};
use latchkey_vault_client::retry::TokioWaiting;
use latchkey_vault_client::{Config, Token, Vault};
use url::Url;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::terminal::{Interrupt, ask};

/// Which Vault or OpenBao is meant: by arguments, and by the variables that `vault` and `bao` read.
#[derive(Args, Debug)]
#[command(next_help_heading = "Vault or OpenBao")]
pub struct VaultArguments {
    #[arg(long = "vault", value_name = "URL", help = ADDRESS_HELP, long_help = ADDRESS_LONG_HELP)]
    address: Option<String>,

    #[arg(long, value_name = "NAME", help = "Namespace to work in [env: VAULT_NAMESPACE]")]
    namespace: Option<String>,

    #[arg(
        long = "vault-ca",
        value_name = "FILE",
        help = "Trust the certificates in this PEM file, and no others, for Vault [env: VAULT_CACERT]"
    )]
    ca: Option<PathBuf>,
}

const ADDRESS_HELP: &str = "Address of the server [env: VAULT_ADDR] [default: https://127.0.0.1:8200]";

const ADDRESS_LONG_HELP: &str = "\
Address of the server [env: VAULT_ADDR] [default: https://127.0.0.1:8200]

The environment is read as `vault` reads it, or `bao`, with BAO_ in place of VAULT_: VAULT_CLIENT_TIMEOUT, which is how long \
a call may take, VAULT_MAX_RETRIES, VAULT_CACERT_BYTES, VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY and \
VAULT_TLS_SERVER_NAME. VAULT_SKIP_VERIFY is not heeded: a certificate is always checked.";

/// Which identity provider is meant.
#[derive(Args, Debug)]
#[command(next_help_heading = "Identity provider")]
pub struct IssuerArguments {
    /// Issuer, exactly as the provider spells it
    #[arg(long, value_name = "URL", env = "LATCHKEY_ISSUER")]
    issuer: Option<String>,

    /// Trust the certificates in this PEM file, and no others, for the provider
    #[arg(long, value_name = "FILE", env = "LATCHKEY_ISSUER_CACERT", value_parser = path)]
    issuer_ca: Option<PathBuf>,
}

/// Which client of which identity provider is meant.
#[derive(Args, Debug)]
#[command(next_help_heading = "Identity provider")]
pub struct ProviderArguments {
    #[command(flatten)]
    issuer: IssuerArguments,

    /// Client that the provider knows us as
    #[arg(long, value_name = "ID", env = "LATCHKEY_CLIENT_ID", default_value = "vault-oidc")]
    client_id: String,

    /// File that holds the client's secret
    #[arg(long, value_name = "FILE", conflicts_with = "public_client")]
    client_secret_file: Option<PathBuf>,

    /// The client has no secret
    #[arg(long)]
    public_client: bool,
}

impl VaultArguments {
    /// What is read from the environment beside the token, also with `BAO_` in place of `VAULT_`.
    pub const VARIABLES: [&str; 10] = [
        "VAULT_ADDR",
        "VAULT_NAMESPACE",
        "VAULT_CACERT",
        "VAULT_CACERT_BYTES",
        "VAULT_CAPATH",
        "VAULT_CLIENT_CERT",
        "VAULT_CLIENT_KEY",
        "VAULT_TLS_SERVER_NAME",
        "VAULT_CLIENT_TIMEOUT",
        "VAULT_MAX_RETRIES",
    ];

    /// Returns the address of that server.
    pub fn address(&self) -> Result<Url, Failure> {
        Ok(self.config()?.address)
    }

    /// Returns a client of that server, without a token yet.
    pub fn connect(&self) -> Result<Vault, Failure> {
        let config = self.config()?;
        let transport = config.transport().map_err(|error| {
            Failure::from(error).or_hint("--vault-ca or VAULT_CACERT names a PEM file with certificates")
        })?;
        let vault = config.vault(transport)?;
        // Once more is for the people and the programs that ask for it: it hides a Vault that is not well.
        Ok(match config.max_retries {
            Some(_) => vault.with_retry(config.retry(), Arc::new(TokioWaiting::new())),
            None => vault,
        })
    }

    /// Returns the token of the environment, or asks for one.
    pub async fn token(&self, interrupt: &Interrupt) -> Result<Token, Failure> {
        match self.given_token()? {
            Some(token) => Ok(token),
            None => Ok(Token::new(ask("Vault token", "set VAULT_TOKEN", interrupt).await?)?),
        }
    }

    /// Returns the token in `VAULT_TOKEN`, or else the one that `vault login` has left in `~/.vault-token`, if there is one.
    /// Nobody is asked.
    pub fn given_token(&self) -> Result<Option<Token>, Failure> {
        let is_about_it = |name: &&str| ["BAO_TOKEN", "VAULT_TOKEN", "HOME"].contains(name);
        let config = Config::from_environment(|name| Some(name).filter(is_about_it).and_then(variable))?;
        Ok(config.token_or_file()?)
    }

    /// Returns what the environment says but for the token, and what the arguments say in its place.
    fn config(&self) -> Result<Config, Failure> {
        let is_read = |name: &str| {
            // A mistake in what does not count is none.
            let counts = !(name.ends_with("_ADDR") && self.address.is_some());
            let what = |name: &str| name.split_once('_').map(|(_, what)| what.to_owned());
            counts && Self::VARIABLES.iter().any(|known| what(known) == what(name))
        };
        let mut config =
            Config::from_environment(|name| Some(name).filter(|name| is_read(name)).and_then(variable))?;
        if let Some(address) = &self.address {
            config.address = address.parse().map_err(|error: url::ParseError| {
                Failure::of(Exit::Usage, &error)
                    .while_doing("the address of Vault")
                    .with_hint("--vault is an address such as https://vault.example:8200")
            })?;
        }
        if let Some(namespace) = &self.namespace {
            config.namespace = Some(namespace.clone());
        }
        if let Some(ca) = &self.ca {
            (config.ca_cert, config.ca_cert_bytes) = (Some(ca.clone()), None);
        }
        Ok(config)
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

impl IssuerArguments {
    /// Returns the issuer.
    pub fn issuer(&self) -> Result<&str, Failure> {
        let missing = || Failure::new(Exit::Usage, "no issuer is named").with_hint("name it with --issuer");
        self.issuer.as_deref().filter(|issuer| !issuer.is_empty()).ok_or_else(missing)
    }

    /// Returns the transport to the provider.
    pub fn transport(&self) -> Result<SharedTransport, Failure> {
        transport(self.issuer_ca.as_deref(), "--issuer-ca", false)
    }
}

impl ProviderArguments {
    /// Returns the issuer.
    pub fn issuer(&self) -> Result<&str, Failure> {
        self.issuer.issuer()
    }

    /// Returns the client that the provider knows us as.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the client's secret: from `LATCHKEY_CLIENT_SECRET`, from the file that was named, or as the person
    /// types it. Never from the command line, which every other user of the machine can read.
    pub async fn client_secret(&self, interrupt: &Interrupt) -> Result<Option<Secret>, Failure> {
        if self.public_client {
            return Ok(None);
        }
        if let Some(secret) = self.given_client_secret()? {
            return Ok(Some(secret));
        }
        let otherwise =
            "set LATCHKEY_CLIENT_SECRET, or use --client-secret-file; --public-client if there is none";
        ask(&format!("secret of the client {}", self.client_id), otherwise, interrupt).await.map(Some)
    }

    /// Returns whether the client has no secret.
    pub fn is_public(&self) -> bool {
        self.public_client
    }

    /// Returns the client's secret from the file that was named or from `LATCHKEY_CLIENT_SECRET`, if it is there. Nobody is
    /// asked.
    pub fn given_client_secret(&self) -> Result<Option<Secret>, Failure> {
        if self.public_client {
            return Ok(None);
        }
        if let Some(path) = &self.client_secret_file {
            let text = Zeroizing::new(read(path, "--client-secret-file")?);
            let text = str::from_utf8(&text).map_err(|error| {
                Failure::of(Exit::Usage, &error).while_doing(&format!("the secret in {}", path.display()))
            })?;
            return Ok(Some(Secret::new(text.trim())));
        }
        Ok(from_environment("LATCHKEY_CLIENT_SECRET"))
    }

    /// Returns the transport to the provider.
    pub fn transport(&self) -> Result<SharedTransport, Failure> {
        self.issuer.transport()
    }

    /// Returns the certificates of the CA that was named for the provider: PEM.
    pub fn ca_pem(&self) -> Result<Option<String>, Failure> {
        let Some(path) = named(self.issuer.issuer_ca.as_deref()) else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&read(path, "--issuer-ca")?).into_owned()))
    }
}

/// Returns a transport that trusts the certificates in that file and no others, or what the system trusts.
pub(crate) fn transport(
    ca: Option<&Path>,
    argument: &str,
    danger_plain_http: bool,
) -> Result<SharedTransport, Failure> {
    let unusable = |error: latchkey_transport::Error| {
        Failure::of(Exit::Usage, &error).with_hint(format!("{argument} names a PEM file with certificates"))
    };
    let builder = match named(ca) {
        Some(path) => {
            let pem = read(path, argument)?;
            ReqwestTransport::builder().with_root_certificates(&pem).with_named_roots_only()
        }
        None => ReqwestTransport::builder(),
    };
    let builder = if danger_plain_http { builder.danger(Danger::PlainHttp) } else { builder };
    Ok(Arc::new(builder.build().map_err(unusable)?))
}

/// Takes any path, an empty one too: an empty variable is one that is not set, as Vault's own client has it.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that could fail")]
pub(crate) fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

/// What that argument names, where it names something.
pub(crate) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

/// Reads a file that an argument names.
pub(crate) fn read(path: &Path, argument: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::of(Exit::Usage, &error)
            .while_doing(&format!("{argument} {}", path.display()))
            .with_hint("name a file that is there and that this account may read")
    })
}

pub(crate) fn from_environment(name: &str) -> Option<Secret> {
    env::var(name).ok().map(Secret::from).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::VaultArguments;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        _vault: VaultArguments,
    }

    #[test]
    fn the_help_names_every_variable_that_is_read() {
        let help = Program::command().render_long_help().to_string();
        for name in VaultArguments::VARIABLES {
            assert!(help.contains(name), "{name} {help}");
        }
    }
}
