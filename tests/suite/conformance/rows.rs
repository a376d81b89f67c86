//! The table: every test of the conformance suite that a relying party can be held to, by its name there.

use latchkey_testbed::Misbehaviour as Lie;

use super::Part::{Basic, Comprehensive, Config, Dynamic, Fapi, Hybrid, Logout, Refresh};
use super::Show::{Aborts, Accepts, Not, Refuses, Runs};
use super::{Part, Row, Show, special};

const fn row(part: Part, id: &'static str, must: &'static str, show: Show) -> Row {
    Row { part, id, must, show }
}

/// A row with a story of its own.
macro_rules! story {
    ($name:ident) => {
        Runs(|bench| Box::pin(special::$name(bench)))
    };
}

const DYNAMIC: &str =
    "clients are registered by an operator: this library neither registers itself nor looks for providers";
const HYBRID: &str = "no answer brings an access token: the implicit flow is left out, as RFC 9700 advises";

// One row, one line: a table.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Basic, and the same with the answer in a form.
    row(Basic, "oidcc-client-test", "sign in, redeem the code, ask userinfo", story!(signs_in)),
    row(Basic, "oidcc-client-test-invalid-iss", "refuse another `iss`", Refuses(Lie::OtherIssuer, "oidc_id_token_issuer")),
    row(Basic, "oidcc-client-test-missing-sub", "refuse an ID token without `sub`", Refuses(Lie::MissingSubject, "oidc_id_token_claim_missing")),
    row(Basic, "oidcc-client-test-invalid-aud", "refuse another `aud`", Refuses(Lie::OtherAudience, "oidc_id_token_audience")),
    row(Basic, "oidcc-client-test-missing-iat", "refuse an ID token without `iat`", Refuses(Lie::MissingIssuedAt, "oidc_id_token_claim_missing")),
    row(Basic, "oidcc-client-test-kid-absent-single-jwks", "take the only key that fits", Accepts(Lie::NoKeyId)),
    row(Basic, "oidcc-client-test-kid-absent-multiple-jwks", "try the keys that fit, or refuse", story!(tries_all_keys_without_kid)),
    row(Basic, "oidcc-client-test-idtoken-sig-rs256", "accept RS256", story!(accepts_rs256)),
    row(Basic, "oidcc-client-test-idtoken-sig-none", "accept or refuse an unsigned ID token", Refuses(Lie::AlgNone, "oidc_id_token_algorithm")),
    row(Basic, "oidcc-client-test-invalid-sig-rs256", "refuse a broken signature", Refuses(Lie::BrokenSignature, "oidc_id_token_signature")),
    row(Basic, "oidcc-client-test-userinfo-invalid-sub", "refuse userinfo about somebody else", story!(refuses_userinfo_about_another)),
    row(Basic, "oidcc-client-test-nonce-invalid", "refuse another `nonce`", Refuses(Lie::OtherNonce, "oidc_id_token_nonce")),
    row(Basic, "oidcc-client-test-scope-userinfo-claims", "ask for scopes and use their claims", story!(uses_claims_of_scopes)),
    row(Basic, "oidcc-client-test-client-secret-basic", "send the secret in the header", story!(sends_the_secret_in_the_header)),
    // Config.
    row(Config, "oidcc-client-test-discovery-openid-config", "fetch the configuration and go by it", story!(signs_in)),
    row(Config, "oidcc-client-test-discovery-jwks-uri-keys", "fetch the keys where the configuration says", story!(fetches_keys_where_they_are)),
    row(Config, "oidcc-client-test-discovery-issuer-mismatch", "refuse the configuration of another issuer", Aborts(Lie::DiscoveryIssuer, "oidc_provider_issuer_mismatch")),
    row(Config, "oidcc-client-test-idtoken-sig-none", "accept or refuse an unsigned ID token", Refuses(Lie::AlgNone, "oidc_id_token_algorithm")),
    row(Config, "oidcc-client-test-signing-key-rotation", "fetch the keys again for a second login", story!(follows_a_rotation)),
    row(Config, "oidcc-client-test-signing-key-rotation-just-before-signing", "fetch the keys again at once for an unknown `kid`", story!(follows_a_rotation_before_signing)),
    row(Config, "oidcc-client-test-ignores-unparseable-key-in-jwks", "pass over a key that cannot be read", Accepts(Lie::UnknownKeyType)),
    // Refresh.
    row(Refresh, "oidcc-client-test-refresh-token", "refresh, and ask userinfo with the new token", story!(refreshes)),
    row(Refresh, "oidcc-client-test-refresh-token-invalid-issuer", "refuse a refreshed ID token of another `iss`", story!(refuses_refreshed_issuer)),
    row(Refresh, "oidcc-client-test-refresh-token-invalid-sub", "refuse a refreshed ID token about another `sub`", story!(refuses_refreshed_subject)),
    row(Refresh, "oidcc-client-test-refresh-token-invalid-aud", "refuse a refreshed ID token for another `aud`", story!(refuses_refreshed_audience)),
    row(Refresh, "oidcc-client-test-refresh-token-invalid-azp", "refuse a refreshed ID token with another `azp`", story!(refuses_refreshed_party)),
    // Comprehensive.
    row(Comprehensive, "oidcc-client-test-missing-aud", "refuse an ID token without `aud`", Refuses(Lie::MissingAudience, "oidc_id_token_claim_missing")),
    row(Comprehensive, "oidcc-client-test-invalid-sig-hs256", "refuse a broken HS256", Refuses(Lie::AlgHs256, "oidc_id_token_algorithm")),
    row(Comprehensive, "oidcc-client-test-invalid-sig-es256", "refuse a broken ES256", story!(refuses_broken_es256)),
    row(Comprehensive, "oidcc-client-test-userinfo-bearer-header", "send the access token in the header", Accepts(Lie::UserinfoWantsHeader)),
    row(Comprehensive, "oidcc-client-test-userinfo-bearer-body", "send the access token in the body of a form", Not("the access token travels in the header alone, as RFC 6750, 2.2, recommends")),
    row(Comprehensive, "oidcc-client-test-userinfo-signed", "check a signed userinfo", story!(checks_signed_userinfo)),
    row(Comprehensive, "oidcc-client-test-aggregated-claims", "take claims that userinfo brings from others", story!(takes_aggregated_claims)),
    row(Comprehensive, "oidcc-client-test-distributed-claims", "fetch claims where userinfo says", story!(fetches_distributed_claims)),
    row(Comprehensive, "oidcc-client-test-mtls-endpoint-aliases", "ask at the addresses for clients with certificates", story!(uses_addresses_for_certificates)),
    row(Comprehensive, "oidcc-client-test-form-post-error", "understand an error that is posted", story!(understands_a_posted_error)),
    // Hybrid and implicit: what a code flow can be held to, and what it cannot.
    row(Hybrid, "oidcc-client-test-nonce-unless-code-flow", "send a nonce (always)", story!(sends_a_nonce)),
    row(Hybrid, "oidcc-client-test-invalid-athash", "refuse another `at_hash`", Refuses(Lie::OtherAccessTokenHash, "oidc_id_token_at_hash")),
    row(Hybrid, "oidcc-client-test-missing-athash", "refuse its absence, where the answer holds the access token", Not(HYBRID)),
    row(Hybrid, "oidcc-client-test-missing-chash", "refuse its absence, where the answer holds the ID token", story!(refuses_missing_code_hash)),
    row(Hybrid, "oidcc-client-test-invalid-chash", "refuse another, where the answer holds the ID token", story!(refuses_other_code_hash)),
    // Logout.
    row(Logout, "oidcc-client-test-rp-init-logout", "sign out, and know the answer by its state", story!(signs_out)),
    row(Logout, "oidcc-client-test-rp-init-logout-other-state", "take the answer to another sign-out for no answer", story!(sees_another_state_of_a_logout)),
    row(Logout, "oidcc-client-test-rp-init-logout-no-state", "take an answer without state for no answer", story!(sees_a_missing_state_of_a_logout)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout", "accept the logout token", story!(accepts_a_logout_token)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none", "refuse an unsigned logout token", story!(refuses_logout_alg_none)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg", "refuse another algorithm", story!(refuses_logout_alg)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss", "refuse another `iss`", story!(refuses_logout_issuer)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud", "refuse another `aud`", story!(refuses_logout_audience)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-no-event", "refuse a token without the event", story!(refuses_logout_without_event)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event", "refuse another event", story!(refuses_logout_of_another_event)),
    row(Logout, "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce", "refuse a logout token with a nonce", story!(refuses_logout_with_nonce)),
    row(Logout, "oidcc-client-test-rp-frontchannel-rpinitlogout", "end the session when the frame is loaded", story!(hears_of_its_own_logout)),
    row(Logout, "oidcc-client-test-rp-frontchannel-opinitlogout", "end the session when the frame is loaded", story!(hears_of_the_providers_logout)),
    row(Logout, "oidcc-client-test-session-management", "see the session change", Not("it takes frames of a browser; what a page of ours says and hears in them is shown in oidc-flow's own tests (`Client::session_check`)")),
    row(Logout, "oidcc-client-test-3rd-party-init-login", "begin a login that somebody else asked for", story!(begins_a_login_for_others)),
    // FAPI 2.
    row(Fapi, "fapi2-security-profile-final-client-test-happy-path", "sign in with DPoP and its nonce", story!(binds_tokens_with_a_nonce)),
    row(Fapi, "fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce", "sign in with DPoP", story!(binds_tokens_to_a_key)),
    row(Fapi, "fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity", "take the token type in any case", story!(takes_dpop_in_any_case)),
    row(Fapi, "fapi2-security-profile-final-client-refresh-token-test", "refresh with the same key", story!(refreshes_with_the_same_key)),
    row(Fapi, "fapi2-security-profile-final-client-test-discovery-issuer-mismatch", "refuse the configuration of another issuer", Aborts(Lie::DiscoveryIssuer, "oidc_provider_issuer_mismatch")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-authorization-response-iss", "stop at another `iss` before the token call", Aborts(Lie::CallbackIssuerOther, "oidc_callback_issuer_mismatch")),
    row(Fapi, "fapi2-security-profile-final-client-test-remove-authorization-response-iss", "stop without the announced `iss` before the token call", Aborts(Lie::CallbackIssuerMissing, "oidc_callback_issuer_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails", "stop at another state", Aborts(Lie::CallbackStateOther, "oidc_callback_state_mismatch")),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails", "stop without state", Aborts(Lie::CallbackStateMissing, "oidc_callback_state_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-aud", "refuse another `aud`", Refuses(Lie::OtherAudience, "oidc_id_token_audience")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-secondary-aud", "refuse an audience that is not trusted", story!(refuses_secondary_audiences)),
    row(Fapi, "fapi2-security-profile-final-client-test-valid-aud-as-array", "accept a list of one audience", Accepts(Lie::AudienceAsList)),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-iss", "refuse another `iss`", Refuses(Lie::OtherIssuer, "oidc_id_token_issuer")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-expired-exp", "refuse an expired ID token", Refuses(Lie::Expired, "oidc_id_token_expired")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-missing-exp", "refuse an ID token without `exp`", Refuses(Lie::MissingExpiry, "oidc_id_token_claim_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-missing-aud", "refuse an ID token without `aud`", Refuses(Lie::MissingAudience, "oidc_id_token_claim_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-missing-iss", "refuse an ID token without `iss`", Refuses(Lie::MissingIssuer, "oidc_id_token_claim_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-missing-nonce", "refuse an ID token without `nonce`", Refuses(Lie::MissingNonce, "oidc_id_token_claim_missing")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-nonce", "refuse another `nonce`", Refuses(Lie::OtherNonce, "oidc_id_token_nonce")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-null-alg", "refuse an unsigned ID token", Refuses(Lie::AlgNone, "oidc_id_token_algorithm")),
    row(Fapi, "fapi2-security-profile-final-client-test-invalid-alternate-alg", "refuse an algorithm that was not agreed on", story!(refuses_other_algorithms)),
    row(Fapi, "fapi2-security-profile-final-client-test-token-type-case-insensitivity", "accept `bEARER`", Accepts(Lie::TokenTypeOtherCase)),
    row(Fapi, "fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in", "accept a reply without `expires_in`", Accepts(Lie::NoExpiresIn)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none", "refuse an unsigned answer", story!(refuses_response_alg_none)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails", "refuse an expired answer", story!(refuses_response_expired)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails", "refuse another `aud`", story!(refuses_response_audience)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails", "refuse another `iss`", story!(refuses_response_issuer)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails", "refuse a broken signature", story!(refuses_response_signature)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails", "refuse an answer without `aud`", story!(refuses_response_without_audience)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails", "refuse an answer without `exp`", story!(refuses_response_without_expiry)),
    row(Fapi, "fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails", "refuse an answer without `iss`", story!(refuses_response_without_issuer)),
    // Dynamic.
    row(Dynamic, "oidcc-client-test-discovery-webfinger-acct", "find the provider of an account", Not(DYNAMIC)),
    row(Dynamic, "oidcc-client-test-discovery-webfinger-url", "find the provider of an address", Not(DYNAMIC)),
    row(Dynamic, "oidcc-client-test-dynamic-registration", "register", Not(DYNAMIC)),
    row(Dynamic, "oidcc-client-test-request-uri-signed-none", "leave an unsigned request somewhere", Not(DYNAMIC)),
    row(Dynamic, "oidcc-client-test-request-uri-signed-rs256", "leave a signed request somewhere", Not(DYNAMIC)),
];
