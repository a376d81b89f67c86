//! Logins that somebody else's page begins.

use latchkey_oidc_flow::{CallbackProblem, InitiatedLogin, Misuse};
use url::Url;

use crate::support::{Counting, ISSUER, REDIRECT_URI, Script, client, now, value};

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[test]
fn third_party_initiated_login() {
    let target = "https://app.example/team?x=1";
    let query =
        encoded(&[("iss", ISSUER), ("login_hint", "a@b.example"), ("target_link_uri", target), ("x", "y")]);
    let login = InitiatedLogin::parse(&query).unwrap();
    assert_eq!(login.issuer(), ISSUER);
    assert!(!format!("{login:?}").contains("example/team"));
    let begun = client(&Script::default())
        .authorize(REDIRECT_URI)
        .initiated_by(&login)
        .unwrap()
        .begin(&mut Counting::default(), now())
        .unwrap();
    let pairs: Vec<_> = begun.url.query_pairs().into_owned().collect();
    assert_eq!(value(&pairs, "login_hint"), Some("a@b.example"));
    assert!(value(&pairs, "state").is_some());
    let own = Url::parse("https://app.example/start").unwrap();
    assert_eq!(login.target_within(&own).map(Url::as_str), Some(target));
}

#[test]
fn nobody_is_sent_to_a_page_that_is_not_ours() {
    let own = Url::parse("https://app.example").unwrap();
    for target in [
        "https://evil.example/",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "http://app.example/",
        "https://app.example:8443/",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        let login = InitiatedLogin::parse(&encoded(&[("iss", ISSUER), ("target_link_uri", target)])).unwrap();
        assert_eq!(login.target_within(&own), None, "{target}");
    }
    let login = InitiatedLogin::parse(&encoded(&[("iss", ISSUER)])).unwrap();
    assert_eq!(login.target_within(&own), None);
    let data = Url::parse("data:text/html,x").unwrap();
    let login =
        InitiatedLogin::parse(&encoded(&[("iss", ISSUER), ("target_link_uri", data.as_str())])).unwrap();
    assert_eq!(login.target_within(&data), None);
}

#[test]
fn a_call_names_one_provider_and_it_is_ours() {
    let problem = |pairs: &[(&str, &str)]| InitiatedLogin::parse(&encoded(pairs)).unwrap_err();
    assert_eq!(problem(&[("login_hint", "x")]), CallbackProblem::IssuerMissing);
    for parameter in ["iss", "login_hint", "target_link_uri"] {
        let twice = [("iss", ISSUER), (parameter, "https://a.example"), (parameter, "https://a.example")];
        let twice = if parameter == "iss" { &twice[1..] } else { &twice[..] };
        assert_eq!(problem(twice), CallbackProblem::DuplicateParameter { parameter });
    }
    assert_eq!(problem(&[("iss", ISSUER), ("target_link_uri", "/relative")]), CallbackProblem::Malformed);
    assert_eq!(problem(&[("x", &"y".repeat(16 * 1024))]), CallbackProblem::TooLong { limit: 16 * 1024 });

    let other = InitiatedLogin::parse(&encoded(&[("iss", "https://evil.example")])).unwrap();
    let refused = client(&Script::default()).authorize(REDIRECT_URI).initiated_by(&other);
    assert_eq!(refused.unwrap_err(), Misuse::OtherIssuer);
}
