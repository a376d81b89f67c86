//! Where a secret goes: to standard output, or to a file that is written as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::failure::{Exit, Failure, root};

/// Writes to standard output, exactly these bytes; on a terminal, with a line break after them, so that the
/// shell's prompt does not stick to the secret.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let print = |out: &mut io::StdoutLock<'_>| {
        out.write_all(bytes)?;
        if out.is_terminal() && !bytes.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    print(&mut out).map_err(|error| {
        Failure::of(Exit::Refused, &error)
            .while_doing("writing to standard output")
            .with_hint("what reads it ended early or is full, and may have got a part: run it again")
    })
}

/// A file for a secret. It appears whole or not at all, for its owner only (mode 0600), and its path is never
/// followed through a symbolic link.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    folder: PathBuf,
    force: bool,
}

impl OutputFile {
    /// Checks that the file can be written later, before a person spends time on a sign-in.
    ///
    /// # Errors
    ///
    /// A usage failure where the path is a symbolic link, a folder or a device, where the file exists and `force` is
    /// not given, and where the folder takes no new files.
    pub fn new(path: PathBuf, force: bool) -> Result<Self, Failure> {
        let usage = |what: &str| Failure::new(Exit::Usage, format!("{} {what}", path.display()));
        if path.file_name().is_none() {
            return Err(usage("names no file"));
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                return Err(usage("is a symbolic link").with_hint("name the file itself, or remove the link"));
            }
            Ok(found) if !found.is_file() => {
                return Err(
                    usage("is not a regular file").with_hint("leave --out away to write to standard output")
                );
            }
            Ok(_) if !force => return Err(exists(&path)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::of(Exit::Usage, &error).while_doing(&path.display().to_string()));
            }
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let file = Self { path, folder, force };
        match file.temporary() {
            Ok(_) => Ok(file),
            Err(error) => Err(Failure::of(Exit::Usage, root(&error))
                .while_doing(&format!("no file can be made in {}", file.folder.display()))
                .with_hint("the folder must be there and let you create files")),
        }
    }

    /// Returns the path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file: into a temporary one beside it, through to the disk, then renamed.
    ///
    /// # Errors
    ///
    /// Where the disk is full, or a file appeared meanwhile and `force` is not given. What was there before is
    /// unharmed, and the temporary file is gone.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.temporary().and_then(|mut file| fill(file.as_file_mut(), bytes).map(|()| file));
        let file = written.map_err(|error| self.failed(&error))?;
        // Both replace the name in its folder; neither opens what the name points to.
        let persisted =
            if self.force { file.persist(&self.path) } else { file.persist_noclobber(&self.path) };
        match persisted {
            Ok(_) => {}
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(&self.path));
            }
            Err(failed) => return Err(self.failed(&failed.error)),
        }
        // The rename reaches the disk with the folder. Some file systems cannot do that; the file is there anyway.
        if let Ok(folder) = OpenOptions::new().read(true).open(&self.folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        let mut builder = Builder::new();
        builder.prefix(".latchkey-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o600));
        }
        builder.tempfile_in(&self.folder)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let failure =
            Failure::of(Exit::Refused, root(error)).while_doing(&format!("writing {}", self.path.display()));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                failure
                    .with_hint("make room, or name a file on another disk; what was there before is unharmed")
            }
            _ => failure,
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Usage, format!("{} exists", path.display())).with_hint("--force overwrites it")
}

/// Writes the bytes through to the disk.
fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{Exit, OutputFile};

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn binary_content_is_unharmed_and_nothing_else_is_left() {
        let folder = TempDir::new().unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        OutputFile::new(folder.path().join("key"), false).unwrap().write(&bytes).unwrap();
        assert_eq!(fs::read(folder.path().join("key")).unwrap(), bytes);
        assert_eq!(names(&folder), ["key"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_even_where_a_file_was_open_to_all() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        OutputFile::new(path.clone(), true).unwrap().write(b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_file_that_exists_is_refused_before_anything_is_done() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "old").unwrap();
        let failure = OutputFile::new(path.clone(), false).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.hint().unwrap().contains("--force"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_file_that_appeared_during_the_sign_in_is_not_overwritten() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("key");
        let file = OutputFile::new(path.clone(), false).unwrap();
        fs::write(&path, "somebody else's").unwrap();
        assert_eq!(file.write(b"new").unwrap_err().exit(), Exit::Usage);
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
        assert_eq!(names(&folder), ["key"]);
    }

    #[test]
    fn force_replaces_the_whole_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "a longer old content").unwrap();
        OutputFile::new(path.clone(), true).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_refused_even_with_force_and_even_where_it_leads_nowhere() {
        let folder = TempDir::new().unwrap();
        for target in [folder.path().join("other"), folder.path().join("nowhere")] {
            fs::write(folder.path().join("other"), "other").unwrap();
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&target, &link).unwrap();
            for force in [false, true] {
                let failure = OutputFile::new(link.clone(), force).unwrap_err();
                assert!(failure.message().contains("symbolic link"), "{failure:?}");
            }
            fs::remove_file(link).unwrap();
        }
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"other");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_that_appeared_during_the_sign_in_is_never_followed() {
        for force in [false, true] {
            let folder = TempDir::new().unwrap();
            let (link, other) = (folder.path().join("link"), folder.path().join("other"));
            fs::write(&other, "other").unwrap();
            let file = OutputFile::new(link.clone(), force).unwrap();
            std::os::unix::fs::symlink(&other, &link).unwrap();
            assert_eq!(file.write(b"new").is_ok(), force);
            assert_eq!(fs::read(&other).unwrap(), b"other");
        }
    }

    #[test]
    fn a_folder_a_missing_folder_and_no_name_are_refused_at_once() {
        let folder = TempDir::new().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nowhere/key"), "..".into(), "".into()] {
            assert_eq!(OutputFile::new(path, true).unwrap_err().exit(), Exit::Usage);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_refused() {
        assert_eq!(OutputFile::new("/dev/null".into(), true).unwrap_err().exit(), Exit::Usage);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_and_the_hint_tells_what_to_do() {
        let folder = TempDir::new().unwrap();
        let file = OutputFile::new(folder.path().join("key"), false).unwrap();
        let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let failure = file.failed(&super::fill(&mut full, b"secret").unwrap_err());
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(failure.message().contains("No space left"), "{failure:?}");
        assert!(failure.hint().unwrap().contains("make room"));
    }
}
