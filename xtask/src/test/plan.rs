//! Which steps there are, and in which order.

use std::fmt::Write as _;

use crate::project::Metadata;
use crate::wasm;

/// How much is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Minutes: what needs no server and no installation.
    Fast,
    /// What every change must pass.
    Usual,
    /// And what is too long for every change.
    All,
}

/// The steps of one run.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) left_out: Vec<LeftOut>,
}

/// One line of the report.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) purpose: &'static str,
    pub(super) action: Action,
}

/// What a step does.
pub(super) enum Action {
    /// A cargo call that passes or fails as a whole.
    Check { arguments: Vec<String>, environment: &'static [(&'static str, &'static str)] },
    /// A library for the browser.
    Wasm(wasm::Check),
    /// The npm package: built, and tested in Node and in Chromium.
    Bindings,
    /// Compiles all tests: no result of its own, but without it there is nothing to run.
    Build { arguments: Vec<String> },
    /// A cargo call that runs tests and prints their results.
    Tests { arguments: Vec<String>, filters: Vec<String> },
    /// Waits for the real servers, and hands their addresses to the steps after it.
    Servers,
    /// Waits for programs that are not ours, and tells the steps after it where they are.
    Tools,
    /// Builds the JupyterLab extension, and tries it in a browser; whether the long scenarios are run, too.
    Browser { all: bool },
    /// Waits for etcd and kube-apiserver, which are built where Go is, and tells the steps after it where they are.
    Kubernetes,
    /// Waits for what goes into an image of a container, and tells the steps after it where it is.
    Image,
    /// Runs the hub's tests once more, on the line of JupyterHub before.
    OldHub,
    /// Packs and verifies these packages as a registry would get them.
    Packages(Vec<String>),
}

/// Something that is not run, and why.
pub(super) struct LeftOut {
    pub(super) what: String,
    pub(super) why: String,
}

impl Plan {
    pub(super) fn new(metadata: &Metadata, scope: Scope, filters: &[String]) -> Self {
        let mut plan = Self { steps: Vec::new(), left_out: Vec::new() };
        if filters.is_empty() {
            plan.add_checks();
        } else {
            plan.leave_out("format, clippy, docs, wasm32, packages", "a filter names tests");
        }
        plan.add_tests(filters);
        if filters.is_empty() {
            plan.add_wasm(metadata, scope);
            plan.add_packages(metadata, scope);
        }
        plan.add_servers(scope);
        if filters.is_empty() {
            plan.add_browser(scope);
        }
        plan.add_suite(scope, filters);
        if scope != Scope::All {
            // A place for soak tests, too, which are not there yet.
            plan.leave_out("a real Kubernetes API server, and a container", "only with --all");
            plan.leave_out("the hub's servers on JupyterHub 5", "only with --all");
            plan.leave_out("a minute for each fuzz target instead of 2 s", "only with --all");
            plan.leave_out("2000 people who sign in at the same time instead of 200", "only with --all");
        }
        plan
    }

    fn add_checks(&mut self) {
        self.add("format", "every file is as rustfmt writes it", check(&["fmt", "--all", "--check"]));
        let clippy = "clippy --workspace --all-targets --all-features -- -D warnings";
        self.add("clippy", "no warning in any target", check(&words(clippy)));
        let docs = words("doc --workspace --no-deps --all-features").map_into_strings();
        let environment = &[("RUSTDOCFLAGS", "-Dwarnings")];
        self.add("docs", "documentation without warnings", Action::Check { arguments: docs, environment });
    }

    fn add_tests(&mut self, filters: &[String]) {
        let arguments = words("test --workspace --all-features --no-run").map_into_strings();
        self.add("build tests", "everything compiles, once for all steps below", Action::Build { arguments });
        let units = tests("test --workspace --all-features --no-fail-fast --lib --bins", filters);
        self.add("unit tests", "the tests inside the crates", units);
        let examples = tests("test --workspace --all-features --no-fail-fast --doc", filters);
        self.add("doc tests", "the examples in documentation and READMEs", examples);
    }

    fn add_wasm(&mut self, metadata: &Metadata, scope: Scope) {
        for check in wasm::Check::all(metadata) {
            self.add(&check.name(), "the library compiles for a browser", Action::Wasm(check));
        }
        if scope == Scope::Fast {
            return self.leave_out("npm package", "--fast");
        }
        let purpose = "the bindings are packed, small enough, and work in Node and in Chromium";
        self.add("npm package", purpose, Action::Bindings);
    }

