//! What an ID token must be. The names are those of the OpenID conformance suite where it has one.

use std::time::Duration;

use latchkey_oidc_flow::keys::KeySet;
use latchkey_oidc_flow::{
    Algorithm, Error, Expectations, IdToken, IdTokenProblem as Problem, JsonWebToken, VerifiedIdToken,
};
use latchkey_transport::Secret;
use serde_json::{Value, json};

use crate::support::{
    ACCESS_TOKEN, CLIENT_ID, ISSUER, KEYS, NOW, Token, base64url, ec_jwk, ed25519_jwk, jwks, now, rsa_jwk,
    sign_text, usual_jwks,
};

fn expectations() -> Expectations {
    Expectations::new(ISSUER, CLIENT_ID).with_nonce(Secret::new("nonce"))
}

async fn check_with(expectations: &Expectations, text: &str, keys: &str) -> Result<VerifiedIdToken, Error> {
    let keys = KeySet::parse(keys.as_bytes())?;
    let access_token = Secret::new(ACCESS_TOKEN);
    expectations.verify(IdToken::parse(text)?, &keys, &JsonWebToken, Some(&access_token), now()).await
}

async fn check(token: Token) -> Result<VerifiedIdToken, Error> {
    check_with(&expectations(), &token.sign(), &usual_jwks()).await
}

fn problem(outcome: Result<VerifiedIdToken, Error>) -> Option<Problem> {
    match outcome {
        Ok(_) => None,
        Err(Error::IdToken(problem)) => Some(problem),
        Err(other) => panic!("another error: {other}"),
    }
}

#[tokio::test]
async fn a_good_token_is_taken() {
    let token = check(Token::good()).await.unwrap();
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(token.subject(), "canary-subject");
    assert_eq!(token.claim("email"), Some(&json!("canary@example.org")));
    assert_eq!(token.issued_at(), now());
    assert_eq!(token.expires_at(), now() + Duration::from_secs(300));
}

