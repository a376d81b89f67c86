//! What the sign-in page sends back.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use latchkey_transport::Secret;
use url::Url;
use url::form_urlencoded;

use crate::json::Object;
use crate::text::repeats;
use crate::{CallbackProblem, Endpoint, Error, Refusal};

/// The parameters of a callback ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)), read and not
/// checked: anybody can send them.
#[derive(Clone, Default)]
pub struct CallbackParams {
    code: Option<Secret>,
    state: Option<Secret>,
    issuer: Option<String>,
    refusal: Option<Refusal>,
    id_token: Option<Secret>,
    session_state: Option<Secret>,
    response: Option<Secret>,
    is_signed: bool,
}

impl CallbackParams {
    /// How long a callback may be: 16 KiB, twice what servers take as an address by default.
    pub const LIMIT: usize = 16 * 1024;

    /// Reads the query of an address, or the body of a form (`response_mode=form_post`): they are written alike.
    ///
    /// A parameter that stands twice is refused here, before anything is compared: whoever reads the other one of
    /// the two would see another answer.
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::TooLong`] beyond [`LIMIT`](Self::LIMIT), [`CallbackProblem::DuplicateParameter`].
    pub fn parse(encoded: &str) -> Result<Self, CallbackProblem> {
        if encoded.len() > Self::LIMIT {
            return Err(CallbackProblem::TooLong { limit: Self::LIMIT });
        }
        Self::collect(form_urlencoded::parse(encoded.as_bytes()))
    }

    fn collect<'a>(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Result<Self, CallbackProblem> {
        let mut seen = Vec::new();
        let (mut params, mut error, mut description) = (Self::default(), None, None);
        for (name, value) in pairs {
            let Some(name) = KNOWN.into_iter().find(|known| *known == name) else { continue };
            if seen.contains(&name) {
                return Err(CallbackProblem::DuplicateParameter { parameter: name });
            }
            seen.push(name);
            let value = value.into_owned();
            match name {
                "code" => params.code = Some(Secret::new(value)).filter(|code| !code.is_empty()),
                "state" => params.state = Some(Secret::new(value)),
                "iss" => params.issuer = Some(value),
                "id_token" => params.id_token = Some(Secret::new(value)),
                "response" => params.response = Some(Secret::new(value)),
                // Session Management, 2: "This string MUST NOT contain the space character."
                "session_state" => {
                    params.session_state = Some(value).filter(|text| !text.contains(' ')).map(Secret::new);
                }
                "error" => error = Some(value),
                "error_description" => description = Some(value),
                _ => {}
            }
        }
        let description = description.filter(|text| params.may_tell(text));
        params.refusal = error.map(|error| {
            let error = Some(error).filter(|text| params.may_tell(text)).unwrap_or_default();
            Refusal::new(Endpoint::Authorization, &error, description.as_deref())
        });
        Ok(params)
    }

    /// Returns whether a text of the answer may be shown: what repeats the answer's own secrets is not told.
    pub(crate) fn may_tell(&self, text: &str) -> bool {
        let secrets = [&self.code, &self.state, &self.id_token, &self.response];
        !secrets.into_iter().flatten().any(|secret| repeats(text, secret))
    }

    /// Takes out what a signed answer says (JARM, 2.1). Whoever calls this compares its issuer.
    pub(crate) fn from_claims(claims: &Object) -> Result<Self, CallbackProblem> {
        let members = claims.whole();
        if members.iter().any(|(name, value)| KNOWN.contains(&name.as_str()) && !value.is_string()) {
            return Err(CallbackProblem::Malformed);
        }
        let texts = members.iter().filter_map(|(name, value)| Some((name.into(), value.as_str()?.into())));
        Ok(Self { is_signed: true, response: None, ..Self::collect(texts)? })
    }

    /// Reads a whole address, as it stands in a browser's address bar: its query, or its fragment
    /// (`response_mode=fragment`; [RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)).
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse), and [`CallbackProblem::Malformed`] where it is no address.
    pub fn from_address(address: &str) -> Result<Self, CallbackProblem> {
        if address.len() > Self::LIMIT {
            return Err(CallbackProblem::TooLong { limit: Self::LIMIT });
        }
        let url = Url::parse(address).map_err(|_| CallbackProblem::Malformed)?;
        let query = url.query().unwrap_or_default();
        // A fragment is looked at only where the query answers nothing: whoever makes a link can give it a fragment,
        // and a browser carries that through every redirect (RFC 9110, 10.2.2).
        match url.fragment() {
            Some(fragment) if !names_answer(query) => Self::parse(fragment),
            _ => Self::parse(query),
        }
    }

    /// Returns the code.
    pub fn code(&self) -> Option<&Secret> {
        self.code.as_ref()
    }

    /// Returns the state ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)).
    pub fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }

    /// Returns the issuer that the callback names ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns the ID token that came beside the code, where one was asked for. Nobody has checked it.
    pub(crate) fn id_token(&self) -> Option<&Secret> {
        self.id_token.as_ref()
    }

    /// Returns the state of the provider's session
    /// ([Session Management, 2](https://openid.net/specs/openid-connect-session-1_0.html#CreatingUpdatingSessions)).
    pub fn session_state(&self) -> Option<&Secret> {
        self.session_state.as_ref()
    }

    /// Returns whether this was taken out of an answer that the provider has signed
    /// ([`Client::open`](crate::Client::open); [JARM, 2.1](https://openid.net/specs/oauth-v2-jarm-final.html)).
    pub fn is_signed(&self) -> bool {
        self.is_signed
    }

    pub(crate) fn response(&self) -> Option<&Secret> {
        self.response.as_ref()
    }

    /// Returns the refusal, if this is one
    /// ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Returns the code, if this answers the login with that state: for a login that somebody else has begun, such as
    /// Vault, and will end ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)). The state is
    /// compared in constant time; a refusal is an error.
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::StateMissing`] or [`CallbackProblem::StateMismatch`] where it is the answer to something
    /// else, [`Error::Refused`] where the provider says no, [`CallbackProblem::CodeMissing`] where it says nothing.
    pub fn code_for(&self, state: &Secret) -> Result<&Secret, Error> {
        let found = self.state.as_ref().ok_or(CallbackProblem::StateMissing)?;
        // Opened to be compared, in constant time.
        if !found.is_same_as(state.expose_secret()) {
            return Err(CallbackProblem::StateMismatch.into());
        }
        self.code_or_refusal()
    }

    pub(crate) fn code_or_refusal(&self) -> Result<&Secret, Error> {
        match &self.refusal {
            Some(refusal) => Err(refusal.clone().into()),
            None => Ok(self.code.as_ref().ok_or(CallbackProblem::CodeMissing)?),
        }
    }

    /// Takes a code that came without anything else.
    pub(crate) fn bare_code(code: Secret) -> Self {
        Self { code: Some(code), ..Self::default() }
    }
}

