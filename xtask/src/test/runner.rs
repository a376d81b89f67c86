//! Runs the steps of a plan.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::packages;
use super::plan::{Action, LeftOut, Plan, Scope, Step};
use super::report::{Counts, Line, Outcome, Report};
use crate::labextension;
use crate::progress::{self, Finished, say};
use crate::project::Project;
use crate::servers::{Addresses, Session};
use crate::setup::{Packages, joined};
use crate::tools::{self, image, kubernetes, kubernetes::Kubernetes};
use crate::wasm::{self, Toolchain};

/// What the suite reads; unset for a run without servers, whatever the person's shell says.
const SERVER_VARIABLES: [&str; 5] = [
    "LATCHKEY_OPENBAO",
    "LATCHKEY_OPENBAO_TOKEN",
    "LATCHKEY_KEYCLOAK",
    "LATCHKEY_KEYCLOAK_ADMIN_PASSWORD",
    "LATCHKEY_OIDC_PROVIDER",
];

/// How long each fuzz target runs with `--all`; otherwise 2 s.
const FUZZ_SECONDS: &str = "60";

/// How many people sign in to the service of many replicas at the same time with `--all`; otherwise 200.
const LOGINS: &str = "2000";

/// One run.
pub(super) struct Runner<'project> {
    project: &'project Project,
    scope: Scope,
    lines: Vec<Line>,
    left_out: Vec<LeftOut>,
    /// The tests do not compile, so that they cannot be run.
    is_broken: bool,
}

/// What happens beside the steps, until a step asks for it.
struct Background<'scope, 'project> {
    packages: &'scope Packages<'project>,
    wasm: Later<'scope, Option<Toolchain>>,
    servers: Later<'scope, Session<'project>>,
    tools: Later<'scope, Vec<(&'static str, PathBuf)>>,
    kubernetes: Later<'scope, Kubernetes>,
    /// The parts of an image, or why there are none.
    image: Later<'scope, Result<PathBuf, String>>,
}

impl Background<'_, '_> {
    /// What tests are told of servers and tools, as far as those are there by now.
    fn found(&self) -> (Option<&Addresses>, Vec<(&'static str, PathBuf)>) {
        let addresses = match &self.servers {
            Later::Done(session) => Some(&session.addresses),
            _ => None,
        };
        let mut tools = match &self.tools {
            Later::Done(tools) => tools.clone(),
            _ => Vec::new(),
        };
        if let Later::Done(Kubernetes::There(both)) = &self.kubernetes {
            tools.extend(both.iter().cloned());
            let project = self.packages.project();
            tools.push((tools::KUBESPAWNER_VARIABLE, tools::KUBESPAWNER.folder(project)));
        }
        if let Later::Done(Ok(parts)) = &self.image {
            tools.push((image::VARIABLE, parts.clone()));
        }
        (addresses, tools)
    }
}

/// The value of a thread, waited for once.
enum Later<'scope, T> {
    Running(ScopedJoinHandle<'scope, Result<T>>),
    Done(T),
    Failed(String),
    /// Not wanted in this run.
    Never,
}

impl<'project> Runner<'project> {
    pub(super) fn new(project: &'project Project, scope: Scope) -> Self {
        Self { project, scope, lines: Vec::new(), left_out: Vec::new(), is_broken: false }
    }

