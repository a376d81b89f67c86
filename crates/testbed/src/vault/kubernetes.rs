//! The Kubernetes auth method: pods that show the token of their service account.
//!
//! There is no cluster: this double answers the `TokenReview` itself, with yes for the tokens that
//! [`Vault::service_account_token`](super::Vault::service_account_token) made, or, where keys are configured, for those
//! that one of them signed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Call, Desk, Operation, Outcome, Refusal, Reply, Voice,
    auth::Person,
    call::{flag_of, text_of},
    mount::Method,
    token_fields::TokenFields,
};
use crate::{
    canary::Kind,
    encoding::unix_seconds,
    jwt::{self, PublicKey, RsaKey},
    random,
};

/// The issuer of a cluster that was not told otherwise; also the audience of its tokens.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What is allowed for clocks that differ.
const SKEW: u64 = 60;

/// For how long a token is good: an hour, as a pod gets it.
const LIFETIME: u64 = 3600;

/// What one mount knows.
#[derive(Default)]
pub(super) struct Kubernetes {
    config: Option<Map<String, Value>>,
    pub(super) roles: BTreeMap<String, Role>,
}

#[derive(Clone, Default)]
pub(super) struct Role {
    names: Vec<String>,
    namespaces: Vec<String>,
    selector: String,
    audience: String,
    by_name: bool,
    token: TokenFields,
}

