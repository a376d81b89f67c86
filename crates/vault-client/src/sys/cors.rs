//! Which web pages may call the server.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::reply::{self, Envelope, JSON};

/// Which web pages may call the server from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Cors {
    /// Whether any may.
    #[serde(default)]
    pub enabled: bool,
    /// The origins that may, such as `https://hub.example`; `*` is every one.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_origins: Vec<String>,
    /// The headers that they may send.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_headers: Vec<String>,
}

/// `GET sys/config/cors`: which web pages may call the server.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/config-cors>
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadCors;

impl Exchange for ReadCors {
    type Output = Cors;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, PATH)
    }

    fn receive(self, reply: Reply) -> Result<Cors, Error> {
        const WANTED: &str = "the rules for web pages";
        let envelope = Envelope::read(&reply, &[], WANTED)?;
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/config/cors`: lets these web pages call the server, and no others.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/config-cors>
#[derive(Clone, Debug)]
pub struct WriteCors {
    body: Body,
}

impl WriteCors {
    /// Lets pages of these origins call, with the headers that servers allow anyway: all that this crate sends.
    pub fn new(origins: &[&str]) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            allowed_origins: &'a [&'a str],
        }
        Ok(Self { body: reply::json(&Fields { allowed_origins: origins })? })
    }
}

impl Exchange for WriteCors {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, PATH).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `DELETE sys/config/cors`: lets no web page call the server.
///
/// A second one does what the first did, so it is repeated freely ([`Replay::Safe`]). Fails as every call does.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/config-cors>
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteCors;

impl Exchange for DeleteCors {
    type Output = ();
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Delete, PATH)
    }

    fn receive(self, reply: Reply) -> Result<(), Error> {
        reply::accept(&reply, &[])
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

const PATH: &str = "/v1/sys/config/cors";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_whether_there_are_any_or_not() {
        let none =
            ReadCors.receive(Reply::new(200, r#"{"request_id":"a","data":{"enabled":false}}"#)).unwrap();
        assert_eq!(none, Cors::default());
        let body = r#"{"request_id":"a","data":{"enabled":true,"allowed_origins":["https://a.example"],"allowed_headers":["X"]}}"#;
        let some = ReadCors.receive(Reply::new(200, body)).unwrap();
        assert_eq!((some.enabled, some.allowed_origins[0].as_str()), (true, "https://a.example"));
        let write = WriteCors::new(&["https://a.example"]).unwrap();
        assert_eq!(
            write.request().body().unwrap().expose_secret(),
            br#"{"allowed_origins":["https://a.example"]}"#
        );
    }
}
