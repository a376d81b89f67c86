//! A contract suite that cannot fail is worth nothing: here are transports that each break one rule, and the cases
//! that must see it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use latchkey_transport::{Error, Method, Misuse, Reply, Request, ReqwestTransport, Secret, Transport, suite};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bend {
    StatusIsError,
    FollowsRedirects,
    KeepsCookies,
    Caches,
    ReadsAnyLength,
    WaitsLonger,
    Repeats,
    LostIsUnreachable,
    UnreachableIsLost,
    CutsBodies,
    ForgetsHeaders,
    SendsPlainHttp,
    CleansHeaders,
    TellsAddresses,
}

struct Bent {
    inner: ReqwestTransport,
    bend: Bend,
    cookie: Mutex<Option<String>>,
    cache: Mutex<HashMap<String, Reply>>,
}

#[async_trait::async_trait]
impl Transport for Bent {
    async fn send(&self, mut request: Request) -> Result<Reply, Error> {
        let Some(url) = request.url().cloned() else { return self.inner.send(request).await };
        let again = request.clone();
        let token = request.header("X-Vault-Token").map(str::to_owned);
        match self.bend {
            Bend::ReadsAnyLength if url.path() != "/endless" => request = request.with_reply_limit(1 << 30),
            Bend::ReadsAnyLength => return Ok(Reply::new(200, vec![b'x'; 100_000])),
            Bend::WaitsLonger => request = request.with_time_limit(Duration::from_secs(1)),
            Bend::ForgetsHeaders => {
                let bare = Request::for_url(request.method(), url.clone());
                request = match request.take_body() {
                    Some(body) => bare.with_body("text/plain", body),
                    None => bare,
                };
            }
            Bend::CleansHeaders if token.as_ref().is_some_and(|token| token.contains('\r')) => {
                request = Request::for_url(request.method(), url.clone())
                    .with_secret_header("X-Vault-Token", Secret::new("hush"));
            }
            Bend::KeepsCookies => {
                let cookie = self.cookie.lock().unwrap().clone();
                if let Some(cookie) = cookie {
                    request = request.with_header("Cookie", cookie);
                }
            }
            Bend::Caches => {
                if let Some(reply) = self.cache.lock().unwrap().get(url.as_str()) {
                    return Ok(reply.clone());
                }
            }
            Bend::SendsPlainHttp if url.host_str() == Some("plain.invalid") => {
                return Ok(Reply::new(200, ""));
            }
            _ => {}
        }
        let outcome = self.inner.send(request).await;
        match (self.bend, outcome) {
            (Bend::StatusIsError, Ok(reply)) if reply.status() >= 400 => {
                Err(Error::Lost { host: String::new(), cause: None })
            }
            (Bend::FollowsRedirects, Ok(reply)) if reply.header("location").is_some() => {
                let target = url.join(reply.header("location").unwrap()).unwrap();
                self.inner.send(Request::for_url(Method::Get, target)).await
            }
            (Bend::KeepsCookies, Ok(reply)) => {
                if let Some(cookie) = reply.header("set-cookie") {
                    *self.cookie.lock().unwrap() = Some(cookie.to_owned());
                }
                Ok(reply)
            }
            (Bend::Caches, Ok(reply)) => {
                self.cache.lock().unwrap().insert(url.to_string(), reply.clone());
                Ok(reply)
            }
            (Bend::Repeats, Err(Error::Lost { .. })) => self.inner.send(again).await,
            (Bend::LostIsUnreachable, Err(Error::Lost { host, cause })) => {
                Err(Error::Unreachable { host, cause })
            }
            (Bend::UnreachableIsLost, Err(Error::Unreachable { host, cause })) => {
                Err(Error::Lost { host, cause })
            }
            (Bend::CutsBodies, Ok(reply)) => {
                let text = String::from_utf8_lossy(reply.body()).into_owned();
                Ok(Reply::new(reply.status(), text).with_headers(reply.headers().clone()))
            }
            (Bend::WaitsLonger, Err(Error::TimedOut { host, .. })) => {
                Err(Error::TimedOut { host, limit: Duration::from_secs(1) })
            }
            (Bend::CleansHeaders, Err(Error::Misuse(Misuse::InvalidHeader { .. }))) => {
                Ok(Reply::new(200, ""))
            }
            (Bend::TellsAddresses, Err(error)) if !matches!(error, Error::Misuse(_)) => match error {
                Error::TimedOut { limit, .. } => Err(Error::TimedOut { host: url.to_string(), limit }),
                Error::Unreachable { cause, .. } => Err(Error::Unreachable { host: url.to_string(), cause }),
                Error::Lost { cause, .. } => Err(Error::Lost { host: url.to_string(), cause }),
                other => Err(other),
            },
            (_, outcome) => outcome,
        }
    }
}

#[tokio::test]
async fn each_broken_rule_is_seen_by_its_case() {
    let table = [
        (Bend::StatusIsError, "any_status_is_a_reply"),
        (Bend::StatusIsError, "reply_headers_can_be_read"),
        (Bend::FollowsRedirects, "a_redirect_is_a_reply"),
        (Bend::KeepsCookies, "cookies_are_not_kept"),
        (Bend::Caches, "nothing_is_cached"),
        (Bend::ReadsAnyLength, "an_announced_body_over_the_limit_is_refused"),
        (Bend::ReadsAnyLength, "an_endless_body_is_refused"),
        (Bend::WaitsLonger, "the_time_limit_covers_the_wait"),
        (Bend::WaitsLonger, "the_time_limit_covers_a_dripping_body"),
        (Bend::Repeats, "a_dropped_request_is_lost_and_not_repeated"),
        (Bend::LostIsUnreachable, "a_body_cut_short_is_lost"),
        (Bend::UnreachableIsLost, "a_closed_port_is_unreachable"),
        (Bend::CutsBodies, "a_binary_body_comes_back_unharmed"),
        (Bend::ForgetsHeaders, "headers_and_body_arrive"),
        (Bend::SendsPlainHttp, "plain_http_beyond_loopback_is_misuse"),
        (Bend::CleansHeaders, "a_header_cannot_be_smuggled"),
        (Bend::TellsAddresses, "an_error_tells_no_query"),
    ];
    for (bend, name) in table {
        let transport = Bent {
            inner: ReqwestTransport::new().unwrap(),
            bend,
            cookie: Mutex::default(),
            cache: Mutex::default(),
        };
        let origin = suite::Origin::start().await.unwrap();
        let case = suite::CASES.iter().find(|case| case.name() == name).unwrap();
        assert!(case.run(&transport, origin.grounds()).await.is_err(), "{bend:?} was not seen by {name}");
    }
}
