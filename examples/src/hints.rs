//! What each error of the libraries means for the person at the terminal: an exit code and the fix.

use latchkey_jupyterhub_auth as hub;
use latchkey_oidc_flow as oidc;
use latchkey_transport as transport;
use latchkey_transport::TlsProblem;
use latchkey_vault_client as vault;
use latchkey_vault_client::LoginProblem;

use crate::failure::{Exit, Failure};

/// Which argument names the server that an error is about, and which one its CA.
struct Server {
    name: &'static str,
    address: &'static str,
    ca: &'static str,
}

const VAULT: Server =
    Server { name: "Vault", address: "--vault or VAULT_ADDR", ca: "--vault-ca or VAULT_CACERT" };
const HUB: Server = Server { name: "the hub", address: "--hub or JUPYTERHUB_API_URL", ca: "--hub-ca" };
const PROVIDER: Server = Server { name: "the provider", address: "--issuer", ca: "--issuer-ca" };

const SIGN_IN_AGAIN: &str = "run it again and sign in anew: a code works once, and for a short time";

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        use vault::Error as E;
        let (exit, hint) = match &error {
            E::Transport(error) => of_transport(error, &VAULT),
            E::InvalidPath { .. } | E::InvalidToken { .. } => (Exit::Usage, None),
            E::InvalidVariable { variable } => (Exit::Usage, Some(of_variable(variable))),
            E::UnreadableFile { .. } => {
                (Exit::Usage, Some("name a file that is there and that this account may read".into()))
            }
            E::LoginRefused { problem, mount, .. } => (Exit::Refused, of_login(*problem, mount)),
            E::NoAuthUrl { role, redirect_uri } => (
                Exit::Refused,
                Some(format!(
                    "add {redirect_uri} to allowed_redirect_uris of the role {role:?}, or see Vault's log"
                )),
            ),
            E::StateMismatch => {
                (Exit::Refused, Some("answer the page of this sign-in, not one left open before".into()))
            }
            E::WrongMount { .. } => (
                Exit::Refused,
                Some("name a KV v2 mount; one with slashes in its name ends with two: MOUNT//PATH".into()),
            ),
            E::FieldMissing { .. } => {
                (Exit::Refused, Some("--field takes one of those; without it all are printed".into()))
            }
            E::TokenInvalid(_) => (Exit::Refused, Some("use a token that is still valid".into())),
            E::PermissionDenied(_) => (Exit::Refused, Some("a policy of the token must allow this".into())),
            E::NotFound(_) => (Exit::Refused, Some("check the mount's name, and VAULT_NAMESPACE".into())),
            E::Redirected { .. } => (Exit::Refused, Some(format!("correct the address: {}", VAULT.address))),
            E::Sealed => (Exit::Network, Some("whoever runs the server must unseal it".into())),
            E::Uninitialised => (Exit::Network, Some("whoever runs the server must initialise it".into())),
            E::NotActive { .. } => (Exit::Network, Some(format!("name the active node: {}", VAULT.address))),
            E::MalformedReply { .. } => {
                (Exit::Network, Some(format!("is there a Vault at that address? {}", VAULT.address)))
            }
            E::RateLimited { .. } | E::PreconditionFailed(_) | E::MountUpgrading(_) | E::ServerFault(_) => {
                (Exit::Network, Some("try again later".into()))
            }
            _ => (Exit::Refused, None),
        };
        match &error {
            // It speaks for its cause, which then is not seen as what it is.
            E::Transport(cause) => with(Self::of(exit, cause), hint),
            error => with(Self::of(exit, error), hint),
        }
    }
}

/// What would be right, by the last words of the variable's name: `VAULT_…` or `BAO_…`.
fn of_variable(name: &str) -> String {
    let right = match name.split_once('_').map_or(name, |(_, what)| what) {
        "ADDR" => "is an address such as https://vault.example:8200",
        "CLIENT_TIMEOUT" => "is a time such as 30s, or a number of seconds",
        "MAX_RETRIES" => "is a number",
        "CLIENT_CERT" | "CLIENT_KEY" => "is set with the other one of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY",
        "TLS_SERVER_NAME" => "must be the host in the address",
        _ => "is set to something that it cannot be",
    };
    format!("{name} {right}; correct it, or unset it")
}

