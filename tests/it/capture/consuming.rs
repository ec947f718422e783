//! Changes as the engine takes them, and the rows that they name.

use notion_sync_operator::store::claim::{ClaimRequest, claim};
use notion_sync_operator::store::{ChangeKind, ChangeStore, StoreError};
use notion_sync_operator::sync::identity::RowKey;

use super::scene::{FIELDS, Scene, page};
use crate::store_binding::world::page_id;

fn key(text: &str) -> RowKey {
    RowKey(vec![text.to_owned()])
}

#[tokio::test]
async fn changes_of_a_row_come_together_and_oldest_first() {
    let scene = Scene::new().await;
    let store = &scene.world.store;
    assert_eq!(store.oldest_change().await.unwrap(), None);
    for statement in [
        "INSERT INTO t (id) VALUES (2)",
        "INSERT INTO t (id) VALUES (1)",
        "UPDATE t SET name = 'x' WHERE id = 2",
        "DELETE FROM t WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "INSERT INTO t (id) VALUES (2)",
    ] {
        scene.user(statement).await;
    }
    let due = scene.due().await;
    let seen: Vec<_> = due
        .iter()
        .map(|change| {
            (
                change.row_key.clone().unwrap(),
                change.ids.len(),
                change.kind,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (key("2"), 4, ChangeKind::Upsert),
            (key("1"), 2, ChangeKind::Delete)
        ]
    );
    assert_eq!(store.changes_waiting().await.unwrap(), 6);
    assert!(store.oldest_change().await.unwrap() <= Some(due[0].changed_at));
    assert_eq!(store.due_changes(1).await.unwrap()[0].ids, due[0].ids[..1]);
}

#[tokio::test]
async fn settling_leaves_what_came_after_the_ids_were_noted() {
    let scene = Scene::new().await;
    let store = &scene.world.store;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    let noted = scene.due().await;
    scene.user("UPDATE t SET name = 'later' WHERE id = 1").await;
    store.settle_changes(&noted[0].ids).await.unwrap();
    let left = scene.due().await;
    assert_eq!(left.len(), 1);
    assert!(left[0].ids.iter().all(|id| !noted[0].ids.contains(id)));
    store.settle_changes(&[]).await.unwrap();
    assert_eq!(store.changes_waiting().await.unwrap(), 1);
}

#[tokio::test]
async fn another_process_fences_settling() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    let due = scene.due().await;
    let request = ClaimRequest {
        cluster_id: "cluster",
        binding: &scene.world.plan.binding.binding,
        uid: "uid",
        data_source: scene.world.plan.data_source,
        holder: "another",
        take_over: false,
        is_live: &|_, _| true,
    };
    claim(&scene.world.pool, &scene.table, request)
        .await
        .unwrap();
    let settled = scene.world.store.settle_changes(&due[0].ids).await;
    assert!(matches!(settled, Err(StoreError::Fenced)), "{settled:?}");
    assert_eq!(scene.due().await.len(), 1);
}

#[tokio::test]
async fn rows_are_read_by_key_as_they_are_now() {
    let scene = Scene::new().await;
    let insert = format!(
        "INSERT INTO t (id, page, name) VALUES (1, '{}', 'a'), (2, 'n/a', NULL)",
        page(1).to_uppercase()
    );
    scene.user(&insert).await;
    let store = &scene.world.store;
    let wide = RowKey(vec!["1".into(), "2".into()]);
    let asked = [key("2"), key("1"), key("3"), key("1"), wide];
    let mut rows = store.read_rows(&asked).await.unwrap();
    rows.sort_by(|one, other| one.asked.cmp(&other.asked));
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0].asked, rows[0].page_id),
        (&key("1"), Some(page_id(1)))
    );
    assert_eq!(rows[0].row.values, [Some("a".to_owned()), None]);
    assert_eq!((&rows[1].asked, rows[1].page_id), (&key("2"), None));
    assert!(store.read_rows(&[]).await.unwrap().is_empty());
    let odd = store
        .read_rows(&[key("not a number"), key("1")])
        .await
        .unwrap();
    assert_eq!(odd.len(), 1, "a key of another type than today's is no row");
}

#[tokio::test]
async fn keys_are_equal_as_their_columns_say() {
    let ddl = "CREATE TABLE t (id numeric PRIMARY KEY, page text, name text, status text)";
    let scene = Scene::with(ddl, FIELDS, |_| {}).await;
    scene.user("INSERT INTO t (id) VALUES (1.50)").await;
    let rows = scene.world.store.read_rows(&[key("1.5")]).await.unwrap();
    assert_eq!(
        (&rows[0].asked, &rows[0].row.key),
        (&key("1.5"), &key("1.50"))
    );
}

#[tokio::test]
async fn a_large_backlog_is_taken_in_parts() {
    let scene = Scene::new().await;
    scene
        .user("INSERT INTO t (id) SELECT * FROM generate_series(1, 2500)")
        .await;
    let mut seen = 0;
    loop {
        let due = scene.world.store.due_changes(1000).await.unwrap();
        if due.is_empty() {
            break;
        }
        seen += due.len();
        let keys: Vec<_> = due
            .iter()
            .filter_map(|change| change.row_key.clone())
            .collect();
        assert_eq!(
            scene.world.store.read_rows(&keys).await.unwrap().len(),
            due.len()
        );
        let ids: Vec<i64> = due.into_iter().flat_map(|change| change.ids).collect();
        scene.world.store.settle_changes(&ids).await.unwrap();
    }
    assert_eq!(seen, 2500);
}
