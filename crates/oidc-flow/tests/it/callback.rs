//! What a callback must be, and what a pending login forgives.

use std::time::Duration;

use latchkey_oidc_flow::oob::Pasted;
use latchkey_oidc_flow::{
    CallbackParams, CallbackProblem as Problem, Error, Pending, RefusalReason, StateCheck, ValidatedCallback,
};
use latchkey_transport::Secret;
use serde_json::Value;

use crate::support::{
    CLIENT_ID, CODE, Counting, ISSUER, REDIRECT_URI, Script, after, document, now, pending, provider_of,
    state,
};

const ISS: &str = "iss=https%3A%2F%2Fid.example%2Frealms%2FTeam%2520A";

fn accept(query: &str) -> Result<ValidatedCallback, Error> {
    pending().accept(&CallbackParams::parse(query)?, now())
}

fn problem(outcome: Result<ValidatedCallback, Error>) -> Problem {
    match outcome {
        Err(Error::Callback(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// A login at a provider that announces that it names itself.
fn announced() -> Pending {
    let mut document = document();
    document["authorization_response_iss_parameter_supported"] = Value::Bool(true);
    let provider = provider_of(&Script::default(), &document);
    let client = latchkey_oidc_flow::Client::new(provider, CLIENT_ID);
    client.authorize(REDIRECT_URI).begin(&mut Counting::default(), now()).unwrap().pending
}

#[test]
fn a_good_callback_is_taken() {
    for extra in ["", &format!("&{ISS}"), "&session_state=a.b&unknown=1&unknown=2"] {
        let callback = accept(&format!("state={}&code={CODE}{extra}", state())).unwrap();
        assert_eq!(callback.state_check(), StateCheck::Verified);
        assert_eq!(callback.issuer(), ISSUER);
    }
}

#[test]
fn a_wrong_state_is_refused_before_anything_else_is_read() {
    assert_eq!(problem(accept("code=x&state=")), Problem::StateMismatch);
    assert_eq!(problem(accept("code=x&state=forged&error=access_denied")), Problem::StateMismatch);
    assert_eq!(problem(accept("code=x&state=forged&iss=https://evil.example")), Problem::StateMismatch);
    assert_eq!(problem(accept(&format!("code=x&state={}x", state()))), Problem::StateMismatch);
    assert_eq!(problem(accept("code=x")), Problem::StateMissing);
    assert_eq!(problem(accept("error=access_denied")), Problem::StateMissing);
    assert_eq!(problem(accept("")), Problem::StateMissing);
}

#[test]
fn a_stray_callback_costs_nothing() {
    let pending = pending();
    for query in ["", "code=x", "code=x&state=forged", "error=access_denied&state=forged"] {
        assert!(!pending.matches(&CallbackParams::parse(query).unwrap()), "{query}");
    }
    let callback = CallbackParams::parse(&format!("code={CODE}&state={}", state())).unwrap();
    assert!(pending.matches(&callback));
    assert!(pending.accept(&callback, now()).is_ok());
}

#[test]
fn invalid_authorization_response_iss() {
    let evil = "https://evil.example";
    let mismatch = Problem::IssuerMismatch { expected: ISSUER.into(), found: evil.into() };
    let state = state();
    assert_eq!(problem(accept(&format!("state={state}&code=x&iss={evil}"))), mismatch);
    // On an error, too: who knows whose error it is.
    assert_eq!(problem(accept(&format!("state={state}&error=access_denied&iss={evil}"))), mismatch);
    // Compared as text, not as an address.
    let slash = format!("state={state}&code=x&{ISS}%2F");
    assert!(matches!(problem(accept(&slash)), Problem::IssuerMismatch { .. }));
    assert!(matches!(problem(accept(&format!("state={state}&code=x&iss="))), Problem::IssuerMismatch { .. }));
}

#[test]
fn a_secret_in_place_of_the_issuer_is_not_told() {
    for found in
        [state(), format!("https://x/{CODE}"), format!("{}\u{200b}{}", &state()[..20], &state()[20..])]
    {
        let iss = url::form_urlencoded::byte_serialize(found.as_bytes()).collect::<String>();
        let problem = problem(accept(&format!("state={}&code={CODE}&iss={iss}", state())));
        assert_eq!(problem, Problem::IssuerMismatch { expected: ISSUER.into(), found: String::new() });
    }
}

#[test]
fn remove_authorization_response_iss() {
    let without = CallbackParams::parse(&format!("state={}&code=x", state())).unwrap();
    assert_eq!(problem(announced().accept(&without, now())), Problem::IssuerMissing);
    let error = CallbackParams::parse(&format!("state={}&error=access_denied", state())).unwrap();
    assert_eq!(problem(announced().accept(&error, now())), Problem::IssuerMissing);
    let with = CallbackParams::parse(&format!("state={}&code=x&{ISS}", state())).unwrap();
    assert!(announced().accept(&with, now()).is_ok());
}

#[test]
fn a_parameter_that_stands_twice_is_refused() {
    for parameter in ["code", "state", "iss", "error", "error_description", "session_state", "id_token"] {
        // Once plain and once escaped, with the same value.
        let escaped = parameter.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let query = format!("state={}&code=x&{parameter}=1&{escaped}=1", state());
        let query = if parameter == "code" || parameter == "state" {
            query.replacen(&format!("&{parameter}=1"), "", 1)
        } else {
            query
        };
        let error = CallbackParams::parse(&query).unwrap_err();
        assert_eq!(error, Problem::DuplicateParameter { parameter }, "{query}");
    }
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let query = format!("state={}&error=access_denied&error_description=no%0Aaccess%1b[31m", state());
    let Err(Error::Refused(refusal)) = accept(&query) else { panic!("not refused") };
    assert_eq!(refusal.reason, RefusalReason::AccessDenied);
    assert_eq!(refusal.description.as_deref(), Some("no access [31m"));
    assert_eq!(refusal.to_string(), "the sign-in was refused (no access [31m)");

    let long = format!("state={}&error={}&error_description={}", state(), "e".repeat(999), "d".repeat(999));
    let Err(Error::Refused(refusal)) = accept(&long) else { panic!("not refused") };
    assert_eq!(refusal.description.unwrap().chars().count(), 201);
    assert!(matches!(refusal.reason, RefusalReason::Other(code) if code.chars().count() == 65));
}

#[test]
fn an_error_outweighs_a_code() {
    let query = format!("state={}&code=x&error=server_error", state());
    let error = accept(&query).unwrap_err();
    assert_eq!(error.code(), "oidc_server_error");
    assert!(error.is_transient());
}

#[test]
fn a_callback_without_code_is_refused() {
    assert_eq!(problem(accept(&format!("state={}", state()))), Problem::CodeMissing);
    assert_eq!(problem(accept(&format!("state={}&code=", state()))), Problem::CodeMissing);
}

#[test]
fn a_late_callback_is_refused() {
    let callback = CallbackParams::parse(&format!("state={}&code=x", state())).unwrap();
    assert!(pending().accept(&callback, after(599)).is_ok());
    let error = pending().accept(&callback, after(600)).unwrap_err();
    assert_eq!(error.to_string(), "the login was begun more than 600 s ago and has expired");
    // A clock that was set back does not make it older.
    let early = now() - Duration::from_secs(3600);
    assert!(pending().accept(&callback, early).is_ok());
}

#[test]
fn a_whole_address_is_read_like_its_query() {
    let address = format!("{REDIRECT_URI}?state={}&code={CODE}", state());
    assert!(pending().accept(&CallbackParams::from_address(&address).unwrap(), now()).is_ok());
    assert_eq!(CallbackParams::from_address("no address").unwrap_err(), Problem::Malformed);
}

#[test]
fn a_callback_beyond_16_kib_is_not_read() {
    let long = format!("code={}", "x".repeat(CallbackParams::LIMIT));
    assert_eq!(CallbackParams::parse(&long).unwrap_err(), Problem::TooLong { limit: 16_384 });
    let address = format!("http://localhost/?{long}");
    assert_eq!(CallbackParams::from_address(&address).unwrap_err(), Problem::TooLong { limit: 16_384 });
}

#[test]
fn a_login_survives_being_stored() {
    let stored = serde_json::to_string(&announced()).unwrap();
    let pending: Pending = serde_json::from_str(&stored).unwrap();
    assert_eq!(pending.issuer(), ISSUER);
    assert_eq!(pending.client_id(), CLIENT_ID);
    assert_eq!(pending.redirect_uri(), REDIRECT_URI);
    assert_eq!(pending.created_at(), now());
    assert_eq!(pending.remaining(after(1)), Some(Duration::from_secs(599)));
    assert_eq!(serde_json::to_string(&pending).unwrap(), stored);
    // Everything that decides is kept: state, and that the issuer is announced.
    let callback = CallbackParams::parse(&format!("state={}&code=x", state())).unwrap();
    assert_eq!(problem(pending.accept(&callback, now())), Problem::IssuerMissing);
}

#[test]
fn a_stored_login_of_another_version_is_refused() {
    let stored = serde_json::to_string(&pending()).unwrap();
    assert!(stored.starts_with(r#"{"version":1,"#));
    let newer = stored.replacen(r#""version":1"#, r#""version":2"#, 1);
    let error = serde_json::from_str::<Pending>(&newer).unwrap_err();
    assert_eq!(error.to_string(), "a stored login of version 2 cannot be read");
}

#[test]
fn the_code_of_somebody_elses_login_is_given_only_for_its_state() {
    let vaults = Secret::new("vaults-state");
    let code = |query| CallbackParams::parse(query).unwrap().code_for(&vaults).cloned();
    assert!(code("state=vaults-state&code=c").unwrap().is_same_as("c"));
    for (query, problem) in [
        ("code=c", "oidc_callback_state_missing"),
        ("state=other&code=c", "oidc_callback_state_mismatch"),
        ("state=other&error=access_denied", "oidc_callback_state_mismatch"),
        ("state=vaults-state&error=access_denied", "oidc_access_denied"),
        ("state=vaults-state", "oidc_callback_code_missing"),
    ] {
        assert_eq!(code(query).unwrap_err().code(), problem, "{query}");
    }
}

#[test]
fn a_pasted_code_of_somebody_elses_login_needs_no_state_but_may_have_no_other() {
    let vaults = Secret::new("vaults-state");
    let code = |text| Pasted::parse(text).unwrap().code_for(&vaults).cloned();
    assert!(code("bare-code").unwrap().is_same_as("bare-code"));
    assert!(code("?state=vaults-state&code=c").unwrap().is_same_as("c"));
    assert_eq!(code("?state=other&code=c").unwrap_err().code(), "oidc_callback_state_mismatch");
    assert_eq!(code("?error=access_denied").unwrap_err().code(), "oidc_access_denied");
}

#[test]
fn what_the_answer_itself_holds_is_not_told_in_its_refusal() {
    for told in ["state-of-the-login", "state%2Dof%2Dthe%2Dlogin", "the-code"] {
        let query =
            format!("state=state-of-the-login&code=the-code&error=server_error&error_description=bad+{told}");
        let params = CallbackParams::parse(&query).unwrap();
        assert_eq!(params.refusal().unwrap().description, None, "{told}");
    }
    let harmless = "state=state-of-the-login&error=server_error&error_description=bad+luck";
    let params = CallbackParams::parse(harmless).unwrap();
    assert_eq!(params.refusal().unwrap().description.as_deref(), Some("bad luck"));
}
