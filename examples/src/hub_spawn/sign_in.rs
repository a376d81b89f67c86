//! Whether the person is signed in: the ID token in full, and the session behind it.

use std::time::{Duration, SystemTime};

use latchkey_jupyterhub_auth::{AuthState, Decision, Known, Page, Reason, Session, SpawnPolicy, Standing};
use latchkey_oidc_flow::{
    Client, Error, Grant, IdToken, IdTokenProblem, Misbehaviour, Provider, VerifiedIdToken,
};
use latchkey_transport::{Secret, SharedTransport};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{ProviderConfig, Refreshed, write_refreshed};
use crate::Failure;

/// Looks at sign-ins of one client of one provider.
pub struct SignIn<'a> {
    config: &'a ProviderConfig,
    transport: SharedTransport,
    client_secret: Option<&'a Secret>,
    limit: Duration,
    dry_run: bool,
}

/// What came of it.
pub enum SignedIn {
    /// The person is signed in.
    Proven {
        /// The proof.
        token: Box<VerifiedIdToken>,
        /// Whether it would be refreshed: in a dry run alone.
        is_due: bool,
    },
    /// Nothing is proven, and the operator wants the server started without it.
    Unproven(Reason),
    /// They are not.
    Stop(Page),
}

impl<'a> SignIn<'a> {
    /// Takes the way to the provider, what the hub knows of its client, and how long the provider may take for everything.
    pub fn new(
        config: &'a ProviderConfig,
        transport: SharedTransport,
        client_secret: Option<&'a Secret>,
        limit: Duration,
        dry_run: bool,
    ) -> Self {
        Self { config, transport, client_secret, limit, dry_run }
    }

    /// Looks at a sign-in, refreshes it where that is due, and tells the hub of new tokens at once.
    ///
    /// # Errors
    ///
    /// Where the hub does not listen any more.
    pub async fn of(&self, user: &str, state: &AuthState) -> Result<SignedIn, Failure> {
        let policy = self.config.policy();
        let mut run = Run { token: None, access_token: state.access_token.clone(), client: None };
        let looked = timeout(self.limit, self.look(&mut run, &policy, state)).await;
        let decision = looked.unwrap_or_else(|_| {
            warn!(seconds = self.limit.as_secs(), "the provider does not answer in time");
            Ok(policy.decide(&UNREACHABLE, SystemTime::now()))
        })?;
        Ok(match (decision, run.token) {
            (Decision::Stop(page), _) => SignedIn::Stop(page),
            (Decision::StartWithout(reason), _) => SignedIn::Unproven(reason),
            (decision, Some(token)) if self.is_named(user, state, &token) => {
                let is_due = decision == Decision::Refresh;
                SignedIn::Proven { token: Box::new(token), is_due }
            }
            _ => SignedIn::Stop(Page::new(Reason::NotProven)),
        })
    }

    async fn look(
        &self,
        run: &mut Run,
        policy: &SpawnPolicy,
        state: &AuthState,
    ) -> Result<Decision, Failure> {
        let mut known = Known {
            token: Standing::Missing,
            session: Session::Unasked,
            can_refresh: state.refresh_token.is_some(),
        };
        let text = state.id_token.as_ref().filter(|text| !text.is_empty());
        if let Some(text) = text {
            match Provider::discover(self.config.issuer(), self.transport.clone()).await {
                Ok(provider) => {
                    let client = Client::new(provider, self.config.client_id());
                    let client = match self.client_secret {
                        Some(secret) => client.with_secret(secret.clone()),
                        None => client,
                    };
                    known.token = run.check(&client, text).await;
                    run.client = Some(client);
                }
                Err(error) => {
                    warn!(problem = told(&error), "the provider cannot be asked");
                    known.token = Standing::Unchecked;
                }
            }
        }
        loop {
            match policy.decide(&known, SystemTime::now()) {
                Decision::AskSession => known.session = run.ask_session().await,
                Decision::Refresh if self.dry_run => return Ok(Decision::Refresh),
                Decision::Refresh => {
                    known.can_refresh = false;
                    let refreshed = run.refresh(self.config.client_id(), state).await?;
                    known.session = refreshed.0;
                    known.token = refreshed.1.unwrap_or(known.token);
                }
                decision => return Ok(decision),
            }
        }
    }

