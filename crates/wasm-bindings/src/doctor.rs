//! What is wrong with a set-up, and what to write to mend it.

use std::time::UNIX_EPOCH;

use js_sys::{Array, Promise};
use latchkey_jupyterhub_auth::{Error as HubError, Holder, HubApi};
use latchkey_oidc_flow::Provider;
use latchkey_transport::{
    Error as TransportError, Method, Perform as _, Request, Secret, SharedTransport, SystemRandom,
};
use latchkey_vault_client::auth::ClientNonce;
use latchkey_vault_client::{Error as VaultError, Vault};
use wasm_bindgen::prelude::*;

use crate::clock::now;
use crate::failure::Failure;
use crate::finding::{Finding, Outcome, clock, cors_fix, redirect_fix};
use crate::object::{object, optional, texts};
use crate::options::Options;
use crate::promise::promise;
use crate::session::{Target, hub_id_token, transport, vault};
use crate::verifier::WebCrypto;

/// `diagnose` of `types.d.ts`.
#[wasm_bindgen(skip_typescript)]
pub fn diagnose(setup: JsValue) -> Promise {
    promise(async move {
        let setup = Options(&setup);
        let transport = transport(&setup)?;
        let vault = vault(&setup, &transport)?;
        let mut findings = Vec::new();
        look_at_vault(&setup, &vault, &mut findings).await?;
        look_at_provider(&setup, &transport, &mut findings).await?;
        look_at_hub(&setup, &transport, &mut findings).await?;
        Ok(findings.iter().map(describe).collect::<Array>().into())
    })
}

async fn look_at_vault(
    setup: &Options<'_>,
    vault: &Vault,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let (address, origin) = (setup.text("vault")?, setup.text("origin")?);
    let asked_at = now();
    let health = match vault.health().await {
        Ok(health) => health,
        Err(error) => {
            let fix = cors_fix(&address, &origin);
            findings
                .push(Finding::new("vault-reachable", Outcome::Failed).with_code(error.code()).with_fix(fix));
            findings.extend(
                ["vault-health", "clock", "vault-redirect"]
                    .map(|check| Finding::new(check, Outcome::Skipped)),
            );
            return Ok(());
        }
    };
    findings.push(Finding::new("vault-reachable", Outcome::Ok).with_fact("version", &health.version));
    let is_well = health.initialized && !health.sealed;
    let mut finding = Finding::new("vault-health", if is_well { Outcome::Ok } else { Outcome::Failed })
        .with_fact("initialized", &health.initialized)
        .with_fact("sealed", &health.sealed)
        .with_fact("standby", &health.standby);
    if !is_well {
        finding = finding.with_fix(if health.initialized {
            "bao operator unseal\n"
        } else {
            "bao operator init\n"
        });
    }
    findings.push(finding);
    let ours = asked_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    findings.push(clock(ours, health.server_time_utc));

    let Some(login) = setup.value("vaultLogin") else {
        findings.push(Finding::new("vault-redirect", Outcome::Skipped));
        return Ok(());
    };
    let login = Options(&login);
    let (target, redirect_uri) = (Target::read(&login)?, login.text("redirectUri")?);
    let nonce = ClientNonce::generate(&mut SystemRandom)?;
    let asked = vault.oidc(&target.mount).auth_url(&target.role, &redirect_uri, &nonce).await;
    findings.push(match asked {
        Ok(_) => Finding::new("vault-redirect", Outcome::Ok),
        Err(error) => {
            let mut finding = Finding::new("vault-redirect", Outcome::Failed)
                .with_code(error.code())
                .with_fact("mount", &target.mount)
                .with_fact("role", &target.role)
                .with_fact("redirectUri", &redirect_uri);
            if matches!(error, VaultError::NoAuthUrl { .. }) {
                finding = finding.with_fix(redirect_fix(&target.mount, &target.role, &redirect_uri));
            }
            finding
        }
    });
    Ok(())
}

