//! Who writes which property: one property of a data source is written by one column of one binding
//! of the cluster (`design/state.md` §1), or two tables would overwrite each other for ever.
//!
//! The databases do not know of each other, so the decision is made from the bindings that this
//! process watches: the oldest keeps the property.

use std::sync::Arc;

use kube::ResourceExt;

use super::conditions::Problem;
use super::validate::{self, Source};
use crate::api::NotionSyncBinding;
use crate::sync::identity::{DataSourceId, PropertyId};
use crate::sync::mapping::{Field, PropertySelector, TablePlan};
use crate::sync::reason::Reason;

/// Two columns of one binding that write the same property, which the schema cannot see where one
/// is named and the other given by id.
pub fn twice(plan: &TablePlan) -> Option<Problem> {
    let written: Vec<&Field> = written(plan).collect();
    for (index, field) in written.iter().enumerate() {
        let mut before = written[..index].iter();
        if let Some(other) = before.find(|other| other.property.id == field.property.id) {
            let remedy = format!(
                "spec.properties: columns {} and {} both write property {:?}: remove one, or set its \
                 direction to ToPostgres",
                other.mapping.column, field.mapping.column, field.property.name
            );
            return Some(Problem::new(Reason::InvalidSpec, remedy));
        }
    }
    None
}

/// An older binding of the cluster that writes one of the properties.
pub fn elsewhere(
    binding: &NotionSyncBinding,
    plan: &TablePlan,
    all: &[Arc<NotionSyncBinding>],
) -> Option<Problem> {
    let mine: Vec<&Field> = written(plan).collect();
    if mine.is_empty() {
        return None;
    }
    let older = all.iter().filter(|other| is_older(other, binding));
    let mut found = older.filter_map(|other| Some((other, shared(other, plan, &mine)?)));
    let (other, field) = found.next()?;
    let property = &field.property.name;
    let column = &field.mapping.column;
    let holder = if other.namespace() == binding.namespace() {
        format!("binding {}", other.name_any())
    } else {
        "a binding of another namespace".to_owned()
    };
    let remedy = format!(
        "{holder} writes property {property:?} of this data source already: set the direction of \
         column {column} to ToPostgres, or remove it from one of the two"
    );
    Some(Problem::new(Reason::PropertyAlreadyWritten, remedy))
}

/// Whether one of these bindings may have waited for another: both write, and to one data source.
pub fn compete(one: &NotionSyncBinding, other: &NotionSyncBinding) -> bool {
    let writes = |binding: &NotionSyncBinding| {
        binding.spec.direction != crate::api::v1alpha1::Direction::ToPostgres
    };
    writes(other) && one.uid() != other.uid() && source_of(one) == source_of(other)
}

fn written(plan: &TablePlan) -> impl Iterator<Item = &Field> {
    let fields = plan.fields.iter();
    fields.filter(|field| field.mapping.direction.writes_notion())
}

fn is_older(other: &NotionSyncBinding, binding: &NotionSyncBinding) -> bool {
    let age = |binding: &NotionSyncBinding| {
        let created = binding.metadata.creation_timestamp.as_ref();
        (created.map(|time| time.0), binding.uid())
    };
    other.metadata.deletion_timestamp.is_none() && age(other) < age(binding)
}

/// The data source that a binding follows, as far as it is known.
fn source_of(binding: &NotionSyncBinding) -> Option<DataSourceId> {
    let told = binding.spec.notion.data_source_id.as_deref();
    let status = binding.status.as_ref();
    let resolved = status.and_then(|status| status.notion.as_ref()?.data_source_id.as_deref());
    told.or(resolved)?.parse().ok()
}

/// The field whose property the other binding writes, too.
fn shared<'a>(
    other: &NotionSyncBinding,
    plan: &TablePlan,
    mine: &[&'a Field],
) -> Option<&'a Field> {
    let validated = validate::validate(other, true).ok()?;
    let source = match validated.source {
        Source::DataSource(id) => Some(id),
        Source::Database(_) => source_of(other),
    };
    if source != Some(plan.data_source) {
        return None;
    }
    let mut fields = validated.plan.fields.iter();
    fields.find_map(|theirs| {
        let writes = theirs.direction.writes_notion();
        let pinned = pinned(other, &theirs.column);
        mine.iter().copied().find(|field| {
            let same = match (&pinned, &theirs.property) {
                (Some(id), _) | (None, PropertySelector::Id(id)) => *id == field.property.id,
                (None, PropertySelector::Name(name)) => *name == field.property.name,
            };
            writes && same
        })
    })
}

/// The property that a binding has pinned for a column, if its status is about its present spec.
fn pinned(binding: &NotionSyncBinding, column: &str) -> Option<PropertyId> {
    let status = binding.status.as_ref()?;
    if status.observed_generation != binding.metadata.generation {
        return None;
    }
    let mut pins = status.notion.as_ref()?.properties.iter();
    let pin = pins.find(|pin| pin.column == column)?;
    Some(PropertyId::new(&pin.property_id))
}
