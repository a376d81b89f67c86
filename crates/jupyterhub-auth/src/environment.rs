//! What is handed to a person's server.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use latchkey_transport::Secret;
use url::Url;

/// The variables that a server gets beside those of the hub: the names are those that notebooks know.
#[derive(Clone, Default)]
pub struct ServerEnvironment {
    variables: BTreeMap<&'static str, Secret>,
}

/// What stands between a value and the server's process, and does something to it on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier {
    /// Nothing: the hub starts the process by itself.
    #[default]
    Process,
    /// `KubeSpawner`, which runs Python's `str.format` over each value, and then the kubelet, which replaces `$(NAME)`.
    KubeSpawner,
}

/// Why a value cannot be a variable's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentProblem {
    /// It has a byte of zero in it, where every program would take it to end.
    #[error("the value of {name} has a zero byte in it")]
    Zero {
        /// The variable.
        name: &'static str,
    },
    /// It is longer than a process can be given.
    #[error("the value of {name} is longer than {} bytes", ServerEnvironment::LONGEST)]
    TooLong {
        /// The variable.
        name: &'static str,
    },
}

impl ServerEnvironment {
    /// The ID token of the sign-in.
    pub const ID_TOKEN: &str = "VAULT_OIDC_TOKEN";
    /// Where Vault is.
    pub const VAULT_ADDRESS: &str = "VAULT_ADDR";
    /// The person's own token of Vault.
    pub const NOTEBOOK_TOKEN: &str = "NOTEBOOK_VAULT_TOKEN";
    /// A secret, for those who want it as a variable.
    pub const SECRET: &str = "MY_SECRET";
    /// The file that has the secret.
    pub const SECRET_FILE: &str = "VAULT_SECRET_FILE";

    /// Every variable that may be set: whoever starts a server anew takes away what is left of the last time.
    pub const NAMES: [&str; 5] =
        [Self::ID_TOKEN, Self::VAULT_ADDRESS, Self::NOTEBOOK_TOKEN, Self::SECRET, Self::SECRET_FILE];

    /// The longest value, in bytes: Linux takes 128 KiB for one variable with its name (`MAX_ARG_STRLEN`).
    pub const LONGEST: usize = 128 * 1024 - 64;

    /// Returns an environment with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands over the ID token.
    ///
    /// This and its like fail with the [`EnvironmentProblem`] of the value.
    pub fn with_id_token(self, token: &Secret) -> Result<Self, EnvironmentProblem> {
        self.with(Self::ID_TOKEN, token.clone())
    }

    /// Says where Vault is.
    pub fn with_vault_address(self, address: &Url) -> Result<Self, EnvironmentProblem> {
        self.with(Self::VAULT_ADDRESS, Secret::new(address.as_str().trim_end_matches('/')))
    }

    /// Hands over the person's own token of Vault.
    pub fn with_notebook_token(self, token: &Secret) -> Result<Self, EnvironmentProblem> {
        self.with(Self::NOTEBOOK_TOKEN, token.clone())
    }

    /// Hands over a secret as a variable, which every program of the server inherits. A file is the better way.
    pub fn with_secret(self, secret: Secret) -> Result<Self, EnvironmentProblem> {
        self.with(Self::SECRET, secret)
    }

    /// Says which file has the secret.
    pub fn with_secret_file(self, path: &Path) -> Result<Self, EnvironmentProblem> {
        self.with(Self::SECRET_FILE, Secret::new(path.to_string_lossy().into_owned()))
    }

    fn with(mut self, name: &'static str, value: Secret) -> Result<Self, EnvironmentProblem> {
        // Opened to be looked over.
        let text = value.expose_secret();
        if text.contains('\0') {
            return Err(EnvironmentProblem::Zero { name });
        }
        if text.len() > Self::LONGEST {
            return Err(EnvironmentProblem::TooLong { name });
        }
        self.variables.insert(name, value);
        Ok(self)
    }

