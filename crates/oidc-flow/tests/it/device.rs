//! Signing in on another device.

use std::time::{Duration, SystemTime};

use latchkey_oidc_flow::{
    Client, DeviceAnswer, DeviceLogin, DeviceProgress, DeviceStep, Error, IdTokenProblem, Misuse,
    RefusalReason,
};
use latchkey_transport::Reply;
use serde_json::{Value, json};

use crate::support::{
    CLIENT_ID, Script, Token, after, client, last_form, lost, merge, now, provider, token_reply, usual_jwks,
    value,
};

fn codes(changes: &Value) -> String {
    let mut codes = json!({
        "device_code": "canary-device", "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/go",
        "verification_uri_complete": "https://id.example/go?user_code=WDJB-MJHT", "expires_in": 60, "interval": 5,
    });
    merge(&mut codes, changes);
    codes.to_string()
}

fn script(changes: &Value) -> Script {
    Script::default().then("/jwks", usual_jwks()).then("/device", codes(changes))
}

async fn begun(changes: Value) -> Result<DeviceLogin, Error> {
    client(&script(&changes)).device().begin(now()).await
}

fn no(error: &str) -> Reply {
    Reply::new(400, json!({"error": error}).to_string())
}

fn granted() -> String {
    token_reply(&json!({"id_token": Token::good().without("nonce").sign()})).to_string()
}

#[tokio::test]
async fn the_person_is_shown_a_code_and_a_page() {
    let script = script(&json!({}));
    let login = client(&script).device().with_scope("email  openid").begin(now()).await.unwrap();
    let form = last_form(&script, "/device");
    assert_eq!(value(&form, "scope"), Some("openid email"));
    assert_eq!(value(&form, "client_id"), Some(CLIENT_ID));
    assert_eq!(login.user_code, "WDJB-MJHT");
    assert_eq!(login.verification_uri.as_str(), "https://id.example/go");
    let complete = login.verification_uri_complete.as_ref().unwrap();
    assert_eq!(complete.as_str(), "https://id.example/go?user_code=WDJB-MJHT");
    assert_eq!(login.pending.expires_at(), after(60));
    assert!(!format!("{login:?}").contains("canary") && !format!("{login:?}").contains("WDJB"));
}

#[tokio::test]
async fn codes_that_cannot_be_used_are_refused() {
    let field = "oidc_provider_field_missing";
    let unsafe_page = "oidc_provider_insecure_endpoint";
    for (changes, code) in [
        (json!({"device_code": ""}), field),
        (json!({"user_code": null}), field),
        (json!({"user_code": "\u{202e}\n"}), field),
        (json!({"verification_uri": null}), field),
        (json!({"verification_uri": "nowhere"}), field),
        (json!({"expires_in": null}), field),
        (json!({"verification_uri": "http://id.example/go"}), unsafe_page),
        (json!({"verification_uri": "javascript:alert(1)"}), unsafe_page),
        (json!({"verification_uri_complete": "file:///etc/passwd"}), unsafe_page),
        (json!({"user_code": 1}), "oidc_provider_malformed_reply"),
    ] {
        assert_eq!(begun(changes.clone()).await.unwrap_err().code(), code, "{changes}");
    }
}

#[tokio::test]
async fn what_older_providers_write_is_read() {
    let changes = json!({
        "verification_uri": null, "verification_uri_complete": null, "interval": null, "expires_in": "60",
        "verification_url": "https://id.example/old",
    });
    let login = begun(changes).await.unwrap();
    assert_eq!(login.verification_uri.as_str(), "https://id.example/old");
    assert_eq!(login.pending.poll(after(4)), DeviceStep::Wait { until: after(5) });
    assert_eq!(login.pending.poll(after(5)), DeviceStep::Ask);
}

#[tokio::test]
async fn the_clock_alone_says_when_to_ask() {
    let mut pending = begun(json!({})).await.unwrap().pending;
    let wait = |seconds| DeviceStep::Wait { until: after(seconds) };
    assert_eq!(pending.poll(now()), wait(5));
    assert_eq!(pending.poll(after(5)), DeviceStep::Ask);
    assert_eq!(pending.heard(&DeviceAnswer::Pending, after(5)), wait(10));
    assert_eq!(pending.heard(&DeviceAnswer::SlowDown, after(10)), wait(20), "5 s more, for good");
    assert_eq!(pending.heard(&DeviceAnswer::Pending, after(20)), wait(30));
    assert_eq!(pending.heard(&DeviceAnswer::Nothing, after(30)), wait(50), "twice as long");
    assert_eq!(pending.heard(&DeviceAnswer::Pending, after(50)), wait(60), "no longer than the code lives");
    assert_eq!(pending.poll(after(60)), DeviceStep::Expired);
}

