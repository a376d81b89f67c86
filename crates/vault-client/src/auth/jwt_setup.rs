//! Setting up the JWT and OIDC auth method, which is one method with two kinds of role.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_transport::Secret;
use serde::{Deserialize, Deserializer, Serialize};

use super::setup::{DeleteRole, ListRoles, ReadConfig, ReadRole, WriteConfig, WriteRole};
use super::{JwtAuth, OidcAuth, RoleTokenSettings, RoleTokens};
use crate::{Error, Vault, duration, reply};

/// The set-up of a JWT or OIDC auth method. Made by [`JwtAuth::setup`] and [`OidcAuth::setup`].
///
/// Each method names its exchange, where the API page, the errors and the retry class stand.
///
/// ```no_run
/// # use latchkey_vault_client::{Error, Vault, auth::{JwtConfigSettings, JwtRoleSettings}};
/// # async fn f(vault: Vault) -> Result<(), Error> {
/// let jwt = vault.jwt("keycloak-jwt").setup();
/// jwt.write_config(&JwtConfigSettings::discovery("https://sso.example/realms/team")).await?;
/// let role = JwtRoleSettings::jwt("sub").with_bound_audiences(["notebooks"]);
/// jwt.write_role("default", &role).await?;
/// # Ok(())
/// # }
/// ```
///
/// The API: <https://developer.hashicorp.com/vault/api-docs/auth/jwt>
#[derive(Clone, Copy, Debug)]
pub struct JwtSetup<'a> {
    vault: &'a Vault,
    mount: &'a str,
}

impl<'a> JwtAuth<'a> {
    /// Returns the set-up of the method: its configuration and its roles.
    pub fn setup(&self) -> JwtSetup<'a> {
        JwtSetup { vault: self.vault(), mount: self.mount() }
    }
}

impl<'a> OidcAuth<'a> {
    /// Returns the set-up of the method: its configuration and its roles.
    pub fn setup(&self) -> JwtSetup<'a> {
        JwtSetup { vault: self.vault(), mount: self.mount() }
    }
}

impl JwtSetup<'_> {
    /// Reads the configuration, without the client's secret, which servers never show; `None` where there is none.
    /// See [`ReadConfig`].
    pub async fn config(&self) -> Result<Option<JwtConfig>, Error> {
        self.vault.perform(ReadConfig::new(self.mount)?).await
    }

    /// Configures the method, **in place of** what was configured. The server asks the provider at once.
    ///
    /// Fails with [`Error::InvalidRequest`] where it does not reach it. See [`WriteConfig`].
    pub async fn write_config(&self, settings: &JwtConfigSettings) -> Result<(), Error> {
        self.vault.perform(settings.write(self.mount)?).await
    }

    /// Reads a role; `None` where there is none. See [`ReadRole`].
    pub async fn role(&self, name: &str) -> Result<Option<JwtRole>, Error> {
        self.vault.perform(ReadRole::new(self.mount, name)?).await
    }

    /// Makes a role, or changes one; what is not set stays as it is. See [`WriteRole`].
    pub async fn write_role(&self, name: &str, settings: &JwtRoleSettings) -> Result<(), Error> {
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

/// How a JWT or OIDC auth method is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct JwtConfig {
    /// The issuer whose keys it fetches by discovery; empty where the keys come from elsewhere.
    #[serde(default)]
    pub oidc_discovery_url: String,
    /// The certificates that it trusts there, as PEM; empty for those of its system.
    #[serde(default)]
    pub oidc_discovery_ca_pem: String,
    /// The client that it is at the provider; empty where it takes tokens only.
    #[serde(default)]
    pub oidc_client_id: String,
    /// How the provider is to answer: `query`, `form_post`, or empty for its default.
    #[serde(default)]
    pub oidc_response_mode: String,
    /// The address of the keys; empty where they come from elsewhere.
    #[serde(default)]
    pub jwks_url: String,
    /// The certificates that it trusts there, as PEM.
    #[serde(default)]
    pub jwks_ca_pem: String,
    /// The keys themselves, as PEM.
    #[serde(default, deserialize_with = "reply::list")]
    pub jwt_validation_pubkeys: Vec<String>,
    /// The algorithms that it takes; none means RS256.
    #[serde(default, deserialize_with = "reply::list")]
    pub jwt_supported_algs: Vec<String>,
    /// The issuer that a token must name; empty for that of the discovery.
    #[serde(default)]
    pub bound_issuer: String,
    /// The role of a login that names none.
    #[serde(default)]
    pub default_role: String,
    /// Whether the namespace travels in the state of a login.
    #[serde(default)]
    pub namespace_in_state: bool,
}

