//! `conformance-rp` on every provider: signed answers, and clients that sign who they are.
//!
//! What only the double does on request is in `conformance_rp.rs`.

use latchkey_tests::{Backend, Place, behaviours};
use serde_json::Value;

use crate::support::program;

behaviours! {
    a_signed_answer_is_opened_in_every_mode,
    an_answer_that_was_not_signed_is_told_from_one_that_was,
    #[not_on(Place::Loopback, "the double's client is its builder's: conformance_rp.rs has this test there")]
    a_client_signs_in_with_its_own_key,
    #[not_on(Place::Loopback, "the double's client is its builder's: conformance_rp.rs has this test there")]
    a_client_signs_in_with_a_signature_of_its_secret,
}

/// Its exit code, and the line that it printed.
async fn relying_party(
    backend: &Backend,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, Value) {
    let mut command = program(backend, env!("CARGO_BIN_EXE_conformance-rp"), arguments);
    command.envs([
        ("ISSUER", backend.issuer.as_str()),
        ("CLIENT_ID", "vault-oidc"),
        ("CLIENT_SECRET", "s3cr3t"),
        ("REDIRECT_URI", "http://localhost:8250/oidc/callback"),
        ("SIGN_IN_NAME", "reader"),
        ("SIGN_IN_PASSWORD", "reader"),
    ]);
    let output = command.envs(environment.iter().copied()).output().await.unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[track_caller]
fn assert_passed((exit, line): &(Option<i32>, Value), is_signed: bool) {
    assert_eq!((*exit, &line["outcome"]), (Some(0), &"passed".into()), "{line}");
    assert_eq!(line["answer_is_signed"], is_signed, "{line}");
    assert!(line["subject"].is_string(), "{line}");
}

async fn a_signed_answer_is_opened_in_every_mode(backend: Backend) {
    for mode in ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"] {
        let done = relying_party(&backend, &["--response-mode", mode], &[]).await;
        assert_passed(&done, true);
    }
}

async fn an_answer_that_was_not_signed_is_told_from_one_that_was(backend: Backend) {
    for mode in ["query", "fragment", "form_post"] {
        assert_passed(&relying_party(&backend, &["--response-mode", mode], &[]).await, false);
    }
}

/// Both real providers take that client by that method alone.
async fn a_client_signs_in_with_its_own_key(backend: Backend) {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/servers/client-key.pem");
    let arguments =
        ["--client-auth", "private_key_jwt", "--client-key", key, "--client-key-id", "client-key"];
    let steps = ["--steps", "login,userinfo,refresh", "--response-mode", "query.jwt"];
    let client = [("CLIENT_ID", "latchkey-key-jwt"), ("CLIENT_SECRET", "")];
    assert_passed(&relying_party(&backend, &[arguments.as_slice(), &steps].concat(), &client).await, true);
    // Not known by its name alone.
    let (exit, line) = relying_party(&backend, &["--client-auth", "none"], &client).await;
    assert_eq!((exit, &line["step"]), (Some(1), &"login".into()), "{line}");
}

async fn a_client_signs_in_with_a_signature_of_its_secret(backend: Backend) {
    let arguments = ["--client-auth", "client_secret_jwt", "--steps", "login,userinfo,refresh"];
    let secret = "a-secret-of-more-than-32-bytes-for-hs256";
    let mut client = [("CLIENT_ID", "latchkey-secret-jwt"), ("CLIENT_SECRET", secret)];
    assert_passed(&relying_party(&backend, &arguments, &client).await, false);
    client[1].1 = "another-secret-of-more-than-32-bytes-for-hs256";
    let (exit, line) = relying_party(&backend, &arguments, &client).await;
    assert_eq!((exit, &line["step"]), (Some(1), &"login".into()), "{line}");
}
