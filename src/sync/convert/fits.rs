//! Which property type goes into which column type: the table of `design/sync.md` §5.

use crate::sync::column::{Column, ColumnKind};
use crate::sync::page::PropertyType;

/// Whether the column's type can hold the property's type at all (`ColumnTypeMismatch` otherwise).
///
/// Of a formula or a rollup only the value says which type it has, so every column that some result
/// goes into fits; a result of another type is `NotRepresentable` there.
pub fn fits(property: &PropertyType, column: &Column) -> bool {
    use PropertyType as P;
    let kind = &column.kind;
    match property {
        P::Title | P::RichText | P::Url | P::Email | P::PhoneNumber | P::Verification => {
            is_text(kind)
        }
        P::Number => is_number(kind),
        P::Checkbox => *kind == ColumnKind::Boolean,
        P::Select | P::Status => is_option(kind),
        P::MultiSelect => holds_list(kind, is_option),
        P::Relation | P::People => is_id(kind) || holds_list(kind, is_id),
        P::Files => holds_list(kind, is_text),
        P::Date => is_date(kind),
        P::CreatedBy | P::LastEditedBy => is_id(kind),
        P::UniqueId => is_text(kind) || matches!(kind, ColumnKind::Integer { .. }),
        P::Formula | P::Rollup => is_result(kind) || holds_list(kind, is_element),
        P::CreatedTime | P::LastEditedTime => matches!(kind, ColumnKind::TimestampTz { .. }),
        P::Button | P::Place | P::Other(_) => *kind == ColumnKind::Json,
    }
}

fn is_text(kind: &ColumnKind) -> bool {
    matches!(kind, ColumnKind::Text { .. })
}

fn is_number(kind: &ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Integer { .. } | ColumnKind::Numeric { .. } | ColumnKind::Float { .. }
    )
}

fn is_option(kind: &ColumnKind) -> bool {
    is_text(kind) || matches!(kind, ColumnKind::Enum { .. })
}

fn is_id(kind: &ColumnKind) -> bool {
    is_text(kind) || *kind == ColumnKind::Uuid
}

fn is_date(kind: &ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Date
            | ColumnKind::Timestamp { .. }
            | ColumnKind::TimestampTz { .. }
            | ColumnKind::DateRange
            | ColumnKind::TstzRange
            | ColumnKind::Json
    )
}

/// What a single result of a formula or rollup goes into.
fn is_result(kind: &ColumnKind) -> bool {
    is_text(kind) || is_number(kind) || is_date(kind) || *kind == ColumnKind::Boolean
}

/// What an element of a rollup goes into.
fn is_element(kind: &ColumnKind) -> bool {
    is_result(kind) || is_option(kind) || is_id(kind)
}

fn holds_list(kind: &ColumnKind, element: impl Fn(&ColumnKind) -> bool) -> bool {
    match kind {
        ColumnKind::Json => true,
        ColumnKind::Array { element: of } => element(of),
        _ => false,
    }
}
