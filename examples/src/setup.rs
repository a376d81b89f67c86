//! Bringing a server to a wanted state: look first, change only what differs, say what was done.

use std::time::Duration;

use latchkey_vault_client::sys::{Mount, MountKind, MountRequest};
use latchkey_vault_client::{Error, Vault};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::failure::{Exit, Failure};
use crate::output;

/// How often a call is repeated while a fresh KV v2 mount prepares itself, half a second apart: ten seconds in all,
/// where a second has always been enough.
const MOUNT_ATTEMPTS: usize = 20;

/// A server that is brought to a wanted state, thing by thing.
///
/// For each thing it prints a line that begins with `created`, `changed` or `unchanged`; a dry run says `to create` and
/// `to change` instead, and does nothing.
#[derive(Debug)]
pub struct Setup {
    vault: Vault,
    dry_run: bool,
    counts: [usize; 3],
}

/// What was done about a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was not there.
    Created,
    /// It was there, and not as it should be.
    Changed,
    /// It was as it should be.
    Unchanged,
}

impl Done {
    fn word(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Created, false) => "created",
            (Self::Created, true) => "to create",
            (Self::Changed, false) => "changed",
            (Self::Changed, true) => "to change",
            (Self::Unchanged, _) => "unchanged",
        }
    }
}

/// Takes it for nothing there where the mount that a thing is in is yet to be made.
pub fn absent<T>(found: Result<Option<T>, Error>) -> Result<Option<T>, Failure> {
    match found {
        Err(Error::NotFound(_)) => Ok(None),
        found => Ok(found?),
    }
}

impl Setup {
    /// Returns a set-up of that server. In a dry run nothing is changed.
    pub fn new(vault: Vault, dry_run: bool) -> Self {
        Self { vault, dry_run, counts: [0; 3] }
    }

    /// Returns the server.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Returns whether nothing is changed.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Writes something, unless this is a dry run.
    pub async fn write<E: Into<Failure>>(
        &self,
        write: impl AsyncFn() -> Result<(), E>,
    ) -> Result<(), Failure> {
        if self.dry_run { Ok(()) } else { write().await.map_err(Into::into) }
    }

    /// Prints what was done about a thing, and counts it.
    pub fn report(&mut self, done: Done, thing: &str) -> Result<(), Failure> {
        self.counts[done as usize] += 1;
        output::print(format!("{:<9}  {thing}\n", done.word(self.dry_run)).as_bytes())
    }

    /// Brings a thing, as it was `found`, to have what is `wanted`. What is not wanted there stays as it is.
    pub async fn settle<E: Into<Failure>>(
        &mut self,
        thing: &str,
        found: Option<impl Serialize>,
        wanted: &impl Serialize,
        write: impl AsyncFn() -> Result<(), E>,
    ) -> Result<(), Failure> {
        let (done, told) = match &found {
            None => (Done::Created, thing.to_owned()),
            Some(found) => match differences(wanted, found)? {
                fields if fields.is_empty() => return self.report(Done::Unchanged, thing),
                fields => (Done::Changed, format!("{thing} ({})", fields.join(", "))),
            },
        };
        self.write(write).await.map_err(|failure| failure.while_doing(thing))?;
        self.report(done, &told)
    }

    /// Returns whether a thing is there and has what is wanted.
    pub fn is_settled(
        &self,
        found: Option<&impl Serialize>,
        wanted: &impl Serialize,
    ) -> Result<bool, Failure> {
        Ok(match found {
            None => false,
            Some(found) => differences(wanted, found)?.is_empty(),
        })
    }

