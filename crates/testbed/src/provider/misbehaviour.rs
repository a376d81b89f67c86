//! What a provider may do wrong, and what a relying party must refuse (or, where it says so, accept).

use std::time::Duration;

use serde_json::{Value, json};

/// For how long a provider misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The next time that it can, and then no more.
    Once,
    /// Until [`Provider::behave`](crate::Provider::behave).
    Always,
}

/// One thing that a provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The configuration names another issuer.
    DiscoveryIssuer,
    /// The configuration announces PKCE without S256.
    NoS256,
    /// The configuration has other addresses for clients with certificates, where a client's name is enough: to be used by
    /// a client that has one, and by no other.
    CertificateAddresses,
    /// The configuration does not announce the `iss` of the authorization response, and none comes.
    NoCallbackIssuer,
    /// The authorization response lacks the `iss` that was announced.
    CallbackIssuerMissing,
    /// The authorization response carries another `iss`.
    CallbackIssuerOther,
    /// The authorization response lacks `state`.
    CallbackStateMissing,
    /// The authorization response carries another `state`.
    CallbackStateOther,
    /// The authorization response carries `code` twice.
    CallbackCodeTwice,
    /// The signed answer (JARM) is not signed: `alg` is `none`.
    ResponseAlgNone,
    /// The signature of the signed answer is broken.
    ResponseBrokenSignature,
    /// The signed answer expired an hour ago.
    ResponseExpired,
    /// The signed answer has no `exp`.
    ResponseMissingExpiry,
    /// The signed answer has another `aud`.
    ResponseOtherAudience,
    /// The signed answer has no `aud`.
    ResponseMissingAudience,
    /// The signed answer has another `iss`.
    ResponseOtherIssuer,
    /// The signed answer has no `iss`.
    ResponseMissingIssuer,
    /// The signed answer has its `iss` twice, as Keycloak 26 writes it: to be accepted.
    ResponseIssuerTwice,
    /// The signed answer has a second `iss`, which is another one.
    ResponseTwoIssuers,
    /// The ID token beside the code has no `c_hash`.
    MissingCodeHash,
    /// The `c_hash` of the ID token beside the code belongs to another code.
    OtherCodeHash,
    /// The token reply has no ID token.
    IdTokenMissing,
    /// The ID token has another `iss`.
    OtherIssuer,
    /// The ID token has no `iss`.
    MissingIssuer,
    /// The ID token has another `aud`.
    OtherAudience,
    /// The ID token has no `aud`.
    MissingAudience,
    /// The ID token has a stranger beside the client in `aud`.
    ExtraAudience,
    /// The ID token has a stranger beside the client in `aud`, and does not say who asked for it.
    ExtraAudienceWithoutParty,
    /// The ID token has `aud` as a list of one: to be accepted.
    AudienceAsList,
    /// The ID token has another `azp`.
    OtherAuthorizedParty,
    /// The ID token has another `nonce`.
    OtherNonce,
    /// The ID token has no `nonce` although one was sent.
    MissingNonce,
    /// The ID token has no `sub`.
    MissingSubject,
    /// The ID token has no `iat`.
    MissingIssuedAt,
    /// The ID token was issued this much later than now.
    IssuedInFuture(Duration),
    /// The ID token has no `exp`.
    MissingExpiry,
    /// The ID token expired an hour ago.
    Expired,
    /// The ID token's `nbf` is an hour ahead.
    NotYetValid,
    /// The ID token is not signed: `alg` is `none`.
    AlgNone,
    /// The ID token says HS256, and its signature is none.
    AlgHs256,
    /// The ID token is signed with HS256 and the client's secret, which nobody agreed on.
    AlgHs256WithSecret,
    /// The ID token is signed with HS256 and the provider's public key, as PEM: a key that everybody has.
    AlgHs256WithPublicKey,
    /// The signature of the ID token is broken.
    BrokenSignature,
    /// The header of the ID token has a `crit` that nobody knows.
    UnknownCritical,
    /// The ID token has no `at_hash`: to be accepted, where a code was redeemed.
    MissingAccessTokenHash,
    /// The ID token's `at_hash` belongs to another access token.
    OtherAccessTokenHash,
    /// The ID token names a key that is not in the key set.
    UnknownKeyId,
    /// The ID token names no key: to be accepted while the key set has only one that fits.
    NoKeyId,
    /// The key set begins with a key of a type that is still to be invented: to be passed over.
    ///
    /// Not there by default: OpenBao and Vault refuse the whole set for it.
    UnknownKeyType,
    /// The key set has the odd keys of the conformance suite: for encryption and without `alg`, on secp256k1, on
    /// Ed25519, and one that cannot be read. To be passed over.
    OddKeys,
    /// The provider takes a new key just before it signs an ID token, and forgets the old one: to be accepted, after the
    /// new key was fetched.
    KeyChangedBeforeSigning,
    /// The token reply spells the token type `bEARER`: to be accepted.
    TokenTypeOtherCase,
    /// The token reply has no `expires_in`: to be accepted.
    NoExpiresIn,
    /// Userinfo answers for another `sub`.
    UserinfoOtherSubject,
    /// Userinfo takes the access token in the header alone.
    UserinfoWantsHeader,
    /// Userinfo takes the access token in the body of a form alone.
    UserinfoWantsBody,
    /// Userinfo brings claims that somebody else has signed: `credit_score`, as
    /// [OpenID Connect Core, section 5.6.2](https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims)
    /// has it.
    AggregatedClaims,
    /// Userinfo says where more claims can be had: `credit_score`, with an access token of its own.
    DistributedClaims,
    /// A refreshed ID token is about another `sub`.
    RefreshOtherSubject,
    /// A refreshed ID token has another `iss`.
    RefreshOtherIssuer,
    /// A refreshed ID token has another `aud`.
    RefreshOtherAudience,
    /// A refreshed ID token has another `azp`.
    RefreshOtherAuthorizedParty,
    /// A refreshed ID token says that the person signed in just now, which is not so.
    RefreshOtherAuthTime,
    /// The ID token of a refresh had expired an hour before.
    RefreshExpired,
    /// The reply to a refresh has no refresh token: the old one is to be kept.
    RefreshKeepsToken,
    /// The browser comes back from a logout without the `state` that was sent.
    LogoutStateMissing,
    /// The browser comes back from a logout with another `state`.
    LogoutStateOther,
    /// The logout token is not signed: `alg` is `none`.
    LogoutAlgNone,
    /// The logout token says HS256, and its signature is none.
    LogoutOtherAlg,
    /// The logout token has another `iss`.
    LogoutOtherIssuer,
    /// The logout token has another `aud`.
    LogoutOtherAudience,
    /// The logout token has no `events`.
    LogoutWithoutEvent,
    /// The logout token has another event.
    LogoutOtherEvent,
    /// The logout token has a `nonce`, which it must not have.
    LogoutWithNonce,
}

