//! A hub whose disk is full: a small file system that is mounted where the files of people's servers are.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use latchkey_tests::{Backend, behaviours};

use crate::stage::{SECRET, Stage};

behaviours! {
    a_disk_that_is_full_stops_the_spawn_and_leaves_nothing_half_written,
}

/// A small file system. It goes with this value.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=0755", "latchkey"]).arg(path);
        mount.stderr(Stdio::null()).status().ok()?.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where a process still has something of it open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Says why nothing can be mounted here.
pub fn absence() -> Option<&'static str> {
    let is_there = tempfile::tempdir().is_ok_and(|folder| Mounted::at(folder.path()).is_some());
    (!is_there).then_some("nothing can be mounted here")
}

async fn a_disk_that_is_full_stops_the_spawn_and_leaves_nothing_half_written(backend: Backend) {
    let stage = Stage::take_turn(&backend).await;
    let [alice, _] = &stage.people;
    stage.hub.sign_in(alice).await;
    let run = stage.path("run");
    fs::create_dir_all(&run).unwrap();
    let mounted = Mounted::at(&run).unwrap();
    let mut filling = File::create(run.join("filling")).unwrap();
    while filling.write_all(&[0; 1024]).is_ok() {}
    drop(filling);
    let before = stage.people_tokens().await;
    for _ in 0..2 {
        let (status, message) = stage.hub.refused(alice).await;
        assert_eq!(status, 503, "{message} {}", stage.hub.told());
        assert!(message.contains("the disk of this hub is full"), "{message}");
        assert_eq!(fs::read_dir(stage.runtime(alice)).unwrap().count(), 0, "nothing is half written");
    }
    assert_eq!(stage.people_tokens().await, before, "nobody has the tokens that were made for it");
    let log = stage.hub.told();
    assert!(log.contains("the secret's file is not written") && log.contains("No space left"), "{log}");
    fs::remove_file(run.join("filling")).unwrap();
    let file = stage.hub.started(alice).await.variable("VAULT_SECRET_FILE").unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), SECRET);
    stage.hub.stop(alice).await;
    drop(mounted);
}
