//! A door on this machine that waits for the browser to come back
//! ([RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).

mod address;
mod page;
mod request;

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use latchkey_transport::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{CallbackParams, CallbackProblem, Error, Pending, PendingLogout, ValidatedCallback};
use page::Page;
use request::{Incoming, Rules};

pub use address::{LoopbackAddress, LoopbackHost};

/// How long one connection may take: 5 s. A browser on the same machine needs milliseconds; what takes longer is a
/// spare connection of the browser's, or somebody who wants to block the door.
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);

/// How many connections are served at a time: 32. A browser opens six to one host; the others wait in the system's
/// queue, for no longer than the limit above.
const CONNECTIONS: usize = 32;

/// How long the door stays open for the last page after the answer came: 2 s. A program that sends the callback by
/// itself, without following redirects, waits that long.
const LINGER: Duration = Duration::from_secs(2);

/// The longest wait: a week. It keeps the sum of now and a caller's `Duration::MAX` from overflowing.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A door on this machine that waits for the browser to come back
/// ([RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
///
/// It listens before the redirect address is built, so that nobody else can take the port in between. Requests that
/// are not the awaited answer are turned away, and the wait goes on: a wrong path, method or `Host` (which is how a
/// web page reaches into this machine by DNS rebinding), a wrong or missing state, an `error` that anybody can send.
///
/// The browser is sent on to a clean page, so that code and state do not stay in its address bar, and that page closes
/// itself. Waiting takes the door by value: afterwards, and when it is dropped, its ports are closed.
#[derive(Debug)]
pub struct Loopback {
    listeners: Vec<TcpListener>,
    rules: Arc<Rules>,
    redirect_uri: String,
}

impl Loopback {
    /// Listens ([RFC 8252, 8.3](https://www.rfc-editor.org/rfc/rfc8252#section-8.3)). Must be called within a tokio
    /// runtime with io and time enabled.
    ///
    /// # Errors
    ///
    /// [`Error::PortTaken`] where every port is in use, [`Error::Loopback`] where this machine does not let us listen,
    /// [`Error::Misuse`] where path or ports cannot be used.
    pub async fn bind(address: LoopbackAddress) -> Result<Self, Error> {
        let (listeners, port) = address.listen().await?;
        let redirect_uri = format!("http://{}:{port}{}", address.host().name(), address.path());
        Ok(Self { listeners, rules: Arc::new(Rules::new(port, address.path())), redirect_uri })
    }

