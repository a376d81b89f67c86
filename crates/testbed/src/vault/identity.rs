//! Identity: who stands behind the tokens, and the groups whose policies they get.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde_json::{Map, Value, json};

use super::{Call, Desk, Operation, Outcome, Refusal, Reply, groups::Group};
use crate::{encoding::rfc3339, random};

#[derive(Default)]
pub(super) struct Identity {
    entities: BTreeMap<String, Entity>,
    pub(super) groups: BTreeMap<String, Group>,
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
    pub(super) name: String,
    pub(super) accessor: String,
    pub(super) mount_path: String,
    pub(super) mount_type: String,
    metadata: Map<String, Value>,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
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
            let alias = entity.aliases.iter_mut().find(|alias| alias.is(&origin.accessor, name))?;
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
        let groups =
            self.groups.iter().filter(|(id, _)| self.is_member(id, entity_id, 0)).map(|(_, group)| group);
        let own = self.entities.get(entity_id).into_iter().flat_map(|entity| &entity.policies);
        let policies: BTreeSet<String> =
            groups.flat_map(|group| &group.policies).chain(own).cloned().collect();
        policies.into_iter().collect()
    }

    /// Whether an entity is in a group, by itself or through the groups in it.
    fn is_member(&self, group: &str, entity: &str, depth: usize) -> bool {
        let Some(group) = self.groups.get(group) else { return false };
        // A ring of groups is refused by the servers; here it ends.
        group.members.contains(entity)
            || depth < 16 && group.member_groups.iter().any(|inner| self.is_member(inner, entity, depth + 1))
    }

    pub(super) fn parents_of(&self, id: &str) -> Vec<&String> {
        self.groups.iter().filter(|(_, group)| group.member_groups.contains(id)).map(|(id, _)| id).collect()
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
        let is_it = |alias: &Alias| alias.is(accessor, name);
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
    /// Servers keep a name as it was first written, and take every other case of it for the same.
    fn is(&self, accessor: &str, name: &str) -> bool {
        self.accessor == accessor && self.name.eq_ignore_ascii_case(name)
    }

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
                    let mut info = json!({
                        "name": group.name,
                        "num_member_entities": group.members.len(),
                        "num_parent_groups": self.state.identity.parents_of(id).len(),
                    });
                    if let Some(alias) = &group.alias {
                        info["alias"] = alias.in_short();
                    }
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
            (["group-alias"], _) if is_write => self.write_group_alias(call, None),
            (["group-alias", "id", id], _) if is_write && self.group_alias(id).is_some() => {
                self.write_group_alias(call, Some(id))
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
                let found = self.group_alias(id).map(|(group, alias)| {
                    let mut found = alias.in_full(group);
                    found["namespace_id"] = "root".into();
                    found
                });
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
        let identity = &self.state.identity;
        let all = |is_direct: bool| -> Vec<&String> {
            let direct = |group: &Group| group.members.contains(id);
            let groups = identity
                .groups
                .iter()
                .filter(|(group, it)| direct(it) == is_direct && identity.is_member(group, id, 0));
            groups.map(|(id, _)| id).collect()
        };
        let (direct, inherited) = (all(true), all(false));
        let groups: Vec<&&String> = direct.iter().chain(&inherited).collect();
        let aliases: Vec<Value> = entity.aliases.iter().map(|alias| alias.in_full(id)).collect();
        Ok(Reply::data(json!({
            "aliases": aliases,
            "creation_time": rfc3339(entity.created),
            "direct_group_ids": direct,
            "disabled": entity.is_disabled,
            "group_ids": groups,
            "id": id,
            "inherited_group_ids": inherited,
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
