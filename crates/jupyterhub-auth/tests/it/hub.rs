//! What hubs answer, and what that means.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_jupyterhub_auth::{
    Error, Holder, HubApi, HubUser, ReadIdToken, ReadUser, StateView, check_own_server,
};
use latchkey_transport::{Exchange, Method, Reply, Secret};
use serde_json::{Value, json};

const TOKEN: &str = "0123456789abcdef0123456789abcd";
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn hub() -> HubApi {
    HubApi::new("https://hub.example/hub/api/".parse().unwrap(), Secret::new(TOKEN))
}

fn reader() -> ReadUser {
    hub().user("reader").unwrap()
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "RS256", "kid": "k" })), part(claims))
}

/// What oauthenticator 17.4 keeps.
fn auth_state(id_token: &str) -> Value {
    json!({
        "access_token": "at.hush", "refresh_token": "rt.hush", "id_token": id_token,
        "scope": ["openid", "email", "profile"],
        "token_response": { "access_token": "at.hush", "expires_in": 3600, "refresh_expires_in": 1800,
            "refresh_token": "rt.hush", "token_type": "Bearer", "id_token": id_token, "not-before-policy": 0,
            "session_state": "s", "scope": "openid email profile" },
        "oauth_user": { "sub": "u1", "email_verified": true, "preferred_username": "reader",
            "resource_access": { "vault-oidc": { "roles": ["reader"] } } },
    })
}

/// `GET users/reader` of 6.1.1; 5.5.4 has no `user_info`.
fn user(state: Option<Value>) -> Value {
    let mut user = json!({ "admin": false, "groups": [], "kind": "user", "last_activity": "2026-11-22T10:00:00.000000Z",
        "name": "reader", "user_info": null });
    if let Some(state) = state {
        user["auth_state"] = state;
    }
    user
}

fn read(body: &Value) -> HubUser {
    reader().receive(Reply::new(200, body.to_string())).unwrap()
}

fn id_token_of(state: Option<Value>) -> Result<String, Error> {
    let token = read(&user(state)).id_token(Holder::Tab, now())?;
    Ok(token.as_secret().expose_secret().to_owned())
}

#[test]
fn a_person_is_asked_for_by_name_with_the_token_in_the_header_alone() {
    let request = hub().user("a@b.c/ü").unwrap().request();
    assert_eq!(request.method(), Method::Get);
    assert_eq!(request.url().unwrap().as_str(), "https://hub.example/hub/api/users/a%40b.c%2F%C3%BC");
    assert_eq!(request.header("authorization"), Some(format!("token {TOKEN}").as_str()));
    assert!(!format!("{request:?} {:?} {:?}", hub(), reader()).contains(TOKEN));
}

#[test]
fn a_name_cannot_lead_elsewhere() {
    for name in ["", ".", ".."] {
        assert!(matches!(hub().user(name), Err(Error::InvalidUser)), "{name:?}");
    }
}

#[test]
fn the_version_is_asked_for_without_a_token() {
    let info = hub().info();
    assert_eq!(info.request().url().unwrap().as_str(), "https://hub.example/hub/api/");
    assert_eq!(info.request().headers().count(), 0);
    let stale = |version: &str| {
        let body = json!({ "version": version }).to_string();
        let info = hub().info().receive(Reply::new(200, body)).unwrap();
        (info.major(), info.may_show_stale_state())
    };
    assert_eq!(stale("5.5.4"), (Some(5), false));
    assert_eq!(stale("6.0.2"), (Some(6), false));
    assert_eq!(stale("6.1.1"), (Some(6), true));
    assert_eq!(stale("10.0"), (Some(10), true));
    assert_eq!(stale("dev"), (None, false));
}