    pub(super) fn run(mut self, plan: &Plan) -> Result<Report> {
        let packages = Packages::new(self.project);
        let (project, scope) = (self.project, self.scope);
        let has = |wanted: fn(&Action) -> bool| plan.steps.iter().any(|step| wanted(&step.action));
        thread::scope(|threads| {
            let (wasm, servers, tools) = (Later::Never, Later::Never, Later::Never);
            let (kubernetes, image) = (Later::Never, Later::Never);
            let mut background = Background { packages: &packages, wasm, servers, tools, kubernetes, image };
            if has(|action| matches!(action, Action::Kubernetes)) {
                background.kubernetes = Later::Running(threads.spawn(|| {
                    let found = kubernetes::provide(project)?;
                    if matches!(found, Kubernetes::There(_)) {
                        tools::KUBESPAWNER.provide(project, &packages)?;
                    }
                    Ok(found)
                }));
            }
            if has(|action| matches!(action, Action::Image)) {
                background.image = Later::Running(threads.spawn(|| image::provide(project, &packages)));
            }
            if has(|action| matches!(action, Action::Servers)) {
                let open = || Session::open(project, &packages);
                background.servers = Later::Running(threads.spawn(open));
            }
            if has(|action| matches!(action, Action::Tools)) {
                let provide = || {
                    tools::provide(project, &packages)?;
                    Ok(tools::environment(project).to_vec())
                };
                background.tools = Later::Running(threads.spawn(provide));
            }
            if has(|action| matches!(action, Action::Wasm(_))) {
                background.wasm = if scope == Scope::Fast {
                    Later::Done(Toolchain::find())
                } else {
                    Later::Running(threads.spawn(|| Toolchain::provide(&packages).map(Some)))
                };
            }
            for (index, step) in plan.steps.iter().enumerate() {
                say!("[{}/{}] {}", index + 1, plan.steps.len(), step.name);
                self.step(step, &mut background)?;
            }
            anyhow::Ok(())
        })?;
        for LeftOut { what, why } in &plan.left_out {
            self.left_out.push(LeftOut { what: what.clone(), why: why.clone() });
        }
        Ok(Report::new(self.lines, self.left_out))
    }

    fn step(&mut self, step: &Step, background: &mut Background<'_, 'project>) -> Result<()> {
        match &step.action {
            Action::Check { arguments, environment } => {
                let mut command = self.project.cargo(arguments);
                command.envs(environment.iter().copied());
                self.check(step, command)
            }
            Action::Wasm(check) => match background.wasm.wait() {
                Later::Done(Some(toolchain)) => {
                    let command = toolchain.command(self.project, check);
                    self.check(step, command)
                }
                Later::Failed(error) => {
                    say!("    FAILED: {error}");
                    self.line(step, Counts::check(false), Duration::ZERO);
                    Ok(())
                }
                _ => {
                    self.leave_out(step, "no compiler for wasm32 here: see `cargo xtask setup`");
                    Ok(())
                }
            },
            Action::Build { arguments } => {
                let finished = self.run_logged(step, &mut self.project.cargo(arguments))?;
                self.is_broken = !finished.success;
                let counts = if self.is_broken { Counts::check(false) } else { Counts::default() };
                self.line(step, counts, finished.took);
                Ok(())
            }
            Action::Tests { .. } | Action::OldHub if self.is_broken => {
                self.leave_out(step, "the tests do not compile");
                Ok(())
            }
            Action::Tests { arguments, filters } => self.tests(step, arguments, filters, background),
            Action::Servers => {
                let begun = Instant::now();
                let counts = match background.servers.wait() {
                    Later::Failed(error) => {
                        say!("    FAILED: {error}");
                        Counts::check(false)
                    }
                    _ => Counts::default(),
                };
                self.line(step, counts, begun.elapsed());
                Ok(())
            }
            Action::Tools => {
                let begun = Instant::now();
                let counts = match background.tools.wait() {
                    Later::Failed(error) => {
                        say!("    FAILED: {error}");
                        Counts::check(false)
                    }
                    _ => Counts::default(),
                };
                self.line(step, counts, begun.elapsed());
                Ok(())
            }
            Action::Kubernetes => {
                let begun = Instant::now();
                let absent = match background.kubernetes.wait() {
                    Later::Done(Kubernetes::Absent(why)) => Ok(Some(why.clone())),
                    Later::Failed(error) => Err(error.clone()),
                    _ => Ok(None),
                };
                self.made(step, absent, begun);
                Ok(())
            }
            Action::Image => {
                let begun = Instant::now();
                let absent = match background.image.wait() {
                    Later::Done(Err(why)) => Ok(Some(why.clone())),
                    Later::Failed(error) => Err(error.clone()),
                    _ => Ok(None),
                };
                self.made(step, absent, begun);
                Ok(())
            }
            Action::Packages(names) => self.packages(step, names),
            Action::Bindings => self.bindings(step),
            Action::OldHub => self.old_hub(step, background),
            Action::Browser { all } => self.browser(step, background, *all),
        }
    }

