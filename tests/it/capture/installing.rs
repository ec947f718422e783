//! Putting capture on a table, repairing it, and saying when it was not continuous.

use notion_sync_operator::store::ChangeStore;
use notion_sync_operator::store::capture::{self, CaptureState, prune};
use notion_sync_operator::store::catalog::inspect;
use sqlx::Connection;

use super::scene::{FIELDS, Scene, TABLE, upserts};
use crate::store_binding::world::{Database, World, binding_plan};

const TRIGGERS: &str = "SELECT count(*) FROM pg_trigger
    WHERE tgrelid = 't'::regclass AND tgname LIKE 'notion\\_sync\\_%'";

const VERSIONS: &str = "SELECT string_agg(xmin::text || ctid::text, ',') FROM notion_sync.captures";

#[tokio::test]
async fn an_idle_pass_writes_nothing() {
    let scene = Scene::new().await;
    let before = scene.world.database.text(VERSIONS).await;
    for _ in 0..3 {
        let state = scene.ensure().await;
        assert!(state.installed && !state.gap && !state.replaced && !state.truncated);
    }
    assert_eq!(scene.world.database.text(VERSIONS).await, before);
    scene
        .user("UPDATE notion_sync.captures SET until = until - interval '90 minutes'")
        .await;
    assert!(!scene.ensure().await.gap);
    let left = "SELECT extract(epoch FROM until - now())::bigint FROM notion_sync.captures";
    assert!(scene.world.database.number(left).await > 23 * 3600 + 1800);
}

#[tokio::test]
async fn a_gap_stays_until_everything_was_compared() {
    let scene = Scene::bare(TABLE, FIELDS, |_| {}).await;
    let first = scene.ensure().await;
    assert!(first.gap);
    assert!(scene.ensure().await.gap, "nobody compared anything yet");
    scene.compared(&first).await;
    assert!(!scene.ensure().await.gap);
    scene.user("DROP TRIGGER notion_sync_update ON t").await;
    let second = scene.ensure().await;
    assert!(second.gap && second.installed);
    scene.compared(&first).await;
    assert!(scene.ensure().await.gap, "that pass began before the gap");
    scene.compared(&second).await;
    assert!(!scene.ensure().await.gap);
}

