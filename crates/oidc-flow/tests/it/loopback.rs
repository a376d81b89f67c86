//! The door on loopback, with clients that speak plain TCP.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use latchkey_oidc_flow::{
    CallbackProblem, Error, Loopback, LoopbackAddress, LoopbackHost, Misuse, Pending, RefusalReason,
    ValidatedCallback,
};
use latchkey_transport::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{CODE, Counting, Script, after, client, now, state};

const LIMIT: Duration = Duration::from_secs(20);

async fn open() -> (Loopback, Pending, u16) {
    let door = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    let login =
        client(&Script::default()).authorize(door.redirect_uri()).begin(&mut Counting::default(), now());
    let port = door.port();
    (door, login.unwrap().pending, port)
}

/// Sends bytes and returns everything that comes back.
async fn send(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(port: u16, target: &str) -> String {
    send(port, &format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn good() -> String {
    format!("/oidc/callback?state={}&code={CODE}", state())
}

/// Waits while a browser does something, and then lets the browser sign in.
async fn while_waiting<F: Future>(visit: impl FnOnce(u16) -> F) -> Result<ValidatedCallback, Error> {
    let (door, pending, port) = open().await;
    let browser = async {
        visit(port).await;
        assert_eq!(status(&get(port, &good()).await), "303");
        get(port, "/oidc/callback/done").await
    };
    let (callback, page) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    assert!(page.contains("Back to the program"), "{page}");
    callback
}

#[tokio::test]
async fn the_browser_leaves_the_code_behind_and_sees_a_page_that_closes_itself() {
    let (door, pending, port) = open().await;
    assert_eq!(door.redirect_uri(), format!("http://localhost:{port}/oidc/callback"));
    let browser = async {
        // Nothing to see before the answer has come.
        assert_eq!(status(&get(port, "/oidc/callback/done").await), "404");
        let answer = get(port, &good()).await;
        assert_eq!(status(&answer), "303");
        assert!(answer.contains("\r\nlocation: /oidc/callback/done\r\n"));
        for shown in [CODE, &state()] {
            assert!(!answer.contains(shown), "{answer}");
        }
        let page = get(port, "/oidc/callback/done").await;
        assert_eq!(status(&page), "200");
        assert!(page.contains("<h1>Back to the program</h1>"));
        assert!(page.contains("window.close()"));
        page
    };
    let (callback, page) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    assert_eq!(callback.unwrap().issuer(), crate::support::ISSUER);
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: DENY",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
    ] {
        assert!(page.contains(&format!("\r\n{header}")), "{header}");
    }
    // The door is closed.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.is_err());
}

#[tokio::test]
async fn what_may_run_on_the_page_is_named_by_its_hash() {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};
    let (door, pending, port) = open().await;
    let browser = async {
        get(port, &good()).await;
        get(port, "/oidc/callback/done").await
    };
    let (_, page) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0;
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let text = between(&format!("<{element}>"), &format!("</{element}>"));
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
        assert!(page.contains(&format!("{directive} 'sha256-{hash}'")), "{element}");
    }
}

