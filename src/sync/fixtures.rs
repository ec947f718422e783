//! Builders for the tests of the domain.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::column::{Column, ColumnKind};
use super::identity::{BindingRef, DataSourceId, PageId, PropertyId, RowKey};
use super::mapping::{
    BindingPlan, ConflictPolicy, Direction, DriftPolicy, Field, FieldMapping, OnLossyWrite,
    OnUnknownValue, PinnedProperty, PropertySelector, TablePlan,
};
use super::page::{
    PageProperty, PageSnapshot, PropertyRead, PropertyType, PropertyValue, Provenance,
};
use super::pair::RowRead;
use super::policy::Policies;

/// A field that maps the property `name` to a nullable column of the same name.
pub(crate) fn field(name: &str, property: PropertyType, kind: ColumnKind) -> Field {
    let selector = PropertySelector::Name(name.to_owned());
    Field {
        mapping: FieldMapping {
            column: name.to_owned(),
            property: selector.clone(),
            values: Vec::new(),
            on_unknown_value: OnUnknownValue::Reject,
            direction: Direction::ToPostgres,
            conflict_policy: ConflictPolicy::NewestWins,
            on_lossy_write: OnLossyWrite::Reject,
        },
        property: PinnedProperty {
            column: name.to_owned(),
            selector,
            id: PropertyId::new(name),
            name: name.to_owned(),
            kind: property,
            options: Vec::new(),
            repinned: false,
            is_key: false,
        },
        column: Column {
            name: name.to_owned(),
            kind,
            type_sql: "text".to_owned(),
            nullable: true,
            generated: false,
        },
    }
}

/// A plan over these fields.
pub(crate) fn table(fields: Vec<Field>) -> TablePlan {
    TablePlan {
        binding: BindingPlan {
            binding: BindingRef {
                namespace: "team-a".into(),
                name: "projects".into(),
            },
            schema: "public".into(),
            table: "projects".into(),
            page_id_column: "notionPageId".into(),
            updated_at_column: Some("updatedAt".into()),
            audit_table: "audit_logs".into(),
            direction: Direction::ToPostgres,
            drift_policy: DriftPolicy::Report,
            policies: Policies::default(),
            fields: fields.iter().map(|field| field.mapping.clone()).collect(),
        },
        data_source: DataSourceId(Uuid::from_u128(1)),
        fields,
        stopped: Vec::new(),
        match_on: Vec::new(),
        bot: None,
        key_is_plain: true,
    }
}

/// A page with these values, last edited at `edited`.
pub(crate) fn page(plan: &TablePlan, edited: &str, values: Vec<PropertyValue>) -> PageSnapshot {
    let properties = plan.fields.iter().zip(values).map(|(field, value)| {
        let property = PageProperty {
            kind: field.property.kind.clone(),
            read: PropertyRead::Value(value),
        };
        (field.property.id.clone(), property)
    });
    PageSnapshot {
        id: PageId(Uuid::from_u128(7)),
        provenance: Provenance::Get,
        data_source: Some(plan.data_source),
        in_trash: false,
        is_archived: false,
        created_time: None,
        last_edited_time: edited.parse().ok(),
        last_edited_by: None,
        properties: properties.collect::<BTreeMap<_, _>>(),
    }
}

/// A row with these values, changed at `updated`.
pub(crate) fn row(updated: Option<&str>, values: &[Option<&str>]) -> RowRead {
    RowRead {
        key: RowKey(vec!["1".into()]),
        updated_at: updated.and_then(|time| time.parse().ok()),
        values: values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect(),
    }
}

/// A title.
pub(crate) fn text(plain: &str) -> PropertyValue {
    PropertyValue::Text {
        plain: plain.to_owned(),
        lossy: false,
    }
}
