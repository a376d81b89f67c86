//! Ports for servers that must be told a number, and cannot tell which one they got.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::bail;

/// Returns ports of this machine that nobody has.
///
/// They lie below those that a system hands out by itself, so that nobody gets one by chance before the server has it, or
/// while it is restarted. Within a process none is given twice.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static STEP: AtomicU16 = AtomicU16::new(0);
    // Another process begins elsewhere.
    let begin = u16::try_from(u64::from(process::id()) * 97 % u64::from(COUNT))?;
    let mut ports = [0; N];
    let mut found = 0;
    for _ in 0..COUNT {
        if found == N {
            return Ok(ports);
        }
        let step = STEP.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (begin + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports[found] = port;
            found += 1;
        }
    }
    bail!("this machine has no free port from {FIRST} on")
}

/// An address of this machine where nobody listens, and nobody but the administrator can.
pub const NOWHERE: &str = "http://127.0.0.1:1";
