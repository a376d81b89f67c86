//! A server on loopback that answers everything with the same KV v2 reply, as fast as it can.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A reply of OpenBao to a KV v2 read, of the usual size.
pub(crate) const REPLY: &str = concat!(
    r#"{"request_id":"6c0a2d1e-6a4f-4d0b-9a56-1f0c8f6f2a11","lease_id":"","renewable":false,"lease_duration":0,"#,
    r#""data":{"data":{"user":"app","password":"correct horse battery staple"},"#,
    r#""metadata":{"created_time":"2026-11-23T01:02:03.456789012Z","custom_metadata":null,"deletion_time":"","#,
    r#""destroyed":false,"version":7}},"wrap_info":null,"warnings":null,"auth":null}"#,
);

/// Listens on a free port until the program ends, a thread for each connection, and returns the address.
pub(crate) fn start() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // A name, as a Vault in earnest has; an IP address costs the URL parser two allocations more, on both sides.
    let address = format!("http://localhost:{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let head = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains\r\nDate: Mon, 23 Nov 2026 01:02:03 GMT\r\n";
    let reply = format!("{head}Content-Length: {}\r\n\r\n{REPLY}", REPLY.len());
    let mut buffer = [0; 8192];
    let mut filled = 0;
    loop {
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let read = stream.read(free)?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        // A read has no body: a request ends with its head.
        if buffer.get(..filled).is_some_and(|request| request.ends_with(b"\r\n\r\n")) {
            stream.write_all(reply.as_bytes())?;
            filled = 0;
        }
    }
}
