//! What the programs take from the environment about Vault, as `vault` and `bao` do.

use std::fs;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;

use latchkey_tests::{Backend, NOWHERE, READER, behaviours};
use latchkey_transport::Method;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{CONTENT, Done, done, ground, login_with, program, sign_in};

behaviours! {
    a_ca_from_the_environment_is_trusted_and_an_unknown_one_is_told,
    a_namespace_that_is_not_there_is_told,
    a_vault_that_never_answers_is_waited_for_as_long_as_the_environment_says,
    the_names_of_openbao_come_first_and_an_argument_before_them,
    a_variable_that_cannot_be_used_is_named,
    the_token_that_a_sign_in_left_is_taken_where_there_is_no_other,
}

/// TLS in front of the Vault, with a CA of its own. Returns the address and the CA's certificate.
async fn behind_tls(backend: &Backend) -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let authority = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![certificate.der().clone()],
        PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let vault = backend.vault_address.socket_addrs(|| None).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, vault) = (acceptor.clone(), vault.clone());
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(&vault[..]).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    (address, pem)
}

async fn a_ca_from_the_environment_is_trusted_and_an_unknown_one_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let (address, pem) = behind_tls(&ground.backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    // An empty variable is none.
    for environment in
        [&[("VAULT_ADDR", address.as_str())][..], &[("VAULT_ADDR", &address), ("VAULT_CACERT", "")]]
    {
        let done = login_with(&ground.backend, &[], environment).end().await;
        done.assert_failed(3, &["certificate", "VAULT_CACERT"]);
    }
    let environment = [("VAULT_ADDR", address.as_str()), ("VAULT_CACERT", file.to_str().unwrap())];
    let mut login = login_with(&ground.backend, &["--field", "data"], &environment);
    let page = login.address().await;
    sign_in(&ground.backend, &page, READER).await;
    let done = login.end().await;
    assert_eq!((done.code, done.text().trim_end()), (Some(0), CONTENT), "{done:?}");
}

async fn a_namespace_that_is_not_there_is_told(backend: Backend) {
    let ground = ground(backend).await;
    let done = login_with(&ground.backend, &[], &[("VAULT_NAMESPACE", "nowhere")]).end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("hint:"), "{done:?}");
}

/// Each program that calls Vault, with as many arguments as it needs to do so at once.
const PROGRAMS: [(&str, &[&str]); 5] = [
    (env!("CARGO_BIN_EXE_login"), &["--no-browser", "--port", "0", "--flow", "loopback", "--secret", "kv/x"]),
    (env!("CARGO_BIN_EXE_provision"), &[]),
    (env!("CARGO_BIN_EXE_secrets"), &["list", "--user", "alice"]),
    (env!("CARGO_BIN_EXE_keep-token"), &[]),
    (env!("CARGO_BIN_EXE_notebook-token"), &["--secret", "kv/x"]),
];

/// Such a program, with a token for all that it could need.
fn calling(backend: &Backend, (path, arguments): (&str, &[&str])) -> Command {
    let mut command = program(backend, path, arguments);
    command.env("VAULT_TOKEN", "s.token").env("VAULT_OIDC_TOKEN", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln");
    command
}

/// Runs it with a token on standard input, where it reads one.
async fn ended(command: Command) -> Done {
    done(command, "s.token\n").await
}

async fn a_vault_that_never_answers_is_waited_for_as_long_as_the_environment_says(backend: Backend) {
    let silent = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let limits = [("VAULT_CLIENT_TIMEOUT", "1"), ("BAO_CLIENT_TIMEOUT", "1s")];
    for (each, (name, limit)) in PROGRAMS.into_iter().zip(limits.into_iter().cycle()) {
        let mut command = calling(&backend, each);
        command.env("VAULT_ADDR", &silent).env(name, limit);
        ended(command).await.assert_failed(3, &["did not answer within 1 s"]);
    }
}

async fn the_names_of_openbao_come_first_and_an_argument_before_them(backend: Backend) {
    let right = backend.vault_address.to_string();
    let listing = |named: [&str; 2], argument: Option<&str>| {
        let arguments: Vec<_> = argument.iter().flat_map(|argument| ["--vault", argument]).collect();
        let mut command = program(&backend, env!("CARGO_BIN_EXE_secrets"), &arguments);
        command.args(["list", "--user", "alice"]).env("VAULT_TOKEN", backend.root.expose_secret());
        command.env("VAULT_ADDR", named[0]).env("BAO_ADDR", named[1]);
        done(command, "")
    };
    for (named, argument, is_right) in [
        ([NOWHERE, right.as_str()], None, true),
        ([&right, NOWHERE], None, false),
        ([&right, ""], None, true),
        ([NOWHERE, NOWHERE], Some(right.as_str()), true),
        ([&right, &right], Some(NOWHERE), false),
        // What does not count is not looked at.
        (["nonsense", "nonsense"], Some(&right), true),
    ] {
        let done = listing(named, argument).await;
        // The mount `secret` is there, and empty or not: what matters is who answers.
        assert_eq!(done.code == Some(3), !is_right, "{named:?} {argument:?} {done:?}");
        assert!(done.code != Some(2), "{named:?} {argument:?} {done:?}");
    }
}

async fn a_variable_that_cannot_be_used_is_named(backend: Backend) {
    for (name, value, told) in [
        ("VAULT_ADDR", "hush hush", "https://vault.example:8200"),
        ("BAO_CLIENT_TIMEOUT", "hush", "30s"),
        ("VAULT_MAX_RETRIES", "hush", "is a number"),
        ("VAULT_CLIENT_CERT", "/hush.pem", "VAULT_CLIENT_KEY"),
        ("VAULT_CACERT", "/nonexistent/ca.pem", "name a file that is there"),
    ] {
        for each in PROGRAMS {
            let mut command = calling(&backend, each);
            command.env(name, value);
            let done = ended(command).await;
            done.assert_failed(2, &["hint: ", told]);
            assert!(!done.stderr.contains("hush hush"), "{done:?}");
        }
    }
}

async fn the_token_that_a_sign_in_left_is_taken_where_there_is_no_other(backend: Backend) {
    let ground = ground(backend).await;
    let home = tempfile::tempdir().unwrap();
    let provisioning = |token: Option<&str>| {
        let mut command = program(&ground.backend, env!("CARGO_BIN_EXE_provision"), &[]);
        command.env("HOME", home.path());
        if let Some(token) = token {
            command.env("BAO_TOKEN", token);
        }
        done(command, "")
    };
    provisioning(None).await.assert_failed(2, &["the Vault token is missing", "set VAULT_TOKEN"]);
    // As `bao login` writes it.
    fs::write(home.path().join(".vault-token"), ground.backend.root.expose_secret()).unwrap();
    let done = provisioning(None).await;
    assert!(done.is_success() && done.text().contains("nothing to do"), "{done:?}");
    provisioning(Some("s.dead")).await.assert_failed(1, &["hint:"]);
    let asked = ground.backend.admin(Method::Get, "auth/token/lookup-self", Value::Null).await;
    assert!(asked.is_ok(), "the token is left as it is");
}
