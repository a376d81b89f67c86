//! For services: Kubernetes auth methods, token roles, and a hub that gives each of its users a token.

use std::time::Duration;

use latchkey_transport::Secret;
use latchkey_vault_client::auth::{KubernetesConfigSettings, KubernetesRoleSettings, RoleTokenSettings};
use latchkey_vault_client::secret_store::{Layout, UserTokens};
use latchkey_vault_client::sys::{MountKind, MountRequest};
use latchkey_vault_client::token::{Role, RoleSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::blueprint::{Blueprint, Client, Policy, is_false, is_zero, mount, policy_name};
use crate::failure::{Exit, Failure};
use crate::setup::{Setup, absent};

/// A Kubernetes auth method: services log in with the tokens of their accounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Its mount.
    pub mount: String,
    /// The address of the API server.
    pub host: String,
    /// The certificates that are trusted there, as PEM; empty for those of the cluster that Vault runs in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
    /// Whether Vault runs outside of that cluster, and so has no account of its own in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outside: bool,
    /// The environment variable that holds the token of an account that may review others; without, the token that logs in
    /// is shown to the API server by itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reviewer_env: String,
    /// Its roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<KubernetesRole>,
}

/// A role of a Kubernetes auth method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesRole {
    /// Its name.
    pub name: String,
    /// The service accounts that may log in by it.
    pub service_accounts: Vec<String>,
    /// The namespaces that they are in.
    pub namespaces: Vec<String>,
    /// The audience that a token must be for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// The policies that they get, besides `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// How long a token lives at first, in seconds; 0 for the mount's time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ttl: u64,
    /// Whether the tokens go without the policy `default`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_default_policy: bool,
}

/// A token role: what tokens may be made by whoever may use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRole {
    /// Its name.
    pub name: String,
    /// The policies that its tokens may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The same with `*` in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies_glob: Vec<String>,
    /// The aliases at the token mount that its tokens may stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entity_aliases: Vec<String>,
    /// Whether its tokens have no parent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub orphan: bool,
    /// Whether its tokens cannot be renewed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_renewable: bool,
    /// What its tokens are renewed by, in seconds; 0 where they are not periodic.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub period: u64,
    /// The longest life of its tokens, in seconds; 0 where only the mount's limit counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub longest: u64,
    /// Whether its tokens go without the policy `default`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_default_policy: bool,
}

/// A JupyterHub that gives each of its users a token for their own store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// Its public address, up to and without `/hub`.
    pub url: String,
    /// The client that it is at the provider, which is made where there is a `[keycloak]`.
    #[serde(default = "hub_client")]
    pub client_id: String,
    /// The environment variable that holds the client's secret.
    #[serde(default = "hub_secret_env")]
    pub secret_env: String,
    /// The policy of the hub's own token: it may make tokens of users and keep itself alive, and nothing else.
    #[serde(default = "hub_policy")]
    pub policy: String,
    /// The token role of its users, and their one policy, which names each of them by a template.
    #[serde(default = "hub_role")]
    pub role: String,
    /// The KV v2 mount of their stores.
    #[serde(default = "hub_mount")]
    pub mount: String,
    /// The folder in it with one folder for each of them.
    #[serde(default = "hub_folder")]
    pub folder: String,
    /// The longest life of their tokens, in seconds.
    #[serde(default = "hub_longest")]
    pub longest: u64,
}

fn hub_client() -> String {
    "jupyterhub".into()
}

fn hub_secret_env() -> String {
    "JUPYTERHUB_CLIENT_SECRET".into()
}

fn hub_policy() -> String {
    "jupyterhub".into()
}

fn hub_role() -> String {
    "jupyter-users".into()
}

fn hub_mount() -> String {
    "secret".into()
}

fn hub_folder() -> String {
    "jupyter/users".into()
}

/// A week.
fn hub_longest() -> u64 {
    7 * 24 * 3600
}

impl Hub {
    /// The client at the provider, with the one address that the hub's authenticator comes back to.
    pub(super) fn client(&self) -> Client {
        Client {
            id: self.client_id.clone(),
            public: false,
            secret_env: self.secret_env.clone(),
            redirect_uris: vec![format!("{}/hub/oauth_callback", self.url.trim_end_matches('/'))],
            web_origins: Vec::new(),
            role: Vec::new(),
            mapper: Vec::new(),
        }
    }

    fn token_role(&self) -> TokenRole {
        TokenRole {
            name: self.role.clone(),
            policies: vec![self.role.clone()],
            policies_glob: Vec::new(),
            entity_aliases: vec!["*".into()],
            orphan: true,
            not_renewable: false,
            period: 0,
            longest: self.longest,
            no_default_policy: true,
        }
    }

    fn layout(&self) -> Result<Layout, Failure> {
        Ok(Layout::new(&self.mount, &self.folder)?)
    }
}

