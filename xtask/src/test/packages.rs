//! `cargo package` for all crates at once, so that each is verified against the others as they are packed.
//!
//! Cargo verifies a crate that depends on another one through a registry of its own making, and takes what comes
//! from a registry for unchangeable: sources that it unpacked once, and what it compiled from them, are used
//! again although the version was packed anew. So both are removed before each run.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::report::Counts;
use crate::project::Project;

/// The call that packs and verifies these packages, after forgetting what an earlier call left.
pub(super) fn command(project: &Project, names: &[String]) -> Result<Command> {
    // A folder of its own: what is forgotten here must not be compiled again elsewhere.
    let target = project.target("packages");
    forget_in(&target.join("debug/.fingerprint"), names)?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    for registry in entries(&home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src")) {
        // Registries in the network have the name of their host in front of the dash.
        if registry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"-")) {
            forget_in(&registry, names)?;
        }
    }
    let mut command = project.cargo(["package", "--allow-dirty", "--target-dir"]);
    command.arg(target);
    for name in names {
        command.args(["--package", name]);
    }
    Ok(command)
}

/// How many packages passed, by what cargo printed.
pub(super) fn counts(success: bool, output: &str, names: &[String]) -> Counts {
    if success {
        return Counts { passed: names.len(), ..Counts::default() };
    }
    // The last one that cargo began to verify is the one that failed; those after it were not tried.
    let line = |line: &str| Some(line.trim().strip_prefix("Verifying ")?.split(' ').next()?.to_owned());
    let begun: HashSet<_> = output.lines().filter_map(line).collect();
    let begun = names.iter().filter(|name| begun.contains(*name)).count();
    Counts { passed: begun.saturating_sub(1), failed: 1, skipped: 0 }
}

/// Removes `NAME-…` from a folder for each of the names.
fn forget_in(folder: &Path, names: &[String]) -> Result<()> {
    for entry in entries(folder) {
        let ours = entry.file_name().and_then(|name| name.to_str()).is_some_and(|file| {
            names
                .iter()
                .any(|name| file.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-')))
        });
        if ours {
            fs::remove_dir_all(&entry).with_context(|| format!("cannot remove {}", entry.display()))?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_up_to_the_one_that_fails() {
        let output = "   Packaging latchkey-a v0.1.0 (/x)\n   Verifying latchkey-a v0.1.0 (/x)\n   \
            Compiling latchkey-a v0.1.0\n   Verifying latchkey-b v0.1.0 (/x)\nerror: failed to verify\n";
        let names = ["latchkey-a", "latchkey-b", "latchkey-c"].map(str::to_owned);
        assert_eq!(counts(false, output, &names), Counts { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(counts(true, output, &names), Counts { passed: 3, failed: 0, skipped: 0 });
    }

    #[test]
    fn only_our_own_packages_are_forgotten() {
        let folder = std::env::temp_dir().join(format!("latchkey-forget-{}", std::process::id()));
        for name in ["latchkey-a-0.1.0", "latchkey-ab-0.1.0", "serde-1.0.0"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        forget_in(&folder, &["latchkey-a".to_owned()]).unwrap();
        let left: HashSet<_> =
            entries(&folder).filter_map(|path| Some(path.file_name()?.to_owned())).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(left, ["latchkey-ab-0.1.0", "serde-1.0.0"].map(Into::into).into());
    }
}
