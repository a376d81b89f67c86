//! KV version 2: secrets with versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{Call, Operation, Outcome, Refusal, Reply, Voice, call};
use crate::encoding::{go_duration, go_numbers, rfc3339};

/// How many versions are kept where nobody said otherwise.
const DEFAULT_MAX_VERSIONS: u64 = 10;

#[derive(Default)]
pub(super) struct Store {
    secrets: BTreeMap<String, Secret>,
    config: Config,
}

#[derive(Clone, Default)]
struct Config {
    max_versions: u64,
    cas_required: bool,
    delete_version_after: u64,
    metadata_cas_required: bool,
}

struct Secret {
    versions: BTreeMap<u64, Version>,
    current: u64,
    created: SystemTime,
    updated: SystemTime,
    config: Config,
    custom_metadata: Option<Map<String, Value>>,
    metadata_changes: u64,
}

struct Version {
    data: Value,
    created: SystemTime,
    deleted: Option<SystemTime>,
    is_destroyed: bool,
}

impl Version {
    fn is_gone(&self, now: SystemTime) -> bool {
        self.is_destroyed || self.deleted.is_some_and(|deleted| deleted <= now)
    }
}

impl Secret {
    fn new(now: SystemTime) -> Self {
        Self {
            versions: BTreeMap::new(),
            current: 0,
            created: now,
            updated: now,
            config: Config::default(),
            custom_metadata: None,
            metadata_changes: 0,
        }
    }

    /// The metadata of one version, as data is answered with.
    fn about(&self, number: u64, version: &Version) -> Value {
        json!({
            "created_time": rfc3339(version.created),
            "custom_metadata": self.custom_metadata,
            "deletion_time": version.deleted.map(rfc3339).unwrap_or_default(),
            "destroyed": version.is_destroyed,
            "version": number,
        })
    }
}

impl Store {
    /// Whether a write there changes something that exists, for the difference between create and update.
    pub(super) fn exists(&self, path: &str) -> bool {
        let (kind, key) = path.split_once('/').unwrap_or((path, ""));
        matches!(kind, "data" | "metadata") && self.secrets.contains_key(key)
    }

    pub(super) fn answer(&mut self, call: &Call, path: &str, voice: Voice) -> Outcome {
        let (kind, key) = path.split_once('/').unwrap_or((path, ""));
        let is_write = call.operation.is_write();
        let wrong_place = |verb: &str| {
            Ok(Reply::nothing().with_status(404).with_warning(voice.versioned_path_warning(verb)))
        };
        match (kind, call.operation) {
            ("config", Operation::Read) if key.is_empty() => Ok(self.read_config(voice)),
            ("config", _) if key.is_empty() && is_write => {
                change(&mut self.config, call)?;
                Ok(Reply::nothing())
            }
            ("metadata", Operation::List) => self.list(key, false),
            ("metadata", Operation::Scan) => self.list(key, true),
            ("data", Operation::Read) if path == "data" => Ok(Reply::nothing()
                .with_status(404)
                .with_warning("Non-listing operations on the root of a K/V v2 mount are not supported.")),
            ("data", Operation::Read) => self.read(call, key),
            ("data", _) if is_write => self.write(call, key),
            ("data", Operation::Patch) => self.patch(call, key),
            ("data", Operation::Delete) => Ok(self.delete_latest(call, key)),
            ("delete" | "undelete" | "destroy", _) if is_write => self.change_versions(call, kind, key),
            ("metadata", Operation::Read) => self.read_metadata(key, voice),
            ("metadata", _) if is_write => self.write_metadata(call, key, voice),
            ("metadata", Operation::Patch) => {
                is_merge_patch(call)?;
                if !self.secrets.contains_key(key) {
                    return Err(Refusal::empty(404));
                }
                self.write_metadata(call, key, voice)
            }
            ("metadata", Operation::Delete) => {
                self.secrets.remove(key);
                Ok(Reply::nothing())
            }
            ("subkeys", Operation::Read) => self.subkeys(call, key),
            ("data" | "delete" | "undelete" | "destroy" | "metadata" | "subkeys" | "config", _) => {
                Err(Refusal::unsupported_operation())
            }
            (_, Operation::Read) => wrong_place("get"),
            (_, Operation::List | Operation::Scan) => wrong_place("list"),
            (_, Operation::Create | Operation::Update) => wrong_place("put"),
            (_, Operation::Patch) => wrong_place("patch"),
            (_, Operation::Delete) => wrong_place("delete"),
        }
    }