/// What is to be configured: the whole of it, since the server forgets what is not named.
///
/// Serialised, it has everything but the client's secret, and so can be compared with [`JwtConfig`].
#[derive(Clone, Debug, Serialize)]
pub struct JwtConfigSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_discovery_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_discovery_ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_client_id: Option<String>,
    #[serde(skip)]
    oidc_client_secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_response_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jwt_validation_pubkeys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jwt_supported_algs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_in_state: Option<bool>,
}

impl JwtConfigSettings {
    /// Trusts the tokens of an issuer, whose keys the server finds by OpenID Connect Discovery.
    pub fn discovery(issuer: impl Into<String>) -> Self {
        Self { oidc_discovery_url: Some(issuer.into()), ..Self::nothing() }
    }

    /// Trusts the tokens that are signed with the keys at an address.
    pub fn key_set(url: impl Into<String>) -> Self {
        Self { jwks_url: Some(url.into()), ..Self::nothing() }
    }

    /// Trusts the tokens that are signed with one of these keys, as PEM. The server calls nobody.
    pub fn public_keys<I: IntoIterator<Item: Into<String>>>(pems: I) -> Self {
        Self { jwt_validation_pubkeys: pems.into_iter().map(Into::into).collect(), ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            oidc_discovery_url: None,
            oidc_discovery_ca_pem: None,
            oidc_client_id: None,
            oidc_client_secret: None,
            oidc_response_mode: None,
            jwks_url: None,
            jwks_ca_pem: None,
            jwt_validation_pubkeys: Vec::new(),
            jwt_supported_algs: Vec::new(),
            bound_issuer: None,
            default_role: None,
            namespace_in_state: None,
        }
    }

    /// Lets people sign in through the server, which is that client at the provider. Needs discovery.
    pub fn with_client(mut self, id: impl Into<String>, secret: &Secret) -> Self {
        self.oidc_client_id = Some(id.into());
        self.oidc_client_secret = Some(secret.clone());
        self
    }

    /// Trusts these certificates, as PEM, where the keys are fetched, instead of those of the server's system.
    pub fn with_ca_pem(mut self, pem: impl Into<String>) -> Self {
        let pem = Some(pem.into());
        if self.jwks_url.is_some() {
            self.jwks_ca_pem = pem;
        } else {
            self.oidc_discovery_ca_pem = pem;
        }
        self
    }

    /// Takes tokens of these algorithms only, such as `ES256`. Without it, RS256 only.
    pub fn with_algorithms<I: IntoIterator<Item: Into<String>>>(mut self, algorithms: I) -> Self {
        self.jwt_supported_algs = algorithms.into_iter().map(Into::into).collect();
        self
    }

    /// Takes tokens of that issuer only. With discovery that is so anyway; with keys it should always be said.
    pub fn with_bound_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.bound_issuer = Some(issuer.into());
        self
    }

    /// Gives a login that names no role this one.
    pub fn with_default_role(mut self, role: impl Into<String>) -> Self {
        self.default_role = Some(role.into());
        self
    }

    /// Says how the provider is to answer: `query` or `form_post`.
    pub fn with_response_mode(mut self, mode: impl Into<String>) -> Self {
        self.oidc_response_mode = Some(mode.into());
        self
    }

    /// Says whether the namespace travels in the state of a login.
    pub fn with_namespace_in_state(mut self, does: bool) -> Self {
        self.namespace_in_state = Some(does);
        self
    }

    /// Returns the exchange that configures the method at a mount so. Fails with [`Error::InvalidPath`].
    pub fn write(&self, mount: &str) -> Result<WriteConfig, Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            seen: &'a JwtConfigSettings,
            #[serde(skip_serializing_if = "Option::is_none")]
            oidc_client_secret: Option<&'a str>,
        }
        // Opened to be sent.
        let oidc_client_secret = self.oidc_client_secret.as_ref().map(Secret::expose_secret);
        WriteConfig::new(mount, &Whole { seen: self, oidc_client_secret }, self.oidc_client_secret.as_ref())
    }
}