/// The parameters that may stand once only. The others are ignored, as RFC 6749, 4.1.2 asks for.
const KNOWN: [&str; 10] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "session_state",
    "id_token",
    "access_token",
    "response",
];

/// Returns whether these parameters hold any part of an answer.
fn names_answer(encoded: &str) -> bool {
    form_urlencoded::parse(encoded.as_bytes()).any(|(name, _)| KNOWN.iter().any(|known| *known == name))
}

/// Shows what kind of answer it is.
impl fmt::Debug for CallbackParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CallbackParams")
            .field("code", &self.code)
            .field("state", &self.state)
            .field("refused", &self.refusal.is_some())
            .finish_non_exhaustive()
    }
}

/// Whether it is certain that the answer belongs to the login that was begun here.
///
/// Specified in [RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateCheck {
    /// The state was compared ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
    Verified,
    /// A bare code was pasted, which carries no state. PKCE and the nonce still bind it to this login: a code of
    /// another login is refused by the provider ([RFC 7636, 4.6](https://www.rfc-editor.org/rfc/rfc7636#section-4.6)).
    Unavailable,
}

/// A callback that has passed every check: the proof that redeeming its code is safe.
///
/// It can be redeemed once: [`Client::redeem`](crate::Client::redeem) takes it.
///
/// Specified in [RFC 9207, 2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4) and [RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2).
pub struct ValidatedCallback {
    pub(crate) code: Secret,
    pub(crate) state_check: StateCheck,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Secret,
    pub(crate) nonce: Secret,
    pub(crate) verifier: Secret,
    pub(crate) id_token: Option<Secret>,
    pub(crate) wants_id_token: bool,
    pub(crate) session_state: Option<Secret>,
    pub(crate) scopes: Vec<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) acr_values: Vec<String>,
    pub(crate) resources: Vec<String>,
}

impl ValidatedCallback {
    /// Returns whether the state could be compared.
    pub fn state_check(&self) -> StateCheck {
        self.state_check
    }

    /// Returns the issuer that the login was begun with.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl fmt::Debug for ValidatedCallback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ValidatedCallback")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("state_check", &self.state_check)
            .finish_non_exhaustive()
    }
}
