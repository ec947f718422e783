-- Change capture: what users change in bound tables, recorded by one trigger function.
--
-- Needs 0001_state.sql. The operator applies this file itself where its role may create tables and
-- functions in the schema, and so owns the function. Whoever else applies it grants the tables as
-- for 0001_state.sql and hands the function to the operator's role (for the operator's role <role>):
--
--   GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO <role>;
--   ALTER FUNCTION notion_sync.capture() OWNER TO <role>;
--
-- The operator puts the triggers on a bound table itself, for which it needs TRIGGER on it.
-- DROP FUNCTION notion_sync.capture() CASCADE removes all of them without owning the tables.
--
-- Every statement may be repeated. Nothing depends on search_path.

-- Which tables are captured for which binding, and what the function must know of them. It records
-- only while "until" lies ahead, so that a binding that is gone never fills the disk. Capture is
-- continuous from "since" on while "carriers" holds the fingerprint of what carries it; "gap" stays
-- set from an interruption until everything was compared, and so does "emptied" from a TRUNCATE on.
-- The three pieces of SQL are lists of quoted columns and nothing else, whoever writes them.
CREATE TABLE IF NOT EXISTS notion_sync.captures (
    binding_id   bigint PRIMARY KEY REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    relid        oid NOT NULL,
    until        timestamptz NOT NULL,
    armed        boolean NOT NULL DEFAULT false,
    key_sql      text NOT NULL,
    page_id_sql  text NOT NULL,
    compared_sql text NOT NULL,
    carriers     text,
    since        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    gap          boolean NOT NULL DEFAULT false,
    emptied      boolean NOT NULL DEFAULT false,
    CONSTRAINT captures_key_sql CHECK (key_sql
        ~ '^("([^"]|"")+"::text|format\(''%s'', "([^"]|"")+"\))(, ("([^"]|"")+"::text|format\(''%s'', "([^"]|"")+"\)))*$'),
    CONSTRAINT captures_page_id_sql CHECK (page_id_sql
        ~ '^("([^"]|"")+"::text|format\(''%s'', "([^"]|"")+"\))$'),
    CONSTRAINT captures_compared_sql CHECK (compared_sql ~ '^"([^"]|"")+"(, "([^"]|"")+")*$')
) WITH (fillfactor = 50);

CREATE INDEX IF NOT EXISTS captures_by_table ON notion_sync.captures (relid);

