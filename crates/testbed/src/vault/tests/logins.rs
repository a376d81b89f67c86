//! Userpass, `AppRole` and Kubernetes. The texts were observed on OpenBao 2.7.2.

use super::*;

fn login(bench: &Bench, path: &str, body: &Value) -> (u16, Value) {
    bench.ask("", "POST", path, body)
}

#[test]
fn a_name_and_a_password_log_in_whatever_the_case_of_the_name() {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/userpass", &json!({"type": "userpass"}));
    let user = json!({"password": "pass-of-anna", "token_policies": ["Default", "x"], "token_ttl": "1h"});
    assert_eq!(bench.root("POST", "auth/userpass/users/Anna", &user).0, 204);
    let (status, reply) = login(&bench, "auth/userpass/login/ANNA", &json!({"password": "pass-of-anna"}));
    let auth = &reply["auth"];
    assert_eq!((status, &auth["metadata"]), (200, &json!({"username": "anna"})));
    assert_eq!((&auth["policies"], &auth["lease_duration"]), (&json!(["default", "x"]), &json!(3600)));
    assert_eq!(auth["orphan"], true);
    let (_, looked_up) = bench.ask(&client_token(&reply), "GET", "auth/token/lookup-self", &Value::Null);
    assert_eq!(looked_up["data"]["display_name"], "userpass-anna");
    assert_eq!(bench.world.canary().find_in("pass-of-anna"), Some(Kind::Password));
}

#[test]
fn the_errors_of_userpass_are_the_servers() {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/userpass", &json!({"type": "userpass"}));
    let no_password = "must provide either password or password_hash";
    assert_error(&bench.root("POST", "auth/userpass/users/a", &json!({})), 400, no_password);
    bench.root("POST", "auth/userpass/users/a", &json!({"password": "right"}));
    for (path, body, status, text) in [
        ("a", json!({"password": "wrong"}), 400, "invalid username or password"),
        ("nobody", json!({"password": "right"}), 400, "invalid username or password"),
        ("a", json!({}), 500, "missing password"),
    ] {
        assert_error(&login(&bench, &format!("auth/userpass/login/{path}"), &body), status, text);
    }
    let gone = bench.root("POST", "auth/userpass/users/nobody/password", &json!({"password": "x"}));
    assert_error(&gone, 500, "1 error occurred:\n\t* username does not exist\n\n");
}

#[test]
fn a_changed_password_replaces_the_old_one_and_keeps_the_policies() {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/userpass", &json!({"type": "userpass"}));
    bench.root("POST", "auth/userpass/users/a", &json!({"password": "one", "token_policies": "x"}));
    bench.root("POST", "auth/userpass/users/a/password", &json!({"password": "two"}));
    assert_eq!(login(&bench, "auth/userpass/login/a", &json!({"password": "one"})).0, 400);
    let (_, reply) = login(&bench, "auth/userpass/login/a", &json!({"password": "two"}));
    assert_eq!(reply["auth"]["token_policies"], json!(["default", "x"]));
}

fn with_approle() -> (Bench, String) {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/approle", &json!({"type": "approle"}));
    let role = json!({"token_policies": ["x"], "secret_id_num_uses": 2, "secret_id_ttl": "10m"});
    assert_eq!(bench.root("POST", "auth/approle/role/app", &role).0, 204);
    let role_id =
        bench.read("auth/approle/role/app/role-id").1["data"]["role_id"].as_str().unwrap().to_owned();
    (bench, role_id)
}