    fn add_packages(&mut self, metadata: &Metadata, scope: Scope) {
        if scope == Scope::Fast {
            return self.leave_out("packages", "--fast");
        }
        let packages = metadata.packages.iter().filter(|package| package.is_publishable);
        let names = packages.map(|package| package.name.clone()).collect();
        self.add("packages", "each crate builds from what a registry would get", Action::Packages(names));
    }

    fn add_browser(&mut self, scope: Scope) {
        if scope == Scope::Fast {
            return self.leave_out("JupyterLab", "--fast");
        }
        let purpose = "the extension in a browser, from its sources to a secret in a kernel";
        self.add("JupyterLab", purpose, Action::Browser { all: scope == Scope::All });
    }

    /// As late as can be, for it waits.
    fn add_servers(&mut self, scope: Scope) {
        if scope == Scope::Fast {
            return self
                .leave_out("the suite's real servers, and JupyterHub, Node programs and Redis", "--fast");
        }
        let servers = "OpenBao, Keycloak and oidc-provider are installed and answer";
        self.add("real servers", servers, Action::Servers);
        self.add("tools", "JupyterHub, Node programs and Redis are installed", Action::Tools);
    }

    fn add_suite(&mut self, scope: Scope, filters: &[String]) {
        if scope == Scope::All {
            self.add("kubernetes", "etcd and kube-apiserver are built", Action::Kubernetes);
            self.add("image", "the program of a container is built, and podman is there", Action::Image);
        }
        let suite = tests("test --workspace --all-features --no-fail-fast --test *", filters);
        self.add("suite", "every behaviour on every backend", suite);
        if scope == Scope::All && filters.is_empty() {
            self.add("JupyterHub 5", "the servers of a hub of the line before", Action::OldHub);
        }
    }

    fn add(&mut self, name: &str, purpose: &'static str, action: Action) {
        self.steps.push(Step { name: name.to_owned(), purpose, action });
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        self.left_out.push(LeftOut { what: what.to_owned(), why: why.to_owned() });
    }

    /// What `--list` shows.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for step in &self.steps {
            let _ = writeln!(text, "{:<width$}  {}", step.name, step.purpose);
        }
        for LeftOut { what, why } in &self.left_out {
            let _ = writeln!(text, "left out: {what} ({why})");
        }
        text
    }
}

fn check(arguments: &[&str]) -> Action {
    Action::Check { arguments: arguments.map_into_strings(), environment: &[] }
}

fn tests(line: &str, filters: &[String]) -> Action {
    Action::Tests { arguments: words(line).map_into_strings(), filters: filters.to_vec() }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Command lines are written as `&str` and kept as `String`.
trait MapIntoStrings {
    fn map_into_strings(&self) -> Vec<String>;
}

impl MapIntoStrings for [&str] {
    fn map_into_strings(&self) -> Vec<String> {
        self.iter().map(|&word| word.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests_of_plan {
    use super::*;
    use crate::project::Package;

    fn names(scope: Scope, filters: &[&str]) -> Vec<String> {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            is_publishable: true,
            has_default_features: false,
        };
        let metadata = Metadata { target: "/t".into(), packages: vec![package("latchkey-transport")] };
        let plan = Plan::new(&metadata, scope, &filters.map_into_strings());
        plan.steps.into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_usual_run_ends_with_the_suite_on_real_servers() {
        let names = names(Scope::Usual, &[]);
        assert_eq!(names[names.len() - 5..], ["packages", "real servers", "tools", "JupyterLab", "suite"]);
    }

    #[test]
    fn only_the_longest_run_builds_an_api_server() {
        let has = |scope| names(scope, &[]).iter().any(|name| name == "kubernetes");
        assert!(has(Scope::All) && !has(Scope::Usual) && !has(Scope::Fast));
    }

    #[test]
    fn a_fast_run_has_no_servers_and_no_packages() {
        let names = names(Scope::Fast, &[]);
        assert!(
            !names.iter().any(|name| ["packages", "JupyterLab", "real servers"].contains(&&**name)),
            "{names:?}"
        );
        assert!(names.iter().any(|name| name == "wasm32 transport"));
    }

    #[test]
    fn a_filter_leaves_only_steps_that_run_tests() {
        assert_eq!(names(Scope::Fast, &["callback"]), ["build tests", "unit tests", "doc tests", "suite"]);
    }
}
