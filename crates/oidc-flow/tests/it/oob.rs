//! What people paste.

use latchkey_oidc_flow::oob::{Pasted, REDIRECT_URI};
use latchkey_oidc_flow::{
    CallbackProblem, Error, PastedProblem as Problem, RefusalReason, StateCheck, ValidatedCallback,
};

use crate::support::{Counting, Script, client, now, state};

/// As Keycloak shows it.
fn address() -> String {
    let page = "https://id.example/realms/Team%20A/protocol/openid-connect/oauth/oob";
    let iss = "https%3A%2F%2Fid.example%2Frealms%2FTeam%2520A";
    format!("{page}?state={}&session_state=s&iss={iss}&code=4%2F0Ab.c%3D%3D", state())
}

fn accept(text: &str) -> Result<ValidatedCallback, Error> {
    let login = client(&Script::default()).authorize(REDIRECT_URI).begin(&mut Counting::default(), now())?;
    login.pending.accept_pasted(&Pasted::parse(text)?, now())
}

fn code(text: &str) -> String {
    let pasted = Pasted::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    pasted.params().code().unwrap().expose_secret().to_owned()
}

fn problem(text: &str) -> Problem {
    match Pasted::parse(text) {
        Err(Error::Pasted(problem)) => problem,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_code_is_found_however_it_was_copied() {
    let address = address();
    let (page, query) = address.split_once('?').unwrap();
    let cases = [
        "4/0Ab.c==".to_owned(),
        "  4/0Ab.c==\r\n".to_owned(),
        "\"4/0Ab.c==\"".to_owned(),
        "“4/0Ab.c==”".to_owned(),
        "\u{feff}4/0Ab.c==\u{200b}".to_owned(),
        "4/0Ab\n.c==".to_owned(),
        "code=4%2F0Ab.c%3D%3D".to_owned(),
        "code=4/0Ab.c==".to_owned(),
        "?code=4%2F0Ab.c%3D%3D&state=x".to_owned(),
        "&code=4%2F0Ab.c%3D%3D".to_owned(),
        query.to_owned(),
        format!("?{query}"),
        address.clone(),
        format!("<{address}>"),
        format!("'{address}'\n"),
        format!("{}\n{}", &address[..40], &address[40..]),
        format!("{page}#{query}"),
        format!("{REDIRECT_URI}?{query}"),
    ];
    for text in cases {
        assert_eq!(code(&text), "4/0Ab.c==", "{text}");
    }
}

#[test]
fn a_code_that_looks_like_something_else_stays_a_code() {
    for text in ["abc==", "a&b", "error", "code", "a=b", "x.y-z~_", "%2F"] {
        assert_eq!(code(text), text);
    }
}

#[test]
fn nonsense_is_answered_with_what_to_paste() {
    for text in ["", "  \n", "\"\"", "\u{feff}"] {
        assert_eq!(problem(text), Problem::Empty, "{text:?}");
    }
    for text in ["I do not see a code", "cöde", "http://", &"x".repeat(4097)] {
        assert_eq!(problem(text), Problem::NotUnderstood, "{text}");
    }
    for text in ["https://id.example/", "https://id.example/?state=x", "state=x", "code=", "?code=&state=x"] {
        assert_eq!(problem(text), Problem::NoCode, "{text}");
    }
    let sign_in = "https://id.example/auth?response_type=code&client_id=x&state=y&code_challenge=z";
    assert_eq!(problem(sign_in), Problem::SignInAddress);
    for problem in [Problem::Empty, Problem::NotUnderstood, Problem::NoCode, Problem::SignInAddress] {
        assert!(problem.to_string().contains("paste"), "{problem:?}");
    }
}

#[test]
fn a_text_beyond_16_kib_is_not_read() {
    let error = Pasted::parse(&"x".repeat(16_385)).unwrap_err();
    assert!(matches!(error, Error::Callback(CallbackProblem::TooLong { limit: 16_384 })));
}

#[test]
fn the_state_is_checked_where_it_is_there() {
    assert_eq!(accept(&address()).unwrap().state_check(), StateCheck::Verified);
    assert_eq!(accept("6f1c.9ab2").unwrap().state_check(), StateCheck::Unavailable);
    assert_eq!(accept("code=6f1c.9ab2").unwrap().state_check(), StateCheck::Unavailable);
    let forged = address().replace(&state(), "forged");
    assert!(matches!(accept(&forged), Err(Error::Callback(CallbackProblem::StateMismatch))));
}

#[test]
fn the_issuer_is_checked_where_it_is_there() {
    let evil = address().replace("iss=https%3A%2F%2Fid.example", "iss=https%3A%2F%2Fevil.example");
    assert!(matches!(accept(&evil), Err(Error::Callback(CallbackProblem::IssuerMismatch { .. }))));
    // Without a state, too.
    let evil = "code=x&iss=https://evil.example";
    assert!(matches!(accept(evil), Err(Error::Callback(CallbackProblem::IssuerMismatch { .. }))));
}

#[test]
fn another_logins_address_costs_nothing() {
    let login =
        client(&Script::default()).authorize(REDIRECT_URI).begin(&mut Counting::default(), now()).unwrap();
    let old = Pasted::parse(&address().replace(&state(), "old")).unwrap();
    assert!(!login.pending.matches_pasted(&old));
    assert!(login.pending.matches_pasted(&Pasted::parse(&address()).unwrap()));
    assert!(login.pending.matches_pasted(&Pasted::parse("6f1c").unwrap()));
}

#[test]
fn a_pasted_refusal_is_told() {
    let text = format!("https://id.example/oob?error=access_denied&state={}", state());
    let Err(Error::Refused(refusal)) = accept(&text) else { panic!("not refused") };
    assert_eq!(refusal.reason, RefusalReason::AccessDenied);
}

#[test]
fn a_parameter_that_was_pasted_twice_is_refused() {
    let error = Pasted::parse("code=a&code=b").unwrap_err();
    assert!(matches!(error, Error::Callback(CallbackProblem::DuplicateParameter { parameter: "code" })));
}