/// What is signed, and how.
pub(crate) struct Draft {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signature: Signature,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Good,
    Broken,
    Absent,
    /// With HS256, and the client's secret as the key.
    Secret,
    /// With HS256, and the provider's public key as the key.
    PublicKey,
}

impl Misbehaviour {
    /// Whether it shows in a fresh ID token.
    pub(crate) fn is_in_id_token(&self) -> bool {
        use Misbehaviour as M;
        matches!(
            self,
            M::OtherIssuer
                | M::MissingIssuer
                | M::OtherAudience
                | M::MissingAudience
                | M::ExtraAudience
                | M::ExtraAudienceWithoutParty
                | M::AudienceAsList
                | M::OtherAuthorizedParty
                | M::OtherNonce
                | M::MissingNonce
                | M::MissingSubject
                | M::MissingIssuedAt
                | M::IssuedInFuture(_)
                | M::MissingExpiry
                | M::Expired
                | M::NotYetValid
                | M::AlgNone
                | M::AlgHs256
                | M::AlgHs256WithSecret
                | M::AlgHs256WithPublicKey
                | M::BrokenSignature
                | M::UnknownCritical
                | M::MissingAccessTokenHash
                | M::OtherAccessTokenHash
                | M::UnknownKeyId
                | M::NoKeyId
        )
    }

    pub(crate) fn is_in_refreshed_id_token(&self) -> bool {
        use Misbehaviour as M;
        matches!(
            self,
            M::RefreshOtherSubject
                | M::RefreshOtherIssuer
                | M::RefreshOtherAudience
                | M::RefreshOtherAuthorizedParty
                | M::RefreshOtherAuthTime
                | M::RefreshExpired
        )
    }

