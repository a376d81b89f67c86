//! Signing in at the provider.

use std::time::Duration;

use latchkey_oidc_flow::{
    Authentication, CallbackParams, CallbackProblem, Error, IdTokenProblem, RefusalReason, StateCheck,
};
use latchkey_testbed::{Consent, Misbehaviour as Lie, Span};
use latchkey_tests::{Backend, MANAGEMENT, Place, READER, User, behaviours};
use latchkey_transport::Secret;
use serde_json::json;

use crate::support::{begin, begin_oob, callback, client, page, pasted, tokens, tokens_at, validated};

behaviours! {
    a_sign_in_ends_in_verified_tokens,
    roles_are_in_the_token_as_the_provider_nests_them,
    a_client_may_send_its_secret_in_the_form,
    a_wrong_client_secret_is_refused,
    a_wrong_password_shows_the_form_again,
    a_forged_state_costs_the_login_nothing,
    a_callback_for_another_login_is_refused,
    a_callback_with_a_parameter_twice_is_refused,
    a_callback_from_another_issuer_is_refused,
    a_callback_without_the_announced_issuer_is_refused,
    a_code_works_once,
    a_code_needs_the_verifier_of_its_login,
    a_clock_an_hour_behind_is_suspected,
    a_clock_an_hour_ahead_is_suspected,
    a_pending_login_survives_a_restart,
    a_pasted_code_signs_in,
    a_pasted_address_signs_in_and_its_state_counts,
    a_pasted_address_of_another_login_is_refused,
    a_login_expires_after_ten_minutes,
    #[not_on(Place::Real, "the real provider asks for no consent in this realm")]
    a_person_may_refuse,
    #[not_on(Place::Real, "the real provider does not lie")]
    the_lies_of_a_provider_about_callbacks_are_seen,
    #[not_on(Place::Real, "the real provider does not lie")]
    what_is_odd_but_allowed_is_accepted,
    #[not_on(Place::Real, "the real provider's keys are not the test's to rotate")]
    a_rotated_key_is_fetched_at_once,
}

async fn a_sign_in_ends_in_verified_tokens(backend: Backend) {
    let tokens = tokens(&backend, READER).await;
    let id_token = &tokens.id_token;
    assert_eq!(id_token.claim("preferred_username"), Some(&json!("reader")));
    assert_eq!(id_token.claim("iss"), Some(&json!(backend.issuer)));
    assert!(tokens.refresh_token.is_some());
    assert!(tokens.scopes.iter().any(|scope| scope == "openid"), "{:?}", tokens.scopes);
    let life = tokens.expires_at.unwrap().duration_since(backend.now()).unwrap();
    assert!(life > Duration::from_secs(30) && life <= Duration::from_secs(3600), "{life:?}");
}

async fn roles_are_in_the_token_as_the_provider_nests_them(backend: Backend) {
    let tokens = tokens(&backend, MANAGEMENT).await;
    let mut roles: Vec<String> = serde_json::from_value(
        tokens.id_token.claim("resource_access").unwrap()["vault-oidc"]["roles"].clone(),
    )
    .unwrap();
    roles.sort();
    assert_eq!(roles, ["management", "reader"]);
}

async fn a_client_may_send_its_secret_in_the_form(backend: Backend) {
    let secret = Authentication::SecretPost(backend.client_secret.clone());
    let client = client(&backend).await.with_authentication(secret);
    let callback = validated(&backend, &client, READER).await;
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_wrong_client_secret_is_refused(backend: Backend) {
    let client = client(&backend).await.with_secret(Secret::new("not it"));
    let callback = validated(&backend, &client, READER).await;
    let error = client.redeem(callback, backend.now()).await.unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    let expected = [RefusalReason::UnauthorizedClient, RefusalReason::InvalidClient];
    assert!(expected.contains(&refusal.reason), "{refusal:?}");
    assert!(!error.is_transient());
}

async fn a_wrong_password_shows_the_form_again(backend: Backend) {
    let login = begin(&backend, &client(&backend).await);
    let page = page(&backend, &login, User { name: "reader", password: "wrong" }).await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("name=\"password\""), "the form again");
    assert_eq!(page.parameter("code"), None);
}

