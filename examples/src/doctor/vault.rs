//! Asks the Vault: what anybody may see, and what a token may see that can read its configuration.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use latchkey_transport::{Exchange, Method, Replay, Reply, Request, SystemRandom};
use latchkey_vault_client::auth::ClientNonce;
use latchkey_vault_client::sys::{Cors, MountKind};
use latchkey_vault_client::{Error, Vault};
use url::Url;

use super::finding::{Finding, Outcome};
use super::fix;
use super::judge::{self, Method as Auth};
use crate::failure::Failure;

/// What the Vault is asked about.
#[derive(Debug)]
pub struct AskedVault<'a> {
    /// Its address.
    pub address: &'a Url,
    /// The handle, without a token.
    pub vault: Vault,
    /// The same with a token that may look around; without, half of the checks are left out.
    pub operator: Option<Vault>,
    /// The issuer as the provider spells it; without, nobody can be compared with it.
    pub issuer: Option<&'a str>,
    /// The client.
    pub client_id: &'a str,
    /// The JWT method; empty where there is none.
    pub jwt_mount: &'a str,
    /// The OIDC method; empty where there is none.
    pub oidc_mount: &'a str,
    /// The role in both.
    pub role: &'a str,
    /// Where sign-ins may come back to.
    pub redirect_uris: &'a [String],
    /// The origins of the pages that call the Vault.
    pub origins: &'a [String],
}

const AFTER_HEALTH: [&str; 8] = [
    "clock",
    "vault-cors",
    "vault-token",
    "default-policy",
    "vault-trust",
    "vault-audience",
    "vault-redirect",
    "token-ttl",
];

/// Makes the checks of a Vault.
pub async fn vault(asked: &AskedVault<'_>) -> Vec<Finding> {
    let skip = |checks: &[&'static str], why| -> Vec<Finding> {
        checks.iter().map(|check| Finding::skipped(check, why)).collect()
    };
    let now = SystemTime::now();
    let health = match asked.vault.health().await {
        Ok(health) => health,
        Err(error) => {
            let code = error.code();
            let failure = Failure::from(error);
            let down = Finding::new("vault-reachable", Outcome::Down)
                .with_code(code)
                .with_fact("address", asked.address)
                .with_fact("found", failure.message())
                .with_fix(CONNECT);
            let mut findings = vec![down];
            findings.extend(skip(&["vault-health"], "the Vault does not answer"));
            findings.extend(skip(&AFTER_HEALTH, "the Vault does not answer"));
            return findings;
        }
    };
    let mut findings = vec![
        Finding::new("vault-reachable", Outcome::Ok).with_fact("version", &health.version),
        judge::health(&health),
    ];
    if findings.iter().any(|finding| finding.outcome() == Outcome::Down) {
        findings.extend(skip(&AFTER_HEALTH, "the Vault serves nobody"));
        return findings;
    }
    let theirs = UNIX_EPOCH + Duration::from_secs(health.server_time_utc);
    findings.push(judge::clock("clock", "the Vault", now, theirs));

    let operator = match &asked.operator {
        None => Err("no VAULT_TOKEN is given"),
        Some(operator) => match operator.token().lookup_self().await {
            Ok(_) => Ok(operator),
            Err(error) => {
                findings.push(
                    Finding::new("vault-token", Outcome::Failed).with_code(error.code()).with_fix(
                        "bao login    # and export VAULT_TOKEN, or unset it: most checks need none\n",
                    ),
                );
                Err("the Vault does not take VAULT_TOKEN")
            }
        },
    };
    findings.push(cors(asked, operator.ok()).await);
    let operator = match operator {
        Ok(operator) => operator,
        Err(why) => {
            if asked.operator.is_none() {
                findings.extend(skip(&["vault-token"], why));
            }
            findings.extend(skip(&["default-policy", "vault-trust", "vault-audience"], why));
            findings.push(redirects(asked, None).await);
            findings.extend(skip(&["token-ttl"], why));
            return findings;
        }
    };
    findings.push(Finding::new("vault-token", Outcome::Ok));
    findings.push(match operator.sys().policy("default").await {
        Ok(rules) => judge::default_policy(rules.as_deref().unwrap_or_default()),
        Err(error) => unread("default-policy", error, "sys/policies/acl/default"),
    });
    findings.extend(methods(asked, operator).await);
    findings
}

