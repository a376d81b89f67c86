//! The licences of the crates that are compiled into the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::TARGET;
use crate::project::Project;

/// The file that names them all.
const FILE: &str = "THIRD-PARTY-LICENSES.txt";

/// Writes the texts that the licences of others want to be handed on.
pub(crate) fn write(project: &Project, folder: &Path) -> Result<()> {
    Ok(fs::write(folder.join(FILE), text(project)?)?)
}

fn text(project: &Project) -> Result<String> {
    let names = compiled_in(project)?;
    let output =
        project.cargo(["metadata", "--format-version", "1", "--filter-platform", TARGET]).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let mut text = "The engine (engine_bg.wasm) is made of Latchkey and of the crates below.\n".to_owned();
    // One text for all that share it, to the letter.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, version) = (package["name"].as_str(), package["version"].as_str());
        let (Some(name), Some(version)) = (name, version) else { continue };
        let title = format!("{name} {version}");
        if name.starts_with("latchkey-") || !names.contains(&title) {
            continue;
        }
        let licence = package["license"].as_str().with_context(|| format!("{title} names no licence"))?;
        let _ = writeln!(text, "  {title}: {licence}");
        let manifest = package["manifest_path"].as_str().map(Path::new).and_then(Path::parent);
        for licence in licence_texts(manifest.context("a package without a folder")?)? {
            texts.entry(licence).or_default().push(title.clone());
        }
    }
    text.push_str("\nThe standard library of Rust is compiled in, too: MIT OR Apache-2.0.\n");
    for (licence, titles) in texts {
        let _ = write!(text, "\n{}\n{}\n\n{}\n", "-".repeat(100), titles.join(", "), licence.trim_end());
    }
    Ok(text)
}

/// Names with versions of what the bindings depend on when they run in a browser.
fn compiled_in(project: &Project) -> Result<BTreeSet<String>> {
    let output = project
        .cargo(["tree", "--package", "latchkey-wasm-bindings", "--target", TARGET, "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()?;
    if !output.status.success() {
        bail!("cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8(output.stdout).context("cargo tree is not text")?;
    Ok(tree
        .lines()
        // Macros run in the compiler and leave nothing of themselves.
        .filter(|line| !line.contains("(proc-macro)"))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect())
}

fn licence_texts(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name =
            path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let is_licence =
            ["licen", "copying", "notice", "copyright"].iter().any(|word| name.starts_with(word));
        if is_licence && path.is_file() {
            texts.push(fs::read_to_string(&path)?);
        }
    }
    texts.sort();
    Ok(texts)
}
