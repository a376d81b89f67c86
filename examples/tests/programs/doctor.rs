//! `doctor`: nothing is found where everything is well, and each break is found, and nothing else.

use latchkey_testbed::{Clock, Served, World, serve};
use latchkey_tests::{Backend, OwnOpenBao, Place, PlayedHub, READER, behaviours};
use latchkey_transport::Method;
use serde_json::{Value, json};
use std::time::Duration;

use crate::doctor_fixes::Shell;
use crate::support::{Done, Ground, TURN, ground, program, provision};

/// What cannot be broken on the real servers without breaking them for everybody.
const NOBODY_BREAKS: &str = "the real servers do not do that on request";

behaviours! {
    doctor_finds_nothing_where_everything_is_well,
    doctor_looks_without_a_token_too,
    doctor_finds_a_redirect_address_that_the_role_lacks,
    doctor_finds_a_redirect_address_that_the_client_lacks,
    doctor_finds_pages_that_the_vault_shuts_out,
    doctor_finds_pages_that_the_provider_shuts_out,
    doctor_finds_a_slash_too_many_in_the_issuer,
    doctor_finds_a_slash_too_many_in_the_vault,
    doctor_finds_a_default_policy_that_opens_secrets,
    doctor_finds_a_role_without_the_clients_audience,
    doctor_finds_tokens_that_live_for_weeks,
    doctor_finds_a_wrong_client_secret,
    doctor_finds_a_dead_token,
    doctor_finds_what_a_token_may_not_see,
    #[not_on(Place::Real, NOBODY_BREAKS)]
    doctor_finds_clocks_that_are_apart,
    doctor_finds_a_sealed_vault,
    doctor_finds_servers_that_are_down,
    doctor_finds_what_a_hub_does_not_show,
}

/// What `doctor` found.
pub struct Found {
    done: Done,
    report: Value,
}

impl Found {
    /// The checks that did not end well, by name.
    pub fn troubles(&self) -> Vec<&str> {
        let is_trouble = |finding: &&Value| !matches!(finding["outcome"].as_str(), Some("ok" | "skipped"));
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().filter(is_trouble).map(|finding| finding["check"].as_str().unwrap()).collect()
    }

    pub fn finding(&self, check: &str) -> &Value {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["check"] == check).unwrap()
    }

    pub fn fix(&self, check: &str) -> String {
        self.finding(check)["fix"].as_str().unwrap().to_owned()
    }

    /// This check found something, no other did, and the exit code says so.
    pub fn assert_only(&self, check: &str, code: i32) {
        assert_eq!((self.troubles(), self.done.code), (vec![check], Some(code)), "{:?}", self.done);
        assert!(!self.fix(check).is_empty());
    }

    pub fn assert_nothing(&self) {
        assert_eq!((self.troubles(), self.done.code), (vec![], Some(0)), "{:?}", self.done);
        assert_eq!(self.report["worst"], "ok");
    }
}

/// Runs `doctor` with the root token, for JSON and for people; neither has a secret in it.
pub async fn doctor(backend: &Backend, arguments: &[&str], environment: &[(&str, &str)]) -> Found {
    let run = async |arguments: &[&str]| {
        let mut command = program(backend, env!("CARGO_BIN_EXE_doctor"), arguments);
        // Opened for a program of ours, which is told so.
        command.env("VAULT_TOKEN", backend.root.expose_secret()).envs(environment.iter().copied());
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Done { code: output.status.code(), stdout: output.stdout, stderr }
    };
    let done = run(&[arguments, &["--json"]].concat()).await;
    let people = run(arguments).await;
    assert_eq!(people.code, done.code, "{people:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
    for finding in report["findings"].as_array().unwrap() {
        assert!(people.text().contains(finding["check"].as_str().unwrap()), "{people:?}");
    }
    let secrets = environment.iter().filter(|(name, _)| name.ends_with("TOKEN") || name.ends_with("SECRET"));
    for secret in secrets.map(|(_, value)| *value).chain([backend.client_secret.expose_secret(), "r3fresh"]) {
        for text in [done.text(), people.text(), done.stderr.clone(), people.stderr.clone()] {
            assert!(secret.is_empty() || !text.contains(secret), "a secret: {text}");
        }
    }
    Found { done, report }
}

async fn found(ground: &Ground, arguments: &[&str]) -> Found {
    doctor(&ground.backend, arguments, &[]).await
}

/// Runs a fix as it stands, with the command-line client of the real server. Where only the doubles are, that client need
/// not be installed, and nothing is run.
async fn mends(ground: &Ground, fix: &str, arguments: &[&str]) {
    if ground.backend.place == Place::Real {
        Shell::new(&ground.backend).run(fix).await;
        found(ground, arguments).await.assert_nothing();
    }
}

impl Ground {
    async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        self.backend.admin(method, path, body).await.unwrap()
    }

    /// The role as `provision` makes it, whatever was done to it.
    pub async fn make_role_anew(&self, mount: &str) {
        self.admin(Method::Delete, &format!("auth/{mount}/role/default"), Value::Null).await;
        assert!(provision(&self.backend, &[]).await.is_success());
    }
}

