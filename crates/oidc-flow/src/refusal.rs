//! The proper no of a provider.

use crate::Endpoint;
use crate::text::printable;

/// The provider's proper no: an OAuth error response
/// ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1) and
/// [5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", reason, description.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
#[non_exhaustive]
pub struct Refusal {
    /// Which endpoint refused.
    pub endpoint: Endpoint,
    /// The `error` code.
    pub reason: RefusalReason,
    /// The `error_description` as the provider wrote it: on one line, at most 200 characters, and only if it
    /// repeats nothing secret of what was sent. Written by somebody else: show it as such.
    pub description: Option<String>,
}

impl Refusal {
    /// How much of a description is kept: two lines of a terminal.
    const DESCRIPTION_LIMIT: usize = 200;

    pub(crate) fn new(endpoint: Endpoint, error: &str, description: Option<&str>) -> Self {
        let description =
            description.map(|text| printable(text, Self::DESCRIPTION_LIMIT)).filter(|text| !text.is_empty());
        Self { endpoint, reason: RefusalReason::from_code(error), description }
    }
}

/// Returns the `error` of a `WWW-Authenticate` challenge, whatever its scheme
/// ([RFC 6750, 3](https://www.rfc-editor.org/rfc/rfc6750#section-3),
/// [RFC 9449, 7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
pub(crate) fn challenge(header: &str) -> Option<&str> {
    let parameters = header.split([',', ' ']).map(str::trim);
    let error = parameters.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "error");
    error.map(|(_, value)| value.trim_matches('"')).filter(|value| !value.is_empty())
}

/// The `error` code of a refusal.
///
/// Specified in [RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) and [OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// `access_denied`: the person, or a rule of the provider, said no
    /// ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
    AccessDenied,
    /// `login_required`: the person is not signed in, and no page may be shown
    /// ([OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    LoginRequired,
    /// `interaction_required`: a page would have to be shown, and none may be
    /// ([OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    InteractionRequired,
    /// `consent_required`: the person was not asked yet, and no page may be shown
    /// ([OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    ConsentRequired,
    /// `account_selection_required`: the person has several accounts, and no page may be shown
    /// ([OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    AccountSelectionRequired,
    /// `invalid_request` ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2))
    InvalidRequest,
    /// `invalid_client`: unknown client, or a wrong secret
    /// ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    InvalidClient,
    /// `invalid_grant`: the code or token is used up, too old, or not for us
    /// ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    InvalidGrant,
    /// `unauthorized_client`: this client may not do that
    /// ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    UnauthorizedClient,
    /// `unsupported_grant_type` ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2))
    UnsupportedGrantType,
    /// `unsupported_response_type` ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1))
    UnsupportedResponseType,
    /// `invalid_scope` ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2))
    InvalidScope,
    /// `server_error`: the 500 of a page that can only redirect
    /// ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
    ServerError,
    /// `temporarily_unavailable`: the 503 of a page that can only redirect
    /// ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
    TemporarilyUnavailable,
    /// `invalid_token`: the access token is unknown, expired or revoked
    /// ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    InvalidToken,
    /// `insufficient_scope`: the access token is good, but not for this
    /// ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    InsufficientScope,
    /// `unsupported_token_type`: the provider does not revoke tokens of this kind
    /// ([RFC 7009, 2.2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.2.1)).
    UnsupportedTokenType,
    /// `invalid_target`: the provider does not know the resource, or does not let this client use it
    /// ([RFC 8707, 2](https://www.rfc-editor.org/rfc/rfc8707#section-2)).
    InvalidTarget,
    /// `authorization_pending`: the person is not done on the other device
    /// ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    AuthorizationPending,
    /// `slow_down`: the same, and the provider was asked too often
    /// ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    SlowDown,
    /// `use_dpop_nonce`: the server wants a nonce of its own in the proof, and was given one that it did not take
    /// ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
    UseDpopNonce,
    /// `invalid_dpop_proof`: the server does not take the proof of the client's key
    /// ([RFC 9449, 5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).
    InvalidDpopProof,
    /// `invalid_request_object`: the server does not take the signed request
    /// ([OpenID Connect Core, 3.1.2.6](https://openid.net/specs/openid-connect-core-1_0.html#AuthError)).
    InvalidRequestObject,
    /// `expired_token`: the code that was shown has expired
    /// ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    ExpiredToken,
    /// Another code, shortened to 64 characters.
    Other(String),
}