/// Refuses what would let in everybody, or give away everything.
pub(super) fn check(blueprint: &Blueprint) -> Result<(), Failure> {
    let usage = |text: String| Err(Failure::new(Exit::Usage, text));
    for method in &blueprint.kubernetes {
        for role in &method.role {
            let name = format!("role {} of {}", role.name, method.mount);
            for (what, list) in
                [("service_accounts", &role.service_accounts), ("namespaces", &role.namespaces)]
            {
                if list.is_empty() {
                    return usage(format!("{name} needs {what}"));
                }
            }
            let is_any = |list: &[String]| list.iter().any(|name| name == "*");
            if is_any(&role.service_accounts) && is_any(&role.namespaces) {
                return usage(format!("{name} lets every service account in"));
            }
            if role.policies.iter().any(|policy| policy.eq_ignore_ascii_case("root")) {
                return usage(format!("{name} gives the policy root"));
            }
        }
    }
    for role in &blueprint.token_role {
        let name = format!("token role {}", role.name);
        if role.policies.is_empty() && role.policies_glob.is_empty() {
            return usage(format!(
                "{name} needs policies: without, its tokens have those of whoever makes them"
            ));
        }
        if role.policies.iter().any(|policy| policy.eq_ignore_ascii_case("root"))
            || role.policies_glob.iter().any(|glob| glob.trim_matches('*').is_empty())
        {
            return usage(format!("{name} gives every policy"));
        }
    }
    if let Some(hub) = &blueprint.hub {
        for name in [&hub.policy, &hub.role] {
            policy_name(name).or_else(usage)?;
        }
        if !hub.url.starts_with("https://") && !hub.url.starts_with("http://") {
            return usage(format!("the hub's url {} is no address", hub.url));
        }
        hub.layout()?;
        UserTokens::issuer_policy(&hub.role)?;
    }
    Ok(())
}

/// Brings Kubernetes methods, token roles and what a hub needs to be what the blueprint says.
pub(super) async fn services(
    setup: &mut Setup,
    blueprint: &Blueprint,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    for method in &blueprint.kubernetes {
        kubernetes(setup, method, secret).await?;
    }
    if let Some(wanted) = &blueprint.hub {
        hub(setup, wanted).await?;
    }
    for role in &blueprint.token_role {
        token_role(setup, role).await?;
    }
    Ok(())
}

async fn kubernetes(
    setup: &mut Setup,
    wanted: &Kubernetes,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    let path = mount(&wanted.mount);
    setup.mount(MountKind::AuthMethod, path, &MountRequest::new("kubernetes")).await?;
    let vault = setup.vault().clone();
    let method = vault.kubernetes(path).setup();
    let mut settings = KubernetesConfigSettings::new(&wanted.host).with_local_ca_jwt_disabled(wanted.outside);
    // A server inside of the cluster shows its own certificates where none are set.
    if !wanted.ca_pem.is_empty() {
        settings = settings.with_ca_cert(&wanted.ca_pem);
    }
    let reviewer = secret(&wanted.reviewer_env).filter(|_| !wanted.reviewer_env.is_empty());
    if let Some(token) = &reviewer {
        settings = settings.with_token_reviewer_jwt(token);
    }
    // Whether the reviewer's token is the right one nobody can tell; whether there is one, everybody can.
    let mut compared = serde_json::to_value(&settings).map_err(|error| Failure::of(Exit::Refused, &error))?;
    compared["token_reviewer_jwt_set"] = json!(!wanted.reviewer_env.is_empty());
    let found = absent(method.config().await)?;
    if reviewer.is_none()
        && !wanted.reviewer_env.is_empty()
        && !setup.is_settled(found.as_ref(), &compared)?
    {
        // The configuration is written as a whole: the token that is there would be lost.
        return Err(Failure::new(Exit::Usage, format!("{} is not set", wanted.reviewer_env))
            .with_hint(format!("it holds the token of an account that may review others, for {path}/")));
    }
    let write = async || method.write_config(&settings).await;
    setup.settle(&format!("cluster of {path}/"), found, &compared, write).await?;
    for role in &wanted.role {
        let found = absent(method.role(&role.name).await)?;
        let settings = KubernetesRoleSettings::new(&role.service_accounts, &role.namespaces)
            .with_namespace_selector("")
            .with_audience(&role.audience)
            .with_tokens(
                RoleTokenSettings::default()
                    .with_policies(&role.policies)
                    .with_ttl(Duration::from_secs(role.ttl))
                    .with_no_default_policy(role.no_default_policy),
            );
        let write = async || method.write_role(&role.name, &settings).await;
        setup.settle(&format!("role {} of {path}/", role.name), found, &settings, write).await?;
    }
    Ok(())
}

