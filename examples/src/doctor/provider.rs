//! Asks the identity provider.

use std::time::SystemTime;

use latchkey_oidc_flow::{
    Client, Endpoint, Error, FetchKeys, Misbehaviour, Misuse, Prompt, Provider, TokenKind,
};
use latchkey_transport::{Exchange as _, Method, Request, Secret, SharedTransport, SystemRandom};
use url::form_urlencoded::Serializer;

use super::finding::{Finding, Outcome};
use super::fix;
use super::judge::{self, Redirect};
use crate::failure::Failure;

/// What the provider is asked about.
#[derive(Debug)]
pub struct AskedProvider<'a> {
    /// The issuer, as somebody wrote it.
    pub issuer: &'a str,
    /// The client.
    pub client_id: &'a str,
    /// Its secret, where it was given.
    pub client_secret: Option<Secret>,
    /// Whether it has none.
    pub is_public: bool,
    /// Where sign-ins may come back to.
    pub redirect_uris: &'a [String],
    /// The origins of the pages that fetch tokens themselves.
    pub origins: &'a [String],
}

const AFTER_DISCOVERY: [&str; 5] =
    ["provider-keys", "provider-clock", "provider-client", "provider-redirect", "provider-cors"];

/// Makes the checks of a provider. Returns the issuer as the provider spells it, where it was reached.
pub async fn provider(
    asked: &AskedProvider<'_>,
    transport: &SharedTransport,
) -> (Vec<Finding>, Option<String>) {
    let (mut findings, provider) = discover(asked, transport).await;
    let Some(provider) = provider else {
        let why = "the provider was not understood";
        findings.extend(AFTER_DISCOVERY.map(|check| Finding::skipped(check, why)));
        return (findings, None);
    };
    keys_and_clock(&provider, transport, &mut findings).await;
    let client = Client::new(provider.clone(), asked.client_id);
    let client = match &asked.client_secret {
        Some(secret) => client.with_secret(secret.clone()),
        None => client,
    };
    findings.push(client_is_known(asked, &client).await);
    findings.push(redirects(asked, &client, transport).await);
    findings.push(cors(asked, &provider, transport).await);
    (findings, Some(provider.issuer().to_owned()))
}

/// Asks the provider what it says about itself, by the spelling that was given or, where that is not its own, by its own.
async fn discover(
    asked: &AskedProvider<'_>,
    transport: &SharedTransport,
) -> (Vec<Finding>, Option<Provider>) {
    let reachable = Finding::new("provider-reachable", Outcome::Ok).with_fact("issuer", asked.issuer);
    let spelt = |outcome| Finding::new("provider-issuer", outcome).with_fact("asked", asked.issuer);
    let error = match Provider::discover(asked.issuer, transport.clone()).await {
        Ok(provider) => return (vec![reachable, spelt(Outcome::Ok)], Some(provider)),
        Err(error) => error,
    };
    match &error {
        Error::Misbehaved(Misbehaviour::IssuerMismatch { found, .. }) => {
            let finding = spelt(Outcome::Failed)
                .with_code(error.code())
                .with_fact("spelt", found)
                .with_fix(format!("export LATCHKEY_ISSUER={}\n", fix::word(found)));
            // What calls itself otherwise is somebody else, but for a slash.
            let is_same = found.trim_end_matches('/') == asked.issuer.trim_end_matches('/');
            let provider =
                if is_same { Provider::discover(found, transport.clone()).await.ok() } else { None };
            (vec![reachable, finding], provider)
        }
        Error::Misuse(Misuse::InvalidIssuer { .. }) => {
            let finding = spelt(Outcome::Failed)
                .with_code(error.code())
                .with_fix("export LATCHKEY_ISSUER=https://…    # http is for this machine only\n");
            (vec![Finding::skipped("provider-reachable", "the issuer is no address"), finding], None)
        }
        // Some providers answer nothing at all at an address with a slash too many or too few.
        Error::Misbehaved(Misbehaviour::Status { .. }) => {
            let other = other_spelling(asked.issuer);
            match Provider::discover(&other, transport.clone()).await {
                Ok(provider) => {
                    let finding = spelt(Outcome::Failed)
                        .with_code(error.code())
                        .with_fact("spelt", &other)
                        .with_fix(format!("export LATCHKEY_ISSUER={}\n", fix::word(&other)));
                    (vec![reachable, finding], Some(provider))
                }
                Err(_) => (unreachable(error), None),
            }
        }
        _ => (unreachable(error), None),
    }
}

/// The same issuer with the slash at its end that it lacks, or without.
fn other_spelling(issuer: &str) -> String {
    issuer.strip_suffix('/').map_or_else(|| format!("{issuer}/"), str::to_owned)
}

fn unreachable(error: Error) -> Vec<Finding> {
    let code = error.code();
    let is_misbehaviour = matches!(error, Error::Misbehaved(_));
    let failure = Failure::from(error);
    let finding = Finding::new("provider-reachable", Outcome::Down)
        .with_code(code)
        .with_fact("found", failure.message());
    let fix = if is_misbehaviour {
        "curl -i \"$LATCHKEY_ISSUER/.well-known/openid-configuration\"\n"
    } else {
        CONNECT
    };
    let finding = finding.with_fix(fix);
    vec![finding, Finding::skipped("provider-issuer", "the provider was not understood")]
}