#[tokio::test]
async fn a_dropped_trigger_is_put_back() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    scene.take().await;
    scene.user("DROP TRIGGER notion_sync_update ON t").await;
    scene.user("UPDATE t SET name = 'unseen'").await;
    assert_eq!(scene.take().await, []);
    assert!(scene.ensure().await.gap);
    scene.user("UPDATE t SET name = 'seen'").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn triggers_that_were_off_for_a_while_are_noticed() {
    let scene = Scene::new().await;
    scene
        .user("ALTER TABLE t DISABLE TRIGGER USER; INSERT INTO t (id) VALUES (1); ALTER TABLE t ENABLE TRIGGER USER")
        .await;
    assert_eq!(scene.take().await, []);
    let state = scene.ensure().await;
    assert!(state.gap && state.installed, "{state:?}");
    scene.compared(&state).await;
    scene.user("ALTER TABLE t DISABLE TRIGGER USER").await;
    let state = scene.ensure().await;
    assert!(state.gap && state.installed, "{state:?}");
    scene.user("UPDATE t SET name = 'x'").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn a_dropped_function_is_made_again() {
    let scene = Scene::new().await;
    scene
        .user("DROP FUNCTION notion_sync.capture() CASCADE")
        .await;
    assert_eq!(scene.world.database.number(TRIGGERS).await, 0);
    let state = scene.ensure().await;
    assert!(state.gap && state.installed);
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn nothing_is_recorded_after_its_time() {
    let scene = Scene::new().await;
    scene
        .user("UPDATE notion_sync.captures SET until = now() - interval '1 minute'")
        .await;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(scene.take().await, []);
    let state = scene.ensure().await;
    assert!(state.installed && state.gap);
    scene.user("UPDATE t SET name = 'x'").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn changes_of_a_binding_that_is_gone_are_pruned() {
    let scene = Scene::new().await;
    scene
        .user("INSERT INTO t (id) VALUES (1); TRUNCATE t")
        .await;
    assert_eq!(prune(&scene.world.pool).await.unwrap(), 0);
    scene
        .user("UPDATE notion_sync.captures SET until = now() - interval '1 minute'")
        .await;
    assert_eq!(prune(&scene.world.pool).await.unwrap(), 1);
    assert!(scene.ensure().await.truncated, "that stays known");
}

#[tokio::test]
async fn another_mapping_is_another_capture() {
    let mut scene = Scene::new().await;
    let fields = &FIELDS[..1];
    let world = World::bind(
        Database::create().await,
        scene.world.pool.clone(),
        binding_plan(fields),
        fields,
    );
    let narrow = Scene::over(world.await.unwrap()).await;
    let state = narrow.ensure().await;
    assert!(state.gap && !state.replaced);
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    narrow.take().await;
    scene.user("UPDATE t SET status = 'unmapped now'").await;
    assert_eq!(narrow.take().await, []);
    scene.table = narrow.table.clone();
    assert!(scene.ensure().await.gap);
    scene.user("UPDATE t SET status = 'mapped again'").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
}

#[tokio::test]
async fn a_table_that_was_replaced_is_told() {
    let scene = Scene::new().await;
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    scene.user(&format!("DROP TABLE t; {TABLE}")).await;
    let table = inspect(&scene.world.pool, &scene.world.plan.binding)
        .await
        .unwrap();
    let scene = Scene { table, ..scene };
    let state = scene.ensure().await;
    assert!(state.replaced && state.gap && state.installed, "{state:?}");
    assert_eq!(
        scene.take().await,
        [],
        "changes of the old table are nobody's"
    );
    assert!(!scene.ensure().await.replaced);
}

/// A role that may work on the table, with TRIGGER or without.
async fn tenant(scene: &Scene, trigger: bool) -> String {
    let role = format!("tenant_{}", scene.world.database.name);
    let more = if trigger {
        format!("GRANT TRIGGER ON t TO {role}")
    } else {
        String::new()
    };
    scene
        .user(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p@ss'; GRANT SELECT ON t TO {role}; {more};
             GRANT USAGE ON SCHEMA notion_sync TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO {role}"
        ))
        .await;
    role
}

#[tokio::test]
async fn a_role_without_trigger_has_no_capture_and_no_error() {
    let scene = Scene::bare(TABLE, FIELDS, |_| {}).await;
    let role = tenant(&scene, false).await;
    let pool = scene.world.database.pool(Some(&role)).await;
    assert_eq!(
        scene.ensure_by(&pool).await.unwrap(),
        CaptureState::default()
    );
    assert_eq!(scene.world.database.number(TRIGGERS).await, 0);
    scene.user(&format!("GRANT TRIGGER ON t TO {role}")).await;
    let state = scene.ensure_by(&pool).await.unwrap();
    assert!(state.installed && state.gap);
    scene.compared(&state).await;
    // What was created stays, also where the role could not create it again.
    scene
        .user(&format!("REVOKE TRIGGER ON t FROM {role}"))
        .await;
    assert!(!scene.ensure_by(&pool).await.unwrap().gap);
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
    scene.user("DROP TRIGGER notion_sync_insert ON t").await;
    let state = scene.ensure_by(&pool).await.unwrap();
    assert!(!state.installed && state.gap, "{state:?}");
    scene.compared(&state).await;
    let state = scene.ensure_by(&pool).await.unwrap();
    assert!(!state.installed && !state.gap, "told once: {state:?}");
}

#[tokio::test]
async fn the_right_to_create_triggers_is_enough() {
    let scene = Scene::bare(TABLE, FIELDS, |_| {}).await;
    let role = tenant(&scene, true).await;
    let pool = scene.world.database.pool(Some(&role)).await;
    let hand_over = format!(
        "GRANT CREATE ON SCHEMA notion_sync TO {role};
         ALTER FUNCTION notion_sync.capture() OWNER TO {role}"
    );
    scene.user(&hand_over).await;
    assert!(scene.ensure_by(&pool).await.unwrap().installed);
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    assert_eq!(scene.take().await, upserts(&["1"]));
    capture::remove(&pool, &scene.claim).await.unwrap();
    assert_eq!(scene.world.database.number(TRIGGERS).await, 0);
    assert_eq!(scene.world.store.changes_waiting().await.unwrap(), 0);
    assert!(scene.ensure_by(&pool).await.unwrap().installed);
}

#[tokio::test]
async fn a_locked_table_gets_its_triggers_at_a_later_pass() {
    let scene = Scene::bare(TABLE, FIELDS, |_| {}).await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut open = connection.begin().await.unwrap();
    sqlx::query("INSERT INTO t (id) VALUES (1)")
        .execute(&mut *open)
        .await
        .unwrap();
    let state = scene.ensure().await;
    assert!(!state.installed && !state.gap, "{state:?}");
    open.commit().await.unwrap();
    let state = scene.ensure().await;
    assert!(state.installed && state.gap, "{state:?}");
}

#[tokio::test]
async fn work_in_flight_when_capture_changed_is_waited_for() {
    let scene = Scene::new().await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    scene
        .user("UPDATE notion_sync.captures SET until = now() - interval '1 minute'")
        .await;
    let mut open = connection.begin().await.unwrap();
    sqlx::query("INSERT INTO t (id) VALUES (1)")
        .execute(&mut *open)
        .await
        .unwrap();
    let early = scene.ensure().await;
    scene.compared(&early).await;
    open.commit().await.unwrap();
    assert_eq!(scene.take().await, [], "it was not recorded");
    assert!(scene.ensure().await.gap, "so it must still be compared");
}
