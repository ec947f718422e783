//! Values of the payload, where the page itself cannot be read (S6).

use std::time::Duration;

use notion_imitation::{Failure, How};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SHARED, edited, legacy, request_pass, signed, signed_with, within};
use crate::support::{Stage, VERIFICATION_TOKEN, title};

/// Reads are retried for 20 s before the payload is used.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets every read of a page fail until failures are cleared.
fn fail_reads(stage: &Stage, status: u16, how: How) {
    let failure = Failure {
        operation: Some("pages.retrieve".to_owned()),
        status,
        how,
        times: None,
        ..Failure::default()
    };
    stage.notion.fail(failure);
}

/// The seed's event with this page's own time and another title and status.
fn event_with_values(stage: &Stage, page: Uuid, name: &str) -> Value {
    let time = stage.notion.page(page).unwrap()["last_edited_time"].clone();
    let properties = json!({
        "Name": {"id": "title", "type": "title", "title": [
            {"type": "text", "text": {"content": name}, "plain_text": name}]},
        "Status": {"type": "status", "status": {"name": "Done"}},
        "Price": null,
    });
    legacy(page, time.as_str(), &properties)
}

async fn wait_name(stage: &Stage, page: Uuid, name: &str) {
    within(PATIENCE, name, async || {
        (stage.cell(page, "name").await.as_deref() == Some(name)).then_some(())
    })
    .await;
}

async fn falls_back(topic: &str, status: u16, how: How) {
    let stage = Stage::set(topic).await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    stage.notion.advance(Duration::from_mins(1));
    stage
        .notion
        .edit(page, json!({"Name": title("True"), "Price": {"number": 7}}))
        .unwrap();
    fail_reads(&stage, status, how);
    let event = event_with_values(&stage, page, "From the payload");
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    wait_name(&stage, page, "From the payload").await;
    assert_eq!(stage.cell(page, "status").await.as_deref(), Some("DONE"));
    assert_eq!(
        stage.cell(page, "price").await,
        None,
        "what the payload lacks is left alone"
    );
    let result = stage
        .audited("notion_webhook", page)
        .await
        .expect("it is audited");
    assert_eq!(result["outcome"], "Applied", "{result}");
    // Provisional: the next read settles it, although the page's time did not change.
    stage.notion.clear_failures(None);
    request_pass(&stage, "projects").await;
    wait_name(&stage, page, "True").await;
    assert_eq!(stage.cell(page, "price").await.as_deref(), Some("7.00"));
    let requests = stage.notion.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.operation != "pages.update"),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_lets_the_payload_stand_in() {
    falls_back("fallback-429", 429, How::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_lets_the_payload_stand_in() {
    falls_back("fallback-529", 529, How::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_notion_lets_the_payload_stand_in() {
    falls_back("fallback-500", 500, How::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_times_out_lets_the_payload_stand_in() {
    falls_back("fallback-hang", 503, How::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automations_values_stand_in_and_an_envelope_has_none() {
    let stage = Stage::set("fallback-auto").await;
    let (page, other) = (stage.linked("Alpha").await, stage.linked("Beta").await);
    stage.bind_ready(&json!({})).await;
    stage.notion.advance(Duration::from_mins(1));
    for page in [page, other] {
        stage
            .notion
            .edit(page, json!({"Name": title("Edited")}))
            .unwrap();
    }
    fail_reads(&stage, 503, How::Answer);
    let answer = signed(&stage, &edited(&stage, other)).await;
    assert_eq!(answer.said(), ("queued", ""));
    let automation = stage.notion.automation_event(page, None);
    assert_eq!(signed(&stage, &automation).await.said(), ("queued", ""));
    within(PATIENCE * 2, "the automation's values arrive", async || {
        (stage.cell(page, "name").await.as_deref() == Some("Edited")).then_some(())
    })
    .await;
    assert_eq!(
        stage.cell(other, "name").await.as_deref(),
        Some("Beta"),
        "an envelope has no values"
    );
    stage.notion.clear_failures(None);
    wait_name(&stage, other, "Edited").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_payload_undoes_nothing() {
    let stage = Stage::set("fallback-old").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    fail_reads(&stage, 503, How::Answer);
    let mut event = event_with_values(&stage, page, "Stale");
    event["object"]["last_edited_time"] = "2026-01-01T00:00:00.000Z".into();
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
    stage.notion.clear_failures(None);
    let what = "the event is settled by a read";
    let result = within(PATIENCE, what, async || {
        stage.audited("notion_webhook", page).await
    })
    .await;
    assert_eq!(result["outcome"], "Unchanged", "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_notion_said_no_the_payload_is_not_used() {
    let stage = Stage::set("fallback-no").await;
    let (hidden, refused) = (stage.linked("Alpha").await, stage.linked("Beta").await);
    stage.bind_ready(&json!({})).await;
    stage.notion.advance(Duration::from_mins(1));
    fail_reads(&stage, 404, How::Answer);
    let event = event_with_values(&stage, hidden, "From the payload");
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let what = "the missing page is settled";
    within(PATIENCE, what, async || {
        stage.audited("notion_webhook", hidden).await
    })
    .await;
    assert_eq!(stage.cell(hidden, "name").await.as_deref(), Some("Alpha"));

    stage.notion.clear_failures(None);
    // A token that is refused is refused everywhere.
    stage.notion.fail(Failure {
        status: 401,
        times: None,
        ..Failure::default()
    });
    let event = event_with_values(&stage, refused, "From the payload");
    let answer = signed_with(&stage, VERIFICATION_TOKEN, SHARED, &event).await;
    assert_eq!(answer.said(), ("queued", ""));
    let reason = Some("NotionUnauthorized");
    stage
        .wait_condition("projects", "NotionReachable", "False", reason)
        .await;
    assert_eq!(stage.cell(refused, "name").await.as_deref(), Some("Beta"));
    // The event waits, and is settled by the page's own values.
    stage
        .notion
        .edit(refused, json!({"Name": title("True")}))
        .unwrap();
    stage.notion.clear_failures(None);
    wait_name(&stage, refused, "True").await;
    let result = within(PATIENCE, "audited", async || {
        stage.audited("notion_webhook", refused).await
    });
    // A read that is older than the event's minute is applied at once and repeated for the event,
    // which then finds nothing left to write.
    let outcome = result.await["outcome"].clone();
    assert!(outcome == "Applied" || outcome == "Unchanged", "{outcome}");
}