async fn doctor_finds_nothing_where_everything_is_well(backend: Backend) {
    let ground = ground(backend).await;
    let page = format!("https://{}.example", ground.backend.unique("page"));
    assert!(provision(&ground.backend, &["--allow-origin", &page]).await.is_success());
    let well = found(&ground, &["--allow-origin", &page]).await;
    let no_cors = ground.backend.admin(Method::Delete, "sys/config/cors", Value::Null).await;
    no_cors.unwrap();
    well.assert_nothing();
    // Everything that could be asked was: a page that fetches tokens needs a public client, and no hub started this.
    let skipped = |check: &str| well.finding(check)["outcome"] == "skipped";
    for check in ["provider-cors", "hub-scopes", "hub-id-token"] {
        assert!(skipped(check), "{check}");
    }
    for check in
        ["provider-redirect", "vault-cors", "vault-trust", "vault-audience", "vault-redirect", "token-ttl"]
    {
        assert!(!skipped(check), "{check}: {}", well.report);
    }
}

async fn doctor_looks_without_a_token_too(backend: Backend) {
    let ground = ground(backend).await;
    let looked = doctor(&ground.backend, &[], &[("VAULT_TOKEN", "")]).await;
    looked.assert_nothing();
    assert_eq!(looked.finding("vault-redirect")["outcome"], "ok");
    assert_eq!(looked.finding("vault-trust")["outcome"], "skipped");
    let other = doctor(
        &ground.backend,
        &["--redirect-uri", "http://localhost:8250/nobody/knows"],
        &[("VAULT_TOKEN", "")],
    )
    .await;
    other.assert_only("vault-redirect", 1);
    assert!(other.fix("vault-redirect").contains("bao read -field=allowed_redirect_uris"));
}

async fn doctor_finds_a_redirect_address_that_the_role_lacks(backend: Backend) {
    let ground = ground(backend).await;
    let arguments = ["--redirect-uri", "http://localhost:8250/other/callback"];
    let lacking = found(&ground, &arguments).await;
    lacking.assert_only("vault-redirect", 1);
    // Those that are allowed already stay.
    let fix = lacking.fix("vault-redirect");
    assert!(fix.contains("http://localhost:8250/oidc/callback") && fix.contains(arguments[1]), "{fix}");
    mends(&ground, &fix, &arguments).await;
    ground.make_role_anew("keycloak-oidc").await;
}

async fn doctor_finds_a_redirect_address_that_the_client_lacks(backend: Backend) {
    let ground = ground(backend).await;
    let arguments = ["--redirect-uri", "https://other.example/callback"];
    assert!(provision(&ground.backend, &arguments).await.is_success());
    let lacking = found(&ground, &arguments).await;
    ground.make_role_anew("keycloak-oidc").await;
    lacking.assert_only("provider-redirect", 1);
    let fix = lacking.fix("provider-redirect");
    assert!(fix.starts_with("kcadm.sh config credentials --server "), "{fix}");
    assert!(
        fix.contains("-r HashiCorp") && fix.contains("redirectUris+=https://other.example/callback"),
        "{fix}"
    );
}