    pub(crate) fn is_in_response(&self) -> bool {
        use Misbehaviour as M;
        matches!(
            self,
            M::ResponseAlgNone
                | M::ResponseBrokenSignature
                | M::ResponseExpired
                | M::ResponseMissingExpiry
                | M::ResponseOtherAudience
                | M::ResponseMissingAudience
                | M::ResponseOtherIssuer
                | M::ResponseMissingIssuer
                | M::ResponseIssuerTwice
                | M::ResponseTwoIssuers
        )
    }

    pub(crate) fn is_beside_code(&self) -> bool {
        matches!(self, Self::MissingCodeHash | Self::OtherCodeHash)
    }

    pub(crate) fn is_in_logout_token(&self) -> bool {
        use Misbehaviour as M;
        matches!(
            self,
            M::LogoutAlgNone
                | M::LogoutOtherAlg
                | M::LogoutOtherIssuer
                | M::LogoutOtherAudience
                | M::LogoutWithoutEvent
                | M::LogoutOtherEvent
                | M::LogoutWithNonce
        )
    }

    /// Does the wrong to an ID token, or to a signed answer.
    pub(crate) fn spoil(self, draft: &mut Draft, now: u64) {
        let Draft { header, claims, signature } = draft;
        let mut without = |name: &str| {
            if let Some(claims) = claims.as_object_mut() {
                claims.remove(name);
            }
        };
        match self {
            Self::MissingIssuer | Self::ResponseMissingIssuer => without("iss"),
            Self::MissingAudience | Self::ResponseMissingAudience => without("aud"),
            Self::MissingNonce => without("nonce"),
            Self::MissingSubject => without("sub"),
            Self::MissingIssuedAt => without("iat"),
            Self::MissingExpiry | Self::ResponseMissingExpiry => without("exp"),
            Self::MissingCodeHash => without("c_hash"),
            Self::OtherCodeHash => claims["c_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into(),
            Self::OtherIssuer | Self::RefreshOtherIssuer | Self::ResponseOtherIssuer => {
                claims["iss"] = "https://evil.example.com".into();
            }
            Self::RefreshOtherAuthTime => claims["auth_time"] = (now + 1).into(),
            Self::OtherAudience | Self::RefreshOtherAudience | Self::ResponseOtherAudience => {
                claims["aud"] = "somebody-else".into();
            }
            Self::ExtraAudience => claims["aud"] = json!([claims["aud"], "somebody-else"]),
            Self::ExtraAudienceWithoutParty => {
                claims["aud"] = json!([claims["aud"], "somebody-else"]);
                if let Some(claims) = claims.as_object_mut() {
                    claims.remove("azp");
                }
            }
            Self::AudienceAsList => claims["aud"] = json!([claims["aud"]]),
            Self::OtherAuthorizedParty | Self::RefreshOtherAuthorizedParty => {
                claims["azp"] = "somebody-else".into();
            }
            Self::OtherNonce => claims["nonce"] = "another-nonce".into(),
            Self::RefreshOtherSubject => claims["sub"] = "somebody-else".into(),
            Self::IssuedInFuture(by) => {
                claims["iat"] = (now + by.as_secs()).into();
                claims["exp"] = (now + by.as_secs() + 300).into();
            }
            Self::Expired | Self::ResponseExpired | Self::RefreshExpired => {
                claims["iat"] = now.saturating_sub(3900).into();
                claims["exp"] = now.saturating_sub(3600).into();
            }
            Self::NotYetValid => claims["nbf"] = (now + 3600).into(),
            Self::MissingAccessTokenHash => without("at_hash"),
            Self::OtherAccessTokenHash => claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into(),
            Self::AlgNone | Self::ResponseAlgNone => {
                header["alg"] = "none".into();
                *signature = Signature::Absent;
            }
            Self::AlgHs256 => {
                header["alg"] = "HS256".into();
                *signature = Signature::Broken;
            }
            Self::AlgHs256WithSecret | Self::AlgHs256WithPublicKey => {
                header["alg"] = "HS256".into();
                let with_secret = self == Self::AlgHs256WithSecret;
                *signature = if with_secret { Signature::Secret } else { Signature::PublicKey };
            }
            Self::BrokenSignature | Self::ResponseBrokenSignature => *signature = Signature::Broken,
            Self::UnknownCritical => {
                header["crit"] = json!(["http://example.com/unknown"]);
                header["http://example.com/unknown"] = true.into();
            }
            Self::UnknownKeyId => header["kid"] = "a-key-that-nobody-published".into(),
            Self::NoKeyId => {
                if let Some(header) = header.as_object_mut() {
                    header.remove("kid");
                }
            }
            _ => {}
        }
    }
}