const CONNECT: &str = "\
export VAULT_ADDR=https://…:8200    # is that its address?
export VAULT_CACERT=ca.pem           # where its certificate is of an authority of your own
curl -v \"$VAULT_ADDR/v1/sys/health\"
";

/// What could not be read: a check that was not made, and what would let it be.
fn unread(check: &'static str, error: Error, path: &str) -> Finding {
    let code = error.code();
    let finding = Finding::skipped(check, Failure::from(error).message()).with_code(code);
    finding
        .with_fix(format!("path \"{path}\" {{ capabilities = [\"read\"] }}    # in a policy of the token\n"))
}

/// The node's health, as a page of some origin asks for it: what is told to pages comes with it.
#[derive(Clone, Debug)]
struct AskedByPage(String);

impl Exchange for AskedByPage {
    type Output = Option<String>;
    type Error = Error;

    fn request(&self) -> Request {
        Request::new(Method::Get, "/v1/sys/health").with_header("origin", self.0.clone())
    }

    /// Whatever the status is: a refusal is an answer, too.
    fn receive(self, reply: Reply) -> Result<Option<String>, Error> {
        Ok(reply.header("access-control-allow-origin").map(str::to_owned))
    }

    fn replay(&self) -> Replay {
        Replay::Safe
    }
}

async fn cors(asked: &AskedVault<'_>, operator: Option<&Vault>) -> Finding {
    if asked.origins.is_empty() {
        return Finding::skipped("vault-cors", "no --allow-origin is given");
    }
    let mut answers = Vec::new();
    for origin in asked.origins {
        match asked.vault.perform(AskedByPage(origin.clone())).await {
            Ok(allowed) => answers.push((origin.clone(), allowed)),
            Err(error) => {
                return Finding::skipped("vault-cors", "the Vault did not answer").with_code(error.code());
            }
        }
    }
    let current: Option<Cors> = match operator {
        Some(operator) => operator.sys().cors().await.ok(),
        None => None,
    };
    judge::vault_cors(asked.address, current.as_ref(), &answers)
}

/// The checks of both auth methods and their roles.
async fn methods(asked: &AskedVault<'_>, operator: &Vault) -> Vec<Finding> {
    let mut methods = Vec::new();
    for (check, mount) in [("vault-audience", asked.jwt_mount), ("vault-redirect", asked.oidc_mount)] {
        if mount.is_empty() {
            continue;
        }
        match method(operator, mount, asked.role).await {
            Ok(method) => methods.push((check, method)),
            Err((error, path)) => {
                // The one check that all others stand on.
                let mut findings = vec![match error {
                    Error::NotFound(_) => Finding::new("vault-trust", Outcome::Failed)
                        .with_fact("found", format!("nothing is mounted at auth/{mount}"))
                        .with_fix("provision apply\n"),
                    error => unread("vault-trust", error, &path),
                }];
                findings.extend(
                    ["vault-audience", "vault-redirect", "token-ttl"]
                        .map(|check| Finding::skipped(check, "an auth method cannot be looked at")),
                );
                return findings;
            }
        }
    }
    let role_of = |wanted| methods.iter().find(|(check, _)| *check == wanted).map(|(_, method)| method);
    let audience = match role_of("vault-audience") {
        Some(method) => judge::audience(method, asked.client_id),
        None => Finding::skipped("vault-audience", "no --jwt-mount is given"),
    };
    let redirect = redirects(asked, role_of("vault-redirect")).await;
    let methods: Vec<Auth<'_>> = methods.into_iter().map(|(_, method)| method).collect();
    let trust = match asked.issuer {
        Some(issuer) if !methods.is_empty() => judge::trust(&methods, issuer),
        Some(_) => Finding::skipped("vault-trust", "neither --jwt-mount nor --oidc-mount is given"),
        None => Finding::skipped("vault-trust", "the provider was not understood"),
    };
    let lifetimes = if methods.iter().any(|method| method.role.is_some()) {
        judge::lifetimes(&methods)
    } else {
        Finding::skipped("token-ttl", "there is no role")
    };
    vec![trust, audience, redirect, lifetimes]
}

