//! Bringing a server to a wanted state: look first, change only what differs, say what was done.

use std::time::Duration;

use latchkey_transport::Secret;
use latchkey_vault_client::{Error, Vault};
use serde_json::{Map, Value, json};
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

impl Setup {
    /// Returns a set-up of that server. In a dry run nothing is changed.
    pub fn new(vault: Vault, dry_run: bool) -> Self {
        Self { vault, dry_run, counts: [0; 3] }
    }

    /// Returns the server.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Returns what stands at a path, or nothing where nothing stands there.
    pub async fn read(&self, path: &str) -> Result<Option<Map<String, Value>>, Failure> {
        match self.vault.logical().read(path).await {
            Ok(found) => Ok(found
                .filter(|answer| !answer.data.is_empty())
                .map(|answer| answer.data.to())
                .transpose()?),
            // A path below a mount that is yet to be made.
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(Failure::from(error).while_doing(&format!("reading {path}"))),
        }
    }

    /// Writes to a path, unless this is a dry run.
    pub async fn write(&self, path: &str, body: &Value) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        for _ in 1..MOUNT_ATTEMPTS {
            match self.vault.logical().write(path, body).await {
                Err(Error::MountUpgrading(_)) => sleep(Duration::from_millis(500)).await,
                Err(error) => return Err(Failure::from(error).while_doing(&format!("writing {path}"))),
                Ok(_) => return Ok(()),
            }
        }
        Err(Failure::new(Exit::Network, format!("writing {path}: the mount does not get ready")))
    }

    /// Prints what was done about a thing, and counts it.
    pub fn report(&mut self, done: Done, thing: &str) -> Result<(), Failure> {
        self.counts[done as usize] += 1;
        output::print(format!("{:<9}  {thing}\n", done.word(self.dry_run)).as_bytes())
    }

    /// Brings what stands at `path` to have the `wanted` fields. Other fields stay as they are.
    pub async fn settle(&mut self, thing: &str, path: &str, wanted: &Value) -> Result<(), Failure> {
        match self.read(path).await?.map(|current| differing(wanted, &current)) {
            Some(fields) if fields.is_empty() => self.report(Done::Unchanged, thing),
            seen => self.bring(thing, path, wanted, seen).await,
        }
    }

    /// Writes, and reports a change of these fields; a creation where there was nothing to differ from.
    async fn bring(
        &mut self,
        thing: &str,
        path: &str,
        body: &Value,
        differing: Option<Vec<String>>,
    ) -> Result<(), Failure> {
        self.write(path, body).await?;
        match differing {
            Some(fields) => self.report(Done::Changed, &format!("{thing} ({})", fields.join(", "))),
            None => self.report(Done::Created, thing),
        }
    }

    /// The same where the server takes a field and never shows it. It goes along with every change; and where all
    /// that can be seen is as wanted, `is_right` finds out in another way, if there is one, what the field holds.
    pub async fn settle_unseen(
        &mut self,
        thing: &str,
        path: &str,
        wanted: &Value,
        (field, value): (&str, &Secret),
        is_right: impl AsyncFn() -> Option<bool>,
    ) -> Result<(), Failure> {
        let mut whole = wanted.clone();
        // Opened to be sent.
        whole[field] = value.expose_secret().into();
        let seen = self.read(path).await?.map(|current| differing(wanted, &current));
        if seen.as_ref().is_none_or(|fields| !fields.is_empty()) {
            return self.bring(thing, path, &whole, seen).await;
        }
        // To find out, something is sent: not in a dry run.
        let known = if self.dry_run { None } else { is_right().await };
        match known {
            Some(true) => return self.report(Done::Unchanged, thing),
            None => {
                return self.report(Done::Unchanged, &format!("{thing} (but nobody can tell its {field})"));
            }
            Some(false) => self.write(path, &whole).await?,
        }
        if is_right().await == Some(true) {
            self.report(Done::Changed, &format!("{thing} ({field})"))
        } else {
            self.report(Done::Unchanged, &format!("{thing} (but the provider does not take its {field})"))
        }
    }

    /// Brings something to be mounted at `name`: a secrets engine (`table` is `sys/mounts`) or an auth method
    /// (`sys/auth`). Returns its accessor, which nobody knows yet where a dry run only would have mounted it.
    ///
    /// # Errors
    ///
    /// A refusal where something of another type is mounted there: it is not ours to replace.
    pub async fn mount(
        &mut self,
        table: &str,
        name: &str,
        wanted: &Value,
    ) -> Result<Option<String>, Failure> {
        let thing = format!("{} {name}/ ({})", kind(table), wanted["type"].as_str().unwrap_or_default());
        if let Some(mounted) = self.mounted(table, name).await? {
            if !differing(wanted, &mounted).is_empty() {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("something else is mounted at {name}/: {}", type_of(&mounted)),
                )
                .with_hint("choose another name, or move what is there"));
            }
            self.report(Done::Unchanged, &thing)?;
            return Ok(text(&mounted, "accessor"));
        }
        self.write(&format!("{table}/{name}"), wanted).await?;
        self.report(Done::Created, &thing)?;
        Ok(self.mounted(table, name).await?.and_then(|mounted| text(&mounted, "accessor")))
    }

    async fn mounted(&self, table: &str, name: &str) -> Result<Option<Map<String, Value>>, Failure> {
        let mounts = self.read(table).await?.unwrap_or_default();
        Ok(mounts.get(&format!("{name}/")).and_then(Value::as_object).cloned())
    }

    /// Brings an external group to give `policy` to those in whose token the auth method finds `role`.
    ///
    /// An external group has exactly one alias, and giving it a second one takes the first away. So each role has a
    /// group of its own on each mount.
    pub async fn group(
        &mut self,
        name: &str,
        policy: &str,
        role: &str,
        accessor: Option<&str>,
    ) -> Result<(), Failure> {
        let path = format!("identity/group/name/{name}");
        self.settle(&format!("group {name}"), &path, &json!({"type": "external", "policies": [policy]}))
            .await?;
        let group = self.read(&path).await?.unwrap_or_default();
        let alias = group.get("alias").and_then(Value::as_object).filter(|alias| !alias.is_empty());
        let wanted = json!({"name": role, "mount_accessor": accessor});
        let done = match alias {
            Some(alias) if differing(&wanted, alias).is_empty() => Done::Unchanged,
            Some(_) => Done::Changed,
            None => Done::Created,
        };
        if done != Done::Unchanged {
            let alias = json!({"name": role, "mount_accessor": accessor, "canonical_id": group.get("id")});
            let otherwise =
                format!("another group has the alias {role} on this mount: remove one of the two");
            self.write("identity/group-alias", &alias).await.map_err(|failure| failure.or_hint(otherwise))?;
        }
        self.report(done, &format!("alias {role} of group {name}"))
    }

    /// Returns the last line: what was done in all.
    pub fn summary(&self) -> String {
        let counted: Vec<String> = [Done::Created, Done::Changed, Done::Unchanged]
            .into_iter()
            .filter(|done| self.counts[*done as usize] > 0)
            .map(|done| format!("{} {}", self.counts[done as usize], done.word(self.dry_run)))
            .collect();
        let [created, changed, _] = self.counts;
        let end = if created + changed == 0 { ", nothing to do" } else { "" };
        format!("{}{end}\n", counted.join(", "))
    }
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

fn kind(table: &str) -> &'static str {
    if table == "sys/auth" { "auth method" } else { "secrets engine" }
}

fn type_of(mounted: &Map<String, Value>) -> String {
    let version = mounted.get("options").and_then(|options| options["version"].as_str());
    let version = version.map(|version| format!(" v{version}")).unwrap_or_default();
    let kind = text(mounted, "type").unwrap_or_default() + &version;
    kind.escape_debug().to_string()
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
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
