//! `provision`: makes on an identity provider and a Vault what signing in needs. It looks first, changes only what
//! differs, and says what it did; run a second time it changes nothing.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use latchkey_examples::provision::{
    Admin, Auth, AuthKind, Blueprint, Client, ClientRole, Cors, Group, Keycloak, Kv, Mapper, Policy, Role,
    export, realm, vault,
};
use latchkey_examples::terminal::{Interrupt, ask};
use latchkey_examples::{
    Exit, Failure, ProviderArguments, SecretPath, Setup, VaultArguments, finish, help_after, output,
};
use latchkey_transport::Secret;

const EXAMPLES: &str = "\
Examples:
  provision                                  make what `login` needs, by the arguments' defaults
  provision plan --file provision.toml       say what would be made and changed
  provision apply --file provision.toml      make and change it
  provision check --file provision.toml      exit with 1 where anything differs
  provision export > here.toml               write down what is there, without secrets";

/// Makes on Vault or OpenBao, and on Keycloak if you like, what signing in and reading secrets needs
///
/// Looks at each thing first, changes only what differs, and prints for each of them `created`, `changed` or
/// `unchanged`. It removes nothing, and touches nothing that it was not told of. What there should be is said in a TOML
/// file (--file) or by the arguments. The Vault token comes from `VAULT_TOKEN` or a prompt, the client's secret from
/// `LATCHKEY_CLIENT_SECRET`, a file or a prompt, Keycloak's administrator from `KEYCLOAK_ADMIN` and
/// `KEYCLOAK_ADMIN_PASSWORD`; none is ever an argument. Vault itself must reach the issuer: it fetches the keys.
#[derive(Parser, Debug)]
#[command(name = "provision", version, verbatim_doc_comment, after_help = help_after(EXAMPLES))]
struct Arguments {
    /// What to do
    #[arg(value_enum, default_value_t = Action::Apply)]
    action: Action,

    /// TOML file that says what there should be, in place of the arguments
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "jwt_mount", "oidc_mount", "role", "reader",
        "management", "redirect_uris", "origins", "keycloak"])]
    file: Option<PathBuf>,

    /// KV v2 mount to make, with the secret in it
    #[arg(long, value_name = "MOUNT/PATH", default_value = "notebook-secret-kv-v2/test")]
    secret: SecretPath,

    /// JWT auth method to make, for `login --via provider`
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-jwt", value_parser = mount_name)]
    jwt_mount: String,

    /// OIDC auth method to make, for `login --via vault`
    #[arg(long, value_name = "MOUNT", default_value = "keycloak-oidc", value_parser = mount_name)]
    oidc_mount: String,

    /// Role to make in both
    #[arg(long, value_name = "NAME", default_value = "default")]
    role: String,

    /// The client's role whose holders may read, and the policy for them
    #[arg(long, value_name = "NAME", default_value = "reader", value_parser = policy_name)]
    reader: String,

    /// The client's role whose holders may write too, and the policy for them
    #[arg(long, value_name = "NAME", default_value = "management", value_parser = policy_name)]
    management: String,

    /// Address that may take the OIDC callback (may be repeated; any port is fine for this machine's own)
    #[arg(long = "redirect-uri", value_name = "URI", default_values = [
        "http://localhost:8250/oidc/callback", "http://127.0.0.1:8250/oidc/callback", "urn:ietf:wg:oauth:2.0:oob"])]
    redirect_uris: Vec<String>,

    /// Origin of a web page that may call Vault (may be repeated)
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<String>,

    /// Address of a Keycloak whose realm, client and roles to make as well; the realm is that of the issuer
    #[arg(long, value_name = "URL")]
    keycloak: Option<String>,

    /// Say what would be done, and do nothing: the same as `plan`
    #[arg(long, visible_alias = "plan")]
    dry_run: bool,

    #[command(flatten)]
    provider: ProviderArguments,

    #[command(flatten)]
    vault: VaultArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Say what would be done, and do nothing
    Plan,
    /// Make what is missing and change what differs
    Apply,
    /// Do nothing, and exit with 1 where anything is missing or differs
    Check,
    /// Print what is there as a TOML file, without secrets
    Export,
}

/// Servers list mounts with a slash at the end, and people copy them so.
fn mount_name(name: &str) -> Result<String, String> {
    match name.trim_matches('/') {
        "" => Err("a mount has a name".into()),
        name => Ok(name.to_owned()),
    }
}

/// Every token has the policy `default`: what it allows, everybody may do. `root` cannot be written at all.
fn policy_name(name: &str) -> Result<String, String> {
    let policy = Policy { name: name.to_owned(), rules: String::new() };
    let blueprint = Blueprint { policy: vec![policy], ..Blueprint::default() };
    blueprint.check().map(|()| name.to_owned()).map_err(|failure| failure.message().to_owned())
}

