//! A browser without a screen: it follows redirects, keeps cookies, and fills in the one form that asks for a password.
//!
//! For programs that are driven by other programs. People sign in with a browser of their own.

use std::collections::BTreeMap;

use latchkey_transport::{Method, Request, Secret, SharedTransport, Transport};
use url::{Url, form_urlencoded};

use crate::failure::{Exit, Failure};

/// How many redirects a person's browser would follow, too.
const REDIRECTS: usize = 20;

/// A browser without a screen.
pub struct Headless {
    transport: SharedTransport,
    /// By host and name.
    cookies: BTreeMap<(String, String), String>,
    person: Option<(String, Secret)>,
}

/// What a server answered that sends nowhere.
struct Page {
    address: Url,
    status: u16,
    html: String,
}

impl Headless {
    /// Returns a browser without cookies.
    pub fn new(transport: SharedTransport) -> Self {
        Self { transport, cookies: BTreeMap::new(), person: None }
    }

    /// Says what to fill in where a form asks for a password.
    pub fn with_person(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.person = Some((name.into(), password.into()));
        self
    }

    /// Opens an address and follows where it leads until that is `home`. Nobody needs to listen there: what comes back is
    /// what would be sent there, as parameters: of the address, of its fragment, or of the form that is posted.
    pub async fn come_back(&mut self, address: &Url, home: &str) -> Result<String, Failure> {
        let mut request = Request::for_url(Method::Get, address.clone());
        let mut asked = false;
        loop {
            let page = match self.follow(request, home).await? {
                Way::Home(answer) => return Ok(answer),
                Way::Page(page) => page,
            };
            let Some((form, action)) = page.form() else {
                let (status, host) = (page.status, page.address.host_str().unwrap_or_default().to_owned());
                return Err(Failure::new(
                    Exit::Refused,
                    format!("the page at {host} leads nowhere (status {status})"),
                ));
            };
            let mut fields = hidden_fields(form);
            if is_at(action.as_str(), home) {
                return Ok(encode(&fields));
            }
            if form.contains("type=\"password\"") {
                let Some((name, password)) = self.person.as_ref().filter(|_| !asked) else {
                    let why = if asked { "the password was not taken" } else { "somebody has to sign in" };
                    return Err(Failure::new(Exit::Refused, why)
                        .with_hint("SIGN_IN_NAME and SIGN_IN_PASSWORD say what to fill into the form"));
                };
                fields.push(("username".to_owned(), name.clone()));
                // Opened for the form of the provider.
                fields.push(("password".to_owned(), password.expose_secret().to_owned()));
                asked = true;
            }
            request = Request::for_url(Method::Post, action)
                .with_body("application/x-www-form-urlencoded", encode(&fields));
        }
    }

    async fn follow(&mut self, mut request: Request, home: &str) -> Result<Way, Failure> {
        for _ in 0..REDIRECTS {
            let address =
                request.url().cloned().ok_or_else(|| Failure::new(Exit::Refused, "a redirect to nowhere"))?;
            let host = address.host_str().unwrap_or_default().to_owned();
            let mine = self.cookies.iter().filter(|((of, _), _)| *of == host);
            let cookies: Vec<_> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
            if !cookies.is_empty() {
                request = request.with_secret_header("cookie", Secret::new(cookies.join("; ")));
            }
            let reply =
                self.transport.send(request).await.map_err(|error| Failure::of(Exit::Network, &error))?;
            for (_, cookie) in reply.headers().iter().filter(|(name, _)| *name == "set-cookie") {
                self.keep(&host, cookie);
            }
            let location = reply.header("location").filter(|_| (300..400).contains(&reply.status()));
            let Some(location) = location else {
                let html = String::from_utf8_lossy(reply.body()).into_owned();
                return Ok(Way::Page(Page { address, status: reply.status(), html }));
            };
            let next = address.join(location).map_err(|error| Failure::of(Exit::Refused, &error))?;
            if is_at(next.as_str(), home) {
                let answer = next.query().filter(|query| !query.is_empty()).or(next.fragment());
                return Ok(Way::Home(answer.unwrap_or_default().to_owned()));
            }
            request = Request::for_url(Method::Get, next);
        }
        Err(Failure::new(Exit::Refused, format!("more than {REDIRECTS} redirects")))
    }