fn secret_id(bench: &Bench) -> String {
    let (_, reply) =
        bench.root("POST", "auth/approle/role/app/secret-id", &json!({"metadata": "{\"k\":\"v\"}"}));
    reply["data"]["secret_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_secret_id_logs_in_as_often_as_the_role_says() {
    let (bench, role_id) = with_approle();
    let body = json!({"role_id": role_id, "secret_id": secret_id(&bench)});
    let (status, reply) = login(&bench, "auth/approle/login", &body);
    assert_eq!((status, &reply["auth"]["metadata"]), (200, &json!({"k": "v", "role_name": "app"})));
    assert_eq!(reply["auth"]["token_policies"], json!(["default", "x"]));
    assert_eq!(login(&bench, "auth/approle/login", &body).0, 200);
    assert_error(&login(&bench, "auth/approle/login", &body), 400, "invalid role or secret ID");
}

#[test]
fn a_secret_id_ends_with_its_time() {
    let (bench, role_id) = with_approle();
    let body = json!({"role_id": role_id, "secret_id": secret_id(&bench)});
    bench.pass(600);
    assert_error(&login(&bench, "auth/approle/login", &body), 400, "invalid role or secret ID");
}

#[test]
fn the_errors_of_approle_are_the_servers() {
    let (bench, role_id) = with_approle();
    let secret = secret_id(&bench);
    for (body, status, text) in [
        (json!({"role_id": role_id, "secret_id": "bad"}), 400, "invalid role or secret ID"),
        (json!({"role_id": "bad", "secret_id": secret}), 400, "invalid role or secret ID"),
        (json!({"role_id": role_id}), 400, "missing secret_id"),
        (json!({"secret_id": secret}), 500, "missing role_id"),
    ] {
        assert_error(&login(&bench, "auth/approle/login", &body), status, text);
    }
    let none = bench.root("POST", "auth/approle/role/none/secret-id", &json!({}));
    assert_error(&none, 404, "role \"none\" does not exist");
    let open = bench.root("POST", "auth/approle/role/open", &json!({"bind_secret_id": false}));
    assert_error(
        &open,
        500,
        "1 error occurred:\n\t* at least one constraint should be enabled on the role\n\n",
    );
}

fn with_kubernetes() -> Bench {
    let bench = Bench::new(Voice::OpenBao);
    bench.root("POST", "sys/auth/kubernetes", &json!({"type": "kubernetes"}));
    let role = json!({
        "bound_service_account_names": ["hub"], "bound_service_account_namespaces": ["jupyter-*"],
        "token_policies": ["x"],
    });
    assert_eq!(bench.root("POST", "auth/kubernetes/role/pod", &role).0, 204);
    bench
}

fn configure_kubernetes(bench: &Bench) {
    let config =
        json!({"kubernetes_host": "https://10.0.0.1", "kubernetes_ca_cert": "-----BEGIN CERTIFICATE-----"});
    assert_eq!(bench.root("POST", "auth/kubernetes/config", &config).0, 204);
}

#[test]
fn the_token_of_a_service_account_logs_in() {
    let bench = with_kubernetes();
    configure_kubernetes(&bench);
    let jwt = bench.world.vault().service_account_token("jupyter-a", "hub", None);
    let (status, reply) = login(&bench, "auth/kubernetes/login", &json!({"role": "POD", "jwt": jwt}));
    assert_eq!(status, 200, "{reply}");
    let metadata = &reply["auth"]["metadata"];
    assert_eq!((&metadata["role"], &metadata["service_account_name"]), (&json!("pod"), &json!("hub")));
    assert_eq!(metadata["service_account_namespace"], "jupyter-a");
    assert_eq!(metadata["service_account_uid"].as_str().unwrap().len(), 36);
}

#[test]
fn a_service_account_that_is_not_bound_is_refused_in_the_servers_words() {
    let bench = with_kubernetes();
    configure_kubernetes(&bench);
    let mint = |namespace: &str, name: &str| bench.world.vault().service_account_token(namespace, name, None);
    let good = mint("jupyter-a", "hub");
    let broken = format!("{}.{}", good.rsplit_once('.').unwrap().0, crate::encoding::base64url(&[7; 256]));
    for (role, jwt, status, text) in [
        ("", good.as_str(), 400, "missing role"),
        ("pod", "", 400, "missing jwt"),
        ("none", &good, 400, "invalid role name \"none\""),
        ("pod", "no-token", 403, "permission denied"),
        ("pod", &broken, 403, "permission denied"),
        ("pod", &mint("jupyter-a", "other"), 403, "service account name not authorized"),
        ("pod", &mint("other", "hub"), 403, "namespace not authorized"),
    ] {
        let body = json!({"role": role, "jwt": jwt});
        assert_error(&login(&bench, "auth/kubernetes/login", &body), status, text);
    }
    bench.pass(3600 + 61);
    let expired = login(&bench, "auth/kubernetes/login", &json!({"role": "pod", "jwt": good}));
    assert_error(&expired, 403, "invalid expiration time (exp) claim: token is expired");
}

#[test]
fn an_audience_that_a_role_asks_for_must_be_in_the_token() {
    let bench = with_kubernetes();
    configure_kubernetes(&bench);
    bench.root("POST", "auth/kubernetes/role/pod", &json!({"audience": "vault"}));
    let log_in = |audience| {
        let jwt = bench.world.vault().service_account_token("jupyter-a", "hub", audience);
        login(&bench, "auth/kubernetes/login", &json!({"role": "pod", "jwt": jwt}))
    };
    let text = "invalid audience (aud) claim: audience claim does not match any expected audience";
    assert_error(&log_in(None), 403, text);
    assert_eq!(log_in(Some("vault")).0, 200);
}

#[test]
fn kubernetes_wants_its_configuration_first() {
    let bench = with_kubernetes();
    let jwt = bench.world.vault().service_account_token("jupyter-a", "hub", None);
    let early = login(&bench, "auth/kubernetes/login", &json!({"role": "pod", "jwt": jwt}));
    assert_error(&early, 500, "could not load backend configuration");
    assert_error(&bench.root("POST", "auth/kubernetes/config", &json!({})), 400, "no host provided");
    // Keys of somebody else: the token of the cluster is not signed by them.
    let config = json!({
        "kubernetes_host": "https://10.0.0.1", "kubernetes_ca_cert": "-----BEGIN CERTIFICATE-----",
        "pem_keys": [bench.world.provider().public_key_pem()],
    });
    assert_eq!(bench.root("POST", "auth/kubernetes/config", &config).0, 204);
    let other = login(&bench, "auth/kubernetes/login", &json!({"role": "pod", "jwt": jwt}));
    assert_error(&other, 403, "permission denied");
}
