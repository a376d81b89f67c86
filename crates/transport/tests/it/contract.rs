//! `ReqwestTransport` against the contract, and its TLS against a server with an own CA.

use latchkey_transport::danger::Danger;
use latchkey_transport::{
    Error, Method, Misuse, Perform, Replay, Request, ReqwestTransport, Transport, suite,
};

#[tokio::test]
async fn every_rule_of_the_contract_is_kept() {
    let transport = ReqwestTransport::new().unwrap();
    let origin = suite::Origin::start().await.unwrap();
    let mut broken = Vec::new();
    for case in suite::CASES {
        if let Err(why) = case.run(&transport, origin.grounds()).await {
            broken.push(format!("{}: {why}", case.name()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_once_more_only_where_that_is_harmless() {
    for (replay, hits) in [(Replay::Safe, "2"), (Replay::AfterRefusal, "1"), (Replay::Never, "1")] {
        let transport = ReqwestTransport::new().unwrap();
        let origin = suite::Origin::start().await.unwrap();
        let address = &origin.grounds().origin;
        let outcome = transport.deliver(replay, &|| Request::new(Method::Post, "/drop").at(address)).await;
        assert!(matches!(outcome, Err(Error::Lost { .. })), "{outcome:?}");
        let seen = transport.send(Request::new(Method::Get, "/hits/drop").at(address)).await.unwrap();
        assert_eq!(seen.body(), hits.as_bytes(), "{replay:?}");
    }
}

#[tokio::test]
async fn plain_http_beyond_loopback_is_tried_only_by_those_who_ask_for_danger() {
    let request = || Request::new(Method::Get, "http://plain.invalid/");
    let careful = ReqwestTransport::new().unwrap();
    assert!(matches!(careful.send(request()).await, Err(Error::Misuse(Misuse::PlainHttp { .. }))));
    let reckless = ReqwestTransport::builder().danger(Danger::PlainHttp).build().unwrap();
    assert!(matches!(reckless.send(request()).await, Err(Error::Unreachable { .. })));
}

#[test]
fn roots_that_are_no_certificates_are_refused() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
        let outcome = ReqwestTransport::builder().with_root_certificates(pem.as_bytes()).build();
        let refused = matches!(outcome, Err(Error::Misuse(Misuse::InvalidSetting { .. })));
        assert!(refused, "{pem:?}: {outcome:?}");
    }
}

#[test]
fn a_client_certificate_that_is_none_is_refused() {
    let outcome = ReqwestTransport::builder().with_client_certificate(b"nonsense").build();
    let expected = "client certificate";
    assert!(matches!(outcome, Err(Error::Misuse(Misuse::InvalidSetting { setting })) if setting == expected));
}
