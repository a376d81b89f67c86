//! What the installations need: a stamp that says "complete", and Python, Node and Java that are new enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{Packages, succeeds};

/// Keycloak refuses to start on anything older.
const JAVA: u32 = 17;

/// What the packages in `tests/npm` need: modern modules, and WebCrypto without a flag.
const NODE: u32 = 20;

/// A file that is written last into an installation and says what is in it.
///
/// It names the folder too: a virtual environment that was moved with its checkout no longer works.
pub(crate) struct Stamp {
    folder: PathBuf,
    content: String,
}

impl Stamp {
    pub(crate) fn new(folder: &Path, what: &str) -> Self {
        Self { folder: folder.to_owned(), content: format!("{what}\n{}\n", folder.display()) }
    }

    /// Whether exactly this was installed to the end.
    pub(crate) fn holds(&self) -> bool {
        fs::read_to_string(self.path()).is_ok_and(|content| content == self.content)
    }

    /// Clears away what an interrupted or an older installation left.
    pub(crate) fn begin(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {}", self.folder.display()))
    }

    pub(crate) fn finish(&self) -> Result<()> {
        fs::write(self.path(), &self.content)
            .with_context(|| format!("cannot write {}", self.path().display()))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(".complete")
    }
}

/// Makes sure of a Python that can make virtual environments: Debian splits that part off.
pub(crate) fn check_python(packages: &Packages<'_>) -> Result<()> {
    let works = || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip, zipfile"]));
    if !works() {
        packages.install(&["python3", "python3-venv"], "to install servers")?;
    }
    if !works() {
        bail!("`python3` cannot make virtual environments: its modules `venv` and `ensurepip` are missing");
    }
    Ok(())
}

/// Makes sure of Node and npm.
pub(crate) fn check_node(packages: &Packages<'_>) -> Result<()> {
    if node_version().is_none() || !succeeds(Command::new("npm").arg("--version")) {
        packages.install(&["nodejs", "npm"], "to run Node programs")?;
    }
    match node_version() {
        Some(version) if version >= NODE => Ok(()),
        Some(version) => bail!("Node {NODE} is needed, and the `node` in use is {version}"),
        None => bail!("Node {NODE} is needed, and `node` does not run"),
    }
}

fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    parse_node_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_node_version(text: &str) -> Option<u32> {
    text.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Makes sure of Java and Maven.
pub(crate) fn check_java(packages: &Packages<'_>) -> Result<()> {
    let mut missing = Vec::new();
    if java_version().is_none_or(|version| version < JAVA) {
        missing.push("default-jre-headless");
    }
    if !succeeds(Command::new("mvn").arg("--version")) {
        missing.push("maven");
    }
    if !missing.is_empty() {
        packages.install(&missing, "to run Keycloak")?;
    }
    match java_version() {
        Some(version) if version >= JAVA => Ok(()),
        Some(version) => {
            bail!("Keycloak needs Java {JAVA}, and the `java` in use is {version}: see JAVA_HOME")
        }
        None => bail!("Keycloak needs Java {JAVA}, and `java` does not run"),
    }
}

/// The Java that Keycloak's own script will take.
fn java_version() -> Option<u32> {
    let java = std::env::var_os("JAVA_HOME").map_or("java".into(), |home| Path::new(&home).join("bin/java"));
    let output = Command::new(java).arg("-version").output().ok()?;
    // Java tells its version on the error stream.
    parse_java_version(&String::from_utf8_lossy(&output.stderr))
}

fn parse_java_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version.split(['.', '-', '_', '+']);
    match numbers.next()?.parse().ok()? {
        // Java 8 called itself 1.8.
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_of_every_age_are_read() {
        assert_eq!(parse_java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(
            parse_java_version("Picked up _JAVA_OPTIONS\nopenjdk version \"26-ea\" 2026-03"),
            Some(26)
        );
        assert_eq!(parse_java_version("java version \"1.8.0_421\""), Some(8));
        assert_eq!(parse_java_version("java: not found"), None);
    }

    #[test]
    fn node_versions_are_read() {
        assert_eq!(parse_node_version("v20.20.2\n"), Some(20));
        assert_eq!(parse_node_version("node: not found"), None);
    }

    #[test]
    fn an_interrupted_installation_does_not_count() {
        let folder = std::env::temp_dir().join(format!("latchkey-stamp-{}", std::process::id()));
        let stamp = Stamp::new(&folder, "thing 1");
        stamp.begin().unwrap();
        let interrupted = stamp.holds();
        stamp.finish().unwrap();
        let complete = stamp.holds();
        let other_version = Stamp::new(&folder, "thing 2").holds();
        fs::remove_dir_all(&folder).unwrap();
        assert!(!interrupted && complete && !other_version);
    }
}
