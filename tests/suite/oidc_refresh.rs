//! New tokens without the person, and what can be done with them.

use std::time::Duration;

use latchkey_oidc_flow::{
    Error, Grant, IdTokenProblem, Introspection, RefusalReason, TokenKind, UserInfoProblem,
};
use latchkey_testbed::{Misbehaviour as Lie, Span};
use latchkey_tests::{Backend, Place, READER, behaviours};
use latchkey_transport::Secret;
use serde_json::json;

use crate::support::{client, tokens};

behaviours! {
    a_refresh_goes_on_with_the_sign_in,
    a_grant_survives_a_restart,
    a_dead_refresh_token_is_the_end_of_the_grant,
    a_wrong_secret_is_not_the_end_of_the_grant,
    a_refresh_token_that_was_given_back_is_dead,
    userinfo_is_about_the_person_who_signed_in,
    userinfo_about_another_than_expected_is_refused,
    an_invented_access_token_gets_no_userinfo,
    #[not_on(Place::Real, "the real provider tells a client only about access tokens that name it in aud")]
    an_access_token_is_worth_something_until_its_session_ends,
    #[not_on(Place::MemoryOpenBao, "the double does not introspect refresh tokens yet")]
    #[not_on(Place::MemoryVault, "the double does not introspect refresh tokens yet")]
    #[not_on(Place::Loopback, "the double does not introspect refresh tokens yet")]
    a_refresh_token_is_worth_something_until_it_is_given_back,
    an_invented_token_is_worth_nothing,
    #[not_on(Place::Real, "the real provider's time is not the test's to advance")]
    #[not_on(Place::Loopback, "the doubles on loopback run by the system's clock")]
    a_grant_that_was_left_too_long_is_over,
    #[not_on(Place::Real, "the real provider does not lie")]
    a_refreshed_token_about_somebody_else_is_refused,
    #[not_on(Place::Real, "the real provider does not lie")]
    userinfo_of_a_lying_provider_is_refused,
}

async fn grant(backend: &Backend) -> Grant {
    tokens(backend, READER).await.grant().unwrap()
}

async fn a_refresh_goes_on_with_the_sign_in(backend: Backend) {
    let client = client(&backend).await;
    let grant = grant(&backend).await;
    let refreshed = client.refresh(&grant, backend.now()).await.unwrap();
    let tokens = refreshed.store(|_| Ok::<_, ()>(())).unwrap();
    let id_token = tokens.id_token.unwrap();
    assert_eq!(id_token.subject(), grant.subject());
    assert_eq!(id_token.claim("preferred_username"), Some(&json!("reader")));
    client.userinfo(&tokens.access_token, grant.subject(), backend.now()).await.unwrap();
    client.refresh(&tokens.grant, backend.now()).await.unwrap().release();
}

async fn a_grant_survives_a_restart(backend: Backend) {
    let stored = serde_json::to_string(&grant(&backend).await).unwrap();
    let client = client(&backend).await;
    let grant: Grant = serde_json::from_str(&stored).unwrap();
    client.refresh(&grant, backend.now()).await.unwrap().release();
}

async fn a_dead_refresh_token_is_the_end_of_the_grant(backend: Backend) {
    let mut stored = serde_json::to_value(grant(&backend).await).unwrap();
    stored["refresh_token"] = json!("invented");
    let grant: Grant = serde_json::from_value(stored).unwrap();
    let error = client(&backend).await.refresh(&grant, backend.now()).await.unwrap_err();
    let Error::GrantOver { refusal: Some(refusal) } = &error else { panic!("{error:?}") };
    assert_eq!(refusal.reason, RefusalReason::InvalidGrant);
}

async fn a_wrong_secret_is_not_the_end_of_the_grant(backend: Backend) {
    let grant = grant(&backend).await;
    let stranger = client(&backend).await.with_secret("wrong");
    let error = stranger.refresh(&grant, backend.now()).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    client(&backend).await.refresh(&grant, backend.now()).await.unwrap().release();
}

async fn a_refresh_token_that_was_given_back_is_dead(backend: Backend) {
    let client = client(&backend).await;
    let grant = grant(&backend).await;
    for _ in 0..2 {
        client.revoke(grant.refresh_token(), TokenKind::Refresh, backend.now()).await.unwrap();
    }
    let error = client.refresh(&grant, backend.now()).await.unwrap_err();
    assert!(matches!(error, Error::GrantOver { .. }), "{error:?}");
}

