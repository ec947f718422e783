//! Two-way relations: a change at one end is a change at the other.

use uuid::Uuid;

use crate::ids::parse_uuid;
use crate::properties::schema::{Property, living};
use crate::properties::value::{Value, get, set};
use crate::state::world::World;

/// One end's change: the page at the other end, the property there, and whether it is linked.
struct Follow {
    page: Uuid,
    property: Box<str>,
    linked: bool,
}

impl World {
    /// Brings the other ends in line with the two-way relations of a page.
    pub(crate) fn follow_relations(&mut self, slot: u32, before: &[(u16, Value)], author: Uuid) {
        let id = self.page(slot).id;
        for follow in self.differences(slot, before) {
            self.follow(id, &follow, author);
        }
    }

    fn differences(&self, slot: u32, before: &[(u16, Value)]) -> Vec<Follow> {
        let state = &self.page(slot).current;
        let mut follows = Vec::new();
        for (index, property) in living(self.schema_of(state.parent)) {
            let Some(other) = synced_property(property) else {
                continue;
            };
            let (old, new) = (ids(get(before, index)), ids(get(&state.values, index)));
            let change = |page: &Uuid, linked| Follow {
                page: *page,
                property: other.into(),
                linked,
            };
            follows.extend(
                new.iter()
                    .filter(|it| !old.contains(it))
                    .map(|it| change(it, true)),
            );
            follows.extend(
                old.iter()
                    .filter(|it| !new.contains(it))
                    .map(|it| change(it, false)),
            );
        }
        follows
    }

    fn follow(&mut self, origin: Uuid, follow: &Follow, author: Uuid) {
        let Some(slot) = self.slot(follow.page) else {
            return;
        };
        let schema = self.schema_of(self.page(slot).current.parent);
        let found = living(schema).find(|(_, property)| property.id == follow.property);
        let Some(index) = found.map(|(index, _)| index) else {
            return;
        };
        let mut next = self.next_state(slot);
        let mut linked = ids(get(&next.values, index)).to_vec();
        linked.retain(|id| *id != origin);
        if follow.linked {
            linked.push(origin);
        }
        let value = (!linked.is_empty()).then(|| Value::Relation(linked.into_boxed_slice()));
        if !set(&mut next.values, index, value) {
            return;
        }
        let edits = self.switches.relation_edits_both_ends;
        if edits {
            self.stamp_edit(&mut next, author);
        }
        self.commit(slot, next);
        if edits {
            self.note_properties(slot, &[index], author);
        }
    }

    /// Makes the property at the other end of a new two-way relation.
    pub(crate) fn pair_relation(&mut self, source: Uuid, property_id: &str) {
        let Some(own) = self.data_sources.get(&source) else {
            return;
        };
        let title = own.title.clone();
        let Some((index, property)) =
            living(&own.properties).find(|(_, property)| &*property.id == property_id)
        else {
            return;
        };
        let Some(detail) = property.config.get("dual_property") else {
            return;
        };
        let target = property
            .config
            .get("data_source_id")
            .and_then(|id| id.as_str());
        let target = target.and_then(parse_uuid);
        let wanted = detail["synced_property_name"].as_str().map(str::to_owned);
        let name = wanted.unwrap_or_else(|| format!("Related to {title} ({})", property.name));
        let own_name = property.name.clone();
        let Some(target) = target.filter(|_| synced_property(property).is_none()) else {
            return;
        };
        let id = crate::ids::new_property_id(&mut self.random);
        let mut other = Property::bare(&id, &name, crate::properties::kind::Kind::Relation);
        other.config = dual(source, property_id, &own_name);
        if let Some(there) = self.data_sources.get_mut(&target) {
            there.properties.push(other);
        }
        if let Some(own) = self.data_sources.get_mut(&source) {
            own.properties[usize::from(index)].config = dual(target, &id, &name);
        }
    }
}

fn dual(
    target: Uuid,
    synced_id: &str,
    synced_name: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let config = serde_json::json!({
        "data_source_id": target,
        "type": "dual_property",
        "dual_property": {
            "synced_property_id": synced_id,
            "synced_property_name": synced_name,
        },
    });
    config.as_object().cloned().unwrap_or_default()
}

/// The property at the other end of a two-way relation.
fn synced_property(property: &Property) -> Option<&str> {
    property.config.get("dual_property")?["synced_property_id"].as_str()
}

fn ids(value: Option<&Value>) -> &[Uuid] {
    match value {
        Some(Value::Relation(ids)) => ids,
        _ => &[],
    }
}