async fn a_forged_state_costs_the_login_nothing(backend: Backend) {
    let client = client(&backend).await;
    let login = begin(&backend, &client);
    let forged = CallbackParams::parse("code=forged&state=forged").unwrap();
    assert!(!login.pending.matches(&forged));
    let genuine = callback(&backend, &login, READER).await;
    assert!(login.pending.matches(&genuine));
    let callback = login.pending.accept(&genuine, backend.now()).unwrap();
    assert_eq!(callback.state_check(), StateCheck::Verified);
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_callback_for_another_login_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let (mine, other) = (begin(&backend, &client), begin(&backend, &client));
    let callback = callback(&backend, &other, READER).await;
    let outcome = mine.pending.accept(&callback, backend.now());
    assert!(matches!(outcome, Err(Error::Callback(CallbackProblem::StateMismatch))), "{outcome:?}");
}

async fn a_callback_with_a_parameter_twice_is_refused(backend: Backend) {
    let login = begin(&backend, &client(&backend).await);
    let mut address = page(&backend, &login, READER).await.address;
    address.query_pairs_mut().append_pair("code", "another");
    let outcome = CallbackParams::from_address(address.as_str());
    assert!(matches!(outcome, Err(CallbackProblem::DuplicateParameter { .. })), "{outcome:?}");
}

async fn a_callback_from_another_issuer_is_refused(backend: Backend) {
    let login = begin(&backend, &client(&backend).await);
    let address = page(&backend, &login, READER).await.address.to_string();
    let address = address.replace("HashiCorp", "Elsewhere");
    let callback = CallbackParams::from_address(&address).unwrap();
    let outcome = login.pending.accept(&callback, backend.now());
    assert!(matches!(outcome, Err(Error::Callback(CallbackProblem::IssuerMismatch { .. }))), "{outcome:?}");
}

async fn a_callback_without_the_announced_issuer_is_refused(backend: Backend) {
    let login = begin(&backend, &client(&backend).await);
    let mut address = page(&backend, &login, READER).await.address;
    let kept: Vec<(String, String)> =
        address.query_pairs().filter(|(name, _)| name != "iss").map(|(a, b)| (a.into(), b.into())).collect();
    address.query_pairs_mut().clear().extend_pairs(kept);
    let callback = CallbackParams::from_address(address.as_str()).unwrap();
    let outcome = login.pending.accept(&callback, backend.now());
    assert!(matches!(outcome, Err(Error::Callback(CallbackProblem::IssuerMissing))), "{outcome:?}");
}

async fn a_code_works_once(backend: Backend) {
    let client = client(&backend).await;
    let login = begin(&backend, &client);
    // A stored login is the only way to a second attempt: its store forgot to remove it.
    let stored = serde_json::to_string(&login.pending).unwrap();
    let params = callback(&backend, &login, READER).await;
    let callback = login.pending.accept(&params, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
    let again: latchkey_oidc_flow::Pending = serde_json::from_str(&stored).unwrap();
    let callback = again.accept(&params, backend.now()).unwrap();
    let error = client.redeem(callback, backend.now()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.reason == RefusalReason::InvalidGrant),
        "{error:?}"
    );
}

async fn a_code_needs_the_verifier_of_its_login(backend: Backend) {
    let client = client(&backend).await;
    let (mine, other) = (begin_oob(&backend, &client), begin_oob(&backend, &client));
    // Somebody pastes the code of another login, such as an attacker's: PKCE refuses it at the provider.
    let page = backend.sign_in(&other.url, READER, "none:").await.unwrap();
    let code = pasted(&page.parameter("code").unwrap());
    let callback = mine.pending.accept_pasted(&code, backend.now()).unwrap();
    let error = client.redeem(callback, backend.now()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.reason == RefusalReason::InvalidGrant),
        "{error:?}"
    );
}

async fn a_clock_an_hour_behind_is_suspected(backend: Backend) {
    let now = backend.now() - Duration::from_secs(3600);
    let error = tokens_at(&backend, READER, now).await.unwrap_err();
    let Error::IdToken(IdTokenProblem::IssuedInFuture { seconds }) = error else { panic!("{error:?}") };
    assert!((3590..=3700).contains(&seconds), "{seconds}");
    let expected =
        format!("the ID token was issued {seconds} s in the future; is this machine's clock right?");
    assert!(IdTokenProblem::IssuedInFuture { seconds }.to_string() == expected);
}

async fn a_clock_an_hour_ahead_is_suspected(backend: Backend) {
    let now = backend.now() + Duration::from_secs(3600);
    let error = tokens_at(&backend, READER, now).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenProblem::Expired { .. })), "{error:?}");
}

