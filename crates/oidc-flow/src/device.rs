//! Signing in on another device.

use std::fmt;
use std::time::{Duration, SystemTime};

use latchkey_transport::{Exchange, Perform as _, Replay, Reply, Request, Secret, json};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::discovery::is_safe;
use crate::form::{ClientForm, FormExchange};
use crate::text::printable;
use crate::token::{UnverifiedTokens, lifetime};
use crate::{Authentication, Client, Endpoint, Error, Misbehaviour, Misuse, RefusalReason, Tokens};

/// A login on another device about to begin ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)).
///
/// For machines without a browser. A person who is talked into typing a code of somebody else's signs that one in:
/// show where and as what this program signs in, and prefer a loopback where there is a browser.
#[derive(Clone, Debug)]
pub struct Device {
    client: Client,
    scopes: Vec<String>,
    resources: Vec<String>,
}

impl Device {
    /// Asks for a scope beside `openid`, or for several with blanks between them
    /// ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
    pub fn with_scope(mut self, scope: &str) -> Self {
        for scope in scope.split_ascii_whitespace() {
            if !self.scopes.iter().any(|this| this == scope) {
                self.scopes.push(scope.to_owned());
            }
        }
        self
    }

    /// Names a server that the access token shall be for
    /// ([RFC 8707, 2](https://www.rfc-editor.org/rfc/rfc8707#section-2)). May be said more than once.
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Asks the provider for a code to show ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such endpoint. [`Error::Refused`] where the provider says no,
    /// [`Error::Misbehaved`] where its answer cannot be used.
    pub async fn begin(self, now: SystemTime) -> Result<DeviceLogin, Error> {
        let Self { client, scopes, resources } = self;
        let endpoint = client.provider().metadata().offered(Endpoint::DeviceAuthorization)?;
        let authentication = client.authentication(now).await?;
        let form =
            ClientForm::new(Endpoint::DeviceAuthorization, endpoint, client.client_id(), authentication)
                .with_list("scope", &scopes)
                .with_each("resource", &resources);
        let codes = client.provider().transport().perform(AuthorizeDevice { form }).await?;
        let pending = PendingDevice {
            issuer: client.provider().issuer().to_owned(),
            client_id: client.client_id().to_owned(),
            device_code: codes.device_code,
            scopes,
            resources,
            interval: codes.interval,
            expires_in: codes.expires_in,
            expires_at: now.checked_add(codes.expires_in).unwrap_or(now),
            next: now.checked_add(codes.interval).unwrap_or(now),
        };
        Ok(DeviceLogin {
            user_code: codes.user_code,
            verification_uri: codes.verification_uri,
            verification_uri_complete: codes.verification_uri_complete,
            pending,
        })
    }
}

/// Asks for a code to show ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
struct AuthorizeDevice {
    form: ClientForm,
}

struct Codes {
    device_code: Secret,
    user_code: String,
    verification_uri: Url,
    verification_uri_complete: Option<Url>,
    expires_in: Duration,
    interval: Duration,
}

#[derive(Deserialize)]
struct Body {
    device_code: Option<Secret>,
    user_code: Option<String>,
    #[serde(alias = "verification_url")]
    verification_uri: Option<String>,
    #[serde(alias = "verification_url_complete")]
    verification_uri_complete: Option<String>,
    expires_in: Option<Value>,
    interval: Option<Value>,
}

impl Exchange for AuthorizeDevice {
    type Output = Codes;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<Codes, Error> {
        if reply.status() != 200 {
            return Err(self.form.problem(&reply));
        }
        let endpoint = Endpoint::DeviceAuthorization;
        let missing = |field| Misbehaviour::FieldMissing { endpoint, field };
        let body: Body =
            json::from_slice(reply.body()).map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
        // A person opens these: nothing but a page may hide behind them.
        let page = |field: &'static str, address: &str| {
            let url = Url::parse(address).map_err(|_| missing(field))?;
            if is_safe(&url) { Ok(url) } else { Err(Misbehaviour::InsecureEndpoint { field }) }
        };
        let complete = body.verification_uri_complete.as_deref();
        let verification_uri = body.verification_uri.ok_or(missing("verification_uri"))?;
        let user_code = body.user_code.map(|code| printable(&code, 64)).filter(|code| !code.is_empty());
        Ok(Codes {
            device_code: body.device_code.filter(|code| !code.is_empty()).ok_or(missing("device_code"))?,
            user_code: user_code.ok_or(missing("user_code"))?,
            verification_uri: page("verification_uri", &verification_uri)?,
            verification_uri_complete: complete
                .map(|address| page("verification_uri_complete", address))
                .transpose()?,
            expires_in: body.expires_in.as_ref().and_then(lifetime).ok_or(missing("expires_in"))?,
            interval: body
                .interval
                .as_ref()
                .and_then(lifetime)
                .unwrap_or(PendingDevice::INTERVAL)
                .clamp(PendingDevice::INTERVAL_MIN, PendingDevice::INTERVAL_MAX),
        })
    }

    /// A code that nobody is shown expires.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