impl Kubernetes {
    pub(super) fn answer(&mut self, call: &Call, rest: &str, voice: Voice) -> Outcome {
        let is_write = call.operation.is_write();
        let name = rest.strip_prefix("role/").unwrap_or_default().to_lowercase();
        match (rest, call.operation) {
            ("config", Operation::Read) => self
                .config
                .as_ref()
                .map(|config| Reply::data(describe(config, voice)))
                .ok_or_else(Refusal::not_found),
            ("config", _) if is_write => {
                if call.text("kubernetes_host").is_empty() {
                    return Err(Refusal::bad("no host provided"));
                }
                if call.text("kubernetes_ca_cert").is_empty() {
                    return Err(Refusal::bad(if call.flag("disable_local_ca_jwt") {
                        "kubernetes_ca_cert must be given when disable_local_ca_jwt is true"
                    } else {
                        "open /var/run/secrets/kubernetes.io/serviceaccount/ca.crt: no such file or directory"
                    }));
                }
                self.config = Some(call.data.clone());
                Ok(Reply::nothing())
            }
            ("role" | "role/", Operation::List) => Reply::keys(self.roles.keys().cloned()),
            ("config" | "role" | "role/", _) => Err(Refusal::unsupported_operation()),
            _ if name.is_empty() => Err(Refusal::unsupported_path()),
            (_, Operation::Read) => {
                let role = self.roles.get(&name).ok_or_else(Refusal::not_found)?;
                Ok(Reply::data(role.describe(voice)))
            }
            (_, Operation::Delete) => {
                self.roles.remove(&name);
                Ok(Reply::nothing())
            }
            _ if is_write => {
                let role = Role::read(call, self.roles.get(&name).cloned())?;
                self.roles.insert(name, role);
                Ok(Reply::nothing())
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }

    /// The keys of the configuration; the cluster's own where there are none.
    fn keys(&self) -> Option<Vec<PublicKey>> {
        let pem = super::call::list_of(self.config.as_ref()?.get("pem_keys"));
        Some(if pem.is_empty() {
            PublicKey::of_pem(&RsaKey::CLUSTER.pem()).into_iter().collect()
        } else {
            pem.iter().filter_map(|pem| PublicKey::of_pem(pem)).collect()
        })
    }
}

fn describe(config: &Map<String, Value>, voice: Voice) -> Value {
    let text = |name: &str| text_of(config.get(name));
    let mut described = json!({
        "disable_iss_validation": config.get("disable_iss_validation").is_none_or(|flag| flag_of(Some(flag))),
        "disable_local_ca_jwt": flag_of(config.get("disable_local_ca_jwt")),
        "issuer": text("issuer"),
        "kubernetes_ca_cert": text("kubernetes_ca_cert"),
        "kubernetes_host": text("kubernetes_host"),
        "pem_keys": super::call::list_of(config.get("pem_keys")),
        "token_reviewer_jwt_set": !text("token_reviewer_jwt").is_empty(),
    });
    if voice == Voice::Vault {
        described["use_annotations_as_alias_metadata"] = false.into();
    }
    described
}

impl Role {
    fn read(call: &Call, known: Option<Self>) -> Result<Self, Refusal> {
        let mut role = known.unwrap_or_default();
        if call.data.contains_key("bound_service_account_names") {
            role.names = call.list("bound_service_account_names");
        }
        if call.data.contains_key("bound_service_account_namespaces") {
            role.namespaces = call.list("bound_service_account_namespaces");
        }
        if call.data.contains_key("bound_service_account_namespace_selector") {
            role.selector = call.text("bound_service_account_namespace_selector");
        }
        if role.names.is_empty() {
            return Err(Refusal::bad("\"bound_service_account_names\" can not be empty"));
        }
        if role.namespaces.is_empty() && role.selector.is_empty() {
            return Err(Refusal::bad(
                "\"bound_service_account_namespaces\" can not be empty if \"bound_service_account_namespace_selector\" is \
                 not set",
            ));
        }
        if call.data.contains_key("audience") {
            role.audience = call.text("audience");
        }
        if call.data.contains_key("alias_name_source") {
            role.by_name = call.text("alias_name_source") == "serviceaccount_name";
        }
        role.token = TokenFields::read(&call.data, Some(role.token))?;
        Ok(role)
    }

    fn describe(&self, voice: Voice) -> Value {
        let mut fields = self.token.describe(voice);
        let source = if self.by_name { "serviceaccount_name" } else { "serviceaccount_uid" };
        for (name, value) in [
            ("alias_name_source", json!(source)),
            ("audience", self.audience.as_str().into()),
            ("bound_service_account_names", json!(self.names)),
            ("bound_service_account_namespace_selector", self.selector.as_str().into()),
            ("bound_service_account_namespaces", json!(self.namespaces)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Value::Object(fields)
    }
}

/// A name or one of its patterns.
fn allows(bound: &[String], name: &str) -> bool {
    bound.iter().any(|bound| match bound.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => bound == name,
    })
}

/// A token as the cluster would give it to a pod.
pub(super) fn mint(
    namespace: &str,
    name: &str,
    audience: Option<&str>,
    now: std::time::SystemTime,
) -> String {
    let now = unix_seconds(now);
    let claims = json!({
        "aud": [audience.unwrap_or(ISSUER)],
        "exp": now + LIFETIME,
        "iat": now,
        "iss": ISSUER,
        "jti": random::uuid(),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": { "name": name, "uid": uid_of(namespace, name) },
        },
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    jwt::sign(&json!({"alg": "RS256", "kid": "cluster"}), &claims, &RsaKey::CLUSTER.into())
}

/// The same account has the same id every time.
fn uid_of(namespace: &str, name: &str) -> String {
    let hash = jwt::s256(&format!("{namespace}/{name}"));
    let hex: String = hash.bytes().flat_map(|byte| [byte >> 4, byte & 15]).take(32).map(hex_digit).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

impl Desk<'_> {
    /// [Login](https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login).
    pub(super) fn kubernetes_login(&mut self, call: &Call, mount: &str) -> Outcome {
        let token = call.text("jwt");
        self.plant(&token, Kind::IdToken);
        let role_name = call.text("role").to_lowercase();
        if role_name.is_empty() {
            return Err(Refusal::bad("missing role"));
        }
        if token.is_empty() {
            return Err(Refusal::bad("missing jwt"));
        }
        let Some(Method::Kubernetes(kubernetes)) = self.state.auth.get(mount).map(|mount| &mount.method)
        else {
            return Err(Refusal::no_handler(&call.path));
        };
        let role = kubernetes.roles.get(&role_name).cloned();
        let role = role.ok_or_else(|| Refusal::bad(format!("invalid role name \"{role_name}\"")))?;
        let keys = kubernetes.keys();
        let keys = keys.ok_or_else(|| Refusal::new(500, "could not load backend configuration"))?;
        let person = reviewed(&role, &role_name, &token, &keys, unix_seconds(call.now))
            .map_err(|why| Refusal::new(403, why))?;
        let reply = self.log_in(call, mount, &role.token, person)?;
        Ok(reply.ignoring(&call.data, &["role", "jwt"]))
    }
}

/// The account behind a token, or why not, in the words and the order of the servers.
fn reviewed(
    role: &Role,
    role_name: &str,
    token: &str,
    keys: &[PublicKey],
    now: u64,
) -> Result<Person, &'static str> {
    const DENIED: &str = "permission denied";
    let parts = jwt::parse(token).map_err(|_| DENIED)?;
    let claims = &parts.claims;
    if claims["exp"].as_u64().is_some_and(|expires| now > expires + SKEW) {
        return Err("invalid expiration time (exp) claim: token is expired");
    }
    let has_audience = || match &claims["aud"] {
        Value::Array(all) => all.iter().any(|one| *one == role.audience.as_str()),
        one => *one == role.audience.as_str(),
    };
    if !role.audience.is_empty() && !has_audience() {
        return Err("invalid audience (aud) claim: audience claim does not match any expected audience");
    }
    let account = &claims["kubernetes.io"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = text(&account["namespace"]);
    let (name, uid) = (text(&account["serviceaccount"]["name"]), text(&account["serviceaccount"]["uid"]));
    if !allows(&role.names, &name) {
        return Err("service account name not authorized");
    }
    if !allows(&role.namespaces, &namespace) {
        return Err("namespace not authorized");
    }
    if !parts.is_signed_by(keys, &["RS256", "ES256"]) {
        return Err(DENIED);
    }
    let metadata = Map::from_iter([
        ("role".to_owned(), role_name.into()),
        ("service_account_name".to_owned(), name.as_str().into()),
        ("service_account_namespace".to_owned(), namespace.as_str().into()),
        ("service_account_secret_name".to_owned(), "".into()),
        ("service_account_uid".to_owned(), uid.as_str().into()),
    ]);
    let shown = format!("{namespace}-{name}");
    let alias = if role.by_name { format!("{namespace}/{name}") } else { uid };
    Ok(Person { name: alias, shown, groups: Vec::new(), metadata })
}
