//! The rows with a story of their own.

use std::sync::Arc;
use std::time::Duration;

use latchkey_oidc_flow::{
    Algorithm, Authentication, AwsLc, CallbackParams, Client, Error, IdToken, Prompt, Provider, Refreshed,
    RefreshedTokens, ResponseMode,
};
use latchkey_testbed::{Algorithm as Signing, Misbehaviour as Lie};
use latchkey_transport::{Method, Request, Secret, SystemRandom, Transport};
use serde_json::json;
use url::Url;

use super::Verdict;
use super::bench::{Bench, REDIRECT_URI};

pub(super) async fn signs_in(bench: Bench) -> Verdict {
    let done = bench.run().await.unwrap();
    assert_eq!(done.tokens.id_token.claim("preferred_username"), Some(&json!("reader")));
    assert_eq!(bench.asked("/.well-known/openid-configuration"), 1);
    bench.accepted()
}

pub(super) async fn tries_all_keys_without_kid(bench: Bench) -> Verdict {
    // The key that signs is the second of two that fit.
    bench.world().provider().rotate_keys();
    bench.accepts(Lie::NoKeyId).await
}

pub(super) async fn accepts_rs256(bench: Bench) -> Verdict {
    let done = bench.run().await.unwrap();
    assert_eq!(done.tokens.id_token.algorithm(), Algorithm::Rs256);
    bench.accepted()
}

pub(super) async fn refuses_userinfo_about_another(bench: Bench) -> Verdict {
    bench.misbehave(Lie::UserinfoOtherSubject);
    let Err(error) = bench.run().await else { panic!("it was accepted") };
    assert_eq!(error.code(), "oidc_userinfo_subject", "{error:?}");
    Verdict::Refused("oidc_userinfo_subject")
}

pub(super) async fn uses_claims_of_scopes(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    let plain = bench.run_with(&client).await.unwrap();
    assert_eq!((plain.info.claim("phone_number"), plain.info.claim("address")), (None, None));
    let authorize = bench.authorize(&client).with_scope("phone address");
    let tokens = bench.login(&client, authorize).await.unwrap();
    let info = bench.userinfo(&client, &tokens).await.unwrap();
    for (claim, value) in [
        ("name", json!("reader Example")),
        ("email", json!("reader@example.com")),
        ("phone_number", json!("+1 555 0100")),
        ("address", json!({"country": "US"})),
    ] {
        assert_eq!(info.claim(claim), Some(&value), "{claim}");
    }
    assert!(info.flag("email_verified"));
    bench.accepted()
}

pub(super) async fn sends_the_secret_in_the_header(bench: Bench) -> Verdict {
    bench.world().provider().take_clients_by(&["client_secret_basic"]);
    bench.run().await.unwrap();
    bench.accepted()
}

pub(super) async fn fetches_keys_where_they_are(bench: Bench) -> Verdict {
    bench.world().provider().move_keys();
    bench.run().await.unwrap();
    assert_eq!(bench.asked("/certs"), 0, "the usual address was asked");
    bench.accepted()
}

pub(super) async fn follows_a_rotation(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    bench.run_with(&client).await.unwrap();
    bench.world().provider().rotate_keys();
    bench.world().provider().forget_old_keys();
    bench.run_with(&client).await.unwrap();
    assert_eq!(bench.asked("/certs"), 2);
    bench.accepted()
}

pub(super) async fn follows_a_rotation_before_signing(bench: Bench) -> Verdict {
    bench.misbehave(Lie::KeyChangedBeforeSigning);
    let client = bench.client().await.unwrap();
    // With every login a new key: the keys were fetched a moment ago each time.
    for _ in 0..2 {
        bench.run_with(&client).await.unwrap();
    }
    assert_eq!(bench.asked("/certs"), 3, "once before, and once for each key that was not known");
    bench.accepted()
}

async fn refresh(bench: &Bench) -> (Client, Result<RefreshedTokens, Error>) {
    let client = bench.client().await.unwrap();
    let tokens = bench.login(&client, bench.authorize(&client)).await.unwrap();
    let refreshed = client.refresh(&tokens.grant().unwrap(), bench.now()).await;
    (client, refreshed.map(Refreshed::release))
}

pub(super) async fn refreshes(bench: Bench) -> Verdict {
    let (client, tokens) = refresh(&bench).await;
    let tokens = tokens.unwrap();
    let subject = tokens.id_token.unwrap().subject().to_owned();
    client.userinfo(&tokens.access_token, &subject, bench.now()).await.unwrap();
    bench.accepted()
}

async fn refuses_refreshed(bench: Bench, lie: Lie, code: &'static str) -> Verdict {
    bench.misbehave(lie);
    let (_, tokens) = refresh(&bench).await;
    bench.refused(&tokens.unwrap_err(), code)
}

pub(super) async fn refuses_refreshed_issuer(bench: Bench) -> Verdict {
    refuses_refreshed(bench, Lie::RefreshOtherIssuer, "oidc_id_token_issuer").await
}

