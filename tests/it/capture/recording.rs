//! Which statements are recorded, and as what.

use notion_sync_operator::store::{ChangeKind, ChangeStore};
use notion_sync_operator::sync::page::PropertyType;
use sqlx::Connection;

use super::scene::{FIELDS, Scene, TABLE, deletes, page, upserts};
use crate::store_binding::world::{page_id, text};

#[tokio::test]
async fn every_statement_is_recorded_once_by_key() {
    let scene = Scene::new().await;
    scene
        .user("INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b')")
        .await;
    assert_eq!(scene.take().await, upserts(&["1", "2"]));
    scene.user("UPDATE t SET status = 'x' WHERE id = 1").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
    scene.user("UPDATE t SET status = 'y'").await;
    assert_eq!(scene.take().await, upserts(&["1", "2"]));
    scene.user("DELETE FROM t WHERE id = 2").await;
    assert_eq!(scene.take().await, deletes(&["2"]));
    scene
        .user(
            "INSERT INTO t (id, name) VALUES (1, 'a'), (3, 'c')
             ON CONFLICT (id) DO UPDATE SET name = 'upserted'",
        )
        .await;
    assert_eq!(scene.take().await, upserts(&["1", "3"]));
    scene
        .user("WITH gone AS (DELETE FROM t WHERE id = 1) UPDATE t SET name = 'w' WHERE id = 3")
        .await;
    assert_eq!(
        scene.take().await,
        [deletes(&["1"]), upserts(&["3"])].concat()
    );
}

#[tokio::test]
async fn copy_is_recorded() {
    let scene = Scene::new().await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut copy = connection
        .copy_in_raw("COPY t (id, name) FROM STDIN")
        .await
        .unwrap();
    copy.send(&b"7\tseven\n8\teight\n"[..]).await.unwrap();
    copy.finish().await.unwrap();
    assert_eq!(scene.take().await, upserts(&["7", "8"]));
}

#[tokio::test]
async fn only_what_matters_to_the_binding_is_recorded() {
    let scene = Scene::new().await;
    scene
        .user("INSERT INTO t (id, name) VALUES (1, 'a'), (2, NULL)")
        .await;
    scene.take().await;
    scene.user("UPDATE t SET unmapped = unmapped + 1").await;
    scene.user("UPDATE t SET unmapped = 5 WHERE id = 1").await;
    scene
        .user("UPDATE t SET name = name, status = status")
        .await;
    scene.user("UPDATE t SET name = 'x' WHERE id = 99").await;
    assert_eq!(scene.take().await, []);
    scene
        .user("UPDATE t SET name = CASE id WHEN 1 THEN 'a' ELSE '' END")
        .await;
    assert_eq!(scene.take().await, upserts(&["2"]), "NULL became empty");
    let set = format!("UPDATE t SET page = '{}' WHERE id = 1", page(1));
    scene.user(&set).await;
    let due = scene.due().await;
    assert_eq!(due[0].page_ids, [page_id(1)]);
    let set = format!("UPDATE t SET page = '{}' WHERE id = 1", page(2));
    scene.user(&set).await;
    let due = scene.due().await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].ids.len(), 2);
    assert_eq!(due[0].page_ids, [page_id(1), page_id(2)]);
}

#[tokio::test]
async fn a_key_that_changed_is_recorded_as_it_was_and_as_it_is() {
    let scene = Scene::new().await;
    let insert = format!(
        "INSERT INTO t (id, page) VALUES (1, '{}'), (2, NULL), (3, NULL)",
        page(1)
    );
    scene.user(&insert).await;
    scene.take().await;
    scene.user("UPDATE t SET id = 10 WHERE id = 1").await;
    let due = scene.due().await;
    assert!(due.iter().all(|change| change.page_ids == [page_id(1)]));
    let expected = [deletes(&["1"]), upserts(&["10"])].concat();
    assert_eq!(scene.take().await, expected);
    scene.user("UPDATE t SET id = id + 100 WHERE id < 10").await;
    let expected = [upserts(&["102", "103"]), deletes(&["2", "3"])].concat();
    assert_eq!(scene.take().await, expected);
}

#[tokio::test]
async fn an_emptied_table_is_told() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    scene.user("TRUNCATE t").await;
    let due = scene.due().await;
    let truncated: Vec<_> = due
        .iter()
        .filter(|change| change.kind == ChangeKind::Truncate)
        .collect();
    assert_eq!(truncated.len(), 1);
    assert_eq!(truncated[0].row_key, None);
    assert!(scene.ensure().await.truncated);
    scene.take().await;
    let state = scene.ensure().await;
    assert!(state.truncated && state.gap, "settled, but not compared");
    scene.compared(&state).await;
    assert!(!scene.ensure().await.truncated);
}

