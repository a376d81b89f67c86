//! The rows with a story of their own.

use std::sync::Arc;
use std::time::Duration;

use latchkey_oidc_flow::{
    Algorithm, Authentication, AwsLc, AwsLcSigner, CallbackParams, Client, Dpop, Error, InitiatedLogin,
    Prompt, Provider, Refreshed, RefreshedTokens, ResponseMode, Tokens,
};
use latchkey_testbed::{Algorithm as Signing, Misbehaviour as Lie};
use latchkey_tests::{Browser, Page};
use latchkey_transport::SystemRandom;
use serde_json::json;
use url::{Url, form_urlencoded};

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

/// Reads the claims that userinfo says somebody else makes: here the provider itself.
async fn claims_of_others(bench: &Bench) {
    let client = bench.client().await.unwrap();
    let done = bench.run_with(&client).await.unwrap();
    let sources = done.info.claim_sources();
    let [source] = &sources[..] else { panic!("{sources:?}") };
    let claims = client.claims_of(source, client.provider(), bench.now()).await.unwrap();
    assert_eq!(claims.claim("credit_score"), Some(&json!(650)));
}

pub(super) async fn takes_aggregated_claims(bench: Bench) -> Verdict {
    bench.misbehave(Lie::AggregatedClaims);
    claims_of_others(&bench).await;
    assert_eq!(bench.asked("/claims"), 0);
    bench.accepted()
}

pub(super) async fn fetches_distributed_claims(bench: Bench) -> Verdict {
    bench.misbehave(Lie::DistributedClaims);
    claims_of_others(&bench).await;
    assert_eq!(bench.asked("/claims"), 1);
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

/// An answer with an ID token beside the code.
async fn refuses_beside_code(bench: Bench, lie: Lie, code: &'static str) -> Verdict {
    let client = bench.client().await.unwrap();
    let wishes = || bench.authorize(&client).with_id_token_in_callback();
    bench.login(&client, wishes()).await.unwrap();
    let redeemed = bench.asked("/token");
    bench.misbehave(lie);
    let error = bench.login(&client, wishes()).await.unwrap_err();
    assert_eq!(bench.asked("/token"), redeemed, "the code was redeemed all the same");
    bench.refused(&error, code)
}

pub(super) async fn refuses_missing_code_hash(bench: Bench) -> Verdict {
    refuses_beside_code(bench, Lie::MissingCodeHash, "oidc_id_token_claim_missing").await
}

pub(super) async fn refuses_other_code_hash(bench: Bench) -> Verdict {
    refuses_beside_code(bench, Lie::OtherCodeHash, "oidc_id_token_c_hash").await
}

/// A signed answer, good and then bad.
async fn refuses_response(bench: Bench, lie: Lie) -> Verdict {
    let client = bench.client().await.unwrap();
    bench.misbehave(lie);
    let wishes = bench.authorize(&client).with_response_mode(ResponseMode::QueryJwt);
    let error = bench.login(&client, wishes).await.unwrap_err();
    let verdict = bench.aborted(&error, "oidc_callback_response");
    bench.world().provider().behave();
    for mode in
        [ResponseMode::QueryJwt, ResponseMode::FragmentJwt, ResponseMode::FormPostJwt, ResponseMode::Jwt]
    {
        bench.login(&client, bench.authorize(&client).with_response_mode(mode)).await.unwrap();
    }
    verdict
}

pub(super) async fn refuses_response_alg_none(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseAlgNone).await
}

pub(super) async fn refuses_response_expired(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseExpired).await
}

pub(super) async fn refuses_response_audience(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseOtherAudience).await
}

pub(super) async fn refuses_response_issuer(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseOtherIssuer).await
}

pub(super) async fn refuses_response_signature(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseBrokenSignature).await
}

pub(super) async fn refuses_response_without_audience(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseMissingAudience).await
}

pub(super) async fn refuses_response_without_expiry(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseMissingExpiry).await
}

pub(super) async fn refuses_response_without_issuer(bench: Bench) -> Verdict {
    refuses_response(bench, Lie::ResponseMissingIssuer).await
}

/// The address that the sign-out page loads in its hidden frame.
fn frame_of(page: &Page) -> Url {
    let source = page.html.split("<iframe src=\"").nth(1).and_then(|rest| rest.split('"').next());
    Url::parse(&source.unwrap_or_else(|| panic!("no frame: {}", page.html)).replace("&amp;", "&")).unwrap()
}

