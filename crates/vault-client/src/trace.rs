//! What is told of a call to whoever listens: its method, mount, attempt and status; nothing else of its path, no token,
//! no body. Without the feature `tracing` nothing is told.

use latchkey_transport::{Error, Reply, Request};

/// One attempt of a call.
#[cfg(not(feature = "tracing"))]
pub(crate) struct Attempt;

#[cfg(not(feature = "tracing"))]
impl Attempt {
    pub(crate) fn new(_: &Request, _: u32) -> Self {
        Self
    }

    pub(crate) async fn follow(
        self,
        call: impl Future<Output = Result<Reply, Error>>,
    ) -> Result<Reply, Error> {
        call.await
    }
}

/// One attempt of a call.
#[cfg(feature = "tracing")]
pub(crate) struct Attempt(tracing::Span);

#[cfg(feature = "tracing")]
impl Attempt {
    /// Begins an attempt, from 1, of a request whose path is one of the API, `/v1/…`, without a namespace.
    pub(crate) fn new(request: &Request, number: u32) -> Self {
        Self(tracing::debug_span!(
            "vault_call",
            method = request.method().as_str(),
            mount = mount(request.path()),
            attempt = number,
            status = tracing::field::Empty,
            error = tracing::field::Empty,
        ))
    }

    /// Waits for the call inside a span.
    pub(crate) async fn follow(
        self,
        call: impl Future<Output = Result<Reply, Error>>,
    ) -> Result<Reply, Error> {
        use tracing::Instrument as _;

        let outcome = call.instrument(self.0.clone()).await;
        match &outcome {
            Ok(reply) => self.0.record("status", reply.status()),
            Err(error) => self.0.record("error", error.code()),
        };
        self.0.in_scope(|| tracing::debug!(answered = outcome.is_ok()));
        outcome
    }
}

/// Returns where the path begins: the mount's first part, which operators choose, and nothing that callers do.
#[cfg(feature = "tracing")]
fn mount(path: &str) -> &str {
    let below = path.strip_prefix("/v1/").unwrap_or_default();
    let mut ends = below.match_indices('/').map(|(at, _)| at);
    let end = if below.starts_with("auth/") { ends.nth(1) } else { ends.next() };
    below.get(..end.unwrap_or(below.len())).unwrap_or_default()
}

#[cfg(test)]
#[cfg(feature = "tracing")]
mod tests {
    use super::mount;

    #[test]
    fn of_a_path_only_the_mount_is_told() {
        for (path, expected) in [
            ("/v1/secret/data/team/app", "secret"),
            ("/v1/auth/oidc/oidc/callback", "auth/oidc"),
            ("/v1/auth/token/lookup-self", "auth/token"),
            ("/v1/auth/x", "auth/x"),
            ("/v1/sys/health", "sys"),
            ("/v1/cubbyhole", "cubbyhole"),
            ("/elsewhere/secret", ""),
        ] {
            assert_eq!(mount(path), expected, "{path}");
        }
    }
}