impl RefusalReason {
    fn from_code(code: &str) -> Self {
        match code {
            "access_denied" => Self::AccessDenied,
            "login_required" => Self::LoginRequired,
            "interaction_required" => Self::InteractionRequired,
            "consent_required" => Self::ConsentRequired,
            "account_selection_required" => Self::AccountSelectionRequired,
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "unsupported_response_type" => Self::UnsupportedResponseType,
            "invalid_scope" => Self::InvalidScope,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "invalid_token" => Self::InvalidToken,
            "insufficient_scope" => Self::InsufficientScope,
            "unsupported_token_type" => Self::UnsupportedTokenType,
            "invalid_target" => Self::InvalidTarget,
            "authorization_pending" => Self::AuthorizationPending,
            "slow_down" => Self::SlowDown,
            "use_dpop_nonce" => Self::UseDpopNonce,
            "invalid_dpop_proof" => Self::InvalidDpopProof,
            "invalid_request_object" => Self::InvalidRequestObject,
            "expired_token" => Self::ExpiredToken,
            other => Self::Other(printable(other, 64)),
        }
    }

    /// Returns whether it is about the client and not about what it brought: the code or token may be as good as ever.
    pub(crate) fn is_about_client(&self) -> bool {
        matches!(self, Self::InvalidClient | Self::UseDpopNonce | Self::InvalidDpopProof)
    }

    /// Returns whether the provider asks for another attempt later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::ServerError | Self::TemporarilyUnavailable)
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AccessDenied => "oidc_access_denied",
            Self::LoginRequired => "oidc_login_required",
            Self::InteractionRequired => "oidc_interaction_required",
            Self::ConsentRequired => "oidc_consent_required",
            Self::AccountSelectionRequired => "oidc_account_selection_required",
            Self::InvalidRequest => "oidc_invalid_request",
            Self::InvalidClient => "oidc_invalid_client",
            Self::InvalidGrant => "oidc_invalid_grant",
            Self::UnauthorizedClient => "oidc_unauthorized_client",
            Self::UnsupportedGrantType => "oidc_unsupported_grant_type",
            Self::UnsupportedResponseType => "oidc_unsupported_response_type",
            Self::InvalidScope => "oidc_scope_refused",
            Self::ServerError => "oidc_server_error",
            Self::TemporarilyUnavailable => "oidc_temporarily_unavailable",
            Self::InvalidToken => "oidc_invalid_token",
            Self::InsufficientScope => "oidc_insufficient_scope",
            Self::UnsupportedTokenType => "oidc_unsupported_token_type",
            Self::InvalidTarget => "oidc_invalid_target",
            Self::AuthorizationPending => "oidc_authorization_pending",
            Self::SlowDown => "oidc_slow_down",
            Self::UseDpopNonce => "oidc_use_dpop_nonce",
            Self::InvalidDpopProof => "oidc_invalid_dpop_proof",
            Self::InvalidRequestObject => "oidc_invalid_request_object",
            Self::ExpiredToken => "oidc_expired_token",
            Self::Other(_) => "oidc_refused",
        }
    }
}

impl std::fmt::Display for RefusalReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::AccessDenied => "the sign-in was refused",
            Self::LoginRequired => "the provider wants the person to sign in",
            Self::InteractionRequired => "the provider wants to show the person a page",
            Self::ConsentRequired => "the provider wants to ask the person for consent",
            Self::AccountSelectionRequired => "the provider wants the person to choose an account",
            Self::InvalidRequest => "the provider calls the request invalid",
            Self::InvalidClient => "the provider does not know this client or its secret",
            Self::InvalidGrant => {
                "the provider does not take this code or token: used up, too old or not for this client"
            }
            Self::UnauthorizedClient => "the provider does not let this client do that",
            Self::UnsupportedGrantType => "the provider does not support this grant",
            Self::UnsupportedResponseType => "the provider does not support the response type code",
            Self::InvalidScope => "the provider does not grant these scopes",
            Self::ServerError => "the provider failed",
            Self::TemporarilyUnavailable => "the provider is overloaded or under maintenance",
            Self::InvalidToken => "the provider does not take this access token: unknown, expired or revoked",
            Self::InsufficientScope => "the access token does not reach that far",
            Self::UnsupportedTokenType => "the provider does not revoke tokens of this kind",
            Self::InvalidTarget => "the provider does not give tokens for this resource",
            Self::AuthorizationPending => "the person is not done on the other device",
            Self::SlowDown => "the provider was asked too often",
            Self::UseDpopNonce => "the provider does not take the nonce in the proof of the client's key",
            Self::InvalidDpopProof => "the provider does not take the proof of the client's key",
            Self::InvalidRequestObject => "the provider does not take the signed request",
            Self::ExpiredToken => "the code that was shown has expired",
            Self::Other(code) => return write!(formatter, "the provider refused with {code:?}"),
        })
    }
}
