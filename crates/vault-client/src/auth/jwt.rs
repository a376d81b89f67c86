//! Login with a token of the identity provider.

use latchkey_transport::{Body, Exchange, Method, Replay, Reply, Request, Secret};
use serde::Serialize;

use crate::login::Attempt;
use crate::path::Path;
use crate::reply::{self, JSON};
use crate::{Error, Login, PathPart, Vault};

/// A JWT auth method. Made by [`Vault::jwt`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
#[derive(Clone, Copy, Debug)]
pub struct JwtAuth<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> JwtAuth<'a> {
    pub(crate) fn new(vault: &'a Vault, mount: &'a str) -> Self {
        Self { vault, mount }
    }

    pub(super) fn vault(&self) -> &'a Vault {
        self.vault
    }

    pub(super) fn mount(&self) -> &'a str {
        self.mount
    }

    /// Logs in with a signed token, such as an ID token. An empty role means the mount's default.
    ///
    /// Fails with [`Error::LoginRefused`], whose `problem` says what to do about it. See [`JwtLogin`].
    pub async fn login(&self, role: &str, jwt: &Secret) -> Result<Login, Error> {
        self.vault.without_token().perform(JwtLogin::new(self.mount, role, jwt)?).await
    }
}

/// `POST auth/<mount>/login` of a JWT auth method.
///
/// Each login makes a token, so it is repeated only where the server did not run it ([`Replay::AfterRefusal`]), and not
/// after a lost reply. Fails with [`Error::LoginRefused`].
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt#jwt-login>
#[derive(Clone, Debug)]
pub struct JwtLogin {
    mount: String,
    role: String,
    path: String,
    body: Body,
    jwt: Secret,
}

impl JwtLogin {
    /// Logs in with a signed token. An empty role means the mount's default.
    ///
    /// Fails with [`Error::InvalidPath`].
    pub fn new(mount: &str, role: &str, jwt: &Secret) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "str::is_empty")]
            role: &'a str,
            jwt: &'a str,
        }
        let path = Path::with_room(mount.len() + "/auth//login".len())
            .literal("/auth")
            .segments(PathPart::Mount, mount)?
            .literal("/login");
        // Opened to be sent: the token is the credential.
        let body = reply::json(&Fields { role, jwt: jwt.expose_secret().trim() })?;
        Ok(Self {
            mount: mount.to_owned(),
            role: role.to_owned(),
            path: path.into_string(),
            body,
            jwt: jwt.clone(),
        })
    }
}

