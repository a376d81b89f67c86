//! Identity: who stands behind the tokens, and the groups whose policies they get.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde_json::{Map, Value, json};

use super::{Call, Desk, Operation, Outcome, Refusal, Reply};
use crate::{encoding::rfc3339, random};

#[derive(Default)]
pub(super) struct Identity {
    entities: BTreeMap<String, Entity>,
    groups: BTreeMap<String, Group>,
}

pub(super) struct Entity {
    pub(super) name: String,
    created: SystemTime,
    pub(super) updated: SystemTime,
    pub(super) policies: Vec<String>,
    pub(super) metadata: Value,
    pub(super) is_disabled: bool,
    pub(super) aliases: Vec<Alias>,
}

impl Entity {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            name: format!("entity_{}", random::hex(8)),
            created: now,
            updated: now,
            policies: Vec::new(),
            metadata: Value::Null,
            is_disabled: false,
            aliases: Vec::new(),
        }
    }
}

pub(super) struct Alias {
    pub(super) id: String,
    name: String,
    pub(super) accessor: String,
    mount_path: String,
    mount_type: String,
    metadata: Map<String, Value>,
    created: SystemTime,
    updated: SystemTime,
}

struct Group {
    name: String,
    is_external: bool,
    policies: Vec<String>,
    metadata: Value,
    members: BTreeSet<String>,
    /// An external group holds exactly one.
    alias: Option<Alias>,
    created: SystemTime,
    updated: SystemTime,
    changes: u64,
}

/// Where an identity comes from.
pub(super) struct Origin {
    pub(super) accessor: String,
    pub(super) mount_path: String,
    pub(super) mount_type: String,
}

impl Identity {
    /// The entity of somebody who has just logged in; a new one for a new name.
    pub(super) fn log_in(
        &mut self,
        origin: &Origin,
        name: &str,
        metadata: &Map<String, Value>,
        groups: &[String],
        now: SystemTime,
    ) -> String {
        let known = self.entities.iter_mut().find_map(|(id, entity)| {
            let alias =
                entity.aliases.iter_mut().find(|a| a.accessor == origin.accessor && a.name == name)?;
            alias.metadata.clone_from(metadata);
            alias.updated = now;
            Some(id.clone())
        });
        let id = known.unwrap_or_else(|| {
            let id = random::uuid();
            let mut entity = Entity::new(now);
            entity.aliases.push(origin.alias(name, metadata.clone(), now));
            self.entities.insert(id.clone(), entity);
            id
        });
        // Membership in external groups is what this login says, for the groups of this mount.
        for group in self.groups.values_mut() {
            let Some(alias) = group.alias.as_ref().filter(|alias| alias.accessor == origin.accessor) else {
                continue;
            };
            let is_changed = if groups.contains(&alias.name) {
                group.members.insert(id.clone())
            } else {
                group.members.remove(&id)
            };
            group.changes += u64::from(is_changed);
        }
        id
    }

    /// What an entity gets by itself and from its groups, sorted.
    pub(super) fn policies_of(&self, entity_id: &str) -> Vec<String> {
        let groups = self.groups.values().filter(|group| group.members.contains(entity_id));
        let own = self.entities.get(entity_id).into_iter().flat_map(|entity| &entity.policies);
        let policies: BTreeSet<String> =
            groups.flat_map(|group| &group.policies).chain(own).cloned().collect();
        policies.into_iter().collect()
    }

    pub(super) fn has_entity(&self, id: &str) -> bool {
        self.entities.contains_key(id)
    }

    pub(super) fn is_disabled(&self, id: &str) -> bool {
        self.entities.get(id).is_some_and(|entity| entity.is_disabled)
    }

    pub(super) fn entity_named(&self, name: &str) -> Option<String> {
        self.entities
            .iter()
            .find(|(_, entity)| entity.name.eq_ignore_ascii_case(name))
            .map(|(id, _)| id.clone())
    }

    /// Whose alias on a mount this is.
    pub(super) fn entity_of(&self, accessor: &str, name: &str) -> Option<String> {
        let is_it = |alias: &Alias| alias.accessor == accessor && alias.name == name;
        self.entities.iter().find(|(_, entity)| entity.aliases.iter().any(is_it)).map(|(id, _)| id.clone())
    }