    /// Returns the variables, written so that they arrive unharmed by that carrier.
    pub fn variables(&self, carrier: Carrier) -> impl Iterator<Item = (&'static str, Secret)> {
        self.variables.iter().map(move |(name, value)| (*name, carrier.written(value)))
    }
}

impl Carrier {
    /// Writes a value so that it arrives as it is.
    fn written(self, value: &Secret) -> Secret {
        match self {
            Self::Process => value.clone(),
            // Opened to be written otherwise. The kubelet comes last, so its signs are doubled first.
            Self::KubeSpawner => {
                Secret::new(value.expose_secret().replace('$', "$$").replace('{', "{{").replace('}', "}}"))
            }
        }
    }
}

/// Shows the names.
impl fmt::Debug for ServerEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a{b}c{{d}}{0}{username} $HOME $(HOME) $$ $$(X) ${X} \\ \" ' \n ü";

    fn value(environment: &ServerEnvironment, carrier: Carrier) -> String {
        let (_, value) = environment.variables(carrier).next().unwrap();
        value.expose_secret().to_owned()
    }

    /// `str.format` without arguments, as far as it succeeds.
    fn formatted(text: &str) -> String {
        let mut rest = text.chars().peekable();
        let mut out = String::new();
        while let Some(sign) = rest.next() {
            if matches!(sign, '{' | '}') {
                assert_eq!(rest.next(), Some(sign), "a brace by itself would be replaced, or raise");
            }
            out.push(sign);
        }
        out
    }

    /// What the kubelet does: `$$` is a dollar sign, `$(NAME)` is a variable, and all else stays.
    fn expanded(text: &str) -> String {
        let mut rest = text.chars().peekable();
        let mut out = String::new();
        while let Some(sign) = rest.next() {
            if sign == '$' {
                match rest.peek() {
                    Some('$') => {
                        rest.next();
                    }
                    Some('(') => panic!("a variable would be put in"),
                    _ => {}
                }
            }
            out.push(sign);
        }
        out
    }

    #[test]
    fn braces_and_dollar_signs_arrive_unharmed_by_either_carrier() {
        let environment = ServerEnvironment::new().with_secret(Secret::new(ODD)).unwrap();
        assert_eq!(value(&environment, Carrier::Process), ODD);
        let written = value(&environment, Carrier::KubeSpawner);
        assert_ne!(written, ODD);
        assert_eq!(expanded(&formatted(&written)), ODD);
    }

    #[test]
    fn only_what_was_handed_over_is_there_under_the_names_that_notebooks_know() {
        let environment = ServerEnvironment::new()
            .with_id_token(&Secret::new("jwt"))
            .and_then(|it| it.with_vault_address(&"https://vault.example:8200/".parse().unwrap()))
            .and_then(|it| it.with_notebook_token(&Secret::new("s.x")))
            .and_then(|it| it.with_secret_file(Path::new("/run/latchkey/70001/secret")))
            .unwrap();
        let all: Vec<(&str, String)> = environment
            .variables(Carrier::Process)
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect();
        let expected = [
            ("NOTEBOOK_VAULT_TOKEN", "s.x"),
            ("VAULT_ADDR", "https://vault.example:8200"),
            ("VAULT_OIDC_TOKEN", "jwt"),
            ("VAULT_SECRET_FILE", "/run/latchkey/70001/secret"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name, value.to_owned())));
        assert!(all.iter().all(|(name, _)| ServerEnvironment::NAMES.contains(name)));
        assert!(!format!("{environment:?}").contains("jwt"));
    }

    #[test]
    fn a_value_that_would_be_cut_off_is_refused() {
        let with = |text: String| ServerEnvironment::new().with_secret(Secret::new(text)).map(drop);
        assert_eq!(with("a\0b".into()), Err(EnvironmentProblem::Zero { name: "MY_SECRET" }));
        assert!(with("x".repeat(ServerEnvironment::LONGEST)).is_ok());
        let long = with("x".repeat(ServerEnvironment::LONGEST + 1));
        assert_eq!(long, Err(EnvironmentProblem::TooLong { name: "MY_SECRET" }));
    }
}
