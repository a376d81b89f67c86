//! What goes into the image of `webapp`, and podman, which puts it together: for the longest run of the tests.
//!
//! The first stage of the Containerfile needs an image of Rust, which has to come from a registry. Its commands are run on
//! this machine instead; the suite hands what came of them to podman as that stage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::progress::say;
use crate::project::Project;
use crate::setup::{self, Packages, succeeds};

/// Where the suites look for the parts.
pub(crate) const VARIABLE: &str = "LATCHKEY_IMAGE_PARTS";

/// What a public server's certificate is checked with: the Containerfile takes it from its first stage.
const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";

/// Installs podman and builds the parts, or says what this machine lacks.
pub(crate) fn provide(project: &Project, packages: &Packages<'_>) -> Result<Result<PathBuf, String>> {
    let has = |program| succeeds(Command::new(program).arg("--version"));
    if !(has("podman") && has("runc"))
        && let Err(error) = packages.install(&["podman", "runc"], "to build and run an image")
    {
        return Ok(Err(error.to_string()));
    }
    let roots = Path::new("/").join(ROOTS);
    if !roots.is_file() {
        return Ok(Err(format!("there is no {}", roots.display())));
    }
    let containerfile = fs::read_to_string(project.root().join("examples/webapp/Containerfile"))?;
    let line = cargo_line(&containerfile).context("the Containerfile calls no cargo")?;
    let (folder, target) = (project.target("image"), project.target("image/build"));
    say!("  the program of the image: building, 4 minutes of a processor");
    let mut build = Command::new("nice");
    build.args(["-n", "19", "sh", "-c", line]).current_dir(project.root()).env("CARGO_TARGET_DIR", &target);
    // Quick to build. What counts here is what it is linked with.
    build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_LTO", "off");
    build.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    setup::run_step(project, "image", line, &mut build)?;
    let image = folder.join("parts/image");
    fs::create_dir_all(image.join(ROOTS).parent().context("it lies in a folder")?)?;
    fs::copy(target.join("release/webapp"), image.join("webapp"))?;
    fs::copy(roots, image.join(ROOTS))?;
    Ok(Ok(folder.join("parts")))
}

/// The command that makes the program.
fn cargo_line(containerfile: &str) -> Option<&str> {
    containerfile.lines().filter_map(|line| line.strip_prefix("RUN ")).find(|line| line.starts_with("cargo "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containerfile_builds_the_program_once_and_for_all_libraries() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/webapp/Containerfile");
        let containerfile = fs::read_to_string(path).unwrap();
        let line = cargo_line(&containerfile).unwrap();
        assert!(line.contains("--bin webapp") && line.contains("+crt-static"), "{line}");
        assert!(containerfile.contains(&format!("/{ROOTS} /image/{ROOTS}")));
    }
}
