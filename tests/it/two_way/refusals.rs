//! Writes that Notion answers unclearly or refuses.

use serde_json::json;

use crate::support::{Stage, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_notion_refuses_is_marked_and_the_others_go() {
    let stage = Stage::set("two-way-refused").await;
    let page = stage.linked("Alpha").await;
    stage.bind_both_ways(&json!({})).await;
    stage.wait_cell(page, "name", Some("Alpha")).await;
    // No value of the mapping: it is marked without asking Notion.
    stage
        .sql("UPDATE projects SET status = 'NOBODY_KNOWS', name = 'Beta'")
        .await;
    stage.wait_name_in_notion(page, "Beta").await;
    let status = eventually("the field is marked", async || {
        let binding = stage.binding("projects").await;
        let drift = &binding["status"]["drift"];
        (drift["failed"] == 1).then(|| drift.clone())
    })
    .await;
    assert_eq!(status["samples"][0]["column"], "status", "{status}");
    assert_eq!(stage.notion_writes(), 1);
}
