//! What the provider tells about the person.

use std::fmt;
use std::time::SystemTime;

use latchkey_transport::{Exchange, Method, Perform as _, Replay, Reply, Request, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::id_token::{IdToken, IdTokenProblem};
use crate::json::Object;
use crate::refusal::challenge;
use crate::text::repeats;
use crate::{Client, Endpoint, Error, Misbehaviour, Refusal};

/// Asks what the provider tells about the person
/// ([OpenID Connect Core, 5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).
///
/// What comes back is not checked: [`Client::userinfo`] does both.
pub struct FetchUserInfo {
    endpoint: Url,
    access_token: Secret,
}

impl FetchUserInfo {
    /// Takes the access token of a login
    /// ([OpenID Connect Core, 5.3.1](https://openid.net/specs/openid-connect-core-1_0.html#UserInfoRequest)).
    pub fn new(userinfo_endpoint: Url, access_token: Secret) -> Self {
        Self { endpoint: userinfo_endpoint, access_token }
    }

    /// Returns the request without its token.
    fn question(&self) -> Request {
        Request::for_url(Method::Get, self.endpoint.clone())
            .with_header("accept", "application/json, application/jwt")
    }
}

impl Exchange for FetchUserInfo {
    type Output = UnverifiedUserInfo;
    type Error = Error;

    fn request(&self) -> Request {
        // Opened for the header, which is secret.
        let bearer = Secret::new(format!("Bearer {}", self.access_token.expose_secret()));
        self.question().with_secret_header("authorization", bearer)
    }

    fn receive(self, reply: Reply) -> Result<UnverifiedUserInfo, Error> {
        let endpoint = Endpoint::UserInfo;
        if reply.status() != 200 {
            let error = challenge(reply.header("www-authenticate").unwrap_or_default());
            // A provider that repeats the token does not bring it into a log.
            return Err(match error.filter(|error| !repeats(error, &self.access_token)) {
                Some(error) => Refusal::new(endpoint, error, None).into(),
                None => Misbehaviour::Status { endpoint, status: reply.status() }.into(),
            });
        }
        let media_type = reply.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/jwt") {
            let text = str::from_utf8(reply.body()).map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
            let token = IdToken::parse(text).map_err(UserInfoProblem::Token)?;
            return Ok(UnverifiedUserInfo(Form::Signed(token)));
        }
        let members = Object::read(reply.body().to_vec(), &["sub"])
            .map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
        Ok(UnverifiedUserInfo(Form::Plain(members)))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

impl fmt::Debug for FetchUserInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FetchUserInfo").finish_non_exhaustive()
    }
}

/// What the provider sent about the person, before any check: nothing in it may be used.
///
/// Specified in [OpenID Connect Core, 5.3.2](https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse).
pub struct UnverifiedUserInfo(Form);

enum Form {
    Plain(Object),
    Signed(IdToken),
}

impl fmt::Debug for UnverifiedUserInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_signed = matches!(self.0, Form::Signed(_));
        formatter.debug_struct("UnverifiedUserInfo").field("is_signed", &is_signed).finish_non_exhaustive()
    }
}

/// What the provider tells about the person who signed in.
///
/// Specified in [OpenID Connect Core, 5.3.2](https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse).
#[derive(Clone)]
pub struct UserInfo {
    members: Object,
    is_signed: bool,
}

impl UserInfo {
    /// Returns who it is about: the person who signed in.
    pub fn subject(&self) -> &str {
        self.claim("sub").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether the provider signed it.
    pub fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// Returns any claim by its name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.members.member(name)
    }

    pub(crate) fn members(&self) -> &Map<String, Value> {
        self.members.whole()
    }

    /// Returns a claim that is true: also where a provider writes it as text, as some do with `email_verified`
    /// ([OpenID Connect Core, 5.1](https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims)).
    pub fn flag(&self, name: &str) -> bool {
        is_set(self.claim(name))
    }

    /// Reads the claims into a type of your own.
    ///
    /// # Errors
    ///
    /// [`UserInfoProblem::OtherShape`] where they do not fit into it.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, UserInfoProblem> {
        T::deserialize(self.members.whole()).map_err(|_| UserInfoProblem::OtherShape)
    }

    /// Takes claims that are about that person.
    ///
    /// Core, 5.3.2: "The sub Claim in the `UserInfo` Response MUST be verified to exactly match the sub Claim in the ID
    /// Token; if they do not match, the `UserInfo` Response values MUST NOT be used."
    fn of(members: Object, is_signed: bool, subject: &str) -> Result<Self, UserInfoProblem> {
        match members.member("sub").and_then(Value::as_str) {
            Some(found) if found == subject => Ok(Self { members, is_signed }),
            Some(_) => Err(UserInfoProblem::SubjectMismatch),
            None => Err(UserInfoProblem::SubjectMissing),
        }
    }
}

/// Returns whether a claim is true, also where it is text.
pub(crate) fn is_set(claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// Shows nothing of the person.
impl fmt::Debug for UserInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UserInfo").field("is_signed", &self.is_signed).finish_non_exhaustive()
    }
}

/// Why what the provider tells about the person cannot be used.
///
/// Specified in [OpenID Connect Core, 5.3.2](https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoProblem {
    /// It does not say whom it is about.
    #[error("the userinfo has no usable sub")]
    SubjectMissing,
    /// It is about another person: exchanged tokens.
    #[error("the userinfo is about another person than the one who signed in")]
    SubjectMismatch,
    /// The claims do not fit into the caller's type.
    #[error("the userinfo has another shape than the one asked for")]
    OtherShape,
    /// Its signature, or what it says about issuer and audience, is not what it must be. The cause speaks of an ID
    /// token, which is checked alike.
    #[error("the signed userinfo proves nothing")]
    Token(#[source] IdTokenProblem),
}

impl UserInfoProblem {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::SubjectMissing => "oidc_userinfo_subject_missing",
            Self::SubjectMismatch => "oidc_userinfo_subject",
            Self::OtherShape => "oidc_userinfo_shape",
            Self::Token(_) => "oidc_userinfo_token",
        }
    }
}

impl Client {
    /// Asks what the provider tells about the person who signed in: `subject` is that of the ID token, and an answer
    /// about anybody else is refused
    /// ([OpenID Connect Core, 5.3.2](https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse)). A signed
    /// answer is checked like an ID token.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] where the provider has no such endpoint, [`Error::UserInfo`] where what it tells cannot be
    /// used, [`Error::Refused`] where it does not take the token.
    pub async fn userinfo(
        &self,
        access_token: &Secret,
        subject: &str,
        now: SystemTime,
    ) -> Result<UserInfo, Error> {
        let endpoint = self.provider().metadata().offered(Endpoint::UserInfo)?;
        let fetch = FetchUserInfo::new(endpoint, access_token.clone());
        let transport = self.provider().transport();
        let UnverifiedUserInfo(form) = match self.dpop() {
            Some(dpop) => {
                let reply = dpop.send(&**transport, fetch.question(), access_token, now).await?;
                fetch.receive(reply)?
            }
            None => transport.perform(fetch).await?,
        };
        match form {
            Form::Plain(members) => Ok(UserInfo::of(members, false, subject)?),
            Form::Signed(token) => {
                let claims = self.provider().check_userinfo(token, self.expectations(), now).await?;
                Ok(UserInfo::of(claims, true, subject)?)
            }
        }
    }
}
