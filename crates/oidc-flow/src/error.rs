//! What can go wrong with a login, grouped by who must act.

use std::time::Duration;

use latchkey_transport::RandomUnavailable;

use crate::id_token::IdTokenProblem;
use crate::{LogoutProblem, Refusal, UserInfoProblem};

/// Why a step of a login, or of what follows it, did not work. Grouped by who must act.
///
/// No variant holds a token, a code, a nonce, a body or a claim other than issuer, algorithm, key id and seconds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller: something was put together wrongly. Never repeated.
    #[error(transparent)]
    Misuse(#[from] Misuse),

    /// The person or the provider said no, and said so properly. Repeated only where the provider asks for it
    /// ([`RefusalReason::is_transient`](crate::RefusalReason::is_transient)).
    #[error(transparent)]
    Refused(#[from] Refusal),

    /// Somebody else: the answer of the sign-in page is not the one to this login: forged, stray or garbled.
    /// Never repeated.
    #[error(transparent)]
    Callback(#[from] CallbackProblem),

    /// The person: what was pasted holds no code.
    #[error(transparent)]
    Pasted(#[from] PastedProblem),

    /// The provider: it does not do what the protocol asks for. Repeated only where it is overloaded.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaviour),

    /// The provider, or this machine's clock: the ID token does not prove what it should. No token comes out.
    /// Never repeated.
    #[error(transparent)]
    IdToken(#[from] IdTokenProblem),

    /// Time: the login took too long. Begin a new one.
    #[error("the login was begun more than {} s ago and has expired", lifetime.as_secs())]
    LoginExpired {
        /// How long a login may take.
        lifetime: Duration,
    },

    /// Time: nobody came back from the sign-in page. Begin a new login.
    #[error("nobody came back from the sign-in page within {} s", limit.as_secs())]
    NobodyCame {
        /// How long was waited.
        limit: Duration,
    },

    /// The operator of this machine: somebody else listens on every port that may be used.
    #[error("port {} on this machine is taken by another program", list(ports))]
    PortTaken {
        /// The ports that were tried.
        ports: Vec<u16>,
    },

    /// The operator of this machine: it does not let us listen on loopback.
    #[error("this machine does not let us listen on loopback")]
    Loopback(#[cfg_attr(not(target_arch = "wasm32"), source)] std::io::Error),

    /// The operator of this machine: no random numbers, and going on without would make the login guessable.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),

    /// The network, or whoever runs the provider's server. Repeated where the transport's error says so: nothing
    /// was spent yet.
    #[error(transparent)]
    Transport(#[from] latchkey_transport::Error),

    /// The network, while the code was redeemed
    /// ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)). A code works once, so this login is
    /// over: begin a new one.
    #[error("the code could not be redeemed")]
    Unredeemed(#[source] latchkey_transport::Error),

    /// The network, a moment ago: no key at hand fits, and new ones could not be had
    /// ([OpenID Connect Core, 10.1.1](https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys)). Asked
    /// again after a minute.
    #[error("the provider's keys could not be fetched, and those at hand do not fit")]
    KeysUnavailable,

    /// Time, or the provider: the refresh token is not taken any more
    /// ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2), `invalid_grant`). Forget it and begin a
    /// new login.
    #[error("the sign-in cannot be refreshed any more{}", refusal.as_ref().map(|this| format!(": {this}")).unwrap_or_default())]
    GrantOver {
        /// What the provider said, where it said it properly.
        refusal: Option<Refusal>,
    },

    /// The network, while the refresh token was on its way or just after. Whether it was spent is not known: it may be
    /// tried once more, and a provider that rotates refresh tokens may then end the session.
    #[error("whether the refresh token was spent is not known")]
    Unrefreshed(#[source] latchkey_transport::Error),

    /// The provider: what it tells about the person cannot be used. Never repeated.
    #[error(transparent)]
    UserInfo(#[from] UserInfoProblem),

    /// Whoever posted it: the logout token proves nothing. Never repeated.
    #[error(transparent)]
    LogoutToken(#[from] LogoutProblem),

    /// The operator of the provider: it offers no such endpoint
    /// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    #[error("the provider offers no {endpoint}")]
    NotOffered {
        /// Which endpoint.
        endpoint: Endpoint,
    },
}

impl Error {
    /// Returns whether the same call may succeed later without anybody changing anything.
    ///
    /// What a call has consumed is gone nevertheless: after a failed `redeem` a new login is needed in any case.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.reason.is_transient(),
            Self::Misbehaved(problem) => problem.is_transient(),
            Self::Transport(error) => error.is_transient(),
            Self::KeysUnavailable => true,
            _ => false,
        }
    }

    /// Returns the stable name of this error, for programs and other languages.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Misuse(problem) => problem.code(),
            Self::Refused(refusal) => refusal.reason.code(),
            Self::Callback(problem) => problem.code(),
            Self::Pasted(problem) => problem.code(),
            Self::Misbehaved(problem) => problem.code(),
            Self::IdToken(problem) => problem.code(),
            Self::LoginExpired { .. } => "oidc_login_expired",
            Self::NobodyCame { .. } => "oidc_nobody_came",
            Self::PortTaken { .. } => "oidc_port_taken",
            Self::Loopback(_) => "oidc_loopback",
            Self::Random(_) => "oidc_random_unavailable",
            Self::Transport(error) => error.code(),
            Self::Unredeemed(_) => "oidc_unredeemed",
            Self::KeysUnavailable => "oidc_keys_unavailable",
            Self::GrantOver { .. } => "oidc_grant_over",
            Self::Unrefreshed(_) => "oidc_unrefreshed",
            Self::UserInfo(problem) => problem.code(),
            Self::LogoutToken(problem) => problem.code(),
            Self::NotOffered { .. } => "oidc_not_offered",
        }
    }
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// What the caller put together wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The issuer is not an `https` address (or `http` on loopback) without query and fragment
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata),
    /// `issuer`).
    #[error("the issuer {issuer:?} is not an https address without query and fragment")]
    InvalidIssuer {
        /// What was given, shortened.
        issuer: String,
    },
    /// An address of the provider is not `https` (or `http` on loopback), or holds more than it may.
    #[error("an address of the provider is not an https address, or holds more than it may")]
    InvalidAddress,
    /// The redirect address is not absolute, or has a fragment (RFC 6749, 3.1.2).
    #[error("the redirect address is not an absolute address without fragment")]
    InvalidRedirectUri,
    /// A resource is not an absolute address, or has a fragment (RFC 8707, 2).
    #[error("a resource is not an absolute address without fragment")]
    InvalidResource,
    /// The provider takes pushed requests only: call [`push`](crate::Authorize::push)
    /// ([RFC 9126, 5](https://www.rfc-editor.org/rfc/rfc9126#section-5)).
    #[error("the provider wants what is asked for to be pushed before the browser is opened")]
    PushRequired,
    /// A scope has a sign that a scope cannot hold (RFC 6749, 3.3).
    #[error("a scope holds a sign that a scope cannot have")]
    InvalidScope,
    /// An extra parameter has a name that the login itself uses, or stands twice
    /// ([RFC 6749, 3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)).
    #[error("the parameter {name} is set by the login itself or was given twice")]
    ReservedParameter {
        /// The parameter's name.
        name: String,
    },
    /// An ID token was asked for in the callback, and the query to hold it: it would stand in logs and histories
    /// ([Multiple Response Types, 5](https://openid.net/specs/oauth-v2-multiple-response-types-1_0.html#Combinations)).
    #[error("an ID token must not come in the query of an address")]
    TokenInQuery,
    /// `prompt=none` together with another prompt (OpenID Connect Core, 3.1.2.1).
    #[error("the prompt none excludes every other")]
    PromptNotAlone,
    /// The callback, or what was stored, belongs to a login with another provider or as another client.
    #[error("it belongs to a login with another provider or as another client")]
    OtherClient,
    /// The expectations are for another provider than the one that is asked to verify.
    #[error("the expectations are for another provider")]
    OtherIssuer,
    /// The path of a loopback address does not begin with a slash, or holds more than a path
    /// ([RFC 3986, 3.3](https://www.rfc-editor.org/rfc/rfc3986#section-3.3)).
    #[error("the loopback path does not begin with a slash or holds more than a path")]
    InvalidPath,
    /// No port was named to listen on.
    #[error("no port was named to listen on")]
    NoPort,
    /// The engine that checks signatures cannot check this algorithm
    /// ([RFC 7518, 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
    #[error("the engine that checks signatures does not know {algorithm}")]
    UnsupportedAlgorithm {
        /// The algorithm's name.
        algorithm: &'static str,
    },
    /// The client has nothing to prove itself with, and must have
    /// ([RFC 6749, 2.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.1)).
    #[error("a client without secret or key cannot get tokens for itself")]
    PublicClient,
    /// The client's key makes no signature ([RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)).
    #[error("the client's key makes no signature")]
    UnusableClientKey,
    /// The engine that checks signatures is not there, such as WebCrypto on a page without a secure context.
    #[error("the engine that checks signatures is unavailable")]
    VerifierUnavailable,
}

impl Misuse {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidIssuer { .. } => "oidc_invalid_issuer",
            Self::InvalidAddress => "oidc_invalid_address",
            Self::InvalidRedirectUri => "oidc_invalid_redirect_uri",
            Self::InvalidResource => "oidc_invalid_resource",
            Self::PushRequired => "oidc_push_required",
            Self::InvalidScope => "oidc_invalid_scope",
            Self::ReservedParameter { .. } => "oidc_reserved_parameter",
            Self::TokenInQuery => "oidc_token_in_query",
            Self::PromptNotAlone => "oidc_prompt_not_alone",
            Self::OtherClient => "oidc_other_client",
            Self::OtherIssuer => "oidc_other_issuer",
            Self::InvalidPath => "oidc_invalid_path",
            Self::NoPort => "oidc_no_port",
            Self::UnsupportedAlgorithm { .. } => "oidc_unsupported_algorithm",
            Self::PublicClient => "oidc_public_client",
            Self::UnusableClientKey => "oidc_unusable_client_key",
            Self::VerifierUnavailable => "oidc_verifier_unavailable",
        }
    }
}

/// Which of the provider's endpoints is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`
    /// ([OpenID Connect Discovery, 4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig))
    Discovery,
    /// The page where the person signs in ([RFC 6749, 3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)).
    Authorization,
    /// Where a code becomes tokens ([RFC 6749, 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).
    Token,
    /// Where the provider publishes its keys
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata),
    /// `jwks_uri`).
    Keys,
    /// Where the provider tells more about the person
    /// ([OpenID Connect Core, 5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).
    UserInfo,
    /// Where tokens are given back ([RFC 7009, 2](https://www.rfc-editor.org/rfc/rfc7009#section-2)).
    Revocation,
    /// Where the provider says what a token is worth ([RFC 7662, 2](https://www.rfc-editor.org/rfc/rfc7662#section-2)).
    Introspection,
    /// Where the person signs out
    /// ([RP-Initiated Logout, 2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)).
    EndSession,
    /// Where a device asks for a code to show ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
    DeviceAuthorization,
    /// Where a login's wishes are left before the browser is opened
    /// ([RFC 9126, 2](https://www.rfc-editor.org/rfc/rfc9126#section-2)).
    PushedAuthorization,
    /// The page that tells a browser whether somebody is still signed in
    /// ([Session Management, 3.2](https://openid.net/specs/openid-connect-session-1_0.html#OPiframe)).
    CheckSession,
    /// Where another party makes claims about the person
    /// ([OpenID Connect Core, 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)).
    /// A discovery document does not have it.
    ClaimSource,
}

impl Endpoint {
    /// Those that may have another address for clients with a certificate
    /// ([RFC 8705, 5](https://www.rfc-editor.org/rfc/rfc8705#section-5)).
    pub(crate) const WITH_ALIASES: [Self; 6] = [
        Self::Token,
        Self::UserInfo,
        Self::Revocation,
        Self::Introspection,
        Self::DeviceAuthorization,
        Self::PushedAuthorization,
    ];

    /// Returns the name of the member of a discovery document that has its address.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Discovery => "issuer",
            Self::Authorization => "authorization_endpoint",
            Self::Token => "token_endpoint",
            Self::Keys => "jwks_uri",
            Self::UserInfo => "userinfo_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::EndSession => "end_session_endpoint",
            Self::DeviceAuthorization => "device_authorization_endpoint",
            Self::PushedAuthorization => "pushed_authorization_request_endpoint",
            Self::CheckSession => "check_session_iframe",
            Self::ClaimSource => "endpoint",
        }
    }

    /// Returns whether this program calls it, and not the person's browser.
    pub(crate) fn is_called_from_here(self) -> bool {
        !matches!(self, Self::Authorization | Self::EndSession | Self::CheckSession)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Discovery => "discovery document",
            Self::Authorization => "authorization endpoint",
            Self::Token => "token endpoint",
            Self::Keys => "key set",
            Self::UserInfo => "userinfo endpoint",
            Self::Revocation => "revocation endpoint",
            Self::Introspection => "introspection endpoint",
            Self::EndSession => "sign-out page",
            Self::DeviceAuthorization => "device authorization endpoint",
            Self::PushedAuthorization => "pushed authorization endpoint",
            Self::CheckSession => "session page",
            Self::ClaimSource => "claims endpoint",
        })
    }
}

