//! A server on loopback that does what the cases ask for, byte by byte.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use super::Grounds;

/// The server that the cases talk to. It listens until it is dropped.
pub struct Origin {
    grounds: Grounds,
    task: JoinHandle<()>,
}

type Hits = Arc<Mutex<HashMap<String, usize>>>;

impl Origin {
    /// Listens on a free port of 127.0.0.1, within the runtime that calls it.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = address(&listener)?;
        // Bound and closed again: nobody listens there now.
        let closed = address(&TcpListener::bind("127.0.0.1:0").await?)?;
        let task = tokio::spawn(serve(listener, Hits::default()));
        Ok(Self { grounds: Grounds { origin, closed }, task })
    }

    /// Returns the addresses for the cases.
    pub fn grounds(&self) -> &Grounds {
        &self.grounds
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn address(listener: &TcpListener) -> io::Result<Url> {
    Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)
}

async fn serve(listener: TcpListener, hits: Hits) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, hits.clone()));
    }
}

/// Answers on one connection until it ends. A failed write means that the other side has left.
async fn converse(mut stream: TcpStream, hits: Hits) -> io::Result<()> {
    while let Some((head, body)) = read_request(&mut stream).await? {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let mut steps = path.trim_start_matches('/').splitn(2, '/');
        let (verb, rest) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let count = {
            let mut hits = hits.lock().unwrap_or_else(PoisonError::into_inner);
            let count = hits.entry(verb.to_owned()).or_default();
            *count += 1;
            let count = *count;
            if verb == "hits" { hits.get(rest).copied().unwrap_or(0) } else { count }
        };
        match verb {
            "echo" => {
                let echoed = [head.as_bytes(), &body].concat();
                reply(&mut stream, "200 OK", "", &echoed).await?;
            }
            "mirror" => reply(&mut stream, "200 OK", "", &body).await?,
            "status" if rest == "204" => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?,
            "status" => reply(&mut stream, &format!("{rest} Whatever"), "Retry-After: 7\r\n", b"").await?,
            "redirect" => {
                let line = format!("{rest} Elsewhere");
                reply(&mut stream, &line, "Location: /landed\r\nSet-Cookie: a=b; Path=/\r\n", b"").await?;
            }
            "cookie" => reply(&mut stream, "200 OK", "Set-Cookie: a=b; Path=/\r\n", b"").await?,
            "cacheable" => {
                let headers = "Cache-Control: public, max-age=3600\r\n";
                reply(&mut stream, "200 OK", headers, count.to_string().as_bytes()).await?;
            }
            "hits" => reply(&mut stream, "200 OK", "", count.to_string().as_bytes()).await?,
            "large" => reply(&mut stream, "200 OK", "", &vec![b'x'; rest.parse().unwrap_or(0)]).await?,
            "endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes()).await?;
                }
            }
            "silence" => tokio::time::sleep(Duration::from_secs(60)).await,
            "drip" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await?;
                loop {
                    stream.write_all(b"x").await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            "boast" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\nalas!").await?;
                return Ok(());
            }
            "cut" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await?;
                return Ok(());
            }
            // "drop" and whatever else: the connection ends without an answer.
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await
}

/// Reads one request: its head with the empty line, and its body. Nothing where the connection ended.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > 16_384 || stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let mut body = vec![0; length.min(1_048_576)];
    stream.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}