/// The policy of the users, their role, and the policy of the hub that makes tokens by it. No token is made.
async fn hub(setup: &mut Setup, wanted: &Hub) -> Result<(), Failure> {
    let vault = setup.vault().clone();
    let mounts = vault.sys().mounts(MountKind::AuthMethod).await?;
    // Every server has it.
    let accessor = mounts.get("token/").map(|mount| mount.accessor.as_str()).unwrap_or_default();
    let users = Policy { name: wanted.role.clone(), rules: wanted.layout()?.templated_policy(accessor)? };
    let own = Policy { name: wanted.policy.clone(), rules: UserTokens::issuer_policy(&wanted.role)? };
    for policy in [users, own] {
        super::vault::policy(setup, &policy).await?;
    }
    token_role(setup, &wanted.token_role()).await
}

async fn token_role(setup: &mut Setup, wanted: &TokenRole) -> Result<(), Failure> {
    let vault = setup.vault().clone();
    let found = vault.token().role(&wanted.name).await?;
    let found = found.map(|found| described(&TokenRole::of(wanted.name.clone(), found)));
    let settings = RoleSettings::default()
        .with_allowed_policies(&wanted.policies)
        .with_allowed_policies_glob(&wanted.policies_glob)
        .with_allowed_entity_aliases(&wanted.entity_aliases)
        .with_orphan(wanted.orphan)
        .with_renewable(!wanted.not_renewable)
        .with_period(Duration::from_secs(wanted.period))
        .with_explicit_max_ttl(Duration::from_secs(wanted.longest))
        .with_no_default_policy(wanted.no_default_policy);
    let write = async || vault.token().write_role(&wanted.name, &settings).await;
    setup.settle(&format!("token role {}", wanted.name), found, &described(wanted), write).await
}

impl TokenRole {
    /// What is there, in the words of a blueprint.
    pub(super) fn of(name: String, role: Role) -> Self {
        let seconds = |span: Option<Duration>| span.map_or(0, |span| span.as_secs());
        Self {
            name,
            policies: role.allowed_policies,
            policies_glob: role.allowed_policies_glob,
            entity_aliases: role.allowed_entity_aliases,
            orphan: role.orphan,
            not_renewable: !role.renewable,
            period: seconds(role.period),
            longest: seconds(role.explicit_max_ttl),
            no_default_policy: role.no_default_policy,
        }
    }
}

/// All of it, so that what somebody added is drift, too.
fn described(role: &TokenRole) -> Value {
    json!({
        "policies": role.policies, "policies_glob": role.policies_glob, "entity_aliases": role.entity_aliases,
        "orphan": role.orphan, "not_renewable": role.not_renewable, "period": role.period, "longest": role.longest,
        "no_default_policy": role.no_default_policy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> String {
        let blueprint: Blueprint = toml::from_str(toml).unwrap();
        blueprint.check().unwrap_err().message().to_owned()
    }

    #[test]
    fn a_role_that_lets_every_account_in_is_refused() {
        let with = |accounts: &str, namespaces: &str| {
            format!(
                "[[kubernetes]]\nmount = \"k\"\nhost = \"h\"\n[[kubernetes.role]]\nname = \"r\"\n\
                 service_accounts = [{accounts}]\nnamespaces = [{namespaces}]\n"
            )
        };
        assert_eq!(problem(&with("'*'", "'a', '*'")), "role r of k lets every service account in");
        assert_eq!(problem(&with("", "'a'")), "role r of k needs service_accounts");
        assert_eq!(problem(&with("'a'", "")), "role r of k needs namespaces");
        assert!(problem(&(with("'a'", "'*'") + "policies = ['Root']")).contains("gives the policy root"));
        let fine: Blueprint = toml::from_str(&with("'*'", "'a'")).unwrap();
        fine.check().unwrap();
    }

    #[test]
    fn a_token_role_that_gives_everything_is_refused() {
        let with = |rest: &str| format!("[[token_role]]\nname = \"t\"\n{rest}");
        assert!(problem(&with("")).contains("needs policies"));
        for rest in ["policies = ['root']", "policies_glob = ['*']", "policies_glob = ['a', '']"] {
            assert!(problem(&with(rest)).contains("gives every policy"), "{rest}");
        }
    }

    #[test]
    fn a_hub_widens_no_policy_of_the_server_and_writes_no_path_of_others() {
        let with = |rest: &str| format!("[hub]\nurl = \"https://hub.example\"\n{rest}");
        assert!(problem(&with("policy = 'default'")).contains("in every token"));
        assert!(problem(&with("role = 'root'")).contains("cannot be written"));
        assert!(problem(&with("role = 'jupyterhub'")).contains("two things are called policy"));
        assert!(problem("[hub]\nurl = \"hub.example\"").contains("no address"));
        for rest in ["mount = '*'", "folder = 'a/{{x}}'", "folder = '..'", "role = 'a*'"] {
            problem(&with(rest));
        }
    }

    #[test]
    fn the_hubs_client_has_the_one_address_that_its_authenticator_comes_back_to() {
        let hub: Hub = toml::from_str("url = \"https://hub.example/jupyter/\"").unwrap();
        assert_eq!(hub.client().redirect_uris, ["https://hub.example/jupyter/hub/oauth_callback"]);
        assert_eq!((hub.role.as_str(), hub.longest), ("jupyter-users", 604_800));
    }
}