    /// [Read secret version](https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version).
    fn read(&self, call: &Call, key: &str) -> Outcome {
        let asked = number(call)?;
        let secret = self.secrets.get(key).ok_or_else(Refusal::not_found)?;
        let at = if asked == 0 { secret.current } else { asked };
        let version = secret.versions.get(&at).ok_or_else(Refusal::not_found)?;
        let about = secret.about(at, version);
        if version.is_gone(call.now) {
            return Ok(Reply::data(json!({ "data": null, "metadata": about })).with_status(404));
        }
        let data = go_numbers(version.data.clone());
        Ok(Reply::data(json!({ "data": data, "metadata": about })).ignoring(&call.data, &["version"]))
    }

    /// [Create or update secret](https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#create-update-secret).
    fn write(&mut self, call: &Call, key: &str) -> Outcome {
        if key.is_empty() {
            return Err(Refusal::unsupported_operation());
        }
        let data = match call.data.get("data") {
            None => return Err(Refusal::bad("no data provided")),
            Some(data @ (Value::Object(_) | Value::Null)) => data.clone(),
            Some(other) => {
                let kind = match other {
                    Value::Number(_) => "json.Number",
                    Value::Bool(_) => "bool",
                    Value::String(_) => "string",
                    _ => "[]interface {}",
                };
                return Err(Refusal::bad(format!(
                    "error converting input for field \"data\": '' expected type 'map[string]interface {{}}', got \
                     unconvertible type '{kind}'"
                )));
            }
        };
        self.check_and_set(call, key)?;
        let reply = self.add_version(key, data, call.now);
        Ok(reply.ignoring(&call.data, &["data", "options", "version"]))
    }

    fn check_and_set(&self, call: &Call, key: &str) -> Result<(), Refusal> {
        let secret = self.secrets.get(key);
        let is_required = self.config.cas_required || secret.is_some_and(|secret| secret.config.cas_required);
        let given = call.data.get("options").and_then(|options| options.get("cas"));
        let Some(given) = given.filter(|cas| !cas.is_null()) else {
            return if is_required {
                Err(Refusal::bad("check-and-set parameter required for this call"))
            } else {
                Ok(())
            };
        };
        let wanted = given.as_u64().or_else(|| given.as_str().and_then(|text| text.parse().ok()));
        match wanted {
            None => Err(Refusal::bad("error parsing check-and-set parameter")),
            Some(wanted) if wanted == secret.map_or(0, |secret| secret.current) => Ok(()),
            Some(_) => Err(Refusal::bad("check-and-set parameter did not match the current version")),
        }
    }

    fn add_version(&mut self, key: &str, data: Value, now: SystemTime) -> Reply {
        let config = self.config.clone();
        let secret = self.secrets.entry(key.to_owned()).or_insert_with(|| Secret::new(now));
        let first_of = |own: u64, of_mount: u64| if own > 0 { own } else { of_mount };
        let keep = match first_of(secret.config.max_versions, config.max_versions) {
            0 => DEFAULT_MAX_VERSIONS,
            keep => keep,
        };
        let live_for = first_of(secret.config.delete_version_after, config.delete_version_after);
        secret.current += 1;
        secret.updated = now;
        let deleted = (live_for > 0).then(|| now + Duration::from_secs(live_for));
        let version = Version { data, created: now, deleted, is_destroyed: false };
        secret.versions.insert(secret.current, version);
        let oldest = (secret.current + 1).saturating_sub(keep);
        secret.versions.retain(|number, _| *number >= oldest);
        secret
            .versions
            .get(&secret.current)
            .map_or_else(Reply::nothing, |version| Reply::data(secret.about(secret.current, version)))
    }

