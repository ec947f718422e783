//! The main job: an edit in Notion reaches the row, the audit table and `kubectl get`.

use notion_imitation::Subscription;
use serde_json::json;

use crate::support::{Stage, VERIFICATION_TOKEN, eventually, title};

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_row_audit_and_status() {
    let stage = Stage::set("flow").await;
    let page = stage.linked("Alpha").await;
    let orphan = stage
        .notion
        .create_page(stage.source, json!({"Name": title("Nobody's")}));
    let orphan = orphan.unwrap();
    stage.bind_ready(&json!({})).await;
    assert_eq!(stage.cell(page, "name").await.as_deref(), Some("Alpha"));

    let subscription = Subscription {
        url: stage.operator.webhook_url(),
        verification_token: Some(VERIFICATION_TOKEN.to_owned()),
        active: true,
        ..Subscription::default()
    };
    stage.notion.subscribe(subscription).unwrap();
    let edit = json!({"Name": title("Beta"), "Status": {"status": {"name": "In progress"}},
        "Price": {"number": 19.555}});
    stage.notion.edit(page, edit).unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    assert_eq!(
        stage.cell(page, "status").await.as_deref(),
        Some("IN_PROGRESS")
    );
    assert_eq!(stage.cell(page, "price").await.as_deref(), Some("19.56"));
    assert!(stage.cell(page, "\"updatedAt\"").await.is_some());

    let result = stage.audited("notion_webhook", page).await.unwrap();
    assert_eq!(result["outcome"], "Applied", "{result}");
    assert_eq!(
        result["binding"],
        format!("{}/projects", stage.scene.name())
    );
    let columns: Vec<_> = result["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["column"])
        .collect();
    assert_eq!(columns, ["name", "status", "price"]);
    assert_eq!(result["changes"][1]["to"], "IN_PROGRESS");
    assert_eq!(result["changes"][1]["side"], "Postgres");

    stage
        .wait_condition("projects", "WebhookVerified", "True", Some("Verified"))
        .await;
    let output = stage
        .scene
        .kubectl(&["get", "notionsyncbindings"])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let (head, row) = output.split_once('\n').unwrap();
    let head: Vec<_> = head.split_whitespace().collect();
    assert_eq!(
        head,
        [
            "NAME", "READY", "HEALTH", "DRIFT", "PAGES", "ROWS", "LAST", "SYNC", "AGE"
        ]
    );
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!(row[..6], ["projects", "True", "Healthy", "0", "2", "1"]);

    let health = stage.health().await;
    assert_eq!(health["health"], "Healthy", "{health}");
    assert_eq!(
        health["bindings"][0]["orphanedPages"],
        json!([orphan.to_string()])
    );
    assert_eq!(health["bindings"][0]["counts"]["linked"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webhooks_the_same_edit_arrives_an_interval_later() {
    let stage = Stage::set("polling").await;
    let page = stage.linked("Alpha").await;
    stage
        .bind_ready(&json!({"webhook": null, "interval": "10s"}))
        .await;
    stage
        .notion
        .edit(page, json!({"Name": title("Beta")}))
        .unwrap();
    stage.wait_cell(page, "name", Some("Beta")).await;
    let result = eventually("the pass is audited", async || {
        stage.audited("notion_sync", page).await
    })
    .await;
    assert_eq!(result["outcome"], "Applied");
    // An idle cycle: one query, no other request.
    stage.notion.reset_requests();
    eventually("the next cycle", async || {
        (!stage.notion.requests().is_empty()).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let requests = stage.notion.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(
        requests
            .iter()
            .all(|request| request.path.ends_with("/query")),
        "{requests:?}"
    );
}