    /// Returns the address to give to the provider
    /// ([RFC 8252, 7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.rules.port()
    }

    /// Waits for the answer to a login: at most for `limit`, and no longer than the login itself may take.
    ///
    /// Strangers cannot end the wait: a callback without the login's state is turned away.
    ///
    /// # Errors
    ///
    /// [`Error::NobodyCame`] where the time is over, else what [`Pending::accept`] says.
    pub async fn wait(
        self,
        pending: Pending,
        limit: Duration,
        now: SystemTime,
    ) -> Result<ValidatedCallback, Error> {
        let limit = limit.min(pending.remaining(now).unwrap_or_default());
        let mut waiting = Some(pending);
        self.serve(limit, |callback| {
            let pending = waiting.take_if(|pending| pending.matches(callback))?;
            let outcome = pending.accept(callback, now);
            let page = match &outcome {
                Ok(_) => Page::received(),
                Err(error) => Page::refused(&error.to_string()),
            };
            Some((page, outcome))
        })
        .await?
    }

    /// Waits for the code of a login that somebody else has begun, such as Vault, and will end: its state stands in the
    /// address that they gave ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)). A callback
    /// with another state is turned away.
    ///
    /// # Errors
    ///
    /// [`Error::NobodyCame`] where the time is over, [`Error::Refused`] where the provider says no.
    pub async fn wait_for_code(self, state: &Secret, limit: Duration) -> Result<Secret, Error> {
        self.serve(limit, |callback| {
            let outcome = callback.code_for(state).cloned();
            let page = match &outcome {
                Err(Error::Callback(CallbackProblem::StateMissing | CallbackProblem::StateMismatch)) => {
                    return None;
                }
                Err(error) => Page::refused(&error.to_string()),
                Ok(_) => Page::received(),
            };
            Some((page, outcome))
        })
        .await?
    }

    /// Waits until the provider has sent the person back from signing out
    /// ([OpenID Connect RP-Initiated Logout, 3](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout)).
    /// Who comes without the state of this sign-out is turned away.
    ///
    /// # Errors
    ///
    /// [`Error::NobodyCame`] where the time is over.
    pub async fn wait_for_sign_out(self, pending: PendingLogout, limit: Duration) -> Result<(), Error> {
        let mut waiting = Some(pending);
        self.serve(limit, |callback| {
            waiting.take_if(|pending| pending.matches(callback))?;
            Some((Page::signed_out(), ()))
        })
        .await
    }

    /// Serves until a callback is taken and the page after it was delivered, or until the time is over.
    async fn serve<T>(
        self,
        limit: Duration,
        mut take: impl FnMut(&CallbackParams) -> Option<(Page, T)>,
    ) -> Result<T, Error> {
        let limit = limit.min(LONGEST);
        let mut until = Instant::now() + limit;
        let mut outcome = None;
        let last_page = Arc::new(OnceLock::new());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept(&self.listeners), if connections.len() < CONNECTIONS => match accepted {
                    Ok(stream) => {
                        let (rules, last_page) = (Arc::clone(&self.rules), Arc::clone(&last_page));
                        connections.spawn(within_limit(receive(stream, rules, last_page)));
                    }
                    // No file handles left, or a connection that was reset in the queue. Neither may end the wait.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                },
                Some(ended) = connections.join_next() => match ended {
                    Ok(Some(Event::Callback(stream, callback))) => {
                        let taken = if outcome.is_none() { take(&callback) } else { None };
                        let answer = match taken {
                            Some((page, value)) => {
                                outcome = Some(value);
                                until = Instant::now() + LINGER;
                                last_page.get_or_init(|| page);
                                page::see_other(self.rules.clean_path())
                            }
                            None => page::turned_away(400),
                        };
                        connections.spawn(within_limit(reply(stream, answer)));
                    }
                    Ok(Some(Event::LastPageDelivered)) => if let Some(value) = outcome {
                        return Ok(value);
                    },
                    Ok(Some(Event::Answered) | None) | Err(_) => {}
                },
                () = sleep_until(until) => return outcome.ok_or(Error::NobodyCame { limit }),
            }
        }
    }
}

/// How a connection ended.
enum Event {
    Callback(TcpStream, CallbackParams),
    LastPageDelivered,
    Answered,
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|context| {
        let ready = listeners.iter().find_map(|listener| match listener.poll_accept(context) {
            Poll::Ready(accepted) => Some(accepted.map(|(stream, _)| stream)),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn within_limit(work: impl Future<Output = Option<Event>>) -> Option<Event> {
    timeout(CONNECTION_LIMIT, work).await.ok().flatten()
}

/// Reads one request. Whatever is no callback is answered here.
async fn receive(mut stream: TcpStream, rules: Arc<Rules>, last_page: Arc<OnceLock<Page>>) -> Option<Event> {
    let mut bytes = Vec::with_capacity(2048);
    let incoming = loop {
        if let Some(incoming) = rules.read(&bytes) {
            break incoming;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    match (incoming, last_page.get()) {
        (Incoming::Callback(callback), _) => Some(Event::Callback(stream, callback)),
        (Incoming::CleanPage, Some(page)) => {
            reply(stream, page.response()).await;
            Some(Event::LastPageDelivered)
        }
        (Incoming::CleanPage, None) => reply(stream, page::turned_away(404)).await,
        (Incoming::Stray { status }, _) => reply(stream, page::turned_away(status)).await,
    }
}

/// Sends an answer and closes the connection in a way that lets the answer arrive: closing with unread bytes would
/// reset the connection and take the answer along.
async fn reply(mut stream: TcpStream, answer: Vec<u8>) -> Option<Event> {
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()?;
    let mut rest = [0; 1024];
    for _ in 0..64 {
        match timeout(Duration::from_millis(200), stream.read(&mut rest)).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
    }
    Some(Event::Answered)
}
