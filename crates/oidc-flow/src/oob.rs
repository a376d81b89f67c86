//! Out of band: the person carries the code over by hand.
//!
//! The provider shows a page with the code instead of redirecting. People copy the code, or `code=…`, or the whole
//! address of that page; all of these are understood. An address carries the state and often the issuer, and so is
//! checked like any callback; a bare code is bound to the login by PKCE and the nonce alone, which the result says
//! ([`StateCheck`](crate::StateCheck)).
//!
//! Prefer `Loopback` wherever the browser runs on the same machine: a person who is talked into
//! handing over a code cannot tell whose login it is for. Say where to paste it, read it without echo, and never take
//! it as a program argument.

use std::fmt;

use latchkey_transport::Secret;
use url::{Url, form_urlencoded};

use crate::{CallbackParams, CallbackProblem, Error, PastedProblem};

/// The redirect address that asks a provider to show the code. The token request repeats it.
pub const REDIRECT_URI: &str = "urn:ietf:wg:oauth:2.0:oob";

/// What the person pasted.
///
/// ```
/// use latchkey_oidc_flow::oob::Pasted;
///
/// let code = Pasted::parse("  \"6f1c.9ab2.77e0\"\n")?;
/// let address = Pasted::parse("https://id.example/realms/team/oob?state=x&iss=https%3A%2F%2Fid.example&code=6f1c")?;
/// assert!(code.params().state().is_none());
/// assert!(address.params().state().is_some());
///
/// let nothing = Pasted::parse("\n").unwrap_err();
/// assert!(nothing.to_string().ends_with("paste the code that the page shows, or the page's whole address"));
/// # Ok::<(), latchkey_oidc_flow::Error>(())
/// ```
///
/// Specified in [RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2).
#[derive(Clone)]
pub struct Pasted(CallbackParams);

impl Pasted {
    /// How long a bare code may be: 4 KiB, more than any provider's.
    const CODE_LIMIT: usize = 4096;

    /// Reads what was pasted: a bare code, `code=…`, a query, or a whole address; with blanks, quotes and line breaks
    /// around it, and with the line breaks that a terminal puts inside
    /// ([RFC 6749, A.11](https://www.rfc-editor.org/rfc/rfc6749#appendix-A.11) for a bare code).
    ///
    /// # Errors
    ///
    /// [`Error::Pasted`] where no code is in it, [`Error::Callback`] where it is an answer that cannot be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > CallbackParams::LIMIT {
            return Err(CallbackProblem::TooLong { limit: CallbackParams::LIMIT }.into());
        }
        let text: String = text.chars().filter(|sign| !is_line_noise(*sign)).collect();
        let text = text.trim_matches(|sign: char| sign.is_whitespace() || is_quote(sign));
        if text.is_empty() {
            return Err(PastedProblem::Empty.into());
        }
        if let Some(encoded) = answer(text)? {
            let params = CallbackParams::parse(&encoded)?;
            if params.code().is_none() && params.refusal().is_none() {
                return Err(PastedProblem::NoCode.into());
            }
            return Ok(Self(params));
        }
        // RFC 6749, A.11: a code is made of visible ASCII signs.
        let is_code = text.len() <= Self::CODE_LIMIT && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_code {
            return Err(PastedProblem::NotUnderstood.into());
        }
        Ok(Self(CallbackParams::bare_code(Secret::new(text))))
    }

    /// Returns the code, unless what was pasted carries another state than that: for a login that somebody else has
    /// begun, such as Vault, and will end ([RFC 6749, 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)). A
    /// refusal is an error.
    ///
    /// # Errors
    ///
    /// [`CallbackProblem::StateMismatch`] where the state is another, [`Error::Refused`] where the provider says no.
    pub fn code_for(&self, state: &Secret) -> Result<&Secret, Error> {
        match self.0.state() {
            Some(_) => self.0.code_for(state),
            None => self.0.code_or_refusal(),
        }
    }

    /// Returns what was pasted, as a callback.
    pub fn params(&self) -> &CallbackParams {
        &self.0
    }
}

impl fmt::Debug for Pasted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pasted").field(&self.0).finish()
    }
}

/// Returns the encoded parameters of an address or a query; nothing when the text is neither.
fn answer(text: &str) -> Result<Option<String>, PastedProblem> {
    let encoded = if is_address(text) {
        let url = Url::parse(text).map_err(|_| PastedProblem::NotUnderstood)?;
        let parts = [url.query(), url.fragment()];
        parts
            .into_iter()
            .flatten()
            .find(|part| names_any(part, &ANSWER))
            .or(url.query())
            .unwrap_or_default()
            .to_owned()
    } else {
        text.trim_start_matches(['?', '#', '&']).to_owned()
    };
    if names_any(&encoded, &["response_type", "code_challenge"]) {
        return Err(PastedProblem::SignInAddress);
    }
    if names_any(&encoded, &ANSWER) {
        return Ok(Some(encoded));
    }
    if is_address(text) || names_any(&encoded, &["state", "iss", "session_state"]) {
        return Err(PastedProblem::NoCode);
    }
    Ok(None)
}

/// Returns whether a text begins like an address: an issuer inside a query does not make it one.
fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_scheme = !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme || text.starts_with("urn:")
}

const ANSWER: [&str; 2] = ["code", "error"];

/// Returns whether the encoded parameters name one of these. A sole name without `=` is a value, not a parameter.
fn names_any(encoded: &str, names: &[&str]) -> bool {
    encoded.split('&').filter(|pair| pair.contains('=')).any(|pair| {
        form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| names.iter().any(|wanted| *wanted == name))
    })
}

/// Line breaks and tabs come from terminals and mail programs, the others from pages that want to be broken nicely.
/// None can be part of a code or an address.
fn is_line_noise(sign: char) -> bool {
    matches!(sign, '\n' | '\r' | '\t' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

fn is_quote(sign: char) -> bool {
    matches!(sign, '"' | '\'' | '`' | '<' | '>' | '«' | '»' | '“' | '”' | '„' | '‘' | '’')
}
