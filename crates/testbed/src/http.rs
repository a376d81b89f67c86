//! What is left of HTTP once there are no sockets: cookies and form fields.

use crate::{encoding, message::Request};

/// The value of a cookie that the request carries.
pub(crate) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let cookies = request.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("cookie"));
    cookies
        .flat_map(|(_, value)| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The fields of a form or a query.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn of_query(request: &Request) -> Self {
        Self(encoding::from_form(request.query().as_bytes()))
    }

    pub(crate) fn of_body(request: &Request) -> Self {
        Self(encoding::from_form(&request.body))
    }

    /// The first value of this name; an empty one counts as absent.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}