const CONNECT: &str = "\
export LATCHKEY_ISSUER=https://…              # is that its address?
export LATCHKEY_ISSUER_CACERT=ca.pem          # where its certificate is of an authority of your own
curl -v \"$LATCHKEY_ISSUER/.well-known/openid-configuration\"
";

async fn keys_and_clock(provider: &Provider, transport: &SharedTransport, findings: &mut Vec<Finding>) {
    let fetch = FetchKeys::new(provider.metadata().jwks_uri().clone());
    let reply = match transport.send(fetch.request()).await {
        Ok(reply) => reply,
        Err(error) => {
            findings.push(
                Finding::new("provider-keys", Outcome::Failed)
                    .with_code(error.code())
                    .with_fix(format!("curl -v {}\n", fix::word(provider.metadata().jwks_uri().as_str()))),
            );
            findings.push(Finding::skipped("provider-clock", "the provider's keys cannot be had"));
            return;
        }
    };
    let now = SystemTime::now();
    let theirs = reply.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    findings.push(match fetch.receive(reply) {
        Ok(keys) => judge::keys(&keys),
        Err(error) => Finding::new("provider-keys", Outcome::Failed)
            .with_code(error.code())
            .with_fix(format!("curl -i {}\n", fix::word(provider.metadata().jwks_uri().as_str()))),
    });
    findings.push(match theirs {
        Some(theirs) => judge::clock("provider-clock", "the provider", now, theirs),
        None => Finding::skipped("provider-clock", "the provider does not tell the time (no Date header)"),
    });
}

/// Gives back a token that is none: a provider asks first who does that
/// ([RFC 7009, 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)), and has nothing to do then.
async fn client_is_known(asked: &AskedProvider<'_>, client: &Client) -> Finding {
    if asked.client_secret.is_none() && !asked.is_public {
        return Finding::skipped(
            "provider-client",
            "neither LATCHKEY_CLIENT_SECRET nor --public-client is given",
        );
    }
    if client.provider().metadata().endpoint(Endpoint::Revocation).is_none() {
        return Finding::skipped("provider-client", "the provider has no call that would tell");
    }
    match client.revoke(&Secret::new("doctor-asks-for-the-client"), TokenKind::Refresh, SystemTime::now()).await {
        Ok(()) => Finding::new("provider-client", Outcome::Ok).with_fact("client", asked.client_id),
        Err(error @ Error::Transport(_)) => {
            Finding::skipped("provider-client", "the provider did not answer").with_code(error.code())
        }
        Err(error) => Finding::new("provider-client", Outcome::Failed)
            .with_fact("client", asked.client_id)
            .with_code(error.code())
            .with_fix(
                "read -rs LATCHKEY_CLIENT_SECRET && export LATCHKEY_CLIENT_SECRET    # as the provider has it\n\
                 export LATCHKEY_CLIENT_ID=…\n",
            ),
    }
}

async fn redirects(asked: &AskedProvider<'_>, client: &Client, transport: &SharedTransport) -> Finding {
    let mut answers = Vec::new();
    for uri in asked.redirect_uris {
        let begun = client
            .authorize(uri.as_str())
            .with_prompt(Prompt::None)
            .begin(&mut SystemRandom, SystemTime::now());
        let answer = match begun {
            Ok(begun) => transport.send(Request::for_url(Method::Get, begun.url)).await.ok(),
            Err(_) => None,
        };
        answers.push((uri.clone(), answer.map_or(Redirect::Unclear, |reply| judge::redirect(uri, &reply))));
    }
    if answers.is_empty() {
        return Finding::skipped("provider-redirect", "no --redirect-uri is given");
    }
    judge::provider_redirects(client.provider().issuer(), asked.client_id, &answers)
}

/// A client with a secret fetches no tokens from a page: who reads the page would have the secret.
async fn cors(asked: &AskedProvider<'_>, provider: &Provider, transport: &SharedTransport) -> Finding {
    if asked.origins.is_empty() || !asked.is_public {
        return Finding::skipped(
            "provider-cors",
            "no page fetches tokens (--allow-origin with --public-client)",
        );
    }
    let mut answers = Vec::new();
    for origin in asked.origins {
        // A code that nobody has: what counts is whether the page may read the refusal.
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", "none")
            .append_pair("redirect_uri", asked.redirect_uris.first().map_or("", String::as_str))
            .append_pair("client_id", asked.client_id)
            .finish();
        let probe = Request::for_url(Method::Post, provider.metadata().token_endpoint().clone())
            .with_header("origin", origin.clone())
            .with_body("application/x-www-form-urlencoded", form);
        match transport.send(probe).await {
            Ok(reply) => {
                let allowed = reply.header("access-control-allow-origin").map(str::to_owned);
                answers.push((origin.clone(), allowed));
            }
            Err(error) => {
                return Finding::skipped("provider-cors", "the provider did not answer")
                    .with_code(error.code());
            }
        }
    }
    judge::provider_cors(provider.issuer(), asked.client_id, &answers)
}
