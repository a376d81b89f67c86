//! A client that signs who it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use latchkey_transport::{Random, RandomUnavailable};
use serde_json::json;

use crate::signer::{SignClaims, Signer, Unique, unix_seconds};
use crate::{Authentication, Error, Misuse};

/// Signed statements of who a client is, one for each request
/// ([RFC 7523, 3](https://www.rfc-editor.org/rfc/rfc7523#section-3),
/// [OpenID Connect Core, 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication)):
/// `private_key_jwt`, or `client_secret_jwt` with a signer that has the secret.
///
/// The secret itself never travels. Clones share the count that keeps two statements apart.
#[derive(Clone)]
pub struct Assertions {
    shared: Arc<Shared>,
    audience: Option<String>,
}

struct Shared {
    signer: Box<dyn SignClaims>,
    unique: Unique,
}

impl Assertions {
    /// How long a statement is good for: a minute, enough for one request and two clocks that differ
    /// ([RFC 7523, 3](https://www.rfc-editor.org/rfc/rfc7523#section-3), `exp`).
    pub const LIFETIME: Duration = Duration::from_secs(60);

    /// Takes the signer, and draws what makes each statement another one.
    ///
    /// # Errors
    ///
    /// [`RandomUnavailable`] where there are no random numbers.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "in a browser everything stays on one thread")
    )]
    pub fn new(signer: impl Signer + 'static, random: &mut impl Random) -> Result<Self, RandomUnavailable> {
        let shared = Shared { signer: Box::new(signer), unique: Unique::draw(random)? };
        Ok(Self { shared: Arc::new(shared), audience: None })
    }

    /// Says whom the statements are for, in place of the issuer: for a provider that wants its token endpoint there
    /// ([RFC 7523, 3](https://www.rfc-editor.org/rfc/rfc7523#section-3), `aud`). The issuer is the one value that
    /// cannot be turned against another provider.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Makes a statement.
    pub(crate) async fn make(
        &self,
        client_id: &str,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Authentication, Error> {
        let Shared { signer, unique } = &*self.shared;
        // RFC 7523, 3: "The JWT MUST be digitally signed or have a Message Authentication Code".
        if signer.algorithm() == "none" {
            return Err(Misuse::UnusableClientKey.into());
        }
        let now = unix_seconds(now);
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.audience.as_deref().unwrap_or(issuer),
            "jti": unique.next(), "iat": now, "exp": now + Self::LIFETIME.as_secs(),
        });
        let statement = signer.sign_claims("JWT", json!({}), &claims).await?;
        Ok(Authentication::Assertion(statement))
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Assertions")
            .field("algorithm", &self.shared.signer.algorithm())
            .field("key_id", &self.shared.signer.key_id())
            .finish_non_exhaustive()
    }
}
