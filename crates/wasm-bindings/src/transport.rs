//! A transport over the browser's `fetch`.

use js_sys::{Array, Object, Reflect, Uint8Array};
use latchkey_transport::{Body, Error, Reply, ReplyHeaders, Request, Transport};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::clock::duration_millis;
use crate::platform;

/// `fetch`, with everything turned off that a page would do beyond carrying a request: redirects, cookies, caches, the
/// referrer.
///
/// It keeps the contract of [`Transport`], as far as a browser lets it be seen: a redirect is [`Error::Lost`], for `fetch` does
/// not tell it from a broken connection; and so is every failure to connect, since a browser says of none whether the server has
/// seen the request. In Node, which says, it is [`Error::Unreachable`].
pub(crate) struct Fetch {
    pub(crate) plain_http_anywhere: bool,
    /// The most that one call may take.
    pub(crate) time_limit: Option<std::time::Duration>,
}

#[async_trait::async_trait(?Send)]
impl Transport for Fetch {
    async fn send(&self, mut request: Request) -> Result<Reply, Error> {
        let url = request.check(self.plain_http_anywhere)?.as_str().to_owned();
        let host = request.host();
        let headers = Object::new();
        for (name, value, _) in request.headers() {
            // A plain object takes any property.
            let _ = Reflect::set(&headers, &name.into(), &value.into());
        }
        let body = request.take_body();
        let body = body.map(|body| Uint8Array::from(body.expose_secret()));
        let limit = self.time_limit.map_or(request.time_limit(), |limit| limit.min(request.time_limit()));
        let reply_limit = request.reply_limit();
        #[expect(clippy::cast_precision_loss, reason = "memory here has 32 bits")]
        let promise = platform::send(
            request.method().as_str(),
            &url,
            headers,
            body,
            duration_millis(limit),
            reply_limit as f64,
        );
        let outcome = JsFuture::from(promise).await.unwrap_or(JsValue::UNDEFINED);
        if let Some(reply) = read(&outcome) {
            return Ok(reply);
        }
        Err(match outcome.as_string().as_deref() {
            Some("timed_out") => Error::TimedOut { host, limit },
            Some("too_large") => Error::ReplyTooLarge { host, limit: reply_limit },
            Some("unreachable") => Error::Unreachable { host, cause: None },
            _ => Error::Lost { host, cause: Some(Box::new(Silence)) },
        })
    }
}

/// Why a browser gives no reply: it does not say, so that pages cannot look around in a network.
#[derive(Debug, thiserror::Error)]
#[error(
    "the browser does not say why; it may be the network, a certificate, a redirect, CORS at the server, or connect-src in this \
     page's Content-Security-Policy"
)]
struct Silence;

fn read(outcome: &JsValue) -> Option<Reply> {
    let get = |name: &str| Reflect::get(outcome, &name.into()).ok();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a status has three digits")]
    let status = get("status")?.as_f64()? as u16;
    let bytes: Uint8Array = get("body")?.dyn_into().ok()?;
    let mut headers = ReplyHeaders::default();
    let texts: Array = get("headers")?.dyn_into().ok()?;
    let mut texts = texts.iter().filter_map(|text| text.as_string());
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        headers.push(&name, &value);
    }
    let body = Body::from(bytes.to_vec());
    // The copy on the other side.
    bytes.fill(0, 0, bytes.length());
    Some(Reply::new(status, body).with_headers(headers))
}