    pub(super) fn entity_mut(&mut self, id: &str, new: impl FnOnce() -> Entity) -> &mut Entity {
        self.entities.entry(id.to_owned()).or_insert_with(new)
    }

    pub(super) fn forget_entity(&mut self, id: &str) {
        self.entities.remove(id);
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
    }

    pub(super) fn forget_alias(&mut self, id: &str) {
        for entity in self.entities.values_mut() {
            entity.aliases.retain(|alias| alias.id != id);
        }
    }

    pub(super) fn drop_alias_of(&mut self, accessor: &str, name: &str) {
        for entity in self.entities.values_mut() {
            entity.aliases.retain(|alias| alias.accessor != accessor || alias.name != name);
        }
    }

    pub(super) fn describe_alias(&self, id: &str) -> Option<Value> {
        let all = self.entities.iter().flat_map(|(owner, it)| it.aliases.iter().map(move |it| (owner, it)));
        let (owner, alias) = all.into_iter().find(|(_, alias)| alias.id == id)?;
        let mut value = alias.in_full(owner);
        value["namespace_id"] = "root".into();
        Some(value)
    }

    /// Puts what a policy says about "whoever asks" in place: `{{identity.entity.id}}` and its like.
    pub(super) fn fill_in(&self, template: &str, entity_id: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}")?;
            out += before;
            out += &self.looked_up(name.trim(), entity_id)?;
            rest = after;
        }
        Some(out + rest)
    }

    fn looked_up(&self, name: &str, entity_id: &str) -> Option<String> {
        let entity = self.entities.get(entity_id)?;
        let name = name.strip_prefix("identity.entity.")?;
        if let Some(rest) = name.strip_prefix("aliases.") {
            let (accessor, field) = rest.split_once('.')?;
            let alias = entity.aliases.iter().find(|alias| alias.accessor == accessor)?;
            return match field.strip_prefix("metadata.") {
                Some(key) => alias.metadata.get(key)?.as_str().map(str::to_owned),
                None => (field == "name").then(|| alias.name.clone()),
            };
        }
        match name {
            "id" => Some(entity_id.to_owned()),
            "name" => Some(entity.name.clone()),
            _ => None,
        }
    }

    /// Forgets the aliases of a mount that is gone.
    pub(super) fn forget_mount(&mut self, accessor: &str) {
        for entity in self.entities.values_mut() {
            entity.aliases.retain(|alias| alias.accessor != accessor);
        }
        for group in self.groups.values_mut() {
            if group.alias.as_ref().is_some_and(|alias| alias.accessor == accessor) {
                group.alias = None;
                group.members.clear();
            }
        }
    }

    fn group_named(&self, name: &str) -> Option<&String> {
        self.groups.iter().find(|(_, group)| group.name.eq_ignore_ascii_case(name)).map(|(id, _)| id)
    }
}

impl Origin {
    pub(super) fn alias(&self, name: &str, metadata: Map<String, Value>, now: SystemTime) -> Alias {
        Alias {
            id: random::uuid(),
            name: name.to_owned(),
            accessor: self.accessor.clone(),
            mount_path: self.mount_path.clone(),
            mount_type: self.mount_type.clone(),
            metadata,
            created: now,
            updated: now,
        }
    }
}

impl Alias {
    fn in_full(&self, owner: &str) -> Value {
        let mut value = described(self, owner);
        value["id"] = self.id.as_str().into();
        value["creation_time"] = rfc3339(self.created).into();
        value["last_update_time"] = rfc3339(self.updated).into();
        value["merged_from_canonical_ids"] = Value::Null;
        value
    }

    fn in_short(&self) -> Value {
        json!({
            "id": self.id,
            "mount_accessor": self.accessor,
            "mount_path": self.mount_path,
            "mount_type": self.mount_type,
            "name": self.name,
        })
    }
}