pub(super) async fn refuses_refreshed_subject(bench: Bench) -> Verdict {
    refuses_refreshed(bench, Lie::RefreshOtherSubject, "oidc_id_token_not_continued").await
}

pub(super) async fn refuses_refreshed_audience(bench: Bench) -> Verdict {
    refuses_refreshed(bench, Lie::RefreshOtherAudience, "oidc_id_token_audience").await
}

pub(super) async fn refuses_refreshed_party(bench: Bench) -> Verdict {
    refuses_refreshed(bench, Lie::RefreshOtherAuthorizedParty, "oidc_id_token_azp").await
}

pub(super) async fn refuses_broken_es256(bench: Bench) -> Verdict {
    bench.world().provider().sign_with(Signing::Es256);
    let client = bench.client().await.unwrap().with_algorithms([Algorithm::Es256]);
    bench.login(&client, bench.authorize(&client)).await.unwrap();
    bench.misbehave(Lie::BrokenSignature);
    let error = bench.login(&client, bench.authorize(&client)).await.unwrap_err();
    bench.refused(&error, "oidc_id_token_signature")
}

pub(super) async fn checks_signed_userinfo(bench: Bench) -> Verdict {
    bench.world().provider().set_signed_userinfo(true);
    let done = bench.run().await.unwrap();
    assert!(done.info.is_signed());
    bench.accepted()
}

pub(super) async fn takes_aggregated_claims(bench: Bench) -> Verdict {
    bench.misbehave(Lie::AggregatedClaims);
    let done = bench.run().await.unwrap();
    let source = done.info.claim("_claim_names").unwrap()["credit_score"].as_str().unwrap();
    let token = done.info.claim("_claim_sources").unwrap()[source]["JWT"].as_str().unwrap();
    let claims = IdToken::parse(token).unwrap();
    assert_eq!(claims.unverified_claim("credit_score"), Some(&json!(650)));
    bench.accepted()
}

pub(super) async fn fetches_distributed_claims(bench: Bench) -> Verdict {
    bench.misbehave(Lie::DistributedClaims);
    let done = bench.run().await.unwrap();
    let source = done.info.claim("_claim_names").unwrap()["credit_score"].as_str().unwrap();
    let source = &done.info.claim("_claim_sources").unwrap()[source];
    let endpoint = Url::parse(source["endpoint"].as_str().unwrap()).unwrap();
    let bearer = format!("Bearer {}", source["access_token"].as_str().unwrap());
    let request =
        Request::for_url(Method::Get, endpoint).with_secret_header("authorization", Secret::new(bearer));
    let reply = bench.transport().send(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let claims = IdToken::parse(str::from_utf8(reply.body()).unwrap()).unwrap();
    assert_eq!(claims.unverified_claim("credit_score"), Some(&json!(650)));
    bench.accepted()
}

pub(super) async fn uses_addresses_for_certificates(bench: Bench) -> Verdict {
    bench.misbehave(Lie::CertificateAddresses);
    bench.run().await.unwrap();
    assert_eq!(bench.asked("/mtls/protocol/openid-connect/token"), 0, "there is no certificate");
    let metadata = bench.client().await.unwrap().provider().metadata().clone().with_mtls_aliases();
    let provider = Provider::new(metadata, bench.transport(), Arc::new(AwsLc::default()));
    let client = Client::new(provider, "vault-oidc").with_authentication(Authentication::Certificate);
    bench.run_with(&client).await.unwrap();
    assert_eq!(bench.asked("/mtls/protocol/openid-connect/token"), 1);
    assert_eq!(bench.asked("/mtls/protocol/openid-connect/userinfo"), 1);
    bench.accepted()
}

pub(super) async fn understands_a_posted_error(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    let authorize = bench
        .authorize(&client)
        .with_response_mode(ResponseMode::FormPost)
        .with_prompt(Prompt::None)
        .with_max_age(Duration::ZERO);
    let error = bench.login(&client, authorize).await.unwrap_err();
    bench.refused(&error, "oidc_login_required")
}

pub(super) async fn sends_a_nonce(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let login = bench.begin(bench.authorize(&client));
        let (_, nonce) = login.url.query_pairs().find(|(name, _)| name == "nonce").unwrap();
        nonces.push(nonce.into_owned());
    }
    assert!(nonces[0].len() >= 43 && nonces[0] != nonces[1], "{nonces:?}");
    bench.run().await.unwrap();
    bench.accepted()
}

