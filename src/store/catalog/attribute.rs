//! The columns of a table, with domains and arrays resolved to what they are made of.

use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

use crate::store::error::StoreError;
use crate::store::ident::quote;
use crate::sync::column::{Column, ColumnKind};

/// All columns. A domain is followed to its base type: its modifier is the innermost one, and NOT
/// NULL anywhere on the way counts. The modifier of an array is that of its elements, whose type is
/// followed likewise.
const ALL: &str = "
    WITH RECURSIVE resolved AS (
        SELECT a.attnum AS number, a.atttypid AS type, a.atttypmod AS modifier,
               a.attnotnull AS required
        FROM pg_attribute a
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
        SELECT r.number, t.typbasetype, t.typtypmod, r.required OR t.typnotnull
        FROM resolved r JOIN pg_type t ON t.oid = r.type
        WHERE t.typtype = 'd'
    ), element AS (
        SELECT r.number, e.oid AS type, r.modifier
        FROM resolved r JOIN pg_type t ON t.oid = r.type
        JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
      UNION ALL
        SELECT r.number, t.typbasetype, t.typtypmod
        FROM element r JOIN pg_type t ON t.oid = r.type
        WHERE t.typtype = 'd'
    )
    SELECT r.number, a.attname::text AS name, NOT r.required AS nullable,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
           n.nspname::text AS type_schema, t.typname::text AS type_name,
           n.nspname = 'pg_catalog' AS builtin, r.modifier,
           format_type(r.type, r.modifier) AS shown,
           CASE WHEN t.typtype = 'e' THEN
               array(SELECT e.enumlabel::text FROM pg_enum e
                     WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
           END AS labels,
           et.typname::text AS element_name, en.nspname = 'pg_catalog' AS element_builtin,
           er.modifier AS element_modifier,
           CASE WHEN et.typtype = 'e' THEN
               array(SELECT e.enumlabel::text FROM pg_enum e
                     WHERE e.enumtypid = et.oid ORDER BY e.enumsortorder)
           END AS element_labels,
           has_schema_privilege(n.oid, 'USAGE') AS type_usable,
           has_column_privilege($1, r.number, 'SELECT') AS selectable,
           has_column_privilege($1, r.number, 'UPDATE') AS updatable,
           has_column_privilege($1, r.number, 'INSERT') AS insertable,
           r.required AND NOT a.atthasdef AND a.attidentity = ''
               AND NOT EXISTS (SELECT FROM pg_type d
                               WHERE d.oid = a.atttypid AND d.typdefaultbin IS NOT NULL) AS unfilled
    FROM resolved r
    JOIN pg_type t ON t.oid = r.type AND t.typtype <> 'd'
    JOIN pg_namespace n ON n.oid = t.typnamespace
    JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = r.number
    LEFT JOIN (element er JOIN pg_type et ON et.oid = er.type AND et.typtype <> 'd'
               JOIN pg_namespace en ON en.oid = et.typnamespace) ON er.number = r.number
    ORDER BY r.number";

/// A column with what the role may do with it.
#[expect(clippy::struct_excessive_bools, reason = "privileges, each by itself")]
pub(super) struct Attribute {
    pub(super) number: i16,
    pub(super) column: Column,
    /// The schema of the base type.
    pub(super) type_schema: String,
    /// The base type's own name.
    type_name: String,
    /// Whether the role may name the base type.
    pub(super) type_usable: bool,
    pub(super) selectable: bool,
    pub(super) updatable: bool,
    pub(super) insertable: bool,
    /// Whether an insert must fill it: NOT NULL, without default, not computed.
    pub(super) required: bool,
}

impl Attribute {
    /// Reads all columns of a table.
    pub(super) async fn all(
        connection: &mut PgConnection,
        oid: u32,
    ) -> Result<Vec<Self>, StoreError> {
        let rows = sqlx::query(ALL)
            .bind(Oid(oid))
            .fetch_all(connection)
            .await?;
        let attributes = rows.iter().map(Self::read).collect::<Result<_, _>>()?;
        Ok(attributes)
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let type_schema: String = row.try_get("type_schema")?;
        let type_name: String = row.try_get("type_name")?;
        let own = Described {
            name: Some(type_name.clone()),
            builtin: row.try_get("builtin")?,
            modifier: row.try_get("modifier")?,
            labels: row.try_get("labels")?,
        };
        let element = Described {
            name: row.try_get("element_name")?,
            builtin: row.try_get("element_builtin")?,
            modifier: row.try_get("element_modifier")?,
            labels: row.try_get("element_labels")?,
        };
        let array = || {
            let element = Box::new(element.kind()?);
            Some(ColumnKind::Array { element })
        };
        let kind = match own.kind().or_else(array) {
            Some(kind) => kind,
            None => ColumnKind::Other(row.try_get("shown")?),
        };
        Ok(Self {
            number: row.try_get("number")?,
            column: Column {
                name: row.try_get("name")?,
                kind,
                type_sql: format!("{}.{}", quote(&type_schema), quote(&type_name)),
                nullable: row.try_get("nullable")?,
                generated: row.try_get("generated")?,
            },
            type_schema,
            type_name,
            type_usable: row.try_get("type_usable")?,
            selectable: row.try_get("selectable")?,
            updatable: row.try_get("updatable")?,
            insertable: row.try_get("insertable")?,
            required: row.try_get("unfilled")?,
        })
    }

    /// Whether the column may be `pageIdColumn` (`design/sync.md` §1): a padded `char` may not.
    pub(super) fn can_hold_page_id(&self) -> bool {
        match self.column.kind {
            ColumnKind::Uuid => true,
            ColumnKind::Text { .. } => self.type_name != "bpchar",
            _ => false,
        }
    }
}

/// A type that is no domain, as the catalog describes it: a column's own, or that of the elements of
/// its array, which has no name where the column is no array.
struct Described {
    name: Option<String>,
    builtin: Option<bool>,
    modifier: Option<i32>,
    labels: Option<Vec<String>>,
}

impl Described {
    /// What it holds; `None` where that is not known here.
    fn kind(self) -> Option<ColumnKind> {
        match self.labels {
            Some(labels) => Some(ColumnKind::Enum { labels }),
            None => base_kind(&self.name?, self.builtin?, self.modifier?),
        }
    }
}

/// The kind of a type that is neither an enum nor a domain; `None` for any other.
fn base_kind(name: &str, builtin: bool, modifier: i32) -> Option<ColumnKind> {
    if !builtin {
        return (name == "citext").then_some(ColumnKind::Text { max_chars: None });
    }
    Some(match name {
        "text" => ColumnKind::Text { max_chars: None },
        "varchar" | "bpchar" => ColumnKind::Text {
            max_chars: length(modifier),
        },
        "bool" => ColumnKind::Boolean,
        "int2" => ColumnKind::Integer { bits: 16 },
        "int4" => ColumnKind::Integer { bits: 32 },
        "int8" => ColumnKind::Integer { bits: 64 },
        "numeric" => ColumnKind::Numeric {
            declared: precision_and_scale(modifier),
        },
        "float4" => ColumnKind::Float { bits: 32 },
        "float8" => ColumnKind::Float { bits: 64 },
        "date" => ColumnKind::Date,
        "timestamp" => ColumnKind::Timestamp {
            precision: fraction_digits(modifier),
        },
        "timestamptz" => ColumnKind::TimestampTz {
            precision: fraction_digits(modifier),
        },
        "daterange" => ColumnKind::DateRange,
        "tstzrange" => ColumnKind::TstzRange,
        "jsonb" => ColumnKind::Json,
        "uuid" => ColumnKind::Uuid,
        _ => return None,
    })
}

/// Postgres adds this to the modifiers of text types and numeric.
const MODIFIER_OFFSET: i32 = 4;

fn length(modifier: i32) -> Option<u32> {
    u32::try_from(modifier.checked_sub(MODIFIER_OFFSET)?).ok()
}

/// The precision stands in the upper half; the scale is the lower eleven bits, with a sign since
/// Postgres 15 (where it was never negative before, it also never had that bit set).
fn precision_and_scale(modifier: i32) -> Option<(u16, i16)> {
    let packed = u32::try_from(modifier.checked_sub(MODIFIER_OFFSET)?).ok()?;
    let precision = u16::try_from(packed >> 16).ok()?;
    let scale = i16::try_from(packed & 0x7ff).ok()?;
    Some((precision, (scale ^ 1024) - 1024))
}

fn fraction_digits(modifier: i32) -> u8 {
    u8::try_from(modifier).map_or(6, |digits| digits.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_unpacked() {
        assert_eq!(length(-1), None);
        assert_eq!(length(14), Some(10));
        assert_eq!(precision_and_scale(-1), None);
        assert_eq!(precision_and_scale(((10 << 16) | 2) + 4), Some((10, 2)));
        assert_eq!(precision_and_scale(((3 << 16) | 0x7fe) + 4), Some((3, -2)));
        assert_eq!(
            precision_and_scale((1000 << 16) + 1000 + 4),
            Some((1000, 1000))
        );
        assert_eq!(
            (fraction_digits(-1), fraction_digits(0), fraction_digits(3)),
            (6, 0, 3)
        );
    }

    #[test]
    fn only_the_servers_own_types_count_by_name() {
        assert_eq!(
            base_kind("int4", true, -1),
            Some(ColumnKind::Integer { bits: 32 })
        );
        assert_eq!(base_kind("int4", false, -1), None);
        assert_eq!(
            base_kind("citext", false, -1),
            Some(ColumnKind::Text { max_chars: None })
        );
        assert_eq!(base_kind("money", true, -1), None);
    }

    #[test]
    fn ranges_and_documents_hold_whole_dates() {
        assert_eq!(
            base_kind("daterange", true, -1),
            Some(ColumnKind::DateRange)
        );
        assert_eq!(
            base_kind("tstzrange", true, -1),
            Some(ColumnKind::TstzRange)
        );
        assert_eq!(base_kind("jsonb", true, -1), Some(ColumnKind::Json));
        for other in ["json", "tsrange", "datemultirange"] {
            assert_eq!(base_kind(other, true, -1), None, "{other}");
        }
    }
}