#[tokio::test]
async fn every_fault_has_its_own_name() {
    let good = Token::good;
    let missing = |claim| Problem::ClaimMissing { claim };
    let invalid = |claim| Problem::ClaimInvalid { claim };
    let issuer = |found: &str| Problem::IssuerMismatch { expected: ISSUER.into(), found: found.into() };
    let algorithm = |name: &str| Problem::AlgorithmNotAllowed { algorithm: name.into() };
    let cases: Vec<(&str, Token, Problem)> = vec![
        // Header.
        ("idtoken_sig_none", good().with_header("alg", "none"), algorithm("none")),
        ("invalid_null_alg", good().with_header("alg", Value::Null), Problem::Malformed { part: "header" }),
        ("missing_alg", good().without_header("alg"), Problem::Malformed { part: "header" }),
        ("invalid_sig_hs256", good().with_header("alg", "HS256"), algorithm("HS256")),
        ("invalid_alternate_alg", good().with_header("alg", "RS512"), algorithm("RS512")),
        ("alg_in_another_case", good().with_header("alg", "rs256"), algorithm("rs256")),
        ("crit", good().with_header("crit", json!(["exp"])), Problem::CriticalExtension),
        ("crit_empty", good().with_header("crit", json!([])), Problem::CriticalExtension),
        ("crit_null", good().with_header("crit", Value::Null), Problem::CriticalExtension),
        (
            "crit_b64",
            good().with_header("b64", false).with_header("crit", json!(["b64"])),
            Problem::CriticalExtension,
        ),
        ("typ_of_an_access_token", good().with_header("typ", "at+jwt"), Problem::WrongType),
        ("typ_of_a_logout_token", good().with_header("typ", "logout+jwt"), Problem::WrongType),
        ("typ_is_a_number", good().with_header("typ", 1), Problem::Malformed { part: "header" }),
        ("kid_is_a_number", good().with_header("kid", 1), Problem::Malformed { part: "header" }),
        (
            "kid_unknown",
            good().with_header("kid", "key-9"),
            Problem::UnknownKey { kid: Some("key-9".into()) },
        ),
        // Issuer.
        ("invalid_iss", good().with("iss", "https://evil.example"), issuer("https://evil.example")),
        ("iss_with_slash", good().with("iss", format!("{ISSUER}/")), issuer(&format!("{ISSUER}/"))),
        ("iss_decoded", good().with("iss", ISSUER.replace("%20", " ")), issuer(&ISSUER.replace("%20", " "))),
        ("iss_array", good().with("iss", json!([ISSUER])), invalid("iss")),
        ("iss_null", good().with("iss", Value::Null), invalid("iss")),
        ("invalid_missing_iss", good().without("iss"), missing("iss")),
        // Audience.
        ("invalid_aud", good().with("aud", "somebody-else"), Problem::AudienceMismatch),
        ("aud_is_a_prefix", good().with("aud", &CLIENT_ID[..4]), Problem::AudienceMismatch),
        ("aud_empty", good().with("aud", json!([])), Problem::AudienceMismatch),
        ("aud_number", good().with("aud", 1), invalid("aud")),
        ("aud_array_with_number", good().with("aud", json!([CLIENT_ID, 1])), invalid("aud")),
        ("missing_aud", good().without("aud"), missing("aud")),
        ("invalid_secondary_aud", good().with("aud", json!([CLIENT_ID, "evil"])), Problem::UntrustedAudience),
        ("azp_of_another", good().with("azp", "somebody-else"), Problem::AuthorizedPartyMismatch),
        ("azp_number", good().with("azp", 1), invalid("azp")),
        (
            "azp_missing_with_two_aud",
            good().with("aud", json!([CLIENT_ID, CLIENT_ID])).without("azp"),
            Problem::AuthorizedPartyMissing,
        ),
        // Subject.
        ("missing_sub", good().without("sub"), missing("sub")),
        ("sub_empty", good().with("sub", ""), invalid("sub")),
        ("sub_number", good().with("sub", 7), invalid("sub")),
        ("sub_256", good().with("sub", "x".repeat(256)), invalid("sub")),
        // Times. The leeway is 30 s.
        ("invalid_expired_exp", good().with("exp", NOW - 3600), Problem::Expired { seconds: 3600 }),
        ("exp_at_the_end_of_leeway", good().with("exp", NOW - 30), Problem::Expired { seconds: 30 }),
        ("invalid_missing_exp", good().without("exp"), missing("exp")),
        ("exp_text", good().with("exp", (NOW + 300).to_string()), invalid("exp")),
        ("exp_negative", good().with("exp", -1), invalid("exp")),
        ("exp_huge", good().with("exp", u64::MAX), invalid("exp")),
        ("exp_huge_float", good().with("exp", 1e300), invalid("exp")),
        ("exp_year_10000", good().with("exp", 253_402_300_800_u64), invalid("exp")),
        ("missing_iat", good().without("iat"), missing("iat")),
        ("iat_text", good().with("iat", "now"), invalid("iat")),
        ("iat_in_the_future", good().with("iat", NOW + 3600), Problem::IssuedInFuture { seconds: 3600 }),
        ("iat_just_beyond_leeway", good().with("iat", NOW + 31), Problem::IssuedInFuture { seconds: 31 }),
        ("nbf_in_the_future", good().with("nbf", NOW + 31), Problem::NotYetValid { seconds: 31 }),
        ("nbf_text", good().with("nbf", "now"), invalid("nbf")),
        // Binding to this login.
        ("nonce_invalid", good().with("nonce", "other"), Problem::NonceMismatch),
        ("invalid_missing_nonce", good().without("nonce"), missing("nonce")),
        ("nonce_array", good().with("nonce", json!(["nonce"])), invalid("nonce")),
        ("invalid_athash", good().with("at_hash", base64url([0; 16])), Problem::AccessTokenMismatch),
        ("at_hash_too_short", good().with("at_hash", ""), Problem::AccessTokenMismatch),
        ("at_hash_number", good().with("at_hash", 1), invalid("at_hash")),
    ];
    for (name, token, expected) in cases {
        assert_eq!(problem(check(token).await), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn what_the_standard_allows_is_taken() {
    let good = Token::good;
    let cases = [
        ("valid_aud_as_array", good().with("aud", json!([CLIENT_ID]))),
        ("azp_absent", good().without("azp")),
        ("typ_absent", good().without_header("typ")),
        ("typ_in_lower_case", good().with_header("typ", "jwt")),
        ("at_hash_absent", good().without("at_hash")),
        ("sub_255", good().with("sub", "x".repeat(255))),
        ("exp_within_leeway", good().with("exp", NOW - 29)),
        ("iat_within_leeway", good().with("iat", NOW + 30)),
        ("nbf_within_leeway", good().with("nbf", NOW + 30)),
        ("exp_float", good().with("exp", f64::from(u32::try_from(NOW).unwrap()) + 0.9)),
        ("iat_long_ago", good().with("iat", NOW - 86_400)),
        ("unknown_header", good().with_header("x5t", "abc")),
        ("kid_absent_single_jwks", good().without_header("kid")),
    ];
    for (name, token) in cases {
        assert_eq!(problem(check(token).await), None, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    let error = check(Token::good().with("iat", NOW + 3600)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ID token was issued 3600 s in the future; is this machine's clock right?"
    );
    assert_eq!(error.code(), "oidc_id_token_issued_in_future");
}

#[tokio::test]
async fn invalid_sig_rs256() {
    let signed_by_another = Token::good().sign_with(&KEYS.other_rsa);
    let good = Token::good().sign();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let other_claims = base64url(Token::good().with("sub", "evil").claims.to_string());
    let header = input.split_once('.').unwrap().0;
    let cases = [
        ("signed_by_another_key", signed_by_another),
        ("no_signature", format!("{input}.")),
        ("short_signature", format!("{input}.{}", &signature[..100])),
        ("other_claims", format!("{header}.{other_claims}.{signature}")),
    ];
    for (name, text) in cases {
        let outcome = check_with(&expectations(), &text, &usual_jwks()).await;
        assert_eq!(problem(outcome), Some(Problem::BadSignature), "{name}");
    }
}

#[tokio::test]
async fn only_the_signature_decides_in_the_end() {
    // The signature is checked before anything that a token says is believed, even for an error.
    let text = Token::good().with("iss", "https://evil.example").sign_with(&KEYS.other_rsa);
    let outcome = check_with(&expectations(), &text, &usual_jwks()).await;
    assert_eq!(problem(outcome), Some(Problem::BadSignature));
}

#[tokio::test]
async fn every_allowed_algorithm_is_checked_by_the_engine() {
    let keys = jwks([
        rsa_jwk(&KEYS.rsa, "rsa"),
        ec_jwk(&KEYS.p256, "P-256", "p256"),
        ec_jwk(&KEYS.p384, "P-384", "p384"),
        ed25519_jwk(&KEYS.ed25519, "ed"),
    ]);
    let cases = [
        ("RS256", "rsa", Algorithm::Rs256),
        ("RS384", "rsa", Algorithm::Rs384),
        ("RS512", "rsa", Algorithm::Rs512),
        ("PS256", "rsa", Algorithm::Ps256),
        ("ES256", "p256", Algorithm::Es256),
        ("ES384", "p384", Algorithm::Es384),
        ("EdDSA", "ed", Algorithm::EdDsa),
        ("Ed25519", "ed", Algorithm::EdDsa),
    ];
    for (name, kid, algorithm) in cases {
        let token = Token::good().with_header("alg", name).with_header("kid", kid).without("at_hash");
        let expectations = expectations().with_algorithms([algorithm]);
        let outcome = check_with(&expectations, &token.sign(), &keys).await;
        assert_eq!(outcome.unwrap().algorithm(), algorithm, "{name}");

        let text = token.sign();
        let (input, _) = text.rsplit_once('.').unwrap();
        let forged = format!("{}.{}", input, base64url([1; 64]));
        let outcome = check_with(&expectations, &forged, &keys).await;
        assert_eq!(problem(outcome), Some(Problem::BadSignature), "{name} forged");
    }
}

#[tokio::test]
async fn at_hash_uses_the_hash_of_the_algorithm() {
    use sha2::{Digest as _, Sha384, Sha512};
    let keys = jwks([
        ec_jwk(&KEYS.p384, "P-384", "p384"),
        ed25519_jwk(&KEYS.ed25519, "ed"),
        rsa_jwk(&KEYS.rsa, "rsa"),
    ]);
    let cases = [
        ("ES384", "p384", Algorithm::Es384, base64url(&Sha384::digest(ACCESS_TOKEN)[..24])),
        ("EdDSA", "ed", Algorithm::EdDsa, base64url(&Sha512::digest(ACCESS_TOKEN)[..32])),
        ("RS512", "rsa", Algorithm::Rs512, base64url(&Sha512::digest(ACCESS_TOKEN)[..32])),
    ];
    for (name, kid, algorithm, hash) in cases {
        let expectations = expectations().with_algorithms([algorithm]);
        let token = Token::good().with_header("alg", name).with_header("kid", kid);
        let outcome = check_with(&expectations, &token.clone().with("at_hash", hash).sign(), &keys).await;
        assert_eq!(problem(outcome), None, "{name}");
        // The hash that belongs to RS256.
        let outcome = check_with(&expectations, &token.sign(), &keys).await;
        assert_eq!(problem(outcome), Some(Problem::AccessTokenMismatch), "{name}");
    }
}

#[tokio::test]
async fn a_trusted_audience_may_stand_beside_the_client() {
    let token = Token::good().with("aud", json!([CLIENT_ID, "account"])).sign();
    let trusting = expectations().with_trusted_audience("account");
    assert_eq!(problem(check_with(&trusting, &token, &usual_jwks()).await), None);
    let other = expectations().with_trusted_audience("other");
    assert_eq!(problem(check_with(&other, &token, &usual_jwks()).await), Some(Problem::UntrustedAudience));
}

#[tokio::test]
async fn max_age_is_proven_by_auth_time() {
    let expectations = expectations().with_max_age(Duration::from_secs(60));
    let cases = [
        (Token::good().with("auth_time", NOW - 60), None),
        (Token::good().with("auth_time", NOW - 90), None),
        (Token::good().with("auth_time", NOW - 91), Some(Problem::AuthenticationTooOld { seconds: 31 })),
        (Token::good().with("auth_time", NOW + 31), Some(Problem::ClaimInvalid { claim: "auth_time" })),
        (Token::good(), Some(Problem::ClaimMissing { claim: "auth_time" })),
    ];
    for (token, expected) in cases {
        assert_eq!(problem(check_with(&expectations, &token.sign(), &usual_jwks()).await), expected);
    }
}

#[tokio::test]
async fn an_acr_that_was_asked_for_is_proven() {
    let expectations = expectations().with_acr_values(["gold", "silver"]);
    let cases = [
        (Token::good().with("acr", "silver"), None),
        (Token::good().with("acr", "bronze"), Some(Problem::AuthenticationContextMismatch)),
        (Token::good(), Some(Problem::ClaimMissing { claim: "acr" })),
    ];
    for (token, expected) in cases {
        assert_eq!(problem(check_with(&expectations, &token.sign(), &usual_jwks()).await), expected);
    }
}

#[tokio::test]
async fn a_wider_leeway_is_one_for_all_times() {
    let token = Token::good().with("exp", NOW - 50).with("iat", NOW + 50).with("nbf", NOW + 50).sign();
    let wide = expectations().with_leeway(Duration::from_secs(60));
    assert_eq!(problem(check_with(&wide, &token, &usual_jwks()).await), None);
    let boundless = expectations().with_leeway(Duration::MAX);
    for (seconds, expected) in [(299, None), (300, Some(Problem::Expired { seconds: 300 }))] {
        let token = Token::good().with("exp", NOW - seconds).sign();
        let outcome = check_with(&boundless, &token, &usual_jwks()).await;
        assert_eq!(problem(outcome), expected, "five minutes at most");
    }
    let none = expectations().with_leeway(Duration::ZERO);
    let token = Token::good().with("exp", NOW).sign();
    let outcome = check_with(&none, &token, &usual_jwks()).await;
    assert_eq!(problem(outcome), Some(Problem::Expired { seconds: 0 }));
}

#[tokio::test]
async fn a_token_that_two_readers_read_differently_is_refused() {
    let claims = Token::good().claims.to_string();
    let twice = claims.replacen('{', r#"{"sub":"evil","#, 1);
    let text = sign_text(r#"{"alg":"RS256","kid":"key-1"}"#, &twice, &KEYS.rsa);
    let outcome = check_with(&expectations(), &text, &usual_jwks()).await;
    assert_eq!(problem(outcome), Some(Problem::DuplicateName { part: "claims" }));

    let text = sign_text(r#"{"alg":"RS256","alg":"none"}"#, &claims, &KEYS.rsa);
    assert_eq!(IdToken::parse(text).unwrap_err(), Problem::DuplicateName { part: "header" });
}

#[test]
fn what_is_no_token_is_told_by_its_part() {
    let cases = [
        ("", Problem::Malformed { part: "form" }),
        ("a.b", Problem::Malformed { part: "form" }),
        ("a.b.c.d", Problem::Malformed { part: "form" }),
        ("e30.e30.e30.e30.e30", Problem::Encrypted),
        ("!.e30.e30", Problem::Malformed { part: "header" }),
        ("W10.e30.e30", Problem::Malformed { part: "header" }),
        ("e30.e30.", Problem::Malformed { part: "header" }),
        ("eyJhbGciOiJSUzI1NiJ9.W10.", Problem::Malformed { part: "claims" }),
        ("eyJhbGciOiJSUzI1NiJ9.e30=.", Problem::Malformed { part: "claims" }),
        ("eyJhbGciOiJSUzI1NiJ9.e30.!", Problem::Malformed { part: "signature" }),
    ];
    for (text, expected) in cases {
        assert_eq!(IdToken::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_token_beyond_64_kib_is_not_read() {
    let text = format!("eyJhbGciOiJSUzI1NiJ9.{}.", "A".repeat(IdToken::LIMIT));
    assert_eq!(IdToken::parse(text).unwrap_err(), Problem::TooLong { limit: 65_536 });
}

#[test]
fn a_token_can_be_looked_at_before_it_is_checked() {
    let token = IdToken::parse(Token::good().sign()).unwrap();
    assert_eq!(token.unverified_expiry(), Some(now() + Duration::from_secs(300)));
    assert_eq!(token.unverified_claim("sub"), Some(&json!("canary-subject")));
    assert_eq!((token.algorithm(), token.key_id()), ("RS256", Some("key-1")));
}