/// A login on another device that has begun.
///
/// Specified in [RFC 8628, 3.2](https://www.rfc-editor.org/rfc/rfc8628#section-3.2).
#[non_exhaustive]
pub struct DeviceLogin {
    /// What the person types in ([RFC 8628, 6.1](https://www.rfc-editor.org/rfc/rfc8628#section-6.1)).
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// The same page with the code filled in, for a link or a QR code. Show the code beside it, so that the person can
    /// compare ([RFC 8628, 3.3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.3.1)).
    pub verification_uri_complete: Option<Url>,
    /// What to remember, and to poll with.
    pub pending: PendingDevice,
}

/// Shows no code.
impl fmt::Debug for DeviceLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DeviceLogin")
            .field("host", &self.verification_uri.host_str())
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// A login on another device under way: when to ask the provider, and with what.
///
/// Specified in [RFC 8628, 3.3](https://www.rfc-editor.org/rfc/rfc8628#section-3.3).
pub struct PendingDevice {
    issuer: String,
    client_id: String,
    device_code: Secret,
    scopes: Vec<String>,
    resources: Vec<String>,
    interval: Duration,
    expires_in: Duration,
    expires_at: SystemTime,
    next: SystemTime,
}

/// What to do now about a login on another device.
///
/// Specified in [RFC 8628, 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceStep {
    /// Nothing before that time.
    Wait {
        /// When to look again.
        until: SystemTime,
    },
    /// Ask the provider.
    Ask,
    /// Give up: the code has expired ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5),
    /// `expired_token`).
    Expired,
}

impl PendingDevice {
    /// How long to wait between two questions where the provider does not say: 5 s
    /// ([RFC 8628, 3.2](https://www.rfc-editor.org/rfc/rfc8628#section-3.2)).
    const INTERVAL: Duration = Duration::from_secs(5);
    /// Never without a pause, whatever the provider says.
    const INTERVAL_MIN: Duration = Duration::from_secs(1);
    /// Never longer than a minute: a person waits in front of it.
    const INTERVAL_MAX: Duration = Duration::from_secs(60);
    /// What a `slow_down` adds, for good ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    const SLOW_DOWN: Duration = Duration::from_secs(5);

    /// Returns what to do now ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    pub fn poll(&self, now: SystemTime) -> DeviceStep {
        if now >= self.expires_at {
            DeviceStep::Expired
        } else if now < self.next {
            DeviceStep::Wait { until: self.next.min(self.expires_at) }
        } else {
            DeviceStep::Ask
        }
    }

    /// Returns when the code that the person types in expires
    /// ([RFC 8628, 3.2](https://www.rfc-editor.org/rfc/rfc8628#section-3.2), `expires_in`).
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Takes the provider's answer, and returns what to do next
    /// ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    pub fn heard(&mut self, answer: &DeviceAnswer, now: SystemTime) -> DeviceStep {
        match answer {
            DeviceAnswer::SlowDown => self.interval += Self::SLOW_DOWN,
            // RFC 8628, 3.5: "On encountering a connection timeout, clients MUST unilaterally reduce their polling
            // frequency before retrying. The use of an exponential backoff [...] is RECOMMENDED."
            DeviceAnswer::Nothing => self.interval = (self.interval * 2).min(Self::INTERVAL_MAX),
            DeviceAnswer::Pending | DeviceAnswer::Granted(_) => {}
        }
        self.next = now.checked_add(self.interval).unwrap_or(self.expires_at);
        self.poll(now)
    }
}

/// Shows neither code nor person.
impl fmt::Debug for PendingDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PendingDevice")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("interval", &self.interval)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What the provider answers to the question whether the person is done.
///
/// Specified in [RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5).
#[derive(Debug)]
#[non_exhaustive]
pub enum DeviceAnswer {
    /// Not yet ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5), `authorization_pending`).
    Pending,
    /// Not yet, and less often, please ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5),
    /// `slow_down`).
    SlowDown,
    /// No answer: the network or the provider failed. Ask less often.
    Nothing,
    /// Done. Nothing is checked yet.
    Granted(Box<UnverifiedTokens>),
}

/// Asks whether the person is done ([RFC 8628, 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)).
pub struct RedeemDeviceCode {
    form: ClientForm,
    expires_in: Duration,
}

