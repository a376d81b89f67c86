//! Response wrapping: an answer that is kept by the server, and a token that fetches it once.
//!
//! The API: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-unwrap>

use std::time::Duration;

use latchkey_transport::{Body, Exchange, MaybeSend, MaybeSync, Method, Replay, Reply, Request, Secret};
use serde::{Deserialize, Serialize};

use crate::logical::Answer;
use crate::reply::{self, Envelope, JSON};
use crate::{Error, Refusal, Token, Vault, duration};

/// Response wrapping. Made by [`Vault::wrapping`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping<'a> {
    vault: &'a Vault,
}

impl<'a> Wrapping<'a> {
    pub(crate) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Performs a call whose answer the server keeps for that long, in whole seconds, and returns what fetches it.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use latchkey_vault_client::{Error, Vault, kv2::ReadSecret, Token};
    /// # async fn f(vault: Vault, hand_over: impl Fn(&Token), receive: impl Fn() -> Token) -> Result<(), Error> {
    /// let read = ReadSecret::new("secret", "team/app")?;
    /// let wrapped = vault.wrapping().perform(read, Duration::from_secs(60)).await?;
    /// hand_over(&wrapped.token);
    ///
    /// // Elsewhere, without any other token:
    /// let token = receive();
    /// let answer = vault.wrapping().unwrap(&token, "secret/data/team/app").await?;
    /// assert!(answer.data.raw("data").is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A call that answers nothing, as a deletion does, has nothing to be kept, and [`Error::NothingWrapped`] says that
    /// it has taken place. A token that is wrapped lives from now on, and not from when it is fetched. See [`Wrap`].
    pub async fn perform<E>(&self, exchange: E, ttl: Duration) -> Result<Wrapped, Error>
    where
        E: Exchange + Clone + MaybeSend + MaybeSync,
    {
        self.vault.perform(Wrap::new(exchange, ttl)).await
    }

    /// Lets the server keep a value of yours. See [`WrapValue`].
    pub async fn wrap<T: Serialize + ?Sized>(&self, value: &T, ttl: Duration) -> Result<Wrapped, Error> {
        // Written first, so that nothing of the caller's type lives on while the call is under way.
        let wrap = WrapValue::new(value, ttl);
        self.vault.perform(wrap?).await
    }

    /// Fetches what is wrapped, after making sure that it is the answer of that call: `secret/data/team/app`, a path of
    /// the API without `/v1`, or `sys/wrapping/wrap` for a value. Whoever intercepts a wrapping token can fetch the
    /// answer and wrap something else, but not under the same path without the right to call it.
    ///
    /// No other token is needed. Fails with [`Error::WrappingTokenInvalid`] where there is nothing to fetch (any
    /// more): that is how it shows that somebody else was there first. Fails with [`Error::WrongCreationPath`], and
    /// fetches nothing. See [`Unwrap`].
    pub async fn unwrap(&self, token: &Token, creation_path: &str) -> Result<Answer, Error> {
        let found = self.lookup(token).await?.creation_path;
        if found.trim_matches('/') != creation_path.trim_matches('/') {
            return Err(Error::WrongCreationPath { wanted: creation_path.to_owned(), found });
        }
        self.unwrap_unchecked(token).await
    }

    /// Fetches what is wrapped, whatever it is. See [`Unwrap`].
    pub async fn unwrap_unchecked(&self, token: &Token) -> Result<Answer, Error> {
        self.vault.without_token().perform(Unwrap::new(token)).await
    }

    /// Returns what is known of what is wrapped, and leaves it there. See [`LookupWrapping`].
    pub async fn lookup(&self, token: &Token) -> Result<WrappingInfo, Error> {
        self.vault.without_token().perform(LookupWrapping::new(token)?).await
    }

    /// Gives what is wrapped a new token and its first time once more. The old token is spent.
    ///
    /// Unlike fetching it takes a token of one's own, that of this handle. See [`Rewrap`].
    pub async fn rewrap(&self, token: &Token) -> Result<Wrapped, Error> {
        self.vault.perform(Rewrap::new(token)?).await
    }
}

/// An answer that the server keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wrapped {
    /// What fetches it, once. Using it for anything but wrapping spends it.
    pub token: Token,
    /// That token's accessor; it may be logged.
    pub accessor: String,
    /// How long the answer is kept, from when it was asked for.
    pub ttl: Duration,
    /// When it was wrapped, as the server writes it (RFC 3339).
    pub creation_time: String,
    /// The path of the call whose answer it is.
    pub creation_path: String,
    /// The accessor of the token in it, if there is one in it.
    pub wrapped_accessor: Option<String>,
}

