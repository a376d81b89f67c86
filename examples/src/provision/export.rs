//! What is there, as a blueprint: without secrets, and without what cannot be said in one.

use latchkey_vault_client::Vault;
use latchkey_vault_client::auth::JwtRole;
use latchkey_vault_client::sys::MountKind;

use super::blueprint::{Auth, AuthKind, Blueprint, Cors, Group, Kv, Policy, Role};
use super::service::{Kubernetes, KubernetesRole, TokenRole};
use crate::failure::Failure;

/// Reads a Vault's KV v2 mounts, policies, JWT and OIDC methods that trust an issuer, external groups, Kubernetes methods,
/// token roles that name policies, and CORS.
///
/// The policies `default` and `root` are left out, which a blueprint never writes. To apply what comes out changes
/// nothing.
pub async fn export(vault: &Vault) -> Result<Blueprint, Failure> {
    let mut blueprint = Blueprint::default();
    let sys = vault.sys();
    for (path, mount) in sys.mounts(MountKind::SecretsEngine).await? {
        if mount.mount_type == "kv" && mount.options.get("version").is_some_and(|version| version == "2") {
            blueprint.kv.push(Kv { mount: bare(&path), sample: String::new() });
        }
    }
    for name in sys.policies().await? {
        if matches!(name.as_str(), "default" | "root") {
            continue;
        }
        if let Some(rules) = sys.policy(&name).await? {
            blueprint.policy.push(Policy { name, rules });
        }
    }
    let methods = sys.mounts(MountKind::AuthMethod).await?;
    for (path, mount) in &methods {
        let kind = match mount.mount_type.as_str() {
            "jwt" => AuthKind::Jwt,
            "oidc" => AuthKind::Oidc,
            _ => continue,
        };
        if let Some(auth) = method(vault, &bare(path), kind).await? {
            blueprint.auth.push(auth);
        }
    }
    for name in vault.identity().groups().await? {
        let Some(group) = vault.identity().group(&name).await? else { continue };
        if let Some(alias) = group.alias {
            let auth = methods.iter().find(|(_, mount)| mount.accessor == alias.mount_accessor);
            if let Some((path, _)) = auth {
                blueprint.group.push(Group {
                    name,
                    policies: group.policies,
                    auth: bare(path),
                    alias: alias.name,
                });
            }
        }
    }
    for (path, _) in methods.iter().filter(|(_, mount)| mount.mount_type == "kubernetes") {
        blueprint.kubernetes.extend(kubernetes(vault, &bare(path)).await?);
    }
    for name in vault.token().roles().await? {
        let found = vault.token().role(&name).await?.map(|role| TokenRole::of(name, role));
        // One without policies gives those of whoever makes a token: no blueprint says that.
        blueprint
            .token_role
            .extend(found.filter(|role| !role.policies.is_empty() || !role.policies_glob.is_empty()));
    }
    let cors = sys.cors().await?;
    if cors.enabled {
        blueprint.cors = Some(Cors { origins: cors.allowed_origins });
    }
    Ok(blueprint)
}

async fn kubernetes(vault: &Vault, path: &str) -> Result<Option<Kubernetes>, Failure> {
    let setup = vault.kubernetes(path).setup();
    let Some(config) = setup.config().await? else { return Ok(None) };
    let mut roles = Vec::new();
    for name in setup.roles().await? {
        let Some(found) = setup.role(&name).await? else { continue };
        roles.push(KubernetesRole {
            name,
            service_accounts: found.bound_service_account_names,
            namespaces: found.bound_service_account_namespaces,
            audience: found.audience,
            policies: found.tokens.policies,
            ttl: found.tokens.ttl.map_or(0, |ttl| ttl.as_secs()),
            no_default_policy: found.tokens.no_default_policy,
        });
    }
    Ok(Some(Kubernetes {
        mount: path.to_owned(),
        host: config.kubernetes_host,
        ca_pem: config.kubernetes_ca_cert,
        outside: config.disable_local_ca_jwt,
        reviewer_env: if config.token_reviewer_jwt_set {
            "KUBERNETES_REVIEWER_TOKEN".into()
        } else {
            String::new()
        },
        role: roles,
    }))
}

async fn method(vault: &Vault, path: &str, kind: AuthKind) -> Result<Option<Auth>, Failure> {
    let setup = vault.jwt(path).setup();
    let Some(config) = setup.config().await?.filter(|config| !config.oidc_discovery_url.is_empty()) else {
        return Ok(None);
    };
    let mut roles = Vec::new();
    for name in setup.roles().await? {
        let Some(found) = setup.role(&name).await? else { continue };
        // A method may have roles of the other kind; a blueprint has one kind each.
        if found.role_type == kind.name() {
            roles.push(role(name, found));
        }
    }
    Ok(Some(Auth {
        mount: path.to_owned(),
        kind,
        issuer: config.oidc_discovery_url,
        client_id: config.oidc_client_id,
        client_secret_env: "LATCHKEY_CLIENT_SECRET".to_owned(),
        default_role: config.default_role,
        role: roles,
    }))
}

fn role(name: String, role: JwtRole) -> Role {
    Role {
        name,
        user_claim: role.user_claim,
        audiences: role.bound_audiences,
        redirect_uris: role.allowed_redirect_uris,
        scopes: role.oidc_scopes,
        groups_claim: role.groups_claim,
        policies: role.tokens.policies,
        ttl: role.tokens.ttl.map_or(0, |ttl| ttl.as_secs()),
        no_default_policy: role.tokens.no_default_policy,
        claims: role.claim_mappings,
    }
}

fn bare(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}
