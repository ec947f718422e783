//! How capture stands: what `notion_sync.captures` says against what the catalog says.

use sqlx::postgres::types::Oid;
use sqlx::{PgPool, Row};

use super::CaptureState;
use super::spec::CaptureSpec;
use crate::store::StoreError;
use crate::store::ident::Table;
use crate::store::postgres::time::Moment;

/// The names of the triggers, in no order that matters.
pub(super) const TRIGGERS: [&str; 4] = [
    "notion_sync_insert",
    "notion_sync_update",
    "notion_sync_delete",
    "notion_sync_truncate",
];

/// The table and its partitions, what captures them, and what is recorded about it.
///
/// The fingerprint covers partitions (their rows come and go with them), triggers by OID and `xmin`
/// (one that was disabled for a while is another version of its row), and the columns by number and
/// type (one that was dropped and made anew is another one).
const LOOK: &str = "
    WITH member AS (
        SELECT c.oid, has_table_privilege(c.oid, 'TRIGGER') AS may_trigger
        FROM (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
             AS m (oid)
        JOIN pg_class c ON c.oid = m.oid AND c.relkind IN ('r', 'p')
    ), carrier AS (
        SELECT t.oid, t.xmin, t.tgrelid, t.tgname::text AS name
        FROM pg_trigger t JOIN member ON member.oid = t.tgrelid
        WHERE t.tgfoid = to_regprocedure('notion_sync.capture()')::oid
          AND t.tgname::text = ANY ($3) AND t.tgenabled IN ('O', 'A')
    ), carried AS (
        SELECT member.oid, member.may_trigger, count(carrier.oid) = cardinality($3) AS complete
        FROM member LEFT JOIN carrier ON carrier.tgrelid = member.oid
        GROUP BY member.oid, member.may_trigger
    ), piece (text) AS (
        SELECT 'm' || oid FROM member
        UNION ALL SELECT 't' || oid || '/' || xmin FROM carrier
        UNION ALL SELECT 'c' || attnum || '/' || atttypid || '/' || attname
                  FROM pg_attribute
                  WHERE attrelid = $1 AND NOT attisdropped AND attname::text = ANY ($4)
    )
    SELECT (SELECT coalesce(bool_or(complete), false) FROM carried WHERE oid = $1) AS installed,
           EXISTS (SELECT FROM carried WHERE may_trigger AND NOT complete)
               AND to_regprocedure('notion_sync.capture()') IS NOT NULL AS installable,
           to_regprocedure('notion_sync.capture()') IS NULL
               AND has_table_privilege($1::oid, 'TRIGGER') AS function_missing,
           (SELECT encode(sha256(convert_to(string_agg(text, ',' ORDER BY text), 'UTF8')), 'hex')
            FROM piece) AS fingerprint,
           c.relid, c.until, clock_timestamp() AS now, c.carriers, c.since,
           coalesce(c.gap, false) AS gap,
           c.key_sql, c.page_id_sql, c.compared_sql,
           coalesce(c.emptied, false) OR EXISTS (
               SELECT FROM notion_sync.changes
               WHERE binding_id = $2 AND operation = 'truncate') AS truncated
    FROM (SELECT) AS one LEFT JOIN notion_sync.captures c ON c.binding_id = $2";

/// What one look found.
#[expect(clippy::struct_excessive_bools, reason = "findings, each by itself")]
#[derive(Debug)]
pub(super) struct Look {
    /// All triggers are on the table itself.
    pub(super) installed: bool,
    /// A trigger is missing that the role may create.
    pub(super) installable: bool,
    /// The function is gone, and the role may create triggers.
    pub(super) function_missing: bool,
    /// Another table is recorded.
    pub(super) replaced: bool,
    /// The fingerprint as it is now.
    pub(super) fingerprint: String,
    matches: bool,
    carriers: Option<String>,
    remaining: Option<i64>,
    gap: bool,
    truncated: bool,
    since: Option<Moment>,
}

/// With less than this left, in seconds, a pass extends the time of capture.
const FRESH: i64 = 23 * 3600;

impl Look {
    pub(super) async fn take(
        pool: &PgPool,
        oid: u32,
        binding_id: i64,
        spec: &CaptureSpec,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query(LOOK)
            .bind(Oid(oid))
            .bind(binding_id)
            .bind(TRIGGERS.map(str::to_owned).as_slice())
            .bind(&spec.columns)
            .fetch_one(pool)
            .await?;
        let relid: Option<Oid> = row.try_get("relid")?;
        let until: Option<Moment> = row.try_get("until")?;
        let now: Moment = row.try_get("now")?;
        let piece = |name: &str| row.try_get::<Option<String>, _>(name);
        let matches = relid == Some(Oid(oid))
            && piece("key_sql")?.as_ref() == Some(&spec.key)
            && piece("page_id_sql")?.as_ref() == Some(&spec.page_id)
            && piece("compared_sql")?.as_ref() == Some(&spec.compared);
        Ok(Self {
            installed: row.try_get("installed")?,
            installable: row.try_get("installable")?,
            function_missing: row.try_get("function_missing")?,
            replaced: relid.is_some_and(|relid| relid != Oid(oid)),
            fingerprint: piece("fingerprint")?.unwrap_or_default(),
            matches,
            carriers: piece("carriers")?,
            remaining: until.map(|until| until.0.as_second() - now.0.as_second()),
            gap: row.try_get("gap")?,
            truncated: row.try_get("truncated")?,
            since: row.try_get("since")?,
        })
    }

    /// Whether nothing went unrecorded since capture was last put in order.
    pub(super) fn is_continuous(&self) -> bool {
        self.installed
            && self.matches
            && self.remaining.is_some_and(|seconds| seconds > 0)
            && self.carriers.as_ref() == Some(&self.fingerprint)
    }

    /// Whether the time of capture need not be extended yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.remaining.is_some_and(|seconds| seconds > FRESH)
    }

    pub(super) fn state(&self) -> CaptureState {
        CaptureState {
            installed: self.installed && self.matches,
            replaced: self.replaced,
            gap: self.gap,
            truncated: self.truncated,
            since: self.since.map(|moment| moment.0),
        }
    }
}

/// The tables that triggers are put on: the table itself first, then its partitions.
const MEMBERS: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text
    FROM (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
         AS m (oid)
    JOIN pg_class c ON c.oid = m.oid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE has_table_privilege(c.oid, 'TRIGGER')
      AND (SELECT count(*) FROM pg_trigger t
           WHERE t.tgrelid = c.oid AND t.tgfoid = to_regprocedure('notion_sync.capture()')::oid
             AND t.tgname::text = ANY ($2) AND t.tgenabled IN ('O', 'A')) < cardinality($2)
    ORDER BY c.oid <> $1, c.oid";

/// The tables that lack a trigger which the role may create.
pub(super) async fn uncovered(pool: &PgPool, oid: u32) -> Result<Vec<Table>, StoreError> {
    let rows: Vec<(Oid, String, String)> = sqlx::query_as(MEMBERS)
        .bind(Oid(oid))
        .bind(TRIGGERS.map(str::to_owned).as_slice())
        .fetch_all(pool)
        .await?;
    let tables = rows.into_iter();
    Ok(tables
        .map(|(_, schema, name)| Table { schema, name })
        .collect())
}
