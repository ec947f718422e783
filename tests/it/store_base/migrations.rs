use notion_sync_operator::store::StoreError;
use notion_sync_operator::store::migrate::migrate;
use notion_sync_operator::sync::reason::Reason;

use super::database::Database;

/// All files, in their order.
const FILES: &[&str] = &[
    include_str!("../../../migrations/0001_state.sql"),
    include_str!("../../../migrations/0002_capture.sql"),
    include_str!("../../../migrations/0003_outbound.sql"),
];

fn refused(result: Result<(), StoreError>) -> (Reason, String) {
    let error = result.expect_err("the role has no rights");
    (error.reason(), error.to_string())
}

#[tokio::test]
async fn the_state_schema_is_made_once_and_by_many_at_once() {
    let database = Database::create().await;
    let pool = database.pool().await;
    let all = [(); 4].map(|()| migrate(&pool));
    for result in futures::future::join_all(all).await {
        result.unwrap();
    }
    migrate(&pool).await.unwrap();
    let versions = database
        .number("SELECT count(*) FROM notion_sync.migrations")
        .await;
    assert_eq!(versions, i64::try_from(FILES.len()).unwrap());
}

#[tokio::test]
async fn the_file_may_be_applied_by_hand_and_twice() {
    let database = Database::create().await;
    let role = database.role().await;
    for file in FILES.iter().chain(FILES) {
        database.execute(file).await;
    }
    let pool = database.pool_of(&role).await;

    let (reason, text) = refused(migrate(&pool).await);
    assert_eq!(reason, Reason::StateSchemaMissing);
    let usage = format!("GRANT USAGE ON SCHEMA notion_sync TO \"{role}\";");
    let tables = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO \"{role}\";"
    );
    assert!(text.contains(&usage) && text.contains(&tables), "{text}");

    database.execute(&usage).await;
    assert_eq!(refused(migrate(&pool).await).0, Reason::StateSchemaMissing);
    database.execute(&tables).await;
    migrate(&pool).await.unwrap();
    sqlx::query("INSERT INTO notion_sync.receipts (owner) VALUES ('x')")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO notion_sync.inbox
             (owner, dedupe_key, dialect, event_type, subject, authenticated, body)
         VALUES ('x', '1', 'Envelope', 'page.created', '{}', true, '{}')",
    )
    .execute(&pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn without_the_right_to_create_the_file_is_named() {
    let database = Database::create().await;
    let role = database.role().await;
    let pool = database.pool_of(&role).await;
    let (reason, text) = refused(migrate(&pool).await);
    assert_eq!(reason, Reason::StateSchemaMissing);
    assert!(text.contains("migrations/0001_state.sql"), "{text}");
    assert!(text.contains("GRANT USAGE ON SCHEMA notion_sync"), "{text}");

    database.execute("CREATE SCHEMA notion_sync").await;
    database
        .execute(&format!("GRANT USAGE ON SCHEMA notion_sync TO \"{role}\""))
        .await;
    let (reason, text) = refused(migrate(&pool).await);
    assert_eq!(reason, Reason::StateSchemaMissing);
    assert!(text.contains("migrations/0001_state.sql"), "{text}");
}

#[tokio::test]
async fn a_role_that_may_create_needs_no_other_right() {
    let database = Database::create().await;
    let role = database.role().await;
    database
        .execute(&format!(
            "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}',
                 current_database()); END $$"
        ))
        .await;
    let pool = database.pool_of(&role).await;
    migrate(&pool).await.unwrap();
    migrate(&pool).await.unwrap();
}

#[tokio::test]
async fn newer_versions_are_accepted() {
    let database = Database::create().await;
    let pool = database.pool().await;
    migrate(&pool).await.unwrap();
    database
        .execute("INSERT INTO notion_sync.migrations (version, name) VALUES (999, 'later')")
        .await;
    migrate(&pool).await.unwrap();
}

#[tokio::test]
async fn a_long_row_key_fits_into_the_state() {
    let database = Database::create().await;
    let pool = database.pool().await;
    migrate(&pool).await.unwrap();
    database
        .execute(
            "INSERT INTO notion_sync.bindings (cluster_id, namespace, name, uid, table_schema,
                 table_name, table_oid, state_oid, page_id_column, data_source_id, holder)
             VALUES ('c', 'n', 'b', 'u', 's', 't', 1, 1, 'p', gen_random_uuid(), 'h');
             INSERT INTO notion_sync.pairs (binding_id, page_id, row_key)
             SELECT id, gen_random_uuid(),
                    jsonb_build_array((SELECT string_agg(gen_random_uuid()::text, '')
                                       FROM generate_series(1, 300)))
             FROM notion_sync.bindings",
        )
        .await;
}