#[tokio::test]
async fn ten_thousand_rows_of_one_statement_are_recorded() {
    let scene = Scene::new().await;
    scene
        .user("INSERT INTO t (id, name) SELECT i, 'n' FROM generate_series(1, 10000) AS i")
        .await;
    assert_eq!(scene.take().await.len(), 10_000);
    let before = scene.world.database.number("SELECT txid_current()").await;
    scene
        .user("UPDATE t SET status = 'done' WHERE id <> 5")
        .await;
    let after = scene.world.database.number("SELECT txid_current()").await;
    assert!(
        after - before < 100,
        "one statement took {} ids",
        after - before
    );
    assert_eq!(scene.take().await.len(), 9_999);
}

#[tokio::test]
async fn replica_sessions_and_rolled_back_work_leave_no_trace() {
    let scene = Scene::new().await;
    scene
        .user("SET session_replication_role = replica; INSERT INTO t (id) VALUES (1); RESET session_replication_role")
        .await;
    scene
        .user("BEGIN; INSERT INTO t (id) VALUES (2); ROLLBACK")
        .await;
    assert_eq!(scene.take().await, []);
}

#[tokio::test]
async fn our_own_writes_bear_a_mark() {
    let scene = Scene::new().await;
    let insert = format!("INSERT INTO t (id, page) VALUES (1, '{}')", page(1));
    scene.user(&insert).await;
    scene.take().await;
    let read = scene
        .world
        .page(1, "2026-11-20T10:00:00Z", &[text("a"), text("b")]);
    scene.world.apply(&read).await;
    let due = scene.due().await;
    assert_eq!(due.len(), 1);
    assert!(due[0].origin_is_ours);
    scene.user("UPDATE t SET name = 'user' WHERE id = 1").await;
    let due = scene.due().await;
    assert_eq!((due.len(), due[0].ids.len()), (1, 2));
    assert!(!due[0].origin_is_ours, "the newest change was a user's");
}

#[tokio::test]
async fn commits_out_of_order_lose_nothing() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1), (2)").await;
    scene.take().await;
    let admin = &scene.world.database.admin;
    let mut first = admin.acquire().await.unwrap();
    let mut slow = first.begin().await.unwrap();
    sqlx::query("UPDATE t SET name = 'slow' WHERE id = 1")
        .execute(&mut *slow)
        .await
        .unwrap();
    scene.user("UPDATE t SET name = 'fast' WHERE id = 2").await;
    assert_eq!(scene.take().await, upserts(&["2"]));
    slow.commit().await.unwrap();
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn any_name_and_any_key_type_is_captured() {
    let ddl = "CREATE SCHEMA ext; CREATE TYPE ext.\"Mood \"\"x\" AS ENUM ('a b', 'c''d');
        CREATE TABLE t (\"Key \"\"1\" ext.\"Mood \"\"x\", k2 timestamptz, k3 char(5), k4 boolean,
                        \"page\" uuid, \"n; DROP\"\"\" text, \"é %s $1\" jsonb,
                        PRIMARY KEY (\"Key \"\"1\", k2, k3, k4))";
    let fields = [
        ("n; DROP\"", PropertyType::RichText),
        ("é %s $1", PropertyType::RichText),
    ];
    let scene = Scene::with(ddl, &fields, |_| {}).await;
    scene
        .user(
            "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
             INSERT INTO t VALUES ('c''d', '2026-01-02 03:04:05+00', 'ab', true, NULL, 'x', '{}');
             UPDATE t SET \"é %s $1\" = '[1]'; UPDATE t SET \"n; DROP\"\"\" = 'y';
             RESET TimeZone; RESET DateStyle",
        )
        .await;
    let due = scene.due().await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].ids.len(), 3);
    let key = due[0].row_key.clone().unwrap();
    assert_eq!(key.0, ["c'd", "2026-01-02 03:04:05+00", "ab", "true"]);
    let rows = scene
        .world
        .store
        .read_rows(std::slice::from_ref(&key))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0].asked, &rows[0].row.key), (&key, &key));
}

#[tokio::test]
async fn two_bindings_of_one_table_have_their_own_changes() {
    let ddl = TABLE.replace("page text", "page text, other text");
    let scene = Scene::with(&ddl, FIELDS, |_| {}).await;
    let mut binding = scene.world.plan.binding.clone();
    binding.page_id_column = "other".into();
    binding.binding.name = "second".into();
    let twin = crate::store_binding::world::World::bind(
        crate::store_binding::world::Database::create().await,
        scene.world.pool.clone(),
        binding,
        FIELDS,
    );
    let second = Scene::over(twin.await.unwrap()).await;
    let state = second.ensure().await;
    assert!(state.installed && state.gap);
    let first = scene.ensure().await;
    assert!(!first.gap, "the triggers were there: {first:?}");
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(second.take().await, upserts(&["1"]));
    assert_eq!(scene.take().await, upserts(&["1"]));
}