/// Signs out in the browser that was signed in, and reads what it brings back.
async fn sign_out(bench: &Bench) -> Result<(), Error> {
    let client = bench.client().await.unwrap();
    let (login, browser) = (bench.begin(bench.authorize(&client)), bench.browser());
    let answer = bench.answer(&login, &browser).await.unwrap();
    let callback = login.pending.accept(&answer, bench.now()).unwrap();
    let tokens = client.redeem(callback, bench.now()).await.unwrap();
    let out = client.end_session().with_id_token(&tokens.id_token).with_redirect_uri(REDIRECT_URI);
    let out = out.begin(&mut SystemRandom).unwrap();
    let page = browser.open(&out.url, Some(REDIRECT_URI)).await.unwrap();
    let back = CallbackParams::from_address(page.address.as_str()).unwrap();
    let known = out.pending.unwrap().accept(&back);
    let over = client.refresh(&tokens.grant().unwrap(), bench.now()).await.unwrap_err();
    assert_eq!(over.code(), "oidc_grant_over", "the session has ended in any case");
    known
}

pub(super) async fn signs_out(bench: Bench) -> Verdict {
    sign_out(&bench).await.unwrap();
    Verdict::Did("signed out, and back with its state")
}

pub(super) async fn sees_another_state_of_a_logout(bench: Bench) -> Verdict {
    bench.misbehave(Lie::LogoutStateOther);
    let error = sign_out(&bench).await.unwrap_err();
    bench.refused(&error, "oidc_callback_state_mismatch")
}

pub(super) async fn sees_a_missing_state_of_a_logout(bench: Bench) -> Verdict {
    bench.misbehave(Lie::LogoutStateMissing);
    let error = sign_out(&bench).await.unwrap_err();
    bench.refused(&error, "oidc_callback_state_missing")
}

/// Ends the session at the provider, and hands the logout token to the client as its address would.
async fn hear_of_logout(bench: &Bench) -> Result<(), Error> {
    let client = bench.client().await.unwrap();
    let tokens = bench.login(&client, bench.authorize(&client)).await.unwrap();
    bench.world().provider().end_sessions();
    let [delivery] = &bench.world().provider().take_logout_deliveries()[..] else { panic!("one delivery") };
    let token = client.back_channel_logout(&delivery.request().body, bench.now()).await?;
    assert!(token.ends(&tokens.id_token));
    Ok(())
}

pub(super) async fn accepts_a_logout_token(bench: Bench) -> Verdict {
    hear_of_logout(&bench).await.unwrap();
    Verdict::Did("ended the session: 200")
}

async fn refuses_logout(bench: Bench, lie: Lie, code: &'static str) -> Verdict {
    bench.misbehave(lie);
    let error = hear_of_logout(&bench).await.unwrap_err();
    bench.refused(&error, code)
}

pub(super) async fn refuses_logout_alg_none(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutAlgNone, "oidc_logout_token").await
}

pub(super) async fn refuses_logout_alg(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutOtherAlg, "oidc_logout_token").await
}

pub(super) async fn refuses_logout_issuer(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutOtherIssuer, "oidc_logout_token").await
}

pub(super) async fn refuses_logout_audience(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutOtherAudience, "oidc_logout_token").await
}

pub(super) async fn refuses_logout_without_event(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutWithoutEvent, "oidc_logout_token_event").await
}

pub(super) async fn refuses_logout_of_another_event(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutOtherEvent, "oidc_logout_token_event").await
}

pub(super) async fn refuses_logout_with_nonce(bench: Bench) -> Verdict {
    refuses_logout(bench, Lie::LogoutWithNonce, "oidc_logout_token_nonce").await
}

pub(super) async fn refuses_secondary_audiences(bench: Bench) -> Verdict {
    // Two ways to be wrong: somebody else whom nobody trusts, and two whom somebody trusts without saying who asked.
    let client = bench.client().await.unwrap();
    bench.misbehave(Lie::ExtraAudience);
    let untrusted = bench.login(&client, bench.authorize(&client)).await.unwrap_err();
    bench.world().provider().behave();
    bench.misbehave(Lie::ExtraAudienceWithoutParty);
    let trusting = client.with_trusted_audience("somebody-else");
    let error = bench.login(&trusting, bench.authorize(&trusting)).await.unwrap_err();
    assert_eq!(error.code(), "oidc_id_token_azp_missing");
    bench.refused(&untrusted, "oidc_id_token_untrusted_audience")
}

pub(super) async fn refuses_other_algorithms(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    // A good signature each time, and the confusions of keys besides.
    for signing in [Signing::Ps256, Signing::Es256, Signing::EdDsa] {
        bench.world().provider().sign_with(signing);
        let error = bench.login(&client, bench.authorize(&client)).await.unwrap_err();
        assert_eq!(error.code(), "oidc_id_token_algorithm", "{signing:?}");
    }
    for lie in [Lie::AlgHs256WithPublicKey, Lie::AlgHs256WithSecret] {
        bench.world().provider().behave();
        bench.misbehave(lie);
        let error = bench.login(&client, bench.authorize(&client)).await.unwrap_err();
        assert_eq!(error.code(), "oidc_id_token_algorithm", "{lie:?}");
    }
    let error = bench.login(&client, bench.authorize(&client)).await.unwrap_err();
    bench.refused(&error, "oidc_id_token_algorithm")
}