impl Arguments {
    /// Two things of one name would be changed into each other with every run.
    fn check(&self) -> Result<(), Failure> {
        let twice = |what: &str| Err(Failure::new(Exit::Usage, format!("{what} must have different names")));
        if self.reader == self.management {
            return twice("--reader and --management");
        }
        if self.jwt_mount == self.oidc_mount {
            return twice("--jwt-mount and --oidc-mount");
        }
        Ok(())
    }

    /// What there should be, by the file or by the arguments.
    fn blueprint(&self) -> Result<Blueprint, Failure> {
        if let Some(file) = &self.file {
            return Blueprint::read(file);
        }
        self.check()?;
        let issuer = self.provider.issuer()?;
        let mount = self.secret.mount();
        let auth = [
            self.auth(AuthKind::Jwt, &self.jwt_mount, issuer),
            self.auth(AuthKind::Oidc, &self.oidc_mount, issuer),
        ];
        let group = |auth: &Auth, role: &String| Group {
            name: format!("{}-{role}", auth.mount.replace('/', "-")),
            policies: vec![role.clone()],
            auth: auth.mount.clone(),
            alias: role.clone(),
        };
        let groups =
            auth.iter().flat_map(|auth| [group(auth, &self.reader), group(auth, &self.management)]).collect();
        let blueprint = Blueprint {
            keycloak: self.keycloak.as_ref().map(|url| self.realm(url, issuer)).transpose()?,
            cors: (!self.origins.is_empty()).then(|| Cors { origins: self.origins.clone() }),
            kv: vec![Kv { mount: mount.to_owned(), sample: self.secret.path().to_owned() }],
            policy: vec![
                Policy { name: self.reader.clone(), rules: reader_rules(mount) },
                Policy { name: self.management.clone(), rules: management_rules(mount) },
            ],
            auth: auth.into(),
            group: groups,
            ..Blueprint::default()
        };
        blueprint.check()?;
        Ok(blueprint)
    }

    /// A way to sign in: with a token that the person already has, or driven by Vault.
    fn auth(&self, kind: AuthKind, mount: &str, issuer: &str) -> Auth {
        let (is_jwt, client) = (kind == AuthKind::Jwt, self.provider.client_id());
        // A JSON pointer (RFC 6901), in which `~` and `/` of a name are escaped.
        let pointer = client.replace('~', "~0").replace('/', "~1");
        let role = Role {
            name: self.role.clone(),
            user_claim: "sub".into(),
            // Without it, a token that the provider gave to any of its clients would do.
            audiences: if is_jwt { vec![client.to_owned()] } else { Vec::new() },
            redirect_uris: if is_jwt { Vec::new() } else { self.redirect_uris.clone() },
            scopes: if is_jwt { Vec::new() } else { vec!["email".into(), "profile".into()] },
            groups_claim: format!("/resource_access/{pointer}/roles"),
            policies: Vec::new(),
            // An hour: `login` needs a second, and revokes its token; this is for a token that was kept.
            ttl: 3600,
            no_default_policy: false,
            claims: BTreeMap::from([
                ("preferred_username".into(), "username".into()),
                ("email".into(), "email".into()),
            ]),
        };
        Auth {
            mount: mount.to_owned(),
            kind,
            issuer: issuer.to_owned(),
            client_id: if is_jwt { String::new() } else { client.to_owned() },
            client_secret_env: CLIENT_SECRET.to_owned(),
            default_role: self.role.clone(),
            role: vec![role],
        }
    }

