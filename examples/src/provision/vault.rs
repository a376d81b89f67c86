//! The Vault's side: mounts, policies, auth methods, groups, CORS; what is for services is in `service.rs`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_transport::{Secret, SystemRandom};
use latchkey_vault_client::auth::{
    ClientNonce, JwtConfigSettings, JwtRoleSettings, JwtSetup, RoleTokenSettings,
};
use latchkey_vault_client::identity::GroupSettings;
use latchkey_vault_client::kv2::Cas;
use latchkey_vault_client::sys::{MountKind, MountRequest};
use latchkey_vault_client::{Error, Read, Vault};
use serde_json::json;

use super::blueprint::{Auth, AuthKind, Blueprint, Group, Kv, Policy, Role, mount};
use super::service::services;
use crate::failure::Failure;
use crate::setup::{Done, Setup, absent};

/// Brings a Vault to be what the blueprint says.
///
/// `secret` returns the secret in an environment variable, `ca_pem` is what the Vault shall trust at the provider.
///
/// # Errors
///
/// The first failure ends it; what was done until then stays, and a further run goes on.
pub async fn vault(
    setup: &mut Setup,
    blueprint: &Blueprint,
    ca_pem: Option<&str>,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    for kv in &blueprint.kv {
        store(setup, kv).await?;
    }
    for wanted in &blueprint.policy {
        policy(setup, wanted).await?;
    }
    for auth in &blueprint.auth {
        method(setup, auth, ca_pem, secret).await?;
        for wanted in blueprint.group.iter().filter(|group| mount(&group.auth) == mount(&auth.mount)) {
            group(setup, wanted).await?;
        }
    }
    let elsewhere =
        |group: &&Group| !blueprint.auth.iter().any(|auth| mount(&auth.mount) == mount(&group.auth));
    for wanted in blueprint.group.iter().filter(elsewhere) {
        group(setup, wanted).await?;
    }
    services(setup, blueprint, secret).await?;
    cors(setup, blueprint).await
}

/// A policy: its text, whatever is at its end.
pub(super) async fn policy(setup: &mut Setup, wanted: &Policy) -> Result<(), Failure> {
    let vault = setup.vault().clone();
    let sys = vault.sys();
    let found = sys.policy(&wanted.name).await?.map(|text| json!({ "policy": text }));
    let write = async || sys.write_policy(&wanted.name, &wanted.rules).await;
    let thing = format!("policy {}", wanted.name);
    setup.settle(&thing, found, &json!({ "policy": wanted.rules }), write).await
}

/// A KV v2 mount, and a secret to read. A secret that is there already is somebody's: it stays as it is.
async fn store(setup: &mut Setup, kv: &Kv) -> Result<(), Failure> {
    let (mount, path) = (mount(&kv.mount), kv.sample.as_str());
    setup.mount(MountKind::SecretsEngine, mount, &MountRequest::kv2()).await?;
    if path.is_empty() {
        return Ok(());
    }
    let secret = format!("{mount}{}{path}", if mount.contains('/') { "//" } else { "/" });
    let cas = match setup.vault().kv2(mount).read(path).await {
        Ok(Read::Found(_)) => return setup.report(Done::Unchanged, &format!("secret {secret}")),
        Ok(Read::Deleted(version) | Read::Destroyed(version)) => Cas::Version(version.version),
        // The mount is yet to be made, or is made this very moment.
        Ok(Read::Missing) | Err(Error::NotFound(_) | Error::MountUpgrading(_)) => Cas::Create,
        Err(error) => return Err(error.into()),
    };
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let data = json!({"data": "Hello from Latchkey", "binary": STANDARD.encode(bytes)});
    // By `cas`, nothing is written if somebody else was quicker.
    let vault = setup.vault().clone();
    setup.write(async || vault.kv2(mount).write(path, &data, cas).await.map(drop)).await?;
    setup.report(Done::Created, &format!("secret {secret}"))
}

