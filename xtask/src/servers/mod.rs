//! `cargo xtask servers`: the real servers, `OpenBao`, Keycloak and `oidc-provider`, on free ports of this machine.

mod keycloak;
mod lock;
mod oidc_provider;
mod openbao;
mod state;

use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use self::state::{Entry, State};
use crate::process::{self, Process};
use crate::progress::{self, Heartbeat, say};
use crate::project::Project;
use crate::setup::{self, Packages, joined};

pub(crate) use self::lock::Lock;

/// Every server, in the order of reports.
pub(crate) const ALL: [&Server; 3] = [&openbao::SERVER, &oidc_provider::SERVER, &keycloak::SERVER];

/// What differs from one server to the other.
pub(crate) struct Server {
    /// For people.
    pub(crate) name: &'static str,
    /// For files.
    pub(crate) key: &'static str,
    pub(crate) version: &'static str,
    /// How many ports it takes, the one that users see first.
    ports: usize,
    /// How long it may take to answer for the first time.
    deadline: Duration,
    /// Installs it; `false` if it was there.
    pub(crate) install: fn(&Project, &Packages<'_>) -> Result<bool>,
    command: fn(&Project, &Launch) -> Result<Command>,
    address: fn(u16) -> String,
    /// Asks a running one for its version; `None` if it does not answer well.
    version_at: fn(&str) -> Option<String>,
}

/// What one start is given.
struct Launch {
    port: u16,
    second_port: u16,
    admin_password: String,
}

/// The real servers: `OpenBao`, Keycloak and `oidc-provider`, installed below target/ and started on free ports.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Install what is missing, start all, and leave them running
    Up,
    /// Stop all
    Down,
    /// Show what runs where; fails if one of them is not healthy
    Status {
        /// Print shell lines that point programs at the servers: eval "$(cargo xtask servers status --env)"
        #[arg(long)]
        env: bool,
    },
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    match arguments.action {
        Action::Up => up(project),
        Action::Down => down(project),
        Action::Status { env } => Ok(status(project, env)),
    }
}

fn up(project: &Project) -> Result<ExitCode> {
    setup::servers(project, &Packages::new(project))?;
    let _lock = Lock::acquire(project)?;
    let mut state = State::load(project);
    let mut missing = Vec::new();
    for server in ALL {
        match state.entry(server) {
            Some(entry) if entry.is_running(server) => {
                if entry.health(server).is_some() {
                    say!("  {}: already up at {}", server.name, entry.address);
                    continue;
                }
                say!("  {}: process {} does not answer, starting it again", server.name, entry.pid);
                process::end_group(entry.pid, || {});
            }
            Some(entry) => say!("  {}: process {} is gone, starting it again", server.name, entry.pid),
            None => {}
        }
        missing.push(server);
    }
    // If one fails, the other ends with it: nothing is left half up.
    let running = launch_all(project, &missing, "")?;
    for one in &running {
        state.insert(one.server, &one.entry);
    }
    state.save()?;
    for one in running {
        one.process.release()?;
    }
    if let Some(addresses) = Addresses::of(&state) {
        say!("\n{}", addresses.instructions());
    }
    Ok(ExitCode::SUCCESS)
}

