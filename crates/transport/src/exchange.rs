//! One call to a server, as a value.

use crate::{Error, Replay, Reply, Request};

/// One call to a server as a value: what to send, and how to read what comes back.
///
/// Both halves are pure. A protocol rule is tested by building the value, reading its request and giving it a
/// reply; no socket and no runtime take part:
///
/// ```
/// use latchkey_transport::{Error, Exchange, Method, Replay, Reply, Request};
///
/// struct Greeting;
///
/// impl Exchange for Greeting {
///     type Output = String;
///     type Error = Error;
///     fn request(&self) -> Request {
///         Request::new(Method::Get, "https://example.org/greeting")
///     }
///     fn receive(self, reply: Reply) -> Result<String, Error> {
///         Ok(String::from_utf8_lossy(reply.body()).into_owned())
///     }
///     fn replay(&self) -> Replay {
///         Replay::Safe
///     }
/// }
///
/// assert_eq!(Greeting.request().path(), "/greeting");
/// assert_eq!(Greeting.receive(Reply::new(200, "hello"))?, "hello");
/// # Ok::<(), Error>(())
/// ```
pub trait Exchange {
    /// What a good reply says.
    type Output;
    /// What can go wrong: the protocol's own errors and those of the [`Transport`](crate::Transport).
    type Error: From<Error>;

    /// Returns the request to send. Called once for each time that it is sent.
    fn request(&self) -> Request;

    /// Reads the reply, whatever its status.
    fn receive(self, reply: Reply) -> Result<Self::Output, Self::Error>;

    /// Says whether the request may be sent again when its reply was lost.
    fn replay(&self) -> Replay;
}
