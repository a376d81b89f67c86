//! The smallest question one can ask a server: what is at this path?
//!
//! Only for servers that this tool started itself, over plain HTTP on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// A healthy server answers at once; a busy machine may need seconds. It only delays the next try.
const DEADLINE: Duration = Duration::from_secs(5);

/// A server's answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one GET to `http://HOST:PORT` + `path`; `None` if nobody answers in HTTP.
pub(crate) fn get(address: &str, path: &str) -> Option<Answer> {
    let authority = address.strip_prefix("http://")?;
    // HTTP/1.0 asks for a connection that closes and a body that is not chunked: both are simple to read.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\n\r\n");
    authority.to_socket_addrs().ok()?.find_map(|socket| {
        let mut stream = TcpStream::connect_timeout(&socket, DEADLINE).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = Vec::new();
        stream.take(1 << 20).read_to_end(&mut reply).ok()?;
        parse(&String::from_utf8_lossy(&reply))
    })
}

fn parse(reply: &str) -> Option<Answer> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read() {
        let reply = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}\r\n\r\n";
        assert_eq!(parse(reply), Some(Answer { status: 200, body: "{}\r\n\r\n".to_owned() }));
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        assert_eq!(parse("SSH-2.0-OpenSSH 200 Debian\r\n\r\n"), None);
    }
}