async fn userinfo_is_about_the_person_who_signed_in(backend: Backend) {
    let client = client(&backend).await;
    let tokens = tokens(&backend, READER).await;
    let subject = tokens.id_token.subject();
    let info = client.userinfo(&tokens.access_token, subject, backend.now()).await.unwrap();
    assert_eq!(info.subject(), subject);
    assert_eq!(info.claim("preferred_username"), Some(&json!("reader")));
    assert!(info.flag("email_verified"));
}

async fn userinfo_about_another_than_expected_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let tokens = tokens(&backend, READER).await;
    let error = client.userinfo(&tokens.access_token, "somebody-else", backend.now()).await.unwrap_err();
    assert!(matches!(error, Error::UserInfo(UserInfoProblem::SubjectMismatch)), "{error:?}");
}

async fn an_invented_access_token_gets_no_userinfo(backend: Backend) {
    let client = client(&backend).await;
    let error = client.userinfo(&Secret::new("invented"), "anybody", backend.now()).await.unwrap_err();
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.reason, RefusalReason::InvalidToken);
}

async fn an_access_token_is_worth_something_until_its_session_ends(backend: Backend) {
    let client = client(&backend).await;
    let tokens = tokens(&backend, READER).await;
    let introspect = || client.introspect(&tokens.access_token, TokenKind::Access, backend.now());
    let Introspection::Active(found) = introspect().await.unwrap() else { panic!("it is dead") };
    assert_eq!(found.subject(), Some(tokens.id_token.subject()));
    assert_eq!(found.client_id(), Some("vault-oidc"));
    assert!(found.expires_at().unwrap() > backend.now());
    assert!(found.scopes().any(|scope| scope == "openid"));
    let grant = tokens.grant().unwrap();
    client.revoke(grant.refresh_token(), TokenKind::Refresh, backend.now()).await.unwrap();
    assert!(matches!(introspect().await.unwrap(), Introspection::Inactive));
}

async fn a_refresh_token_is_worth_something_until_it_is_given_back(backend: Backend) {
    let client = client(&backend).await;
    let grant = grant(&backend).await;
    let introspect = || client.introspect(grant.refresh_token(), TokenKind::Refresh, backend.now());
    let Introspection::Active(found) = introspect().await.unwrap() else { panic!("it is dead") };
    assert_eq!(found.subject(), Some(grant.subject()));
    client.revoke(grant.refresh_token(), TokenKind::Refresh, backend.now()).await.unwrap();
    assert!(matches!(introspect().await.unwrap(), Introspection::Inactive));
}

async fn an_invented_token_is_worth_nothing(backend: Backend) {
    let client = client(&backend).await;
    let outcome = client.introspect(&Secret::new("invented"), TokenKind::Access, backend.now()).await;
    assert!(matches!(outcome, Ok(Introspection::Inactive)), "{outcome:?}");
}

async fn a_grant_that_was_left_too_long_is_over(backend: Backend) {
    let client = client(&backend).await;
    let grant = grant(&backend).await;
    backend.advance(Duration::from_secs(24 * 3600));
    let error = client.refresh(&grant, backend.now()).await.unwrap_err();
    assert!(matches!(error, Error::GrantOver { .. }), "{error:?}");
}

async fn a_refreshed_token_about_somebody_else_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let grant = grant(&backend).await;
    backend.world().provider().misbehave(Lie::RefreshOtherSubject, Span::Once);
    let error = client.refresh(&grant, backend.now()).await.unwrap_err();
    assert!(
        matches!(error, Error::IdToken(IdTokenProblem::NotContinued { claim: "sub" })),
        "refresh-token-invalid-sub: {error:?}"
    );
    backend.world().provider().misbehave(Lie::RefreshOtherIssuer, Span::Once);
    let error = client.refresh(&grant, backend.now()).await.unwrap_err();
    assert!(
        matches!(error, Error::IdToken(IdTokenProblem::IssuerMismatch { .. })),
        "refresh-token-invalid-issuer: {error:?}"
    );
}

async fn userinfo_of_a_lying_provider_is_refused(backend: Backend) {
    let client = client(&backend).await;
    let tokens = tokens(&backend, READER).await;
    backend.world().provider().misbehave(Lie::UserinfoOtherSubject, Span::Once);
    let subject = tokens.id_token.subject();
    let error = client.userinfo(&tokens.access_token, subject, backend.now()).await.unwrap_err();
    assert!(
        matches!(error, Error::UserInfo(UserInfoProblem::SubjectMismatch)),
        "oidcc-client-test-userinfo-invalid-sub: {error:?}"
    );
}
