//! The statements of claims.

/// The claim as this very process left it.
pub(super) const REPEATED: &str = "
    SELECT id, epoch, pinned, progress
    FROM notion_sync.bindings
    WHERE table_oid = $1 AND page_id_column = $2 AND state_oid = tableoid
      AND cluster_id = $3 AND namespace = $4 AND name = $5 AND uid = $6
      AND data_source_id = $7 AND holder = $8 AND table_schema = $9 AND table_name = $10";

/// What comes before a decision.
///
/// Claims are decided one after another: they read rows that others may be about to take, and there
/// are few of them. Nobody else waits for that lock.
///
/// A dump that was restored gave every table another OID, the state schema included. The recorded
/// ones mean nothing then, and may even belong to other tables, so they are found again by name.
pub(super) const PREPARE: &[&str] = &[
    "SELECT pg_advisory_xact_lock('notion_sync.bindings'::regclass::oid::bigint)",
    "UPDATE notion_sync.bindings SET table_oid = NULL WHERE state_oid <> tableoid",
    "UPDATE notion_sync.bindings b SET table_oid = c.oid
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE b.state_oid <> b.tableoid
       AND n.nspname = b.table_schema AND c.relname = b.table_name
       AND NOT EXISTS (
           SELECT FROM notion_sync.bindings newer
           WHERE newer.table_schema = b.table_schema AND newer.table_name = b.table_name
             AND newer.page_id_column = b.page_id_column
             AND (newer.claimed_at, newer.id) > (b.claimed_at, b.id))",
    "UPDATE notion_sync.bindings SET state_oid = tableoid WHERE state_oid <> tableoid",
];

/// The claim of this very table.
pub(super) const BY_TABLE: &str = "
    SELECT id, cluster_id, namespace, name, uid, data_source_id, holder
    FROM notion_sync.bindings
    WHERE table_oid = $1 AND page_id_column = $2
    FOR UPDATE";

/// Claims of other tables that had this name, newest first.
pub(super) const BY_NAME: &str = "
    SELECT id, cluster_id, namespace, name, uid, data_source_id, holder,
           NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = table_oid) AS gone
    FROM notion_sync.bindings
    WHERE table_oid IS DISTINCT FROM $1 AND page_id_column = $2
      AND table_schema = $3 AND table_name = $4
    ORDER BY claimed_at DESC, id DESC
    FOR UPDATE";

/// The first claim of a table.
pub(super) const INSERT: &str = "
    INSERT INTO notion_sync.bindings
        (cluster_id, namespace, name, uid, table_schema, table_name, table_oid, state_oid,
         page_id_column, data_source_id, holder)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'notion_sync.bindings'::regclass, $8, $9, $10)
    RETURNING id, epoch, pinned, progress";

/// Takes a claim over. Pinned properties belong to a data source ($12), progress and counts to a
/// table as well ($13).
pub(super) const TAKE: &str = "
    UPDATE notion_sync.bindings
    SET cluster_id = $2, namespace = $3, name = $4, uid = $5,
        table_schema = $6, table_name = $7, table_oid = $8,
        data_source_id = $9, holder = $10, epoch = epoch + $11,
        pinned = CASE WHEN $12 THEN '[]' ELSE pinned END,
        progress = CASE WHEN $13 THEN '{}' ELSE progress END,
        counts = CASE WHEN $13 THEN '{}' ELSE counts END,
        claimed_at = clock_timestamp()
    WHERE id = $1
    RETURNING id, epoch, pinned, progress";

/// What a claim remembers about pairs.
pub(super) const DROP_BASE: &[&str] = &[
    "DELETE FROM notion_sync.pairs WHERE binding_id = $1",
    "DELETE FROM notion_sync.discrepancies WHERE binding_id = $1",
    "UPDATE notion_sync.conflicts SET closed_at = clock_timestamp()
     WHERE binding_id = $1 AND closed_at IS NULL",
];

/// The fence, held until the end of the transaction.
pub(super) const FENCE: &str = "SELECT epoch FROM notion_sync.bindings WHERE id = $1 FOR SHARE";

/// Stores pinned properties behind the fence.
pub(super) const SAVE_PINNED: &str =
    "UPDATE notion_sync.bindings SET pinned = $3 WHERE id = $1 AND epoch = $2";