fn down(project: &Project) -> Result<ExitCode> {
    let _lock = Lock::acquire(project)?;
    let mut state = State::load(project);
    for server in ALL {
        match state.entry(server) {
            None => say!("  {}: not up", server.name),
            Some(entry) if !entry.is_running(server) => say!("  {}: was gone already", server.name),
            Some(entry) => {
                process::end_group(entry.pid, || {});
                if entry.is_running(server) {
                    bail!(
                        "{} (process {}) does not end; see {}",
                        server.name,
                        entry.pid,
                        entry.log.display()
                    );
                }
                say!("  {}: stopped", server.name);
            }
        }
        state.remove(server);
        state.save()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn status(project: &Project, env: bool) -> ExitCode {
    let state = State::load(project);
    let mut all_healthy = true;
    if !env {
        say!("{:<13} {:<25} {:<8} {:<8} {:<8} log", "name", "address", "pid", "healthy", "version");
    }
    for server in ALL {
        let entry = state.entry(server).filter(|entry| entry.is_running(server));
        let version = entry.as_ref().and_then(|entry| entry.health(server));
        all_healthy &= version.is_some();
        if env {
            continue;
        }
        match entry {
            None => say!("{:<13} not up", server.name),
            Some(entry) => say!(
                "{:<13} {:<25} {:<8} {:<8} {:<8} {}",
                server.name,
                entry.address,
                entry.pid,
                if version.is_some() { "yes" } else { "no" },
                version.unwrap_or(entry.version),
                entry.log.display()
            ),
        }
    }
    if !all_healthy {
        eprintln!("start the servers with `cargo xtask servers up`");
        return ExitCode::FAILURE;
    }
    if env && let Some(addresses) = Addresses::of(&state) {
        for (name, value) in addresses.environment() {
            say!("export {name}={value}");
        }
    }
    ExitCode::SUCCESS
}

/// The servers that a run of the tests uses. Those that it started end when this is dropped.
pub(crate) struct Session<'project> {
    pub(crate) addresses: Addresses,
    _started: Vec<Running<'project>>,
}

impl<'project> Session<'project> {
    /// Takes servers that are up, and installs and starts the others.
    pub(crate) fn open(project: &'project Project, packages: &Packages<'_>) -> Result<Self> {
        setup::servers(project, packages)?;
        let mut state = State::load(project);
        let mut missing = Vec::new();
        for server in ALL {
            match state.entry(server) {
                Some(entry) if entry.is_running(server) && entry.health(server).is_some() => {
                    say!("  {}: using the one at {}", server.name, entry.address);
                }
                _ => missing.push(server),
            }
        }
        let started = launch_all(project, &missing, "-test")?;
        // In memory only: these are nobody else's business.
        for one in &started {
            state.insert(one.server, &one.entry);
        }
        let addresses = Addresses::of(&state).context("a server has no address")?;
        Ok(Self { addresses, _started: started })
    }
}

/// Where the servers are.
pub(crate) struct Addresses {
    pub(crate) openbao: String,
    pub(crate) keycloak: String,
    pub(crate) oidc_provider: String,
    /// Of the administrator `admin`, who makes realms.
    keycloak_admin_password: String,
}

impl Addresses {
    fn of(state: &State) -> Option<Self> {
        let address = |server| Some(state.entry(server)?.address);
        Some(Self {
            openbao: address(&openbao::SERVER)?,
            keycloak: address(&keycloak::SERVER)?,
            oidc_provider: address(&oidc_provider::SERVER)?,
            keycloak_admin_password: state.entry(&keycloak::SERVER)?.admin_password,
        })
    }

    /// What the suite needs to find them.
    pub(crate) fn for_tests(&self) -> [(&'static str, String); 5] {
        [
            ("LATCHKEY_OPENBAO", self.openbao.clone()),
            ("LATCHKEY_OPENBAO_TOKEN", openbao::ROOT_TOKEN.to_owned()),
            ("LATCHKEY_KEYCLOAK", keycloak::issuer(&self.keycloak)),
            ("LATCHKEY_KEYCLOAK_ADMIN_PASSWORD", self.keycloak_admin_password.clone()),
            ("LATCHKEY_OIDC_PROVIDER", self.oidc_provider.clone()),
        ]
    }

    /// What the programs of `examples/` and the suites need to find them.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let for_programs = [
            ("VAULT_ADDR", self.openbao.clone()),
            ("VAULT_TOKEN", openbao::ROOT_TOKEN.to_owned()),
            ("LATCHKEY_ISSUER", keycloak::issuer(&self.keycloak)),
            ("LATCHKEY_CLIENT_ID", keycloak::CLIENT_ID.to_owned()),
            ("LATCHKEY_CLIENT_SECRET", keycloak::CLIENT_SECRET.to_owned()),
        ];
        for_programs.into_iter().chain(self.for_tests()).collect()
    }

    /// What a person types next.
    fn instructions(&self) -> String {
        let Self { openbao, keycloak, oidc_provider, .. } = self;
        let (root, issuer) = (openbao::ROOT_TOKEN, keycloak::issuer(keycloak));
        let users: Vec<_> = keycloak::USERS.iter().map(|name| format!("{name}/{name}")).collect();
        let users = users.join(" and ");
        let provision = crate::demo::command_line("provision", crate::demo::PROVISION);
        let login = crate::demo::command_line("login", crate::demo::LOGIN);
        format!(
            "OpenBao   {openbao}   root token: {root}\n\
             Keycloak  {issuer}   users: {users}\n\
             oidc-provider  {oidc_provider}   users: {users}\n\n\
             Point this shell at them, set OpenBao up once, and sign in:\n\n    \
             eval \"$(cargo xtask servers status --env)\"\n    {provision}\n    {login}\n\n\
             Stop them with `cargo xtask servers down`."
        )
    }
}

