//! A grant in a file that several processes share.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use latchkey_oidc_flow::Grant;
use rustix::fs::{FlockOperation, flock};

use super::oidc::{GrantStore, StoreError};
use crate::BoxGuard;
use crate::runtime::Runtime;

/// A grant in a file of the user's own (mode 0600), with a lock file beside it.
///
/// It is written to a file beside it, flushed to the disk, and renamed: whatever happens, one whole grant is there. The
/// lock ends with the process that holds it.
pub struct FileStore {
    path: PathBuf,
    runtime: Arc<dyn Runtime>,
}

impl FileStore {
    /// Keeps the grant at that path, in a folder that exists. Waiting for another process is done on that runtime.
    pub fn at(path: impl Into<PathBuf>, runtime: impl Runtime) -> Self {
        Self { path: path.into(), runtime: Arc::new(runtime) }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        self.path.with_file_name(name)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let fresh = self.beside(".new");
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        // The name itself must survive a crash, too.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        OpenOptions::new().read(true).open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Holds the lock; the operating system lets go of it when the file is closed.
struct Locked {
    _file: File,
}

#[async_trait]
impl GrantStore for FileStore {
    async fn lock(&self) -> Result<Option<BoxGuard>, StoreError> {
        let path = self.beside(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut pause = Duration::from_millis(5);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Box::new(Locked { _file: file }))),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
            self.runtime.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    async fn load(&self) -> Result<Option<Grant>, StoreError> {
        #[expect(clippy::disallowed_methods, reason = "whoever made this store named the file")]
        let text = match fs::read(&self.path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // What serde says of it is left out, because it may quote the token.
        let grant = serde_json::from_slice(&text);
        grant.map(Some).map_err(|error| {
            format!("the stored grant cannot be read (line {}, column {})", error.line(), error.column())
                .into()
        })
    }

    async fn save(&self, grant: &Grant) -> Result<(), StoreError> {
        let text = serde_json::to_vec(grant).map_err(|_| "the grant cannot be written")?;
        Ok(self.write(&zeroize::Zeroizing::new(text))?)
    }

    async fn forget(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
