//! Groups and their aliases, as an operator writes them.

use std::{collections::BTreeSet, time::SystemTime};

use serde_json::{Map, Value, json};

use super::{Call, Desk, Outcome, Refusal, Reply, identity::Alias};
use crate::{encoding::rfc3339, random};

/// A group, with the fields of the [API](https://developer.hashicorp.com/vault/api-docs/secret/identity/group).
pub(super) struct Group {
    pub(super) name: String,
    pub(super) is_external: bool,
    pub(super) policies: Vec<String>,
    /// Whether they were ever said.
    pub(super) has_policies: bool,
    pub(super) metadata: Value,
    pub(super) members: BTreeSet<String>,
    /// The groups whose members are members of this one, too.
    pub(super) member_groups: BTreeSet<String>,
    /// An external group holds exactly one.
    pub(super) alias: Option<Alias>,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
    pub(super) changes: u64,
}

impl Desk<'_> {
    pub(super) fn write_group(&mut self, call: &Call, id: Option<String>, name: &str) -> Outcome {
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
        let identity = &self.state.identity;
        for entity in call.list("member_entity_ids") {
            if !identity.has_entity(&entity) {
                return Err(Refusal::wrapped(500, &format!("invalid entity ID \"{entity}\"")));
            }
        }
        for inner in call.list("member_group_ids") {
            if !identity.groups.contains_key(&inner) {
                return Err(Refusal::wrapped(500, &format!("invalid member group ID \"{inner}\"")));
            }
        }
        let is_new = known.is_none();
        let id = id.unwrap_or_else(random::uuid);
        let group = self.state.identity.groups.entry(id.clone()).or_insert_with(|| Group {
            name: format!("group_{}", random::hex(8)),
            is_external,
            policies: Vec::new(),
            has_policies: false,
            metadata: Value::Null,
            members: BTreeSet::new(),
            member_groups: BTreeSet::new(),
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
            group.has_policies = true;
        }
        if let Some(metadata) = call.data.get("metadata") {
            group.metadata = metadata.clone();
        }
        if call.data.contains_key("member_group_ids") {
            group.member_groups = call.list("member_group_ids").into_iter().collect();
        }
        if call.data.contains_key("member_entity_ids") {
            group.members = call.list("member_entity_ids").into_iter().collect();
        }
        if is_new { Ok(Reply::data(json!({ "id": id, "name": group.name }))) } else { Ok(Reply::nothing()) }
    }

    pub(super) fn read_group(&self, id: &str) -> Outcome {
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
            "member_entity_ids": list_or_null(&members),
            "member_group_ids": list_or_null(&group.member_groups.iter().collect::<Vec<_>>()),
            "metadata": group.metadata,
            "modify_index": group.changes,
            "name": group.name,
            "namespace_id": "root",
            "parent_group_ids": list_or_null(&self.state.identity.parents_of(id)),
            "policies": if group.has_policies { json!(group.policies) } else { Value::Null },
            "type": if group.is_external { "external" } else { "internal" },
        })))
    }

    /// A second alias for the same group silently takes the place of the first.
    pub(super) fn write_group_alias(&mut self, call: &Call, known: Option<&str>) -> Outcome {
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
        let mut alias = origin.alias(&name, Map::new(), call.now);
        if let Some(known) = known {
            known.clone_into(&mut alias.id);
        }
        let id = alias.id.clone();
        if let Some(group) = self.state.identity.groups.get_mut(&group_id) {
            group.alias = Some(alias);
            group.changes += 1;
            group.updated = call.now;
        }
        Ok(Reply::data(json!({ "canonical_id": group_id, "id": id })))
    }

    pub(super) fn group_alias(&self, id: &str) -> Option<(&String, &Alias)> {
        let aliases =
            self.state.identity.groups.iter().filter_map(|(group, it)| Some((group, it.alias.as_ref()?)));
        aliases.into_iter().find(|(_, alias)| alias.id == id)
    }
}

fn list_or_null(items: &[&String]) -> Value {
    if items.is_empty() { Value::Null } else { json!(items) }
}
