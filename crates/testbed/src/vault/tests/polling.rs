//! OpenBao's logins that somebody else finishes: `direct` and `device`. Observed on OpenBao 2.7.2.

use super::*;

const GONE: &str = "OpenBao login failed. Expired or missing OAuth state.";

fn bench(mode: &str, more: &Value) -> Bench {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/oidc", &json!({"type": "oidc"}));
    let config = json!({
        "oidc_discovery_url": bench.world.issuer(), "oidc_client_id": "vault-oidc", "oidc_client_secret": "s3cr3t",
    });
    assert_eq!(bench.root("POST", "auth/oidc/config", &config).0, 204);
    let mut role = json!({
        "user_claim": "preferred_username", "allowed_redirect_uris": [callback(&bench)], "callback_mode": mode,
    });
    role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(bench.root("POST", "auth/oidc/role/r", &role).0, 204);
    bench
}

/// The Vault's own address for the provider's answer.
fn callback(bench: &Bench) -> String {
    format!("{}/v1/auth/oidc/oidc/callback", bench.world.vault_address())
}

fn begin(bench: &Bench) -> Value {
    let body = json!({"role": "r", "redirect_uri": callback(bench), "client_nonce": "nonce-of-the-client"});
    let (status, reply) = bench.ask("", "POST", "auth/oidc/oidc/auth_url", &body);
    assert_eq!(status, 200, "{reply}");
    reply["data"].clone()
}

fn poll(bench: &Bench, begun: &Value) -> (u16, Value) {
    let body = json!({"state": begun["state"], "client_nonce": "nonce-of-the-client"});
    bench.ask("", "POST", "auth/oidc/oidc/poll", &body)
}

/// The person signs in; where the browser is sent then.
fn sign_in(bench: &Bench, begun: &Value) -> Option<String> {
    let url = begun["auth_url"].as_str().unwrap();
    bench.world.provider().sign_in(url, "reader", "reader").unwrap()
}

#[test]
fn a_direct_login_is_finished_by_the_browser_and_told_to_whoever_asks() {
    let bench = bench("direct", &json!({"poll_interval": 2, "oidc_disable_confirmation": true}));
    let begun = begin(&bench);
    assert_eq!(begun["poll_interval"], "2", "a text and no number");
    assert_error(&poll(&bench, &begun), 400, "authorization_pending");
    let back = sign_in(&bench, &begun).unwrap();
    let page = bench.world.handle(Request::get(&back)).unwrap();
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html")));
    assert!(page.text().contains("Signed in via your OIDC provider"));
    let (status, reply) = poll(&bench, &begun);
    assert_eq!((status, &reply["auth"]["metadata"]), (200, &json!({"role": "r"})));
    assert_error(&poll(&bench, &begun), 400, GONE);
}

#[test]
fn a_direct_login_waits_until_the_person_has_confirmed() {
    let bench = bench("direct", &json!({}));
    let begun = begin(&bench);
    assert_eq!(begun["poll_interval"], "5");
    let back = sign_in(&bench, &begun).unwrap();
    let page = bench.world.handle(Request::get(&back)).unwrap();
    assert!(page.text().contains("Confirm sign-in"));
    assert_error(&poll(&bench, &begun), 400, "authorization_pending");
    bench.world.handle(Request::get(&format!("{back}&confirmation=yes"))).unwrap();
    assert_eq!(poll(&bench, &begun).0, 200);
}

#[test]
fn whoever_asks_must_know_the_nonce_and_gets_one_attempt() {
    let bench = bench("direct", &json!({}));
    let begun = begin(&bench);
    let wrong = json!({"state": begun["state"], "client_nonce": "another"});
    assert_error(&bench.ask("", "POST", "auth/oidc/oidc/poll", &wrong), 400, "invalid client_nonce");
    assert_error(&poll(&bench, &begun), 400, GONE);
    let without = json!({"role": "r", "redirect_uri": callback(&bench)});
    assert_error(&bench.ask("", "POST", "auth/oidc/oidc/auth_url", &without), 400, "missing client_nonce");
}

#[test]
fn a_login_by_device_needs_no_redirect_address() {
    let bench = bench("device", &json!({}));
    let body = json!({"role": "r", "client_nonce": "nonce-of-the-client"});
    let begun = bench.ask("", "POST", "auth/oidc/oidc/auth_url", &body).1["data"].clone();
    let start = format!("{}/device?user_code=", bench.world.issuer());
    assert!(begun["auth_url"].as_str().unwrap().starts_with(&start), "{begun}");
    assert_eq!(begun["poll_interval"], "5");
    assert_error(&poll(&bench, &begun), 400, "authorization_pending");
    assert_error(&poll(&bench, &begun), 400, "slow_down");
    sign_in(&bench, &begun);
    bench.pass(5);
    let (status, reply) = poll(&bench, &begun);
    assert_eq!((status, &reply["auth"]["metadata"]), (200, &json!({"role": "r"})));
    assert_error(&poll(&bench, &begun), 400, GONE);
}

#[test]
fn a_refusal_at_the_device_ends_the_login() {
    let bench = bench("device", &json!({}));
    let begun = begin(&bench);
    let code = begun["auth_url"].as_str().unwrap().rsplit_once('=').unwrap().1;
    assert!(bench.world.provider().deny_device(code));
    assert_error(&poll(&bench, &begun), 400, "authorization failed: access_denied");
    assert_error(&poll(&bench, &begun), 400, GONE);
}

#[test]
fn a_callback_mode_that_does_not_exist_is_refused() {
    let bench = bench("direct", &json!({}));
    let role = json!({"callback_mode": "zz"});
    assert_error(&bench.root("POST", "auth/oidc/role/r", &role), 400, "invalid 'callback_mode': zz");
    let (_, read) = bench.read("auth/oidc/role/r");
    assert_eq!(read["data"]["callback_mode"], "direct");
}