    /// The realm of the issuer, with the client, its roles, and what puts them into its tokens.
    fn realm(&self, url: &str, issuer: &str) -> Result<Keycloak, Failure> {
        let none = || Failure::new(Exit::Usage, format!("{issuer} names no realm of a Keycloak"));
        let (_, realm) = issuer.rsplit_once("/realms/").ok_or_else(none)?;
        let id = self.provider.client_id();
        let config = [
            ("usermodel.clientRoleMapping.clientId", id),
            ("claim.name", "resource_access.${client_id}.roles"),
            ("jsonType.label", "String"),
            ("multivalued", "true"),
            ("id.token.claim", "true"),
            ("access.token.claim", "true"),
        ];
        let mapper = Mapper {
            name: "client roles".into(),
            kind: "oidc-usermodel-client-role-mapper".into(),
            config: config.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let role = |name: &String, composites: &[&String]| ClientRole {
            name: name.clone(),
            composites: composites.iter().map(|name| (*name).clone()).collect(),
        };
        let client = Client {
            id: id.to_owned(),
            public: false,
            secret_env: CLIENT_SECRET.to_owned(),
            redirect_uris: self.redirect_uris.clone(),
            web_origins: vec!["+".into()],
            role: vec![role(&self.reader, &[]), role(&self.management, &[&self.reader])],
            mapper: vec![mapper],
        };
        Ok(Keycloak { url: url.to_owned(), realm: realm.to_owned(), client: vec![client], user: Vec::new() })
    }
}

const CLIENT_SECRET: &str = "LATCHKEY_CLIENT_SECRET";

/// For those who read. Neither policy is `default`: see [`policy_name`].
fn reader_rules(mount: &str) -> String {
    format!(
        "path \"{mount}/data/*\" {{ capabilities = [\"read\"] }}\n\
         path \"{mount}/metadata/*\" {{ capabilities = [\"read\", \"list\"] }}\n"
    )
}

/// For those who write.
fn management_rules(mount: &str) -> String {
    format!(
        "path \"{mount}/data/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\"] }}\n\
         path \"{mount}/metadata/*\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\"] }}\n\
         path \"{mount}/delete/*\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/undelete/*\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/destroy/*\" {{ capabilities = [\"update\"] }}\n"
    )
}

#[tokio::main]
async fn main() -> ExitCode {
    finish(run(&Arguments::parse()).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let server = arguments.vault.connect()?;
    if arguments.action == Action::Export {
        let server = server.with_token(&arguments.vault.token(&interrupt).await?);
        let blueprint = interrupt.or(export(&server)).await?;
        return output::print(blueprint.to_toml()?.as_bytes());
    }
    let blueprint = arguments.blueprint()?;
    // The secret that the arguments are about may come from a file or a prompt; all others are named in the file.
    let client_secret = match arguments.file {
        None => arguments.provider.client_secret(&interrupt).await?,
        Some(_) => None,
    };
    let secret = |name: &str| match &client_secret {
        Some(secret) if name == CLIENT_SECRET => Some(secret.clone()),
        _ => env::var(name).ok().filter(|text| !text.is_empty()).map(Secret::from),
    };
    let server = server.with_token(&arguments.vault.token(&interrupt).await?);
    let only_looks = arguments.dry_run || arguments.action != Action::Apply;
    let mut setup = Setup::new(server, only_looks);
    interrupt.or(provision(&mut setup, arguments, &blueprint, &interrupt, &secret)).await?;
    output::print(setup.summary().as_bytes())?;
    if arguments.action == Action::Check && !setup.is_unchanged() {
        return Err(Failure::new(Exit::Refused, "something is missing or differs")
            .with_hint("`provision apply` with the same arguments brings it in order"));
    }
    Ok(())
}

async fn provision(
    setup: &mut Setup,
    arguments: &Arguments,
    blueprint: &Blueprint,
    interrupt: &Interrupt,
    secret: &impl Fn(&str) -> Option<Secret>,
) -> Result<(), Failure> {
    if let Some(keycloak) = &blueprint.realm() {
        let name = env::var("KEYCLOAK_ADMIN").unwrap_or_else(|_| "admin".to_owned());
        let password = match secret("KEYCLOAK_ADMIN_PASSWORD") {
            Some(password) => password,
            None => {
                ask("Keycloak administrator's password", "set KEYCLOAK_ADMIN_PASSWORD", interrupt).await?
            }
        };
        let admin = Admin::sign_in(arguments.provider.transport()?, &keycloak.url, &name, password).await?;
        realm(setup, &admin, keycloak, secret).await?;
    }
    vault(setup, blueprint, arguments.provider.ca_pem()?.as_deref(), secret).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Arguments, AuthKind};

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["provision"], arguments].concat())
    }

    #[test]
    fn the_policy_default_is_never_widened() {
        for name in ["default", "Default", "root", "Reader"] {
            assert!(parse(&["--reader", name]).is_err(), "{name}");
            assert!(parse(&["--management", name]).is_err(), "{name}");
        }
        assert!(parse(&["--reader", "team-reader"]).is_ok());
    }

    #[test]
    fn two_things_of_one_name_are_refused() {
        for arguments in [["--reader", "management"], ["--jwt-mount", "keycloak-oidc/"]] {
            assert!(parse(&arguments).unwrap().check().is_err(), "{arguments:?}");
        }
        assert!(parse(&[]).unwrap().check().is_ok());
    }

    #[test]
    fn a_client_whose_name_has_a_slash_is_found_in_the_claims() {
        let arguments = parse(&["--client-id", "team/a~b"]).unwrap();
        let auth = arguments.auth(AuthKind::Jwt, "m", "https://issuer.example");
        assert_eq!(auth.role[0].groups_claim, "/resource_access/team~1a~0b/roles");
    }

    #[test]
    fn the_realm_is_that_of_the_issuer() {
        let arguments = parse(&["--issuer", "https://sso.example/realms/Team"]).unwrap();
        assert_eq!(
            arguments.realm("https://sso.example", "https://sso.example/realms/Team").unwrap().realm,
            "Team"
        );
        assert!(arguments.realm("https://sso.example", "https://sso.example").is_err());
    }
}