#[test]
fn the_id_token_comes_out_of_auth_state() {
    let text = jwt(&json!({ "exp": NOW + 300 }));
    assert_eq!(id_token_of(Some(auth_state(&text))).unwrap(), text);
    let read = read(&user(Some(auth_state(&text))));
    let StateView::Shown(state) = &read.auth_state else { panic!("{read:?}") };
    assert_eq!(state.scopes, ["openid", "email", "profile"]);
    assert_eq!(state.claim("preferred_username"), Some(&json!("reader")));
    assert_eq!(read.admin, Some(false));
    let shown = format!("{read:?}");
    assert!(!shown.contains("hush") && !shown.contains(&text) && !shown.contains("reader"), "{shown}");
}

#[test]
fn scopes_may_be_one_text_and_may_be_missing() {
    for (scope, expected) in [(json!("openid email"), 2), (json!(null), 0), (json!([]), 0)] {
        let mut state = auth_state("x");
        state["scope"] = scope;
        let read = read(&user(Some(state)));
        let StateView::Shown(state) = &read.auth_state else { panic!("{read:?}") };
        assert_eq!(state.scopes.len(), expected);
    }
}

#[test]
fn scopes_of_another_kind_are_no_answer() {
    for scope in [json!(7), json!([7]), json!({ "openid": true })] {
        let mut state = auth_state("x");
        state["scope"] = scope;
        let reply = Reply::new(200, user(Some(state)).to_string());
        let error = hub().user("reader").unwrap().receive(reply).unwrap_err();
        assert_eq!(error.code(), "hub_malformed_reply");
    }
}

#[test]
fn a_key_that_is_not_there_is_a_missing_scope_and_says_where_to_set_it() {
    let body = user(None);
    for (holder, setting) in
        [(Holder::Tab, "oauth_client_allowed_scopes"), (Holder::Server, "server_token_scopes")]
    {
        let error = read(&body).id_token(holder, now()).unwrap_err();
        assert!(
            matches!(&error, Error::ScopeMissing { missing, .. } if missing == &["admin:auth_state!user"])
        );
        let shown = error.to_string();
        assert!(shown.contains("admin:auth_state!user") && shown.contains(setting), "{shown}");
        assert_eq!(error.code(), "hub_scope_missing");
    }
}

#[test]
fn a_null_is_another_thing_than_a_missing_key() {
    assert!(matches!(id_token_of(Some(Value::Null)), Err(Error::AuthStateOff)));
}

#[test]
fn an_auth_state_without_a_usable_id_token_says_which_kind_of_unusable() {
    let mut without = auth_state("");
    assert!(matches!(id_token_of(Some(without.clone())), Err(Error::IdTokenMissing)));
    without.as_object_mut().unwrap().remove("id_token");
    assert!(matches!(id_token_of(Some(without)), Err(Error::IdTokenMissing)));
    assert!(matches!(id_token_of(Some(auth_state("opaque"))), Err(Error::IdTokenMalformed(_))));
}

#[test]
fn an_expired_id_token_is_told_with_its_age() {
    for (exp, expected) in [(NOW, Some(0)), (NOW - 47, Some(47)), (NOW + 1, None)] {
        let outcome = id_token_of(Some(auth_state(&jwt(&json!({ "exp": exp })))));
        let ago = match outcome {
            Err(Error::IdTokenExpired { ago }) => Some(ago.as_secs()),
            _ => None,
        };
        assert_eq!(ago, expected, "{exp}");
    }
    assert!(id_token_of(Some(auth_state(&jwt(&json!({}))))).is_ok());
}