impl Exchange for JwtLogin {
    type Output = Login;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Post, self.path.clone()).with_body(JSON, self.body.clone())
    }

    fn receive(self, reply: Reply) -> Result<Login, Error> {
        let attempt = Attempt { mount: &self.mount, role: Some(&self.role), sent: &[&self.jwt] };
        Login::receive(&reply, &attempt)
    }

    /// Each login makes a token: repeating one whose reply was lost would leave a token that nobody knows.
    fn replay(&self) -> Replay {
        Replay::AfterRefusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lease, LoginProblem, TokenType};

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    fn login() -> JwtLogin {
        JwtLogin::new("keycloak-jwt", "default", &Secret::new(JWT)).unwrap()
    }

    fn problem(status: u16, said: &str) -> (LoginProblem, String) {
        let body = serde_json::json!({ "errors": [said] }).to_string();
        match login().receive(Reply::new(status, body)) {
            Err(error @ Error::LoginRefused { problem, .. }) => (problem, error.to_string()),
            other => panic!("{said}: {other:?}"),
        }
    }

    #[test]
    fn the_login_sends_role_and_token() {
        let request = login().request();
        assert_eq!((request.method(), request.path()), (Method::Post, "/v1/auth/keycloak-jwt/login"));
        let body = format!(r#"{{"role":"default","jwt":"{JWT}"}}"#);
        assert_eq!(request.body().unwrap().expose_secret(), body.as_bytes());
        assert!(!format!("{:?} {:?}", login(), request).contains("eyJ"));
    }

    #[test]
    fn an_empty_role_is_the_mounts_default_and_space_around_the_token_is_none_of_it() {
        let login = JwtLogin::new("team/jwt", "", &Secret::new(" x.y.z\n")).unwrap();
        assert_eq!(login.request().path(), "/v1/auth/team/jwt/login");
        assert_eq!(login.request().body().unwrap().expose_secret(), br#"{"jwt":"x.y.z"}"#);
    }

    #[test]
    fn a_login_tells_all_that_came_with_the_token() {
        let body = r#"{"request_id":"a","data":null,"warnings":["mind"],"auth":{"client_token":"s.hush","accessor":"acc",
            "policies":["default","reader"],"token_policies":["default"],"identity_policies":["reader"],
            "metadata":{"email":"who@example.org","role":"default"},"lease_duration":3600,"renewable":true,
            "entity_id":"ent","token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":0}}"#;
        let login = login().receive(Reply::new(200, body)).unwrap();
        assert_eq!(login.token().expose_secret(), "s.hush");
        assert_eq!((login.accessor.as_str(), login.entity_id.as_str()), ("acc", "ent"));
        assert_eq!(login.policies, ["default", "reader"]);
        assert_eq!((login.token_policies.len(), login.identity_policies.len()), (1, 1));
        assert_eq!(login.metadata["role"], "default");
        assert_eq!(login.lease, Lease::new(3600, true));
        assert_eq!((login.token_type.clone(), login.orphan), (TokenType::Service, true));
        assert_eq!(login.warnings.to_string(), "mind");
        let shown = format!("{login:?}");
        assert!(shown.contains("acc") && !shown.contains("hush") && !shown.contains("who@"), "{shown}");
    }

    #[test]
    fn lists_that_are_null_are_empty() {
        let body = r#"{"auth":{"client_token":"b.x","policies":null,"metadata":null,"token_type":"batch"}}"#;
        let login = login().receive(Reply::new(200, body)).unwrap();
        assert!(login.policies.is_empty() && login.metadata.is_empty());
        assert_eq!((login.token_type, login.lease.time_to_live()), (TokenType::Batch, None));
    }

    #[test]
    fn each_refusal_has_its_problem() {
        for (status, said, expected) in [
            (400, r#"role "default" could not be found"#, LoginProblem::UnknownRole),
            (400, "missing role", LoginProblem::MissingRole),
            (400, "role with oidc role_type is not allowed", LoginProblem::WrongRoleType),
            (400, "missing token", LoginProblem::TokenRejected),
            (400, "could not load configuration", LoginProblem::NotConfigured),
            (
                400,
                "error validating token: error verifying token signature: failed to verify id token signature",
                LoginProblem::TokenRejected,
            ),
            (
                400,
                "audience claim found in JWT but no audiences bound to the role",
                LoginProblem::AudienceRejected,
            ),
            (
                400,
                "error validating token: invalid audience (aud) claim: audience claim does not match any bound audience",
                LoginProblem::AudienceRejected,
            ),
            (
                400,
                "error validating token: invalid expiration time (exp) claim: token is expired",
                LoginProblem::TokenNotValidNow,
            ),
            (
                400,
                "error validating token: invalid not before (nbf) claim: token not yet valid",
                LoginProblem::TokenNotValidNow,
            ),
            (400, "error validating token: invalid subject (sub) claim", LoginProblem::ClaimsRejected),
            (400, r#"error validating claims: claim "groups" is missing"#, LoginProblem::ClaimsRejected),
            (400, r#"claim "email" not found in token"#, LoginProblem::ClaimsRejected),
            (400, "something new", LoginProblem::Other),
            (403, "permission denied", LoginProblem::NotServed),
            (
                404,
                "no handler for route \"auth/nope/login\". route entry not found.",
                LoginProblem::NotServed,
            ),
            (405, "1 error occurred:\n\t* unsupported operation\n\n", LoginProblem::NotServed),
        ] {
            assert_eq!(problem(status, said).0, expected, "{said}");
        }
    }

    #[test]
    fn a_refusal_names_mount_and_role_and_never_the_token() {
        let (_, shown) = problem(400, &format!(r#"role "default" could not be found for {JWT}"#));
        assert_eq!(
            shown,
            r#"the login at keycloak-jwt was refused: no such role (status 400: role "default" could not be found for …)"#
        );
    }

    #[test]
    fn a_token_that_looks_like_none_does_not_come_back_either() {
        let login = JwtLogin::new("jwt", "r", &Secret::new("open sesame\n")).unwrap();
        let body = r#"{"errors":["error validating token: open sesame is malformed"]}"#;
        let error = login.receive(Reply::new(400, body)).unwrap_err();
        assert!(error.to_string().ends_with("error validating token: … is malformed)"), "{error}");
    }

    #[test]
    fn what_is_no_refusal_stays_what_it_is() {
        let code = |status, body: &str| login().receive(Reply::new(status, body)).unwrap_err().code();
        assert_eq!(code(503, r#"{"errors":["Vault is sealed"]}"#), "vault_sealed");
        assert_eq!(code(500, r#"{"errors":["storage is down"]}"#), "vault_server_fault");
        assert_eq!(code(502, r#"{"errors":["missing role"]}"#), "vault_server_fault");
        assert_eq!(code(429, ""), "vault_rate_limited");
        for body in [
            "",
            "{}",
            r#"{"auth":null}"#,
            r#"{"auth":{"client_token":""}}"#,
            r#"{"auth":{"client_token":"a b"}}"#,
        ] {
            assert_eq!(code(200, body), "vault_malformed_reply", "{body}");
        }
    }

    #[test]
    fn a_second_factor_is_asked_for_by_name() {
        let body = r#"{"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"x"}}}"#;
        let error = login().receive(Reply::new(200, body)).unwrap_err();
        assert!(matches!(error, Error::LoginRefused { problem: LoginProblem::SecondFactorRequired, .. }));
    }

    #[test]
    fn a_login_whose_reply_was_lost_is_not_repeated() {
        assert_eq!(login().replay(), Replay::AfterRefusal);
    }
}
