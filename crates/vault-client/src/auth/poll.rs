//! Login in a browser that does not come back here: the server is asked until the person is done.
//!
//! `OpenBao` has two such modes, by the role's `callback_mode`: `direct`, where the identity provider sends the browser
//! to the server, and `device`, where the person types a code (RFC 8628). HashiCorp's Vault has neither.

use std::future::Future;
use std::time::Duration;

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Serialize;

use super::oidc::{AuthUrl, ClientNonce, OidcAuth, oidc_path};
use crate::login::Attempt;
use crate::reply::{self, JSON};
use crate::{Error, Login, LoginProblem};

impl OidcAuth<'_> {
    /// Asks once whether the person is done. See [`OidcPoll`].
    pub async fn poll(&self, state: &Secret, client_nonce: &ClientNonce) -> Result<Poll, Error> {
        self.vault().without_token().perform(OidcPoll::new(self.mount(), state, client_nonce)?).await
    }

    /// Asks until the person is done, at the pace that the server sets. `sleep` waits: it is the caller who has a clock.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use latchkey_vault_client::{Error, Login, Vault, auth::ClientNonce};
    /// # async fn f(vault: Vault, nonce: ClientNonce, sleep: impl AsyncFn(Duration)) -> Result<Login, Error> {
    /// let oidc = vault.oidc("oidc");
    /// let auth_url = oidc.auth_url("device", "urn:ietf:wg:oauth:2.0:oob", &nonce).await?;
    /// println!("go to {}", auth_url.url());
    /// if let Some(code) = auth_url.user_code() {
    ///     println!("and type {code}");
    /// }
    /// oidc.poll_until_done(&auth_url, &nonce, |pause| sleep(pause)).await
    /// # }
    /// ```
    ///
    /// Fails with [`LoginProblem::StateExpired`] ten minutes after the beginning, when the server has forgotten the
    /// login. What passes by itself, such as a connection that breaks, is waited out. See [`OidcPoll`].
    pub async fn poll_until_done<F: Future<Output = ()>>(
        &self,
        auth_url: &AuthUrl,
        client_nonce: &ClientNonce,
        mut sleep: impl FnMut(Duration) -> F,
    ) -> Result<Login, Error> {
        let mut pace = Pace::new(auth_url.poll_interval());
        loop {
            let outcome = self.poll(auth_url.state(), client_nonce).await;
            match pace.after(outcome) {
                Step::Wait(pause) => sleep(pause).await,
                Step::Over(outcome) => return outcome.map(|login| *login),
                Step::Late => return Err(late(self.mount())),
            }
        }
    }
}

/// What a poll found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Poll {
    /// The person is not done yet.
    Pending,
    /// The same, and the server wants to be asked half as often from now on.
    SlowDown,
    /// The login.
    Done(Box<Login>),
}

/// `POST auth/<mount>/oidc/poll`: whether a person is done signing in.
///
/// The one that succeeds makes a token, so it is repeated only where the server did not run it
/// ([`Replay::AfterRefusal`]), and not after a lost reply. Fails with [`Error::LoginRefused`]; that the person is not
/// done yet is an answer.
///
/// The API: <https://openbao.org/api-docs/auth/jwt/>
#[derive(Clone, Debug)]
pub struct OidcPoll {
    mount: String,
    path: String,
    body: Body,
    state: Secret,
    client_nonce: Secret,
}

impl OidcPoll {
    /// Asks about the login with that state. Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, state: &Secret, client_nonce: &ClientNonce) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            state: &'a str,
            client_nonce: &'a str,
        }
        // Opened to be sent: both name the login.
        let fields = Fields { state: state.expose_secret(), client_nonce: client_nonce.expose_secret() };
        Ok(Self {
            mount: mount.to_owned(),
            path: oidc_path(mount, "/oidc/poll")?.into_string(),
            body: reply::json(&fields)?,
            state: state.clone(),
            client_nonce: client_nonce.secret().clone(),
        })
    }
}

