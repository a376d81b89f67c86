//! Where a provider posts its logout tokens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use latchkey_oidc_flow::{CallbackParams, Client, Error, LogoutToken};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

use crate::failure::{Exit, Failure};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// A listener for the logout tokens of a provider
/// ([OpenID Connect Back-Channel Logout, 2.5](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCRequest)).
///
/// It ends when it is dropped.
pub struct LogoutListener {
    heard: mpsc::Receiver<Result<LogoutToken, Error>>,
    task: tokio::task::JoinHandle<()>,
}

impl LogoutListener {
    /// Listens where that address says: plain http, as behind a proxy or on loopback.
    pub async fn bind(address: &Url, client: Client) -> Result<Self, Failure> {
        let unusable = |why: &str| Failure::new(Exit::Usage, format!("--backchannel-uri: {why}"));
        if address.scheme() != "http" {
            return Err(unusable("this program listens in plain http; put a proxy in front of it for https"));
        }
        let sockets = address.socket_addrs(|| None).map_err(|error| Failure::of(Exit::Usage, &error))?;
        let listener = TcpListener::bind(&sockets[..])
            .await
            .map_err(|error| Failure::of(Exit::Usage, &error).while_doing("listening for logout tokens"))?;
        let (sender, heard) = mpsc::channel(8);
        let path: Arc<str> = address.path().into();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, path, sender) = (client.clone(), path.clone(), sender.clone());
                tokio::spawn(async move {
                    let answer = service_fn(|request| {
                        let (client, path, sender) = (client.clone(), path.clone(), sender.clone());
                        async move { Ok::<_, Infallible>(answer(request, &client, &path, &sender).await) }
                    });
                    let serving = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), answer);
                    // A caller that goes away, or is too slow, is the caller's affair.
                    let _ = tokio::time::timeout(CALL, serving).await;
                });
            }
        });
        Ok(Self { heard, task })
    }

    /// Waits for the next logout token, good or bad; nothing where none comes in time.
    pub async fn next(&mut self, limit: Duration) -> Option<Result<LogoutToken, Error>> {
        tokio::time::timeout(limit, self.heard.recv()).await.ok().flatten()
    }
}

impl Drop for LogoutListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 2.8: "the RP MUST respond with HTTP 200 OK" to a logout that went well, and with 400 to a token that is refused.
async fn answer(
    request: hyper::Request<Incoming>,
    client: &Client,
    path: &str,
    heard: &mpsc::Sender<Result<LogoutToken, Error>>,
) -> Response<Empty<Bytes>> {
    let status = if request.uri().path() != path {
        StatusCode::NOT_FOUND
    } else if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        // A token is at most 64 KiB long, and three times that where every sign is escaped.
        let limit = 3 * latchkey_oidc_flow::IdToken::LIMIT + CallbackParams::LIMIT;
        match Limited::new(request.into_body(), limit).collect().await {
            Ok(body) => {
                let outcome = client.back_channel_logout(&body.to_bytes(), SystemTime::now()).await;
                let status = if outcome.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                // Who no longer waits hears nothing.
                let _ = heard.send(outcome).await;
                status
            }
            Err(_) => StatusCode::BAD_REQUEST,
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    let no_store = hyper::header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(hyper::header::CACHE_CONTROL, no_store);
    response
}