    fn keep(&mut self, host: &str, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let key = (host.to_owned(), name.to_owned());
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.to_owned());
        }
    }
}

enum Way {
    Home(String),
    Page(Page),
}

impl Page {
    /// Returns the first form, and where it goes.
    fn form(&self) -> Option<(&str, Url)> {
        let form = after_each(&self.html, "<form").next()?;
        let end = form.to_ascii_lowercase().find("</form").unwrap_or(form.len());
        let form = form.get(..end)?;
        Some((form, self.address.join(&attribute(form, "action")?).ok()?))
    }
}

/// Returns what comes after each `tag`, which is written in small letters; pages write it as they like.
fn after_each<'a>(html: &'a str, tag: &'a str) -> impl Iterator<Item = &'a str> {
    let lower = html.to_ascii_lowercase();
    let ends: Vec<_> = lower.match_indices(tag).map(|(at, _)| at + tag.len()).collect();
    ends.into_iter().filter_map(|end| html.get(end..))
}

/// Returns whether an address is the given one, but for its query and fragment.
fn is_at(address: &str, home: &str) -> bool {
    address.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with(['?', '#', '&']))
}

fn encode(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn hidden_fields(form: &str) -> Vec<(String, String)> {
    let is_hidden = |kind: String| kind.eq_ignore_ascii_case("hidden");
    let hidden = after_each(form, "<input").filter(|input| attribute(input, "type").is_some_and(is_hidden));
    hidden
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect()
}

/// Returns an attribute of the tag that `html` begins within, its entities resolved. Names are compared without case.
fn attribute(html: &str, name: &str) -> Option<String> {
    let tag = html.split('>').next()?;
    let lower = tag.to_ascii_lowercase();
    let start = lower.match_indices(name).find(|(at, _)| {
        lower[..*at].ends_with(char::is_whitespace) && lower[at + name.len()..].trim_start().starts_with('=')
    })?;
    let rest = tag[start.0 + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    let value = rest[1..].split(quote).next()?;
    let value =
        value.replace("&quot;", "\"").replace("&#39;", "'").replace("&#x3D;", "=").replace("&#x2F;", "/");
    Some(value.replace("&#x3A;", ":").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::{Page, attribute, hidden_fields, is_at};

    #[test]
    fn attributes_are_found_whatever_their_case_and_quotes() {
        let tag = r#" NAME='code' VALUE="a&amp;b" data-value="no">"#;
        assert_eq!(attribute(tag, "value").as_deref(), Some("a&b"));
        assert_eq!(attribute(tag, "name").as_deref(), Some("code"));
        assert_eq!(attribute(tag, "type"), None);
        let form = r#" action="x"><input type="hidden" name="a" value="1"><input name="b" value="2">"#;
        assert_eq!(hidden_fields(form), [("a".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_form_is_found_as_keycloak_writes_it() {
        let html = r#"<BODY><FORM METHOD="POST" ACTION="http://h/cb"><INPUT TYPE="HIDDEN" NAME="code" VALUE="1"/></FORM>"#;
        let page = Page {
            address: "http://k/".parse().unwrap(),
            status: 200,
            html: format!("{html}<INPUT TYPE=x>"),
        };
        let (form, action) = page.form().unwrap();
        assert_eq!(action.as_str(), "http://h/cb");
        assert_eq!(hidden_fields(form), [("code".to_owned(), "1".to_owned())]);
        assert!(!form.contains("TYPE=x"));
    }

    #[test]
    fn home_is_home_with_any_query_and_nothing_longer() {
        for address in ["http://h/cb", "http://h/cb?code=1", "http://h/cb#code=1"] {
            assert!(is_at(address, "http://h/cb"), "{address}");
        }
        assert!(!is_at("http://h/cbx", "http://h/cb") && !is_at("http://g/cb", "http://h/cb"));
    }
}
