//! What the servers should be: a TOML file, or the arguments of `provision`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::service::{self, Hub, Kubernetes, TokenRole};
use crate::failure::{Exit, Failure};

/// What an identity provider and a Vault should be. Everything in it is optional; no secret is ever in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blueprint {
    /// The realm of a Keycloak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keycloak: Option<Keycloak>,
    /// Which web pages may call the Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// KV v2 mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kv: Vec<Kv>,
    /// Policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<Policy>,
    /// JWT and OIDC auth methods, with their roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<Auth>,
    /// External groups, each with its one alias.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
    /// Kubernetes auth methods, with their roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes: Vec<Kubernetes>,
    /// Token roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_role: Vec<TokenRole>,
    /// A `JupyterHub` that gives each of its users a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<Hub>,
}

/// A realm of a Keycloak.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Keycloak {
    /// The address of the server, without `/realms/…`.
    pub url: String,
    /// The realm.
    pub realm: String,
    /// Its clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<Client>,
    /// Its users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<User>,
}

/// A client of a realm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its client id.
    pub id: String,
    /// Whether it has no secret.
    #[serde(default, skip_serializing_if = "is_false")]
    pub public: bool,
    /// The environment variable that holds its secret.
    #[serde(default = "client_secret_env", skip_serializing_if = "is_client_secret_env")]
    pub secret_env: String,
    /// Where a sign-in may come back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The pages that may call the provider; `+` for those of the redirect addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub web_origins: Vec<String>,
    /// Its roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<ClientRole>,
    /// What goes into its tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapper: Vec<Mapper>,
}

/// A role of a client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRole {
    /// Its name.
    pub name: String,
    /// The roles of the same client that its holders have, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composites: Vec<String>,
}

/// What goes into a client's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mapper {
    /// Its name.
    pub name: String,
    /// Keycloak's name of the kind, such as `oidc-usermodel-client-role-mapper`.
    pub kind: String,
    /// Its settings, as Keycloak has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// A user of a realm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name to sign in with.
    pub name: String,
    /// The address, which is taken for verified.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The first name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_name: String,
    /// The last name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_name: String,
    /// The roles, as `client/role`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The environment variable that holds the password of a user who is made; without one, somebody sets it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password_env: String,
}

/// Which web pages may call the Vault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins; those that may already keep it.
    pub origins: Vec<String>,
}

/// A KV v2 mount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kv {
    /// Its mount.
    pub mount: String,
    /// The path of a secret to try things out with, made where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sample: String,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, in small letters.
    pub name: String,
    /// Its text.
    pub rules: String,
}

/// A JWT or OIDC auth method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Its mount.
    pub mount: String,
    /// Whether people bring a token, or sign in through Vault.
    #[serde(rename = "type")]
    pub kind: AuthKind,
    /// The issuer whose tokens are trusted, exactly as it spells itself.
    pub issuer: String,
    /// The client that Vault is at the provider, for `oidc`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// The environment variable that holds the client's secret.
    #[serde(default = "client_secret_env", skip_serializing_if = "is_client_secret_env")]
    pub client_secret_env: String,
    /// The role of a login that names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub default_role: String,
    /// Its roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
}

/// The kind of an auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthKind {
    /// People and programs bring a token of the provider.
    Jwt,
    /// People sign in at the provider, driven by Vault.
    Oidc,
}

impl AuthKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Oidc => "oidc",
        }
    }
}

/// A role of an auth method.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// The claim that tells who somebody is.
    pub user_claim: String,
    /// The audiences of which a token must name one. A `jwt` role needs one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Where a sign-in may come back to. An `oidc` role needs one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The scopes that Vault asks for, besides `openid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The claim, or JSON pointer, that lists the groups of a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub groups_claim: String,
    /// The policies of everybody who logs in, besides `default` and those of their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// How long a token lives at first, in seconds; 0 for the mount's time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ttl: u64,
    /// Whether the tokens go without the policy `default`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_default_policy: bool,
    /// The claims that are noted on the token, and their names there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// An external group: policies for those in whose token an auth method finds a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The policies of its members.
    pub policies: Vec<String>,
    /// The mount of the auth method.
    pub auth: String,
    /// The name that stands in the token. A group has exactly one: each role gets a group of its own on each mount.
    pub alias: String,
}

