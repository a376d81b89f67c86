//! What the environment of a program says about the server: the variables of the `vault` and `bao` command-line clients.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use latchkey_transport::{Secret, SharedTransport};
use url::Url;

use crate::retry::Retry;
use crate::{Error, Token, Vault, duration};

#[cfg(all(feature = "reqwest", not(target_arch = "wasm32")))]
mod tls;

/// What the environment says about the server.
///
/// Each variable has two names, `BAO_ADDR` and `VAULT_ADDR`; where both are set the first counts. An empty one counts as
/// not set. What concerns TLS is for whoever builds the transport: this crate has none.
///
/// ```
/// use latchkey_vault_client::Config;
///
/// let variables = [("VAULT_ADDR", "https://vault.example:8200"), ("VAULT_CLIENT_TIMEOUT", "90s")];
/// let lookup = |name: &str| variables.iter().find(|(this, _)| *this == name).map(|(_, value)| value.to_string());
/// let config = Config::from_environment(lookup)?; // in a program: |name| std::env::var(name).ok()
/// assert_eq!(config.address.as_str(), "https://vault.example:8200/");
/// assert_eq!(config.client_timeout.map(|limit| limit.as_secs()), Some(90));
/// # Ok::<(), latchkey_vault_client::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `ADDR`: the address of the server, `https://127.0.0.1:8200` where nothing is said.
    pub address: Url,
    /// `TOKEN`
    pub token: Option<Token>,
    /// `HOME` and `.vault-token`: where the command-line clients keep a token. It is not read here; see
    /// [`token_or_file`](Config::token_or_file).
    pub token_file: Option<PathBuf>,
    /// `NAMESPACE`
    pub namespace: Option<String>,
    /// `CACERT`: a file with certificates that are trusted.
    pub ca_cert: Option<PathBuf>,
    /// `CACERT_BYTES`: such certificates themselves, before the file.
    pub ca_cert_bytes: Option<String>,
    /// `CAPATH`: a folder with such files.
    pub ca_path: Option<PathBuf>,
    /// `CLIENT_CERT`: a file with the certificate that shows who calls.
    pub client_cert: Option<PathBuf>,
    /// `CLIENT_KEY`: a file with its key.
    pub client_key: Option<PathBuf>,
    /// `TLS_SERVER_NAME`: the name that the server's certificate is for.
    pub tls_server_name: Option<String>,
    /// `SKIP_VERIFY`: whether the server's certificate is not to be checked at all.
    pub skip_verify: bool,
    /// `CLIENT_TIMEOUT`: how long a call may take.
    pub client_timeout: Option<Duration>,
    /// `MAX_RETRIES`: how often a call is sent again.
    pub max_retries: Option<u32>,
    /// `WRAP_TTL`: for how long answers are to be wrapped.
    pub wrap_ttl: Option<Duration>,
    /// `RATE_LIMIT`: calls per second, and how many may come at once.
    pub rate_limit: Option<(f64, u32)>,
}

