//! A clock that is off.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// A clock that is off, for programs that are told so: `libfaketime` has it.
#[derive(Clone, Debug)]
pub struct WrongClock {
    library: PathBuf,
}

impl WrongClock {
    /// Why a test without it is left out.
    pub const ABSENT: &'static str = "libfaketime is not here (`cargo xtask tools`, on Debian)";

    /// Returns it, where it is.
    pub fn find() -> Option<Self> {
        let folder = Path::new(&env::var_os("LATCHKEY_FAKETIME")?).join("usr/lib");
        let libraries = fs::read_dir(folder).ok()?.flatten();
        let mut libraries = libraries.map(|kind| kind.path().join("faketime/libfaketimeMT.so.1"));
        libraries.find(|library| library.is_file()).map(|library| Self { library })
    }

    /// Returns the variables of a program whose clock is so many seconds ahead, or behind. Its timers run as ever.
    pub fn variables(&self, seconds: i64) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME", format!("{seconds:+}")),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