impl Blueprint {
    /// Reads a TOML file, and checks it.
    ///
    /// # Errors
    ///
    /// A usage failure that names the line, or what is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let usage = |error: &(dyn std::error::Error + 'static)| {
            Failure::of(Exit::Usage, error).while_doing(&path.display().to_string())
        };
        let text = std::fs::read_to_string(path).map_err(|error| usage(&error))?;
        let blueprint: Self = toml::from_str(&text).map_err(|error| usage(&error))?;
        blueprint.check()?;
        Ok(blueprint)
    }

    /// Returns it as TOML.
    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string_pretty(self).map_err(|error| Failure::of(Exit::Refused, &error))
    }

    /// Returns the realm, with the client of the hub, where there is one.
    pub fn realm(&self) -> Option<Keycloak> {
        let mut realm = self.keycloak.clone()?;
        realm.client.extend(self.hub.as_ref().map(Hub::client));
        Some(realm)
    }

    /// Refuses what would be dangerous, or would be changed back and forth with every run.
    ///
    /// # Errors
    ///
    /// A usage failure that names it.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |text: String| Err(Failure::new(Exit::Usage, text));
        for policy in &self.policy {
            policy_name(&policy.name).or_else(usage)?;
        }
        let realm = self.realm();
        let kv = self.kv.iter().map(|kv| ("kv mount", mount(&kv.mount)));
        let auth = self.auth.iter().map(|auth| ("auth mount", mount(&auth.mount)));
        let clusters = self.kubernetes.iter().map(|method| ("auth mount", mount(&method.mount)));
        let of_hub = self.hub.iter().flat_map(|hub| [("policy", &*hub.policy), ("policy", &*hub.role)]);
        let policies = self.policy.iter().map(|policy| ("policy", policy.name.as_str())).chain(of_hub);
        let groups = self.group.iter().map(|group| ("group", group.name.as_str()));
        let role_of_hub = self.hub.iter().map(|hub| ("token role", hub.role.as_str()));
        let token_roles = self.token_role.iter().map(|role| ("token role", role.name.as_str()));
        let clients =
            realm.iter().flat_map(|realm| &realm.client).map(|client| ("client", client.id.as_str()));
        let services = clients.chain(clusters).chain(role_of_hub).chain(token_roles);
        let mut seen = BTreeSet::new();
        for (what, name) in kv.chain(auth).chain(policies).chain(groups).chain(services) {
            if name.is_empty() {
                return usage(format!("a {what} has a name"));
            }
            if !seen.insert((what, name.to_lowercase())) {
                return usage(format!("two things are called {what} {name}"));
            }
        }
        let mut aliases = BTreeSet::new();
        for group in &self.group {
            if !aliases.insert((mount(&group.auth), &group.alias)) {
                return usage(format!(
                    "two groups have the alias {} of {}: a server takes one only",
                    group.alias, group.auth
                ));
            }
        }
        for auth in &self.auth {
            for role in &auth.role {
                let needs = match auth.kind {
                    AuthKind::Jwt if role.audiences.is_empty() => "audiences",
                    AuthKind::Oidc if role.redirect_uris.is_empty() => "redirect_uris",
                    _ => continue,
                };
                return usage(format!("role {} of {} needs {needs}", role.name, auth.mount));
            }
        }
        service::check(self)
    }
}

/// Every token has the policy `default`: what it allows, everybody may do. `root` cannot be written at all.
pub(crate) fn policy_name(name: &str) -> Result<(), String> {
    match name.to_lowercase().as_str() {
        "default" => {
            Err("the policy `default` is in every token; widening it would give this to everybody".into())
        }
        "root" => Err("the policy `root` cannot be written".into()),
        // The server lower-cases names; the role of the provider must then be written the same way.
        lower if lower != name => Err(format!("the policy {name}: policy names are lower-case")),
        _ => Ok(()),
    }
}

/// Servers list mounts with a slash at the end, and people copy them so.
pub(super) fn mount(name: &str) -> &str {
    name.trim_matches('/')
}

const CLIENT_SECRET_ENV: &str = "LATCHKEY_CLIENT_SECRET";

fn client_secret_env() -> String {
    CLIENT_SECRET_ENV.to_owned()
}

fn is_client_secret_env(name: &str) -> bool {
    name == CLIENT_SECRET_ENV
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> String {
        let blueprint: Blueprint = toml::from_str(toml).unwrap();
        blueprint.check().unwrap_err().message().to_owned()
    }

    #[test]
    fn the_policy_default_is_never_widened() {
        for name in ["default", "Default", "DEFAULT"] {
            let toml = format!("[[policy]]\nname = \"{name}\"\nrules = ''");
            assert!(problem(&toml).contains("in every token"), "{name}");
        }
        assert!(problem("[[policy]]\nname = \"root\"\nrules = ''").contains("cannot be written"));
        assert!(problem("[[policy]]\nname = \"Reader\"\nrules = ''").contains("lower-case"));
    }

    #[test]
    fn two_things_of_one_name_are_refused() {
        assert!(problem("[[kv]]\nmount = \"a\"\n[[kv]]\nmount = \"a/\"").contains("kv mount a"));
        let group = "[[group]]\nname = \"g\"\npolicies = []\nauth = \"jwt\"\nalias = \"r\"\n";
        assert!(problem(&group.repeat(2)).contains("group g"));
        let other = group.replace("\"g\"", "\"h\"");
        assert!(problem(&format!("{group}{other}")).contains("two groups have the alias r of jwt"));
    }

    #[test]
    fn a_role_that_anybody_could_use_is_refused() {
        let auth = "[[auth]]\nmount = \"m\"\ntype = \"KIND\"\nissuer = \"i\"\n[[auth.role]]\nname = \"r\"\nuser_claim = \"sub\"\n";
        assert_eq!(problem(&auth.replace("KIND", "jwt")), "role r of m needs audiences");
        assert_eq!(problem(&auth.replace("KIND", "oidc")), "role r of m needs redirect_uris");
    }

    #[test]
    fn a_word_that_is_not_known_is_refused_with_its_line() {
        let error = toml::from_str::<Blueprint>("[[policy]]\nname = \"a\"\nrule = ''").unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }

    #[test]
    fn the_example_is_a_blueprint_and_survives_being_written() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("provision.toml");
        let example = Blueprint::read(&path).unwrap();
        assert_eq!((example.auth.len(), example.group.len()), (2, 4));
        assert!(example.keycloak.is_some() && example.cors.is_some() && example.hub.is_some());
        assert_eq!((example.kubernetes.len(), example.token_role.len()), (1, 1));
        let again: Blueprint = toml::from_str(&example.to_toml().unwrap()).unwrap();
        assert_eq!(again, example);
    }
}
