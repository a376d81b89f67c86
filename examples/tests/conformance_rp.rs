//! `conformance-rp` as a suite drives it: on the provider double over loopback, by arguments, environment and exit code.
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use latchkey_oidc_flow::AwsLcSigner;
use latchkey_testbed::{
    Algorithm, Clock, Misbehaviour as Lie, Request, Served, Span, World, WorldBuilder, serve,
};
use latchkey_tests::free_ports;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const ALL_STEPS: &str = "discovery,keys,login,userinfo,refresh,logout";

/// How a run ended.
#[derive(Debug)]
struct Run {
    exit: Option<i32>,
    line: Value,
    stderr: String,
}

impl Run {
    #[track_caller]
    fn assert_passed(&self) {
        assert_eq!((self.exit, &self.line["outcome"]), (Some(0), &"passed".into()), "{self:?}");
    }

    #[track_caller]
    fn assert_refused(&self, exit: i32, step: &str, code: &str) {
        let told = (self.exit, self.line["step"].as_str(), self.line["code"].as_str());
        assert_eq!(told, (Some(exit), Some(step), Some(code)), "{self:?}");
    }
}

async fn served(builder: WorldBuilder) -> Served {
    serve(builder.clock(Clock::system()), 0, 0).await.unwrap()
}

async fn run_at(issuer: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-rp"));
    command.args(arguments).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command.envs([
        ("ISSUER", issuer),
        ("CLIENT_ID", "vault-oidc"),
        ("CLIENT_SECRET", "s3cr3t"),
        ("REDIRECT_URI", "http://localhost:8250/oidc/callback"),
        ("SIGN_IN_NAME", "reader"),
        ("SIGN_IN_PASSWORD", "reader"),
    ]);
    let output = command.envs(environment.iter().copied()).output().await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "one line: {stdout:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    Run { exit: output.status.code(), line: serde_json::from_str(&stdout).unwrap(), stderr }
}

/// Runs it on a double, and looks for the double's secrets in what it printed.
async fn run(world: &World, arguments: &[&str]) -> Run {
    let run = run_at(&world.issuer(), arguments, &[]).await;
    let printed = format!("{} {}", run.line, run.stderr);
    assert!(world.canary().find_in(&printed).is_none(), "a secret was printed: {printed}");
    run
}

fn asked(world: &World, end: &str) -> usize {
    world.requests().iter().filter(|request| request.path.ends_with(end)).count()
}

#[tokio::test]
async fn a_run_signs_in_and_asks_userinfo() {
    let served = served(World::builder()).await;
    let done = run(served.world(), &[]).await;
    done.assert_passed();
    let subject = served.world().provider().users()[0].subject().to_owned();
    assert_eq!((&done.line["subject"], &done.line["algorithm"]), (&subject.into(), &"RS256".into()));
    assert_eq!(asked(served.world(), "/userinfo"), 1);
}

#[tokio::test]
async fn every_step_is_done_in_every_response_mode() {
    let served = served(World::builder()).await;
    served.world().provider().set_refresh_rotation(true);
    for mode in ["query", "fragment", "form_post"] {
        let done = run(served.world(), &["--steps", ALL_STEPS, "--response-mode", mode]).await;
        done.assert_passed();
        assert_eq!(done.line["refresh_token_is_new"], true, "{mode}");
    }
    assert_eq!(asked(served.world(), "/userinfo"), 6);
    assert_eq!(asked(served.world(), "/logout"), 3);
}

#[tokio::test]
async fn only_the_steps_that_were_asked_for_are_done() {
    let served = served(World::builder()).await;
    run(served.world(), &["--steps", "discovery,keys"]).await.assert_passed();
    let paths: Vec<_> = served.world().requests().into_iter().map(|request| request.path).collect();
    let ends: Vec<_> = paths.iter().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!(ends, ["openid-configuration", "certs"]);
}

#[tokio::test]
async fn a_client_says_who_it_is_as_it_was_told() {
    let secret = "a-secret-of-more-than-32-bytes-for-hs256";
    let served = served(World::builder().client("vault-oidc", secret)).await;
    let run = async |world: &World, arguments: &[&str]| {
        run_at(&world.issuer(), arguments, &[("CLIENT_SECRET", secret)]).await
    };
    for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt"] {
        served.world().provider().take_clients_by(&[method]);
        run(served.world(), &["--client-auth", method]).await.assert_passed();
    }
    served.world().provider().take_clients_by(&["client_secret_post"]);
    let done = run(served.world(), &["--client-auth", "client_secret_basic"]).await;
    done.assert_refused(1, "login", "oidc_invalid_client");
    run(served.world(), &["--client-auth", "client_secret_post", "--push"]).await.assert_passed();
    assert_eq!(asked(served.world(), "/ext/par/request"), 1);
}