async fn look_at_provider(
    setup: &Options<'_>,
    transport: &SharedTransport,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let skipped = |check| Finding::new(check, Outcome::Skipped);
    let Some(provider) = setup.value("provider") else {
        findings.extend(["provider-reachable", "provider-cors"].map(skipped));
        return Ok(());
    };
    let options = Options(&provider);
    let (issuer, origin) = (options.text("issuer")?, setup.text("origin")?);
    let verifier = std::sync::Arc::new(WebCrypto);
    let provider = match Provider::discover_with(&issuer, transport.clone(), verifier).await {
        Ok(provider) => provider,
        Err(error) => {
            findings.push(Finding::new("provider-reachable", Outcome::Failed).with_code(error.code()));
            findings.push(skipped("provider-cors"));
            return Ok(());
        }
    };
    findings.push(Finding::new("provider-reachable", Outcome::Ok));
    // A code that nobody has: what counts is whether the page may read the refusal.
    let endpoint = provider.metadata().token_endpoint().clone();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", "none")
        .append_pair("redirect_uri", &options.text("redirectUri")?)
        .append_pair("client_id", &options.text("clientId")?)
        .finish();
    let probe = Request::for_url(Method::Post, endpoint).with_body("application/x-www-form-urlencoded", body);
    let answer = transport.send(probe).await;
    findings.push(match answer {
        // Keycloak says in words that the origin is not among the client's.
        Ok(reply) if reply.status() == 403 => cors_of_provider("oidc_refused", &origin),
        Ok(reply) => Finding::new("provider-cors", Outcome::Ok).with_fact("status", &reply.status()),
        Err(error @ TransportError::Lost { .. }) => cors_of_provider(error.code(), &origin),
        Err(error) => Finding::new("provider-cors", Outcome::Failed).with_code(error.code()),
    });
    Ok(())
}

fn cors_of_provider(code: &'static str, origin: &str) -> Finding {
    Finding::new("provider-cors", Outcome::Failed)
        .with_code(code)
        .with_fact("origin", &origin)
        .with_fix(format!("kcadm.sh update clients/<id> -r <realm> -s 'webOrigins+={origin}'\n"))
}

async fn look_at_hub(
    setup: &Options<'_>,
    transport: &SharedTransport,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let Some(hub) = setup.value("hub") else {
        findings.extend(["hub-scopes", "hub-id-token"].map(|check| Finding::new(check, Outcome::Skipped)));
        return Ok(());
    };
    let hub = Options(&hub);
    let api = HubApi::new(hub.url("apiUrl")?, Secret::new(hub.text("token")?));
    // For the sentence alone: without it the checks say the same.
    let version = transport.perform(api.info()).await.map(|info| info.version).unwrap_or_default();
    let scopes = |outcome| Finding::new("hub-scopes", outcome).with_fact("version", &version);
    match hub_id_token(&hub, transport).await {
        Ok(token) => {
            findings.push(scopes(Outcome::Ok));
            let left = token.unverified_expiry().and_then(|end| end.duration_since(now()).ok());
            let mut finding = Finding::new("hub-id-token", Outcome::Ok);
            if let Some(left) = left {
                finding = finding.with_fact("seconds", &left.as_secs());
            }
            findings.push(finding);
        }
        Err(Failure::Hub(error @ HubError::IdTokenExpired { ago })) => {
            findings.push(scopes(Outcome::Ok));
            findings.push(
                Finding::new("hub-id-token", Outcome::Failed)
                    .with_code(error.code())
                    .with_fact("secondsAgo", &ago.as_secs())
                    .with_fix(REFRESH),
            );
        }
        Err(failure) => {
            let mut finding = scopes(Outcome::Failed).with_code(failure.code());
            match &failure {
                Failure::Hub(HubError::ScopeMissing { missing, .. }) => {
                    finding = finding
                        .with_fact("missing", &missing.join(", "))
                        .with_fix(Holder::Tab.configuration());
                }
                Failure::Hub(HubError::AuthStateOff) => {
                    finding = finding.with_fix("c.Authenticator.enable_auth_state = True\n");
                }
                _ => {}
            }
            findings.push(finding);
            findings.push(Finding::new("hub-id-token", Outcome::Skipped));
        }
    }
    Ok(())
}

fn describe(finding: &Finding) -> JsValue {
    object([
        ("check", finding.check.into()),
        ("outcome", finding.outcome.word().into()),
        ("code", optional(finding.code)),
        ("facts", texts(finding.facts.iter().map(|(name, value)| (*name, value.as_str())))),
        ("fix", optional(finding.fix.as_deref())),
    ])
}

/// The version of the package.
#[wasm_bindgen(skip_typescript)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// What makes a hub refresh a sign-in by the ID token's end: by itself it looks at the access token alone.
const REFRESH: &str = "\
# with examples/hub/hub_spawn.py of Latchkey beside jupyterhub_config.py
from hub_spawn import configure
configure(c, [\"hub-spawn\", \"--config\", \"/etc/jupyterhub/hub-spawn.toml\"])
c.Authenticator.auth_refresh_age = 60
";
