//! Properties pinned by id, columns found, types that fit: what of a mapping can be synced.
//!
//! A property is resolved by name once; from then on its id wins (`design/sync.md` §5). One field
//! that does not work stops alone.

use super::mapping::{FieldMapping, PinnedProperty, PropertySelector, StoppedField};
use super::page::{DataSource, PropertySchema};
use super::policy::KeyMapping;
use super::reason::Reason;

mod fit;

pub use fit::{Fitted, Lacking, TableShape, table_plan};

/// A property that has another name than when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The column it is mapped to.
    pub column: String,
    /// Its name before.
    pub from: String,
    /// Its name now.
    pub to: String,
}

/// The pins of a binding after a look at the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinning {
    /// All pins, also of fields that are stopped now.
    pub pinned: Vec<PinnedProperty>,
    /// Fields whose property cannot be used.
    pub stopped: Vec<StoppedField>,
    /// Entries of the key whose property cannot be used.
    pub key_problems: Vec<StoppedField>,
    /// Properties that were renamed.
    pub renamed: Vec<Rename>,
}

/// Pins the properties of `fields` and of the key, given the pins of before. `repin` names columns
/// whose pin a person gave up.
pub fn pin(
    fields: &[FieldMapping],
    keys: &[KeyMapping],
    before: &[PinnedProperty],
    source: &DataSource,
    repin: &[String],
) -> Pinning {
    let (key_pins, pins): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|pin| pin.is_key);
    let entries = fields.iter().map(|field| (&*field.column, &field.property));
    let mut pinning = pin_all(entries, &pins, source, repin);
    // A key that is mapped just so shares the pin of its field.
    let own = keys.iter().filter(|key| mapped_as(key, fields).is_none());
    let entries = own.map(|key| (&*key.column, &key.property));
    let keys = pin_all(entries, &key_pins, source, repin);
    let as_key = |pin| PinnedProperty {
        is_key: true,
        ..pin
    };
    pinning.pinned.extend(keys.pinned.into_iter().map(as_key));
    pinning.renamed.extend(keys.renamed);
    pinning.key_problems = keys.stopped;
    pinning
}

/// The field that maps the column of a key to the same property.
fn mapped_as<'a>(key: &KeyMapping, fields: &'a [FieldMapping]) -> Option<&'a FieldMapping> {
    let mut fields = fields.iter();
    fields.find(|field| field.column == key.column && field.property == key.property)
}

fn pin_all<'a>(
    entries: impl Iterator<Item = (&'a str, &'a PropertySelector)>,
    before: &[PinnedProperty],
    source: &DataSource,
    repin: &[String],
) -> Pinning {
    let mut pinning = Pinning::default();
    for (column, selector) in entries {
        let old = before.iter().find(|pin| pin.column == column);
        let kept = old.filter(|pin| pin.selector == *selector && !repin.contains(&pin.column));
        match kept {
            Some(pin) => pinning.keep(pin, source),
            None => pinning.resolve(column, selector, old, source),
        }
    }
    pinning
}

impl PinnedProperty {
    fn works(&self, source: &DataSource) -> bool {
        let mut properties = source.properties.iter();
        properties.any(|property| property.id == self.id && property.kind == self.kind)
    }
}

impl Pinning {
    fn keep(&mut self, pin: &PinnedProperty, source: &DataSource) {
        let mut pin = pin.clone();
        match source
            .properties
            .iter()
            .find(|property| property.id == pin.id)
        {
            None => self.stop(&pin.column, Reason::PropertyMissing, missing_remedy(&pin)),
            Some(property) if property.kind != pin.kind => {
                self.stop(
                    &pin.column,
                    Reason::PropertyRetyped,
                    retyped_remedy(&pin, property),
                );
            }
            Some(property) => {
                if property.name != pin.name {
                    let from = std::mem::replace(&mut pin.name, property.name.clone());
                    let column = pin.column.clone();
                    self.renamed.push(Rename {
                        column,
                        from,
                        to: property.name.clone(),
                    });
                }
                pin.options.clone_from(&property.options);
            }
        }
        self.pinned.push(pin);
    }

    fn resolve(
        &mut self,
        column: &str,
        selector: &PropertySelector,
        old: Option<&PinnedProperty>,
        source: &DataSource,
    ) {
        let found = source.properties.iter().find(|property| match selector {
            PropertySelector::Name(name) => property.name == *name,
            PropertySelector::Id(id) => property.id == *id,
        });
        let Some(property) = found else {
            // Giving up a pin that works for a name that nobody has would only stop the column.
            if let Some(pin) = old.filter(|pin| pin.selector == *selector && pin.works(source)) {
                return self.keep(pin, source);
            }
            let remedy = format!(
                "the data source has no property {}; correct spec.properties or add it in Notion",
                shown(selector)
            );
            self.stop(column, Reason::PropertyMissing, remedy);
            // The old pin stays, so that a typing error in the spec does not lose it.
            self.pinned.extend(old.cloned());
            return;
        };
        self.pinned.push(PinnedProperty {
            column: column.to_owned(),
            selector: selector.clone(),
            id: property.id.clone(),
            name: property.name.clone(),
            kind: property.kind.clone(),
            options: property.options.clone(),
            repinned: old.is_some_and(|old| {
                old.repinned || old.id != property.id || old.kind != property.kind
            }),
            is_key: false,
        });
    }

    fn stop(&mut self, column: &str, reason: Reason, remedy: String) {
        self.stopped.push(StoppedField {
            column: column.to_owned(),
            reason,
            remedy,
        });
    }
}

fn shown(selector: &PropertySelector) -> String {
    match selector {
        PropertySelector::Name(name) => format!("named \"{name}\""),
        PropertySelector::Id(id) => format!("with id \"{id}\""),
    }
}

fn missing_remedy(pin: &PinnedProperty) -> String {
    format!(
        "property \"{}\" is gone from the data source; restore it, change its entry in \
         spec.properties, or annotate notionsync.dev/repin: {}",
        pin.name, pin.column
    )
}

fn retyped_remedy(pin: &PinnedProperty, now: &PropertySchema) -> String {
    format!(
        "property \"{}\" changed from {} to {}; change it back, or annotate \
         notionsync.dev/repin: {}",
        now.name,
        pin.kind.name(),
        now.kind.name(),
        pin.column
    )
}

#[cfg(test)]
mod tests;