/// Why a callback is not the answer to this login.
///
/// Specified in [RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2) and [RFC 9207, 2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackProblem {
    /// The address or form cannot be read.
    #[error("the callback cannot be read")]
    Malformed,
    /// It is longer than any real one (16 KiB).
    #[error("the callback is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A parameter stands twice. RFC 6749, 3.1: "Request and response parameters MUST NOT be included more than
    /// once".
    #[error("the callback names {parameter} twice")]
    DuplicateParameter {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// There is no `state` ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    #[error("the callback has no state")]
    StateMissing,
    /// The `state` is not that of this login ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    #[error("the callback is the answer to another login")]
    StateMismatch,
    /// The provider announces that it names itself in the callback, and this one does not
    /// ([RFC 9207, 2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)).
    #[error("the callback does not name its issuer although the provider announces that it does")]
    IssuerMissing,
    /// Another provider answered: a mix-up attack
    /// ([RFC 9207, 2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)).
    #[error("the callback comes from {found:?} and not from {expected:?}")]
    IssuerMismatch {
        /// The issuer that this login was begun with.
        expected: String,
        /// The issuer that the callback names, shortened.
        found: String,
    },
    /// A signed answer was asked for, and this one is not signed, or was not opened
    /// ([`Client::open`](crate::Client::open)).
    #[error("the callback is not signed although that was asked for")]
    NotSigned,
    /// The signed answer does not prove what it should
    /// ([JARM, 2.4](https://openid.net/specs/oauth-v2-jarm-final.html)). The cause speaks of an ID token, which is
    /// checked alike.
    #[error("the signed callback proves nothing")]
    Response(#[source] IdTokenProblem),
    /// It holds neither a code nor an error ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)).
    #[error("the callback holds no code")]
    CodeMissing,
}

impl CallbackProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "oidc_callback_malformed",
            Self::TooLong { .. } => "oidc_callback_too_long",
            Self::DuplicateParameter { .. } => "oidc_callback_duplicate_parameter",
            Self::StateMissing => "oidc_callback_state_missing",
            Self::StateMismatch => "oidc_callback_state_mismatch",
            Self::IssuerMissing => "oidc_callback_issuer_missing",
            Self::IssuerMismatch { .. } => "oidc_callback_issuer_mismatch",
            Self::NotSigned => "oidc_callback_not_signed",
            Self::Response(_) => "oidc_callback_response",
            Self::CodeMissing => "oidc_callback_code_missing",
        }
    }
}

