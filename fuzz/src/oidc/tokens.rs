//! Tokens: the whole, the header, the claims.

use latchkey_oidc_flow::{CallbackParams, Error, Expectations, IdToken, VerifiedIdToken};
use latchkey_transport::Secret;
use serde_json::Value;
use url::form_urlencoded;

use super::{
    CLIENT, ISSUER, NOW, SECRET, done, expect_discreet, expect_quiet, expect_sound, now, pending,
    trusting_client,
};

/// A token as it travels.
///
/// What is read is what came, and nothing of it is believed.
pub(super) fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let token = match IdToken::parse(&*text) {
        Ok(token) => token,
        Err(problem) => return expect_sound(&problem.into()),
    };
    assert!(text.len() <= IdToken::LIMIT && token.as_secret().is_same_as(&text));
    assert_eq!(text.split('.').count(), 3);
    expect_quiet(&token);
    token.unverified_expiry();
    let client = trusting_client();
    if let Err(error) = done(client.provider().verify(token, client.expectations(), None, now())) {
        expect_sound(&error);
    }
}

/// The header of a token: what a JSON parser finds there decides, and only what was allowed is taken.
pub(super) fn header(bytes: &[u8]) {
    let token = match IdToken::parse(compact(bytes, b"{}")) {
        Ok(token) => token,
        Err(problem) => return expect_sound(&problem.into()),
    };
    let found: Value = serde_json::from_slice(bytes).unwrap_or_default();
    assert_eq!(found.get("alg").and_then(Value::as_str), Some(token.algorithm()));
    assert_eq!(found.get("kid").and_then(Value::as_str), token.key_id());
    match Expectations::new(ISSUER, CLIENT).check_header(&token) {
        Ok(algorithm) => {
            assert_eq!(algorithm.name(), "RS256");
            assert!(token.algorithm() == "RS256" && found.get("crit").is_none());
            let media_type = found.get("typ").and_then(Value::as_str);
            assert!(media_type.is_none_or(|name| name.eq_ignore_ascii_case("jwt")));
        }
        Err(problem) => expect_sound(&problem.into()),
    }
}

/// Claims, signed by whoever signs everything.
///
/// What is taken says what an ID token must say, read by another parser.
pub(super) fn claims(bytes: &[u8]) {
    let client = trusting_client();
    let expectations = client.expectations().clone().with_nonce(SECRET.into());
    let outcome = signed(bytes).and_then(|token| {
        done(client.provider().verify(token, &expectations, Some(&Secret::new("access-token")), now()))
    });
    let token: VerifiedIdToken = match outcome {
        Ok(token) => token,
        Err(error) => return expect_sound(&error),
    };
    expect_quiet(&token);
    let found: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |name: &str| found.get(name).and_then(Value::as_str);
    let number = |name: &str| found.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    assert_eq!((text("iss"), text("nonce")), (Some(ISSUER), Some(SECRET)));
    assert!(is_for_us(&found) && text("azp").is_none_or(|party| party == CLIENT));
    assert!(text("sub").is_some_and(|subject| subject == token.subject() && !subject.is_empty()));
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century fit")]
    let now = NOW as f64;
    assert!(number("exp") > now - 31.0 && number("iat") < now + 31.0);
    for source in token.claim_sources() {
        expect_quiet(&source);
        let outcome = done(client.claims_of(&source, client.provider(), super::now()));
        outcome.err().iter().for_each(expect_sound);
    }
}

/// The claims of a logout token, signed by whoever signs everything; and the form around it.
pub(super) fn logout_token(bytes: &[u8]) {
    let client = trusting_client();
    if let Err(error) = done(client.back_channel_logout(bytes, now())) {
        expect_sound(&error);
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", &compact(br#"{"alg":"RS256"}"#, bytes))
        .finish();
    let logout = match done(client.back_channel_logout(form.as_bytes(), now())) {
        Ok(logout) => logout,
        Err(error) => return expect_sound(&error),
    };
    expect_quiet(&logout);
    let found: Value = serde_json::from_slice(bytes).unwrap_or_default();
    assert_eq!(found.get("iss").and_then(Value::as_str), Some(ISSUER));
    assert!(is_for_us(&found) && found.get("nonce").is_none());
    assert!(logout.subject().is_some() || logout.session_id().is_some());
    let event = "http://schemas.openid.net/event/backchannel-logout";
    assert!(found.get("events").and_then(|events| events.get(event)).is_some_and(Value::is_object));
}

/// The claims of a signed answer to a login (JARM).
pub(super) fn signed_answer(bytes: &[u8]) {
    let client = trusting_client();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("state", SECRET)
        .append_pair("response", &compact(br#"{"alg":"RS256"}"#, bytes))
        .finish();
    let Ok(params) = CallbackParams::parse(&query) else { return };
    let params = match done(client.open(params, now())) {
        Ok(params) => params,
        Err(error) => return expect_discreet(&error),
    };
    expect_quiet(&params);
    let found: Value = serde_json::from_slice(bytes).unwrap_or_default();
    assert!(params.is_signed() && params.issuer() == Some(ISSUER) && is_for_us(&found));
    match pending().accept(&params, now()) {
        Ok(_) => assert_eq!(found.get("state").and_then(Value::as_str), Some(SECRET)),
        Err(error) => expect_discreet(&error),
    }
}

fn signed(claims: &[u8]) -> Result<IdToken, Error> {
    Ok(IdToken::parse(compact(br#"{"alg":"RS256"}"#, claims))?)
}

/// A token with that header and these claims.
pub(super) fn compact(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}.c2lnbmF0dXJl", base64url(header), base64url(claims))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn is_for_us(claims: &Value) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == CLIENT,
        Some(Value::Array(audiences)) => !audiences.is_empty() && audiences.iter().all(|this| this == CLIENT),
        _ => false,
    }
}
