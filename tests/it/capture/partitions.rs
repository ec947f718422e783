//! Partitioned tables: each row is captured once, by whichever name it is written.

use super::scene::{FIELDS, Scene, deletes, upserts};

const DDL: &str = "CREATE TABLE t (
        id bigint, region text, page text, name text, status text, PRIMARY KEY (id, region))
        PARTITION BY LIST (region);
    CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');
    CREATE TABLE t_b (status text, dropped int, name text, page text, region text NOT NULL, id bigint NOT NULL);
    ALTER TABLE t_b DROP COLUMN dropped;
    ALTER TABLE t ATTACH PARTITION t_b FOR VALUES IN ('b');
    CREATE TABLE t_c PARTITION OF t FOR VALUES IN ('c', 'd') PARTITION BY LIST (region);
    CREATE TABLE t_c_c PARTITION OF t_c FOR VALUES IN ('c')";

#[tokio::test]
async fn a_row_is_captured_once_by_any_of_its_tables() {
    let scene = Scene::with(DDL, FIELDS, |_| {}).await;
    scene
        .user("INSERT INTO t (id, region) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        .await;
    assert_eq!(scene.take().await, upserts(&["1,a", "2,b", "3,c"]));
    scene
        .user("INSERT INTO t_a (id, region) VALUES (4, 'a')")
        .await;
    scene.user("UPDATE t_b SET name = 'direct'").await;
    scene.user("UPDATE t_c SET name = 'middle'").await;
    assert_eq!(scene.take().await, upserts(&["2,b", "3,c", "4,a"]));
    let changes = "SELECT count(*) FROM notion_sync.changes";
    scene.user("UPDATE t SET status = 'all'").await;
    assert_eq!(scene.world.database.number(changes).await, 4);
    assert_eq!(scene.take().await.len(), 4);
    scene.user("DELETE FROM t_c_c").await;
    assert_eq!(scene.take().await, deletes(&["3,c"]));
    scene.user("TRUNCATE t_b").await;
    assert!(scene.ensure().await.truncated);
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_captured() {
    let scene = Scene::with(DDL, FIELDS, |_| {}).await;
    scene
        .user("INSERT INTO t (id, region) VALUES (1, 'a'), (2, 'a')")
        .await;
    scene.take().await;
    scene.user("UPDATE t SET region = 'b' WHERE id = 1").await;
    let moved = [deletes(&["1,a"]), upserts(&["1,b"])].concat();
    assert_eq!(scene.take().await, moved);
    scene.user("UPDATE t SET region = 'c'").await;
    let moved = [deletes(&["1,b"]), upserts(&["1,c"])].concat();
    let other = [deletes(&["2,a"]), upserts(&["2,c"])].concat();
    assert_eq!(scene.take().await, [moved, other].concat());
}

#[tokio::test]
async fn partitions_that_come_and_go_interrupt_capture() {
    let scene = Scene::with(DDL, FIELDS, |_| {}).await;
    assert!(!scene.ensure().await.gap);
    scene
        .user("CREATE TABLE t_e PARTITION OF t FOR VALUES IN ('e')")
        .await;
    scene
        .user("INSERT INTO t_e (id, region) VALUES (9, 'e')")
        .await;
    assert_eq!(scene.take().await, [], "no trigger yet");
    let state = scene.ensure().await;
    assert!(state.installed && state.gap, "its rows must be compared");
    scene.compared(&state).await;
    scene.user("UPDATE t_e SET name = 'x'").await;
    assert_eq!(scene.take().await, upserts(&["9,e"]));
    scene.user("ALTER TABLE t DETACH PARTITION t_e").await;
    assert!(scene.ensure().await.gap, "rows left without a DELETE");
}
