//! The list of error codes, read from the crates' own `fn code`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The crates whose errors reach JavaScript.
const CRATES: [&str; 5] = ["transport", "oidc-flow", "vault-client", "jupyterhub-auth", "wasm-bindings"];

/// What only the package's own modules say: the engine is not there to say it.
const BEFORE_THE_ENGINE: [&str; 2] = ["engine_blocked", "engine_unavailable"];

const BEGIN: &str = "// <error-codes>";
const END: &str = "// </error-codes>";

/// Every code, sorted.
pub(crate) struct Codes(BTreeSet<String>);

impl Codes {
    /// Reads them from the sources.
    pub(crate) fn collect(root: &Path) -> Result<Self> {
        let mut codes: BTreeSet<String> = BEFORE_THE_ENGINE.map(str::to_owned).into();
        for name in CRATES {
            let found = codes.len();
            collect_in(&root.join("crates").join(name).join("src"), &mut codes)?;
            if codes.len() == found {
                bail!("no error code found in {name}: has its `fn code` another form now?");
            }
        }
        Ok(Self(codes))
    }

    /// Returns the types with these codes in them.
    pub(crate) fn write_into(&self, types: &str) -> Result<String> {
        let (before, rest) = types.split_once(BEGIN).context("types.d.ts has no mark for the codes")?;
        let (first, rest) = rest.split_once('\n').context("the mark for the codes is not a line")?;
        let (_, after) = rest.split_once(END).context("types.d.ts has no mark for the codes' end")?;
        let mut lines = String::new();
        for code in &self.0 {
            let _ = writeln!(lines, "  | '{code}'");
        }
        Ok(format!("{before}{BEGIN}{first}\n{lines}{END}{after}"))
    }

    /// Returns the module that lists them.
    pub(crate) fn module(&self) -> String {
        let mut module =
            "// Generated from the Rust enums.\n\nexport const ERROR_CODES = Object.freeze([\n".to_owned();
        for code in &self.0 {
            let _ = writeln!(module, "  '{code}',");
        }
        module + "]);\n"
    }
}

fn collect_in(folder: &Path, codes: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_in(&path, codes)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            codes.extend(in_source(&fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Returns the codes in the bodies of `fn code(&self)`.
fn in_source(source: &str) -> Vec<String> {
    let mut codes = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !line.contains("fn code(&self)") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        for line in lines.by_ref().take_while(|line| *line != end) {
            let quoted = line.split('"').skip(1).step_by(2);
            codes.extend(quoted.filter(|text| is_code(text)).map(str::to_owned));
        }
    }
    codes
}

fn is_code(text: &str) -> bool {
    text.contains('_')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_types_name_exactly_the_codes_of_the_rust_enums() {
        let types = fs::read_to_string(root().join("crates/wasm-bindings/types.d.ts")).unwrap();
        let written = Codes::collect(root()).unwrap().write_into(&types).unwrap();
        assert!(types == written, "types.d.ts has drifted: `cargo xtask wasm --codes` writes the list anew");
    }

    #[test]
    fn codes_are_read_from_their_function_alone() {
        let source = "    fn code(&self) -> &'static str {\n        match self {\n            Self::A(_) => \"x_a\",\n            \
            Self::B => \"plain\",\n        }\n    }\n    fn other(&self) { \"x_b\" }\n";
        assert_eq!(in_source(source), ["x_a"]);
    }

    #[test]
    fn what_stood_between_the_marks_is_replaced() {
        let codes = Codes(["a_b".to_owned()].into());
        let types = "x\n// <error-codes>: why\n  | 'old'\n// </error-codes>\n  ;\n";
        assert_eq!(
            codes.write_into(types).unwrap(),
            "x\n// <error-codes>: why\n  | 'a_b'\n// </error-codes>\n  ;\n"
        );
        assert!(codes.module().contains("  'a_b',\n"));
    }
}
