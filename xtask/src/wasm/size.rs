//! How large the engine is, and where the bytes are.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What the engine shall not exceed, packed: the build fails above it. It is what the engine has, and a little: until the goal is
/// reached, it must not grow.
pub(crate) const LIMIT: usize = 210 * 1000;
/// The same with the standard library as it is shipped, which is built for speed and tells of a panic; and with Debian's, which cannot
/// leave the tables of host names out.
pub(crate) const LIMIT_AS_SHIPPED: usize = 340 * 1000;
/// What we want it to be.
pub(crate) const GOAL: usize = 110 * 1000;

/// The sizes of an engine in bytes.
pub(crate) struct Size {
    /// As the browser gets it.
    pub(crate) raw: usize,
    /// The same, packed by gzip at its best.
    pub(crate) gzip: usize,
    /// What the packed one must not exceed.
    pub(crate) limit: usize,
    /// Before the optimiser saw it.
    pub(crate) before: usize,
    /// Name and size of each section.
    pub(crate) sections: Vec<(String, usize)>,
}

pub(crate) fn measure(before: &[u8], wasm: &[u8], limit: usize) -> Result<Size> {
    let (raw, before) = (wasm.len(), before.len());
    Ok(Size { raw, gzip: gzip(wasm)?, limit, before, sections: sections(wasm)? })
}

impl Size {
    /// Fails where the engine has grown over its limit.
    pub(crate) fn check(&self) -> Result<()> {
        if self.gzip > self.limit {
            bail!("the engine has {} bytes when packed, over its limit of {}", self.gzip, self.limit);
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.gzip <= GOAL { "within the goal of" } else { "over the goal of" };
        writeln!(
            formatter,
            "engine: {} bytes packed, {verdict} {GOAL}; {} bytes unpacked, {} before wasm-opt",
            self.gzip, self.raw, self.before
        )?;
        for (name, size) in &self.sections {
            writeln!(formatter, "  {name:<10} {size:>8}")?;
        }
        Ok(())
    }
}

fn gzip(bytes: &[u8]) -> Result<usize> {
    let mut gzip = Command::new("gzip")
        .args(["--best", "--no-name", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("gzip does not run")?;
    let mut input = gzip.stdin.take().context("gzip takes nothing")?;
    let output = std::thread::scope(|scope| {
        let writing = scope.spawn(move || input.write_all(bytes));
        let output = gzip.wait_with_output();
        // A broken pipe shows in the status.
        let _ = writing.join();
        output
    })?;
    if output.status.success() { Ok(output.stdout.len()) } else { bail!("gzip failed ({})", output.status) }
}

/// Reads the sections: <https://webassembly.github.io/spec/core/binary/modules.html#sections>
fn sections(wasm: &[u8]) -> Result<Vec<(String, usize)>> {
    const NAMES: [&str; 13] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
    ];
    let mut rest = wasm.strip_prefix(b"\0asm\x01\0\0\0").context("this is no WebAssembly module")?;
    let mut sections = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = leb128(after).context("a section without a length")?;
        let name = NAMES.get(usize::from(*id)).copied().unwrap_or("unknown");
        sections.push((name.to_owned(), length));
        rest = after.get(length..).context("a section that is cut off")?;
    }
    Ok(sections)
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_by_name_and_size() {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend([1, 2, 0, 0]);
        wasm.extend([10, 0x80, 1]);
        wasm.extend([0; 128]);
        assert_eq!(sections(&wasm).unwrap(), [("type".to_owned(), 2), ("code".to_owned(), 128)]);
        assert!(sections(b"MZ").is_err() && sections(b"\0asm\x01\0\0\0\x01\x05").is_err());
    }

    #[test]
    fn an_engine_over_its_limit_fails_the_build() {
        let size = |gzip| Size { raw: 0, gzip, limit: LIMIT, before: 0, sections: Vec::new() };
        assert!(size(LIMIT).check().is_ok() && size(LIMIT + 1).check().is_err());
        assert!(gzip(&vec![0; 100_000]).unwrap() < 1_000);
    }
}