fn of_login(problem: LoginProblem, mount: &str) -> Option<String> {
    Some(match problem {
        LoginProblem::UnknownRole | LoginProblem::MissingRole => {
            format!("--role must name a role of auth/{mount}; `vault list auth/{mount}/role` shows them")
        }
        LoginProblem::WrongRoleType => {
            "--via vault needs a role of type oidc, --via provider one of type jwt".into()
        }
        LoginProblem::NotConfigured => {
            format!("set up auth/{mount} (the program `provision` does), or name another --mount")
        }
        LoginProblem::NotServed => "--mount must name an auth method; `vault auth list` shows them".into(),
        LoginProblem::TokenRejected => {
            format!(
                "auth/{mount} must trust the issuer of the token, and its clock must agree with the provider's"
            )
        }
        LoginProblem::AudienceRejected => "the role's bound_audiences must name --client-id".into(),
        LoginProblem::ClaimsRejected => "whoever runs Vault decides which claims the role accepts".into(),
        LoginProblem::StateExpired | LoginProblem::ClientNonceMismatch | LoginProblem::Cancelled => {
            SIGN_IN_AGAIN.into()
        }
        LoginProblem::CodeRejected => format!("{SIGN_IN_AGAIN}; or auth/{mount} has the wrong client secret"),
        LoginProblem::IdTokenRejected => {
            format!("whoever runs Vault must look at auth/{mount}/config and at its log")
        }
        LoginProblem::SecondFactorRequired => "choose a role without a second factor".into(),
        _ => return None,
    })
}

impl From<oidc::Error> for Failure {
    fn from(error: oidc::Error) -> Self {
        use oidc::{
            CallbackProblem, Endpoint, Error as E, IdTokenProblem, Misbehaviour, Misuse, RefusalReason,
        };
        let (exit, hint) = match &error {
            E::Transport(error) | E::Unredeemed(error) | E::Unrefreshed(error) => {
                of_transport(error, &PROVIDER)
            }
            E::Misuse(Misuse::InvalidIssuer { .. }) => {
                (Exit::Usage, Some("--issuer is an https address; http is for this machine only".into()))
            }
            E::Misuse(_) | E::Pasted(_) => (Exit::Usage, None),
            E::Refused(refusal) => match refusal.reason {
                RefusalReason::AccessDenied => (
                    Exit::Refused,
                    Some("if it was not you who cancelled, ask whoever runs the provider".into()),
                ),
                RefusalReason::InvalidClient | RefusalReason::UnauthorizedClient => (
                    Exit::Refused,
                    Some("--client-id and the client's secret must be those that the provider knows".into()),
                ),
                RefusalReason::InvalidGrant => (Exit::Refused, Some(SIGN_IN_AGAIN.into())),
                RefusalReason::ServerError | RefusalReason::TemporarilyUnavailable => {
                    (Exit::Network, Some("try again later".into()))
                }
                _ => (Exit::Refused, None),
            },
            E::Callback(CallbackProblem::StateMissing | CallbackProblem::StateMismatch) => {
                (Exit::Refused, Some("answer the page of this sign-in, not one left open before".into()))
            }
            E::Callback(_) => {
                (Exit::Refused, Some("run it again; if it happens again, somebody interferes".into()))
            }
            E::Misbehaved(Misbehaviour::IssuerMismatch { found, .. }) => {
                let hint = if is_plain(found) {
                    format!("if that is the provider you mean: --issuer {found}")
                } else {
                    "--issuer must be spelled as the provider spells itself".to_owned()
                };
                (Exit::Refused, Some(hint))
            }
            E::Misbehaved(Misbehaviour::Status { status: 429 | 500..=599, .. }) => {
                (Exit::Network, Some("try again later".into()))
            }
            E::Misbehaved(
                Misbehaviour::Status { endpoint: Endpoint::Discovery, .. }
                | Misbehaviour::MalformedReply { endpoint: Endpoint::Discovery },
            ) => (
                Exit::Refused,
                Some("--issuer must be an issuer: it serves ISSUER/.well-known/openid-configuration".into()),
            ),
            E::IdToken(IdTokenProblem::IssuedInFuture { .. } | IdTokenProblem::Expired { .. }) => {
                (Exit::Refused, Some("set the clock of this machine, or that of the provider's".into()))
            }
            E::IdToken(_) => {
                (Exit::Refused, Some("nothing was accepted; show this to whoever runs the provider".into()))
            }
            E::GrantOver { .. } => (Exit::Refused, Some(SIGN_IN_AGAIN.into())),
            E::LoginExpired { .. } | E::NobodyCame { .. } => {
                (Exit::TimedOut, Some("run it again; --timeout gives more time".into()))
            }
            E::PortTaken { .. } => {
                (Exit::Usage, Some("end the other program, or choose with --port (0: any free port)".into()))
            }
            _ => (Exit::Refused, None),
        };
        match &error {
            // It speaks for its cause, which then is not seen as what it is.
            E::Transport(cause) => with(Self::of(exit, cause), hint),
            error => with(Self::of(exit, error), hint),
        }
    }
}

