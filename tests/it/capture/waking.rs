//! The whole way: a committed change of a row starts a pass of its binding.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Stage, eventually};

/// `design/sync.md`: a pass starts within 5 s of a captured change. Both ways of finding it are far
/// quicker; the interval is an hour.
const PROMISED: Duration = Duration::from_secs(5);

async fn two_way(topic: &str) -> (Stage, uuid::Uuid) {
    let stage = Stage::set(topic).await;
    let page = stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"direction": "TwoWay", "interval": "1h"}))
        .await;
    let installed = "SELECT count(*) FROM pg_trigger
        WHERE tgrelid = 'projects'::regclass AND tgname LIKE 'notion\\_sync\\_%'";
    assert_eq!(stage.count(installed).await, 4);
    drained(&stage).await;
    (stage, page)
}

/// Waits until nothing waits and changes are announced again.
async fn drained(stage: &Stage) {
    let open = "SELECT (SELECT count(*) FROM notion_sync.changes)
        + (SELECT count(*) FROM notion_sync.captures WHERE NOT armed OR gap)";
    eventually("everything captured is settled", async || {
        (stage.count(open).await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_row_is_handled_long_before_the_interval() {
    let (stage, page) = two_way("capture-wakes").await;
    for name in ["Beta", "Gamma", "Delta"] {
        let statement =
            format!("UPDATE projects SET name = '{name}' WHERE \"notionPageId\" = '{page}'");
        let begun = Instant::now();
        stage.sql(&statement).await;
        let open = "SELECT count(*) FROM notion_sync.changes";
        while stage.count(open).await > 0 {
            assert!(begun.elapsed() < PROMISED * 6, "nothing happened");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drained(&stage).await;
        let page = stage.notion.page(page).unwrap();
        let title = &page["properties"]["Name"]["title"][0]["plain_text"];
        assert_eq!(title, name, "a change is settled when Notion has it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_binding_writes_nothing_about_capture() {
    let (stage, _) = two_way("capture-idle").await;
    let statistics = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
        FROM pg_stat_user_tables
        WHERE schemaname = 'notion_sync' AND relname IN ('captures', 'changes')";
    // A connection that rests tells its last counts up to ten seconds late
    // (`PGSTAT_IDLE_INTERVAL`); what was written before must be in them first.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let before = stage.count(statistics).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(stage.count(statistics).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_table_is_compared_from_the_start() {
    let (stage, _) = two_way("capture-truncate").await;
    stage.sql("TRUNCATE projects").await;
    stage
        .bind(
            "projects",
            &json!({"direction": "TwoWay", "interval": "1m"}),
        )
        .await;
    let open = "SELECT count(*) FROM notion_sync.captures WHERE emptied OR gap";
    drained(&stage).await;
    assert_eq!(stage.count(open).await, 0);
}
