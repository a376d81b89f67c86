//! `token-review`: the API server asks whose token it was shown, and this says who that is to the cluster.
//!
//! [`Reviewer::review`] is the whole of it: check the ID token in full, then map its claims.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use hyper::{Method, StatusCode};
use latchkey_examples::kubernetes::{Answer, Mapping, TokenReview};
use latchkey_examples::late_provider::{LateProvider, Unready};
use latchkey_examples::logging::LogFormat;
use latchkey_examples::serve::{self, Asked, Certificate, Server};
use latchkey_examples::terminal::Interrupt;
use latchkey_examples::{Failure, IssuerArguments, finish, help_after};
use latchkey_oidc_flow::{Algorithm, Error, Expectations, IdToken, IdTokenProblem};
use tracing::{debug, info, warn};

/// Tells a Kubernetes API server whose ID token it was shown: a webhook token authenticator
///
/// It checks signature, issuer, audience and times, maps a claim to the user name and one to the groups, and answers
/// `authenticated: false` to everything else. The provider's keys are fetched when they are needed, again when a token
/// names one that is new, and at the latest when they are too old. A certificate that is replaced is taken up.
///
/// No person of the provider becomes one of the cluster's own: names and groups that begin with `system:` are refused.
#[derive(Parser, Debug)]
#[command(name = "token-review", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// Address and port to listen at; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// Certificate of this server with its chain, in PEM
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,

    /// Key of that certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,

    #[command(flatten)]
    issuer: IssuerArguments,

    /// Client that tokens must be for; may be given more than once
    #[arg(long = "audience", value_name = "CLIENT_ID", required = true)]
    audiences: Vec<String>,

    /// Signature algorithm that tokens may have; may be given more than once
    #[arg(long = "algorithm", value_name = "NAME", default_value = "RS256", value_parser = algorithm)]
    algorithms: Vec<Algorithm>,

    /// Claim that names the user
    #[arg(long, value_name = "CLAIM", default_value = "sub", help_heading = "Mapping")]
    username_claim: String,

    /// What stands before every user name
    #[arg(long, value_name = "TEXT", default_value = "oidc:", help_heading = "Mapping")]
    username_prefix: String,

    /// Claim that lists the groups; dots lead into objects, as in `realm_access.roles`
    #[arg(long, value_name = "CLAIM", help_heading = "Mapping")]
    groups_claim: Option<String>,

    /// What stands before every group
    #[arg(long, value_name = "TEXT", default_value = "oidc:", help_heading = "Mapping")]
    groups_prefix: String,

    /// Claim that must have that text; may be given more than once
    #[arg(long = "required-claim", value_name = "CLAIM=TEXT", value_parser = pair, help_heading = "Mapping")]
    required: Vec<(String, String)>,

    /// How events are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

const EXAMPLES: &str = "\
Examples:
  token-review --issuer https://id.example/realms/team --audience kubernetes \\
      --username-claim preferred_username --groups-claim groups \\
      --listen 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key

  kube-apiserver ... --authentication-token-webhook-config-file=webhook.yaml
  webhook.yaml is a kubeconfig whose cluster has server: https://token-review.example:8443/token-review";

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name)
        .ok_or_else(|| "RS256, PS256, ES256, EdDSA and their longer kin are known".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(claim, _)| !claim.is_empty());
    pair.map(|(claim, text)| (claim.to_owned(), text.to_owned()))
        .ok_or_else(|| "CLAIM=TEXT is wanted".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.log_format.begin();
    let interrupt = Interrupt::listen()?;
    let certificate = Certificate::load(&arguments.tls_cert, &arguments.tls_key)?;
    let server = Server::bind(arguments.listen).await?;
    let server = server.with_certificate(certificate).with_body_limit(TokenReview::LIMIT);
    let reviewer = Arc::new(Reviewer::new(arguments)?);
    // An address that is no issuer is told at once; a provider that is down may come up later.
    match interrupt.or(async { Ok::<_, Failure>(reviewer.provider.get().await) }).await? {
        Err(Unready::Wrong(error)) => return Err((*error).into()),
        Err(Unready::NotNow) => {
            warn!("the provider does not answer yet: it is asked again when a token comes");
        }
        Ok(_) => {}
    }
    info!(address = %server.address()?, "ready");
    server
        .serve(async move { interrupt.wanted().await }, move |asked| {
            let reviewer = Arc::clone(&reviewer);
            async move { answer(&reviewer, asked).await }
        })
        .await;
    info!("stopped");
    Ok(())
}