impl Desk<'_> {
    /// Everything below `identity/`.
    pub(super) fn identity(&mut self, call: &Call, path: &str) -> Outcome {
        let parts: Vec<&str> = path.split('/').collect();
        let is_write = call.operation.is_write();
        match (parts.as_slice(), call.operation) {
            (["group"], _) if is_write => {
                let id = call.text("id");
                let named = self.state.identity.group_named(&call.text("name")).cloned();
                let id = if id.is_empty() { named } else { Some(id) };
                self.write_group(call, id, &call.text("name"))
            }
            (["group", "id", id], _) if is_write => {
                self.write_group(call, Some((*id).to_owned()), &call.text("name"))
            }
            (["group", "name", name], _) if is_write => {
                let id = self.state.identity.group_named(name).cloned();
                self.write_group(call, id, name)
            }
            (["group", "id", id], Operation::Read) => self.read_group(id),
            (["group", "name", name], Operation::Read) => {
                let id = self.state.identity.group_named(name).cloned();
                self.read_group(&id.unwrap_or_default())
            }
            (["group", "id", id], Operation::Delete) => {
                self.state.identity.groups.remove(*id);
                Ok(Reply::nothing())
            }
            (["group", "name", name], Operation::Delete) => {
                if let Some(id) = self.state.identity.group_named(name).cloned() {
                    self.state.identity.groups.remove(&id);
                }
                Ok(Reply::nothing())
            }
            (["group", "id"], Operation::List) => {
                let info = self.state.identity.groups.iter().map(|(id, group)| {
                    let info = json!({
                        "alias": group.alias.as_ref().map_or_else(|| json!({}), Alias::in_short),
                        "name": group.name,
                        "num_member_entities": group.members.len(),
                        "num_parent_groups": 0,
                    });
                    (id.clone(), info)
                });
                keys_with_info(&info.collect())
            }
            (["group", "name"], Operation::List) => {
                let mut names: Vec<String> =
                    self.state.identity.groups.values().map(|group| group.name.clone()).collect();
                names.sort();
                Reply::keys(names)
            }
            (["group-alias"], _) if is_write => self.write_group_alias(call),
            (["group-alias", "id", id], _) if is_write && self.group_alias(id).is_some() => {
                self.write_group_alias(call)
            }
            (["group-alias", "id"], Operation::List) => {
                let aliases = self
                    .state
                    .identity
                    .groups
                    .iter()
                    .filter_map(|(id, group)| Some((id, group.alias.as_ref()?)));
                let info: Map<String, Value> =
                    aliases.map(|(group, alias)| (alias.id.clone(), described(alias, group))).collect();
                keys_with_info(&info)
            }
            (["group-alias", "id", id], Operation::Read) => {
                let found = self.group_alias(id).map(|(group, alias)| described(alias, group));
                found.map(Reply::data).ok_or_else(Refusal::not_found)
            }
            (["group-alias", "id", id], Operation::Delete) => {
                for group in self.state.identity.groups.values_mut() {
                    if group.alias.as_ref().is_some_and(|alias| alias.id == **id) {
                        group.alias = None;
                        group.members.clear();
                    }
                }
                Ok(Reply::nothing())
            }
            (["entity", "id"], Operation::List) => {
                let info = self.state.identity.entities.iter().map(|(id, entity)| {
                    let aliases: Vec<Value> = entity.aliases.iter().map(Alias::in_short).collect();
                    let mut info = json!({ "name": entity.name });
                    if !aliases.is_empty() {
                        info["aliases"] = json!(aliases);
                    }
                    (id.clone(), info)
                });
                keys_with_info(&info.collect())
            }
            (["entity-alias", "id"], Operation::List) => {
                let all = self.state.identity.entities.iter();
                let aliases =
                    all.flat_map(|(id, entity)| entity.aliases.iter().map(move |alias| (id, alias)));
                keys_with_info(&aliases.map(|(id, alias)| (alias.id.clone(), described(alias, id))).collect())
            }
            (["entity", "name"], Operation::List) => {
                Reply::keys(self.state.identity.entities.values().map(|entity| entity.name.clone()))
            }
            (["entity", "id", id], Operation::Read) => self.read_entity(id),
            (["entity", "name", name], Operation::Read) => {
                let found = self.state.identity.entities.iter().find(|(_, entity)| entity.name == **name);
                let id = found.map(|(id, _)| id.clone()).unwrap_or_default();
                self.read_entity(&id)
            }
            (["entity" | "entity-alias", ..] | ["lookup", "entity"], _) => self.entities(call, &parts),
            (["lookup", "group"], _) if is_write => {
                let id = call.text("id");
                let id = if id.is_empty() {
                    self.state.identity.group_named(&call.text("name")).cloned()
                } else {
                    Some(id)
                };
                match id.and_then(|id| self.read_group(&id).ok()) {
                    Some(found) => Ok(found),
                    None => Ok(Reply::nothing()),
                }
            }
            (["group" | "group-alias", ..], _) => Err(Refusal::unsupported_operation()),
            _ => Err(Refusal::unsupported_path()),
        }
    }

    fn write_group(&mut self, call: &Call, id: Option<String>, name: &str) -> Outcome {
        let now = call.now;
        if let Some(id) = &id
            && !self.state.identity.groups.contains_key(id)
        {
            return Err(Refusal::bad("invalid group ID"));
        }
        let known = id.as_ref().and_then(|id| self.state.identity.groups.get(id));
        let is_external = match (call.text("type").as_str(), known) {
            ("external", None) => true,
            ("internal" | "", None) => false,
            ("", Some(group)) => group.is_external,
            ("external", Some(group)) if group.is_external => true,
            ("internal", Some(group)) if !group.is_external => false,
            ("internal" | "external", Some(_)) => return Err(Refusal::bad("group type cannot be changed")),
            (other, _) => return Err(Refusal::bad(format!("invalid group type \"{other}\""))),
        };
        if is_external && !call.list("member_entity_ids").is_empty() {
            return Err(Refusal::bad("member entities can't be set manually for external groups"));
        }
        let is_new = known.is_none();
        let id = id.unwrap_or_else(random::uuid);
        let group = self.state.identity.groups.entry(id.clone()).or_insert_with(|| Group {
            name: format!("group_{}", random::hex(8)),
            is_external,
            policies: Vec::new(),
            metadata: Value::Null,
            members: BTreeSet::new(),
            alias: None,
            created: now,
            updated: now,
            changes: 0,
        });
        group.updated = now;
        group.changes += 1;
        if !name.is_empty() {
            name.clone_into(&mut group.name);
        }
        if call.data.contains_key("policies") {
            group.policies = call.list("policies").iter().map(|policy| policy.to_lowercase()).collect();
            group.policies.sort();
            group.policies.dedup();
        }
        if let Some(metadata) = call.data.get("metadata") {
            group.metadata = metadata.clone();
        }
        if call.data.contains_key("member_entity_ids") {
            group.members = call.list("member_entity_ids").into_iter().collect();
        }
        if is_new { Ok(Reply::data(json!({ "id": id, "name": group.name }))) } else { Ok(Reply::nothing()) }
    }

    fn read_group(&self, id: &str) -> Outcome {
        let group = self.state.identity.groups.get(id).ok_or_else(Refusal::not_found)?;
        let members: Vec<&String> = group.members.iter().collect();
        let alias = group.alias.as_ref().map_or_else(
            || json!({}),
            |alias| {
                json!({
                    "canonical_id": id,
                    "creation_time": rfc3339(alias.created),
                    "id": alias.id,
                    "last_update_time": rfc3339(alias.updated),
                    "merged_from_canonical_ids": null,
                    "metadata": null,
                    "mount_accessor": alias.accessor,
                    "mount_path": alias.mount_path,
                    "mount_type": alias.mount_type,
                    "name": alias.name,
                })
            },
        );
        Ok(Reply::data(json!({
            "alias": alias,
            "creation_time": rfc3339(group.created),
            "id": id,
            "last_update_time": rfc3339(group.updated),
            "member_entity_ids": if members.is_empty() { Value::Null } else { json!(members) },
            "member_group_ids": null,
            "metadata": group.metadata,
            "modify_index": group.changes,
            "name": group.name,
            "namespace_id": "root",
            "parent_group_ids": null,
            "policies": group.policies,
            "type": if group.is_external { "external" } else { "internal" },
        })))
    }

    /// A second alias for the same group silently takes the place of the first.
    fn write_group_alias(&mut self, call: &Call) -> Outcome {
        let (name, accessor, group_id) =
            (call.text("name"), call.text("mount_accessor"), call.text("canonical_id"));
        if name.is_empty() {
            return Err(Refusal::bad("missing alias name"));
        }
        if accessor.is_empty() {
            return Err(Refusal::bad("missing mount_accessor"));
        }
        let Some(origin) = self.origin_of(&accessor) else {
            return Err(Refusal::bad(format!("invalid mount accessor \"{accessor}\"")));
        };
        match self.state.identity.groups.get(&group_id) {
            None => return Err(Refusal::bad("invalid group ID given in 'canonical_id'")),
            Some(group) if !group.is_external => {
                return Err(Refusal::bad("alias can't be set on an internal group"));
            }
            Some(_) => {}
        }
        let is_taken = self.state.identity.groups.values().any(|group| {
            group.alias.as_ref().is_some_and(|alias| alias.accessor == accessor && alias.name == name)
        });
        if is_taken {
            return Err(Refusal::bad("combination of mount and group alias name is already in use"));
        }
        let alias = origin.alias(&name, Map::new(), call.now);
        let id = alias.id.clone();
        if let Some(group) = self.state.identity.groups.get_mut(&group_id) {
            group.alias = Some(alias);
            group.changes += 1;
            group.updated = call.now;
        }
        Ok(Reply::data(json!({ "canonical_id": group_id, "id": id })))
    }

    fn group_alias(&self, id: &str) -> Option<(&String, &Alias)> {
        let aliases =
            self.state.identity.groups.iter().filter_map(|(group, it)| Some((group, it.alias.as_ref()?)));
        aliases.into_iter().find(|(_, alias)| alias.id == id)
    }

    pub(super) fn origin_of(&self, accessor: &str) -> Option<Origin> {
        let (path, mount) = self.state.auth.iter().find(|(_, mount)| mount.accessor == accessor)?;
        Some(Origin {
            accessor: accessor.to_owned(),
            mount_path: format!("auth/{path}"),
            mount_type: mount.kind.clone(),
        })
    }

    pub(super) fn read_entity(&self, id: &str) -> Outcome {
        let entity = self.state.identity.entities.get(id).ok_or_else(Refusal::not_found)?;
        let groups: Vec<&String> = self
            .state
            .identity
            .groups
            .iter()
            .filter(|(_, group)| group.members.contains(id))
            .map(|(id, _)| id)
            .collect();
        let aliases: Vec<Value> = entity.aliases.iter().map(|alias| alias.in_full(id)).collect();
        Ok(Reply::data(json!({
            "aliases": aliases,
            "creation_time": rfc3339(entity.created),
            "direct_group_ids": groups,
            "disabled": entity.is_disabled,
            "group_ids": groups,
            "id": id,
            "inherited_group_ids": [],
            "last_update_time": rfc3339(entity.updated),
            "merged_entity_ids": null,
            "metadata": super::entities::or_null(&entity.metadata),
            "name": entity.name,
            "namespace_id": "root",
            "policies": entity.policies,
        })))
    }
}

fn described(alias: &Alias, canonical_id: &str) -> Value {
    json!({
        "canonical_id": canonical_id,
        "custom_metadata": null,
        "local": false,
        "metadata": if alias.metadata.is_empty() { Value::Null } else { Value::Object(alias.metadata.clone()) },
        "mount_accessor": alias.accessor,
        "mount_path": alias.mount_path,
        "mount_type": alias.mount_type,
        "name": alias.name,
    })
}

fn keys_with_info(info: &Map<String, Value>) -> Outcome {
    if info.is_empty() {
        return Err(Refusal::not_found());
    }
    let mut keys: Vec<&String> = info.keys().collect();
    keys.sort();
    Ok(Reply::data(json!({ "key_info": info, "keys": keys })))
}
