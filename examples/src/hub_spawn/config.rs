//! What an operator has decided: a TOML file without a secret in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latchkey_jupyterhub_auth::SpawnPolicy;
use latchkey_transport::SharedTransport;
use latchkey_vault_client::secret_store::Terms;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::environment::transport;
use crate::{Exit, Failure, SecretPath};

/// All of it. A part that is left out is not done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose sign-ins count.
    pub provider: ProviderConfig,
    /// What is fetched from Vault.
    pub vault: Option<VaultConfig>,
    /// Who people are on this machine.
    pub users: Option<UsersConfig>,
    /// Hands over the ID token as `VAULT_OIDC_TOKEN`.
    #[serde(default)]
    pub hand_over_id_token: bool,
}

/// The identity provider, and how a sign-in must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    issuer: String,
    client_id: String,
    ca: Option<PathBuf>,
    /// The claim that is the hub's name of a person; where it is another the server is not started.
    pub username_claim: Option<String>,
    #[serde(default = "ten_minutes")]
    fresh_for: u64,
    #[serde(default = "yes")]
    ask_session: bool,
    #[serde(default)]
    when_down: WhenDown,
}

/// Vault, and what of it a server gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// Where it is; handed over as `VAULT_ADDR`.
    #[serde(deserialize_with = "address")]
    pub address: Url,
    ca: Option<PathBuf>,
    /// The namespace.
    pub namespace: Option<String>,
    /// What happens while it is down or sealed.
    #[serde(default)]
    pub when_down: WhenDown,
    /// A secret that is read by the person's own sign-in.
    pub secret: Option<SecretConfig>,
    /// A token of the person's own.
    pub own_token: Option<OwnToken>,
}

/// A secret that is handed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretConfig {
    /// The JWT auth method.
    pub mount: String,
    /// The role of it.
    pub role: String,
    path: String,
    /// The field of the secret; without one it is all of them, as JSON.
    pub field: Option<String>,
    /// Hands it over as a file, which `VAULT_SECRET_FILE` names.
    #[serde(default = "yes")]
    pub file: bool,
    /// Hands it over as `MY_SECRET`, too.
    #[serde(default)]
    pub variable: bool,
}

/// A token of Vault that opens the person's own store, handed over as `NOTEBOOK_VAULT_TOKEN`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnToken {
    /// The file with the hub's token, which nobody but its owner may open. `keep-token` keeps it alive.
    pub token_file: PathBuf,
    /// The token role, with its templated policy.
    #[serde(default = "jupyter_users")]
    pub role: String,
    /// Writes a policy for each person instead, which the hub's token must be mightier for.
    #[serde(default)]
    pub policy_each: bool,
    ttl: Option<u64>,
    longest: Option<u64>,
}

/// The Unix users of this machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    /// The claim of `auth_state.oauth_user` that has a person's uid.
    #[serde(default = "uid")]
    pub uid_claim: String,
    /// The claim with their gid; without one each has a group of their own, with the number of the uid.
    pub gid_claim: Option<String>,
    /// The folder with the homes.
    #[serde(default = "home")]
    pub homes: PathBuf,
    /// The shell.
    #[serde(default = "shell")]
    pub shell: PathBuf,
    /// The folder in which each person has one for what is not to outlive the machine's run.
    #[serde(default = "runtime")]
    pub runtime: PathBuf,
}

/// What to do while a server cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// Start nothing.
    #[default]
    Stop,
    /// Start without what the server would have given.
    Start,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn ten_minutes() -> u64 {
    600
}

fn yes() -> bool {
    true
}

fn jupyter_users() -> String {
    "jupyter-users".to_owned()
}

fn uid() -> String {
    "uid".to_owned()
}

fn home() -> PathBuf {
    "/home".into()
}

fn shell() -> PathBuf {
    "/bin/bash".into()
}

