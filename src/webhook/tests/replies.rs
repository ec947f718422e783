//! The table of replies (§4).

use std::time::{Duration, Instant};

use super::server::*;
use crate::sync::event::Skip;
use crate::sync::reason::Reason;
use crate::webhook::ports::{Accepted, OnDatabaseError, Proof, ReceiverBinding};
use crate::webhook::testing::*;

fn event(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"page.properties_updated","entity":{{"id":"{}","type":"page"}},
           "data":{{"parent":{{"type":"database","data_source_id":"{}"}}}}}}"#,
        page_id(9),
        source_id(1)
    )
}

#[tokio::test]
async fn stored_then_known() {
    let unverified = ReceiverBinding {
        verified: false,
        ..binding("projects")
    };
    let world = World::of(vec![unverified]).await;
    for path in [OWN, SHARED] {
        let answer = world.signed(path, &event(path)).await;
        assert_eq!(answer.json(), serde_json::json!({ "status": "queued" }));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = world.signed(path, &event(path)).await;
        assert_eq!(answer.json(), serde_json::json!({ "status": "duplicate" }));
    }
    assert_eq!(
        *world.sink.nudged.lock().unwrap(),
        [name("projects"), name("projects")]
    );
    assert_eq!(
        world.sink.noted.lock().unwrap()[0],
        (name("projects"), Proof::Signature)
    );
    let metrics = world.metrics();
    assert!(metrics.contains(r#"webhook_requests_total{status="queued",reason=""} 2"#));
    assert!(metrics.contains(r#"webhook_requests_total{status="duplicate",reason=""} 2"#));
}

#[tokio::test]
async fn legacy_events_that_the_inbox_closed() {
    let world = World::of(vec![binding("projects")]).await;
    let body = r#"{"type":"page.updated","object":{"id":"00000000000000000000000000000009"}}"#;
    for (skip, reason) in [
        (Skip::NotNewer, "NotNewer"),
        (Skip::ProcessedRecently, "ProcessedRecently"),
    ] {
        let mode = Mode::Says(Accepted::Skipped(skip));
        world
            .sink
            .modes
            .lock()
            .unwrap()
            .insert(name("projects"), mode);
        let answer = world.signed(OWN, body).await;
        assert_eq!(
            answer.json(),
            serde_json::json!({ "status": "skipped", "reason": reason })
        );
    }
}

#[tokio::test]
async fn without_a_notion_token_the_event_is_kept() {
    let world = World::of(vec![binding("projects")]).await;
    world.credentials.remove("projects-notion", "token");
    let answer = world.signed(OWN, &event("1")).await;
    assert_eq!(
        answer.said(),
        (200, "skipped".into(), "NotionTokenMissing".into())
    );
    world.credentials.set("projects-notion", "token", "ntn_x");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(world.signed(OWN, &event("2")).await.said().1, "queued");
    assert_eq!(world.sink.stored.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_stored_is_acknowledged_or_put_off() {
    let retry = ReceiverBinding {
        on_database_error: OnDatabaseError::Retry,
        ..binding("tasks")
    };
    let world = World::of(vec![binding("projects"), retry]).await;
    for each in ["projects", "tasks"] {
        let mode = Mode::Fails(Reason::StateSchemaMissing);
        world.sink.modes.lock().unwrap().insert(name(each), mode);
    }
    let answer = world.signed(OWN, &event("e")).await;
    assert_eq!(
        answer.said(),
        (200, "error".into(), "DatabaseUnavailable".into())
    );
    assert_eq!(answer.json()["error"]["code"], "StateSchemaMissing");
    let path = "/api/webhooks/notion/team-a/tasks";
    let answer = world.signed_by("secret_of_tasks", path, &event("e")).await;
    assert_eq!(
        answer.said(),
        (503, "DatabaseUnavailable".into(), String::new())
    );
    assert_eq!(answer.header("retry-after"), Some("10"));
    let metrics = world.metrics();
    assert!(metrics.contains(r#"{status="error",reason="DatabaseUnavailable"} 1"#));
    assert!(metrics.contains(r#"{status="503",reason="DatabaseUnavailable"} 1"#));
}

#[tokio::test]
async fn a_hanging_database_does_not_hold_the_reply() {
    let world = World::of(vec![binding("projects")]).await;
    world
        .sink
        .modes
        .lock()
        .unwrap()
        .insert(name("projects"), Mode::Hangs);
    let begun = Instant::now();
    let answer = world.signed(OWN, &event("e")).await;
    assert_eq!(
        answer.said(),
        (200, "error".into(), "DatabaseUnavailable".into())
    );
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_panic_stays_within_its_request() {
    let world = World::of(vec![binding("projects")]).await;
    world
        .sink
        .modes
        .lock()
        .unwrap()
        .insert(name("projects"), Mode::Panics);
    let answer = world.signed(OWN, &event("e")).await;
    assert_eq!(answer.said(), (503, "InternalError".into(), String::new()));
    assert!(answer.header("retry-after").is_some());
    world.sink.modes.lock().unwrap().clear();
    assert_eq!(world.signed(OWN, &event("e")).await.said().1, "queued");
}

#[tokio::test]
async fn an_unknown_type_in_a_real_envelope_is_stored() {
    let world = World::of(vec![binding("projects")]).await;
    let body = r#"{"id":"x","type":"gizmo.exploded","entity":{"id":"?","type":"gizmo"},"new":[]}"#;
    assert_eq!(world.signed(OWN, body).await.said().1, "queued");
    let stored = world.sink.stored.lock().unwrap();
    assert_eq!(stored[0].1.event_type, "gizmo.exploded");
    assert_eq!(stored[0].1.body, body);
}