    /// Brings something to be mounted, and waits until it can be used.
    ///
    /// # Errors
    ///
    /// A refusal where something of another type is mounted there: it is not ours to replace.
    pub async fn mount(&mut self, kind: MountKind, name: &str, wanted: &MountRequest) -> Result<(), Failure> {
        let wanted_fields = value(wanted)?;
        let what = if kind == MountKind::AuthMethod { "auth method" } else { "secrets engine" };
        let thing = format!("{what} {name}/ ({})", wanted_fields["type"].as_str().unwrap_or_default());
        if let Some(mounted) = self.vault.sys().mounts(kind).await?.get(&format!("{name}/")) {
            let version = wanted_fields["options"]["version"].as_str();
            let is_wanted = mounted.mount_type == wanted_fields["type"].as_str().unwrap_or_default()
                && version
                    .is_none_or(|version| mounted.options.get("version").is_some_and(|it| it == version));
            if !is_wanted {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("something else is mounted at {name}/: {}", type_of(mounted)),
                )
                .with_hint("choose another name, or move what is there"));
            }
            return self.report(Done::Unchanged, &thing);
        }
        self.write(async || self.vault.sys().enable(kind, name, wanted).await)
            .await
            .map_err(|failure| failure.while_doing(&thing))?;
        if kind == MountKind::SecretsEngine && !self.dry_run {
            self.wait_for(name).await?;
        }
        self.report(Done::Created, &thing)
    }

    /// Waits until a fresh KV v2 mount is ready.
    async fn wait_for(&self, mount: &str) -> Result<(), Failure> {
        for _ in 1..MOUNT_ATTEMPTS {
            match self.vault.kv2(mount).config().await {
                Err(Error::MountUpgrading(_)) => sleep(Duration::from_millis(500)).await,
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Err(Failure::new(Exit::Network, format!("the mount {mount}/ does not get ready")))
    }

    /// Returns whether everything was as it should be.
    pub fn is_unchanged(&self) -> bool {
        let [created, changed, _] = self.counts;
        created + changed == 0
    }

    /// Returns the last line: what was done in all.
    pub fn summary(&self) -> String {
        let counted: Vec<String> = [Done::Created, Done::Changed, Done::Unchanged]
            .into_iter()
            .filter(|done| self.counts[*done as usize] > 0)
            .map(|done| format!("{} {}", self.counts[done as usize], done.word(self.dry_run)))
            .collect();
        format!("{}{}\n", counted.join(", "), if self.is_unchanged() { ", nothing to do" } else { "" })
    }
}

/// Returns the names of the wanted fields that were found otherwise.
fn differences(wanted: &impl Serialize, found: &impl Serialize) -> Result<Vec<String>, Failure> {
    let found = value(found)?;
    Ok(differing(&value(wanted)?, found.as_object().unwrap_or(&Map::new())))
}

fn value(thing: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(thing).map_err(|error| Failure::of(Exit::Refused, &error))
}

/// Returns the names of the wanted fields that a server shows otherwise.
fn differing(wanted: &Value, current: &Map<String, Value>) -> Vec<String> {
    let wanted = wanted.as_object().into_iter().flatten();
    let differs = |(name, value): &(&String, &Value)| !same(value, current.get(*name));
    let mut names: Vec<String> = wanted.filter(differs).map(|(name, _)| name.clone()).collect();
    // Whether a map keeps the order of its making is a feature that any crate of the build may switch on.
    names.sort();
    names
}

/// Compares as the server does: it sorts lists, and shows nothing (`null`, an empty list, an empty text) in several
/// ways. Of an object the wanted fields count.
fn same(wanted: &Value, current: Option<&Value>) -> bool {
    match (wanted, current) {
        (Value::Object(_), Some(Value::Object(current))) => differing(wanted, current).is_empty(),
        (Value::Array(wanted), Some(Value::Array(current))) => {
            wanted.len() == current.len() && wanted.iter().all(|value| current.contains(value))
        }
        (Value::String(wanted), Some(Value::String(current))) => wanted.trim_end() == current.trim_end(),
        (wanted, Some(current)) => wanted == current || (is_nothing(wanted) && is_nothing(current)),
        (wanted, None) => is_nothing(wanted),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn type_of(mounted: &Mount) -> String {
    let version = mounted.options.get("version").map(|version| format!(" v{version}")).unwrap_or_default();
    (mounted.mount_type.clone() + &version).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::differing;

    fn differs(wanted: &Value, current: &Value) -> Vec<String> {
        differing(wanted, current.as_object().unwrap())
    }

    #[test]
    fn only_the_wanted_fields_count() {
        let current = json!({"token_ttl": 3600, "token_policies": ["other"], "user_claim": "sub"});
        assert!(differs(&json!({"token_ttl": 3600, "user_claim": "sub"}), &current).is_empty());
    }

    #[test]
    fn the_fields_that_differ_are_named() {
        let current = json!({"token_ttl": 60, "user_claim": "sub"});
        assert_eq!(
            differs(&json!({"token_ttl": 3600, "user_claim": "sub", "groups_claim": "g"}), &current),
            ["groups_claim", "token_ttl",]
        );
    }

    #[test]
    fn a_server_may_sort_a_list_but_not_shorten_or_lengthen_it() {
        let wanted = json!({"uris": ["b", "a"]});
        assert!(differs(&wanted, &json!({"uris": ["a", "b"]})).is_empty());
        for other in [json!(["a"]), json!(["a", "b", "c"]), json!(["a", "c"]), json!(null)] {
            assert_eq!(differs(&wanted, &json!({"uris": other})), ["uris"]);
        }
    }

    #[test]
    fn nothing_has_many_spellings() {
        for current in [json!({}), json!({"pem": ""}), json!({"pem": null}), json!({"pem": []})] {
            assert!(differs(&json!({"pem": ""}), &current).is_empty(), "{current}");
        }
        assert_eq!(differs(&json!({"pem": ""}), &json!({"pem": "CA"})), ["pem"]);
        assert_eq!(differs(&json!({"ttl": 0}), &json!({})), ["ttl"]);
    }

    #[test]
    fn a_mount_may_have_options_beside_the_wanted_ones() {
        let wanted = json!({"type": "kv", "options": {"version": "2"}});
        assert!(differs(&wanted, &json!({"type": "kv", "options": {"version": "2", "x": "y"}})).is_empty());
        assert_eq!(differs(&wanted, &json!({"type": "kv", "options": {"version": "1"}})), ["options"]);
        assert_eq!(differs(&wanted, &json!({"type": "kv", "options": null})), ["options"]);
    }
}
