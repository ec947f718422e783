//! Announced writes to Notion, on a real server.

use jiff::{SignedDuration, Timestamp};
use notion_sync_operator::store::BindingStore;
use notion_sync_operator::store::intents::{
    IntentField, IntentState, IntentStore, NewIntent, NotionChange, Operation, Settlement,
};
use notion_sync_operator::sync::event::{Dialect, InboxEvent, Outcome};
use notion_sync_operator::sync::identity::{PropertyId, RowKey, UserId};
use notion_sync_operator::sync::page::PropertyType;
use notion_sync_operator::sync::pair::{FieldBase, OwnEdit};
use serde_json::json;

use super::world::{World, event, page_id, text};

const AT: &str = "2026-11-20T10:00:00Z";

/// A linked pair that is in step.
async fn settled() -> World {
    let ddl = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, page uuid, name text);
         INSERT INTO t VALUES (1, '{}', 'old')",
        page_id(1)
    );
    let world = World::new(&ddl, &[("name", PropertyType::Title)]).await;
    world.apply(&world.page(1, AT, &[text("old")])).await;
    world
}

fn key() -> RowKey {
    RowKey(vec!["1".to_owned()])
}

pub(super) fn intent(read_at: Timestamp) -> NewIntent {
    NewIntent {
        page_id: Some(page_id(1)),
        row_key: key(),
        operation: Operation::Update,
        fields: vec![IntentField {
            column: "name".to_owned(),
            property: PropertyId::new("name"),
            kind: PropertyType::Title,
            before: text("old"),
            sent: text("new"),
            postgres: Some("new".to_owned()),
            contested: true,
        }],
        read_at,
        not_after: read_at + SignedDuration::from_secs(85),
    }
}

pub(super) fn written(intent: i64) -> Settlement {
    let base = FieldBase {
        property: PropertyId::new("name"),
        kind: PropertyType::Title,
        notion: text("new"),
        postgres: Some("new".to_owned()),
        reason: None,
    };
    Settlement {
        intent,
        state: IntentState::Written,
        is_certain: true,
        page_id: page_id(1),
        row_key: key(),
        settle: vec![("name".to_owned(), base)],
        own_edit: Some(OwnEdit {
            written: "2026-11-20T10:07:00Z".parse().unwrap(),
            before: AT.parse().ok(),
            settled: Timestamp::now(),
        }),
        last_edited: "2026-11-20T10:07:00Z".parse().ok(),
        changes: vec![NotionChange {
            column: "name".to_owned(),
            from: json!("old"),
            to: json!("new"),
            overwrote: json!("old"),
        }],
        outcome: Outcome::Applied,
        reason: None,
        committed_at: None,
    }
}

#[tokio::test]
async fn an_intent_is_settled_once_with_base_own_edit_and_audit_row() {
    let world = settled().await;
    let now = Timestamp::now();
    let store = &world.store;
    let id = store.begin_intent(&intent(now)).await.unwrap();
    let found = store.intents(&[page_id(1)]).await.unwrap();
    let [pending] = found[&page_id(1)].as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((pending.id, pending.state), (id, IntentState::Pending));
    assert_eq!(pending.intent.fields, intent(now).fields);
    assert!(pending.blocks(now) && !pending.is_foreign);
    assert_eq!(store.unsettled().await.unwrap().len(), 1);

    for _ in 0..2 {
        store.settle_intent(&written(id)).await.unwrap();
    }
    assert!(store.unsettled().await.unwrap().is_empty());
    let remembered = store.intents(&[page_id(1)]).await.unwrap();
    assert!(!remembered[&page_id(1)][0].blocks(Timestamp::now()));
    let base = store.read_bases(&[page_id(1)]).await.unwrap();
    assert_eq!(base[&page_id(1)]["name"].notion, text("new"));
    let head = store.read_pairs(&[page_id(1)]).await.unwrap().remove(0);
    let head = head.head.unwrap();
    assert_eq!(head.hash, None, "the pair is looked at again");
    assert_eq!(head.own_edit.unwrap().before, AT.parse().ok());
    let details = world.audited().await;
    assert_eq!(
        details["result"]["changes"],
        json!([{"column": "name", "side": "Notion", "from": "old", "to": "new",
                "overwrote": "old"}])
    );
}

#[tokio::test]
async fn what_was_not_written_leaves_base_and_audit_alone() {
    let world = settled().await;
    let id = world
        .store
        .begin_intent(&intent(Timestamp::now()))
        .await
        .unwrap();
    let until = Timestamp::now() + SignedDuration::from_secs(65);
    world.store.sent_intent(id, until).await.unwrap();
    let settlement = Settlement {
        state: IntentState::NotWritten,
        settle: Vec::new(),
        own_edit: None,
        last_edited: None,
        changes: Vec::new(),
        outcome: Outcome::Unchanged,
        ..written(id)
    };
    world.store.settle_intent(&settlement).await.unwrap();
    let base = world.store.read_bases(&[page_id(1)]).await.unwrap();
    assert_eq!(base[&page_id(1)]["name"].notion, text("old"));
    let rows = "SELECT count(*) FROM audit_logs";
    assert_eq!(world.database.number(rows).await, 0);
}

#[tokio::test]
async fn an_edit_that_fell_into_the_gap_of_our_write_is_recorded() {
    let world = settled().await;
    let read_at = Timestamp::now() - SignedDuration::from_secs(10);
    let id = world.store.begin_intent(&intent(read_at)).await.unwrap();
    world.store.settle_intent(&written(id)).await.unwrap();
    let envelope = |seconds: i64, property: &str| {
        let mut event = event(Dialect::Envelope, 1, "e", None);
        event.occurred_at = Some(read_at + SignedDuration::from_secs(seconds));
        event.event_type = "page.properties_updated".to_owned();
        event.authors = vec![(UserId(uuid::Uuid::from_u128(3)), "person".to_owned())];
        event.body = json!({"data": {"updated_properties": [property]}}).to_string();
        InboxEvent {
            id: 1,
            received_at: Timestamp::now(),
            skipped: None,
            reread_only: false,
            attempts: 0,
            event,
        }
    };
    let elsewhere = [
        envelope(-5, "name"),
        envelope(600, "name"),
        envelope(5, "other"),
    ];
    assert_eq!(world.store.note_overwrites(&elsewhere).await.unwrap(), 0);
    let inside = [envelope(5, "name")];
    assert_eq!(world.store.note_overwrites(&inside).await.unwrap(), 1);
    let row = "SELECT concat_ws('|', kind, \"column\", notion #>> '{text,plain}',
                      postgres #>> '{text,plain}', closed_at IS NOT NULL)
               FROM notion_sync.conflicts";
    assert_eq!(
        world.database.text(row).await,
        "PossibleOverwrite|name|old|new|t"
    );
}
