//! Where to listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::TcpListener;

use crate::{Error, Misuse};

/// Where to listen: ports, path, and how this machine is spelled
/// ([RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopbackAddress {
    ports: Vec<u16>,
    path: String,
    host: LoopbackHost,
}

/// How this machine is spelled in the redirect address. Providers compare sign by sign, so it must be the spelling that
/// they have on their list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoopbackHost {
    /// `localhost`, as Vault has it ([RFC 8252, 8.3](https://www.rfc-editor.org/rfc/rfc8252#section-8.3) advises
    /// against it). It is heard on 127.0.0.1 and on `::1`, since a browser may try either.
    #[default]
    Localhost,
    /// `127.0.0.1`, as [RFC 8252, 8.3](https://www.rfc-editor.org/rfc/rfc8252#section-8.3) recommends: no name has to
    /// be looked up.
    Ipv4,
}

impl LoopbackHost {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Localhost => "localhost",
            Self::Ipv4 => "127.0.0.1",
        }
    }
}

impl LoopbackAddress {
    /// The path that Vault uses.
    pub const DEFAULT_PATH: &'static str = "/oidc/callback";

    /// Takes any free port, for providers that allow every port on loopback
    /// ([RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
    pub fn any_port() -> Self {
        Self::ports([0])
    }

    /// Takes this port, such as Vault's 8250.
    pub fn port(port: u16) -> Self {
        Self::ports([port])
    }

    /// Takes the first of these ports that is free; 0 stands for any.
    pub fn ports(ports: impl IntoIterator<Item = u16>) -> Self {
        let ports = ports.into_iter().collect();
        Self { ports, path: Self::DEFAULT_PATH.to_owned(), host: LoopbackHost::default() }
    }

    /// Sets the path. A random one keeps other programs from guessing the address.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets how this machine is spelled.
    pub fn with_host(mut self, host: LoopbackHost) -> Self {
        self.host = host;
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn host(&self) -> LoopbackHost {
        self.host
    }

    /// Listens on the first port that is free.
    pub(super) async fn listen(&self) -> Result<(Vec<TcpListener>, u16), Error> {
        self.check()?;
        for port in &self.ports {
            match self.listen_on(*port).await {
                Ok(listening) => return Ok(listening),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(Error::Loopback(error)),
            }
        }
        Err(Error::PortTaken { ports: self.ports.clone() })
    }

    fn check(&self) -> Result<(), Misuse> {
        // RFC 3986, 3.3: what a path may hold without escapes.
        let is_path_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
        // Two slashes begin the name of another server, to which the clean page would send the browser.
        if !self.path.starts_with('/') || self.path.starts_with("//") || !self.path.bytes().all(is_path_sign)
        {
            return Err(Misuse::InvalidPath);
        }
        if self.ports.is_empty() { Err(Misuse::NoPort) } else { Ok(()) }
    }

    async fn listen_on(&self, port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
        // A free port of one family may be taken in the other: a few attempts find one that is free in both.
        for _ in 0..16 {
            match self.listen_once(port).await {
                Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                outcome => return outcome,
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    async fn listen_once(&self, port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
        let first = listen(Ipv4Addr::LOCALHOST.into(), port).await;
        if self.host == LoopbackHost::Ipv4 {
            let first = first?;
            let port = first.local_addr()?.port();
            return Ok((vec![first], port));
        }
        let mut listeners = Vec::new();
        let port = match first {
            Ok(first) => {
                let port = first.local_addr()?.port();
                listeners.push(first);
                port
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // A machine without IPv4.
            Err(_) => port,
        };
        match listen(Ipv6Addr::LOCALHOST.into(), port).await {
            Ok(second) => listeners.push(second),
            // Somebody else would hear the browser there, and get the code.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse || listeners.is_empty() => {
                return Err(error);
            }
            // A machine without IPv6.
            Err(_) => {}
        }
        let port = match listeners.first() {
            Some(listener) => listener.local_addr()?.port(),
            None => port,
        };
        Ok((listeners, port))
    }
}

async fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((address, port)).await
}
