//! What a program that runs for long tells whoever runs it: events on standard error, never a secret.

use clap::ValueEnum;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    #[default]
    Text,
    /// A line of JSON
    Json,
}

impl LogFormat {
    /// Writes events from here on, the libraries' warnings among them.
    pub fn begin(self) {
        let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
        match self {
            Self::Text => log.with_ansi(false).init(),
            Self::Json => log.json().flatten_event(true).init(),
        }
    }
}
