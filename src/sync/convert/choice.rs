//! Option names through `values` (`design/sync.md` §5).

use super::{Converted, FieldMapping, FieldReason, OnUnknownValue};

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
    unlisted(name, is_listed_value, mapping)
}

/// The option for a column's value; `None` is no option. The first entry wins where several
/// options share a value.
pub(super) fn to_notion(value: Option<&str>, mapping: &FieldMapping) -> Converted<Option<String>> {
    if let Some(pair) = mapping
        .values
        .iter()
        .find(|pair| pair.postgres.as_deref() == value)
    {
        return Ok(Some(pair.notion.clone()));
    }
    match value {
        None => Ok(None),
        Some(name) => unlisted(name, false, mapping),
    }
}

fn unlisted(name: &str, passes: bool, mapping: &FieldMapping) -> Converted<Option<String>> {
    if passes || mapping.on_unknown_value == OnUnknownValue::Pass {
        Ok(Some(name.to_owned()))
    } else {
        Err(FieldReason::UnknownOption)
    }
}