/// What is known of what is wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct WrappingInfo {
    /// The path of the call whose answer it is.
    pub creation_path: String,
    /// When it was wrapped, as the server writes it (RFC 3339).
    #[serde(default)]
    pub creation_time: String,
    /// How long it is kept from then.
    #[serde(default, deserialize_with = "duration::of_seconds")]
    pub creation_ttl: Duration,
}

/// Any exchange, with its answer wrapped.
///
/// A second one would leave an answer that nobody knows of, so one that is [`Replay::Safe`] by itself is repeated only
/// where the server did not run it ([`Replay::AfterRefusal`]). Fails with [`Error::NothingWrapped`], and with what the
/// exchange is refused with.
///
/// The API: <https://developer.hashicorp.com/vault/docs/concepts/response-wrapping>
#[derive(Clone, Debug)]
pub struct Wrap<E> {
    exchange: E,
    ttl: Duration,
}

impl<E> Wrap<E> {
    /// Wraps the answer of an exchange for that long, in whole seconds.
    pub fn new(exchange: E, ttl: Duration) -> Self {
        Self { exchange, ttl }
    }
}

impl<E: Exchange> Exchange for Wrap<E> {
    type Output = Wrapped;
    type Error = Error;

    fn request(&self) -> Request {
        self.exchange.request().with_header(WRAP_TTL, duration::written(self.ttl))
    }

    fn receive(self, reply: Reply) -> Result<Wrapped, Error> {
        wrapped(&reply, &[])
    }

    /// Whoever wraps a call twice has two answers under way and knows of one.
    fn replay(&self) -> Replay {
        match self.exchange.replay() {
            Replay::Safe => Replay::AfterRefusal,
            other => other,
        }
    }
}

/// `POST sys/wrapping/wrap`: lets the server keep a value.
///
/// A second one would leave a value that nobody knows of, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::NothingWrapped`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-wrap>
#[derive(Clone, Debug)]
pub struct WrapValue {
    body: Body,
    ttl: Duration,
}

impl WrapValue {
    /// Wraps a value, which must be an object once it is JSON. Fails with [`Error::UnwritableBody`].
    pub fn new<T: Serialize + ?Sized>(value: &T, ttl: Duration) -> Result<Self, Error> {
        Ok(Self { body: reply::json(value)?, ttl })
    }
}

impl Exchange for WrapValue {
    type Output = Wrapped;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/sys/wrapping/wrap")
            .with_header(WRAP_TTL, duration::written(self.ttl))
            .with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Wrapped, Error> {
        wrapped(&reply, &[]).map_err(|error| error.cleaned_of_body(&self.body))
    }

    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `POST sys/wrapping/unwrap`: fetches what is wrapped.
///
/// The wrapping token is the token of the call.
///
/// The first one spends the token, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]),
/// and not after a lost reply. Fails with [`Error::WrappingTokenInvalid`] where there is nothing to fetch any more.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-unwrap>
#[derive(Clone, Debug)]
pub struct Unwrap {
    token: Secret,
}

impl Unwrap {
    /// Fetches what that token stands for.
    pub fn new(token: &Token) -> Self {
        Self { token: token.secret().clone() }
    }
}

impl Exchange for Unwrap {
    type Output = Answer;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/sys/wrapping/unwrap")
            .with_secret_header("x-vault-token", self.token.clone())
    }

    fn receive(self, reply: Reply) -> Result<Answer, Error> {
        if reply.is_success() {
            return Answer::new(reply);
        }
        Err(match spent(reply::refused(&reply, &[&self.token])) {
            // The wrapping token is the one that the call was made with.
            Error::TokenInvalid(refusal) | Error::PermissionDenied(refusal) => {
                Error::WrappingTokenInvalid(refusal)
            }
            other => other,
        })
    }