async fn a_pending_login_survives_a_restart(backend: Backend) {
    let client = client(&backend).await;
    let login = begin(&backend, &client);
    let params = callback(&backend, &login, READER).await;
    let stored = serde_json::to_string(&login.pending).unwrap();
    drop(login);
    let pending: latchkey_oidc_flow::Pending = serde_json::from_str(&stored).unwrap();
    let callback = pending.accept(&params, backend.now()).unwrap();
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_pasted_code_signs_in(backend: Backend) {
    let client = client(&backend).await;
    let login = begin_oob(&backend, &client);
    let page = backend.sign_in(&login.url, READER, "none:").await.unwrap();
    let code = page.input("code").expect("the page shows the code");
    let callback = login.pending.accept_pasted(&pasted(&format!(" {code}\n")), backend.now()).unwrap();
    assert_eq!(callback.state_check(), StateCheck::Unavailable);
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_pasted_address_signs_in_and_its_state_counts(backend: Backend) {
    let client = client(&backend).await;
    let login = begin_oob(&backend, &client);
    let page = backend.sign_in(&login.url, READER, "none:").await.unwrap();
    let callback = login.pending.accept_pasted(&pasted(page.address.as_str()), backend.now()).unwrap();
    assert_eq!(callback.state_check(), StateCheck::Verified);
    client.redeem(callback, backend.now()).await.unwrap();
}

async fn a_pasted_address_of_another_login_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let (mine, other) = (begin_oob(&backend, &client), begin_oob(&backend, &client));
    let page = backend.sign_in(&other.url, READER, "none:").await.unwrap();
    let address = pasted(page.address.as_str());
    assert!(!mine.pending.matches_pasted(&address));
    let outcome = mine.pending.accept_pasted(&address, backend.now());
    assert!(matches!(outcome, Err(Error::Callback(CallbackProblem::StateMismatch))), "{outcome:?}");
}

async fn a_login_expires_after_ten_minutes(backend: Backend) {
    let client = client(&backend).await;
    let (early, late) = (begin(&backend, &client), begin(&backend, &client));
    let callbacks = (callback(&backend, &early, READER).await, callback(&backend, &late, READER).await);
    let at = |seconds| backend.now() + Duration::from_secs(seconds);
    assert!(early.pending.accept(&callbacks.0, at(590)).is_ok());
    let outcome = late.pending.accept(&callbacks.1, at(601));
    assert!(matches!(outcome, Err(Error::LoginExpired { .. })), "{outcome:?}");
}

async fn a_person_may_refuse(backend: Backend) {
    let client = client(&backend).await;
    let login = begin(&backend, &client);
    backend.world().provider().set_consent(Consent::Refused);
    let params = callback(&backend, &login, READER).await;
    let error = login.pending.accept(&params, backend.now()).unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refusal) if refusal.reason == RefusalReason::AccessDenied),
        "{error:?}"
    );
}

async fn the_lies_of_a_provider_about_callbacks_are_seen(backend: Backend) {
    let client = client(&backend).await;
    for (lie, problem) in [
        (Lie::CallbackIssuerMissing, "oidc_callback_issuer_missing"),
        (Lie::CallbackIssuerOther, "oidc_callback_issuer_mismatch"),
        (Lie::CallbackStateMissing, "oidc_callback_state_missing"),
        (Lie::CallbackStateOther, "oidc_callback_state_mismatch"),
        (Lie::CallbackCodeTwice, "oidc_callback_duplicate_parameter"),
    ] {
        let login = begin(&backend, &client);
        backend.world().provider().misbehave(lie, Span::Once);
        let address = page(&backend, &login, READER).await.address;
        let outcome = CallbackParams::from_address(address.as_str())
            .map_err(Error::from)
            .and_then(|params| login.pending.accept(&params, backend.now()));
        assert_eq!(outcome.unwrap_err().code(), problem, "{lie:?}");
    }
}

async fn what_is_odd_but_allowed_is_accepted(backend: Backend) {
    for oddity in
        [Lie::TokenTypeOtherCase, Lie::NoExpiresIn, Lie::AudienceAsList, Lie::NoKeyId, Lie::NoCallbackIssuer]
    {
        backend.world().provider().misbehave(oddity, Span::Always);
        let outcome = tokens_at(&backend, READER, backend.now()).await;
        assert!(outcome.is_ok(), "{oddity:?}: {outcome:?}");
        backend.world().provider().behave();
    }
}

async fn a_rotated_key_is_fetched_at_once(backend: Backend) {
    let client = client(&backend).await;
    let before = validated(&backend, &client, READER).await;
    client.redeem(before, backend.now()).await.unwrap();
    backend.world().provider().rotate_keys();
    let after = validated(&backend, &client, READER).await;
    client.redeem(after, backend.now()).await.unwrap();
}
