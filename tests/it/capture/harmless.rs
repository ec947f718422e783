//! A user's statement never fails, and never hangs, because of capture.

use std::time::{Duration, Instant};

use notion_sync_operator::store::capture::arm;
use sqlx::Connection;

use super::scene::{Scene, upserts};

/// Every kind of statement that a user may run.
const EVERYTHING: &str = "
    INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
    UPDATE t SET name = 'one' WHERE id = 1;
    UPDATE t SET name = 'all';
    UPDATE t SET id = 30 WHERE id = 3;
    DELETE FROM t WHERE id = 2;
    TRUNCATE t;
    INSERT INTO t (id) VALUES (9)";

/// Breaks something, and then nothing may stop a user.
async fn survives(breaking: &str) -> Scene {
    let scene = Scene::new().await;
    scene.user(breaking).await;
    scene.user(EVERYTHING).await;
    assert_eq!(
        scene.world.database.number("SELECT count(*) FROM t").await,
        1
    );
    scene
}

#[tokio::test]
async fn the_state_schema_may_be_dropped() {
    let scene = survives("DROP SCHEMA notion_sync CASCADE").await;
    let left = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass";
    assert_eq!(scene.world.database.number(left).await, 0);
}

#[tokio::test]
async fn each_table_of_the_state_may_be_dropped() {
    survives("DROP TABLE notion_sync.changes").await;
    survives("DROP TABLE notion_sync.captures").await;
    survives("ALTER TABLE notion_sync.captures DROP COLUMN key_sql").await;
}

#[tokio::test]
async fn the_schema_may_be_dropped_in_the_middle_of_a_transaction() {
    let scene = Scene::new().await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    for statement in [
        "INSERT INTO t (id) VALUES (1)",
        "DROP SCHEMA notion_sync CASCADE",
        "UPDATE t SET name = 'x'",
    ] {
        sqlx::query(statement)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(
        scene.world.database.number("SELECT count(*) FROM t").await,
        1
    );
}

#[tokio::test]
async fn privileges_may_be_revoked_from_the_owner_of_the_function() {
    let owner = "DO $$ BEGIN
        EXECUTE format('CREATE ROLE %I', 'owner_' || current_database());
        EXECUTE format('ALTER FUNCTION notion_sync.capture() OWNER TO %I', 'owner_' || current_database());
        END $$";
    let scene = survives(owner).await;
    let changes = "SELECT count(*) FROM notion_sync.changes";
    assert_eq!(scene.world.database.number(changes).await, 0);
}

#[tokio::test]
async fn what_cannot_be_stored_is_lost_and_nothing_else() {
    let scene = survives("ALTER TABLE notion_sync.changes ADD CHECK (id < 0) NOT VALID").await;
    let changes = "SELECT count(*) FROM notion_sync.changes";
    assert_eq!(scene.world.database.number(changes).await, 0);
}

#[tokio::test]
async fn a_column_may_go_and_capture_goes_on_after_the_next_look() {
    let scene = survives("ALTER TABLE t RENAME COLUMN status TO state").await;
    let changes = "SELECT count(*) FROM notion_sync.changes WHERE operation <> 'truncate'";
    assert_eq!(scene.world.database.number(changes).await, 0);
    scene
        .user("ALTER TABLE t RENAME COLUMN state TO status")
        .await;
    scene.user("UPDATE t SET name = 'back' WHERE id = 9").await;
    assert_eq!(scene.world.database.number(changes).await, 1);
    scene.user("ALTER TABLE t DROP COLUMN status").await;
    scene.user("ALTER TABLE t ADD COLUMN status text").await;
    let state = scene.ensure().await;
    assert!(state.gap, "another column of that name: {state:?}");
}

#[tokio::test]
async fn locked_changes_hold_nobody_up() {
    let scene = Scene::new().await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut locked = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE notion_sync.changes IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *locked)
        .await
        .unwrap();
    let begun = Instant::now();
    scene.user("SET lock_timeout = '20s'; INSERT INTO t (id) VALUES (1); UPDATE t SET name = 'x'; RESET lock_timeout").await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    locked.rollback().await.unwrap();
    assert_eq!(scene.take().await, []);
    scene.user("UPDATE t SET name = 'y'").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn users_do_not_wait_for_each_other() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1), (2)").await;
    arm(&scene.world.pool, &[scene.claim.binding_id])
        .await
        .unwrap();
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut open = connection.begin().await.unwrap();
    sqlx::query("UPDATE t SET name = 'open' WHERE id = 1")
        .execute(&mut *open)
        .await
        .unwrap();
    scene
        .user(
            "SET lock_timeout = '5s'; UPDATE t SET name = 'other' WHERE id = 2; RESET lock_timeout",
        )
        .await;
    // The drainer neither waits for the open transaction nor holds it up.
    scene.take().await;
    open.commit().await.unwrap();
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn settings_of_the_user_neither_break_nor_leak() {
    let scene = Scene::new().await;
    scene
        .user(
            "SET plpgsql.extra_errors = 'all'; SET plpgsql.variable_conflict = 'error';
             SET quote_all_identifiers = on; SET standard_conforming_strings = off;
             SET lock_timeout = '7s'; SET search_path = ''; SET row_security = on;
             SET default_transaction_isolation = 'serializable';
             INSERT INTO public.t (id, name) VALUES (1, 'a'), (2, 'b');
             UPDATE public.t SET name = 'c' WHERE id = 1; UPDATE public.t SET name = 'd';
             DO $$ BEGIN ASSERT current_setting('lock_timeout') = '7s'; END $$",
        )
        .await;
    assert_eq!(scene.take().await, upserts(&["1", "2"]));
}
