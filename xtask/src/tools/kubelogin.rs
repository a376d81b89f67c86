//! kubelogin, which others use where we have `kube-credential`: only to measure it beside ours.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::install::Stamp;
use crate::progress::say;
use crate::project::Project;
use crate::setup;

use super::go::{self, Version};

const VERSION: &str = "1.36.3";

/// What its go.mod asks for.
const GO: Version = (1, 26, 5);

/// Where the measuring program looks for it.
pub(crate) const VARIABLE: &str = "LATCHKEY_KUBELOGIN";

/// Builds it once, from its own module with its own go.sum, or says why not.
pub(crate) fn provide(project: &Project) -> Result<Result<PathBuf, String>> {
    if let Err(absent) = go::check(GO) {
        return Ok(Err(absent));
    }
    let folder = project.target("tools/kubelogin");
    let program = folder.join("kubelogin");
    let stamp = Stamp::new(&folder, &format!("kubelogin {VERSION}"));
    if stamp.holds() && program.is_file() {
        return Ok(Ok(program));
    }
    say!("  kubelogin {VERSION}: building, 2 minutes of a processor");
    stamp.begin()?;
    let mut download = go::command(&folder);
    download.args(["mod", "download", "-json", &format!("github.com/int128/kubelogin@v{VERSION}")]);
    let output = download.current_dir(&folder).output().context("Go does not start")?;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let Some(module) = told["Dir"].as_str() else {
        return Ok(Err(format!("its module cannot be had ({})", output.status)));
    };
    let mut build = go::build(&folder, &program, ".");
    build.current_dir(module);
    setup::run_step(project, "kubelogin", "go build kubelogin", &mut build)?;
    stamp.finish()?;
    Ok(Ok(program))
}
