//! A proxy in the environment is used only by those who ask for it.

use std::env;
use std::process::Command;

use latchkey_transport::danger::Danger;
use latchkey_transport::{Method, Request, ReqwestTransport, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ASKS: &str = "LATCHKEY_TEST_ASKS_FOR_PROXY";
/// Nobody has this name, so that only the proxy can answer.
const FAR: &str = "http://plain.invalid/";
/// Nobody listens there. It is this machine: what is sent to it must not leave by the proxy.
const NEAR: &str = "http://127.0.0.1:1/";

#[expect(clippy::disallowed_methods, reason = "the child is told by the environment what to do")]
fn asked() -> Option<bool> {
    env::var(ASKS).ok().map(|asks| asks == "yes")
}

/// Runs this very test again as a child with a proxy in its environment, once asking for it and once not.
#[tokio::test]
async fn the_environment_names_a_proxy_only_for_those_who_ask() {
    if let Some(asks) = asked() {
        let builder = ReqwestTransport::builder().danger(Danger::PlainHttp);
        let builder = if asks { builder.with_environment_proxy() } else { builder };
        let transport = builder.build().unwrap();
        for (target, proxied) in [(FAR, asks), (NEAR, false)] {
            let outcome = transport.send(Request::new(Method::Get, target)).await;
            assert_eq!(outcome.is_ok_and(|reply| reply.status() == 299), proxied, "{target}");
        }
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 299 Proxied\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    for asks in ["yes", "no"] {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "proxy::the_environment_names_a_proxy_only_for_those_who_ask"]);
        child.env(ASKS, asks).env("HTTP_PROXY", &proxy).env("http_proxy", &proxy).env_remove("NO_PROXY");
        let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{asks}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}