async fn doctor_finds_pages_that_the_vault_shuts_out(backend: Backend) {
    let ground = ground(backend).await;
    let page = format!("https://{}.example", ground.backend.unique("page"));
    // Nobody may call, or somebody else may: both shut this page out.
    for others in [&[][..], &["--allow-origin", "https://others.example"]] {
        assert!(provision(&ground.backend, others).await.is_success());
        let shut_out = found(&ground, &["--allow-origin", &page]).await;
        shut_out.assert_only("vault-cors", 1);
        let fix = shut_out.fix("vault-cors");
        assert_eq!(fix.contains("https://others.example"), !others.is_empty(), "{fix}");
        mends(&ground, &fix, &["--allow-origin", &page]).await;
        ground.admin(Method::Delete, "sys/config/cors", Value::Null).await;
    }
}

/// A provider with a public client called `page`, which pages of one origin may use. The doubles end with the value.
pub async fn with_a_public_client(backend: &Backend, origin: &str) -> (String, String, Option<Served>) {
    if backend.place != Place::Real {
        let world = World::builder().clock(Clock::system()).public_client("page").web_origin(origin);
        let served = serve(world, 0, 0).await.unwrap();
        return (served.world().issuer(), "page".into(), Some(served));
    }
    let (id, folder) = (backend.unique("page"), tempfile::tempdir().unwrap());
    let keycloak = backend.issuer.split("/realms/").next().unwrap();
    let text = format!(
        "[keycloak]\nurl = \"{keycloak}\"\nrealm = \"HashiCorp\"\n[[keycloak.client]]\nid = \"{id}\"\npublic = true\n\
         redirect_uris = [\"http://localhost:8250/oidc/callback\"]\nweb_origins = [\"{origin}\"]\n"
    );
    let file = folder.path().join("page.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = program(backend, env!("CARGO_BIN_EXE_provision"), &["--file", file.to_str().unwrap()]);
    command.env("VAULT_TOKEN", backend.root.expose_secret());
    command.env("KEYCLOAK_ADMIN_PASSWORD", std::env::var("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD").unwrap());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (backend.issuer.clone(), id, None)
}

async fn doctor_finds_pages_that_the_provider_shuts_out(backend: Backend) {
    let _turn = TURN.lock().await;
    let (issuer, id, _served) = with_a_public_client(&backend, "https://hub.example").await;
    let looks = async |origin: &str| {
        let mut arguments = vec!["--public-client", "--client-id", &id, "--issuer", &issuer];
        // A Vault that knows nothing of that client, and everybody's pages: only the provider counts here.
        arguments.extend(["--jwt-mount", "", "--oidc-mount", "", "--allow-origin", origin]);
        doctor(&backend, &arguments, &[]).await
    };
    backend.admin(Method::Post, "sys/config/cors", json!({"allowed_origins": "*"})).await.unwrap();
    let (allowed, shut_out) = (looks("https://hub.example").await, looks("https://other.example").await);
    backend.admin(Method::Delete, "sys/config/cors", Value::Null).await.unwrap();
    allowed.assert_nothing();
    assert_eq!(allowed.finding("provider-cors")["outcome"], "ok");
    shut_out.assert_only("provider-cors", 1);
    assert!(shut_out.fix("provider-cors").contains("webOrigins+=https://other.example"));
}

async fn doctor_finds_a_slash_too_many_in_the_issuer(backend: Backend) {
    let ground = ground(backend).await;
    let issuer = format!("{}/", ground.backend.issuer);
    let spelt = doctor(&ground.backend, &[], &[("LATCHKEY_ISSUER", &issuer)]).await;
    spelt.assert_only("provider-issuer", 1);
    assert_eq!(spelt.fix("provider-issuer"), format!("export LATCHKEY_ISSUER={}\n", ground.backend.issuer));
}

async fn doctor_finds_a_slash_too_many_in_the_vault(backend: Backend) {
    let ground = ground(backend).await;
    let issuer = &ground.backend.issuer;
    for mount in ["keycloak-jwt", "keycloak-oidc"] {
        let mut config = json!({"oidc_discovery_url": issuer, "default_role": "default"});
        if mount == "keycloak-oidc" {
            config["oidc_client_id"] = json!(ground.backend.client_id);
            config["oidc_client_secret"] = json!(ground.backend.client_secret.expose_secret());
        }
        let path = format!("auth/{mount}/config");
        let mut broken = config.clone();
        broken["bound_issuer"] = json!(format!("{issuer}/"));
        ground.admin(Method::Post, &path, broken).await;
        let apart = found(&ground, &[]).await;
        apart.assert_only("vault-trust", 1);
        mends(&ground, &apart.fix("vault-trust"), &[]).await;
        ground.admin(Method::Post, &path, config).await;
    }
}

async fn doctor_finds_a_default_policy_that_opens_secrets(backend: Backend) {
    let ground = ground(backend).await;
    let path = "sys/policies/acl/default";
    let rules =
        ground.admin(Method::Get, path, Value::Null).await["data"]["policy"].as_str().unwrap().to_owned();
    let wide = format!("{rules}\npath \"notebook-secret-kv-v2/data/*\" {{ capabilities = [\"read\"] }}\n");
    ground.admin(Method::Put, path, json!({ "policy": wide })).await;
    let wide = found(&ground, &[]).await;
    ground.admin(Method::Put, path, json!({ "policy": rules })).await;
    wide.assert_only("default-policy", 1);
    assert_eq!(wide.finding("default-policy")["facts"]["opens"], "notebook-secret-kv-v2/data/*");
    found(&ground, &[]).await.assert_nothing();
}

async fn doctor_finds_a_role_without_the_clients_audience(backend: Backend) {
    let ground = ground(backend).await;
    for audiences in [json!([]), json!(["account"])] {
        let role = json!({"role_type": "jwt", "bound_audiences": audiences, "bound_claims": {"azp": "vault-*"},
            "bound_claims_type": "glob"});
        ground.admin(Method::Post, "auth/keycloak-jwt/role/default", role).await;
        let lacking = found(&ground, &[]).await;
        lacking.assert_only("vault-audience", 1);
        mends(&ground, &lacking.fix("vault-audience"), &[]).await;
        let after = ground.admin(Method::Get, "auth/keycloak-jwt/role/default", Value::Null).await;
        assert_eq!(after["data"]["bound_claims_type"], "glob", "the fix keeps what it is not about");
    }
    ground.make_role_anew("keycloak-jwt").await;
}

async fn doctor_finds_tokens_that_live_for_weeks(backend: Backend) {
    let ground = ground(backend).await;
    for (mount, kind) in [("keycloak-jwt", "jwt"), ("keycloak-oidc", "oidc")] {
        let role = json!({"role_type": kind, "token_ttl": "800h"});
        ground.admin(Method::Post, &format!("auth/{mount}/role/default"), role).await;
        let long = found(&ground, &[]).await;
        long.assert_only("token-ttl", 5);
        assert_eq!(long.report["worst"], "warning");
        mends(&ground, &long.fix("token-ttl"), &[]).await;
        ground.make_role_anew(mount).await;
    }
}

async fn doctor_finds_a_wrong_client_secret(backend: Backend) {
    let ground = ground(backend).await;
    let wrong = doctor(&ground.backend, &[], &[("LATCHKEY_CLIENT_SECRET", "not-the-s3cret")]).await;
    wrong.assert_only("provider-client", 1);
}

async fn doctor_finds_a_dead_token(backend: Backend) {
    let ground = ground(backend).await;
    doctor(&ground.backend, &[], &[("VAULT_TOKEN", "s.this-one-has-ended")])
        .await
        .assert_only("vault-token", 1);
}

/// The policy that README gives `doctor` shows it everything; a token without it is told what is missing, and that is no
/// fault of the set-up.
async fn doctor_finds_what_a_token_may_not_see(backend: Backend) {
    let ground = ground(backend).await;
    let readme = include_str!("../../README.md");
    let rules = readme.split("# doctor.hcl\n").nth(1).unwrap().split("```").next().unwrap();
    let name = ground.backend.unique("doctor");
    ground.admin(Method::Put, &format!("sys/policies/acl/{name}"), json!({ "policy": rules })).await;
    for (policies, expected) in [(json!([name]), "ok"), (json!(["default"]), "skipped")] {
        let made = ground.admin(Method::Post, "auth/token/create", json!({ "policies": policies })).await;
        let token = made["auth"]["client_token"].as_str().unwrap();
        let looked = doctor(&ground.backend, &[], &[("VAULT_TOKEN", token)]).await;
        looked.assert_nothing();
        for check in ["default-policy", "vault-trust", "vault-audience", "token-ttl"] {
            assert_eq!(looked.finding(check)["outcome"], expected, "{check}: {}", looked.report);
        }
    }
}

async fn doctor_finds_clocks_that_are_apart(backend: Backend) {
    let ground = ground(backend).await;
    ground.backend.advance(Duration::from_secs(600));
    let apart = found(&ground, &[]).await;
    apart.assert_only("clock", 1);
    assert_eq!(apart.finding("clock")["facts"]["behind"], "this machine");
}

async fn doctor_finds_a_sealed_vault(backend: Backend) {
    let sealed = if backend.place == Place::Real {
        let own = OwnOpenBao::start().await.unwrap();
        own.seal().await.unwrap();
        doctor(&backend, &[], &[("VAULT_ADDR", own.address().as_str())]).await
    } else {
        backend.admin(Method::Put, "sys/seal", Value::Null).await.unwrap();
        doctor(&backend, &[], &[]).await
    };
    sealed.assert_only("vault-health", 3);
    assert_eq!(sealed.fix("vault-health"), "bao operator unseal\n");
}

async fn doctor_finds_servers_that_are_down(backend: Backend) {
    let ground = ground(backend).await;
    // Port 1 of this machine: nobody answers.
    let down = doctor(&ground.backend, &[], &[("VAULT_ADDR", "http://127.0.0.1:1")]).await;
    down.assert_only("vault-reachable", 3);
    let down = doctor(&ground.backend, &[], &[("LATCHKEY_ISSUER", "http://127.0.0.1:1/realms/r")]).await;
    down.assert_only("provider-reachable", 3);
    // Somebody answers, and is no provider.
    let other = ground.backend.vault_address.as_str().trim_end_matches('/').to_owned();
    let down = doctor(&ground.backend, &[], &[("LATCHKEY_ISSUER", &other)]).await;
    down.assert_only("provider-reachable", 3);
}

async fn doctor_finds_what_a_hub_does_not_show(backend: Backend) {
    let ground = ground(backend).await;
    let asks = async |hub: &PlayedHub, token: &str| {
        let environment = [
            ("JUPYTERHUB_API_URL", hub.address()),
            ("JUPYTERHUB_API_TOKEN", token),
            ("JUPYTERHUB_USER", "reader"),
        ];
        doctor(&ground.backend, &[], &environment).await
    };
    let hides = PlayedHub::showing(json!({"name": "reader"})).await.unwrap();
    let hidden = asks(&hides, PlayedHub::TOKEN).await;
    hidden.assert_only("hub-scopes", 1);
    assert!(hidden.fix("hub-scopes").contains("admin:auth_state!user"));
    let keeps_none = PlayedHub::showing(json!({"name": "reader", "auth_state": null})).await.unwrap();
    let off = asks(&keeps_none, PlayedHub::TOKEN).await;
    off.assert_only("hub-scopes", 1);
    assert!(off.fix("hub-scopes").contains("enable_auth_state = True"));
    asks(&keeps_none, "another-t0ken").await.assert_only("hub-scopes", 1);
    asks(&PlayedHub::at("http://127.0.0.1:1/hub/api"), "t0ken").await.assert_only("hub-scopes", 3);
    asks(&PlayedHub::with("nonsense").await.unwrap(), PlayedHub::TOKEN).await.assert_only("hub-id-token", 1);
    if ground.backend.place == Place::Real {
        return;
    }
    let token = ground.backend.world().provider().id_token(READER.name);
    asks(&PlayedHub::with(&token).await.unwrap(), PlayedHub::TOKEN).await.assert_nothing();
}
