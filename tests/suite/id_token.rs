//! ID tokens that must not pass. The tokens of the real provider are good, so these run on the doubles; the names are
//! those of the OpenID conformance suite where it has one.

use std::time::Duration;

use latchkey_testbed::{Misbehaviour as Lie, Span};
use latchkey_tests::{Backend, Place, READER, behaviours};

use crate::support::tokens_at;

behaviours! {
    #[not_on(Place::Real, "the real provider does not lie")]
    every_bad_id_token_is_refused_for_its_own_reason,
    #[not_on(Place::Real, "the real provider does not lie")]
    after_a_bad_id_token_the_next_login_works,
}

const CASES: [(&str, Lie, &str); 22] = [
    ("oidcc-client-test-invalid-iss", Lie::OtherIssuer, "oidc_id_token_issuer"),
    ("oidcc-client-test-missing-iss", Lie::MissingIssuer, "oidc_id_token_claim_missing"),
    ("oidcc-client-test-missing-sub", Lie::MissingSubject, "oidc_id_token_claim_missing"),
    ("oidcc-client-test-invalid-aud", Lie::OtherAudience, "oidc_id_token_audience"),
    ("oidcc-client-test-missing-aud", Lie::MissingAudience, "oidc_id_token_claim_missing"),
    ("invalid-secondary-aud", Lie::ExtraAudience, "oidc_id_token_untrusted_audience"),
    ("invalid-azp", Lie::OtherAuthorizedParty, "oidc_id_token_azp"),
    ("oidcc-client-test-missing-iat", Lie::MissingIssuedAt, "oidc_id_token_claim_missing"),
    ("iat-in-future", Lie::IssuedInFuture(Duration::from_secs(3600)), "oidc_id_token_issued_in_future"),
    ("invalid-missing-exp", Lie::MissingExpiry, "oidc_id_token_claim_missing"),
    ("invalid-expired-exp", Lie::Expired, "oidc_id_token_expired"),
    ("nbf-in-future", Lie::NotYetValid, "oidc_id_token_not_yet_valid"),
    ("oidcc-client-test-nonce-invalid", Lie::OtherNonce, "oidc_id_token_nonce"),
    ("invalid-missing-nonce", Lie::MissingNonce, "oidc_id_token_claim_missing"),
    ("oidcc-client-test-idtoken-sig-none", Lie::AlgNone, "oidc_id_token_algorithm"),
    ("oidcc-client-test-invalid-sig-hs256", Lie::AlgHs256, "oidc_id_token_algorithm"),
    ("oidcc-client-test-invalid-sig-rs256", Lie::BrokenSignature, "oidc_id_token_signature"),
    ("unknown-kid", Lie::UnknownKeyId, "oidc_id_token_unknown_key"),
    ("unknown-crit", Lie::UnknownCritical, "oidc_id_token_critical_extension"),
    ("oidcc-client-test-invalid-athash", Lie::OtherAccessTokenHash, "oidc_id_token_at_hash"),
    ("id-token-missing", Lie::IdTokenMissing, "oidc_id_token_missing"),
    (
        "iat-a-minute-in-future",
        Lie::IssuedInFuture(Duration::from_secs(60)),
        "oidc_id_token_issued_in_future",
    ),
];

async fn every_bad_id_token_is_refused_for_its_own_reason(backend: Backend) {
    for (name, lie, code) in CASES {
        backend.world().provider().misbehave(lie, Span::Once);
        let outcome = tokens_at(&backend, READER, backend.now()).await;
        assert_eq!(outcome.unwrap_err().code(), code, "{name}");
    }
}

async fn after_a_bad_id_token_the_next_login_works(backend: Backend) {
    backend.world().provider().misbehave(Lie::BrokenSignature, Span::Once);
    assert!(tokens_at(&backend, READER, backend.now()).await.is_err());
    assert!(tokens_at(&backend, READER, backend.now()).await.is_ok());
}