    /// Reports something that later steps need, or that this machine cannot make it.
    fn made(&mut self, step: &Step, absent: Result<Option<String>, String>, begun: Instant) {
        let counts = match absent {
            Ok(Some(why)) => return self.leave_out(step, &why),
            Ok(None) => Counts::default(),
            Err(error) => {
                say!("    FAILED: {error}");
                Counts::check(false)
            }
        };
        self.line(step, counts, begun.elapsed());
    }

    fn bindings(&mut self, step: &Step) -> Result<()> {
        let begun = Instant::now();
        let outcome = match wasm::test_command(self.project, &Packages::new(self.project)) {
            Ok(mut command) => {
                let finished = self.run_logged(step, &mut command)?;
                self.outcome(step, &finished)
            }
            Err(error) => {
                say!("    FAILED: {error:#}");
                Counts::check(false).into()
            }
        };
        self.tested(step, outcome, begun.elapsed());
        Ok(())
    }

    fn old_hub(&mut self, step: &Step, background: &Background<'_, 'project>) -> Result<()> {
        let begun = Instant::now();
        if let Err(error) = tools::JUPYTERHUB_5.provide(self.project, background.packages) {
            say!("    FAILED: {error:#}");
            self.line(step, Counts::check(false), begun.elapsed());
            return Ok(());
        }
        let (addresses, tools) = background.found();
        let mut command = self.project.cargo(["test", "--workspace", "--all-features", "--test", "hub"]);
        point_at(&mut command, addresses, &tools);
        command.env(tools::HUB_VARIABLE, tools::JUPYTERHUB_5.folder(self.project));
        let finished = self.run_logged(step, &mut command)?;
        let outcome = self.outcome(step, &finished);
        self.tested(step, outcome, begun.elapsed());
        Ok(())
    }

    fn check(&mut self, step: &Step, mut command: Command) -> Result<()> {
        let finished = self.run_logged(step, &mut command)?;
        self.line(step, Counts::check(finished.success), finished.took);
        Ok(())
    }

    fn tests(
        &mut self,
        step: &Step,
        arguments: &[String],
        filters: &[String],
        background: &Background<'_, '_>,
    ) -> Result<()> {
        let (addresses, tools) = background.found();
        let mut sum = Outcome::default();
        let mut took = Duration::ZERO;
        // One call per filter: not every runner of tests takes several.
        let calls: Vec<Option<&String>> =
            if filters.is_empty() { vec![None] } else { filters.iter().map(Some).collect() };
        for filter in calls {
            let mut command = self.project.cargo(arguments);
            if let Some(filter) = filter {
                command.arg("--").arg(filter);
            }
            point_at(&mut command, addresses, &tools);
            if self.scope == Scope::All {
                command.env("LATCHKEY_FUZZ_SECONDS", FUZZ_SECONDS);
                command.env("LATCHKEY_LOGINS", LOGINS);
            }
            let finished = self.run_logged(step, &mut command)?;
            sum.add(self.outcome(step, &finished));
            took += finished.took;
        }
        self.tested(step, sum, took);
        Ok(())
    }

    fn packages(&mut self, step: &Step, names: &[String]) -> Result<()> {
        let finished = self.run_logged(step, &mut packages::command(self.project, names)?)?;
        let output = fs::read(self.log(step)).unwrap_or_default();
        let counts = packages::counts(finished.success, &String::from_utf8_lossy(&output), names);
        self.line(step, counts, finished.took);
        Ok(())
    }

