//! What every reply of the hub has in common.

use latchkey_transport::{Reply, Secret, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Refusal};

/// Reads a good reply, and sorts the others.
pub(crate) fn read<T: DeserializeOwned>(
    reply: &Reply,
    token: &Secret,
    wanted: &'static str,
) -> Result<T, Error> {
    if !reply.is_success() {
        return Err(refused(reply, token, wanted));
    }
    json::from_slice(reply.body()).map_err(|_| malformed(reply, wanted))
}

fn refused(reply: &Reply, token: &Secret, wanted: &'static str) -> Error {
    #[derive(Deserialize)]
    struct Body {
        message: Option<String>,
    }
    let Ok(body) = json::from_slice::<Body>(reply.body()) else { return malformed(reply, wanted) };
    let message = body.message.as_deref().map(|text| shown(text, token)).unwrap_or_default();
    let refusal = Refusal { status: reply.status(), message };
    match refusal.status {
        401 => Error::Unauthorized(refusal),
        // "Missing or invalid credentials.", "auth has expired for reader, login again", and of `user` plain "Forbidden".
        403 if ["credentials", "expired", "Forbidden"].iter().any(|word| refusal.message.contains(word)) => {
            Error::Unauthorized(refusal)
        }
        404 => Error::NotFound(refusal),
        _ => Error::Refused(refusal),
    }
}

fn malformed(reply: &Reply, wanted: &'static str) -> Error {
    Error::MalformedReply { status: reply.status(), length: reply.body().len(), wanted }
}

/// Returns a foreign text on one line, at most 200 characters of it, and nothing of one that repeats the token.
fn shown(text: &str, token: &Secret) -> String {
    // Opened to be searched for.
    let token = token.expose_secret();
    if !token.is_empty() && text.contains(token) {
        return String::new();
    }
    let is_plain = |sign: &char| {
        !sign.is_control()
            && !matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|sign| if sign == '\n' { ' ' } else { sign }).filter(is_plain).take(200).collect()
}
