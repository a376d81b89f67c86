//! What is built with Go, where Go is.

use std::path::Path;
use std::process::Command;

/// Major, minor, patch.
pub(super) type Version = (u32, u32, u32);

/// Says why it cannot be built here.
pub(super) fn check(wanted: Version) -> Result<(), String> {
    let Some(here) = version() else { return Err("there is no Go here".to_owned()) };
    let written = |(major, minor, patch): Version| format!("{major}.{minor}.{patch}");
    if here < wanted {
        return Err(format!("Go here is {}, older than {}", written(here), written(wanted)));
    }
    Ok(())
}

/// A call of Go. All that it keeps stays in that folder, and is writable, so that it can be cleared away.
pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new("nice");
    command
        .args(["-n", "19", "go"])
        .env("GOMODCACHE", folder.join("modules"))
        .env("GOCACHE", folder.join("cache"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0");
    command
}

/// Builds that package of the module in which it is called.
pub(super) fn build(folder: &Path, program: &Path, package: &str) -> Command {
    let mut command = command(folder);
    command
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(program)
        .arg(package);
    command
}

fn version() -> Option<Version> {
    let output = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.trim().strip_prefix("go")?.split(['.', '-', ' ']);
    let number = |text: &str| text.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok();
    let (major, minor) = (numbers.next()?.parse().ok()?, number(numbers.next()?)?);
    Some((major, minor, numbers.next().and_then(number).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_kind_are_read() {
        for (text, version) in [
            ("go1.26.8\n", (1, 26, 8)),
            ("go1.24rc2", (1, 24, 0)),
            ("go1.24-custom", (1, 24, 0)),
            ("go1.25", (1, 25, 0)),
        ] {
            assert_eq!(parse_version(text), Some(version), "{text}");
        }
        for text in ["", "devel +abc", "go", "go1"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}