/// Signs in, lets `leave` sign out in the same browser, and reads what the frame then loads.
async fn hear_in_a_frame(bench: &Bench, leave: impl AsyncFn(&Browser, &Client, &Tokens) -> Page) -> Verdict {
    bench.world().provider().tell_sign_outs_in_a_frame("http://localhost:8250/signed-out");
    let client = bench.client().await.unwrap();
    let (login, browser) = (bench.begin(bench.authorize(&client)), bench.browser());
    let answer = bench.answer(&login, &browser).await.unwrap();
    let callback = login.pending.accept(&answer, bench.now()).unwrap();
    let tokens = client.redeem(callback, bench.now()).await.unwrap();
    let page = leave(&browser, &client, &tokens).await;
    let heard = client.front_channel_logout(frame_of(&page).query().unwrap_or_default()).unwrap();
    assert_eq!(heard.issuer(), Some(client.provider().issuer()));
    assert!(heard.ends(&tokens.id_token));
    let other = client.front_channel_logout("iss=https://evil.example.com&sid=1");
    assert!(other.is_err(), "{other:?}");
    Verdict::Did("ended the session")
}

pub(super) async fn hears_of_its_own_logout(bench: Bench) -> Verdict {
    let leave = async |browser: &Browser, client: &Client, tokens: &Tokens| {
        let out = client.end_session().with_id_token(&tokens.id_token).with_redirect_uri(REDIRECT_URI);
        browser.open(&out.begin(&mut SystemRandom).unwrap().url, Some(REDIRECT_URI)).await.unwrap()
    };
    hear_in_a_frame(&bench, leave).await
}

pub(super) async fn hears_of_the_providers_logout(bench: Bench) -> Verdict {
    let leave = async |browser: &Browser, client: &Client, _: &Tokens| {
        let page = format!("{}/protocol/openid-connect/logout", client.provider().issuer()).parse().unwrap();
        let page = browser.open(&page, None).await.unwrap();
        browser.submit(&page, &[], None).await.unwrap()
    };
    hear_in_a_frame(&bench, leave).await
}

pub(super) async fn begins_a_login_for_others(bench: Bench) -> Verdict {
    let client = bench.client().await.unwrap();
    let asked = |issuer: &str| {
        let target = "https://app.example.com/inbox";
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("iss", issuer), ("login_hint", "reader"), ("target_link_uri", target)])
            .finish();
        InitiatedLogin::parse(&query).unwrap()
    };
    assert!(bench.authorize(&client).initiated_by(&asked("https://evil.example.com")).is_err());
    let initiated = asked(client.provider().issuer());
    let own = Url::parse("https://app.example.com/").unwrap();
    assert_eq!(initiated.target_within(&own).unwrap().path(), "/inbox");
    assert_eq!(initiated.target_within(&Url::parse("https://other.example.com/").unwrap()), None);
    let wishes = bench.authorize(&client).initiated_by(&initiated).unwrap();
    let tokens = bench.login(&client, wishes).await.unwrap();
    bench.userinfo(&client, &tokens).await.unwrap();
    bench.accepted()
}

/// A client with a key of its own, beside its secret.
async fn bound(bench: &Bench) -> Client {
    let pem = AwsLcSigner::generate(Algorithm::Es256).unwrap();
    let signer = AwsLcSigner::from_pem(Algorithm::Es256, &pem).unwrap();
    let public_key = signer.public_key().unwrap();
    let dpop = Dpop::new(signer, &public_key, &mut SystemRandom).unwrap();
    bench.client().await.unwrap().with_dpop(dpop)
}

pub(super) async fn binds_tokens_to_a_key(bench: Bench) -> Verdict {
    let done = bench.run_with(&bound(&bench).await).await.unwrap();
    let subject = done.tokens.id_token.subject();
    // Neither without a key nor with another one is the token worth anything.
    for thief in [bound(&bench).await, bench.client().await.unwrap()] {
        let stolen = thief.userinfo(&done.tokens.access_token, subject, bench.now()).await;
        assert!(stolen.is_err(), "{stolen:?}");
    }
    bench.accepted()
}

pub(super) async fn binds_tokens_with_a_nonce(bench: Bench) -> Verdict {
    bench.world().provider().want_dpop_nonce("a-nonce-of-the-provider");
    let client = bound(&bench).await;
    bench.run_with(&client).await.unwrap();
    assert_eq!(bench.asked("/token"), 2, "once to hear of the nonce");
    bench.world().provider().want_dpop_nonce("another-nonce");
    bench.run_with(&client).await.unwrap();
    bench.accepted()
}

pub(super) async fn takes_dpop_in_any_case(bench: Bench) -> Verdict {
    bench.misbehave(Lie::TokenTypeOtherCase);
    bench.run_with(&bound(&bench).await).await.unwrap();
    bench.accepted()
}

pub(super) async fn refreshes_with_the_same_key(bench: Bench) -> Verdict {
    let client = bound(&bench).await;
    let done = bench.run_with(&client).await.unwrap();
    let (subject, grant) = (done.tokens.id_token.subject(), done.tokens.grant().unwrap());
    let stolen = bound(&bench).await.refresh(&grant, bench.now()).await;
    assert!(stolen.is_err(), "{stolen:?}");
    let refreshed = client.refresh(&grant, bench.now()).await.unwrap().release();
    client.userinfo(&refreshed.access_token, subject, bench.now()).await.unwrap();
    bench.accepted()
}