/// A role of a JWT or OIDC auth method: who may log in by it, and what they get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct JwtRole {
    /// `jwt` for logins with a token, `oidc` for a sign-in through the server.
    #[serde(default)]
    pub role_type: String,
    /// The claim that names the person's alias.
    #[serde(default)]
    pub user_claim: String,
    /// Whether that is a JSON pointer (RFC 6901).
    #[serde(default)]
    pub user_claim_json_pointer: bool,
    /// The claim, or JSON pointer, that lists the person's groups; empty where groups do not count.
    #[serde(default)]
    pub groups_claim: String,
    /// The audiences of which a token must name one.
    #[serde(default, deserialize_with = "reply::list")]
    pub bound_audiences: Vec<String>,
    /// The `sub` that a token must have; empty for any.
    #[serde(default)]
    pub bound_subject: String,
    /// The claims that a token must have, each with one of the values.
    #[serde(default, deserialize_with = "one_or_many")]
    pub bound_claims: BTreeMap<String, Vec<String>>,
    /// How these values are compared: `string`, or `glob` where `*` stands for anything.
    #[serde(default)]
    pub bound_claims_type: String,
    /// The claims that become metadata of the token, and the names that they have there.
    #[serde(default, deserialize_with = "reply::map")]
    pub claim_mappings: BTreeMap<String, String>,
    /// The scopes that the server asks for, besides `openid`.
    #[serde(default, deserialize_with = "reply::list")]
    pub oidc_scopes: Vec<String>,
    /// The addresses that a sign-in may come back to.
    #[serde(default, deserialize_with = "reply::list")]
    pub allowed_redirect_uris: Vec<String>,
    /// How long ago the person may have typed their password; `None` where that does not count.
    #[serde(
        default,
        deserialize_with = "duration::optional_seconds",
        serialize_with = "duration::as_optional_seconds"
    )]
    pub max_age: Option<Duration>,
    /// How many seconds a token is taken after its end: 0 means the server's 150, less than 0 means none.
    #[serde(default)]
    pub expiration_leeway: i64,
    /// How many seconds a token is taken before its beginning: 0 means the server's 150, less than 0 means none.
    #[serde(default)]
    pub not_before_leeway: i64,
    /// How many seconds the clocks may differ: 0 means the server's 60, less than 0 means none.
    #[serde(default)]
    pub clock_skew_leeway: i64,
    /// Whether the server logs tokens and claims. Nothing for production.
    #[serde(default)]
    pub verbose_oidc_logging: bool,
    /// Who takes the provider's answer: `client`, or OpenBao's `direct` and `device`; empty where it is not told.
    #[serde(default)]
    pub callback_mode: String,
    /// What the tokens are like.
    #[serde(flatten)]
    pub tokens: RoleTokens,
}

/// Who takes the provider's answer to a sign-in. The last two are OpenBao's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CallbackMode {
    /// The person's program, which brings it to the server.
    Client,
    /// The server itself; the program asks until it is there.
    Direct,
    /// The server, by a code that the person types elsewhere.
    Device,
}

/// Settings of a role of a JWT or OIDC auth method. What is not set stays as it is; at first, as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JwtRoleSettings {
    // A server that is not told takes it for `oidc`, whatever the role was.
    role_type: &'static str,
    user_claim: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_claim_json_pointer: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_audiences: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_claims: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_claims_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_mappings: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_redirect_uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_leeway: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before_leeway: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew_leeway: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_mode: Option<CallbackMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_interval: Option<u64>,
    #[serde(flatten)]
    tokens: RoleTokenSettings,
}

impl JwtRoleSettings {
    /// A role for logins with a token. It must be bound to something: audiences, a subject or claims, or else any token
    /// that the provider gave to any of its clients would do.
    pub fn jwt(user_claim: impl Into<String>) -> Self {
        Self::new("jwt", user_claim)
    }

    /// A role for sign-ins through the server, which may come back to these addresses.
    pub fn oidc<I: IntoIterator<Item: Into<String>>>(
        user_claim: impl Into<String>,
        redirect_uris: I,
    ) -> Self {
        Self { allowed_redirect_uris: Some(texts(redirect_uris)), ..Self::new("oidc", user_claim) }
    }

    fn new(role_type: &'static str, user_claim: impl Into<String>) -> Self {
        Self {
            role_type,
            user_claim: user_claim.into(),
            user_claim_json_pointer: None,
            groups_claim: None,
            bound_audiences: None,
            bound_subject: None,
            bound_claims: None,
            bound_claims_type: None,
            claim_mappings: None,
            oidc_scopes: None,
            allowed_redirect_uris: None,
            max_age: None,
            expiration_leeway: None,
            not_before_leeway: None,
            clock_skew_leeway: None,
            callback_mode: None,
            poll_interval: None,
            tokens: RoleTokenSettings::default(),
        }
    }

