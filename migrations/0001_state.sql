-- The state of notion-sync-operator, in the database whose table is bound.
--
-- The operator applies this file itself where its role may create the schema, or tables in one that
-- is there and empty. Otherwise a DBA applies it with psql and grants (for the operator's role
-- <role>):
--
--   GRANT USAGE ON SCHEMA notion_sync TO <role>;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO <role>;
--
-- Every statement may be repeated. Nothing depends on search_path.

-- IF NOT EXISTS would ask for the right to create a schema even where it exists.
DO $$
BEGIN
    IF pg_catalog.to_regnamespace('notion_sync') IS NULL THEN
        CREATE SCHEMA notion_sync;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS notion_sync.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- One row for each claim of a table. A claim outlives its binding, so that the next one finds links
-- and base. state_oid is the OID of this very table when the claim was last made: where it differs,
-- the whole database was restored from a dump and OIDs mean nothing (table_oid is found by name then).
CREATE TABLE IF NOT EXISTS notion_sync.bindings (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id     text NOT NULL,
    namespace      text NOT NULL,
    name           text NOT NULL,
    uid            text NOT NULL,
    table_schema   text NOT NULL,
    table_name     text NOT NULL,
    table_oid      oid,
    state_oid      oid NOT NULL,
    page_id_column text NOT NULL,
    data_source_id uuid NOT NULL,
    epoch          bigint NOT NULL DEFAULT 1,
    holder         text NOT NULL,
    pinned         jsonb NOT NULL DEFAULT '[]',
    progress       jsonb NOT NULL DEFAULT '{}',
    counts         jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    claimed_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT bindings_one_claimant UNIQUE (table_oid, page_id_column)
);

CREATE INDEX IF NOT EXISTS bindings_by_claimant
    ON notion_sync.bindings (cluster_id, namespace, name);

-- Accepted webhook events. The owner is '<cluster id>/<namespace>/<name>': events are stored before
-- the first claim exists.
CREATE TABLE IF NOT EXISTS notion_sync.inbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner          text NOT NULL,
    dedupe_key     text NOT NULL,
    dialect        text NOT NULL,
    event_type     text NOT NULL,
    subject        jsonb NOT NULL,
    page_id        uuid,
    data_source_id uuid,
    occurred_at    timestamptz,
    authenticated  boolean NOT NULL,
    authors        jsonb NOT NULL DEFAULT '[]',
    body           text NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    skipped        text,
    reread_only    boolean NOT NULL DEFAULT false,
    state          text NOT NULL DEFAULT 'pending',
    attempts       integer NOT NULL DEFAULT 0,
    not_before     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at    timestamptz,
    outcome        text,
    reason         text,
    CONSTRAINT inbox_state CHECK (state IN ('pending', 'done')),
    CONSTRAINT inbox_once UNIQUE (owner, dedupe_key)
);

CREATE INDEX IF NOT EXISTS inbox_due
    ON notion_sync.inbox (owner, not_before, id) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS inbox_by_page
    ON notion_sync.inbox (owner, page_id, dialect, received_at) WHERE page_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS inbox_finished
    ON notion_sync.inbox (finished_at) WHERE state = 'done';

-- Linked pairs with their base: what each side held when both last agreed.
CREATE TABLE IF NOT EXISTS notion_sync.pairs (
    binding_id       bigint NOT NULL REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    page_id          uuid NOT NULL,
    row_key          jsonb NOT NULL,
    hash             bytea,
    last_edited_seen timestamptz,
    own_write        jsonb,
    provisional      boolean NOT NULL DEFAULT false,
    base             jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (binding_id, page_id)
);

-- By a hash, since a key of long text does not fit into an index entry. Look up with
-- jsonb_hash_extended(row_key, 0) = jsonb_hash_extended($2, 0) AND row_key = $2.
CREATE INDEX IF NOT EXISTS pairs_by_row
    ON notion_sync.pairs (binding_id, pg_catalog.jsonb_hash_extended(row_key, 0));

-- Everything that is not in step, as last seen.
CREATE TABLE IF NOT EXISTS notion_sync.discrepancies (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    binding_id  bigint NOT NULL REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    kind        text NOT NULL,
    page_id     uuid,
    row_key     jsonb,
    column_name text,
    property_id text,
    reason      text,
    notion      jsonb,
    postgres    jsonb,
    seen_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX IF NOT EXISTS discrepancies_by_kind
    ON notion_sync.discrepancies (binding_id, kind, id);
CREATE INDEX IF NOT EXISTS discrepancies_by_page
    ON notion_sync.discrepancies (binding_id, page_id);

-- Fields that wait for a person (conflictPolicy Manual); one open row for each field.
CREATE TABLE IF NOT EXISTS notion_sync.conflicts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    binding_id bigint NOT NULL REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    page_id    uuid NOT NULL,
    row_key    jsonb NOT NULL,
    "column"   text NOT NULL,
    kind       text NOT NULL,
    base       jsonb,
    notion     jsonb,
    postgres   jsonb,
    resolution text,
    opened_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    closed_at  timestamptz,
    CONSTRAINT conflicts_resolution CHECK (resolution IN ('Notion', 'Postgres'))
);

CREATE UNIQUE INDEX IF NOT EXISTS conflicts_one_open
    ON notion_sync.conflicts (binding_id, page_id, "column") WHERE closed_at IS NULL;

-- Audit rows that could not be written to the audit table yet.
CREATE TABLE IF NOT EXISTS notion_sync.unaudited (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    binding_id   bigint NOT NULL REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    audit_schema text NOT NULL,
    audit_table  text NOT NULL,
    content      jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX IF NOT EXISTS unaudited_by_binding
    ON notion_sync.unaudited (binding_id, id);

-- What the receiver saw of each binding's webhook, by owner as in the inbox.
CREATE TABLE IF NOT EXISTS notion_sync.receipts (
    owner                 text PRIMARY KEY,
    last_event_at         timestamptz,
    verified_at           timestamptz,
    last_rejection_at     timestamptz,
    last_rejection_reason text,
    rejections            bigint NOT NULL DEFAULT 0
);

INSERT INTO notion_sync.migrations (version, name)
VALUES (1, 'state')
ON CONFLICT (version) DO NOTHING;