    /// The first one spends the token.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// `POST sys/wrapping/lookup`: what is known of what is wrapped. It needs no other token.
///
/// It changes nothing, so it is repeated freely ([`Replay::Safe`]). Fails with [`Error::WrappingTokenInvalid`] where
/// there is nothing to fetch any more.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-lookup>
#[derive(Clone, Debug)]
pub struct LookupWrapping {
    body: Body,
    token: Secret,
}

impl LookupWrapping {
    /// Asks about what that token stands for.
    pub fn new(token: &Token) -> Result<Self, Error> {
        Ok(Self { body: naming(token)?, token: token.secret().clone() })
    }
}

impl Exchange for LookupWrapping {
    type Output = WrappingInfo;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/sys/wrapping/lookup").with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<WrappingInfo, Error> {
        const WANTED: &str = "what is known of a wrapping token";
        let envelope = Envelope::read(&reply, &[&self.token], WANTED).map_err(spent)?;
        envelope.data_as().ok_or_else(|| reply::malformed(&reply, WANTED))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// `POST sys/wrapping/rewrap`: gives what is wrapped a new token.
///
/// The first one spends the token, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]),
/// and not after a lost reply. Fails with [`Error::WrappingTokenInvalid`] where there is nothing to fetch any more.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-rewrap>
#[derive(Clone, Debug)]
pub struct Rewrap {
    body: Body,
    token: Secret,
}

impl Rewrap {
    /// Spends that token for a new one.
    pub fn new(token: &Token) -> Result<Self, Error> {
        Ok(Self { body: naming(token)?, token: token.secret().clone() })
    }
}

impl Exchange for Rewrap {
    type Output = Wrapped;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, "/v1/sys/wrapping/rewrap").with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Wrapped, Error> {
        wrapped(&reply, &[&self.token]).map_err(spent)
    }