/// An auth method, whom it trusts, and its roles.
async fn method(
    setup: &mut Setup,
    auth: &Auth,
    ca_pem: Option<&str>,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    let (path, kind) = (mount(&auth.mount), auth.kind.name());
    setup.mount(MountKind::AuthMethod, path, &MountRequest::new(kind)).await?;
    let mut settings = JwtConfigSettings::discovery(&auth.issuer).with_default_role(&auth.default_role);
    if let Some(pem) = ca_pem {
        settings = settings.with_ca_pem(pem);
    }
    let vault = setup.vault().clone();
    let method = vault.jwt(path).setup();
    let settled = if auth.client_id.is_empty() {
        let found = absent(method.config().await)?;
        let write = async || method.write_config(&settings).await;
        setup.settle(&format!("trust of {path}/ in the issuer"), found, &settings, write).await
    } else {
        client(setup, auth, method, settings, secret(&auth.client_secret_env)).await
    };
    settled.map_err(|failure| failure.or_hint(format!("{CALLS_ISSUER} {}", auth.issuer)))?;
    for wanted in &auth.role {
        let found = absent(method.role(&wanted.name).await)?;
        let settings = role(auth.kind, wanted);
        let write = async || method.write_role(&wanted.name, &settings).await;
        setup.settle(&format!("role {} of {path}/", wanted.name), found, &settings, write).await?;
    }
    Ok(())
}

const CALLS_ISSUER: &str = "Vault itself must reach the issuer, and trust its certificate (--issuer-ca):";

/// The client that Vault is at the provider. Vault shows its secret to nobody.
async fn client(
    setup: &mut Setup,
    auth: &Auth,
    method: JwtSetup<'_>,
    settings: JwtConfigSettings,
    secret: Option<Secret>,
) -> Result<(), Failure> {
    let path = mount(&auth.mount);
    let thing = format!("client {} of {path}/", auth.client_id);
    // Servers refuse a client without a secret; a public one has none that would be secret.
    let whole = settings.with_client(&auth.client_id, &secret.clone().unwrap_or_else(|| Secret::new("none")));
    let found = absent(method.config().await)?;
    let write = async || method.write_config(&whole).await;
    if secret.is_none() || !setup.is_settled(found.as_ref(), &whole)? {
        return setup.settle(&thing, found, &whole, write).await;
    }
    // All that can be seen is as wanted. To find out about the rest, something is sent: not in a dry run.
    let vault = setup.vault().clone();
    let is_right = async || provider_knows_client(&vault, auth).await;
    let known = if setup.is_dry_run() { None } else { is_right().await };
    match known {
        Some(true) => return setup.report(Done::Unchanged, &thing),
        None => {
            let told = format!("{thing} (but nobody can tell its oidc_client_secret)");
            return setup.report(Done::Unchanged, &told);
        }
        Some(false) => setup.write(write).await?,
    }
    if is_right().await == Some(true) {
        setup.report(Done::Changed, &format!("{thing} (oidc_client_secret)"))
    } else {
        let told = format!("{thing} (but the provider does not take its oidc_client_secret)");
        setup.report(Done::Unchanged, &told)
    }
}

