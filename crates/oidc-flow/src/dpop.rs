//! Tokens that are worth nothing without a key.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_transport::{Method, Random, Reply, Request, Secret, Transport};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::keys::PublicKey;
use crate::refusal::challenge;
use crate::signer::{SignClaims, Unique, unix_seconds};
use crate::{Algorithm, Error, Misuse, Signer};

/// A key that a client proves to have with each request, so that its tokens are worth nothing to anybody else
/// ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).
///
/// [`Client::with_dpop`](crate::Client::with_dpop) binds the client's tokens to it; [`send`](Self::send) uses such a token.
/// Clones share the nonces that servers hand out. A refresh token of a public client works with the same key only: store
/// the key where the refresh token is stored, if that outlives the program.
#[derive(Clone)]
pub struct Dpop(Arc<Shared>);

struct Shared {
    signer: Box<dyn SignClaims>,
    public_key: Value,
    thumbprint: String,
    unique: Unique,
    /// The last nonce of each server, by its origin.
    nonces: RwLock<BTreeMap<String, String>>,
}

impl Dpop {
    /// How many servers' nonces are kept: 64. A client talks to a handful.
    const SERVERS: usize = 64;
    /// How long a nonce may be: 1 KiB. Real ones have under a hundred signs.
    const NONCE_LIMIT: usize = 1024;

    /// Takes the private half of a key as a signer, and the public one to show
    /// ([RFC 9449, 4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).
    ///
    /// Fails with [`Misuse::UnusableClientKey`] where the algorithm is not one of a key pair, or not this key's.
    #[cfg_attr(
        target_arch = "wasm32",
        expect(clippy::arc_with_non_send_sync, reason = "in a browser everything stays on one thread")
    )]
    pub fn new(
        signer: impl Signer + 'static,
        public_key: &PublicKey,
        random: &mut impl Random,
    ) -> Result<Self, Error> {
        // RFC 9449, 4.2: `alg` "MUST NOT be none or an identifier for a symmetric algorithm (MAC)".
        let algorithm = Algorithm::from_name(signer.algorithm());
        if !algorithm.is_some_and(|algorithm| public_key.is_of(algorithm)) {
            return Err(Misuse::UnusableClientKey.into());
        }
        Ok(Self(Arc::new(Shared {
            signer: Box::new(signer),
            public_key: public_key.to_json(),
            thumbprint: public_key.thumbprint(),
            unique: Unique::draw(random)?,
            nonces: RwLock::default(),
        })))
    }

    /// Returns the key's thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)): a token that is bound to it says
    /// so in `cnf.jkt`, and a login that shall be bound names it (`dpop_jkt`).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Proves to have the key, for one request
    /// ([RFC 9449, 4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)): to that address, with that token where one
    /// goes along, and with the last nonce of that server.
    ///
    /// # Errors
    ///
    /// [`Misuse::UnusableClientKey`] where the signer makes no signature.
    pub async fn proof(
        &self,
        method: Method,
        url: &Url,
        access_token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Secret, Error> {
        // "without query and fragment parts"
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        let mut claims = json!({
            "jti": self.0.unique.next(), "htm": method.as_str(), "htu": bare.as_str(), "iat": unix_seconds(now),
        });
        if let Some(token) = access_token {
            // Opened to be hashed.
            let hash = Sha256::digest(token.expose_secret().as_bytes());
            claims["ath"] = URL_SAFE_NO_PAD.encode(hash).into();
        }
        if let Some(nonce) = self.nonce(url) {
            claims["nonce"] = nonce.into();
        }
        let header = json!({"jwk": self.0.public_key});
        Ok(self.0.signer.sign_claims("dpop+jwt", header, &claims).await?)
    }

    /// Sends a request with an access token that is bound to the key, and sends it once more where the server wants a
    /// nonce of its own first ([RFC 9449, 9](https://www.rfc-editor.org/rfc/rfc9449#section-9)): it has done nothing by
    /// then.
    ///
    /// Any other reply comes back as it is, and a lost one is not asked for again.
    ///
    /// # Errors
    ///
    /// [`Misuse::UnusableClientKey`] where the signer makes no signature, [`Error::Transport`] where no reply came.
    pub async fn send(
        &self,
        transport: &dyn Transport,
        request: Request,
        access_token: &Secret,
        now: SystemTime,
    ) -> Result<Reply, Error> {
        let url = request.check(true).map_err(latchkey_transport::Error::from)?.clone();
        let reply = transport.send(self.bind(request.clone(), &url, access_token, now).await?).await?;
        if !(self.heard(&url, &reply) && reply.status() == 401 && wants_nonce(&reply)) {
            return Ok(reply);
        }
        let reply = transport.send(self.bind(request, &url, access_token, now).await?).await?;
        self.heard(&url, &reply);
        Ok(reply)
    }

    /// Remembers the nonce that a server sends along, and returns whether it is new: any reply may have one
    /// ([RFC 9449, 8.2](https://www.rfc-editor.org/rfc/rfc9449#section-8.2)).
    pub fn heard(&self, url: &Url, reply: &Reply) -> bool {
        let is_nonce = |text: &&str| {
            (1..=Self::NONCE_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(nonce) = reply.header("dpop-nonce").filter(is_nonce) else { return false };
        let mut nonces = self.0.nonces.write().unwrap_or_else(PoisonError::into_inner);
        let server = url.origin().ascii_serialization();
        if nonces.len() >= Self::SERVERS && !nonces.contains_key(&server) {
            nonces.clear();
        }
        nonces.insert(server, nonce.to_owned()).is_none_or(|old| old != nonce)
    }

    async fn bind(
        &self,
        request: Request,
        url: &Url,
        access_token: &Secret,
        now: SystemTime,
    ) -> Result<Request, Error> {
        let proof = self.proof(request.method(), url, Some(access_token), now).await?;
        // Opened for the header, which is secret.
        let authorization = Secret::new(format!("DPoP {}", access_token.expose_secret()));
        Ok(request.with_secret_header("authorization", authorization).with_secret_header("dpop", proof))
    }

    fn nonce(&self, url: &Url) -> Option<String> {
        let nonces = self.0.nonces.read().unwrap_or_else(PoisonError::into_inner);
        nonces.get(&url.origin().ascii_serialization()).cloned()
    }
}

/// RFC 9449, 9: the server answers 401 with a challenge whose scheme may be written in any case.
fn wants_nonce(reply: &Reply) -> bool {
    challenge(reply.header("www-authenticate").unwrap_or_default()) == Some("use_dpop_nonce")
}

/// Shows which key it is.
impl fmt::Debug for Dpop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Dpop")
            .field("algorithm", &self.0.signer.algorithm())
            .field("thumbprint", &self.0.thumbprint)
            .finish_non_exhaustive()
    }
}
