//! One poisoned page or row never stops the rest.

use notion_imitation::{Failure, How};
use serde_json::json;

use crate::failures::{CANARY, nothing_leaked, request_full_scan, request_pass};
use crate::support::{Stage, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_notion_cannot_show_does_not_stop_the_others() {
    let stage = Stage::set("poison-page").await;
    let poisoned = stage.linked("Alpha").await;
    let other = stage.linked("Beta").await;
    stage.bind_ready(&json!({"interval": "10s"})).await;
    for how in [How::Answer, How::Malformed] {
        stage.notion.clear_failures(None);
        stage.notion.fail(Failure {
            path: Some(format!("/v1/pages/{poisoned}")),
            status: 500,
            how,
            times: None,
            ..Failure::default()
        });
        let name = uuid::Uuid::new_v4().to_string();
        stage
            .notion
            .edit(poisoned, json!({"Name": title(&name)}))
            .unwrap();
        stage
            .notion
            .edit(other, json!({"Name": title(&name)}))
            .unwrap();
        for page in [poisoned, other] {
            let event = stage.notion.event("page.properties_updated", page, &[]);
            let (status, reply) = stage.post_signed(&event).await;
            assert_eq!(status, 200, "{reply}");
        }
        stage.wait_cell(other, "name", Some(&name)).await;
        request_pass(&stage, "projects").await;
        stage
            .wait_condition("projects", "Ready", "True", None)
            .await;
        // A query shows what the page's own read does not.
        stage.wait_cell(poisoned, "name", Some(&name)).await;
    }
    stage.notion.clear_failures(None);
    request_full_scan(&stage, "projects").await;
    stage
        .wait_condition("projects", "InSync", "True", None)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_refuses_the_value_is_marked_and_its_value_shown_nowhere() {
    let stage = Stage::set("poison-row").await;
    stage
        .sql("ALTER TABLE projects ADD CHECK (name IS NULL OR name NOT LIKE 'canary%')")
        .await;
    let poisoned = stage.linked(CANARY).await;
    let other = stage.linked("Beta").await;
    stage.bind("projects", &json!({"interval": "10s"})).await;
    stage
        .wait_condition("projects", "Ready", "True", None)
        .await;
    stage.wait_cell(other, "name", Some("Beta")).await;
    assert_eq!(stage.cell(poisoned, "name").await, None);
    let status = eventually("the row is counted as failed", async || {
        let status = stage.binding("projects").await["status"].clone();
        (status["drift"]["failed"].as_i64() > Some(0)).then_some(status)
    })
    .await;
    assert_eq!(status["health"], "Degraded", "{status}");
    assert_eq!(
        status["drift"]["samples"][0]["pageId"],
        poisoned.to_string(),
        "{status}"
    );
    for name in ["Gamma", "Delta"] {
        stage
            .notion
            .edit(other, json!({"Name": title(name)}))
            .unwrap();
        stage.wait_cell(other, "name", Some(name)).await;
    }
    nothing_leaked(&stage, &[]).await;
    stage
        .notion
        .edit(poisoned, json!({"Name": title("Harmless")}))
        .unwrap();
    stage.wait_cell(poisoned, "name", Some("Harmless")).await;
    stage
        .wait_condition("projects", "InSync", "True", None)
        .await;
}