fn runtime() -> PathBuf {
    "/run/latchkey".into()
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// A usage failure that says where the file is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let unusable = |error: &(dyn std::error::Error + 'static)| {
            Failure::of(Exit::Usage, error).while_doing(&path.display().to_string())
        };
        let text = fs::read_to_string(path).map_err(|error| unusable(&error))?;
        let config: Self = toml::from_str(&text).map_err(|error| unusable(&error))?;
        let usage = |what: &str, hint: &str| {
            Err(Failure::new(Exit::Usage, what).while_doing(&path.display().to_string()).with_hint(hint))
        };
        let secret = config.vault.as_ref().and_then(|vault| vault.secret.as_ref());
        if let Some(secret) = secret {
            secret.path()?;
            if secret.file && config.users.is_none() {
                return usage(
                    "a secret as a file needs the Unix user that it is for",
                    "add [users], or file = false and variable = true",
                );
            }
        }
        Ok(config)
    }
}

impl ProviderConfig {
    /// Returns the issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the hub's client.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns what must hold before a server starts.
    pub fn policy(&self) -> SpawnPolicy {
        SpawnPolicy::default()
            .with_fresh_for(Duration::from_secs(self.fresh_for))
            .with_session_asked(self.ask_session)
            .with_unproven_started(self.when_down == WhenDown::Start)
    }

    /// Returns the way to the provider.
    pub fn transport(&self) -> Result<SharedTransport, Failure> {
        transport(self.ca.as_deref(), "ca in [provider]", false)
    }
}

impl VaultConfig {
    /// Returns the way to Vault: the one to the provider, where both are vouched for by the same certificates. To read those
    /// takes longer than to ask for a secret.
    pub fn transport(
        &self,
        provider: &ProviderConfig,
        to_provider: &SharedTransport,
    ) -> Result<SharedTransport, Failure> {
        if self.ca == provider.ca {
            return Ok(to_provider.clone());
        }
        transport(self.ca.as_deref(), "ca in [vault]", false)
    }
}

impl SecretConfig {
    /// Returns where the secret is.
    pub fn path(&self) -> Result<SecretPath, Failure> {
        self.path.parse().map_err(|error: crate::NotASecretPath| {
            Failure::of(Exit::Usage, &error).while_doing("path in [vault.secret]")
        })
    }
}

impl OwnToken {
    /// Returns how long a person's token lives: a day at first and a week at the most, unless the file says otherwise.
    pub fn terms(&self) -> Terms {
        let usual = Terms::default();
        let or = |seconds: Option<u64>, usual: Duration| seconds.map_or(usual, Duration::from_secs);
        Terms::new(or(self.ttl, usual.ttl()), or(self.longest, usual.longest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub-spawn.toml");
        fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    const PROVIDER: &str = "[provider]\nissuer = \"https://id.example\"\nclient_id = \"hub\"\n";

    #[test]
    fn the_file_beside_the_hubs_configuration_is_read() {
        let config = read(include_str!("../../hub/hub-spawn.toml")).unwrap();
        let (vault, users) = (config.vault.unwrap(), config.users.unwrap());
        assert_eq!((vault.when_down, users.uid_claim.as_str()), (WhenDown::Stop, "uid"));
        let secret = vault.secret.unwrap();
        assert!(secret.file && !secret.variable);
        assert_eq!(vault.own_token.unwrap().terms(), Terms::default());
    }

    #[test]
    fn only_the_provider_must_be_named() {
        let config = read(PROVIDER).unwrap();
        assert!(config.vault.is_none() && config.users.is_none() && !config.hand_over_id_token);
        assert_eq!(config.provider.policy(), SpawnPolicy::default());
    }

    #[test]
    fn a_misspelt_setting_is_told_by_its_name_and_place() {
        let failure = read(&format!("{PROVIDER}ask_sesion = false\n")).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.message().contains("ask_sesion"), "{failure:?}");
    }

    #[test]
    fn a_file_for_nobody_is_refused() {
        let vault =
            "[vault]\naddress = \"https://vault.example\"\n[vault.secret]\nmount = \"jwt\"\nrole = \"r\"\n";
        let failure = read(&format!("{PROVIDER}{vault}path = \"secret/app\"\n")).unwrap_err();
        assert!(failure.hint().is_some_and(|hint| hint.contains("[users]")), "{failure:?}");
        assert!(read(&format!("{PROVIDER}{vault}path = \"secret/app\"\nfile = false\n")).is_ok());
        assert!(read(&format!("{PROVIDER}{vault}path = \"secret\"\nfile = false\n")).is_err());
    }
}
