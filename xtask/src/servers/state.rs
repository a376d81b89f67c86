//! Which servers were left running: `target/servers/state.json`.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::Server;
use crate::process;
use crate::project::Project;

/// The servers that `servers up` left running, by key.
pub(crate) struct State {
    path: PathBuf,
    entries: Map<String, Value>,
}

/// One server that was left running. Without `Debug`: it knows a password.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The process, and the group that it leads.
    pub(crate) pid: u32,
    /// [`process::start_time`]; `None` where the system does not tell.
    pub(crate) started: Option<u64>,
    pub(crate) port: u16,
    pub(crate) address: String,
    pub(crate) version: String,
    pub(crate) log: PathBuf,
    /// Keycloak's administrator is `admin`, with this password.
    pub(crate) admin_password: String,
}

impl State {
    /// What is written; nothing, if nothing is written or if it cannot be read.
    pub(crate) fn load(project: &Project) -> Self {
        let path = project.target("servers/state.json");
        let entries = fs::read(&path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { path, entries }
    }

    pub(crate) fn entry(&self, server: &Server) -> Option<Entry> {
        Entry::parse(self.entries.get(server.key)?)
    }

    pub(crate) fn insert(&mut self, server: &Server, entry: &Entry) {
        self.entries.insert(server.key.to_owned(), entry.to_json());
    }

    pub(crate) fn remove(&mut self, server: &Server) {
        self.entries.remove(server.key);
    }

    /// Writes the file in one step, for the owner's eyes only.
    pub(crate) fn save(&self) -> Result<()> {
        let partial = self.path.with_extension("partial");
        let _ = fs::remove_file(&partial);
        let write = || -> Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
            file.write_all(serde_json::to_string_pretty(&self.entries)?.as_bytes())?;
            Ok(fs::rename(&partial, &self.path)?)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Entry {
    /// Whether the process is still the one that we started, and not a later one with its number.
    pub(crate) fn is_running(&self, server: &Server) -> bool {
        match self.started {
            Some(started) => process::start_time(self.pid) == Some(started),
            None => !process::has_proc() && self.health(server).is_some(),
        }
    }

    /// The version that the server tells; `None` if it does not answer well.
    pub(crate) fn health(&self, server: &Server) -> Option<String> {
        (server.version_at)(&self.address)
    }

    fn to_json(&self) -> Value {
        json!({
            "pid": self.pid,
            "started": self.started,
            "port": self.port,
            "address": self.address,
            "version": self.version,
            "log": self.log,
            "admin_password": self.admin_password,
        })
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| Some(value[name].as_str()?.to_owned());
        Some(Self {
            pid: value["pid"].as_u64()?.try_into().ok()?,
            started: value["started"].as_u64(),
            port: value["port"].as_u64()?.try_into().ok()?,
            address: text("address")?,
            version: text("version")?,
            log: text("log")?.into(),
            admin_password: text("admin_password")?,
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(entries)) => Some(entries),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::openbao::SERVER;

    fn entry(pid: u32, started: Option<u64>) -> Entry {
        Entry {
            pid,
            started,
            port: 1,
            // Port 1 of this machine: nobody answers.
            address: "http://127.0.0.1:1".to_owned(),
            version: "2.7.2".to_owned(),
            log: "/logs/openbao.log".into(),
            admin_password: String::new(),
        }
    }

    #[test]
    fn an_entry_survives_the_file() {
        let json = entry(42, Some(98765)).to_json();
        let text = serde_json::to_vec(&json!({ "openbao": json })).unwrap();
        let state = State { path: PathBuf::new(), entries: parse(&text).unwrap() };
        assert_eq!(state.entry(&SERVER).unwrap().to_json(), json);
    }

    #[test]
    fn a_torn_or_foreign_file_counts_as_empty() {
        assert!(parse(b"{\"openbao\": {\"pid\": 4").is_none());
        assert!(parse(b"[1, 2]").is_none());
        let state = State { path: PathBuf::new(), entries: parse(b"{\"openbao\": {\"pid\": -4}}").unwrap() };
        assert!(state.entry(&SERVER).is_none());
    }

    #[test]
    fn a_process_number_that_was_given_again_is_not_our_server() {
        let pid = std::process::id();
        let started = process::start_time(pid).unwrap();
        assert!(entry(pid, Some(started)).is_running(&SERVER));
        assert!(!entry(pid, Some(started + 1)).is_running(&SERVER));
    }
}