#[tokio::test]
async fn a_provider_without_a_pause_gets_one() {
    for (interval, expected) in [(0, 1), (1, 1), (3600, 60)] {
        let pending = begun(json!({"interval": interval, "expires_in": 7200})).await.unwrap().pending;
        assert_eq!(pending.poll(now()), DeviceStep::Wait { until: after(expected) }, "{interval}");
    }
}

async fn polled(answers: Vec<crate::support::Scripted>) -> (Script, Client, DeviceLogin) {
    let mut script = script(&json!({}));
    for answer in answers {
        script = script.then("/token", answer);
    }
    let client = client(&script);
    let login = client.device().begin(now()).await.unwrap();
    (script, client, login)
}

fn until(progress: &DeviceProgress) -> Option<SystemTime> {
    match progress {
        DeviceProgress::Waiting { until } => Some(*until),
        _ => None,
    }
}

#[tokio::test]
async fn the_provider_is_asked_until_the_person_is_done() {
    let answers = vec![
        no("authorization_pending").into(),
        no("slow_down").into(),
        lost().into(),
        Reply::new(503, "").into(),
        granted().into(),
    ];
    let (script, client, mut login) = polled(answers).await;
    let pending = &mut login.pending;
    for (at, expected) in [(0, 5), (4, 5), (5, 10), (10, 20), (20, 40)] {
        let progress = client.poll_device(pending, after(at)).await.unwrap();
        assert_eq!(until(&progress), Some(after(expected)), "at {at}");
    }
    assert_eq!(script.count("/token"), 3, "asked when it was time only");
    let form = last_form(&script, "/token");
    assert_eq!(value(&form, "grant_type"), Some("urn:ietf:params:oauth:grant-type:device_code"));
    assert_eq!(value(&form, "device_code"), Some("canary-device"));
    let progress = client.poll_device(pending, after(40)).await.unwrap();
    assert_eq!(until(&progress), Some(after(60)), "40 s more would be too long");
}

#[tokio::test]
async fn a_person_who_is_done_is_signed_in() {
    let (_, client, mut login) = polled(vec![granted().into()]).await;
    let progress = client.poll_device(&mut login.pending, after(5)).await.unwrap();
    let DeviceProgress::SignedIn(tokens) = progress else { panic!("{progress:?}") };
    assert_eq!(tokens.id_token.subject(), "canary-subject");
    assert!(tokens.grant().is_some());
}

#[tokio::test]
async fn every_check_of_an_id_token_is_made() {
    let stranger = Token::good().with("aud", "other").sign();
    let (_, client, mut login) =
        polled(vec![token_reply(&json!({"id_token": stranger})).to_string().into()]).await;
    let error = client.poll_device(&mut login.pending, after(5)).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenProblem::AudienceMismatch)), "{error:?}");
}

#[tokio::test]
async fn a_no_ends_the_login() {
    let (_, client, mut login) = polled(vec![no("access_denied").into()]).await;
    match client.poll_device(&mut login.pending, after(5)).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.reason, RefusalReason::AccessDenied),
        other => panic!("{other:?}"),
    }
    let (script, client, mut login) = polled(vec![no("expired_token").into()]).await;
    for at in [5, 60] {
        let error = client.poll_device(&mut login.pending, after(at)).await.unwrap_err();
        let lifetime = Duration::from_secs(60);
        assert!(matches!(error, Error::LoginExpired { lifetime: found } if found == lifetime), "{error:?}");
    }
    assert_eq!(script.count("/token"), 1, "an expired code is not asked about");
}

#[tokio::test]
async fn a_login_of_another_client_is_not_polled() {
    let (_, _, mut login) = polled(Vec::new()).await;
    let other = Client::new(provider(&Script::default()), "other");
    let outcome = other.poll_device(&mut login.pending, after(5)).await;
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::OtherClient))));
}
