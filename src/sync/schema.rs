//! Properties pinned by id, columns found, types that fit: what of a mapping can be synced.
//!
//! A property is resolved by name once; from then on its id wins (`design/sync.md` §5). One field
//! that does not work stops alone.

use std::collections::BTreeMap;

use super::column::Column;
use super::convert;
use super::identity::DataSourceId;
use super::mapping::{
    BindingPlan, Field, FieldMapping, PinnedProperty, PropertySelector, StoppedField, TablePlan,
};
use super::page::{DataSource, PropertySchema};
use super::reason::Reason;

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
    /// Properties that were renamed.
    pub renamed: Vec<Rename>,
}

/// Pins the properties of `fields`, given the pins of before. `repin` names columns whose pin a
/// person gave up.
pub fn pin(
    fields: &[FieldMapping],
    before: &[PinnedProperty],
    source: &DataSource,
    repin: &[String],
) -> Pinning {
    let mut pinning = Pinning::default();
    for field in fields {
        let old = before.iter().find(|pin| pin.column == field.column);
        let kept = old.filter(|pin| pin.selector == field.property && !repin.contains(&pin.column));
        match kept {
            Some(pin) => pinning.keep(pin, source),
            None => pinning.resolve(field, old, source),
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

    fn resolve(&mut self, field: &FieldMapping, old: Option<&PinnedProperty>, source: &DataSource) {
        let found = source
            .properties
            .iter()
            .find(|property| match &field.property {
                PropertySelector::Name(name) => property.name == *name,
                PropertySelector::Id(id) => property.id == *id,
            });
        let Some(property) = found else {
            // Giving up a pin that works for a name that nobody has would only stop the column.
            if let Some(pin) = old.filter(|pin| pin.selector == field.property && pin.works(source))
            {
                return self.keep(pin, source);
            }
            let remedy = format!(
                "the data source has no property {}; correct spec.properties or add it in Notion",
                shown(&field.property)
            );
            self.stop(&field.column, Reason::PropertyMissing, remedy);
            // The old pin stays, so that a typing error in the spec does not lose it.
            self.pinned.extend(old.cloned());
            return;
        };
        self.pinned.push(PinnedProperty {
            column: field.column.clone(),
            selector: field.property.clone(),
            id: property.id.clone(),
            name: property.name.clone(),
            kind: property.kind.clone(),
            options: property.options.clone(),
            repinned: old.is_some_and(|old| {
                old.repinned || old.id != property.id || old.kind != property.kind
            }),
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

/// Joins pins with the columns of the table: those that can be used, by their name in the spec, and
/// those that cannot.
pub fn table_plan(
    binding: BindingPlan,
    data_source: DataSourceId,
    pinning: &Pinning,
    columns: &BTreeMap<String, Column>,
    unusable: &[StoppedField],
    key_is_plain: bool,
) -> TablePlan {
    let mut fields = Vec::new();
    let mut stopped: Vec<StoppedField> = pinning.stopped.clone();
    let already = |column: &str| pinning.stopped.iter().any(|field| field.column == column);
    stopped.extend(
        unusable
            .iter()
            .filter(|field| !already(&field.column))
            .cloned(),
    );
    for mapping in &binding.fields {
        if stopped.iter().any(|field| field.column == mapping.column) {
            continue;
        }
        let pin = pinning
            .pinned
            .iter()
            .find(|pin| pin.column == mapping.column);
        let (Some(pin), Some(column)) = (pin, columns.get(&mapping.column)) else {
            continue;
        };
        match unfit(pin, column) {
            Some(remedy) => stopped.push(StoppedField {
                column: mapping.column.clone(),
                reason: Reason::ColumnTypeMismatch,
                remedy,
            }),
            None => fields.push(Field {
                mapping: mapping.clone(),
                property: pin.clone(),
                column: column.clone(),
            }),
        }
    }
    TablePlan {
        binding,
        data_source,
        fields,
        stopped,
        match_on: Vec::new(),
        bot: None,
        key_is_plain,
    }
}

/// Why a column cannot take the property, if it cannot.
fn unfit(pin: &PinnedProperty, column: &Column) -> Option<String> {
    if column.generated {
        return Some(format!(
            "column \"{}\" is generated by Postgres; map another column",
            column.name
        ));
    }
    (!convert::fits(&pin.kind, column)).then(|| {
        format!(
            "a property of type {} does not go into column \"{}\" of type {}; change the \
             column's type or map another column (docs/TYPES.md)",
            pin.kind.name(),
            column.name,
            column.type_sql
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::column::ColumnKind;
    use crate::sync::fixtures;
    use crate::sync::identity::PropertyId;
    use crate::sync::page::PropertyType;

    fn source(properties: &[(&str, &str, PropertyType)]) -> DataSource {
        let property = |(id, name, kind): &(&str, &str, PropertyType)| {
            PropertySchema::new(PropertyId::new(id), (*name).to_owned(), kind.clone())
        };
        DataSource {
            id: DataSourceId(uuid::Uuid::from_u128(1)),
            title: "Projects".into(),
            in_trash: false,
            properties: properties.iter().map(property).collect(),
        }
    }

    fn mapping(column: &str, property: &str) -> FieldMapping {
        let text = ColumnKind::Text { max_chars: None };
        let mut mapping = fixtures::field(column, PropertyType::Title, text).mapping;
        mapping.property = PropertySelector::parse(property);
        mapping
    }

    #[test]
    fn a_rename_is_followed_by_id_even_if_another_property_takes_the_name() {
        let fields = [mapping("stage", "Stage")];
        let first = source(&[("a", "Stage", PropertyType::Select)]);
        let pins = pin(&fields, &[], &first, &[]).pinned;
        let later = source(&[
            ("b", "Stage", PropertyType::Select),
            ("a", "Phase", PropertyType::Select),
        ]);
        let after = pin(&fields, &pins, &later, &[]);
        assert!(after.stopped.is_empty());
        assert_eq!(after.pinned[0].id, PropertyId::new("a"));
        let rename = Rename {
            column: "stage".into(),
            from: "Stage".into(),
            to: "Phase".into(),
        };
        assert_eq!(after.renamed, [rename]);
        assert!(pin(&fields, &after.pinned, &later, &[]).renamed.is_empty());
    }

    #[test]
    fn a_vanished_or_retyped_property_stops_its_column_until_it_is_repinned() {
        let fields = [mapping("stage", "Stage")];
        let before = pin(
            &fields,
            &[],
            &source(&[("a", "Stage", PropertyType::Select)]),
            &[],
        );
        let recreated = source(&[("b", "Stage", PropertyType::Select)]);
        let gone = pin(&fields, &before.pinned, &recreated, &[]);
        assert_eq!(gone.stopped[0].reason, Reason::PropertyMissing);
        assert_eq!(gone.pinned, before.pinned);
        let retyped = source(&[("a", "Stage", PropertyType::Status)]);
        let stopped = pin(&fields, &before.pinned, &retyped, &[]);
        assert_eq!(stopped.stopped[0].reason, Reason::PropertyRetyped);
        let repinned = pin(&fields, &before.pinned, &recreated, &["stage".into()]);
        assert!(repinned.stopped.is_empty());
        assert_eq!(repinned.pinned[0].id, PropertyId::new("b"));
        assert!(repinned.pinned[0].repinned);
    }

    #[test]
    fn repinning_to_a_name_that_nobody_has_keeps_a_pin_that_works() {
        let fields = [mapping("stage", "Stage")];
        let first = source(&[("a", "Stage", PropertyType::Select)]);
        let pins = pin(&fields, &[], &first, &[]).pinned;
        let renamed = source(&[("a", "Phase", PropertyType::Select)]);
        let again = pin(&fields, &pins, &renamed, &["stage".into()]);
        assert!(again.stopped.is_empty());
        assert_eq!(again.pinned[0].name, "Phase");
    }

    #[test]
    fn another_entry_in_the_spec_is_resolved_anew() {
        let before = pin(
            &[mapping("stage", "Stage")],
            &[],
            &source(&[("a", "Stage", PropertyType::Select)]),
            &[],
        );
        let schema = source(&[
            ("a", "Stage", PropertyType::Select),
            ("U%60%3BC", "Phase", PropertyType::Select),
        ]);
        let after = pin(&[mapping("stage", "id:U`;C")], &before.pinned, &schema, &[]);
        assert_eq!(after.pinned[0].id, PropertyId::new("U`;C"));
        assert!(after.pinned[0].repinned);
        let missing = pin(&[mapping("stage", "Stge")], &before.pinned, &schema, &[]);
        assert_eq!(missing.stopped[0].reason, Reason::PropertyMissing);
        assert_eq!(missing.pinned, before.pinned);
    }

    #[test]
    fn only_the_field_that_does_not_fit_stops() {
        let fields = vec![
            mapping("name", "Name"),
            mapping("price", "Price"),
            mapping("gone", "Name"),
        ];
        let schema = source(&[
            ("t", "Name", PropertyType::Title),
            ("p", "Price", PropertyType::Number),
        ]);
        let pinning = pin(&fields, &[], &schema, &[]);
        let text = ColumnKind::Text { max_chars: None };
        let column = |name: &str| fixtures::field(name, PropertyType::Title, text.clone()).column;
        let gone = StoppedField {
            column: "gone".into(),
            reason: Reason::ColumnNotFound,
            remedy: String::new(),
        };
        let columns = [
            ("name".to_owned(), column("name")),
            ("price".to_owned(), column("price")),
        ];
        let mut binding = fixtures::table(Vec::new()).binding;
        binding.fields = fields;
        let plan = table_plan(binding, schema.id, &pinning, &columns.into(), &[gone], true);
        assert_eq!(plan.fields.len(), 1);
        let reasons: Vec<_> = plan.stopped.iter().map(|field| field.reason).collect();
        assert_eq!(
            reasons,
            [Reason::ColumnNotFound, Reason::ColumnTypeMismatch]
        );
    }
}
