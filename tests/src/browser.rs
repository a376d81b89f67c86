//! A browser without a screen: it follows redirects, keeps cookies, and fills in sign-in forms.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, bail};
use latchkey_transport::{Method, Request, SharedTransport, Transport};
use url::{Url, form_urlencoded};

/// How many redirects a person's browser would follow, too.
const REDIRECTS: usize = 20;

/// A browser without a screen, on any transport.
///
/// Cookies are kept by host. The flag `Secure` is ignored: Keycloak sets it over plain http as well, and real browsers
/// send such cookies back to `localhost`.
pub struct Browser {
    transport: SharedTransport,
    cookies: Mutex<BTreeMap<(String, String), String>>,
}

/// Where the browser ended.
#[derive(Clone, Debug)]
pub struct Page {
    /// The address bar.
    pub address: Url,
    /// The status of the last reply; 0 where the browser was told to stop before asking.
    pub status: u16,
    /// The page's HTML.
    pub html: String,
}

impl Browser {
    /// Returns a browser without cookies.
    pub fn new(transport: SharedTransport) -> Self {
        Self { transport, cookies: Mutex::default() }
    }

    /// Opens an address and follows redirects, but not to an address that begins with `stop`: that one is returned
    /// unasked, as the page where a loopback listener or another program would take over.
    pub async fn open(&self, address: &Url, stop: Option<&str>) -> anyhow::Result<Page> {
        self.follow(Request::for_url(Method::Get, address.clone()), address.clone(), stop).await
    }

    /// Opens an address, fills in the form that it shows, and follows where that leads.
    pub async fn sign_in(
        &self,
        address: &Url,
        name: &str,
        password: &str,
        stop: Option<&str>,
    ) -> anyhow::Result<Page> {
        let page = self.open(address, stop).await?;
        if stop.is_some_and(|stop| page.address.as_str().starts_with(stop)) || page.status >= 400 {
            return Ok(page);
        }
        self.submit(&page, &[("username", name), ("password", password)], stop).await
    }

    /// Sends the first form of a page with its hidden fields and these.
    pub async fn submit(
        &self,
        page: &Page,
        fields: &[(&str, &str)],
        stop: Option<&str>,
    ) -> anyhow::Result<Page> {
        let form = page.form().context("the page has no form")?;
        let action = attribute(form, "action").context("the form has no action")?;
        let target = page.address.join(&action).context("the form's action is no address")?;
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(page.hidden_fields())
            .extend_pairs(fields)
            .finish();
        let request = Request::for_url(Method::Post, target.clone())
            .with_body("application/x-www-form-urlencoded", body);
        self.follow(request, target, stop).await
    }

    async fn follow(&self, request: Request, address: Url, stop: Option<&str>) -> anyhow::Result<Page> {
        let (mut request, mut address) = (request, address);
        for _ in 0..REDIRECTS {
            let host = address.host_str().unwrap_or_default().to_owned();
            if let Some(cookies) = self.cookies_for(&host) {
                request = request.with_header("cookie", cookies);
            }
            let reply = self.transport.send(request).await?;
            for (_, cookie) in reply.headers().iter().filter(|(name, _)| *name == "set-cookie") {
                self.keep(&host, cookie);
            }
            let location = reply.header("location").filter(|_| (300..400).contains(&reply.status()));
            let Some(location) = location else {
                let html = String::from_utf8_lossy(reply.body()).into_owned();
                return Ok(Page { address, status: reply.status(), html });
            };
            address = address.join(location).context("a redirect to no address")?;
            if stop.is_some_and(|stop| address.as_str().starts_with(stop)) {
                return Ok(Page { address, status: 0, html: String::new() });
            }
            request = Request::for_url(Method::Get, address.clone());
        }
        bail!("more than {REDIRECTS} redirects")
    }

    fn cookies_for(&self, host: &str) -> Option<String> {
        let cookies = self.cookies.lock().ok()?;
        let mine = cookies.iter().filter(|((of, _), _)| of == host);
        let header: Vec<_> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        (!header.is_empty()).then(|| header.join("; "))
    }

    fn keep(&self, host: &str, cookie: &str) {
        let Ok(mut cookies) = self.cookies.lock() else { return };
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let key = (host.to_owned(), name.to_owned());
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            cookies.remove(&key);
        } else {
            cookies.insert(key, value.to_owned());
        }
    }
}

impl Page {
    /// Returns a parameter of the address bar.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.address.query_pairs().find(|(this, _)| this == name).map(|(_, value)| value.into_owned())
    }

    /// Returns the hidden fields of the page's first form, as the browser would send them.
    pub fn hidden_fields(&self) -> Vec<(String, String)> {
        let inputs = tags(self.form().unwrap_or_default(), "<input");
        inputs
            .filter(|input| attribute(input, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("hidden")))
            .filter_map(|input| {
                Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
            })
            .collect()
    }

    /// Returns the page's first form, from the inside of its tag on.
    fn form(&self) -> Option<&str> {
        let rest = tags(&self.html, "<form").next()?;
        let end = rest.to_ascii_lowercase().find("</form").unwrap_or(rest.len());
        Some(&rest[..end])
    }

    /// Returns the value of the page's input with that id, as a person would copy it.
    pub fn input(&self, id: &str) -> Option<String> {
        let mut inputs = self.html.split("<input").skip(1);
        inputs
            .find(|input| attribute(input, "id").is_some_and(|this| this == id))
            .and_then(|input| attribute(input, "value"))
    }
}

/// Returns what follows each place where a tag opens, whatever its case.
fn tags<'a>(html: &'a str, open: &'static str) -> impl Iterator<Item = &'a str> {
    let places: Vec<usize> = html.to_ascii_lowercase().match_indices(open).map(|(at, _)| at).collect();
    places.into_iter().map(move |at| &html[at + open.len()..])
}

/// Returns an attribute of the tag that `html` begins within, its entities resolved. Its name is compared without case.
fn attribute(html: &str, name: &str) -> Option<String> {
    let tag = html.split('>').next()?;
    let lower = tag.to_ascii_lowercase();
    let start = lower.match_indices(name).find(|(at, _)| {
        lower[..*at].ends_with(char::is_whitespace) && lower[at + name.len()..].trim_start().starts_with('=')
    })?;
    let rest = tag[start.0 + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    let value = rest[1..].split(quote).next()?;
    Some(value.replace("&quot;", "\"").replace("&#39;", "'").replace("&#x3D;", "=").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::attribute;

    #[test]
    fn attributes_are_found_with_either_quote_and_without_entities() {
        let tag = r#" id='code' data-value="no" value="a&amp;b" readonly>"#;
        assert_eq!(attribute(tag, "value").as_deref(), Some("a&b"));
        assert_eq!(attribute(tag, "id").as_deref(), Some("code"));
        assert_eq!(attribute(tag, "type"), None);
        assert_eq!(attribute(r#" TYPE="HIDDEN" NAME="iss">"#, "name").as_deref(), Some("iss"));
    }
}
