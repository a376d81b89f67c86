//! What can go wrong between a request and its reply.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The cause as the engine told it. It never holds an address's query, a header or a body.
type Cause = Box<dyn StdError + Send + Sync>;

/// Why no whole reply arrived. Grouped by who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller: the request cannot be sent as it is. Never repeated.
    #[error("the request cannot be sent")]
    Misuse(#[from] Misuse),

    /// The network: no connection was made, so the server has not seen the request. Repeated where
    /// [`Replay`](crate::Replay) is `Safe` or `AfterRefusal`.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host, with its port if one was named.
        host: String,
        /// What the engine said.
        #[source]
        cause: Option<Cause>,
    },

    /// The operator: the server is there, but it could not prove who it is, or did not accept who we are. It has not
    /// acted on the request. Never repeated, since the next attempt would end the same way.
    #[error("no secure connection to {host}: {problem}")]
    Tls {
        /// The host, with its port if one was named.
        host: String,
        /// Which part of the handshake failed.
        problem: TlsProblem,
        /// What the engine said.
        #[source]
        cause: Option<Cause>,
    },

    /// The network: the connection broke after the request may have arrived. Repeated only where
    /// [`Replay`](crate::Replay) is `Safe`.
    #[error("the connection to {host} broke before the reply was complete")]
    Lost {
        /// The host, with its port if one was named.
        host: String,
        /// What the engine said.
        #[source]
        cause: Option<Cause>,
    },

    /// Time: the call took longer than its limit. Whether the server acted is not known.
    #[error("{host} did not answer within {} s", Seconds(*limit))]
    TimedOut {
        /// The host, with its port if one was named.
        host: String,
        /// The limit of the whole call.
        limit: Duration,
    },

    /// The server: its reply is longer than the call wants to read.
    #[error("the reply of {host} is longer than {limit} bytes")]
    ReplyTooLarge {
        /// The host, with its port if one was named.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// Returns whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. } | Self::TimedOut { .. })
    }

    /// Returns whether the server may have acted on the request, although no reply tells.
    pub fn may_have_acted(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::TimedOut { .. } | Self::ReplyTooLarge { .. })
    }

    /// Returns the stable name of this error, for programs and other languages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Misuse(_) => "transport_misuse",
            Self::Unreachable { .. } => "transport_unreachable",
            Self::Tls { .. } => "transport_tls",
            Self::Lost { .. } => "transport_lost",
            Self::TimedOut { .. } => "transport_timed_out",
            Self::ReplyTooLarge { .. } => "transport_reply_too_large",
        }
    }
}

/// Seconds with a fraction where there is one. A float's own `Display` is four kilobytes of a browser's engine.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.as_secs())?;
        match self.0.subsec_millis() {
            0 => Ok(()),
            millis => formatter.write_str(format!(".{millis:03}").trim_end_matches('0')),
        }
    }
}

/// What is wrong with a request that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The target is a path without a server: [`Request::at`](crate::Request::at) was not called.
    #[error("its target names no server")]
    NoServer,
    /// The target is not an address that can be called.
    #[error("its target is not a valid http or https address")]
    InvalidTarget,
    /// Plain `http` to a host that is not loopback.
    #[error("{host} is not loopback, and plain http to it would show every secret on the way; use https")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// A header that cannot stand in a request, such as a token with a line break at its end.
    #[error("its header {name} has a sign that a header cannot hold")]
    InvalidHeader {
        /// The header's name. Its value is not told.
        name: String,
    },
    /// The transport cannot be built as it was asked for, such as with a certificate that is none.
    #[error("the transport's {setting} cannot be used")]
    InvalidSetting {
        /// Which setting.
        setting: &'static str,
    },
}

/// Which part of a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// Nobody whom this machine trusts has signed the server's certificate.
    UnknownIssuer,
    /// The certificate is for another name.
    WrongName,
    /// The certificate has expired, or is not valid yet; or this machine's clock is wrong.
    NotValidNow,
    /// The certificate is not one for a server, such as a CA's own, or it is revoked or malformed.
    UnfitCertificate,
    /// The server wants a client certificate, or did not accept ours.
    ClientCertificate,
    /// Something else, such as no common version.
    Handshake,
}

impl std::fmt::Display for TlsProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::UnknownIssuer => "its certificate is signed by nobody that is trusted here (name the CA)",
            Self::WrongName => "its certificate is for another name",
            Self::NotValidNow => "its certificate is not valid at this time (is this machine's clock right?)",
            Self::UnfitCertificate => "its certificate is not one for a server (is it the CA's own?)",
            Self::ClientCertificate => "it did not accept our client certificate",
            Self::Handshake => "the handshake failed (is it a TLS port?)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_seconds_with_a_fraction_where_there_is_one() {
        let told = |millis| Seconds(Duration::from_millis(millis)).to_string();
        assert_eq!([30_000, 1_500, 250, 70, 1, 0].map(told), ["30", "1.5", "0.25", "0.07", "0.001", "0"]);
    }
}
