-- Writes to Notion: what was announced, and what became of it. Applied by the operator, or by a DBA
-- after the files before it; the grants of 0001_state.sql hold for these tables too.

-- Our own last write to a page: the time that its echo showed and the one before.
ALTER TABLE notion_sync.pairs ADD COLUMN IF NOT EXISTS own_edit jsonb;

-- A row is committed before its request goes out. While it is pending and not_after lies ahead,
-- nobody knows whether the request took effect, and the page takes no other write.
CREATE TABLE IF NOT EXISTS notion_sync.intents (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    binding_id bigint NOT NULL REFERENCES notion_sync.bindings (id) ON DELETE CASCADE,
    page_id    uuid,
    row_key    jsonb NOT NULL,
    operation  text NOT NULL,
    fields     jsonb NOT NULL,
    epoch      bigint NOT NULL,
    read_at    timestamptz NOT NULL,
    not_after  timestamptz NOT NULL,
    state      text NOT NULL DEFAULT 'pending',
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    settled_at timestamptz,
    CONSTRAINT intents_state CHECK (state IN ('pending', 'written', 'not_written'))
);

CREATE INDEX IF NOT EXISTS intents_pending
    ON notion_sync.intents (binding_id, not_after) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS intents_by_page
    ON notion_sync.intents (page_id, id) WHERE page_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS intents_settled
    ON notion_sync.intents (settled_at) WHERE settled_at IS NOT NULL;

INSERT INTO notion_sync.migrations (version, name)
VALUES (3, 'outbound')
ON CONFLICT (version) DO NOTHING;
