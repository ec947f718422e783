use notion_sync_operator::store::inbox::{Accepted, Inbox};
use notion_sync_operator::store::{Applied, BindingStore, PairChange};
use notion_sync_operator::sync::event::{Dialect, EventResult, EventSubject, NewEvent, Outcome};
use notion_sync_operator::sync::identity::DataSourceId;
use notion_sync_operator::sync::page::PropertyType;
use uuid::Uuid;

use super::world::{World, event, numbers, page_id, text};

const AT: &str = "2026-11-20T10:00:00Z";

async fn world() -> World {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page text, name text);
         INSERT INTO t VALUES (1, '{}', 'old')",
        page_id(1)
    );
    World::new(&ddl, &[("name", PropertyType::Title)]).await
}

async fn store(world: &World, events: Vec<NewEvent>) {
    let inbox = Inbox::start(world.pool.clone());
    for event in events {
        assert_eq!(
            inbox.insert(&world.owner, event).await.unwrap(),
            Accepted::Queued
        );
    }
}

#[tokio::test]
async fn events_come_back_as_they_went_in() {
    let world = world().await;
    let mut sent = event(
        Dialect::Envelope,
        1,
        "k\0",
        Some("2026-11-20T10:00:00.123456Z"),
    );
    sent.body = "{\"a\":\"ä\0\"}".into();
    sent.authors = vec![(
        notion_sync_operator::sync::identity::UserId(Uuid::from_u128(5)),
        "person".into(),
    )];
    sent.subject = EventSubject::Schema {
        data_source: Some(DataSourceId(Uuid::from_u128(3))),
        database: None,
    };
    store(&world, vec![sent.clone()]).await;
    let due = world.store.due_events(10).await.unwrap();
    sent.dedupe_key = "k\u{fffd}".into();
    sent.body = "{\"a\":\"ä\u{fffd}\"}".into();
    assert_eq!(due[0].event, sent);
    assert_eq!(
        (due[0].attempts, due[0].skipped, due[0].reread_only),
        (0, None, false)
    );
    assert_eq!(
        world.store.oldest_event().await.unwrap(),
        Some(due[0].received_at)
    );
}

#[tokio::test]
async fn one_row_for_each_event_and_the_changes_once() {
    let world = world().await;
    let keys = ["a", "b", "c"];
    store(
        &world,
        keys.map(|key| event(Dialect::Envelope, 1, key, None))
            .into(),
    )
    .await;
    let due = world.store.due_events(10).await.unwrap();
    let page = world.page(1, AT, &[text("new")]);
    let change = || PairChange {
        page: &page,
        events: &due,
        sent: &[],
        row_changed_at: None,
    };
    let applied = world.store.apply(change()).await.unwrap();
    assert!(matches!(
        applied,
        Applied::Done {
            outcome: Outcome::Applied,
            ..
        }
    ));
    // The same once more, as after an answer that was lost.
    world.store.apply(change()).await.unwrap();
    let rows = "SELECT concat_ws('|', details #>> '{event,id}', details #>> '{result,outcome}',
                    jsonb_array_length(details #> '{result,changes}'), resource_id)
                FROM audit_logs WHERE action = 'notion_webhook' ORDER BY 1";
    let page = page_id(1);
    let expected = [
        format!("a|Applied|1|{page}"),
        format!("b|Unchanged|0|{page}"),
        format!("c|Unchanged|0|{page}"),
    ];
    assert_eq!(world.database.texts(rows).await, expected);
    assert_eq!(
        world
            .database
            .number("SELECT count(*) FROM audit_logs")
            .await,
        3
    );
    assert!(world.store.due_events(10).await.unwrap().is_empty());
    assert_eq!(world.store.oldest_event().await.unwrap(), None);
    let seed = "SELECT count(*) FROM (SELECT * FROM audit_logs WHERE action='notion_webhook'
                ORDER BY created_at DESC LIMIT 100) s";
    assert_eq!(world.database.number(seed).await, 3);
    let label = notion_sync_operator::metrics::DirectionLabel::new("ToPostgres");
    drop(world.metrics.apply_seconds.get_or_create(&label));
}

