//! A file for one person, in a folder that is theirs alone, written by whoever may write as anybody.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use latchkey_jupyterhub_auth::UnixUser;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};

/// Writes a file of mode 0600 that is the person's, into `<runtime>/<uid>/`, a folder of mode 0700 that is the person's as
/// well. It is there as a whole or not at all.
///
/// The person may do in that folder what they like, also meanwhile: it is opened once, without following a link, and
/// everything in it is done by what was opened. A link that they put there is replaced, and never followed.
///
/// # Errors
///
/// Where `runtime` could be written by others, the folder is somebody else's, or the disk is full.
pub fn write_for(user: &UnixUser, runtime: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    make(runtime, 0o755)?;
    let base = open(runtime)?;
    let found = base.metadata()?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(denied("the runtime folder could be written by others"));
    }
    let path = runtime.join(user.uid().to_string());
    make(&path, 0o700)?;
    let folder = open(&path)?;
    let found = folder.metadata()?;
    match found.uid() {
        uid if uid == user.uid() => {}
        // Just made, or left by a run that was cut off before the next line.
        uid if uid == rustix::process::geteuid().as_raw() => {
            fchown(&folder, Some(user.uid()), Some(user.gid()))?;
        }
        _ => return Err(denied("the person's runtime folder is somebody else's")),
    }
    folder.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))?;

    let temporary = format!(".{name}.{}.part", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&folder, temporary.as_str(), flags, Mode::from_raw_mode(0o600))?);
    let written = fchown(&file, Some(user.uid()), Some(user.gid()))
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(renameat(&folder, temporary.as_str(), &folder, name)?));
    if let Err(error) = written {
        let _ = unlinkat(&folder, temporary.as_str(), AtFlags::empty());
        return Err(error);
    }
    Ok(path.join(name))
}

/// Removes that file, and what is left of one that was not written to its end. Where there is none nothing is done.
///
/// # Errors
///
/// Where the folder is a link, or something in it cannot be removed.
pub fn remove_for(uid: u32, runtime: &Path, name: &str) -> io::Result<()> {
    let folder = match open(&runtime.join(uid.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder?,
    };
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let found = entry.file_name().to_bytes();
        let is_part = || {
            let rest = found.strip_prefix(b".").and_then(|rest| rest.strip_prefix(name.as_bytes()));
            rest.is_some_and(|rest| rest.starts_with(b".") && rest.ends_with(b".part"))
        };
        if found == name.as_bytes() || is_part() {
            unlinkat(&folder, entry.file_name(), AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Makes a folder with this mode, whatever the umask takes away; one that is there is left as it is.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(rustix::fs::CWD, path, flags, Mode::empty())?))
}

fn denied(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    /// The person whom this test may write for: whoever runs it, where that is not root.
    fn person(uid: u32) -> UnixUser {
        UnixUser::new("alice", "uid", Some(&uid.into()), Path::new("/home")).unwrap()
    }

    fn runtime() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        (folder, path)
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn a_file_is_the_persons_alone() {
        if !is_root() {
            return;
        }
        let (_folder, runtime) = runtime();
        for content in ["first", "second"] {
            let path = write_for(&person(70001), &runtime, "secret", content.as_bytes()).unwrap();
            let (file, folder) = (fs::metadata(&path).unwrap(), fs::metadata(runtime.join("70001")).unwrap());
            assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (70001, 70001, 0o600));
            assert_eq!((folder.uid(), folder.mode() & 0o7777), (70001, 0o700));
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::read_dir(runtime.join("70001")).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_link_in_the_folder_is_replaced_and_never_followed() {
        if !is_root() {
            return;
        }
        let (folder, runtime) = runtime();
        let other = folder.path().join("other");
        fs::write(&other, "other").unwrap();
        write_for(&person(70001), &runtime, "secret", b"first").unwrap();
        fs::remove_file(runtime.join("70001/secret")).unwrap();
        symlink(&other, runtime.join("70001/secret")).unwrap();
        write_for(&person(70001), &runtime, "secret", b"second").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert!(fs::symlink_metadata(runtime.join("70001/secret")).unwrap().is_file());
    }

    #[test]
    fn a_folder_that_is_a_link_or_somebody_elses_is_refused() {
        if !is_root() {
            return;
        }
        let (folder, runtime) = runtime();
        write_for(&person(70001), &runtime, "secret", b"first").unwrap();
        symlink(runtime.join("70001"), runtime.join("70002")).unwrap();
        assert!(write_for(&person(70002), &runtime, "secret", b"x").is_err());
        fs::create_dir(runtime.join("70003")).unwrap();
        std::os::unix::fs::chown(runtime.join("70003"), Some(70001), Some(70001)).unwrap();
        assert!(write_for(&person(70003), &runtime, "secret", b"x").is_err());
        assert_eq!(fs::read_to_string(runtime.join("70001/secret")).unwrap(), "first");
        drop(folder);
    }

    #[test]
    fn what_was_written_is_removed_with_what_was_not_written_to_its_end_and_nothing_else() {
        let (_folder, runtime) = runtime();
        remove_for(70001, &runtime, "secret").unwrap();
        let own = runtime.join("70001");
        fs::create_dir_all(&own).unwrap();
        for name in ["secret", ".secret.17.part", "secret.txt", ".secret", ".secrets.17.part", "other"] {
            fs::write(own.join(name), "x").unwrap();
        }
        remove_for(70001, &runtime, "secret").unwrap();
        let left = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, [".secret", ".secrets.17.part", "other", "secret.txt"]);
        symlink(&own, runtime.join("70002")).unwrap();
        fs::write(own.join("secret"), "x").unwrap();
        assert!(remove_for(70002, &runtime, "secret").is_err());
        assert!(own.join("secret").exists());
    }

    #[test]
    fn a_runtime_folder_that_others_may_write_is_refused() {
        let (_folder, runtime) = runtime();
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).unwrap();
        let error = write_for(&person(70001), &runtime, "secret", b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0);
    }
}