impl Exchange for OidcPoll {
    type Output = Poll;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Poll, Error> {
        let sent = [&self.state, &self.client_nonce];
        match Login::receive(&reply, &Attempt { mount: &self.mount, role: None, sent: &sent }) {
            Ok(login) => Ok(Poll::Done(Box::new(login))),
            Err(Error::LoginRefused { refusal, .. })
                if refusal.messages.iter().any(|said| said == "slow_down") =>
            {
                Ok(Poll::SlowDown)
            }
            Err(Error::LoginRefused { refusal, .. })
                if refusal.messages.iter().any(|said| said == "authorization_pending") =>
            {
                Ok(Poll::Pending)
            }
            Err(error) => Err(error),
        }
    }

    /// The one that succeeds makes a token and ends the login.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

/// How often the server is asked, and for how long.
#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    waited: Duration,
}

/// What comes next.
enum Step {
    Wait(Duration),
    Over(Result<Box<Login>, Error>),
    Late,
}

impl Pace {
    /// As RFC 8628, 3.5 has it where the server does not say.
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

    /// Servers forget a login after ten minutes.
    const DEADLINE: Duration = Duration::from_secs(10 * 60);

    fn new(interval: Option<Duration>) -> Self {
        Self { interval: interval.unwrap_or(Self::DEFAULT_INTERVAL), waited: Duration::ZERO }
    }

    fn after(&mut self, outcome: Result<Poll, Error>) -> Step {
        let mut pause = self.interval;
        match outcome {
            Ok(Poll::Done(login)) => return Step::Over(Ok(login)),
            Ok(Poll::Pending) => {}
            Ok(Poll::SlowDown) => {
                self.interval = self.interval.saturating_mul(2);
                pause = self.interval;
            }
            Err(Error::RateLimited { retry_after: Some(rest) }) if rest < Self::DEADLINE => {
                pause = pause.max(rest);
            }
            Err(error) if error.is_transient() && self.waited < Self::DEADLINE => {}
            Err(error) => return Step::Over(Err(error)),
        }
        // Past the end the server is asked once more, and tells in its own words.
        if self.waited > Self::DEADLINE {
            return Step::Late;
        }
        self.waited = self.waited.saturating_add(pause);
        Step::Wait(pause)
    }
}

