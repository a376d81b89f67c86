//! The doubles without a socket: a transport that hands requests to a world.

use latchkey_testbed::{Lost, World};
use latchkey_transport::{Error, Reply, Request, Transport};

/// A transport whose network is a [`World`].
#[derive(Clone)]
pub struct MemoryTransport {
    world: World,
}

impl MemoryTransport {
    /// Returns a transport to both doubles of that world.
    pub fn new(world: World) -> Self {
        Self { world }
    }
}

#[async_trait::async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        let url = request.check(false)?.to_string();
        let mut handed = latchkey_testbed::Request::new(request.method().as_str(), &url);
        for (name, value, _) in request.headers() {
            handed = handed.with_header(name, value);
        }
        if let Some(body) = request.body() {
            handed = handed.with_body(body.expose_secret());
        }
        let host = request.host();
        let response = self.world.handle(handed).map_err(|lost| match lost {
            Lost::Refused => Error::Unreachable { host: host.clone(), cause: None },
            _ => Error::Lost { host: host.clone(), cause: None },
        })?;
        if response.body.len() > request.reply_limit() {
            return Err(Error::ReplyTooLarge { host, limit: request.reply_limit() });
        }
        let mut reply = Reply::new(response.status, response.body);
        for (name, value) in response.headers {
            reply = reply.with_header(&name, &value);
        }
        Ok(reply)
    }
}