#[tokio::test]
async fn stray_and_forged_requests_are_turned_away_and_the_wait_goes_on() {
    let callback = while_waiting(|port| async move {
        let own = format!("localhost:{port}");
        let request = |method: &str, target: &str, host: &str| {
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")
        };
        let good = good();
        let cases = [
            ("favicon", request("GET", "/favicon.ico", &own), "404"),
            ("root", request("GET", "/", &own), "404"),
            ("longer path", request("GET", &good.replace("callback", "callback/x"), &own), "404"),
            ("absolute target", request("GET", &format!("http://{own}{good}"), &own), "404"),
            ("no parameters", request("GET", "/oidc/callback", &own), "400"),
            ("forged state", request("GET", "/oidc/callback?state=forged&code=x", &own), "400"),
            ("no state", request("GET", "/oidc/callback?code=x", &own), "400"),
            ("forged error", request("GET", "/oidc/callback?error=access_denied", &own), "400"),
            ("error, wrong state", request("GET", "/oidc/callback?error=access_denied&state=x", &own), "400"),
            ("parameter twice", request("GET", &format!("{good}&code=y"), &own), "400"),
            ("method", request("PUT", &good, &own), "405"),
            ("head", request("HEAD", &good, &own), "405"),
            ("rebound host", request("GET", &good, &format!("evil.example:{port}")), "421"),
            ("host of another port", request("GET", &good, "localhost:1"), "421"),
            ("host without port", request("GET", &good, "localhost"), "421"),
            ("no host", format!("GET {good} HTTP/1.1\r\n\r\n"), "421"),
            ("two hosts", format!("GET {good} HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n"), "421"),
            (
                "prefetch",
                format!("GET {good} HTTP/1.1\r\nHost: {own}\r\nSec-Purpose: prefetch\r\n\r\n"),
                "503",
            ),
            ("not http", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
        ];
        for (name, request, expected) in cases {
            let answer = send(port, &request).await;
            assert_eq!(status(&answer), expected, "{name}");
            for shown in [CODE, &state()] {
                assert!(!answer.contains(shown), "{name}");
            }
        }
    });
    callback.await.unwrap();
}

#[tokio::test]
async fn the_host_may_be_spelled_as_any_name_of_this_machine() {
    for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]"] {
        let (door, pending, port) = open().await;
        let browser = async {
            let target = good();
            let answer = send(port, &format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).await;
            assert_eq!(status(&answer), "303", "{host}");
            get(port, "/oidc/callback/done").await;
        };
        let (callback, ()) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
        callback.unwrap();
    }
}

/// Some machines, and most build containers, have no IPv6.
async fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok()
}

#[tokio::test]
async fn the_browser_may_come_over_ipv6() {
    if !has_ipv6().await {
        return;
    }
    let (door, pending, port) = open().await;
    let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect("::1 is heard");
    let browser = async {
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n", good());
        stream.write_all(request.as_bytes()).await.unwrap();
        get(port, "/oidc/callback/done").await
    };
    let (callback, _) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    callback.unwrap();
}

fn post(port: u16, media_type: &str, length: &str, body: &str) -> String {
    format!(
        "POST /oidc/callback HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {media_type}\r\n\
         Content-Length: {length}\r\nOrigin: https://id.example\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_posted_form_is_read_like_a_query() {
    let (door, pending, port) = open().await;
    let browser = async {
        let body = format!("state={}&code={CODE}", state());
        let length = body.len().to_string();
        // In pieces, as slow networks deliver it.
        let request = post(port, "application/x-www-form-urlencoded; charset=utf-8", &length, &body);
        let (first, second) = request.split_at(request.len() - 5);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(second.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), "303");
        get(port, "/oidc/callback/done").await
    };
    let (callback, _) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    callback.unwrap();
}

#[tokio::test]
async fn a_form_that_is_none_is_turned_away() {
    let callback = while_waiting(|port| async move {
        let body = format!("state={}&code={CODE}", state());
        let form = "application/x-www-form-urlencoded";
        let length = body.len().to_string();
        let cases = [
            ("json", post(port, "application/json", &length, &body), "415"),
            ("no length", post(port, form, "many", &body), "411"),
            ("huge length", post(port, form, "16384", &body), "413"),
            ("forged", post(port, form, "17", "state=x&code=yyyy"), "400"),
            // What is in the address of a post does not count.
            (
                "query",
                post(port, form, "0", "").replacen("/callback", &format!("/callback?{body}"), 1),
                "400",
            ),
        ];
        for (name, request, expected) in cases {
            assert_eq!(status(&send(port, &request).await), expected, "{name}");
        }
    });
    callback.await.unwrap();
}

