//! Setting up the Kubernetes auth method.

use latchkey_transport::Secret;
use serde::{Deserialize, Serialize};

use super::setup::{DeleteRole, ListRoles, ReadConfig, ReadRole, WriteConfig, WriteRole};
use super::{KubernetesAuth, RoleTokenSettings, RoleTokens};
use crate::{Error, Vault, reply};

/// The set-up of a Kubernetes auth method. Made by [`KubernetesAuth::setup`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/kubernetes>
#[derive(Clone, Copy, Debug)]
pub struct KubernetesSetup<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> KubernetesAuth<'a> {
    /// Returns the set-up of the method: its configuration and its roles.
    pub fn setup(&self) -> KubernetesSetup<'a> {
        KubernetesSetup { vault: self.vault(), mount: self.mount() }
    }
}

impl KubernetesSetup<'_> {
    /// Reads the configuration, without the reviewer's token, which servers never show; `None` where there is none.
    /// See [`ReadConfig`].
    pub async fn config(&self) -> Result<Option<KubernetesConfig>, Error> {
        self.vault.perform(ReadConfig::new(self.mount)?).await
    }

    /// Configures the method, **in place of** what was configured. See [`WriteConfig`].
    pub async fn write_config(&self, settings: &KubernetesConfigSettings) -> Result<(), Error> {
        self.vault.perform(settings.write(self.mount)?).await
    }

    /// Reads a role; `None` where there is none. See [`ReadRole`].
    pub async fn role(&self, name: &str) -> Result<Option<KubernetesRole>, Error> {
        self.vault.perform(ReadRole::new(self.mount, name)?).await
    }

    /// Makes a role, or changes one; what is not set stays as it is. See [`WriteRole`].
    pub async fn write_role(&self, name: &str, settings: &KubernetesRoleSettings) -> Result<(), Error> {
        self.vault.perform(WriteRole::new(self.mount, name, settings)?).await
    }

    /// Removes a role. That there is none is no error. See [`DeleteRole`].
    pub async fn delete_role(&self, name: &str) -> Result<(), Error> {
        self.vault.perform(DeleteRole::new(self.mount, name)?).await
    }

    /// Lists the names of the roles. See [`ListRoles`].
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        self.vault.perform(ListRoles::new(self.mount)?).await
    }
}

/// How a Kubernetes auth method is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct KubernetesConfig {
    /// The address of the API server.
    #[serde(default)]
    pub kubernetes_host: String,
    /// The certificates that are trusted there, as PEM; empty for those beside the server's own service account.
    #[serde(default)]
    pub kubernetes_ca_cert: String,
    /// The keys that tokens are signed with, as PEM; none means that the API server alone is asked.
    #[serde(default, deserialize_with = "reply::list")]
    pub pem_keys: Vec<String>,
    /// Whether it asks the API server with a token of its own, and not with the one that logs in.
    #[serde(default)]
    pub token_reviewer_jwt_set: bool,
    /// Whether the server's own service account is left out.
    #[serde(default)]
    pub disable_local_ca_jwt: bool,
}

/// What is to be configured: the whole of it, since the server forgets what is not named.
///
/// Serialised, it has everything but the reviewer's token, and so can be compared with [`KubernetesConfig`].
#[derive(Clone, Debug, Serialize)]
pub struct KubernetesConfigSettings {
    kubernetes_host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_ca_cert: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pem_keys: Vec<String>,
    #[serde(skip)]
    token_reviewer_jwt: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_local_ca_jwt: Option<bool>,
}

impl KubernetesConfigSettings {
    /// Asks the API server at an address.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            kubernetes_host: host.into(),
            kubernetes_ca_cert: None,
            pem_keys: Vec::new(),
            token_reviewer_jwt: None,
            disable_local_ca_jwt: None,
        }
    }

    /// Trusts these certificates there, as PEM.
    pub fn with_ca_cert(mut self, pem: impl Into<String>) -> Self {
        self.kubernetes_ca_cert = Some(pem.into());
        self
    }

    /// Takes tokens that are signed with one of these keys, as PEM.
    pub fn with_public_keys<I: IntoIterator<Item: Into<String>>>(mut self, pems: I) -> Self {
        self.pem_keys = pems.into_iter().map(Into::into).collect();
        self
    }

    /// Asks with that token, of an account that may review others (`system:auth-delegator`).
    pub fn with_token_reviewer_jwt(mut self, jwt: &Secret) -> Self {
        self.token_reviewer_jwt = Some(jwt.clone());
        self
    }

    /// Says whether the server's own service account is left out, as it must be where the server runs outside of the
    /// cluster.
    pub fn with_local_ca_jwt_disabled(mut self, disabled: bool) -> Self {
        self.disable_local_ca_jwt = Some(disabled);
        self
    }

    /// Returns the exchange that configures the method at a mount so. Fails with [`Error::InvalidPath`].
    pub fn write(&self, mount: &str) -> Result<WriteConfig, Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            seen: &'a KubernetesConfigSettings,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_reviewer_jwt: Option<&'a str>,
        }
        // Opened to be sent.
        let token_reviewer_jwt = self.token_reviewer_jwt.as_ref().map(Secret::expose_secret);
        WriteConfig::new(mount, &Whole { seen: self, token_reviewer_jwt }, self.token_reviewer_jwt.as_ref())
    }
}

