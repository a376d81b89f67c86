//! The Unix users of this machine: looked up, and made where they are missing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use latchkey_jupyterhub_auth::{Account, Found, Home, Step, UnixName, UnixUser};
use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;
use tracing::info;

use crate::{Exit, Failure};

/// Looks accounts up and makes them, one program of this kind at a time.
#[derive(Debug)]
pub struct Accounts {
    shell: PathBuf,
    /// Held as long as this lives: `useradd` of another spawn would fail for the lock of `/etc/passwd`.
    _turn: Option<File>,
}

impl Accounts {
    /// Looks accounts up, and makes none.
    pub fn to_look_at() -> Self {
        Self { shell: PathBuf::new(), _turn: None }
    }

    /// Waits for the turn. `runtime` is where the lock is.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made.
    pub async fn take_turn(runtime: &Path, shell: &Path) -> Result<Self, Failure> {
        let path = runtime.join("accounts.lock");
        let unusable =
            |error: io::Error| Failure::of(Exit::Refused, &error).while_doing(&runtime.display().to_string());
        fs::DirBuilder::new().recursive(true).mode(0o755).create(runtime).map_err(unusable)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(unusable)?;
        let waiting = tokio::task::spawn_blocking(move || {
            flock(&lock, FlockOperation::LockExclusive).map(|()| lock).map_err(io::Error::from)
        });
        let turn = waiting.await.map_err(io::Error::from).and_then(|turn| turn).map_err(unusable)?;
        Ok(Self { shell: shell.to_owned(), _turn: Some(turn) })
    }

    /// Looks up what could be in the way of a user.
    ///
    /// # Errors
    ///
    /// Where the accounts cannot be looked up: nothing is known then.
    pub fn find(&self, user: &UnixUser) -> Result<Found, Failure> {
        let name = user.name().as_str();
        let account = |user: User| Account {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        };
        let home = match fs::symlink_metadata(user.home()) {
            Ok(found) if found.is_dir() => Home::Folder { uid: found.uid(), gid: found.gid() },
            Ok(_) => Home::Other,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Home::Absent,
            Err(error) => return Err(Failure::from(error).while_doing(&user.home().display().to_string())),
        };
        let group = Group::from_gid(Gid::from_raw(user.gid())).map_err(unknown)?.map(|group| group.name);
        let is_account = |name: &String| User::from_name(name).map(|account| account.is_some());
        Ok(Found {
            by_name: User::from_name(name).map_err(unknown)?.map(account),
            by_uid: User::from_uid(Uid::from_raw(user.uid())).map_err(unknown)?.map(account),
            group_by_name: Group::from_name(name).map_err(unknown)?.map(|group| group.gid.as_raw()),
            group_is_of_account: group.as_ref().map_or(Ok(false), is_account).map_err(unknown)?,
            group_by_gid: group,
            home,
        })
    }

    /// Returns the uid of the account with that name.
    ///
    /// # Errors
    ///
    /// Where the accounts cannot be looked up.
    pub fn uid_of(name: &UnixName) -> Result<Option<u32>, Failure> {
        let found = User::from_name(name.as_str()).map_err(unknown)?;
        Ok(found.map(|user| user.uid.as_raw()))
    }

    /// Takes a step.
    ///
    /// # Errors
    ///
    /// Where the system's program refuses, with what it said.
    pub async fn take(&self, step: Step, user: &UnixUser) -> Result<(), Failure> {
        let (name, uid, gid) = (user.name().as_str(), user.uid().to_string(), user.gid().to_string());
        match step {
            Step::AddGroup => run("groupadd", &["--gid", &gid, "--", name]).await?,
            Step::AddUser => {
                let (home, shell) = (user.home().to_string_lossy(), self.shell.to_string_lossy());
                let arguments = [
                    "--uid",
                    &uid,
                    "--gid",
                    &gid,
                    "--home-dir",
                    &home,
                    "--no-create-home",
                    // The files of last logins would grow with the uid.
                    "--no-log-init",
                    "--shell",
                    &shell,
                    "--",
                    name,
                ];
                run("useradd", &arguments).await?;
            }
            Step::MakeHome => make_home(user).map_err(|error| {
                Failure::from(error).while_doing(&format!("making {}", user.home().display()))
            })?,
        }
        info!(%step, uid = user.uid(), "done");
        Ok(())
    }
}

fn unknown(error: nix::Error) -> Failure {
    Failure::of(Exit::Refused, &io::Error::from(error)).while_doing("looking up accounts")
}

/// Makes a home with what `/etc/skel` has in it: regular files and folders, of which a new account is usually made.
///
/// It appears as a whole: a home that is half made, by a run that was cut off or on a full disk, would belong to nobody, and be
/// refused ever after. No name of a person begins with a dot.
fn make_home(user: &UnixUser) -> io::Result<()> {
    let part = user.home().with_file_name(format!(".{}.part", user.name()));
    let clear = || match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clear()?;
    let make = || {
        fs::DirBuilder::new().mode(0o700).create(&part)?;
        copy(Path::new("/etc/skel"), &part, user)?;
        // Last: from here on the person may change what is in it.
        chown(&part, Some(user.uid()), Some(user.gid()))?;
        if fs::symlink_metadata(user.home()).is_ok() {
            // Something has appeared meanwhile.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(&part, user.home())
    };
    make().inspect_err(|_| drop(clear()))
}

fn copy(from: &Path, to: &Path, user: &UnixUser) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target, user)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            continue;
        }
        chown(&target, Some(user.uid()), Some(user.gid()))?;
    }
    Ok(())
}

/// Runs a program of the system, without anything of this one's environment.
async fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    let output = command.stdin(std::process::Stdio::null()).output().await.map_err(|error| {
        Failure::from(error)
            .while_doing(program)
            .with_hint("the hub's image needs groupadd and useradd (the package passwd or shadow-utils)")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default().escape_debug().to_string();
    Err(Failure::new(Exit::Refused, format!("{program} ended with {}: {said}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_appears_as_a_whole_and_what_a_run_left_that_was_cut_off_is_no_hindrance() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let homes = tempfile::tempdir().unwrap();
        let user = UnixUser::new("alice", "uid", Some(&70001.into()), homes.path()).unwrap();
        let part = homes.path().join(".alice.part");
        fs::create_dir_all(part.join("left/over")).unwrap();
        make_home(&user).unwrap();
        let found = fs::metadata(user.home()).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (70001, 70001, 0o700));
        assert!(!part.exists() && !user.home().join("left").exists());
        // What has appeared meanwhile is left alone, and nothing half made stays behind.
        fs::write(user.home().join("mine"), "x").unwrap();
        assert_eq!(make_home(&user).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(user.home().join("mine").exists() && !part.exists());
    }
}