impl From<hub::Error> for Failure {
    fn from(error: hub::Error) -> Self {
        use hub::Error as E;
        let (exit, hint) = match &error {
            E::Transport(transport::Error::Misuse(transport::Misuse::PlainHttp { .. })) => {
                (Exit::Usage, Some("name the hub by https, or see --danger-plain-http-hub".into()))
            }
            E::Transport(error) => of_transport(error, &HUB),
            E::InvalidAddress | E::MalformedReply { .. } => {
                (Exit::Network, Some(format!("is there a hub's API at that address? {}", HUB.address)))
            }
            E::InvalidUser | E::OtherUser | E::NotFound(_) => {
                (Exit::Usage, Some("--user or JUPYTERHUB_USER is whose server this is".into()))
            }
            E::Unauthorized(_) | E::IdTokenExpired { .. } => {
                (Exit::Refused, Some("sign in to the hub again, and restart your server".into()))
            }
            E::ScopeMissing { holder, .. } => (
                Exit::Refused,
                Some(format!("in jupyterhub_config.py:\n{}", holder.configuration().trim_end())),
            ),
            E::AuthStateOff => (
                Exit::Refused,
                Some("c.Authenticator.enable_auth_state = True, and JUPYTERHUB_CRYPT_KEY for the hub".into()),
            ),
            error if error.is_transient() => (Exit::Network, Some("try again later".into())),
            _ => (Exit::Refused, None),
        };
        match &error {
            // It speaks for its cause, which then is not seen as what it is.
            E::Transport(cause) => with(Self::of(exit, cause), hint),
            error => with(Self::of(exit, error), hint),
        }
    }
}

fn of_transport(error: &transport::Error, server: &Server) -> (Exit, Option<String>) {
    use transport::Error as E;
    match error {
        E::Misuse(transport::Misuse::PlainHttp { .. }) => {
            (Exit::Usage, Some(format!("correct the address: {}", server.address)))
        }
        E::Misuse(_) => (Exit::Usage, None),
        E::Unreachable { .. } => (
            Exit::Network,
            Some(format!(
                "is {} running there, and reachable from here? The address: {}",
                server.name, server.address
            )),
        ),
        E::Tls { problem: TlsProblem::UnknownIssuer, .. } => {
            (Exit::Network, Some(format!("{} names the PEM file of the CA that signed it", server.ca)))
        }
        E::Tls { problem: TlsProblem::NotValidNow, .. } => {
            (Exit::Network, Some("set this machine's clock, or have the certificate renewed".into()))
        }
        E::Tls { .. } => {
            (Exit::Network, Some(format!("correct the address, its scheme included: {}", server.address)))
        }
        _ => (Exit::Network, Some("try again later".into())),
    }
}

