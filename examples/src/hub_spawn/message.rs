//! What the hub asks on standard input, and what it is answered on standard output: JSON, a line each.

use std::collections::BTreeMap;
use std::io::{self, Read};

use latchkey_jupyterhub_auth::{AuthState, Carrier, Page, ServerEnvironment};
use latchkey_transport::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Exit, Failure, output};

/// What the hub asks.
#[derive(Deserialize)]
pub struct Asked {
    /// The name that the hub has for the person.
    pub user: String,
    /// What the hub keeps of their sign-in; `None` where it keeps nothing.
    #[serde(default)]
    pub auth_state: Option<AuthState>,
    /// The secret of the hub's client.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// What it is asked for.
    #[serde(default)]
    pub purpose: Purpose,
    /// Whether the server that has stopped was the person's last one: the file with the secret goes with it.
    #[serde(default = "yes")]
    pub is_last: bool,
    /// The token of Vault of their own that it was handed.
    #[serde(default)]
    pub notebook_token: Option<Secret>,
    /// Whether `KubeSpawner` starts the server.
    #[serde(default)]
    is_kubespawner: bool,
}

/// What the hub wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Start a server.
    #[default]
    Spawn,
    /// Look whether the person is still signed in, and keep their tokens fresh.
    Refresh,
    /// A server of the person has stopped: take back what it was handed.
    Stopped,
}

fn yes() -> bool {
    true
}

impl Asked {
    /// Reads the question, to the end of standard input.
    ///
    /// # Errors
    ///
    /// A usage failure. It quotes nothing.
    pub fn read(source: impl Read) -> Result<Self, Failure> {
        /// An `auth_state` has some kilobytes, each of its tokens twice.
        const LONGEST: u64 = 1024 * 1024;
        let mut text = Zeroizing::new(Vec::new());
        source.take(LONGEST).read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(|error| {
            // What serde says may quote a value.
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::new(Exit::Usage, format!("the question on standard input is not understood ({place})"))
                .with_hint("hub_spawn.py asks it; see examples/hub/README.md for its form")
        })
    }

    /// Returns what carries variables to the server.
    pub fn carrier(&self) -> Carrier {
        if self.is_kubespawner { Carrier::KubeSpawner } else { Carrier::Process }
    }
}

/// New tokens, for the hub to keep in place of the old ones: the old refresh token may be void.
pub struct Refreshed<'a> {
    /// The access token.
    pub access_token: &'a Secret,
    /// The ID token, where there is a new one.
    pub id_token: Option<&'a Secret>,
    /// The refresh token: a new one, or the old.
    pub refresh_token: &'a Secret,
    /// How long the access token lives, in seconds.
    pub expires_in: Option<u64>,
}

/// What a server gets.
#[derive(Debug, Default)]
pub struct Start {
    /// Its variables.
    pub environment: ServerEnvironment,
    /// What it goes without, for the hub's log.
    pub notes: Vec<&'static str>,
}

/// Tells the hub of new tokens. At once: whatever hangs or fails after this, they are kept.
pub fn write_refreshed(refreshed: &Refreshed<'_>) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        refreshed: Tokens<'a>,
    }
    #[derive(Serialize)]
    struct Tokens<'a> {
        access_token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id_token: Option<&'a str>,
        refresh_token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_in: Option<u64>,
    }
    // Opened for the hub, which keeps them encrypted.
    write(&Line {
        refreshed: Tokens {
            access_token: refreshed.access_token.expose_secret(),
            id_token: refreshed.id_token.map(Secret::expose_secret),
            refresh_token: refreshed.refresh_token.expose_secret(),
            expires_in: refreshed.expires_in,
        },
    })
}

/// Tells the hub to start the server.
pub fn write_start(start: &Start, carrier: Carrier) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        start: Told<'a>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        environment: BTreeMap<&'a str, &'a str>,
        notes: &'a [&'a str],
    }
    let variables: Vec<_> = start.environment.variables(carrier).collect();
    // Opened for the server.
    let environment = variables.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
    write(&Line { start: Told { environment, notes: &start.notes } })
}

/// Tells the hub not to start it, and what the person is shown.
pub fn write_stop(page: &Page) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        stop: Told<'a>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        status: u16,
        reason: &'a str,
        remedy: &'a str,
        message: &'a str,
    }
    write(&Line {
        stop: Told {
            status: page.status(),
            reason: page.reason().code(),
            remedy: page.remedy().code(),
            message: page.message(),
        },
    })
}

/// Tells the hub that all is done.
pub fn write_done() -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        done: (),
    }
    write(&Line { done: () })
}

fn write(line: &impl Serialize) -> Result<(), Failure> {
    let mut text = Zeroizing::new(Vec::new());
    serde_json::to_writer(&mut *text, line).map_err(io::Error::from)?;
    text.push(b'\n');
    output::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_understood_is_told_without_a_word_of_it() {
        let text = r#"{"user": "alice", "auth_state": {"id_token": 5, "refresh_token": "hush"}}"#;
        let failure = Asked::read(text.as_bytes()).err().unwrap();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.message().contains("hush") && failure.message().contains("column"), "{failure:?}");
        assert!(Asked::read(&b"secret"[..]).err().is_some_and(|it| !it.message().contains("secret")));
    }

    #[test]
    fn a_hub_that_keeps_nothing_is_understood() {
        let asked = Asked::read(&br#"{"user": "alice", "auth_state": null}"#[..]).unwrap();
        assert!(asked.auth_state.is_none());
        assert_eq!((asked.purpose, asked.carrier()), (Purpose::Spawn, Carrier::Process));
        assert!(asked.is_last && asked.notebook_token.is_none());
        let kube = Asked::read(
            &br#"{"user": "alice", "auth_state": {}, "is_kubespawner": true, "purpose": "refresh"}"#[..],
        )
        .unwrap();
        assert_eq!((kube.purpose, kube.carrier()), (Purpose::Refresh, Carrier::KubeSpawner));
    }
}
