//! What to write to mend something: lines for a shell, or for a configuration file.
//!
//! Servers' own names and addresses stand in them, quoted so that a shell takes them for nothing else.

use latchkey_vault_client::auth::{JwtConfig, JwtRole};
use latchkey_vault_client::sys::Cors;
use url::Url;

/// A word of a shell: as it is where that is plain, quoted otherwise.
pub(super) fn word(text: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_./:=@,+".contains(sign);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// ` name=value`.
fn field(name: &str, value: &str) -> String {
    format!(" {name}={}", word(value))
}

/// `name=value` for each of the values, which a server takes for a list.
fn list<T: AsRef<str>>(name: &str, values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| field(name, value.as_ref())).collect::<Vec<_>>().concat()
}

/// Lets pages of these origins call the Vault. The ones that may already keep it, and so do the Vault's own pages:
/// what is not named is shut out.
pub(super) fn vault_cors(vault: &Url, current: Option<&Cors>, origins: &[&str]) -> String {
    let own = vault.origin().ascii_serialization();
    let mut all: Vec<&str> =
        current.iter().flat_map(|cors| &cors.allowed_origins).map(String::as_str).collect();
    for origin in origins.iter().copied().chain([own.as_str()]) {
        if !all.contains(&origin) {
            all.push(origin);
        }
    }
    format!("bao write sys/config/cors{}\n", list("allowed_origins", all))
}

/// Changes fields of a role, and keeps all its others: servers forget its type, how claims are compared and who takes
/// the answer where a write does not name them.
pub(super) fn role(mount: &str, name: &str, role: &JwtRole, fields: &str) -> String {
    let mut kept = field("role_type", &role.role_type);
    if role.bound_claims_type == "glob" {
        kept += " bound_claims_type=glob";
    }
    if !matches!(role.callback_mode.as_str(), "" | "client") {
        kept += &field("callback_mode", &role.callback_mode);
    }
    format!("bao write {}{kept}{fields}\n", word(&format!("auth/{mount}/role/{name}")))
}

/// Lets a JWT role take these audiences.
pub(super) fn audiences(mount: &str, name: &str, found: &JwtRole, audiences: &[&str]) -> String {
    role(mount, name, found, &list("bound_audiences", audiences))
}

/// Lets an OIDC role send people back to these addresses, beside those that it allows already.
pub(super) fn redirects(mount: &str, name: &str, found: Option<&JwtRole>, missing: &[&str]) -> String {
    match found {
        Some(found) => {
            let all = found.allowed_redirect_uris.iter().map(String::as_str).chain(missing.iter().copied());
            role(mount, name, found, &list("allowed_redirect_uris", all))
        }
        // What is allowed already has to be named again, and nobody here may read it.
        None => format!(
            "bao read -field=allowed_redirect_uris {path}\n\
             bao write {path} role_type=oidc{}  # and those above\n",
            list("allowed_redirect_uris", missing),
            path = word(&format!("auth/{mount}/role/{name}")),
        ),
    }
}

/// Lets an auth method trust the issuer. The configuration is written as a whole, and nobody can read the client's secret.
pub(super) fn trust(mount: &str, found: Option<&JwtConfig>, issuer: &str) -> String {
    let mut fields = field("oidc_discovery_url", issuer);
    if let Some(found) = found {
        for (name, value) in [
            ("default_role", &found.default_role),
            ("oidc_discovery_ca_pem", &found.oidc_discovery_ca_pem),
            ("oidc_client_id", &found.oidc_client_id),
            ("oidc_response_mode", &found.oidc_response_mode),
        ] {
            if !value.is_empty() {
                fields += &field(name, value);
            }
        }
        fields += &list("jwt_supported_algs", &found.jwt_supported_algs);
        if !found.bound_issuer.is_empty() {
            fields += &field("bound_issuer", issuer);
        }
        if !found.oidc_client_id.is_empty() {
            fields += r#" oidc_client_secret="$LATCHKEY_CLIENT_SECRET""#;
        }
    }
    format!("bao write {}{fields}\n", word(&format!("auth/{mount}/config")))
}

/// What a client of a Keycloak is told with.
pub(super) fn keycloak_client(issuer: &str, client_id: &str, field: &str, values: &[&str]) -> String {
    let (server, realm) = issuer.rsplit_once("/realms/").unwrap_or(("SERVER", "REALM"));
    let (server, realm, query) = (word(server), word(realm), word(&format!("clientId={client_id}")));
    let added = values.iter().map(|value| format!(" -s {}", word(&format!("{field}+={value}"))));
    format!(
        "kcadm.sh config credentials --server {server} --realm master --user admin    # asks for the password\n\
         id=$(kcadm.sh get clients -r {realm} -q {query} --fields id --format csv --noquotes)\n\
         kcadm.sh update \"clients/$id\" -r {realm}{}\n",
        added.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(json: &str) -> JwtRole {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_word_is_nothing_else_to_a_shell() {
        assert_eq!(word("https://hub.example:8000/x"), "https://hub.example:8000/x");
        for text in ["", "a b", "$(id)", "`id`", "it's", "a;b", "*", "a\nb", "~", "#", "!x", "юзер"] {
            let quoted = word(text);
            let script = format!("printf %s {quoted}");
            let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{quoted}");
        }
    }

    #[test]
    fn the_vaults_own_pages_and_those_that_may_already_keep_it() {
        let vault: Url = "https://vault.example:8200/proxy".parse().unwrap();
        let current: Cors =
            serde_json::from_str(r#"{"enabled":true,"allowed_origins":["https://old.example"]}"#).unwrap();
        assert_eq!(
            vault_cors(&vault, Some(&current), &["https://hub.example"]),
            "bao write sys/config/cors allowed_origins=https://old.example allowed_origins=https://hub.example \
             allowed_origins=https://vault.example:8200\n"
        );
    }

    #[test]
    fn what_a_write_would_forget_is_named_again() {
        let found = role_of(
            r#"{"role_type":"oidc","bound_claims_type":"glob","callback_mode":"direct","allowed_redirect_uris":["a"]}"#,
        );
        assert_eq!(
            redirects("m", "r", Some(&found), &["b"]),
            "bao write auth/m/role/r role_type=oidc bound_claims_type=glob callback_mode=direct \
             allowed_redirect_uris=a allowed_redirect_uris=b\n"
        );
    }

    #[test]
    fn the_secret_of_a_client_is_a_variable() {
        let found: JwtConfig = serde_json::from_str(
            r#"{"oidc_client_id":"vault-oidc","bound_issuer":"https://id/","default_role":"r"}"#,
        )
        .unwrap();
        assert_eq!(
            trust("m", Some(&found), "https://id"),
            "bao write auth/m/config oidc_discovery_url=https://id default_role=r oidc_client_id=vault-oidc \
             bound_issuer=https://id oidc_client_secret=\"$LATCHKEY_CLIENT_SECRET\"\n"
        );
    }
}
