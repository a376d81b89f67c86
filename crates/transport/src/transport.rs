//! The seam itself, and the one line that people call.

use std::future::Future;
use std::sync::Arc;

use crate::{Error, Exchange, Replay, Reply, Request};

/// `Send` natively, nothing in the browser, where futures stay on one thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, nothing in the browser, where futures stay on one thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` natively, nothing in the browser.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync` natively, nothing in the browser.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// A transport that many clients share.
pub type SharedTransport = Arc<dyn Transport>;

/// Carries one request to a server and its reply back.
///
/// # The contract
///
/// Every implementation keeps it, because the protocol crates build their safety on it; the suite behind the
/// feature `suite` checks an implementation.
///
/// 1. Any status is a reply. An error means that no whole reply arrived.
/// 2. No redirect is followed: a redirected token request would hand the token to somebody else.
/// 3. No cookies are kept or sent, and nothing is cached.
/// 4. The body of a reply is at most [`Request::reply_limit`] bytes; a longer one is [`Error::ReplyTooLarge`]
///    and is not read to its end.
/// 5. [`Request::time_limit`] covers the whole call: looking up the name, connecting, sending, waiting, and the
///    last byte of the body.
/// 6. Plain `http` goes to loopback only ([`Request::check`]), unless [`danger`](crate::danger) was asked for.
/// 7. [`Error::Unreachable`] means that the server cannot have seen the request; everything after that is
///    [`Error::Lost`] or [`Error::TimedOut`]. A wrong answer here repeats a call that must not be repeated.
/// 8. The transport does not repeat a request by itself.
/// 9. Secret headers and bodies do not reach a log, and no error carries an address's query.
#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
pub trait Transport: MaybeSend + MaybeSync {
    /// Sends the request and waits for its whole reply.
    async fn send(&self, request: Request) -> Result<Reply, Error>;
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait::async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait::async_trait(?Send))]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        (**self).send(request).await
    }
}

/// What makes a request, once for each time that it is sent.
#[cfg(not(target_arch = "wasm32"))]
pub type Build<'a> = dyn Fn() -> Request + Sync + 'a;

/// What makes a request, once for each time that it is sent.
#[cfg(target_arch = "wasm32")]
pub type Build<'a> = dyn Fn() -> Request + 'a;

/// The async half of an [`Exchange`]: one line on every [`Transport`].
pub trait Perform: Transport {
    /// Sends what the exchange asks for and lets it read the reply.
    ///
    /// A request whose reply was lost is sent once more, at once, where [`Exchange::replay`] allows it: the usual
    /// reason is a connection that the server closed while it was idle. Waiting and trying again later is a
    /// decision for the caller, who knows the time.
    fn perform<E>(&self, exchange: E) -> impl Future<Output = Result<E::Output, E::Error>> + MaybeSend
    where
        E: Exchange + MaybeSend + MaybeSync,
        E::Output: MaybeSend,
        E::Error: MaybeSend,
    {
        async move {
            let reply = self.deliver(exchange.replay(), &|| exchange.request()).await?;
            exchange.receive(reply)
        }
    }

    /// Sends a request that `build` makes, and makes it anew where `replay` allows a second attempt.
    fn deliver(
        &self,
        replay: Replay,
        build: &Build<'_>,
    ) -> impl Future<Output = Result<Reply, Error>> + MaybeSend {
        async move {
            match self.send(build()).await {
                Err(error) if replay.allows(&error) => self.send(build()).await,
                outcome => outcome,
            }
        }
    }
}

impl<T: Transport + ?Sized> Perform for T {}
