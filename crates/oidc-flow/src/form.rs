//! A form that a client sends under its own name.

use std::time::SystemTime;

use latchkey_transport::{Exchange, MaybeSend, MaybeSync, Method, Reply, Request, Secret, json};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::authentication::{basic, credentials};
use crate::text::repeats;
use crate::{Authentication, Dpop, Endpoint, Error, Misbehaviour, Refusal};

/// A form that a client sends under its own name: the token endpoint and its neighbours all speak it
/// ([RFC 6749, 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).
#[derive(Clone)]
pub(crate) struct ClientForm {
    endpoint: Endpoint,
    address: Url,
    client_id: String,
    authentication: Authentication,
    fields: Vec<(String, Field)>,
    proof: Option<Secret>,
}

/// A call that sends such a form, and can be given a proof of the client's key.
pub(crate) trait FormExchange: Exchange<Error = Error> + MaybeSend + MaybeSync {
    fn form_mut(&mut self) -> &mut ClientForm;
}

/// A value of a form or an address.
#[derive(Clone)]
pub(crate) enum Field {
    Plain(String),
    Secret(Secret),
}

impl Field {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            // Opened for the body or the address, where the protocol wants it.
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

impl ClientForm {
    pub(crate) fn new(
        endpoint: Endpoint,
        address: Url,
        client_id: impl Into<String>,
        authentication: Authentication,
    ) -> Self {
        Self {
            endpoint,
            address,
            client_id: client_id.into(),
            authentication,
            fields: Vec::new(),
            proof: None,
        }
    }

    pub(crate) fn with_field(mut self, name: impl Into<String>, value: Field) -> Self {
        self.fields.push((name.into(), value));
        self
    }

    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), Field::Plain(value.into())));
        self
    }

    pub(crate) fn with_secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.fields.push((name.into(), Field::Secret(value)));
        self
    }

    /// Adds one field for each value, as RFC 8707, 2 wants it for `resource`.
    pub(crate) fn with_each(mut self, name: &'static str, values: &[String]) -> Self {
        for value in values {
            self = self.with(name, value);
        }
        self
    }

    /// Adds what was asked for, with blanks between; nothing when nothing was.
    pub(crate) fn with_list(self, name: &'static str, values: &[String]) -> Self {
        if values.is_empty() { self } else { self.with(name, values.join(" ")) }
    }

    /// Proves to have the key that the tokens shall be bound to.
    pub(crate) async fn prove(&mut self, dpop: &Dpop, now: SystemTime) -> Result<(), Error> {
        self.proof = Some(dpop.proof(Method::Post, &self.address, None, now).await?);
        Ok(())
    }

    /// Returns whether the tokens shall be bound to a key.
    pub(crate) fn is_bound(&self) -> bool {
        self.proof.is_some()
    }

    pub(crate) fn address(&self) -> &Url {
        &self.address
    }

    /// Says anew who the client is.
    pub(crate) fn authenticate(&mut self, authentication: Authentication) {
        self.authentication = authentication;
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn request(&self) -> Request {
        let request = Request::for_url(Method::Post, self.address.clone())
            .with_header("accept", "application/json")
            .with_body("application/x-www-form-urlencoded", self.body());
        let request = match &self.proof {
            Some(proof) => request.with_secret_header("dpop", proof.clone()),
            None => request,
        };
        match &self.authentication {
            Authentication::SecretBasic(secret) => {
                request.with_secret_header("authorization", basic(&self.client_id, secret))
            }
            _ => request,
        }
    }

    fn body(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it, so that no copy is left behind when the form grows.
        let secret = self.authentication.secret().map_or(0, |secret| secret.expose_secret().len());
        let fields: usize =
            self.fields.iter().map(|(name, value)| 3 * (name.len() + value.text().len()) + 2).sum();
        let room = fields + 3 * (self.client_id.len() + secret) + 256;
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        for (name, value) in &self.fields {
            form.append_pair(name, value.text());
        }
        match &self.authentication {
            // RFC 9126, 2.1: "as a required authorization request parameter, it is similarly required in a pushed
            // authorization request", whatever the header says.
            Authentication::SecretBasic(_) if self.endpoint == Endpoint::PushedAuthorization => {
                form.append_pair("client_id", &self.client_id);
            }
            Authentication::SecretBasic(_) => {}
            Authentication::None | Authentication::Certificate => {
                form.append_pair("client_id", &self.client_id);
            }
            // Opened for the body, which is secret.
            Authentication::SecretPost(secret) => {
                form.append_pair("client_id", &self.client_id)
                    .append_pair("client_secret", secret.expose_secret());
            }
            Authentication::Assertion(assertion) => {
                form.append_pair("client_id", &self.client_id)
                    .append_pair("client_assertion_type", Authentication::ASSERTION_TYPE)
                    .append_pair("client_assertion", assertion.expose_secret());
            }
        }
        Zeroizing::new(form.finish().into_bytes())
    }

    /// Returns what is secret in the request, so that no error repeats it.
    fn secrets(&self) -> impl Iterator<Item = Secret> {
        let fields = self.fields.iter().filter_map(|(_, value)| match value {
            Field::Secret(secret) => Some(secret.clone()),
            Field::Plain(_) => None,
        });
        let header = match &self.authentication {
            Authentication::SecretBasic(secret) => Some(credentials(&self.client_id, secret)),
            _ => None,
        };
        fields.chain(self.authentication.secret().cloned()).chain(header)
    }

    /// Reads the proper no of the endpoint ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    pub(crate) fn refusal(&self, reply: &Reply) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Body {
            error: String,
            error_description: Option<String>,
        }
        let body: Body = json::from_slice(reply.body()).ok()?;
        let is_repeated = |text: &String| self.secrets().any(|secret| repeats(text, &secret));
        if is_repeated(&body.error) {
            return None;
        }
        let description = body.error_description.filter(|text| !is_repeated(text));
        Some(Refusal::new(self.endpoint, &body.error, description.as_deref()))
    }

    /// Says why a reply is not the good one.
    pub(crate) fn problem(&self, reply: &Reply) -> Error {
        match self.refusal(reply) {
            Some(refusal) => refusal.into(),
            None => Misbehaviour::Status { endpoint: self.endpoint, status: reply.status() }.into(),
        }
    }
}