async fn method<'a>(operator: &Vault, mount: &'a str, role: &'a str) -> Result<Auth<'a>, (Error, String)> {
    let setup = operator.jwt(mount).setup();
    let config = setup.config().await.map_err(|error| (error, format!("auth/{mount}/config")))?;
    let found = setup.role(role).await.map_err(|error| (error, format!("auth/{mount}/role/{role}")))?;
    // Whoever may not see it judges by the role alone.
    let tuning = operator.sys().tuning(MountKind::AuthMethod, mount).await.ok().flatten();
    Ok(Auth {
        mount,
        role_name: role,
        config,
        role: found,
        mount_ttl: tuning.map(|tuning| tuning.default_lease_ttl),
    })
}

/// Asks for an address to sign in at: the server gives none for an address that the role does not allow.
async fn redirects(asked: &AskedVault<'_>, method: Option<&Auth<'_>>) -> Finding {
    if asked.oidc_mount.is_empty() || asked.redirect_uris.is_empty() {
        return Finding::skipped("vault-redirect", "neither --oidc-mount nor --redirect-uri is given");
    }
    let finding = |outcome| {
        Finding::new("vault-redirect", outcome)
            .with_fact("mount", asked.oidc_mount)
            .with_fact("role", asked.role)
    };
    let mut missing = Vec::new();
    for uri in asked.redirect_uris {
        let Ok(nonce) = ClientNonce::generate(&mut SystemRandom) else {
            return Finding::skipped("vault-redirect", "the system has no random numbers");
        };
        match asked.vault.oidc(asked.oidc_mount).auth_url(asked.role, uri, &nonce).await {
            Ok(_) => {}
            Err(Error::NoAuthUrl { .. }) => missing.push(uri.as_str()),
            Err(error @ (Error::Transport(_) | Error::RateLimited { .. })) => {
                return Finding::skipped("vault-redirect", "the Vault did not answer")
                    .with_code(error.code());
            }
            Err(error) => {
                let code = error.code();
                let failure = Failure::from(error);
                let hint = failure.hint().unwrap_or("see the Vault's log").to_owned();
                return finding(Outcome::Failed)
                    .with_code(code)
                    .with_fact("found", failure.message())
                    .with_fix(format!("# {hint}\n"));
            }
        }
    }
    if missing.is_empty() {
        return finding(Outcome::Ok).with_fact("allowed", asked.redirect_uris.join(", "));
    }
    // Servers do not say why they gave none. A role that was read says whether it is the address.
    let role = method.and_then(|method| method.role.as_ref());
    if let Some(role) = role
        && missing.iter().all(|uri| role.allowed_redirect_uris.iter().any(|allowed| allowed == uri))
    {
        return finding(Outcome::Failed)
            .with_fact("found", "the role allows the addresses, and the Vault gives none to sign in at")
            .with_fix("# see the Vault's log: it may not reach the provider\n");
    }
    finding(Outcome::Failed).with_fact("refused", missing.join(", ")).with_fix(fix::redirects(
        asked.oidc_mount,
        asked.role,
        role,
        &missing,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_a_header_whatever_the_status() {
        let asked = AskedByPage("https://hub.example".into());
        assert_eq!(asked.request().header("origin"), Some("https://hub.example"));
        let allowed = Reply::new(200, "{}").with_header("Access-Control-Allow-Origin", "https://hub.example");
        assert_eq!(asked.clone().receive(allowed).unwrap().as_deref(), Some("https://hub.example"));
        assert_eq!(asked.receive(Reply::new(403, "{}")).unwrap(), None);
    }
}
