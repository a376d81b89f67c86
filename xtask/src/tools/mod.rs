//! `cargo xtask tools`: programs that are not ours, and that some suites run: in Python, in Node, and Redis.

mod go;
pub(crate) mod image;
pub(crate) mod kubelogin;
pub(crate) mod kubernetes;
mod npm;
mod venv;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::progress::{self, say};
use crate::project::Project;
use crate::servers::Lock;
use crate::setup::{Packages, joined, succeeds};

use self::kubernetes::Kubernetes;
pub(crate) use self::npm::NpmFolder;
pub(crate) use self::venv::{Venv, make as make_venv};

/// JupyterHub with the authenticator that people use for Keycloak.
pub(crate) const JUPYTERHUB: Venv = Venv {
    name: "jupyterhub",
    packages: &["jupyterhub==6.1.1", "oauthenticator==17.4.0", "jupyter-server==2.21.1", "ipykernel==7.4.0"],
};

/// The same with the line before, for a run of the hub's tests on it.
pub(crate) const JUPYTERHUB_5: Venv = Venv {
    name: "jupyterhub-5",
    packages: &["jupyterhub==5.5.4", "oauthenticator==17.4.0", "jupyter-server==2.21.1", "ipykernel==7.4.0"],
};

/// A hub whose servers are pods, for a run beside a real API server.
pub(crate) const KUBESPAWNER: Venv = Venv {
    name: "kubespawner",
    packages: &["jupyterhub==6.1.1", "oauthenticator==17.4.0", "jupyterhub-kubespawner==7.1.0"],
};

/// The variable that tells the suites where [`KUBESPAWNER`] is.
pub(crate) const KUBESPAWNER_VARIABLE: &str = "LATCHKEY_KUBESPAWNER";

/// The variable that tells the suites where [`JUPYTERHUB`] is.
pub(crate) const HUB_VARIABLE: &str = "LATCHKEY_JUPYTERHUB";

/// What runs in Node: a certified provider, an OpenID client, and JupyterHub's proxy.
pub(crate) const NODE_PEERS: NpmFolder = NpmFolder { name: "node-peers", source: "tests/npm" };

/// JupyterLab with what builds the extension and what its scenarios need: Notebook 7, a hub, a kernel, languages.
pub(crate) const JUPYTERLAB: Venv = Venv {
    name: "jupyterlab",
    packages: &[
        "jupyterlab==4.6.6",
        "notebook==7.6.5",
        "jupyterhub==6.1.1",
        "oauthenticator==17.4.0",
        "ipykernel",
        "jupyterlab-language-pack-ko-KR",
        "jupyterlab-language-pack-ru-RU",
        "jupyter-builder==1.3.0",
        "build",
        "hatchling==1.33.0",
        "hatch-nodejs-version==0.4.0",
        "hatch-jupyter-builder==0.10.0",
    ],
};

/// The hub of the 5.x line with a JupyterLab on its servers, for `--all`.
pub(crate) const JUPYTERLAB_5: Venv = Venv {
    name: "jupyterlab-on-hub-5",
    packages: &["jupyterhub==5.5.4", "oauthenticator==17.4.0", "jupyterlab==4.6.6", "ipykernel"],
};

/// What other extensions keep their keys with. By itself, so that only the scenario that wants it sees it.
pub(crate) const SECRETS_MANAGER: Venv =
    Venv { name: "secrets-manager", packages: &["jupyter-secrets-manager==0.5.1"] };

/// The scenarios of the extension in a browser.
pub(crate) const UI_TESTS: NpmFolder = NpmFolder { name: "ui-tests", source: "jupyterlab/ui-tests" };

/// Where the suites look for a tool: a variable, and how it is installed.
const ALL: [(&str, Tool); 3] = [
    (HUB_VARIABLE, Tool::Python(&JUPYTERHUB)),
    ("LATCHKEY_NODE_PEERS", Tool::Node(&NODE_PEERS)),
    // Tells a program another time than that of the machine.
    ("LATCHKEY_FAKETIME", Tool::Debian("libfaketime")),
];

/// The variables, for a run that must not see those of the person's shell.
pub(crate) const VARIABLES: [&str; ALL.len()] = [ALL[0].0, ALL[1].0, ALL[2].0];

#[derive(Clone, Copy)]
enum Tool {
    Python(&'static Venv),
    Node(&'static NpmFolder),
    /// A package of Debian, unpacked. Not there on other systems: what needs it is left out there.
    Debian(&'static str),
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Python(venv) => venv.name,
            Self::Node(folder) => folder.name,
            Self::Debian(package) => package,
        }
    }

    fn folder(self, project: &Project) -> PathBuf {
        match self {
            Self::Python(venv) => venv.folder(project),
            Self::Node(folder) => folder.folder(project),
            Self::Debian(package) => project.target("tools/debian").join(package),
        }
    }

    fn provide(self, project: &Project, packages: &Packages<'_>) -> Result<()> {
        let begun = Instant::now();
        let is_new = match self {
            Self::Python(venv) => venv.provide(project, packages)?,
            Self::Node(folder) => folder.provide(project, packages)?,
            Self::Debian(package) => {
                let folder = self.folder(project);
                let is_new = !folder.join("usr").is_dir();
                if is_new {
                    packages.unpack(package, &folder)?;
                }
                is_new && folder.join("usr").is_dir()
            }
        };
        if is_new {
            say!("  {}: installed in {}", self.name(), progress::seconds(begun.elapsed()));
        }
        Ok(())
    }
}

/// Installs the Python and Node programs that some suites run, below target/tools, and Debian's Redis.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print shell lines that tell the suites where they are: eval "$(cargo xtask tools --env)"
    #[arg(long)]
    env: bool,
    /// Also etcd and kube-apiserver, where Go is: 13 minutes of a processor; and a hub whose servers are pods
    #[arg(long)]
    kubernetes: bool,
    /// Also podman, and what goes into the image of webapp: 4 minutes of a processor
    #[arg(long)]
    image: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.env {
        provide(project, &Packages::new(project))?;
    }
    let mut environment = environment(project).to_vec();
    if arguments.kubernetes {
        match kubernetes::provide(project)? {
            Kubernetes::There(both) => {
                environment.extend(both);
                KUBESPAWNER.provide(project, &Packages::new(project))?;
                environment.push((KUBESPAWNER_VARIABLE, KUBESPAWNER.folder(project)));
            }
            Kubernetes::Absent(why) => eprintln!("no kube-apiserver: {why}"),
        }
    }
    if arguments.image {
        match image::provide(project, &Packages::new(project))? {
            Ok(parts) => environment.push((image::VARIABLE, parts)),
            Err(why) => eprintln!("no image: {why}"),
        }
    }
    for (variable, folder) in environment {
        say!("{}{variable}={}", if arguments.env { "export " } else { "  " }, folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing, side by side.
pub(crate) fn provide(project: &Project, packages: &Packages<'_>) -> Result<()> {
    let _lock = Lock::acquire(project)?;
    if !succeeds(Command::new("redis-server").arg("--version")) {
        packages.install(&["redis-server"], "to run the service of many replicas")?;
    }
    thread::scope(|scope| {
        let running = ALL.map(|(_, tool)| scope.spawn(move || tool.provide(project, packages)));
        // All come to an end before the first failure is reported.
        running.map(|thread| joined(thread.join())).into_iter().collect()
    })
}

/// What the suites need to find them.
pub(crate) fn environment(project: &Project) -> [(&'static str, PathBuf); ALL.len()] {
    ALL.map(|(variable, tool)| (variable, tool.folder(project)))
}