    /// Says whether the user claim is a JSON pointer (RFC 6901).
    pub fn with_user_claim_json_pointer(mut self, is_pointer: bool) -> Self {
        self.user_claim_json_pointer = Some(is_pointer);
        self
    }

    /// Finds the person's groups in that claim, or by that JSON pointer, such as `/resource_access/app/roles`.
    pub fn with_groups_claim(mut self, claim: impl Into<String>) -> Self {
        self.groups_claim = Some(claim.into());
        self
    }

    /// Takes a token only if its audience is one of these.
    pub fn with_bound_audiences<I: IntoIterator<Item: Into<String>>>(mut self, audiences: I) -> Self {
        self.bound_audiences = Some(texts(audiences));
        self
    }

    /// Takes a token of that subject only.
    pub fn with_bound_subject(mut self, subject: impl Into<String>) -> Self {
        self.bound_subject = Some(subject.into());
        self
    }

    /// Takes a token only if that claim has one of these values. May be called for several claims: all must hold.
    pub fn with_bound_claim<I: IntoIterator<Item: Into<String>>>(
        mut self,
        claim: impl Into<String>,
        values: I,
    ) -> Self {
        self.bound_claims.get_or_insert_default().insert(claim.into(), texts(values));
        self
    }

    /// Says whether `*` in these values stands for anything.
    pub fn with_bound_claim_globs(mut self, globs: bool) -> Self {
        self.bound_claims_type = Some(if globs { "glob" } else { "string" });
        self
    }

    /// Notes a claim on the token, under a name, where policies and audit logs find it.
    pub fn with_claim_mapping(mut self, claim: impl Into<String>, name: impl Into<String>) -> Self {
        self.claim_mappings.get_or_insert_default().insert(claim.into(), name.into());
        self
    }

    /// Asks the provider for these scopes, besides `openid`.
    pub fn with_scopes<I: IntoIterator<Item: Into<String>>>(mut self, scopes: I) -> Self {
        self.oidc_scopes = Some(texts(scopes));
        self
    }

    /// Wants the password typed no longer ago than that, in whole seconds; zero means that it does not count.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(duration::seconds(age));
        self
    }

    /// Takes a token so long after its end, in whole seconds; zero means the server's 150 s.
    pub fn with_expiration_leeway(mut self, leeway: Duration) -> Self {
        self.expiration_leeway = Some(duration::seconds(leeway));
        self
    }

    /// Takes a token so long before its beginning, in whole seconds; zero means the server's 150 s.
    pub fn with_not_before_leeway(mut self, leeway: Duration) -> Self {
        self.not_before_leeway = Some(duration::seconds(leeway));
        self
    }

    /// Lets the clocks differ by that, in whole seconds; zero means the server's 60 s.
    pub fn with_clock_skew_leeway(mut self, leeway: Duration) -> Self {
        self.clock_skew_leeway = Some(duration::seconds(leeway));
        self
    }

    /// Says who takes the provider's answer, which only OpenBao can be told.
    pub fn with_callback_mode(mut self, mode: CallbackMode) -> Self {
        self.callback_mode = Some(mode);
        self
    }

    /// Lets programs ask so often whether the person is done, in whole seconds. OpenBao only.
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(duration::seconds(interval));
        self
    }

    /// Says what the tokens are to be like.
    pub fn with_tokens(mut self, tokens: RoleTokenSettings) -> Self {
        self.tokens = tokens;
        self
    }
}

fn texts<I: IntoIterator<Item: Into<String>>>(texts: I) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

/// A claim may be bound to one value or to several; it may be no text, and is then its JSON.
fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bound {
        Many(Vec<serde_json::Value>),
        One(serde_json::Value),
    }
    let written = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let claims = Option::<BTreeMap<String, Bound>>::deserialize(deserializer)?.unwrap_or_default();
    let values = |bound| match bound {
        Bound::Many(values) => values.into_iter().map(written).collect(),
        Bound::One(value) => vec![written(value)],
    };
    Ok(claims.into_iter().map(|(claim, bound)| (claim, values(bound))).collect())
}

#[cfg(test)]
mod tests {
    use latchkey_transport::{Exchange, Method, Replay, Reply};

    use super::*;

