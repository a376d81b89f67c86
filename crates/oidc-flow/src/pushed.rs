//! What is asked for, left with the provider before the browser is opened.

use latchkey_transport::{Exchange, Replay, Reply, Request, Secret, json};
use serde::Deserialize;

use crate::form::ClientForm;
use crate::{Endpoint, Error, Misbehaviour};

/// Leaves the wishes of a login with the provider
/// ([RFC 9126, 2.1](https://www.rfc-editor.org/rfc/rfc9126#section-2.1)).
pub(crate) struct PushAuthorization {
    form: ClientForm,
}

impl PushAuthorization {
    pub(crate) fn new(form: ClientForm) -> Self {
        Self { form }
    }
}

impl Exchange for PushAuthorization {
    /// The `request_uri`: whoever has it can begin this login, until it expires within a minute or so.
    type Output = Secret;
    type Error = Error;

    fn request(&self) -> Request {
        self.form.request()
    }

    fn receive(self, reply: Reply) -> Result<Secret, Error> {
        #[derive(Deserialize)]
        struct Body {
            request_uri: Option<Secret>,
        }
        // RFC 9126, 2.2: "the server MUST generate a request URI and provide it in the response with a 201 HTTP
        // status code". Some answer 200.
        if !matches!(reply.status(), 200 | 201) {
            return Err(self.form.problem(&reply));
        }
        let endpoint = Endpoint::PushedAuthorization;
        let body: Body =
            json::from_slice(reply.body()).map_err(|_| Misbehaviour::MalformedReply { endpoint })?;
        let uri = body.request_uri.filter(|uri| !uri.is_empty());
        Ok(uri.ok_or(Misbehaviour::FieldMissing { endpoint, field: "request_uri" })?)
    }

    /// A request that is left twice is used once: the other one expires.
    fn replay(&self) -> Replay {
        Replay::Safe
    }
}
