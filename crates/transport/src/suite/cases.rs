//! The rules, one function each.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::time::Duration;

use super::{Broken, Case, Grounds};
use crate::{Error, Method, Misuse, Reply, Request, Secret, Transport};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Every rule of the contract that can be seen from outside.
        pub const CASES: &[Case] =
            &[$(Case { name: stringify!($name), run: |transport, grounds| Box::pin($name(transport, grounds)) }),*];
    };
}

cases![
    method_path_and_query_arrive,
    headers_and_body_arrive,
    a_binary_body_comes_back_unharmed,
    an_empty_body_is_a_reply,
    any_status_is_a_reply,
    reply_headers_can_be_read,
    a_redirect_is_a_reply,
    cookies_are_not_kept,
    nothing_is_cached,
    a_body_at_the_limit_is_read,
    an_announced_body_over_the_limit_is_refused,
    an_endless_body_is_refused,
    an_announced_length_is_not_believed,
    the_time_limit_covers_the_wait,
    the_time_limit_covers_a_dripping_body,
    a_closed_port_is_unreachable,
    a_dropped_request_is_lost_and_not_repeated,
    a_body_cut_short_is_lost,
    a_path_without_a_server_is_misuse,
    plain_http_beyond_loopback_is_misuse,
    a_header_cannot_be_smuggled,
    an_error_tells_no_query,
];

type Ruling = Result<(), Broken>;

/// Long enough for a busy machine, short enough that a broken transport is seen soon.
const SHORT: Duration = Duration::from_millis(300);

fn get(grounds: &Grounds, path: &'static str) -> Request {
    Request::new(Method::Get, path).at(&grounds.origin)
}

fn expect(holds: bool, expected: &'static str, got: impl Debug) -> Ruling {
    if holds { Ok(()) } else { Err(Broken::Unexpected { expected, got: format!("{got:?}") }) }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.body()).into_owned()
}

async fn method_path_and_query_arrive(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    for method in [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::List] {
        let request = Request::new(method, "/echo/a%2Fb?list=true&x=%20").at(&grounds.origin);
        let reply = text(&transport.send(request).await?);
        let line = format!("{} /echo/a%2Fb?list=true&x=%20 HTTP/1.1", method.as_str());
        expect(reply.starts_with(&line), "method, path and query as they were given", reply)?;
    }
    Ok(())
}