#[tokio::test]
async fn an_oversized_request_is_turned_away() {
    let callback = while_waiting(|port| async move {
        let long = "x".repeat(17 * 1024);
        let head = format!("GET /oidc/callback?code={long} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        assert_eq!(status(&send(port, &head).await), "431");
        let endless = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nX: {long}");
        assert_eq!(status(&send(port, &endless).await), "431");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
        assert_eq!(status(&send(port, &many).await), "400");
    });
    callback.await.unwrap();
}

#[tokio::test]
async fn silent_connections_do_not_block_the_door() {
    let (door, pending, port) = open().await;
    let browser = async {
        // As many as are served at a time, and more. None says anything whole.
        let mut silent = Vec::new();
        for _ in 0..40 {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let _ = stream.write_all(b"GET /oidc").await;
            silent.push(stream);
        }
        let answer = get(port, &good()).await;
        assert_eq!(status(&answer), "303");
        // The browser's turn came when the door had closed the first ones, and not beside all of them.
        let end = timeout(Duration::from_secs(1), silent[0].read(&mut [0; 1])).await;
        assert!(matches!(end, Ok(Ok(0))), "{end:?}");
        get(port, "/oidc/callback/done").await
    };
    let (callback, _) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    callback.unwrap();
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason_as_text() {
    let (door, pending, port) = open().await;
    let browser = async {
        let description = "%3Cscript%3Ealert(1)%3C/script%3E";
        let target =
            format!("/oidc/callback?state={}&error=access_denied&error_description={description}", state());
        assert_eq!(status(&get(port, &target).await), "303");
        get(port, "/oidc/callback/done").await
    };
    let (callback, page) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    let Err(Error::Refused(refusal)) = callback else { panic!("not refused") };
    assert_eq!(refusal.reason, RefusalReason::AccessDenied);
    assert!(page.contains("<h1>Not signed in</h1>"));
    assert!(page.contains("The sign-in was refused (&lt;script&gt;alert(1)&lt;/script&gt;)."), "{page}");
    // Somebody has to read it.
    assert!(!page.contains("window.close"));
}

#[tokio::test]
async fn a_mix_up_ends_the_login() {
    let (door, pending, port) = open().await;
    let browser = async {
        get(port, &format!("{}&iss=https://evil.example", good())).await;
        get(port, "/oidc/callback/done").await
    };
    let (callback, page) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    assert!(matches!(callback, Err(Error::Callback(CallbackProblem::IssuerMismatch { .. }))));
    assert!(page.contains("Not signed in"));
}

#[tokio::test]
async fn a_browser_that_never_fetches_the_page_does_not_keep_the_login_waiting() {
    let (door, pending, port) = open().await;
    let waiting = timeout(LIMIT / 2, door.wait(pending, LIMIT, now()));
    let (callback, answer) = tokio::join!(waiting, async { get(port, &good()).await });
    assert_eq!(status(&answer), "303");
    callback.expect("the login ends long before its limit").unwrap();
}

#[tokio::test]
async fn a_second_answer_changes_nothing() {
    let (door, pending, port) = open().await;
    let browser = async {
        assert_eq!(status(&get(port, &good()).await), "303");
        assert_eq!(status(&get(port, &good()).await), "400");
        get(port, "/oidc/callback/done").await
    };
    let (callback, _) = tokio::join!(door.wait(pending, LIMIT, now()), browser);
    callback.unwrap();
}

#[tokio::test]
async fn the_wait_ends_with_its_limit_or_with_the_login() {
    let (door, pending, _) = open().await;
    let error = door.wait(pending, Duration::from_millis(50), now()).await.unwrap_err();
    assert!(matches!(error, Error::NobodyCame { .. }));
    // The login of ten minutes has no time left.
    let (door, pending, _) = open().await;
    let error = timeout(LIMIT, door.wait(pending, Duration::MAX, after(600))).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NobodyCame { .. }));
}

#[tokio::test]
async fn the_code_of_a_login_that_somebody_else_began_is_waited_for() {
    let (door, _, port) = open().await;
    let browser = async {
        assert_eq!(status(&get(port, "/oidc/callback?code=y").await), "400");
        assert_eq!(status(&get(port, "/oidc/callback?state=x&code=y").await), "400");
        assert_eq!(status(&get(port, "/oidc/callback?state=x&error=access_denied").await), "400");
        assert_eq!(status(&get(port, "/oidc/callback?state=vaults-state&code=y").await), "303");
        // The answer has come: nobody is asked about a second one.
        assert_eq!(status(&get(port, "/oidc/callback?state=vaults-state&code=z").await), "400");
        get(port, "/oidc/callback/done").await
    };
    let state = Secret::new("vaults-state");
    let (code, page) = tokio::join!(door.wait_for_code(&state, LIMIT), browser);
    assert!(code.unwrap().is_same_as("y"));
    assert!(page.contains("Back to the program"));
}

