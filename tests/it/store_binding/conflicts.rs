//! What a person chose for conflicts, on a real server.

use notion_sync_operator::store::conflicts::{Choice, ConflictStore};
use notion_sync_operator::store::intents::{IntentStore, Settlement};
use notion_sync_operator::store::{Applied, BindingStore};
use notion_sync_operator::sync::event::Outcome;
use notion_sync_operator::sync::mapping::{ConflictPolicy, Direction};
use notion_sync_operator::sync::page::PropertyType;
use notion_sync_operator::sync::side::Side;

use super::intents::{intent, written};
use super::world::{World, page_id, text};

const AT: &str = "2026-11-20T10:00:00Z";
const OPEN: &str = "SELECT count(*) FROM notion_sync.conflicts WHERE closed_at IS NULL";

/// A pair without a base whose name differs, so that it waits for a person.
async fn contested() -> World {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page uuid, name text);
         INSERT INTO t VALUES (1, '{}', 'row')",
        page_id(1)
    );
    let world = World::with(&ddl, &[("name", PropertyType::Title)], |plan| {
        plan.direction = Direction::TwoWay;
        plan.fields[0].direction = Direction::TwoWay;
        plan.fields[0].conflict_policy = ConflictPolicy::Manual;
    });
    let world = world.await;
    let page = world.page(1, AT, &[text("notion")]);
    assert_eq!(world.written(&page).await, (Outcome::Conflict, 0));
    assert_eq!(world.database.number(OPEN).await, 1);
    assert!(world.store.resolutions().await.unwrap().is_empty());
    world
}

#[tokio::test]
async fn a_choice_by_sql_for_notion_is_applied_audited_and_closed() {
    let world = contested().await;
    let choose = "UPDATE notion_sync.conflicts SET resolution = 'Notion'";
    world.database.execute(choose).await;
    let found = world.store.resolutions().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].page_id, found[0].winner),
        (page_id(1), Side::Notion)
    );
    let pair = world.store.read_pairs(&[page_id(1)]).await.unwrap();
    assert_eq!(pair[0].resolutions["name"], Side::Notion);
    let page = world.page(1, AT, &[text("notion")]);
    assert_eq!(world.written(&page).await, (Outcome::Applied, 1));
    assert_eq!(world.database.text("SELECT name FROM t").await, "notion");
    assert_eq!(world.database.number(OPEN).await, 0);
    assert!(world.store.resolutions().await.unwrap().is_empty());
    let lost = "SELECT details #>> '{result,changes,0,overwrote}' FROM audit_logs
                WHERE details #>> '{result,outcome}' = 'Applied'";
    assert_eq!(world.database.text(lost).await, "row");
}

#[tokio::test]
async fn a_choice_for_postgres_stays_open_until_the_write_is_settled() {
    let world = contested().await;
    let taken = ConflictStore::resolve(&world.store, &[Choice::All(Side::Postgres)]).await;
    assert_eq!(taken.unwrap(), 1);
    let page = world.page(1, AT, &[text("notion")]);
    let Applied::Done { notion_due, .. } = world.apply(&page).await else {
        panic!("the row is there")
    };
    assert!(notion_due);
    assert_eq!(world.database.number(OPEN).await, 1, "nothing was sent yet");
    let now = jiff::Timestamp::now();
    let id = world.store.begin_intent(&intent(now)).await.unwrap();
    let refused = Settlement {
        settle: Vec::new(),
        ..written(id)
    };
    world.store.settle_intent(&refused).await.unwrap();
    assert_eq!(world.database.number(OPEN).await, 1, "it was not written");
    let id = world.store.begin_intent(&intent(now)).await.unwrap();
    world.store.settle_intent(&written(id)).await.unwrap();
    assert_eq!(world.database.number(OPEN).await, 0);
}

#[tokio::test]
async fn a_choice_names_open_conflicts_only() {
    let world = contested().await;
    let taken = ConflictStore::resolve(&world.store, &[Choice::One(4711, Side::Notion)]).await;
    assert_eq!(taken.unwrap(), 0);
    world.store.forget(&[page_id(1)]).await.unwrap();
    assert_eq!(world.database.number(OPEN).await, 0, "the page is gone");
    let taken = ConflictStore::resolve(&world.store, &[Choice::All(Side::Notion)]).await;
    assert_eq!(taken.unwrap(), 0);
}