#[tokio::test]
async fn events_that_change_nothing_end_with_their_reason() {
    let world = world().await;
    let mut schema = event(Dialect::Envelope, 1, "schema", None);
    schema.subject = EventSubject::Schema {
        data_source: None,
        database: None,
    };
    let mut odd = event(Dialect::Envelope, 2, "odd", None);
    // Valid JSON that jsonb refuses.
    odd.body = "{\"n\":1e999999}".into();
    store(&world, vec![schema, odd]).await;
    let due = world.store.due_events(10).await.unwrap();
    let result = |id, outcome, reason: Option<&str>| EventResult {
        id,
        outcome,
        reason: reason.map(str::to_owned),
    };
    let results = [
        result(due[0].id, Outcome::Unchanged, None),
        result(due[1].id, Outcome::Failed, Some("NotionUnavailable")),
    ];
    world.store.finish_events(&due, &results).await.unwrap();
    world.store.finish_events(&due, &results).await.unwrap();
    let rows = "SELECT concat_ws('|', resource_type, resource_id, details #>> '{result,outcome}',
                    details #>> '{result,reason}', jsonb_typeof(details -> 'event'))
                FROM audit_logs ORDER BY resource_type";
    let expected = [
        format!("notion_database|{}|Unchanged|object", Uuid::from_u128(1)),
        format!("notion_page|{}|Failed|NotionUnavailable|string", page_id(2)),
    ];
    assert_eq!(world.database.texts(rows).await, expected);
    let ended =
        "SELECT count(*) FROM notion_sync.inbox WHERE state = 'done' AND finished_at IS NOT NULL";
    assert_eq!(world.database.number(ended).await, 2);
}

#[tokio::test]
async fn deferred_events_come_back_later() {
    let world = world().await;
    store(
        &world,
        ["a", "b"]
            .map(|key| event(Dialect::Envelope, 1, key, None))
            .into(),
    )
    .await;
    let due = world.store.due_events(10).await.unwrap();
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    world
        .store
        .defer_events(&numbers(&due[..1]), later, true)
        .await
        .unwrap();
    let left = world.store.due_events(10).await.unwrap();
    assert_eq!(numbers(&left), numbers(&due[1..]));
    let past = later - jiff::SignedDuration::from_mins(10);
    world
        .store
        .defer_events(&numbers(&due), past, false)
        .await
        .unwrap();
    let attempts: Vec<_> = world.store.due_events(10).await.unwrap();
    let attempts: Vec<_> = attempts.iter().map(|event| event.attempts).collect();
    assert_eq!(attempts, [1, 0]);
}

#[tokio::test]
async fn skipped_events_have_their_row_and_rereads_have_none() {
    let world = world().await;
    let inbox = Inbox::start(world.pool.clone());
    for key in ["a", "b"] {
        let sent = event(Dialect::Legacy, 1, key, Some(AT));
        inbox.insert(&world.owner, sent).await.unwrap();
    }
    world
        .database
        .execute("UPDATE notion_sync.inbox SET not_before = now()")
        .await;
    let due = world.store.due_events(10).await.unwrap();
    assert_eq!(due.len(), 3);
    let page = world.page(1, AT, &[text("new")]);
    world
        .store
        .apply(PairChange {
            page: &page,
            events: &due,
            sent: &[],
            row_changed_at: None,
        })
        .await
        .unwrap();
    let rows = "SELECT concat_ws('|', details #>> '{event,id}', details #>> '{result,outcome}',
                    details #>> '{result,reason}', jsonb_array_length(details #> '{result,changes}'))
                FROM audit_logs ORDER BY 1";
    assert_eq!(
        world.database.texts(rows).await,
        ["a|Applied|1", "b|Skipped|NotNewer|0"]
    );
    assert!(world.store.due_events(10).await.unwrap().is_empty());
}
