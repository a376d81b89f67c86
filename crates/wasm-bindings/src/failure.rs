//! What JavaScript is told of an error: the same members for every kind.

use std::error::Error as StdError;

use latchkey_jupyterhub_auth::Error as HubError;
use latchkey_oidc_flow::Error as OidcError;
use latchkey_vault_client::{Error as VaultError, LoginProblem};

/// Why a call failed: an error of one of the crates, or of the bindings themselves.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Of the Vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Of the identity provider.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// Of the hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The page called wrongly.
    #[error("{name} {problem}")]
    InvalidArgument {
        /// Which argument, as the page names it.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nobody is signed in, or the token has expired.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// The page ended it.
    #[error("it was cancelled")]
    Cancelled,
    /// It has come to its end before: a sign-in is good for one.
    #[error("this sign-in has ended: begin another one")]
    Ended,
}

impl Failure {
    /// Returns the stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.code(),
            Self::Oidc(error) => error.code(),
            Self::Hub(error) => error.code(),
            Self::InvalidArgument { .. } => "engine_invalid_argument",
            Self::NotSignedIn => "engine_not_signed_in",
            Self::Cancelled => "engine_cancelled",
            Self::Ended => "engine_sign_in_ended",
        }
    }

    /// Returns whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Oidc(error) => error.is_transient(),
            Self::Hub(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Returns what is finer than the code, where there is something.
    pub fn problem(&self) -> Option<&'static str> {
        let Self::Vault(VaultError::LoginRefused { problem, .. }) = self else { return None };
        Some(match problem {
            LoginProblem::UnknownRole => "unknown_role",
            LoginProblem::MissingRole => "missing_role",
            LoginProblem::WrongRoleType => "wrong_role_type",
            LoginProblem::NotConfigured => "not_configured",
            LoginProblem::NotServed => "not_served",
            LoginProblem::TokenRejected => "token_rejected",
            LoginProblem::TokenNotValidNow => "token_not_valid_now",
            LoginProblem::AudienceRejected => "audience_rejected",
            LoginProblem::ClaimsRejected => "claims_rejected",
            LoginProblem::StateExpired => "state_expired",
            LoginProblem::ClientNonceMismatch => "client_nonce_mismatch",
            LoginProblem::CodeRejected => "code_rejected",
            LoginProblem::IdTokenRejected => "id_token_rejected",
            LoginProblem::CredentialsRejected => "credentials_rejected",
            LoginProblem::Cancelled => "cancelled",
            LoginProblem::SecondFactorRequired => "second_factor_required",
            _ => "other",
        })
    }

    /// Returns the HTTP status, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Vault(error) => error.status(),
            Self::Hub(error) => error.status(),
            _ => None,
        }
    }

    /// Returns what the server said, cleaned.
    pub fn server_messages(&self) -> Vec<String> {
        match self {
            Self::Vault(error) => {
                error.refusal().map(|refusal| refusal.messages.iter().map(str::to_owned).collect())
            }
            Self::Hub(
                HubError::Unauthorized(refusal) | HubError::NotFound(refusal) | HubError::Refused(refusal),
            ) if !refusal.message.is_empty() => Some(vec![refusal.message.clone()]),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Returns the scopes that are missing, where that is what is wrong.
    pub fn missing(&self) -> &[String] {
        match self {
            Self::Hub(HubError::ScopeMissing { missing, .. }) => missing,
            _ => &[],
        }
    }

    /// Returns the whole sentence: the error and its causes.
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            sentence.push_str(": ");
            sentence.push_str(&error.to_string());
            cause = error.source();
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Error as TransportError, Exchange as _, Reply, Secret};
    use latchkey_vault_client::auth::JwtLogin;

    use super::*;

    #[test]
    fn a_refused_login_tells_why_and_what_the_server_said() {
        let login = JwtLogin::new("jwt", "nobody", &Secret::new("a.b.c")).unwrap();
        let body = r#"{"errors":["role \"nobody\" could not be found"]}"#;
        let failure = Failure::from(login.receive(Reply::new(400, body)).unwrap_err());
        assert_eq!((failure.code(), failure.problem()), ("vault_login_refused", Some("unknown_role")));
        assert_eq!((failure.status(), failure.is_retryable()), (Some(400), false));
        assert_eq!(failure.server_messages(), [r#"role "nobody" could not be found"#]);
    }

    #[test]
    fn a_sentence_goes_down_to_its_cause() {
        let cause = TransportError::Lost { host: "vault".into(), cause: Some("who knows".into()) };
        let failure = Failure::from(VaultError::from(cause));
        assert_eq!(
            failure.sentence(),
            "the connection to vault broke before the reply was complete: who knows"
        );
        assert!(failure.is_retryable());
    }
}