    /// [Patch secret](https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#patch-secret): a merge patch of
    /// [RFC 7396](https://www.rfc-editor.org/rfc/rfc7396).
    fn patch(&mut self, call: &Call, key: &str) -> Outcome {
        is_merge_patch(call)?;
        let Some(patch) = call.data.get("data") else { return Err(Refusal::bad("no data provided")) };
        let Some(secret) = self.secrets.get(key) else { return Err(Refusal::empty(404)) };
        let Some(version) = secret.versions.get(&secret.current) else { return Err(Refusal::empty(404)) };
        if version.is_gone(call.now) {
            return Ok(Reply::data(secret.about(secret.current, version)).with_status(404));
        }
        let mut data = version.data.clone();
        merge(&mut data, patch);
        self.check_and_set(call, key)?;
        Ok(self.add_version(key, data, call.now))
    }

    fn delete_latest(&mut self, call: &Call, key: &str) -> Reply {
        if let Some(secret) = self.secrets.get_mut(key)
            && let Some(version) = secret.versions.get_mut(&secret.current)
            && !version.is_gone(call.now)
        {
            version.deleted = Some(call.now);
        }
        Reply::nothing()
    }

    fn change_versions(&mut self, call: &Call, verb: &str, key: &str) -> Outcome {
        let versions: Vec<u64> =
            call.list("versions").iter().filter_map(|number| number.parse().ok()).collect();
        if versions.is_empty() {
            let text =
                if verb == "destroy" { "no version number provided" } else { "No version number provided" };
            return Err(Refusal::bad(text));
        }
        let Some(secret) = self.secrets.get_mut(key) else { return Ok(Reply::nothing()) };
        for number in versions {
            let Some(version) = secret.versions.get_mut(&number) else { continue };
            match verb {
                "destroy" => {
                    version.is_destroyed = true;
                    version.data = Value::Null;
                }
                _ if version.is_destroyed => {}
                "undelete" => version.deleted = None,
                _ if version.is_gone(call.now) => {}
                _ => version.deleted = Some(call.now),
            }
        }
        Ok(Reply::nothing())
    }

    fn read_metadata(&self, key: &str, voice: Voice) -> Outcome {
        let secret = self.secrets.get(key).ok_or_else(Refusal::not_found)?;
        let versions: Map<String, Value> = secret
            .versions
            .iter()
            .map(|(number, version)| {
                let mut value = json!({
                    "created_time": rfc3339(version.created),
                    "deletion_time": version.deleted.map(rfc3339).unwrap_or_default(),
                    "destroyed": version.is_destroyed,
                });
                if voice == Voice::Vault {
                    value["created_by"] = Value::Null;
                    value["deleted_by"] = Value::Null;
                }
                (number.to_string(), value)
            })
            .collect();
        // Nothing was ever cut off: the oldest is 0, as on the servers.
        let first = secret.versions.keys().next().copied().unwrap_or(0);
        let mut data = json!({
            "cas_required": secret.config.cas_required,
            "created_time": rfc3339(secret.created),
            "current_version": secret.current,
            "custom_metadata": secret.custom_metadata,
            "delete_version_after": go_duration(secret.config.delete_version_after),
            "max_versions": secret.config.max_versions,
            "oldest_version": if first <= 1 { 0 } else { first },
            "updated_time": rfc3339(secret.updated),
            "versions": versions,
        });
        match voice {
            Voice::OpenBao => {
                data["current_metadata_version"] = secret.metadata_changes.into();
                data["metadata_cas_required"] = secret.config.metadata_cas_required.into();
            }
            Voice::Vault => data["last_updated_by"] = Value::Null,
        }
        Ok(Reply::data(data))
    }

