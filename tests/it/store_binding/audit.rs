use notion_sync_operator::store::BindingStore;
use notion_sync_operator::store::migrate::migrate;
use notion_sync_operator::sync::event::Outcome;
use notion_sync_operator::sync::page::PropertyType;

use super::world::{Database, Mapped, World, binding_plan, page_id, text};

const NAME: Mapped<'static> = ("name", PropertyType::Title);
const AT: &str = "2026-11-20T10:00:00Z";

fn table() -> String {
    format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page text, name text);
         INSERT INTO t VALUES (1, '{}', 'old');",
        page_id(1)
    )
}

async fn world(audit: &str) -> World {
    World::new(&format!("{}{audit}", table()), &[NAME]).await
}

#[tokio::test]
async fn the_table_is_made_where_it_is_absent() {
    let world = world("").await;
    let columns =
        "SELECT string_agg(concat_ws(' ', column_name, data_type), ', ' ORDER BY ordinal_position)
                   FROM information_schema.columns WHERE table_name = 'audit_logs'";
    let expected = "id uuid, action text, resource_type text, resource_id text, details jsonb, \
                    created_at timestamp with time zone";
    assert_eq!(world.database.text(columns).await, expected);
    let index = "SELECT count(*) FROM pg_indexes WHERE tablename = 'audit_logs'
                 AND indexdef LIKE '%(action, created_at)'";
    assert_eq!(world.database.number(index).await, 1);
}

#[tokio::test]
async fn tables_that_fit_are_adopted() {
    let tables = [
        "id uuid, action varchar(50), resource_type text, resource_id uuid, details json, created_at timestamp",
        "id text PRIMARY KEY, action text, resource_type text, resource_id text, details jsonb, created_at timestamptz NOT NULL",
        "id bigserial, action text, resource_type text, resource_id text, details jsonb, created_at timestamptz, tenant text NOT NULL DEFAULT 'x', extra text",
        "id bigint GENERATED ALWAYS AS IDENTITY, action text, resource_type text, resource_id text, details jsonb, created_at timestamptz, copy text GENERATED ALWAYS AS (action) STORED NOT NULL",
    ];
    for columns in tables {
        let world = world(&format!("CREATE TABLE audit_logs ({columns})")).await;
        assert_eq!(world.store.audit_problem().await, None, "{columns}");
        assert_eq!(
            world.written(&world.page(1, AT, &[text("new")])).await.0,
            Outcome::Applied
        );
        let query = "SELECT concat_ws('|', id IS NOT NULL, resource_id::text,
                         details -> 'result' ->> 'outcome', created_at > now() - interval '1 minute')
                     FROM audit_logs";
        let expected = format!("t|{}|Applied|t", page_id(1));
        assert_eq!(world.database.text(query).await, expected, "{columns}");
    }
}

#[tokio::test]
async fn rows_wait_for_a_table_that_does_not_fit() {
    let world = world(
        "CREATE TABLE audit_logs (id uuid, action text, \"resourceType\" text, \"resourceId\" text,
             details jsonb, \"createdAt\" timestamptz)",
    )
    .await;
    let problem = world.store.audit_problem().await.unwrap();
    assert!(problem.contains("no column resource_type"), "{problem}");
    assert_eq!(
        world.written(&world.page(1, AT, &[text("new")])).await.0,
        Outcome::Applied
    );
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM audit_logs")
            .await,
        0
    );
    let kept = world
        .database
        .text("SELECT created_at::text FROM notion_sync.unaudited")
        .await;

    let mend = "ALTER TABLE audit_logs RENAME \"resourceType\" TO resource_type;
                ALTER TABLE audit_logs RENAME \"resourceId\" TO resource_id;
                ALTER TABLE audit_logs RENAME \"createdAt\" TO created_at";
    world.database.execute(mend).await;
    world.store.flush_unaudited().await.unwrap();
    assert_eq!(world.store.audit_problem().await, None);
    let row = world
        .database
        .text("SELECT concat_ws('|', action, resource_type, resource_id) FROM audit_logs")
        .await;
    assert_eq!(row, format!("notion_sync|notion_page|{}", page_id(1)));
    assert_eq!(
        world
            .database
            .text("SELECT created_at::text FROM audit_logs")
            .await,
        kept
    );
    assert_eq!(world.audited().await["result"]["changes"][0]["to"], "new");
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.unaudited")
            .await,
        0
    );
}

#[tokio::test]
async fn an_insert_that_fails_keeps_the_row_and_the_change() {
    let world = world(
        "CREATE TABLE audit_logs (id uuid, action text CHECK (action <> 'notion_sync'),
             resource_type text, resource_id text, details jsonb, created_at timestamptz)",
    )
    .await;
    assert_eq!(
        world.written(&world.page(1, AT, &[text("new")])).await.0,
        Outcome::Applied
    );
    assert_eq!(world.database.text("SELECT name FROM t").await, "new");
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.unaudited")
            .await,
        1
    );
    // What still does not go in stays, and the flush ends.
    world.store.flush_unaudited().await.unwrap();
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.unaudited")
            .await,
        1
    );
    world.database.execute("DROP TABLE audit_logs").await;
    assert_eq!(
        world.written(&world.page(1, AT, &[text("newer")])).await.0,
        Outcome::Applied
    );
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.unaudited")
            .await,
        2
    );
}

#[tokio::test]
async fn a_role_that_may_not_create_is_told_what_to_run() {
    let database = Database::create().await;
    let role = format!("role_{}", database.name);
    database
        .execute(&format!(
            "{} REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             CREATE ROLE \"{role}\" LOGIN PASSWORD 'p@ss'; GRANT SELECT, UPDATE ON t TO \"{role}\"",
            table()
        ))
        .await;
    migrate(&database.pool(None).await).await.unwrap();
    database
        .execute(&format!(
            "GRANT USAGE ON SCHEMA notion_sync TO \"{role}\";
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO \"{role}\""
        ))
        .await;
    let pool = database.pool(Some(&role)).await;
    let world = World::bind(database, pool, binding_plan(&[NAME]), &[NAME])
        .await
        .unwrap();
    let problem = world.store.audit_problem().await.unwrap();
    assert_eq!(
        world.written(&world.page(1, AT, &[text("new")])).await.0,
        Outcome::Applied
    );
    // The remedy works as it is written.
    let (_, statements) = problem.split_once("run: ").unwrap();
    world.database.execute(statements).await;
    world.store.flush_unaudited().await.unwrap();
    assert_eq!(world.store.audit_problem().await, None);
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM audit_logs")
            .await,
        1
    );

    let revoke = format!("REVOKE INSERT ON audit_logs FROM \"{role}\"");
    world.database.execute(&revoke).await;
    assert_eq!(
        world.written(&world.page(1, AT, &[text("newer")])).await.0,
        Outcome::Applied
    );
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM notion_sync.unaudited")
            .await,
        1
    );
}

#[tokio::test]
async fn views_are_no_audit_tables() {
    let world = world("CREATE VIEW audit_logs AS SELECT 1 AS id").await;
    assert!(
        world
            .store
            .audit_problem()
            .await
            .unwrap()
            .contains("not an ordinary table")
    );
    world.store.report().await.unwrap();
}