#[test]
fn refusals_are_sorted_by_who_must_act() {
    let code = |status, message: &str| {
        let body = json!({ "status": status, "message": message }).to_string();
        reader().receive(Reply::new(status, body)).unwrap_err()
    };
    for (status, message, expected) in [
        (403, "Missing or invalid credentials.", "hub_unauthorized"),
        (403, "auth has expired for reader, login again", "hub_unauthorized"),
        (403, "Forbidden", "hub_unauthorized"),
        (401, "", "hub_unauthorized"),
        (403, "Action is not authorized with current scopes; requires any of [list:users]", "hub_refused"),
        (403, "'_xsrf' argument missing from GET", "hub_refused"),
        (404, "No access to resources or resources not found", "hub_not_found"),
        (500, "Internal Server Error", "hub_refused"),
    ] {
        let error = code(status, message);
        assert_eq!((error.code(), error.status()), (expected, Some(status)), "{message}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(!error.is_transient());
    }
    assert!(code(503, "busy").is_transient() && code(429, "Slow down").is_transient());
}

#[test]
fn a_hub_that_repeats_the_token_or_breaks_the_line_is_not_repeated() {
    for message in [format!("bad token {TOKEN}"), format!("a\r\nb\u{202e}{}", "x".repeat(400))] {
        let body = json!({ "message": message }).to_string();
        let shown = reader().receive(Reply::new(403, body)).unwrap_err().to_string();
        assert!(!shown.contains(TOKEN) && !shown.contains('\n') && shown.len() < 400, "{shown}");
        assert!(!shown.contains('\u{202e}'));
    }
}

#[test]
fn what_is_not_the_hub_is_told_so() {
    for (status, body) in [(200, "<html>"), (502, "<html>"), (200, "[]"), (200, r#"{"name":"other"}"#)] {
        let error = reader().receive(Reply::new(status, body)).unwrap_err();
        assert!(
            matches!(error, Error::MalformedReply { status: told, length, .. } if told == status && length == body.len()),
            "{body}"
        );
        assert_eq!(error.is_transient(), status == 502);
    }
}

#[test]
fn the_owner_of_a_token_comes_with_the_scopes_that_it_lacks() {
    let missing = |scopes: &[&str]| {
        let body = json!({ "name": "reader", "auth_state": null, "token_id": "t1", "session_id": null, "scopes": scopes });
        hub().who().receive(Reply::new(200, body.to_string())).unwrap().missing_scopes()
    };
    // What 6.1.1 gives a tab without settings, and with them.
    let identify =
        ["access:servers!server=reader/", "read:users:groups!user=reader", "read:users:name!user=reader"];
    assert_eq!(missing(&identify), ["admin:auth_state!user"]);
    assert!(missing(&["admin:auth_state!user=reader", "read:users:name!user=reader"]).is_empty());
    assert_eq!(missing(&["admin:auth_state!user=management"]), ["admin:auth_state!user"]);
}

#[test]
fn the_small_handler_gives_the_token_alone() {
    let address = "https://hub.example/hub/latchkey/id-token".parse().unwrap();
    let read = hub().id_token_at(&address).unwrap();
    assert_eq!(read.request().url(), Some(&address));
    let fresh = |body: Value| {
        let text = hub().id_token_at(&address).unwrap().receive(Reply::new(200, body.to_string()))?;
        ReadIdToken::fresh(text, now()).map(|token| token.as_secret().expose_secret().to_owned())
    };
    let text = jwt(&json!({ "exp": NOW + 1 }));
    assert_eq!(fresh(json!({ "id_token": text, "exp": NOW + 1 })).unwrap(), text);
    assert!(matches!(fresh(json!({ "id_token": null })), Err(Error::IdTokenMissing)));
    let old = jwt(&json!({ "exp": NOW - 1 }));
    // The number beside it is not believed.
    assert!(matches!(fresh(json!({ "id_token": old, "exp": NOW + 999 })), Err(Error::IdTokenExpired { .. })));
}

#[test]
fn the_token_goes_to_no_other_host() {
    for address in ["https://evil.example/hub/x", "http://hub.example/hub/x", "https://hub.example:444/x"] {
        let outcome = hub().id_token_at(&address.parse().unwrap());
        assert!(matches!(outcome, Err(Error::InvalidAddress)), "{address}");
    }
}

#[test]
fn somebody_elses_server_is_refused() {
    assert!(check_own_server("reader", "reader").is_ok());
    assert!(matches!(check_own_server("reader", "management"), Err(Error::OtherUser)));
}
