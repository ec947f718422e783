//! Option names through `values` (`design/sync.md` §5).

use super::{Converted, FieldReason};
use crate::sync::mapping::{Field, FieldMapping, OnUnknownValue};
use crate::sync::page::PropertyType;

/// The column's value for an option; `None` is NULL.
pub(super) fn to_postgres(
    option: Option<&str>,
    mapping: &FieldMapping,
) -> Converted<Option<String>> {
    let Some(name) = option else { return Ok(None) };
    if mapping.values.is_empty() {
        return Ok(Some(name.to_owned()));
    }
    if let Some(pair) = mapping.values.iter().find(|pair| pair.notion == name) {
        return Ok(pair.postgres.clone());
    }
    // Somebody may have written the column's own value as an option; it can only mean itself.
    let is_listed_value = mapping
        .values
        .iter()
        .any(|pair| pair.postgres.as_deref() == Some(name));
    if is_listed_value || mapping.on_unknown_value == OnUnknownValue::Pass {
        Ok(Some(name.to_owned()))
    } else {
        Err(FieldReason::UnknownOption)
    }
}

/// The option for a column's value; `None` is no option. The first entry wins where several
/// options share a value.
pub(super) fn to_notion(value: Option<&str>, field: &Field) -> Converted<Option<String>> {
    let mut values = field.mapping.values.iter();
    if let Some(pair) = values.find(|pair| pair.postgres.as_deref() == value) {
        return Ok(Some(pair.notion.clone()));
    }
    let Some(name) = value else { return Ok(None) };
    if may_pass(name, field) {
        Ok(Some(name.to_owned()))
    } else {
        Err(FieldReason::UnknownOption)
    }
}

/// Whether a name that `values` does not list may be written as it is. Without any `values` an
/// option that exists is known; a new one is what `onUnknownValue` is about. A status never gains
/// one, and no option's name has a comma.
fn may_pass(name: &str, field: &Field) -> bool {
    let exists = field.property.options.iter().any(|option| option == name);
    if exists && field.mapping.values.is_empty() {
        return true;
    }
    field.mapping.on_unknown_value == OnUnknownValue::Pass
        && (exists || (field.property.kind != PropertyType::Status && !name.contains(',')))
}