    fn write_metadata(&mut self, call: &Call, key: &str, voice: Voice) -> Outcome {
        if key.is_empty() {
            return Err(Refusal::unsupported_operation());
        }
        let known = self.secrets.get(key);
        if voice == Voice::OpenBao {
            let is_required = self.config.metadata_cas_required
                || known.is_some_and(|secret| secret.config.metadata_cas_required);
            check_metadata_cas(call, is_required, known.map_or(0, |secret| secret.metadata_changes))?;
        }
        let is_patch = call.operation == Operation::Patch;
        let custom = match call.data.get("custom_metadata") {
            Some(Value::Object(given)) => {
                let text = |value: &Value| match value {
                    Value::Null if is_patch => Value::Null,
                    value => call::text_of(Some(value)).into(),
                };
                let mut custom = given.iter().map(|(key, value)| (key.clone(), text(value))).collect();
                let old = known.and_then(|secret| secret.custom_metadata.clone()).filter(|_| is_patch);
                if let (true, mut merged) = (is_patch, Value::Object(old.unwrap_or_default())) {
                    merge(&mut merged, &Value::Object(custom));
                    custom = merged.as_object().cloned().unwrap_or_default();
                }
                check_custom_metadata(&custom)?;
                Some(Some(custom))
            }
            Some(Value::Null) if is_patch => Some(None),
            _ => None,
        };
        let mut config = known.map_or_else(Config::default, |secret| secret.config.clone());
        change(&mut config, call)?;
        if is_patch {
            // Null is "none", but for `delete_version_after` the servers do nothing then.
            let is_null = |name: &str| call.data.get(name).is_some_and(Value::is_null);
            config.max_versions = if is_null("max_versions") { 0 } else { config.max_versions };
            config.cas_required &= !is_null("cas_required");
        }
        let secret = self.secrets.entry(key.to_owned()).or_insert_with(|| Secret::new(call.now));
        secret.config = config;
        secret.updated = call.now;
        secret.metadata_changes += 1;
        if let Some(custom) = custom {
            secret.custom_metadata = custom;
        }
        Ok(Reply::nothing())
    }

    fn list(&self, folder: &str, is_deep: bool) -> Outcome {
        let prefix = match folder.trim_end_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let below = self.secrets.keys().filter_map(|key| key.strip_prefix(&prefix));
        let keys: BTreeSet<String> = below
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) if !is_deep => format!("{folder}/"),
                _ => rest.to_owned(),
            })
            .collect();
        Reply::keys(keys)
    }

    fn read_config(&self, voice: Voice) -> Reply {
        let mut data = json!({
            "cas_required": self.config.cas_required,
            "delete_version_after": go_duration(self.config.delete_version_after),
            "max_versions": self.config.max_versions,
        });
        if voice == Voice::OpenBao {
            data["metadata_cas_required"] = self.config.metadata_cas_required.into();
        }
        Reply::data(data)
    }

    fn subkeys(&self, call: &Call, key: &str) -> Outcome {
        let asked = number(call)?;
        let depth = call.text("depth").parse().unwrap_or(0);
        let secret = self.secrets.get(key).ok_or_else(Refusal::not_found)?;
        let at = if asked == 0 { secret.current } else { asked };
        let version = secret.versions.get(&at).ok_or_else(Refusal::not_found)?;
        let about = secret.about(at, version);
        if version.is_gone(call.now) {
            return Ok(Reply::data(json!({ "metadata": about, "subkeys": null })).with_status(404));
        }
        Ok(Reply::data(json!({ "metadata": about, "subkeys": hollow(&version.data, depth, 1) })))
    }
}

/// The same shape with nothing in it, down to a depth (0: all the way).
fn hollow(value: &Value, depth: u64, level: u64) -> Value {
    match value {
        Value::Object(fields) if level == 1 || depth == 0 || level <= depth => {
            fields.iter().map(|(key, value)| (key.clone(), hollow(value, depth, level + 1))).collect()
        }
        _ => Value::Null,
    }
}

/// A patch says that it is one.
fn is_merge_patch(call: &Call) -> Result<(), Refusal> {
    match call.content_type.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
        Some("application/merge-patch+json") => Ok(()),
        None => Err(Refusal::bad("mime: no media type")),
        Some(other) => Err(Refusal::new(
            415,
            format!("PATCH requires Content-Type of application/merge-patch+json, provided {other}"),
        )),
    }
}