/// A role of a Kubernetes auth method: which service accounts may log in by it, and what they get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct KubernetesRole {
    /// The names of the service accounts; `*` is every one.
    #[serde(default, deserialize_with = "reply::list")]
    pub bound_service_account_names: Vec<String>,
    /// The namespaces that they are in; `*` is every one.
    #[serde(default, deserialize_with = "reply::list")]
    pub bound_service_account_namespaces: Vec<String>,
    /// The labels of namespaces that they are in, as a selector in JSON; empty where these do not count.
    #[serde(default)]
    pub bound_service_account_namespace_selector: String,
    /// The audience that a token must name; empty for any.
    #[serde(default)]
    pub audience: String,
    /// What names the alias: `serviceaccount_uid` or `serviceaccount_name`.
    #[serde(default)]
    pub alias_name_source: String,
    /// What the tokens are like.
    #[serde(flatten)]
    pub tokens: RoleTokens,
}

/// What names the alias of a service account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum AliasNameSource {
    /// Its uid: an account that is made again under the same name is somebody else.
    #[serde(rename = "serviceaccount_uid")]
    Uid,
    /// Its namespace and name: whoever can make an account of that name is the same.
    #[serde(rename = "serviceaccount_name")]
    Name,
}

/// Settings of a role of a Kubernetes auth method. What is not set stays as it is; at first, as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KubernetesRoleSettings {
    bound_service_account_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_service_account_namespaces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_service_account_namespace_selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_name_source: Option<AliasNameSource>,
    #[serde(flatten)]
    tokens: RoleTokenSettings,
}

impl KubernetesRoleSettings {
    /// A role for these service accounts in these namespaces; `*` is every one.
    pub fn new<I, J>(names: I, namespaces: J) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
        J: IntoIterator<Item: Into<String>>,
    {
        Self {
            bound_service_account_names: names.into_iter().map(Into::into).collect(),
            bound_service_account_namespaces: Some(namespaces.into_iter().map(Into::into).collect()),
            bound_service_account_namespace_selector: None,
            audience: None,
            alias_name_source: None,
            tokens: RoleTokenSettings::default(),
        }
    }

    /// Takes accounts of namespaces with these labels, too: a Kubernetes label selector in JSON.
    pub fn with_namespace_selector(mut self, selector: impl Into<String>) -> Self {
        self.bound_service_account_namespace_selector = Some(selector.into());
        self
    }

    /// Takes a token only if it is for that audience.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Says what names the alias of an account.
    pub fn with_alias_name_source(mut self, source: AliasNameSource) -> Self {
        self.alias_name_source = Some(source);
        self
    }

    /// Says what the tokens are to be like.
    pub fn with_tokens(mut self, tokens: RoleTokenSettings) -> Self {
        self.tokens = tokens;
        self
    }
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange, Reply};

    use super::*;

    fn body(exchange: &impl Exchange) -> String {
        String::from_utf8(exchange.request().body().unwrap().expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn the_reviewers_token_is_sent_and_not_shown() {
        let settings = KubernetesConfigSettings::new("https://kube:6443")
            .with_ca_cert("PEM")
            .with_token_reviewer_jwt(&Secret::new("hu.s.h"))
            .with_local_ca_jwt_disabled(true);
        let write = settings.write("kubernetes").unwrap();
        assert_eq!(
            body(&write),
            r#"{"kubernetes_host":"https://kube:6443","kubernetes_ca_cert":"PEM","disable_local_ca_jwt":true,"token_reviewer_jwt":"hu.s.h"}"#
        );
        assert!(!format!("{settings:?} {write:?}").contains("hu.s.h"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("hu.s.h"));
    }

    #[test]
    fn a_role_is_read_whatever_is_null_in_it() {
        let reply = r#"{"request_id":"a","data":{"alias_name_source":"serviceaccount_uid","audience":"v",
            "bound_service_account_names":["x"],"bound_service_account_namespace_selector":"",
            "bound_service_account_namespaces":null,"token_policies":[],"token_ttl":60,"token_type":"default"}}"#;
        let read = ReadRole::<KubernetesRole>::new("k", "r").unwrap();
        let role = read.receive(Reply::new(200, reply)).unwrap().unwrap();
        assert_eq!(
            (role.audience.as_str(), role.bound_service_account_names.as_slice()),
            ("v", &["x".to_owned()][..])
        );
        assert!(role.bound_service_account_namespaces.is_empty());
        assert_eq!(role.tokens.ttl, Some(std::time::Duration::from_secs(60)));
    }

    #[test]
    fn a_role_names_its_accounts() {
        let settings = KubernetesRoleSettings::new(["app"], ["team"])
            .with_audience("vault")
            .with_alias_name_source(AliasNameSource::Name);
        assert_eq!(
            body(&WriteRole::new("k", "r", &settings).unwrap()),
            r#"{"bound_service_account_names":["app"],"bound_service_account_namespaces":["team"],"audience":"vault","alias_name_source":"serviceaccount_name"}"#
        );
    }
}
