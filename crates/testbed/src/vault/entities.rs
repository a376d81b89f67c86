//! Entities and their aliases, as an operator writes them.

use serde_json::{Map, Value, json};

use super::{
    Call, Desk, Operation, Outcome, Refusal, Reply,
    identity::{Entity, Origin},
};
use crate::random;

impl Desk<'_> {
    /// `identity/entity`, `identity/entity-alias` and `identity/lookup/entity`, where something is written or asked.
    pub(super) fn entities(&mut self, call: &Call, parts: &[&str]) -> Outcome {
        let is_write = call.operation.is_write();
        match (parts, call.operation) {
            (["entity"], _) if is_write => {
                let id = Some(call.text("id")).filter(|id| !id.is_empty());
                let id = id.or_else(|| self.state.identity.entity_named(&call.text("name")));
                self.write_entity(call, id, &call.text("name"))
            }
            (["entity", "id", id], _) if is_write => {
                self.write_entity(call, Some((*id).to_owned()), &call.text("name"))
            }
            (["entity", "name", name], _) if is_write => {
                let id = self.state.identity.entity_named(name);
                self.write_entity(call, id, name)
            }
            (["entity", "id", id], Operation::Delete) => {
                self.state.identity.forget_entity(id);
                Ok(Reply::nothing())
            }
            (["entity", "name", name], Operation::Delete) => {
                if let Some(id) = self.state.identity.entity_named(name) {
                    self.state.identity.forget_entity(&id);
                }
                Ok(Reply::nothing())
            }
            (["entity-alias"], _) if is_write => self.write_alias(call),
            (["entity-alias", "id", id], Operation::Read) => {
                self.state.identity.describe_alias(id).map(Reply::data).ok_or_else(Refusal::not_found)
            }
            (["entity-alias", "id", id], Operation::Delete) => {
                self.state.identity.forget_alias(id);
                Ok(Reply::nothing())
            }
            (["lookup", "entity"], _) if is_write => {
                let (name, accessor) = (call.text("alias_name"), call.text("alias_mount_accessor"));
                let id = Some(call.text("id")).filter(|id| !id.is_empty());
                let id = id
                    .or_else(|| self.state.identity.entity_named(&call.text("name")))
                    .or_else(|| self.state.identity.entity_of(&accessor, &name));
                match id.and_then(|id| self.read_entity(&id).ok()) {
                    Some(found) => Ok(found),
                    None => Ok(Reply::nothing()),
                }
            }
            _ => Err(Refusal::unsupported_operation()),
        }
    }

    fn write_entity(&mut self, call: &Call, id: Option<String>, name: &str) -> Outcome {
        let identity = &mut self.state.identity;
        if let Some(id) = &id
            && !identity.has_entity(id)
        {
            return Err(Refusal::bad("entity not found from id"));
        }
        let taken = identity.entity_named(name).filter(|_| !name.is_empty());
        if taken.is_some() && taken != id {
            return Err(Refusal::bad("entity name is already in use"));
        }
        let is_new = id.is_none();
        let id = id.unwrap_or_else(random::uuid);
        let entity = identity.entity_mut(&id, || Entity::new(call.now));
        if !name.is_empty() {
            name.clone_into(&mut entity.name);
        }
        if call.data.contains_key("policies") {
            entity.policies = call.list("policies").iter().map(|policy| policy.to_lowercase()).collect();
            entity.policies.sort();
            entity.policies.dedup();
        }
        if let Some(metadata) = call.data.get("metadata") {
            entity.metadata = metadata.clone();
        }
        if call.data.contains_key("disabled") {
            entity.is_disabled = call.flag("disabled");
        }
        entity.updated = call.now;
        if is_new {
            Ok(Reply::data(json!({ "aliases": null, "id": id, "name": entity.name })))
        } else {
            Ok(Reply::nothing())
        }
    }

    fn write_alias(&mut self, call: &Call) -> Outcome {
        let (name, accessor, entity) =
            (call.text("name"), call.text("mount_accessor"), call.text("canonical_id"));
        if name.is_empty() {
            return Err(Refusal::bad("missing alias name"));
        }
        if accessor.is_empty() {
            return Err(Refusal::bad("missing mount_accessor"));
        }
        let origin: Option<Origin> = self.origin_of(&accessor);
        let origin = origin.ok_or_else(|| Refusal::bad(format!("invalid mount accessor \"{accessor}\"")))?;
        let identity = &mut self.state.identity;
        if !entity.is_empty() && !identity.has_entity(&entity) {
            let is_known = identity.entity_of(&accessor, &name).is_some();
            return Err(Refusal::bad(if is_known {
                "given 'canonical_id' is not associated with an entity"
            } else {
                "invalid canonical ID"
            }));
        }
        if identity.entity_of(&accessor, &name).is_some_and(|owner| entity.is_empty() || owner == entity) {
            return Ok(Reply::nothing());
        }
        // An alias that somebody else has moves to the new entity.
        identity.drop_alias_of(&accessor, &name);
        let id = if entity.is_empty() { random::uuid() } else { entity };
        let entity = identity.entity_mut(&id, || Entity::new(call.now));
        if entity.aliases.iter().any(|alias| alias.accessor == accessor) {
            return Err(Refusal::bad("Alias already exists for requested entity and mount accessor"));
        }
        let alias = origin.alias(&name, Map::new(), call.now);
        let reply = Reply::data(json!({ "canonical_id": id, "id": alias.id }));
        entity.aliases.push(alias);
        entity.updated = call.now;
        Ok(reply)
    }
}

/// An object without fields is told as nothing.
pub(super) fn or_null(value: &Value) -> Value {
    if value.as_object().is_some_and(Map::is_empty) { Value::Null } else { value.clone() }
}
