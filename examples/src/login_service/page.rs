//! What a person sees: plain pages, without a script.

use axum::body::Body;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

/// Why somebody does not get what they wanted, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody here began that sign-in, or it is over: answered, replayed, too old, of another browser.
    NotUnderWay,
    /// The person, or the provider, said no.
    Refused,
    /// What the provider answered proves nothing.
    NotProven,
    /// The person has signed out meanwhile.
    SignedOut,
    /// The provider does not answer.
    NoProvider,
    /// Redis does not answer.
    NoStore,
    /// Another site sent a form.
    ForeignForm,
    /// Too many want something at the same time.
    Busy,
}

impl Trouble {
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotUnderWay => (
                StatusCode::BAD_REQUEST,
                "This sign-in is not under way",
                "It was begun in another browser, was finished before, or took too long.",
            ),
            Self::Refused => {
                (StatusCode::FORBIDDEN, "You are not signed in", "The sign-in was cancelled or refused.")
            }
            Self::NotProven => (
                StatusCode::BAD_GATEWAY,
                "You are not signed in",
                "The identity provider's answer does not prove who you are.",
            ),
            Self::SignedOut => (
                StatusCode::FORBIDDEN,
                "You are not signed in",
                "You signed out at the identity provider meanwhile.",
            ),
            Self::NoProvider => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody can sign in now",
                "The identity provider does not answer. Please try again in a minute.",
            ),
            Self::NoStore => (
                StatusCode::SERVICE_UNAVAILABLE,
                "This cannot be answered now",
                "The store of sessions does not answer. Please try again in a minute.",
            ),
            Self::ForeignForm => (
                StatusCode::FORBIDDEN,
                "This form is not from here",
                "It was sent by another site, or belongs to another session. Nothing was done.",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many people are here now",
                "Please try again in a few seconds.",
            ),
        }
    }

    /// Returns the page. It links to a new sign-in, and goes nowhere by itself: nothing here can become a loop.
    pub(super) fn page(self) -> Response<Body> {
        let (status, title, text) = self.told();
        let link = match self {
            Self::NotUnderWay | Self::Refused | Self::NotProven | Self::SignedOut | Self::NoProvider => {
                "<p><a href=\"/login\">Sign in anew</a></p>"
            }
            Self::ForeignForm => "<p><a href=\"/\">Go on</a></p>",
            Self::NoStore | Self::Busy => "",
        };
        let mut page = page(status, title, &format!("<p>{text}</p>{link}"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = if self == Self::Busy { "2" } else { "10" };
            page.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        page
    }
}

/// The page of somebody who is signed in.
pub(super) fn signed_in(name: &str, form_token: &str) -> Response<Body> {
    let body = format!(
        "<p>You are signed in as <b id=\"name\">{}</b>.</p>\
         <form action=\"/logout\" method=\"post\"><input type=\"hidden\" name=\"form_token\" value=\"{}\">\
         <button type=\"submit\">Sign out</button></form>",
        escaped(name),
        escaped(form_token),
    );
    page(StatusCode::OK, "Welcome", &body)
}

/// The page of anybody else.
pub(super) fn signed_out() -> Response<Body> {
    page(StatusCode::OK, "You are signed out", "<p><a href=\"/login\">Sign in</a></p>")
}

fn page(status: StatusCode, title: &str, body: &str) -> Response<Body> {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    );
    let mut page = Response::new(Body::from(html));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

/// What every answer carries: it is for this browser, now, and in no frame.
pub(super) const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    // The form is answered with a redirect to the provider, which `form-action` would forbid.
    (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    // The address of a callback holds a code.
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_cannot_leave_its_place() {
        assert_eq!(escaped("<b a=\"'&"), "&lt;b a=&quot;&#39;&amp;");
    }
}