const CLIENT_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/servers/client-key.pem");

#[tokio::test]
async fn a_client_signs_who_it_is_with_its_key() {
    let keys = serde_json::json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "client-key",
        "x": "5cRRODE6B7bRkKmODu2uyW6OnzfrKbcP1zj_gk0ADHM", "y": "z-7UxiJUiy2rzb5KzYOAtNiZPm7SX0cz8c47pAcWej4",
    }]});
    let served = served(World::builder().client_keys(&keys)).await;
    served.world().provider().take_clients_by(&["private_key_jwt"]);
    let arguments = ["--client-auth", "private_key_jwt", "--client-key", CLIENT_KEY];
    for more in [["--response-mode", "query"], ["--response-mode", "jwt"], ["--client-key-id", "client-key"]]
    {
        let arguments = [arguments.as_slice(), &more, &["--steps", ALL_STEPS]].concat();
        run(served.world(), &arguments).await.assert_passed();
    }
    // A name that the provider does not know, another key, no key.
    let done = run(served.world(), &[arguments.as_slice(), &["--client-key-id", "other"]].concat()).await;
    done.assert_refused(1, "login", "oidc_invalid_client");
    let mut other = tempfile::NamedTempFile::new().unwrap();
    let pem = AwsLcSigner::generate(latchkey_oidc_flow::Algorithm::Es256).unwrap();
    other.write_all(pem.expose_secret().as_bytes()).unwrap();
    let other = other.path().to_str().unwrap();
    let done = run(served.world(), &["--client-auth", "private_key_jwt", "--client-key", other]).await;
    done.assert_refused(1, "login", "oidc_invalid_client");
    let done =
        run(served.world(), &["--client-auth", "private_key_jwt", "--client-key", "/nonexistent"]).await;
    done.assert_refused(2, "discovery", "usage");
    run(served.world(), &[]).await.assert_refused(1, "login", "oidc_invalid_client");
}

#[tokio::test]
async fn an_answer_that_is_signed_wrongly_is_refused_before_its_code_is_used() {
    let served = served(World::builder()).await;
    for mode in ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"] {
        for lie in [Lie::ResponseBrokenSignature, Lie::ResponseOtherIssuer, Lie::ResponseTwoIssuers] {
            served.world().provider().misbehave(lie, Span::Once);
            let done = run(served.world(), &["--response-mode", mode]).await;
            done.assert_refused(1, "login", "oidc_callback_response");
        }
        served.world().provider().misbehave(Lie::ResponseIssuerTwice, Span::Once);
        run(served.world(), &["--response-mode", mode]).await.assert_passed();
    }
    assert_eq!(asked(served.world(), "/token"), 4);
}

#[tokio::test]
async fn a_refusal_has_its_code_and_nothing_is_asked_after_it() {
    for (lie, step, code) in [
        (Lie::DiscoveryIssuer, "discovery", "oidc_provider_issuer_mismatch"),
        (Lie::CallbackIssuerOther, "login", "oidc_callback_issuer_mismatch"),
        (Lie::CallbackStateOther, "login", "oidc_callback_state_mismatch"),
        (Lie::OtherNonce, "login", "oidc_id_token_nonce"),
        (Lie::BrokenSignature, "login", "oidc_id_token_signature"),
        (Lie::AlgNone, "login", "oidc_id_token_algorithm"),
        (Lie::OtherAudience, "login", "oidc_id_token_audience"),
    ] {
        let served = served(World::builder()).await;
        served.world().provider().misbehave(lie, Span::Always);
        run(served.world(), &[]).await.assert_refused(1, step, code);
        assert_eq!(asked(served.world(), "/userinfo"), 0, "{lie:?}");
    }
    let served = served(World::builder()).await;
    for (lie, step, code) in [
        (Lie::UserinfoOtherSubject, "userinfo", "oidc_userinfo_subject"),
        (Lie::RefreshOtherSubject, "refresh", "oidc_id_token_not_continued"),
        (Lie::LogoutStateOther, "logout", "oidc_callback_state_mismatch"),
    ] {
        served.world().provider().misbehave(lie, Span::Once);
        run(served.world(), &["--steps", ALL_STEPS]).await.assert_refused(1, step, code);
    }
}

#[tokio::test]
async fn two_logins_share_the_keys_and_follow_a_rotation() {
    let served = served(World::builder()).await;
    run(served.world(), &["--logins", "2"]).await.assert_passed();
    assert_eq!((asked(served.world(), "/certs"), asked(served.world(), "/token")), (1, 2));
    served.world().provider().misbehave(Lie::KeyChangedBeforeSigning, Span::Always);
    run(served.world(), &["--logins", "2"]).await.assert_passed();
    assert_eq!(asked(served.world(), "/certs"), 4, "once, and once more for each new key");
}

