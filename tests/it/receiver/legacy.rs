//! The seed's rule for its own events (S5), and the read that makes up for what it skips.

use std::time::Duration;

use serde_json::{Value, json};

use super::{legacy, signed, stored, within};
use crate::support::{Stage, eventually, title};

/// How many re-reads wait, or were done, for the stage's pages.
async fn rereads(stage: &Stage) -> i64 {
    stage
        .count("SELECT count(*) FROM notion_sync.inbox WHERE reread_only")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_newer_is_skipped_and_one_without_a_time_rests_a_minute() {
    let stage = Stage::set("legacy").await;
    let (timed, untimed) = (stage.linked("Timed").await, stage.linked("Untimed").await);
    stage.bind_ready(&json!({})).await;
    let at = |time: &str| legacy(timed, Some(time), &json!({}));
    let noon = at("2026-01-01T12:00:00.000Z");
    assert_eq!(signed(&stage, &noon).await.said(), ("queued", ""));
    // NotNewer is tested before the dedupe key.
    assert_eq!(signed(&stage, &noon).await.said(), ("skipped", "NotNewer"));
    let earlier = at("2026-01-01T11:59:59.999Z");
    assert_eq!(
        signed(&stage, &earlier).await.said(),
        ("skipped", "NotNewer")
    );
    let same = at("2026-01-01T13:00:00+01:00");
    assert_eq!(signed(&stage, &same).await.said(), ("skipped", "NotNewer"));
    assert_eq!(
        signed(&stage, &at("2026-01-01T12:01:00Z")).await.said(),
        ("queued", "")
    );

    let plain = legacy(untimed, None, &json!({}));
    assert_eq!(signed(&stage, &plain).await.said(), ("queued", ""));
    assert_eq!(
        signed(&stage, &plain).await.said(),
        ("skipped", "ProcessedRecently")
    );
    let unreadable = legacy(untimed, Some("yesterday"), &json!({}));
    assert_eq!(
        signed(&stage, &unreadable).await.said(),
        ("skipped", "ProcessedRecently")
    );
    // An event with a time is judged by the times alone.
    let timed_now = legacy(untimed, Some("2026-01-01T12:00:00Z"), &json!({}));
    assert_eq!(signed(&stage, &timed_now).await.said(), ("queued", ""));
    // Either skip asks for one read of its page when the minute is over; a flood asks for no more.
    for _ in 0..5 {
        signed(&stage, &noon).await;
        signed(&stage, &plain).await;
    }
    let pages = "SELECT count(DISTINCT page_id) FROM notion_sync.inbox WHERE reread_only";
    assert_eq!(stage.count(pages).await, 2);
    assert!(
        (2..=4).contains(&rereads(&stage).await),
        "at most one for each page and minute"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_edit_of_the_minute_arrives_when_the_minute_is_over() {
    let stage = Stage::set("minute").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    stage
        .notion
        .edit(page, json!({"Name": title("First")}))
        .unwrap();
    let event = stage.notion.legacy_event(page);
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    stage.wait_cell(page, "name", Some("First")).await;
    // The clock of Notion stands still: the second edit has the time of the first.
    stage.notion.set_clock(stage.notion.now());
    stage
        .notion
        .edit(page, json!({"Name": title("Second")}))
        .unwrap();
    let event = stage.notion.legacy_event(page);
    let answer = signed(&stage, &event).await;
    assert_eq!(answer.said(), ("skipped", "NotNewer"));
    let due = stage
        .text("SELECT not_before FROM notion_sync.inbox WHERE reread_only")
        .await;
    let due = due.expect("a read is due");
    // Nothing else reads the page: no interval ends within this test.
    within(
        Duration::from_secs(90),
        "the second edit arrives",
        async || (stage.cell(page, "name").await.as_deref() == Some("Second")).then_some(()),
    )
    .await;
    let over = stage
        .text(&format!("SELECT clock_timestamp() >= '{due}'::timestamptz"))
        .await;
    assert_eq!(over.as_deref(), Some("true"), "it was read before {due}");
    let second = format!("SELECT extract(second FROM '{due}'::timestamptz)::int");
    let second = stage.text(&second).await;
    assert_eq!(second.as_deref(), Some("0"), "due at the end of a minute");
    // The change has an audit row that says where it came from.
    eventually("audited", async || {
        let query = "SELECT count(*) FROM audit_logs WHERE details -> 'result' -> 'changes' \
                     @> '[{\"to\": \"Second\"}]'";
        (stage.count(query).await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automations_event_is_known_by_its_id() {
    let stage = Stage::set("automation").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let first = stage.notion.automation_event(page, None);
    assert_eq!(signed(&stage, &first).await.said(), ("queued", ""));
    let mut again = first.clone();
    again["source"]["attempt"] = 2.into();
    assert_eq!(signed(&stage, &again).await.said(), ("duplicate", ""));
    // The same values by another run are another event.
    let second = stage.notion.automation_event(page, None);
    assert_eq!(signed(&stage, &second).await.said(), ("queued", ""));
    // Properties that are null, or not there, empty nothing.
    let mut odd = stage.notion.automation_event(page, None);
    odd["data"]["properties"] = Value::Null;
    assert_eq!(signed(&stage, &odd).await.said(), ("queued", ""));
    eventually("all are settled", async || {
        let open = "SELECT count(*) FROM notion_sync.inbox WHERE state = 'pending'";
        (stage.count(open).await == 0).then_some(())
    })
    .await;
    assert_eq!(stored(&stage).await, 3);
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));
}