/// Why a pasted text is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PastedProblem {
    /// Nothing was pasted.
    #[error("nothing was pasted: paste the code that the page shows, or the page's whole address")]
    Empty,
    /// It is neither a code nor an address.
    #[error(
        "that is neither a code nor an address: paste the code that the page shows, or its whole address"
    )]
    NotUnderstood,
    /// It is an address without a code.
    #[error("that address holds no code: paste the address of the page that is shown after signing in")]
    NoCode,
    /// It is the address of the sign-in page itself.
    #[error("that is the address of the sign-in page: open it, sign in, and paste what the page then shows")]
    SignInAddress,
}

impl PastedProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "oidc_pasted_empty",
            Self::NotUnderstood => "oidc_pasted_not_understood",
            Self::NoCode => "oidc_pasted_no_code",
            Self::SignInAddress => "oidc_pasted_sign_in_address",
        }
    }
}

/// What the provider does that it must not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The reply's status is neither success nor a proper refusal. Repeated where the provider is overloaded or
    /// failing (429 and 5xx) and nothing was spent.
    #[error("the provider's {endpoint} answered with status {status}")]
    Status {
        /// Which endpoint answered.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
    },
    /// The reply cannot be read.
    #[error("the reply of the provider's {endpoint} cannot be read")]
    MalformedReply {
        /// Which endpoint answered.
        endpoint: Endpoint,
    },
    /// The reply lacks something that it must have.
    #[error("the reply of the provider's {endpoint} has no usable {field}")]
    FieldMissing {
        /// Which endpoint answered.
        endpoint: Endpoint,
        /// The field's name.
        field: &'static str,
    },
    /// The discovery document belongs to another issuer
    /// ([OpenID Connect Discovery, 4.3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation)).
    #[error("the provider calls itself {found:?} and not {expected:?}; write the issuer exactly as it does")]
    IssuerMismatch {
        /// The issuer that was asked for.
        expected: String,
        /// The issuer that the document names, shortened.
        found: String,
    },
    /// An endpoint is neither `https` nor `http` on loopback
    /// ([OpenID Connect Discovery, 3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)).
    #[error("the provider's {field} is not an https address")]
    InsecureEndpoint {
        /// The field's name in the discovery document.
        field: &'static str,
    },
    /// The provider announces methods of PKCE, and S256 is not among them
    /// ([RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2), `code_challenge_methods_supported`).
    #[error("the provider does not support PKCE with S256")]
    PkceUnsupported,
    /// The access token is not of the type that was asked for: a bearer token, or one that is bound to the client's key
    /// ([RFC 6749, 7.1](https://www.rfc-editor.org/rfc/rfc6749#section-7.1)).
    #[error("the provider's token type is {token_type:?} and not {expected}")]
    TokenType {
        /// The `token_type`, shortened.
        token_type: String,
        /// `Bearer`, or `DPoP` ([RFC 9449, 5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).
        expected: &'static str,
    },
}

impl Misbehaviour {
    fn is_transient(&self) -> bool {
        // A token endpoint that fails may have spent the code.
        matches!(self, Self::Status { endpoint, status: 429 | 500..=599 } if *endpoint != Endpoint::Token)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Status { .. } => "oidc_provider_status",
            Self::MalformedReply { .. } => "oidc_provider_malformed_reply",
            Self::FieldMissing { .. } => "oidc_provider_field_missing",
            Self::IssuerMismatch { .. } => "oidc_provider_issuer_mismatch",
            Self::InsecureEndpoint { .. } => "oidc_provider_insecure_endpoint",
            Self::PkceUnsupported => "oidc_provider_pkce_unsupported",
            Self::TokenType { .. } => "oidc_provider_token_type",
        }
    }
}