#[tokio::test]
async fn an_algorithm_is_taken_where_it_was_named() {
    let served = served(World::builder()).await;
    served.world().provider().sign_with(Algorithm::Es256);
    run(served.world(), &[]).await.assert_refused(1, "login", "oidc_id_token_algorithm");
    run(served.world(), &["--algorithms", "RS256,ES256"]).await.assert_passed();
}

#[tokio::test]
async fn logout_tokens_are_heard_and_bad_ones_are_refused() {
    let [port] = free_ports().unwrap();
    let uri = format!("http://127.0.0.1:{port}/back-channel");
    let served = served(World::builder().backchannel_logout_uri(&uri)).await;
    let arguments = ["--steps", "login,logout", "--backchannel-uri", &uri];
    let done = run(served.world(), &arguments).await;
    done.assert_passed();
    assert_eq!(done.line["logout_token_ends_the_session"], true);
    for (lie, code) in [
        (Lie::LogoutWithNonce, "oidc_logout_token_nonce"),
        (Lie::LogoutAlgNone, "oidc_logout_token"),
        (Lie::LogoutOtherEvent, "oidc_logout_token_event"),
    ] {
        served.world().provider().misbehave(lie, Span::Once);
        run(served.world(), &arguments).await.assert_refused(1, "logout_token", code);
    }
}

#[tokio::test]
async fn no_logout_token_is_exit_code_4() {
    let [port] = free_ports().unwrap();
    let served = served(World::builder()).await;
    let uri = format!("http://127.0.0.1:{port}/back-channel");
    let arguments = ["--steps", "login,logout", "--backchannel-uri", &uri, "--timeout", "1"];
    run(served.world(), &arguments).await.assert_refused(4, "logout_token", "timed_out");
}

#[tokio::test]
async fn what_is_missing_is_exit_code_2_and_what_is_down_is_3() {
    let nowhere = "http://127.0.0.1:1";
    run_at("", &[], &[]).await.assert_refused(2, "environment", "usage");
    let done = run_at(nowhere, &[], &[("CLIENT_ID", "")]).await;
    done.assert_refused(3, "discovery", "transport_unreachable");
    let served = served(World::builder()).await;
    let done = run_at(&served.world().issuer(), &[], &[("CLIENT_ID", "")]).await;
    done.assert_refused(2, "discovery", "usage");
    let done = run_at(&served.world().issuer(), &[], &[("SIGN_IN_PASSWORD", "wrong")]).await;
    done.assert_refused(1, "login", "no_answer");
}

/// Answers every connection with what `answer` makes of the path that was asked for, over TLS where there is a config.
async fn small_server(
    tls: Option<TlsAcceptor>,
    answer: impl Fn(u16, &str) -> Vec<u8> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answer) = (tls.clone(), answer.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => respond(tls.accept(stream).await?, port, &*answer).await,
                    None => respond(stream, port, &*answer).await,
                }
            });
        }
    });
    port
}

async fn respond(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    port: u16,
    answer: &(impl Fn(u16, &str) -> Vec<u8> + ?Sized),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let body = answer(port, head.split(' ').nth(1).unwrap_or_default());
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(reply.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn more_roots_come_from_a_file() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![certified.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let port = small_server(Some(TlsAcceptor::from(Arc::new(config))), |port, path| {
        let origin = format!("https://localhost:{port}");
        let world = World::builder().provider_origin(&origin).build();
        world.handle(Request::get(&format!("{origin}{path}"))).unwrap().body
    });
    let issuer = format!("https://localhost:{}/realms/HashiCorp", port.await);
    let steps = ["--steps", "discovery,keys"];
    run_at(&issuer, &steps, &[]).await.assert_refused(3, "discovery", "transport_tls");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certified.cert.pem().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    run_at(&issuer, &steps, &[("SSL_CERT_FILE", path)]).await.assert_passed();
}

#[tokio::test]
async fn an_issuer_is_taken_as_it_is_with_or_without_a_slash() {
    let port = small_server(None, |port, path| {
        let origin = format!("http://localhost:{port}");
        let world = World::builder().provider_origin(&origin).build();
        let inner = path.replacen("/op", "/realms/HashiCorp", 1);
        let reply = world.handle(Request::get(&format!("{origin}{inner}"))).unwrap().text();
        let document = reply.replacen(
            &format!("\"issuer\":\"{}\"", world.issuer()),
            &format!("\"issuer\":\"{origin}/op/\""),
            1,
        );
        document.into_bytes()
    });
    let issuer = format!("http://localhost:{}/op", port.await);
    let steps = ["--steps", "discovery"];
    run_at(&format!("{issuer}/"), &steps, &[]).await.assert_passed();
    let done = run_at(&issuer, &steps, &[]).await;
    done.assert_refused(1, "discovery", "oidc_provider_issuer_mismatch");
}