/// Finds out whether the client's secret that Vault holds is right. Vault shows it to nobody, but it tells what the
/// provider answers when it brings a code that is none: `invalid_grant` is for a client that the provider knows.
async fn provider_knows_client(vault: &Vault, auth: &Auth) -> Option<bool> {
    let (nonce, code) =
        (ClientNonce::generate(&mut SystemRandom).ok()?, Secret::new("provision-asks-for-the-client"));
    let role = auth.role.first()?;
    let oidc = vault.oidc(mount(&auth.mount));
    let sign_in = oidc.auth_url(&role.name, role.redirect_uris.first()?, &nonce).await.ok()?;
    let Err(Error::LoginRefused { refusal, .. }) = oidc.callback(sign_in.state(), &code, &nonce).await else {
        return None;
    };
    let said = refusal.messages.to_string();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // RFC 6749, 5.2. Keycloak says `unauthorized_client` where the standard has `invalid_client`.
    match (says(&["invalid_grant"]), says(&["invalid_client", "unauthorized_client"])) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// Everything that a role says is said: what somebody added to it is drift, too.
fn role(kind: AuthKind, role: &Role) -> JwtRoleSettings {
    let settings = match kind {
        AuthKind::Jwt => JwtRoleSettings::jwt(&role.user_claim),
        AuthKind::Oidc => JwtRoleSettings::oidc(&role.user_claim, &role.redirect_uris),
    };
    let settings =
        role.claims.iter().fold(settings, |settings, (claim, name)| settings.with_claim_mapping(claim, name));
    settings
        .with_bound_audiences(&role.audiences)
        .with_groups_claim(&role.groups_claim)
        .with_scopes(&role.scopes)
        .with_tokens(
            RoleTokenSettings::default()
                .with_policies(&role.policies)
                .with_ttl(Duration::from_secs(role.ttl))
                .with_no_default_policy(role.no_default_policy),
        )
}

/// An external group, and the one alias that it has.
///
/// A second alias would take the first one's place without a word. So each role has a group of its own on each mount,
/// and an alias that is not the wanted one is replaced by a call that says so.
async fn group(setup: &mut Setup, group: &Group) -> Result<(), Failure> {
    let vault = setup.vault().clone();
    let identity = vault.identity();
    let settings = GroupSettings::external().with_policies(&group.policies);
    let found = identity.group(&group.name).await?;
    let alias = found.as_ref().and_then(|found| found.alias.clone());
    let write = async || identity.write_group(&group.name, &settings).await;
    setup.settle(&format!("group {}", group.name), found, &settings, write).await?;
    let mounts = vault.sys().mounts(MountKind::AuthMethod).await?;
    let accessor = mounts.get(&format!("{}/", mount(&group.auth))).map(|mount| mount.accessor.clone());
    let done = match (alias, &accessor) {
        (Some(alias), Some(accessor)) if alias.name == group.alias && alias.mount_accessor == *accessor => {
            Done::Unchanged
        }
        (Some(_), _) => Done::Changed,
        (None, _) => Done::Created,
    };
    if done != Done::Unchanged {
        let accessor = accessor.unwrap_or_default();
        let write = async || identity.replace_group_alias(&group.name, &accessor, &group.alias).await;
        let otherwise = format!(
            "either nothing is mounted at {}, or another group has the alias {} there: remove one of the two",
            group.auth, group.alias
        );
        setup.write(write).await.map_err(|failure| failure.or_hint(otherwise))?;
    }
    setup.report(done, &format!("alias {} of group {}", group.alias, group.name))
}

/// Lets pages call. Those that may already are somebody's: they stay.
async fn cors(setup: &mut Setup, blueprint: &Blueprint) -> Result<(), Failure> {
    let Some(cors) = &blueprint.cors else { return Ok(()) };
    let vault = setup.vault().clone();
    let found = vault.sys().cors().await?;
    let missing: Vec<&String> =
        cors.origins.iter().filter(|origin| !found.allowed_origins.contains(origin)).collect();
    // `*` is every page already.
    let done =
        match (missing.is_empty() || found.allowed_origins.iter().any(|origin| origin == "*"), found.enabled)
        {
            (true, true) => Done::Unchanged,
            (_, true) => Done::Changed,
            (_, false) => Done::Created,
        };
    if done != Done::Unchanged {
        let all: Vec<&str> =
            found.allowed_origins.iter().chain(missing.iter().copied()).map(String::as_str).collect();
        setup.write(async || vault.sys().write_cors(&all).await).await?;
    }
    setup.report(done, &format!("web pages of {}", cors.origins.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_says_everything_so_that_additions_are_seen() {
        let wanted = Role {
            name: "r".into(),
            user_claim: "sub".into(),
            audiences: vec!["a".into()],
            redirect_uris: Vec::new(),
            scopes: Vec::new(),
            groups_claim: String::new(),
            policies: Vec::new(),
            ttl: 0,
            no_default_policy: false,
            claims: std::collections::BTreeMap::new(),
        };
        let written = serde_json::to_value(role(AuthKind::Jwt, &wanted)).unwrap();
        for name in ["token_policies", "token_ttl", "bound_audiences", "groups_claim", "oidc_scopes"] {
            assert!(written.get(name).is_some(), "{name}");
        }
    }
}