async fn answer(reviewer: &Reviewer, asked: Asked) -> serve::Answer {
    match (asked.method, asked.path.as_str()) {
        (Method::GET | Method::HEAD, "/healthz") => serve::text(StatusCode::OK, "ok\n"),
        (Method::POST, "/token-review" | "/") => {
            let review = match TokenReview::parse(&asked.body) {
                Ok(review) => review,
                Err(problem) => {
                    warn!(%problem, "somebody asks what no API server asks");
                    return serve::text(StatusCode::BAD_REQUEST, format!("{problem}\n"));
                }
            };
            match reviewer.review(&review).await {
                Some(answer) => serve::json(StatusCode::OK, review.answer(&answer)),
                // Not "no": the API server would remember that. It asks again.
                None => serve::text(StatusCode::SERVICE_UNAVAILABLE, "the provider cannot be asked now\n"),
            }
        }
        (_, "/healthz" | "/token-review" | "/") => {
            serve::text(StatusCode::METHOD_NOT_ALLOWED, "not that way\n")
        }
        _ => serve::text(StatusCode::NOT_FOUND, "nothing here\n"),
    }
}

/// Says whose a token is.
struct Reviewer {
    expected: Vec<Expectations>,
    mapping: Mapping,
    provider: LateProvider,
}

impl Reviewer {
    fn new(arguments: Arguments) -> Result<Self, Failure> {
        let issuer = arguments.issuer.issuer()?.to_owned();
        let expected = arguments.audiences.iter().map(|audience| {
            Expectations::new(&issuer, audience).with_algorithms(arguments.algorithms.iter().copied())
        });
        Ok(Self {
            expected: expected.collect(),
            mapping: Mapping {
                username_claim: arguments.username_claim,
                username_prefix: arguments.username_prefix,
                groups_claim: arguments.groups_claim,
                groups_prefix: arguments.groups_prefix,
                required: arguments.required,
            },
            provider: LateProvider::new(issuer, arguments.issuer.transport()?),
        })
    }

    /// Says whose a token is; `None` where that cannot be known now.
    async fn review(&self, review: &TokenReview) -> Option<Answer> {
        let answer = self.judge(review).await;
        match &answer {
            Some(Answer::Known(_)) => debug!("known"),
            Some(Answer::Unknown(why)) => info!(why, "unknown"),
            None => warn!("not answered"),
        }
        answer
    }

    async fn judge(&self, review: &TokenReview) -> Option<Answer> {
        // What cannot be one is no reason to ask the provider for keys.
        let Ok(token) = IdToken::parse(review.token().clone()) else {
            return Some(Answer::Unknown("this is no ID token"));
        };
        let provider = self.provider.get().await.ok()?;
        let mut why = AUDIENCE;
        for expected in &self.expected {
            match provider.verify(token.clone(), expected, None, SystemTime::now()).await {
                Ok(proof) => return Some(self.mapping.map(&proof)),
                Err(Error::IdToken(problem)) => match reason(&problem) {
                    AUDIENCE => {}
                    reason => {
                        why = reason;
                        break;
                    }
                },
                Err(error) => {
                    warn!(problem = %Failure::from(error).message(), "the token cannot be checked");
                    return None;
                }
            }
        }
        Some(Answer::Unknown(why))
    }
}

const AUDIENCE: &str = "the token is for another audience";

/// What is told about a token that is refused: enough to find the fault, and nothing that stands in the token.
fn reason(problem: &IdTokenProblem) -> &'static str {
    use IdTokenProblem as P;
    match problem {
        P::AudienceMismatch
        | P::UntrustedAudience
        | P::AuthorizedPartyMismatch
        | P::AuthorizedPartyMissing => AUDIENCE,
        P::IssuerMismatch { .. } => "the token is from another issuer",
        P::Expired { .. } => "the token has expired",
        P::NotYetValid { .. } | P::IssuedInFuture { .. } => "the token is not valid yet",
        P::UnknownKey { .. } | P::WeakKey { .. } | P::BadSignature | P::AlgorithmNotAllowed { .. } => {
            "the signature of the token is not the provider's"
        }
        _ => "this is no ID token of the provider",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Arguments;

    const LEAST: [&str; 7] =
        ["token-review", "--tls-cert", "c", "--tls-key", "k", "--audience", "kubernetes"];

    #[test]
    fn names_and_groups_have_a_prefix_where_nothing_is_said() {
        let arguments = Arguments::try_parse_from(LEAST).unwrap();
        assert_eq!(
            (arguments.username_prefix.as_str(), arguments.groups_prefix.as_str()),
            ("oidc:", "oidc:")
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (name, value) in [
            ("--algorithm", "none"),
            ("--algorithm", "HS256"),
            ("--required-claim", "nothing"),
            ("--required-claim", "=x"),
            ("--listen", "here"),
        ] {
            let arguments = LEAST.into_iter().chain([name, value]);
            assert!(Arguments::try_parse_from(arguments).is_err(), "{name} {value}");
        }
    }
}
