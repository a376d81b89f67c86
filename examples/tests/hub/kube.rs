//! A hub with a real `KubeSpawner` at a real API server. There is no kubelet, so no pod runs: what was created is looked at.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs};

use latchkey_tests::{Backend, OwnApiServer, behaviours, kubernetes};
use latchkey_transport::{Method, ReqwestTransport, Transport as _};
use serde_json::{Value, json};

use crate::hub::{Hub, Ports};
use crate::stage::{SECRET, Settings, Stage};

behaviours! {
    a_pod_gets_its_variables_unharmed_and_none_is_made_where_the_spawn_is_stopped,
}

fn venv() -> Option<PathBuf> {
    env::var_os("LATCHKEY_KUBESPAWNER").map(PathBuf::from)
}

/// Says why there is no `KubeSpawner` here.
pub fn absence() -> Option<&'static str> {
    (venv().is_none() || kubernetes::api_server().is_none())
        .then_some("KubeSpawner and kube-apiserver are made by `cargo xtask test --all`, where Go is")
}

/// What a container gets of a variable, as the kubelet does it: `$$` is a dollar sign, and `$(NAME)` another variable.
fn expanded(value: &str) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            text.push_str("<another variable>");
            rest = after.1;
        } else {
            text.push('$');
            rest = rest.strip_prefix('$').unwrap_or(rest);
        }
    }
    text + rest
}

async fn pods(server: &OwnApiServer) -> Vec<Value> {
    let (status, list) =
        server.call(Method::Get, "/api/v1/namespaces/default/pods", Value::Null).await.unwrap();
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().clone()
}

async fn a_pod_gets_its_variables_unharmed_and_none_is_made_where_the_spawn_is_stopped(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    let server = OwnApiServer::start(&[]).await.unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let path = "/api/v1/namespaces/default/serviceaccounts";
    let (status, said) = server.call(Method::Post, path, account).await.unwrap();
    assert!(status == 201 || status == 409, "{said}");
    let access = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "hub",
        "clusters": [{"name": "here", "cluster": {
            "server": server.address(), "certificate-authority": server.ca_path()}}],
        "users": [{"name": "hub", "user": {"token": OwnApiServer::ADMIN}}],
        "contexts": [{"name": "hub", "context": {"cluster": "here", "user": "hub"}}],
    });
    let folder = stage.path("kube-hub");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("kubeconfig"), access.to_string()).unwrap();
    // Containers have no Unix users of this machine, and so no file of theirs.
    let settings = stage.text(&Settings { variable: true, ..stage.settings() });
    let (settings, _) = settings.split_once("[users]").unwrap();
    let settings = settings.replace("variable = true", "variable = true\nfile = false");
    fs::write(folder.join("hub-spawn.toml"), settings).unwrap();
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let mut variables: Vec<_> =
        stage.variables.iter().filter(|(name, _)| *name != "VAULT_TOKEN_FILE").cloned().collect();
    variables.push(("HUB_SPAWN_CONFIG", in_folder("hub-spawn.toml")));
    variables.push(("KUBECONFIG", in_folder("kubeconfig")));
    let mut hub = Hub::start(&venv().unwrap(), &Ports::free(), &folder, &variables);
    hub.is_up().await;

    let (status, said) = hub.api(Method::Post, &format!("users/{}", alice.name), Value::Null).await;
    assert_eq!(status, 201, "{said}");
    let mut state = stage.realm.tokens(alice).await;
    state["oauth_user"] = json!({"preferred_username": alice.name});
    hub.set_auth_state(alice, &state).await;

    stage.vault.seal().await.unwrap();
    let (status, message) = hub.refused(alice).await;
    assert_eq!(status, 503, "{message} {}", hub.told());
    assert!(message.contains("does not answer or is sealed"), "{message}");
    assert_eq!(pods(&server).await, Vec::<Value>::new(), "a pod was made for a spawn that was stopped");
    stage.vault.unseal().await.unwrap();

    let request = hub.request(Method::Post, &format!("users/{}/server", alice.name), &json!({}));
    // It is answered when the pod runs, which it never does.
    let pending = tokio::spawn(async move { ReqwestTransport::new().unwrap().send(request).await });
    let begun = Instant::now();
    let pod = loop {
        if let Some(pod) = pods(&server).await.pop() {
            break pod;
        }
        assert!(begun.elapsed() < Duration::from_secs(120) && !pending.is_finished(), "{}", hub.told());
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    pending.abort();
    let container = &pod["spec"]["containers"][0];
    let value = |name: &str| {
        let all = container["env"].as_array().unwrap();
        let found = all.iter().find(|variable| variable["name"] == name)?;
        Some(expanded(found["value"].as_str().unwrap()))
    };
    assert_eq!(value("MY_SECRET").as_deref(), Some(SECRET));
    assert_eq!(value("VAULT_OIDC_TOKEN").as_deref(), state["id_token"].as_str());
    assert_eq!(value("VAULT_ADDR").unwrap() + "/", stage.vault.address().as_str());
    assert_eq!(value("VAULT_SECRET_FILE"), None);
    let own = value("NOTEBOOK_VAULT_TOKEN").unwrap();
    let note = format!("secret/data/jupyter/users/{}/pod", alice.name);
    let written = stage.call(&own, Method::Post, &note, json!({"data": {"note": "mine"}})).await;
    assert_eq!(written.0, 200, "{}", written.1);
    // Nowhere else in the pod: not in its command, its labels or its annotations.
    let mut rest = pod.clone();
    rest["spec"]["containers"][0]["env"] = Value::Null;
    let rest = rest.to_string();
    for secret in [&own, state["id_token"].as_str().unwrap(), "a{b}c", "a{{b}}c", &stage.hub_token()] {
        assert!(!rest.contains(secret), "{rest}");
    }
    assert!(rest.contains(&alice.name) && rest.contains("localhost/nothing"), "{rest}");
}