impl Config {
    /// Reads the variables that `lookup` knows.
    ///
    /// Fails with [`Error::InvalidVariable`], which names the variable and never its value: a mistake is not passed over.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let variables = Variables { lookup };
        let address = variables.parsed("ADDR", |text| Url::parse(text).ok().filter(Url::has_host))?;
        Ok(Self {
            address: match address {
                Some(address) => address,
                None => Url::parse(DEFAULT_ADDRESS).map_err(|_| invalid("VAULT_ADDR"))?,
            },
            token: variables.parsed("TOKEN", |text| Token::new(Secret::new(text)).ok())?,
            token_file: (variables.lookup)("HOME")
                .filter(|home| !home.is_empty())
                .map(|home| PathBuf::from(home).join(".vault-token")),
            namespace: variables.text("NAMESPACE"),
            ca_cert: variables.text("CACERT").map(PathBuf::from),
            ca_cert_bytes: variables.text("CACERT_BYTES"),
            ca_path: variables.text("CAPATH").map(PathBuf::from),
            client_cert: variables.text("CLIENT_CERT").map(PathBuf::from),
            client_key: variables.text("CLIENT_KEY").map(PathBuf::from),
            tls_server_name: variables.text("TLS_SERVER_NAME"),
            skip_verify: variables.parsed("SKIP_VERIFY", boolean)?.unwrap_or_default(),
            client_timeout: variables.parsed("CLIENT_TIMEOUT", duration::parse)?,
            max_retries: variables.parsed("MAX_RETRIES", |text| text.parse().ok())?,
            wrap_ttl: variables.parsed("WRAP_TTL", duration::parse)?,
            rate_limit: variables.parsed("RATE_LIMIT", rate)?,
        })
    }

    /// Reads the environment of this process and, where it names no token, the file where the command-line clients keep
    /// one: what a program wants that behaves as they do. This is the one constructor that looks by itself.
    ///
    /// Fails as [`from_environment`](Config::from_environment) and [`token_or_file`](Config::token_or_file) do.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from_system() -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "whoever calls this wants the environment to be read")]
        let config = Self::from_environment(|name| std::env::var(name).ok())?;
        Ok(Self { token: config.token_or_file()?, ..config })
    }

    /// Returns the policy for further attempts: as many as `MAX_RETRIES` says, in the time that `CLIENT_TIMEOUT` says,
    /// and otherwise the usual ones.
    pub fn retry(&self) -> Retry {
        let retry = Retry::default();
        let retry = match self.max_retries {
            Some(again) => retry.with_attempts(again.saturating_add(1)),
            None => retry,
        };
        self.client_timeout.map_or(retry, |limit| retry.with_deadline(limit))
    }

    /// Returns the token of the environment, or else the one in the file where the command-line clients keep it. That
    /// there is no such file is no error.
    ///
    /// Fails with [`Error::UnreadableFile`], or [`Error::InvalidToken`] for a file that holds something else.
    pub fn token_or_file(&self) -> Result<Option<Token>, Error> {
        let (None, Some(path)) = (&self.token, &self.token_file) else { return Ok(self.token.clone()) };
        #[expect(
            clippy::disallowed_methods,
            reason = "whoever calls this wants the file to be read at that time"
        )]
        match std::fs::read_to_string(path) {
            Ok(text) => Token::new(text).map(Some),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::UnreadableFile { path: path.clone(), cause }),
        }
    }

    /// Returns a handle with the address, the namespace, the token and the time limit of the environment.
    ///
    /// What is for somebody else to do is not in it: the TLS settings (`transport`, behind the feature `reqwest`), further
    /// attempts ([`retry`](Config::retry) with [`Vault::with_retry`]), and wrapping, which is asked for call by call.
    ///
    /// Fails with [`Error::InvalidPath`] for a namespace that cannot be called.
    pub fn vault(&self, transport: SharedTransport) -> Result<Vault, Error> {
        let vault = Vault::new(self.address.clone(), transport);
        let vault = vault.with_namespace(self.namespace.as_deref().unwrap_or_default())?;
        let vault = match &self.token {
            Some(token) => vault.with_token(token),
            None => vault,
        };
        Ok(self.client_timeout.map_or(vault.clone(), |limit| vault.with_time_limit(limit)))
    }
}

/// Where the command-line clients look when nothing is said.
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// Shows neither the token nor the certificates.
impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("host", &self.address.host_str())
            .field("namespace", &self.namespace)
            .field("token", &self.token)
            .field("skip_verify", &self.skip_verify)
            .finish_non_exhaustive()
    }
}

