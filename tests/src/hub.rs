//! A hub that is played: what its API says of one person.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A hub on loopback that knows one person, `reader`, and what it shows of them.
pub struct PlayedHub {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl PlayedHub {
    /// The token of the server that the hub has started.
    pub const TOKEN: &str = "hub-t0ken-of-the-server";

    /// A hub that shows this.
    pub async fn showing(user: Value) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/hub/api", listener.local_addr()?);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    // Whoever hangs up early is not answered.
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                counted.fetch_add(1, Ordering::Relaxed);
                let is_known = head.contains(&format!("authorization: token {}\r\n", Self::TOKEN));
                let (status, body) = if is_known && head.starts_with("GET /hub/api/users/reader HTTP/1.1") {
                    ("200 OK", user.to_string())
                } else {
                    ("403 Forbidden", json!({"status": 403, "message": "Forbidden"}).to_string())
                };
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Ok(Self { address, asked })
    }

    /// A hub at an address where nobody is.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), asked: Arc::default() }
    }

    /// A hub that has this ID token.
    pub async fn with(token: &str) -> anyhow::Result<Self> {
        let state = json!({"id_token": token, "refresh_token": "r3fresh"});
        Self::showing(json!({"name": "reader", "auth_state": state})).await
    }

    /// Returns the address of its API.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns how often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
