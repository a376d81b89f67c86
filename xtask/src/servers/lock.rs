//! One xtask at a time changes what is installed and what runs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process;
use crate::progress::say;
use crate::project::Project;

/// Held while `target/servers` changes; let go when dropped, and void when its holder has died.
pub(crate) struct Lock {
    path: PathBuf,
}

impl Lock {
    /// Waits for its turn.
    pub(crate) fn acquire(project: &Project) -> Result<Self> {
        let path = project.target("servers/lock");
        fs::create_dir_all(project.target("servers")).context("cannot create target/servers")?;
        Self::at(path)
    }

    fn at(path: PathBuf) -> Result<Self> {
        let mut told = false;
        while !try_create(&path)? {
            if !held(&path) {
                let _ = fs::remove_file(&path);
                continue;
            }
            if !told {
                say!("  waiting for another `cargo xtask` to finish with the servers");
                told = true;
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(Self { path })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn try_create(path: &Path) -> Result<bool> {
    // Written beside it and then linked: nobody ever sees a lock that does not name its holder yet.
    let pid = std::process::id();
    let mine = path.with_extension(format!("{pid}-{:?}", thread::current().id()));
    let create = || -> std::io::Result<bool> {
        let mut file = File::create(&mine)?;
        write!(file, "{pid} {}", process::start_time(pid).unwrap_or_default())?;
        match fs::hard_link(&mine, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    };
    let created = create();
    let _ = fs::remove_file(&mine);
    created.with_context(|| format!("cannot write {}", path.display()))
}

/// Whether the process that wrote this is still there.
fn held(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let mut numbers = text.split(' ').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(started))) = (numbers.next(), numbers.next()) else { return false };
    // Without start times we cannot tell: a lock that nobody can void would be worse than none.
    u32::try_from(pid).is_ok_and(|pid| process::start_time(pid) == Some(started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_dead_process_is_void_and_a_live_one_is_respected() {
        let path = std::env::temp_dir().join(format!("latchkey-lock-{}", std::process::id()));
        // The number of a live process with another start time: that process is gone.
        fs::write(&path, format!("{} 1", std::process::id())).unwrap();
        let lock = Lock::at(path.clone()).unwrap();
        assert!(held(&path));
        assert!(!try_create(&path).unwrap());
        drop(lock);
        assert!(!path.exists());
    }
}