    fn body(exchange: &impl Exchange) -> String {
        String::from_utf8(exchange.request().body().unwrap().expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn a_configuration_is_written_as_a_whole_with_its_secret() {
        let settings = JwtConfigSettings::discovery("https://sso.example")
            .with_client("vault", &Secret::new("hush"))
            .with_ca_pem("PEM")
            .with_default_role("d");
        let write = settings.write("team/oidc").unwrap();
        assert_eq!(write.request().path(), "/v1/auth/team/oidc/config");
        assert_eq!(
            body(&write),
            r#"{"oidc_discovery_url":"https://sso.example","oidc_discovery_ca_pem":"PEM","oidc_client_id":"vault","default_role":"d","oidc_client_secret":"hush"}"#
        );
        assert_eq!(write.replay(), Replay::Safe);
        let shown = format!("{settings:?} {write:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
        let said = Reply::new(400, r#"{"errors":["the secret hush is wrong"]}"#);
        let error = write.receive(said).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn the_certificates_belong_to_where_the_keys_are() {
        let write = JwtConfigSettings::key_set("https://keys.example").with_ca_pem("PEM").write("m").unwrap();
        assert_eq!(body(&write), r#"{"jwks_url":"https://keys.example","jwks_ca_pem":"PEM"}"#);
        let write = JwtConfigSettings::public_keys(["KEY"]).with_bound_issuer("i").write("m").unwrap();
        assert_eq!(body(&write), r#"{"jwt_validation_pubkeys":["KEY"],"bound_issuer":"i"}"#);
    }

    #[test]
    fn a_role_always_says_of_what_type_it_is() {
        let settings = JwtRoleSettings::jwt("sub")
            .with_bound_audiences(["a"])
            .with_bound_claim("c", ["x"])
            .with_claim_mapping("email", "mail")
            .with_tokens(RoleTokenSettings::default().with_ttl(Duration::from_secs(60)));
        let write = WriteRole::new("m", "r", &settings).unwrap();
        assert_eq!(
            body(&write),
            r#"{"role_type":"jwt","user_claim":"sub","bound_audiences":["a"],"bound_claims":{"c":["x"]},"claim_mappings":{"email":"mail"},"token_ttl":60}"#
        );
        let write = WriteRole::new("m", "r", &JwtRoleSettings::oidc("sub", ["http://localhost/"])).unwrap();
        assert!(
            body(&write).starts_with(r#"{"role_type":"oidc","user_claim":"sub","allowed_redirect_uris""#)
        );
        assert!(WriteRole::new("m", "a/b", &settings).is_err());
    }

    #[test]
    fn a_role_is_read_whatever_is_null_in_it() {
        let reply = r#"{"request_id":"a","data":{"allowed_redirect_uris":null,"bound_audiences":["q"],
            "bound_claims":{"a":["x","y"],"b":"z","n":7,"t":[true]},"bound_claims_type":"string","bound_subject":"","callback_mode":"direct",
            "claim_mappings":null,"clock_skew_leeway":0,"expiration_leeway":-1,"groups_claim":"/g","max_age":30,
            "not_before_leeway":0,"oauth2_metadata":null,"oidc_scopes":null,"role_type":"jwt",
            "token_bound_cidrs":["127.0.0.1"],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":true,
            "token_num_uses":0,"token_period":0,"token_policies":["b"],"token_ttl":3600,"token_type":"default",
            "user_claim":"sub","user_claim_json_pointer":false,"verbose_oidc_logging":false}}"#;
        let read = ReadRole::<JwtRole>::new("m", "r").unwrap();
        let request = read.request();
        assert_eq!((request.method(), request.path()), (Method::Get, "/v1/auth/m/role/r"));
        let role = read.receive(Reply::new(200, reply)).unwrap().unwrap();
        assert_eq!((role.role_type.as_str(), role.max_age), ("jwt", Some(Duration::from_secs(30))));
        assert_eq!(role.bound_claims["a"], ["x", "y"]);
        assert_eq!(
            (&role.bound_claims["b"][..], &role.bound_claims["n"][..]),
            (&["z".into()][..], &["7".into()][..])
        );
        assert_eq!(role.bound_claims["t"], ["true"]);
        assert_eq!((role.expiration_leeway, role.callback_mode.as_str()), (-1, "direct"));
        assert_eq!((role.tokens.ttl, role.tokens.max_ttl), (Some(Duration::from_secs(3600)), None));
        assert_eq!(
            (role.tokens.policies.as_slice(), role.tokens.no_default_policy),
            (&["b".to_owned()][..], true)
        );
        let written = serde_json::to_value(&role).unwrap();
        assert_eq!((&written["token_ttl"], &written["token_max_ttl"]), (&3600.into(), &0.into()));
        let none = ReadRole::<JwtRole>::new("m", "r").unwrap().receive(Reply::new(404, r#"{"errors":[]}"#));
        assert!(none.unwrap().is_none());
    }
}