    /// The first one spends the token.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// Names of headers have no case.
const WRAP_TTL: &str = "x-vault-wrap-ttl";

fn naming(token: &Token) -> Result<Body, Error> {
    #[derive(Serialize)]
    struct Fields<'a> {
        token: &'a str,
    }
    // Opened to be sent: it is what the call is about.
    reply::json(&Fields { token: token.expose_secret() })
}

fn wrapped(reply: &Reply, sent: &[&Secret]) -> Result<Wrapped, Error> {
    #[derive(Deserialize)]
    struct Fields {
        token: Secret,
        #[serde(default)]
        accessor: String,
        ttl: u64,
        #[serde(default)]
        creation_time: String,
        #[serde(default)]
        creation_path: String,
        #[serde(default)]
        wrapped_accessor: Option<String>,
    }
    const WANTED: &str = "a wrapped answer";
    if reply.is_success() && reply.body().is_empty() {
        return Err(Error::NothingWrapped { status: reply.status() });
    }
    let envelope = Envelope::read(reply, sent, WANTED)?;
    let malformed = || reply::malformed(reply, WANTED);
    if !envelope.has_wrap_info() {
        return Err(Error::NothingWrapped { status: reply.status() });
    }
    let fields = envelope.wrap_info_as::<Fields>().ok_or_else(malformed)?;
    Ok(Wrapped {
        token: Token::new(fields.token).map_err(|_| malformed())?,
        accessor: fields.accessor,
        ttl: Duration::from_secs(fields.ttl),
        creation_time: fields.creation_time,
        creation_path: fields.creation_path,
        wrapped_accessor: fields.wrapped_accessor.filter(|accessor| !accessor.is_empty()),
    })
}

/// Tells that a wrapping token is none (any more) from everything else.
fn spent(error: Error) -> Error {
    const TEXTS: [&str; 2] = ["wrapping token is not valid or does not exist", "bad token"];
    let says =
        |refusal: &Refusal| refusal.messages.iter().any(|said| TEXTS.iter().any(|text| said.contains(text)));
    match error {
        Error::InvalidRequest(refusal) | Error::TokenInvalid(refusal) if says(&refusal) => {
            Error::WrappingTokenInvalid(refusal)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv2::ReadSecret;
    use crate::script::script;

    const WRAPPED: &str = r#"{"request_id":"","data":null,"wrap_info":{"token":"s.hush","accessor":"acc","ttl":60,
        "creation_time":"2026-11-23T03:19:56Z","creation_path":"auth/token/create","wrapped_accessor":"inner"},"auth":null}"#;

    fn token() -> Token {
        Token::new("s.hush").unwrap()
    }

    fn wrap() -> Wrap<ReadSecret> {
        Wrap::new(ReadSecret::new("secret", "a").unwrap(), Duration::from_millis(59_500))
    }

    #[test]
    fn any_call_can_be_wrapped_for_whole_seconds() {
        let request = wrap().request();
        assert_eq!((request.path(), request.header("X-Vault-Wrap-TTL")), ("/v1/secret/data/a", Some("60s")));
        assert_eq!(wrap().replay(), Replay::AfterRefusal, "although the read alone may be repeated");
        let value = WrapValue::new(&serde_json::json!({"a": "b"}), Duration::from_secs(5)).unwrap().request();
        assert_eq!((value.path(), value.header("x-vault-wrap-ttl")), ("/v1/sys/wrapping/wrap", Some("5s")));
        assert_eq!(value.body().unwrap().expose_secret(), br#"{"a":"b"}"#);
    }

    #[test]
    fn a_wrapped_answer_is_told_by_its_token() {
        let wrapped = wrap().receive(Reply::new(200, WRAPPED)).unwrap();
        assert_eq!((wrapped.token.expose_secret(), wrapped.accessor.as_str()), ("s.hush", "acc"));
        assert_eq!((wrapped.ttl.as_secs(), wrapped.creation_path.as_str()), (60, "auth/token/create"));
        assert_eq!(wrapped.wrapped_accessor.as_deref(), Some("inner"));
        assert!(!format!("{wrapped:?}").contains("hush"));
    }

    #[test]
    fn an_answer_that_came_unwrapped_is_not_given_out() {
        for body in ["", r#"{"request_id":"a","data":{"data":{"a":"hush"}},"wrap_info":null}"#] {
            let error = wrap().receive(Reply::new(200, body)).unwrap_err();
            assert!(matches!(error, Error::NothingWrapped { status: 200 }), "{error:?}");
        }
        let refused = wrap().receive(Reply::new(403, r#"{"errors":["permission denied"]}"#)).unwrap_err();
        assert_eq!(refused.code(), "vault_permission_denied");
        let broken = wrap().receive(Reply::new(200, r#"{"wrap_info":{"token":"","ttl":1}}"#)).unwrap_err();
        assert_eq!(broken.code(), "vault_malformed_reply");
    }

    #[test]
    fn each_call_brings_the_wrapping_token_where_the_server_looks_for_it() {
        let unwrap = Unwrap::new(&token()).request();
        assert_eq!(
            (unwrap.path(), unwrap.header("x-vault-token")),
            ("/v1/sys/wrapping/unwrap", Some("s.hush"))
        );
        let lookup = LookupWrapping::new(&token()).unwrap();
        assert_eq!(lookup.request().header("x-vault-token"), None, "that would spend it");
        assert_eq!(lookup.request().body().unwrap().expose_secret(), br#"{"token":"s.hush"}"#);
        assert_eq!(Rewrap::new(&token()).unwrap().request().path(), "/v1/sys/wrapping/rewrap");
        assert!(!format!("{lookup:?} {:?}", Unwrap::new(&token())).contains("hush"));
    }

    #[test]
    fn a_token_that_is_spent_is_called_so_and_no_other_error_is() {
        let code = |status, said: &str| {
            let reply = Reply::new(status, format!(r#"{{"errors":["{said}"]}}"#));
            Unwrap::new(&token()).receive(reply).unwrap_err().code()
        };
        assert_eq!(
            code(400, "wrapping token is not valid or does not exist"),
            "vault_wrapping_token_invalid"
        );
        assert_eq!(code(403, "permission denied"), "vault_wrapping_token_invalid");
        assert_eq!(code(400, "something else"), "vault_invalid_request");
        assert_eq!(code(503, "Vault is sealed"), "vault_sealed");
        let denied = Reply::new(403, r#"{"errors":["permission denied"]}"#);
        let rewrap = Rewrap::new(&token()).unwrap().receive(denied).unwrap_err();
        assert_eq!(rewrap.code(), "vault_permission_denied", "it is one's own token that may not");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_wrapped_by_another_call_is_left_where_it_is() {
        let info = r#"{"request_id":"a","data":{"creation_path":"cubbyhole/forged","creation_time":"x","creation_ttl":60}}"#;
        let script = script([Ok(Reply::new(200, info))]);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let error = vault.wrapping().unwrap(&token(), "secret/data/a").await.unwrap_err();
        let expected = "what is wrapped is the answer of cubbyhole/forged and not of secret/data/a";
        assert_eq!((error.to_string().as_str(), script.sent().len()), (expected, 1));
    }
}
