//! A long list read page by page: how much memory is in use at the most, for ten thousand names and for a hundred thousand.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::ensure;
use latchkey_transport::ReqwestTransport;
use latchkey_vault_client::{Token, Vault};
use tokio::runtime::Builder;

use crate::report::{Goal, Measure};

const PAGE: usize = 1_000;

/// Compares the peak for a list of 100 000 names with that for 10 000.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    let (long, short) = (peak(100_000)?, peak(10_000)?);
    let goal = Goal::RatioAtMost(1.1);
    Ok(vec![Measure::new("vault-client/kv2_list_100k_peak", "bytes", (long, short), goal)])
}

/// Returns how many bytes are in use at the most while a list is read.
fn peak(names: usize) -> anyhow::Result<f64> {
    let address = start(names)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let vault = Vault::new(address.parse()?, Arc::new(ReqwestTransport::new()?));
    let vault = vault.with_token(&Token::new("hvs.bench")?);
    let mut outcome = Ok(0);
    let info = allocation_counter::measure(|| {
        outcome = runtime.block_on(async {
            let mut pages = vault.kv2("secret").pages("", PAGE)?;
            let mut count = 0;
            while let Some(page) = pages.next().await? {
                count += black_box(page).len();
            }
            anyhow::Ok(count)
        });
    });
    ensure!(outcome? == names, "the whole list was read");
    Ok(f64::from(u32::try_from(info.bytes_max)?))
}

/// A server that pages as OpenBao does: `after` and `limit`.
fn start(names: usize) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://localhost:{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, names));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, names: usize) -> std::io::Result<()> {
    let mut buffer = [0; 8192];
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let Some(request) = buffer.get(..filled).filter(|request| request.ends_with(b"\r\n\r\n")) else {
            continue;
        };
        let request = String::from_utf8_lossy(request);
        let first = request.split_once("after=name-").map_or(0, |(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().map_or(0, |last| last + 1)
        });
        let keys: Vec<_> =
            (first..names.min(first + PAGE)).map(|name| format!("\"name-{name:06}\"")).collect();
        let (status, body) = if keys.is_empty() {
            ("404 Not Found", r#"{"errors":[]}"#.to_owned())
        } else {
            ("200 OK", format!(r#"{{"request_id":"a","data":{{"keys":[{}]}}}}"#, keys.join(",")))
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        filled = 0;
    }
}