struct Variables<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn named(&self, name: &str) -> Option<(String, String)> {
        ["BAO", "VAULT"].iter().find_map(|prefix| {
            let name = format!("{prefix}_{name}");
            let text = (self.lookup)(&name).filter(|text| !text.trim().is_empty())?;
            Some((name, text))
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        self.named(name).map(|(_, text)| text.trim().to_owned())
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some((name, text)) = self.named(name) else { return Ok(None) };
        parse(text.trim()).map(Some).ok_or_else(|| invalid(&name))
    }
}

fn invalid(variable: &str) -> Error {
    Error::InvalidVariable { variable: variable.to_owned() }
}

/// The spellings of Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `10` or `10.5:20`: calls per second, and how many may come at once; without the latter the former, rounded down.
fn rate(text: &str) -> Option<(f64, u32)> {
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let calls: f64 = rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)?;
    let burst = match burst {
        Some(burst) => burst.parse().ok()?,
        None => rate.split('.').next()?.parse().ok()?,
    };
    Some((calls, burst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::script;

    fn config(variables: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_environment(|name| {
            variables.iter().find(|(this, _)| *this == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_said_is_the_server_of_this_machine() {
        let config = config(&[]).unwrap();
        assert_eq!(config.address.as_str(), "https://127.0.0.1:8200/");
        assert!(config.token.is_none() && config.token_file.is_none() && !config.skip_verify);
        assert!(
            config.client_timeout.is_none() && config.max_retries.is_none() && config.rate_limit.is_none()
        );
    }

    #[test]
    fn every_variable_is_read() {
        let config = config(&[
            ("VAULT_ADDR", "https://vault:8200/x"),
            ("VAULT_TOKEN", "hvs.hush\n"),
            ("HOME", "/home/a"),
            ("VAULT_NAMESPACE", " team/a\n"),
            ("VAULT_CACERT", "/ca.pem"),
            ("VAULT_CACERT_BYTES", "PEM"),
            ("VAULT_CAPATH", "/ca"),
            ("VAULT_CLIENT_CERT", "/cert.pem"),
            ("VAULT_CLIENT_KEY", "/key.pem"),
            ("VAULT_TLS_SERVER_NAME", "vault.example"),
            ("VAULT_SKIP_VERIFY", "T"),
            ("VAULT_CLIENT_TIMEOUT", "1m30s"),
            ("VAULT_MAX_RETRIES", "5"),
            ("VAULT_WRAP_TTL", "60"),
            ("VAULT_RATE_LIMIT", "10.5:20"),
        ])
        .unwrap();
        assert_eq!(config.address.as_str(), "https://vault:8200/x");
        assert_eq!(config.token.as_ref().unwrap().expose_secret(), "hvs.hush");
        assert_eq!(config.token_file, Some(PathBuf::from("/home/a/.vault-token")));
        assert_eq!(config.namespace.as_deref(), Some("team/a"));
        let paths = [&config.ca_cert, &config.ca_path, &config.client_cert, &config.client_key];
        assert_eq!(
            paths.map(|path| path.as_ref().unwrap().to_str().unwrap()),
            ["/ca.pem", "/ca", "/cert.pem", "/key.pem"]
        );
        assert_eq!(config.ca_cert_bytes.as_deref(), Some("PEM"));
        assert_eq!((config.tls_server_name.as_deref(), config.skip_verify), (Some("vault.example"), true));
        assert_eq!(config.client_timeout, Some(Duration::from_secs(90)));
        assert_eq!((config.max_retries, config.wrap_ttl), (Some(5), Some(Duration::from_secs(60))));
        assert_eq!(config.rate_limit, Some((10.5, 20)));
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn the_names_of_openbao_come_first_and_empty_ones_do_not_count() {
        let both = [("VAULT_ADDR", "https://vault"), ("BAO_ADDR", "https://bao")];
        assert_eq!(config(&both).unwrap().address.host_str(), Some("bao"));
        let empty = [("VAULT_ADDR", "https://vault"), ("BAO_ADDR", " ")];
        assert_eq!(config(&empty).unwrap().address.host_str(), Some("vault"));
        assert_eq!(config(&[("HOME", "")]).unwrap().token_file, None, "not the file of the working folder");
    }

    #[test]
    fn a_mistake_is_named_without_its_value() {
        for (name, value) in [
            ("BAO_ADDR", "vault:hush"),
            ("VAULT_ADDR", "hush"),
            ("VAULT_TOKEN", "hush hush"),
            ("VAULT_SKIP_VERIFY", "hush"),
            ("VAULT_SKIP_VERIFY", "yes"),
            ("VAULT_CLIENT_TIMEOUT", "-5s"),
            ("VAULT_MAX_RETRIES", "-1"),
            ("VAULT_WRAP_TTL", "1x"),
            ("VAULT_RATE_LIMIT", "10:hush"),
            ("VAULT_RATE_LIMIT", "inf"),
            ("VAULT_RATE_LIMIT", "-1:5"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the environment variable {name} cannot be used"),
                "{value}"
            );
        }
    }

    #[test]
    fn a_token_file_is_read_only_when_asked_for_and_when_there_is_no_token() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| {
            config(variables)
                .unwrap()
                .token_or_file()
                .map(|token| token.map(|token| token.expose_secret().to_owned()))
        };
        assert_eq!(token(&[("HOME", path)]).unwrap(), None);
        std::fs::write(home.path().join(".vault-token"), "hvs.file\n").unwrap();
        assert_eq!(token(&[("HOME", path)]).unwrap().as_deref(), Some("hvs.file"));
        assert_eq!(token(&[("HOME", path), ("BAO_TOKEN", "s.own")]).unwrap().as_deref(), Some("s.own"));
        std::fs::write(home.path().join(".vault-token"), "").unwrap();
        assert!(matches!(token(&[("HOME", path)]), Err(Error::InvalidToken { .. })));
        assert_eq!(token(&[]).unwrap(), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_handle_has_address_namespace_and_token() {
        let variables = [
            ("VAULT_ADDR", "https://vault"),
            ("VAULT_NAMESPACE", "team"),
            ("VAULT_TOKEN", "hvs.x"),
            ("VAULT_CLIENT_TIMEOUT", "7"),
        ];
        let script = script([Ok(latchkey_transport::Reply::new(404, r#"{"errors":[]}"#))]);
        let vault = config(&variables).unwrap().vault(script.clone()).unwrap();
        vault.kv2("secret").read("a").await.unwrap();
        let sent = &script.sent()[0];
        assert_eq!(sent.url().unwrap().as_str(), "https://vault/v1/team/secret/data/a");
        assert_eq!((sent.header("x-vault-token"), sent.time_limit().as_secs()), (Some("hvs.x"), 7));
        let odd = config(&[("VAULT_NAMESPACE", "../x")]).unwrap().vault(script);
        assert!(matches!(odd, Err(Error::InvalidPath { .. })));
    }

    #[test]
    fn further_attempts_are_those_of_the_environment() {
        let with = |variables: &[(&str, &str)]| config(variables).unwrap().retry();
        assert_eq!(with(&[]), Retry::default());
        let two = [("VAULT_MAX_RETRIES", "2"), ("BAO_CLIENT_TIMEOUT", "90s")];
        assert_eq!(with(&two), Retry::default().with_attempts(3).with_deadline(Duration::from_secs(90)));
        assert_eq!(with(&[("BAO_MAX_RETRIES", "0")]), Retry::default().with_attempts(1));
    }
}