async fn headers_and_body_arrive(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let request = Request::new(Method::Post, "/echo")
        .at(&grounds.origin)
        .with_header("X-Plain", "seen")
        .with_secret_header("X-Vault-Token", Secret::new("hush"))
        .with_body("application/json", r#"{"a":1}"#);
    let reply = text(&transport.send(request).await?);
    let lower = reply.to_ascii_lowercase();
    for line in
        ["x-plain: seen", "x-vault-token: hush", "content-type: application/json", "content-length: 7"]
    {
        expect(lower.contains(line), "every header once, as it was given", &lower)?;
    }
    expect(reply.ends_with("\r\n\r\n{\"a\":1}"), "the body as it was given", reply)
}

async fn a_binary_body_comes_back_unharmed(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let bytes: Vec<u8> = (0..=255).collect();
    let request = Request::new(Method::Put, "/mirror")
        .at(&grounds.origin)
        .with_body("application/octet-stream", bytes.clone());
    let reply = transport.send(request).await?;
    expect(reply.body() == bytes, "all 256 bytes", reply.body().len())
}

async fn an_empty_body_is_a_reply(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let reply = transport.send(get(grounds, "/status/204")).await?;
    expect(reply.status() == 204 && reply.body().is_empty(), "204 without a body", reply)
}

async fn any_status_is_a_reply(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    for (path, status) in
        [("/status/400", 400), ("/status/403", 403), ("/status/473", 473), ("/status/503", 503)]
    {
        let reply = transport.send(get(grounds, path)).await?;
        expect(reply.status() == status, "the server's status", reply.status())?;
    }
    Ok(())
}

async fn reply_headers_can_be_read(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let reply = transport.send(get(grounds, "/status/429")).await?;
    expect(reply.header("retry-after") == Some("7"), "Retry-After: 7", reply.header("Retry-After"))
}

async fn a_redirect_is_a_reply(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    for (path, status) in [("/redirect/302", 302), ("/redirect/307", 307)] {
        let request = Request::new(Method::Post, path).at(&grounds.origin).with_body("text/plain", "hush");
        let reply = transport.send(request).await?;
        expect(reply.status() == status, "the redirect itself", reply.status())?;
        expect(reply.header("location") == Some("/landed"), "its Location", reply.header("location"))?;
    }
    let landed = text(&transport.send(get(grounds, "/hits/landed")).await?);
    expect(landed == "0", "no request to where it points", landed)
}

async fn cookies_are_not_kept(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    transport.send(get(grounds, "/cookie")).await?;
    let echoed = text(&transport.send(get(grounds, "/echo")).await?).to_ascii_lowercase();
    expect(!echoed.contains("\ncookie:"), "no cookie", echoed)
}

async fn nothing_is_cached(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let first = text(&transport.send(get(grounds, "/cacheable")).await?);
    let second = text(&transport.send(get(grounds, "/cacheable")).await?);
    expect(first != second, "two answers of the server", (first, second))
}

async fn a_body_at_the_limit_is_read(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let reply = transport.send(get(grounds, "/large/4096").with_reply_limit(4096)).await?;
    expect(reply.body().len() == 4096, "4096 bytes", reply.body().len())
}

async fn an_announced_body_over_the_limit_is_refused(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(get(grounds, "/large/4097").with_reply_limit(4096)).await;
    expect(matches!(outcome, Err(Error::ReplyTooLarge { limit: 4096, .. })), "ReplyTooLarge", outcome)
}

async fn an_endless_body_is_refused(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(get(grounds, "/endless").with_reply_limit(65_536)).await;
    expect(matches!(outcome, Err(Error::ReplyTooLarge { limit: 65_536, .. })), "ReplyTooLarge", outcome)
}

async fn an_announced_length_is_not_believed(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    // A terabyte is announced, five bytes come: whoever makes the memory first does not live to see them.
    let outcome = transport.send(get(grounds, "/boast").with_reply_limit(usize::MAX)).await;
    expect(matches!(outcome, Err(Error::Lost { .. })), "Lost", outcome)
}

async fn the_time_limit_covers_the_wait(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(get(grounds, "/silence").with_time_limit(SHORT)).await;
    expect(matches!(outcome, Err(Error::TimedOut { limit: SHORT, .. })), "TimedOut", outcome)
}

async fn the_time_limit_covers_a_dripping_body(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(get(grounds, "/drip").with_time_limit(SHORT)).await;
    expect(matches!(outcome, Err(Error::TimedOut { limit: SHORT, .. })), "TimedOut", outcome)
}

async fn a_closed_port_is_unreachable(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(Request::new(Method::Post, "/").at(&grounds.closed)).await;
    expect(matches!(outcome, Err(Error::Unreachable { .. })), "Unreachable", outcome)
}

async fn a_dropped_request_is_lost_and_not_repeated(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    // First a reply, so that an engine that keeps connections has one at hand: it must not be tempted either.
    transport.send(get(grounds, "/status/204")).await?;
    let outcome = transport.send(Request::new(Method::Post, "/drop").at(&grounds.origin)).await;
    expect(matches!(outcome, Err(Error::Lost { .. })), "Lost", outcome)?;
    let hits = text(&transport.send(get(grounds, "/hits/drop")).await?);
    expect(hits == "1", "one request", hits)
}

async fn a_body_cut_short_is_lost(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let outcome = transport.send(get(grounds, "/cut")).await;
    expect(matches!(outcome, Err(Error::Lost { .. })), "Lost", outcome)
}

async fn a_path_without_a_server_is_misuse(transport: &dyn Transport, _: &Grounds) -> Ruling {
    let outcome = transport.send(Request::new(Method::Get, "/v1/sys/health")).await;
    expect(matches!(outcome, Err(Error::Misuse(Misuse::NoServer))), "Misuse(NoServer)", outcome)
}

async fn plain_http_beyond_loopback_is_misuse(transport: &dyn Transport, _: &Grounds) -> Ruling {
    // A name that by RFC 6761, 6.4 nobody has: a transport that does send it reaches nobody.
    let outcome = transport.send(Request::new(Method::Get, "http://plain.invalid/")).await;
    expect(matches!(outcome, Err(Error::Misuse(Misuse::PlainHttp { .. }))), "Misuse(PlainHttp)", outcome)
}

async fn a_header_cannot_be_smuggled(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let token = Secret::new("hush\r\nX-Forged: 1");
    let outcome = transport.send(get(grounds, "/echo").with_secret_header("X-Vault-Token", token)).await;
    let refused =
        matches!(&outcome, Err(Error::Misuse(Misuse::InvalidHeader { name })) if name == "X-Vault-Token");
    expect(refused, "Misuse(InvalidHeader)", outcome)
}

async fn an_error_tells_no_query(transport: &dyn Transport, grounds: &Grounds) -> Ruling {
    let requests = [
        Request::new(Method::Get, "/?code=hush").at(&grounds.closed),
        get(grounds, "/drop-quietly?code=hush"),
        get(grounds, "/cut?code=hush"),
        get(grounds, "/silence?code=hush").with_time_limit(SHORT),
    ];
    for request in requests {
        let Err(error) = transport.send(request).await else {
            return expect(false, "an error", "a reply");
        };
        let mut told = format!("{error:?} {error}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            told = format!("{told} {inner:?} {inner}");
            cause = inner.source();
        }
        expect(!told.contains("hush"), "errors without the query", told)?;
    }
    Ok(())
}
