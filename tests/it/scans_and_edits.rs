//! Scans and edits that meet: old query rows, edits of one minute, long scans.

use std::time::{Duration, Instant};

use notion_imitation::Subscription;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scans::{at, bulk, named, rows, stage, status};
use crate::support::{PATIENCE, VERIFICATION_TOKEN, eventually, title};
use crate::table::Things;

const NOON: &str = "2026-11-20T12:00:00Z";

fn with_webhook(things: &Things) -> Value {
    things.spec(&json!({"webhook": {"verificationTokenSecretRef": {"name": "notion-webhook"}}}))
}

/// Delivers every change from now on to the operator.
fn subscribe(things: &Things) -> Uuid {
    let subscription = Subscription {
        url: things.stage.operator.webhook_url(),
        verification_token: Some(VERIFICATION_TOKEN.to_owned()),
        active: true,
        ..Subscription::default()
    };
    things.stage.notion.subscribe(subscription).unwrap().id
}

async fn wait_name(things: &Things, page: Uuid, name: &str) {
    eventually(&format!("{page} is {name}"), async || {
        (things.cells(page).await[0].as_deref() == Some(name)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_query_row_never_overwrites_a_newer_read() {
    let things = stage("scan-stale").await;
    things.stage.notion.set_clock(at(NOON));
    let page = things.page(json!({"Name": title("first")})).await;
    things.bind(&with_webhook(&things)).await;
    let subscription = subscribe(&things);
    // From here on queries show this moment, whatever is edited.
    things.stage.notion.freeze_queries();
    things.stage.notion.set_clock(at("2026-11-20T12:03:00Z"));
    things.edit(page, json!({"Name": title("second")}));
    wait_name(&things, page, "second").await;
    let attempts = things.attempts().await;
    things.pass().await;
    things.full_scan().await;
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("second"));
    assert_eq!(things.attempts().await, attempts, "nothing was tried");
    // Neither does a whole day of lag lose the next edit, which no event announces.
    things.stage.notion.unsubscribe(subscription).unwrap();
    things.edit(page, json!({"Name": title("third")}));
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("second"));
    things.stage.notion.thaw_queries();
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("third"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_in_one_minute_the_last_arrives() {
    let things = stage("scan-minute").await;
    things.stage.notion.set_clock(at(NOON));
    let page = things.page(json!({"Name": title("start")})).await;
    things.bind(&with_webhook(&things)).await;
    // A pass between the two.
    things.edit(page, json!({"Name": title("one")}));
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("one"));
    things.edit(page, json!({"Name": title("two")}));
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("two"));
    // A webhook between the two, and none for the second.
    let subscription = subscribe(&things);
    things.edit(page, json!({"Name": title("three")}));
    wait_name(&things, page, "three").await;
    things.stage.notion.unsubscribe(subscription).unwrap();
    things.edit(page, json!({"Name": title("four")}));
    things.pass().await;
    assert_eq!(things.cells(page).await[0].as_deref(), Some("four"));
    // A complete scan between the two, and a webhook for the second.
    things.edit(page, json!({"Name": title("five")}));
    things.full_scan().await;
    subscribe(&things);
    things.edit(page, json!({"Name": title("six")}));
    wait_name(&things, page, "six").await;
    // And back to a value that was there before, still within the minute.
    things.edit(page, json!({"Name": title("five")}));
    wait_name(&things, page, "five").await;
    things.expect_rest("one minute").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_first_scan_shows_its_progress_and_delays_no_edit() {
    let things = stage("scan-long").await;
    let pages = bulk(&things, 0, 1500, "2026-11-01T08:00:00Z", 1000);
    rows(&things, &pages).await;
    let last = *pages.last().unwrap();
    subscribe(&things);
    things.stage.notion.switch(|switches| {
        switches
            .operation_latency_ms
            .0
            .insert("data_sources.query".into(), 3000);
    });
    let object =
        world::manifests::binding(things.stage.scene.name(), "things", &with_webhook(&things));
    things.stage.scene.apply(&object).await.unwrap();
    let progress = eventually("progress is shown", async || {
        let status = status(&things).await;
        let progress = status["progress"].clone();
        progress["done"]
            .as_i64()
            .filter(|done| *done > 0)
            .map(|_| (progress, status))
    })
    .await;
    let (progress, during) = progress;
    assert!(progress["done"].as_i64().unwrap() < 1500, "{progress}");
    assert!(!progress["phase"].as_str().unwrap().is_empty());
    let reconciling = during["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["type"] == "Reconciling");
    assert_eq!(reconciling.unwrap()["status"], "True", "{during}");
    // An edit of the page that the scan reaches last.
    things.edit(last, json!({"Name": title("edited meanwhile")}));
    wait_name(&things, last, "edited meanwhile").await;
    assert!(
        named(&things).await < 1500,
        "the edit waited for the end of the scan"
    );
    things
        .stage
        .notion
        .switch(|switches| switches.operation_latency_ms.0.clear());
    things
        .stage
        .wait_condition("things", "ScanComplete", "True", Some("Complete"))
        .await;
    assert_eq!(named(&things).await, 1500);
    assert_eq!(
        things.cells(last).await[0].as_deref(),
        Some("edited meanwhile")
    );
    let status = status(&things).await;
    assert!(status["progress"].is_null(), "{status}");
    let log = things.stage.operator.log_events().unwrap();
    let told = log
        .iter()
        .filter(|event| event["message"] == "the scan goes on")
        .count();
    assert!(told > 0, "the log says how far the scan has come");
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_pages_land() {
    let things = stage("scan-12000").await;
    let pages = bulk(&things, 0, 12_000, "2026-11-01T08:00:00Z", 1000);
    rows(&things, &pages).await;
    let object = world::manifests::binding(
        things.stage.scene.name(),
        "things",
        &things.spec(&json!({})),
    );
    things.stage.scene.apply(&object).await.unwrap();
    // As long as rows land, however slow the machine is, the scan has not failed.
    let (mut landed, mut since) = (0, Instant::now());
    while landed < 12_000 {
        let now = named(&things).await;
        if now > landed {
            (landed, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{landed} pages landed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    things
        .stage
        .wait_condition("things", "ScanComplete", "True", Some("Complete"))
        .await;
    let wrong = "SELECT count(*) FROM things AS t JOIN notion_sync.pairs AS p
        ON p.page_id = t.\"notionPageId\"::uuid WHERE p.base -> 'name' ->> 'postgres' <> t.name";
    assert_eq!(things.stage.count(wrong).await, 0);
    let status = status(&things).await;
    assert_eq!(
        status["counts"],
        json!({"pages": 12_000, "rows": 12_000, "linked": 12_000})
    );
    assert_eq!(status["drift"]["count"], 0);
}
