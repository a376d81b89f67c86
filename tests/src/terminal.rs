//! A terminal without a person.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::{Child, Command};

/// A terminal without a person: what a program shows on it can be read, and what the program reads can be typed.
pub struct Terminal {
    controller: File,
    seen: String,
}

impl Terminal {
    /// Opens a terminal.
    pub fn open() -> anyhow::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        Ok(Self { controller: controller.into(), seen: String::new() })
    }

    /// Returns the program's end of it, for its input or its messages.
    pub fn end(&self) -> anyhow::Result<File> {
        let name = ptsname(&self.controller, Vec::new())?;
        Ok(File::options().read(true).write(true).open(name.to_str()?)?)
    }

    /// Runs a program with this as its terminal, in a session of its own, so that `/dev/tty` is this terminal, too. Its
    /// output alone goes elsewhere.
    pub fn run(&self, command: &Command) -> anyhow::Result<Child> {
        let command = command.as_std();
        let mut inner = Command::new("setsid");
        inner.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        inner.env_clear().kill_on_drop(true).stdout(Stdio::piped());
        inner.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ok(inner.stdin(self.end()?).stderr(self.end()?).spawn()?)
    }

    /// Reads until these words have been shown, and returns everything so far.
    pub async fn read_until(&mut self, words: &str) -> anyhow::Result<String> {
        while !self.seen.contains(words) {
            let mut controller = self.controller.try_clone()?;
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = [0; 4096];
                let count = controller.read(&mut bytes)?;
                std::io::Result::Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
            });
            self.seen.push_str(&read.await??);
        }
        Ok(self.seen.clone())
    }

    /// Types a text.
    pub fn write(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.controller.write_all(text.as_bytes())?)
    }
}
