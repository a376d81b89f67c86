//! What a page in a browser may read: the origins of a client, as Keycloak answers them.

use super::Desk;
use crate::message::{Request, Response};

impl Desk<'_> {
    /// Answers a request that a page has sent.
    ///
    /// Keycloak says yes to every preflight, reads out its public documents to everybody, and refuses the rest to
    /// origins that the client has not named.
    pub(super) fn answer_page(&mut self, request: &Request, origin: &str) -> Response {
        let path = request.path();
        if request.method == "OPTIONS" {
            let methods = if path.ends_with("/userinfo") { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" };
            return Response::new(200)
                .with_header("Access-Control-Allow-Origin", origin)
                .with_header("Access-Control-Allow-Methods", methods)
                .with_header("Access-Control-Allow-Credentials", "true")
                .with_header(
                    "Access-Control-Allow-Headers",
                    "Origin, Accept, X-Requested-With, Access-Control-Request-Method, Access-Control-Request-Headers, DPoP, \
                     Content-Type, Authorization",
                )
                .with_header("Access-Control-Max-Age", "3600");
        }
        let is_public = path.ends_with("/certs") || path.ends_with("/openid-configuration");
        let is_for_pages =
            ["/token", "/userinfo", "/revoke", "/device"].iter().any(|end| path.ends_with(end))
                && path.contains("/protocol/");
        if !is_public && !is_for_pages {
            return self.route(request);
        }
        if is_for_pages && !self.allows_origin(origin) {
            return Response::new(403).with_json(&serde_json::json!({ "error": "Invalid origin" }));
        }
        self.route(request)
            .with_header("Access-Control-Allow-Origin", origin)
            .with_header("Access-Control-Allow-Credentials", "true")
    }
}