    /// Returns whether the hub's name for the person is the provider's: a hub writes names in small letters, and two people
    /// would be one. What `auth_state` says of the person must be about the one who signed in.
    fn is_named(&self, user: &str, state: &AuthState, token: &VerifiedIdToken) -> bool {
        let is_about = state
            .claim("sub")
            .is_none_or(|subject| subject.as_str().is_some_and(|subject| subject == token.subject()));
        let claimed = self.config.username_claim.as_deref();
        let is_named = claimed.is_none_or(|name| {
            let claim = token.claim(name).or_else(|| state.claim(name));
            claim.and_then(|value| value.as_str()) == Some(user)
        });
        if !is_about || !is_named {
            warn!(is_about, is_named, "the sign-in is somebody else's than the hub takes it for");
        }
        is_about && is_named
    }
}

/// Where the time was over before anything was known.
const UNREACHABLE: Known =
    Known { token: Standing::Unchecked, session: Session::Unknown, can_refresh: false };

/// One look, with what was learned so far.
struct Run {
    token: Option<VerifiedIdToken>,
    access_token: Option<Secret>,
    client: Option<Client>,
}

impl Run {
    /// Checks an ID token in full but for the time: one that has ended must have proven the same while it was good.
    async fn check(&mut self, client: &Client, text: &Secret) -> Standing {
        let Ok(token) = IdToken::parse(text.clone()) else {
            warn!("the hub's ID token is none");
            return Standing::Bad;
        };
        let now = SystemTime::now();
        let last_moment =
            token.unverified_expiry().and_then(|expiry| expiry.checked_sub(Duration::from_secs(1)));
        let at = last_moment.map_or(now, |last| last.min(now));
        match client.provider().verify(token, client.expectations(), None, at).await {
            Ok(token) => {
                let until = token.expires_at();
                self.token = Some(token);
                Standing::Good { until }
            }
            Err(ref error @ Error::IdToken(ref problem)) => {
                warn!(problem = told(error), "the hub's ID token does not prove what it should");
                of_problem(problem)
            }
            Err(error) => {
                warn!(problem = told(&error), "the hub's ID token cannot be checked");
                Standing::Unchecked
            }
        }
    }

    async fn ask_session(&self) -> Session {
        let (Some(client), Some(token), Some(access_token)) = (&self.client, &self.token, &self.access_token)
        else {
            return Session::Doubtful;
        };
        match client.userinfo(access_token, token.subject(), SystemTime::now()).await {
            Ok(_) => Session::Alive,
            Err(error) => {
                info!(problem = told(&error), "the provider does not answer for the access token");
                match error {
                    Error::Transport(_) => Session::Unknown,
                    Error::Misbehaved(Misbehaviour::Status { status: 429 | 500..=599, .. }) => {
                        Session::Unknown
                    }
                    // Whatever else it says, it does not say that the session lives.
                    _ => Session::Doubtful,
                }
            }
        }
    }

    async fn refresh(
        &mut self,
        client_id: &str,
        state: &AuthState,
    ) -> Result<(Session, Option<Standing>), Failure> {
        let (Some(client), Some(token), Some(refresh_token)) =
            (&self.client, &self.token, &state.refresh_token)
        else {
            return Ok((Session::Over, None));
        };
        let grant = Grant::of(token, client_id, refresh_token.clone());
        let now = SystemTime::now();
        let refreshed = match client.refresh(&grant, now).await {
            Ok(refreshed) => refreshed.release(),
            Err(error) => {
                warn!(problem = told(&error), "the sign-in is not refreshed");
                return Ok(match error {
                    Error::GrantOver { .. } => (Session::Over, None),
                    Error::IdToken(problem) => (Session::Over, Some(of_problem(&problem))),
                    _ => (Session::Unknown, None),
                });
            }
        };
        let left = refreshed.expires_at.and_then(|until| until.duration_since(now).ok());
        write_refreshed(&Refreshed {
            access_token: &refreshed.access_token,
            id_token: refreshed.id_token.as_ref().map(VerifiedIdToken::as_secret),
            refresh_token: refreshed.grant.refresh_token(),
            expires_in: left.map(|left| left.as_secs()),
        })?;
        self.access_token = Some(refreshed.access_token);
        // A provider need not repeat the ID token.
        let standing = refreshed.id_token.map(|token| {
            let until = token.expires_at();
            self.token = Some(token);
            Standing::Good { until }
        });
        Ok((Session::Alive, standing))
    }
}

/// What a token proves that did not pass, where it had not simply ended: nothing, or that a clock is wrong.
fn of_problem(problem: &IdTokenProblem) -> Standing {
    match problem {
        IdTokenProblem::Expired { .. }
        | IdTokenProblem::NotYetValid { .. }
        | IdTokenProblem::IssuedInFuture { .. } => Standing::Mistimed,
        _ => Standing::Bad,
    }
}

/// An error with its cause. Nothing in it is secret.
fn told(error: &Error) -> String {
    Failure::of(crate::Exit::Network, error).message().to_owned()
}
