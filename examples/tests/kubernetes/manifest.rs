//! The manifest of `webapp`, as a real API server takes it and as the program understands it; and the image that it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use latchkey_tests::kubernetes::{image_parts, kubectl};
use latchkey_tests::{Backend, OwnOpenBao, Place};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::api_server::Kubernetes;
use crate::cluster::{Done, at_home, done};
use crate::webapp::{AS_EVER, Pod, Service};

/// What needs an API server. One is enough: nobody signs in here.
pub mod applied {
    use latchkey_tests::{Place, behaviours};

    use super::{
        the_manifest_and_the_plan_of_provision_fit_together,
        the_manifest_is_taken_as_it_stands_and_admitted_as_restricted,
    };

    behaviours! {
        #[not_on(Place::Real, "it is about the cluster alone")]
        the_manifest_is_taken_as_it_stands_and_admitted_as_restricted,
        #[not_on(Place::Real, "it has an OpenBao of its own")]
        the_manifest_and_the_plan_of_provision_fit_together,
    }
}

/// What needs podman, and the program with the C library in it.
pub mod contained {
    use latchkey_tests::behaviours;

    use super::the_image_runs_as_the_manifest_starts_it;

    behaviours! {
        the_image_runs_as_the_manifest_starts_it,
    }
}

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("webapp/webapp.yaml")
}

/// The Deployment in it, as far as it starts the program.
struct Deployment(Value);

impl Deployment {
    /// kubectl reads it, without a server.
    async fn read() -> Self {
        let mut command = Command::new(kubectl().unwrap());
        command.args(["label", "--local", "read=by-a-test", "-o", "json", "-f"]).arg(manifest());
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        let mut deployments = objects.map(Result::unwrap).filter(|object| object["kind"] == "Deployment");
        Self(deployments.next().unwrap())
    }

    fn pod(&self) -> &Value {
        &self.0["spec"]["template"]
    }

    fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    fn arguments(&self) -> Vec<&str> {
        self.container()["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    /// The variables, and these in the place of those of that name.
    fn variables(&self, others: &[(&str, &str)]) -> Vec<(String, String)> {
        let named = |variable: &Value| {
            let name = variable["name"].as_str().unwrap();
            let value = others.iter().find(|(other, _)| *other == name);
            let value = value.map_or_else(|| variable["value"].as_str().unwrap(), |(_, value)| value);
            (name.to_owned(), value.to_owned())
        };
        let all: Vec<_> = self.container()["env"].as_array().unwrap().iter().map(named).collect();
        for (other, _) in others {
            assert!(all.iter().any(|(name, _)| name == other), "the manifest has no {other}");
        }
        all
    }

    fn variable(&self, wanted: &str) -> String {
        self.variables(&[]).into_iter().find(|(name, _)| name == wanted).unwrap().1
    }

    /// The paths that Kubernetes asks: is it alive, is it ready. Their port must be the one at which the program listens.
    fn probes(&self) -> [&str; 2] {
        let container = self.container();
        let port = &container["ports"][0];
        assert_eq!(port["containerPort"].to_string(), self.variable("SERVICE_PORT"));
        ["livenessProbe", "readinessProbe"].map(|probe| {
            let probe = &container[probe]["httpGet"];
            assert_eq!(probe["port"], port["name"]);
            probe["path"].as_str().unwrap()
        })
    }

    /// The token that Kubernetes writes: below which folder, and what is asked for.
    fn token(&self) -> (&str, &Value) {
        let volumes = self.pod()["spec"]["volumes"].as_array().unwrap();
        let source =
            |volume: &'_ Value| volume["projected"]["sources"][0].get("serviceAccountToken").is_some();
        let volume = volumes.iter().find(|volume| source(volume)).unwrap();
        let mounts = self.container()["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).unwrap();
        (mount["mountPath"].as_str().unwrap(), &volume["projected"]["sources"][0]["serviceAccountToken"])
    }

    /// The pod that a controller would make out of it.
    fn a_pod(&self, name: &str) -> Value {
        let mut pod = self.pod().clone();
        (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
        pod["metadata"]["name"] = json!(name);
        pod
    }
}

/// Lets kubectl send something as the administrator.
async fn send(kubernetes: &Kubernetes, object: &Value, verb: &[&str]) -> Done {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), object.to_string()).unwrap();
    kubernetes.kubectl(&[verb, &["-f", file.path().to_str().unwrap()]].concat()).await
}

async fn the_manifest_is_taken_as_it_stands_and_admitted_as_restricted(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let restricted = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    kubernetes.admin(&["label", "namespace", "default", &restricted[0], &restricted[1]]).await;
    let manifest = manifest();
    let apply = ["apply", "--validate=strict", "-f", manifest.to_str().unwrap()];
    let applied = kubernetes.kubectl(&apply).await;
    applied.assert_success(
        "serviceaccount/webapp created\ndeployment.apps/webapp created\nservice/webapp created\n\
         networkpolicy.networking.k8s.io/webapp created",
    );
    assert_eq!(applied.stderr, "", "not even a warning");
    let again = kubernetes.kubectl(&apply).await;
    assert_eq!(again.stdout.matches(" unchanged").count(), 4, "{again:?}");

    // What would not be taken, so that it means something: a name that nobody knows, and a right too many.
    let deployment = Deployment::read().await;
    let mut misspelt = deployment.0.clone();
    misspelt["spec"]["template"]["spec"]["serviceAccountNam"] = json!("webapp");
    let refused = send(&kubernetes, &misspelt, &["apply", "--validate=strict"]).await;
    refused.assert_failure(&["unknown field \"spec.template.spec.serviceAccountNam\""]);
    for (name, taken_out) in [("c", "capabilities"), ("e", "allowPrivilegeEscalation")] {
        let mut pod = deployment.a_pod(name);
        let container = &mut pod["spec"]["containers"][0]["securityContext"];
        container.as_object_mut().unwrap().remove(taken_out).unwrap();
        let refused = send(&kubernetes, &pod, &["create"]).await;
        refused.assert_failure(&["violates PodSecurity \"restricted:latest\"", taken_out]);
    }
    send(&kubernetes, &deployment.a_pod("webapp"), &["create"]).await.assert_success("pod/webapp created");
}

/// An OpenBao that `provision` prepares as its example says, for that API server.
async fn provisioned(kubernetes: &Kubernetes) -> (OwnOpenBao, Backend) {
    let bao = OwnOpenBao::start().await.unwrap();
    let mut backend = Backend::at(Place::Loopback).await.unwrap();
    (backend.vault_address, backend.root) = (bao.address().clone(), bao.root().clone());
    kubernetes.admin(&["create", "serviceaccount", "reviewer"]).await;
    let binding = ["create", "clusterrolebinding", "reviewers", "--clusterrole=system:auth-delegator"];
    kubernetes.admin(&[&binding[..], &["--serviceaccount=default:reviewer"]].concat()).await;
    let reviewer = kubernetes.admin(&["create", "token", "reviewer"]).await;

    // Of the whole plan what is about this service, at this cluster.
    let plan: toml::Table = include_str!("../../provision.toml").parse().unwrap();
    let entries = |kind: &str, name: &str, value: &str| -> toml::Value {
        let all = plan[kind].as_array().unwrap().iter();
        all.filter(|entry| entry[name].as_str() == Some(value)).cloned().collect::<Vec<_>>().into()
    };
    let mut methods = entries("kubernetes", "mount", "kubernetes");
    let method = methods.as_array_mut().unwrap()[0].as_table_mut().unwrap();
    method.insert("host".to_owned(), kubernetes.server.address().into());
    method.insert("ca_pem".to_owned(), kubernetes.server.ca_pem().into());
    method.insert("reviewer_env".to_owned(), "REVIEWER".into());
    let part = toml::Table::from_iter([
        ("kv".to_owned(), entries("kv", "mount", "secret")),
        ("policy".to_owned(), entries("policy", "name", "webapp")),
        ("kubernetes".to_owned(), methods),
    ]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), part.to_string()).unwrap();
    let mut command = at_home(env!("CARGO_BIN_EXE_provision"), Path::new("/"));
    command.args(["apply", "--file"]).arg(file.path()).stdin(Stdio::null());
    command.env("VAULT_ADDR", backend.vault_address.as_str()).env("REVIEWER", &reviewer);
    // Opened for a program of ours, which is told so.
    command.env("VAULT_TOKEN", backend.root.expose_secret());
    let provisioned = done(command.spawn().unwrap()).await;
    assert_eq!(provisioned.code, Some(0), "{provisioned:?}");
    backend.put_secret("secret", "webapp/config", secret()).await.unwrap();
    (bao, backend)
}

fn secret() -> Value {
    json!({"username": "static-user", "password": "static-password"})
}

async fn the_manifest_and_the_plan_of_provision_fit_together(backend: Backend) {
    let kubernetes = Kubernetes::start(backend).await;
    let (_bao, backend) = provisioned(&kubernetes).await;
    kubernetes.admin(&["apply", "-f", manifest().to_str().unwrap()]).await;
    let deployment = Deployment::read().await;
    send(&kubernetes, &deployment.a_pod("webapp"), &["create"]).await.assert_success("pod/webapp created");

    // What the node would do: it asks for a token for this pod, and writes it where the manifest says.
    let account = deployment.pod()["spec"]["serviceAccountName"].as_str().unwrap();
    let (folder, asked) = deployment.token();
    assert_eq!(deployment.variable("JWT_PATH"), format!("{folder}/{}", asked["path"].as_str().unwrap()));
    let token = async |audience: &str| {
        let lifetime = format!("--duration={}s", asked["expirationSeconds"]);
        let bound = ["--bound-object-kind=Pod", "--bound-object-name=webapp"];
        let words = [&["create", "token", account, &lifetime, audience][..], &bound].concat();
        kubernetes.admin(&words).await
    };
    let asked_for = format!("--audience={}", asked["audience"].as_str().unwrap());
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("token");
    let address = backend.vault_address.as_str();
    let start = async |token: String| {
        fs::write(&path, token).unwrap();
        let others = [("VAULT_ADDR", address), ("JWT_PATH", path.to_str().unwrap()), ("VAULT_CACERT", "")];
        let others = [&others[..], &[("SERVICE_PORT", "0")]].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_webapp"));
        command.env_clear().envs(deployment.variables(&others)).args(deployment.arguments());
        command.env("SERVICE_ADDRESS", "127.0.0.1").kill_on_drop(true);
        Service::start(command.stdin(Stdio::null())).await
    };
    let service = start(token(&asked_for).await).await;
    let [alive, ready] = deployment.probes();
    service.until(ready, 200, "").await;
    service.until("/", 200, AS_EVER).await;
    assert_eq!(service.get(alive).await.0, 200);
    // A token that is for the API server itself is no token for Vault.
    let other = start(token("--audience=https://kubernetes.default.svc").await).await;
    other.until(ready, 503, "").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((other.get(ready).await.0, other.get(alive).await.0), (503, 200));
    assert!(other.end().await.contains("the secret is not read"));
}

/// podman with everything that it keeps in a folder of its own.
struct Podman {
    folder: TempDir,
}

/// The name of the image and of the container.
const NAME: &str = "webapp";

impl Podman {
    fn command(&self, arguments: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(path("root"))
            .arg("--runroot")
            .arg(path("run"))
            .arg("--tmpdir")
            .arg(path("tmp"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.args(["--runtime", "runc"]).args(arguments).stdin(Stdio::null());
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let done = done(self.command(arguments).spawn().unwrap()).await;
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout.trim().to_owned()
    }

    /// Builds the image by the Containerfile. Its first stage needs an image of Rust, which is nowhere here: `cargo xtask`
    /// has run its commands on this machine, and what came of them stands in for it.
    async fn build() -> Self {
        let podman = Self { folder: tempfile::tempdir().unwrap() };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("webapp/Containerfile");
        let parts = format!("build={}", image_parts().unwrap().display());
        let empty = podman.folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let (file, empty) = (file.to_str().unwrap(), empty.to_str().unwrap());
        podman
            .run(&[
                "build",
                "--isolation",
                "chroot",
                "-f",
                file,
                "--build-context",
                &parts,
                "-t",
                NAME,
                empty,
            ])
            .await;
        podman
    }
}

async fn the_image_runs_as_the_manifest_starts_it(backend: Backend) {
    let podman = Podman::build().await;
    let deployment = Deployment::read().await;
    let pod = Pod::new(backend).await;
    let image = podman.run(&["image", "inspect", NAME]).await;
    let image: Value = serde_json::from_str(&image).unwrap();
    let image = &image[0]["Config"];
    // The manifest wants nobody to be root, and can only know by a number.
    assert_eq!(image["User"], "65532:65532");
    assert!(image["ExposedPorts"].get(format!("{}/tcp", deployment.variable("SERVICE_PORT"))).is_some());

    // By a name: the C library looks it up, and is in the program.
    let mut address = pod.vault_address();
    address.set_host(Some("localhost")).unwrap();
    let (secret, mount) = (pod.secret(), format!("VAULT_MOUNT={}", pod.mount()));
    let others = [
        ("VAULT_ADDR", address.as_str()),
        ("VAULT_CACERT", ""),
        ("VAULT_SECRET", &secret),
        ("SERVICE_PORT", "0"),
    ];
    let (folder, _) = deployment.token();
    let tokens = format!("{}:{folder}:ro", pod.open_folder().display());
    let variables: Vec<_> =
        deployment.variables(&others).iter().map(|(name, value)| format!("--env={name}={value}")).collect();
    let mut words = vec!["run", "--rm", "--name", NAME, "--network", "host", "--volume", &tokens];
    // What the manifest asks of the cluster.
    let wanted = &deployment.container()["securityContext"];
    assert_eq!(wanted["capabilities"]["drop"][0], "ALL");
    assert_eq!(
        (&wanted["readOnlyRootFilesystem"], &wanted["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
    words.extend(["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]);
    // Limits that any machine lets be set.
    words.extend(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--log-driver", "none"]);
    words.extend(["--env", "SERVICE_ADDRESS=127.0.0.1", "--env", &mount]);
    words.extend(variables.iter().map(String::as_str));
    words.push(NAME);
    words.extend(deployment.arguments());
    let service = Service::start(&mut podman.command(&words)).await;
    let [alive, ready] = deployment.probes();
    service.until(ready, 200, "").await;
    service.until("/", 200, AS_EVER).await;
    assert_eq!(service.get(alive).await.0, 200);
    // The first process of a container gets no signal that it has not asked for: this one has, and gives its token back.
    podman.run(&["kill", "--signal", "TERM", NAME]).await;
    let said = service.ended().await;
    assert!(said.contains("\"stopped\""), "{said}");
}
