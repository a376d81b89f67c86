//! How a client says who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_transport::Secret;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// How the client says who it is at the token endpoint and its neighbours
/// ([OpenID Connect Core, 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Authentication {
    /// `none`: a public client, such as a program on a person's machine or a page in a browser
    /// ([RFC 6749, 2.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.1)). PKCE protects it.
    None,
    /// `client_secret_basic`: in a header ([RFC 6749, 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    SecretBasic(Secret),
    /// `client_secret_post`: in the form ([RFC 6749, 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    SecretPost(Secret),
    /// `private_key_jwt` or `client_secret_jwt`: a signed statement
    /// ([RFC 7523, 2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)), made for one request.
    /// [`Client::with_assertions`](crate::Client::with_assertions) makes a new one each time.
    Assertion(Secret),
    /// `tls_client_auth` or `self_signed_tls_client_auth`: the certificate that the transport presents
    /// ([RFC 8705, 2](https://www.rfc-editor.org/rfc/rfc8705#section-2)). The form holds the id alone.
    Certificate,
}

impl Authentication {
    pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

    /// Returns whether the client proves who it is: whoever merely knows its id cannot.
    pub(crate) fn is_confidential(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub(crate) fn secret(&self) -> Option<&Secret> {
        match self {
            Self::None | Self::Certificate => None,
            Self::SecretBasic(secret) | Self::SecretPost(secret) | Self::Assertion(secret) => Some(secret),
        }
    }
}

pub(crate) fn basic(client_id: &str, secret: &Secret) -> Secret {
    // Opened for the header, which is secret.
    Secret::new(format!("Basic {}", credentials(client_id, secret).expose_secret()))
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined, since either may hold a colon.
pub(crate) fn credentials(client_id: &str, secret: &Secret) -> Secret {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // Opened to be encoded.
    let secret = Zeroizing::new(encode(secret.expose_secret()));
    let pair = Zeroizing::new(format!("{}:{}", encode(client_id), *secret));
    Secret::new(STANDARD.encode(pair.as_bytes()))
}