fn change(config: &mut Config, call: &Call) -> Result<(), Refusal> {
    let given = |name: &str| call.data.get(name).filter(|value| !value.is_null());
    if let Some(count) = given("max_versions") {
        config.max_versions = call::text_of(Some(count)).parse().unwrap_or(0);
    }
    if let Some(flag) = given("cas_required") {
        config.cas_required = call::flag_of(Some(flag));
    }
    if let Some(flag) = given("metadata_cas_required") {
        config.metadata_cas_required = call::flag_of(Some(flag));
    }
    if let Some(after) = given("delete_version_after") {
        let seconds = crate::encoding::seconds(after).map_err(|text| {
            Refusal::bad(format!(
                "error converting input for field \"delete_version_after\": time: invalid duration \"{text}\""
            ))
        })?;
        config.delete_version_after = u64::try_from(seconds).unwrap_or(0);
    }
    Ok(())
}

/// `metadata_cas`, which only OpenBao knows: how often the metadata were changed before.
fn check_metadata_cas(call: &Call, is_required: bool, changes: u64) -> Result<(), Refusal> {
    let Some(given) = call.data.get("metadata_cas").filter(|cas| !cas.is_null()) else {
        return if is_required {
            Err(Refusal::bad("metadata check-and-set parameter required for this call"))
        } else {
            Ok(())
        };
    };
    match call::text_of(Some(given)).parse::<u64>() {
        Err(_) => Err(Refusal::bad(
            "error converting input for field \"metadata_cas\": '' cannot parse value as 'int': strconv.ParseInt: invalid \
             syntax",
        )),
        Ok(wanted) if wanted == changes => Ok(()),
        Ok(_) => Err(Refusal::bad("metadata check-and-set parameter does not match the current version")),
    }
}

fn check_custom_metadata(custom: &Map<String, Value>) -> Result<(), Refusal> {
    if custom.len() > 64 {
        let provided = custom.len();
        return Err(Refusal::all_wrapped(&[format!(
            "{INVALID}: payload must contain at most 64 keys, provided {provided}"
        )]));
    }
    let mut wrong = Vec::new();
    for (key, value) in custom {
        let (value, quoted) = (value.as_str().unwrap_or_default(), quoted(key));
        let (of_key, of_value) = (key.len(), value.len());
        if !(1..=128).contains(&of_key) {
            wrong.push(format!(
                "{INVALID}: length of key {quoted} is {of_key} but must be 0 < len(key) <= 128"
            ));
        }
        if !key.chars().all(is_printable) {
            wrong.push(format!("{INVALID}: key {quoted} ({key}) contains unprintable characters"));
        }
        if !(1..=512).contains(&of_value) {
            wrong.push(format!(
                "{INVALID}: length of value for key {quoted} is {of_value} but must be 0 < len(value) <= 512"
            ));
        }
        if !value.chars().all(is_printable) {
            wrong.push(format!("{INVALID}: value for key {quoted} contains unprintable characters"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::all_wrapped(&wrong)) }
}

const INVALID: &str = "custom_metadata validation failed";

/// As Go sees it: letters, marks, numbers, punctuation, symbols, and no white space but the space.
fn is_printable(sign: char) -> bool {
    // What stands second is escaped only where it cannot be shown: a mark that joins the first can.
    matches!(sign, '"' | '\'' | '\\') || format!("a{sign}").escape_debug().skip(1).eq([sign])
}

/// A text in Go's quotes.
fn quoted(text: &str) -> String {
    let escaped = |sign: char| match sign {
        '"' | '\\' => format!("\\{sign}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        sign if is_printable(sign) => sign.to_string(),
        sign if sign.is_ascii() => format!("\\x{:02x}", u32::from(sign)),
        sign => format!("\\u{:04x}", u32::from(sign)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<Vec<_>>().concat())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn number(call: &Call) -> Result<u64, Refusal> {
    match call.text("version").as_str() {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            Refusal::bad(
                "Field validation failed: error converting input for field \"version\": '' cannot parse value as \
                 'int': strconv.ParseInt: invalid syntax",
            )
        }),
    }
}