#[tokio::test]
async fn a_refusal_of_a_login_that_somebody_else_began_is_an_error_and_shown() {
    let (door, _, port) = open().await;
    let browser = async {
        get(port, "/oidc/callback?state=vaults-state&error=%3Cunknown%3E").await;
        get(port, "/oidc/callback/done").await
    };
    let state = Secret::new("vaults-state");
    let (code, page) = tokio::join!(door.wait_for_code(&state, LIMIT), browser);
    assert!(matches!(code, Err(Error::Refused(_))), "{code:?}");
    assert!(page.contains("&lt;unknown&gt;") && !page.contains("<unknown>"), "{page}");
}

// Where it listens.

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    let error = Loopback::bind(LoopbackAddress::port(taken.port())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("port {} on this machine is taken by another program", taken.port())
    );
    assert_eq!(error.code(), "oidc_port_taken");
}

#[tokio::test]
async fn the_next_port_is_tried() {
    let taken = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    let door = Loopback::bind(LoopbackAddress::ports([taken.port(), 0])).await.unwrap();
    assert_ne!(door.port(), taken.port());
}

#[tokio::test]
async fn a_port_that_somebody_hears_over_ipv6_is_taken_for_localhost() {
    if !has_ipv6().await {
        return;
    }
    let address: SocketAddr = (Ipv6Addr::LOCALHOST, 0).into();
    let thief = TcpListener::bind(address).await.unwrap();
    let port = thief.local_addr().unwrap().port();
    let error = Loopback::bind(LoopbackAddress::port(port)).await.unwrap_err();
    assert!(matches!(error, Error::PortTaken { ports } if ports == [port]));
    // Who spells it 127.0.0.1 is not sent to ::1.
    let door = Loopback::bind(LoopbackAddress::port(port).with_host(LoopbackHost::Ipv4)).await.unwrap();
    assert_eq!(door.redirect_uri(), format!("http://127.0.0.1:{port}/oidc/callback"));
}

#[tokio::test]
async fn a_door_that_is_dropped_is_closed() {
    let door = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    let port = door.port();
    drop(door);
    Loopback::bind(LoopbackAddress::port(port)).await.unwrap();
}

// Other systems have no second loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn only_this_machine_is_heard() {
    let door = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    // Would fail if the door listened on every address.
    let elsewhere: SocketAddr = ([127, 0, 0, 2], door.port()).into();
    TcpListener::bind(elsewhere).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for path in ["", "callback", "/a b", "/a?b", "/a#b", "/ä", "/a\r\nx: y", "/%2e", "//evil.example/x"] {
        let error = Loopback::bind(LoopbackAddress::any_port().with_path(path)).await.unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::InvalidPath)), "{path}");
    }
    let error = Loopback::bind(LoopbackAddress::ports([])).await.unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NoPort)));
    let door = Loopback::bind(LoopbackAddress::any_port().with_path("/")).await.unwrap();
    assert!(door.redirect_uri().ends_with(&format!(":{}/", door.port())));
}

#[tokio::test]
async fn a_sign_out_comes_back_with_its_state_alone() {
    let door = Loopback::bind(LoopbackAddress::any_port()).await.unwrap();
    let port = door.port();
    let out = client(&Script::default()).end_session().with_redirect_uri(door.redirect_uri());
    let out = out.begin(&mut Counting::default()).unwrap();
    let state = out.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let browser = async {
        for stray in ["/oidc/callback", "/oidc/callback?state=other", "/oidc/callback?code=c"] {
            assert_eq!(status(&get(port, stray).await), "400", "{stray}");
        }
        let answer = get(port, &format!("/oidc/callback?state={state}")).await;
        assert_eq!(status(&answer), "303");
        get(port, "/oidc/callback/done").await
    };
    let (ended, page) = tokio::join!(door.wait_for_sign_out(out.pending.unwrap(), LIMIT), browser);
    ended.unwrap();
    assert!(page.contains("<h1>Signed out</h1>"), "{page}");
}
