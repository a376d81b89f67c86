//! What an ID token fails to prove.

/// Why an ID token is refused: which claim, and by how much.
///
/// Specified in [OpenID Connect Core, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenProblem {
    /// The token endpoint sent none although `openid` was asked for
    /// ([OpenID Connect Core, 3.1.3.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse)).
    #[error("the provider sent no ID token")]
    Missing,
    /// It is longer than any real one.
    #[error("the ID token is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A part of it cannot be read ([RFC 7515, 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
    #[error("the {part} of the ID token cannot be read")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// A name stands twice in one object, so that two readers may read two different tokens
    /// ([RFC 7519, 4](https://www.rfc-editor.org/rfc/rfc7519#section-4)).
    #[error("a name stands twice in the {part} of the ID token")]
    DuplicateName {
        /// Which part.
        part: &'static str,
    },
    /// It is encrypted, and no key for that was agreed on
    /// ([RFC 7516, 7.1](https://www.rfc-editor.org/rfc/rfc7516#section-7.1)).
    #[error("the ID token is encrypted")]
    Encrypted,
    /// Its signature algorithm is not one that was allowed.
    #[error("the ID token is signed with {algorithm:?}, which is not allowed")]
    AlgorithmNotAllowed {
        /// The algorithm that it names, shortened.
        algorithm: String,
    },
    /// It says that an extension must be understood ([RFC 7515, 4.1.11](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11)),
    /// and none is.
    #[error("the ID token demands an extension that is not understood")]
    CriticalExtension,
    /// It is another kind of token, such as an access token
    /// ([RFC 8725, 3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)).
    #[error("the token is of another type than an ID token")]
    WrongType,
    /// The provider publishes no fitting key
    /// ([OpenID Connect Core, 10.1.1](https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys)). It was
    /// asked again.
    #[error("the ID token is signed with a key that the provider does not publish ({})", kid.as_deref().unwrap_or("unnamed"))]
    UnknownKey {
        /// The key's id as the token names it, shortened.
        kid: Option<String>,
    },
    /// The key is an RSA key shorter than 2048 bits (RFC 7518, 3.3).
    #[error("the provider's key has only {bits} bits")]
    WeakKey {
        /// The length of the modulus.
        bits: usize,
    },
    /// The signature is wrong ([RFC 7515, 5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)).
    #[error("the signature of the ID token is wrong")]
    BadSignature,
    /// A claim that must be there is not.
    #[error("the ID token has no {claim}")]
    ClaimMissing {
        /// The claim's name.
        claim: &'static str,
    },
    /// A claim is of the wrong type or beyond sense.
    #[error("the {claim} of the ID token is not what the standard wants there")]
    ClaimInvalid {
        /// The claim's name.
        claim: &'static str,
    },
    /// Another provider issued it.
    #[error("the ID token was issued by {found:?} and not by {expected:?}")]
    IssuerMismatch {
        /// The issuer that was expected.
        expected: String,
        /// The issuer that it names, shortened.
        found: String,
    },
    /// It is of a tenant whose people may not sign in here.
    #[error("the ID token is of a tenant that is not let in")]
    TenantNotAllowed,
    /// The key that it is signed with is that of another tenant.
    #[error("the ID token is signed with the key of another tenant")]
    KeyOfOtherTenant,
    /// It is for another client.
    #[error("the ID token is for another client")]
    AudienceMismatch,
    /// It is also for somebody else whom nobody here trusts.
    #[error("the ID token is also for an audience that is not trusted")]
    UntrustedAudience,
    /// It is for several, and does not say who asked for it.
    #[error("the ID token has several audiences and no azp")]
    AuthorizedPartyMissing,
    /// Another client asked for it.
    #[error("the ID token was given to another client")]
    AuthorizedPartyMismatch,
    /// It has expired.
    #[error("the ID token expired {seconds} s ago; is this machine's clock right?")]
    Expired {
        /// How long ago.
        seconds: u64,
    },
    /// It is not valid yet ([RFC 7519, 4.1.5](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.5)).
    #[error("the ID token becomes valid in {seconds} s; is this machine's clock right?")]
    NotYetValid {
        /// In how long.
        seconds: u64,
    },
    /// It comes from the future ([RFC 7519, 4.1.6](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.6)).
    #[error("the ID token was issued {seconds} s in the future; is this machine's clock right?")]
    IssuedInFuture {
        /// How far.
        seconds: u64,
    },
    /// It came with a refresh and is not about the same login: another person, another client, or another sign-in
    /// ([OpenID Connect Core, 12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).
    #[error("the {claim} of the refreshed ID token is not that of the sign-in")]
    NotContinued {
        /// The claim's name.
        claim: &'static str,
    },
    /// The ID token of the token endpoint is not about the same person as the one in the callback
    /// ([OpenID Connect Core, 3.3.3.6](https://openid.net/specs/openid-connect-core-1_0.html#HybridIDToken2)).
    #[error("the {claim} of the ID token is not that of the one in the callback")]
    NotTheCallbacks {
        /// The claim's name.
        claim: &'static str,
    },
    /// The code beside it was exchanged
    /// ([OpenID Connect Core, 3.3.2.11](https://openid.net/specs/openid-connect-core-1_0.html#HybridIDToken),
    /// `c_hash`).
    #[error("the ID token does not belong to the code that came with it")]
    CodeMismatch,
    /// The state beside it was exchanged
    /// ([FAPI 1.0 Advanced, 5.1.1](https://openid.net/specs/openid-financial-api-part-2-1_0.html#id-token-as-detached-signature),
    /// `s_hash`).
    #[error("the ID token does not belong to the state that came with it")]
    StateMismatch,
    /// It answers another login: a replayed or injected token.
    #[error("the ID token is the answer to another login")]
    NonceMismatch,
    /// The access token beside it was exchanged
    /// ([OpenID Connect Core, 3.1.3.8](https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowTokenValidation),
    /// `at_hash`).
    #[error("the ID token does not belong to the access token that came with it")]
    AccessTokenMismatch,
    /// The person signed in longer ago than was asked for.
    #[error("the person signed in {seconds} s earlier than was asked for")]
    AuthenticationTooOld {
        /// By how much `max_age` was exceeded.
        seconds: u64,
    },
    /// The person did not sign in in one of the ways that were asked for.
    #[error("the person did not sign in in one of the ways that were asked for (acr)")]
    AuthenticationContextMismatch,
}