fn with(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Returns whether a text that a server wrote can be typed into a shell and means nothing but itself there.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/._-%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use latchkey_oidc_flow::{self as oidc, CallbackParams, CallbackProblem, IdTokenProblem, Misbehaviour};
    use latchkey_transport::{Error as TransportError, Exchange, Reply, Secret, TlsProblem};
    use latchkey_vault_client::auth::{ClientNonce, JwtLogin, OidcAuthUrl};
    use latchkey_vault_client::kv2::ReadSecret;
    use latchkey_vault_client::{self as vault, Read};

    use crate::{Exit, Failure};

    struct Zero;

    impl latchkey_transport::Random for Zero {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), latchkey_transport::RandomUnavailable> {
            bytes.fill(0);
            Ok(())
        }
    }

    fn login(status: u16, body: &str) -> Failure {
        let login = JwtLogin::new("keycloak-jwt", "default", &Secret::new("e30.e30.e30")).unwrap();
        login.receive(Reply::new(status, body)).unwrap_err().into()
    }

    fn read(status: u16, body: &str) -> Failure {
        let outcome: Result<Read, vault::Error> =
            ReadSecret::new("secret", "test").unwrap().receive(Reply::new(status, body));
        outcome.unwrap_err().into()
    }

    fn refused(query: &str) -> Failure {
        oidc::Error::from(CallbackParams::parse(query).unwrap().refusal().unwrap().clone()).into()
    }

    fn unreachable() -> TransportError {
        TransportError::Unreachable { host: "vault.example".into(), cause: None }
    }

    fn tls(problem: TlsProblem) -> TransportError {
        TransportError::Tls { host: "vault.example".into(), problem, cause: None }
    }

    #[test]
    fn every_bad_input_has_its_exit_code_and_a_hint_that_names_the_fix() {
        let nonce = ClientNonce::generate(&mut Zero).unwrap();
        let auth_url = OidcAuthUrl::new("keycloak-oidc", "default", "http://localhost:1/cb", &nonce).unwrap();
        let issuer = Misbehaviour::IssuerMismatch { expected: "https://a".into(), found: "https://b".into() };
        let future = IdTokenProblem::IssuedInFuture { seconds: 3600 };
        let cases: [(&str, Failure, Exit, &str); 20] = [
            ("wrong issuer", oidc::Error::from(issuer).into(), Exit::Refused, "--issuer https://b"),
            ("provider down", oidc::Error::from(unreachable()).into(), Exit::Network, "--issuer"),
            ("Vault down", vault::Error::from(unreachable()).into(), Exit::Network, "VAULT_ADDR"),
            (
                "unknown CA",
                vault::Error::from(tls(TlsProblem::UnknownIssuer)).into(),
                Exit::Network,
                "VAULT_CACERT",
            ),
            (
                "unknown CA",
                oidc::Error::from(tls(TlsProblem::UnknownIssuer)).into(),
                Exit::Network,
                "--issuer-ca",
            ),
            (
                "certificate expired",
                vault::Error::from(tls(TlsProblem::NotValidNow)).into(),
                Exit::Network,
                "clock",
            ),
            ("clock off", oidc::Error::from(future).into(), Exit::Refused, "clock"),
            (
                "wrong state",
                oidc::Error::from(CallbackProblem::StateMismatch).into(),
                Exit::Refused,
                "this sign-in",
            ),
            ("wrong state", vault::Error::StateMismatch.into(), Exit::Refused, "this sign-in"),
            ("consent refused", refused("error=access_denied"), Exit::Refused, "cancelled"),
            ("wrong client secret", refused("error=invalid_client"), Exit::Refused, "--client-id"),
            ("code replayed", refused("error=invalid_grant"), Exit::Refused, "sign in anew"),
            ("port taken", oidc::Error::PortTaken { ports: vec![8250] }.into(), Exit::Usage, "--port"),
            (
                "nobody came",
                oidc::Error::NobodyCame { limit: std::time::Duration::ZERO }.into(),
                Exit::TimedOut,
                "--timeout",
            ),
            (
                "unknown role",
                login(400, r#"{"errors":["role \"x\" could not be found"]}"#),
                Exit::Refused,
                "--role",
            ),
            (
                "wrong kind of role",
                login(400, r#"{"errors":["role with oidc role_type is not allowed"]}"#),
                Exit::Refused,
                "--via",
            ),
            (
                "redirect not allowed",
                auth_url
                    .receive(Reply::new(200, r#"{"request_id":"1","data":{"auth_url":""}}"#))
                    .unwrap_err()
                    .into(),
                Exit::Refused,
                "allowed_redirect_uris",
            ),
            ("denied", read(403, r#"{"errors":["permission denied"]}"#), Exit::Refused, "policy"),
            ("sealed", read(503, r#"{"errors":["Vault is sealed"]}"#), Exit::Network, "unseal"),
            ("a proxy's page", read(200, "<html>"), Exit::Network, "VAULT_ADDR"),
        ];
        for (case, failure, exit, hint) in cases {
            assert_eq!(failure.exit(), exit, "{case}: {failure:?}");
            assert!(failure.hint().is_some_and(|text| text.contains(hint)), "{case}: {failure:?}");
        }
    }

    #[test]
    fn the_root_cause_is_told_whichever_crate_made_the_call() {
        let broken = || {
            let cause = std::io::Error::other("connection refused");
            let cause = TransportError::Lost { host: "engine".into(), cause: Some(cause.into()) };
            TransportError::Unreachable { host: "id.example".into(), cause: Some(cause.into()) }
        };
        for failure in
            [Failure::from(oidc::Error::from(broken())), Failure::from(vault::Error::from(broken()))]
        {
            assert!(
                failure.message().ends_with("id.example cannot be reached: connection refused"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_a_matter_of_usage() {
        let plain =
            TransportError::from(latchkey_transport::Misuse::PlainHttp { host: "vault.example".into() });
        let failure = Failure::from(vault::Error::from(plain));
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.message().contains("use https"), "{}", failure.message());
    }
}
