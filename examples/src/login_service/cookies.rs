//! What a browser keeps: two secrets, each in a cookie that no other site and no other host of ours can set.

use std::time::Duration;

use hyper::header::{COOKIE, HeaderMap, HeaderValue};
use latchkey_transport::Secret;

/// A cookie of this service.
///
/// `__Host-` binds it to this host and to https: no neighbouring host can plant one
/// ([RFC 6265bis, 4.1.3.2](https://www.ietf.org/archive/id/draft-ietf-httpbis-rfc6265bis-22.html#section-4.1.3.2)). `Lax`
/// and not `Strict`, because the provider sends the person back from another site.
#[derive(Clone, Copy)]
pub(super) enum Cookie {
    /// Which browser began a sign-in. A callback counts only in that browser, so that nobody can be signed in as somebody
    /// else by a link.
    Browser,
    /// Which session the browser has. It changes with every sign-in, so that none can be planted before.
    Session,
}

/// How long a value may be. Ours have 43 signs.
const LONGEST: usize = 128;

impl Cookie {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Browser => "__Host-login",
            Self::Session => "__Host-session",
        }
    }

    /// Returns what the browser has. Nothing where it has two: then somebody else has set one of them.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<Secret> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.name()).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() && value.len() <= LONGEST => Some(Secret::new(value)),
            _ => None,
        }
    }

    /// Sets it.
    pub(super) fn set(self, value: &Secret, lifetime: Duration) -> Option<HeaderValue> {
        // Opened for the browser that it is for.
        self.header(value.expose_secret(), lifetime.as_secs())
    }

    /// Takes it away.
    pub(super) fn remove(self) -> Option<HeaderValue> {
        self.header("", 0)
    }

    fn header(self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let name = self.name();
        let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
        let mut header = HeaderValue::from_str(&cookie).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        Cookie::Session.read(&headers).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(read(&["a=b; __Host-session=xyz; c=d"]).as_deref(), Some("xyz"));
        assert_eq!(read(&["a=b", "__Host-session=xyz"]).as_deref(), Some("xyz"));
        assert_eq!(read(&["session=xyz; x__Host-session=xyz; __Host-login=xyz"]), None);
    }

    #[test]
    fn a_cookie_that_comes_twice_is_none() {
        assert_eq!(read(&["__Host-session=xyz; __Host-session=abc"]), None);
        assert_eq!(read(&["__Host-session=xyz", "__Host-session=xyz"]), None);
        assert_eq!(read(&["__Host-session="]), None);
        assert_eq!(read(&[&format!("__Host-session={}", "x".repeat(LONGEST + 1))]), None);
    }

    #[test]
    fn a_cookie_is_for_this_host_and_https_and_no_script() {
        let header = Cookie::Session.set(&Secret::new("xyz"), Duration::from_secs(60)).unwrap();
        assert!(header.is_sensitive());
        assert_eq!(
            header.to_str().unwrap(),
            "__Host-session=xyz; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
    }
}
