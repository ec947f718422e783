//! A database that is away (S12): what senders are told, and that nothing is missed.

use std::time::{Duration, Instant};

use serde_json::json;
use world::postgres::{Postgres, PostgresOptions};

use super::{edited, flood, patch, signed, within};
use crate::support::{Stage, USUAL_TABLE, title};

/// A stage whose binding lives on a Postgres server of its own.
async fn own_server(topic: &str) -> (Stage, Postgres) {
    let mut stage = Stage::set(topic).await;
    let server = stage
        .scene
        .own_postgres(&PostgresOptions::default())
        .await
        .unwrap();
    server.create_role("app").await.unwrap();
    server.create_database("app", "app").await.unwrap();
    let uri = server.uri("app", "app").unwrap();
    stage
        .scene
        .apply_secret("app-db", &[("uri", &uri)])
        .await
        .unwrap();
    stage.pool = server.pool("app", "app").unwrap();
    stage.sql(USUAL_TABLE).await;
    (stage, server)
}

async fn last_full_scan(stage: &Stage) -> String {
    let binding = stage.binding("projects").await;
    binding["status"]["lastFullScanTime"]
        .as_str()
        .expect("a complete pass")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_outage_are_made_up_for_by_a_complete_pass() {
    let (stage, server) = own_server("outage").await;
    let page = stage.linked("Alpha").await;
    stage.bind_ready(&json!({})).await;
    let scanned = last_full_scan(&stage).await;
    server.stop().await.unwrap();

    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    let event = edited(&stage, page);
    let answer = signed(&stage, &event).await;
    assert_eq!(answer.said(), ("error", "DatabaseUnavailable"));
    assert_eq!(answer.body["error"]["code"], "DatabaseUnavailable");
    assert!(answer.body["error"]["message"].is_string(), "{answer:?}");
    // Without a link nobody can say whose the event is: it is not kept, and says so.
    let answer = signed(&stage, &stage.notion.legacy_event(page)).await;
    assert_eq!(answer.said(), ("error", "DatabaseUnavailable"));

    patch(
        &stage,
        "projects",
        &json!({"spec": {"webhook": {"onDatabaseError": "Retry"}}}),
    )
    .await;
    let answer = within(Duration::from_mins(1), "the spec is followed", async || {
        let answer = signed(&stage, &event).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.code(503), "DatabaseUnavailable");
    let wait: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!(wait >= 1);
    let unavailable = Some("DatabaseUnavailable");
    stage
        .wait_condition("projects", "DatabaseReachable", "False", unavailable)
        .await;

    server.start_again().await.unwrap();
    let minute = Duration::from_mins(1);
    within(minute, "the edit arrives", async || {
        (stage.cell(page, "name").await.as_deref() == Some("Beta")).then_some(())
    })
    .await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    within(minute, "the pass was complete", async || {
        (last_full_scan(&stage).await > scanned).then_some(())
    })
    .await;
    // Sent again, the event is taken.
    assert_eq!(signed(&stage, &event).await.said(), ("queued", ""));
    let log = stage.operator.log().unwrap();
    let lost = log.contains("a webhook event could not be stored");
    assert!(lost, "the lost event is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_holds_no_sender_up() {
    let (stage, server) = own_server("hang").await;
    let page = stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"webhook": {"onDatabaseError": "Retry"}}))
        .await;
    let events = (0..20).map(|_| edited(&stage, page).to_string()).collect();
    server.pause().await.unwrap();
    let started = Instant::now();
    let answers = flood(&stage, events).await;
    let took = started.elapsed();
    server.resume().await.unwrap();
    assert!(
        took < Duration::from_secs(15),
        "answered after {took:?}, 5 s are promised where the machine is not busy"
    );
    for answer in answers {
        assert_eq!(answer.code(503), "DatabaseUnavailable");
        assert!(answer.header("retry-after").is_some());
    }
    within(
        Duration::from_mins(1),
        "events are taken again",
        async || (signed(&stage, &edited(&stage, page)).await.status == 200).then_some(()),
    )
    .await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
}
