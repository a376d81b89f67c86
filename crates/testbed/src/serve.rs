//! Both doubles on loopback.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    LogoutDelivery,
    message::{Request, Response},
    world::{BODY_LIMIT, Side, World, WorldBuilder},
};

/// One byte more than a server reads would do; one mebibyte more leaves room for how the body is framed.
const RECEIVED_AT_MOST: usize = BODY_LIMIT + 1024 * 1024;

/// How long a client may take for a logout token.
const DELIVERED_WITHIN: Duration = Duration::from_secs(5);

/// How often other free ports are tried when the one on `127.0.0.1` is taken on `::1`.
const ATTEMPTS: usize = 8;

/// Two servers on loopback. They end when this is dropped.
pub struct Served {
    world: World,
    // Dropping the set aborts its tasks, and closing the listeners frees the ports.
    _tasks: JoinSet<()>,
}

impl Served {
    /// The world that is served.
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("world", &self.world).finish_non_exhaustive()
    }
}

/// Serves a world on loopback, on the runtime of whoever calls.
///
/// Port 0 stands for any free port. The provider is at `http://localhost:PORT`, listening on 127.0.0.1 and, where the
/// machine has it, on `::1` as well; the Vault is at `http://127.0.0.1:PORT`. A world whose clock is the system's answers
/// with the time that clients see; one with a frozen clock works too, as long as the client is told that time.
///
/// # Errors
///
/// What the system says when a port cannot be had.
pub async fn serve(builder: WorldBuilder, provider_port: u16, vault_port: u16) -> io::Result<Served> {
    let provider = bind(provider_port).await?;
    let vault = bind(vault_port).await?;
    let world = builder
        .provider_origin(&format!("http://localhost:{}", port_of(&provider)?))
        .vault_origin(&format!("http://127.0.0.1:{}", port_of(&vault)?))
        .build();
    let mut tasks = JoinSet::new();
    for (listeners, side) in [(provider, Side::Provider), (vault, Side::Vault)] {
        for listener in listeners {
            tasks.spawn(accept(listener, world.clone(), side));
        }
    }
    Ok(Served { world, _tasks: tasks })
}

/// The same port on both loopback addresses; on one where the machine has only that.
async fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let bound = v4.local_addr()?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
            Ok(v6) => return Ok(vec![v4, v6]),
            // Somebody else has it there: a browser that tries ::1 first would reach them.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 && attempt < ATTEMPTS => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => return Ok(vec![v4]),
        }
    }
}

fn port_of(listeners: &[TcpListener]) -> io::Result<u16> {
    let first = listeners.first().ok_or_else(|| io::Error::other("no listener"))?;
    first.local_addr().map(|address: SocketAddr| address.port())
}

