//! Waking the binding's worker.

use std::sync::Arc;
use std::time::Duration;

use notion_sync_operator::store::capture::{ChangeListener, arm, disarm, due};
use notion_sync_operator::sync::identity::BindingRef;
use sqlx::Connection;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::scene::Scene;

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(20);

async fn listen(scene: &Scene) -> (ChangeListener, UnboundedReceiver<BindingRef>) {
    let (woken, heard) = unbounded_channel();
    let wake = Arc::new(move |binding| drop(woken.send(binding)));
    let listener = ChangeListener::start(scene.world.pool.clone(), "cluster".into(), wake);
    while !listener.listens() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (listener, heard)
}

async fn is_armed(scene: &Scene) -> bool {
    let armed = "SELECT armed::text FROM notion_sync.captures";
    scene.world.database.text(armed).await == "true"
}

#[tokio::test]
async fn an_armed_change_wakes_once_and_disarms() {
    let scene = Scene::new().await;
    let (_listener, mut heard) = listen(&scene).await;
    arm(&scene.world.pool, &[scene.claim.binding_id])
        .await
        .unwrap();
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    let woken = timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!(woken, scene.world.plan.binding.binding);
    assert!(!is_armed(&scene).await);
    scene.user("INSERT INTO t (id) VALUES (2)").await;
    // Whatever is told now comes after anything that the statement before might have told.
    arm(&scene.world.pool, &[scene.claim.binding_id])
        .await
        .unwrap();
    scene.user("INSERT INTO t (id) VALUES (3)").await;
    timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert!(heard.try_recv().is_err(), "nothing was told while disarmed");
}

#[tokio::test]
async fn a_listener_that_lost_its_connection_listens_again() {
    let scene = Scene::new().await;
    let (listener, mut heard) = listen(&scene).await;
    scene
        .world
        .database
        .texts("SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
        .await;
    arm(&scene.world.pool, &[scene.claim.binding_id])
        .await
        .unwrap();
    for id in 1..200 {
        arm(&scene.world.pool, &[scene.claim.binding_id])
            .await
            .unwrap();
        scene
            .user(&format!("INSERT INTO t (id) VALUES ({id})"))
            .await;
        if timeout(Duration::from_millis(200), heard.recv())
            .await
            .is_ok()
        {
            drop(listener);
            return;
        }
    }
    panic!("never heard again");
}

#[tokio::test]
async fn the_poll_finds_what_nobody_announced() {
    let scene = Scene::new().await;
    let pool = &scene.world.pool;
    let idle = due(pool, "cluster").await.unwrap();
    assert_eq!(idle.len(), 1, "to be armed");
    assert!(!idle[0].armed && !idle[0].changes && !idle[0].events);
    assert_eq!(idle[0].binding, scene.world.plan.binding.binding);
    arm(pool, &[scene.claim.binding_id]).await.unwrap();
    assert_eq!(due(pool, "cluster").await.unwrap(), []);
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    let found = due(pool, "cluster").await.unwrap();
    assert!(found.len() == 1 && found[0].changes && found[0].armed);
    assert_eq!(due(pool, "another").await.unwrap(), []);
    disarm(pool, &[scene.claim.binding_id]).await.unwrap();
    scene.take().await;
    scene
        .user("INSERT INTO notion_sync.inbox
                   (owner, dedupe_key, dialect, event_type, subject, authenticated, body)
               VALUES ('cluster/team-a/projects', '1', 'Envelope', 'page.created', '{}', true, '{}')")
        .await;
    let found = due(pool, "cluster").await.unwrap();
    assert!(
        found
            .iter()
            .any(|due| due.events && due.binding == scene.world.plan.binding.binding)
    );
}

#[tokio::test]
async fn only_what_was_armed_is_announced() {
    let scene = Scene::new().await;
    let mut ear = PgListener::connect_with(&scene.world.database.admin)
        .await
        .unwrap();
    ear.listen("notion_sync").await.unwrap();
    scene.user("INSERT INTO t (id) VALUES (1)").await;
    arm(&scene.world.pool, &[scene.claim.binding_id])
        .await
        .unwrap();
    scene.user("UPDATE t SET unmapped = 1").await;
    let mut connection = scene.world.database.admin.acquire().await.unwrap();
    let mut busy = connection.begin().await.unwrap();
    for name in ["a", "b", "c"] {
        sqlx::query("UPDATE t SET name = $1")
            .bind(name)
            .execute(&mut *busy)
            .await
            .unwrap();
    }
    busy.commit().await.unwrap();
    let told = timeout(SOON, ear.recv()).await.unwrap().unwrap();
    assert_eq!(told.payload(), scene.claim.binding_id.to_string());
    assert!(ear.next_buffered().is_none(), "once for the transaction");
}