impl RedeemDeviceCode {
    /// Takes the code of a login under way.
    pub fn new(token_endpoint: Url, authentication: Authentication, pending: &PendingDevice) -> Self {
        let form = ClientForm::new(Endpoint::Token, token_endpoint, &pending.client_id, authentication)
            .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .with_secret("device_code", pending.device_code.clone())
            .with_each("resource", &pending.resources);
        Self { form, expires_in: pending.expires_in }
    }
}

impl FormExchange for RedeemDeviceCode {
    fn form_mut(&mut self) -> &mut ClientForm {
        &mut self.form
    }
}

impl Exchange for RedeemDeviceCode {
    type Output = DeviceAnswer;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<DeviceAnswer, Error> {
        match reply.status() {
            200 => {
                return Ok(DeviceAnswer::Granted(Box::new(UnverifiedTokens::read(
                    reply.body(),
                    self.form.is_bound(),
                )?)));
            }
            429 | 500..=599 => return Ok(DeviceAnswer::Nothing),
            _ => {}
        }
        let Some(refusal) = self.form.refusal(&reply) else { return Err(self.form.problem(&reply)) };
        match &refusal.reason {
            RefusalReason::AuthorizationPending => Ok(DeviceAnswer::Pending),
            RefusalReason::SlowDown => Ok(DeviceAnswer::SlowDown),
            RefusalReason::ExpiredToken => Err(Error::LoginExpired { lifetime: self.expires_in }),
            reason if reason.is_transient() => Ok(DeviceAnswer::Nothing),
            _ => Err(refusal.into()),
        }
    }

    /// The next question comes soon enough.
    fn replay(&self) -> Replay {
        Replay::Never
    }
}

impl fmt::Debug for RedeemDeviceCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RedeemDeviceCode");
        shown.field("client_id", &self.form.client_id()).finish_non_exhaustive()
    }
}

/// How far a login on another device has come.
///
/// Specified in [RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5).
#[derive(Debug)]
#[non_exhaustive]
pub enum DeviceProgress {
    /// The person is not done. Ask again then; asking earlier costs nothing and says the same.
    Waiting {
        /// When the provider may be asked again.
        until: SystemTime,
    },
    /// The person has signed in. All checks have passed.
    SignedIn(Box<Tokens>),
}

impl Client {
    /// Prepares a login on another device ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
    pub fn device(&self) -> Device {
        Device { client: self.clone(), scopes: vec!["openid".to_owned()], resources: Vec::new() }
    }

    /// Asks the provider whether the person is done, unless it is too early to ask, and checks what comes back
    /// ([RFC 8628, 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)).
    ///
    /// A provider that does not answer is asked again later, less often.
    ///
    /// # Errors
    ///
    /// [`Error::LoginExpired`] when the code has expired, [`Error::Refused`] when the person or the provider said no:
    /// begin anew.
    pub async fn poll_device(
        &self,
        pending: &mut PendingDevice,
        now: SystemTime,
    ) -> Result<DeviceProgress, Error> {
        if pending.issuer != self.provider().issuer() || pending.client_id != self.client_id() {
            return Err(Misuse::OtherClient.into());
        }
        match pending.poll(now) {
            DeviceStep::Wait { until } => return Ok(DeviceProgress::Waiting { until }),
            DeviceStep::Expired => return Err(Error::LoginExpired { lifetime: pending.expires_in }),
            DeviceStep::Ask => {}
        }
        // Before anything is spent.
        self.provider().prepare(now).await?;
        let endpoint = self.provider().metadata().token_endpoint().clone();
        let redeem = RedeemDeviceCode::new(endpoint, self.authentication(now).await?, pending);
        let answer = match self.call(redeem, now).await {
            Err(Error::Transport(cause)) if cause.is_transient() => DeviceAnswer::Nothing,
            outcome => outcome?,
        };
        let step = pending.heard(&answer, now);
        match (answer, step) {
            (DeviceAnswer::Granted(tokens), _) => {
                let id_token = tokens.id_token().clone();
                let access_token = Some(tokens.access_token());
                let proof = self.provider().verify(id_token, self.expectations(), access_token, now).await;
                let proof = proof.map_err(|error| match error {
                    Error::Transport(cause) => Error::Unredeemed(cause),
                    other => other,
                })?;
                let tokens = tokens.release(proof, self.client_id(), pending.scopes.clone(), None, now);
                Ok(DeviceProgress::SignedIn(Box::new(tokens)))
            }
            (_, DeviceStep::Wait { until }) => Ok(DeviceProgress::Waiting { until }),
            (_, DeviceStep::Ask | DeviceStep::Expired) => Ok(DeviceProgress::Waiting { until: now }),
        }
    }
}