    fn browser(&mut self, step: &Step, background: &Background<'_, '_>, all: bool) -> Result<()> {
        let begun = Instant::now();
        let commands = match labextension::tests(self.project, background.packages, all) {
            Ok(commands) => commands,
            Err(error) => {
                say!("    FAILED: {error:#}");
                self.line(step, Counts::check(false), begun.elapsed());
                return Ok(());
            }
        };
        let (addresses, tools) = background.found();
        let mut sum = Outcome::default();
        for mut command in commands {
            point_at(&mut command, addresses, &tools);
            let finished = self.run_logged(step, &mut command)?;
            sum.add(self.outcome(step, &finished));
        }
        self.tested(step, sum, begun.elapsed());
        Ok(())
    }

    /// What the tests of a step have printed.
    fn outcome(&self, step: &Step, finished: &Finished) -> Outcome {
        let output = fs::read(self.log(step)).unwrap_or_default();
        Outcome::of_output(finished.success, &String::from_utf8_lossy(&output))
    }

    /// Runs a step's command. What a failing one printed is shown, what a passing one printed is kept.
    fn run_logged(&self, step: &Step, command: &mut Command) -> Result<Finished> {
        let log = self.log(step);
        command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
        let finished = progress::run_logged(self.project.guard(), &step.name, command, &log)?;
        let took = progress::seconds(finished.took);
        if finished.success {
            say!("    ok, {took}");
        } else {
            say!("{}", String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).trim_end());
            say!("    FAILED ({}), {took}: {}", finished.status, log.display());
        }
        Ok(finished)
    }

    fn log(&self, step: &Step) -> PathBuf {
        let name: String =
            step.name.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '-' }).collect();
        self.project.target("test-logs").join(name).with_extension("log")
    }

    fn line(&mut self, step: &Step, counts: Counts, took: Duration) {
        self.lines.push(Line { name: step.name.clone(), outcome: counts.into(), ran_tests: false, took });
    }

    fn tested(&mut self, step: &Step, outcome: Outcome, took: Duration) {
        self.lines.push(Line { name: step.name.clone(), outcome, ran_tests: true, took });
    }

    fn leave_out(&mut self, step: &Step, why: &str) {
        say!("    left out: {why}");
        self.left_out.push(LeftOut { what: step.name.clone(), why: why.to_owned() });
    }
}

impl<T> Later<'_, T> {
    /// The value, waiting for it the first time.
    fn wait(&mut self) -> &Self {
        if let Self::Running(_) = self
            && let Self::Running(thread) = std::mem::replace(self, Self::Never)
        {
            *self = match joined(thread.join()) {
                Ok(value) => Self::Done(value),
                Err(error) => Self::Failed(format!("{error:#}")),
            };
        }
        self
    }
}

fn point_at(command: &mut Command, addresses: Option<&Addresses>, tools: &[(&str, PathBuf)]) {
    let singles = [image::VARIABLE, tools::KUBESPAWNER_VARIABLE];
    let lists = SERVER_VARIABLES.iter().chain(&tools::VARIABLES).chain(&kubernetes::VARIABLES);
    for name in lists.chain(&singles) {
        command.env_remove(name);
    }
    if let Some(addresses) = addresses {
        command.envs(addresses.for_tests());
    }
    command.envs(tools.iter().map(|(name, folder)| (name, folder)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_servers_hides_those_of_the_shell() {
        let mut command = Command::new("true");
        point_at(&mut command, None, &[]);
        let removed = command.get_envs().filter(|(_, value)| value.is_none()).count();
        let lists = SERVER_VARIABLES.len() + tools::VARIABLES.len() + kubernetes::VARIABLES.len();
        assert_eq!(removed, lists + 2);
    }
}