impl IdTokenProblem {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "oidc_id_token_missing",
            Self::TooLong { .. } => "oidc_id_token_too_long",
            Self::Malformed { .. } => "oidc_id_token_malformed",
            Self::DuplicateName { .. } => "oidc_id_token_duplicate_name",
            Self::Encrypted => "oidc_id_token_encrypted",
            Self::AlgorithmNotAllowed { .. } => "oidc_id_token_algorithm",
            Self::CriticalExtension => "oidc_id_token_critical_extension",
            Self::WrongType => "oidc_id_token_type",
            Self::UnknownKey { .. } => "oidc_id_token_unknown_key",
            Self::WeakKey { .. } => "oidc_id_token_weak_key",
            Self::BadSignature => "oidc_id_token_signature",
            Self::ClaimMissing { .. } => "oidc_id_token_claim_missing",
            Self::ClaimInvalid { .. } => "oidc_id_token_claim_invalid",
            Self::IssuerMismatch { .. } => "oidc_id_token_issuer",
            Self::TenantNotAllowed => "oidc_id_token_tenant",
            Self::KeyOfOtherTenant => "oidc_id_token_key_tenant",
            Self::AudienceMismatch => "oidc_id_token_audience",
            Self::UntrustedAudience => "oidc_id_token_untrusted_audience",
            Self::AuthorizedPartyMissing => "oidc_id_token_azp_missing",
            Self::AuthorizedPartyMismatch => "oidc_id_token_azp",
            Self::Expired { .. } => "oidc_id_token_expired",
            Self::NotYetValid { .. } => "oidc_id_token_not_yet_valid",
            Self::IssuedInFuture { .. } => "oidc_id_token_issued_in_future",
            Self::NotContinued { .. } => "oidc_id_token_not_continued",
            Self::NotTheCallbacks { .. } => "oidc_id_token_not_the_callbacks",
            Self::CodeMismatch => "oidc_id_token_c_hash",
            Self::StateMismatch => "oidc_id_token_s_hash",
            Self::NonceMismatch => "oidc_id_token_nonce",
            Self::AccessTokenMismatch => "oidc_id_token_at_hash",
            Self::AuthenticationTooOld { .. } => "oidc_id_token_auth_time",
            Self::AuthenticationContextMismatch => "oidc_id_token_acr",
        }
    }
}