async fn accept(listener: TcpListener, world: World, side: Side) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let world = world.clone();
                    connections.spawn(async move {
                        let _ = stream.set_nodelay(true);
                        let answer = service_fn(|request| answer(world.clone(), side, request));
                        // An error here is a client that went away, or a fault that closes the socket: both are meant.
                        let _ = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    });
                }
                // Out of descriptors, most likely: give connections a moment to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    world: World,
    side: Side,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Arc<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let origin = match side {
        Side::Provider => world.issuer().trim_end_matches(crate::provider::REALM_PATH).to_owned(),
        Side::Vault => world.vault_address().to_owned(),
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(parts.method.as_str(), &format!("{origin}{target}"));
    for (name, value) in &parts.headers {
        request
            .headers
            .push((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    request.body = match Limited::new(body, RECEIVED_AT_MOST).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        // More than anybody reads: as many bytes as it takes to be refused.
        Err(error) if error.is::<http_body_util::LengthLimitError>() => vec![b' '; BODY_LIMIT + 1],
        Err(error) => return Err(Arc::from(error)),
    };
    let (result, delay) = world.handle_at(side, &request);
    for delivery in world.provider().take_logout_deliveries() {
        // By the back channel and on its own: the person's browser does not wait for it.
        tokio::spawn(tokio::time::timeout(DELIVERED_WITHIN, deliver(delivery)));
    }
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    result.map(framed).map_err(|lost| Arc::new(lost) as Arc<dyn std::error::Error + Send + Sync>)
}

/// Posts a logout token to the client. Whatever comes back is the client's affair, as it is Keycloak's.
async fn deliver(delivery: LogoutDelivery) -> io::Result<()> {
    let request = delivery.request();
    let url = url::Url::parse(&delivery.uri).map_err(io::Error::other)?;
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        url.path(),
        request.body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&request.body).await?;
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

fn framed(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let status = response.status;
    builder.body(Full::new(Bytes::from(response.body))).unwrap_or_else(|_: hyper::http::Error| {
        // A planned answer that is no HTTP: the test that planned it sees at least its number.
        let mut plain = hyper::Response::new(Full::default());
        *plain.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::BAD_GATEWAY);
        plain
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Clock, Fault, Target};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
    }

    /// Sends bytes, and returns everything that comes until the socket is closed.
    async fn exchange(address: &str, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: root\r\nConnection: close\r\n\r\n")
    }

    #[test]
    fn both_doubles_answer_on_loopback_and_end_when_dropped() {
        runtime().block_on(async {
            let served = serve(World::builder().clock(Clock::system()), 0, 0).await.unwrap();
            let issuer = served.world().issuer();
            let port = issuer.trim_start_matches("http://localhost:").split('/').next().unwrap();
            let path = "/realms/HashiCorp/.well-known/openid-configuration";
            let document = exchange(&format!("127.0.0.1:{port}"), &get(path)).await.unwrap();
            assert!(document.starts_with("HTTP/1.1 200 OK") && document.contains(&issuer), "{document}");
            let vault = served.world().vault_address().trim_start_matches("http://").to_owned();
            let health = exchange(&vault, &get("/v1/sys/health")).await.unwrap();
            assert!(health.contains("\"initialized\":true"), "{health}");
            drop(served);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(exchange(&vault, &get("/v1/sys/health")).await.is_err());
        });
    }

    #[test]
    fn a_dropped_reply_closes_the_socket_and_a_delay_is_waited_for() {
        runtime().block_on(async {
            let served = serve(World::builder(), 0, 0).await.unwrap();
            let vault = served.world().vault_address().trim_start_matches("http://").to_owned();
            served.world().faults().inject(Target::any(), 1, Fault::Drop);
            let nothing = exchange(&vault, &get("/v1/sys/health")).await.unwrap_or_default();
            assert_eq!(nothing, "");

            served.world().faults().inject(Target::any(), 1, Fault::Delay(Duration::from_millis(120)));
            #[expect(clippy::disallowed_methods, reason = "the test is about time that passes outside")]
            let begun = Instant::now();
            exchange(&vault, &get("/v1/sys/health")).await.unwrap();
            assert!(begun.elapsed() >= Duration::from_millis(120));
        });
    }

    #[test]
    fn a_logout_token_is_posted_to_the_client() {
        runtime().block_on(async {
            let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let uri = format!("http://127.0.0.1:{}/logout", client.local_addr().unwrap().port());
            let served = serve(World::builder().backchannel_logout_uri(&uri), 0, 0).await.unwrap();
            let world = served.world();
            let query =
                "client_id=vault-oidc&redirect_uri=http://localhost/cb&response_type=code&scope=openid";
            let authorize = format!("{}/protocol/openid-connect/auth?{query}", world.issuer());
            world.provider().sign_in(&authorize, "reader", "reader").unwrap().unwrap();
            world.provider().end_sessions();
            // Any request at all: the deliveries go out beside its answer.
            let vault = world.vault_address().trim_start_matches("http://").to_owned();
            exchange(&vault, &get("/v1/sys/health")).await.unwrap();
            let (mut stream, _) = client.accept().await.unwrap();
            let mut received = vec![0; 4096];
            let length = stream.read(&mut received).await.unwrap();
            let received = String::from_utf8_lossy(&received[..length]).into_owned();
            assert!(received.starts_with("POST /logout HTTP/1.1\r\n"), "{received}");
        });
    }

    #[test]
    fn the_method_list_and_other_peoples_headers_arrive_as_they_were_sent() {
        runtime().block_on(async {
            let served = serve(World::builder(), 0, 0).await.unwrap();
            let vault = served.world().vault_address().trim_start_matches("http://").to_owned();
            let list = get("/v1/secret/metadata").replacen("GET", "LIST", 1);
            let answer = exchange(&vault, &list).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404") && answer.contains(r#"{"errors":[]}"#), "{answer}");
            let handled = served.world().requests();
            assert_eq!((handled[0].method.as_str(), handled[0].status), ("LIST", Some(404)));
        });
    }
}