/// A server that goes on saying "not yet" has not forgotten the login, but no person is that slow.
fn late(mount: &str) -> Error {
    Error::LoginRefused {
        mount: mount.to_owned(),
        role: None,
        problem: LoginProblem::StateExpired,
        refusal: crate::Refusal { status: 400, messages: crate::Messages::default() },
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Random, RandomUnavailable};

    use super::*;
    use crate::Vault;
    use crate::script::{lost, script};

    struct Zeros;

    impl Random for Zeros {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), RandomUnavailable> {
            Ok(())
        }
    }

    fn nonce() -> ClientNonce {
        ClientNonce::generate(&mut Zeros).unwrap()
    }

    fn poll() -> OidcPoll {
        OidcPoll::new("oidc", &Secret::new("st_hush"), &nonce()).unwrap()
    }

    fn said(text: &str) -> Reply {
        Reply::new(400, format!(r#"{{"errors":["{text}"]}}"#))
    }

    const DONE: &str = r#"{"auth":{"client_token":"s.x","accessor":"acc","lease_duration":60}}"#;

    #[test]
    fn a_poll_names_the_login_in_its_body() {
        let request = poll().request();
        assert_eq!((request.method(), request.path()), (Method::Post, "/v1/auth/oidc/oidc/poll"));
        let body = format!(r#"{{"state":"st_hush","client_nonce":"{}"}}"#, nonce().expose_secret());
        assert_eq!(request.body().unwrap().expose_secret(), body.as_bytes());
        assert!(!format!("{:?}", poll()).contains("hush"));
    }

    #[test]
    fn not_yet_is_no_failure_and_a_refusal_is() {
        assert!(matches!(poll().receive(said("authorization_pending")), Ok(Poll::Pending)));
        assert!(matches!(poll().receive(said("slow_down")), Ok(Poll::SlowDown)));
        assert!(
            matches!(poll().receive(Reply::new(200, DONE)), Ok(Poll::Done(login)) if login.accessor == "acc")
        );
        for (reply, expected) in [
            (said("authorization failed: access_denied"), LoginProblem::Cancelled),
            (said("OpenBao login failed. Expired or missing OAuth state."), LoginProblem::StateExpired),
            (said("invalid client_nonce"), LoginProblem::ClientNonceMismatch),
            (Reply::new(403, r#"{"errors":["permission denied"]}"#), LoginProblem::NotServed),
        ] {
            let error = poll().receive(reply).unwrap_err();
            assert!(matches!(error, Error::LoginRefused { problem, .. } if problem == expected), "{error:?}");
        }
    }

    /// Polls until done and returns what was slept.
    async fn run(
        interval: &str,
        outcomes: Vec<Result<Reply, latchkey_transport::Error>>,
    ) -> (Result<Login, Error>, Vec<u64>) {
        let begun = format!(
            r#"{{"data":{{"auth_url":"https://idp.example/device","state":"st_1","poll_interval":{interval},"user_code":"ABCD"}}}}"#
        );
        let mut all = vec![Ok(Reply::new(200, begun))];
        all.extend(outcomes);
        let script = script(all);
        let vault = Vault::new("https://vault".parse().unwrap(), script.clone());
        let oidc = vault.oidc("oidc");
        let auth_url = oidc.auth_url("device", "urn:x", &nonce()).await.unwrap();
        assert_eq!((auth_url.user_code(), auth_url.state().expose_secret()), (Some("ABCD"), "st_1"));
        assert!(!format!("{auth_url:?}").contains("ABCD"));
        let mut slept = Vec::new();
        let login = oidc
            .poll_until_done(&auth_url, &nonce(), |pause| {
                slept.push(pause.as_secs());
                std::future::ready(())
            })
            .await;
        (login, slept)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_server_sets_the_pace_as_a_text_or_a_number_and_slows_it_down() {
        for interval in [r#""3""#, "3"] {
            let pending = || Ok(said("authorization_pending"));
            let outcomes = vec![
                pending(),
                Ok(said("slow_down")),
                pending(),
                lost(),
                pending(),
                Ok(Reply::new(200, DONE)),
            ];
            let (login, slept) = run(interval, outcomes).await;
            assert_eq!((login.unwrap().accessor.as_str(), slept), ("acc", vec![3, 6, 6, 6, 6]));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_pause_that_the_server_asks_for_is_kept() {
        let busy = Ok(Reply::new(429, "").with_header("Retry-After", "20"));
        let (login, slept) = run("5", vec![busy, Ok(Reply::new(200, DONE))]).await;
        assert!(login.is_ok());
        assert_eq!(slept, [20]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nobody_is_waited_for_longer_than_ten_minutes() {
        let outcomes = (0..200).map(|_| Ok(said("authorization_pending"))).collect();
        let (login, slept) = run("5", outcomes).await;
        let error = login.unwrap_err();
        assert!(
            matches!(error, Error::LoginRefused { problem: LoginProblem::StateExpired, .. }),
            "{error:?}"
        );
        assert_eq!(slept.iter().sum::<u64>(), 605);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_waiting_can_be_spawned() {
        fn spawnable<T: Send>(_: T) {}
        let begun = r#"{"data":{"auth_url":"https://idp.example/device?state=st_1"}}"#;
        let vault = Vault::new("https://vault".parse().unwrap(), script([Ok(Reply::new(200, begun))]));
        let (oidc, nonce) = (vault.oidc("oidc"), nonce());
        let auth_url = oidc.auth_url("device", "urn:x", &nonce).await.unwrap();
        assert_eq!(auth_url.poll_interval(), None, "a browser that comes back here is not asked about");
        spawnable(oidc.poll_until_done(&auth_url, &nonce, |_| std::future::ready(())));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refusal_ends_the_waiting() {
        let (login, slept) = run("5", vec![Ok(said("authorization failed: access_denied"))]).await;
        assert!(login.is_err() && slept.is_empty());
    }
}
