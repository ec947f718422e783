//! What the receiver tells people: `status.webhook`, the condition, and the metrics.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SHARED, edited, own_path, request_pass, send, signed, unsigned, within};
use crate::support::{Stage, eventually};

async fn webhook(stage: &Stage) -> Value {
    stage.binding("projects").await["status"]["webhook"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_path_last_event_and_last_rejection() {
    let stage = Stage::set("status").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let own = own_path(&stage, "projects");
    let seen = webhook(&stage).await;
    assert_eq!(seen["path"], json!(own));
    assert_eq!(seen["lastEventTime"], Value::Null);
    assert_eq!(seen["lastRejectionTime"], Value::Null);

    assert_eq!(
        unsigned(&stage, &own, &json!({})).await.code(401),
        "SignatureMissing"
    );
    let text = [("content-type", "text/plain")];
    let last = send(&stage, "POST", &own, &text, "{}").await;
    assert_eq!(last.code(415), "UnsupportedMediaType");
    // Flushed once a minute; a rejection starts no pass, so somebody has to ask for one.
    let flushed = "SELECT max(rejections) FROM notion_sync.receipts";
    within(
        Duration::from_secs(90),
        "rejections are flushed",
        async || (stage.count(flushed).await == 2).then_some(()),
    )
    .await;
    assert_eq!(
        webhook(&stage).await["lastRejectionTime"],
        Value::Null,
        "no pass was started"
    );
    request_pass(&stage, "projects").await;
    eventually("status tells the rejection", async || {
        let seen = webhook(&stage).await;
        let told = seen["lastRejectionReason"] == "UnsupportedMediaType";
        (told && seen["lastRejectionTime"].is_string()).then_some(())
    })
    .await;
    assert_eq!(
        signed(&stage, &edited(&stage, page)).await.said(),
        ("queued", "")
    );
    eventually("status tells the event", async || {
        webhook(&stage).await["lastEventTime"]
            .is_string()
            .then_some(())
    })
    .await;
    assert_eq!(webhook(&stage).await["path"], json!(own));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_verifies_whatever_it_is_about() {
    let stage = Stage::set("verified").await;
    stage.bind_ready(&json!({})).await;
    let kind = "WebhookVerified";
    stage
        .wait_condition("projects", kind, "Unknown", Some("AwaitingVerification"))
        .await;
    // About no page of the binding's, but signed with its key.
    let event = json!({"id": "e1", "type": "page.created", "entity":
        {"id": uuid::Uuid::new_v4(), "type": "page"}, "data": {"parent": {"type": "space"}}});
    assert_eq!(
        signed(&stage, &event).await.said(),
        ("unlinked", "NoBinding")
    );
    stage
        .wait_condition("projects", kind, "True", Some("Verified"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_by_its_answer() {
    let stage = Stage::set("metrics").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let event = edited(&stage, page);
    signed(&stage, &event).await;
    signed(&stage, &event).await;
    signed(&stage, &json!({"id": "x", "type": "y", "entity": {}})).await;
    signed(&stage, &json!([])).await;
    unsigned(&stage, SHARED, &event).await;
    unsigned(
        &stage,
        SHARED,
        &json!({"type": "webhook_challenge", "challenge": "x"}),
    )
    .await;
    unsigned(&stage, SHARED, &json!({"verification_token": "secret_x"})).await;
    send(&stage, "GET", SHARED, &[], "").await;
    send(&stage, "POST", &own_path(&stage, "nobody"), &[], "").await;
    let metrics = stage.operator.metrics().await.unwrap();
    let name = "notion_sync_webhook_requests_total";
    for (status, reason) in [
        ("queued", ""),
        ("duplicate", ""),
        ("unlinked", "NoBinding"),
        ("400", "UnknownEvent"),
        ("401", "SignatureMissing"),
        ("challenge", ""),
        ("skipped", "TokenAlreadyStored"),
        ("405", "MethodNotAllowed"),
        ("404", "NotFound"),
    ] {
        let count = metrics.sum(name, &[("status", status), ("reason", reason)]);
        assert!((count - 1.0).abs() < 0.1, "{status} {reason}: {count}");
    }
    assert!(metrics.sum("notion_sync_webhook_accept_seconds_count", &[]) >= 6.0);
}