-- Captured changes. No unique key and no reference, since a user's transaction must never wait for
-- another one here; consumed by id, since ids are given at insert and commits come in any order.
CREATE TABLE IF NOT EXISTS notion_sync.changes (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    binding_id  bigint NOT NULL,
    relid       oid NOT NULL,
    operation   text NOT NULL,
    row_key     jsonb,
    page_before text,
    page_after  text,
    origin      text,
    changed_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    captured_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT changes_operation CHECK (operation IN ('insert', 'update', 'delete', 'truncate'))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX IF NOT EXISTS changes_by_binding ON notion_sync.changes (binding_id, id);
CREATE INDEX IF NOT EXISTS changes_truncated
    ON notion_sync.changes (binding_id) WHERE operation = 'truncate';

-- The function of all triggers. A user's statement must never fail or hang because of it: whatever
-- goes wrong ends in the handler, no lock is waited for longer than lock_timeout, and what was not
-- recorded is found by the next comparison. The output of types is set as for the operator's own
-- sessions, since keys are compared as text.
--
-- Rows are compared by their image (*<>), which calls no function of the columns' types. The text
-- of a type that is not the server's own comes from its output function and not from a cast, which
-- could run any function with the rights of this one.
--
-- A key that changed is recorded twice, as it was and as it is. Only one row, the common case, is
-- compared without a join, whose planning would cost more than all the rest. Nothing is known of the
-- keys when a join is planned, so sorting would be chosen, which takes three times as long as hashing.
--
-- NOTIFY is left out where prepared transactions may be in use, which it would make fail, and while
-- the server's queue is filling up, since a full one makes commits fail.
CREATE OR REPLACE FUNCTION notion_sync.capture() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
SET jit = off
SET enable_mergejoin = off
AS $function$
#variable_conflict use_column
DECLARE
    target   record;
    changed  record;
    mark     text;
    images   text;
    is_one   boolean;
    recorded bigint;
BEGIN
    mark := nullif(left(current_setting('notion_sync.origin', true), 500), '');
    IF TG_OP = 'UPDATE' THEN
        SELECT count(*) = 1 INTO is_one FROM (SELECT FROM new_rows LIMIT 2) AS r;
    END IF;
    FOR target IN
        SELECT c.binding_id, c.armed, c.key_sql, c.page_id_sql, c.compared_sql
        FROM notion_sync.captures AS c
        WHERE c.until > now()
          AND c.relid = ANY (ARRAY(SELECT TG_RELID
                                   UNION ALL
                                   SELECT a.relid::oid FROM pg_partition_ancestors(TG_RELID) AS a))
    LOOP
        images := '(SELECT jsonb_build_array(' || target.key_sql || ') AS key, '
                  || target.page_id_sql || ' AS page, ROW(' || target.compared_sql
                  || ')::record AS image FROM ';
        IF TG_OP = 'TRUNCATE' THEN
            INSERT INTO notion_sync.changes (binding_id, relid, origin, operation)
            VALUES (target.binding_id, TG_RELID, mark, 'truncate');
        ELSIF TG_OP = 'UPDATE' AND is_one THEN
            EXECUTE 'SELECT o.key AS old_key, n.key AS new_key, o.page AS old_page, n.page AS new_page
                     FROM ' || images || 'old_rows) AS o, ' || images || 'new_rows) AS n
                     WHERE o.key <> n.key OR o.image *<> n.image'
            INTO changed;
            IF changed.old_key <> changed.new_key THEN
                INSERT INTO notion_sync.changes
                    (binding_id, relid, origin, operation, row_key, page_before, page_after)
                VALUES (target.binding_id, TG_RELID, mark, 'delete', changed.old_key, changed.old_page, NULL),
                       (target.binding_id, TG_RELID, mark, 'insert', changed.new_key, NULL, changed.new_page);
            ELSE
                INSERT INTO notion_sync.changes
                    (binding_id, relid, origin, operation, row_key, page_before, page_after)
                SELECT target.binding_id, TG_RELID, mark, 'update', changed.new_key, changed.old_page, changed.new_page
                WHERE changed.new_key IS NOT NULL;
            END IF;
        ELSE
            EXECUTE 'INSERT INTO notion_sync.changes
                         (binding_id, relid, origin, operation, row_key, page_before, page_after)
                     SELECT $1, $2, $3, ' || CASE TG_OP
                WHEN 'INSERT' THEN '''insert'', key, NULL, page FROM ' || images || 'new_rows) AS n'
                WHEN 'DELETE' THEN '''delete'', key, page, NULL FROM ' || images || 'old_rows) AS o'
                ELSE 'CASE WHEN o.key IS NULL THEN ''insert'' WHEN n.key IS NULL THEN ''delete''
                           ELSE ''update'' END,
                      coalesce(n.key, o.key), o.page, n.page
                      FROM ' || images || 'old_rows) AS o FULL JOIN ' || images || 'new_rows) AS n
                      ON o.key = n.key
                      WHERE o.key IS NULL OR n.key IS NULL OR o.image *<> n.image'
                END
            USING target.binding_id, TG_RELID, mark;
        END IF;
        GET DIAGNOSTICS recorded = ROW_COUNT;
        IF recorded > 0 AND target.armed
           AND current_setting('max_prepared_transactions') = '0'
           AND pg_notification_queue_usage() < 0.5
        THEN
            PERFORM pg_notify('notion_sync', target.binding_id::text);
        END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$function$;

INSERT INTO notion_sync.migrations (version, name)
VALUES (2, 'capture')
ON CONFLICT (version) DO NOTHING;