/// A server that answers.
struct Running<'project> {
    server: &'static Server,
    process: Process<'project>,
    entry: Entry,
}

/// Starts some servers side by side; all of them, or none.
fn launch_all<'project>(
    project: &'project Project,
    servers: &[&'static Server],
    suffix: &str,
) -> Result<Vec<Running<'project>>> {
    thread::scope(|scope| {
        let threads: Vec<_> = servers
            .iter()
            .map(|&server| {
                let log = project.target(format!("servers/logs/{}{suffix}.log", server.key));
                scope.spawn(move || launch(project, server, log))
            })
            .collect();
        // Collected first, so that a failure of the one waits for the other and then ends it.
        let results: Vec<_> = threads.into_iter().map(|thread| joined(thread.join())).collect();
        results.into_iter().collect()
    })
}

fn launch<'project>(
    project: &'project Project,
    server: &'static Server,
    log: PathBuf,
) -> Result<Running<'project>> {
    let begun = Instant::now();
    // A port that was free a moment ago may be taken now: the second try has new ones.
    let (process, launch, version) = match try_launch(project, server, &log) {
        Err(error) if error.to_string().contains("in use") => try_launch(project, server, &log)?,
        result => result?,
    };
    let address = (server.address)(launch.port);
    say!("  {} {version}: up at {address} after {}", server.name, progress::seconds(begun.elapsed()));
    let entry = Entry {
        pid: process.id(),
        started: process::start_time(process.id()),
        port: launch.port,
        address,
        version,
        log,
        admin_password: launch.admin_password,
    };
    Ok(Running { server, process, entry })
}

fn try_launch<'project>(
    project: &'project Project,
    server: &Server,
    log: &Path,
) -> Result<(Process<'project>, Launch, String)> {
    let launch = Launch::new(server)?;
    let wanted = (server.command)(project, &launch)?;
    let output = progress::create_log(log)?;
    let mut command = outlives_terminal(&wanted);
    command.stdout(output.try_clone()?).stderr(output);
    let mut process = project.guard().spawn(&mut command)?;
    let address = (server.address)(launch.port);
    let mut heartbeat = Heartbeat::new();
    let begun = Instant::now();
    loop {
        heartbeat.tick(server.name, log);
        if let Some(version) = (server.version_at)(&address) {
            return Ok((process, launch, version));
        }
        let end = || format!("the end of {}:\n{}", log.display(), progress::tail(log, 15));
        if let Some(status) = process.try_wait()? {
            bail!("{} ended before it answered ({status}); {}", server.name, end());
        }
        if begun.elapsed() > server.deadline {
            let deadline = progress::seconds(server.deadline);
            bail!("{} does not answer at {address} within {deadline}; {}", server.name, end());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

impl Launch {
    fn new(server: &Server) -> Result<Self> {
        // All are held before the first is let go, so that no port comes up twice.
        let listeners: Vec<_> =
            (0..server.ports).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
        let ports: Vec<_> =
            listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<_>>()?;
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random).context("cannot read /dev/urandom")?;
        Ok(Self {
            port: ports.first().copied().context("a server without a port")?,
            second_port: ports.last().copied().context("a server without a port")?,
            admin_password: format!("{:032x}", u128::from_ne_bytes(random)),
        })
    }
}

/// The same command, deaf to the hang-up that a closing terminal sends.
fn outlives_terminal(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap '' HUP; exec "$@""#, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_every_address_quoted_by_its_nature() {
        let addresses = Addresses {
            openbao: "http://127.0.0.1:1".to_owned(),
            keycloak: "http://localhost:2".to_owned(),
            oidc_provider: "http://localhost:3".to_owned(),
            keycloak_admin_password: String::new(),
        };
        let lines: Vec<_> =
            addresses.environment().iter().map(|(name, value)| format!("export {name}={value}")).collect();
        assert_eq!(lines[0], "export VAULT_ADDR=http://127.0.0.1:1");
        assert_eq!(lines[2], "export LATCHKEY_ISSUER=http://localhost:2/realms/HashiCorp");
    }

    #[test]
    fn a_launch_never_has_the_same_port_twice() {
        let launch = Launch::new(&keycloak::SERVER).unwrap();
        assert_ne!(launch.port, launch.second_port);
        assert_eq!(launch.admin_password.len(), 32);
    }
}
